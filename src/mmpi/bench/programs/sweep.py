# SPDX-License-Identifier: BSD-3-Clause
"""A parameter sweep: many tasks that are small beside what dealing them costs."""

from __future__ import annotations

import math
from typing import Any

SCALE, QUICK = 2_000, 100  # tasks


def model(parameters: tuple[int, float]) -> float:
    """Some 20 us of work: a swinging pendulum."""
    number, damping = parameters
    angle, speed = 0.01 * (number % 100), 1.0
    for _ in range(50):
        speed -= 0.05 * (math.sin(angle) + damping * speed)
        angle += 0.05 * speed
    return angle


def tasks(count: int) -> list[tuple[int, float]]:
    """All sets of parameters."""
    return [(number, 0.1 + number / count) for number in range(count)]


def serial(count: int) -> list[float]:
    """One process."""
    return [model(task) for task in tasks(count)]


def pool(map: Any, count: int) -> list[float]:
    """A pool gets one task after the other."""
    return list(map(model, tasks(count)))


def objects(MPI: Any, count: int) -> list[float] | None:
    """Rank 0 scatters equal shares and gathers the results."""
    comm = MPI.COMM_WORLD
    size = comm.Get_size()
    mine = comm.scatter([tasks(count)[rank::size] for rank in range(size)] if comm.Get_rank() == 0 else None)
    parts = comm.gather([model(task) for task in mine])
    if parts is None:
        return None
    results = [0.0] * count
    for rank, part in enumerate(parts):
        results[rank::size] = part
    return results
