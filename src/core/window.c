/* Windows: one-sided communication (MPI 5.0, chapter 12).
 *
 * MPI reads and writes the buffers of Put, Get and the like until the window is synchronized: until then the window
 * keeps their frames. The memory of a window lives as long as MPI's window, even if no object is left for it. */
#include "core.h"
#include <limits.h>

PyTypeObject *WinType;

/* --- memory that others reach into ------------------------------------------------------------------------ */

/* memory in one piece; BOTTOM and None stand for none */
static int find_piece(Frame *frame, PyObject *object, Buffer *b)
{
    no_buffer(b);
    if (object == Py_None || is_bottom(object)) return 0;
    return to_memory(frame, "memory", object, TO_WRITE, &b->addr, &b->bytes);
}

static void withdraw(PyObject *capsule) { free_frame(PyCapsule_GetPointer(capsule, NULL)); }

/* a capsule that keeps the memory of an object where it is */
static PyObject *hold_memory(Signature *signature, PyObject *object, Buffer *b)
{
    Frame *frame = new_frame();
    if (!frame) return NULL;
    open_frame(frame, signature);
    PyObject *capsule = find_piece(frame, object, b) ? NULL : PyCapsule_New(frame, NULL, withdraw);
    if (!capsule) free_frame(frame);
    return capsule;
}

/* In a dict by address, which all objects for the window share. Steals the capsule. */
static int remember(Win *self, const Buffer *b, PyObject *capsule)
{
    PyObject *address = PyLong_FromVoidPtr(b->addr);
    if (!self->memory) self->memory = PyDict_New();
    int bad = !address || !self->memory || !capsule || (b->bytes && PyDict_SetItem(self->memory, address, capsule));
    Py_XDECREF(address);
    Py_XDECREF(capsule);
    return bad ? RAISED : 0;
}

static int is_in_memory(const Win *self, const Buffer *b)
{
    PyObject *address = PyLong_FromVoidPtr(b->addr);
    int found = address && self->memory && PyDict_GetItem(self->memory, address);
    Py_XDECREF(address);
    return found;
}

static void forget(const Win *self, const Buffer *b)
{
    PyObject *address = PyLong_FromVoidPtr(b->addr);
    if (!address || !self->memory || PyDict_DelItem(self->memory, address)) PyErr_Clear();
    Py_XDECREF(address);
}

void share_win(Win *to, const Win *from)
{
    to->memory = Py_XNewRef(from->memory);
    to->context = share_context(from->context);
}

/* --- new ones --------------------------------------------------------------------------------------------- */

typedef struct { MPI_Aint size, unit; MPI_Info info; Comm *comm; } Plan;
#define ON_SELF {.unit = 1, .info = MPI_INFO_NULL}
#define PARENT(plan) ((plan).comm ? (plan).comm->context : self_context)
#define PLANNED NOTE(.comm = PARENT(plan), .collective = 1, .bytes = plan.size)
#define COMM_OF(plan) (plan.comm ? plan.comm->handle : MPI_COMM_SELF)

/* bytes; an int where the library has no other */
static int to_unit(Frame *frame, PyObject *value, void *target)
{
    int unit;
    if (large_counts) return to_aint(frame, value, target);
    if (to_int(frame, value, &unit)) return -1;
    *(MPI_Aint *)target = unit;
    return 0;
}

/* bytes, which MPICH would take for addresses if there were fewer than none */
static int to_bytes(Frame *frame, PyObject *value, void *target)
{
    if (to_aint(frame, value, target)) return -1;
    if (*(MPI_Aint *)target >= 0) return 0;
    PyErr_Format(PyExc_ValueError, "negative number of bytes %R", value);
    return -1;
}

static PyObject *new_win(PyTypeObject *type, MPI_Win handle, const Plan *plan)
{
    MPI_Errhandler handler;
    int rc = 0;
    Py_BEGIN_ALLOW_THREADS
    if (errors_of_new(&handler)) rc = MPI_Win_set_errhandler(handle, handler);
    Py_END_ALLOW_THREADS
    Win *self = new_handle(type, &handle);
    if (self) self->context = derived_context(PARENT(*plan), "");
    return finish_with(NULL, rc, watched(self));
}

