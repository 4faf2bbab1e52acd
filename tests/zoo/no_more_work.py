"""The workers wait for tasks; the master forgot to tell them that there are none."""

# ranks: 3
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
if rank == 0:
    for worker in range(1, size):
        comm.send("task", dest=worker, tag=1)
    comm.gather(None)
else:
    while comm.recv(source=0, tag=1) != "stop":
        pass
    comm.gather(rank)
