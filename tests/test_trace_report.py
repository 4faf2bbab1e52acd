# SPDX-License-Identifier: BSD-3-Clause
"""The analysis of traces: wait states and causes of small traces made by hand, conservation on random ones, the text, the command."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trace_samples
from jobs import lines, run
from mmpi.__main__ import main
from mmpi.trace import command, report, waits, words
from mmpi.trace.analysis import analyze
from mmpi.trace.container import NO_COMM, NO_SITE, Trace, empty, load
from mmpi.trace.nesting import Nesting, Spans, running

MS = 1_000_000


class Made:
    """A trace that grows call by call; times in ms. Ranks have one row each, unless `threads` says more."""

    def __init__(self, ranks=2, threads=None):
        self.rows = threads or [(rank, 0) for rank in range(ranks)]
        self.calls, self.messages, self.collectives, self.nested, self.unmatched = [], [], [], [], []
        self.operations, self.sites = {}, {"": 0}

    def call(self, row, name, start, end, line=0, peer=-1, bytes=-1, tag=-1, flags=0, kind="mpi", depth=None):
        operation = self.operations.setdefault((name, kind), len(self.operations))
        site = self.sites.setdefault(line, len(self.sites)) if line else 0
        if depth is None:
            depth = sum(c[0] == row and c[1] <= start and c[2] >= end for c in self.calls)
        self.calls.append((row, start, end, operation, site, peer, bytes, tag, flags, depth))
        return len(self.calls) - 1

    def state(self, row, name, start, end, line=0):
        return self.call(row, name, start, end, line, kind="state")

    def message(self, send, receive, bytes=8, sent=None, received=None, tag=0):
        self.messages.append((send, send if sent is None else sent, receive, receive if received is None else received, bytes, tag))

    def collective(self, *calls, done=None):
        number = len(self.collectives)
        self.collectives += [(number, call, end) for call, end in zip(calls, done or calls, strict=True)]

    def trace(self, **meta):
        order = sorted(range(len(self.calls)), key=lambda i: (self.calls[i][0], self.calls[i][1], self.calls[i][9]))
        self.place = {number: i for i, number in enumerate(order)}
        calls = empty("calls", len(order))
        for i, number in enumerate(order):
            row, start, end, operation, site, peer, size, tag, flags, depth = self.calls[number]
            calls[i]["row"], calls[i]["start"], calls[i]["duration"] = row, round(start * MS), round(end * MS) - round(start * MS)
            for name, value in (
                ("operation", operation),
                ("site", site),
                ("comm", 1),
                ("peer", peer),
                ("bytes", size),
                ("tag", tag),
                ("flags", flags),
                ("depth", depth),
            ):
                calls[i][name] = value
        last = round(max((call[2] for call in self.calls), default=0) * MS)
        size = len({rank for rank, _ in self.rows})
        common = {"host": "here", "pid": 1, "tid": 1, "first": 0, "last": last, "finished": True, "dropped": 0}
        return Trace(
            {"job": "made", "program": "/tmp/made.py", "library": "none", "began": 0, "duration": last, "size": size, "hosts": [],
             "violations": 0, "dropped": 0, "record_ns": 0.0, "notes": [], "missing": [], "complete": True} | meta,
            [{"rank": rank, "thread": thread} | common for rank, thread in self.rows],
            [{"name": name, "kind": kind, "color": "", "format": ""} for name, kind in self.operations],
            [NO_SITE, *({"file": "/home/me/made.py", "line": line, "function": "f"} for line in list(self.sites)[1:])],
            [NO_COMM, NO_COMM | {"gid": "1", "name": "MPI_COMM_WORLD", "size": size, "members": list(range(size))}], [], calls,
            self.table("messages", ("send", "send_done", "receive", "receive_done", "bytes", "tag"), self.messages, 4),
            self.table("collectives", ("instance", "call", "done"), self.collectives, range(1, 3)),
            self.table("nested", ("call", "kind", "after", "duration", "bytes"), self.nested, 1),
            None, self.table("unmatched", ("call", "why"), self.unmatched, 1),
        )  # fmt: skip

    def table(self, name, columns, rows, of_calls):
        """A table; which of its columns are numbers of calls, here in the order of their making."""
        table = empty(name, len(rows))
        of_calls = range(of_calls) if isinstance(of_calls, int) else of_calls
        for i, row in enumerate(rows):
            for j, (column, value) in enumerate(zip(columns, row, strict=True)):
                table[i][column] = self.place.get(value, -1) if j in of_calls else value
        return table

    def waits(self, **interval):
        """[(number of the call as it was made, kind, ms, number of the culprit)]"""
        found = analyze(self.trace(), **interval).waits
        made = {i: number for number, i in self.place.items()}
        return [(made[int(w["call"])], waits.KINDS[w["kind"]], w["duration"] / MS, made[int(w["culprit"])]) for w in found]


# ---- wait states ----------------------------------------------------------------------------------------------------


def test_late_sender():
    made = Made()
    send = made.call(0, "MPI_Send", 50, 51)
    receive = made.call(1, "MPI_Recv", 10, 52)
    made.message(send, receive)
    assert made.waits() == [(receive, "late sender", 40, send)]


def test_a_sender_in_time():
    made = Made()
    made.message(made.call(0, "MPI_Send", 5, 6), made.call(1, "MPI_Recv", 10, 52))
    assert made.waits() == []


def test_late_sender_of_a_wait():
    """The wait begins with the Wait, not with the Irecv."""
    made = Made()
    send = made.call(0, "MPI_Isend", 50, 51)
    receive, wait = made.call(1, "MPI_Irecv", 10, 11), made.call(1, "MPI_Wait", 30, 52)
    made.message(send, receive, received=wait)
    assert made.waits() == [(wait, "late sender", 20, send)]


def test_the_last_sender_counts():
    made = Made(3)
    first, last = made.call(0, "MPI_Isend", 30, 31), made.call(2, "MPI_Isend", 60, 61)
    receives = [made.call(1, "MPI_Irecv", 10 + i, 10.5 + i) for i in (0, 1)]
    wait = made.call(1, "MPI_Waitall", 20, 70)
    made.message(first, receives[0], received=wait)
    made.message(last, receives[1], received=wait)
    assert made.waits() == [(wait, "late sender", 40, last)]


def test_wrong_order():
    made = Made(3)
    early, late = made.call(0, "MPI_Send", 5, 6), made.call(2, "MPI_Send", 50, 51)
    second = made.call(1, "MPI_Recv", 10, 52), made.call(1, "MPI_Recv", 53, 54)
    made.message(late, second[0])
    made.message(early, second[1])
    assert made.waits() == [(second[0], "late sender, wrong order", 40, late)]


def test_no_order_among_those_that_are_waited_for_together():
    made = Made(3)
    early, late = made.call(0, "MPI_Send", 5, 6), [made.call(2, "MPI_Send", 50 + i, 51 + i) for i in (0, 2)]
    receives = [made.call(1, "MPI_Irecv", 7 + i, 7.5 + i) for i in (0, 1)]
    wait, after = made.call(1, "MPI_Waitall", 10, 55), made.call(1, "MPI_Recv", 60, 61)
    for send, receive in zip(late, receives, strict=True):
        made.message(send, receive, received=wait)
    made.message(early, after)
    assert made.waits() == [(wait, "late sender", 42, late[1])]


def test_no_wrong_order_if_the_other_came_later():
    made = Made(3)
    other, late = made.call(0, "MPI_Send", 20, 21), made.call(2, "MPI_Send", 50, 51)
    receives = made.call(1, "MPI_Recv", 10, 52), made.call(1, "MPI_Recv", 53, 54)
    made.message(late, receives[0])
    made.message(other, receives[1])
    assert [kind for _, kind, _, _ in made.waits()] == ["late sender"]


@pytest.mark.parametrize(("name", "bytes"), [("MPI_Ssend", 8), ("MPI_Send", 1 << 20)])
def test_late_receiver(name, bytes):
    made = Made()
    send, receive = made.call(0, name, 10, 52), made.call(1, "MPI_Recv", 50, 52)
    made.message(send, receive, bytes)
    assert made.waits() == [(send, "late receiver", 40, receive)]


@pytest.mark.parametrize(("name", "bytes"), [("MPI_Send", 8), ("MPI_Bsend", 1 << 20), ("MPI_Rsend", 1 << 20)])
def test_sends_that_wait_for_no_receive(name, bytes):
    made = Made()
    made.message(made.call(0, name, 10, 52), made.call(1, "MPI_Recv", 50, 52), bytes)
    assert made.waits() == []


def test_a_probe_waits_for_what_is_received_next():
    made = Made()
    sends = made.call(0, "MPI_Send", 1, 2, tag=1), made.call(0, "MPI_Send", 50, 51, tag=2)
    probe = made.call(1, "MPI_Probe", 10, 52, peer=0, tag=2)
    receives = made.call(1, "MPI_Recv", 53, 54, peer=0, tag=1), made.call(1, "MPI_Recv", 55, 56, peer=0, tag=2)
    for i in (0, 1):
        made.message(sends[i], receives[i], tag=i + 1)
    assert made.waits() == [(probe, "late sender", 40, sends[1])]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("MPI_Barrier", "wait at barrier"),
        ("MPI_Allreduce", "wait at NxN"),
        ("allgather", "wait at NxN"),
        ("MPI_Comm_dup", "wait at creation"),
    ],
)
def test_all_wait_for_the_last(name, kind):
    made = Made(3)
    calls = [made.call(i, name, start, 61) for i, start in enumerate((10, 60, 30))]
    made.collective(*calls)
    assert made.waits() == [(calls[0], kind, 50, calls[1]), (calls[2], kind, 30, calls[1])]


def test_a_nonblocking_collective_waits_where_it_is_waited_for():
    made = Made(2)
    calls = [made.call(0, "MPI_Iallreduce", 10, 11), made.call(1, "MPI_Iallreduce", 60, 61)]
    done = [made.call(0, "MPI_Wait", 40, 62), made.call(1, "MPI_Wait", 61, 62)]
    made.collective(*calls, done=done)
    assert made.waits() == [(done[0], "wait at NxN", 20, calls[1])]


@pytest.mark.parametrize("name", ["MPI_Bcast", "MPI_Scatterv", "bcast"])
def test_late_broadcast(name):
    """All wait for the root; nobody for a rank that comes after it."""
    made = Made(3)
    calls = [made.call(i, name, start, 80, peer=1) for i, start in enumerate((10, 60, 70))]
    made.collective(*calls)
    assert made.waits() == [(calls[0], "late broadcast", 50, calls[1])]


def test_early_reduce():
    made = Made(3)
    calls = [made.call(i, "MPI_Reduce", start, end, peer=0, bytes=8) for i, (start, end) in enumerate(((10, 80), (20, 21), (70, 71)))]
    made.collective(*calls)
    assert made.waits() == [(calls[0], "early reduce", 60, calls[2])]


def test_a_reduce_of_objects_needs_all():
    made = Made(2)
    calls = [made.call(i, "MPI_Reduce", start, 80, peer=0) for i, start in enumerate((70, 10))]
    made.collective(*calls)
    assert made.waits() == [(calls[1], "wait at NxN", 60, calls[0])]


def test_early_scan():
    made = Made(4)
    calls = [made.call(i, "MPI_Scan", start, 80, bytes=8) for i, start in enumerate((30, 50, 10, 60))]
    made.collective(*calls)
    assert made.waits() == [(calls[2], "early scan", 40, calls[1])]


def test_a_wait_ends_with_its_call():
    """Even if clocks say that the other came later."""
    made = Made()
    made.message(made.call(0, "MPI_Send", 50, 51), receive := made.call(1, "MPI_Recv", 10, 30))
    assert [(call, time) for call, _, time, _ in made.waits()] == [(receive, 20)]


def test_waits_are_cut_to_the_interval():
    made = Made()
    made.message(made.call(0, "MPI_Send", 50, 51), made.call(1, "MPI_Recv", 10, 52))
    assert [time for _, _, time, _ in made.waits(start=20 * MS, end=30 * MS)] == [10]
    assert made.waits(start=0, end=10 * MS) == []


# ---- causes ---------------------------------------------------------------------------------------------------------


def chain():
    """Rank 0 computes; 1 waits for it before it sends to 2, which waits for 1."""
    made = Made(3)
    made.state(0, "assemble", 5, 45, line=40)
    made.message(made.call(0, "MPI_Send", 50, 51, line=41), made.call(1, "MPI_Recv", 2, 52, line=51))
    made.message(made.call(1, "MPI_Send", 53, 54, line=52), made.call(2, "MPI_Recv", 1, 55, line=61))
    return made


def test_waits_are_charged_to_who_computed_and_where():
    found = analyze(chain().trace()).as_dict()["causes"]
    assert [(c["rank"], c["activity"], c["state"], c["state_place"], c["operation"], c["place"]) for c in found] == [
        (0, "computing", "assemble", "made.py:40", "Send", "made.py:41")]  # fmt: skip
    assert (found[0]["wait"], found[0]["count"]) == (100 * MS, 2)
    assert [(v["operation"], v["place"], v["ranks"], v["wait"]) for v in found[0]["victims"]] == [
        ("Recv", "made.py:61", [2], 52 * MS), ("Recv", "made.py:51", [1], 48 * MS)]  # fmt: skip


def test_the_direct_culprit_is_the_call_that_was_late():
    made = chain()
    assert [(kind, culprit) for _, kind, _, culprit in made.waits()] == [("late sender", 1), ("late sender", 3)]
    assert analyze(made.trace()).waits["steps"].tolist() == [0, 1]


def test_a_culprit_in_mpi():
    """Rank 0 is late because another call of MPI, which waits for nobody, takes long."""
    made = Made()
    made.call(0, "MPI_File_write", 5, 48, line=7)
    made.message(made.call(0, "MPI_Send", 50, 51, line=8), made.call(1, "MPI_Recv", 10, 52, line=9))
    cause = analyze(made.trace()).as_dict()["causes"][0]
    assert (cause["rank"], cause["activity"], cause["operation"], cause["place"]) == (0, "in MPI", "File_write", "made.py:7")
    assert words.cause(cause) == "rank 0 is in File_write at made.py:7"


def test_a_culprit_that_pickles():
    made = Made()
    made.message(send := made.call(0, "MPI_Send", 5, 48, line=7), made.call(1, "MPI_Recv", 4, 49, line=9))
    made.message(made.call(0, "MPI_Send", 50, 51, line=8), made.call(1, "MPI_Recv", 50 - 35, 52, line=9))
    made.nested.append((send, 1, 0, 40 * MS, 1000))
    causes = analyze(made.trace()).as_dict()["causes"]
    assert [(c["activity"], c["place"], c["wait"] // MS) for c in causes] == [("pickling", "made.py:7", 35), ("computing", "made.py:7", 1)]
    assert words.cause(causes[0]) == "rank 0 pickles in send at made.py:7"


def test_the_largest_piece_of_work_counts_not_the_last():
    made = Made()
    made.call(0, "MPI_Isend", 40, 41, line=7)
    made.message(made.call(0, "MPI_Send", 50, 51, line=8), made.call(1, "MPI_Recv", 10, 52, line=9))
    cause = analyze(made.trace()).as_dict()["causes"][0]
    assert (cause["operation"], cause["place"]) == ("Isend", "made.py:7")


# ---- efficiencies ---------------------------------------------------------------------------------------------------


def test_efficiencies_of_uneven_work():
    """Rank 0 computes 80 ms, rank 1 40 ms; the rest of 100 ms is an allreduce, of which 20 ms is transfer."""
    made = Made()
    made.collective(made.call(0, "MPI_Allreduce", 80, 100), made.call(1, "MPI_Allreduce", 40, 100))
    e = analyze(made.trace()).efficiency
    assert (e["load_balance"], e["communication"], e["parallel"]) == pytest.approx((0.75, 0.8, 0.6))
    assert (e["serialisation"], e["transfer"], e["ideal"]) == pytest.approx((1, 0.8, 80 * MS))


def test_serialisation():
    """Each computes 40 ms, one after the other: no network makes that faster."""
    made = Made()
    made.message(made.call(0, "MPI_Send", 40, 50), made.call(1, "MPI_Recv", 0, 50))
    made.message(made.call(1, "MPI_Send", 90, 100), made.call(0, "MPI_Recv", 50, 100))
    e = analyze(made.trace()).efficiency
    assert (e["load_balance"], e["serialisation"], e["transfer"], e["ideal"]) == pytest.approx((1, 0.5, 0.8, 80 * MS))


def test_a_synchronous_send_needs_its_receive_on_any_network():
    made = Made()
    send = made.call(0, "MPI_Ssend", 10, 65)
    made.message(send, made.call(1, "MPI_Recv", 60, 65))
    made.call(0, "MPI_Comm_rank", 100, 100)
    assert analyze(made.trace()).efficiency["ideal"] == pytest.approx((60 + 35) * MS)


def test_a_broadcast_needs_its_root_only():
    for root, ideal in ((0, 90), (1, 40)):
        made = Made()
        made.collective(made.call(0, "MPI_Bcast", 50, 60, peer=root), made.call(1, "MPI_Bcast", 0, 60, peer=root))
        made.call(1, "MPI_Comm_rank", 100, 100)
        made.call(0, "MPI_Comm_rank", 60, 100)
        assert analyze(made.trace()).efficiency["ideal"] == max(ideal, 50) * MS


# ---- tables ---------------------------------------------------------------------------------------------------------


def test_only_outermost_calls_of_mpi_count():
    made = Made(1)
    made.state(0, "step", 0, 90)
    made.call(0, "MPI_Allreduce", 10, 40, line=3)
    made.state(0, "operator", 15, 35)
    made.call(0, "MPI_Wait", 20, 30, line=4)
    report = analyze(made.trace()).as_dict()
    assert report["rows"][0]["mpi"] == 30 * MS and report["rows"][0]["app"] == 60 * MS
    assert [site["place"] for site in report["sites"]] == ["made.py:3"]
    assert {s["state"]: (s["inclusive"] // MS, s["exclusive"] // MS) for s in report["states"]} == {
        "step": (90, 60),
        "operator": (20, 10),
    }


def test_a_state_inside_itself_counts_once():
    made = Made(1)
    for start, end in ((0, 50), (10, 40), (20, 30)):
        made.state(0, "visit", start, end)
    state = analyze(made.trace()).as_dict()["states"][0]
    assert (state["count"], state["inclusive"], state["exclusive"]) == (3, 50 * MS, 50 * MS)


def test_call_sites():
    made = Made(2)
    for row, lengths in ((0, (1, 3)), (1, (2, 6))):
        for i, length in enumerate(lengths):
            made.call(row, "MPI_Send", 10 * i, 10 * i + length, line=5, bytes=100)
    site = analyze(made.trace()).as_dict()["sites"][0]
    assert {key: site[key] for key in ("operation", "place", "count", "ranks", "total", "mean", "max", "bytes")} == {
        "operation": "Send", "place": "made.py:5", "count": 4, "ranks": 2, "total": 12 * MS, "mean": 3 * MS, "max": 6 * MS,
        "bytes": 400}  # fmt: skip
    assert site["cov"] == pytest.approx(np.std([4, 8]) / 6)


def test_message_sizes():
    made = Made()
    for i, size in enumerate((0, 1, 7, 8, 1024)):
        made.message(made.call(0, "MPI_Send", 10 * i, 10 * i + 1), made.call(1, "MPI_Recv", 10 * i, 10 * i + 2), size)
    sizes = analyze(made.trace()).as_dict()["sizes"]
    assert [(s["low"], s["high"], s["count"], s["bytes"]) for s in sizes] == [
        (0, 0, 1, 0),
        (1, 1, 1, 1),
        (4, 7, 1, 7),
        (8, 15, 1, 8),
        (1024, 2047, 1, 1024),
    ]
    assert sizes[-1]["mean"] == 2 * MS and sizes[-1]["bandwidth"] == pytest.approx(1024 / 2e-3)


def test_collectives_and_unmatched():
    made = Made(2)
    made.collective(made.call(0, "MPI_Allreduce", 0, 10, bytes=8), made.call(1, "MPI_Allreduce", 0, 10, bytes=8))
    made.unmatched.append((made.call(0, "MPI_Isend", 20, 21, line=9, peer=1, tag=4, bytes=100), 1))
    report = analyze(made.trace()).as_dict()
    assert [(c["operation"], c["comm_size"], c["high"], c["instances"], c["calls"], c["total"]) for c in report["collectives"]] == [
        ("Allreduce", 2, 15, 1, 2, 20 * MS)]  # fmt: skip
    lost = report["unmatched"][0]
    assert (lost["why"], lost["rank"], lost["operation"], lost["place"], lost["peer"], lost["tag"]) == (
        "sent, never received",
        0,
        "Isend",
        "made.py:9",
        1,
        4,
    )
    assert "sent, never received" in analyze(made.trace()).text()


def test_what_never_ended_is_named():
    made = Made(3)
    for rank, line in enumerate((3, 3, 4)):
        made.call(rank, "MPI_Recv", 10, 20, line=line, flags=1)
    assert [entry["operation"] for entry in analyze(made.trace()).as_dict()["open"]] == ["Recv"] * 3
    text = analyze(made.trace(complete=False)).text()
    assert "At the end ranks 0, 1 were in Recv at made.py:3.\nAt the end rank 2 was in Recv at made.py:4." in text
    assert "did not end in order" in text


def test_threads_are_rows():
    made = Made(threads=[(0, 0), (0, 1), (1, 0)])
    made.call(0, "MPI_Barrier", 0, 10)
    made.call(1, "MPI_Recv", 0, 90)
    made.call(2, "MPI_Barrier", 0, 100)
    report = analyze(made.trace()).as_dict()
    assert [(row["rank"], row["thread"], row["mpi"] // MS) for row in report["rows"]] == [(0, 0, 10), (0, 1, 90), (1, 0, 100)]
    assert report["job"]["ranks"] == 2 and report["efficiency"]["useful_max"] == 90 * MS
    assert re.search(r"^ +0\.1 +100 ms", analyze(made.trace()).text(), re.MULTILINE)


def test_an_odd_rank_is_named():
    made = Made(5)
    for rank in range(5):
        made.call(rank, "MPI_Barrier", 20 if rank != 3 else 80, 100)
    rows = analyze(made.trace()).as_dict()["rows"]
    assert [row["outlier"] for row in rows] == [[], [], [], ["app +60 %"], []]


# ---- advice ---------------------------------------------------------------------------------------------------------


def advice(made):
    """{rule: text}"""
    return {a["rule"]: a["text"] for a in analyze(made.trace()).as_dict()["advice"]}


def test_advice_on_late_ranks_and_imbalance():
    made = Made()
    made.collective(made.call(0, "MPI_Allreduce", 90, 100, line=3), made.call(1, "MPI_Allreduce", 10, 100, line=3))
    said = advice(made)
    assert "rank 0 computes before Allreduce at made.py:3" in said["late"] and "40 % of rank time" in said["late"]
    assert "load balance 56 %: rank 0 computes 90.0 ms, the mean is 50.0 ms" in said["imbalance"]
    assert next(iter(said)) in ("late", "imbalance")


def test_no_advice_on_ranks_that_never_meet():
    made = Made()
    made.state(0, "solve", 0, 100)
    made.state(1, "solve", 0, 1)
    trace = made.trace()
    trace.rows[1]["last"] = MS
    report = analyze(trace).as_dict()
    assert report["efficiency"]["load_balance"] < 0.6 and report["advice"] == []


def test_advice_on_small_messages():
    made = Made()
    for i in range(1200):
        made.message(
            made.call(0, "MPI_Isend", i, i + 0.5, line=3, bytes=512, depth=0),
            made.call(1, "MPI_Recv", i, i + 0.5, line=4, depth=0),
            512,
        )
    assert "Isend at made.py:3 sends 1,200 messages of 512 B on average, 1,200 to one peer" in advice(made)["small messages"]


def test_no_advice_on_few_or_large_messages():
    for n, size in ((100, 512), (1200, 100_000)):
        made = Made()
        for i in range(n):
            made.message(
                made.call(0, "MPI_Isend", i, i + 0.5, line=3, bytes=size, depth=0),
                made.call(1, "MPI_Recv", i, i + 0.5, line=4, depth=0),
                size,
            )
        assert "small messages" not in advice(made)


def test_advice_on_small_collectives():
    made = Made()
    for i in range(150):
        made.collective(*(made.call(row, "MPI_Allreduce", i, i + 0.9, bytes=8, depth=0) for row in (0, 1)))
    assert "298 calls of Allreduce" in advice(made)["small collectives"]


def test_advice_on_late_receivers_and_wrong_order():
    made = Made()
    made.message(made.call(0, "MPI_Ssend", 10, 52), made.call(1, "MPI_Recv", 50, 52))
    assert "Irecv" in advice(made)["late receiver"]
    made = Made(3)
    made.message(made.call(2, "MPI_Send", 50, 51), made.call(1, "MPI_Recv", 10, 52))
    made.message(made.call(0, "MPI_Send", 5, 6), made.call(1, "MPI_Recv", 53, 54))
    assert "ANY_SOURCE" in advice(made)["late sender, wrong order"]


def test_advice_on_polling():
    made = Made()
    made.call(0, "MPI_Test", 0, 100, line=8, bytes=50_000, flags=64)
    assert "Test at made.py:8 polls 50,000 times in vain" in advice(made)["polling"]
    assert analyze(made.trace()).as_dict()["sites"][0]["bytes"] == 0


def test_advice_on_pickling():
    made = Made()
    send = made.call(0, "send", 0, 100, line=8)
    made.nested.append((send, 1, 0, 80 * MS, 8_000_000))
    said = advice(made)["pickling"]
    assert "pickling takes 80.0 ms in 1 calls of send at made.py:8" in said and "lists of numbers" in said and "100 MB/s" in said


def test_advice_on_copies_and_layouts():
    for flag, words_ in ((32, "goes through a copy"), (16, "derived datatype")):
        made = Made()
        made.call(0, "MPI_Send", 0, 100, line=8, bytes=1000, flags=flag)
        assert any(words_ in text for text in advice(made).values())


def test_advice_on_messages_that_are_a_collective():
    made = Made(5)
    for rank in range(1, 5):
        made.message(
            made.call(0, "MPI_Send", 20 * rank, 20 * rank + 10, line=8), made.call(rank, "MPI_Recv", 20 * rank, 20 * rank + 10, line=9)
        )
    assert "rank 0 sends 1 messages to each of 4 others, in Send at made.py:8" in advice(made)["collective"]


def test_advice_on_lost_records():
    made = Made()
    made.call(0, "MPI_Send", 0, 1)
    said = {a["rule"]: a["text"] for a in analyze(made.trace(dropped=77)).as_dict()["advice"]}
    assert "77 records found no room" in said["dropped"]


# ---- conservation, and the same by brute force ----------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(1, 300), st.integers(0, 1000), st.data())
def test_sums_are_kept_in_every_interval(rows, calls, seed, data):
    trace = trace_samples.sample(rows, calls, seed)
    low = data.draw(st.integers(0, int(trace.meta["duration"]) - 1))
    high = data.draw(st.integers(low + 1, int(trace.meta["duration"])))
    analysis = analyze(trace, low, high)
    result = analysis.as_dict()
    brute(trace, low, high, result)
    free = analysis.wall - analysis.per_row(analysis.row, analysis.own)
    assert (free >= 0).all() and (analysis.own >= 0).all()
    assert (analysis.waiting <= analysis.mpi).all() and (analysis.mpi <= analysis.wall).all()
    assert sum(site["total"] for site in result["sites"]) == result["totals"]["mpi"] == sum(row["mpi"] for row in result["rows"])
    assert sum(site["wait"] for site in result["sites"]) == result["totals"]["wait"] == sum(w["total"] for w in result["waits"])
    assert sum(cause["wait"] for cause in result["causes"]) == result["totals"]["wait"]
    for row in result["rows"]:
        assert row["bytes_out"] == sum(pair["bytes"] for pair in result["matrix"] if pair["source"] == row["rank"])
        assert row["bytes_in"] == sum(pair["bytes"] for pair in result["matrix"] if pair["dest"] == row["rank"])
    e = result["efficiency"]
    assert e["useful_max"] <= e["ideal"] <= high - low
    assert e["parallel"] == pytest.approx(e["load_balance"] * e["serialisation"] * e["transfer"])


def brute(trace, low, high, result):
    """The same numbers, call by call."""
    mpi, sites, exclusive, stack = dict.fromkeys(range(len(trace.rows)), 0), {}, {}, []
    cut = [max(0, min(high, int(c["end"])) - max(low, int(c["start"]))) for c in trace.calls]
    for i, c in enumerate(trace.calls):
        stack = [j for j in stack[: c["depth"]] if trace.calls[j]["row"] == c["row"]]
        kind, here = trace.operations[c["operation"]]["kind"], c["start"] <= high and c["end"] >= low
        if kind == "mpi" and not any(trace.operations[trace.calls[j]["operation"]]["kind"] == "mpi" for j in stack) and here:
            mpi[int(c["row"])] += cut[i]
            count, total = sites.get((c["operation"], c["site"]), (0, 0))
            sites[c["operation"], c["site"]] = count + 1, total + cut[i]
        exclusive[i] = cut[i]
        if stack:
            exclusive[stack[-1]] -= cut[i]
        stack.append(i)
    assert [row["mpi"] for row in result["rows"]] == list(mpi.values())
    assert sorted((s["count"], s["total"]) for s in result["sites"]) == sorted(sites.values())
    states = [i for i, c in enumerate(trace.calls) if trace.operations[c["operation"]]["kind"] == "state"]
    assert sum(s["exclusive"] for s in result["states"]) == sum(exclusive[i] for i in states)
    sent = [m for m in trace.messages if low <= trace.calls[m["send"]]["start"] <= high]
    assert sum(size["count"] for size in result["sizes"]) == len(sent) == sum(pair["count"] for pair in result["matrix"])
    assert sum(pair["bytes"] for pair in result["matrix"]) == sum(int(m["bytes"]) for m in sent)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(8, 200), st.integers(0, 1000))
def test_wait_states_of_random_traces_by_brute_force(rows, calls, seed):
    trace = trace_samples.sample(rows, calls, seed)
    found = {int(w["call"]): int(w["duration"]) for w in analyze(trace).waits}
    start, end, row = trace.calls["start"], trace.calls["end"], trace.calls["row"]
    expected = {}

    def may_wait(call, until, culprit):
        wait = min(int(end[call]), int(until)) - int(start[call])
        if wait > 0 and row[call] != row[culprit]:
            expected[int(call)] = max(wait, expected.get(int(call), 0))

    for m in trace.messages:
        may_wait(m["receive_done"], start[m["send"]], m["send"])
        if m["bytes"] > waits.EAGER and start[m["receive"]] < end[m["send_done"]]:
            may_wait(m["send_done"], start[m["receive"]], m["receive"])
    for number in np.unique(trace.collectives["instance"]):
        members = trace.collectives[trace.collectives["instance"] == number]
        last = max(members["call"], key=lambda call: start[call])
        for member in members:
            may_wait(member["done"], start[last], last)
    assert found == expected


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(8, 200), st.integers(0, 1000))
def test_the_ideal_time_by_brute_force(rows, calls, seed):
    """The longest way through the trace: each call of MPI begins when the one before has ended and the work between is done."""
    trace = trace_samples.sample(rows, calls, seed)
    mpi = [i for i, c in enumerate(trace.calls) if trace.operations[c["operation"]]["kind"] == "mpi"]
    row, start, end = (trace.calls[name].tolist() for name in ("row", "start", "end"))
    previous = {i: before if row[before] == row[i] else None for before, i in zip([mpi[0], *mpi], mpi, strict=False)}
    previous[mpi[0]] = None
    needs = {i: [] for i in mpi}
    for m in trace.messages:
        needs[int(m["receive_done"])].append(int(m["send"]))
    for c in trace.collectives:
        needs[int(c["done"])] += [int(other["call"]) for other in trace.collectives if other["instance"] == c["instance"]]
    entry, leave, before = dict.fromkeys(mpi, 0), dict.fromkeys(mpi, 0), None
    while leave != before:
        before = dict(leave)
        for i in mpi:
            last = previous[i]
            entry[i] = start[i] if last is None else leave[last] + start[i] - end[last]
            leave[i] = max([entry[i], *(entry[other] for other in needs[i])])
    assert analyze(trace).efficiency["ideal"] == max(leave[i] + trace.meta["duration"] - end[i] for i in mpi if i not in previous.values())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50), st.integers(0, 9)), max_size=40),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 70), st.integers(0, 30)), min_size=1, max_size=20),
)
def test_windows_over_spans(parts, windows):
    spans, at = [], dict.fromkeys(range(4), 0)
    for row, gap, length in sorted(parts):
        begin = at[row] + gap % 7
        spans.append((row, begin, begin + length))
        at[row] = begin + length
    row, begin, end = (np.array([s[i] for s in spans], dtype="i8") for i in range(3))
    made = Spans(row, begin, end, 10_000)
    wrow, low, length = (np.array([w[i] for w in windows], dtype="i8") for i in range(3))
    low, high = made.key(wrow, low), made.key(wrow, low + length)
    covered = [
        [max(0, min(e, h % 10_000) - max(b, lo % 10_000)) if r == w else 0 for r, b, e in spans]
        for w, lo, h in zip(wrow, low, high, strict=True)
    ]
    assert made.overlap(low, high).tolist() == [sum(c) for c in covered]
    best, most = made.largest(low, high)
    assert most.tolist() == [max(c, default=0) for c in covered] or all(
        m <= max(c, default=0) and (m > 0) == (max(c, default=0) > 0) for m, c in zip(most, covered, strict=True)
    )
    assert all(b < 0 or c[b] == m for b, m, c in zip(best, most, covered, strict=True))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100)), max_size=30))
def test_running_largest_and_smallest(pairs):
    pairs.sort(key=lambda pair: pair[0])
    group, values = (np.array([p[i] for p in pairs], dtype="i8") for i in (0, 1))
    for last, pick in ((False, max), (True, min)):
        at = running(values, group, last)
        assert values[at].tolist() == [pick(v for g, v in pairs[: i + 1] if g == pair[0]) for i, pair in enumerate(pairs)]


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_nonsense_is_analyzed_too(data):
    """What importers and damaged files may hold: any depths, overlaps, references."""
    made = Made(threads=[(0, 0), (0, 1), (2, 0), (-1, 0)])
    names = ["MPI_Send", "MPI_Ssend", "MPI_Recv", "MPI_Probe", "MPI_Bcast", "MPI_Reduce", "MPI_Scan", "MPI_Barrier", "MPI_Test", "else"]
    number = st.integers(0, 9)
    calls = st.lists(st.tuples(st.integers(0, 3), *[number] * 6), min_size=1, max_size=25)
    for row, start, length, name, size, flags, depth in data.draw(calls):
        kind = "mpi" if names[name] != "else" else "state"
        made.call(row, names[name], start, start + length, line=size, peer=depth - 2, bytes=size - 1, flags=flags, kind=kind, depth=depth // 3)
    a_call = st.integers(0, len(made.calls) - 1)
    for send, sent, receive, received in data.draw(st.lists(st.tuples(a_call, a_call, a_call, a_call), max_size=15)):
        made.message(send, receive, sent=sent, received=received)
    for calls in data.draw(st.lists(st.lists(a_call, min_size=1, max_size=4), max_size=5)):
        made.collective(*calls)
    trace = made.trace()
    low = data.draw(st.integers(0, int(trace.meta["duration"])))
    for interval in ((None, None), *([(low, None)] if low < trace.meta["duration"] else [])):
        analysis = analyze(trace, *interval)
        assert json.loads(json.dumps(analysis.as_dict())) == analysis.as_dict()
        assert max(map(len, analysis.text().splitlines())) <= 100


def test_calls_that_overlap_do_not_count_twice():
    """States of MPE may end in any order."""
    made = Made(1)
    made.call(0, "a", 0, 60, kind="state", depth=0)
    made.call(0, "b", 40, 90, kind="state", depth=1)
    made.call(0, "c", 50, 100, kind="state", depth=1)
    nesting = Nesting(made.trace().calls)
    assert (nesting.finish // MS).tolist() == [60, 50, 60] and nesting.parent.tolist() == [-1, 0, 0]
    assert analyze(made.trace()).own.sum() == 60 * MS


# ---- the text and the command ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 2, 4, 16, 17, 1000])
def test_the_text_fits_any_number_of_ranks(rows):
    text = analyze(trace_samples.sample(rows, max(400, 20 * rows), slow=0, lost=3)).text()
    assert max(map(len, text.splitlines())) <= 100
    assert len(text.splitlines()) < 200
    assert not re.search(r"\b(nan|inf|None)\b", text)


def test_the_program_is_named_without_its_arguments():
    made = Made(1)
    made.call(0, "MPI_Send", 0, 1)
    assert analyze(made.trace(program="/usr/bin/made.py --png a/b.png")).text().startswith("made.py: 1 rank, 1.00 ms")


def test_the_text_names_who_is_slow_and_where():
    text = analyze(trace_samples.sample(4, 4000, slow=2)).text()
    assert "while rank 2 computes in 'step' (solver.py:10) before Isend at solver.py:13." in " ".join(text.split("\n")[:3])


def test_an_empty_trace():
    made = Made(2)
    analysis = analyze(made.trace())
    assert "2 ranks" in analysis.text() and analysis.as_dict()["sites"] == []


@pytest.mark.parametrize(
    ("ns", "text"), [(0, "0"), (12, "12.0 ns"), (1234, "1.23 us"), (45_600_000, "45.6 ms"), (3e9, "3.00 s"), (7.2e12, "7200 s")]
)
def test_durations(ns, text):
    assert words.duration(ns) == text


def test_clocks_of_which_nothing_is_known():
    made = Made(1)
    made.call(0, "MPI_Send", 0, 1)
    known, unknown = {"name": "a", "bound": 1500.0, "residual": 20.0}, {"name": "b", "bound": -1.0, "residual": 0.0}
    for hosts, text in (
        ([known] * 2, "clocks of 2 hosts (a, a): error at most 1.50 us, residual 20.0 ns\n  no message seems to come before it was sent\n"),
        ([known, unknown], "residual 20.0 ns, nothing is known of 1\n"),
        ([unknown] * 2, "clocks of 2 hosts (b, b): nothing is known of 2\n"),
    ):
        assert text in analyze(made.trace(hosts=hosts)).text()


def test_ranks_in_words():
    assert words.ranks([3]) == "rank 3" and words.ranks([0, 2, 3, 4, 5]) == "ranks 0, 2-5"
    assert words.ranks(range(0, 40, 2)) == "20 ranks (0, 2, 4, ...)"


def test_files_with_the_same_name_are_told_apart():
    from mmpi.trace.tables import site_names

    sites = [NO_SITE] + [{"file": file, "line": 1, "function": ""} for file in ("/a/x/main.py", "/a/y/main.py", "/a/y/other.py")]
    assert site_names(sites) == ["", "x/main.py:1", "y/main.py:1", "other.py:1"]


@pytest.fixture
def merged(tmp_path):
    path = tmp_path / "trace.mmpit"
    trace_samples.sample(4, 400, slow=1).write(path)
    return str(path)


def test_the_command_prints_text_and_json(merged, capsys):
    assert main(["trace", "report", merged]) == 0
    assert "Largest loss" in capsys.readouterr().out
    assert main(["trace", "report", "--json", merged]) == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["job"]["ranks"] == 4
    assert main(["trace", "report", "--json", "--from", "10us", "--to=0.0002", merged]) == 0
    part = json.loads(capsys.readouterr().out)
    assert part["interval"]["start"] == 10_000 and part["interval"]["end"] == 200_000
    assert part["totals"]["mpi"] < whole["totals"]["mpi"]


@pytest.mark.parametrize(("arguments", "says"), [
    ([], "give one folder or .mmpit file"), (["a", "b"], "not 2: a b"), (["--colour"], "what is --colour?"),
    (["--from", "x", "a"], "--from x: give seconds"),
    (["--to"], "--to needs a value"), (["--top", "0", "a"], "--top 0: give a number"),
])  # fmt: skip
def test_bad_command_lines(arguments, says, capsys):
    assert main(["trace", "report", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_bad_sources_and_intervals(tmp_path, merged, capsys):
    assert main(["trace", "report", str(tmp_path / "nothing")]) == 1
    assert "nothing" in capsys.readouterr().err
    (tmp_path / "noise.mmpit").write_bytes(b"noise" * 100)
    assert main(["trace", "report", str(tmp_path / "noise.mmpit")]) == 1
    assert "noise.mmpit" in capsys.readouterr().err
    assert main(["trace", "report", "--from", "5", merged]) == 1
    assert "the interval from 5 s" in capsys.readouterr().err
    assert main(["trace", "report", "--from", "20us", "--to", "10us", merged]) == 1


def test_help(capsys):
    assert main(["trace", "report", "--help"]) == 0
    assert "--from TIME" in capsys.readouterr().out
    assert report.seconds("1.5") == 1_500_000_000 and report.seconds("200ms") == 200_000_000


def test_the_replay_refuses_what_does_not_fit():
    from mmpi._merge import replay

    def column(*values):
        return np.array(values, dtype="i8")

    good = [column(0, 1), column(1), column(5), column(0, 1), column(0), column(0, 1), column(0), 1]
    assert np.frombuffer(replay(*good), "i8").tolist() == [5]
    for at, bad in (
        (0, column(2)),
        (0, column(-1)),
        (1, column(0)),
        (2, column(-1)),
        (2, column()),
        (3, column(0)),
        (3, column(0, 2)),
        (3, column(1, 1)),
        (4, column(1)),
        (6, column(-1)),
        (7, 0),
        (7, -1),
        (4, b"abc"),
    ):
        with pytest.raises(ValueError, match="replay"):
            replay(*good[:at], bad, *good[at + 1 :])


# ---- traced programs ------------------------------------------------------------------------------------------------

HERE = Path(__file__).parent
SLEEPERS = """
import json, sys, time
import mmpi
from mmpi import MPI
rank, size = mmpi.init()
comm, log, data = MPI.COMM_WORLD, [], bytearray(8)

