# SPDX-License-Identifier: BSD-3-Clause
"""What a trace says about a run: efficiencies, wait states and their causes, where the time went. Definitions: docs/tracing.md."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from . import replay, waits
from .nesting import Array, Bools, Ints, Nesting, ints

if TYPE_CHECKING:
    from .container import Trace


def analyze(trace: Trace, start: int | None = None, end: int | None = None) -> Analysis:
    """Analyze a trace, or what lies between two times in ns since it began; ValueError if there is nothing between them."""
    return Analysis(trace, start, end)


class Analysis:
    """The analysis of a trace in an interval. All times are integers in ns; arrays named after calls have an element a call.

    `waits` has a row for each call that waited, in the order of calls: `call`, `kind` (an index into `waits.KINDS`), `duration`,
    `culprit` (number of the call that was late), `culprit_row`, `begin`, `until`, and what made it late, at the end of a chain of
    waits of `steps` steps: `cause` (0: it computed, 1: it was in MPI), `cause_row`, `cause_call` (the call before which it
    computed, or in which it was), `cause_state` (number of the call that is the user's state there, or -1).
    """

    def __init__(self, trace: Trace, start: int | None = None, end: int | None = None) -> None:
        self.trace = trace
        self.calls = trace.calls
        self.duration = _duration(trace)
        self.start, self.end = _interval(self.duration, start, end)
        self.nesting = Nesting(trace.calls)
        kinds = np.array([op["kind"] for op in trace.operations], dtype="U8")
        self.operation, self.site, self.row = (ints(trace.calls[name]) for name in ("operation", "site", "row"))
        self.is_mpi: Bools = (kinds == "mpi")[self.operation]
        self.is_state: Bools = (kinds == "state")[self.operation]
        self.outer: Bools = self.is_mpi & ~self.nesting.inherited(self.is_mpi)
        self.inside: Bools = (self.nesting.begin <= self.end) & (self.nesting.finish >= self.start)
        self.time = np.clip(self.nesting.finish, self.start, self.end) - np.clip(self.nesting.begin, self.start, self.end)
        self.all_waits = waits.find(trace, self.nesting, self.outer)
        self.waits: Array = waits.clipped(self.all_waits, self.start, self.end)

    @cached_property
    def own(self) -> Ints:
        """The time of each call or state without that of the calls and states inside it."""
        return self.nesting.own(self.time)

    @cached_property
    def ranks(self) -> Ints:
        """The rank in WORLD of each row."""
        return np.array([row["rank"] for row in self.trace.rows], dtype=np.int64)

    @cached_property
    def spans(self) -> Array:
        """When each row begins and finishes: two columns."""
        spans = np.array([(row["first"], row["last"]) for row in self.trace.rows], dtype=np.int64).reshape(-1, 2)
        if len(self.row):
            np.minimum.at(spans[:, 0], self.row, self.nesting.begin)
            np.maximum.at(spans[:, 1], self.row, self.nesting.finish)
        return spans

    @cached_property
    def wall(self) -> Ints:
        """How much of the interval each row was there."""
        return ints(np.clip(self.spans[:, 1], self.start, self.end) - np.clip(self.spans[:, 0], self.start, self.end))

    @cached_property
    def mpi(self) -> Ints:
        """Time in MPI of each row."""
        return self.per_row(self.row[self.outer], self.time[self.outer])

    @cached_property
    def waiting(self) -> Ints:
        """Time in wait states of each row."""
        return self.per_row(self.row[self.waits["call"]], self.waits["duration"])

    def per_row(self, row: Ints, values: Any) -> Ints:
        """Sums for each row."""
        return ints(np.bincount(row, weights=values, minlength=len(self.trace.rows)))

    @cached_property
    def main(self) -> Ints:
        """The first row of each rank, in the order of ranks."""
        return ints(np.unique(self.ranks, return_index=True)[1])

    @cached_property
    def counted(self) -> Ints:
        """The messages whose send began in the interval: their numbers."""
        begin = self.nesting.begin[ints(self.trace.messages["send"])]
        return np.flatnonzero((begin >= self.start) & (begin <= self.end))

    @cached_property
    def efficiency(self) -> dict[str, float]:
        """POP's efficiencies, each from 0 to 1, and the times (ns) that they are made of."""
        wall = self.end - self.start
        useful = (self.wall - self.mpi)[self.main]
        most, mean = int(useful.max(initial=0)), float(useful.mean()) if len(useful) else 0.0
        calls = np.flatnonzero(self.outer & self.inside)
        ideal = replay.ideal(
            self.trace, self.nesting, calls, self.spans, replay.groups_of(self.trace, self.nesting), self.start, self.end
        )
        ideal = max(ideal, most)
        return {
            "parallel": _ratio(mean, wall), "load_balance": _ratio(mean, most), "communication": _ratio(most, wall),
            "serialisation": _ratio(most, ideal), "transfer": _ratio(ideal, wall),
            "ideal": ideal, "useful_max": most, "useful_mean": round(mean),
        }  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """All that the report says, for JSON: times in ns, sizes in bytes."""
        from . import tables

        return tables.everything(self)

    def text(self) -> str:
        """The report, at most 100 columns wide."""
        from . import report

        return report.text(self.as_dict())


def _ratio(part: float, whole: float) -> float:
    """A share; of nothing, all."""
    return float(part / whole) if whole > 0 else 1.0


def _duration(trace: Trace) -> int:
    last = int(trace.calls["end"].max()) if len(trace.calls) else 0
    return max(int(trace.meta.get("duration") or 0), last, *(int(row["last"]) for row in trace.rows), 0)


def _interval(duration: int, start: int | None, end: int | None) -> tuple[int, int]:
    low, high = 0 if start is None else int(start), duration if end is None else int(end)
    if low < 0 or low > duration or high < low or (high == low and (start, end) != (None, None)):
        raise ValueError(
            f"the interval from {low / 1e9:g} s to {high / 1e9:g} s has nothing of the trace, which lasts {duration / 1e9:g} s"
        )
    return low, min(high, duration)
