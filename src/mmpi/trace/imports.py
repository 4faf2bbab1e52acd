# SPDX-License-Identifier: BSD-3-Clause
"""`mmpi trace import`: traces that other tools wrote, as traces of ours.

`read(path)` does the same in a program. `build` makes a trace of what enters and leaves states, for the readers of formats.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .container import NO_COMM, NO_SITE, Trace, TraceError, empty
from .export import Progress
from .words import check_folder_of, reason

EPILOG = """\
FILE is a CLOG-2 file of MPE2 (.clog2, version CLOG-02.44), or the anchor file of an OTF2 trace (.otf2; needs pip install 'maroonmpi[otf2]').
Afterwards `mmpi trace report` and `mmpi trace view` take X.mmpit.
"""
Tell = Callable[[int, int], None]
OPEN = 1
SEND_ALONE, RECEIVE_ALONE = 1, 2
COLLECTIVE = re.compile(
    r"P?MPI_I?(barrier|bcast|(all)?gatherv?|scatterv?|(all)?reduce|reduce_scatter(_block)?|alltoall[vw]?|(ex)?scan|neighbor_all\w+|comm_(dup|split|create))(_c)?$",
    re.IGNORECASE,
)
LONGEST = 1 << 62  # ns: times beyond are damage


@dataclass
class Operation:
    """What a state or event is called, and looks like."""

    name: str
    kind: str  # mpi, state, event, counter
    color: str = ""
    format: str = ""


@dataclass
class Events:
    """What happened, in the order in which each row did it. Columns are arrays of the same length."""

    row: Any
    time: Any  # ns
    step: Any  # 1 enter, -1 leave, 0 a moment
    operation: Any  # of an enter or leave; of a moment -1 if it is only a side of a message
    comm: Any  # number in `comms`
    rows: list[dict[str, Any]]
    operations: list[Operation]
    comms: list[dict[str, Any]] = field(default_factory=lambda: [dict(NO_COMM)])
    sites: list[dict[str, Any]] = field(default_factory=lambda: [dict(NO_SITE)])
    strings: list[str] = field(default_factory=list)


@dataclass
class Built:
    """The calls of a trace in the making, and which events made them."""

    calls: Any
    call_of: Any  # number of the call that an event entered, left or is; -1 if none
    around: Any  # of a moment: the call it happened in, itself if it is a call, -1
    strays: int  # leaves of what was never entered


def read(path: str | os.PathLike[str], progress: Tell | None = None) -> Trace:
    """The trace in a CLOG-2 file or an OTF2 archive. TraceError for what is neither, or damaged: it names file, place and what is wrong."""
    path = os.fspath(path)
    tell = progress or (lambda done, total: None)
    anchor = _anchor(path)
    if anchor:
        from . import otf2_reader

        return otf2_reader.read(anchor, tell)
    with open(path, "rb") as file:
        start = file.read(5)
    if start == b"CLOG-":
        from . import clog2_reader

        return clog2_reader.read(path, tell)
    if not start:
        raise TraceError(f"{path}: the file is empty")
    raise TraceError(
        f"{path}: neither CLOG-2 nor OTF2: it begins with {start!r} (CLOG-2 begins with b'CLOG-', an OTF2 trace is named by its file .otf2)"
    )


def _anchor(path: str) -> str:
    """The anchor file of the OTF2 trace that is meant, or nothing."""
    if path.endswith(".otf2") and os.path.isfile(path):
        return path
    if not os.path.isdir(path):
        return ""
    anchors = sorted(name for name in os.listdir(path) if name.endswith(".otf2"))
    if len(anchors) != 1:
        raise TraceError(
            f"{path}: a folder with {len(anchors)} files .otf2: name the one that is meant"
            if anchors
            else f"{path}: a folder without a file .otf2"
        )
    return os.path.join(path, anchors[0])


def build(events: Events) -> Built:
    """Calls of events: one for each enter (open if it is never left) and for each moment of an operation. Events of a row stand together."""
    import numpy as np

    from .sequence import innermost, pair, running

    row, step, operation = (np.asarray(column, np.int64) for column in (events.row, events.step, events.operation))
    time = np.asarray(events.time, np.int64)
    states = np.flatnonzero(step != 0)
    pairs = pair(row[states] * (len(events.operations) + 1) + operation[states], step[states])
    enter, leave, stray = states[pairs.enter], np.where(pairs.leave >= 0, states[pairs.leave], -1), states[pairs.stray]
    moments = np.flatnonzero((step == 0) & (operation >= 0))
    first = np.concatenate([enter, moments])
    last = np.concatenate([leave, moments])
    order = np.argsort(first, kind="stable")
    first, last = first[order], last[order]
    valid = step.copy()
    valid[stray] = 0
    valid[enter[leave < 0]] = 0  # an open one holds nothing: what came after it did not nest in it for certain
    ends = _last_of_rows(row, time)
    calls = empty("calls", len(first))
    calls["row"], calls["operation"], calls["comm"] = row[first], operation[first], np.asarray(events.comm, np.int64)[first]
    calls["start"] = time[first]
    calls["duration"] = np.maximum(np.where(last >= 0, time[last], ends[row[first]]) - time[first], 0)
    calls["flags"] = np.where(last >= 0, 0, OPEN)
    calls["depth"] = (running(row, valid) - (valid > 0))[first].clip(0) if len(row) else 0
    for column in ("peer", "tag", "bytes"):
        calls[column] = -1
    call_of = np.full(len(row), -1)
    call_of[first] = np.arange(len(first))
    call_of[last[last >= 0]] = np.flatnonzero(last >= 0)
    inside = innermost(row, valid)
    around = np.where(call_of >= 0, call_of, np.where(inside >= 0, call_of[inside], -1))
    return Built(calls, call_of, around, len(stray))


def stand_alone(events: Events, sides: Any, names: Any) -> int:
    """Make those sides of messages that are in no call of MPI events of their own, with these names; how many they are.

    Users log messages where they like: such a side would else be taken for one with the begin of the state around it."""
    import numpy as np

    built = build(events)
    inside = built.around[sides]
    kinds = np.array([operation.kind == "mpi" for operation in events.operations] or [False])
    of_mpi = np.zeros(len(sides), bool)
    of_mpi[inside >= 0] = kinds[built.calls["operation"][inside[inside >= 0]]]
    lone, titles = sides[~of_mpi], np.asarray(names)[~of_mpi]
    for title in dict.fromkeys(titles.tolist()):
        events.operations.append(Operation(title, "event"))
        events.operation[lone[titles == title]] = len(events.operations) - 1
    return len(lone)


def _last_of_rows(row: Any, time: Any) -> Any:
    import numpy as np

    ends = np.zeros(int(row.max(initial=-1)) + 1, np.int64)
    np.maximum.at(ends, row, time)
    return ends


def collectives(events: Events, calls: Any) -> Any:
    """The table `collectives` where a format does not tell: the n-th on a communicator of each rank belong together if all are one function."""
    import numpy as np

    from .sequence import occurrence

    table = np.array([COLLECTIVE.match(operation.name) is not None for operation in events.operations] or [False])
    ranks = np.array([row["rank"] for row in events.rows] or [0], np.int64)
    chosen = np.flatnonzero(table[calls["operation"]] & (calls["comm"] > 0)) if len(calls) else np.zeros(0, np.int64)
    chosen = chosen[np.argsort(calls["start"][chosen], kind="stable")]
    comm, operation = calls["comm"][chosen].astype(np.int64), calls["operation"][chosen].astype(np.int64)
    nth = occurrence(comm, ranks[calls["row"][chosen]])
    keys, instance = np.unique(comm * (nth.max(initial=0) + 1) + nth, return_inverse=True)
    least, most = np.full(len(keys), len(events.operations)), np.full(len(keys), -1)
    np.minimum.at(least, instance, operation)
    np.maximum.at(most, instance, operation)
    agreed = (least == most)[instance]
    order = np.argsort(instance[agreed], kind="stable")
    result = empty("collectives", len(order))
    result["instance"] = np.unique(instance[agreed][order], return_inverse=True)[1]
    result["call"] = result["done"] = chosen[agreed][order]
    return result


def finish(events: Events, built: Built, meta: dict[str, Any], **tables: Any) -> Trace:
    """The trace; operations of MPI are put first, calls into the order of their start, and numbers of calls in the tables follow."""
    import numpy as np

    calls = built.calls
    order = np.lexsort((calls["depth"], calls["start"], calls["row"]))
    new = np.empty(len(order), np.int64)
    new[order] = np.arange(len(order))
    for table, columns in (
        ("messages", ("send", "send_done", "receive", "receive_done")), ("collectives", ("call", "done")), ("values", ("call",)),
        ("unmatched", ("call",)),
    ):  # fmt: skip
        for column in columns if table in tables else ():
            old = tables[table][column]
            tables[table][column] = np.where(old >= 0, new[old], -1) if len(new) else old
    if "messages" in tables:
        tables["messages"] = tables["messages"][np.argsort(calls["start"][order][tables["messages"]["send"]], kind="stable")]
    for name, keys in (("values", ("call",)), ("unmatched", ("call",)), ("collectives", ("call", "instance"))):
        if name in tables:
            tables[name] = tables[name][np.lexsort([tables[name][key] for key in keys])]
    first = sorted(range(len(events.operations)), key=lambda number: events.operations[number].kind != "mpi")
    place = np.empty(len(first), np.int64)
    place[first] = np.arange(len(first))
    calls = calls[order]
    calls["operation"] = place[calls["operation"]] if len(first) else 0
    operations = [vars(events.operations[number]) for number in first]
    _describe_rows(events, calls)
    return Trace(meta, events.rows, operations, events.sites, events.comms, events.strings, calls, **tables)


def _describe_rows(events: Events, calls: Any) -> None:
    import numpy as np

    for number, row in enumerate(events.rows):
        mine = calls[np.searchsorted(calls["row"], number) : np.searchsorted(calls["row"], number + 1)]
        begin = int(mine["start"][0]) if len(mine) else 0
        end = int((mine["start"] + mine["duration"]).max()) if len(mine) else 0
        known = {
            "thread": 0,
            "host": "",
            "pid": 0,
            "tid": 0,
            "first": begin,
            "last": end,
            "finished": not bool((mine["flags"] & OPEN).any()),
            "dropped": 0,
        }
        row.update({key: value for key, value in known.items() if key not in row})


def describe(path: str, library: str, rows: list[dict[str, Any]], duration: int, began: int = 0, notes: Sequence[str] = ()) -> dict[str, Any]:
    """What the `meta` of an imported trace says."""
    names = list(dict.fromkeys(row.get("host", "") for row in rows)) or [""]
    return {
        "job": "", "program": os.path.basename(path), "library": library, "began": began, "duration": duration,
        "size": 1 + max((row["rank"] for row in rows), default=-1),
        "hosts": [{"name": name, "boot": "", "offset": 0, "drift": 0.0, "bound": 0, "residual": 0} for name in names], "violations": 0,
        "dropped": 0,
        "record_ns": 0.0, "notes": list(notes), "missing": [], "complete": True,
    }  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mmpi trace import", description="Make a trace of what another tool wrote.", epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("file", metavar="FILE", help="a file .clog2, or .otf2 (or the folder that it is in)")
    parser.add_argument("-o", "--output", required=True, metavar="X.mmpit", help="the trace to write; one that exists is replaced")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run `mmpi trace import`; return the exit status."""
    options = _parser().parse_args(list(argv))
    try:
        check_folder_of(options.output)
        with Progress("mmpi trace import") as progress:
            trace = read(options.file, progress)
            trace.write(options.output)
    except (OSError, ValueError, ImportError) as error:
        print(f"mmpi trace import: {reason(error)}", file=sys.stderr)
        return 1
    print(
        f"{options.output}: {len(trace.rows)} rows, {len(trace.calls)} calls, {len(trace.messages)} messages, {len(trace.unmatched)} unmatched"
    )
    for note in trace.meta["notes"]:
        print(f"note: {note}")
    return 0
