"""A rank catches an exception and does not come back."""

# ranks: 3
import time

import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
def step():
    if rank == 1:
        raise ValueError("negative density")


try:
    step()
except ValueError:
    time.sleep(1000)
comm.allreduce(rank)
