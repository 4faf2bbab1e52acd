# SPDX-License-Identifier: BSD-3-Clause
"""`mmpi ps` and `mmpi hang`."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..flight import read_heads
from ..launch import processes
from ..launch.folder import LOCK
from ..launch.hosts import QUESTIONS
from . import Rank, merged, report, snapshot

PATIENCE = 10.0  # seconds for an answer from other hosts

PS_HELP = """\
usage: mmpi ps

List the running jobs of this user on this host: those started by `mmpi run`, mpiexec, srun or anything else.
"""
HELP = """\
usage: mmpi hang [--json] [JOB | PID]

Say what the ranks of a running job do, for whom they wait, and what seems wrong. The job is not stopped. Without JOB (as
`mmpi ps` shows it) or the PID of one of its processes, the only job that runs is meant. Of a job on several hosts, all
ranks are shown where its `mmpi run` is, elsewhere the ranks on that host.

  --json    everything, for programs
"""


@dataclass(frozen=True)
class Running:
    """A job that runs here."""

    job: str
    folder: str
    ranks: int  # that are here
    pids: list[int]  # of those; of `mmpi run`, if all are elsewhere
    size: int
    command: str


def jobs() -> list[Running]:
    """The running jobs of this user on this host, the oldest first."""
    found = []
    for parent in dict.fromkeys(["/dev/shm", os.environ.get("TMPDIR", "/tmp"), "/tmp"]):
        for path in _folders(parent):
            heads = read_heads(path)
            alive = sorted(pid for pid in heads if (fields := processes.stat(pid)) and fields[0] not in "ZX")
            pids = alive or _runner(path)
            if pids:
                size = max(len(alive), *(heads[pid].size for pid in alive), 0)
                found.append(Running(path.rpartition("-")[2], path, len(alive), pids, size, _command(pids[0])))
    return sorted(found, key=lambda job: os.stat(job.folder).st_ctime)


def _folders(parent: str) -> list[str]:
    prefix = f"mmpi-{os.getuid()}-"
    try:
        return [entry.path for entry in os.scandir(parent) if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _runner(folder: str) -> list[int]:
    """The `mmpi run` of a job on several hosts."""
    if not os.path.exists(os.path.join(folder, QUESTIONS)):
        return []
    with contextlib.suppress(OSError, ValueError), open(os.path.join(folder, LOCK)) as file:
        pid = int(file.read())
        return [pid] if os.path.exists(f"/proc/{pid}") else []
    return []


def elsewhere(folder: str) -> list[Rank]:
    """The ranks of a job on other hosts, as its `mmpi run` knows them; none if it is not here."""
    pipe, answer = os.path.join(folder, QUESTIONS), os.path.join(folder, f"{os.getpid()}.answer")
    if not os.path.exists(pipe):
        return []
    with contextlib.suppress(OSError):
        fd = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        os.write(fd, b"%d\n" % os.getpid())
        os.close(fd)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and os.path.exists(pipe):
            with contextlib.suppress(FileNotFoundError), open(answer) as file:
                os.unlink(answer)
                return merged(json.load(file))
            time.sleep(0.05)
    print("mmpi hang: no answer from the other hosts", file=sys.stderr)
    return []


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().rstrip(b"\0").decode(errors="replace").split("\0")
    except OSError:
        return "?"
    text = " ".join(os.path.basename(word) if word.startswith("/") else word for word in words).replace("\n", " ")
    return text if len(text) < 80 else text[:77] + "..."


def ps(argv: Sequence[str]) -> int:
    """Run `mmpi ps`; return its exit status."""
    if argv:
        print(PS_HELP, end="", file=sys.stdout if argv[0] in ("-h", "--help") else sys.stderr)
        return 0 if argv[0] in ("-h", "--help") else 2
    rows = [(job.job, f"{job.ranks} of {job.size or '?'}", str(job.pids[0]), job.command) for job in jobs()]
    if not rows:
        print("no job of this user runs here")
    for job, ranks, pid, command in [("JOB", "RANKS HERE", "FIRST PID", "COMMAND"), *rows] if rows else []:
        print(f"{job:<10}{ranks:<12}{pid:<11}{command}")
    return 0


def main(argv: Sequence[str]) -> int:
    """Run `mmpi hang`; return its exit status."""
    words = [word for word in argv if word != "--json"]
    if any(word in ("-h", "--help") for word in words):
        print(HELP, end="")
        return 0
    if len(words) > 1 or any(word.startswith("-") for word in words):
        print(f"mmpi hang: what is {words[-1]}?\n{HELP}", end="", file=sys.stderr)
        return 2
    try:
        job = choose(words[0] if words else None)
    except LookupError as error:
        print(f"mmpi hang: {error.args[0]}", file=sys.stderr)
        return 1
    if len(words) < len(argv):
        print(json.dumps(snapshot(job.folder, elsewhere(job.folder))))
    else:
        print("\n".join([f"job {job.job}: {job.command}", *report(job.folder, elsewhere(job.folder))]))
    return 0


def choose(word: str | None) -> Running:
    """The job that is meant; LookupError says why none is."""
    running = jobs()
    if word is None and len(running) == 1:
        return running[0]
    if word is None:
        names = ", ".join(job.job for job in running)
        raise LookupError(f"{len(running)} jobs run here: say which ({names})" if running else "no job of this user runs here")
    pid = int(word) if word.isdecimal() else -1
    chosen = [job for job in running if word == job.job or pid in job.pids]
    # a process that is no rank may belong to several: one job may run inside another
    chosen = chosen or [job for job in running if pid in processes.of_job(job.job, job.pids)]
    if chosen:
        return chosen[-1]
    raise LookupError(f"no job or process {word} of this user runs here; `mmpi ps` lists the jobs")
