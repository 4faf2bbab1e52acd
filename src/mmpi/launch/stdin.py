# SPDX-License-Identifier: BSD-3-Clause
"""The standard input of a job: rank 0 reads ours, without the launcher between; the other ranks read an empty one.

The launchers' own forwarding cannot be used. MPICH's ends the job if rank 0 reads slower than the input comes ("can't keep
up"), and leaves the other ranks hanging in a read; that of Open MPI 5 never tells the end of the input and may repeat parts
of it; all swallow what rank 0 does not read. So a few lines of shell on the way to each rank open the descriptor itself.
"""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO

SCRIPT = "rank"  # its name in the job's folder
PIPE = "stdin"  # and that of the pipe from which rank 0 reads, if it is on another host
Stream = int | IO[bytes] | IO[str] | None


def script(path: str, variable: str, passed: Sequence[str], more: str = "") -> str:
    """What every rank runs first; it does `more`, then replaces itself by the rank's program. `passed` is added to its environment."""
    again = f"env {shlex.join(passed)} " if passed else ""
    return (
        "# Run the program of one rank: rank 0 reads the standard input of the job, the others an empty one.\n"
        f"case ${variable} in 0) exec <{shlex.quote(path)} ;; *) exec </dev/null ;; esac\n{more}"
        f'exec {again}"$@"\n'
    )


def odd_names(environ: Mapping[str, str]) -> list[str]:
    """The variables that a shell does not pass on, since it could not have made their names: exported functions, a.b."""
    return [f"{name}={value}" for name, value in environ.items() if not (name.isascii() and name.isidentifier())]


class Input:
    """The standard input of a running job. `path` is what rank 0 opens, `writer` our end if it is a new pipe."""

    def __init__(self, stream: Stream) -> None:
        self.path = os.devnull
        self.writer: IO[bytes] | None = None
        self._fd = -1
        self._pump: subprocess.Popen[bytes] | None = None
        if stream == subprocess.PIPE:
            self._fd, writer = os.pipe2(os.O_CLOEXEC)
            self.writer = os.fdopen(writer, "wb")
        elif stream != subprocess.DEVNULL:
            self._take(0 if stream is None else stream if isinstance(stream, int) else stream.fileno(), stream is None)
        if self._fd >= 0:
            self.path = f"/proc/{os.getpid()}/fd/{self._fd}"

    def _take(self, fd: int, inherited: bool) -> None:
        """Keep a descriptor of our own for what `fd` refers to; none if nothing can be read from it."""
        try:
            kind = os.fstat(fd).st_mode
        except OSError:
            if inherited:  # a service may run without standard input
                return
            raise
        if inherited and in_background(fd):
            return  # started by `&`: what is typed is for the shell
        if can_be_opened(fd) and not (stat.S_ISREG(kind) and os.lseek(fd, 0, os.SEEK_CUR)):
            self._fd = os.dup(fd)
        else:  # a socket, another user's pipe, or a file that was read in part: opening it again is not the same
            self._pump = subprocess.Popen(["cat"], stdin=fd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            assert self._pump.stdout
            self._fd = os.dup(self._pump.stdout.fileno())
            self._pump.stdout.close()

    @property
    def pid(self) -> int | None:
        """Our helper process, if there is one."""
        return self._pump.pid if self._pump else None

    def close(self) -> None:
        """The job has ended. What was not read stays where it is."""
        if self._pump:
            self._pump.kill()
            self._pump.wait()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def can_be_opened(fd: int) -> bool:
    """Can another process of ours open this descriptor through /proc?"""
    try:
        os.close(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError:
        return False
    return True


def in_background(fd: int) -> bool:
    """Is this our terminal, but another program's turn to read from it?"""
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:  # no terminal, or not that of our session
        return False
