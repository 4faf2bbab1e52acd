"""A message is expected from another rank than the one that sends it."""

# ranks: 3
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
if rank == 1:
    comm.send("result", dest=0, tag=5)
if rank == 0:
    comm.recv(source=2, tag=5)
comm.Barrier()
