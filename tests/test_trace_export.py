# SPDX-License-Identifier: BSD-3-Clause
"""Traces for other tools, and back: what goes out comes in again, and what others read is what was recorded."""

from __future__ import annotations

import collections
import contextlib
import csv
import importlib
import importlib.util
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clog2_reference import drawing
from jobs import run
from mmpi.trace import export, imports
from mmpi.trace.analysis import analyze
from mmpi.trace.colors import nearest, x11
from mmpi.trace.container import NO_COMM, NO_SITE, Trace, TraceError, empty, load
from mmpi.trace.sequence import occurrence, pair, tour
from requirements import need
from trace_samples import sample, small

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def names(trace: Trace) -> Any:
    """The name of the operation of each call."""
    return np.array([operation["name"] for operation in trace.operations])[trace.calls["operation"]]


def sites(trace: Trace) -> list[tuple[str, int]]:
    return [(trace.sites[number]["file"], trace.sites[number]["line"]) for number in trace.calls["site"].tolist()]


def values(trace: Trace) -> list[tuple[Any, ...]]:
    table = trace.values
    return [
        (call, position, kind, trace.strings[value] if kind == 3 else value)
        for call, position, kind, value in zip(
            table["call"].tolist(), table["position"].tolist(), table["type"].tolist(), table["value"].tolist(), strict=True
        )
    ]


def make(
    calls: list[tuple[Any, ...]], messages: list[tuple[Any, ...]] = (), rows: int = 2, operations: Any = None, comms: Any = None, **more: Any
) -> Trace:  # type: ignore[assignment]
    """A trace of calls (row, start, duration, name, depth, comm, peer, tag, bytes) and messages (send, receive, receive_done, bytes, tag,
    comm)."""
    known = operations or {}
    found = list(dict.fromkeys(call[3] for call in calls))
    listed = [
        {"name": name, "kind": "mpi" if name.startswith("MPI_") else "state", "color": "", "format": "", **known.get(name, {})}
        for name in found
    ]
    table = empty("calls", len(calls))
    for i, (row, start, duration, name, depth, comm, peer, tag, size) in enumerate(calls):
        given_ = {
            "row": row,
            "start": start,
            "duration": duration,
            "operation": found.index(name),
            "depth": depth,
            "comm": comm,
            "peer": peer,
            "tag": tag,
            "bytes": size,
        }
        for column, value in given_.items():
            table[column][i] = value
    matched = empty("messages", len(messages))
    for i, (send, receive, done, size, tag, comm) in enumerate(messages):
        for column, value in (
            ("send", send),
            ("send_done", send),
            ("receive", receive),
            ("receive_done", done),
            ("bytes", size),
            ("tag", tag),
            ("comm", comm),
        ):
            matched[column][i] = value
    world = {**NO_COMM, "gid": "1", "name": "MPI_COMM_WORLD", "size": rows, "members": list(range(rows))}
    end = int((table["start"] + table["duration"]).max(initial=0))
    described = [
        {"rank": i, "thread": 0, "host": "h", "pid": i, "tid": i, "first": 0, "last": end, "finished": True, "dropped": 0} for i in range(rows)
    ]
    return Trace(
        imports.describe("x", "none", described, end),
        described,
        listed,
        [NO_SITE],
        comms or [NO_COMM, world],
        calls=table,
        messages=matched,
        **more,
    )


def plain(*calls: tuple[int, int, int, str, int]) -> list[tuple[Any, ...]]:
    return [(*call, 0, -1, -1, -1) for call in calls]


# --- the order of events ---------------------------------------------------------------------------------------------


def test_calls_are_entered_and_left_in_order_even_at_equal_times() -> None:
    trace = make(plain((0, 0, 10, "a", 0), (0, 0, 10, "b", 1), (0, 10, 0, "c", 2), (0, 10, 0, "d", 0), (1, 5, 1, "a", 0)))
    order = tour(trace.calls)
    assert order.enter.tolist() == [0, 1, 2, 6, 0]
    assert order.leave.tolist() == [5, 4, 3, 7, 1]


def test_the_latest_open_state_is_the_one_that_ends() -> None:
    steps = np.array([1, 1, -1, -1, -1, 1])
    found = pair(np.zeros(6, int), steps)
    assert dict(zip(found.enter.tolist(), found.leave.tolist(), strict=True)) == {0: 3, 1: 2, 5: -1}
    assert found.stray.tolist() == [4]


def test_occurrences_are_counted_by_key() -> None:
    assert occurrence(np.array([3, 1, 3, 3, 1]), np.array([0, 0, 0, 1, 0])).tolist() == [0, 0, 1, 0, 1]


def test_colors_are_those_that_jumpshot_knows() -> None:
    assert x11("teal", "x") == "CadetBlue" and x11("#0000fe", "x") == "blue" and x11("Slate Blue", "x") == "SlateBlue"
    assert x11("", "MPI_Send") == "blue" and x11("", "MPI_Irecv") == "LimeGreen" and x11("no color", "MPI_Waitall") == "red"
    assert nearest(0xFE0102) == "red" and x11("", "mine") == x11("", "mine")


# --- CLOG-2 ----------------------------------------------------------------------------------------------------------


