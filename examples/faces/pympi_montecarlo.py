# Pi by throwing darts: each rank its own, and a sum of the hits.
import random
import sys
from mmpi import pympi as mpi

darts = int(sys.argv[1]) if len(sys.argv) > 1 else 200000
dice = random.Random(mpi.rank)
hits = sum(dice.random() ** 2 + dice.random() ** 2 < 1 for _ in range(darts))
mpi.synchronizedWriteln("rank", mpi.rank, "hit", hits, "of", darts)
total = mpi.allreduce(hits, mpi.SUM)
mpi.traceln("pi is about", 4 * total / (darts * mpi.size))
