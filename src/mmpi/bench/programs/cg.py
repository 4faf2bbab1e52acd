# SPDX-License-Identifier: BSD-3-Clause
"""Conjugate gradient with a full matrix, cut by rows: each step gathers a vector and adds two numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SCALE, QUICK = 768, 128  # rows
STEPS = 30


def rows(first: int, last: int, size: int) -> Any:
    """Rows of a matrix that is symmetric and positive definite."""
    import numpy

    i, j = numpy.arange(first, last)[:, None], numpy.arange(size)[None, :]
    return 1.0 / (1 + abs(i - j)) + 2.0 * (i == j)


def solve(matrix: Any, add: Callable[[float], float], whole: Callable[[Any], Any]) -> float:
    """The norm of what is found for a right side of ones; `add` and `whole` ask the other processes."""
    import numpy

    count = matrix.shape[0]
    x, r = numpy.zeros(count), numpy.ones(count)
    p, rr = r.copy(), add(float(r @ r))
    for _ in range(STEPS):
        q = matrix @ whole(p)
        alpha = rr / add(float(p @ q))
        x += alpha * p
        r -= alpha * q
        new = add(float(r @ r))
        p = r + new / rr * p
        rr = new
    return float(f"{add(float(x @ x)):.8g}")


def bounds(size: int, rank: int, ranks: int) -> tuple[int, int]:
    """First row of a rank, and the first of the next."""
    return size * rank // ranks, size * (rank + 1) // ranks


def serial(size: int) -> float:
    """One process."""
    return solve(rows(0, size, size), lambda value: value, lambda vector: vector)


def typed(MPI: Any, size: int) -> float | None:
    """Allgatherv and Allreduce of buffers."""
    import numpy

    comm = MPI.COMM_WORLD
    first, last = bounds(size, comm.Get_rank(), comm.Get_size())
    vector, one, total = numpy.empty(size), numpy.empty(1), numpy.empty(1)
    ends = [bounds(size, rank, comm.Get_size()) for rank in range(comm.Get_size())]
    counts = [last - first for first, last in ends]

    def add(value: float) -> float:
        one[0] = value
        comm.Allreduce(one, total)
        return float(total[0])

    def whole(part: Any) -> Any:
        comm.Allgatherv(part, [vector, counts])
        return vector

    norm = solve(rows(first, last, size), add, whole)
    return norm if comm.Get_rank() == 0 else None


def objects(MPI: Any, size: int) -> float | None:
    """allgather and allreduce of objects."""
    import numpy

    comm = MPI.COMM_WORLD
    first, last = bounds(size, comm.Get_rank(), comm.Get_size())
    norm = solve(rows(first, last, size), comm.allreduce, lambda part: numpy.concatenate(comm.allgather(part)))
    return norm if comm.Get_rank() == 0 else None


def processes(side: Any, size: int) -> float | None:
    """The vector and the terms of sums in shared memory; barriers before and after they are read."""
    first, last = bounds(size, side.rank, side.size)
    memory = side.shared((size + side.size,))
    vector, terms = memory[:size], memory[size:]

    def add(value: float) -> float:
        terms[side.rank] = value
        side.barrier.wait()
        total = float(terms.sum())
        side.barrier.wait()
        return total

    def whole(part: Any) -> Any:
        vector[first:last] = part
        side.barrier.wait()  # add() waits for all before anyone writes again
        return vector

    norm = solve(rows(first, last, size), add, whole)
    return norm if side.rank == 0 else None
