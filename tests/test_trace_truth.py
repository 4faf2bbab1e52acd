# SPDX-License-Identifier: BSD-3-Clause
"""Real programs, traced: what the merge says of their messages is what they say themselves; sums are those of what they did."""

import sys
from pathlib import Path

import numpy as np
import pytest

from jobs import job, run
from mmpi.trace import container
from trace_writer import CLOCK

PROGRAM = Path(__file__).with_name("trace_program.py")


def traced(folder, ranks, seed, rounds=6, threads=1, env=None):
    truth = folder / "truth"
    command = [sys.executable, "-m", "mmpi", "run", "--trace", str(folder / "run"), "-n", str(ranks), str(PROGRAM)]
    result = run(*command, *map(str, (seed, rounds, threads)), str(truth), env=env)
    assert result.returncode == 0, result.stderr
    return container.load(folder / "run"), *read_truth(folder, ranks)


def read_truth(folder, ranks):
    """(rank, number) -> bytes of each send; (rank, number) -> source, number of the send, bytes of each receive."""
    sends, receives = {}, {}
    for rank in range(ranks):
        for line in (folder / f"truth.{rank}").read_text().splitlines():
            kind, number, *rest = line.split()
            if kind == "S":
                sends[rank, int(number)] = int(rest[0])
            else:
                receives[rank, int(number)] = tuple(map(int, rest))
    return sends, receives


def numbered(trace, state):
    """(rank, number) -> the call inside of the state with that number."""
    operation = next(i for i, entry in enumerate(trace.operations) if entry["name"] == state)
    found = {}
    for call, _, _, value in trace.values.tolist():
        if trace.calls["operation"][call] == operation:
            rank = trace.rows[trace.calls["row"][call]]["rank"]
            inner = call + 1
            while trace.operations[trace.calls["operation"][inner]]["kind"] == "state":
                inner += 1
            found[rank, value] = inner
    return found


def check(trace, sends, receives, early=False):
    """Every message of the program is in the trace as it was, and no other."""
    sent, posted = numbered(trace, "sending"), numbered(trace, "posting")
    assert set(sent) == set(sends) and set(posted) == set(receives)
    truth = sorted((sent[source, number], posted[receiver], size) for receiver, (source, number, size) in receives.items())
    messages = trace.messages
    assert sorted(messages[["send", "receive", "bytes"]].tolist()) == truth
    assert not messages["assumed"].any()
    assert trace.unmatched.tolist() == []
    assert (messages["send_done"] >= messages["send"]).all() and (messages["receive_done"] >= messages["receive"]).all()
    if not early:  # clocks of several hosts may be wrong by their bound
        assert (trace.calls["end"][messages["receive_done"]] >= trace.calls["start"][messages["send"]] - 1).all()
        assert trace.meta["violations"] == 0


def check_sums(trace, ranks, sends):
    """Bytes and times are conserved."""
    messages, calls = trace.messages, trace.calls
    rank = np.array([row["rank"] for row in trace.rows])
    by_sender = np.bincount(rank[calls["row"][messages["send"]]], messages["bytes"], ranks)
    assert by_sender.tolist() == [sum(size for (source, _), size in sends.items() if source == r) for r in range(ranks)]
    by_receiver = np.bincount(rank[calls["row"][messages["receive"]]], messages["bytes"], ranks)
    assert by_sender.sum() == by_receiver.sum()
    for row, entry in enumerate(trace.rows):
        mine = calls[calls["row"] == row]
        assert (np.diff(mine["start"]) >= 0).all()
        assert entry["first"] <= mine["start"][0] and mine["end"].max() <= entry["last"]
        top, outer = mine[mine["depth"] == 0], mine["duration"].sum() - inner_time(mine)
        assert (top["start"][1:] >= top["end"][:-1]).all()
        assert outer == top["duration"].sum()  # what is exclusive of all adds up to what is inclusive of the outermost


def inner_time(calls):
    """The time that calls spend in calls directly inside of them."""
    open_calls, inner = [], 0
    for call in calls:
        del open_calls[call["depth"] :]
        if open_calls:
            assert call["end"] <= open_calls[-1]["end"]
            inner += call["duration"]
        open_calls.append(call)
    return int(inner)


