# SPDX-License-Identifier: BSD-3-Clause
"""Merging: what belongs together is found, and nothing else; what is missing is told."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmpi.trace import container, merge
from mmpi.trace.analysis import analyze
from trace_engine import Engine
from trace_writer import ANY_SOURCE, ANY_TAG, NESTED, NONE, RECORDS, STRING, VALUES, WIDE, WORLD, Process

quick = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=20)
NO_RECEIVE, NO_SEND, NOT_COMPLETED, NOT_CALLED, ANOTHER, NOT_TOLD, NOT_FOUND = range(1, 8)


def loaded(folder, **how):
    merge.merge(folder, **how)
    return container.load(folder / "trace.mmpit")


def names(trace, calls):
    return [trace.operations[trace.calls["operation"][call]]["name"].removeprefix("MPI_") for call in np.atleast_1d(calls)]


def call_numbers(processes):
    """(rank, thread, record) -> number of the call: all calls, by rank, thread, record."""
    numbers, at = {}, 0
    for process in sorted(processes, key=lambda process: process.rank):
        for number in sorted(process.threads):
            for index, record in enumerate(process.threads[number].records):
                if index % RECORDS and 0 < int.from_bytes(record[24:], "little") >> 52 < 0xF00:
                    numbers[process.rank, number, index] = at
                    at += 1
    return numbers


def pairs(trace, assumed=None):
    rows = trace.messages if assumed is None else trace.messages[trace.messages["assumed"] == assumed]
    return sorted(zip(rows["send"].tolist(), rows["receive"].tolist(), strict=True))


def listed(trace):
    return [(int(call), int(why)) for call, why in trace.unmatched.tolist()]


@quick
@given(st.integers(0, 10**9), st.integers(1, 5), st.sampled_from([20, 300]))
def test_random_programs(tmp_path_factory, seed, n, steps):
    """Every match is that of an engine which moves messages by MPI's rules."""
    folder = tmp_path_factory.mktemp("random")
    engine = Engine(folder, n, seed, steps)
    trace = loaded(folder)
    numbers = call_numbers([rank.process for rank in engine.ranks])
    truth = sorted((numbers[send], numbers[receive]) for send, receive in engine.truth)
    open_receives = {numbers[posted.mark] for rank in engine.ranks for posted in rank.waiting}
    found = [pair for pair in pairs(trace) if pair[1] not in open_receives]
    assert not (engine.tidy and open_receives)
    doubtful = any(None in (posted.source, posted.tag) for rank in engine.ranks for posted in rank.waiting)
    assert sorted(set(pairs(trace, assumed=0)) - set(truth)) == []
    assert doubtful or found == truth
    messages = trace.messages
    assert (messages["send_done"] >= 0).all()
    calls = trace.calls
    assert (calls["start"][messages["send"]] <= calls["end"][messages["receive_done"]])[messages["receive_done"] >= 0].all()
    never = {call for call, why in listed(trace) if why == NOT_COMPLETED}
    assert never == open_receives
    alone = {numbers[message.mark] for rank in engine.ranks for message in rank.unexpected}
    assert doubtful or {call for call, why in listed(trace) if why == NO_RECEIVE} <= alone
    cancelled = {numbers[mark] for mark in engine.cancelled} - open_receives
    assert not cancelled & {call for call, why in listed(trace) if why in (NO_SEND, NOT_COMPLETED)}


def test_the_table_of_calls(tmp_path):
    process = Process(tmp_path, 0, 1)
    thread, world = process.thread(), process.comm(name="MPI_COMM_WORLD")
    state = process.state("step", form="cells=%d")
    outer = thread.call(state, 100, 900, site=process.site("a.py", 3, "run"))
    inner = thread.call("MPI_Send", 200, 300, world, 0, 7, 64, site=process.site("a.py", 4, "run"))
    thread.more(NESTED, inner, 20 | 1 << 40, 640, tag=5)
    thread.more(VALUES, outer, 42, int.from_bytes(np.float64(0.5).tobytes(), "little"), tag=1 | 2 << 8)
    thread.more(VALUES, outer, process.string("fine"), tag=3)
    thread.call("MPI_Recv", 400, 500, world, 0, 7, 64, flags=ANY_SOURCE)
    wide = thread.call("MPI_Bcast", 600, 700, world, 0, 1, (1 << 40) - 2)
    thread.more(WIDE, wide, 120, 1 << 50)
    thread.call("MPI_Recv", 1000, None, world, NONE, -1, 8, flags=ANY_SOURCE | ANY_TAG)
    process.write(finished=False)
    trace = loaded(tmp_path)
    assert names(trace, range(5)) == ["step", "Send", "Recv", "Bcast", "Recv"]
    calls = trace.calls
    assert calls["depth"].tolist() == [0, 1, 1, 1, 0]
    assert (calls["start"] - calls["start"][0]).tolist() == [0, 100, 300, 500, 900]
    assert calls["duration"].tolist() == [800, 100, 100, 120, 0]
    assert calls["bytes"].tolist() == [-1, 64, 64, 1 << 50, 8]
    assert calls["peer"].tolist() == [-1, 0, 0, 0, -1]
    assert calls["tag"].tolist() == [-1, 7, 7, 1, -1]
    assert calls["comm"].tolist() == [0, 1, 1, 1, 1]
    assert [trace.sites[site]["line"] for site in calls["site"]] == [3, 4, 0, 0, 0]
    world = {"gid": "1234", "parent": "0", "name": "MPI_COMM_WORLD", "size": 1, "remote_size": -1, "members": [0], "remote": []}
    assert trace.comms[1] == world
    assert trace.nested.tolist() == [(1, 1, 5, 20, 640)]
    bits = int.from_bytes(np.float64(0.5).tobytes(), "little")
    assert trace.values.tolist() == [(0, 0, 1, 42), (0, 1, 2, bits), (0, 2, 3, 0)]
    assert trace.strings == ["fine"]
    assert pairs(trace) == [(1, 2)]
    assert listed(trace) == [(4, NO_SEND)]
    step = next(operation for operation in trace.operations if operation["name"] == "step")
    assert (step["kind"], step["color"], step["format"]) == ("state", "teal", "cells=%d")
    assert trace.rows == [{
        "rank": 0, "thread": 0, "host": "here", "pid": 100, "tid": 1000, "calls": 5, "first": 0, "last": 999, "finished": False, "dropped": 0,
    }]  # fmt: skip
    meta = trace.meta
    assert (meta["job"], meta["program"], meta["library"], meta["size"]) == ("j0b", "program.py", "MPICH 4", 1)
    assert (meta["complete"], meta["missing"], meta["violations"], meta["record_ns"]) == (False, [], 0, 41.5)
    assert meta["began"] == 10**18 + 1


