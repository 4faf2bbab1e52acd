# SPDX-License-Identifier: BSD-3-Clause
"""Starting a job, ending it, and saying how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence

from ..flight import Head, read_heads
from . import processes
from .errors import LaunchError
from .folder import Folder, remove_leftovers, sweep
from .guard import Guard
from .plans import FAMILIES, Plan
from .programs import STDIN_PROGRAM
from .stdin import SCRIPT, Input, Stream, script

GRACE = 1.0  # seconds from one means of ending a job to the next, harder one
SAME_MOMENT = 0.5  # seconds between a rank's end and the launcher's killing the others, at most
KILLS = (signal.SIGKILL, signal.SIGTERM)  # how a launcher ends ranks; as wait statuses the same numbers


def start(
    plan: Plan,
    *,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    env: Mapping[str, str] | None = None,
) -> Job:
    """Start a planned job; the streams and `env` (by default the environment) mean the same as for `subprocess.Popen`.

    Ranks are watched while `wait` or `poll` is called: their caller learns the status of the rank that failed first.
    """
    if plan.options.hosts:
        raise LaunchError("running on other hosts is only planned so far", hint="--explain shows the plan")
    sweep(os.path.dirname(plan.directory), os.getuid())
    folder = Folder(plan.directory)
    source: Input | None = None
    try:
        program = plan.options.stdin_program
        if program is not None:
            folder.write(STDIN_PROGRAM, program)
        source = Input(stdin if program is None else subprocess.DEVNULL)
        environ = plan.environ(os.environ if env is None else env)
        text = script(source.path, FAMILIES[plan.launcher].RANK, environ)
        folder.write(SCRIPT, text.encode(errors="surrogateescape"))
        guard = Guard(plan)
        try:
            return Job(plan, launch(plan, environ, stdout, stderr), folder, source, guard)
        except BaseException:
            guard.dismiss()
            raise
    except BaseException:
        if source:
            source.close()
        folder.remove()
        raise


def launch(plan: Plan, environ: dict[str, str], stdout: Stream, stderr: Stream) -> subprocess.Popen[bytes]:
    """Start the launcher, in a session of its own: Ctrl-C reaches us alone, and we decide who gets which signal, and when."""
    try:
        return subprocess.Popen(
            plan.argv,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=environ,
            start_new_session=True,
        )
    except OSError as e:
        status = 127 if isinstance(e, FileNotFoundError) else 126
        raise LaunchError(f"{plan.mpiexec}: cannot be executed: {e.strerror}", status=status) from e


class Job:
    """A running job."""

    def __init__(self, plan: Plan, process: subprocess.Popen[bytes], folder: Folder, source: Input, guard: Guard) -> None:
        self.plan = plan
        self.pid = process.pid
        self.stdin, self.stdout, self.stderr = source.writer, process.stdout, process.stderr
        self.returncode: int | None = None
        self.ranks = processes.Ranks(process.pid, plan.ranks)
        self.ending: Ending | None = None
        self.cause: processes.Rank | None = None  # once it has ended: the rank that failed first
        self.adopts = False  # are all our other children orphans of this job?
        self._process, self._folder, self._input, self._guard, self._began = process, folder, source, guard, time.time()
        self._pidfd = os.pidfd_open(process.pid)

    def processes(self) -> list[int]:
        """The pids of all processes of this job here, the launcher's among them."""
        roots = self.ranks.alive()
        if self._process.returncode is None:
            roots.append(self.pid)
        if self.adopts:
            helpers = (self._guard.pid, self._input.pid)
            roots += [pid for pid in processes.children(os.getpid()) if pid not in helpers]
        return processes.of_job(self.plan.job, roots)

    @property
    def asked(self) -> int | None:
        """The exit status that whoever ended the job has asked for."""
        return self.ending.status if self.ending else None

    def poll(self) -> int | None:
        """The exit status of the job if it has ended, else None."""
        return self.watch(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the job and return its exit status; `subprocess.TimeoutExpired` if it takes longer."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.watch(60 if deadline is None else deadline - time.monotonic())) is None:
            if timeout is not None and deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(list(self.plan.argv), timeout)
        return status

    def watch(self, seconds: float, others: Iterable[int] = ()) -> int | None:
        """Wait for the next event in the job, or on a descriptor of `others`; do what is due; the status if it ended."""
        if self.returncode is None:
            pause = min(seconds, self.ending.due()) if self.ending else seconds
            self.ranks.watch(max(0.0, pause), [self._pidfd, *others])
            if self._process.poll() is not None:
                self._finish()
            elif self.ending:
                self.ending.advance(self, early=self.ranks.all_ended())
            elif self.ranks.failure():
                # Open MPI ends the job at once when a rank fails, MPICH waits for the others, perhaps forever. Here, the
                # others have a moment to fail as well and to say so; SIGINT would bury that under their tracebacks.
                self.ending = Ending(signal.SIGTERM, None, step=Ending.END, delay=GRACE)
        return self.returncode

    def end(self, signum: int, status: int) -> None:
        """Begin to end the job, orderly at first; with this exit status. Go on by `wait` or `watch`."""
        if self.returncode is None:
            if self.ending:
                self.ending.release()
            self.ending = Ending(signum, status)
            self.ending.advance(self)

    def hasten(self) -> None:
        """End at once what `end` has begun to end."""
        if self.ending:
            self.ending.step = max(self.ending.step, Ending.KILL)
            self.ending.next = 0.0
            self.ending.advance(self)

    def kill(self) -> None:
        """End every process of the job now and remove its folder; no error if it has ended."""
        if self.returncode is None:
            for pid in self.processes():
                processes.send(pid, signal.SIGKILL)
            self._process.wait()
            self._finish()

    def _finish(self) -> None:
        """The launcher has ended: no process and no file of the job may stay."""
        self.ranks.watch(0)
        if self.ending:
            self.ending.release()
        deadline = time.monotonic() + SAME_MOMENT  # a rank that made the launcher end the job may be the last to end
        while self.ranks.alive() and (left := deadline - time.monotonic()) > 0:
            self.ranks.watch(left)
        self._end_stragglers()
        self.ranks.watch(0)
        code, family = self._process.returncode, FAMILIES[self.plan.launcher]
        believe(self.ranks, read_heads(self._folder.path))
        self.cause = cause_of_end(self.ranks, code)
        self.returncode = self.asked if self.asked is not None else status_of(self.ranks, code, family.BARE_SIGNALS)
        self.ranks.close()
        os.close(self._pidfd)
        self._input.close()
        self._folder.remove()
        self._guard.dismiss()
        remove_leftovers(family.LEFTOVERS, os.getuid(), self._began)

    def _end_stragglers(self) -> None:
        for _ in range(200):
            left = self.processes()
            for pid in left:
                processes.send(pid, signal.SIGKILL)
            if not left:
                break
            time.sleep(0.02)


class Ending:
    """Ends a job step by step, each harder than the one before.

    First the ranks get a signal and a second for their `finally` blocks. The launcher is stopped meanwhile: it would kill
    the others as soon as one rank has ended.
    """

    ASK, GO_ON, END, KILL, KILL_ALL = range(5)

    def __init__(self, signum: int, status: int | None, step: int = ASK, delay: float = 0.0) -> None:
        self.signum = signum
        self.status = status
        self.step = step
        self.next = time.monotonic() + delay
        self.stopped: list[int] = []

    def due(self) -> float:
        """Seconds until the next step."""
        return self.next - time.monotonic()

    def release(self) -> None:
        """Let the launcher go on."""
        for pid in self.stopped:
            processes.send(pid, signal.SIGCONT)
        self.stopped = []

    def advance(self, job: Job, early: bool = False) -> None:
        """Take the next step if it is due, or `early` because no rank is left and the launcher may see that."""
        if self.due() > 0 and not (early and self.step == Ending.GO_ON):
            return
        everything = job.processes()
        launchers = [pid for pid in everything if processes.executable_name(pid).startswith(processes.LAUNCHERS)]
        ranks = [pid for pid in everything if pid not in launchers]
        if self.step == Ending.ASK and not ranks:
            self.step = Ending.END  # only the launcher can end a job that is about to start
        if self.step == Ending.ASK:
            # Intel's does not kill the others, and now and then breaks down when it goes on.
            self.stopped = launchers if job.plan.choice.maker != "impi" else []
            for pid in self.stopped:
                processes.send(pid, signal.SIGSTOP)
            for pid in ranks:
                processes.send(pid, processes.fitting(pid, self.signum))
        else:
            self.release()
            signum = signal.SIGTERM if self.step == Ending.END else signal.SIGKILL
            for pid in [] if self.step == Ending.GO_ON else ranks if self.step == Ending.KILL else everything:
                processes.send(pid, signum)
        self.next = time.monotonic() + (GRACE if self.step in (Ending.ASK, Ending.END) else GRACE / 2)
        self.step = min(self.step + 1, Ending.KILL_ALL)


def believe(ranks: processes.Ranks, heads: Mapping[int, Head]) -> None:
    """Note what ranks said of their end in their flight records, which stay behind if MPI was not finalized.

    A rank that aborts the job decides so before the launcher kills anybody, but may be the last to end. One that ends
    without MPI_Finalize has failed, whatever its status; the launcher notices at the same moment as we do.
    """
    uptime = time.time() - time.monotonic()
    for rank in ranks.ended:
        head = heads.get(rank.pid)
        if head is None or rank.ended is None:  # it finalized, or is no program of ours
            continue
        if head.status > 0:
            rank.status, rank.ended = (head.status & 0xFF) << 8, min(rank.ended, head.decided - uptime)
        elif rank.status == 0 and head.initialized:
            rank.status, rank.ended = 1 << 8, rank.ended - SAME_MOMENT


def cause_of_end(ranks: processes.Ranks, code: int) -> processes.Rank | None:
    """The rank that failed first, if a failing rank ended the job. `code` is the return code of mpiexec.

    A launcher that sees a rank close its connection, or call MPI_Abort, kills the others, and they may end before that
    rank. So one that was killed is the cause only if the launcher tells of that signal too, or of nothing.
    """
    first = ranks.failure()
    if first is None or first.status not in KILLS:
        return first
    told = [rank for rank in ranks.ended if rank.status in KILLS and code in (rank.status, 128 + rank.status)]
    if told or code < 0 or code in (0, 255):
        return told[0] if told else first
    return next((rank for rank in ranks.ended if rank.status and rank.status not in KILLS), None)


def doubtful(ranks: processes.Ranks, cause: processes.Rank) -> list[int]:
    """The ranks one of which was killed first, and the others by the launcher; more than one if that cannot be told.

    A rank's connections are closed before its end can be seen, and launchers are quick.
    """
    at = cause.ended or 0.0
    if cause.status not in KILLS:
        return [cause.rank]
    return sorted(rank.rank for rank in ranks.ended if rank.status in KILLS and abs((rank.ended or 0.0) - at) < SAME_MOMENT)


def status_of(ranks: processes.Ranks, code: int, bare_signals: Sequence[int]) -> int:
    """The exit status of a job: that of the rank that failed first, as far as it was seen, else what mpiexec says.

    Only ranks that end within milliseconds are not seen. `bare_signals` are numbers by which this mpiexec then means a signal.
    """
    told = code if code >= 0 else 128 - code
    cause = cause_of_end(ranks, code)
    if cause is None or cause.status is None:
        return 128 + told if ranks.missing > 0 and told in bare_signals else told
    return os.WEXITSTATUS(cause.status) if os.WIFEXITED(cause.status) else 128 + os.WTERMSIG(cause.status)
