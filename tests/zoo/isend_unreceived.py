"""A large message that nobody receives."""

# ranks: 2
import numpy as np

import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
data, into = np.zeros(1 << 20), np.zeros(1 << 20)

if rank == 0:
    comm.Isend(data, dest=1, tag=4).Wait()
comm.Barrier()
