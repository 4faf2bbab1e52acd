# SPDX-License-Identifier: BSD-3-Clause
"""Which call is inside which, and how much time of each is its own; all as arrays with an element a call."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


def ints(values: Any) -> Ints:
    """Any column as 64-bit integers in one piece."""
    return np.ascontiguousarray(values, dtype=np.int64)


class Nesting:
    """Parents of calls, and the time that each takes, without what overlaps where a trace is not well nested.

    `parent` is the number of the call or state around a call, or -1. `begin` and `finish` are those of the record, cut to those of
    the parent, and at the start of the next call with the same parent; in ns.
    """

    def __init__(self, calls: Any) -> None:
        n = len(calls)
        self.row = ints(calls["row"])
        self.begin, self.finish = ints(calls["start"]), ints(calls["end"])
        self.parent = np.full(n, -1, dtype=np.int64)
        self.depth = ints(calls["depth"])
        order = np.argsort(self.depth, kind="stable")
        levels, firsts = np.unique(self.depth[order], return_index=True)
        bounds = [*firsts.tolist(), n]
        for i, level in enumerate(levels.tolist()):
            inner = order[bounds[i] : bounds[i + 1]]
            if i and level == levels[i - 1] + 1:
                self._inside(inner, order[bounds[i - 1] : bounds[i]])
            self._cut(inner)

    def _inside(self, inner: Ints, outer: Ints) -> None:
        """Find the parents of one level among the calls of the level above."""
        at = np.searchsorted(outer, inner) - 1
        found = outer[np.maximum(at, 0)]
        holds = (at >= 0) & (self.row[found] == self.row[inner]) & (self.finish[found] >= self.begin[inner])
        holds &= self.finish[found] > self.begin[found]
        self.parent[inner] = np.where(holds, found, -1)
        child, around = inner[holds], found[holds]
        self.finish[child] = np.minimum(self.finish[child], self.finish[around])

    def _cut(self, level: Ints) -> None:
        """End each call of a level where the next one starts."""
        now, later = level[:-1], level[1:]
        follows = (self.row[now] == self.row[later]) & (self.parent[now] == self.parent[later])
        now, later = now[follows], later[follows]
        self.finish[now] = np.maximum(np.minimum(self.finish[now], self.begin[later]), self.begin[now])

    def inherited(self, marked: Bools) -> Bools:
        """Which calls have a marked one around them, at any depth."""
        inside = np.zeros(len(marked), dtype=np.bool_)
        around = self.parent.copy()
        at = np.flatnonzero(around >= 0)
        while len(at):
            inside[at] |= marked[around[at]]
            around[at] = self.parent[around[at]]
            at = at[around[at] >= 0]
        return inside

    def own(self, time: Ints) -> Ints:
        """The time of each call without that of the calls inside it."""
        child = np.flatnonzero(self.parent >= 0)
        inner = np.bincount(self.parent[child], weights=time[child], minlength=len(time)) if len(child) else 0
        return time - ints(inner)


class Spans:
    """Intervals that do not overlap, on many rows, in the order of rows and times: how much of a window do they cover?"""

    def __init__(self, row: Ints, begin: Ints, end: Ints, width: int) -> None:
        self.width = width  # more than any time: (row, time) becomes one number
        self.begin, self.end = row * width + begin, row * width + end
        self.sums = np.concatenate(([0], np.cumsum(end - begin)))

    def key(self, row: Ints, time: Ints) -> Ints:
        """A time on a row as one number."""
        return ints(row * self.width + time)

    def last(self, key: Ints) -> Ints:
        """The number of the last interval that has begun at a time, or of one of an earlier row, or -1."""
        return ints(np.searchsorted(self.begin, key, side="right") - 1)

    def _before(self, key: Ints) -> Ints:
        if not len(self.begin):
            return np.zeros_like(key)
        at = np.maximum(self.last(key), 0)
        return ints(self.sums[at] + np.clip(np.minimum(self.end[at], key) - self.begin[at], 0, None))

    def overlap(self, low: Ints, high: Ints) -> Ints:
        """How much time of each window (two keys) is covered."""
        return ints(self._before(high) - self._before(low))

    def largest(self, low: Ints, high: Ints) -> tuple[Ints, Ints]:
        """The interval that covers most of each window, -1 if none does, and how much."""
        if not len(self.begin):
            return np.full(len(low), -1, dtype=np.int64), np.zeros(len(low), dtype=np.int64)
        first = ints(np.searchsorted(self.end, low, side="right"))
        last = ints(np.searchsorted(self.begin, high, side="left") - 1)
        top = len(self.begin) - 1
        best, most = np.full(len(low), -1, dtype=np.int64), np.zeros(len(low), dtype=np.int64)
        for at in (self._longest(first + 1, last), last, first):
            place = np.clip(at, 0, top)
            covered = np.minimum(self.end[place], high) - np.maximum(self.begin[place], low)
            better = (at >= 0) & (at <= top) & (first <= last) & (covered > most)
            best[better], most[better] = at[better], covered[better]
        return best, most

    def _longest(self, first: Ints, end: Ints) -> Ints:
        """The longest of the intervals `first` to `end`, without `end`; -1 where there are none."""
        found = np.full(len(first), -1, dtype=np.int64)
        some = np.flatnonzero(end > first)
        some = some[np.argsort(first[some], kind="stable")]  # reduceat also goes from the end of each to the first of the next
        if len(some):
            n = len(self.begin)
            shift = max(0, int(self.width).bit_length() + n.bit_length() - 62)
            ranked = np.append(((self.end - self.begin) >> shift) * n + np.arange(n), 0)
            pairs = np.stack((first[some], end[some]), axis=1).reshape(-1)
            found[some] = np.maximum.reduceat(ranked, pairs)[::2] % n
        return found


def running(values: Ints, group: Ints, last: bool = False) -> Ints:
    """For each element the index of the largest (with `last`: the smallest) value of its group so far; groups are consecutive runs."""
    n = len(values)
    rank = np.empty(n, dtype=np.int64)
    rank[np.argsort(values, kind="stable")] = np.arange(n)
    if last:
        rank = n - 1 - rank
    run = np.concatenate(([0], np.cumsum(group[1:] != group[:-1]))) if n else group
    at = np.maximum.accumulate(run * n + rank) - run * n
    where = np.empty(n, dtype=np.int64)
    where[rank] = np.arange(n)
    return ints(where[at])
