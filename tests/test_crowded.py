# SPDX-License-Identifier: BSD-3-Clause
"""How ranks wait: which policy, what an idle rank costs, jobs of C and Python with more ranks than cores, and their benchmark."""

import json
import os
import subprocess
import sys

import pytest

import jobs
from mmpi import library, waiting
from mmpi.bench import crowded
from requirements import DEBIAN_LIB, need

# --- the policy ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "family, ranks, cores, mode, typed",
    [("mpich", 2, 2, "block", False), ("mpich", 3, 2, "yield", False), ("openmpi", 9, 2, "block", False), ("std", 5, 4, "yield", False)],
)
def test_a_rank_blocks_where_each_has_a_core(monkeypatch, family, ranks, cores, mode, typed):
    monkeypatch.delenv("MMPI_WAIT", raising=False)
    monkeypatch.setattr(waiting, "job_cores", lambda: cores)
    monkeypatch.setattr(waiting, "local_size", lambda size: size)
    policy = waiting.policy(family, ranks)
    assert (waiting.NAMES[policy.mode], policy.typed) == (mode, typed) and policy.reason


def test_the_user_has_the_last_word(monkeypatch):
    for wanted, mode, typed in (("block", "block", False), ("yield", "yield", True), ("idle", "idle", True)):
        monkeypatch.setenv("MMPI_WAIT", wanted)
        policy = waiting.policy("mpich", 1)
        assert (waiting.NAMES[policy.mode], policy.typed, policy.reason) == (mode, typed, f"MMPI_WAIT={wanted}")
    monkeypatch.setenv("MMPI_WAIT", "often")
    with pytest.raises(ValueError, match="MMPI_WAIT=often: expected auto, block, yield or idle"):
        waiting.policy("mpich", 1)


def test_info_says_which_policy_and_why():
    def told(**env):
        done = jobs.run(sys.executable, "-m", "mmpi", "info", env=env)
        return next(line for line in done.stdout.splitlines() if line.startswith("waiting"))

    assert told(MMPI_WAIT="idle").split() == ["waiting", "idle:", "MMPI_WAIT=idle"]
    assert "block" in told(MMPI_WAIT="")
    done = jobs.run(sys.executable, "-m", "mmpi", "info", env={"MMPI_WAIT": "often"})
    assert done.returncode == 1 and "MMPI_WAIT=often" in done.stdout


WAIT_LONG = """
import resource, time, mmpi
rank, size = mmpi.init()
mmpi.WORLD.barrier()
if rank == 0:
    time.sleep(4)
    {send}
else:
    start, used, naps = time.monotonic(), time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    {receive}
    print(time.monotonic() - start, time.process_time() - used, resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - naps)
"""


@pytest.mark.parametrize(
    "send, receive",
    [("mmpi.send(7, 1)", "mmpi.recv(source=0)"), ("mmpi.WORLD.Barrier()", "mmpi.WORLD.Barrier()")],
)
def test_an_idle_rank_leaves_the_core_to_others(send, receive):
    """After a second of yielding it naps: less than a fifth of a core."""
    ended = jobs.job(2, WAIT_LONG.format(send=send, receive=receive), options=("--wait", "idle"))
    took, used, naps = map(float, jobs.lines(ended)[0].split())
    assert took > 3
    assert used < 1.1 + 0.2 * (took - 1)
    assert naps > 100, "it only yields, which on a busy machine looks alike"


# --- an MPI that spins ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("size, told", [(None, True), (5, True), (2, False)])
def test_info_says_that_mpi_spins(monkeypatch, size, told):
    monkeypatch.delenv("MMPI_WAIT", raising=False)
    monkeypatch.setattr(waiting, "job_cores", lambda: 4)
    monkeypatch.setattr(waiting, "local_size", lambda size: size)
    assert ("spins" in waiting.describe("mpich", size, True)) == told
    assert "spins" not in waiting.describe("mpich", size, False)
    assert waiting.shares_cores(size) == (size == 5)


UCX = "unsigned ucp_worker_progress(void *worker) { return worker != 0; }"  # something came if there is a worker
TURNS = """
#include <stdio.h>
unsigned ucp_worker_progress(void *);
static int yields;
int sched_yield(void) { yields++; return 0; }
int main(void)
{
    for (int i = 0; i < 10; i++) if (ucp_worker_progress(0)) return 1;
    printf("%d ", yields);
    for (int i = 0; i < 10; i++) if (ucp_worker_progress(i % 2 ? &yields : 0) != i % 2) return 1;
    printf("%d\\n", yields);
    return 0;
}
"""


def test_turns_in_vain_give_way(tmp_path):
    (tmp_path / "ucx.c").write_text(UCX)
    (tmp_path / "turns.c").write_text(TURNS)
    compiler = [os.environ.get("CC", "cc"), f"-Wl,-rpath,{tmp_path}", "-rdynamic"]
    for words in (["-shared", "-fPIC", "ucx.c", "-Wl,-soname,libucp.so.0", "-o", "libucp.so.0"], ["turns.c", "libucp.so.0", "-o", "turns"]):
        subprocess.run([*compiler, *words], cwd=tmp_path, check=True, timeout=60)
    assert jobs.run(tmp_path / "turns", env={"LD_PRELOAD": waiting.YIELDING}).stdout == "5 5\n"
    assert jobs.run(tmp_path / "turns").stdout == "0 0\n"


