# SPDX-License-Identifier: BSD-3-Clause
"""The report on a job: what is wrong in three lines, then every rank, those alike together."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from typing import Any

from ..flight import IN_VAIN, Call
from . import waits
from .findings import Finding, find
from .look import RUNNING, STOPPED, Rank, to_json
from .waits import Job, Want
from .words import Words, duration, plural, ranks_text

MANY = 10  # groups of ranks that are still told apart by their partners


def lines(ranks: Sequence[Rank]) -> list[str]:
    """The whole report."""
    job = Job(ranks)
    found = find(job)
    first = found[0].lines() if found else [_fine(job)]
    more = [f"also: {finding.title}" for finding in found[1:]]
    return [*first, *more, *groups(job)]


def _fine(job: Job) -> str:
    if not any(job.wants):
        return "nobody waits in MPI"
    return "ranks wait, and nothing seems wrong: those that they wait for are in MPI calls of their own"


def groups(job: Job, wanted: Container[int] | None = None) -> list[str]:
    """What each rank does, in ranks that do the same."""
    words = Words(job)
    found: dict[tuple[str, ...], list[int]] = {}
    for rank in job.ranks if wanted is None else [rank for rank in job.ranks if rank in wanted]:
        found.setdefault(tuple(_doing(job, words, rank)), []).append(rank)
    if len(found) > MANY:
        found = coarser(found)
    text = []
    for doing, ranks in found.items():
        age = _age(job, ranks)
        for i, line in enumerate(doing):
            start = f"{ranks_text(ranks)}: " if i == 0 else "    "
            text.append(start + line.removeprefix("is ").replace("{age}", age))
    return text


def coarser(found: dict[tuple[str, ...], list[int]]) -> dict[tuple[str, ...], list[int]]:
    """Fewer groups: without the ranks with which each one communicates."""
    merged: dict[tuple[str, ...], list[int]] = {}
    for doing, ranks in found.items():
        key = tuple(re.sub(r"(source|dest|root)=\d+", r"\1=...", line) for line in doing if not line.startswith("waits for"))
        merged.setdefault(key, []).extend(ranks)
    return {doing: sorted(ranks) for doing, ranks in merged.items()}


def _age(job: Job, ranks: Sequence[int]) -> str:
    ages = [call.age for rank in ranks for _, call in job.active(rank)] or [c.age for rank in ranks for c in job.calls(rank)[-1:]]
    return duration(max(ages, default=0.0))


def _doing(job: Job, words: Words, rank: int) -> list[str]:
    """What one rank does; {age} stands for how long."""
    known = job.ranks[rank]
    if known.state not in (RUNNING, STOPPED):
        return [words.state(rank)]
    doing = [line for thread, call in job.active(rank) for line in _waiting(job, words, rank, thread.self, call)]
    if known.state == STOPPED:
        doing = [words.state(rank), *doing]
    inside = [thread.id for thread, _ in job.active(rank)]
    if not doing:
        return [words.state(rank) + _last(words, rank, job.calls(rank))]
    if known.state == RUNNING and known.pid not in inside and (where := words.where(rank)):
        doing.append(f"its main thread is outside MPI at {where}")
    return doing


def _last(words: Words, rank: int, calls: Sequence[Call]) -> str:
    last = calls[-1:]
    return f"; its last call of MPI was {words.call(rank, last[0])}{words.on(rank, last[0])}, begun {{age}} ago" if last else ""


def _waiting(job: Job, words: Words, rank: int, thread: int, call: Call) -> list[str]:
    wants = [want for want in job.wants_of(rank) if want.thread == thread and want.call == call]
    verb = "polls in vain by" if call.state == IN_VAIN else "in"
    what = words.want(wants[0]) if wants else words.call(rank, call)
    if call.requests > 1 or len({want.of.sequence for want in wants}) > 1:
        what = f"{call.operation.removeprefix('MPI_')} of {call.requests} requests"
    where = words.where(rank, thread)
    return [f"{verb} {what} for {{age}}{' at ' + where if where else ''}", *(_for_what(job, words, want) for want in wants if want.peers)]


def _for_what(job: Job, words: Words, want: Want) -> str:
    peers = want.peers
    what = f" ({words.call(want.rank, want.of)})" if want.of is not want.call else ""
    some = "one of " if want.one and len(peers) > 1 else ""
    text = f"waits for {some}{ranks_text(peers)}{what}"
    if want.kind == waits.RECEIVE and len(peers) == 1 and peers[0] != want.rank:
        text += f"; {_sent(job, want, peers[0])}"
    return text


def _sent(job: Job, want: Want, sender: int) -> str:
    """What the sender that a receive names has done about it."""
    if job.is_over(sender):
        return f"rank {sender} will send nothing more"
    sends = [call for call in job.calls(sender) if call.operation.removeprefix("MPI_") in (*waits.SENDS, *waits.EXCHANGES)]
    here = [call for call in sends if job.peer(sender, call.comm, call.peer) == want.rank]
    if not here:
        return f"rank {sender} has sent it nothing lately"
    tags = sorted({call.tag for call in here})
    return f"rank {sender} has sent it {plural(tags, 'tag', 'tags')} {', '.join(map(str, tags[:6]))} lately"


def as_json(job: str, ranks: Sequence[Rank]) -> dict[str, Any]:
    """Everything, for programs; and for another host, which merges the ranks of several by `look.from_json`."""
    known = Job(ranks)
    findings: list[Finding] = find(known)
    return {
        "version": 1,
        "job": job,
        "findings": [vars(finding) for finding in findings],
        "groups": groups(known),
        "ranks": [to_json(rank) for rank in ranks],
    }

