"""The root of a reduction waits for a rank that waits for the root."""

# ranks: 3
import numpy as np

import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
total = np.zeros(1)
if rank == 2:
    comm.recv(source=0, tag=8)
comm.Reduce(np.ones(1), total, root=0)
if rank == 0:
    comm.send("go", dest=2, tag=8)
