"""A collective on a part of the communicator, to which a member does not come."""

# ranks: 4
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
half = comm.Split(rank % 2)
if rank == 2:
    comm.recv(source=0, tag=1)
half.allgather(rank)
