"""A request to which nobody sends."""

# ranks: 3
import numpy as np

import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
data = np.zeros(10)
if rank == 0:
    request = comm.Irecv(data, source=1, tag=9)
    request.Wait()
comm.Barrier()
