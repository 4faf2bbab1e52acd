# SPDX-License-Identifier: BSD-3-Clause
"""What the ranks of a job are doing, on this host: from their flight records, /proc and their stacks. As JSON, it travels."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..flight import Call, Comm, Record, Thread, read_records
from ..launch import processes
from . import stacks
from .stacks import Place

RUNNING, STOPPED, DEAD, FINALIZED, OUTSIDE, GONE = "running", "stopped", "dead", "finalized", "not in MPI yet", "gone"


@dataclass(frozen=True)
class Rank:
    """One rank of a job at one moment."""

    rank: int  # in COMM_WORLD; -1 as long as it is in MPI_Init
    size: int
    pid: int
    host: str
    state: str
    status: int = -1  # the exit status that it has decided on
    comms: list[Comm] = field(default_factory=list)
    threads: list[Thread] = field(default_factory=list)
    stacks: dict[int, list[Place]] = field(default_factory=dict)  # by pthread_self()


def look(folder: str, answers: Mapping[int, dict[int, list[Place]]] | None = None) -> list[Rank]:
    """The ranks of the job with this folder that are on this host, by rank; with their stacks, for which they are asked."""
    records = read_records(folder)
    states = {record.head.pid: _state(record) for record in records}
    if answers is None:
        answers = stacks.ask(folder, [pid for pid, state in states.items() if state in (RUNNING, FINALIZED)])
    ranks = [_rank(record, states[record.head.pid], answers.get(record.head.pid, {})) for record in records]
    return ranks + _outside(folder, ranks)


def _state(record: Record) -> str:
    fields = processes.stat(record.head.pid)
    if not fields or fields[0] in "ZX":
        return DEAD
    if fields[0] in "Tt":
        return STOPPED
    return FINALIZED if record.head.finalized else RUNNING


def _rank(record: Record, state: str, answer: dict[int, list[Place]]) -> Rank:
    head = record.head
    number = head.rank if head.rank >= 0 else processes.rank_number(head.pid)
    return Rank(-1 if number is None else number, head.size, head.pid, head.host, state, head.status, record.comms, record.threads, answer)


def _outside(folder: str, ranks: list[Rank]) -> list[Rank]:
    """Processes of the job that are ranks by their environment, but have no record: they have not called init() yet."""
    there = {rank.rank for rank in ranks}
    found: dict[int, int] = {}
    for pid in processes.of_job(folder.rpartition("-")[2]):
        number = processes.rank_number(pid)
        if number is not None and number not in there:
            found.setdefault(number, pid)
    size = max((rank.size for rank in ranks), default=-1)
    return [Rank(number, size, pid, os.uname().nodename, OUTSIDE) for number, pid in sorted(found.items())]


def to_json(rank: Rank) -> dict[str, Any]:
    """A rank as plain dicts, lists and numbers."""
    return {
        **vars(rank),
        "comms": [comm._asdict() for comm in rank.comms],
        "threads": [{**thread._asdict(), "calls": [call._asdict() for call in thread.calls]} for thread in rank.threads],
        "stacks": {thread: [vars(place) for place in places] for thread, places in rank.stacks.items()},
    }


def from_json(data: dict[str, Any]) -> Rank:
    """The rank that `to_json` described."""
    return Rank(**{
        **data,
        "comms": [Comm(**comm) for comm in data["comms"]],
        "threads": [Thread(**{**thread, "calls": [Call(**call) for call in thread["calls"]]}) for thread in data["threads"]],
        "stacks": {int(thread): [Place(**place) for place in places] for thread, places in data["stacks"].items()},
    })
