"""One rank broadcasts a buffer, the others wait for an object."""

# ranks: 3
import numpy as np

import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
data, into = np.zeros(1 << 20), np.zeros(1 << 20)

if rank == 0:
    comm.Bcast(data, root=0)
else:
    data = comm.bcast(None, root=0)
comm.Barrier()
