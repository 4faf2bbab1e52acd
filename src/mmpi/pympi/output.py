# SPDX-License-Identifier: BSD-3-Clause
"""Output of all ranks in their order, by rank 0."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

_SAME: Any = object()


class Output:
    """The part of a communicator that writes. All ranks must call its methods."""

    comm: Any

    def __init__(self) -> None:
        self._queues: dict[str, TextIO] = {}

    def synchronizedWrite(self, *args: Any, file: Any = None) -> None:
        """Write the arguments, with blanks between, of all ranks in their order, into rank 0's file (its sys.stdout)."""
        texts = self.comm.gather(" ".join(map(str, args)))
        if texts is not None:
            target = sys.stdout if file is None else file
            target.write("".join(texts))
            if hasattr(target, "flush"):
                target.flush()
        self.comm.barrier()

    def synchronizedWriteln(self, *args: Any, file: Any = None) -> None:
        """As synchronizedWrite, each rank on a line of its own."""
        self.synchronizedWrite(" ".join(map(str, args)) + "\n", file=file)

    def synchronizeQueuedOutput(self, stdout: str | None = _SAME, stderr: str | None = _SAME) -> None:
        """Let rank 0 write what the others have queued since the last call, in their order; then say where theirs goes.

        stdout, stderr: "foo" queues it in foo.out.<rank> and foo.err.<rank>; "/dev/null" drops it; None writes it at once again;
        without them it goes where it went.
        """
        for stream, wish, kind in (("stdout", stdout, "out"), ("stderr", stderr, "err")):
            texts = self.comm.gather(self._queued(stream))
            if texts is not None:
                getattr(sys, stream).write("".join(texts))
                getattr(sys, stream).flush()
            elif wish is not _SAME:
                self._redirect(stream, wish, kind)

    def _queued(self, stream: str) -> str:
        queue = self._queues.get(stream)
        if queue is None:
            return ""
        queue.flush()
        if queue.name == os.devnull:
            return ""
        with open(queue.name) as file:
            text = file.read()
        queue.seek(0)
        queue.truncate()
        return text

    def _redirect(self, stream: str, wish: str | None, kind: str) -> None:
        queue = self._queues.pop(stream, None)
        if queue is not None:
            queue.close()
        if wish is None:
            setattr(sys, stream, getattr(sys, f"__{stream}__"))
            return
        path = wish if wish == os.devnull else f"{wish}.{kind}.{self.comm.Get_rank()}"
        self._queues[stream] = open(path, "w")
        setattr(sys, stream, self._queues[stream])
