"""Every rank takes another one for the root."""

# ranks: 3
import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
settings = comm.bcast({"steps": 10}, root=(rank + 1) % size)
