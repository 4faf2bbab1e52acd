"""Two groups are joined; one waits for a message of the other, all of which have gone on to a collective of both."""

# ranks: 4
import mmpi

rank, size = mmpi.init()
half = mmpi.WORLD.Split(rank % 2)
both = half.Create_intercomm(0, mmpi.WORLD, 1 - rank % 2)
both.Barrier()
if rank == 0:
    both.Recv(bytearray(4), source=1, tag=5)
both.Barrier()
