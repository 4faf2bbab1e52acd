# SPDX-License-Identifier: BSD-3-Clause
"""What looks after a job on another host: `python -m mmpi.launch.keeper`, started there by `mmpi run` through ssh or its like.

It makes the job's folder, catches what the ranks print, sees them end, signals them when told, and, when told or when its
connection breaks, ends what is left and removes it. It reads lines of JSON, and writes the same, some with bytes behind them.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from ..cores import usable_cores
from ..hang import snapshot
from ..hang.watch import Watch
from . import processes, stdin
from .capture import Capture
from .folder import ENDING, Folder, remove_leftovers, sweep
from .plans import GRACE
from .programs import STDIN_PROGRAM
from .supervise import end_stragglers

KEPT = (".page", ".end", ".crash")  # of the files that ranks leave in the folder: what tells how they ended
LARGEST = 1 << 16  # bytes of such a file; a record begins with what counts


class Wire:
    """Our side of the connection; also the printer of what the ranks here print."""

    def __init__(self, joined: bool) -> None:
        self.joined = joined
        self.came: deque[tuple[int, int, int]] = deque()  # rank, pid, pidfd
        self.wake, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._lock = threading.Lock()

    def send(self, head: Mapping[str, Any], data: bytes = b"") -> None:
        """One message. Once `mmpi run` is gone nobody listens, and the end of our input tells us so."""
        message = json.dumps({**head, "size": len(data)}).encode() + b"\n" + data
        with self._lock, contextlib.suppress(BrokenPipeError):
            view = memoryview(message)
            while view:
                view = view[os.write(1, view) :]

    def welcome(self, rank: int, pid: int) -> None:
        """A rank has come, and waits until we know it."""
        with contextlib.suppress(OSError):
            self.came.append((rank, pid, os.pidfd_open(pid)))
        os.write(self._writer, b"\n")

    def feed(self, rank: int, stream: str, data: bytes) -> None:
        self.send({"rank": rank, "stream": stream}, data)

    def pause(self) -> float | None:
        return None

    def tick(self) -> None:
        pass

    def close(self) -> None:
        pass


class Keeper:
    """One job on this host."""

    def __init__(self, task: Mapping[str, Any]) -> None:
        self.task, self.began = task, time.time()
        self.wire = Wire(task["joined"])
        self.told: set[int] = set()
        self.watch = Watch(task["directory"], task["hang_timeout"]) if task["hang_timeout"] else None
        self.quiet: bool | None = None
        sweep(os.path.dirname(task["directory"]), os.getuid())
        self.folder = Folder(task["directory"])
        self.folder.write(stdin.SCRIPT, task["script"].encode(errors="surrogateescape"))
        os.mkfifo(os.path.join(self.folder.path, stdin.PIPE), 0o600)
        if task["program"] is not None:
            self.folder.write(STDIN_PROGRAM, task["program"].encode("latin-1"))
        self.ranks = processes.Ranks(0, 0, self.folder.path)
        self.capture = Capture(self.folder.path, task["ranks"], self.wire, self.wire.welcome)
        self.wire.send({"ready": os.uname().nodename, "pid": os.getpid(), "cores": usable_cores()})

    def run(self) -> None:
        """Look after the job until it ends, or `mmpi run` does."""
        rest = b""
        while True:
            self.ranks.watch(self.watch.pause if self.watch else 60.0, [0, self.wire.wake])
            self.meet()
            self.tell()
            self.look()
            if processes.readable(0):
                data = os.read(0, 1 << 16)
                *lines, rest = (rest + data).split(b"\n")
                for line in map(json.loads, lines):
                    if "finish" in line:
                        return self.finish()
                    if "snapshot" in line:
                        self.wire.send({"snapshot": True}, json.dumps(snapshot(self.folder.path)).encode())
                    else:
                        self.signal(line)
                if not data:
                    return self.abandon()

    def processes(self) -> list[int]:
        """The processes of the job here."""
        return [pid for pid in processes.of_job(self.task["job"], self.ranks.alive()) if pid != os.getpid()]

    def meet(self) -> None:
        """Take up the ranks that have come."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wire.wake, 4096)
        while self.wire.came:
            rank, pid, fd = self.wire.came.popleft()
            self.ranks.add(processes.Rank(pid, fd, rank))
            self.wire.send({"came": rank, "pid": pid})

    def tell(self) -> None:
        """Tell of the ranks that have ended, together, so that their times keep their order."""
        new = [rank for rank in self.ranks.ended if rank.pid not in self.told and (rank.status is not None or rank.fd < 0)]
        self.told |= {rank.pid for rank in new}
        now = time.monotonic()
        if new:
            self.wire.send({"ended": [(rank.pid, rank.status, now - (rank.ended or now)) for rank in new]})

    def hand_over(self) -> None:
        """Send what the ranks left behind that tells how they ended."""
        for name in (f"{rank.pid}{kind}" for rank in self.ranks.ended for kind in KEPT):
            with contextlib.suppress(OSError), open(os.path.join(self.folder.path, name), "rb") as file:
                self.wire.send({"file": name}, file.read(LARGEST))

    def look(self) -> None:
        """Tell when the ranks here begin or cease to do nothing; None: nothing is expected of them."""
        if self.watch:
            hangs = self.watch.hangs()
            quiet = hangs if self.watch.before else None
            if quiet != self.quiet:
                self.quiet = quiet
                self.wire.send({"quiet": quiet})

    def signal(self, order: Mapping[str, Any]) -> None:
        """Do what `mmpi run` does at the same time with the processes on its host."""
        if order.get("fitting"):
            self.folder.mark(ENDING)
        everything = self.processes()
        launchers = [pid for pid in everything if processes.executable_name(pid).startswith(processes.LAUNCHERS)]
        ranks = [pid for pid in everything if pid not in launchers]
        for pid in {"ranks": ranks, "launchers": launchers, "all": everything}[order["to"]]:
            processes.send(pid, processes.fitting(pid, order["signal"]) if order.get("fitting") else order["signal"])

    def abandon(self) -> None:
        """`mmpi run` was killed, or the connection broke: end the job here."""
        for signum in (signal.SIGTERM, signal.SIGCONT):
            for pid in self.processes():
                processes.send(pid, signum)
        self.ranks.watch(GRACE)
        self.finish()

    def finish(self) -> None:
        """The job has ended: nothing of it may stay here."""
        end_stragglers(self.processes)
        self.ranks.watch(0)
        self.meet()
        self.ranks.watch(0)
        self.tell()
        self.hand_over()
        self.capture.close()
        self.folder.remove()
        remove_leftovers(self.task["leftovers"], os.getuid(), self.began)
        self.wire.send({"done": True})


def main() -> None:
    """Take the task from the first line of our input, and see to it."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)  # the end of our input is what ends us
    line = b""
    while not line.endswith(b"\n"):
        if not (byte := os.read(0, 1)):
            sys.exit("mmpi: no task came")
        line += byte
    Keeper(json.loads(line)).run()


if __name__ == "__main__":
    main()
