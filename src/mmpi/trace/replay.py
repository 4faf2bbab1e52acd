# SPDX-License-Identifier: BSD-3-Clause
"""The run on an ideal network: how long would it have taken if communication took no time, and only waiting for others were left?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .._merge import replay
from . import operations as ops
from .nesting import Array, Ints, Nesting, Spans, ints
from .waits import root_of

if TYPE_CHECKING:
    from .container import Trace


class Groups:
    """Who tells a group that it has come, and who needs the group to end: pairs of calls and groups."""

    def __init__(self) -> None:
        self.count = 0
        self.tells: list[tuple[Ints, Ints]] = []
        self.needs: list[tuple[Ints, Ints]] = []

    def add(self, told_by: Ints, tells: Ints, needed_by: Ints, needs: Ints, count: int) -> None:
        """Add groups, numbered here from 0."""
        self.tells.append((told_by, tells + self.count))
        self.needs.append((needed_by, needs + self.count))
        self.count += count

    def pairs(self) -> tuple[Ints, Ints, Ints, Ints]:
        """All pairs: who tells, whom; who needs, what."""
        columns = [np.concatenate([pair[i] for pair in pairs]) for pairs in (self.tells, self.needs) for i in (0, 1)]
        return columns[0], columns[1], columns[2], columns[3]


def groups_of(trace: Trace, nesting: Nesting) -> Groups:
    """What depends on what: messages on their sends, synchronous sends on their receives, collectives on who takes part."""
    groups = Groups()
    messages = trace.messages
    send, sent, receive, received = (ints(messages[name]) for name in ("send", "send_done", "receive", "receive_done"))
    each = np.arange(len(send))
    groups.add(send, each, received[received >= 0], each[received >= 0], len(send))
    waits = (ops.select(trace.operations, ops.SYNCHRONOUS)[ints(trace.calls["operation"])[send]] == 1) & (sent >= 0)
    groups.add(receive[waits], np.arange(waits.sum()), sent[waits], np.arange(waits.sum()), int(waits.sum()))
    _collectives(trace, nesting, groups)
    return groups


def _collectives(trace: Trace, nesting: Nesting, groups: Groups) -> None:
    instance, call, done = (ints(trace.collectives[name]) for name in ("instance", "call", "done"))
    order = np.lexsort((nesting.begin[call], instance))
    instance, call, done = instance[order], call[order], done[order]
    joins = np.array([int(comm.get("remote_size", -1)) >= 0 for comm in trace.comms], dtype=np.bool_)
    role = ops.roles(trace.operations, ints(trace.calls["operation"])[call], ints(trace.calls["bytes"])[call])
    root = root_of(trace, nesting, instance, call)
    alike = (role == ops.BARRIER) | (role == ops.ALL_TO_ALL) | (role == ops.CREATION)
    rooted = ((role == ops.ONE_TO_ALL) | (role == ops.ALL_TO_ONE)) & (root >= 0) & ~joins[ints(trace.calls["comm"])[call]]
    tells = alike | (rooted & np.where(role == ops.ONE_TO_ALL, root == call, root != call))
    needs = (done >= 0) & (alike | (rooted & np.where(role == ops.ONE_TO_ALL, root != call, root == call)))
    _, number = np.unique(instance, return_inverse=True)
    number = ints(number)
    groups.add(call[tells], number[tells], done[needs], number[needs], int(number.max(initial=-1)) + 1)


def ideal(trace: Trace, nesting: Nesting, calls: Ints, rows: Array, groups: Groups, start: int, end: int) -> int:
    """The time in ns that the interval `start` to `end` would have taken on an ideal network.

    `calls`: the numbers of the calls of MPI that are not inside another, and overlap the interval; `rows`: the begin and the
    finish of each row.
    """
    told_by, told, needed_by, needed = groups.pairs()
    counted = np.zeros(len(nesting.row), dtype=np.bool_)
    counted[calls] = True
    tells, needs = counted[told_by] & (nesting.begin[told_by] <= end), counted[needed_by]
    told_by, told, needed_by, needed = told_by[tells], told[tells], needed_by[needs], needed[needs]
    counted[:] = False
    counted[told_by] = counted[needed_by] = True
    chosen = np.flatnonzero(counted)
    number = np.cumsum(counted) - 1  # among the chosen
    row = nesting.row[chosen]
    work = _worked(nesting, calls, start, end)
    first = np.append(True, row[1:] != row[:-1])[: len(chosen)]
    at_entry = work(row, np.clip(nesting.begin[chosen], start, end))
    gap = np.maximum(np.where(first, at_entry, at_entry - np.roll(at_entry, 1)), 0)  # below 0 where calls overlap
    exits = np.zeros(0, dtype=np.int64)
    if len(chosen):
        tells_at, told = _lists(number[told_by], told, len(chosen))
        needs_at, needed = _lists(number[needed_by], needed, len(chosen))
        order = _order(nesting, chosen, end)
        data = [ints(column).data for column in (order, first, gap, tells_at, told, needs_at, needed)]
        exits = np.frombuffer(replay(*data, groups.count), dtype=np.int64)  # type: ignore[call-arg, arg-type]
    every = np.arange(len(rows))
    final = work(every, np.clip(rows[:, 1], start, end))
    last = np.append(row[1:] != row[:-1], True)[: len(chosen)]
    final[row[last]] += exits[last] - at_entry[last]
    return int(min(final.max(initial=0), end - start))


def _worked(nesting: Nesting, calls: Ints, start: int, end: int) -> Callable[[Ints, Ints], Ints]:
    """A function of row and time: the time outside MPI so far, counted from the start of the interval."""
    width = end + 2
    clipped = [np.clip(times[calls], start, end) for times in (nesting.begin, nesting.finish)]
    busy = Spans(nesting.row[calls], clipped[0], clipped[1], width)

    def work(row: Ints, time: Ints) -> Ints:
        zero = np.full(len(row), start, dtype=np.int64)
        return ints(time - start - busy.overlap(busy.key(row, zero), busy.key(row, time)))

    return work


def _lists(owner: Ints, values: Ints, n: int) -> tuple[Ints, Ints]:
    """Lists of values by owner: where each begins, and all of them."""
    order = np.argsort(owner, kind="stable")
    return ints(np.concatenate(([0], np.cumsum(np.bincount(owner, minlength=n))))), ints(values[order])


def _order(nesting: Nesting, chosen: Ints, end: int) -> Ints:
    """Entries and exits as they happened; at the same time entries first. Exits after the interval are left out."""
    n = len(chosen)
    times = np.concatenate((nesting.begin[chosen], nesting.finish[chosen]))
    events = np.concatenate((np.arange(n) * 2, np.arange(n) * 2 + 1))
    ended = np.concatenate((np.ones(n, dtype=np.bool_), nesting.finish[chosen] <= end))
    return ints(events[ended][np.argsort(times[ended], kind="stable")])
