# SPDX-License-Identifier: BSD-3-Clause
"""Random programs on ranks that do not exist, their messages moved by MPI's rules, their streams written: what is matched is known."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from trace_writer import ANY_SOURCE, ANY_TAG, NONE, PROC_NULL, WORLD, Process


@dataclass
class Sent:
    """A message."""

    comm: int
    source: int
    destination: int
    tag: int
    size: int
    mark: Any  # of the send in the truth


@dataclass
class Posted:
    """A receive that waits, or has what it wants."""

    comm: int
    source: int | None
    tag: int | None
    mark: Any
    request: int | None = None  # the record that started it
    got: Sent | None = None
    done: bool = False


@dataclass
class Rank:
    """Queues of a rank, and its stream."""

    process: Process
    posted: list[Posted] = field(default_factory=list)
    waiting: list[Posted] = field(default_factory=list)  # requests
    sending: list[int] = field(default_factory=list)  # requests
    unexpected: list[Sent] = field(default_factory=list)
    prepared: dict[Any, int] = field(default_factory=dict)
    prepared_sends: dict[Any, int] = field(default_factory=dict)


class Engine:
    """A random program of `steps` actions on `n` ranks. `truth`: (rank and record of the send, rank and record of the receive)."""

    def __init__(self, folder, n, seed, steps=200):
        self.random, self.n, self.now, self.tidy = random.Random(seed), n, 1000, seed % 2
        self.ranks = [Rank(Process(folder, rank, n)) for rank in range(n)]
        self.channels: dict[Any, list[Sent]] = {}
        self.truth: list[tuple[Any, Any]] = []
        self.cancelled: list[Any] = []
        actions = [
            self.send, self.send, self.isend, self.irecv, self.irecv, self.deliver, self.deliver, self.deliver, self.complete, self.recv,
            self.probe, self.start_receive, self.start_send, self.start_both, self.exchange, self.cancel, self.to_nobody,
        ]  # fmt: skip
        for _ in range(steps):
            self.now += self.random.randint(1, 50)
            self.random.choice(actions)(self.random.randrange(n))
        self.drain()
        for rank in self.ranks:
            rank.process.write()

    # --- helpers

    def thread(self, rank):
        return self.ranks[rank].process.thread(0)

    def comm(self, rank, comm):
        return self.ranks[rank].process.comm(comm)

    def mark(self, rank, record):
        return (rank, 0, record)

    def some(self):
        return self.random.choice([WORLD, 77]), self.random.randrange(self.n), self.random.choice([0, 1, 5])

    def push(self, message):
        self.channels.setdefault((message.comm, message.source, message.destination), []).append(message)

    def pair(self, posted, message):
        posted.got = message
        self.truth.append((message.mark, posted.mark))

    @staticmethod
    def fits(posted, message):
        return posted.comm == message.comm and posted.source in (None, message.source) and posted.tag in (None, message.tag)

    def post(self, rank, posted):
        """As MPI does: the oldest message that fits, else it waits."""
        for message in self.ranks[rank].unexpected:
            if self.fits(posted, message):
                self.ranks[rank].unexpected.remove(message)
                self.pair(posted, message)
                return
        self.ranks[rank].posted.append(posted)

    # --- actions

    def deliver(self, _):
        full = [channel for channel in self.channels.values() if channel]
        if full:
            self.arrive(self.random.choice(full).pop(0))

    def arrive(self, message):
        rank = self.ranks[message.destination]
        for posted in rank.posted:
            if self.fits(posted, message):
                rank.posted.remove(posted)
                self.pair(posted, message)
                return
        rank.unexpected.append(message)

    def send(self, rank, operation="MPI_Send"):
        comm, other, tag = self.some()
        size = self.random.randrange(1000)
        record = self.thread(rank).call(operation, self.now, self.now + 5, self.comm(rank, comm), other, tag, size)
        self.push(Sent(comm, rank, other, tag, size, self.mark(rank, record)))
        return record

    def isend(self, rank):
        self.ranks[rank].sending.append(self.send(rank, self.random.choice(["MPI_Isend", "MPI_Issend"])))

    def wanted(self):
        comm, other, tag = self.some()
        any_source, any_tag = self.random.random() < 0.4, self.random.random() < 0.3
        flags = (ANY_SOURCE if any_source else 0) | (ANY_TAG if any_tag else 0)
        return comm, None if any_source else other, None if any_tag else tag, flags

    def irecv(self, rank):
        comm, source, tag, flags = self.wanted()
        peer, wanted = NONE if source is None else source, -1 if tag is None else tag
        record = self.thread(rank).call("MPI_Irecv", self.now, self.now + 1, self.comm(rank, comm), peer, wanted, 1000, flags=flags)
        posted = Posted(comm, source, tag, self.mark(rank, record), record)
        self.ranks[rank].waiting.append(posted)
        self.post(rank, posted)

    def matching(self, rank):
        """A receive that has its message already: these ranks cannot block."""
        unexpected = self.ranks[rank].unexpected
        if not unexpected:
            return None
        message = self.random.choice(unexpected)
        posted = Posted(message.comm, self.random.choice([None, message.source]), self.random.choice([None, message.tag]), None)
        first = next(other for other in unexpected if self.fits(posted, other))
        flags = (ANY_SOURCE if posted.source is None else 0) | (ANY_TAG if posted.tag is None else 0)
        unexpected.remove(first)
        return posted, first, flags

    def recv(self, rank):
        found = self.matching(rank)
        if found:
            posted, message, flags = found
            comm = self.comm(rank, message.comm)
            record = self.thread(rank).call("MPI_Recv", self.now, self.now + 9, comm, message.source, message.tag, message.size, flags=flags)
            posted.mark = self.mark(rank, record)
            self.pair(posted, message)

    def probe(self, rank):
        """A matched probe; its receive comes later than other receives."""
        found = self.matching(rank)
        if found:
            posted, message, flags = found
            thread, comm = self.thread(rank), self.comm(rank, message.comm)
            name = self.random.choice(["MPI_Mprobe", "MPI_Improbe"])
            probe = thread.call(name, self.now, self.now + 2, comm, message.source, message.tag, message.size, flags=flags)
            self.now += 10
            for _ in range(self.random.randrange(3)):
                self.recv(rank)
                self.irecv(rank)
                self.now += 20
            record = thread.call("MPI_Mrecv", self.now, self.now + 2, comm, message.source, message.tag, message.size)
            thread.started(record, thread.name(probe))
            posted.mark = self.mark(rank, record)
            self.pair(posted, message)

    def complete(self, rank):
        """Wait for some of the requests."""
        state, thread = self.ranks[rank], self.thread(rank)
        ready = [posted for posted in state.waiting if posted.got]
        chosen = self.random.sample(ready, self.random.randint(0, len(ready)))
        sends = self.random.sample(state.sending, self.random.randint(0, len(state.sending)))
        if chosen or sends:
            wait = thread.call("MPI_Waitsome", self.now, self.now + 3)
            for posted in chosen:
                thread.completed(wait, thread.name(posted.request), posted.got.source, posted.got.tag, posted.got.size)
                state.waiting.remove(posted)
            for request in sends:
                thread.completed(wait, thread.name(request), self.random.choice([NONE, 3]), self.random.choice([-1, 7]))
                state.sending.remove(request)

    def start_receive(self, rank):
        comm, source, tag, flags = self.wanted()
        self.start(rank, [self.prepare(rank, "MPI_Recv_init", comm, source, tag, flags)])

    def start_send(self, rank):
        comm, other, tag = self.some()
        self.start(rank, [self.prepare(rank, "MPI_Send_init", comm, other, tag, 0)])

    def start_both(self, rank):
        """A Startall of different requests."""
        comm, other, tag = self.some()
        self.start(rank, [self.prepare(rank, "MPI_Send_init", comm, other, tag, 0), self.prepare(rank, "MPI_Recv_init", *self.wanted())])

    def prepare(self, rank, operation, comm, peer, tag, flags):
        key = (operation, comm, peer, tag)
        prepared = self.ranks[rank].prepared
        if key not in prepared:
            peer, tag = NONE if peer is None else peer, -1 if tag is None else tag
            prepared[key] = self.thread(rank).call(operation, self.now, self.now + 1, self.comm(rank, comm), peer, tag, 500, flags=flags)
            self.now += 5
        return key, prepared[key]

    def start(self, rank, requests):
        thread, state = self.thread(rank), self.ranks[rank]
        call = thread.call("MPI_Startall" if len(requests) > 1 else "MPI_Start", self.now, self.now + 1)
        for (operation, comm, peer, tag), prepared in requests:
            record = thread.started(call, thread.name(prepared))
            if operation == "MPI_Send_init":
                self.push(Sent(comm, rank, peer, tag, 500, self.mark(rank, call)))
                state.sending.append(record)
            else:
                posted = Posted(comm, peer, tag, self.mark(rank, call), record)
                state.waiting.append(posted)
                self.post(rank, posted)

    def exchange(self, rank):
        """A Sendrecv with a message that is there."""
        found = self.matching(rank)
        if found:
            posted, message, flags = found
            comm, other, tag = self.some()
            thread = self.thread(rank)
            record = thread.call("MPI_Sendrecv", self.now, self.now + 4, self.comm(rank, message.comm), other, tag, 11)
            thread.second(record, message.source, message.tag, message.size, self.comm(rank, message.comm), flags)
            posted.mark = self.mark(rank, record)
            self.pair(posted, message)
            self.push(Sent(message.comm, rank, other, tag, 11, self.mark(rank, record)))

    def cancel(self, rank):
        """Take back a receive that nothing came for."""
        state, thread = self.ranks[rank], self.thread(rank)
        waiting = [posted for posted in state.waiting if not posted.got]
        if waiting:
            posted = self.random.choice(waiting)
            thread.call("MPI_Cancel", self.now, self.now + 1)
            wait = thread.call("MPI_Wait", self.now + 2, self.now + 3)
            thread.completed(wait, thread.name(posted.request), cancelled=True)
            state.waiting.remove(posted)
            state.posted.remove(posted)
            self.cancelled.append(posted.mark)

    def to_nobody(self, rank):
        thread, comm = self.thread(rank), self.comm(rank, WORLD)
        thread.call("MPI_Send", self.now, self.now + 1, comm, PROC_NULL, 3, 8)
        record = thread.call("MPI_Irecv", self.now + 2, self.now + 3, comm, PROC_NULL, 3, 8)
        thread.completed(thread.call("MPI_Wait", self.now + 4, self.now + 5), thread.name(record), PROC_NULL, -1, 0)

    def drain(self):
        """Let all arrive, and wait for what has come; some messages stay alone, and, of every second program, receives."""
        while any(self.channels.values()):
            self.deliver(0)
        for rank in range(self.n):
            while any(posted.got for posted in self.ranks[rank].waiting) or self.ranks[rank].sending:
                self.now += 10
                self.complete(rank)
            while self.tidy and self.ranks[rank].waiting:
                self.now += 10
                self.cancel(rank)
