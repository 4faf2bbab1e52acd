"""A rank that has no data leaves out a reduction."""

# ranks: 3
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
items = [] if rank == 1 else [rank]
if items:
    total = comm.allreduce(sum(items))
comm.Barrier()
