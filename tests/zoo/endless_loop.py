"""A rank computes for ever, and the others wait for it in a collective."""

# ranks: 3
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
def converge(error):
    while error > 1e-12:
        error = error * 1.0


comm.Barrier()
if rank == 1:
    converge(1.0)
comm.allreduce(rank)
