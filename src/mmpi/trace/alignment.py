# SPDX-License-Identifier: BSD-3-Clause
"""Clocks of a trace: ticks of a processor as ns of its host, and the hosts' ns as those of the host of rank 0.

A host's clock is taken to differ from that of rank 0's host by a straight line. Each exchange of times says between which limits the
difference was at that time; each message says one limit, since it cannot arrive before it was sent. All lines within all limits are a
polygon in the plane of (difference at the start, difference at the end). Its middle is taken, and its corners say how wrong that can be.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from .streams import Exchange, Pair, Stream

KNOT = struct.Struct("<Qqd")
WINDOW = 10**9  # ns: a pair of clocks for each of these
STEEPEST = 1e-3  # no two clocks drift apart faster than that
ENOUGH = 0.5  # of the run that exchanges must span to tell the drift by themselves
Point = tuple[float, float]


# --- ticks of a processor --------------------------------------------------------------------------------------------


def knots(streams: Sequence[Stream]) -> bytes:
    """What turns ticks of the streams of one host into ns: (ticks, ns, ns a tick) from where each holds.

    The two clocks of a pair are read one after the other: of the pairs of about a second that is taken which took least."""
    if streams[0].ticks_are_ns:
        return KNOT.pack(streams[0].first.ticks, streams[0].first.ticks, 1.0)
    pairs = sorted({pair for stream in streams for pair in stream.pairs()})
    first, last = pairs[0], pairs[-1]
    if last.ticks == first.ticks:
        return KNOT.pack(first.ticks, first.monotonic, 1.0)
    rate = (last.monotonic - first.monotonic) / (last.ticks - first.ticks)
    width = max(1, min(WINDOW, (last.monotonic - first.monotonic) // 2))
    best: dict[int, tuple[float, Pair]] = {}
    for pair in pairs:
        late = pair.monotonic - first.monotonic - (pair.ticks - first.ticks) * rate
        window = min((pair.monotonic - first.monotonic) // width, max(0, (last.monotonic - first.monotonic) // width - 1))
        if window not in best or late < best[window][0]:
            best[window] = (late, pair)
    chosen = [pair for _, pair in sorted(best.values(), key=lambda found: found[1].ticks)]
    steps = [(a, b) for a, b in itertools.pairwise(chosen) if b.ticks > a.ticks and b.monotonic > a.monotonic]
    if not steps:
        return KNOT.pack(first.ticks, first.monotonic, max(rate, 0.0))
    return b"".join(KNOT.pack(a.ticks, a.monotonic, (b.monotonic - a.monotonic) / (b.ticks - a.ticks)) for a, b in steps)


# --- hosts -----------------------------------------------------------------------------------------------------------


class Host(NamedTuple):
    """A host, in the ns of its clock."""

    name: str
    boot: str
    first: int
    last: int
    since: int  # its time of the day minus its clock
    exchanges: list[Exchange]


class Clock(NamedTuple):
    """What to add to a host's time t: offset + drift * (t - at). `bound`: the largest error within the run, ns; -1: not known."""

    at: int
    offset: int
    drift: float
    bound: float
    residual: float

    def __call__(self, time: int) -> int:
        """A time of the host on the clock of rank 0's."""
        return time + self.offset + int(self.drift * (time - self.at))


class Limit(NamedTuple):
    """At this time the difference was at most, or at least, so much."""

    time: int
    most: bool
    value: int


Bound = tuple[int, int, int, int]  # hosts from and to, sent, received: each on the host's clock


def align(hosts: Sequence[Host], bounds: Iterable[Bound]) -> tuple[list[Clock], list[str]]:
    """A clock for each host, the first of which is that of rank 0; and what is to be said of them."""
    clocks: dict[int, Clock] = {0: Clock(hosts[0].first, 0, 0.0, 0.0, 0.0)}
    notes: list[str] = []
    messages = list(bounds)
    waiting = list(range(1, len(hosts)))
    waiting.sort(key=lambda h: not hosts[h].exchanges)
    while waiting:
        done = [h for h in waiting if _try(h, hosts, clocks, messages, notes)]
        waiting = [h for h in waiting if h not in done]
        if not done:
            break
    for h in waiting:
        notes.append(f"{hosts[h].name}: nothing tells how its clock compares with that of {hosts[0].name} but the time of the day")
        clocks[h] = Clock(hosts[h].first, hosts[h].since - hosts[0].since, 0.0, -1.0, 0.0)
    return [clocks[h] for h in range(len(hosts))], notes


