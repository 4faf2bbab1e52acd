"""Draw the Mandelbrot set, in text. Rows take very different times, so nobody deals them out: each rank draws the number of
its next row from a counter, and puts the row into a picture. Both lie in windows of rank 0, which does nothing for that.

usage: onesided.py [WIDTH HEIGHT]       (default: 72 24)
"""

import sys

import numpy as np

import mmpi
from mmpi import MPI

SHADES = np.frombuffer(b" .:-=+*#%@", "u1")

rank, size = mmpi.init()
comm = MPI.COMM_WORLD
width, height = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (72, 24)


def draw(row: int) -> np.ndarray:
    """One row of the picture: how long each point stays near zero."""
    c = np.linspace(-2.2, 0.8, width) + 1j * np.linspace(-1.2, 1.2, height)[row]
    z, turns = np.zeros_like(c), np.zeros(width, "i")
    for _ in range(1000):
        near = abs(z) < 2
        z[near] = z[near] ** 2 + c[near]
        turns += near
    return SHADES[np.log2(turns + 1).astype("i")]


with MPI.Win.Allocate(8 if rank == 0 else 0, 8, comm=comm) as counter, \
     MPI.Win.Allocate(width * height if rank == 0 else 0, comm=comm) as picture:
    if rank == 0:
        counter.Lock(0)
        np.frombuffer(counter, "q")[0] = 0
        counter.Unlock(0)
    comm.Barrier()

    one, row, rows = np.ones(1, "q"), np.empty(1, "q"), 0
    while True:
        counter.Lock(0)
        counter.Fetch_and_op(one, row, 0)           # a row for each rank, whoever comes first
        counter.Unlock(0)
        if row[0] >= height:
            break
        picture.Lock(0, MPI.LOCK_SHARED)
        picture.Put(draw(int(row[0])), 0, int(row[0]) * width)
        picture.Unlock(0)
        rows += 1

    shares = comm.gather(rows)                      # all rows are there now
    if rank == 0:
        picture.Lock(0)
        text = bytes(picture.tomemory()).decode()
        picture.Unlock(0)
        print(*[text[i : i + width] for i in range(0, len(text), width)], sep="\n")
        print(f"{height} rows, drawn by {size} rank(s): {min(shares)} to {max(shares)} each", file=sys.stderr)
