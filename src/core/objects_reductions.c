/* Reductions of objects: all ranks begin with an allreduce of terms, by an operation of ours.
 *
 * Numbers of one kind are combined by it. For equal arrays all ranks have learned that MPI's own reduction is safe. All
 * else (mixed types, large integers, what overflows, callables) is combined as objects: mmpi/reductions.py. So all
 * ranks always go the same way. */
#include "core.h"
#include <math.h>
#include <stdlib.h>

enum { SUM, PROD, MAX, MIN, LAND, LOR, LXOR, BAND, BOR, BXOR, OTHER };
enum { INTEGER, REAL, COMPLEX, TRUTH, ARRAY, OBJECT };
typedef struct { uint8_t op, kind, unused[6]; uint64_t signature; union { int64_t i; double d, c[2]; } value; } Term;

static MPI_Op combine_all = 0;
static MPI_Datatype term_type;

/* --- what MPI calls --------------------------------------------------------------------------------------- */

/* 1 unless the result does not fit */
static int combine_integers(int op, int64_t a, int64_t *b)
{
    switch (op) {
    case SUM: return !__builtin_add_overflow(a, *b, b);
    case PROD: return !__builtin_mul_overflow(a, *b, b);
    case MAX: *b = a > *b ? a : *b; break;
    case MIN: *b = a < *b ? a : *b; break;
    case LAND: case BAND: *b &= a; break;               /* truths are 0 or 1 */
    case LOR: case BOR: *b |= a; break;
    default: *b ^= a;
    }
    return 1;
}

static void combine_reals(int op, double a, double *b)
{
    switch (op) {
    case SUM: *b = a + *b; break;
    case PROD: *b = a * *b; break;
    case MAX: *b = a > *b ? a : *b; break;
    default: *b = a < *b ? a : *b;
    }
}

static void combine(const void *left, void *right)
{
    const Term *a = left;
    Term *b = right;
    if (a->kind != b->kind || a->op != b->op || a->signature != b->signature) { b->kind = OBJECT; return; }
    switch (b->kind) {
    case INTEGER: case TRUTH: if (!combine_integers(b->op, a->value.i, &b->value.i)) b->kind = OBJECT; break;
    case REAL: combine_reals(b->op, a->value.d, &b->value.d); break;
    case COMPLEX:
        b->value.c[0] += a->value.c[0];
        b->value.c[1] += a->value.c[1];
        break;
    default: break;
    }
}

static void combine_terms(void *in, void *inout, int *count, MPI_Datatype *type)
{
    (void)type;
    for (int i = 0; i < *count; i++) combine((Term *)in + i, (Term *)inout + i);
}

/* by the first reduction, since MPICH's first datatype takes it as long as all the rest of our start */
static int prepare_reductions(void)
{
    int rc = 0;
    if (combine_all) return 0;
    rc = MPI_Type_contiguous((int)sizeof(Term), MPI_BYTE, &term_type);
    if (!rc) rc = MPI_Type_commit(&term_type);
    if (!rc) rc = MPI_Op_create(combine_terms, 1, &combine_all);
    return check(rc) ? -1 : 0;
}

void end_objects(void)
{
    if (!combine_all) return;
    MPI_Op_free(&combine_all);
    MPI_Type_free(&term_type);
    combine_all = 0;
}

/* --- what an object is ------------------------------------------------------------------------------------ */

static int number_of(MPI_Op op)
{
    const MPI_Op ops[] = {MPI_SUM, MPI_PROD, MPI_MAX, MPI_MIN, MPI_LAND, MPI_LOR, MPI_LXOR, MPI_BAND, MPI_BOR, MPI_BXOR};
    int i = 0;
    while (i < OTHER && ops[i] != op) i++;
    return i;
}

static int is_logical(int op) { return op == LAND || op == LOR || op == LXOR; }

/* does MPI reduce items of this kind so, and as NumPy would? */
static int is_native(int op, char kind)
{
    switch (kind) {
    case 'i': case 'u': return 1;
    case 'f': return op <= MIN;
    case 'c': return op <= PROD;
    case 'b': return is_logical(op);
    default: return 0;
    }
}

static uint64_t signature_of(const Array *a)
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ (uint64_t)((const Descr *)a->descr)->type_num;
    for (int i = -1; i < a->nd; i++) hash = (hash ^ (uint64_t)(i < 0 ? (a->flags & ONE_SEGMENT) | a->nd << 2 : a->shape[i])) * UINT64_C(1099511628211);
    return hash;
}

