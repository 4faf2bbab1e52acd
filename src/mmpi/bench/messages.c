/* The C side of messages.py: the same calls with the same buffers, every return code looked at. */
#include <mpi.h>
#include <stdint.h>

enum { MOST = 64 };                    /* messages in a window */

struct arguments {                     /* as in messages.py; handles travel as integers */
    char *send, *receive;
    int count, rank, size, window;     /* of bytes; of this rank; of ranks; of messages under way at a time */
    intptr_t handle;                   /* of a window or a file */
};

#define TRY(call) if ((rc = (call))) return rc;
#define EACH(name, statements) \
    int name(long n, const struct arguments *a) \
    { \
        MPI_Comm comm = MPI_COMM_WORLD; \
        MPI_Datatype type = MPI_BYTE; \
        int rc, count = a->count, peer = 1 - a->rank; \
        (void)type, (void)comm, (void)count, (void)peer; \
        for (long i = 0; i < n; i++) { statements } \
        return 0; \
    }

static int windowed(const struct arguments *a)
{
    MPI_Request requests[MOST];
    int rc, peer = 1 - a->rank;
    char ack = 0;
    for (int i = 0; i < a->window; i++)
        TRY(a->rank ? MPI_Irecv(a->receive + (long)i * a->count, a->count, MPI_BYTE, peer, 0, MPI_COMM_WORLD, &requests[i])
                    : MPI_Isend(a->send, a->count, MPI_BYTE, peer, 0, MPI_COMM_WORLD, &requests[i]))
    TRY(MPI_Waitall(a->window, requests, MPI_STATUSES_IGNORE))
    return a->rank ? MPI_Send(&ack, 1, MPI_BYTE, peer, 1, MPI_COMM_WORLD)
                   : MPI_Recv(&ack, 1, MPI_BYTE, peer, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

EACH(ping_pong,
     if (a->rank) TRY(MPI_Recv(a->receive, count, type, peer, 0, comm, MPI_STATUS_IGNORE))
     TRY(MPI_Send(a->send, count, type, peer, 0, comm))
     if (!a->rank) TRY(MPI_Recv(a->receive, count, type, peer, 0, comm, MPI_STATUS_IGNORE)))
EACH(both_ways, TRY(MPI_Sendrecv(a->send, count, type, peer, 0, a->receive, count, type, peer, 0, comm, MPI_STATUS_IGNORE)))
EACH(window, TRY(windowed(a)))
EACH(barrier, TRY(MPI_Barrier(comm)))
EACH(bcast, for (int root = 0; root < a->size; root++) TRY(MPI_Bcast(a->receive + (long)root * count, count, type, root, comm)))
EACH(allreduce, TRY(MPI_Allreduce(a->send, a->receive, count / 8, MPI_DOUBLE, MPI_SUM, comm)))
EACH(allgather, TRY(MPI_Allgather(a->send, count, type, a->receive, count, type, comm)))
EACH(alltoall, TRY(MPI_Alltoall(a->send, count, type, a->receive, count, type, comm)))
EACH(put, if (!a->rank) { TRY(MPI_Put(a->send, count, type, 1, 0, count, type, (MPI_Win)a->handle)) TRY(MPI_Win_flush(1, (MPI_Win)a->handle)) })
EACH(get, if (!a->rank) { TRY(MPI_Get(a->receive, count, type, 1, 0, count, type, (MPI_Win)a->handle)) TRY(MPI_Win_flush(1, (MPI_Win)a->handle)) })
EACH(count, if (!a->rank) {
     TRY(MPI_Fetch_and_op(a->send, a->receive, MPI_INT64_T, 1, 0, MPI_SUM, (MPI_Win)a->handle)) TRY(MPI_Win_flush(1, (MPI_Win)a->handle)) })
EACH(write, TRY(MPI_File_write_at_all((MPI_File)a->handle, (MPI_Offset)a->rank * count, a->send, count, type, MPI_STATUS_IGNORE)))
EACH(read, TRY(MPI_File_read_at_all((MPI_File)a->handle, (MPI_Offset)a->rank * count, a->receive, count, type, MPI_STATUS_IGNORE)))
