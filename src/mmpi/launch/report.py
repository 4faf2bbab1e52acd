# SPDX-License-Identifier: BSD-3-Clause
"""The report at the end of a job that failed: which ranks ended it and why, equal reasons once."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ..flight import Head, read_heads
from .hosts import PIDS
from .processes import Rank

GROUPS = 4  # different endings that are told with their tracebacks
LINES = 60  # of a traceback that are shown


class Cause(NamedTuple):
    """Why ranks ended, in a few words, and the traceback if there is one."""

    what: str
    text: str = ""


class Scene:
    """What a job leaves behind, read before its folder goes away: by pid, the words of ranks, Python stacks of crashes, records."""

    def __init__(
        self,
        words: Mapping[int, Cause] | None = None,
        crashes: Mapping[int, str] | None = None,
        heads: Mapping[int, Head] | None = None,
        out_of_memory: bool = False,
    ) -> None:
        self.words, self.crashes, self.heads = words or {}, crashes or {}, heads or {}
        self.out_of_memory = out_of_memory  # the kernel has killed for want of memory since the job began
        self.others: list[str] = []  # what ranks were doing that did not end by themselves

    @classmethod
    def of(cls, folder: str, out_of_memory: bool) -> Scene:
        """What lies in the folder of a job."""
        words, crashes = {}, {}
        for name in os.listdir(folder):
            pid, _, kind = name.partition(".")
            if kind == "end":
                words[int(pid)] = Cause(*read(folder, name).rstrip().partition("\n")[::2])
            elif kind == "crash" and (text := read(folder, name)):
                crashes[int(pid)] = python_stack(text)
        return cls(words, crashes, read_heads(folder), out_of_memory)

    def look_at_others(self, folder: str, ranks: Iterable[Rank], since: float) -> None:
        """Tell from their records, and from what they have answered since then, what these ranks were in when they were killed."""
        from dataclasses import replace

        from ..hang import stacks
        from ..hang.look import DEAD, RUNNING, look
        from ..hang.report import groups
        from ..hang.waits import Job

        pids = {rank.pid: rank.rank for rank in ranks if rank.pid in self.heads and not self.heads[rank.pid].finalized}
        answers = stacks.left(folder, since)
        seen = [replace(rank, state=RUNNING) if rank.pid in pids and rank.state == DEAD else rank for rank in look(folder, answers)]
        lines = groups(Job(seen), {rank.rank for rank in seen if rank.pid in pids})
        self.others = [line if line.startswith("  ") else f"meanwhile {line}" for line in lines]

    def cause(self, rank: Rank) -> Cause:
        """Why a rank ended."""
        if rank.pid in self.words:
            return self.words[rank.pid]
        status, head = rank.status or 0, self.heads.get(rank.pid)
        if os.WIFSIGNALED(status):
            killer = ", by the kernel for want of memory" if self.out_of_memory and status == signal.SIGKILL else ""
            return Cause(f"killed by {signal_name(os.WTERMSIG(status))}{killer}", self.crashes.get(rank.pid, ""))
        if head and head.initialized and not head.finalized and head.status <= 0:
            return Cause(f"exit without MPI_Finalize: os._exit({os.WEXITSTATUS(rank.seen or 0)}), or exec")
        return Cause(f"exit status {os.WEXITSTATUS(status)}")

    def host(self, rank: Rank) -> str:
        """The host of a rank."""
        head = self.heads.get(rank.pid)
        return rank.host or (head.host if head else os.uname().nodename)

    def who(self, ranks: Sequence[Rank]) -> str:
        """`rank 1 (host a, pid 12)`, or `ranks 0-3 (hosts a, b, pids 12-15)`."""
        hosts = sorted({self.host(rank) for rank in ranks})
        s = "s" * (len(ranks) > 1)
        numbers, pids = spans(rank.rank for rank in ranks), spans(rank.pid % PIDS for rank in ranks)
        return f"rank{s} {numbers} (host{'s' * (len(hosts) > 1)} {', '.join(hosts)}, pid{s} {pids})"

    def endings(self, ranks: Iterable[Rank]) -> list[str]:
        """Lines on how ranks ended, each cause once, in the order in which the first of its ranks ended."""
        groups: dict[Cause, list[Rank]] = {}
        for rank in ranks:
            groups.setdefault(self.cause(rank), []).append(rank)
        lines = []
        for cause, members in list(groups.items())[:GROUPS]:
            lines += [f"{self.who(members)}: {cause.what}", *shortened(cause.text)]
        if rest := [rank for members in list(groups.values())[GROUPS:] for rank in members]:
            lines.append(f"and for {len(groups) - GROUPS} more reasons {self.who(rest)}")
        return lines


def read(folder: str, name: str) -> str:
    """The text of a file, as much as can be read."""
    try:
        with open(os.path.join(folder, name), errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def python_stack(dump: str) -> str:
    """Of what faulthandler wrote, the thread that crashed, in the order of a traceback."""
    found = re.search(r"^(?:Current thread|Stack) .*\n((?:  .*\n?)+)", dump, re.MULTILINE)
    frames = found[1].splitlines()[::-1] if found else []
    return "\n".join(["Stack (most recent call last):", *frames]) if frames else ""


def shortened(text: str) -> list[str]:
    """The lines of a traceback, set in; of a very long one the begin and the end."""
    lines = [f"  {line}" for line in text.splitlines()]
    if len(lines) > LINES:
        lines[LINES // 2 : -LINES // 2] = [f"  ... {len(lines) - LINES} lines ..."]
    return lines


def signal_name(signum: int) -> str:
    """`signal 9 (SIGKILL)`."""
    try:
        return f"signal {signum} ({signal.Signals(signum).name})"
    except ValueError:
        return f"signal {signum}"


def spans(numbers: Iterable[int]) -> str:
    """`0-2,5` for 0, 1, 2, 5."""
    rows: list[list[int]] = []
    for number in sorted(numbers):
        if rows and number == rows[-1][-1] + 1:
            rows[-1][1:] = [number]
        else:
            rows.append([number])
    return ",".join("-".join(map(str, row)) for row in rows)


def killed_for_memory() -> int:
    """How often the kernel has killed for want of memory: in our control group, else on this machine."""
    for path, key in memory_counters():
        found = re.search(rf"^{key} (\d+)$", read("/", path), re.MULTILINE)
        if found:
            return int(found[1])
    return 0


def memory_counters() -> list[tuple[str, str]]:
    """The files that count it, the most telling first: cgroup 2, cgroup 1, the whole machine."""
    files = []
    for line in read("/", "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            files.append((f"sys/fs/cgroup{path}/memory.events", "oom_kill"))
        elif "memory" in controllers.split(","):
            files.append((f"sys/fs/cgroup/memory{path}/memory.oom_control", "oom_kill"))
    return [*files, ("proc/vmstat", "oom_kill")]
