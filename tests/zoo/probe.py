"""A probe for a message that is not sent."""

# ranks: 3
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
if rank == 0:
    comm.probe(source=1, tag=3)
comm.Barrier()