def test_clog2_is_what_the_converter_wants(tmp_path: Path) -> None:
    trace = sample(5, 3000, seed=3)
    path = tmp_path / "x.clog2"
    assert "messages" in export.export(trace, "clog2", path)
    seen = drawing(path)
    assert seen.unmatched == 0
    expected = collections.Counter(
        (name, row, start / 1e9, end / 1e9)
        for name, row, start, end in zip(
            names(trace).tolist(), trace.calls["row"].tolist(), trace.calls["start"].tolist(), trace.calls["end"].tolist(), strict=True
        )
        if name != "checkpoint"
    )
    assert collections.Counter((name, rank, begin, end) for name, rank, _, begin, end, _ in seen.states) == expected
    assert len(seen.events) == (names(trace) == "checkpoint").sum() and seen.events[0][4].endswith("first")
    messages = trace.messages
    rows = trace.calls["row"]
    arrows = zip(
        rows[messages["send"]].tolist(), (trace.calls["start"][messages["send"]] / 1e9).tolist(), rows[messages["receive"]].tolist(),
        (trace.calls["end"][messages["receive_done"]] / 1e9).tolist(), messages["tag"].tolist(), messages["bytes"].tolist(), strict=True,
    )  # fmt: skip
    assert collections.Counter(seen.arrows) == collections.Counter(arrows)
    said = {info for name, *_, info in seen.states if name == "MPI_Send"}
    assert "peer=1 tag=8 bytes=8 at=solver.py:17" in said
    assert seen.colors["step"] == "CadetBlue" and seen.colors["MPI_Recv"] == "green"


def test_clog2_comes_back_as_it_was(tmp_path: Path) -> None:
    trace = sample(4, 2000)
    path = tmp_path / "x.clog2"
    export.export(trace, "clog2", path)
    back = imports.read(path)
    assert (names(back) == names(trace)).all() and values(back) == values(trace)
    told = names(trace) != "checkpoint"  # whose string takes the room
    assert np.array(sites(back))[told].tolist() == np.array(sites(trace))[told].tolist()
    for column in ("row", "start", "duration", "comm", "peer", "tag", "bytes", "depth", "world_peer"):
        assert (back.calls[column] == trace.calls[column]).all(), column
    for column in ("send", "receive_done", "bytes", "tag", "comm"):
        assert (back.messages[column] == trace.messages[column]).all(), column
    assert (back.collectives["call"] == trace.collectives["call"]).all() and (
        back.collectives["instance"] == trace.collectives["instance"]
    ).all()
    assert len(back.unmatched) == 0 and back.meta["notes"] == []
    assert [comm["members"] for comm in back.comms] == [comm["members"] for comm in trace.comms]


def test_a_state_inside_itself_is_drawn_right(tmp_path: Path) -> None:
    trace = make(plain((0, 0, 100, "work", 0), (0, 10, 50, "work", 1), (0, 20, 5, "work", 2), (0, 70, 5, "work", 1), (0, 200, 0, "work", 0)))
    export.export(trace, "clog2", path := tmp_path / "x.clog2")
    spans = sorted((begin * 1e9, end * 1e9) for *_, begin, end, _ in drawing(path).states)
    assert np.allclose(spans, [(0, 100), (10, 60), (20, 25), (70, 75), (200, 200)])
    assert imports.read(path).calls["depth"].tolist() == [0, 1, 2, 1, 0]


def test_messages_that_complete_out_of_order_keep_their_partners(tmp_path: Path) -> None:
    calls = [
        (0, 0, 1, "MPI_Isend", 0, 1, 1, 5, 100), (0, 2, 1, "MPI_Isend", 0, 1, 1, 5, 200),
        (1, 0, 1, "MPI_Irecv", 0, 1, 0, 5, 100), (1, 2, 1, "MPI_Irecv", 0, 1, 0, 5, 200), (1, 10, 5, "MPI_Wait", 0, 0, -1, -1, -1), (1, 20,
        5, "MPI_Wait", 0, 0, -1, -1, -1),
    ]  # fmt: skip
    trace = make(calls, [(0, 2, 5, 100, 5, 1), (1, 3, 4, 200, 5, 1)])
    export.export(trace, "clog2", path := tmp_path / "x.clog2")
    assert [arrow[5] for arrow in sorted(drawing(path).arrows, key=lambda arrow: arrow[1])] == [100, 200]