@pytest.mark.parametrize("ranks, seed", [(2, 1), (3, 2), (4, 3), (8, 4)])
def test_every_match_agrees(tmp_path, ranks, seed):
    trace, sends, receives = traced(tmp_path, ranks, seed)
    check(trace, sends, receives)
    check_sums(trace, ranks, sends)
    assert trace.meta["complete"] and trace.meta["notes"] == []


def test_every_match_agrees_with_threads(tmp_path):
    trace, sends, receives = traced(tmp_path, 3, 5, threads=3)
    assert len(trace.rows) == 9
    check(trace, sends, receives)
    check_sums(trace, 3, sends)


@pytest.mark.parametrize("exchanges", [True, False])
def test_fake_clocks_are_recovered(tmp_path, exchanges):
    """Every rank seems to be on a host of its own: the offsets and drifts found are those given, within the bound told."""
    offsets, drifts = [0, 5_000_000_000, -70_000_000], [0, 150, -80]
    clocks = ",".join(f"{offset}:{drift}" for offset, drift in zip(offsets, drifts, strict=True))
    trace, sends, receives = traced(tmp_path, 3, 7, rounds=40, env={"MMPI_TRACE_FAKE_CLOCK": clocks})
    if not exchanges:  # as of a job that was killed before its end, or started without
        for path in (tmp_path / "run").glob("*.mmpid"):
            without_exchanges(path)
        (tmp_path / "run" / "trace.mmpit").unlink()
        trace = container.load(tmp_path / "run")
    check(trace, sends, receives, early=True)
    hosts = {host["boot"]: host for host in trace.meta["hosts"]}
    assert len(hosts) == 3
    for rank in range(1, 3):
        host = hosts[f"fake-{rank}"]
        # each clock drifts from the start of its recording on, which may be some ms from where the trace begins
        slack = host["bound"] + (abs(drifts[rank]) + 1) * 1e-6 * trace.meta["duration"]
        assert abs(host["offset"] + offsets[rank]) <= slack, host
        assert abs(host["drift"] + drifts[rank]) <= 2 * host["bound"] / trace.meta["duration"] * 1e6 + 1, host
        assert 0 < host["bound"] < 20_000_000


def without_exchanges(path):
    """Take the comparisons of clocks out of a file of definitions."""
    data, kept, at = path.read_bytes(), b"", 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        whole = data[at : at + 8 + length]
        kept += b"" if int.from_bytes(whole[8:12], "little") == CLOCK else whole
        at += 8 + length
    assert len(kept) < len(data) or b"fake-0" in data
    path.write_bytes(kept)


def test_windows_are_matched_where_counts_agree(tmp_path):
    """A part of a program, recorded by all ranks: all its messages, called assumed."""
    code = f"""
        import numpy as np
        import mmpi.trace
        from mmpi import MPI
        comm, data = MPI.COMM_WORLD, np.zeros(4)
        for step in range(6):
            if step == 2: mmpi.trace.start({str(tmp_path / "run")!r})
            with mmpi.trace.window(step in (2, 3, 5)):
                if comm.rank: comm.Recv(data, 0, 7)
                else: comm.Send(data, 1, 7)
            comm.Barrier()
    """
    result = job(2, code)
    assert result.returncode == 0, result.stderr
    trace = container.load(tmp_path / "run")
    assert trace.messages["assumed"].tolist() == [1] * 3
    assert 1 not in trace.unmatched["why"] and 2 not in trace.unmatched["why"]


def test_killed_ranks_have_lived_until_then(tmp_path):
    """What a rank was in lasts, in the trace, until about when it died."""
    code = """
        import os, signal, threading, time
        from mmpi import MPI
        if MPI.COMM_WORLD.rank:
            MPI.COMM_WORLD.recv(source=0, tag=1)
        time.sleep(3)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert job(2, code, options=["--trace", str(tmp_path / "run")]).returncode != 0
    trace = container.load(tmp_path / "run")
    receive = trace.calls[trace.calls["row"] == 1][-1]
    assert trace.operations[receive["operation"]]["name"] == "MPI_Recv" and receive["flags"] & 1
    assert receive["duration"] > 1e9
    assert trace.unmatched[["call", "why"]].tolist()[-1] == (len(trace.calls) - 1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 30))
def test_many_programs(tmp_path, seed):
    trace, sends, receives = traced(tmp_path, 2 + seed % 7, seed, rounds=15, threads=1 + seed % 2)
    check(trace, sends, receives)
