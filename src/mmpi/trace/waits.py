# SPDX-License-Identifier: BSD-3-Clause
"""Wait states: which calls waited, for which call of another row, and what that row did meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import operations as ops
from .nesting import Array, Bools, Ints, Nesting, Spans, ints, running

if TYPE_CHECKING:
    from .container import Trace

KINDS = (
    "late sender", "late sender, wrong order", "late receiver", "wait at barrier", "wait at NxN", "late broadcast", "early reduce",
    "early scan", "wait at creation",
)  # fmt: skip
LATE_SENDER, WRONG_ORDER, LATE_RECEIVER, AT_BARRIER, AT_NXN, LATE_BROADCAST, EARLY_REDUCE, EARLY_SCAN, AT_CREATION = range(len(KINDS))
COMPUTED, IN_MPI = 0, 1  # what made a row late
EAGER = 4096  # bytes; a larger send in standard mode may wait for its receive

WAIT = np.dtype([
    ("call", "i8"), ("kind", "i1"), ("duration", "i8"), ("culprit", "i8"), ("culprit_row", "i4"),
    ("begin", "i8"), ("until", "i8"), ("cause", "i1"), ("cause_row", "i4"), ("cause_call", "i8"), ("cause_state", "i8"), ("steps", "i4"),
])  # fmt: skip


class _Found:
    """Candidates: a call, until when it waits, for which call, and the kind of wait state."""

    def __init__(self, nesting: Nesting) -> None:
        self.nesting = nesting
        self.parts: list[tuple[Ints, Ints, Ints, Ints]] = []

    def add(self, call: Ints, until: Ints, culprit: Ints, kind: int | Ints) -> None:
        """Add those that wait at all, for another row."""
        until = np.minimum(until, self.nesting.finish[call])
        holds = (until > self.nesting.begin[call]) & (self.nesting.row[call] != self.nesting.row[culprit])
        kinds = np.broadcast_to(np.asarray(kind, dtype=np.int64), call.shape)
        self.parts.append((call[holds], until[holds], culprit[holds], kinds[holds]))

    def latest(self) -> tuple[Ints, Ints, Ints, Ints]:
        """Of each call the candidate that it waited for longest, in the order of calls."""
        call, until, culprit, kind = (np.concatenate(column) for column in zip(*self.parts, strict=True))
        order = np.lexsort((until, call))
        call, until, culprit, kind = call[order], until[order], culprit[order], kind[order]
        last = np.append(call[1:] != call[:-1], True) if len(call) else np.zeros(0, dtype=np.bool_)
        return call[last], until[last], culprit[last], kind[last]


def find(trace: Trace, nesting: Nesting, outer: Bools) -> Array:
    """All wait states of a trace, in the order of calls. `outer` marks the calls of MPI that are not inside another one."""
    found = _Found(nesting)
    _messages(trace, nesting, found)
    _probes(trace, nesting, found)
    _collectives(trace, nesting, found)
    call, until, culprit, kind = found.latest()
    counts = outer[call]
    waits = np.zeros(int(counts.sum()), dtype=WAIT)
    waits["call"], waits["until"], waits["culprit"], waits["kind"] = call[counts], until[counts], culprit[counts], kind[counts]
    waits["begin"] = nesting.begin[waits["call"]]
    waits["duration"] = waits["until"] - waits["begin"]
    waits["culprit_row"] = nesting.row[waits["culprit"]]
    _walk_back(trace, nesting, outer, waits)
    return waits


# ---- messages -------------------------------------------------------------------------------------------------------


def _messages(trace: Trace, nesting: Nesting, found: _Found) -> None:
    messages = trace.messages
    send, sent, receive, received = (ints(messages[name]) for name in ("send", "send_done", "receive", "receive_done"))
    ends = received >= 0
    kind = np.where(_wrong_order(nesting, send[ends], receive[ends], received[ends]), WRONG_ORDER, LATE_SENDER)
    found.add(received[ends], nesting.begin[send[ends]], send[ends], kind)
    operation = ints(trace.calls["operation"])[send]
    waits = ops.select(trace.operations, ops.SYNCHRONOUS)[operation] == 1
    standard = (ops.select(trace.operations, ops.NEVER_WAITS)[operation] == 0) & (ints(messages["bytes"]) > EAGER)
    posted = nesting.begin[receive]
    holds = (sent >= 0) & (waits | (standard & (posted < nesting.finish[np.maximum(sent, 0)])))
    found.add(sent[holds], posted[holds], receive[holds], LATE_RECEIVER)


def _wrong_order(nesting: Nesting, send: Ints, receive: Ints, received: Ints) -> Bools:
    """Which receives wait while a message that their row receives later has been sent already. Of several at once the order is free."""
    wrong = np.zeros(len(send), dtype=np.bool_)
    if not len(send):
        return wrong
    order = np.lexsort((receive, nesting.row[receive]))[::-1]  # the last receives first: then `running` is over later ones
    earliest = running(nesting.begin[send[order]], nesting.row[receive[order]], last=True)[::-1]
    order, earliest = order[::-1], order[::-1][len(order) - 1 - earliest]
    width = int(nesting.finish.max()) + 2
    posted = nesting.row[receive[order]] * width + nesting.begin[receive[order]]
    here = nesting.row[received] * width
    later = np.searchsorted(posted, here + nesting.finish[received], side="left")  # posted after this one has come
    place = np.minimum(later, len(order) - 1)
    same = (later < len(order)) & (nesting.row[receive[order[place]]] == nesting.row[received])
    waited = (nesting.begin[send] > nesting.begin[received]) & (np.bincount(received)[received] == 1)
    wrong[:] = same & waited & (nesting.begin[send[earliest[place]]] < nesting.begin[received])
    return wrong


def _probes(trace: Trace, nesting: Nesting, found: _Found) -> None:
    """A probe waits for the message that the next receive from there takes."""
    calls, messages = trace.calls, trace.messages
    probe = np.flatnonzero(ops.select(trace.operations, ops.PROBES)[ints(calls["operation"])])
    receive = ints(messages["receive"])
    if not len(probe) or not len(receive):
        return
    both = np.concatenate((probe, receive))
    sender = np.concatenate((ints(calls["world_peer"])[probe], _ranks(trace)[nesting.row[ints(messages["send"])]]))
    tag = np.concatenate((ints(calls["tag"])[probe], ints(messages["tag"])))
    keys = np.stack((nesting.row[both], ints(calls["comm"])[both], sender, tag), axis=1)
    _, group = np.unique(keys, axis=0, return_inverse=True)
    group = ints(group).reshape(-1) * (len(calls) + 1)
    order = np.argsort(group[len(probe) :] + receive, kind="stable")
    ordered = (group[len(probe) :] + receive)[order]
    at = np.searchsorted(ordered, group[: len(probe)] + probe)
    place = np.minimum(at, len(order) - 1)
    holds = (at < len(order)) & (ordered[place] - receive[order[place]] == group[: len(probe)])
    send = ints(messages["send"])[order[place[holds]]]
    found.add(probe[holds], nesting.begin[send], send, LATE_SENDER)


def _ranks(trace: Trace) -> Ints:
    """The rank in WORLD of each row."""
    return np.array([row["rank"] for row in trace.rows], dtype=np.int64)


# ---- collectives ----------------------------------------------------------------------------------------------------


def _collectives(trace: Trace, nesting: Nesting, found: _Found) -> None:
    instance, call = ints(trace.collectives["instance"]), ints(trace.collectives["call"])
    done = ints(trace.collectives["done"])
    joins = np.array([int(comm.get("remote_size", -1)) >= 0 for comm in trace.comms], dtype=np.bool_)
    order = np.lexsort((nesting.begin[call], instance))  # in each instance the last one to come is the last
    instance, call, done = instance[order], call[order], done[order]
    role = ops.roles(trace.operations, ints(trace.calls["operation"])[call], ints(trace.calls["bytes"])[call])
    rooted = (role == ops.ONE_TO_ALL) | (role == ops.ALL_TO_ONE)
    role[rooted & joins[ints(trace.calls["comm"])[call]]] = ops.NONE  # between two groups: who is the root is another matter
    ends = done >= 0
    last = _last(instance, call)
    for kind, wanted in ((AT_BARRIER, ops.BARRIER), (AT_NXN, ops.ALL_TO_ALL), (AT_CREATION, ops.CREATION)):
        holds = ends & (role == wanted)
        found.add(done[holds], nesting.begin[last[holds]], last[holds], kind)
    root = root_of(trace, nesting, instance, call)
    holds = ends & (role == ops.ONE_TO_ALL) & (root >= 0) & (root != call)
    found.add(done[holds], nesting.begin[root[holds]], root[holds], LATE_BROADCAST)
    holds = ends & (role == ops.ALL_TO_ONE) & (root == call)
    found.add(done[holds], nesting.begin[last[holds]], last[holds], EARLY_REDUCE)
    _scans(trace, nesting, found, instance, call, done, ends & (role == ops.SCAN))


def _last(instance: Ints, call: Ints) -> Ints:
    """Of sorted instances, for each member the call that came last."""
    ends = np.flatnonzero(np.append(instance[1:] != instance[:-1], True)) if len(instance) else np.zeros(0, dtype=np.int64)
    return ints(call[np.repeat(ends, np.diff(np.concatenate(([-1], ends))))]) if len(instance) else call


def root_of(trace: Trace, nesting: Nesting, instance: Ints, call: Ints) -> Ints:
    """For each member the call of the root, -1 if there is none."""
    mine = ints(trace.calls["world_peer"])[call] == _ranks(trace)[nesting.row[call]]
    owners, first = np.unique(instance[mine], return_index=True)
    if not len(owners):
        return np.full(len(call), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(owners, instance), len(owners) - 1)
    return np.where(owners[at] == instance, call[mine][first[at]], -1)


def _scans(trace: Trace, nesting: Nesting, found: _Found, instance: Ints, call: Ints, done: Ints, chosen: Bools) -> None:
    """Each rank waits for the last one of those before it in the communicator."""
    instance, call, done = instance[chosen], call[chosen], done[chosen]
    place = _places(trace, ints(trace.calls["comm"])[call], _ranks(trace)[nesting.row[call]])
    order = np.lexsort((place, instance))
    instance, call, done = instance[order], call[order], done[order]
    last = call[running(nesting.begin[call], instance)] if len(call) else call
    found.add(done, nesting.begin[last], last, EARLY_SCAN)


def _places(trace: Trace, comm: Ints, rank: Ints) -> Ints:
    """The rank in its communicator of a rank in WORLD; the latter where the members are not known."""
    place = rank.copy()
    for number in np.unique(comm).tolist():
        members = {world: i for i, world in enumerate(trace.comms[number]["members"])}
        here = comm == number
        place[here] = [members.get(world, world) for world in rank[here].tolist()]
    return place


# ---- why a culprit was late -----------------------------------------------------------------------------------------


def _walk_back(trace: Trace, nesting: Nesting, outer: Bools, waits: Array) -> None:
    """Say of each wait what made its culprit late: computing, a call of MPI, or in turn a wait, whose cause is then the cause."""
    calls = np.flatnonzero(outer)
    width = int(nesting.finish.max(initial=0)) + 2
    row, begin, finish = nesting.row[calls], nesting.begin[calls], nesting.finish[calls]
    busy = Spans(row, begin, finish, width)
    first = np.append(True, row[1:] != row[:-1]) if len(row) else np.zeros(0, dtype=np.bool_)
    free = Spans(row, np.where(first, 0, np.minimum(np.roll(finish, 1), begin)), begin, width)  # what is before each call of MPI
    waiting = Spans(nesting.row[waits["call"]], ints(waits["begin"]), ints(waits["until"]), width)
    culprit = ints(waits["culprit_row"])
    low, high = busy.key(culprit, ints(waits["begin"])), busy.key(culprit, ints(waits["until"]))
    in_mpi, waited = busy.overlap(low, high), waiting.overlap(low, high)
    computed, moved = (high - low) - in_mpi, in_mpi - waited
    gap, _ = free.largest(low, high)
    slow, _ = busy.largest(low, high)
    before, _ = waiting.largest(low, high)
    earlier = (before >= 0) & (ints(waits["until"])[np.maximum(before, 0)] < ints(waits["until"]))
    on = earlier & (waited > computed) & (waited >= moved)
    computing = ~on & ((computed >= moved) | (slow < 0)) & (gap >= 0)
    waits["cause"] = np.where(computing, COMPUTED, IN_MPI)
    waits["cause_row"] = culprit
    late = np.where(computing, gap, slow)
    waits["cause_call"] = np.where(late >= 0, calls[np.maximum(late, 0)] if len(calls) else 0, ints(waits["culprit"]))
    middle = np.maximum(free.begin[gap], low) // 2 + np.minimum(free.end[gap], high) // 2 if len(calls) else low
    waits["cause_state"] = _state_at(trace, nesting, width, middle, computing)
    _follow(waits, np.where(on, before, np.arange(len(waits))))


def _follow(waits: Array, following: Ints) -> None:
    """Give each wait the cause of the wait that it follows from, over any number of steps."""
    steps = ints(following != np.arange(len(following)))
    while True:
        further = following[following]
        if np.array_equal(further, following):
            break
        steps = steps + steps[following]
        following = further
    for name in ("cause", "cause_row", "cause_call", "cause_state"):
        waits[name] = waits[name][following]
    waits["steps"] = steps


def _state_at(trace: Trace, nesting: Nesting, width: int, key: Ints, chosen: Bools) -> Ints:
    """The innermost user's state around a place (row and time), as the number of its call; -1: none, or not asked for."""
    is_state = np.array([op["kind"] == "state" for op in trace.operations], dtype=np.bool_)[ints(trace.calls["operation"])]
    keys = nesting.row * width + nesting.begin
    at = np.where(chosen, np.searchsorted(keys, key, side="right") - 1, -1)
    pending = np.flatnonzero(at >= 0)
    while len(pending):
        here = at[pending]
        holds = is_state[here] & (nesting.row[here] == key[pending] // width) & (nesting.finish[here] > key[pending] % width)
        at[pending[~holds]] = nesting.parent[here[~holds]]
        pending = pending[~holds]
        pending = pending[at[pending] >= 0]
    return at


def clipped(waits: Array, start: int, end: int) -> Array:
    """The waits inside an interval, each cut to it."""
    waits = waits.copy()
    waits["begin"], waits["until"] = np.maximum(waits["begin"], start), np.minimum(waits["until"], end)
    waits["duration"] = waits["until"] - waits["begin"]
    return waits[waits["duration"] > 0]
