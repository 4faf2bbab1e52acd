"""Two collectives in a different order."""

# ranks: 2
import numpy as np

import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
data, into = np.zeros(1 << 20), np.zeros(1 << 20)

if rank == 0:
    comm.Barrier()
    comm.Bcast(data, root=1)
else:
    comm.Bcast(data, root=1)
    comm.Barrier()
