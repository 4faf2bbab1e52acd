"""A master waits for more results than there are workers."""

# ranks: 4
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
if rank == 0:
    results = [comm.recv(tag=1) for _ in range(size)]
else:
    comm.send(rank, dest=0, tag=1)
comm.Barrier()