/* an array as MPI takes it, a strided one as a copy; 0 if it is combined as an object */
static int is_native_array(Frame *frame, PyObject **object, int op, Buffer *buffer)
{
    const Array *a = (const Array *)*object;
    if (!is_array(*object) || !is_native(op, ((const Descr *)a->descr)->kind)) return 0;
    if (!(a->flags & ONE_SEGMENT)) {
        if (!(*object = PyObject_CallMethod(*object, "copy", "s", "C"))) { PyErr_Clear(); return 0; }
        frame_hold(frame, *object);
        Py_DECREF(*object);
    }
    if (!to_buffer(frame, "sendobj", *object, TO_READ, 1, buffer) && buffer->form == NUMBER && !frame->ntypes) return 1;
    PyErr_Clear();
    return 0;
}

static void describe_integer(PyObject *object, Term *t)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(object, &overflow);
    t->kind = overflow ? OBJECT : INTEGER;
    t->value.i = number;
}

/* a number as a term, if it is one that the operation combines; NaNs have no order */
static void describe_number(PyObject *object, Term *t)
{
    const PyTypeObject *type = Py_TYPE(object);
    int is_bool = type == &PyBool_Type, is_int = type == &PyLong_Type, is_float = type == &PyFloat_Type, is_complex = type == &PyComplex_Type;
    if (is_logical(t->op) && (is_bool || is_int || is_float || is_complex)) {
        t->kind = TRUTH;
        t->value.i = PyObject_IsTrue(object);
    } else if (is_bool) {
        t->kind = TRUTH;
        t->value.i = object == Py_True;
    } else if (is_int)
        describe_integer(object, t);
    else if (is_float && t->op <= MIN) {
        t->value.d = PyFloat_AsDouble(object);
        if (t->op <= PROD || !isnan(t->value.d)) t->kind = REAL;
    } else if (is_complex && t->op == SUM) {
        t->kind = COMPLEX;
        t->value.c[0] = PyComplex_RealAsDouble(object);
        t->value.c[1] = PyComplex_ImagAsDouble(object);
    }
}

static PyObject *number_from(const Term *t)
{
    int is_bool = is_logical(t->op) || (t->kind == TRUTH && t->op > PROD);
    switch (t->kind) {
    case REAL: return PyFloat_FromDouble(t->value.d);
    case COMPLEX: return PyComplex_FromDoubles(t->value.c[0], t->value.c[1]);
    default: return is_bool ? PyBool_FromLong(t->value.i != 0) : PyLong_FromLongLong(t->value.i);
    }
}

/* --- the ways --------------------------------------------------------------------------------------------- */

enum { REDUCE, ALLREDUCE, SCAN, EXSCAN };
static const char *const names[] = {"reduce", "allreduce", "scan", "exscan"};
static const int operations[] = {OP_MPI_Reduce, OP_MPI_Allreduce, OP_MPI_Scan, OP_MPI_Exscan};
typedef struct { int kind, root, commute; PyObject *object, *op; } Reduction;

int to_function(const Frame *frame, PyObject **op)
{
    static PyObject *sum;
    if (!*op) {
        MPI_Op handle = MPI_SUM;
        if (!sum) sum = new_handle(OpType, &handle);
        *op = sum;
        return sum ? 0 : -1;
    }
    if (PyObject_TypeCheck(*op, OpType) && ((Op *)*op)->handle == MPI_OP_NULL) return check(MPI_ERR_OP);
    if (PyCallable_Check(*op)) return 0;
    PyErr_Format(PyExc_TypeError, "expected an Op or another callable, not %R", *op);
    return blame(frame, "op");
}

/* by MPI's own reduction, into a new array */
static PyObject *reduce_arrays(Comm *self, Frame *frame, const Reduction *r, const Buffer *in)
{
    Door door; MPI_Request request = MPI_REQUEST_NULL; MPI_Op op = ((Op *)r->op)->handle; Buffer out = {0};
    int rank = self->context->rank, receives = r->kind != REDUCE || rank == r->root;
    PyObject *numpy = receives ? PyImport_ImportModule("numpy") : NULL, *result = numpy ? PyObject_CallMethod(numpy, "empty_like", "O", r->object) : NULL;
    Py_XDECREF(numpy);
    int rc = receives && (!result || to_buffer(frame, "result", result, TO_WRITE, 1, &out)) ? RAISED : 0;
    if (!rc) rc = enter(&door, operations[r->kind], NOTE(ALL(self), MOVES(*in), .op = op, .root = r->kind == REDUCE ? r->root : NONE));
    if (rc) return finish_with(NULL, rc, result);
#define START(function, ...) PICK_C(function, in->addr, out.addr, in->count, in->type, op, __VA_ARGS__, &request)
    rc = r->kind == REDUCE ? START(MPI_Ireduce, r->root, self->handle) : r->kind == ALLREDUCE ? START(MPI_Iallreduce, self->handle)
       : r->kind == SCAN ? START(MPI_Iscan, self->handle) : START(MPI_Iexscan, self->handle);
    rc = drive(&door, frame, rc, TOGETHER, &request, MPI_STATUS_IGNORE, self->context);
    leave(&door, rc, NULL);
    if (!rc && (!receives || (r->kind == EXSCAN && rank == 0))) { Py_XDECREF(result); return Py_NewRef(Py_None); }
    return finish_with(NULL, rc, result);
}

