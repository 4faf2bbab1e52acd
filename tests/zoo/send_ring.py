"""Everybody sends a large array to the right first."""

# ranks: 4
import numpy as np

import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
data, into = np.zeros(1 << 20), np.zeros(1 << 20)

comm.Send(data, dest=(rank + 1) % size)
comm.Recv(into, source=(rank - 1) % size)
