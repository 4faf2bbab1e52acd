/* Calls of all kinds, each counted by the program itself.
 *
 * usage: trace_all_program TRUTH       writes TRUTH.<rank>: a line for each function, with how often it was called */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 400 };
static struct { const char *name; int n; } counts[100];
static int count(const char *name)
{
    int i = 0;
    while (counts[i].name && strcmp(counts[i].name, name)) i++;
    counts[i].name = name;
    return counts[i].n++;
}
#define DO(name, ...) (count(#name), MPI_##name(__VA_ARGS__))
#define LARGE(name, ...) (count(#name), MPI_##name##_c(__VA_ARGS__))    /* recorded under the name of the one with small counts */

static int rank, size, next, before;
static double out[MOST], in[MOST], sums[MOST];
static MPI_Comm comm;

static void blocking(void)
{
    MPI_Status status;
    int n;
    if (rank % 2 == 0) { DO(Send, out, 10, MPI_DOUBLE, next, 1, comm); DO(Recv, in, MOST, MPI_DOUBLE, MPI_ANY_SOURCE, MPI_ANY_TAG, comm, MPI_STATUS_IGNORE); }
    else { DO(Recv, in, MOST, MPI_DOUBLE, before, 1, comm, &status); DO(Ssend, out, 20, MPI_DOUBLE, next, 1, comm); MPI_Get_count(&status, MPI_DOUBLE, &n); if (n != 10) MPI_Abort(comm, 3); }
    DO(Sendrecv, out, 5, MPI_DOUBLE, next, 2, in, MOST, MPI_DOUBLE, MPI_ANY_SOURCE, 2, comm, MPI_STATUS_IGNORE);
    DO(Sendrecv_replace, in, 3, MPI_DOUBLE, next, 2, before, 2, comm, &status);
    DO(Recv, in, 1, MPI_DOUBLE, MPI_PROC_NULL, 1, comm, &status);
}

static void nonblocking(void)
{
    MPI_Request all[40], one, two[2];
    MPI_Status statuses[40];
    int flag = 0, index, indices[40], n, done = 0;
    for (int i = 0; i < 20; i++) DO(Irecv, in + i, 1, MPI_DOUBLE, i % 2 ? before : MPI_ANY_SOURCE, i, comm, &all[i]);
    for (int i = 0; i < 20; i++) DO(Isend, out, 1, MPI_DOUBLE, next, i, comm, &all[20 + i]);
    DO(Waitall, 40, all, MPI_STATUSES_IGNORE);
    DO(Irecv, in, 4, MPI_DOUBLE, before, 7, comm, &two[0]);
    DO(Issend, out, 4, MPI_DOUBLE, next, 7, comm, &two[1]);
    DO(Waitany, 2, two, &index, MPI_STATUS_IGNORE);
    DO(Waitany, 2, two, &index, &statuses[0]);
    for (int i = 0; i < 2; i++) DO(Irecv, in, 4, MPI_DOUBLE, before, 8, comm, &all[i]);
    for (int i = 0; i < 2; i++) DO(Isend, out, 4, MPI_DOUBLE, next, 8, comm, &all[2 + i]);
    while (done < 4) { DO(Waitsome, 4, all, &n, indices, statuses); done += n; }
    DO(Irecv, in, 4, MPI_DOUBLE, before, 9, comm, &one);
    DO(Send, out, 4, MPI_DOUBLE, next, 9, comm);
    while (!flag) DO(Test, &one, &flag, MPI_STATUS_IGNORE);
    DO(Irecv, in, 4, MPI_DOUBLE, before, 99, comm, &one);
    DO(Cancel, &one);
    DO(Wait, &one, MPI_STATUS_IGNORE);
    DO(Irecv, in, 4, MPI_DOUBLE, before, 10, comm, &all[0]);
    DO(Isend, out, 4, MPI_DOUBLE, next, 10, comm, &all[1]);
    for (flag = 0; !flag;) DO(Testall, 2, all, &flag, MPI_STATUSES_IGNORE);
}

