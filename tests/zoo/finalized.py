"""A rank waits for a message from one that calls finalize()."""

# ranks: 2
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
if rank == 0:
    comm.recv(source=1, tag=2)
mmpi.finalize()
