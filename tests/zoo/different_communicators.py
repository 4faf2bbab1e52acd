"""The same collective on two communicators, in a different order."""

# ranks: 3
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
first, second = comm.Dup(), comm.Dup()
for one in (first, second) if rank == 0 else (second, first):
    one.Barrier()