static void prepared(void)
{
    MPI_Request two[2];
    DO(Send_init, out, 6, MPI_DOUBLE, next, 11, comm, &two[0]);
    DO(Recv_init, in, 6, MPI_DOUBLE, before, 11, comm, &two[1]);
    for (int i = 0; i < 3; i++) {
        if (i) DO(Startall, 2, two);
        else { DO(Start, &two[0]); DO(Start, &two[1]); }
        DO(Waitall, 2, two, MPI_STATUSES_IGNORE);
    }
    DO(Request_free, &two[0]);
    DO(Request_free, &two[1]);
}

static void probes(void)
{
    MPI_Status status;
    MPI_Message message;
    MPI_Request request;
    int flag = 0;
    DO(Isend, out, 2, MPI_DOUBLE, next, 12, comm, &request);
    DO(Probe, MPI_ANY_SOURCE, 12, comm, &status);
    DO(Recv, in, 2, MPI_DOUBLE, status.MPI_SOURCE, 12, comm, MPI_STATUS_IGNORE);
    DO(Wait, &request, MPI_STATUS_IGNORE);
    DO(Isend, out, 2, MPI_DOUBLE, next, 13, comm, &request);
    DO(Mprobe, before, 13, comm, &message, MPI_STATUS_IGNORE);
    DO(Mrecv, in, 2, MPI_DOUBLE, &message, MPI_STATUS_IGNORE);
    DO(Wait, &request, MPI_STATUS_IGNORE);
    DO(Isend, out, 2, MPI_DOUBLE, next, 14, comm, &request);
    while (!flag) DO(Iprobe, before, 14, comm, &flag, MPI_STATUS_IGNORE);
    DO(Recv, in, 2, MPI_DOUBLE, before, 14, comm, MPI_STATUS_IGNORE);
    DO(Wait, &request, MPI_STATUS_IGNORE);
}

static void together(MPI_Comm on)
{
    MPI_Request requests[3];
    int n, me, counts_of[16], places[16];
    MPI_Comm_size(on, &n);
    MPI_Comm_rank(on, &me);
    for (int i = 0; i < n; i++) { counts_of[i] = i + 1; places[i] = i * (i + 1) / 2; }
    DO(Barrier, on);
    DO(Bcast, in, 10, MPI_DOUBLE, n - 1, on);
    DO(Allreduce, MPI_IN_PLACE, sums, 4, MPI_DOUBLE, MPI_SUM, on);
    DO(Reduce, out, sums, 4, MPI_DOUBLE, MPI_SUM, 0, on);
    DO(Scatter, me ? NULL : (void *)out, me ? -1 : 2, me ? MPI_DATATYPE_NULL : MPI_DOUBLE, in, 2, MPI_DOUBLE, 0, on);
    if (me) DO(Gather, out, 2, MPI_DOUBLE, NULL, -1, MPI_DATATYPE_NULL, 0, on);
    else DO(Gather, MPI_IN_PLACE, -1, MPI_DATATYPE_NULL, in, 2, MPI_DOUBLE, 0, on);
    DO(Allgather, MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, in, 2, MPI_DOUBLE, on);
    DO(Allgatherv, out, me + 1, MPI_DOUBLE, in, counts_of, places, MPI_DOUBLE, on);
    DO(Alltoall, out, 2, MPI_DOUBLE, in, 2, MPI_DOUBLE, on);
    DO(Ibarrier, on, &requests[0]);
    DO(Ibcast, in, 3, MPI_DOUBLE, 0, on, &requests[1]);
    DO(Iallreduce, out, sums, 3, MPI_DOUBLE, MPI_SUM, on, &requests[2]);
    DO(Waitall, 3, requests, MPI_STATUSES_IGNORE);
    DO(Exscan, out, sums, 1, MPI_DOUBLE, MPI_SUM, on);
}

