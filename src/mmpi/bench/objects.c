/* The C side of objects.py: the same bytes by the MPI function that C would use, on two ranks, every return code looked at. */
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

struct arguments {                     /* as in objects.py */
    char *data, *result;               /* what this rank sends; where what comes is put; NULL: it is dropped */
    long bytes;                        /* of one item */
    int rank;
};

#define TRY(call) if ((rc = (call))) return rc;
#define EACH(name, statements) \
    int name(long n, const struct arguments *a) \
    { \
        MPI_Comm comm = MPI_COMM_WORLD; \
        MPI_Datatype type = MPI_BYTE; \
        int rc, count = (int)a->bytes; \
        for (long i = 0; i < n; i++) { statements } \
        return 0; \
    }

/* Both directions, rank 0 first. */
#define PING_PONG(send, receive) \
    if (a->rank) { receive } \
    send \
    if (!a->rank) { receive }
/* Once from, or to, each rank. */
#define EACH_ROOT(statement) for (int root = 0; root < 2; root++) statement

static int receive_fresh(const struct arguments *a)
{
    int rc = MPI_ERR_NO_MEM;
    char *memory = malloc(a->bytes);
    if (memory)
        rc = MPI_Recv(memory, (int)a->bytes, MPI_BYTE, 1 - a->rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    if (!rc && a->result)
        memcpy(a->result, memory, a->bytes);
    free(memory);
    return rc;
}

/* As one must who does not know how much comes; MPICH is faster so. */
static int receive_probed(const struct arguments *a)
{
    MPI_Message message;
    MPI_Status status;
    int rc, count;
    TRY(MPI_Mprobe(1 - a->rank, 0, MPI_COMM_WORLD, &message, &status))
    TRY(MPI_Get_count(&status, MPI_BYTE, &count))
    return MPI_Mrecv(a->result, count, MPI_BYTE, &message, MPI_STATUS_IGNORE);
}

EACH(exchange, PING_PONG(
     TRY(MPI_Send(a->data, count, type, 1 - a->rank, 0, comm)),
     TRY(MPI_Recv(a->result, count, type, 1 - a->rank, 0, comm, MPI_STATUS_IGNORE))))
EACH(exchange_probed, PING_PONG(
     TRY(MPI_Send(a->data, count, type, 1 - a->rank, 0, comm)),
     TRY(receive_probed(a))))
EACH(exchange_fresh, PING_PONG(
     TRY(MPI_Send(a->data, count, type, 1 - a->rank, 0, comm)),
     TRY(receive_fresh(a))))
EACH(bcast, EACH_ROOT(TRY(MPI_Bcast(a->result + root * count, count, type, root, comm))))
EACH(gather, EACH_ROOT(TRY(MPI_Gather(a->data, count, type, a->result, count, type, root, comm))))
EACH(scatter, EACH_ROOT(TRY(MPI_Scatter(a->data, count, type, a->result + root * count, count, type, root, comm))))
EACH(allgather, TRY(MPI_Allgather(a->data, count, type, a->result, count, type, comm)))
EACH(alltoall, TRY(MPI_Alltoall(a->data, count, type, a->result, count, type, comm)))
EACH(allreduce, (void)count; (void)type; TRY(MPI_Allreduce(a->data, a->result, 1, MPI_DOUBLE, MPI_SUM, comm)))
