# SPDX-License-Identifier: BSD-3-Clause
"""From calls to what begins and ends one after the other, and back: what formats of events need of a trace of calls.

All arrays are NumPy's; calls stand in the order of rows, then start, as in `Trace.calls`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .container import Trace

Array = np.ndarray[Any, Any]


class Tour(NamedTuple):
    """Where each call is entered and left among the 2 n entries and exits of its row."""

    enter: Array
    leave: Array


def tour(calls: Array) -> Tour:
    """The order in which calls are entered and left, also where times are equal: by their depth.

    Where depths do not fit (states that overlap), numbers may occur twice: sort by time first, then by these.
    """
    n = len(calls)
    row, depth = calls["row"].astype(np.int64), calls["depth"].astype(np.int64)
    first = np.searchsorted(row, row, "left")
    after = np.searchsorted(row, row, "right")  # the next call that is not inside: at most that of the next row
    for level in np.unique(depth):
        at = np.flatnonzero(depth <= level)
        here = np.flatnonzero(depth[at] == level)
        following = np.append(at, n)[here + 1]
        after[at[here]] = np.minimum(following, after[at[here]])
    number = np.arange(n, dtype=np.int64)
    enter = 2 * (number - first) - depth
    return Tour(enter, enter + 2 * (after - number) - 1)


def within(kinds: list[str], trace: Trace) -> Array:
    """Which calls are of operations of these kinds (`mpi`, `state`, `event`, `counter`)."""
    table = np.array([operation["kind"] in kinds for operation in trace.operations] or [False])
    return table[trace.calls["operation"]]  # type: ignore[no-any-return]


def occurrence(*keys: Array) -> Array:
    """The how-manieth each element is among those with equal keys, from 0, in their order."""
    n = len(keys[0])
    order = np.lexsort(keys[::-1])  # stable
    new = np.ones(n, bool)
    new[1:] = False
    for key in keys:
        new[1:] |= key[order[1:]] != key[order[:-1]]
    starts = np.flatnonzero(new)
    count = np.arange(n) - np.repeat(starts, np.diff(np.append(starts, n)))
    result = np.empty(n, np.int64)
    result[order] = count
    return result


def self_nesting(calls: Array, many: int) -> Array:
    """How many calls of the same operation each call stands in: 0 unless a state is entered again inside itself.

    `many`: of the levels told apart; deeper ones count as the deepest."""
    level = np.zeros(len(calls), np.int64)
    order = np.lexsort((calls["start"], calls["operation"], calls["row"]))
    row, operation, start, end = (calls[name][order] for name in ("row", "operation", "start", "end"))
    latest = np.full(len(order), np.iinfo(np.int64).min)
    same = np.zeros(len(order), bool)
    same[1:] = (row[1:] == row[:-1]) & (operation[1:] == operation[:-1])
    latest[1:] = np.where(same[1:], end[:-1], latest[1:])
    suspects = np.flatnonzero(same & (start < latest))
    if not len(suspects):
        return level
    groups = np.unique(np.stack([row[suspects], operation[suspects]], 1), axis=0)
    for row_number, number in groups.tolist():
        members = order[(row == row_number) & (operation == number)]
        level[members] = _depths(calls["start"][members].tolist(), calls["end"][members].tolist(), many)
    return level


def _depths(starts: list[int], ends: list[int], many: int) -> list[int]:
    stack: list[int] = []
    depths = []
    for start, end in zip(starts, ends, strict=True):
        while stack and stack[-1] <= start:
            stack.pop()
        depths.append(min(len(stack), many - 1))
        stack.append(end)
    return depths


# --- the way back ----------------------------------------------------------------------------------------------------


class Pairs(NamedTuple):
    """Which events belong together, and which found none: indices of events."""

    enter: Array
    leave: Array  # of `enter`: -1 where it was never left
    stray: Array  # leaves of what was not entered


def pair(group: Array, step: Array) -> Pairs:
    """Which leave ends which enter: the latest open of its group. `step` is 1 for an enter, -1 for a leave; events in order."""
    order = np.argsort(group, kind="stable")
    sorted_group, sorted_step = group[order], step[order]
    level = running(sorted_group, sorted_step)
    level[sorted_step < 0] += 1  # an enter reaches the level from which its leave goes
    again = np.lexsort((level, sorted_group))
    at, same = order[again], np.zeros(len(order), bool)
    same[:-1] = (sorted_group[again][1:] == sorted_group[again][:-1]) & (level[again][1:] == level[again][:-1])
    ups = step[at] > 0
    closed = np.zeros(len(order), bool)
    closed[:-1] = ups[:-1] & ~ups[1:]
    closed &= same
    enter = at[ups]
    leave = np.full(len(at), -1)
    where = np.flatnonzero(closed)
    leave[where] = at[where + 1]
    stray = ~ups
    stray[where + 1] = False
    return Pairs(enter, leave[ups], at[stray])


def running(group: Array, step: Array) -> Array:
    """The sum of the steps of a group up to and with each; groups stand together."""
    total = np.cumsum(step)
    new = np.ones(len(group), bool)
    new[1:] = group[1:] != group[:-1]
    starts = np.flatnonzero(new)
    before = total[starts] - step[starts]
    return total - np.repeat(before, np.diff(np.append(starts, len(group))))  # type: ignore[no-any-return]


def innermost(row: Array, step: Array) -> Array:
    """Of events with step 0: the event that entered what is open around it, -1 if nothing is. Events in order, of each row together."""
    level = running(row, step)
    found = np.full(len(row), -1)
    order = np.lexsort((level, row))
    sorted_row, sorted_level = row[order], level[order]
    new = np.ones(len(row), bool)
    new[1:] = (sorted_row[1:] != sorted_row[:-1]) | (sorted_level[1:] != sorted_level[:-1])
    ups = step[order] > 0
    place = np.arange(len(row))
    latest = np.maximum.accumulate(np.where(ups, place, -1))
    inside = latest >= np.maximum.accumulate(np.where(new, place, -1))
    inside &= latest >= 0
    found[order[inside]] = order[latest[inside]]
    found[level <= 0] = -1
    found[step != 0] = -1
    return found