static void communicators(void)
{
    MPI_Comm half, dup, cart, later, none, inter, merged;
    MPI_Request request;
    int dims = size, periodic = 1;
    DO(Comm_split, comm, rank % 2, rank, &half);
    together(half);
    DO(Comm_split, comm, rank ? MPI_UNDEFINED : 0, 0, &none);
    if (none != MPI_COMM_NULL) DO(Comm_free, &none);
    DO(Comm_dup, half, &dup);
    DO(Comm_set_name, dup, "half");
    DO(Barrier, dup);
    DO(Cart_create, comm, 1, &dims, &periodic, 0, &cart);
    DO(Sendrecv, out, 1, MPI_DOUBLE, next, 1, in, 1, MPI_DOUBLE, before, 1, cart, MPI_STATUS_IGNORE);
    DO(Comm_idup, comm, &later, &request);
    DO(Wait, &request, MPI_STATUS_IGNORE);
    DO(Barrier, later);
    if (size > 1) {
        DO(Intercomm_create, half, 0, comm, rank % 2 ? 0 : 1, 5, &inter);
        DO(Barrier, inter);
        DO(Intercomm_merge, inter, rank % 2, &merged);
        DO(Barrier, merged);
        DO(Comm_free, &merged);
        DO(Comm_free, &inter);
    }
    DO(Comm_free, &later);
    DO(Comm_free, &cart);
    DO(Comm_free, &dup);
    DO(Comm_free, &half);
}

static void windows(void)
{
    MPI_Win win;
    DO(Win_create, in, sizeof in, 1, MPI_INFO_NULL, comm, &win);
    DO(Win_fence, 0, win);
    DO(Put, out, 1, MPI_DOUBLE, next, 0, 1, MPI_DOUBLE, win);
    DO(Win_fence, 0, win);
    DO(Win_free, &win);
}

static void files(const char *path)
{
    MPI_File file;
    char name[4096];
    snprintf(name, sizeof name, "%s.data", path);
    DO(File_open, comm, name, MPI_MODE_CREATE | MPI_MODE_WRONLY, MPI_INFO_NULL, &file);
    DO(File_write_at, file, rank * 16, out, 2, MPI_DOUBLE, MPI_STATUS_IGNORE);
    DO(File_write_at_all, file, rank * 16, out, 2, MPI_DOUBLE, MPI_STATUS_IGNORE);
    DO(File_close, &file);
}

static void of_mpi_4(void)
{
#if MPI_VERSION >= 4
    MPI_Request one, two[2];
    DO(Isendrecv, out, 2, MPI_DOUBLE, next, 20, in, 2, MPI_DOUBLE, before, 20, comm, &one);
    DO(Wait, &one, MPI_STATUS_IGNORE);
    DO(Allreduce_init, out, sums, 2, MPI_DOUBLE, MPI_SUM, comm, MPI_INFO_NULL, &one);
    for (int i = 0; i < 2; i++) { DO(Start, &one); DO(Wait, &one, MPI_STATUS_IGNORE); }
    DO(Request_free, &one);
    DO(Psend_init, out, 2, 3, MPI_DOUBLE, next, 21, comm, MPI_INFO_NULL, &two[0]);
    DO(Precv_init, in, 2, 3, MPI_DOUBLE, before, 21, comm, MPI_INFO_NULL, &two[1]);
    DO(Startall, 2, two);
    DO(Pready, 0, two[0]);
    DO(Pready, 1, two[0]);
    DO(Waitall, 2, two, MPI_STATUSES_IGNORE);
    DO(Request_free, &two[0]);
    DO(Request_free, &two[1]);
#endif
#if MPI_VERSION >= 4 && !defined(OPEN_MPI)
    LARGE(Irecv, in, 2, MPI_DOUBLE, before, 22, comm, &one);
    LARGE(Send, out, 2, MPI_DOUBLE, next, 22, comm);
    DO(Wait, &one, MPI_STATUS_IGNORE);
    LARGE(Bcast, in, 2, MPI_DOUBLE, 0, comm);
#endif
}

int main(int argc, char **argv)
{
    char path[4096];
    MPI_Init(&argc, &argv);
    comm = MPI_COMM_WORLD;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    next = (rank + 1) % size;
    before = (rank + size - 1) % size;
    if (size > 1) blocking();
    nonblocking();
    prepared();
    probes();
    of_mpi_4();
    together(comm);
    communicators();
    if (size > 1) windows();            /* Open MPI 4 makes none for one rank */
    files(argv[1]);
    DO(Finalize);
    snprintf(path, sizeof path, "%s.%d", argv[1], rank);
    FILE *file = fopen(path, "w");
    for (int i = 0; counts[i].name; i++) fprintf(file, "MPI_%s %d\n", counts[i].name, counts[i].n);
    return fclose(file);
}
