# SPDX-License-Identifier: BSD-3-Clause
"""A job in the foreground of a terminal or a script: signals, standard input, time limit, and the closing line."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from . import processes
from .output import Printer, Show, put
from .plans import Plan
from .supervise import Ending, Job, start

if TYPE_CHECKING:
    from ..hang.watch import Watch

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
PR_SET_CHILD_SUBREAPER = 36


class Signals:
    """Collects the signals that arrive, as numbers readable from `fd`. One that is ignored stays so (nohup, `&`).

    Python ignores SIGPIPE; we want to know when whoever reads our output has gone away.
    """

    def __enter__(self) -> Signals:
        self.fd, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        wanted = [s for s in (*ENDING, signal.SIGTSTP) if signal.getsignal(s) is not signal.SIG_IGN] + [signal.SIGPIPE]
        self._old = {s: signal.signal(s, lambda *_: None) for s in wanted}
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        for signum, handler in self._old.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self.fd)
        os.close(self._writer)

    def arrived(self) -> list[int]:
        """The signals that came since the last call."""
        try:
            return [number for number in os.read(self.fd, 4096) if number != signal.SIGCHLD]
        except BlockingIOError:
            return []


def run(plan: Plan, timeout: float | None, show: Show) -> int:
    """Start a job and see it through; return its exit status."""
    # Processes that outlive their parents become our children: they are found whatever they did to their environment.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    printer = Printer(show, plan.ranks)
    environ = os.environ | ({} if plan.options.hosts else {"MMPI_REPORT": plan.directory})  # which only ranks on this host can reach
    watch = None
    if plan.options.hang_timeout:
        from ..hang.watch import Watch

        watch = Watch(plan.directory, plan.options.hang_timeout)
    with Signals() as signals:
        job = start(plan, env=environ, printer=printer, stop=signals.fd)
        job.adopts = True
        try:
            status = attend(job, signals, timeout, watch)
        finally:
            job.kill()
            reap()
    show_hidden(job, printer)
    report(job, timeout, bool(watch and watch.told))
    return status


def attend(job: Job, signals: Signals, timeout: float | None, watch: Watch | None) -> int:
    """Wait for the end of the job, and do what signals and the time limit ask for."""
    deadline = time.monotonic() + timeout if timeout else None
    most = watch.pause if watch else 60.0
    while (status := job.watch(most if deadline is None else min(most, deadline - time.monotonic()), [signals.fd])) is None:
        for signum in signals.arrived():
            if signum == signal.SIGTSTP:
                pause(job)
            elif signum == signal.SIGPIPE:  # or a keeper has gone, which is told otherwise
                if job.asked is None:
                    job.end(signal.SIGTERM, 128 + signum)
            elif job.asked is not None or signum == signal.SIGQUIT:
                job.end(signum, job.asked or 128 + signum)
                job.hasten()
            else:
                job.end(signum, 128 + signum)
        if deadline and time.monotonic() >= deadline:
            deadline = None
            job.end(signal.SIGTERM, 124)
        if watch and job.ending is None and hangs(job, watch):
            tell_of_hang(job, watch)
            job.ending = Ending(signal.SIGTERM, 124, step=Ending.TERMINATE)  # their tracebacks would bury the report
    return status


def hangs(job: Job, watch: Watch) -> bool:
    """Has nothing happened for too long on any host that has ranks in MPI?"""
    here = watch.hangs()
    quiet = [here] if watch.before else []
    if job.hosts:
        quiet += job.hosts.quiet()
    return bool(quiet) and all(quiet)


def tell_of_hang(job: Job, watch: Watch) -> None:
    """Say what all ranks do, and what is wrong."""
    from ..hang import merged
    from ..hang import report as what_is_wrong

    watch.told = True
    first, *rest = what_is_wrong(watch.folder, merged(job.hosts.snapshots()) if job.hosts else ())
    print(f"mmpi run: hang: {first}", *(f"  {line}" for line in rest), sep="\n", file=sys.stderr, flush=True)
    print(f"mmpi run: no rank has completed a call of MPI for {watch.seconds:g} s; the job is ended", file=sys.stderr, flush=True)


def pause(job: Job) -> None:
    """Ctrl-Z: stop the job and ourselves, and go on together."""
    for pid in (stopped := job.processes()):
        processes.send(pid, signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGSTOP)
    for pid in stopped:
        processes.send(pid, signal.SIGCONT)


def reap() -> None:
    """Wait for the orphans that became our children; all have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def report(job: Job, timeout: float | None, told: bool) -> None:
    """Say what ended the job, if it was not the end of the program, or a hang that was `told` of."""
    lines = [] if told else closing(job, timeout)
    if lines:
        print(*(line if line.startswith("  ") else f"mmpi run: {line}" for line in lines), sep="\n", file=sys.stderr)
    elif not told:
        put(2, b"".join(chatter.held for chatter in job.chatter))


def closing(job: Job, timeout: float | None) -> list[str]:
    """The lines of the report; those of tracebacks are set in."""
    scene = job.scene
    if job.hosts and job.hosts.lost:
        return [f"the connection to host {job.hosts.lost.name} broke; the job was ended"]
    if job.asked is not None:
        why = f"the time limit of {timeout:g} s is over" if job.asked == 124 else signal.Signals(job.asked - 128).name
        lines = [f"{why}: the job was ended", *scene.endings(rank for rank in job.ranks.ended if rank.pid in scene.words)]
        if job.ending and job.ending.killed:
            lines.append(f"{scene.who(job.ending.killed)}: killed, since it was asked to end and did not within {job.plan.options.grace:g} s")
        return lines + scene.others
    return scene.endings(job.failed) + scene.others


def show_hidden(job: Job, printer: Printer) -> None:
    """What the rank that ended the job said last, if the user did not want to see it."""
    last = printer.hidden.get(job.cause.rank) if job.cause and job.asked is None else None
    if last and job.cause:
        print(f"mmpi run: what rank {job.cause.rank} said last, hidden so far:", file=sys.stderr, flush=True)
        put(2, last if last.endswith(b"\n") else last + b"\n")
