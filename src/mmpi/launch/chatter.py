# SPDX-License-Identifier: BSD-3-Clause
"""What a launcher says by itself, and what it passes on for processes that ranks have spawned.

All is shown when it comes, but for what launchers say of ranks that failed, over ten lines of rulers and advice: our report says
that better. It is kept, in case there will be no report.
"""

from __future__ import annotations

import os
import re

from .output import put

RULER = rb"(?:={60,}|-{60,})\n"
BEGIN = re.compile(rb"\n|\n?={60,}\n|-{60,}\n")
OPENING = re.compile(
    rb"\n?={60,}\n=   BAD TERMINATION OF ONE OF YOUR"
    rb"|-{60,}\n(?:MPI_ABORT was invoked on rank|Primary job  terminated normally, but"
    rb"|(?:prterun|orterun|mpirun|mpiexec) (?:detected that one or more processes exited|noticed that process rank|has exited due to process))"
)
ALONE = (
    b"YOUR APPLICATION TERMINATED WITH THE EXIT STRING: ",
    b"This typically refers to a problem with your application.",
    b"Please see the FAQ page for debugging suggestions",
    b"[warn] Epoll ",
)


class Chatter:
    """One stream of a launcher; `fd` is where it would go."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.held = b""  # what was not shown
        self._begin = b""  # an empty line, a ruler: what may begin a block of such words
        self._rest = b""  # a line whose end has not come
        self._inside = False  # such a block
        self._torn = False  # the begin of the line was shown

    def read(self, fd: int) -> bool:
        """Read what came; False at the end."""
        data = os.read(fd, 1 << 16)
        put(self.fd, self.feed(data))
        return bool(data)

    def close(self) -> None:
        """Nothing more comes."""
        put(self.fd, self._begin + self._rest.lstrip(b"\0"))
        self._begin = self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """What is to be shown of this."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        shown = b"".join(self._line(line + b"\n") for line in lines)
        if self._rest and not self._inside and not self._begin and not may_be_ours(self._rest):
            shown += self._rest
            self._rest, self._torn = b"", True
        return shown

    def _line(self, line: bytes) -> bytes:
        """The same of one line."""
        if self._torn:
            self._torn = False
            return line
        line = line.lstrip(b"\0")  # Open MPI's launcher ends what it says with one
        if not self._inside and BEGIN.fullmatch(self._begin + line):
            self._begin += line
            return b""
        earlier, self._begin = self._begin, b""
        if self._inside or OPENING.match(earlier + line):
            self._inside = re.fullmatch(RULER, line) is None
            self.held += earlier + line
            return b""
        if line.startswith(ALONE):
            self.held += line
            return earlier
        if BEGIN.fullmatch(line):
            self._begin, line = line, b""
        return earlier + line


def may_be_ours(rest: bytes) -> bool:
    """May this begin of a line become what is not shown?"""
    rest = rest.lstrip(b"\0")
    return not rest.strip(b"=") or not rest.strip(b"-") or any(rest.startswith(text) or text.startswith(rest) for text in ALONE)
