# SPDX-License-Identifier: BSD-3-Clause
"""A distributed sort: everyone makes numbers, keeps those of its range, and sorts them. What counts is moving all of them once."""

from __future__ import annotations

from typing import Any

SCALE, QUICK = 200_000, 4_000  # numbers a part
PARTS = 4  # made alike by every contender, whatever its number of ranks


def part(task: tuple[int, int]) -> Any:
    """Numbers in [0, 1), the same for all who ask for this part."""
    import numpy

    return numpy.random.default_rng(task[0]).random(task[1])


def sorted_part(task: tuple[int, int]) -> Any:
    """One part in order."""
    numbers = part(task)
    numbers.sort()
    return numbers


def digest(numbers: Any) -> list[float]:
    """What all contenders must agree about: some of the numbers in order."""
    chosen: list[float] = numbers[:: max(1, numbers.size // 64)].tolist()
    return chosen


def serial(count: int) -> list[float]:
    """One process."""
    import numpy

    numbers = numpy.concatenate([part((i, count)) for i in range(PARTS)])
    numbers.sort()
    return digest(numbers)


def pool(map: Any, count: int) -> list[float]:
    """A pool sorts parts, the parent merges them."""
    import numpy

    numbers = numpy.concatenate(list(map(sorted_part, [(i, count) for i in range(PARTS)])))
    numbers.sort(kind="stable")  # which merges what is in order
    return digest(numbers)


def _mine(comm: Any, count: int) -> tuple[Any, Any]:
    """This rank's numbers in order, and where the ranges of the ranks end."""
    import numpy

    rank, size = comm.Get_rank(), comm.Get_size()
    numbers = numpy.concatenate([part((i, count)) for i in range(rank, PARTS, size)] or [numpy.empty(0)])
    numbers.sort()
    return numbers, numpy.searchsorted(numbers, numpy.arange(1, size) / size)


def typed(MPI: Any, count: int) -> list[float] | None:
    """Alltoallv to the rank of the range, Gatherv for the answer."""
    import numpy

    comm = MPI.COMM_WORLD
    numbers, ends = _mine(comm, count)
    counts = numpy.diff(numpy.concatenate([[0], ends, [numbers.size]])).astype("i4")
    come = numpy.empty_like(counts)
    comm.Alltoall(counts, come)
    received = numpy.empty(int(come.sum()))
    comm.Alltoallv([numbers, counts], [received, come])
    received.sort(kind="stable")
    counts = numpy.empty(comm.Get_size(), "i4")
    comm.Gather(numpy.array([received.size], "i4"), counts)
    whole = numpy.empty(PARTS * count)
    comm.Gatherv(received, [whole, counts])
    return digest(whole) if comm.Get_rank() == 0 else None


def objects(MPI: Any, count: int) -> list[float] | None:
    """The same with lists of arrays."""
    import numpy

    comm = MPI.COMM_WORLD
    numbers, ends = _mine(comm, count)
    received = numpy.concatenate(comm.alltoall(numpy.split(numbers, ends)))
    received.sort(kind="stable")
    parts = comm.gather(received)
    return digest(numpy.concatenate(parts)) if comm.Get_rank() == 0 else None
