"""A rank loops in C and never gives the GIL back."""

# ranks: 3
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
comm.Barrier()
if rank == 2:
    sum(iter(int, 1))
comm.bcast(rank, root=2)