def test_communicators_threads_and_large_sizes_go_into_clog2(tmp_path: Path) -> None:
    comms = [
        NO_COMM, {**NO_COMM, "gid": "1", "name": "MPI_COMM_WORLD", "size": 3, "members": [0, 1, 2]}, {**NO_COMM, "gid": "2", "name": "odd",
        "size": 2, "members": [2, 0]},
        {**NO_COMM, "gid": "3", "name": "between", "size": 1, "remote_size": 2, "members": [1], "remote": [0, 2]},
        {**NO_COMM, "gid": "3", "name": "between", "size": 2, "remote_size": 1, "members": [0, 2], "remote": [1]},
    ]  # fmt: skip
    calls = [
        (0, 0, 5, "MPI_Send", 0, 2, 0, 9, 5_000_000_000), (0, 10, 5, "MPI_Send", 0, 4, 0, 9, 8), (1, 10, 9, "MPI_Recv", 0, 3, 0, 9, 8),
        (2, 0, 9, "MPI_Recv", 0, 2, 1, 9, 5_000_000_000), (3, 0, 30, "a state whose name is much too long for MPE", 0, 0, -1, -1, -1),
    ]  # fmt: skip
    trace = make(calls, [(0, 3, 3, 5_000_000_000, 9, 2), (1, 2, 2, 8, 9, 4)], rows=4, comms=comms)
    trace.rows[3].update(rank=2, thread=1)
    export.export(trace, "clog2", path := tmp_path / "x.clog2")
    seen = drawing(path)
    assert seen.unmatched == 0
    assert sorted((source, target, size) for source, _, target, _, _, size in seen.arrows) == [(0, 1, 8), (0, 2, (1 << 31) - 1)]
    assert ("a state whose name is much too ", 2, 1, 0.0, 30e-9, "") in seen.states
    back = imports.read(path)
    assert [(row["rank"], row["thread"]) for row in back.rows] == [(0, 0), (1, 0), (2, 0), (2, 1)] and len(back.messages) == 2


def test_an_empty_trace_is_a_file_too(tmp_path: Path) -> None:
    trace = make([])
    for target, name in (("clog2", "x.clog2"), ("csv", "x.csv"), ("perfetto", "x.json"), ("perfetto", "x.pftrace")):
        export.export(trace, target, tmp_path / name)
    assert drawing(tmp_path / "x.clog2").states == [] and len(imports.read(tmp_path / "x.clog2").calls) == 0
    assert json.loads((tmp_path / "x.json").read_text())["traceEvents"] is not None


class Mpe:
    """A file as MPE2 itself would write it, by hand, in either byte order."""

    def __init__(self, order: str = ">", version: str = "CLOG-02.44", block: int = 4096, finalized: str = "TRUE ") -> None:
        said = [
            version, "is_big_endian=", "TRUE " if order == ">" else "FALSE", "is_finalzed=", finalized, "block_size=", block,
            "num_buffered_blocks=", 128,
            "max_comm_world_size=", 2, "max_thread_count=", 1, "known_eventID_start=", 0, "user_eventID_start=", 600,
            "known_solo_eventID_start=", -10,
            "user_solo_eventID_start=", 5000, "known_stateID_count=", 300, "user_stateID_count=", 4, "known_solo_eventID_count=", 10,
            "user_solo_eventID_count=", 0, "commtable_fptr=", 0, 1 << 30, 1024,
        ]  # fmt: skip
        self.order, self.size = order, block
        self.preamble = b"".join(str(item).encode() + b"\0" for item in said).ljust(1024, b"\0")
        self.blocks: list[bytes] = []
        self.here = b""

    def add(self, time: float, rank: int, kind: int, body: str, *items: Any, comm: int = 0) -> Mpe:
        record = struct.pack(self.order + "diiii", time, comm, rank, 0, kind) + struct.pack(self.order + body, *items)
        if len(self.here) + len(record) > self.size - 24:
            self.end(1)
        self.here += record
        return self

    def end(self, kind: int) -> None:
        self.blocks.append((self.here + struct.pack(self.order + "diiii", 9.0, 0, 0, 0, kind)).ljust(self.size, b"\0"))
        self.here = b""

    def write(self, path: Path) -> Path:
        self.end(0)
        path.write_bytes(self.preamble + b"".join(self.blocks) + struct.pack(self.order + "i", 0))
        return path


def mpe(order: str = ">", **options: Any) -> Mpe:
    file = Mpe(order, **options)
    for rank in range(2):
        file.add(0, rank, 9, "iiii32s", 0, 0, rank, rank, b"w").add(0, rank, 11, "d", 0.5).add(0, rank, 4, "ii32s", -201, -1, b"MPI_PROC_NULL")
    file.add(0, 0, 2, "iiii24s32s40s", 11, 22, 23, 0, b"blue", b"MPI_Send", b"").add(
        0, 1, 2, "iiii24s32s40s", 12, 24, 25, 0, b"green", b"MPI_Recv", b""
    )
    file.add(0, 1, 2, "iiii24s32s40s", 300, 600, 601, 0, b"tan", b"compute", b"n=%d name=%s x=%E")
    payload = struct.pack(">ih4sd", 42, 4, b"wing", 0.5).ljust(32, b"\0")
    file.add(0.5, 1, 6, "ii32s", 600, 0, payload).add(0.75, 1, 10, "ii40s", 1, 5, b"x.c").add(0.8, 1, 5, "ii", 601, 0)
    file.add(1, 0, 5, "ii", 22, 0).add(1.1, 0, 7, "iiiiii", -101, 0, 1, 7, 64, 0).add(1.2, 0, 5, "ii", 23, 0)
    file.add(1, 1, 5, "ii", 24, 0).add(1.3, 1, 7, "iiiiii", -102, 0, 0, 7, 64, 0).add(1.4, 1, 5, "ii", 25, 0)
    file.add(1.5, 0, 7, "iiiiii", -101, 0, 1, 3, 8, 0).add(1.6, 1, 5, "ii", 602, 0).add(1.7, 1, 5, "ii", 601, 0).add(1.8, 0, 5, "ii", 5000, 0)
    return file


