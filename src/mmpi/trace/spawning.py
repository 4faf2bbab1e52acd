# SPDX-License-Identifier: BSD-3-Clause
"""Which world was spawned by which call, and which communicators of parents and children are the same.

Neither side can tell the other what it calls their communicator without a message that the program did not send. But the processes of a
world are started while the call that spawns them is under way: where one call alone was then, on the same host and for as many
processes, that is the one. What is made of a communicator is counted on both sides: its k-th descendant is the same on both.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from .streams import Communicator, Process, Spawn

PARENT = 3  # what every child calls its communicator with its parents (core.h)
EARLY = 15_000_000  # ns that a process may seem to have begun too early: a tick of its kernel, and of the clock of calls
MOST = 1000  # descendants of a communicator
MASK = (1 << 64) - 1

Known = tuple[int, int]  # a world, and an id there


class Call(NamedTuple):
    """A call that spawned a world, as all who took part tell it."""

    known: Known
    size: int
    before: dict[str, int]  # by boot: ns
    after: dict[str, int]


class Links:
    """What is the same in two worlds."""

    def __init__(self, processes: Sequence[Process], worlds: Sequence[int]) -> None:
        self._same: dict[Known, Known] = {}
        self._comms: dict[Known, Communicator] = {}
        self._made_of: dict[Known, set[int]] = {}
        for process in processes:
            for comm in process.comms.values():
                self._comms[worlds[process.number], comm.gid] = comm
                self._made_of.setdefault((worlds[process.number], comm.parent), set()).add(comm.gid)
        for child, parent in _parents(processes, worlds).items():
            self._join((child, PARENT), parent)
        self._joined = {*self._same, *self._same.values()}

    def known_as(self, world: int, gid: int) -> Known:
        """A communicator's world and id, as its parents call it."""
        return self._same.get((world, gid), (world, gid))

    def are_missing(self, world: int, comm: Communicator) -> bool:
        """Are there, in a communicator or in what it was made of, processes of a world that was not found?"""
        known, seen = (world, comm.gid), set[Known]()
        if known in self._joined:
            return False
        while known in self._comms and known not in seen:
            seen.add(known)
            if self._comms[known].remote_size >= 0 and known[1] & 1:
                return True
            known = (world, self._comms[known].parent)
        return False

    def _join(self, child: Known, parent: Known) -> None:
        self._same[child] = parent
        ours, theirs = self._descendants(parent), self._descendants(child)
        for number in ours.keys() & theirs.keys():
            if len(ours[number]) == len(theirs[number]) == 1:
                a, b = self._comms[parent[0], ours[number][0]], self._comms[child[0], theirs[number][0]]
                if a.remote_size < 0 and b.remote_size < 0 and a.size == b.size:
                    self._join((child[0], b.gid), (parent[0], a.gid))

    def _descendants(self, known: Known) -> dict[int, list[int]]:
        """What was made of a communicator that has one group, by number."""
        found: dict[int, list[int]] = {}
        for gid in self._made_of.get(known, ()):
            number = _number(known[1], gid, self._comms[known[0], gid].leader)
            if number is not None:
                found.setdefault(number, []).append(gid)
        return found


def _mix(a: int, b: int) -> int:
    """That of the core (comm.c)."""
    x = a + 0x9E3779B97F4A7C15 * ((b & MASK) + 1) & MASK
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


def _number(parent: int, gid: int, leader: int) -> int | None:
    """The how-manieth descendant of its parent a communicator, window or file is; 0: the hidden one, None: nobody knows."""
    if gid == ~parent & MASK:
        return 0
    for number in range(1, MOST):
        made = _mix(parent, number)
        if gid in (made, _mix(made, leader)):
            return number
    return None


# --- which call has spawned which world ------------------------------------------------------------------------------


def _parents(processes: Sequence[Process], worlds: Sequence[int]) -> dict[int, Known]:
    """World that was spawned -> its communicator with its parents, as those call it; only what is certain."""
    members: dict[int, list[Process]] = {}
    for process in processes:
        if process.world and process.began:
            members.setdefault(worlds[process.number], []).append(process)
    calls = _calls(processes, worlds)
    open_worlds = {world: {call.known for call in calls if _fits(call, world, children)} for world, children in members.items()}
    found: dict[int, Known] = {}
    while certain := next(((world, fitting) for world, fitting in open_worlds.items() if len(fitting) == 1), None):
        found[certain[0]] = next(iter(certain[1]))
        del open_worlds[certain[0]]
        for fitting in open_worlds.values():
            fitting.discard(found[certain[0]])
    return found | _in_order({world: members[world] for world, fitting in open_worlds.items() if fitting}, calls, set(found.values()))


def _calls(processes: Sequence[Process], worlds: Sequence[int]) -> list[Call]:
    told: dict[Known, list[tuple[str, Spawn]]] = {}
    for process in processes:
        for spawn in process.spawns:
            told.setdefault((worlds[process.number], spawn.gid), []).append((process.boot, spawn))
    calls = []
    for known, parts in told.items():
        before, after = dict[str, int](), dict[str, int]()
        for boot, spawn in parts:
            before[boot] = min(before.get(boot, spawn.before), spawn.before)
            after[boot] = max(after.get(boot, spawn.after), spawn.after)
        calls.append(Call(known, parts[0][1].size, before, after))
    return calls


def _fits(call: Call, world: int, children: Sequence[Process]) -> bool:
    times = [(call.before[child.boot] - EARLY, child.began, call.after[child.boot]) for child in children if child.boot in call.before]
    right = world != call.known[0] and children[0].size == call.size
    return right and bool(times) and all(first <= began <= last for first, began, last in times)


def _in_order(left: dict[int, list[Process]], calls: Sequence[Call], taken: set[Known]) -> dict[int, Known]:
    """Of calls that came one after the other, as many as worlds, the first has spawned the first."""
    boots = {child.boot for children in left.values() for child in children}
    free = [call for call in calls if call.known not in taken and any(_fits(call, world, children) for world, children in left.items())]
    if len(boots) != 1 or len(free) != len(left):
        return {}
    boot = boots.pop()
    free.sort(key=lambda call: call.before[boot])
    order = sorted(left, key=lambda world: min((child.began, child.pid) for child in left[world]))
    apart = all(a.after[boot] <= b.before[boot] + EARLY for a, b in itertools.pairwise(free))
    pairs = list(zip(order, free, strict=True))
    return {world: call.known for world, call in pairs} if apart and all(_fits(call, world, left[world]) for world, call in pairs) else {}
