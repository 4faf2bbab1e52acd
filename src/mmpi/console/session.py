# SPDX-License-Identifier: BSD-3-Clause
"""A set of ranks that stays alive and runs what it is given: the console's and the notebook's."""

from __future__ import annotations

import queue
import secrets
import subprocess
import threading
import time
from multiprocessing.connection import Connection, Listener
from multiprocessing.connection import wait as wait_for
from typing import Any

from .. import launch
from .evaluate import ADDRESS, KEY, Outcome

START = 60.0  # seconds that the ranks may take to come
END = 3.0  # seconds that they may take to end


class SessionEnded(Exception):
    """The ranks are gone. `status` is the exit status of their job."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class RanksFailed(Exception):
    """A statement raised exceptions on some ranks; they are shown in its output."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class Session:
    """Ranks that wait for statements."""

    def __init__(self, n: int) -> None:
        self.n = n
        self._number = 0
        address, key = f"mmpi-console-{secrets.token_hex(8)}", secrets.token_bytes(16)
        self._listener = Listener("\0" + address, "AF_UNIX", backlog=n, authkey=key)
        plan = launch.plan(["-m", "mmpi.console.rank"], n, env={ADDRESS: address, KEY: key.hex()})
        self.job = launch.start(plan, stdin=subprocess.DEVNULL)
        try:
            self._ranks = self._gather()
        except BaseException:
            self.kill()
            raise

    def _gather(self) -> list[Connection]:
        """The connections of all ranks, in their order."""
        came: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._accept, args=(came,), daemon=True).start()
        found: dict[int, Connection] = {}
        deadline = time.monotonic() + START
        while len(found) < self.n:
            try:
                connection = came.get(timeout=0.2)
                found[connection.recv()[0]] = connection
            except (queue.Empty, EOFError):
                if self.job.poll() is not None or time.monotonic() > deadline:
                    raise SessionEnded("the ranks did not start", self.job.poll() or 1) from None
        return [found[rank] for rank in range(self.n)]

    def _accept(self, came: queue.SimpleQueue[Any]) -> None:
        for _ in range(self.n):
            try:
                came.put(self._listener.accept())
            except Exception:  # the session was ended meanwhile
                return

    def run(self, source: str) -> list[Outcome]:
        """Run statements on all ranks; return what they did, in rank order.

        A KeyboardInterrupt here interrupts all ranks; the third in one statement, which some rank does not heed, ends them.
        """
        self._number += 1
        self._tell(("run", self._number, source))
        outcomes: dict[int, Outcome] = {}
        interrupts = 0
        while len(outcomes) < self.n:
            try:
                self._collect(outcomes)
            except KeyboardInterrupt:
                interrupts += 1
                if interrupts == 3:
                    self.kill()
                    raise SessionEnded("interrupted three times: the ranks were ended", 130) from None
                self._tell(("interrupt", self._number))
        return [outcomes[rank] for rank in range(self.n)]

    def _collect(self, outcomes: dict[int, Outcome]) -> None:
        waiting: dict[Any, int] = {self._ranks[rank]: rank for rank in range(self.n) if rank not in outcomes}
        for ready in wait_for(list(waiting), 1.0):
            try:
                outcomes[waiting[ready]] = self._ranks[waiting[ready]].recv()[1]
            except (EOFError, OSError):
                raise self._ended(waiting[ready]) from None

    def _ended(self, rank: int) -> SessionEnded:
        """Ranks are gone, this one first, so the job must end."""
        try:
            self.job.wait(END)
        except subprocess.TimeoutExpired:
            self.kill()
        return SessionEnded(f"rank {rank} has ended, and with it the job (status {self.job.returncode})", self.job.returncode or 1)

    def _tell(self, message: tuple[Any, ...]) -> None:
        for rank, connection in enumerate(self._ranks):
            try:
                connection.send(message)
            except OSError:
                raise self._ended(rank) from None

    def complete(self, text: str) -> list[str]:
        """The names on rank 0 that begin like this."""
        self._ranks[0].send(("complete", text))
        return list(self._ranks[0].recv()) if self._ranks[0].poll(1.0) else []

    def close(self) -> None:
        """Let the ranks end, and wait for that; those that do not are ended."""
        for connection in self._ranks:
            try:
                connection.send(("end",))
            except OSError:
                pass
        try:
            self.job.wait(END)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self) -> None:
        """End the ranks at once."""
        self._listener.close()
        self.job.kill()
