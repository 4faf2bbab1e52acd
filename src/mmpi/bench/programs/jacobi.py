# SPDX-License-Identifier: BSD-3-Clause
"""Heat in a plate, by Jacobi's method, cut into strips of rows: each step needs the edge rows of both neighbors."""

from __future__ import annotations

from typing import Any

SCALE, QUICK = 384, 64  # rows and columns within the edge
STEPS = 50


def start(rows: int, columns: int, first: bool) -> Any:
    """A strip with a row more above and below; the upper edge of the plate is hot."""
    import numpy

    strip = numpy.zeros((rows + 2, columns + 2))
    if first:
        strip[0] = 1
    return strip


def step(old: Any, new: Any) -> None:
    """The mean of the four neighbors."""
    new[1:-1, 1:-1] = 0.25 * (old[:-2, 1:-1] + old[2:, 1:-1] + old[1:-1, :-2] + old[1:-1, 2:])


def share(size: int, rank: int, ranks: int) -> tuple[int, int]:
    """First row of a rank, and the first that is not its own any more."""
    return size * rank // ranks, size * (rank + 1) // ranks


def answer(total: float) -> float:
    """The sum of all values, whose last digits depend on the order of adding."""
    return float(f"{total:.9g}")


def serial(size: int) -> float:
    """One process."""
    old, new = start(size, size, True), start(size, size, True)
    for _ in range(STEPS):
        step(old, new)
        old, new = new, old
    return answer(float(old[1:-1].sum()))


def typed(MPI: Any, size: int) -> float | None:
    """Halo rows by Sendrecv of parts of the array."""
    import numpy

    comm = MPI.COMM_WORLD
    old, new, up, down = _strips(MPI, size)
    for _ in range(STEPS):
        comm.Sendrecv(old[1], up, 0, old[-1], down, 0)
        comm.Sendrecv(old[-2], down, 0, old[0], up, 0)
        step(old, new)
        old, new = new, old
    mine, total = numpy.array([old[1:-1].sum()]), numpy.zeros(1)
    comm.Reduce(mine, total)
    return answer(float(total[0])) if comm.Get_rank() == 0 else None


def objects(MPI: Any, size: int) -> float | None:
    """Halo rows as objects."""
    comm = MPI.COMM_WORLD
    old, new, up, down = _strips(MPI, size)
    for _ in range(STEPS):
        below = comm.sendrecv(old[1], up, 0, None, down, 0)
        above = comm.sendrecv(old[-2], down, 0, None, up, 0)
        if below is not None:
            old[-1] = below
        if above is not None:
            old[0] = above
        step(old, new)
        old, new = new, old
    total = comm.reduce(float(old[1:-1].sum()))
    return answer(total) if comm.Get_rank() == 0 else None


def _strips(MPI: Any, size: int) -> tuple[Any, Any, int, int]:
    comm = MPI.COMM_WORLD
    rank, ranks = comm.Get_rank(), comm.Get_size()
    first, last = share(size, rank, ranks)
    up, down = rank - 1 if rank else MPI.PROC_NULL, rank + 1 if rank + 1 < ranks else MPI.PROC_NULL
    return start(last - first, size, rank == 0), start(last - first, size, rank == 0), up, down


def processes(side: Any, size: int) -> float | None:
    """The whole plate in shared memory, twice; a barrier after each step."""
    both = side.shared((2, size + 2, size + 2))
    first, last = share(size, side.rank, side.size)
    if side.rank == 0:
        both[:, 0] = 1
    side.barrier.wait()
    for i in range(STEPS):
        step(both[i % 2, first : last + 2], both[1 - i % 2, first : last + 2])
        side.barrier.wait()
    total = float(both[STEPS % 2, 1:-1].sum())
    side.barrier.wait()
    return answer(total) if side.rank == 0 else None
