# SPDX-License-Identifier: BSD-3-Clause
"""Under Slurm: `make test-slurm` starts one of a single node, this machine, and runs these tests in it."""

import os
import subprocess
import sys

import pytest

import requirements
from mmpi import library
from mmpi.launch import hosts

LIMIT = 60
HELLO = "import mmpi; rank, size = mmpi.init(); print(rank, size, len(mmpi.allgather(rank)))"


@pytest.fixture(autouse=True)
def _slurm():
    """Slurm must run."""
    requirements.need("slurm")


@pytest.fixture
def srun():
    """How srun is called for this MPI: MPICH's speaks PMI-2, Open MPI only PMIx."""
    kind = "pmix" if library.locate().maker == "openmpi" else "pmi2"
    if run("srun", f"--mpi={kind}", "-n1", "true").returncode:
        pytest.skip(f"this Slurm cannot load its plugin {kind}")
    return ["srun", "--quiet", f"--mpi={kind}", "--overcommit"]


def run(*words, **more):
    return subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=False, **more)


def test_srun_starts_ranks(srun):
    ended = run(*srun, "-n3", sys.executable, "-c", HELLO)
    assert (ended.returncode, sorted(ended.stdout.splitlines())) == (0, ["0 3 3", "1 3 3", "2 3 3"]), ended.stderr


@pytest.mark.parametrize(("end", "status"), [("sys.exit(3)", 3), ("1 / 0", 1)])
def test_a_rank_that_fails_ends_the_step(srun, end, status):
    code = f"import mmpi, sys\nrank, size = mmpi.init()\nif rank == 1: {end}\nmmpi.recv(source=1)"
    ended = run(*srun, "-n2", "--kill-on-bad-exit", sys.executable, "-c", code)
    assert ended.returncode in (status, 137), ended.stderr


def test_mmpi_run_in_an_allocation():
    ended = run("salloc", "--quiet", "-n2", sys.executable, "-m", "mmpi", "run", "--tag", "-c", HELLO)
    assert (ended.returncode, sorted(ended.stdout.splitlines())) == (0, ["[0] 0 2 2", "[1] 1 2 2"]), ended.stderr


def test_srun_reaches_the_hosts_of_an_allocation(tmp_path):
    script = tmp_path / "agent"
    script.write_text(hosts.agent_script(None, "abc", {"SLURM_JOB_ID": "1"}))
    words = ["salloc", "--quiet", "-n1", "/bin/sh", str(script), "-x", os.uname().nodename, "echo $MMPI_JOB 'a  b'; cat; exit 3"]
    ended = run(*words, input="line\n")
    assert (ended.returncode, ended.stdout) == (3, "abc a  b\nline\n"), ended.stderr
