/* The C side of overhead.py: the same MPI functions with the same arguments, every return code looked at. */
#include <mpi.h>
#include <stdint.h>

struct arguments {                     /* as in overhead.py; handles travel as integers */
    void *send, *receive;
    int count;
    intptr_t type, op, comm;
};

#define EACH(name, statements) \
    int name(long n, const struct arguments *a) \
    { \
        MPI_Datatype type = (MPI_Datatype)a->type; \
        MPI_Comm comm = (MPI_Comm)a->comm; \
        MPI_Op op = (MPI_Op)a->op; \
        MPI_Request request; \
        int rc, rank; \
        (void)type, (void)op, (void)request, (void)rank; \
        for (long i = 0; i < n; i++) { statements } \
        return 0; \
    }
#define TRY(call) if ((rc = (call))) return rc;

EACH(get_rank, TRY(MPI_Comm_rank(comm, &rank)))
EACH(send, TRY(MPI_Send(a->send, a->count, type, MPI_PROC_NULL, 0, comm)))
EACH(bcast, TRY(MPI_Bcast(a->send, a->count, type, 0, comm)))
EACH(allreduce, TRY(MPI_Allreduce(a->send, a->receive, a->count, type, op, comm)))
EACH(sendrecv, TRY(MPI_Sendrecv(a->send, a->count, type, 0, 0, a->receive, a->count, type, 0, 0, comm, MPI_STATUS_IGNORE)))
EACH(exchange,
     TRY(MPI_Isend(a->send, a->count, type, 0, 0, comm, &request))
     TRY(MPI_Recv(a->receive, a->count, type, 0, 0, comm, MPI_STATUS_IGNORE))
     TRY(MPI_Wait(&request, MPI_STATUS_IGNORE)))
