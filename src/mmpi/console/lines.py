# SPDX-License-Identifier: BSD-3-Clause
"""Lines of standard input, and their end: the mpiexec of Open MPI 5 never tells the end, so we look at what it reads itself."""

from __future__ import annotations

import os
import select
import stat

LOOK = 0.5  # seconds without input, after which mpiexec is looked at


class Lines:
    """Standard input, line by line."""

    def __init__(self) -> None:
        self._rest = b""
        self._ended = False
        # `mmpi run` lets rank 0 open its own standard input, which has an end
        self._launcher = None if "MMPI_JOB_DIR" in os.environ else os.getppid()

    def readline(self) -> str:
        """The next line with its newline; "" at the end."""
        while b"\n" not in self._rest and not self._ended:
            if select.select([0], [], [], LOOK)[0]:
                data = os.read(0, 65536)
                self._rest += data
                self._ended = not data
            elif self._launcher is not None:
                self._ended = has_read_all(self._launcher)
        line, newline, self._rest = self._rest.partition(b"\n")
        return (line + newline).decode(errors="replace")


def has_read_all(pid: int) -> bool:
    """Whether nothing can come any more from the standard input of another process: False where that cannot be seen."""
    try:
        fd = os.open(f"/proc/{pid}/fd/0", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return False
    try:
        kind = os.fstat(fd)
        if stat.S_ISREG(kind.st_mode):
            with open(f"/proc/{pid}/fdinfo/0") as file:
                return int(file.readline().split()[1]) >= kind.st_size
        if stat.S_ISFIFO(kind.st_mode):
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            return [events & select.POLLIN for _, events in poll.poll(0)] == [0]
        return os.path.samestat(kind, os.stat(os.devnull))
    finally:
        os.close(fd)
