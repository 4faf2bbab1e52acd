# SPDX-License-Identifier: BSD-3-Clause
"""Reading flight records from outside: the files `<pid>.page` in a job's folder. Their layout: src/core/flight.h."""

from __future__ import annotations

import contextlib
import os
import re
import struct
import time
from functools import cache
from typing import NamedTuple

_HEAD = struct.Struct("<8s4i5iiq256s512si4xq")
_KNOWN = struct.Struct("<3Q6i80s")
_RING = struct.Struct("<Q4iQQ11Q")
_CALL = struct.Struct("<6Q5q9i4x")
_MAGIC, _VERSION, _KNOWNS = b"mmpi-fly", 2, 256

NONE = -(2**31)  # an integer that a call does not have
INSIDE, DONE, IN_VAIN = 1, 2, 3  # the state of a call; in vain: a poll that found nothing


class Head(NamedTuple):
    """Who a rank is, and how it says that it ends."""

    pid: int
    rank: int
    size: int
    initialized: bool
    finalized: bool
    status: int  # exit status, -1 as long as none is decided
    decided: float  # when it was, in seconds since the epoch
    host: str = ""


class Comm(NamedTuple):
    """A communicator that a rank has."""

    id: int
    parent: int
    collectives: int  # so far
    rank: int
    size: int
    remote_size: int  # -1 unless it joins two groups
    leader: int  # rank in COMM_WORLD of its rank 0, -1: not known
    made: str  # by which function
    name: str


class Call(NamedTuple):
    """A call of MPI."""

    operation: str
    state: int
    sequence: int
    comm: int
    collective: int  # the number of the collective on its communicator; 0: it is none
    op: int
    request: int  # sequence of the call that started what is waited for
    age: float  # seconds since it began; of a poll in vain, since only such calls were made
    bytes: int
    peer: int
    tag: int
    root: int
    got_source: int
    got_tag: int
    requests: int
    typed: bool  # of a buffer; else of objects, or without data


class Thread(NamedTuple):
    """The latest calls of a thread, the newest last."""

    id: int  # the kernel's
    self: int  # pthread_self()
    completed: int  # calls that ended, other than polls in vain
    depth: int  # calls under way
    pending: list[int]  # sequences of the starts of what the latest Waitall, Waitany or Waitsome waits for
    calls: list[Call]


class Record(NamedTuple):
    """All that a rank tells."""

    head: Head
    comms: list[Comm]
    threads: list[Thread]

    @property
    def completed(self) -> int:
        """How many calls have ended so far."""
        return sum(thread.completed for thread in self.threads)


@cache
def operations() -> list[str]:
    """The names that the number of an operation can mean."""
    names = []
    for prefix, header in (("MPI", "functions.h"), ("MPIX", "extensions.h")):
        with open(os.path.join(os.path.dirname(__file__), "include", header)) as file:
            names += [f"{prefix}_{name}" for name in re.findall(rf"^{prefix}\([^,]+, (\w+),", file.read(), re.MULTILINE)]
    return names


def _operation(number: int) -> str:
    names = operations()
    return names[number] if 0 <= number < len(names) else ""


def _load(path: str, size: int = -1) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError:
        return b""


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode(errors="replace")


def _head(data: bytes) -> Head | None:
    if len(data) < _HEAD.size:
        return None
    magic, version, *_sizes, pid, rank, size, initialized, finalized, status, _, host, _, _, decided = _HEAD.unpack_from(data)
    if (magic, version) != (_MAGIC, _VERSION):
        return None
    return Head(pid, rank, size, bool(initialized), bool(finalized), status, decided / 1e9, _text(host))


def read_head(path: str) -> Head | None:
    """The head of one record; None if this is none, or of another version."""
    return _head(_load(path, _HEAD.size))


def read_heads(folder: str) -> dict[int, Head]:
    """The heads of all records in a job's folder, by pid (of a file from another host: by the number that it got here)."""
    return {int(os.path.basename(path).partition(".")[0]): head for path in _pages(folder) if (head := read_head(path))}


def read_record(path: str) -> Record | None:
    """One record; None if this is none, or of another version."""
    data = _load(path)
    head = _head(data)
    if head is None:
        return None
    start, threads, ring = struct.unpack_from("<3i", data, 12)
    size = _RING.size + ring * _CALL.size
    rings = start + _KNOWNS * _KNOWN.size
    if len(data) < rings + threads * size:
        return None
    known = (_KNOWN.unpack_from(data, start + i * _KNOWN.size) for i in range(_KNOWNS))
    comms = [Comm(*(*row[:7], _operation(row[7]), _text(row[9]))) for row in known if row[8] == 1]
    found = (_thread(data, rings + i * size, ring) for i in range(threads))
    return Record(head, comms, [thread for thread in found if thread])


def read_records(folder: str) -> list[Record]:
    """The records of a job's folder, by rank."""
    records = [record for path in _pages(folder) if (record := read_record(path))]
    return sorted(records, key=lambda record: record.head.rank)


def completed(folder: str) -> dict[int, int]:
    """How many calls of MPI have ended, by pid: cheaper than whole records, for looking often."""
    counts = {}
    for path in _pages(folder):
        with contextlib.suppress(OSError, struct.error), open(path, "rb") as file:
            data = file.read(_HEAD.size)
            head = _head(data)
            if head is None or head.finalized:
                continue
            start, threads, ring = struct.unpack_from("<3i", data, 12)
            at, step = start + _KNOWNS * _KNOWN.size, _RING.size + ring * _CALL.size
            heads = (os.pread(file.fileno(), _RING.size, at + i * step) for i in range(threads))
            counts[head.pid] = sum(_RING.unpack(data)[5] for data in heads)
    return counts


def _pages(folder: str) -> list[str]:
    try:
        return [os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".page")]
    except OSError:
        return []


def _thread(data: bytes, at: int, ring: int) -> Thread | None:
    calls, thread, depth, _, npending, done, own, *pending = _RING.unpack_from(data, at)
    if not thread:
        return None
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    numbers = range(max(0, calls - ring), calls)
    entries = [_call(data, at + _RING.size + number % ring * _CALL.size, now) for number in numbers]
    return Thread(thread, own, done, depth, pending[:npending], [call for call in entries if call.state])


def _call(data: bytes, at: int, now: int) -> Call:
    sequence, comm, collective, datatype, op, request, started, size, _, _, polling, *ints = _CALL.unpack_from(data, at)
    operation, peer, tag, root, got_source, got_tag, requests, _, state = ints
    name, polls = _operation(operation), state == IN_VAIN or (state == INSIDE and polling)
    age = max(0.0, (now - (polling if polls and polling else started)) / 1e9)
    what = (name, state, sequence, comm, collective, op, request, age, size, peer, tag, root, got_source, got_tag, requests)
    return Call(*what, typed=bool(datatype))
