"""Write a matrix, of which each rank has some rows, into one file; read it again by columns. Any number of ranks can read
what any other number wrote: the file has the matrix as NumPy would save it, without a trace of who wrote what.

usage: parallel_io.py FILE [ROWS COLUMNS]       (default: 1000 600)
"""

import sys

import numpy as np

import mmpi
from mmpi import MPI

rank, size = mmpi.init()
comm = MPI.COMM_WORLD
name = sys.argv[1]
shape = tuple(map(int, sys.argv[2:4])) if len(sys.argv) > 3 else (1000, 600)


def share(n: int) -> tuple[int, int]:
    """Where this rank's part of n rows or columns begins and ends."""
    return n * rank // size, n * (rank + 1) // size


def part(start: tuple[int, int], extent: tuple[int, int]) -> MPI.Datatype:
    """The place of a rectangle of the matrix in the file; a rank without any sees none of the file."""
    if 0 in extent:
        return MPI.DOUBLE.Dup().Commit()
    return MPI.DOUBLE.Create_subarray(shape, extent, start).Commit()


first, last = share(shape[0])
rows = np.fromfunction(lambda i, j: (i + first) * 1000 + j, (last - first, shape[1]))
with MPI.File.Open(comm, name, MPI.MODE_CREATE | MPI.MODE_RDWR) as file:
    file.Set_size(8 * shape[0] * shape[1])
    file.Set_view(0, MPI.DOUBLE, part((first, 0), rows.shape))
    file.Write_all(rows)                            # all ranks together, in few large pieces
    file.Sync()
    comm.Barrier()
    file.Sync()

    first, last = share(shape[1])
    columns = np.empty((shape[0], last - first))
    file.Set_view(0, MPI.DOUBLE, part((0, first), columns.shape))
    file.Read_all(columns)
    bytes_there = file.size

expected = np.fromfunction(lambda i, j: i * 1000 + j + first, columns.shape)
good = comm.allreduce(bool((columns == expected).all()), MPI.LAND)
if rank == 0:
    print(f"{size} rank(s) wrote {bytes_there:,} bytes by rows and read them by columns: {'the same' if good else 'NOT the same'}")
mmpi.finalize()
sys.exit(not good)
