# SPDX-License-Identifier: BSD-3-Clause
"""The tables of the report, each from an analysis to what JSON can hold. Times in ns, sizes in bytes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from . import advice, waits
from .nesting import Array, Bools, Ints, ints
from .operations import ACCESSES, select, shown

if TYPE_CHECKING:
    from .analysis import Analysis

Table = list[dict[str, Any]]
DETAILED = 100  # causes of which the waits are told apart
OPEN, POLLS, DERIVED, COPIED = 1, 64, 16, 32  # flags of a call
WHY = ("", "sent, never received", "received, no send known", "request never completed", "collective that others did not call",
       "another collective there", "not recorded in full", "between unjoined WORLDs")  # fmt: skip
NESTED = ("", "pickling", "unpickling")
ACTIVITIES = ("computing", "in MPI", *NESTED[1:])


def everything(analysis: Analysis) -> dict[str, Any]:
    """All tables of the report."""
    meta = analysis.trace.meta
    result: dict[str, Any] = {
        "interval": {"start": analysis.start, "end": analysis.end, "duration": analysis.end - analysis.start, "whole": analysis.duration},
        "job": {name: meta.get(name) for name in ("job", "program", "library", "began", "size", "missing", "complete")}
        | {"ranks": len(analysis.main), "rows": len(analysis.trace.rows), "hosts": len({row.get("host") for row in analysis.trace.rows})},
        "totals": totals(analysis), "efficiency": analysis.efficiency, "rows": rows(analysis), "sites": sites(analysis),
        "waits": kinds(analysis), "causes": causes(analysis), "states": states(analysis), "sizes": sizes(analysis),
        "matrix": matrix(analysis), "accesses": accesses(analysis), "collectives": collectives(analysis),
        "unmatched": unmatched(analysis), "open": still_open(analysis), "pickling": pickling(analysis), "tracing": tracing(analysis),
    }  # fmt: skip
    result["advice"] = advice.find(analysis, result)
    return result


# ---- names ----------------------------------------------------------------------------------------------------------


def site_names(sites: Table) -> list[str]:
    """`file:line` of each site; folders only where two files have the same name. "" for the site that stands for none."""
    files = {site["file"] for site in sites if site["file"]}
    bases = [os.path.basename(file) for file in files]
    short = {file: base if bases.count(base) == 1 else os.path.join(os.path.basename(os.path.dirname(file)), base)
             for file, base in ((file, os.path.basename(file)) for file in files)}  # fmt: skip
    return [f"{short[site['file']]}:{site['line']}" if site["file"] else "" for site in sites]


class Groups:
    """Elements that have the same key, of one or several columns: sums and maxima over each group."""

    def __init__(self, *columns: Any) -> None:
        self.n = len(columns[0])
        code = np.zeros(self.n, dtype=np.int64)
        for column in columns:  # column by column, so that the numbers stay small
            values, part = np.unique(ints(column), return_inverse=True)
            _, code = np.unique(code * max(len(values), 1) + ints(part).reshape(-1), return_inverse=True)
            code = ints(code).reshape(-1)
        self.of = code
        self.count = np.bincount(code)
        self.order = np.argsort(code, kind="stable")
        self.starts = np.concatenate(([0], np.cumsum(self.count)))[:-1]
        self.first = self.order[self.starts] if self.n else np.zeros(0, dtype=np.int64)  # an element of each

    def __len__(self) -> int:
        return len(self.count)

    def sum(self, values: Any) -> Ints:
        """Sums over the groups, exact."""
        return ints(np.add.reduceat(ints(values)[self.order], self.starts)) if self.n else np.zeros(0, dtype=np.int64)

    def max(self, values: Any) -> Ints:
        """Maxima over the groups."""
        return ints(np.maximum.reduceat(ints(values)[self.order], self.starts)) if self.n else np.zeros(0, dtype=np.int64)


def _table(order: Any, **columns: Any) -> Table:
    """Rows of plain Python values, in an order."""
    taken = {
        name: [column[i] for i in order] if isinstance(column, list) else np.asarray(column)[order].tolist()
        for name, column in columns.items()
    }
    return [dict(zip(taken, values, strict=True)) for values in zip(*taken.values(), strict=True)]


def _largest(values: Ints) -> Ints:
    return np.argsort(-values, kind="stable")


# ---- the tables -----------------------------------------------------------------------------------------------------


def totals(a: Analysis) -> dict[str, int]:
    """Sums over all rows: the time that they were there (`wall`), in MPI, waiting; calls of MPI; messages and their bytes."""
    return {
        "wall": int(a.wall.sum()), "mpi": int(a.mpi.sum()), "wait": int(a.waiting.sum()),
        "pickling": sum(part["total"] for part in pickling(a)), "calls": int((a.outer & a.inside).sum()),
        "messages": len(a.counted), "bytes": int(ints(a.trace.messages["bytes"])[a.counted].clip(0).sum()),
    }  # fmt: skip


def rows(a: Analysis) -> Table:
    """Each row: its time outside MPI, in MPI, waiting; what it sent and received; what is unlike the other rows."""
    messages = a.trace.messages
    size = ints(messages["bytes"])[a.counted].clip(0)
    out, into = (a.per_row(a.row[ints(messages[end])[a.counted]], size) for end in ("send", "receive"))
    calls = np.bincount(a.row[a.outer & a.inside], minlength=len(a.trace.rows))
    app = a.wall - a.mpi
    unusual: list[list[str]] = [[] for _ in a.trace.rows]
    for name, values in (("app", app), ("wait", a.waiting)):
        for i, text in _outliers(values, a.wall):
            unusual[i].append(f"{name} {text}")
    every = range(len(a.trace.rows))
    return _table(
        np.arange(len(a.trace.rows)), row=list(every), rank=a.ranks, thread=[row.get("thread", 0) for row in a.trace.rows],
        host=[row.get("host", "") for row in a.trace.rows], wall=a.wall, app=app, mpi=a.mpi, wait=a.waiting, calls=calls,
        bytes_out=out, bytes_in=into, outlier=unusual,
    )  # fmt: skip


def _outliers(values: Ints, wall: Ints) -> list[tuple[int, str]]:
    """Rows whose time is far from the median: by more than 3.5 times the usual distance, and by 10 % of their time."""
    if len(values) < 3:
        return []
    middle = np.median(values)
    distance = np.maximum(1.4826 * np.median(np.abs(values - middle)), 0.02 * wall)
    off = (values - middle) / np.maximum(wall, 1)
    far = np.flatnonzero((np.abs(values - middle) > 3.5 * distance) & (np.abs(off) > 0.1))
    return [(int(i), f"{off[i] * 100:+.0f} %") for i in far]


def sites(a: Analysis) -> Table:
    """Each operation at each line: calls of MPI that are not inside another one."""
    calls = np.flatnonzero(a.outer & a.inside)
    groups = Groups(a.operation[calls], a.site[calls])
    time, flags, size = a.time[calls], ints(a.calls["flags"])[calls], ints(a.calls["bytes"])[calls].clip(0)
    polls = (flags & POLLS) != 0
    waited = np.zeros(len(a.row), dtype=np.int64)
    waited[a.waits["call"]] = a.waits["duration"]
    total, wait = groups.sum(time), groups.sum(waited[calls])
    cov, ranks = _variation(groups, a.ranks[a.row[calls]], time)
    first = calls[groups.first]
    names, operations = site_names(a.trace.sites), [shown(op["name"]) for op in a.trace.operations]
    return _table(
        _largest(total), operation=[operations[i] for i in a.operation[first].tolist()], place=[names[i] for i in a.site[first].tolist()],
        site=a.site[first], count=groups.count, ranks=ranks, total=total, mean=total / np.maximum(groups.count, 1), max=groups.max(time),
        cov=cov, bytes=groups.sum(np.where(polls, 0, size)), wait=wait, wait_share=wait / np.maximum(total, 1),
        polls=groups.sum(np.where(polls, size, 0)),
        copied=groups.sum((flags & COPIED) != 0), derived=groups.sum((flags & DERIVED) != 0),
    )  # fmt: skip


def _variation(groups: Groups, rank: Ints, time: Ints) -> tuple[Array, Ints]:
    """Of each group: the standard deviation over the mean of the total times of the ranks in it, and how many ranks these are."""
    pairs = Groups(groups.of, rank)
    total, owner = pairs.sum(time).astype(float), groups.of[pairs.first]
    ranks = np.bincount(owner, minlength=len(groups))
    mean = np.bincount(owner, weights=total, minlength=len(groups)) / np.maximum(ranks, 1)
    variance = np.bincount(owner, weights=(total - mean[owner]) ** 2, minlength=len(groups)) / np.maximum(ranks, 1)
    return np.sqrt(variance) / np.maximum(mean, 1e-300), ranks


def kinds(a: Analysis) -> Table:
    """Each kind of wait state that occurs."""
    groups = Groups(a.waits["kind"])
    total = groups.sum(a.waits["duration"])
    kind = [waits.KINDS[i] for i in a.waits["kind"][groups.first].tolist()]
    return _table(_largest(total), kind=kind, count=groups.count, total=total, max=groups.max(a.waits["duration"]))


def causes(a: Analysis) -> Table:
    """What made others wait: which rank, what it did and where; of the largest also which waits they caused most."""
    w = a.waits
    state = np.where(w["cause_state"] >= 0, a.operation[w["cause_state"]], -1) if len(w) else ints(w["cause_state"])
    state_site = np.where(state >= 0, a.site[w["cause_state"]], 0) if len(w) else state
    late = ints(w["cause_call"])
    activity = np.where(w["cause"] == waits.IN_MPI, _pickles(a)[late], 0) if len(w) else late
    groups = Groups(a.ranks[w["cause_row"]], activity, state, state_site, a.operation[late], a.site[late])
    total, order = groups.sum(w["duration"]), _largest(groups.sum(w["duration"]))
    first = groups.first
    names, operations = site_names(a.trace.sites), [shown(op["name"]) for op in a.trace.operations]
    victims: list[Table] = [[] for _ in range(len(groups))]
    for i in order[:DETAILED].tolist():
        members = groups.order[groups.starts[i] : groups.starts[i] + groups.count[i]]
        victims[i] = _victims(a, w[members], names, operations)
    return _table(
        order, rank=a.ranks[w["cause_row"][first]], activity=[ACTIVITIES[i] for i in activity[first].tolist()],
        state=[operations[i] if i >= 0 else "" for i in state[first].tolist()], state_place=[names[i] for i in state_site[first].tolist()],
        operation=[operations[i] for i in a.operation[late[first]].tolist()], place=[names[i] for i in a.site[late[first]].tolist()],
        site=a.site[late[first]], wait=total, count=groups.count, victims=victims,
    )  # fmt: skip


def _pickles(a: Analysis) -> Ints:
    """What each call does for most of its time, if it is MPI: an index into ACTIVITIES."""
    activity, nested = np.ones(len(a.row), dtype=np.int64), a.trace.nested
    for kind in (1, 2):
        chosen = nested["kind"] == kind
        time = np.bincount(ints(nested["call"])[chosen], weights=ints(nested["duration"])[chosen], minlength=len(a.row))
        activity[2 * time > ints(a.calls["duration"])] = 1 + kind
    return activity


def _victims(a: Analysis, w: Array, names: list[str], operations: list[str]) -> Table:
    """The three largest parts of some waits, by kind and line."""
    groups = Groups(w["kind"], a.operation[w["call"]], a.site[w["call"]])
    total, call = groups.sum(w["duration"]), ints(w["call"])[groups.first]
    members = [
        np.unique(a.ranks[a.row[w["call"][groups.order[at : at + n]]]]).tolist()
        for at, n in zip(groups.starts, groups.count, strict=True)
    ]
    return _table(
        _largest(total)[:3], kind=[waits.KINDS[i] for i in w["kind"][groups.first].tolist()],
        operation=[operations[i] for i in a.operation[call].tolist()], place=[names[i] for i in a.site[call].tolist()],
        wait=total, count=groups.count, ranks=members,
    )  # fmt: skip


def states(a: Analysis) -> Table:
    """The user's states: count; inclusive time (of one inside itself the outer one counts); exclusive time."""
    calls = np.flatnonzero(a.is_state & a.inside)
    groups = Groups(a.operation[calls])
    inclusive = groups.sum(np.where(_inside_itself(a, calls), 0, a.time[calls]))
    names = [a.trace.operations[i]["name"] for i in a.operation[calls[groups.first]].tolist()]
    ranks = _variation(groups, a.ranks[a.row[calls]], a.time[calls])[1]
    return _table(
        _largest(inclusive), state=names, count=groups.count, ranks=ranks, inclusive=inclusive, exclusive=groups.sum(a.own[calls])
    )


