from mmpi import pympi as mpi

mpi.synchronizedWriteln("Hello World from Process", mpi.rank, "of", mpi.size)
