# SPDX-License-Identifier: BSD-3-Clause
"""The folder of a job: made at its start, removed with its files at its end; and what dead jobs left behind."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import stat
from collections.abc import Iterable

from . import processes
from .errors import LaunchError

LOCK = "run"  # held by `mmpi run`, so that another one sees that the job is not dead
ENDING = "ending"  # there when `mmpi run` ends the job: is_ended_by_run in runtime.c


class Folder:
    """The folder of a job, with its lock."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            os.mkdir(path, 0o700)
        except OSError as e:
            used = "; a plan is started only once" if isinstance(e, FileExistsError) else ""
            raise LaunchError(f"{path}: cannot make the job's folder: {e.strerror}{used}") from e
        self.lock = os.open(os.path.join(path, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        os.write(self.lock, b"%d" % os.getpid())

    def write(self, name: str, content: bytes) -> str:
        """Write a file into the folder; return its path."""
        path = os.path.join(self.path, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def mark(self, name: str) -> None:
        """Make an empty file, where there is room."""
        with contextlib.suppress(OSError):
            self.write(name, b"")

    def remove(self) -> None:
        """Remove the folder with all that is in it; once is enough."""
        if self.lock >= 0:
            import shutil

            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self.lock)
            self.lock = -1


def sweep(parent: str, uid: int) -> None:
    """Remove the folders of our jobs whose `mmpi run` was killed and whose processes are all gone."""
    for path in glob.glob(os.path.join(glob.escape(parent), f"mmpi-{uid}-*")):
        try:
            status = os.lstat(path)
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != uid:
                continue
            lock = os.open(os.path.join(path, LOCK), os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # gone meanwhile, or made by a rank that no `mmpi run` started
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not processes.of_job(path.rpartition("-")[2]):
                import shutil

                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            pass
        finally:
            os.close(lock)


def remove_leftovers(patterns: Iterable[str], uid: int, since: float) -> None:
    """Remove shared memory and files, made since a time, that an MPI library left behind when its ranks were killed.

    The names do not tell the job. But memory that no process has open or mapped has no user: whoever makes it has it open,
    then mapped, until it is removed. So files are listed first, then descriptors are read, and mappings last.
    """
    ours = []
    for path in (p for pattern in patterns for p in glob.glob(pattern)):
        try:
            status = os.lstat(path)
        except OSError:
            continue
        if status.st_uid == uid and status.st_ctime >= since:
            ours.append(path)
    used = in_use() if ours else set()
    for path in ours:
        if path not in used:
            try:
                os.unlink(path)
            except OSError:
                pass


def in_use() -> set[str]:
    """The files that some process of ours has open or mapped."""
    used: set[str] = set()
    for pid in processes.pids():
        try:
            used |= {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        except OSError:
            pass
        try:
            with open(f"/proc/{pid}/maps", errors="surrogateescape") as file:
                used |= {line.split(None, 5)[5].rstrip("\n") for line in file if "/" in line}
        except OSError:
            pass
    return used