def _inside_itself(a: Analysis, calls: Ints) -> Bools:
    inside = np.zeros(len(calls), dtype=np.bool_)
    around = a.nesting.parent[calls]
    at = np.flatnonzero(around >= 0)
    while len(at):
        inside[at] |= a.operation[around[at]] == a.operation[calls[at]]
        around[at] = a.nesting.parent[around[at]]
        at = at[around[at] >= 0]
    return inside


def sizes(a: Analysis) -> Table:
    """Messages by size: `low` up to `high` bytes, powers of two. Time: from when both sides had begun to the end of the receive."""
    messages = a.trace.messages[a.counted]
    messages = messages[messages["receive_done"] >= 0]
    size = ints(messages["bytes"]).clip(0)
    both = np.maximum(a.nesting.begin[ints(messages["send"])], a.nesting.begin[ints(messages["receive"])])
    time = np.maximum(a.nesting.finish[ints(messages["receive_done"])] - both, 0)
    power = np.frexp(size.astype(float))[1]
    groups = Groups(power)
    total, size_sum = groups.sum(time), groups.sum(size)
    top = ints(power)[groups.first]
    return _table(
        np.arange(len(groups)), low=np.where(top > 0, 1 << np.maximum(top - 1, 0), 0), high=np.where(top > 0, (1 << top) - 1, 0),
        count=groups.count, bytes=size_sum, time=total, mean=total / np.maximum(groups.count, 1),
        bandwidth=size_sum / np.maximum(total, 1) * 1e9,
    )  # fmt: skip


