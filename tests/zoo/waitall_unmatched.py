"""One of several requests is never answered."""

# ranks: 3
import numpy as np

import mmpi
from mmpi import MPI

rank, size = mmpi.init()
comm = mmpi.WORLD
halo = np.zeros((4, 10))
if rank == 0:
    requests = [comm.Irecv(halo[i], source=1, tag=i) for i in range(4)]
    MPI.Request.Waitall(requests)
if rank == 1:
    for i in (0, 1, 3):
        comm.Send(halo[i], dest=0, tag=i)
comm.Barrier()
