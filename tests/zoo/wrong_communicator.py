"""A message is sent on one communicator and expected on another."""

# ranks: 3
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
workers = comm.Dup()
workers.Set_name("workers")
if rank == 1:
    workers.send("result", dest=0, tag=5)
if rank == 0:
    comm.recv(source=1, tag=5)
comm.Barrier()
