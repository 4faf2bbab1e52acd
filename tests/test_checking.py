# SPDX-License-Identifier: BSD-3-Clause
"""MMPI_CHECK=1: collectives that do not match raise on all ranks, before they run."""

import pytest

from jobs import job, lines

PRELUDE = """
import numpy as np
import mmpi
from mmpi import MPI
rank, size = mmpi.init()
comm = mmpi.WORLD
one, all = np.ones(4), np.zeros(4 * size)
def attempt(*calls):
    try:
        calls[rank % len(calls)]()
        print("passed", flush=True)
    except mmpi.CollectiveMismatch as error:
        print(error, flush=True)
"""


def said(n, code, env=None):
    return lines(job(n, PRELUDE + code, env={"MMPI_CHECK": "1", **(env or {})}))


@pytest.mark.parametrize(
    ("calls", "text"),
    [
        ("comm.Barrier, lambda: comm.Bcast(one)", "ranks 0, 2 call Barrier, rank 1 calls Bcast(root=0)"),
        ("lambda: comm.Bcast(one, root=rank)", "rank 0 calls Bcast(root=0), rank 1 calls Bcast(root=1), rank 2 calls Bcast(root=2)"),
        ("lambda: comm.bcast(1), lambda: comm.Bcast(one)", "ranks 0, 2 call bcast, rank 1 calls Bcast"),
        ("lambda: comm.gather(1), lambda: comm.allgather(1)", "ranks 0, 2 call gather(root=0), rank 1 calls allgather"),
        ("lambda: comm.Bcast(one[:2 + rank % 2])", "ranks 0, 2 call Bcast(bytes=16), rank 1 calls Bcast(bytes=24)"),
        (
            "lambda: comm.Allreduce(one, all[:4]), lambda: comm.Allreduce(one, all[:4], MPI.MAX)",
            "ranks 0, 2 call Allreduce(op=SUM), rank 1 calls Allreduce(op=MAX)",
        ),
        (
            "lambda: comm.Allreduce(one, all[:4]), lambda: comm.Allreduce(np.ones(8, 'f'), np.ones(8, 'f'))",
            "ranks 0, 2 call Allreduce(type=DOUBLE), rank 1 calls Allreduce(type=FLOAT)",
        ),
        ("lambda: comm.allreduce(1), lambda: comm.allreduce(1, MPI.MAX)", "ranks 0, 2 call allreduce(op=SUM), rank 1 calls allreduce(op=MAX)"),
        ("lambda: comm.Split(rank), comm.Dup", "ranks 0, 2 call Comm_split, rank 1 calls Comm_dup"),
        ("lambda: comm.Allgather(one, all), lambda: comm.Alltoall(all[:size], all[:size])", "ranks 0, 2 call Allgather, rank 1 calls Alltoall"),
    ],
)  # fmt: skip
def test_what_does_not_match_raises_on_all_ranks(calls, text):
    out = said(3, f"attempt({calls})\nattempt(comm.barrier)")
    assert out.count("passed") == 3, "the communicator cannot be used any more"
    assert len(out) == 6
    for line in set(out) - {"passed"}:
        assert line.startswith(f"collectives do not match on COMM_WORLD: {text}"), line


def test_what_matches_passes():
    """v-forms, buffers in place, derived types of equal size, callables, other communicators, nonblocking ones in any order."""
    code = """
counts = [r + 1 for r in range(size)]
comm.Gatherv(np.ones(rank + 1), (all, counts) if sum(counts) <= 4 * size else None, root=0) if size < 8 else None
comm.Allgather(MPI.IN_PLACE, all)
comm.Gather(MPI.IN_PLACE if rank == 0 else one, all if rank == 0 else None)
comm.Scatter(all if rank == 0 else None, MPI.IN_PLACE if rank == 0 else one)
comm.Reduce(MPI.IN_PLACE if rank == 1 % size else one, one, root=1 % size)
pair = MPI.DOUBLE.Create_contiguous(2).Commit()
comm.Bcast([one, 2, pair] if rank == 0 else one)
comm.Allreduce([one, 4, MPI.DOUBLE], all[:4], MPI.Op.Create(lambda a, b, t: None))
half = comm.Split(rank % 2)
for _ in range(6):
    half.Barrier(), half.allgather(rank)
half.Free()
requests = [comm.ibarrier(), comm.Ibcast(one)]
if rank == 0:
    comm.send(1, dest=size - 1)
if rank == size - 1:
    comm.recv(source=0)
    requests.append(comm.ibcast(1))
else:
    requests.append(comm.ibcast(1))
MPI.Request.Waitall(requests)
assert comm.allreduce(rank) == size * (size - 1) // 2
assert comm.allreduce([rank], lambda a, b: a + b) == list(range(size))
comm.alltoall([None] * size), comm.scan(1), comm.reduce(1.5)
print("passed")
"""
    for n in (2, 3):
        assert said(n, code) == ["passed"] * n


def test_it_is_off_by_default():
    code = PRELUDE + "import sys\ncomm.Bcast(one)\nprint('mmpi.checking' in sys.modules)"
    assert lines(job(2, code, env={"MMPI_CHECK": "0"})) == ["False", "False"]


def test_an_uncaught_mismatch_ends_the_job_and_names_it():
    result = job(2, PRELUDE + "comm.Barrier() if rank else comm.allgather(1)", env={"MMPI_CHECK": "1"})
    assert result.returncode == 1
    assert "CollectiveMismatch: collectives do not match on COMM_WORLD: rank 0 calls allgather, rank 1 calls Barrier" in result.stderr
