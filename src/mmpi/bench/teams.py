# SPDX-License-Identifier: BSD-3-Clause
"""The driver's side: teams of processes, which it lets run batches by turns. All wait without using a core when it is not their turn."""

from __future__ import annotations

import contextlib
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection, Listener, wait
from typing import Any

from mmpi.bench import pools
from mmpi.bench.cases import Spec
from mmpi.bench.crowded import ALLOWED
from mmpi.bench.measure import Case, Contender, Result, measure
from mmpi.bench.member import ADDRESS, KEY
from mmpi.bench.objects import MALLOC

START_LIMIT = 120  # seconds until all members have called
RUN_LIMIT = 300  # seconds for an answer


class TeamError(RuntimeError):
    """A team did not start, ended, or failed; the message says which, and what it said."""


class Team:
    """Processes that are contenders together: the ranks of a job, forked processes, or one that has workers.
    Whatever they leave behind lies in the folder."""

    def __init__(self, name: str, members: int, command: Sequence[str], folder: str) -> None:
        self.name, self.size = name, members
        key = secrets.token_bytes(32)
        address = os.path.join(folder, secrets.token_hex(4))
        self.listener = Listener(address, "AF_UNIX", backlog=members, authkey=key)
        threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}  # NumPy's: a core for each process
        env = {**os.environ, **ALLOWED, **threads, **MALLOC[False], "TMPDIR": folder, ADDRESS: address, KEY: key.hex()}
        self.called: queue.SimpleQueue[Connection[Any, Any]] = queue.SimpleQueue()
        self.members: list[Connection[Any, Any]] = []
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        for _ in range(self.size):
            with contextlib.suppress(OSError):  # end() closes the listener
                self.called.put(self.listener.accept())

    def ready(self) -> None:
        """Wait until all members are there. TeamError if they are not in time."""
        ranks: dict[int, Connection[Any, Any]] = {}
        end = time.monotonic() + START_LIMIT
        while len(ranks) < self.size:
            if self.process.poll() is not None or time.monotonic() > end:
                raise TeamError(f"{self.name}: {len(ranks)} of {self.size} processes came; {self._fate()}")
            with contextlib.suppress(queue.Empty):
                connection = self.called.get(timeout=0.5)
                ranks[connection.recv()] = connection
        self.members = [ranks[rank] for rank in sorted(ranks)]

    def ask(self, *request: Any) -> list[Any]:
        """What each member answers. TeamError if one fails, ends, or takes too long."""
        for member in self.members:
            member.send(request)
        answers: dict[Connection[Any, Any], Any] = {}
        end = time.monotonic() + RUN_LIMIT
        while len(answers) < self.size:
            waiting = [member for member in self.members if member not in answers]
            ready = wait(waiting, timeout=1)
            answers |= {member: self._answer(member, request) for member in waiting if member in ready}
            if self.process.poll() is not None or time.monotonic() > end:
                raise TeamError(f"{self.name}: no answer to {request}: {self._fate()}")
        return [answers[member] for member in self.members]

    def _answer(self, member: Connection[Any, Any], request: tuple[Any, ...]) -> Any:
        try:
            answer = member.recv()
        except (EOFError, OSError):
            raise TeamError(f"{self.name}: a process ended in {request}") from None
        if isinstance(answer, str):
            raise TeamError(f"{self.name}: {request} failed:\n{answer}")
        return answer[0]

    def _fate(self) -> str:
        status = self.process.poll()
        return "it took too long" if status is None else f"it ended with status {status}"

    def end(self) -> None:
        """Let all go home; whoever does not is ended."""
        for member in self.members:
            with contextlib.suppress(OSError):
                member.send(None)
        patience = 10 if self.members else 0
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        self.listener.close()


class Pool(Team):
    """One process that has workers."""


MEMBER = ["-m", "mmpi.bench.member"]
MMPI_RUN = [sys.executable, "-m", "mmpi", "run"]


def mpi_team(ranks: int, folder: str) -> Team:
    """C, mmpi and mpi4py."""
    return Team(f"MPI job of {ranks}", ranks, [*MMPI_RUN, "-n", str(ranks), *MEMBER, "mpi"], folder)


def process_team(ranks: int, folder: str) -> Team:
    """Pipe, Queue, SharedMemory."""
    return Team(f"{ranks} processes", ranks, [sys.executable, *MEMBER, "processes", str(ranks)], folder)


def pool_team(name: str, workers: int, folder: str) -> Pool:
    """A pool of that name."""
    words = [*MEMBER, "pool", name, str(workers)]
    command = [*MMPI_RUN, "-n", str(workers + 1), "-m", name, *words] if name in pools.JOBS else [sys.executable, *words]
    return Pool(f"{name} of {workers}", 1, command, folder)


@contextlib.contextmanager
def crew(specs: Sequence[Spec], ranks: int, folder: str, complain: Callable[[str], object]) -> Iterator[list[Team]]:
    """The teams that these cases, all of so many ranks, need; started at once, since most of that is waiting.
    A pool that does not start is complained about, and left out."""
    builds = {spec.build for spec in specs}
    teams = [mpi_team(ranks, folder)]
    if builds - {"both_ways", "allgather", "alltoall", "overlap"}:
        teams.append(process_team(ranks, folder))
    if "program" in builds:
        there = [name for name in pools.POOLS if name not in pools.EXTRA or pools.installed(name)]
        teams += [pool_team(name, ranks, folder) for name in there]
    try:
        yield [team for team in teams if _came(team, complain if isinstance(team, Pool) else None)]
    finally:
        for team in teams:
            team.end()


def _came(team: Team, complain: Callable[[str], object] | None) -> bool:
    try:
        team.ready()
    except TeamError as error:
        if complain is None:
            raise
        complain(f"left out: {error}")
        return False
    return True


class Clock:
    """Moves by what other processes report: measure() takes their times for its own."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def contender(self, name: str, took: Callable[[int], int]) -> Contender:
        """One for which `took(n)` does n iterations and says how many nanoseconds they took."""

        def run(n: int) -> None:
            self.now += max(0, took(n))

        return Contender(name, run)


def _slowest(team: Team, name: str, n: int) -> int:
    return int(max(team.ask("run", name, n)))


def compare(spec: Spec, teams: Sequence[Team], repeat: int, batch_seconds: float) -> Result:
    """Let all teams build the case, and all contenders run by turns."""
    clock = Clock()
    contenders = []
    for team in teams:
        names = team.ask("build", spec.build, spec.arguments)[0]
        contenders += [clock.contender(name, partial(_slowest, team, name)) for name in names]
    case = Case(spec.name, contenders)
    try:
        return measure(case, repeat=repeat, batch_seconds=batch_seconds, clock=clock, single=spec.single)
    finally:
        for team in teams:
            team.ask("drop")
