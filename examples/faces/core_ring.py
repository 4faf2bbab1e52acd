# A number goes around: each rank adds its own and hands it on.
from mmpi import core as mpi

rank, size = mpi.init()
world, tag = mpi.MPI_COMM_WORLD, 1
left, right = (rank - 1) % size, (rank + 1) % size
request = None
if rank == 0:
    request = mpi.isend([0], 1, mpi.MPI_INT, right, tag, world)
total = mpi.recv(1, mpi.MPI_INT, left, tag, world)
total[0] += rank
if rank:
    mpi.send(total, 1, mpi.MPI_INT, right, tag, world)
else:
    mpi.wait(request)
    print("the ring brought", total[0])
mpi.finalize()