/* by Python; `safe`: no rank can fail */
static PyObject *reduce_objects(Comm *self, const Reduction *r, int safe)
{
    PyObject *reductions = PyImport_ImportModule("mmpi.reductions"), *result = NULL;
    if (reductions) result = PyObject_CallMethod(reductions, names[r->kind], "OOOii", (PyObject *)self, r->object, r->op, r->root, r->kind < SCAN ? r->commute : safe);
    Py_XDECREF(reductions);
    return result;
}

static PyObject *reduce(Comm *self, Frame *frame, Reduction *r)
{
    int op = PyObject_TypeCheck(r->op, OpType) && !((Op *)r->op)->function ? number_of(((Op *)r->op)->handle) : OTHER;
    if (op == OTHER || self->context->remote_size >= 0) return reduce_objects(self, r, 0);
    if (prepare_reductions()) return NULL;
    Buffer in;
    Term term = {.op = (uint8_t)op, .kind = OBJECT};
    if (is_native_array(frame, &r->object, op, &in)) {
        term.kind = ARRAY;
        term.signature = signature_of((const Array *)r->object);
    } else
        describe_number(r->object, &term);
    const Items items = {&term, sizeof term, term_type, combine_all, combine};
    const MPI_Op handle = ((Op *)r->op)->handle;
    PyObject *done = combine_items(self, &items, operations[r->kind], NOTE(ALL(self), .op = handle, .root = r->kind == REDUCE ? r->root : NONE));
    if (!done) return NULL;
    Py_DECREF(done);
    if (term.kind == ARRAY) return reduce_arrays(self, frame, r, &in);
    if (term.kind == OBJECT || r->kind >= SCAN) return reduce_objects(self, r, term.kind != OBJECT);
    if (r->kind == REDUCE && self->context->rank != r->root) Py_RETURN_NONE;
    return self->context->size == 1 ? Py_NewRef(r->object) : number_from(&term);    /* alone, nothing is combined */
}

/* sendobj, op, root, commute as the signature has them; what is not there keeps its default */
static PyObject *reduction(Comm *self, Frame *frame, Reduction *r, int bad)
{
    int rc = bad || to_function(frame, &r->op) ? RAISED : check_objects(self, names[r->kind], r->root);
    PyObject *result = rc ? NULL : reduce(self, frame, r);
    return finish_with(frame, rc || result ? rc : RAISED, result);
}

METHOD(Comm, reduce, "sendobj, op=SUM, root=0, commute=False", "Combine an object of each rank, in rank order unless op commutes; the root gets the result, the others None.")
{
    Frame frame; Reduction r = {.kind = REDUCE};
    int bad = PARSE(&frame, to_object, &r.object, to_object, &r.op, to_int, &r.root, to_flag, &r.commute);
    return reduction(self, &frame, &r, bad);
}

#define REDUCING(name, kind_, doc)                                                                        \
    METHOD(Comm, name, "sendobj, op=SUM, commute=False", doc)                                             \
    {                                                                                                     \
        Frame frame; Reduction r = {.kind = kind_};                                                       \
        int bad = PARSE(&frame, to_object, &r.object, to_object, &r.op, to_flag, &r.commute);             \
        return reduction(self, &frame, &r, bad);                                                          \
    }

REDUCING(allreduce, ALLREDUCE, "Combine an object of each rank, in rank order unless op commutes; all get the result.")
REDUCING(scan, SCAN, "Combine the objects of the ranks up to this one, in rank order.")
REDUCING(exscan, EXSCAN, "Combine the objects of the ranks before this one, in rank order; None on rank 0.")

PyMethodDef object_reduction_methods[] = {ROW(Comm, reduce), ROW(Comm, allreduce), END_OF_ROWS};
PyMethodDef object_scan_methods[] = {ROW(Comm, scan), ROW(Comm, exscan), END_OF_ROWS};
