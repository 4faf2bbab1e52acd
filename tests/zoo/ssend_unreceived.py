"""A synchronous send to a rank that does something else."""

# ranks: 2
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
if rank == 0:
    comm.ssend("hello", dest=1, tag=4)
comm.Barrier()
