"""One waits for a message, the other at a barrier that comes before the send."""

# ranks: 3
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
if rank == 0:
    comm.recv(source=1, tag=2)
comm.Barrier()
if rank == 1:
    comm.send("late", dest=0, tag=2)