def matrix(a: Analysis) -> Table:
    """Messages from rank to rank: count, bytes, and how long the two waited for each other in them."""
    messages = a.trace.messages[a.counted]
    w = a.waits[a.waits["kind"] <= waits.LATE_RECEIVER]
    late = w["kind"] == waits.LATE_RECEIVER
    victim, culprit = a.ranks[a.row[w["call"]]], a.ranks[w["culprit_row"]]
    source = np.concatenate((a.ranks[a.row[ints(messages["send"])]], np.where(late, victim, culprit)))
    dest = np.concatenate((a.ranks[a.row[ints(messages["receive"])]], np.where(late, culprit, victim)))
    groups, none = Groups(source, dest), np.zeros(len(w), dtype=np.int64)
    count = groups.sum(np.concatenate((np.ones_like(a.counted), none)))
    size = groups.sum(np.concatenate((ints(messages["bytes"]).clip(0), none)))
    wait = groups.sum(np.concatenate((np.zeros_like(a.counted), w["duration"])))
    return _table(_largest(size), source=source[groups.first], dest=dest[groups.first], count=count, bytes=size, wait=wait)


def accesses(a: Analysis) -> Table:
    """One-sided communication: which rank accesses whose memory how, how often, and with how many bytes."""
    target = ints(a.calls["world_peer"])
    calls = np.flatnonzero((select(a.trace.operations, ACCESSES)[a.operation] == 1) & a.inside & (target >= 0))
    groups = Groups(a.operation[calls], a.ranks[a.row[calls]], target[calls])
    first, size = calls[groups.first], groups.sum(ints(a.calls["bytes"])[calls].clip(0))
    return _table(
        np.lexsort((-groups.count, -size)), operation=[shown(a.trace.operations[i]["name"]) for i in a.operation[first].tolist()],
        source=a.ranks[a.row[first]], target=target[first], count=groups.count, bytes=size, total=groups.sum(a.time[calls]),
    )  # fmt: skip


