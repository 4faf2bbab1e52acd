# SPDX-License-Identifier: BSD-3-Clause
"""The other hosts of a job: who they are, how to reach them, and what their keepers tell."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..library import which
from . import processes
from .capture import Capture
from .errors import LaunchError
from .output import Printer

if TYPE_CHECKING:
    from .folder import Folder
    from .plans import Plan

AGENT = "agent"  # the name of its script in the job's folder
PATIENCE = 60.0  # seconds for all hosts to answer
PIDS = 1 << 22  # no process has a larger number: room for those of several hosts
OWN = "--own"  # an option by which we call it
QUESTIONS = "questions"  # the name, in the job's folder, of a pipe for those who want to know of the ranks elsewhere
SLURM = "srun --overlap --quiet --nodes=1 --ntasks=1 --mpi=none"
# Variables that mean something on the host where they were set alone.
OF_HOST = re.compile(r"HOSTNAME$|HOST$|DISPLAY$|WAYLAND_|SSH_|XDG_|DBUS_|SLURMD_|SLURM_NODEID$|_$|PWD$|OLDPWD$|SHLVL$")


def parse(text: str) -> tuple[tuple[str, int], ...]:
    """`a:2,b:2`: hosts and their slots, 1 where none are given."""
    return tuple(entry(item, ":", "--hosts a:2,b:2") for item in text.split(","))


def entry(text: str, colon: str, example: str) -> tuple[str, int]:
    """One host with its slots."""
    name, _, slots = text.strip().rpartition(colon) if colon in text else (text.strip(), "", "1")
    good = re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?", name) and re.fullmatch(r"[1-9]\d{0,5}", slots)
    if not good:
        raise LaunchError(f"{text.strip()!r} is no host with its number of ranks", hint=example)
    return name, int(slots)


def read(path: str) -> tuple[tuple[str, int], ...]:
    """A hostfile: a host a line, `a`, `a:2` (MPICH) or `a slots=2` (Open MPI); one that comes again has more slots."""
    try:
        with open(path) as file:
            lines = [line.partition("#")[0].strip() for line in file]
    except (OSError, UnicodeDecodeError) as e:
        raise LaunchError(f"--hostfile {path}: {e.strerror if isinstance(e, OSError) else 'this is no text'}") from e
    slots: dict[str, int] = {}
    for line in filter(None, lines):
        words = [word for word in line.split() if not word.startswith("max")]
        spelled = words[0] if len(words) == 1 else re.sub(r"\s+slots\s*=\s*", ":", " ".join(words))
        name, count = entry(spelled, ":", f"the lines of {path} are as in: a:2 or a slots=2")
        slots[name] = slots.get(name, 0) + count
    if not slots:
        raise LaunchError(f"--hostfile {path}: no host stands in it")
    return tuple(slots.items())


def of_allocation(environ: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    """The hosts that Slurm gave us, with the ranks it planned for each; none outside, or if it is this host alone."""
    nodes = environ.get("SLURM_JOB_NODELIST") or environ.get("SLURM_NODELIST")
    if not nodes or not which("scontrol"):
        return ()
    names = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=False).stdout.split()
    counts: list[int] = []
    for item in (environ.get("SLURM_TASKS_PER_NODE") or environ.get("SLURM_JOB_CPUS_PER_NODE") or "").split(","):
        if found := re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", item):
            counts += [int(found[1])] * int(found[2] or 1)
    counts += [1] * (len(names) - len(counts))
    return () if len(names) < 2 and all(map(is_here, names)) else tuple(zip(names, counts, strict=False))


def is_here(name: str) -> bool:
    """Is this host the one that we are on? One of its addresses is ours if we can listen there."""
    own = os.uname().nodename
    if name in ("localhost", own, own.partition(".")[0]):
        return True
    try:
        addresses = socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM)
    except OSError:
        return False
    for family, kind, number, _, address in addresses:
        with contextlib.suppress(OSError), socket.socket(family, kind, number) as listener:
            listener.bind(address)
            return True
    return False


def agent_script(agent: str | None, job: str, environ: Mapping[str, str]) -> str:
    """A script that is called as ssh is, with a host and a command: by the launcher, which may put options first, and by us.

    What the launcher starts gets the mark of the job, by which it is found; its connection here a mark that it is one.
    """
    if agent:
        how = f'exec {agent} "$host" "$mark$*"'
    elif "SLURM_JOB_ID" in environ and which("srun"):
        how = f'exec {SLURM} --nodelist="$host" /bin/sh -c "$mark$*"'
    elif which("ssh"):
        how = 'exec ssh -x -o BatchMode=yes "$host" "$mark$*"'
    else:
        raise LaunchError(
            "there is no ssh here to reach the hosts with",
            status=127,
            hint="--agent CMD names a program that is called like ssh",
        )
    return f"""\