def test_what_was_received_is_told_of_the_receive(tmp_path):
    """An Irecv from anywhere says in the end from where, which tag, how much."""
    process = Process(tmp_path, 0, 1)
    thread, world = process.thread(), process.comm()
    thread.call("MPI_Isend", 100, 110, world, 0, 7, 64)
    receive = thread.call("MPI_Irecv", 120, 130, world, NONE, -1, 4096, flags=ANY_SOURCE | ANY_TAG)
    thread.completed(thread.call("MPI_Wait", 140, 150), thread.name(receive), 0, 7, 64)
    process.write()
    trace = loaded(tmp_path)
    assert trace.calls[["peer", "tag", "bytes", "world_peer"]][1].tolist() == (0, 7, 64, 0)
    assert trace.messages.tolist() == [(0, -1, 1, 2, 64, 7, 1, 0)]
    assert listed(trace) == [(0, NOT_COMPLETED)]


def test_threads_complete_what_others_started(tmp_path):
    process = Process(tmp_path, 0, 1)
    one, two, world = process.thread(0), process.thread(3), process.comm()
    send = one.call("MPI_Isend", 100, 110, world, 0, 7, 64)
    receive = one.call("MPI_Irecv", 120, 130, world, 0, 7, 64)
    wait = two.call("MPI_Waitall", 140, 150)
    two.completed(wait, one.name(send))
    two.completed(wait, one.name(receive), 0, 7, 64)
    process.write()
    trace = loaded(tmp_path)
    assert trace.messages.tolist() == [(0, 2, 1, 2, 64, 7, 1, 0)]
    assert [row["thread"] for row in trace.rows] == [0, 3]


def test_threads_that_share_an_order_are_told(tmp_path):
    """In the order of their starts, but MPI does not promise it; another tag of one thread alone is sure."""
    a, b = Process(tmp_path, 0, 2), Process(tmp_path, 1, 2)
    for number, start in ((0, 100), (1, 50)):
        a.thread(number).call("MPI_Send", start, start + 10, a.comm(), 1, 7, 8 + number)
    a.thread(0).call("MPI_Send", 200, 210, a.comm(), 1, 9, 99)
    for start, tag, size in ((300, 7, 9), (320, 7, 8), (340, 9, 99)):
        b.thread().call("MPI_Recv", start, start + 10, b.comm(), 0, tag, size)
    a.write(), b.write()
    trace = loaded(tmp_path)
    assert trace.messages[["send", "receive", "assumed"]].tolist() == [(2, 3, 1), (0, 4, 1), (1, 5, 0)]


def test_equal_requests_of_one_startall_are_told(tmp_path):
    process = Process(tmp_path, 0, 1)
    thread, world = process.thread(), process.comm()
    prepared = [thread.call("MPI_Recv_init", 100 + i, 101 + i, world, 0, tag, 8) for i, tag in enumerate((7, 7, 8))]
    call = thread.call("MPI_Startall", 200, 210)
    records = [thread.started(call, thread.name(one)) for one in prepared]
    for i, tag in enumerate((7, 7, 8)):
        thread.call("MPI_Send", 300 + 10 * i, 305 + 10 * i, world, 0, tag, 8)
    wait = thread.call("MPI_Waitall", 400, 410)
    for record, tag in zip(records, (7, 7, 8), strict=True):
        thread.completed(wait, thread.name(record), 0, tag, 8)
    process.write()
    assert loaded(tmp_path).messages[["receive", "receive_done", "tag", "assumed"]].tolist() == [(3, 7, 7, 1), (3, 7, 7, 1), (3, 7, 8, 0)]


