# SPDX-License-Identifier: BSD-3-Clause
"""Starting a job, ending it, and saying how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..flight import Head
from . import processes, report
from .capture import Capture, redirection
from .chatter import Chatter
from .errors import LaunchError
from .folder import ENDING, Folder, remove_leftovers, sweep
from .guard import Guard
from .host import Host
from .hosts import Hosts, exports
from .output import Printer
from .plans import FAMILIES, GRACE, Plan
from .processes import SAME_MOMENT, Rank
from .programs import STDIN_PROGRAM
from .stdin import PIPE, SCRIPT, Input, Stream, odd_names, script

ANSWERS = 1.0  # seconds before we notice the end of a rank, at most, that it has asked the others where they are
ASKED = "asked"  # a file that says so: ask_others in runtime.c
KILLS = (signal.SIGKILL, signal.SIGTERM)  # how a launcher ends ranks; as wait statuses the same numbers


def start(
    plan: Plan,
    *,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    env: Mapping[str, str] | None = None,
    printer: Printer | None = None,
    stop: int | None = None,
) -> Job:
    """Start a planned job; the streams and `env` (by default the environment) mean the same as for `subprocess.Popen`.

    A `printer` shows what the ranks print; without one the launcher passes it on. When the descriptor `stop` becomes readable,
    hosts that do not answer are waited for no longer.

    Ranks are watched while `wait` or `poll` is called: their caller learns the status of the rank that failed first.
    """
    if plan.options.hosts and not printer:
        raise LaunchError("a job on other hosts needs a printer", hint="mmpi.launch.start(plan, printer=Printer(Show(), plan.ranks))")
    sweep(os.path.dirname(plan.directory), os.getuid())
    folder = Folder(plan.directory)
    source: Input | None = None
    capture: Capture | None = None
    hosts: Hosts | None = None
    try:
        program = plan.options.stdin_program
        if program is not None:
            folder.write(STDIN_PROGRAM, program)
        source = Input(stdin if program is None else subprocess.DEVNULL)
        environ = plan.environ(os.environ if env is None else env)
        variable = FAMILIES[plan.launcher].RANK
        caught = redirection(folder.path, variable, printer.joined) if printer else ""
        folder.write(SCRIPT, script(source.path, variable, odd_names(environ), caught).encode(errors="surrogateescape"))
        if printer and plan.options.hosts:
            hosts = Hosts(plan, folder, printer, environ)
            hosts.begin(task_of_keepers(plan, source.path, environ, caught, printer.joined), stop)
            hosts.feed_stdin(source.path)
            environ = FAMILIES[plan.launcher].defaults(plan.mpiexec, plan.directory, hosts.crowded(), Host.here()) | environ
        if printer:
            capture = Capture(folder.path, plan.ranks, printer, hosts.arrived if hosts else ignore)
        if hosts and capture:
            hosts.listen(capture)
        guard = Guard(plan)
        try:
            if capture:
                stdout = stderr = subprocess.PIPE
            return Job(plan, launch(plan, environ, stdout, stderr), folder, source, guard, capture, hosts)
        except BaseException:
            guard.dismiss()
            raise
    except BaseException:
        if source:
            source.close()
        if hosts:
            hosts.close()
        if capture:
            capture.close()
        folder.remove()
        raise


def ignore(rank: int, pid: int) -> None:
    """Ranks on this host alone are found without being told."""


def task_of_keepers(plan: Plan, stdin: str, environ: Mapping[str, str], caught: str, joined: bool) -> dict[str, Any]:
    """What a keeper needs to know."""
    family, program = FAMILIES[plan.launcher], plan.options.stdin_program
    source = os.path.join(plan.directory, PIPE) if stdin != os.devnull else stdin
    return {
        "job": plan.job,
        "directory": plan.directory,
        "ranks": plan.ranks,
        "script": script(source, family.RANK, odd_names(environ), exports(environ) + caught),
        "program": program.decode("latin-1") if program is not None else None,
        "joined": joined,
        "leftovers": list(family.LEFTOVERS),
        "hang_timeout": plan.options.hang_timeout,
    }


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

    def __init__(
        self,
        plan: Plan,
        process: subprocess.Popen[bytes],
        folder: Folder,
        source: Input,
        guard: Guard,
        capture: Capture | None = None,
        hosts: Hosts | None = None,
    ) -> None:
        self.plan = plan
        self.pid = process.pid
        self.stdin, self.stdout, self.stderr = source.writer, process.stdout, process.stderr
        self.returncode: int | None = None
        self.ranks = processes.Ranks(process.pid, plan.ranks, folder.path)
        self.ending: Ending | None = None
        self.cause: processes.Rank | None = None  # once it has ended: the rank that failed first
        self.scene = report.Scene()  # once it has ended: what there is to say about that
        self.adopts = False  # are all our other children orphans of this job?
        self._process, self._folder, self._input, self._guard, self._began = process, folder, source, guard, time.time()
        self._capture, self.hosts = capture, hosts
        self._pidfd = os.pidfd_open(process.pid)
        self._killed_before = report.killed_for_memory()
        self._moment = 0.0  # when the job began to end
        self.chatter = [Chatter(1), Chatter(2)] if capture else []
        for chatter, stream in zip(self.chatter, (self.stdout, self.stderr), strict=False):
            if capture and stream:
                capture.attach(stream.fileno(), chatter.read)

    def processes(self) -> list[int]:
        """The pids of all processes of this job here, the launcher's among them."""
        roots = self.ranks.alive()
        if self._process.returncode is None:
            roots.append(self.pid)
        if self.adopts:
            helpers = (self._guard.pid, self._input.pid, *(self.hosts.pids() if self.hosts else ()))
            roots += [pid for pid in processes.children(os.getpid()) if pid not in helpers]
        return processes.of_job(self.plan.job, roots)

    @property
    def asked(self) -> int | None:
        """The exit status that whoever ended the job has asked for."""
        return self.ending.status if self.ending else None

    @property
    def failed(self) -> list[Rank]:
        """The ranks that ended the job or failed by themselves as well, in the order in which they did."""
        own = [rank for rank in self.ranks.ended if rank.status and (rank.status not in KILLS or rank.pid in self.scene.words)]
        first = [self.cause] if self.cause and self.cause.status else []
        return first + [rank for rank in own if rank is not self.cause]

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
            self.ranks.watch(max(0.0, pause), [self._pidfd, *others, *([self.hosts.wake] if self.hosts else [])])
            if self.hosts:
                self.hosts.apply(self.ranks)
                if self.hosts.lost and self.asked is None:
                    self.end(signal.SIGTERM, 1)
            if self._process.poll() is not None:
                self._finish()
            elif self.ending:
                self.ending.advance(self, early=self.ranks.all_ended())
            elif self.ranks.failure():
                # Open MPI ends the job at once when a rank fails, MPICH waits for the others, perhaps forever. Here, the
                # others have a moment to fail as well and to say so; SIGINT would bury that under their tracebacks.
                self._ask_where()
                self.ending = Ending(signal.SIGTERM, None, step=Ending.TERMINATE, delay=GRACE)
        return self.returncode

    def _ask_where(self) -> None:
        """Let the ranks write where in Python they are, for the report, unless one that aborts the job has done so."""
        self._moment = self._moment or time.time()
        if not os.path.exists(os.path.join(self._folder.path, ASKED)):
            from ..hang import stacks

            stacks.request(self._folder.path, self.ranks.alive())

    def end(self, signum: int, status: int) -> None:
        """Begin to end the job, orderly at first; with this exit status. Go on by `wait` or `watch`."""
        if self.returncode is None:
            if self.ending:
                self.ending.release(self.hosts)
            else:
                self._ask_where()
                self._folder.mark(ENDING)
            self.ending = Ending(signum, status)
            self.ending.advance(self)

    def hasten(self) -> None:
        """End at once what `end` has begun to end."""
        if self.ending:
            self.ending.step = Ending.KILL_ALL
            self.ending.next = 0.0
            self.ending.advance(self)

    def kill(self) -> None:
        """End every process of the job now and remove its folder; no error if it has ended."""
        if self.returncode is None:
            for pid in self.processes():
                processes.send(pid, signal.SIGKILL)
            if self.hosts:
                self.hosts.signal("all", signal.SIGKILL)
            self._process.wait()
            self._finish()

    def _finish(self) -> None:
        """The launcher has ended: no process and no file of the job may stay."""
        self.ranks.watch(0)
        if self.ending:
            self.ending.release(self.hosts)
        deadline = time.monotonic() + SAME_MOMENT  # a rank that made the launcher end the job may be the last to end
        while self.ranks.alive() and (left := deadline - time.monotonic()) > 0:
            self.ranks.watch(left)
        end_stragglers(self.processes)
        if self.hosts:
            self.hosts.finish(self.ranks)
        self.ranks.watch(0)
        code, family = self._process.returncode, FAMILIES[self.plan.launcher]
        self.scene = report.Scene.of(self._folder.path, report.killed_for_memory() > self._killed_before)
        believe(self.ranks, self.scene.heads)
        late = self.ending and self.asked is None and self.ending.step == Ending.KILL_ALL  # its launcher did not end it, we did
        self.cause = self.ranks.failure() if late else cause_of_end(self.ranks, code)
        if self.ending or self.cause:
            own = self.failed if self.asked is None else [rank for rank in self.ranks.ended if rank.pid in self.scene.words]
            others = [rank for rank in self.ranks.ended if rank not in own]
            self.scene.look_at_others(self._folder.path, others, (self._moment or time.time()) - ANSWERS)
        bare = family.BARE_SIGNALS if self.ranks.missing > 0 else ()
        self.returncode = self.asked if self.asked is not None else status_of(self.cause, code, bare)
        self.ranks.close()
        os.close(self._pidfd)
        self._input.close()
        if self._capture:
            self._capture.close(GRACE if self.ending else None)
        for chatter in self.chatter:
            chatter.close()
        if self.hosts:
            self.hosts.close()
        self._folder.remove()
        self._guard.dismiss()
        remove_leftovers(family.LEFTOVERS, os.getuid(), self._began)