def _try(h: int, hosts: Sequence[Host], clocks: dict[int, Clock], messages: list[Bound], notes: list[str]) -> bool:
    """Find the clock of a host from exchanges, else from messages with hosts whose clocks are known."""
    host = hosts[h]
    told = [limit for one in host.exchanges for limit in _limits(one)]
    times = [one.time for one in host.exchanges]
    if times and max(times) - min(times) >= ENOUGH * (host.last - host.first):
        clocks[h] = _within(host, told) or _least_squares(host)
        return True
    heard = list(_heard(h, clocks, messages))
    limits = told + heard
    if not {limit.most for limit in limits} == {True, False}:
        return False
    clock = _within(host, limits)
    if clock is None and told:
        notes.append(f"{host.name}: messages contradict the exchanges of times; its drift is not known")
        clock = _within(host, told)
    if clock is None:
        notes.append(f"{host.name}: its clock does not drift evenly: messages contradict each other")
        return False
    clocks[h] = clock
    return True


def _limits(one: Exchange) -> list[Limit]:
    bound = max(one.bound, 1)
    return [Limit(one.time, True, one.difference + bound), Limit(one.time, False, one.difference - bound)]


def _heard(h: int, clocks: dict[int, Clock], messages: list[Bound]) -> Iterable[Limit]:
    """What messages with rank 0's host say, or, if there were none, those with others."""
    with_first = any({a, b} == {h, 0} for a, b, _, _ in messages)
    for source, target, sent, received in messages:
        other = target if source == h else source
        if h not in (source, target) or other not in clocks or clocks[other].bound < 0 or (with_first and other != 0):
            continue
        doubt = int(clocks[other].bound) + 1 if other else 0
        if source == h:
            yield Limit(sent, True, clocks[other](received) + doubt - sent)
        else:
            yield Limit(received, False, clocks[other](sent) - doubt - received)


def _within(host: Host, limits: Sequence[Limit]) -> Clock | None:
    """The middle of all lines within the limits, None if there are none."""
    span = max(host.last - host.first, 1)
    zero = limits[0].value  # differences can be days: count from one of them
    far = max(abs(limit.value - zero) for limit in limits) + 2 * STEEPEST * span + 1e6
    corners: list[Point] = [(-far, -far), (far, -far), (far, far), (-far, far)]
    steepest = STEEPEST * span
    halves: list[Callable[[Point], float]] = [lambda p: steepest - (p[1] - p[0]), lambda p: steepest + (p[1] - p[0])]
    halves += [_half(limit, (limit.time - host.first) / span, zero) for limit in limits]
    for half in halves:
        corners = _cut(corners, half)
        if not corners:
            return None
    low, high = ([pick(corner[i] for corner in corners) for i in range(2)] for pick in (min, max))
    middle = ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2)
    if any(half(middle) < 0 for half in halves):
        middle = (sum(corner[0] for corner in corners) / len(corners), sum(corner[1] for corner in corners) / len(corners))
    bound = max(abs(corner[i] - middle[i]) for corner in corners for i in range(2))
    clock = Clock(host.first, zero + round(middle[0]), (middle[1] - middle[0]) / span, bound + 1, 0.0)
    return clock._replace(residual=_residual(host, clock))


def _half(limit: Limit, part: float, zero: int) -> Callable[[Point], float]:
    value, sign = limit.value - zero, 1 if limit.most else -1
    return lambda p: sign * (value - p[0] * (1 - part) - p[1] * part)


def _cut(corners: list[Point], half: Callable[[Point], float]) -> list[Point]:
    """The part of a convex polygon where `half` is not negative."""
    kept: list[Point] = []
    for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
        inside, next_inside = half(a), half(b)
        if inside >= 0:
            kept.append(a)
        if (inside >= 0) != (next_inside >= 0):
            part = inside / (inside - next_inside)
            kept.append((a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part))
    return kept


def _residual(host: Host, clock: Clock) -> float:
    return max((abs(clock(one.time) - one.time - one.difference) for one in host.exchanges), default=0.0)


def _least_squares(host: Host) -> Clock:
    """Where no line is within all limits: that which fits best; the bound says what it misses."""
    zero = host.exchanges[0].difference
    points = [(one.time - host.first, one.difference - zero, 1 / max(one.bound, 1) ** 2) for one in host.exchanges]
    weight = sum(w for _, _, w in points)
    t, d = (sum(point[i] * point[2] for point in points) / weight for i in range(2))
    spread = sum(w * (x - t) ** 2 for x, _, w in points)
    drift = sum(w * (x - t) * (y - d) for x, y, w in points) / spread if spread else 0.0
    clock = Clock(host.first, zero + round(d - drift * t), drift, 0.0, 0.0)
    residual = _residual(host, clock)
    return clock._replace(residual=residual, bound=residual + max(one.bound for one in host.exchanges))
