"""The tags of a send and its receive differ."""

# ranks: 3
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
if rank == 1:
    comm.send("result", dest=0, tag=6)
if rank == 0:
    comm.recv(source=1, tag=5)
comm.Barrier()