def end_stragglers(members: Callable[[], list[int]]) -> None:
    """Kill what is left of a job until nothing is."""
    for _ in range(200):
        left = members()
        for pid in left:
            processes.send(pid, signal.SIGKILL)
        if not left:
            break
        time.sleep(0.02)


class Ending:
    """Ends a job step by step, each harder than the one before.

    First the ranks get a signal and time for their `finally` blocks. The launcher is stopped meanwhile: it would kill
    the others as soon as one rank has ended.
    """

    ASK, KILL, TERMINATE, KILL_ALL = range(4)

    def __init__(self, signum: int, status: int | None, step: int = ASK, delay: float = 0.0) -> None:
        self.signum = signum
        self.status = status
        self.step = step
        self.next = time.monotonic() + delay
        self.stopped: list[int] = []
        self.asked = False
        self.killed: list[processes.Rank] = []  # that did not end when asked

    def due(self) -> float:
        """Seconds until the next step."""
        return self.next - time.monotonic()

    def release(self, hosts: Hosts | None) -> None:
        """Let the launcher go on."""
        if hosts and self.asked:
            hosts.signal("launchers", signal.SIGCONT)
        for pid in self.stopped:
            processes.send(pid, signal.SIGCONT)
        self.stopped = []

    def advance(self, job: Job, early: bool = False) -> None:
        """Take the next step if it is due, or `early` because no rank is left and the launcher may see that."""
        if self.due() > 0 and not (early and self.step == Ending.KILL):
            return
        everything = job.processes()
        launchers = [pid for pid in everything if processes.is_launcher(pid)]
        ranks = [pid for pid in everything if pid not in launchers]
        if self.step == Ending.ASK and not job.ranks.known and not ranks:
            self.step = Ending.TERMINATE  # only the launcher can end a job that is about to start
        if self.step == Ending.ASK:
            self.ask(job, launchers if job.plan.choice.maker != "impi" else [], ranks)
        else:
            if self.step == Ending.KILL:
                self.killed = [rank for rank in job.ranks.known.values() if rank.ended is None]
            signum = signal.SIGTERM if self.step == Ending.TERMINATE else signal.SIGKILL
            for pid in ranks if self.step == Ending.KILL else everything:
                processes.send(pid, signum)
            if job.hosts:
                job.hosts.signal("ranks" if self.step == Ending.KILL else "all", signum)
            self.release(job.hosts)
        self.next = time.monotonic() + (job.plan.options.grace if self.step == Ending.ASK else GRACE / 2)
        self.step = Ending.KILL if self.step == Ending.ASK else Ending.KILL_ALL

    def ask(self, job: Job, launchers: list[int], ranks: list[int]) -> None:
        """Ask the ranks to end. Intel's launcher is not stopped: it does not kill the others, and may break down when it goes on."""
        self.stopped = launchers
        for pid in launchers:
            processes.send(pid, signal.SIGSTOP)
        for pid in ranks:
            processes.send(pid, processes.fitting(pid, self.signum))
        if job.hosts:
            self.asked = True
            if self.stopped:
                job.hosts.signal("launchers", signal.SIGSTOP)
            job.hosts.signal("ranks", self.signum, fitting=True)


