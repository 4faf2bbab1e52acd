# SPDX-License-Identifier: BSD-3-Clause
"""Jobs on two hosts whose clocks differ by far, traced: one clock comes out, and every match is what the program itself says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import network
import requirements
import trace_reader
from mmpi import launch
from mmpi.trace import container
from test_trace_truth import PROGRAM, check, check_sums, read_truth

AHEAD = 1000  # seconds that the second host was up before the first
# Between hosts MPICH from PyPI loses messages that persistent receives with ANY_SOURCE wait for (docs/running.md).
HOW = ["named"] if launch.plans.locate().maker == "mpich" else []


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    """Two hosts, n1 and n2; the clock of n2 is ahead."""
    requirements.need("netns")
    requirements.need("timens")
    with network.network(tmp_path_factory.mktemp("net"), ahead=(0, AHEAD)) as net:
        yield net


def report(folder, *options):
    """What `mmpi trace report` says."""
    words = [sys.executable, "-m", "mmpi", "trace", "report", *options, str(folder)]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout


def check_clocks(trace):
    """Both hosts are there, the difference of their clocks as it is, within the bound that is told."""
    n1, n2 = trace.meta["hosts"]
    assert (n1["name"], n2["name"]) == ("n1", "n2") and n1["boot"] != n2["boot"]
    assert (n1["offset"], n1["bound"]) == (0, 0)
    assert abs(n2["offset"] + AHEAD * 10**9) <= n2["bound"], n2
    assert 0 < n2["bound"] < 50_000_000
    assert abs(n2["drift"]) <= 2 * n2["bound"] / trace.meta["duration"] * 1e6, "one crystal drives both"
    assert [row["host"] for row in trace.rows] == ["n1", "n1", "n2", "n2"]
    assert trace.meta["duration"] < 600e9, "all began at about the same time"


def check_report(trace, folder):
    """It names the hosts, and says how well their clocks agree."""
    said = " ".join(report(folder).split())
    assert "4 ranks on 2 hosts" in said
    assert "clocks of 2 hosts (n1, n2): error at most " in said and ", residual " in said
    assert ("no message seems to come before it was sent" in said) == (not trace.meta["violations"])
    tracing = json.loads(report(folder, "--json"))["tracing"]
    assert [host["name"] for host in tracing["hosts"]] == ["n1", "n2"]
    assert tracing["violations"] == trace.meta["violations"]


@pytest.fixture(autouse=True)
def _clean(net):
    """Nothing of a job stays on either host."""
    yield
    assert not net.leftovers()


def test_ranks_of_python(net, tmp_path):
    options = ["--hosts", "n1:2,n2:2", "--trace", f"{tmp_path}/run"]
    status, _, err = net.run(*options, str(PROGRAM), "11", "10", "1", f"{tmp_path}/truth", *HOW)
    assert status == 0, err
    trace = container.load(tmp_path / "run")
    sends, receives = read_truth(tmp_path, 4)
    check(trace, sends, receives, early=True)
    check_sums(trace, 4, sends)
    check_clocks(trace)
    compared = [len(process.definitions.clocks) for process in trace_reader.read(tmp_path / "run")]
    assert compared == [0, 0, 2, 0], "by the first rank of n2, at the start and at the end"
    check_report(trace, tmp_path / "run")


PROGRAM_OF_C = """
#include <mpi.h>
int main(int argc, char **argv)
{
    int rank, size, x = 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    for (int i = 0; i < 500; i++)
        MPI_Sendrecv_replace(&x, 1, MPI_INT, (rank + 1) % size, i, (rank + size - 1) % size, i, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return MPI_Finalize();
}
"""


def test_programs_of_c(net, tmp_path):
    """Nobody compares their clocks: messages tell how they differ."""
    compiler = Path(sys.prefix) / "bin/mpicc"
    if not compiler.exists():
        pytest.skip(f"needs {compiler}")
    (tmp_path / "program.c").write_text(PROGRAM_OF_C)
    subprocess.run([compiler, str(tmp_path / "program.c"), "-o", str(tmp_path / "program")], check=True)
    status, _, err = net.run("--hosts", "n1:2,n2:2", "--trace", f"{tmp_path}/run", "--trace-all", f"{tmp_path}/program")
    assert status == 0, err
    trace = container.load(tmp_path / "run")
    assert len(trace.messages) == 4 * 500 and not trace.messages["assumed"].any() and trace.unmatched.tolist() == []
    assert trace.meta["violations"] == 0, "a message is a limit itself"
    check_clocks(trace)
    check_report(trace, tmp_path / "run")
