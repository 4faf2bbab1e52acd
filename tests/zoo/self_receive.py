"""A rank receives from itself before it sends."""

# ranks: 1
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
copy = comm.recv(source=rank, tag=3)
comm.send("to myself", dest=rank, tag=3)
