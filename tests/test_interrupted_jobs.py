# SPDX-License-Identifier: BSD-3-Clause
"""Ctrl-C, SIGTERM and a time limit under `mmpi run`: where `finally` runs, who is killed and named, and that nothing stays."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Leftovers
from jobs import LIMIT

PROGRAM = """
import os, sys, time
import mmpi
rank, size = mmpi.init()
comm = mmpi.WORLD

def compute():
    while True:
        sum(range(1000))

places = {places}
comm.barrier()
try:
    print("in", flush=True)
    places[rank]()
finally:
    print("finally", rank, flush=True)
"""
# What is told by its nonblocking twin, or by a loop of ours, is interrupted; a typed collective is not, unless all wait by twins.
PLACES = "compute, lambda: time.sleep(60), lambda: comm.Recv(bytearray(1), 0), lambda: comm.recv(source=0), lambda: comm.allgather(1)"
PATIENT = ("--grace", "6")  # on a busy machine the usual second is too short for all to be heard
WAYS = {"SIGINT": 130, "SIGTERM": 143, "--timeout": 124}


def marked(folder):
    """The processes that have this folder for temporary files."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            found |= {path.parent.name} if f"TMPDIR={folder}".encode() in path.read_bytes().split(b"\0") else set()
    return found


def interrupt(way, places, n, folder, *options):
    """Run a job until all ranks are in their places, and end it; its status, output and errors. Nothing of it may stay."""
    if way == "--timeout":
        options = (*options, "--timeout", "8")
    before = Leftovers.shared_memory()
    words = [sys.executable, "-m", "mmpi", "run", "-n", str(n), *options, "-c", PROGRAM.format(places=f"[{places}]")]
    pipe = subprocess.PIPE
    environ = os.environ | {"TMPDIR": str(folder)}
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, env=environ) as process:
        for _ in range(n):
            assert process.stdout and process.stdout.readline() == "in\n"
        if way != "--timeout":
            process.send_signal(getattr(signal, way))
        out, err = process.communicate(timeout=LIMIT)
    assert marked(folder) == set() and list(folder.iterdir()) == []
    assert [path for path in Leftovers.shared_memory() - before if not Leftovers.in_use(path)] == [], "what is in use is another job's"
    return process.returncode, out, err


@pytest.mark.parametrize("way", ["SIGINT", *(pytest.param(way, marks=pytest.mark.slow) for way in ("SIGTERM", "--timeout"))])
def test_finally_runs_wherever_python_can_be_interrupted(way, tmp_path):
    status, out, err = interrupt(way, PLACES + ", comm.Barrier", 6, tmp_path, *PATIENT)
    assert status == WAYS[way], err
    assert sorted(out.splitlines()) == [f"finally {rank}" for rank in range(5)], err
    why = "the time limit of 8 s is over" if way == "--timeout" else way
    assert err.startswith(f"mmpi run: {why}: the job was ended\n"), err
    assert "mmpi run: rank 5 (host " in err and err.count(": killed, since it was asked to end and did not within 6 s\n") == 1, err
    assert re.search(r"^mmpi run: meanwhile rank 5: in Barrier on COMM_WORLD for .* at <string>:\d+", err, re.MULTILINE), err
    assert all(line.startswith(("mmpi run: ", "  ")) for line in err.splitlines()), err


def test_finally_runs_in_a_twin(tmp_path):
    status, out, err = interrupt("SIGTERM", "compute, comm.Barrier, comm.Barrier", 3, tmp_path, "--wait", "yield", *PATIENT)
    assert status == 143 and "killed" not in err, err
    assert sorted(out.splitlines()) == ["finally 0", "finally 1", "finally 2"], err


@pytest.mark.slow
def test_nothing_stays_of_fifty_jobs(tmp_path):
    for way in list(WAYS)[:2] * 25:
        status, _, err = interrupt(way, "compute, lambda: comm.recv(source=0), comm.Barrier", 3, tmp_path)
        assert status == WAYS[way], err
