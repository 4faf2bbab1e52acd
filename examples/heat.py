"""Solve the heat equation on a square plate, on any number of ranks, and compare with the exact solution.

The plate starts with a pattern of sine waves, each of which decays at a known rate while the rim is held at 0. The
N x N inner points are cut into one block per rank. In each time step the ranks swap the edges of their blocks with
their neighbours, then move all points by the explicit scheme u += r * (sum of the four neighbours - 4 * u).
"""

import argparse
import math
import struct
import sys
import zlib

import numpy as np

import mmpi
from mmpi import MPI, trace

rank, size = mmpi.init()
UPDATE = trace.state("update", color="teal")  # is in the picture, if the run is traced: `mmpi run --trace DIR`
WAVES = ((1, 1, 1.0), (3, 2, 0.5), (5, 6, 0.5))  # half waves down, half waves across, height
COLOURS = ((4, 8, 40), (60, 20, 110), (150, 40, 110), (225, 85, 60), (250, 165, 40), (252, 250, 190))  # cold to hot


class Parser(argparse.ArgumentParser):
    """All ranks read the same command line: rank 0 alone answers, and all end together."""

    def _print_message(self, message, file=None):
        if rank == 0:
            super()._print_message(message, file)

    def exit(self, status=0, message=None):
        self._print_message(message, sys.stderr)
        mmpi.finalize()  # without it, the first rank that exits with an error would end the whole job
        sys.exit(status)


def exact(block: list[slice], n: int, time: float) -> np.ndarray:
    """Return the exact solution in a block, given by its rows and columns, of the n x n inner points."""
    y, x = (np.arange(part.start + 1, part.stop + 1) * math.pi / (n + 1) for part in block)
    return np.add.reduce([height * math.exp(-(p * p + q * q) * math.pi**2 * time)
                          * np.outer(np.sin(p * y), np.sin(q * x)) for p, q, height in WAVES])


def solve(cart: MPI.Cartcomm, u: np.ndarray, r: float, steps: int, times: int) -> None:
    """Move a block by some time steps, each computed so many times; its rim holds copies of the neighbours' edges."""
    wide, flat, inner = u.shape[1], u.reshape(-1), u[1:-1, 1:-1]  # all the same memory
    column = MPI.DOUBLE.Create_vector(len(inner), 1, wide).Commit()  # one number of each row; starts where we say
    (up, down), (left, right) = cart.Shift(0, 1), cart.Shift(1, 1)  # PROC_NULL beyond the rim, which so stays 0
    mine = ((u[1, 1:-1], up), (u[-2, 1:-1], down),
            ([flat[wide + 1:], 1, column], left), ([flat[2 * wide - 2:], 1, column], right))
    theirs = ((u[0, 1:-1], up), (u[-1, 1:-1], down),
              ([flat[wide:], 1, column], left), ([flat[2 * wide - 1:], 1, column], right))
    for step in range(steps):
        # All at once and nonblocking: blocking sends could wait for each other in a circle.
        requests = [cart.Irecv(edge, neighbour) for edge, neighbour in theirs]
        requests += [cart.Isend(edge, neighbour) for edge, neighbour in mine]
        MPI.Request.Waitall(requests)
        with UPDATE:
            for _ in range(times):
                change = r * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * inner)
            inner += change
        if rank == 0 and step % 500 == 499 and sys.stderr.isatty():
            print(f"\rstep {step + 1} of {steps}", end="" if step < steps - 500 else "\n", file=sys.stderr)
    column.Free()


def gather(cart: MPI.Cartcomm, block: np.ndarray, blocks: list[list[slice]], n: int) -> np.ndarray:
    """Return the whole on rank 0, where a subarray type puts the block of each rank into its place."""
    request = cart.Isend(np.ascontiguousarray(block), 0)
    whole = np.empty((n, n) if rank == 0 else 0)
    for source, (rows, cols) in enumerate(blocks if rank == 0 else []):
        shape = rows.stop - rows.start, cols.stop - cols.start
        place = MPI.DOUBLE.Create_subarray((n, n), shape, (rows.start, cols.start)).Commit()
        cart.Recv([whole, 1, place], source)
        place.Free()
    request.Wait()
    return whole


def write_png(path: str, u: np.ndarray) -> None:
    """Write a picture with one pixel per point, in a palette of 256 colours from the lowest to the highest value."""
    pixels = np.rint(np.interp(u, (u.min(), u.max() + 1e-300), (0, 255))).astype(np.uint8)
    reds_greens_blues = [np.interp(np.linspace(0, 5, 256), range(6), part) for part in zip(*COLOURS, strict=True)]
    chunks = ((b"IHDR", struct.pack(">2I5B", u.shape[1], u.shape[0], 8, 3, 0, 0, 0)),
              (b"PLTE", np.stack(reds_greens_blues, axis=1).astype(np.uint8).tobytes()),
              (b"IDAT", zlib.compress(np.insert(pixels, 0, 0, axis=1).tobytes(), 9)), (b"IEND", b""))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for name, data in chunks:
            file.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)))


parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--n", type=int, default=300, help="inner points along each side (default: 300)")
parser.add_argument("--time", type=float, default=0.002, help="time to simulate (default: 0.002)")
parser.add_argument("--steps", type=int, help="number of time steps (default: a few more than stability asks for)")
parser.add_argument("--slow", type=int, metavar="RANK", help="a rank that computes all ten times: find it by `mmpi trace`")
parser.add_argument("--png", metavar="FILE", help="write a picture of the end")
options = parser.parse_args()
n, dims = options.n, MPI.Compute_dims(size, 2)
if n < max(dims):
    parser.error(f"--n {n}: {dims[0]} x {dims[1]} ranks need {max(dims)} or more points per side; or take fewer ranks")
if not 0 < options.time <= 10:
    parser.error(f"--time {options.time}: take a time above 0 and up to 10")
steps = math.ceil(5 * options.time * (n + 1) ** 2) if options.steps is None else options.steps
r = options.time / max(steps, 1) * (n + 1) ** 2  # time step / distance of points squared; above 1/4 errors grow
if steps < 1 or r > 0.25:
    parser.error(f"--steps {steps} is unstable: take {math.ceil(4 * options.time * (n + 1) ** 2)} or more")
if options.slow is not None and not 0 <= options.slow < size:
    parser.error(f"--slow {options.slow}: the ranks are 0 to {size - 1}")
cart = MPI.COMM_WORLD.Create_cart(dims)
blocks = [[slice(n * c // d, n * (c + 1) // d) for c, d in zip(cart.Get_coords(i), dims, strict=True)]
          for i in range(size)]  # the rows and columns of every rank
u = np.pad(exact(blocks[rank], n, 0), 1)
solve(cart, u, r, steps, 10 if rank == options.slow else 1)
error, largest = abs(u[1:-1, 1:-1] - exact(blocks[rank], n, options.time)).max(keepdims=True), np.zeros((1, 1))
cart.Reduce(error, largest, MPI.MAX)
whole = gather(cart, u[1:-1, 1:-1], blocks, n)
if rank == 0:
    print(f"{n} x {n} points on {dims[0]} x {dims[1]} ranks, {steps} steps to time {options.time:g}")
    print(f"values from {whole.min():.6f} to {whole.max():.6f}, largest error {largest[0, 0]:.3e}")
    try:
        if options.png:
            write_png(options.png, whole)
    except OSError as problem:
        parser.error(f"--png: {problem}")