IS_THERE = "import mmpi; mmpi.init(); print('libmmpi_yielding' in open('/proc/self/maps').read(), mmpi.WORLD.allreduce(1))"


@pytest.mark.parametrize("options, there", [((), True), (("--wait", "block"), False)])
def test_debians_mpich_gives_way_where_ranks_share_a_core(options, there):
    library = str(need("debian-mpich") / DEBIAN_LIB / "libmpich.so.12")
    run = ["taskset", "-c", str(min(os.sched_getaffinity(0))), sys.executable, "-m", "mmpi", "run", *options, "-n", "2"]
    ended = jobs.run(*run, "-c", IS_THERE, env={"MMPI_LIBMPI": library})
    assert jobs.lines(ended) == [f"{there} 2"] * 2
    ended = jobs.run(*run, "grep", "-c", "libmmpi_yielding", "/proc/self/maps", env={"MMPI_LIBMPI": library})
    assert (ended.stdout != "0\n0\n") == there


def test_debians_mpich_and_c(tmp_path):
    """Ranks in C and in Python, more than cores; both sides check every answer."""
    debian = need("debian-mpich")
    environ = {"MMPI_LIBMPI": str(debian / DEBIAN_LIB / "libmpich.so.12")}
    code = f"from mmpi.bench import crowded; print(crowded.compile_program({sys.executable!r}, {str(tmp_path)!r}))"
    program = jobs.lines(jobs.run(sys.executable, "-c", code, env=environ))[0]
    words = ["-n", "1", "-m", "mmpi.bench.crowded", "--work", "typed", "allreduce", ":", "-n", "4", program]
    ended = jobs.run(sys.executable, "-m", "mmpi", "run", *words, env=environ)
    assert json.loads(jobs.lines(ended)[0])["allreduce"] > 0


# --- jobs of C and Python ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return crowded.compile_program(sys.executable, str(tmp_path_factory.mktemp("crowded")))


@pytest.mark.parametrize("face", ["program", "mixed"])
def test_typed_collectives_match_those_of_c(program, face):
    """Rank 0 in Python, the others in C, or in C called by Python: both sides check every answer."""
    found = crowded.run(crowded.Kind("mixed", sys.executable, face, ("allreduce",)), 5, program)
    assert found["allreduce"] > 0


def test_python_and_c_do_all_that_is_measured(program):
    for kind in crowded.kinds(**{library.locate().maker if library.locate().maker == "openmpi" else "mpich": sys.executable}):
        assert set(crowded.run(kind, 3, program)) == set(kind.names)


# --- its table -----------------------------------------------------------------------------------------------------


def test_goals_are_judged_by_ratios_within_rounds():
    samples = {
        ("mmpi, MPICH", 4, "object ring"): [6e-6, 50e-6, 7e-6],
        ("mpi4py, MPICH", 4, "object ring"): [8e-6, 9e-6, 9e-6],
        ("C, Open MPI", 4, "ring"): [1e-6, 10e-6, 1e-6],
        ("mmpi, MPICH", 4, "barrier"): [1e-6] * 3,
        ("C, MPICH, plain mpiexec", 4, "barrier"): [40e-6] * 3,
        ("mmpi, MPICH", 4, "bcast"): [1e-6] * 3,
        ("C, MPICH, plain mpiexec", 4, "bcast"): [9e-6] * 3,
        ("mmpi, MPICH", 4, "allreduce"): [1e-3] * 3,
        ("C, MPICH, plain mpiexec", 4, "allreduce"): [9e-3] * 3,
        ("mmpi, MPICH", 8, "barrier"): [1e-6] * 3,
        ("C, MPICH, plain mpiexec", 8, "barrier"): [1e-6] * 3,
    }
    header, *rows = crowded.rows(samples)
    told = {(row[0], row[1]): (row[5], row[7]) for row in rows}
    assert [row[8] for row in rows] == ["9.0 ± 0.0", "-", "-", "-"]
    assert told == {
        ("mmpi, MPICH: object ring", "4"): ("6", "OK"),
        ("mmpi, MPICH: barrier", "4"): ("0.025", "OK"),
        ("mmpi, MPICH: bcast", "4"): ("0.111", "no need"),
        ("mmpi, MPICH: allreduce", "4"): ("0.111", "MISSED"),
    }
    assert all(len(row) == len(header) for row in rows)


@pytest.mark.parametrize("words", ["--ranks 4,x", "--ranks 1", "--repeat 0", "--work a"])
def test_wrong_options(words, capsys):
    with pytest.raises(SystemExit):
        crowded.parse(words.split())
    assert "usage" in capsys.readouterr().err


def test_a_failing_job_is_told(program, tmp_path):
    kind = crowded.Kind("mixed", sys.executable, "program", ("allreduce",))
    with pytest.raises(RuntimeError, match="mixed, 2 ranks: status"):
        crowded.run(kind, 2, str(tmp_path / "missing"))


@pytest.mark.slow
def test_the_whole_benchmark(tmp_path, capsys):
    file = tmp_path / "out.json"
    assert crowded.main(["--ranks", "3", "--repeat", "1", "--json", str(file)]) == 0
    assert json.loads(file.read_text())["samples"]
    assert "case" in capsys.readouterr().out