#!/bin/sh
mark="export MMPI_JOB={job}; "
while [ "${{1#-}}" != "$1" ]; do [ "$1" = {OWN} ] && mark=; shift; done
host=$1
shift
export MMPI_AGENT=1
{how}
"""


def place_of_agent(directory: str) -> str:
    """Where the script lies: it must be executable, and /dev/shm need not allow that."""
    parent, name = os.path.split(directory)
    allowed = not os.statvfs(parent).f_flag & os.ST_NOEXEC
    if allowed:
        return os.path.join(directory, AGENT)
    import tempfile

    return os.path.join(tempfile.gettempdir(), f"{name}-{AGENT}")


class Remote:
    """One other host, and the keeper there."""

    def __init__(self, hosts: Hosts, number: int, name: str, agent: str) -> None:
        self.hosts, self.number, self.name = hosts, number, name
        self.node, self.cores = name, 0
        self.ready = self.done = False
        self.quiet: bool | None = None
        self.snapshot: dict[str, Any] | None = None
        self.said = b""
        self._rest = b""
        command = f"exec {shlex.quote(sys.executable)} -P -m mmpi.launch.keeper"
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(["/bin/sh", agent, OWN, name, command], stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)

    def send(self, message: Mapping[str, Any]) -> None:
        """Tell the keeper something; one that is gone is noticed elsewhere."""
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def read(self, fd: int) -> bool:
        """Read what came, and do what it says; False at its end."""
        data = os.read(fd, 1 << 16)
        self._rest += data
        while b"\n" in self._rest:
            line, _, rest = self._rest.partition(b"\n")
            if not line.startswith(b'{"'):  # what a login script of that host prints
                self.said, self._rest = self.said + line + b"\n", rest
                continue
            head = json.loads(line)
            if len(rest) < head["size"]:
                break
            self._rest = rest[head["size"] :]
            self.hear(head, rest[: head["size"]])
        if not data and not self.done:
            self.hosts.event(self, {"lost": self.name})
        return bool(data)

    def hear(self, head: Mapping[str, Any], data: bytes) -> None:
        """One message."""
        if "stream" in head:
            self.hosts.printer.feed(head["rank"], head["stream"], data)
        elif "file" in head:
            pid, dot, kind = head["file"].partition(".")
            self.hosts.folder.write(f"{self.pid(int(pid))}{dot}{kind}", data)
        elif "ready" in head:
            self.node, self.cores, self.ready = head["ready"], head["cores"], True
        elif "done" in head:
            self.done = True
        elif "quiet" in head:
            self.quiet = head["quiet"]
        elif "snapshot" in head:
            self.snapshot = json.loads(data)
            self.hosts.answer()
        else:
            self.hosts.event(self, head)

    def pid(self, pid: int) -> int:
        """A number for a process there that no process here, nor of another host, has."""
        return pid + self.number * PIDS

    def complaint(self) -> str:
        """What stands on its standard error, in a line."""
        assert self.process.stderr
        os.set_blocking(self.process.stderr.fileno(), False)
        said = self.said + (self.process.stderr.read() or b"")
        return "; ".join(filter(None, (line.strip() for line in said.decode(errors="replace").splitlines()[-4:]))) or "it says nothing"


class Hosts:
    """The other hosts of a job."""

    def __init__(self, plan: Plan, folder: Folder, printer: Printer, environ: Mapping[str, str]) -> None:
        self.plan, self.folder, self.printer = plan, folder, printer
        self.agent = place_of_agent(plan.directory)
        with open(os.open(self.agent, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700), "w") as file:
            file.write(agent_script(plan.options.agent, plan.job, environ))
        self.events: deque[tuple[Remote | None, Mapping[str, Any]]] = deque()
        self.wake, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.lost: Remote | None = None
        self.remotes: list[Remote] = []
        self.questions = -1
        self.curious: list[str] = []  # who waits for what the ranks elsewhere do
        self.pump: subprocess.Popen[bytes] | None = None

    def begin(self, task: Mapping[str, Any], stop: int | None) -> None:
        """Start the keepers, all at once, and wait until each is ready."""
        away = [name for name, _ in self.plan.options.hosts if not is_here(name)]
        self.remotes = [Remote(self, i, name, self.agent) for i, name in enumerate(away, 1)]
        for remote in self.remotes:
            remote.send(task)
        deadline = time.monotonic() + PATIENCE
        poll = select.poll()
        by_fd = {self.output(remote): remote for remote in self.remotes}
        for fd in [*by_fd, *([stop] if stop is not None else [])]:
            poll.register(fd, select.POLLIN)
        while waiting := [remote for remote in self.remotes if not remote.ready]:
            for fd, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                if fd == stop:
                    raise LaunchError("interrupted before all hosts had answered", status=130)
                if not by_fd[fd].read(fd):
                    remote = by_fd[fd]
                    remote.process.wait()
                    raise LaunchError(
                        f"host {remote.name} cannot be reached: {remote.complaint()}",
                        status=1,
                        hint=self.advice(remote),
                    )
            if time.monotonic() > deadline:
                names = ", ".join(remote.name for remote in waiting)
                raise LaunchError(f"no answer within {PATIENCE:g} s from {names}", status=1, hint=self.advice(waiting[0]))

    def advice(self, remote: Remote) -> str:
        """How to find out what is wrong with a host."""
        how = self.plan.options.agent or ("ssh" if which("ssh") else "srun -w")
        return f"this must work without a question: {how} {remote.name} {sys.executable} -m mmpi info"

    @staticmethod
    def output(remote: Remote) -> int:
        """The descriptor on which a keeper is heard."""
        assert remote.process.stdout
        return remote.process.stdout.fileno()

    def listen(self, capture: Capture) -> None:
        """From now on the thread that reads the ranks here reads the keepers, too."""
        for remote in self.remotes:
            capture.attach(self.output(remote), remote.read)
        path = os.path.join(self.folder.path, QUESTIONS)
        os.mkfifo(path, 0o600)
        self.questions = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        capture.attach(self.questions, self.question)

    def question(self, fd: int) -> bool:
        """`mmpi hang` asks what the ranks on the other hosts do, and says by which name it awaits the answer."""
        self.curious += filter(str.isdecimal, os.read(fd, 4096).decode(errors="replace").split())
        self.ask_all()
        self.answer()
        return True

    def ask_all(self) -> None:
        """Let the keepers tell what their ranks do."""
        for remote in self.remotes:
            remote.snapshot = None
            remote.send({"snapshot": True})

    def answer(self) -> None:
        """Once all keepers have told, pass it on to those who wait for it."""
        if self.curious and all(remote.snapshot is not None for remote in self.remotes):
            text = json.dumps([remote.snapshot for remote in self.remotes]).encode()
            for name in self.curious:
                with contextlib.suppress(OSError):  # no room
                    os.rename(self.folder.write(f"{name}.half", text), os.path.join(self.folder.path, f"{name}.answer"))
            self.curious = []

    def crowded(self) -> bool:
        """Has a host more ranks than cores?"""
        cores = {remote.name: remote.cores for remote in self.remotes}
        slots = dict(self.plan.options.hosts)
        factor = max(1.0, self.plan.ranks / sum(slots.values()))
        return any(min(count * factor, self.plan.ranks) > cores.get(name, self.plan.cores) for name, count in slots.items())

    def feed_stdin(self, path: str) -> None:
        """Let rank 0 read our standard input where it is: on the first host."""
        first = self.plan.options.hosts[0][0]
        if any(remote.name == first for remote in self.remotes) and path != os.devnull:
            command = f"exec cat >{shlex.quote(os.path.join(self.plan.directory, 'stdin'))}"
            null = subprocess.DEVNULL
            with open(path, "rb") as source:
                self.pump = subprocess.Popen(["/bin/sh", self.agent, OWN, first, command], stdin=source, stdout=null, stderr=null)

    def event(self, remote: Remote | None, event: Mapping[str, Any]) -> None:
        """Keep an event for the thread that supervises the job, and wake it."""
        self.events.append((remote, event))
        with contextlib.suppress(BlockingIOError):
            os.write(self._writer, b"\n")

    def arrived(self, rank: int, pid: int) -> None:
        """A rank has come on this host."""
        with contextlib.suppress(OSError):
            self.event(None, {"came": rank, "pid": pid, "fd": os.pidfd_open(pid)})

    def apply(self, ranks: processes.Ranks) -> None:
        """Take over what the keepers have told of their ranks."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake, 4096)
        while self.events:
            remote, event = self.events.popleft()
            if remote is None:
                ranks.add(processes.Rank(event["pid"], event["fd"], event["came"]))
            elif "lost" in event:
                self.lost = self.lost or remote
            elif "came" in event:
                ranks.add(processes.Rank(remote.pid(event["pid"]), -1, event["came"], host=remote.node))
            elif "ended" in event:
                now = time.monotonic()
                for pid, status, ago in event["ended"]:
                    rank = ranks.known[remote.pid(pid)]
                    rank.ended, rank.status = now - ago, status
                    ranks.ended.append(rank)

    def signal(self, to: str, signum: int, fitting: bool = False) -> None:
        """Signal the processes of the job on all other hosts: "ranks", "launchers" or "all"."""
        for remote in self.remotes:
            remote.send({"to": to, "signal": signum, "fitting": fitting})

    def quiet(self) -> list[bool]:
        """Of each host with ranks in MPI: have those done nothing for the time that `--hang-timeout` allows?"""
        return [remote.quiet for remote in self.remotes if remote.quiet is not None]

    def snapshots(self) -> list[dict[str, Any]]:
        """What the ranks on the other hosts do."""
        self.ask_all()
        self.await_all(lambda remote: remote.snapshot is not None, 5.0)
        return [remote.snapshot for remote in self.remotes if remote.snapshot]

    def finish(self, ranks: processes.Ranks) -> None:
        """The job has ended: let the keepers clean up, and hear them out."""
        for remote in self.remotes:
            remote.send({"finish": True})
        self.await_all(lambda remote: remote.done, 10.0)
        self.apply(ranks)

    def await_all(self, answered: Callable[[Remote], bool], seconds: float) -> None:
        """Wait for the answers of those keepers that are there."""
        deadline = time.monotonic() + seconds
        while any(not answered(remote) and remote.process.poll() is None for remote in self.remotes) and time.monotonic() < deadline:
            time.sleep(0.01)

    def processes(self) -> list[subprocess.Popen[bytes]]:
        """Our ends of the connections."""
        return [*(remote.process for remote in self.remotes), *([self.pump] if self.pump else [])]

    def pids(self) -> list[int]:
        """Their pids."""
        return [process.pid for process in self.processes()]

    def close(self) -> None:
        """Let go of all connections: for a keeper that still runs, that is the end."""
        for process in self.processes():
            if process.stdin:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.0 if process is self.pump else 2.0)
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.agent)
        for fd in (self.wake, self._writer, self.questions):
            if fd >= 0:
                os.close(fd)
        self.remotes = []


def exports(environ: Mapping[str, str]) -> str:
    """Shell that gives every rank elsewhere our environment. MPICH's launcher passes all on, Open MPI's next to nothing."""
    passed = {name: value for name, value in environ.items() if name.isascii() and name.isidentifier() and not OF_HOST.match(name)}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in passed.items())
