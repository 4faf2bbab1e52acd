# SPDX-License-Identifier: BSD-3-Clause
"""A process of a team: it builds the cases that the driver names, and runs batches when told. Between batches it sleeps.

python -m mmpi.bench.member mpi | processes N | pool NAME N: started by mmpi.bench.teams alone.
"""

from __future__ import annotations

import gc
import os
import sys
import time
import traceback
from multiprocessing.connection import Client
from typing import Any, Protocol

from mmpi.bench.measure import Case, Contender, check_answers

ADDRESS, KEY = "MMPI_BENCH_ADDRESS", "MMPI_BENCH_KEY"


class Side(Protocol):
    """What a team offers: messages.Side, pipes.Side, pools.Side."""

    rank: int

    def line_up(self) -> None:
        """Wait for the other members."""

    def build(self, name: str, *arguments: Any) -> list[Case]:
        """The cases of this team, one contender or several in each."""

    def close(self) -> None:
        """Let go what the last case held."""


class Member:
    """Does what the driver asks."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.contenders: dict[str, Contender] = {}

    def build(self, name: str, arguments: tuple[Any, ...]) -> list[str]:
        """Make the case, look at every answer, and say which contenders there are."""
        self.drop()
        cases = self.side.build(name, *arguments)
        for case in cases:
            self.side.line_up()
            check_answers(case)
        self.contenders = {contender.name: contender for case in cases for contender in case.contenders}
        return list(self.contenders)

    def run(self, name: str, n: int) -> int:
        """Nanoseconds that n iterations take, less those of the empty loop."""
        contender = self.contenders[name]
        self.side.line_up()
        start = time.perf_counter_ns()
        contender.run(n)
        took = time.perf_counter_ns() - start
        self.side.line_up()  # whoever has less to do waits where it can help the others
        if contender.empty:
            start = time.perf_counter_ns()
            contender.empty(n)
            took -= time.perf_counter_ns() - start
        return took

    def drop(self) -> None:
        """Forget the case."""
        self.contenders = {}
        self.side.close()


def serve(side: Side) -> None:
    """Answer the driver until it says None, or is gone."""
    member = Member(side)
    gc.disable()
    with Client(os.environ[ADDRESS], "AF_UNIX", bytes.fromhex(os.environ[KEY])) as connection:
        connection.send(side.rank)
        while True:
            try:
                request = connection.recv()
            except EOFError:
                os._exit(1)
            if request is None:
                member.drop()
                return
            verb, *arguments = request
            try:
                answer = getattr(member, verb)(*arguments)
            except Exception:
                connection.send(traceback.format_exc())
                continue
            connection.send((answer,))


def main(words: list[str]) -> None:
    """Make the side that the command line names, and serve."""
    kind, *arguments = words
    if kind == "mpi":
        from mmpi.bench import messages

        serve(messages.Side())
    elif kind == "processes":
        from mmpi.bench import pipes

        side = pipes.Side(int(arguments[0]))
        side.fork(serve)
        serve(side)
        side.end()
    else:
        from mmpi.bench import pools

        pool = pools.Side(arguments[0], int(arguments[1]))
        serve(pool)
        pool.end()


if __name__ == "__main__":
    main(sys.argv[1:])
