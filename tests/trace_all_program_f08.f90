! Calls with mpi_f08, whose functions have names of their own
program traced
  use mpi_f08
  implicit none
  integer :: rank, total, after, before, i
  logical :: flag
  double precision :: out(10), in(20)
  type(MPI_Status) :: status, statuses(2)
  type(MPI_Request) :: requests(2)
  type(MPI_Comm) :: half
  out = 1
  in = 0
  call MPI_Init()
  call MPI_Comm_rank(MPI_COMM_WORLD, rank)
  call MPI_Comm_size(MPI_COMM_WORLD, total)
  after = mod(rank + 1, total)
  before = mod(rank + total - 1, total)
  call MPI_Isend(out, 10, MPI_DOUBLE_PRECISION, after, 1, MPI_COMM_WORLD, requests(1))
  call MPI_Recv(in, 10, MPI_DOUBLE_PRECISION, MPI_ANY_SOURCE, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE, i)
  call MPI_Wait(requests(1), status)
  do i = 1, 2
    call MPI_Irecv(in, 1, MPI_DOUBLE_PRECISION, MPI_ANY_SOURCE, 2, MPI_COMM_WORLD, requests(1))
    call MPI_Isend(out, 1, MPI_DOUBLE_PRECISION, after, 2, MPI_COMM_WORLD, requests(2))
    if (i == 1) call MPI_Waitall(2, requests, MPI_STATUSES_IGNORE)
    if (i == 2) call MPI_Waitall(2, requests, statuses)
  end do
  if (statuses(1)%MPI_SOURCE /= before) call MPI_Abort(MPI_COMM_WORLD, 3)
  call MPI_Barrier(MPI_COMM_WORLD)
  call MPI_Allreduce(MPI_IN_PLACE, in, 10, MPI_DOUBLE_PRECISION, MPI_SUM, MPI_COMM_WORLD)
  call MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, in, 2, MPI_DOUBLE_PRECISION, MPI_COMM_WORLD)
  call MPI_Comm_split(MPI_COMM_WORLD, 0, -rank, half)
  call MPI_Bcast(in, 2, MPI_DOUBLE_PRECISION, 0, half)
  call MPI_Comm_free(half)
  call MPI_Finalize()
end program traced