def call(label, function, *arguments):
    begin = time.monotonic_ns()
    result = function(*arguments)
    log.append((label, begin, time.monotonic_ns()))
    return result

call("barrier", comm.Barrier)
for i in range(3):
    time.sleep(0.1 if rank == i else 0)                     # late sender: from each in turn, to the next
    if rank == i: call(f"send {i}", comm.Send, data, (i + 1) % 3)
    if rank == (i + 1) % 3: call(f"receive {i}", comm.Recv, data, i)
call("barrier 0", comm.Barrier)
time.sleep(0.1 if rank == 1 else 0)                         # late receiver
if rank == 0: call("ssend", comm.Ssend, data, 1)
if rank == 1: call("of ssend", comm.Recv, data, 0)
time.sleep(0.05 * rank)
call("barrier 1", comm.Barrier)
time.sleep(0.05 * (2 - rank))
call("allreduce", comm.Allreduce, data, bytearray(8), MPI.MAX)
time.sleep(0.1 if rank == 2 else 0)
call("bcast", comm.Bcast, data, 2)
call("barrier 2", comm.Barrier)
time.sleep(0.1 * rank)
call("reduce", comm.Reduce, data, bytearray(8), MPI.MAX, 0)
call("barrier 3", comm.Barrier)
if rank == 0: time.sleep(0.15); call("send 3", comm.Send, data, 1)
if rank == 1: request = comm.Irecv(data, 0); time.sleep(0.05); call("receive 3", request.Wait)
mmpi.finalize()
with open(sys.argv[1] + str(rank), "w") as file: json.dump(log, file)
"""


def slept(logs):
    """{kind: ns} of all ranks, from the times that the program has logged around its calls."""
    began = [{label: begin for label, begin, _ in log} for log in logs]
    sums = dict.fromkeys(waits.KINDS, 0)
    for rank, log in enumerate(logs):
        for label, begin, end in log:
            others = [times for i, times in enumerate(began) if i != rank]

            def late(name, begin=begin, end=end, others=others):
                return max(0, min(end, max(times[name] for times in others if name in times)) - begin)

            if label.startswith("receive"):
                sums["late sender"] += late(label.replace("receive", "send"))
            elif label == "ssend":
                sums["late receiver"] += late("of ssend")
            elif label.startswith("barrier"):
                sums["wait at barrier"] += late(label)
            elif label == "allreduce":
                sums["wait at NxN"] += late(label)
            elif label == "bcast" and rank != 2:
                sums["late broadcast"] += max(0, min(end, began[2][label]) - begin)
            elif label == "reduce" and rank == 0:
                sums["early reduce"] += late(label)
    return {kind: time for kind, time in sums.items() if time}


def traced(tmp_path, n, program, *arguments):
    """The folder of a traced run."""
    folder = tmp_path / "run"
    lines(run(sys.executable, "-m", "mmpi", "run", "-n", str(n), "--trace", str(folder), str(program), *map(str, arguments)))
    return folder


def test_waits_are_those_that_the_program_logged(tmp_path):
    program = tmp_path / "sleepers.py"
    program.write_text(SLEEPERS)
    folder = traced(tmp_path, 3, program, tmp_path / "log")
    expected = slept([json.loads((tmp_path / f"log{rank}").read_text()) for rank in range(3)])
    found = {w["kind"]: w["total"] for w in analyze(load(folder)).as_dict()["waits"]}
    assert set(expected) == {"late sender", "late receiver", "wait at barrier", "wait at NxN", "late broadcast", "early reduce"}
    for kind, time in expected.items():
        assert found[kind] == pytest.approx(time, rel=0.05), kind


def test_heat_names_the_slow_rank_and_its_line(tmp_path):
    program = HERE.parent / "examples" / "heat.py"
    folder = traced(tmp_path, 4, program, "--n", 800, "--time", 2e-5, "--slow", 2)
    report = analyze(load(folder)).as_dict()
    line = next(i for i, text in enumerate(program.read_text().splitlines(), 1) if "with UPDATE" in text)
    worst = report["causes"][0]
    assert (worst["rank"], worst["activity"], worst["state"], worst["state_place"]) == (2, "computing", "update", f"heat.py:{line}")
    assert worst["victims"][0]["operation"] == "Waitall"
    text = run(sys.executable, "-m", "mmpi", "trace", "report", str(folder)).stdout
    assert f"rank 2 computes in 'update' (heat.py:{line})" in " ".join(text.split("\n\n")[0].split())
    assert max(report["rows"], key=lambda row: row["app"])["rank"] == 2


@pytest.mark.parametrize(
    "words,said",
    [
        (["report", "{}/none"], "mmpi trace report: {}/none: No such file or directory\n"),
        (["view", "{}", "-o", "{}/none/run.html"], "mmpi trace view: {}/none/run.html cannot be written: there is no folder {}/none\n"),
        (["export", "{}", "--to", "csv", "-o", "{}/none/x"], "mmpi trace export: {}/none/x cannot be written: there is no folder {}/none\n"),
        (["import", "{}/none", "-o", "{}/x.mmpit"], "mmpi trace import: {}/none: No such file or directory\n"),
        (["import", "{}", "-o", "{}/none/x.mmpit"], "mmpi trace import: {}/none/x.mmpit cannot be written: there is no folder {}/none\n"),
    ],
)
def test_places_that_are_not_there(words, said, tmp_path, capsys):
    assert command.main([word.format(tmp_path) for word in words]) == 1
    assert capsys.readouterr().err == said.format(*[tmp_path] * said.count("{}"))


def test_without_numpy(tmp_path, monkeypatch, capsys):
    """Said in a sentence, with what to do."""
    for name in [name for name in sys.modules if name.startswith("mmpi.trace.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numpy", None)
    monkeypatch.setitem(sys.modules, "numpy.typing", None)
    assert command.main(["report", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "mmpi trace report: needs NumPy: pip install 'maroonmpi[trace]'\n"
