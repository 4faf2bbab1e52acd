# SPDX-License-Identifier: BSD-3-Clause
"""Mandelbrot by rows: tasks of very uneven length, which must be dealt while the program runs."""

from __future__ import annotations

from typing import Any

SCALE, QUICK = 64, 16  # rows, and columns
MOST = 200  # iterations


def row(task: tuple[int, int]) -> list[int]:
    """How soon each point of a row leaves."""
    y, size = task
    counts = []
    for x in range(size):
        c = complex(3 * x / size - 2.2, 2.4 * y / size - 1.2)
        z, count = 0j, 0
        while count < MOST and z.real * z.real + z.imag * z.imag < 4:
            z, count = z * z + c, count + 1
        counts.append(count)
    return counts


def serial(size: int) -> list[list[int]]:
    """One process."""
    return [row((y, size)) for y in range(size)]


def pool(map: Any, size: int) -> list[list[int]]:
    """A pool deals one row after the other."""
    return list(map(row, [(y, size) for y in range(size)]))


def typed(MPI: Any, size: int) -> list[list[int]] | None:
    """Each rank takes the next row by a counter in rank 0's memory; all of them compute."""
    import numpy

    comm = MPI.COMM_WORLD
    counter, one, y = numpy.zeros(1, "i8"), numpy.ones(1, "i8"), numpy.zeros(1, "i8")
    image, whole = numpy.zeros((size, size), "i8"), numpy.zeros((size, size), "i8")
    win = MPI.Win.Create(counter if comm.Get_rank() == 0 else None, comm=comm)
    while True:
        win.Lock(0, MPI.LOCK_SHARED)
        win.Fetch_and_op(one, y, 0)
        win.Unlock(0)
        if y[0] >= size:
            break
        image[y[0]] = row((int(y[0]), size))
    win.Free()
    comm.Reduce(image, whole)
    rows: list[list[int]] = whole.tolist()
    return rows if comm.Get_rank() == 0 else None


def objects(MPI: Any, size: int) -> list[list[int]] | None:
    """Rank 0 deals rows to whoever asks, and does not compute, unless it is alone."""
    comm, status = MPI.COMM_WORLD, MPI.Status()
    rank, workers = comm.Get_rank(), comm.Get_size() - 1
    if rank:
        comm.send(None, 0)
        while (task := comm.recv(source=0)) is not None:
            comm.send((task[0], row(task)), 0)
        return None
    if not workers:
        return serial(size)
    rows: dict[int, list[int]] = {}
    for task in [*((y, size) for y in range(size)), *[None] * workers]:
        done = comm.recv(source=MPI.ANY_SOURCE, status=status)
        if done:
            rows[done[0]] = done[1]
        comm.send(task, status.Get_source())
    return [rows[y] for y in range(size)]
