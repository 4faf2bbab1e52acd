"""A shift in which one rank takes the wrong neighbour."""

# ranks: 4
import numpy as np

import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
data, into = np.zeros(10), np.zeros(10)
left = (rank - 1) % size if rank != 2 else (rank + 1) % size
comm.Sendrecv(data, dest=(rank + 1) % size, recvbuf=into, source=left)
