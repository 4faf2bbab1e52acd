# SPDX-License-Identifier: BSD-3-Clause
"""A random program for `mmpi run --trace`: every message says who sent it, every receive notes what it got.

usage: trace_program.py SEED ROUNDS THREADS TRUTH [named]       named: without wildcards
It writes TRUTH.<rank>: a line for each send and receive, in the order of their posting
Each is posted inside a state whose value numbers it, so that the trace says which call it was.
"""

from __future__ import annotations

import random
import sys
import threading
from typing import Any

import numpy as np

import mmpi.trace
from mmpi import MPI

SENDING, POSTING = mmpi.trace.state("sending"), mmpi.trace.state("posting")
ROOM = 300  # integers of the largest message
WILD = 0.0 if sys.argv[5:] == ["named"] else 0.5  # share of receives that ask for any source, and for any tag


class Part:
    """What a thread of a rank does, on a communicator of its own; all ranks know the plan of all."""

    def __init__(self, comms: Any, seed: int, rounds: int, number: int) -> None:
        self.comm, self.ring = comms
        self.rank, self.size, self.number = self.comm.rank, self.comm.size, number
        self.plan, self.mine = random.Random(seed), random.Random(seed * 1000 + self.rank)
        self.lines: list[str] = []
        self.sent = self.posted = 0
        self.persistent: dict[Any, tuple[Any, Any]] = {}
        for _ in range(rounds):
            self.round()

    def mark(self, count: int) -> int:
        """A number that no other thread of this rank uses."""
        return self.number << 32 | count

    def round(self) -> None:
        ranks = range(self.size)
        count = self.plan.randint(1, 3 * self.size)
        messages = [(self.plan.choice(ranks), self.plan.choice(ranks), self.plan.choice([3, 4, 5])) for _ in range(count)]
        any_source, any_tag = ([self.plan.random() < WILD for _ in ranks] for _ in range(2))
        for_me = [(source, tag) for source, target, tag in messages if target == self.rank]
        wanted = [(MPI.ANY_SOURCE if any_source[self.rank] else source, MPI.ANY_TAG if any_tag[self.rank] else tag) for source, tag in for_me]
        self.mine.shuffle(wanted)
        early = [self.post(*wanted.pop()) for _ in range(self.mine.randint(0, len(wanted)))]
        sends = [self.send(target, tag) for source, target, tag in messages if source == self.rank]
        for source, tag in wanted:
            self.receive(source, tag)
        self.wait(early)
        MPI.Request.Waitall([request for request in sends if request])
        self.exchange()
        if self.mine.random() < 0.3:
            self.cancel()
        self.comm.Barrier()

    # --- sends

    def payload(self) -> Any:
        self.sent += 1
        data = np.zeros(self.mine.randint(2, ROOM), "i8")
        data[:2] = self.rank, self.mark(self.sent)
        self.lines.append(f"S {self.mark(self.sent)} {data.nbytes}")
        return data

    def send(self, target: int, tag: int) -> Any:
        data, how = self.payload(), self.mine.choice(["Send", "Isend", "Issend", "prepared"])
        if target == self.rank and how == "Send":
            how = "Isend"  # Open MPI waits for its receive
        if how == "prepared":
            return self.start_send(target, tag, data)
        with SENDING(n=self.mark(self.sent)):
            return getattr(self.comm, how)(data, target, tag)

    def start_send(self, target: int, tag: int, data: Any) -> Any:
        key = ("send", target, tag, data.size)
        if key not in self.persistent:
            buffer = np.zeros(data.size, "i8")
            self.persistent[key] = (self.comm.Send_init(buffer, target, tag), buffer)
        request, buffer = self.persistent[key]
        request.Wait()  # of this round, if it was started before
        buffer[:] = data
        with SENDING(n=self.mark(self.sent)):
            request.Start()
        return request

    # --- receives

    def got(self, number: int, data: Any, status: Any) -> None:
        assert status.Get_source() == data[0], (status.Get_source(), data[0])
        self.lines.append(f"R {number} {int(data[0])} {int(data[1])} {status.Get_count(MPI.BYTE)}")

    def next(self) -> int:
        self.posted += 1
        return self.mark(self.posted)

    def post(self, source: int, tag: int) -> Any:
        number, buffer = self.next(), np.zeros(ROOM, "i8")
        if self.mine.random() < 0.3:
            prepared = self.comm.Recv_init(buffer, source, tag)
            with POSTING(n=number):
                MPI.Prequest.Startall([prepared])
            return number, prepared, buffer
        with POSTING(n=number):
            return number, self.comm.Irecv(buffer, source, tag), buffer

    def receive(self, source: int, tag: int) -> None:
        """One that is done when this returns."""
        number, buffer, status, how = self.next(), np.zeros(ROOM, "i8"), MPI.Status(), self.mine.randrange(4)
        if how == 0:
            with POSTING(n=number):
                self.comm.Recv(buffer, source, tag, status)
        elif how == 1:
            self.comm.Probe(source, tag, status)
            with POSTING(n=number):
                self.comm.Recv(buffer, status.source, status.tag, status)
        else:
            message = self.comm.Mprobe(source, tag) if how == 2 else self.matched(source, tag)
            with POSTING(n=number):
                message.Recv(buffer, status)
        self.got(number, buffer, status)

    def matched(self, source: int, tag: int) -> Any:
        while True:
            message = self.comm.Improbe(source, tag)
            if message:
                return message

    def wait(self, posted: list[Any]) -> None:
        """By one of the ways there are; what is left the next way."""
        posted = list(posted)
        while posted:
            requests, how, found = [request for _, request, _ in posted], self.mine.randrange(5), []
            if how == 0:
                statuses = [MPI.Status() for _ in requests]
                MPI.Request.Waitall(requests, statuses)
                found = list(zip(range(len(requests)), statuses, strict=True))
            elif how == 1:
                status = MPI.Status()
                found = [(MPI.Request.Waitany(requests, status), status)]
            elif how == 2:
                statuses = [MPI.Status() for _ in requests]
                indices = MPI.Request.Waitsome(requests, statuses)
                found = list(zip(indices, statuses, strict=False))
            elif how == 3:
                status = MPI.Status()
                found = [(0, status)] if requests[0].Test(status) else []
            else:
                status = MPI.Status()
                requests[-1].Wait(status)
                found = [(len(requests) - 1, status)]
            for index, status in found:
                self.got(posted[index][0], posted[index][2], status)
            done = {index for index, _ in found}
            posted = [one for i, one in enumerate(posted) if i not in done]

    # --- others

    def exchange(self) -> None:
        """A Sendrecv around the ring: one number for both halves."""
        data, number, buffer, status = self.payload(), self.next(), np.zeros(ROOM, "i8"), MPI.Status()
        source = MPI.ANY_SOURCE if WILD else (self.rank - 1) % self.size
        with SENDING(n=self.mark(self.sent)), POSTING(n=number):
            self.ring.Sendrecv(data, (self.rank + 1) % self.size, 6, buffer, source, 6, status)
        self.got(number, buffer, status)

    def cancel(self) -> None:
        request = self.comm.Irecv(np.zeros(2, "i8"), self.rank, 99)
        request.Cancel()
        request.Wait()


def main() -> None:
    """Run."""
    seed, rounds, threads, path = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    comms = [(MPI.COMM_WORLD.Dup(), MPI.COMM_WORLD.Dup()) for _ in range(threads)]
    parts: list[Part | None] = [None] * threads

    def work(i: int) -> None:
        parts[i] = Part(comms[i], seed + i, rounds, i)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(1, threads)]
    for worker in workers:
        worker.start()
    work(0)
    for worker in workers:
        worker.join()
    with open(f"{path}.{MPI.COMM_WORLD.rank}", "w") as file:
        for part in parts:
            assert part, "a thread has failed"
            file.write("".join(line + "\n" for line in part.lines))


if __name__ == "__main__":
    main()