def collectives(a: Analysis) -> Table:
    """Collectives by operation, size of the communicator, and bytes on a rank (powers of two)."""
    call, done = (ints(a.trace.collectives[name]) for name in ("call", "done"))
    here = a.inside[call] & a.outer[call]
    call, done, instance = call[here], done[here], ints(a.trace.collectives["instance"])[here]
    comm_size = np.array([comm.get("size", 0) + max(int(comm.get("remote_size", -1)), 0) for comm in a.trace.comms], dtype=np.int64)
    size = ints(a.calls["bytes"])[call].clip(0)
    power = np.frexp(size.astype(float))[1]
    waited = np.zeros(len(a.row) + 1, dtype=np.int64)
    together = a.waits["kind"] > waits.LATE_RECEIVER
    waited[a.waits["call"][together]] = a.waits["duration"][together]
    groups = Groups(a.operation[call], comm_size[ints(a.calls["comm"])[call]], power)
    total, first = groups.sum(a.time[call]), call[groups.first]
    top = ints(power)[groups.first]
    instances = np.bincount(groups.of[Groups(groups.of, instance).first], minlength=len(groups)) if len(call) else groups.count
    return _table(
        _largest(total), operation=[shown(a.trace.operations[i]["name"]) for i in a.operation[first].tolist()],
        comm_size=comm_size[ints(a.calls["comm"])[first]], high=np.where(top > 0, (1 << top) - 1, 0), instances=instances, calls=groups.count,
        total=total, mean=total / np.maximum(groups.count, 1), wait=groups.sum(waited[done]), bytes=groups.sum(size),
    )  # fmt: skip


