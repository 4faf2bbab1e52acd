# SPDX-License-Identifier: BSD-3-Clause
"""What is known of a job, in words."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ..flight import INSIDE, NONE, Call, Comm
from . import waits
from .look import FINALIZED
from .stacks import Place, users_place
from .waits import WORLD, Job, Want, is_any, name_of


def ranks_text(ranks: Iterable[int]) -> str:
    """`rank 3`, `ranks 0, 2-5`."""
    numbers = sorted(set(ranks))
    parts: list[str] = []
    start = 0
    for i, number in enumerate(numbers):
        if i + 1 == len(numbers) or numbers[i + 1] != number + 1:
            first = numbers[start]
            parts.append(str(number) if first == number else f"{first}-{number}" if number > first + 1 else f"{first}, {number}")
            start = i + 1
    return f"rank{'s' if len(numbers) > 1 else ''} {', '.join(parts)}"


def duration(seconds: float) -> str:
    """`5 s`, `3 min`, `2 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def plural(ranks: Iterable[int], one: str, many: str) -> str:
    """The verb that goes with so many ranks."""
    return one if len(set(ranks)) == 1 else many


class Words:
    """Names for a job's communicators, calls and places."""

    def __init__(self, job: Job) -> None:
        self.job = job

    # ---- communicators and calls ----

    def comm(self, rank: int, ident: int) -> str:
        """A communicator, as this rank knows it."""
        comm = self.job.comm(rank, ident)
        if ident == WORLD:
            return "COMM_WORLD"
        if comm is None:
            return "a communicator made elsewhere"
        if comm.name and not comm.name.startswith("MPI_COMM_"):
            return f"'{comm.name}'"
        if ident == comm.parent ^ (1 << 64) - 1:
            return f"{self.comm(rank, comm.parent)} (inside a collective of objects)"
        if not comm.parent:
            return "COMM_SELF" if comm.size == 1 else "a communicator made elsewhere"
        return self._made(rank, comm)

    def _made(self, rank: int, comm: Comm) -> str:
        how = comm.made.removeprefix("MPI_Comm_").removeprefix("MPI_").capitalize()
        alike = [c for c in self.job.ranks[rank].comms if c.parent == comm.parent and c.made == comm.made]
        number = f" {alike.index(comm) + 1}" if len(alike) > 1 else ""
        members = self.job.everybody(comm.id)
        whole = "" if len(members) == self.job.size else f", {ranks_text(members)}"
        return f"{how}{number} of {self.comm(rank, comm.parent)}{whole}"

    def on(self, rank: int, call: Call, always: bool = False) -> str:
        """On which communicator a call is; point-to-point on COMM_WORLD goes without saying."""
        return f" on {self.comm(rank, call.comm)}" if call.comm and (always or call.comm != WORLD) else ""

    def call(self, rank: int, call: Call) -> str:
        """A call with those of its arguments that decide whether it ends."""
        name = call.operation.removeprefix("MPI_")
        if name in waits.EXCHANGES:
            arguments = [("dest", call.peer), ("sendtag", call.tag)]
            arguments += [("source", call.got_source), ("recvtag", call.got_tag)] if call.state == INSIDE else []
        else:
            peer = "rank" if name.startswith("Win_") else "dest" if name in waits.SENDS else "source"
            arguments = [(peer, call.peer), ("tag", call.tag), ("root", call.root)]
        text = ", ".join(f"{what}={self.value(what, value)}" for what, value in arguments if value != NONE)
        return f"{name_of(call)}({text})" if text else name_of(call)

    @staticmethod
    def value(what: str, number: int) -> str:
        """An argument; the wildcards by their names."""
        if not is_any(number) or what in ("root", "dest"):
            return str(number)
        return "ANY_TAG" if "tag" in what else "ANY_SOURCE"

    def want(self, want: Want, always: bool = False) -> str:
        """What a thread is in."""
        collective = want.kind == waits.COLLECTIVE or always
        text = self.call(want.rank, want.of) + self.on(want.rank, want.of, collective)
        if want.of is want.call:
            return text
        return f"{want.call.operation.removeprefix('MPI_')} for {text}"

    # ---- places ----

    def place(self, rank: int, thread: int | None = None) -> Place | None:
        """Where a thread of a rank is in Python, by default the main one, which comes last in a dump."""
        stacks = self.job.ranks[rank].stacks
        if thread is not None and thread in stacks:
            return users_place(stacks[thread])
        return users_place(list(stacks.values())[-1]) if stacks else None

    def where(self, rank: int, thread: int | None = None, text: bool = True) -> str:
        """The same in words; "" if it is not known."""
        place = self.place(rank, thread)
        if place is None:
            return ""
        function = f" in {place.function}" if place.function != "<module>" else ""
        return f"{short(place.file)}:{place.line}{function}{': ' + place.text if text and place.text else ''}"

    def at(self, rank: int, thread: int | None = None) -> str:
        """` (file:line)`."""
        where = self.where(rank, thread, text=False)
        return f" ({where})" if where else ""

    # ---- what a rank does ----

    def state(self, rank: int) -> str:
        """What a rank that waits for nobody does, with its verb."""
        known = self.job.ranks[rank]
        match known.state:
            case "stopped":
                return "is stopped (by a signal or a debugger)"
            case "dead":
                return "has died" + (f" with status {known.status}" if known.status > 0 else "")
            case "finalized":
                return f"has finalized MPI and goes on{self._at_line(rank)}"
            case "not in MPI yet":
                return f"has not called mmpi.init() yet (pid {known.pid})"
            case "gone":
                return "has ended" if self.seen else "is not there"
        if self.job.is_over(rank):
            return f"is in MPI_Finalize{self.at(rank) or ' at the end of the program'}"
        return f"is outside MPI{self._at_line(rank)}"

    def states(self, ranks: Iterable[int]) -> str:
        """The state of ranks that are in the same."""
        numbers = list(ranks)
        state = self.state(numbers[0])
        if len(numbers) > 1:
            for one, many in (("is ", "are "), ("has ", "have ")):
                state = many + state.removeprefix(one) if state.startswith(one) else state
        return state

    @property
    def seen(self) -> bool:
        """Has any rank got through MPI_Init? Then all have been there."""
        return any(rank.comms or rank.state == FINALIZED for rank in self.job.ranks.values())

    def _at_line(self, rank: int) -> str:
        where = self.where(rank)
        return f" at {where}" if where else ""


def short(path: str) -> str:
    """A path as short as it can be found from here."""
    here = os.getcwd() + os.sep
    return path.removeprefix(here) if here != "//" else path
