# Pi as the integral of 4 / (1 + x^2) from 0 to 1, in strips that the ranks take in turn.
import sys
from mmpi import core as mpi

rank, size = mpi.init()
strips = mpi.bcast(int(sys.argv[1]) if len(sys.argv) > 1 else 100000, 1, mpi.MPI_INT, 0, mpi.MPI_COMM_WORLD)[0]
middles = ((strip + 0.5) / strips for strip in range(rank, strips, size))
part = sum(4 / (1 + x * x) for x in middles) / strips
pi = mpi.reduce(part, 1, mpi.MPI_DOUBLE, mpi.MPI_SUM, 0, mpi.MPI_COMM_WORLD)
if rank == 0:
    print("pi is about %.10f" % pi[0])