def unmatched(a: Analysis) -> Table:
    """What has no counterpart, by reason, rank, operation, and line; with the peer and tag of one of them."""
    call, why = ints(a.trace.unmatched["call"]), ints(a.trace.unmatched["why"])
    call, why = call[a.inside[call]], why[a.inside[call]]
    groups = Groups(why, a.ranks[a.row[call]], a.operation[call], a.site[call])
    first, names = call[groups.first], site_names(a.trace.sites)
    reasons = [WHY[i] if 0 < i < len(WHY) else f"reason {i}" for i in why[groups.first].tolist()]
    return _table(
        np.lexsort((-groups.count, why[groups.first])), why=reasons, rank=a.ranks[a.row[first]],
        operation=[shown(a.trace.operations[i]["name"]) for i in a.operation[first].tolist()], place=[names[i] for i in a.site[first].tolist()],
        count=groups.count, peer=ints(a.calls["peer"])[first], tag=ints(a.calls["tag"])[first], bytes=ints(a.calls["bytes"])[first],
        start=a.nesting.begin[first],
    )  # fmt: skip


def still_open(a: Analysis) -> Table:
    """Calls of MPI and states that had not ended when the trace did: what each row was doing, the outermost first."""
    calls = np.flatnonzero(((ints(a.calls["flags"]) & OPEN) != 0) & a.inside)
    names = site_names(a.trace.sites)
    return _table(
        np.arange(len(calls)), rank=a.ranks[a.row[calls]], row=a.row[calls], place=[names[i] for i in a.site[calls].tolist()],
        operation=[shown(a.trace.operations[i]["name"]) for i in a.operation[calls].tolist()],
        kind=[a.trace.operations[i]["kind"] for i in a.operation[calls].tolist()], peer=ints(a.calls["world_peer"])[calls],
        start=a.nesting.begin[calls],
    )  # fmt: skip


def pickling(a: Analysis) -> Table:
    """Pickling and unpickling by line: time inside the interval, and bytes."""
    nested = a.trace.nested
    call = ints(nested["call"])
    begin = ints(a.calls["start"])[call] + ints(nested["after"])
    finish = begin + ints(nested["duration"])
    here = (begin <= a.end) & (finish >= a.start)
    call, time = call[here], (np.clip(finish, a.start, a.end) - np.clip(begin, a.start, a.end))[here]
    kind, size = ints(nested["kind"])[here], ints(nested["bytes"])[here]
    groups = Groups(kind, a.operation[call], a.site[call])
    total, first, names = groups.sum(time), call[groups.first], site_names(a.trace.sites)
    return _table(
        _largest(total), kind=[NESTED[i] if 0 < i < len(NESTED) else f"kind {i}" for i in kind[groups.first].tolist()],
        operation=[shown(a.trace.operations[i]["name"]) for i in a.operation[first].tolist()], place=[names[i] for i in a.site[first].tolist()],
        count=groups.count, total=total, bytes=groups.sum(size), bandwidth=groups.sum(size) / np.maximum(total, 1) * 1e9,
    )  # fmt: skip


def tracing(a: Analysis) -> dict[str, Any]:
    """What tracing itself cost, what it lost, and how well the clocks agree."""
    meta, trace = a.trace.meta, a.trace
    completed = sum(int(((trace.messages[done] >= 0) & (trace.messages[done] != trace.messages[start])).sum())
                    for start, done in (("send", "send_done"), ("receive", "receive_done")))  # fmt: skip
    completed += int(((trace.collectives["done"] >= 0) & (trace.collectives["done"] != trace.collectives["call"])).sum())
    records = len(trace.calls) + completed + len(trace.nested) + len(trace.values)
    cost = float(meta.get("record_ns") or 0)
    wall = sum(int(row["last"]) - int(row["first"]) for row in trace.rows)
    return {
        "records": records, "record_ns": cost, "total": round(records * cost), "share": records * cost / wall if wall > 0 else 0.0,
        "dropped": int(meta.get("dropped") or 0), "violations": int(meta.get("violations") or 0), "hosts": list(meta.get("hosts") or []),
        "assumed": int((trace.messages["assumed"] != 0).sum()), "notes": list(meta.get("notes") or []),
        "unfinished": [row["rank"] for row in trace.rows if not row.get("finished", True)],
    }  # fmt: skip
