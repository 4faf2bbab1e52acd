"""A rank goes once more through the loop."""

# ranks: 3
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
for _ in range(4 if rank == 0 else 3):
    comm.Barrier()
