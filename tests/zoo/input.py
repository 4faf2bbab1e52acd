"""Rank 0 asks the user, the others wait."""

# ranks: 3
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
name = input() if rank == 0 else None
name = comm.bcast(name, root=0)
