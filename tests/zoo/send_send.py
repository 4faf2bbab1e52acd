"""Both send large arrays before they receive: what works in the test with small ones."""

# ranks: 2
import numpy as np

import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
data, into = np.zeros(1 << 20), np.zeros(1 << 20)

comm.Send(data, dest=1 - rank)
comm.Recv(into, source=1 - rank)
