! Calls in Fortran: usage: trace_all_program DATA
program traced
  implicit none
  include 'mpif.h'
  integer :: rank, total, after, before, error, status(MPI_STATUS_SIZE), requests(4), statuses(MPI_STATUS_SIZE, 4)
  integer :: half, i, n, index, file
  integer :: indices(4), outcount
  integer(kind=MPI_OFFSET_KIND) :: zero = 0
  logical :: flag
  double precision :: out(100), in(100)
  character(len=1000) :: path
  integer, parameter :: world = MPI_COMM_WORLD, dp = MPI_DOUBLE_PRECISION
  out = 1
  call MPI_Init(error)
  call MPI_Comm_rank(world, rank, error)
  call MPI_Comm_size(world, total, error)
  after = mod(rank + 1, total)
  before = mod(rank + total - 1, total)
  if (mod(rank, 2) == 0) then
    call MPI_Send(out, 10, dp, after, 1, world, error)
    call MPI_Recv(in, 100, dp, MPI_ANY_SOURCE, MPI_ANY_TAG, world, MPI_STATUS_IGNORE, error)
  else
    call MPI_Recv(in, 100, dp, before, 1, world, status, error)
    if (status(MPI_SOURCE) /= before) call MPI_Abort(world, 3, error)
    call MPI_Send(out, 20, dp, after, 1, world, error)
  end if
  call MPI_Sendrecv(out, 5, dp, after, 2, in, 100, dp, before, 2, world, status, error)
  do i = 1, 2
    call MPI_Irecv(in(i), 1, dp, MPI_ANY_SOURCE, i, world, requests(i), error)
    call MPI_Isend(out, 1, dp, after, i, world, requests(2 + i), error)
  end do
  call MPI_Waitall(4, requests, MPI_STATUSES_IGNORE, error)
  call MPI_Irecv(in, 1, dp, before, 7, world, requests(1), error)
  call MPI_Isend(out, 1, dp, after, 7, world, requests(2), error)
  call MPI_Waitany(2, requests, index, MPI_STATUS_IGNORE, error)
  call MPI_Waitany(2, requests, index, status, error)
  if (requests(1) /= MPI_REQUEST_NULL .or. requests(2) /= MPI_REQUEST_NULL) call MPI_Abort(world, 4, error)
  do i = 1, 2
    call MPI_Irecv(in(i), 1, dp, before, i, world, requests(i), error)
    call MPI_Isend(out, 1, dp, after, i, world, requests(2 + i), error)
  end do
  n = 0
  do while (n < 4)
    call MPI_Waitsome(4, requests, outcount, indices, statuses, error)
    n = n + outcount
  end do
  call MPI_Irecv(in, 1, dp, before, 8, world, requests(1), error)
  call MPI_Send(out, 1, dp, after, 8, world, error)
  flag = .false.
  do while (.not. flag)
    call MPI_Test(requests(1), flag, MPI_STATUS_IGNORE, error)
  end do
  call MPI_Send_init(out, 6, dp, after, 9, world, requests(1), error)
  call MPI_Recv_init(in, 6, dp, before, 9, world, requests(2), error)
  do i = 1, 3
    call MPI_Startall(2, requests, error)
    call MPI_Waitall(2, requests, statuses, error)
  end do
  call MPI_Request_free(requests(1), error)
  call MPI_Request_free(requests(2), error)
  call MPI_Barrier(world, error)
  call MPI_Bcast(in, 10, dp, 0, world, error)
  call MPI_Allreduce(MPI_IN_PLACE, in, 10, dp, MPI_SUM, world, error)
  call MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, in, 2, dp, world, error)
  call MPI_Ibarrier(world, requests(1), error)
  call MPI_Wait(requests(1), MPI_STATUS_IGNORE, error)
  call MPI_Comm_split(world, mod(rank, 2), rank, half, error)
  call MPI_Comm_set_name(half, 'half', error)
  call MPI_Allreduce(out, in, 1, dp, MPI_SUM, half, error)
  call MPI_Comm_free(half, error)
  call get_command_argument(1, path)
  call MPI_File_open(world, trim(path) // '.data', MPI_MODE_CREATE + MPI_MODE_WRONLY, MPI_INFO_NULL, file, error)
  call MPI_File_write_at_all(file, zero, out, 2, dp, MPI_STATUS_IGNORE, error)
  call MPI_File_close(file, error)
  call MPI_Finalize(error)
end program traced
