/* More ranks than cores: what mmpi.bench.crowded sets beside Python. With PROGRAM, the ranks of a job that follow rank 0. */
#include <mpi.h>
#include <stddef.h>

static int size(void) { int n; MPI_Comm_size(MPI_COMM_WORLD, &n); return n; }
static int rank(void) { int n; MPI_Comm_rank(MPI_COMM_WORLD, &n); return n; }

int allreduce(long n)
{
    double mine = rank() + 1, sum = 0, right = size() * (size() + 1) / 2.0;
    int rc = 0;
    while (n-- > 0 && !rc) rc = MPI_Allreduce(&mine, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD) || sum != right;
    return rc;
}

int barrier(long n)
{
    int rc = 0;
    while (n-- > 0 && !rc) rc = MPI_Barrier(MPI_COMM_WORLD);
    return rc;
}

int bcast(long n)
{
    double value = rank() ? 0 : 7;
    int rc = 0;
    while (n-- > 0 && !rc) rc = MPI_Bcast(&value, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD) || value != 7;
    return rc;
}

int ring(long n)
{
    double mine = rank(), other = -1;
    int p = size(), left = (rank() + p - 1) % p, right = (rank() + 1) % p, rc = 0;
    while (n-- > 0 && !rc)
        rc = MPI_Sendrecv(&mine, 1, MPI_DOUBLE, right, 0, &other, 1, MPI_DOUBLE, left, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE) || other != left;
    return rc;
}

#ifdef PROGRAM
int main(int argc, char **argv)
{
    int wrong = 0;
    long n;
    MPI_Init(&argc, &argv);
    do {
        MPI_Bcast(&n, 1, MPI_LONG, 0, MPI_COMM_WORLD);
        if (allreduce(n)) wrong = 1;
    } while (n);
    MPI_Finalize();
    return wrong;
}
#endif