@pytest.mark.parametrize("order", [">", "<"])
def test_a_file_of_mpe_is_read(tmp_path: Path, order: str) -> None:
    trace = imports.read(mpe(order, block=512).write(tmp_path / "old.clog2"))
    got = list(
        zip(
            names(trace).tolist(),
            trace.calls["row"].tolist(),
            np.round(trace.calls["start"] / 1e9, 9).tolist(),
            trace.calls["flags"].tolist(),
            strict=True,
        )
    )
    assert got == [
        ("MPI_Send", 0, 1.0, 0), ("MPE_Log_send", 0, 1.5, 0), ("event 5000", 0, 1.8, 0), ("compute", 1, 0.5, 0), ("MPI_Recv", 1, 1.0, 0),
        ("state 602", 1, 1.6, 1),
    ]  # fmt: skip
    assert trace.messages[["send", "receive", "bytes", "tag"]].tolist() == [(0, 4, 64, 7)]
    assert trace.calls[["peer", "tag", "bytes"]][0].item() == (1, 7, 64)
    assert trace.unmatched.tolist() == [(1, 1)]
    assert values(trace) == [(3, 0, 1, 42), (3, 1, 3, "wing"), (3, 2, 2, struct.unpack("<q", struct.pack("<d", 0.5))[0])]
    assert any("never begun" in note for note in trace.meta["notes"])
    trace.write(tmp_path / "old.mmpit")
    assert len(load(tmp_path / "old.mmpit").calls) == 6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:700], "byte 700: the file is cut off"),
        (lambda data: b"CLOG-02.10" + data[10:], "version 'CLOG-02.10'"),
        (lambda data: data.replace(b"block_size=\x004096", b"block_size=\x00409x"), "block_size=409x"),
        (lambda data: data.replace(b"block_size=\x004096", b"block_size=\x004090"), "blocks of 4090 bytes"),
        (lambda data: data[: 1024 + 4000], "byte 1024: the file ends, after 0 whole blocks"),
        (lambda data: data[: 1024 + 20] + struct.pack(">i", 77) + data[1024 + 24 :], "byte 1024: a record of type 77"),
        (lambda data: data[:1024] + struct.pack(">diiii", 0, 0, 5, 0, 5) + data[1048:], "rank 5"),
        (lambda data: data[:1024] + struct.pack(">diiii", 0, 0, 0, 9, 5) + data[1048:], "thread 9"),
        (lambda data: data[:1024] + struct.pack(">diiii", float("nan"), 0, 0, 0, 5) + data[1048:], "an event at nan s"),
    ],
)  # fmt: skip
def test_damage_is_named(tmp_path: Path, change: Any, words: str) -> None:
    path = mpe().write(tmp_path / "x.clog2")
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(TraceError, match=words) as caught:
        imports.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 5000])
def test_what_is_no_trace_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(TraceError, match=str(tmp_path / "x")):
        imports.read(tmp_path / "x")