CLASSMETHOD(Win, Create, "memory, disp_unit=1, info=INFO_NULL, comm=COMM_SELF", "A window on memory of each process, or none (BOTTOM); displacements count disp_unit bytes (MPI 5.0, section 12.2.1).")
{
    Frame frame; PyObject *object; Plan plan = ON_SELF; Buffer b; MPI_Win new = MPI_WIN_NULL;
    int rc = PARSE(&frame, to_object, &object, to_unit, &plan.unit, to_info, &plan.info, to_comm, &plan.comm);
    PyObject *capsule = rc ? NULL : hold_memory(signature, object, &b);
    if (!capsule) return finish(&frame, RAISED);
    plan.size = (MPI_Aint)b.bytes;
    CALL_C(rc, PLANNED, MPI_Win_create, b.addr, plan.size, plan.unit, plan.info, COMM_OF(plan), &new);
    PyObject *win = rc ? NULL : new_win(self, new, &plan);
    if (!win) Py_DECREF(capsule);
    else if (remember((Win *)win, &b, capsule)) Py_CLEAR(win);
    return finish_with(&frame, rc || win ? rc : RAISED, win);
}

#define ALLOCATING(name, cname, doc)                                                                      \
    CLASSMETHOD(Win, name, "size, disp_unit=1, info=INFO_NULL, comm=COMM_SELF", doc)                      \
    {                                                                                                     \
        Frame frame; Plan plan = ON_SELF; void *base; MPI_Win new = MPI_WIN_NULL;                         \
        int rc = PARSE(&frame, to_bytes, &plan.size, to_unit, &plan.unit, to_info, &plan.info, to_comm, &plan.comm); \
        if (!rc) CALL_C(rc, PLANNED, MPI_Win_##cname, plan.size, plan.unit, plan.info, COMM_OF(plan), &base, &new); \
        return finish_with(&frame, rc, rc ? NULL : new_win(self, new, &plan));                            \
    }
ALLOCATING(Allocate, allocate, "A window on `size` new bytes in each process; displacements count disp_unit bytes (MPI 5.0, section 12.2.2).")
ALLOCATING(Allocate_shared, allocate_shared,
           "A window on `size` new bytes in each process, which all processes can address (see Shared_query); they must share memory (MPI 5.0, section 12.2.3).")

CLASSMETHOD(Win, Create_dynamic, "info=INFO_NULL, comm=COMM_SELF", "A window without memory: Attach adds some; displacements are addresses then (MPI 5.0, section 12.2.4).")
{
    Frame frame; Plan plan = ON_SELF; MPI_Win new = MPI_WIN_NULL;
    int rc = PARSE(&frame, to_info, &plan.info, to_comm, &plan.comm);
    if (!rc) CALL(rc, PLANNED, MPI_Win_create_dynamic, plan.info, COMM_OF(plan), &new);
    return finish_with(&frame, rc, rc ? NULL : new_win(self, new, &plan));
}

METHOD(Win, Attach, "memory", "Add memory of this process to a dynamic window; it stays until Detach.")
{
    Frame frame; PyObject *object; Buffer b;
    int rc = PARSE(&frame, to_object, &object);
    PyObject *capsule = rc ? NULL : hold_memory(signature, object, &b);
    if (!capsule) return finish(&frame, RAISED);
    if (is_in_memory(self, &b)) {
        PyErr_SetString(PyExc_ValueError, "Attach(memory): memory: it is attached already");
        Py_DECREF(capsule);
        return finish(&frame, RAISED);
    }
    rc = remember(self, &b, capsule);
    if (!rc) CALL(rc, NOTE(ON(self), .bytes = b.bytes), MPI_Win_attach, self->handle, b.addr, (MPI_Aint)b.bytes);
    if (rc) forget(self, &b);
    return finish(&frame, rc);
}

METHOD(Win, Detach, "memory", "Take memory of this process out of a dynamic window.")
{
    Frame frame; PyObject *object; Buffer b;
    int rc = PARSE(&frame, to_object, &object) || find_piece(&frame, object, &b) ? RAISED : 0;
    if (!rc && self->memory && b.bytes && !is_in_memory(self, &b)) {
        PyErr_SetString(PyExc_ValueError, "Detach(memory): memory: it is not attached");
        rc = RAISED;
    }
    if (!rc) CALL(rc, NOTE(ON(self), .bytes = b.bytes), MPI_Win_detach, self->handle, b.addr);
    if (!rc) forget(self, &b);
    return finish(&frame, rc);
}

/* --- moving data ------------------------------------------------------------------------------------------ */

typedef struct { Buffer origin, compare, result, target; MPI_Aint disp; int rank; MPI_Op op; } Access;
#define ACCESSED NOTE(ON(self), MOVES(a.origin), .peer = a.rank, .op = a.op)
#define PREPARE_ACCESS(name) static int prepare_##name(Signature *signature, Frame *frame, Access *a, int access, ARGS)
#define ORIGIN a.origin.addr, a.origin.count, a.origin.type
#define RESULT a.result.addr, a.result.count, a.result.type
#define TARGET a.rank, a.disp, a.target.count, a.target.type

/* it goes on until the window is synchronized: so does what it needs */
static PyObject *under_way(Win *self, Frame *frame, int rank, int rc)
{
    if (rc || rank == MPI_PROC_NULL) return finish_heap(frame, rc);
    frame->peer = rank;
    frame->next = self->pending;
    self->pending = frame;
    Py_RETURN_NONE;
}

/* ONESIDED(Put, Rput, preparation, access to the origin, "origin, ...", "What it does.", arguments of MPI_Put_c) */
#define ONESIDED(name, rname, prepare, access, text, doc, ...)                                            \
    METHOD(Win, name, text, doc " It is done, and its buffers may be reused, when the window was synchronized.") \
    {                                                                                                     \
        Access a = {.rank = MPI_PROC_NULL};                                                               \
        Frame *frame = new_frame();                                                                       \
        int rc = frame ? prepare(signature, frame, &a, access, args, nargs, kwnames) : RAISED;            \
        if (!rc) CALL_C(rc, ACCESSED, MPI_##name, __VA_ARGS__, self->handle);                                \
        return under_way(self, frame, a.rank, rc);                                                        \
    }                                                                                                     \
    METHOD(Win, rname, text, doc " Its buffers may be reused when the request is done.")                  \
    {                                                                                                     \
        Access a = {.rank = MPI_PROC_NULL}; int rc = RAISED;                                              \
        Request *r = new_request(new_frame());                                                            \
        if (!r || prepare(signature, r->frame, &a, access, args, nargs, kwnames)) return started(r, rc);  \
        r->flags |= ACCESSES;                                                                             \
        CALL_C(rc, ACCESSED, MPI_##rname, __VA_ARGS__, self->handle, &r->handle);                            \
        return started(r, rc);                                                                            \
    }

/* (displacement, count, datatype): the last may be missing, and are the origin's then */
static int unpack_target(Frame *frame, PyObject *items, Access *a)
{
    Py_ssize_t n = PyTuple_Size(items);
    if (n > 3) { PyErr_Format(PyExc_ValueError, "expected at most (displacement, count, datatype), not %zd items", n); return -1; }
    if (n > 0 && to_aint(frame, PyTuple_GetItem(items, 0), &a->disp)) return -1;
    if (n > 1 && to_count(frame, PyTuple_GetItem(items, 1), &a->target.count)) return -1;
    if (n > 2 && to_type(frame, PyTuple_GetItem(items, 2), &a->target.type)) return -1;
    return fit_count(frame, &a->target);
}

/* the gaps of an array in several pieces are not those of the window */
static int no_gaps(Frame *frame, PyObject *target, const Access *a)
{
    if (a->origin.form != GAPS || (!PyIndex_Check(target) && target != Py_None && PySequence_Size(target) == 3)) return 0;
    PyErr_SetString(PyExc_ValueError, "the origin is an array in several pieces: say what it becomes, (displacement, count, datatype)");
    return blame(frame, "target");
}

static int to_target(Frame *frame, PyObject *target, Access *a)
{
    a->target = a->origin;
    if (no_gaps(frame, target, a)) return RAISED;
    if (target == Py_None) return 0;
    if (!PyIndex_Check(target) && !PySequence_Check(target)) {
        PyErr_Format(PyExc_ValueError, "expected a displacement, or (displacement, count, datatype), not %R", target);
        return blame(frame, "target");
    }
    if (!PyTuple_Check(target) && !PyList_Check(target)) return to_aint(frame, target, &a->disp) ? blame(frame, "target") : 0;
    PyObject *items = PySequence_Tuple(target);
    int bad = !items || unpack_target(frame, items, a) ? blame(frame, "target") : 0;
    Py_XDECREF(items);
    return bad;
}

/* nothing moves to or from PROC_NULL: no buffer is needed there, but MPICH wants an address, and any operation would do */
static int to_moved(Frame *frame, const char *argument, PyObject *object, int access, Access *a, Buffer *b)
{
    static char nothing[1];
    if (a->rank != MPI_PROC_NULL) return to_buffer(frame, argument, object, access, 1, b);
    no_buffer(b);
    b->addr = nothing;
    a->op = MPI_REPLACE;
    return 0;
}

PREPARE_ACCESS(move)
{
    PyObject *origin, *target = Py_None;
    a->op = MPI_SUM;
    if (PARSE(frame, to_object, &origin, to_int, &a->rank, to_object, &target, to_op, &a->op)) return RAISED;
    return to_moved(frame, "origin", origin, access, a, &a->origin) || to_target(frame, target, a) ? RAISED : 0;
}
ONESIDED(Put, Rput, prepare_move, TO_READ, "origin, target_rank, target=None",
         "Write a buffer into the window of a process, at target: a displacement, or (displacement, count, datatype).", ORIGIN, TARGET)
ONESIDED(Get, Rget, prepare_move, TO_WRITE, "origin, target_rank, target=None",
         "Read a buffer from the window of a process, at target: a displacement, or (displacement, count, datatype).", ORIGIN, TARGET)
ONESIDED(Accumulate, Raccumulate, prepare_move, TO_READ, "origin, target_rank, target=None, op=SUM",
         "Combine a buffer with the window of a process, item by item, each atomically.", ORIGIN, TARGET, a.op)

PREPARE_ACCESS(exchange)
{
    PyObject *origin, *result, *target = Py_None;
    a->op = MPI_SUM;
    if (PARSE(frame, to_object, &origin, to_object, &result, to_int, &a->rank, to_object, &target, to_op, &a->op)) return RAISED;
    return to_moved(frame, "origin", origin, access, a, &a->origin) || to_moved(frame, "result", result, TO_WRITE, a, &a->result) ||
           to_target(frame, target, a) ? RAISED : 0;
}
ONESIDED(Get_accumulate, Rget_accumulate, prepare_exchange, TO_READ, "origin, result, target_rank, target=None, op=SUM",
         "Combine a buffer with the window of a process, and read what was there before.", ORIGIN, RESULT, TARGET, a.op)

/* atomic operations work on one item, of one datatype in all buffers */
static int one_item(const Frame *frame, const Access *a, const Buffer *other)
{
    if (a->rank == MPI_PROC_NULL || (a->origin.count == 1 && other->count == 1 && a->origin.type == other->type)) return 0;
    PyErr_Format(PyExc_ValueError, "%s(%s): each buffer must have one item, of the same datatype; there are %lld and %lld items%s", frame->signature->name,
                 frame->signature->text, (long long)a->origin.count, (long long)other->count, a->origin.type == other->type ? "" : ", of different datatypes");
    return RAISED;
}

METHOD(Win, Fetch_and_op, "origin, result, target_rank, target_disp=0, op=SUM", "Combine one item with the window of a process, atomically, and read what was there before.")
{
    PyObject *origin, *result; Access a = {.rank = MPI_PROC_NULL, .op = MPI_SUM};
    Frame *frame = new_frame();
    int rc = !frame || PARSE(frame, to_object, &origin, to_object, &result, to_int, &a.rank, to_aint, &a.disp, to_op, &a.op) ||
             to_moved(frame, "origin", origin, TO_READ, &a, &a.origin) || to_moved(frame, "result", result, TO_WRITE, &a, &a.result) ||
             one_item(frame, &a, &a.result) ? RAISED : 0;
    if (!rc) CALL(rc, ACCESSED, MPI_Fetch_and_op, a.origin.addr, a.result.addr, a.origin.type, a.rank, a.disp, a.op, self->handle);
    return under_way(self, frame, a.rank, rc);
}

METHOD(Win, Compare_and_swap, "origin, compare, result, target_rank, target_disp=0",
       "Write one item into the window of a process if `compare` is there, atomically, and read what was there before.")
{
    PyObject *origin, *compare, *result; Access a = {.rank = MPI_PROC_NULL, .op = MPI_OP_NULL};
    Frame *frame = new_frame();
    int rc = !frame || PARSE(frame, to_object, &origin, to_object, &compare, to_object, &result, to_int, &a.rank, to_aint, &a.disp) ||
             to_moved(frame, "origin", origin, TO_READ, &a, &a.origin) || to_moved(frame, "compare", compare, TO_READ, &a, &a.compare) ||
             to_moved(frame, "result", result, TO_WRITE, &a, &a.result) || one_item(frame, &a, &a.compare) || one_item(frame, &a, &a.result) ? RAISED : 0;
    if (!rc) CALL(rc, ACCESSED, MPI_Compare_and_swap, a.origin.addr, a.compare.addr, a.result.addr, a.origin.type, a.rank, a.disp, self->handle);
    return under_way(self, frame, a.rank, rc);
}

/* --- synchronization -------------------------------------------------------------------------------------- */

enum { EVERYBODY = NONE };

/* take out what is under way with a rank: what other threads start during the call stays */
static Frame *take_pending(Win *self, int rank)
{
    Frame *taken = NULL;
    for (Frame **at = &self->pending, *f; (f = *at);) {
        if (rank != EVERYBODY && f->peer != rank) { at = &f->next; continue; }
        *at = f->next;
        f->next = taken;
        taken = f;
    }
    return taken;
}

static int settle(Win *self, Frame *taken, int rc)
{
    for (Frame *next; taken; taken = next) {
        next = taken->next;
        if (!rc) { free_frame(taken); continue; }
        taken->next = self->pending;
        self->pending = taken;
    }
    return rc;
}

/* what ends all that is under way, with everybody or with one rank */
#define ENDS(name, cname, note, doc)                                                                      \
    METHOD0(Win, name, doc)                                                                               \
    {                                                                                                     \
        Frame *taken = take_pending(self, EVERYBODY); int rc;                                             \
        CALL(rc, note, MPI_Win_##cname, self->handle);                                                    \
        return finish(NULL, settle(self, taken, rc));                                                     \
    }
#define ENDS_WITH(name, cname, doc)                                                                       \
    METHOD(Win, name, "rank", doc)                                                                        \
    {                                                                                                     \
        Frame frame; int rank, rc = PARSE(&frame, to_int, &rank);                                         \
        Frame *taken = rc ? NULL : take_pending(self, rank);                                              \
        if (!rc) CALL(rc, NOTE(ON(self), .peer = rank), MPI_Win_##cname, rank, self->handle);             \
        return finish(&frame, settle(self, taken, rc));                                                   \
    }

METHOD(Win, Fence, "assertion=0", "End what is under way on the window, everywhere, and begin anew: all processes must call this (MPI 5.0, section 12.5.1).")
{
    Frame frame; int assertion = 0, rc = PARSE(&frame, to_int, &assertion);
    Frame *taken = rc ? NULL : take_pending(self, EVERYBODY);
    if (!rc) CALL(rc, NOTE(ALL(self)), MPI_Win_fence, assertion, self->handle);
    return finish(&frame, settle(self, taken, rc));
}

#define WITH_GROUP(name, cname, doc)                                                                      \
    METHOD(Win, name, "group, assertion=0", doc)                                                          \
    {                                                                                                     \
        Frame frame; MPI_Group group; int assertion = 0, rc = PARSE(&frame, to_group, &group, to_int, &assertion); \
        if (!rc) CALL(rc, NOTE(ON(self)), MPI_Win_##cname, group, assertion, self->handle);               \
        return finish(&frame, rc);                                                                        \
    }
WITH_GROUP(Start, start, "Begin to access the windows of a group, which calls Post; Complete ends it (MPI 5.0, section 12.5.2).")
ENDS(Complete, complete, NOTE(ON(self)), "End the accesses that Start began.")
WITH_GROUP(Post, post, "Let a group, which calls Start, access the window; Wait or Test ends it.")

typedef struct { MPI_Win win; int done, rc; } Exposure;

static int test_exposure(void *what)
{
    Exposure *e = what;
    e->rc = MPI_Win_test(e->win, &e->done);
    return e->done || e->rc;
}

METHOD0(Win, Wait, "Wait until the group of Post has called Complete.")
{
    Door door; Exposure e = {self->handle, 0, 0};
    int rc = enter(&door, OP_MPI_Win_wait, NOTE(ON(self)));
    if (rc) return finish(NULL, rc);
    rc = poll_until(&door, test_exposure, &e);
    if (!rc) rc = e.rc;
    leave(&door, rc, NULL);
    return finish_with(NULL, rc, PyBool_FromLong(1));
}

METHOD0(Win, Test, "Say whether the group of Post has called Complete.")
{
    int done = 0, rc;
    POLL(rc, NOTE(ON(self)), done, MPI_Win_test, self->handle, &done);
    return finish_with(NULL, rc, PyBool_FromLong(done));
}

METHOD(Win, Lock, "rank, lock_type=LOCK_EXCLUSIVE, assertion=0", "Begin to access the window of one process, which need not do anything for that; Unlock ends it (MPI 5.0, section 12.5.3).")
{
    Frame frame; int rank, type = MPI_LOCK_EXCLUSIVE, assertion = 0, rc = PARSE(&frame, to_int, &rank, to_int, &type, to_int, &assertion);
    if (!rc) CALL(rc, NOTE(ON(self), .peer = rank), MPI_Win_lock, type, rank, assertion, self->handle);
    return finish(&frame, rc);
}

METHOD(Win, Lock_all, "assertion=0", "Begin to access the windows of all processes, with shared locks; Unlock_all ends it.")
{
    Frame frame; int assertion = 0, rc = PARSE(&frame, to_int, &assertion);
    if (!rc) CALL(rc, NOTE(ON(self)), MPI_Win_lock_all, assertion, self->handle);
    return finish(&frame, rc);
}

ENDS_WITH(Unlock, unlock, "End the accesses that Lock began: they are done, here and there.")
ENDS(Unlock_all, unlock_all, NOTE(ON(self)), "End the accesses that Lock_all began: they are done, here and there.")
ENDS_WITH(Flush, flush, "Wait until what was started with a process is done, here and there.")
ENDS(Flush_all, flush_all, NOTE(ON(self)), "Wait until what was started is done, here and there.")
ENDS_WITH(Flush_local, flush_local, "Wait until the buffers of what was started with a process may be reused.")
ENDS(Flush_local_all, flush_local_all, NOTE(ON(self)), "Wait until the buffers of what was started may be reused.")

METHOD0(Win, Sync, "Make what was stored in the window's memory, here or from elsewhere, the same for all.")
{
    int rc;
    CALL(rc, NOTE(ON(self)), MPI_Win_sync, self->handle);
    return finish(NULL, rc);
}

METHOD0(Win, Free, "Free the window, when nothing is under way on it; all its processes must call this. Memory that it allocated is gone then: do not touch views of it.")
{
    Frame *taken = take_pending(self, EVERYBODY); int rc;
    CALL(rc, NOTE(ALL(self)), MPI_Win_free, &self->handle);
    if (settle(self, taken, rc)) return finish(NULL, rc);
    if (self->memory) PyDict_Clear(self->memory);
    drop_context(self->context);
    self->context = NULL;
    return finish(NULL, 0);
}

/* --- what it is ------------------------------------------------------------------------------------------- */

static int find_fact(const Win *self, int key, void *value)
{
    int found = 0, rc;
    CALL(rc, NOTE(.comm = NULL), MPI_Win_get_attr, self->handle, key, value, &found);
    if (!rc && !found) { PyErr_SetString(PyExc_AttributeError, "the MPI library does not tell this of a window"); rc = RAISED; }
    return rc;
}

/* where its memory lies in this process */
static int find_memory(const Win *self, void **base, MPI_Aint *size)
{
    MPI_Aint *bytes;
    int rc = find_fact(self, MPI_WIN_BASE, base);
    if (!rc) rc = find_fact(self, MPI_WIN_SIZE, &bytes);
    if (!rc) *size = *bytes;
    return rc;
}

static PyObject *number_of(const Win *self, int key)
{
    int *number = NULL, rc = find_fact(self, key, &number);
    return rc ? finish(NULL, rc) : PyLong_FromLong(*number);
}

static int win_buffer(PyObject *self, Py_buffer *view, int flags)
{
    void *base; MPI_Aint size = 0;
    view->obj = NULL;
    if (check(find_memory((Win *)self, &base, &size))) return -1;
    return PyBuffer_FillInfo(view, self, base, (Py_ssize_t)size, 0, flags);
}

METHOD0(Win, tomemory, "The memory of the window in this process.")
{
    void *base; MPI_Aint size;
    int rc = find_memory(self, &base, &size);
    if (rc) return finish(NULL, rc);
    return memory_of(base, (Py_ssize_t)size, 1);
}

METHOD(Win, Shared_query, "rank", "The memory of a process in a window of shared memory, as this process sees it, and its disp_unit; PROC_NULL: of the first that has any.")
{
    Frame frame; int rank, small = 1; MPI_Aint size, unit = 1; void *base = NULL;
    int rc = PARSE(&frame, to_int, &rank);
    if (!rc && large_counts) CALL(rc, NOTE(ON(self), .peer = rank), MPI_Win_shared_query_c, self->handle, rank, &size, &unit, &base);
    else if (!rc) CALL(rc, NOTE(ON(self), .peer = rank), MPI_Win_shared_query, self->handle, rank, &size, &small, &base);
    if (rc) return finish(&frame, rc);
    return finish_with(&frame, 0, Py_BuildValue("Nn", memory_of(base, (Py_ssize_t)size, 1), large_counts ? (Py_ssize_t)unit : (Py_ssize_t)small));
}

METHOD0(Win, Get_group, "The group of the processes that have the window.")
{
    MPI_Group group; int rc;
    LOCAL(rc, MPI_Win_get_group, self->handle, &group);
    return rc ? finish(NULL, rc) : new_owned(GroupType, &group);
}

METHOD0(Win, Get_info, "The hints that the window goes by.")
{
    MPI_Info info; int rc;
    CALL(rc, NOTE(ON(self)), MPI_Win_get_info, self->handle, &info);
    return rc ? finish(NULL, rc) : new_info(info);
}

METHOD(Win, Set_info, "info", "Give the window new hints; all processes must call this.")
{
    Frame frame; MPI_Info info = MPI_INFO_NULL; int rc = PARSE(&frame, to_info, &info);
    if (!rc) CALL(rc, NOTE(ALL(self)), MPI_Win_set_info, self->handle, info);
    return finish(&frame, rc);
}

METHOD0(Win, Get_name, "The name that debuggers and tools show.")
{
    char name[MPI_MAX_OBJECT_NAME + 1] = ""; int length = 0, rc;
    if (self->handle == MPI_WIN_NULL) return PyUnicode_FromString("MPI_WIN_NULL");      /* Open MPI knows no name of it */
    LOCAL(rc, MPI_Win_get_name, self->handle, name, &length);
    return rc ? finish(NULL, rc) : PyUnicode_DecodeUTF8(name, length, "replace");
}

METHOD(Win, Set_name, "name", "Give it a name, for debuggers and tools.")
{
    Frame frame; const char *name; int rc = PARSE(&frame, to_text, &name);
    if (!rc) CALL(rc, NOTE(ON(self)), MPI_Win_set_name, self->handle, name);
    if (!rc) name_context(self->context, name);
    return finish(&frame, rc);
}

static PyObject *seen_win(const void *handle) { return new_handle(WinType, handle); }
ATTRIBUTES(Win, Win, seen_win)
ERRHANDLERS(Win, seen_win)

/* --- the type --------------------------------------------------------------------------------------------- */

GETTER(Win, info, "The hints that the window goes by.") { return Win_Get_info_body(self); }
GETTER(Win, group, "The group of the processes that have the window.") { return Win_Get_group_body(self); }
GETTER(Win, group_size, "The number of processes that have the window.") { return of_group(Win_Get_group_body(self), "size"); }
GETTER(Win, group_rank, "The rank of this process among them.") { return of_group(Win_Get_group_body(self), "rank"); }
GETTER(Win, flavor, "How it was made: WIN_FLAVOR_CREATE, _ALLOCATE, _DYNAMIC or _SHARED.") { return number_of(self, MPI_WIN_CREATE_FLAVOR); }
GETTER(Win, model, "WIN_UNIFIED, or WIN_SEPARATE where Sync is needed to see what came.") { return number_of(self, MPI_WIN_MODEL); }
GETTER(Win, name, "The name that debuggers and tools show.") { return Win_Get_name_body(self); }

GETTER(Win, attrs, "Address, bytes and displacement unit of the memory in this process.")
{
    void *base; MPI_Aint size; int *unit;
    int rc = find_memory(self, &base, &size);
    if (!rc) rc = find_fact(self, MPI_WIN_DISP_UNIT, &unit);
    return rc ? finish(NULL, rc) : Py_BuildValue("Nni", PyLong_FromVoidPtr(base), (Py_ssize_t)size, *unit);
}

static PyObject *win_repr(PyObject *object)
{
    Win *self = (Win *)object;
    if (self->handle == MPI_WIN_NULL || mpi_state != RUNNING || !self->context) return handle_repr(object);
    PyObject *class = PyObject_GetAttrString((PyObject *)CLASS_OF(self), "__name__"), *name = class ? Win_Get_name_body(self) : NULL;
    PyObject *text = name ? PyUnicode_FromFormat("<%U '%U' rank %d of %d>", class, name, self->context->rank, self->context->size) : NULL;
    Py_XDECREF(class);
    Py_XDECREF(name);
    return text;
}

/* Without Free, others may still reach into its memory, and MPI into the buffers of what is under way: those stay. */
static void win_dealloc(PyObject *object)
{
    Win *self = (Win *)object;
    int over = self->handle == MPI_WIN_NULL || mpi_state != RUNNING;
    settle(self, take_pending(self, EVERYBODY), !over);
    if (over || !self->memory || Py_REFCNT(self->memory) > 1) Py_XDECREF(self->memory);
    drop_context(self->context);
    handle_dealloc(object);
}

static PyGetSetDef getters[] = {
    HANDLE_GETROW, SETROW(Win, info, Set_info), GETROW(Win, group), GETROW(Win, group_size), GETROW(Win, group_rank), GETROW(Win, attrs),
    GETROW(Win, flavor), GETROW(Win, model), SETROW(Win, name, Set_name), END_OF_GETROWS};
static PyMethodDef methods[] = {
    HANDLE_ROWS, CLASSROW(Win, Create), CLASSROW(Win, Allocate), CLASSROW(Win, Allocate_shared), ROW(Win, Shared_query),
    CLASSROW(Win, Create_dynamic), ROW(Win, Attach), ROW(Win, Detach), ROW0(Win, Free), ROW(Win, Set_info), ROW0(Win, Get_info),
    ROW0(Win, Get_group), ATTRIBUTE_ROWS(Win), ROW0(Win, tomemory), ROW(Win, Put), ROW(Win, Rput), ROW(Win, Get), ROW(Win, Rget),
    ROW(Win, Accumulate), ROW(Win, Raccumulate), ROW(Win, Get_accumulate), ROW(Win, Rget_accumulate), ROW(Win, Fetch_and_op),
    ROW(Win, Compare_and_swap), ROW(Win, Fence), ROW(Win, Start), ROW0(Win, Complete), ROW(Win, Post), ROW0(Win, Wait), ROW0(Win, Test),
    ROW(Win, Lock), ROW(Win, Unlock), ROW(Win, Lock_all), ROW0(Win, Unlock_all), ROW(Win, Flush), ROW0(Win, Flush_all),
    ROW(Win, Flush_local), ROW0(Win, Flush_local_all), ROW0(Win, Sync), ERRHANDLER_ROWS(Win), ROW0(Win, Get_name), ROW(Win, Set_name), END_OF_ROWS};
static PyType_Slot slots[] = {
    HANDLE_SLOTS, SLOT(Py_tp_dealloc, win_dealloc), SLOT(Py_tp_repr, win_repr), SLOT(Py_bf_getbuffer, win_buffer), {Py_tp_getset, getters},
    {Py_tp_methods, methods}, {Py_tp_doc, "Memory of each process that the others can reach into."}, {0, NULL}};
static PyType_Spec spec = {"mmpi.MPI.Win", sizeof(Win), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

int add_win_type(PyObject *module) { return add_handle_type(module, KIND(Win, MPI_WIN_NULL, "Free", NULL), &spec, methods); }
