# SPDX-License-Identifier: BSD-3-Clause
"""A job in the foreground of a terminal or a script: signals, standard input, time limit, and the closing line."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from types import TracebackType

from . import processes
from .plans import Plan
from .supervise import Job, doubtful, start

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
PR_SET_CHILD_SUBREAPER = 36


class Signals:
    """Collects the signals that arrive, as numbers readable from `fd`. One that is ignored stays so (nohup, `&`)."""

    def __enter__(self) -> Signals:
        self.fd, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        wanted = [s for s in (*ENDING, signal.SIGTSTP) if signal.getsignal(s) is not signal.SIG_IGN]
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


def run(plan: Plan, timeout: float | None) -> int:
    """Start a job and see it through; return its exit status."""
    # Processes that outlive their parents become our children: they are found whatever they did to their environment.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    with Signals() as signals:
        job = start(plan)
        job.adopts = True
        try:
            status = attend(job, signals, timeout)
        finally:
            job.kill()
            reap()
    report(job, timeout)
    return status


def attend(job: Job, signals: Signals, timeout: float | None) -> int:
    """Wait for the end of the job, and do what signals and the time limit ask for."""
    deadline = time.monotonic() + timeout if timeout else None
    while (status := job.watch(60 if deadline is None else min(60, deadline - time.monotonic()), [signals.fd])) is None:
        for signum in signals.arrived():
            if signum == signal.SIGTSTP:
                pause(job)
            elif job.asked is not None or signum == signal.SIGQUIT:
                job.end(signum, job.asked or 128 + signum)
                job.hasten()
            else:
                job.end(signum, 128 + signum)
        if deadline and time.monotonic() >= deadline:
            deadline = None
            job.end(signal.SIGTERM, 124)
    return status


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


def report(job: Job, timeout: float | None) -> None:
    """Say in one line what ended the job, if it was not the end of the program."""
    if job.asked == 124:
        print(f"mmpi run: the time limit of {timeout:g} s is over; the job was ended", file=sys.stderr)
    elif job.asked is None and job.cause and job.cause.status is not None:
        who = f"rank {job.cause.rank} (pid {job.cause.pid})"
        *most, last = map(str, doubtful(job.ranks, job.cause))
        if most:
            who = f"rank {', '.join(most)} or {last} (they ended at the same moment)"
        print(f"mmpi run: {who} {how(job.cause.status)}", file=sys.stderr)


def how(status: int) -> str:
    """A wait status in words."""
    if os.WIFEXITED(status):
        return f"ended with status {os.WEXITSTATUS(status)}"
    signum = os.WTERMSIG(status)
    try:
        return f"was killed by signal {signum} ({signal.Signals(signum).name})"
    except ValueError:
        return f"was killed by signal {signum}"