def believe(ranks: processes.Ranks, heads: Mapping[int, Head]) -> None:
    """Note what ranks said of their end in their flight records, which stay behind if MPI was not finalized.

    A rank that aborts the job decides so before the launcher kills anybody, but may be the last to end. One that ends
    without MPI_Finalize has failed, whatever its status; the launcher notices at the same moment as we do. Processes that
    ranks have spawned are known by their records only. From now on all are in order of time.
    """
    uptime = time.time() - time.monotonic()
    strangers = {pid: head for pid, head in heads.items() if pid not in ranks.known and head.status > 0}
    ranks.ended += [processes.Rank(pid, -1, head.rank, head.decided - uptime, 0) for pid, head in strangers.items()]
    for rank in ranks.ended:
        head = heads.get(rank.pid)
        if head is None or head.finalized or rank.ended is None:  # it finalized, or is no program of ours
            continue
        rank.seen = rank.status
        if head.status > 0:
            rank.status, rank.ended = (head.status & 0xFF) << 8, min(rank.ended, head.decided - uptime)
        elif rank.status == 0 and head.initialized:
            rank.status, rank.ended = 1 << 8, rank.ended - SAME_MOMENT
    ranks.ended.sort(key=lambda rank: rank.ended or 0.0)


def cause_of_end(ranks: processes.Ranks, code: int) -> processes.Rank | None:
    """The rank that failed first, if a failing rank ended the job. `code` is the return code of mpiexec.

    A launcher that sees a rank close its connection, or call MPI_Abort, kills the others, and they may end before that
    rank. So one that was killed is the cause only if the launcher tells of that signal too, or of nothing, or if others lost
    their connection to it.
    """
    first = ranks.failure()
    if first and first.status == processes.PEER_GONE and code not in (0, os.WEXITSTATUS(first.status)):
        return None  # the one that it lost was not seen
    if first is None or first.status not in KILLS:
        return first
    own = next((rank for rank in ranks.ended if rank.status and rank.status not in (*KILLS, processes.PEER_GONE)), None)
    gone = any(rank.status == processes.PEER_GONE for rank in ranks.ended)
    if gone and (own is None or code == os.WEXITSTATUS(processes.PEER_GONE)):
        return first
    told = [rank for rank in ranks.ended if rank.status in KILLS and code in (rank.status, 128 + rank.status)]
    if told or code < 0 or code in (0, 255):
        return told[0] if told else first
    return own


def status_of(cause: processes.Rank | None, code: int, bare_signals: Sequence[int]) -> int:
    """The exit status of a job: that of the rank that failed first, as far as it was seen, else what mpiexec says.

    `bare_signals` are numbers by which this mpiexec means a signal, if not all ranks were seen, as those that end within milliseconds.
    """
    told = code if code >= 0 else 128 - code
    if cause is None or cause.status is None:
        return 128 + told if told in bare_signals else told
    return os.WEXITSTATUS(cause.status) if os.WIFEXITED(cause.status) else 128 + os.WTERMSIG(cause.status)
