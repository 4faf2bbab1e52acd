# SPDX-License-Identifier: BSD-3-Clause
"""Monte Carlo pi: equal tasks that need nothing of each other. The seeds belong to the tasks, so all count alike."""

from __future__ import annotations

import random
from typing import Any

SCALE, QUICK = 20_000, 2_000  # points a task
TASKS = 16


def inside(task: tuple[int, int]) -> int:
    """How many random points lie in the circle."""
    seed, points = task
    draw = random.Random(seed).random
    return sum(draw() ** 2 + draw() ** 2 < 1 for _ in range(points))


def answer(hits: int, points: int) -> float:
    """The estimate."""
    return 4 * hits / (points * TASKS)


def serial(points: int) -> float:
    """One process."""
    return answer(sum(inside((seed, points)) for seed in range(TASKS)), points)


def pool(map: Any, points: int) -> float:
    """A pool's map, then the sum."""
    return answer(sum(map(inside, [(seed, points) for seed in range(TASKS)])), points)


def typed(MPI: Any, points: int) -> float | None:
    """Each rank its share; the sum of buffers."""
    import numpy

    comm = MPI.COMM_WORLD
    hits, total = numpy.zeros(1, "i8"), numpy.zeros(1, "i8")
    hits[0] = sum(inside((seed, points)) for seed in range(comm.Get_rank(), TASKS, comm.Get_size()))
    comm.Reduce(hits, total)
    return answer(int(total[0]), points) if comm.Get_rank() == 0 else None


def objects(MPI: Any, points: int) -> float | None:
    """Each rank its share; the sum of ints."""
    comm = MPI.COMM_WORLD
    hits = comm.reduce(sum(inside((seed, points)) for seed in range(comm.Get_rank(), TASKS, comm.Get_size())))
    return answer(hits, points) if comm.Get_rank() == 0 else None
