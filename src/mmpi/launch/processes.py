# SPDX-License-Identifier: BSD-3-Clause
"""The processes of a job on this machine, seen from outside: which they are, and how each rank ended.

A rank is a child of the launcher's daemon, not ours, so we cannot wait for it. But a pidfd tells when a process ends, and
how: at once while it is a zombie (/proc/PID/stat), and since Linux 6.15 also later (PIDFD_GET_INFO). So no wrapper has
to stand between the launcher and a rank, and the first failure is known where mpiexec's own status says little.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import time
from collections.abc import Iterable, Sequence

LAUNCHERS = ("mpiexec", "mpirun", "hydra_", "prterun", "prted", "orterun", "orted")
RANK_VARIABLES = (b"PMI_RANK=", b"OMPI_COMM_WORLD_RANK=", b"PMIX_RANK=")
PEER_GONE = 14 << 8  # how Open MPI ends a rank whose connection to another host broke
SAME_MOMENT = 0.5  # seconds between a rank's end and the launcher's killing the others, at most
PIDFD_GET_INFO, PIDFD_INFO_EXIT, PIDFD_INFO_SIZE = 0xC040FF0B, 8, 64


class Rank:
    """One rank: its process, and how it ended (a wait status; None as long as it runs or if that cannot be known)."""

    def __init__(self, pid: int, fd: int, rank: int, ended: float | None = None, status: int | None = None, host: str = "") -> None:
        self.pid, self.fd, self.rank = pid, fd, rank
        self.ended, self.status = ended, status
        self.host = host  # if it is another one
        self.seen: int | None = None  # the wait status before the rank's own word replaced it


class Farewells:
    """Tells when processes let go of their flight records in the folder of a job, which the kernel does for those that die.

    A process lets go of that descriptor before any other, and is seen to end after the last. Hydra kills all ranks as soon as
    one has lost the connection to it, and often they have ended before that one: what tells which was first is this.
    """

    IN_CLOSE_WRITE = 8

    def __init__(self, folder: str) -> None:
        import ctypes

        libc = ctypes.CDLL(None)
        self.times: dict[int, float] = {}
        self.fd: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)  # may fail: a user has 128 of them
        if self.fd >= 0:
            libc.inotify_add_watch(self.fd, os.fsencode(folder), self.IN_CLOSE_WRITE)

    def read(self, now: float) -> None:
        """There is something to read: note who has let go since the last call, in the order in which they did."""
        events, at = os.read(self.fd, 1 << 16), 0
        while at < len(events):
            size = struct.unpack_from("I", events, at + 12)[0]
            pid, _, kind = events[at + 16 : at + 16 + size].rstrip(b"\0").partition(b".")
            if kind == b"page":
                self.times[int(pid)] = now + at * 1e-9
            at += 16 + size

    def time(self, pid: int, now: float) -> float | None:
        """When a process that has ended now let go; None if that was not its end."""
        then = self.times.get(pid)
        return then if then is not None and now - then < SAME_MOMENT else None

    def close(self) -> None:
        """Let the descriptor go."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Ranks:
    """Finds the `n` ranks below a launcher as they come, and notes how they end, as they are seen to, and when they did."""

    def __init__(self, launcher: int, n: int, folder: str) -> None:
        self.launcher = launcher
        self.missing = n
        self.known: dict[int, Rank] = {}
        self.ended: list[Rank] = []
        self._farewells = Farewells(folder)
        self._poll = select.epoll()
        if self._farewells.fd >= 0:
            self._poll.register(self._farewells.fd, select.EPOLLIN)
        self._began = time.monotonic()

    def watch(self, seconds: float, others: Iterable[int] = ()) -> None:
        """Wait until a rank ends, one of the other descriptors is readable, or time is over."""
        deadline = time.monotonic() + seconds
        for fd in (others := list(others)):
            self._poll.register(fd, select.EPOLLIN)
        while True:
            self.find()
            left = max(0.0, deadline - time.monotonic())
            pause = min(left, self.interval()) if self.missing > 0 else left
            events = self._poll.poll(pause)
            self.note([fd for fd, _ in events], {fd for fd, event in events if event & select.EPOLLHUP})
            if events or left == 0:
                break
        for fd in others:
            self._poll.unregister(fd)

    def interval(self) -> float:
        """How long to wait before looking for new ranks again: short at first, so that a short-lived rank is met."""
        return min(0.25, max(0.004, (time.monotonic() - self._began) / 50))

    def find(self) -> None:
        """Look for ranks that have come; a rank that came and went in between is not met."""
        if self.missing <= 0:
            return
        for pid in ranks_below(self.launcher):
            number = rank_number(pid) if pid not in self.known else None
            if number is not None and self.missing > 0:
                try:
                    fd = os.pidfd_open(pid)
                except OSError:  # gone, or no more descriptors
                    continue
                self.known[pid] = Rank(pid, fd, number)
                self._poll.register(fd, select.EPOLLIN)
                self.missing -= 1

    def add(self, rank: Rank) -> None:
        """Take up a rank that somebody else has met."""
        if rank.pid in self.known:
            if rank.fd >= 0:
                os.close(rank.fd)
            return
        self.known[rank.pid] = rank
        self.missing -= 1
        if rank.fd >= 0:
            self._poll.register(rank.fd, select.EPOLLIN)

    def note(self, readable: Sequence[int], gone: set[int]) -> None:
        """Note the end of the ranks whose descriptors became readable (ended) or hung up (ended and waited for).

        The kernel tells them in the order in which they ended, and how they said farewell before, which is how a rank that
        was killed is told from those that the launcher killed for it, microseconds later.
        """
        now, of_fd = time.monotonic(), {rank.fd: rank for rank in self.known.values()}
        if self._farewells.fd in readable:  # who is seen to end has let go before, and the kernel tells that first
            self._farewells.read(now)
        for i, fd in enumerate(readable):
            rank = of_fd.get(fd)
            if rank is None:
                continue
            if rank.ended is None:
                rank.ended = self._farewells.time(rank.pid, now) or now + i * 1e-9
                self.ended.append(rank)
                self._poll.modify(rank.fd, 0)  # from now on only the hang-up
            if rank.status is None:
                rank.status = status_of_zombie(rank.pid) if rank.fd not in gone else status_of_gone(rank.fd)
            if rank.fd in gone:
                self._poll.unregister(rank.fd)
                os.close(rank.fd)
                rank.fd = -1

    def failure(self) -> Rank | None:
        """The first rank that ended otherwise than with status 0.

        Of several that were seen to end at the same time, those that were killed as the launcher kills come last; and those
        that ended since another rank was gone, last of all.
        """
        failed = [rank for rank in self.ended if rank.status]
        return min(
            failed,
            key=lambda r: (r.status == PEER_GONE, r.ended, r.status in (signal.SIGKILL, signal.SIGTERM)),
            default=None,
        )

    def alive(self) -> list[int]:
        """The pids of ranks on this host that have not ended."""
        return [rank.pid for rank in self.known.values() if rank.ended is None and not rank.host]

    def all_ended(self) -> bool:
        """Have all ranks been seen, and seen to end?"""
        return self.missing <= 0 and len(self.ended) == len(self.known)

    def close(self) -> None:
        """Let the descriptors go."""
        for rank in self.known.values():
            if rank.fd >= 0:
                os.close(rank.fd)
                rank.fd = -1
        self.missing = 0
        self._poll.close()
        self._farewells.close()


