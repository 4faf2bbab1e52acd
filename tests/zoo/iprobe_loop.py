"""A loop that asks for a message that is not sent."""

# ranks: 3
import time

import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
if rank == 0:
    while not comm.iprobe(source=1, tag=3):
        time.sleep(0.001)
comm.Barrier()
