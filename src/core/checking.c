/* MMPI_CHECK=1: do all ranks of a communicator call the same collective, with the same root, operation and size?
 *
 * They tell each other before each blocking one, on a duplicate of the communicator. Nonblocking ones are not checked:
 * a program may do something else first that the check would wait for. */
#include "core.h"
#include <stdlib.h>

typedef struct {                        /* what a rank is about to call; 0, and -1 for bytes: not to be compared */
    int32_t operation, root, typed, op, type, spare;
    int64_t bytes;
} Claim;

int checking;

/* --- names of predefined handles, the same on all ranks; handles need not be ------------------------------- */

static struct { const char *name; uint64_t handle; } names[512];
static int nnames;

void prepare_checking(void)
{
    const char *wish = getenv("MMPI_CHECK");
    checking = wish && *wish && strcmp(wish, "0") != 0;
    nnames = 0;
#define LIST_Datatype(text) LIST(text, MPI_DATATYPE_NULL)
#define LIST_Op(text) LIST(text, MPI_OP_NULL)
#define LIST(text, null) if (MPI_##text && MPI_##text != null) { names[nnames].name = #text; names[nnames++].handle = (uint64_t)(uintptr_t)MPI_##text; }
#define LIST_Comm(text)
#define LIST_Group(text)
#define LIST_Info(text)
#define LIST_Errhandler(text)
#define LIST_Message(text)
#define LIST_Request(text)
#define LIST_Win(text)
#define LIST_File(text)
#define LIST_Session(text)
#define OBJ(kind, text, ...) LIST_##kind(text)
#include "abi/objects.h"
#undef OBJ
}

static int number_of(uint64_t handle)
{
    int i = nnames;
    while (i > 0 && (!handle || names[i - 1].handle != handle)) i--;
    return i;
}

/* --- a claim ---------------------------------------------------------------------------------------------- */

/* MPI wants as many bytes from every rank */
static int is_even(int operation)
{
    static const int even[] = {OP_MPI_Bcast, OP_MPI_Gather, OP_MPI_Allgather, OP_MPI_Alltoall, OP_MPI_Reduce, OP_MPI_Allreduce,
                               OP_MPI_Scan, OP_MPI_Exscan, OP_MPI_Reduce_scatter_block};
    size_t i = 0;
    while (i < sizeof even / sizeof *even && even[i] != operation) i++;
    return i < sizeof even / sizeof *even;
}

static Claim claim_of(int operation, const Note *note)
{
    int size = 0;
    Claim claim = {.operation = operation, .root = note->root, .typed = note->type != 0, .bytes = -1};
    claim.op = number_of((uint64_t)(uintptr_t)note->op);
    if (claim.op) claim.type = number_of((uint64_t)(uintptr_t)note->type);
    if (note->count >= 0 && claim.typed && is_even(operation) && !MPI_Type_size(note->type, &size)) claim.bytes = note->count * size;
    return claim;
}

static int agree(const Claim *a, const Claim *b)
{
    if (a->operation != b->operation || a->root != b->root || a->typed != b->typed) return 0;
    if ((a->op && b->op && a->op != b->op) || (a->type && b->type && a->type != b->type)) return 0;
    return a->bytes < 0 || b->bytes < 0 || a->bytes == b->bytes;
}

/* --- asking ----------------------------------------------------------------------------------------------- */

typedef struct { MPI_Request request; int done, rc; } Question;

static int test_question(void *question)
{
    Question *q = question;
    q->rc = MPI_Test(&q->request, &q->done, MPI_STATUS_IGNORE);
    return q->done || q->rc;
}

static int ask(Door *door, Context *context, const Claim *mine, Claim *all)
{
    Question q = {MPI_REQUEST_NULL, 0, 0};
    int rc = context->checker == MPI_COMM_NULL ? MPI_Comm_dup(context->handle, &context->checker) : 0;
    if (!rc) rc = MPI_Iallgather(mine, sizeof *mine, MPI_BYTE, all, sizeof *all, MPI_BYTE, context->checker, &q.request);
    if (!rc) rc = poll_until(door, test_question, &q);
    if (rc == RAISED) context->broken = "a collective on it was interrupted";
    return rc ? rc : q.rc;
}

static const char *name_at(int number) { return number ? names[number - 1].name : ""; }

static void raise_mismatch(const Context *context, const Claim *claims)
{
    PyObject *list = PyList_New(0), *module = PyImport_ImportModule("mmpi.checking"), *done = NULL;
    for (int i = 0; list && i < context->size; i++) {
        const Claim *c = &claims[i];
        PyObject *row = Py_BuildValue("siissL", operation_names[c->operation], c->typed, c->root, name_at(c->op), name_at(c->type), (long long)c->bytes);
        if (!row || PyList_Append(list, row)) Py_CLEAR(list);
        Py_XDECREF(row);
    }
    if (list && module) done = PyObject_CallMethod(module, "raise_mismatch", "Os", list, context->id == WORLD_ID ? "COMM_WORLD" : context->known->name);
    Py_XDECREF(done);
    Py_XDECREF(module);
    Py_XDECREF(list);
}

/* nonblocking, or the start of something persistent */
static int at_once(const char *name)
{
    return name[4] == 'I' || strstr(name, "_idup") || strstr(name, "_init");
}

int check_collective(Door *door, int operation, const Note *note)
{
    Context *context = note->comm;
    if (!context->handle || context->remote_size >= 0 || at_once(operation_names[operation]) || MUTANT(no_mismatch_check)) return 0;
    Claim *all = malloc((size_t)(context->size + 1) * sizeof *all), *mine = all + context->size;
    if (all) *mine = claim_of(operation, note);
    int rc = all ? ask(door, context, mine, all) : MPI_ERR_NO_MEM, same = 1;
    for (int i = 0; i < context->size && !rc; i++) same &= agree(&all[0], &all[i]);
    if (!rc && same) { free(all); return 0; }
    leave(door, rc ? rc : RAISED, NULL);
    if (rc) check(rc);
    else raise_mismatch(context, all);
    if (rc != RAISED) free(all);        /* else MPI may still write there */
    return RAISED;
}