def test_intercommunicators(tmp_path):
    """Ranks count in the other group; both groups have a rank 0, both directions the same tag."""
    ranks = [Process(tmp_path, rank, 5) for rank in range(5)]
    sizes = [3, 2]  # of the group of even ranks, and of that of odd ones
    comms = [p.comm(99, p.rank // 2, sizes[p.rank % 2], sizes[1 - p.rank % 2], leader=p.rank % 2) for p in ranks]
    ranks[0].thread().call("MPI_Send", 10, 20, comms[0], 0, 7, 1)  # to rank 1 of WORLD
    ranks[1].thread().call("MPI_Send", 12, 22, comms[1], 0, 7, 2)  # to rank 0
    ranks[1].thread().call("MPI_Recv", 30, 40, comms[1], 0, 7, 1)
    ranks[0].thread().call("MPI_Recv", 30, 40, comms[0], 0, 7, 2)
    ranks[4].thread().call("MPI_Send", 50, 60, comms[4], 1, 7, 3)  # to rank 3
    ranks[3].thread().call("MPI_Recv", 50, 60, comms[3], 2, 7, 3)
    for process in ranks:
        process.thread().call("MPI_Barrier", 100, 110, comms[process.rank], tag=1)
        process.write()
    trace = loaded(tmp_path)
    rank = [trace.rows[row]["rank"] for row in trace.calls["row"]]
    moved = [(rank[a], rank[b], size) for a, b, size in trace.messages[["send", "receive", "bytes"]].tolist()]
    assert sorted(moved) == [(0, 1, 1), (1, 0, 2), (4, 3, 3)]
    assert [(comm["members"], comm["remote"]) for comm in trace.comms[1:]] == [([0, 2, 4], [1, 3]), ([1, 3], [0, 2, 4])]
    assert trace.calls["world_peer"][trace.messages["send"]].tolist() == [1, 0, 3]
    assert trace.collectives["instance"].tolist() == [0] * 5
    assert listed(trace) == []


def collectives(trace):
    rank, table = [trace.rows[row]["rank"] for row in trace.calls["row"]], trace.collectives
    return [[rank[call] for call in table["call"][table["instance"] == i]] for i in np.unique(table["instance"])]


@quick
@given(st.integers(0, 10**9), st.integers(1, 6))
def test_collectives_of_random_communicators(tmp_path_factory, seed, n):
    """Each on its communicator in its order; ranks enter at any time, and complete nonblocking ones in any order."""
    import random

    chance, folder = random.Random(seed), tmp_path_factory.mktemp("collectives")
    ranks = [Process(folder, rank, n) for rank in range(n)]
    groups = {WORLD: list(range(n))} | {5 + i: chance.sample(range(n), chance.randint(1, n)) for i in range(3)}
    numbers, truth, open_requests = dict.fromkeys(groups, 0), [], [[] for _ in range(n)]
    now = [1000] * n
    for _ in range(30):
        gid = chance.choice(list(groups))
        numbers[gid] += 1
        operation = chance.choice(["MPI_Barrier", "MPI_Iallreduce", "MPI_Bcast", "MPI_Comm_split", "MPI_File_write_all"])
        members = {}
        for place, rank in enumerate(groups[gid]):
            now[rank] += chance.randint(20, 5000)
            process = ranks[rank]
            comm = process.comm(gid, place, len(groups[gid]), leader=groups[gid][0])
            call = process.thread().call(operation, now[rank], now[rank] + 10, comm, NONE, numbers[gid], 8)
            members[rank] = call
            if operation == "MPI_Iallreduce":
                open_requests[rank].append(call)
        truth.append(members)
    waits = {}
    for rank, process in enumerate(ranks):
        thread = process.thread()
        for request in chance.sample(open_requests[rank], len(open_requests[rank])):
            now[rank] += 100
            wait = thread.call("MPI_Wait", now[rank], now[rank] + 10)
            thread.completed(wait, thread.name(request))
            waits[rank, request] = wait
        process.write()
    trace = loaded(folder)
    number = call_numbers(ranks)
    rows = {}
    for instance, call, done in trace.collectives.tolist():
        rows.setdefault(instance, []).append((call, done))
    expected = sorted(sorted((number[r, 0, c], number[r, 0, waits.get((r, c), c)]) for r, c in members.items()) for members in truth)
    assert sorted(sorted(members) for members in rows.values()) == expected
    assert listed(trace) == []
    starts = [min(trace.calls["start"][call] for call, _ in rows[i]) for i in sorted(rows)]
    assert starts == sorted(starts)


def test_prepared_collectives(tmp_path):
    """Each start of one is a collective of its own, apart from those that are numbered."""
    ranks = [Process(tmp_path, rank, 2) for rank in range(2)]
    for process in ranks:
        thread, world = process.thread(), process.comm()
        prepared = thread.call("MPI_Allreduce_init", 100, 110, world, tag=1)
        thread.call("MPI_Barrier", 120, 130, world, tag=2)
        for i in range(3):
            call = thread.call("MPI_Start", 200 + 100 * i, 210 + 100 * i)
            record = thread.started(call, thread.name(prepared))
            thread.completed(thread.call("MPI_Wait", 240 + 100 * i, 250 + 100 * i), thread.name(record))
        process.write()
    trace = loaded(tmp_path)
    assert collectives(trace) == [[0, 1]] * 5
    assert trace.collectives["done"].tolist() == [0, 8, 1, 9, 3, 11, 5, 13, 7, 15]
    assert listed(trace) == []


def test_mismatched_and_missing_collectives(tmp_path):
    ranks = [Process(tmp_path, rank, 3) for rank in range(3)]
    for process in ranks:
        thread, world = process.thread(), process.comm()
        thread.call("MPI_Bcast" if process.rank == 1 else "MPI_Barrier", 100, 110, world, tag=1)
        if process.rank < 2:
            thread.call("MPI_Barrier", 200, None, world, tag=2)
        process.write()
    trace = loaded(tmp_path)
    assert collectives(trace) == [[0, 2], [0, 1]]
    assert listed(trace) == [(1, NOT_CALLED), (2, ANOTHER), (3, NOT_CALLED)]


def test_a_rank_without_a_stream(tmp_path):
    """What the others did with it cannot be told, and is not called a fault of theirs."""
    for rank in (0, 2):
        process = Process(tmp_path, rank, 3)
        process.thread().call("MPI_Send", 10, 20, process.comm(), 1, 5, 8)
        process.thread().call("MPI_Barrier", 100, 110, process.comm(), tag=1)
        process.write()
    trace = loaded(tmp_path)
    assert listed(trace) == [(i, NOT_TOLD) for i in range(4)]
    assert collectives(trace) == [[0, 2]]
    assert (trace.meta["missing"], trace.meta["complete"]) == ([1], False)
    assert trace.comms[1]["members"] == [0, -1, 2]


def two_ranks(folder, n, **how):
    """n messages from rank 0 to rank 1, and a barrier after each."""
    ranks = [Process(folder, rank, 2) for rank in range(2)]
    for i in range(n):
        ranks[0].thread().call("MPI_Send", 1000 * i + 10, 1000 * i + 20, ranks[0].comm(), 1, 5, i)
        ranks[1].thread().call("MPI_Recv", 1000 * i + 15, 1000 * i + 30, ranks[1].comm(), 0, 5, i)
        for process in ranks:
            process.thread().call("MPI_Barrier", 1000 * i + 100, 1000 * i + 200, process.comm(), tag=i + 1)
    return ranks


def test_rings(tmp_path):
    """What a ring has overwritten cannot be counted: messages are listed; collectives have numbers."""
    ranks = two_ranks(tmp_path, 3 * RECORDS // 2)
    ranks[0].write(ring=2)
    ranks[1].write()
    trace = loaded(tmp_path)
    kept = trace.rows[0]["calls"]
    assert RECORDS < kept < 2 * RECORDS
    assert len(trace.messages) == 0
    assert len(trace.collectives) == kept // 2 + len(ranks[1].thread().records) // 2 - 2
    sizes = np.bincount(trace.collectives["instance"])
    assert set(sizes) == {1, 2} and (sizes == 2).sum() == kept // 2
    assert {why for _, why in listed(trace)} == {NOT_TOLD}
    assert any("overwritten" in note for note in trace.meta["notes"])


def test_streams_that_filled_up(tmp_path):
    """Without the end, the beginning is sure."""
    ranks = two_ranks(tmp_path, 10)
    del ranks[1].thread().records[9:]  # after 4 messages
    ranks[0].write()
    ranks[1].write(dropped=12)
    trace = loaded(tmp_path)
    assert trace.messages["bytes"].tolist() == [0, 1, 2, 3]
    assert {why for _, why in listed(trace)} == {NOT_TOLD}
    assert trace.meta["dropped"] == 12


def test_torn_records(tmp_path):
    """One that was not written to its end, with others after it: nothing of that rank can be counted."""
    ranks = two_ranks(tmp_path, 10)
    thread = ranks[0].thread()
    thread.records[3] = thread.records[3][:24] + bytes(8)
    for process in ranks:
        process.write(finished=False)
    trace = loaded(tmp_path)
    assert trace.rows[0]["calls"] == 19
    assert len(trace.messages) == 0
    assert any("1 records were not written" in note for note in trace.meta["notes"])


def test_torn_at_the_end(tmp_path):
    """That is how a process dies: all before is there."""
    ranks = two_ranks(tmp_path, 10)
    for process in ranks:
        process.thread().records[-1] = bytes(32)
        process.write(finished=False)
    trace = loaded(tmp_path)
    assert len(trace.messages) == 10
    assert listed(trace) == []


@pytest.mark.parametrize("lost", [0, 1])
def test_recorded_in_part(tmp_path, lost):
    """Where recording began while MPI was in use, counts that agree are taken, and called assumed; others are not told."""
    ranks = two_ranks(tmp_path, 6)
    del ranks[0].thread().records[1 : 1 + 2 * lost]
    for process in ranks:
        process.note(1, "recording paused")
        process.note(0, "recording goes on")
        process.write()
    trace = loaded(tmp_path)
    assert trace.messages["assumed"].tolist() == ([] if lost else [1] * 6)
    assert {why for _, why in listed(trace)} == ({NOT_TOLD} if lost else set())


def test_a_pause_to_the_end(tmp_path):
    """What was recorded is sure; what lacks its counterpart may have had one."""
    ranks = two_ranks(tmp_path, 6)
    del ranks[1].thread().records[7:]
    for text in ("recording paused", "recording stopped"):
        ranks[1].note(1, text)
    for process in ranks:
        process.write()
    trace = loaded(tmp_path)
    assert trace.messages["assumed"].tolist() == [0] * 3
    assert {why for _, why in listed(trace)} == {NOT_TOLD}


def test_a_receive_that_never_ended_makes_later_ones_doubtful(tmp_path):
    process = Process(tmp_path, 0, 1)
    thread, world = process.thread(), process.comm()
    thread.call("MPI_Irecv", 10, 20, world, NONE, 5, 8, flags=ANY_SOURCE)
    thread.call("MPI_Send", 30, 40, world, 0, 5, 8)
    thread.call("MPI_Send", 50, 60, world, 0, 6, 8)
    thread.call("MPI_Recv", 70, 80, world, 0, 5, 8)
    thread.call("MPI_Recv", 90, 95, world, 0, 6, 8)
    process.write()
    trace = loaded(tmp_path)
    assert trace.messages[["send", "receive", "assumed"]].tolist() == [(1, 3, 1), (2, 4, 0)]
    assert listed(trace) == [(0, NOT_COMPLETED)]


@pytest.mark.parametrize("spawned", [(1, 1, 1), (77, 5, 78)])
def test_spawned_worlds_are_kept_apart(tmp_path, spawned):
    """Their ranks follow those of the job. They have the same communicators, and began at the same time; of some there are names."""
    for number, world in enumerate((0, *spawned)):
        for rank in range(2):
            process = Process(tmp_path, rank, 2, pid=100 * (number + 1) + rank, began=number and 50_000, world=world)
            thread = process.thread()
            if rank:
                thread.call("MPI_Recv", 50_015, 50_030, process.comm(), 0, 5, number)
            else:
                thread.call("MPI_Send", 50_010, 50_020, process.comm(), 1, 5, number)
            process.write()
    trace = loaded(tmp_path)
    assert [row["rank"] for row in trace.rows] == list(range(8))
    assert {row["pid"] // 100 for row in trace.rows[:2]} == {1}
    assert all(a["pid"] + 1 == b["pid"] for a, b in zip(trace.rows[::2], trace.rows[1::2], strict=True))
    assert pairs(trace) == [(0, 1), (2, 3), (4, 5), (6, 7)]
    assert sorted(trace.messages["bytes"].tolist()) == [0, 1, 2, 3]
    assert [comm["members"] for comm in trace.comms[1:]] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert trace.meta["size"] == 8 and not trace.meta["missing"]
    assert "ranks 2-3 are ranks 0-1 of a WORLD of its own, which was started later" in trace.meta["notes"]


PARENT, MS = 3, 1_000_000  # what children call their communicator with their parents


def spawned(folder, calls, worlds):
    """A process that spawns worlds of two at these times (begin and end of calls, ms) and sends to each; worlds that were started at these."""
    parent = Process(folder, 0, 1, pid=10)
    thread = parent.thread()
    for i, (before, after) in enumerate(calls):
        gid = 0x1001 + 0x10 * i  # odd: with others than WORLD's
        parent.spawn(gid, before * MS, after * MS, 2)
        thread.call("MPI_Send", 900 * MS + i, 900 * MS + i + 5, parent.comm(gid, 0, 1, 2), 1, 5, 100 + i)
    parent.write()
    for i, began in enumerate(worlds):
        for rank in range(2):
            child = Process(folder, rank, 2, pid=100 * (i + 1) + rank, world=77 + i, began=950 * MS + i, started=began * MS)
            parents = child.comm(PARENT, rank, 2, 1)
            if rank:
                child.thread().call("MPI_Recv", 950 * MS, 960 * MS, parents, 0, 5, 100 + i)
            child.thread().call("MPI_Barrier", 970 * MS, 975 * MS, child.comm(), tag=1)
            child.write()
    trace = loaded(folder)
    moved = {(int(m["bytes"]), trace.rows[trace.calls["row"][m["receive"]]]["rank"]) for m in trace.messages}
    return trace, moved, [why for _, why in listed(trace)]


def test_worlds_are_joined_with_who_spawned_them(tmp_path):
    """By the time of the call: calls one after the other, and such at the same time of which each alone fits a world."""
    trace, moved, left = spawned(tmp_path / "a", [(100, 200), (200, 300)], [190, 191])  # to a tick, the second was started in either
    assert (moved, left) == ({(100, 2), (101, 4)}, [])
    assert sorted((comm["members"], comm["remote"]) for comm in trace.comms[1:] if comm["remote"]) == [
        ([0], [1, 2]), ([0], [3, 4]), ([1, 2], [0]), ([3, 4], [0])
    ]  # fmt: skip
    assert spawned(tmp_path / "b", [(100, 400), (200, 300)], [150, 250])[1:] == ({(100, 2), (101, 4)}, [])
    assert spawned(tmp_path / "c", [(100, 200), (300, 400)], [150])[1:] == ({(100, 2)}, [NOT_FOUND]), "one that was not recorded"


def test_worlds_of_which_nobody_knows_who_spawned_them(tmp_path):
    """Their messages are listed, and the report says why."""
    for calls, worlds in ([(100, 400), (200, 400)], [250, 260]), ([(100, 200)], [500]), ([(100, 200), (150, 250)], [160]):
        trace, moved, left = spawned(tmp_path / str(worlds), calls, worlds)
        assert moved == set() and set(left) == {NOT_FOUND} and len(left) == len(calls) + len(worlds)
        assert "between unjoined WORLDs" in analyze(trace).text()


def mix(a, b):
    """As the core makes ids."""
    m = (1 << 64) - 1
    x = (a + 0x9E3779B97F4A7C15 * ((b & m) + 1)) & m
    x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & m
    x = ((x ^ x >> 27) * 0x94D049BB133111EB) & m
    return x ^ x >> 31


def signed(gid):
    return gid - (1 << 64) if gid >> 63 else gid


def test_what_is_made_of_a_joined_communicator_is_the_same(tmp_path):
    """Its k-th descendant is: merged, then duplicated; a split of which both sides see several parts stays apart."""
    parent, child = Process(tmp_path, 0, 1, pid=10), Process(tmp_path, 0, 1, pid=20, world=77, started=150 * MS, began=160 * MS)
    parent.spawn(0x1001, 100 * MS, 200 * MS, 1)
    nobody = -32766
    ends = []
    for process, inter, leader, rank in (parent, 0x1001, 0, 0), (child, PARENT, nobody, 1):
        merged = mix(mix(inter, 1), leader)
        twin = mix(mix(merged, 2), leader)
        process.comm(inter, 0, 1, 1)
        process.comm(signed(merged), rank, 2, leader=leader, parent=inter)
        ends.append(process.comm(signed(twin), rank, 2, leader=leader, parent=signed(merged)))
        for number in 5, 6:  # of one call, by who leads
            process.comm(signed(mix(mix(merged, 3), number)), 0, 1, leader=number, parent=signed(merged))
    parent.thread().call("MPI_Send", 300 * MS, 310 * MS, ends[0], 1, 5, 8)
    child.thread().call("MPI_Recv", 300 * MS, 320 * MS, ends[1], 0, 5, 8)
    for process in parent, child:
        process.write()
    trace = loaded(tmp_path)
    assert pairs(trace) == [(0, 1)] and listed(trace) == []
    assert [comm["members"] for comm in trace.comms if comm["size"] == 2] == [[0, 1], [0, 1]]
    assert sum(comm["size"] == 1 and comm["remote_size"] < 0 for comm in trace.comms) == 4


def test_processes_of_a_spawned_world_on_two_hosts(tmp_path):
    """Which belong together shows where ranks are there once only; else nothing is matched."""
    for times in 1, 2:
        for world in range(times):
            for rank in range(2):
                process = Process(tmp_path, rank, 2, boot=f"boot{rank}", pid=1000 * times + 10 * world + rank, world=1)
                thread = process.thread()
                if rank:
                    thread.call("MPI_Recv", 15, 30, process.comm(), 0, 5, 1)
                else:
                    thread.call("MPI_Send", 10, 20, process.comm(), 1, 5, 1)
                process.write()
        trace = loaded(tmp_path)
        assert len(trace.messages) == (times == 1)
        for file in tmp_path.iterdir():
            file.unlink()


def test_jobs_of_threads_give_the_same(tmp_path):
    Engine(tmp_path, 4, 5, 400)
    one = loaded(tmp_path, jobs=1)
    four = loaded(tmp_path, jobs=4)
    for name in container.COLUMNS:
        assert np.array_equal(getattr(one, name), getattr(four, name))


# --- clocks ----------------------------------------------------------------------------------------------------------


class Hosts:
    """Ranks on hosts of their own, each with a clock that is off and drifts; messages take at least 1 µs."""

    def __init__(self, folder, seed, n=3, span=10**9, exchanges=(0.0, 1.0), messages=300, ticks=False):
        self.chance = np.random.default_rng(seed)
        self.span, self.n = span, n
        self.offset = [0, *(int(x) for x in self.chance.integers(-(10**14), 10**14, n - 1))]
        self.drift = [0.0, *self.chance.uniform(-200e-6, 200e-6, n - 1)]
        self.base = 10**15
        self.busy = [0] * n
        rates = [float(x) for x in self.chance.uniform(0.2, 0.5, n)] if ticks else [None] * n
        self.ranks = []
        for rank in range(n):
            clock = {"rate": rates[rank], "began": self.clock(rank, 0) - 1000, "since": 10**18 - self.base - self.offset[rank]}
            self.ranks.append(Process(folder, rank, n, host=f"h{rank}", boot=f"b{rank}", **clock))
        self.truth = {}
        for rank in range(1, n):
            for part in exchanges:
                self.exchange(rank, part)
        for time in np.sort(self.chance.integers(span // 100, span * 99 // 100, messages)).tolist():
            self.message(time)
        for rank, process in enumerate(self.ranks):
            self.call(rank, "MPI_Finalize", span, span + 100)
            process.write()

    def clock(self, rank, time):
        """What the clock of a rank's host shows."""
        return self.base + time + self.offset[rank] + int(self.drift[rank] * time)

    def call(self, rank, operation, start, end, **how):
        process = self.ranks[rank]
        times = [self.clock(rank, time) for time in (start, end)]
        if process.rate:
            times = [round((time - process.began) / process.rate) for time in times]
        record = process.thread().call(operation, *times, **how)
        self.truth[rank, 0, record] = start

    def exchange(self, rank, part):
        time = int(self.span * part)
        for _ in range(5):
            bound = int(self.chance.integers(500, 5000))
            error = int(self.chance.uniform(-1, 1) * bound)
            self.ranks[rank].exchange(self.clock(rank, time), self.clock(0, time) - self.clock(rank, time) + error, bound)

    def message(self, time):
        source, target = (int(x) for x in self.chance.choice(self.n, 2, replace=False))
        late = 1000 + int(self.chance.exponential(3000))
        posted = time + int(self.chance.integers(-2000, 2000))
        if min(time, posted) < max(self.busy[source], self.busy[target]):
            return
        self.busy[source], self.busy[target] = time + 500, max(time + late, posted + 100)
        comms = [self.ranks[rank].comm() for rank in (source, target)]
        self.call(source, "MPI_Send", time, time + 500, comm=comms[0], peer=target, tag=1, size=8)
        self.call(target, "MPI_Recv", posted, max(time + late, posted + 100), comm=comms[1], peer=source, tag=1, size=8)


def check_clocks(folder, hosts):
    """Every call lies where it was, but for the bound of its host, and for what reading clocks costs."""
    trace = loaded(folder)
    numbers = call_numbers(hosts.ranks)
    first = trace.meta["began"] - 10**18
    known = {f"h{rank}": rank for rank in range(hosts.n)}
    assert {host["name"] for host in trace.meta["hosts"]} == set(known)
    for host in trace.meta["hosts"]:
        rank = known[host["name"]]
        mine = [(numbers[key], start) for key, start in hosts.truth.items() if key[0] == rank]
        calls, starts = np.array(mine).T
        error = np.abs(trace.calls["start"][calls] + first - starts)
        assert error.max() <= host["bound"] + 5, (host, error.max())
        assert abs(host["drift"] + hosts.drift[rank] * 1e6) <= 2 * host["bound"] / hosts.span * 1e6 + 0.1
    return trace


@pytest.mark.parametrize("ticks", [False, True])
@quick
@given(st.integers(0, 10**9))
def test_clocks_from_exchanges(tmp_path_factory, ticks, seed):
    folder = tmp_path_factory.mktemp("clocks")
    trace = check_clocks(folder, Hosts(folder, seed, ticks=ticks))
    early = trace.calls["end"][trace.messages["receive_done"]] < trace.calls["start"][trace.messages["send"]]
    assert abs(trace.meta["violations"] - early.sum()) <= 1  # one may be a matter of rounding
    assert max(host["bound"] for host in trace.meta["hosts"]) < 8000
    assert trace.meta["hosts"][0] == {"name": "h0", "boot": "b0", "offset": 0, "drift": 0, "bound": 0, "residual": 0}


@quick
@given(st.integers(0, 10**9), st.sampled_from([(0.0,), ()]))
def test_clocks_without_an_end(tmp_path_factory, seed, exchanges):
    """Exchanges at the start alone, as of a job that was killed, or none at all: messages tell the drift."""
    folder = tmp_path_factory.mktemp("clocks")
    trace = check_clocks(folder, Hosts(folder, seed, exchanges=exchanges))
    assert max(host["bound"] for host in trace.meta["hosts"]) < 60_000


def test_clocks_by_way_of_another_host(tmp_path):
    """No messages and no exchanges with rank 0's host, but with one whose clock is known."""
    hosts = Hosts(tmp_path, 3, n=3, messages=0)
    for path in tmp_path.iterdir():
        path.unlink()
    hosts.ranks[2].definitions = Process(tmp_path, 2, 3, host="h2", boot="b2").definitions
    for rank in range(3):
        hosts.ranks[rank].operation_numbers.clear()
        hosts.ranks[rank].comm_numbers.clear()
        hosts.ranks[rank].threads.clear()
    hosts.truth.clear()
    for i in range(200):
        start, (a, b) = 10**6 + i * 4_900_000, ((1, 2) if i % 2 else (2, 1))
        comms = {rank: hosts.ranks[rank].comm() for rank in (a, b)}
        hosts.call(a, "MPI_Send", start, start + 500, comm=comms[a], peer=b, tag=1, size=8)
        hosts.call(b, "MPI_Recv", start, start + 2000, comm=comms[b], peer=a, tag=1, size=8)
    hosts.call(0, "MPI_Finalize", 10, 20)
    for process in hosts.ranks:
        process.write()
    trace = check_clocks(tmp_path, hosts)
    assert 0 < trace.meta["hosts"][2]["bound"] < 20_000


def test_clocks_of_which_nothing_is_known(tmp_path):
    """Only the time of the day: no bound, and a note."""
    hosts = Hosts(tmp_path, 4, exchanges=(), messages=0)
    trace = loaded(tmp_path)
    assert [host["bound"] for host in trace.meta["hosts"]] == [0, -1, -1]
    assert sum("but the time of the day" in note for note in trace.meta["notes"]) == 2
    assert hosts.n == 3
    assert trace.meta["duration"] < 10**9 + 10**6


def test_messages_that_arrive_too_early_are_counted(tmp_path):
    """Exchanges that lie: the messages show it."""
    hosts = Hosts(tmp_path, 5, n=2, messages=0)
    for path in tmp_path.iterdir():
        path.unlink()
    hosts.ranks[1].definitions = Process(tmp_path, 1, 2, host="h1", boot="b1").definitions
    hosts.ranks[1].operation_numbers.clear()
    hosts.ranks[1].thread().records.clear()
    hosts.offset[1] += 100_000
    for part in (0.0, 1.0):
        hosts.exchange(1, part)
    hosts.offset[1] -= 100_000
    for i in range(50):
        hosts.call(0, "MPI_Send", 10**6 * (i + 1), 10**6 * (i + 1) + 500, comm=hosts.ranks[0].comm(), peer=1, tag=1, size=8)
        hosts.call(1, "MPI_Recv", 10**6 * (i + 1), 10**6 * (i + 1) + 5000, comm=hosts.ranks[1].comm(), peer=0, tag=1, size=8)
    for process in hosts.ranks:
        process.write()
    assert loaded(tmp_path).meta["violations"] == 50


# --- damage ----------------------------------------------------------------------------------------------------------


@settings(quick, max_examples=150)
@given(st.data())
def test_damaged_folders(tmp_path_factory, data):
    """Bits flipped, files cut: a trace, or an error that names the file."""
    folder = tmp_path_factory.mktemp("damaged")
    Engine(folder, 2, 1, 60)
    path = data.draw(st.sampled_from(sorted(folder.iterdir())))
    content = bytearray(path.read_bytes())
    used = min(len(content), 4096 + 32 * 150)
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, used)) :]
    else:
        at = 0 if data.draw(st.booleans()) else 4096
        size = 440 if not at and path.suffix == ".mmpis" else used - at if used > at else used
        for bit in data.draw(st.lists(st.integers(0, 8 * size - 1), min_size=1, max_size=8)):
            content[(at if used > at else 0) + bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    try:
        merge.merge(folder)
    except merge.StreamError as error:
        assert str(error).startswith(str(path))
    else:
        container.load(folder / "trace.mmpit")


def test_operations_that_nobody_defined(tmp_path):
    process = Process(tmp_path, 0, 1)
    process.thread().call(300, 10, 20)
    process.thread().call("MPI_Barrier", 30, 40, process.comm(), tag=1)
    process.write()
    (tmp_path / f"{process.stem()}.mmpid").unlink()
    trace = loaded(tmp_path)
    assert names(trace, [0, 1]) == ["?", "?"]
    assert any("is missing" in note for note in trace.meta["notes"])


def test_definitions_that_end_early(tmp_path):
    process = Process(tmp_path, 0, 1)
    process.thread().call("MPI_Barrier", 30, 40, process.comm(), tag=1)
    process.string("last")
    process.definitions = process.definitions[:-3]
    process.write()
    trace = loaded(tmp_path)
    assert trace.strings == []
    assert STRING and any("are whole" in note for note in trace.meta["notes"])


# --- the command -----------------------------------------------------------------------------------------------------


def test_command(tmp_path, capsys):
    Engine(tmp_path / "run", 3, 7)
    assert merge.main([str(tmp_path / "run"), "-o", str(tmp_path / "out.mmpit"), "-j", "1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{tmp_path}/out.mmpit:\n  3 ranks of 3 on 1 host, ")
    assert len(container.load(tmp_path / "out.mmpit").calls)


def test_command_without_streams(tmp_path, capsys):
    assert merge.main([str(tmp_path)]) == 1
    assert "no streams (*.mmpis) are here: record some with mmpi run --trace" in capsys.readouterr().err
    assert merge.main([str(tmp_path / "none")]) == 1
    assert "there is no such folder" in capsys.readouterr().err


def test_load_merges_when_needed(tmp_path):
    import os

    ranks = two_ranks(tmp_path, 5)
    for process in ranks:
        process.write()
    assert len(container.load(tmp_path).messages) == 5
    before = os.stat(tmp_path / "trace.mmpit").st_mtime_ns
    container.load(tmp_path)
    assert os.stat(tmp_path / "trace.mmpit").st_mtime_ns == before
    ranks = two_ranks(tmp_path, 7)
    for process in ranks:
        process.write()
        os.utime(process.thread().path, ns=(before + 10**9, before + 10**9))
    assert len(container.load(tmp_path).messages) == 7
