"""A rank waits for a message from one that has reached the end of the program."""

# ranks: 3
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
if rank == 0:
    comm.recv(source=1, tag=2)
