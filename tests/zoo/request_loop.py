"""A loop that tests a request to which nobody sends."""

# ranks: 3
import time

import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
if rank == 0:
    request = comm.irecv(source=1, tag=3)
    while not request.test()[0]:
        time.sleep(0.001)
comm.Barrier()
