/* More ranks than cores: what mmpi.bench.crowded sets beside Python. With PROGRAM, the ranks of a job that follow rank 0. */
#include <mpi.h>
#include <stddef.h>
#include <string.h>

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

/* What Python's objects are to MPI: bytes whose number only the sender knows; here a double of at most ROOM bytes. */
enum { ROOM = 64 };

static int pack(char *bytes, double value) { memcpy(bytes, &value, sizeof value); return (int)sizeof value; }

static double unpack(const char *bytes, int n)
{
    double value = -1;
    if (n == (int)sizeof value) memcpy(&value, bytes, sizeof value);
    return value;
}

int object_bcast(long n)
{
    char bytes[ROOM];
    int root = rank() == 0, size = 0, rc = 0;
    while (n-- > 0 && !rc) {
        size = root ? pack(bytes, 7) : 0;
        rc = MPI_Bcast(&size, 1, MPI_INT, 0, MPI_COMM_WORLD) || MPI_Bcast(bytes, size, MPI_BYTE, 0, MPI_COMM_WORLD) || unpack(bytes, size) != 7;
    }
    return rc;
}

int object_ring(long n)
{
    char mine[ROOM], other[ROOM];
    int p = size(), left = (rank() + p - 1) % p, right = (rank() + 1) % p, bytes = 0, rc = 0;
    MPI_Request request;
    MPI_Message message;
    MPI_Status status;
    while (n-- > 0 && !rc)
        rc = MPI_Isend(mine, pack(mine, rank()), MPI_BYTE, right, 0, MPI_COMM_WORLD, &request) ||
             MPI_Mprobe(left, 0, MPI_COMM_WORLD, &message, &status) || MPI_Get_count(&status, MPI_BYTE, &bytes) ||
             MPI_Mrecv(other, bytes, MPI_BYTE, &message, &status) || MPI_Wait(&request, MPI_STATUS_IGNORE) || unpack(other, bytes) != left;
    return rc;
}

#ifdef EXTENSION
/* The least that Python can do: a function without arguments that gives way to other threads and calls MPI. */
#include <Python.h>
#define BARE(name)                                                                                        \
    static PyObject *bare_##name(PyObject *self, PyObject *none)                                          \
    {                                                                                                     \
        int rc;                                                                                           \
        (void)self; (void)none;                                                                           \
        Py_BEGIN_ALLOW_THREADS                                                                            \
        rc = name(1);                                                                                     \
        Py_END_ALLOW_THREADS                                                                              \
        return PyLong_FromLong(rc);                                                                       \
    }
BARE(bcast)
BARE(ring)
static PyMethodDef functions[] = {{"bcast", bare_bcast, METH_NOARGS, NULL}, {"ring", bare_ring, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "bare", NULL, 0, functions, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit_bare(void) { return PyModule_Create(&module); }
#endif

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
