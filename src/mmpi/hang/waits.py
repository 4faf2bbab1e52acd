# SPDX-License-Identifier: BSD-3-Clause
"""Who waits for whom: what each rank wants of the others, as far as their flight records tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..flight import IN_VAIN, INSIDE, NONE, Call, Comm, Thread
from .look import DEAD, FINALIZED, GONE, OUTSIDE, RUNNING, STOPPED, Rank

WORLD = 1  # the id of COMM_WORLD
EAGER = 16384  # bytes that every library sends without waiting for the receiver

RECEIVES = ("Recv", "Irecv", "Mrecv", "Imrecv", "Probe", "Iprobe", "Mprobe", "Improbe", "Recv_init", "Precv_init")
_MODES = ("Send", "Ssend", "Bsend", "Rsend")
SENDS = (*_MODES, *("I" + mode.lower() for mode in _MODES), *(mode + "_init" for mode in _MODES), "Psend_init")
EXCHANGES = ("Sendrecv", "Sendrecv_replace", "Isendrecv", "Isendrecv_replace")
SEVERAL = ("Waitall", "Waitany", "Waitsome", "Testall", "Testany", "Testsome")
ON_REQUESTS = ("Wait", "Test", "Request_get_status", "Start", "Startall", *SEVERAL)

_DATA = ("Bcast", "Gather", "Scatter", "Allgather", "Alltoall", "Reduce", "Allreduce", "Scan", "Exscan")
OF_OBJECTS = ("Recv", "Irecv", *SENDS[:3], *SENDS[4:7], "Sendrecv", *_DATA, *("I" + name.lower() for name in _DATA))

RECEIVE, SEND, COLLECTIVE, START, END, OTHER = "receive", "send", "collective", "start", "end", "other"


def name_of(call: Call) -> str:
    """The operation without MPI_; in lower case where it moves objects."""
    name = call.operation.removeprefix("MPI_")
    return name.lower() if name in OF_OBJECTS and not call.typed else name


def is_any(number: int) -> bool:
    """ANY_SOURCE or ANY_TAG, in any MPI library."""
    return NONE < number < 0


@dataclass(frozen=True)
class Want:
    """What a thread of a rank waits for."""

    rank: int
    thread: int  # pthread_self()
    call: Call  # which is under way, or is repeated in vain
    of: Call  # the operation that has to end: the call itself, or what started its request
    kind: str
    peers: tuple[int, ...] = ()  # ranks in COMM_WORLD that this waits for
    one: bool = False  # one of them is enough


class Job:
    """All that is known of a job's ranks, on all its hosts."""

    def __init__(self, ranks: Sequence[Rank], running: bool = True) -> None:
        self.all = list(ranks)
        self.size = max((rank.size for rank in ranks), default=0)
        self.ranks = {rank.rank: rank for rank in reversed(ranks) if rank.rank >= 0}
        for number in range(self.size) if running else ():
            self.ranks.setdefault(number, Rank(number, self.size, 0, "", GONE))
        self.ranks = dict(sorted(self.ranks.items()))
        self._members: dict[int, dict[tuple[int, int], int]] = {}
        self._calls: dict[int, list[Call]] = {}

    # ---- communicators ----

    def comm(self, rank: int, ident: int) -> Comm | None:
        """What a rank knows of a communicator."""
        return next((comm for comm in self.ranks[rank].comms if comm.id == ident), None) if ident else None

    def members(self, ident: int) -> dict[tuple[int, int], int]:
        """(leader, rank) in the communicator -> rank in COMM_WORLD. The leader tells the groups of an intercommunicator apart."""
        if ident not in self._members:
            known = {number: self.comm(number, ident) for number in self.ranks}
            self._members[ident] = {(comm.leader, comm.rank): number for number, comm in known.items() if comm}
        return self._members[ident]

    def everybody(self, ident: int) -> list[int]:
        """The ranks of a communicator; of COMM_WORLD also those that have not come that far."""
        return list(self.ranks) if ident == WORLD else sorted(set(self.members(ident).values()))

    def peer(self, rank: int, ident: int, number: int) -> int | None:
        """The rank in COMM_WORLD of a communicator's rank."""
        comm = self.comm(rank, ident)
        if comm is None or number < 0:
            return None
        if ident == WORLD:
            return number
        across = comm.remote_size >= 0
        return next((world for (leader, r), world in self.members(ident).items() if r == number and (leader != comm.leader) == across), None)

    # ---- what goes on ----

    def active(self, rank: int) -> Iterator[tuple[Thread, Call]]:
        """The threads of a rank that are in MPI, or poll in vain."""
        for thread in self.ranks[rank].threads:
            if thread.calls and thread.calls[-1].state in (INSIDE, IN_VAIN):
                yield thread, thread.calls[-1]

    def calls(self, rank: int) -> list[Call]:
        """The latest calls of all threads of a rank, the oldest first."""
        if rank not in self._calls:
            calls = (call for thread in self.ranks[rank].threads for call in thread.calls)
            self._calls[rank] = sorted(calls, key=lambda call: -call.age)
        return self._calls[rank]

    @cached_property
    def wants(self) -> list[Want]:
        """What all ranks wait for."""
        return [
            want
            for rank in self.ranks.values()
            if rank.state in (RUNNING, STOPPED)
            for thread, call in self.active(rank.rank)
            for of in self._operations(rank.rank, thread, call)
            for want in self._wants(rank.rank, thread, call, of)
        ]

    def wants_of(self, rank: int) -> list[Want]:
        """What one rank waits for."""
        return [want for want in self.wants if want.rank == rank]

    def _operations(self, rank: int, thread: Thread, call: Call) -> list[Call]:
        """What a call is about: a Wait is about what started its requests; itself, if that is not known any more."""
        name = call.operation.removeprefix("MPI_")
        if name not in ON_REQUESTS:
            return [call]
        pending = thread.pending if name in SEVERAL[:3] else [call.request]
        starts = [start for sequence in pending if sequence and (start := self._start(rank, sequence))]
        return starts or [call]

    def _start(self, rank: int, sequence: int) -> Call | None:
        call = next((c for c in self.calls(rank) if c.sequence == sequence), None)
        persistent = call and call.operation == "MPI_Start" and call.request
        return self._start(rank, call.request) if call and persistent else call

    def _wants(self, rank: int, thread: Thread, call: Call, of: Call) -> list[Want]:
        name = of.operation.removeprefix("MPI_")
        one = call.operation in ("MPI_Waitany", "MPI_Waitsome", "MPI_Testany", "MPI_Testsome")

        def want(kind: str, peers: Sequence[int] = (), any_of: bool = False) -> Want:
            return Want(rank, thread.self, call, of, kind, tuple(peers), any_of or one)

        if of.collective:
            return [want(COLLECTIVE, self.missing(rank, of))]
        if name in EXCHANGES:
            return self._halves(rank, of, want)
        if name in RECEIVES:
            sources = self._sources(rank, of.comm, of.peer)
            return [want(RECEIVE, sources, any_of=is_any(of.peer))]
        if name in SENDS:
            return [] if (dest := self.peer(rank, of.comm, of.peer)) is None else [want(SEND, [dest])]
        if name == "Init_thread":
            return [want(START, [r.rank for r in self.ranks.values() if r.state in (OUTSIDE, GONE)])]
        if name == "Finalize":
            return [want(END, [r for r in self.ranks if not self.is_over(r)])]
        return [want(OTHER)]

    def _halves(self, rank: int, of: Call, want: Callable[..., Want]) -> list[Want]:
        found = []
        if of.bytes > EAGER and (dest := self.peer(rank, of.comm, of.peer)) is not None:
            found.append(want(SEND, [dest]))
        if of.got_source != NONE and (sources := self._sources(rank, of.comm, of.got_source)):
            found.append(want(RECEIVE, sources, any_of=is_any(of.got_source)))
        return found

    def _sources(self, rank: int, ident: int, source: int) -> list[int]:
        if is_any(source):
            return [r for r in self.everybody(ident) if r != rank]
        peer = self.peer(rank, ident, source)
        return [] if peer is None else [peer]

    def missing(self, rank: int, of: Call) -> list[int]:
        """The members of the communicator that have not come to this collective."""
        late = []
        for other in self.everybody(of.comm):
            comm = self.comm(other, of.comm)
            if comm is None or comm.collectives < of.collective:
                late.append(other)
        return late

    def is_over(self, rank: int) -> bool:
        """Will this rank do nothing more in MPI?"""
        if self.ranks[rank].state in (DEAD, GONE, FINALIZED):
            return True
        return any(call.operation == "MPI_Finalize" for _, call in self.active(rank))

    def is_waiting(self, rank: int) -> bool:
        """Does it wait for others?"""
        return self.ranks[rank].state == RUNNING and any(want.peers for want in self.wants_of(rank))
