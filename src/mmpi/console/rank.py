# SPDX-License-Identifier: BSD-3-Clause
"""A rank of a console whose prompt is in another process: statements, completions and interrupts come through a socket."""

from __future__ import annotations

import _thread
import os
import queue
import signal
import sys
import threading
from multiprocessing.connection import Client, Connection
from typing import Any

from .evaluate import ADDRESS, KEY, Evaluator, start_mpi


class _Rank:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.tasks: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self.running = 0  # the number of the statement that runs

    def listen(self) -> None:
        """In a thread: pass on what comes; an interrupt is for the statement that it names, if that still runs."""
        try:
            while (message := self.connection.recv())[0] != "end":
                if message[0] != "interrupt":
                    self.tasks.put(message)
                elif message[1] == self.running:
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        except (EOFError, OSError):
            if self.running:  # nobody waits for it any more
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        self.tasks.put(("end",))

    def on_interrupt(self, signum: int, frame: Any) -> None:
        if self.running:
            raise KeyboardInterrupt

    def serve(self, evaluator: Evaluator) -> None:
        """Do what comes, until the end."""
        while (task := self.tasks.get())[0] != "end":
            if task[0] == "complete":
                self.connection.send(evaluator.complete(task[1]))
                continue
            number, source = task[1:]
            self.running = number
            try:
                outcome = evaluator.run(source)
            finally:
                self.running = 0
            self.connection.send((number, outcome))


def main() -> None:
    """Connect to the process that has the prompt, and serve it."""
    comm, names = start_mpi()
    with Client("\0" + os.environ.pop(ADDRESS), "AF_UNIX", bytes.fromhex(os.environ.pop(KEY))) as connection:
        rank = _Rank(connection)
        signal.signal(signal.SIGINT, rank.on_interrupt)
        _thread.start_new_thread(rank.listen, ())
        sys.argv = [""]
        connection.send((comm.Get_rank(), os.getpid()))
        rank.serve(Evaluator(names))


if __name__ == "__main__":
    main()
