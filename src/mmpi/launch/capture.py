# SPDX-License-Identifier: BSD-3-Clause
"""Where the ranks' output is caught: each writes to named pipes of its own in the job's folder, and one thread reads them all.

The launchers' own forwarding mixes the ranks, tears lines, and cannot tell who wrote what; their tags differ. A rank says that
it has come, then opens its pipes, which waits until we have them open, too.
"""

from __future__ import annotations

import os
import select
import shlex
import threading
from collections.abc import Callable
from typing import Protocol

from .output import STREAMS

ARRIVALS = "arrivals"  # the name, in the job's folder, of the pipe in which ranks say that they have come
CHUNK = 1 << 16


class Sink(Protocol):
    """What takes the ranks' output: a `Printer`, or what stands for it on another host."""

    joined: bool

    def feed(self, rank: int, stream: str, data: bytes) -> None:
        """A rank has printed this to a stream."""

    def pause(self) -> float | None:
        """Seconds until `tick` is due; None if it is not."""

    def tick(self) -> None:
        """Do what is due."""

    def close(self) -> None:
        """Nothing more comes."""


def redirection(folder: str, variable: str, joined: bool) -> str:
    """What the script on the way of each rank does; `variable` holds the rank's number."""
    own = f"{shlex.quote(folder)}/${variable}"
    errors = "2>&1" if joined else f"2>{own}.err"
    return f"echo ${variable} $$ >{shlex.quote(os.path.join(folder, ARRIVALS))}\nexec >{own}.out {errors}\n"


class Capture:
    """Reads what the ranks of a job write."""

    def __init__(self, folder: str, ranks: int, printer: Sink, arrived: Callable[[int, int], None] = lambda rank, pid: None) -> None:
        self.folder, self.printer, self.arrived = folder, printer, arrived
        self.streams = STREAMS[:1] if printer.joined else STREAMS
        for name in [ARRIVALS, *(f"{rank}.{stream}" for rank in range(ranks) for stream in self.streams)]:
            os.mkfifo(os.path.join(folder, name), 0o600)
        self._arrivals = os.open(os.path.join(folder, ARRIVALS), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._arrivals, select.POLLIN)
        self._open: dict[int, tuple[int, str]] = {}  # descriptor: rank and stream
        self._others: dict[int, Callable[[int], bool]] = {}
        self._rest = b""
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="mmpi-output")
        self._thread.start()

    def attach(self, fd: int, read: Callable[[int], bool]) -> None:
        """Read something else, too: `read` is called when there is something, and says whether more may come."""
        self._others[fd] = read
        os.write(self._arrivals, b"\n")

    def close(self, seconds: float | None = None) -> None:
        """All ranks have ended: show the rest. Whoever reads our output may be slow; after `seconds` we do not wait for that."""
        if not self._ended:
            self._ended = True
            os.write(self._arrivals, b"\n")
            self._thread.join(seconds)
            if not self._thread.is_alive():
                os.close(self._arrivals)

    def _run(self) -> None:
        while not self._ended:
            self._turn(self.printer.pause())
        while self._turn(0.0):
            pass
        self.printer.close()
        for fd in self._open:
            os.close(fd)

    def _turn(self, seconds: float | None) -> bool:
        """Wait for something, and read it; False if nothing came."""
        for fd in self._others:
            self._poll.register(fd, select.POLLIN)
        ready = self._poll.poll(None if seconds is None else seconds * 1000)
        for fd, _ in ready:
            if fd == self._arrivals:
                self._welcome()
            elif fd in self._others:
                if not self._others[fd](fd):
                    self._poll.unregister(fd)
                    del self._others[fd]
            else:
                self._read(fd)
        self.printer.tick()
        return bool(ready)

    def _welcome(self) -> None:
        """Open the pipes of the ranks that have come."""
        *lines, self._rest = (self._rest + os.read(self._arrivals, CHUNK)).split(b"\n")
        for rank, pid in (map(int, line.split()) for line in lines if line):
            self.arrived(rank, pid)
            for stream in self.streams:
                fd = os.open(os.path.join(self.folder, f"{rank}.{stream}"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                self._open[fd] = rank, stream
                self._poll.register(fd, select.POLLIN)

    def _read(self, fd: int) -> None:
        """Read from one pipe; when all its writers have ended, close it."""
        data = os.read(fd, CHUNK)
        if data:
            self.printer.feed(*self._open[fd], data)
        else:
            self._poll.unregister(fd)
            del self._open[fd]
            os.close(fd)