@given(st.data())
@FUZZ
def test_damaged_clog2_is_an_error_or_a_trace(tmp_path: Path, data: st.DataObject) -> None:
    whole = tmp_path / "whole.clog2"
    if not whole.exists():
        mpe(block=1024).write(whole)
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        bit = data.draw(st.integers(0, 8 * len(content) - 1))
        content[bit // 8] ^= 1 << bit % 8
    content = content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content
    path = tmp_path / "damaged.clog2"
    path.write_bytes(content)
    try:
        trace = imports.read(path)
    except TraceError as error:
        assert str(path) in str(error)
    else:
        trace.write(tmp_path / "x.mmpit")


# --- CSV -------------------------------------------------------------------------------------------------------------


def test_csv_has_a_line_a_call(tmp_path: Path) -> None:
    trace = small()
    export.export(trace, "csv", path := tmp_path / "x.csv")
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(trace.calls)
    assert list(lines[0])[:9] == ["call", "rank", "thread", "host", "operation", "kind", "start", "end", "duration"]
    first = next(line for line in lines if line["operation"] == "MPI_Irecv")
    call = trace.calls[int(first["call"])]
    assert round(float(first["start"]) * 1e9) == call["start"] and round(float(first["duration"]) * 1e9) == call["duration"]
    assert (first["file"], first["line"], first["communicator"], first["tag"], first["peer"]) == (
        "solver.py",
        "12",
        "MPI_COMM_WORLD",
        "7",
        str(call["peer"]),
    )
    assert next(line for line in lines if line["operation"] == "MPI_Waitall")["tag"] == ""
    assert {line["peer"] for line in lines if line["operation"] == "MPI_Recv"} == {"PROC_NULL", "0", "2"}


def test_csv_of_messages(tmp_path: Path) -> None:
    trace = small()
    export.export(trace, "csv", path := tmp_path / "x.csv", table="messages")
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(trace.messages)
    for line, message in zip(lines, trace.messages, strict=True):
        assert int(line["source"]) == trace.calls["row"][message["send"]] and int(line["bytes"]) == message["bytes"]
        assert round(float(line["receive_end"]) * 1e9) == trace.calls["end"][message["receive_done"]]
        assert float(line["receive_end"]) >= float(line["send_start"])


# --- Perfetto --------------------------------------------------------------------------------------------------------


def counted(trace: Trace) -> tuple[int, int]:
    """Calls that last, and events."""
    alone = int((names(trace) == "checkpoint").sum())
    return len(trace.calls) - alone, alone


def test_perfetto_json(tmp_path: Path) -> None:
    trace = small()
    export.export(trace, "perfetto", path := tmp_path / "x.json")
    events = json.loads(path.read_text())["traceEvents"]
    by_kind = collections.Counter(event["ph"] for event in events)
    slices, alone = counted(trace)
    assert (by_kind["X"], by_kind["i"], by_kind["s"], by_kind["f"], by_kind["M"]) == (
        slices,
        alone,
        len(trace.messages),
        len(trace.messages),
        16,
    )
    assert {event["args"]["name"] for event in events if event["name"] == "process_name"} == {f"rank {i} on node{i // 2}" for i in range(4)}
    boxes = collections.defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            boxes[event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    for event in events:
        if event["ph"] in "sf":
            assert any(begin <= event["ts"] < end for begin, end in boxes[event["tid"]]), "an arrow that ends nowhere"
    ids = [event["id"] for event in events if event["ph"] == "s"]
    assert len(set(ids)) == len(ids) and set(ids) == {event["id"] for event in events if event["ph"] == "f"}
    send = next(event for event in events if event["name"] == "MPI_Isend")
    assert send["args"]["site"] == "solver.py:13" and send["args"]["tag"] == 7 and send["args"]["comm"] == "MPI_COMM_WORLD"
    assert next(event for event in events if event["name"] == "step")["args"]["cells"] == 0
    assert max(event["args"].get("collective", 0) for event in events if event["ph"] == "X") == trace.collectives["instance"].max()


def test_too_much_for_json_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmpi.trace import perfetto

    monkeypatch.setattr(perfetto, "JSON_CALLS", 100)
    with pytest.raises(ValueError, match="up to 100; give the file a name that does not end in .json"):
        export.export(small(), "perfetto", tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()


def fields(data: bytes) -> dict[int, list[Any]]:
    """A message of protobuf by its wire format alone."""
    found: dict[int, list[Any]] = collections.defaultdict(list)
    at = 0

    def varint() -> int:
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            found[key >> 3].append(varint())
            continue
        length = {1: 8, 2: -1, 5: 4}[key & 7]
        length = varint() if length < 0 else length
        assert at + length <= len(data)
        found[key >> 3].append(data[at : at + length])
        at += length
    return found


def packets(path: Path) -> list[dict[int, list[Any]]]:
    return [fields(packet) for packet in fields(path.read_bytes())[1]]


def test_perfetto_protobuf(tmp_path: Path) -> None:
    trace = small()
    export.export(trace, "perfetto", path := tmp_path / "x.pftrace")
    found = packets(path)
    events = [(packet[8][0], fields(packet[11][0])) for packet in found if 11 in packet]
    kinds = collections.Counter(event[9][0] for _, event in events)
    slices, alone = counted(trace)
    assert kinds == {1: slices, 2: slices, 3: alone}
    interned = next(fields(packet[12][0]) for packet in found if 12 in packet)
    texts = {fields(name)[1][0]: fields(name)[2][0].decode() for name in interned[2]}
    for track in range(1, 5):  # begins and ends nest, in order, with their times and names
        mine = [(time, event) for time, event in events if event[11][0] == track]
        assert [time for time, _ in mine] == sorted(time for time, _ in mine)
        calls = trace.calls[trace.calls["row"] == track - 1]
        begun = [(time, texts[event[10][0]]) for time, event in mine if event[9][0] != 2]
        assert begun == list(zip(calls["start"].tolist(), names(trace)[trace.calls["row"] == track - 1].tolist(), strict=True))
        depth = 0
        for _, event in mine:
            depth += {1: 1, 2: -1, 3: 0}[event[9][0]]
            assert depth >= 0
        assert depth == 0
    flows, ends = ([struct.unpack("<Q", flow)[0] for _, event in events for flow in event.get(field, [])] for field in (47, 48))
    assert sorted(flows) == sorted(ends) == list(range(1, len(trace.messages) + 1))
    assert all(event[9][0] == (1 if 47 in event else 2) for _, event in events if 47 in event or 48 in event)
    assert len({event[52][0] for _, event in events if 52 in event}) == len(np.unique(trace.collectives["instance"]))


def test_perfetto_protobuf_by_its_own_descriptors(tmp_path: Path) -> None:
    need("perfetto")
    pb2 = importlib.import_module("perfetto.protos.perfetto.trace.perfetto_trace_pb2")
    kinds = {"load": {"kind": "counter", "format": ""}, "mark": {"kind": "event", "format": "x=%g why=%s"}}
    calls = [
        (0, 0, 50, "step", 0, 0, -1, -1, -1),
        (0, 5, 0, "load", 1, 0, -1, -1, -1),
        (0, 6, 0, "load", 1, 0, -1, -1, -1),
        (0, 7, 0, "mark", 1, 0, -1, -1, -1),
    ]
    table = empty("values", 4)
    real = struct.unpack("<q", struct.pack("<d", 2.5))[0]
    for i, row in enumerate([(1, 0, 1, -3), (2, 0, 2, real), (3, 0, 2, real), (3, 1, 3, 0)]):
        table[i] = row
    trace = make(calls, rows=1, operations=kinds, values=table, strings=["because"])
    export.export(trace, "perfetto", path := tmp_path / "x.pftrace")
    whole = pb2.Trace()
    whole.ParseFromString(path.read_bytes())
    events = [packet.track_event for packet in whole.packet if packet.HasField("track_event")]
    interned = next(packet.interned_data for packet in whole.packet if packet.HasField("interned_data"))
    keys = {name.iid: name.name for name in interned.debug_annotation_names}
    strings = {text.iid: text.str.decode() for text in interned.debug_annotation_string_values}
    assert [event.type for event in events] == [1, 4, 4, 3, 2]
    assert events[1].counter_value == -3 and events[2].double_counter_value == 2.5 and events[1].track_uuid == events[2].track_uuid
    said = {keys[argument.name_iid]: argument.double_value or strings[argument.string_value_iid] for argument in events[3].debug_annotations}
    assert said == {"x": 2.5, "why": "because"}
    counter = next(packet.track_descriptor for packet in whole.packet if packet.track_descriptor.HasField("counter"))
    assert counter.uuid == events[1].track_uuid and counter.name == "load"
    process = next(packet.track_descriptor for packet in whole.packet if packet.track_descriptor.HasField("process"))
    assert process.process.process_name == "rank 0 on h"


# --- the commands ----------------------------------------------------------------------------------------------------


def mmpi(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "mmpi", "trace", *map(str, arguments)], capture_output=True, text=True, timeout=120, **options)


def test_the_commands(tmp_path: Path) -> None:
    small().write(tmp_path / "x.mmpit")
    there = mmpi("export", tmp_path / "x.mmpit", "--to", "clog2", "-o", tmp_path / "x.clog2")
    assert (there.returncode, there.stderr) == (0, "") and "384 calls, 72 messages" in there.stdout
    back = mmpi("import", tmp_path / "x.clog2", "-o", tmp_path / "y.mmpit")
    assert back.returncode == 0 and "4 rows, 384 calls, 72 messages, 0 unmatched" in back.stdout
    assert (load(tmp_path / "y.mmpit").calls["start"] == load(tmp_path / "x.mmpit").calls["start"]).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "x.mmpit", "--to", "slog2", "-o", "y"], "invalid choice: 'slog2'"),
        (["export", "x.mmpit", "--to", "clog2"], "required: -o"),
        (["export", "nowhere.mmpit", "--to", "csv", "-o", "y"], "nowhere.mmpit"),
        (["export", "x.mmpit", "--to", "clog2", "--table", "messages", "-o", "y"], "--table is for --to csv"),
        (["export", "x.mmpit", "--to", "csv", "-o", "no/such/folder"], "no/such/folder"),
        (["import", "nowhere.clog2", "-o", "y"], "nowhere.clog2"),
        (["import", "x.mmpit", "-o", "y"], "neither CLOG-2 nor OTF2"),
        (["import", ".", "-o", "y"], "without a file .otf2"),
    ],
)  # fmt: skip
def test_mistakes_are_told(tmp_path: Path, arguments: list[str], words: str) -> None:
    small().write(tmp_path / "x.mmpit")
    done = mmpi(*arguments, cwd=tmp_path)
    assert done.returncode != 0 and words in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "y").exists()


