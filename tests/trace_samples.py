# SPDX-License-Identifier: BSD-3-Clause
"""Traces of any size for tests of what reads them: a program that does not exist, on ranks that never ran."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from mmpi.trace.container import NO_COMM, NO_SITE, Trace, empty

# a step of every rank, in the order of the starts: name, depth, line, communicator
STEP = [
    ("step", 0, 10, 0), ("MPI_Irecv", 1, 12, 1), ("MPI_Isend", 1, 13, 1), ("MPI_Waitall", 1, 15, 0), ("MPI_Send", 1, 17, 1),
    ("MPI_Recv", 1, 18, 1), ("MPI_Allreduce", 1, 20, 1), ("checkpoint", 1, 22, 0),
]  # fmt: skip
NAMES = ["MPI_Irecv", "MPI_Isend", "MPI_Waitall", "MPI_Send", "MPI_Recv", "MPI_Allreduce", "step", "checkpoint"]
KINDS = {"step": ("state", "teal", "cells=%d"), "checkpoint": ("event", "orange", "")}
LINES = [line for _, _, line, _ in STEP]
TAG = 7


def sample(rows: int = 4, calls: int = 1000, seed: int = 0, lost: int = 0, slow: int | None = None) -> Trace:
    """A trace of `rows` ranks with about `calls` calls in all.

    Each step of a rank is a state with Irecv from the left, Isend to the right, Waitall, a blocking message from each even
    rank to the next, an Allreduce, and an event. `slow`: a rank that computes ten times as long before its Isend. `lost`: of
    so many messages only both ends are known, listed as unmatched. Who receives never does so before it was sent.
    """
    steps = max(1, calls // (rows * len(STEP)))
    start, duration = _simulated(rows, steps, np.random.default_rng(seed), slow)
    number = np.arange(rows * steps * len(STEP)).reshape(rows, steps, len(STEP))  # of the call
    table = empty("calls", number.size)
    shape = number.shape
    by_call = {name: table[name].reshape(shape) for name in table.dtype.names}
    by_call["start"][:], by_call["duration"][:] = start.transpose(1, 0, 2), duration.transpose(1, 0, 2)
    by_call["row"][:] = np.arange(rows)[:, None, None]
    by_call["operation"][:] = [NAMES.index(name) for name, *_ in STEP]
    by_call["depth"][:] = [depth for _, depth, _, _ in STEP]
    by_call["site"][:] = [1 + LINES.index(line) for line in LINES]
    by_call["comm"][:] = [comm for *_, comm in STEP]
    messages = _fill(by_call, rows, steps, number, np.random.default_rng(seed + 1))
    last = int((table["start"] + table["duration"]).max())
    kept = messages[lost:]
    missing = messages[:lost]
    unmatched = [(int(call), 1) for call in missing["send"]] + [(int(call), 2) for call in missing["receive"]]
    sites = [NO_SITE, *({"file": "solver.py", "line": line, "function": "main"} for line in LINES)]
    lists = (_rows(rows, last), _operations(), sites, [NO_COMM, _world(rows)], ["first", "second"])
    tables = (table, kept, _collectives(number), _nested(number, steps), _values(number, steps), _table("unmatched", unmatched))
    return Trace(_meta(rows, last, seed), *lists, *tables)


def _simulated(rows: int, steps: int, random: Any, slow: int | None) -> tuple[Any, Any]:
    """Starts and durations, [step, row, call of a step], in ns."""
    start, duration = (np.zeros((steps, rows, len(STEP)), "i8") for _ in range(2))
    work = random.exponential(20_000, (steps, rows, 3)).astype("i8")
    if slow is not None:
        work[:, slow, 0] = work[:, slow, 0] * 10 + 100_000
    cost = random.integers(200, 2000, (steps, rows, len(STEP)))
    pairs = rows // 2 * 2
    now = random.integers(0, 5000, rows)
    for i in range(steps):
        now = now + 100
        begin = start[i]
        begin[:, 0] = now
        begin[:, 1] = now + 50
        begin[:, 2] = begin[:, 1] + cost[i, :, 1] + work[i, :, 0]
        begin[:, 3] = begin[:, 2] + cost[i, :, 2] + work[i, :, 1]
        done = np.maximum(begin[:, 3], np.roll(begin[:, 2] + cost[i, :, 2], 1)) + cost[i, :, 3]
        begin[:, 4] = done + work[i, :, 2]
        begin[:, 5] = begin[:, 4] + cost[i, :, 4] + 10
        received = begin[:, 5] + cost[i, :, 5]
        received[1:pairs:2] = np.maximum(received[1:pairs:2], begin[0:pairs:2, 4] + 500)
        begin[:, 6] = received + 20
        together = begin[:, 6].max() + cost[i, :, 6]
        begin[:, 7] = together + 30
        now = begin[:, 7] + 100
        duration[i] = cost[i]
        duration[i, :, 0] = now - begin[:, 0]
        duration[i, :, 3] = done - begin[:, 3]
        duration[i, :, 5] = received - begin[:, 5]
        duration[i, :, 6] = together - begin[:, 6]
        duration[i, :, 7] = 0
    return start, duration


def _fill(call: dict[str, Any], rows: int, steps: int, number: Any, random: Any) -> Any:
    """Peers, tags, bytes of the calls; returns the messages in the order of their sends."""
    rank = np.arange(rows)
    pairs = rows // 2 * 2
    call["peer"][:], call["tag"][:], call["bytes"][:] = -1, -1, -1
    size = 2 ** random.integers(3, 20, (rows, steps))
    call["peer"][:, :, 1], call["peer"][:, :, 2] = (rank[:, None] - 1) % rows, (rank[:, None] + 1) % rows
    call["bytes"][:, :, 2], call["bytes"][:, :, 1] = size, np.roll(size, 1, axis=0)
    call["peer"][:, :, 4:6] = -2
    call["peer"][0:pairs:2, :, 4] = rank[1:pairs:2, None]
    call["peer"][1:pairs:2, :, 5] = rank[0:pairs:2, None]
    call["bytes"][:, :, 4:6] = 8
    call["tag"][:, :, 1:3], call["tag"][:, :, 4:6] = TAG, TAG + 1
    call["bytes"][:, :, 6] = 8
    call["tag"][:, :, 6] = np.arange(1, steps + 1)
    right = np.roll(number, -1, axis=0)
    ring = _messages(number[:, :, 2], number[:, :, 3], right[:, :, 1], right[:, :, 3], size, TAG)
    paired = _messages(number[0:pairs:2, :, 4], number[0:pairs:2, :, 4], number[1:pairs:2, :, 5], number[1:pairs:2, :, 5], 8, TAG + 1)
    both = np.concatenate([ring, paired])
    return both[np.argsort(call["start"].reshape(-1)[both["send"]], kind="stable")]


def _messages(send: Any, send_done: Any, receive: Any, receive_done: Any, size: Any, tag: int) -> Any:
    table = empty("messages", send.size)
    for name, values in (("send", send), ("send_done", send_done), ("receive", receive), ("receive_done", receive_done), ("bytes", size)):
        table[name] = values.reshape(-1) if hasattr(values, "reshape") else values
    table["tag"], table["comm"] = tag, 1
    return table


def _collectives(number: Any) -> Any:
    together = number[:, :, 6].T
    steps, rows = together.shape
    return _table("collectives", {"instance": np.repeat(np.arange(steps), rows), "call": together.reshape(-1), "done": together.reshape(-1)})


def _nested(number: Any, steps: int) -> Any:
    calls = number[:, :: max(1, steps // 5), 4].reshape(-1)
    return _table("nested", {"call": calls, "kind": 1, "after": 10, "duration": 80, "bytes": 64})


def _values(number: Any, steps: int) -> Any:
    """Each state has an integer, each event a float and a string."""
    states, events = number[:, :, 0].reshape(-1), number[:, :, 7].reshape(-1)
    bits = np.linspace(0, 1, len(events)).view("i8")
    parts = [(states, 0, 1, np.arange(len(states))), (events, 0, 2, bits), (events, 1, 3, np.arange(len(events)) % 2)]
    tables = [_table("values", {"call": calls, "position": at, "type": kind, "value": value}) for calls, at, kind, value in parts]
    both = np.concatenate(tables)
    return both[np.argsort(both["call"], kind="stable")]


def _table(name: str, columns: Any) -> Any:
    if isinstance(columns, dict):
        table = empty(name, max(np.size(values) for values in columns.values()))
        for column, values in columns.items():
            table[column] = values
        return table
    table = empty(name, len(columns))
    for i, values in enumerate(columns):
        table[i] = values
    return table


def _operations() -> list[dict[str, str]]:
    plain = ("mpi", "", "")
    return [dict(zip(("name", "kind", "color", "format"), (name, *KINDS.get(name, plain)), strict=True)) for name in NAMES]


def _world(rows: int) -> dict[str, Any]:
    return NO_COMM | {"gid": "1", "name": "MPI_COMM_WORLD", "size": rows, "members": list(range(rows))}


def _rows(rows: int, last: int) -> list[dict[str, Any]]:
    common = {"thread": 0, "first": 0, "last": last, "finished": True, "dropped": 0}
    return [{"rank": rank, "host": f"node{rank // 2}", "pid": 1000 + rank, "tid": 1000 + rank, **common} for rank in range(rows)]


def _meta(rows: int, last: int, seed: int) -> dict[str, Any]:
    clock = {"offset": 0, "drift": 0.0, "bound": 50, "residual": 10}
    hosts = [{"name": f"node{i}", "boot": f"boot-node{i}", **clock} for i in range((rows + 1) // 2)]
    return {
        "job": f"{seed:08x}", "program": "solver.py", "library": "MPICH 4.3.2", "began": 1_700_000_000_000_000_000, "duration": last,
        "size": rows, "hosts": hosts, "violations": 0, "dropped": 0, "record_ns": 40.0, "notes": [], "missing": [], "complete": True,
    }  # fmt: skip


small = functools.partial(sample, 4, 400)