def status_of_zombie(pid: int) -> int | None:
    """The wait status of a process that ended and was not waited for yet."""
    fields = stat(pid)
    return int(fields[49]) if fields and fields[0] == "Z" else None


def status_of_gone(fd: int) -> int | None:
    """The wait status of a process that is gone, if this kernel keeps it."""
    info = bytearray(PIDFD_INFO_SIZE)
    struct.pack_into("Q", info, 0, PIDFD_INFO_EXIT)
    try:
        fcntl.ioctl(fd, PIDFD_GET_INFO, info)
    except OSError:
        return None
    has_exit = struct.unpack_from("Q", info, 0)[0] & PIDFD_INFO_EXIT
    return int(struct.unpack_from("i", info, 60)[0]) if has_exit else None


def ranks_below(launcher: int) -> list[int]:
    """The processes that a launcher or its daemons have started."""
    found, daemons = [], [launcher]
    while daemons:
        for pid in children(daemons.pop()):
            name = executable_name(pid)
            if name.startswith(LAUNCHERS):
                daemons.append(pid)
            elif name:
                found.append(pid)
    return found


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    pids: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                pids += map(int, file.read().split())
    except FileNotFoundError:
        if os.path.exists(f"/proc/{pid}") and not os.path.exists("/proc/self/task/self/children"):
            pids = [child for child, parent in parents().items() if parent == pid]  # a kernel without those files
    except OSError:
        pass
    return pids


def executable_name(pid: int) -> str:
    """The file name of what a process runs, "" if it is gone."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return ""


def is_launcher(pid: int) -> bool:
    """Is this a process of the launcher: its daemons, or what it reaches another host with?"""
    return executable_name(pid).startswith(LAUNCHERS) or b"MMPI_AGENT=1" in environment_of(pid)


def stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on (the name before it may hold anything)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2].decode().split()
    except OSError:
        return None


def pids() -> list[int]:
    """All processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def parents() -> dict[int, int]:
    """The parent of each process that is no zombie."""
    fields = ((pid, stat(pid)) for pid in pids())
    return {pid: int(f[1]) for pid, f in fields if f and f[0] not in "ZX"}


def environment_of(pid: int) -> list[bytes]:
    """The variables that a process was started with; none if it is not ours, or gone."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def rank_number(pid: int) -> int | None:
    """The rank that the launcher gave to a process."""
    for variable in environment_of(pid):
        name, _, value = variable.partition(b"=")
        if name + b"=" in RANK_VARIABLES and value.isdigit():
            return int(value)
    return None


def of_job(job: str, roots: Iterable[int] = ()) -> list[int]:
    """The processes of a job: those that carry its mark, and `roots`, with all below them.

    A program may overwrite its environment (as setproctitle does) or start others with an empty one, hence the family.
    """
    mark = f"MMPI_JOB={job}".encode()
    parent = parents()
    members = {pid for pid in parent if pid in set(roots) or mark in environment_of(pid)}
    members.discard(os.getpid())
    grown = True
    while grown:
        below = {pid for pid, up in parent.items() if up in members} - members
        grown, members = bool(below), members | below
    return sorted(members)


def readable(fd: int) -> bool:
    """Is there something to read, if only the end?"""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def send(pid: int, signum: int) -> None:
    """Send a signal to a process that may be gone."""
    try:
        os.kill(pid, signum)
    except (ProcessLookupError, PermissionError):
        pass


def catches(pid: int, signum: int) -> bool:
    """Has this process a handler for a signal?"""
    try:
        with open(f"/proc/{pid}/status") as file:
            mask = next(line.split()[1] for line in file if line.startswith("SigCgt:"))
    except (OSError, StopIteration):
        return False
    return bool(int(mask, 16) >> (signum - 1) & 1)


def fitting(pid: int, signum: int) -> int:
    """The signal by which a process ends most orderly: Python without a handler for SIGTERM still unwinds by SIGINT."""
    if signum != signal.SIGINT and not catches(pid, signum) and catches(pid, signal.SIGINT):
        return signal.SIGINT
    return signum