def test_a_terminal_sees_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    outside, inside = pty.openpty()
    with open(inside, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        progress = export.Progress("mmpi trace export")
        progress.next = 0
        progress(1, 4)
        progress.end()
    seen = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while part := os.read(outside, 1000):
            seen += part
    os.close(outside)
    assert b"mmpi trace export: 25 %" in seen and seen.endswith(b"\r")


# --- imported traces are traces --------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["clog2", "otf2"])
def test_report_and_picture_take_what_was_imported(tmp_path: Path, target: str) -> None:
    if target == "otf2":
        need("otf2")
    trace = sample(4, 2000, slow=2)
    export.export(trace, target, path := tmp_path / f"x.{target}")
    back = imports.read(path)
    back.write(tmp_path / "x.mmpit")
    ours, theirs = analyze(back).as_dict(), analyze(trace).as_dict()
    cells = [[(cell["source"], cell["dest"], cell["count"], cell["bytes"]) for cell in each["matrix"]] for each in (ours, theirs)]
    assert cells[0] == cells[1]
    for key in ("mpi", "calls", "messages", "bytes"):
        assert ours["totals"][key] == theirs["totals"][key], key
    # Of CLOG-2 nobody learns when a receive was posted, nor of either when a row begins.
    assert ours["totals"]["wait"] == pytest.approx(theirs["totals"]["wait"], rel=0.01)
    assert ours["efficiency"] == pytest.approx(theirs["efficiency"], rel=0.01)
    text = mmpi("report", tmp_path / "x.mmpit").stdout
    assert "while rank 2 computes in 'step'" in " ".join(text.split())
    done = mmpi("view", tmp_path / "x.mmpit", "-o", tmp_path / "x.html")
    assert done.returncode == 0 and (tmp_path / "x.html").stat().st_size > 100_000


RECORDED = """
    import numpy as np
    from mmpi import MPI, trace
    comm = MPI.COMM_WORLD
    rank, size = comm.rank, comm.size
    step, load, mark = trace.state("step", color="teal"), trace.counter("load"), trace.event("mark")
    half = comm.Split(rank % 2)
    a, b = np.zeros(100), np.zeros(100)
    for i in range(10):
        with step(number=i):
            requests = [comm.Irecv(b, (rank - 1) % size, 3), comm.Isend(a, (rank + 1) % size, 3)]
            load(i / 2)
        MPI.Request.Waitall(requests)
        comm.sendrecv({"x": i}, (rank + 1) % size, source=(rank - 1) % size)
        half.Bcast(a)
        comm.Iallreduce(a, b).Wait()
        comm.Send(a, MPI.PROC_NULL)
    mark()
"""


def test_a_recorded_program_goes_out_and_comes_back(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(textwrap.dedent(RECORDED))
    done = run(sys.executable, "-m", "mmpi", "run", "-n", "3", "--trace", str(tmp_path / "trace"), str(tmp_path / "program.py"))
    assert done.returncode == 0, done.stderr
    trace = load(tmp_path / "trace")
    assert (names(trace) == "step").sum() == 30 and len(trace.messages) >= 60
    export.export(trace, "clog2", path := tmp_path / "x.clog2")
    seen = drawing(path)
    assert seen.unmatched == 0 and len(seen.arrows) == len(trace.messages) and seen.comms == 3
    backs = [imports.read(path)]
    if importlib.util.find_spec("otf2"):
        export.export(trace, "otf2", tmp_path / "x.otf2")
        backs.append(imports.read(tmp_path / "x.otf2"))
    for back in backs:
        assert (names(back) == names(trace)).all()
        for column in ("row", "start", "duration", "depth", "site"):
            places = [sites(trace), sites(back)] if column == "site" else [trace.calls[column].tolist(), back.calls[column].tolist()]
            if column == "site":
                ends = [[(file.rpartition("/")[2], line) for file, line in place] for place in places]
                places = [[end for end, name in zip(each, names(trace).tolist(), strict=True) if name.startswith("MPI_")] for each in ends]
            assert places[0] == places[1], column
        assert len(back.messages) == len(trace.messages) and len(back.collectives) == len(trace.collectives)
        for column in ("send", "receive_done", "bytes", "tag"):
            assert (back.messages[column] == trace.messages[column]).all(), column


def examples() -> list[str]:
    """The examples of docs/tracing.md for Python, one behind the other."""
    text = (Path(__file__).parent.parent / "docs/tracing.md").read_text()
    return re.findall(r"```python\n(.*?)```", text.partition("\n## In Python\n")[2], re.DOTALL)


def test_the_examples_of_the_documentation_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    trace = sample(4, 2000, slow=2)
    Path("DIR").mkdir()
    trace.write("DIR/trace.mmpit")
    known: dict[str, Any] = {}
    for example in examples():
        exec(compile(example, "docs/tracing.md", "exec"), known)
    assert len(examples()) == 6
    of_mpi = np.char.startswith(names(trace), "MPI_")
    assert known["per_rank"].sum() == pytest.approx(trace.calls["duration"][of_mpi].sum() / 1e9)
    assert known["matrix"].sum() == trace.messages["bytes"].sum() and (known["latency"] > 0).all() and (np.diag(known["matrix"]) == 0).all()
    assert "rank 2 came" in capsys.readouterr().out
    assert known["by_place"]["count"].sum() == of_mpi.sum() and known["by_place"].index[0][0].startswith("solver.py:")
    assert (
        known["imbalance"].shape[1] == 4 and known["content"].max() == 1.0 and len(load("early.mmpit").calls) == len(known["early"].calls) > 0
    )


# --- OTF2 ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def otf2() -> Any:
    need("otf2")
    return importlib.import_module("otf2")


def mixed() -> Trace:
    """What the made-up traces lack: an exchange, a collective with a root, a nonblocking one, a send without a receive, a counter, a
    dropped request."""
    calls = [
        (0, 0, 9, "MPI_Sendrecv", 0, 1, 1, 4, 64), (0, 10, 9, "MPI_Bcast", 0, 1, 1, 1, 32), (0, 20, 3, "MPI_Ireduce", 0, 1, 0, 2, 8),
        (0, 25, 9, "MPI_Wait", 0, 0, -1, -1, -1), (0, 40, 2, "MPI_Send", 0, 1, 1, 9, 16), (0, 45, 2, "MPI_Isend", 0, 1, 1, 5, 24),
        (1, 0, 9, "MPI_Sendrecv", 0, 1, 0, 4, 128), (1, 10, 9, "MPI_Bcast", 0, 1, 1, 1, 32), (1, 20, 3, "MPI_Ireduce", 0, 1, 0, 2, 8),
        (1, 25, 9, "MPI_Wait", 0, 0, -1, -1, -1), (1, 40, 0, "load", 0, 0, -1, -1, -1), (1, 50, 2, "MPI_Recv", 0, 1, 0, 5, 24),
    ]  # fmt: skip
    together, value, alone = empty("collectives", 4), empty("values", 1), empty("unmatched", 1)
    for i, row in enumerate([(0, 1, 1), (0, 7, 7), (1, 2, 3), (1, 8, 9)]):
        together[i] = row
    value[0], alone[0] = (10, 0, 2, struct.unpack("<q", struct.pack("<d", 2.5))[0]), (4, 1)
    messages = [(0, 6, 6, 64, 4, 1), (6, 0, 0, 128, 4, 1), (5, 11, 11, 24, 5, 1)]
    trace = make(calls, messages, operations={"load": {"kind": "counter"}}, collectives=together, values=value, unmatched=alone)
    trace.messages["send_done"][2] = -1
    return trace


@pytest.mark.parametrize("made", [lambda: sample(4, 1600), mixed])
def test_otf2_comes_back_as_it_was(tmp_path: Path, otf2: Any, made: Any) -> None:
    trace = made()
    assert "x.otf2" in export.export(trace, "otf2", tmp_path / "x.otf2")
    back = imports.read(tmp_path / "x.otf2")
    assert (names(back) == names(trace)).all() and sites(back) == sites(trace) and values(back) == values(trace)
    known = trace.calls["peer"] != -2  # OTF2 has no record of what goes to PROC_NULL
    told = known & ~np.isin(np.arange(len(trace.calls)), trace.unmatched["call"][trace.unmatched["why"] == 2])
    for column in ("row", "start", "duration", "depth"):
        assert (back.calls[column] == trace.calls[column]).all(), column
    for column in ("comm", "peer", "tag", "bytes"):
        assert (back.calls[column][told] == trace.calls[column][told]).all(), column
    for table in ("messages", "collectives", "unmatched"):
        ours, theirs = getattr(back, table), getattr(trace, table)
        order = [
            np.lexsort([each[name] for name in ("why",) if name in each.dtype.names] + [each[each.dtype.names[0]]]) for each in (ours, theirs)
        ]
        for column in trace.messages.dtype.names if table == "messages" else ours.dtype.names:
            assert (ours[column][order[0]] == theirs[column][order[1]]).all(), (table, column)
    assert [comm["members"] for comm in back.comms] == [comm["members"] for comm in trace.comms] and back.meta["notes"] == []
    assert [(row["rank"], row["thread"], row["host"]) for row in back.rows] == [(row["rank"], row["thread"], row["host"]) for row in trace.rows]


def test_otf2_print_reads_it(tmp_path: Path, otf2: Any) -> None:
    need("otf2-print")  # of Debian's otf2-tools
    trace = small()
    export.export(trace, "otf2", tmp_path / "run")
    done = subprocess.run(["otf2-print", str(tmp_path / "run/traces.otf2")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == ""
    lines = [line.split() for line in done.stdout.splitlines()]
    kinds = collections.Counter(line[0] for line in lines if line)
    assert kinds["ENTER"] == kinds["LEAVE"] == len(trace.calls)
    assert kinds["MPI_SEND"] + kinds["MPI_ISEND"] == kinds["MPI_RECV"] + kinds["MPI_IRECV"] == len(trace.messages)
    assert kinds["MPI_IRECV_REQUEST"] == kinds["MPI_IRECV"] == kinds["MPI_ISEND_COMPLETE"]
    assert kinds["MPI_COLLECTIVE_BEGIN"] == kinds["MPI_COLLECTIVE_END"] == len(trace.collectives)
    sends, receives = (
        collections.Counter(re.findall(rf"MPI_I?{kind} +(\d+) .*(?:Receiver|Sender): (\d+).*Tag: (\d+), Length: (\d+)", done.stdout))
        for kind in ("SEND", "RECV")
    )
    assert sends == collections.Counter({(source, target, tag, size): n for (target, source, tag, size), n in receives.items()})


def test_an_archive_replaces_only_an_archive(tmp_path: Path, otf2: Any) -> None:
    for _ in range(2):
        export.export(small(), "otf2", tmp_path / "x.otf2")
    (tmp_path / "y").mkdir()
    (tmp_path / "y/precious").touch()
    with pytest.raises(FileExistsError, match="in the way"):
        export.export(small(), "otf2", tmp_path / "y.otf2")
    assert (tmp_path / "y/precious").exists()


def test_without_the_package_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "otf2", None)
    with pytest.raises(ImportError, match=r"pip install 'maroonmpi\[otf2\]'"):
        export.export(small(), "otf2", tmp_path / "x.otf2")


def test_damaged_otf2_is_an_error_or_a_trace(tmp_path: Path, otf2: Any) -> None:
    export.export(sample(2, 64), "otf2", tmp_path / "good.otf2")
    random = np.random.default_rng(1)
    kinds = collections.Counter()
    parts = ["good.otf2", "good.def", "good/0.evt", "good/1.evt", "good/0.def"]
    for i in range(len(parts) * 3):
        part = parts[i % len(parts)]
        folder = tmp_path / str(i)
        folder.mkdir()
        shutil.copytree(tmp_path / "good", folder / "good")
        for name in ("good.otf2", "good.def"):
            shutil.copy(tmp_path / name, folder / name)
        content = bytearray((folder / part).read_bytes())
        if i >= 2 * len(parts):
            content = content[: len(content) // 2]
        for _ in range(3):
            bit = int(random.integers(8 * len(content)))
            content[bit // 8] ^= 1 << bit % 8
        (folder / part).write_bytes(content)
        try:
            imports.read(folder / "good.otf2")
            kinds["a trace"] += 1
        except TraceError as error:
            assert str(folder / "good.otf2") in str(error)
            kinds["an error"] += 1
    assert kinds["an error"] >= len(parts)
