from mmpi import core as mpi

rank, size = mpi.init()
print("Hello World from Process %s of %s" % (rank, size))
