/* Requests: an operation under way, and the frame that it needs until it is done. */
#include "core.h"
#include <stdlib.h>

PyTypeObject *RequestType;

/* --- from start to end ------------------------------------------------------------------------------------ */

Request *new_request(Frame *frame)
{
    if (!frame) return NULL;
    if (sweep() < 0) { free_frame(frame); return NULL; }
    Request *r = (Request *)PyType_GenericAlloc(RequestType, 0);
    if (!r) { free_frame(frame); return NULL; }
    r->handle = MPI_REQUEST_NULL;
    r->frame = frame;
    return r;
}

PyObject *started(Request *r, int rc)
{
    if (!r) return NULL;
    if (!rc) {
        r->start = last_sequence();
        return (PyObject *)r;
    }
    finish(r->frame, rc);
    Py_DECREF((PyObject *)r);
    return NULL;
}

void share_request(Request *to, const Request *from)    /* the newer object answers for the frame */
{
    to->frame = from->frame;
    to->start = from->start;
    ((Request *)from)->frame = NULL;
}

static void settle(Request *r)
{
    if (r->handle != MPI_REQUEST_NULL || !r->frame) return;
    Frame *frame = r->frame;
    r->frame = NULL;
    free_frame(frame);
}

/* --- parked: dropped while under way ---------------------------------------------------------------------- */

typedef struct { MPI_Request handle; Frame *frame; } Parked;
static Parked *parked;
static int nparked, room, turn;
enum { AT_ONCE = 8 };                   /* tested at each new call: dropping n requests must not cost n * n tests */

/* without memory to remember it, its frame is lost, not freed: MPI may still write there */
void park(MPI_Request handle, Frame *frame)
{
    if (nparked == room) {
        Parked *more = realloc(parked, (size_t)(room + 256) * sizeof *parked);
        if (!more) return;
        parked = more;
        room += 256;
    }
    parked[nparked++] = (Parked){handle, frame};
}

/* take one out while it is tested: without the GIL, the list may change */
static int test_one(int i)
{
    Parked one = parked[i];
    int done = 0, rc = 0;
    parked[i] = parked[--nparked];
    Py_BEGIN_ALLOW_THREADS
    rc = MPI_Test(&one.handle, &done, MPI_STATUS_IGNORE);
    Py_END_ALLOW_THREADS
    if (rc || done) free_frame(one.frame);
    else park(one.handle, one.frame);
    return rc || done;
}

int sweep(void)
{
    if (mpi_state != RUNNING) return 0;
    for (int n = nparked < AT_ONCE ? nparked : AT_ONCE; n > 0 && nparked; n--) test_one(turn++ % nparked);
    return nparked;
}

/* Before MPI_Finalize: give what is under way a chance, then let go of it. Without the interpreter, frames stay. */
void end_parked(int with_python)
{
    for (int quiet = 0; with_python && nparked && quiet < 1000; quiet++)
        for (int i = 0; i < nparked; i++) if (test_one(i)) quiet = 0;
    PyThreadState *thread = with_python ? PyEval_SaveThread() : NULL;
    for (int done = 0; nparked; ) {
        MPI_Request *handle = &parked[--nparked].handle;
        if (!MPI_Test(handle, &done, MPI_STATUS_IGNORE) && !done) { MPI_Cancel(handle); MPI_Request_free(handle); }
    }
    if (thread) PyEval_RestoreThread(thread);
}

/* --- one request ------------------------------------------------------------------------------------------ */

METHOD(Request, Wait, "status=None", "Wait until the operation is done; its buffers may be reused then.")
{
    Frame frame; Status *status = NULL; MPI_Status s = empty_status(); Door door;
    int rc = PARSE(&frame, to_status, &status);
    if (rc || (rc = enter(&door, OP_MPI_Wait, NOTE(.requests = 1, .request = self->start)))) return finish(&frame, rc);
    MPI_Request handle = self->handle;
    rc = drive(&door, &frame, 0, TO_WAIT, &handle, &s, NULL);
    leave(&door, rc, &s);
    self->handle = handle;
    if (rc != RAISED) set_status(status, &s);
    settle(self);
    return finish_with(&frame, rc, PyBool_FromLong(1));
}

METHOD(Request, Test, "status=None", "Say whether the operation is done.")
{
    Frame frame; Status *status = NULL; MPI_Status s = empty_status(); int done = 0;
    int rc = PARSE(&frame, to_status, &status);
    MPI_Request handle = self->handle;
    if (!rc) CALL(rc, NOTE(.requests = 1, .request = self->start), MPI_Test, &handle, &done, &s);
    self->handle = handle;
    if (done && rc != RAISED) set_status(status, &s);
    settle(self);
    return finish_with(&frame, rc, PyBool_FromLong(done));
}

METHOD(Request, Get_status, "status=None", "Say whether the operation is done, without ending the request.")
{
    Frame frame; Status *status = NULL; MPI_Status s = empty_status(); int done = 0;
    int rc = PARSE(&frame, to_status, &status);
    if (!rc) CALL(rc, NOTE(.requests = 1, .request = self->start), MPI_Request_get_status, self->handle, &done, &s);
    if (done && !rc) set_status(status, &s);
    return finish_with(&frame, rc, PyBool_FromLong(done));
}

METHOD0(Request, Cancel, "Ask to cancel the operation; Wait must follow.")
{
    int rc;
    CALL(rc, NOTE(.requests = 1, .request = self->start), MPI_Cancel, &self->handle);
    return finish(NULL, rc);
}

METHOD0(Request, Free, "Let go of the request; an operation under way goes on, and keeps its buffers until it is done.")
{
    int rc = 0;
    if (self->frame && self->handle != MPI_REQUEST_NULL && mpi_state == RUNNING) {
        park(self->handle, self->frame);
        self->handle = MPI_REQUEST_NULL;
        self->frame = NULL;
        return finish(NULL, 0);
    }
    CALL(rc, NOTE(.requests = 1, .request = self->start), MPI_Request_free, &self->handle);
    settle(self);
    return finish(NULL, rc);
}

/* --- several requests ------------------------------------------------------------------------------------- */

typedef struct {                        /* requests of one Waitall, Testany, ... and what came of them */
    PyObject *objects;                  /* a tuple of Request */
    MPI_Request *at;
    MPI_Status *statuses;
    int *indices;
    int count, index, outcount, done, rc;
} Batch;

/* take the handles over; how many went well. A request twice in a list would be completed twice. */
static int list_requests(Batch *b)
{
    enum { LISTED = 0x10000 };
    int i = 0;
    for (; i < b->count; i++) {
        PyObject *item = PyTuple_GetItem(b->objects, i);
        Request *r = (Request *)item;
        if (!PyObject_TypeCheck(item, RequestType)) { PyErr_Format(PyExc_TypeError, "item %d is no Request but %R", i, item); break; }
        if (r->flags & LISTED && r->handle != MPI_REQUEST_NULL) { PyErr_Format(PyExc_ValueError, "item %d stands twice in the list of requests", i); break; }
        r->flags |= LISTED;
        b->at[i] = r->handle;
        b->statuses[i] = empty_status();
    }
    for (int k = 0; k < i; k++) ((Request *)PyTuple_GetItem(b->objects, k))->flags &= ~(unsigned)LISTED;
    return i;
}

static int to_batch(Frame *frame, PyObject *value, void *target)
{
    Batch *b = target;
    PyObject *tuple = PySequence_Tuple(value);
    if (!tuple) return -1;
    frame_hold(frame, tuple);
    Py_DECREF(tuple);
    Py_ssize_t n = PyTuple_Size(tuple);
    *b = (Batch){.objects = tuple, .count = (int)n, .index = MPI_UNDEFINED, .outcount = MPI_UNDEFINED};
    b->at = frame_memory(frame, (size_t)n, sizeof *b->at);
    b->statuses = b->at ? frame_memory(frame, (size_t)n, sizeof *b->statuses) : NULL;
    b->indices = b->statuses ? frame_memory(frame, (size_t)n, sizeof *b->indices) : NULL;
    return b->indices && list_requests(b) == b->count ? 0 : -1;
}

/* None, or a list of Status that is filled and made longer as needed */
static int to_statuses(Frame *frame, PyObject *value, void *target)
{
    Status *unused;
    if (value == Py_None) return 0;
    if (!PyList_Check(value)) { PyErr_Format(PyExc_TypeError, "expected a list of Status, not %R", value); return -1; }
    for (Py_ssize_t i = 0; i < PyList_Size(value); i++)
        if (to_status(frame, PyList_GetItem(value, i), &unused)) return -1;
    *(PyObject **)target = value;
    return 0;
}

static uint64_t first_start(const Batch *b)
{
    return b->count ? ((Request *)PyTuple_GetItem(b->objects, 0))->start : 0;
}

/* the requests as MPI left them, the statuses into the user's list */
static int settle_batch(Batch *b, int rc)
{
    for (int i = 0; i < b->count; i++) {
        Request *r = (Request *)PyTuple_GetItem(b->objects, i);
        r->handle = b->at[i];
        settle(r);
    }
    return rc;
}

static int give_statuses(PyObject *list, const Batch *b, int n)
{
    if (!list) return 0;
    for (int i = 0; i < n; i++) {
        PyObject *item = i < PyList_Size(list) ? Py_NewRef(PyList_GetItem(list, i)) : PyObject_CallNoArgs((PyObject *)StatusType);
        if (!item || (i >= PyList_Size(list) && PyList_Append(list, item))) { Py_XDECREF(item); return -1; }
        Status *to = NULL;
        int bad = to_status(NULL, item, &to);
        set_status(to, &b->statuses[i]);
        Py_DECREF(item);
        if (bad) return -1;
    }
    return 0;
}

static int test_all(void *batch)
{
    Batch *b = batch;
    b->rc = MPI_Testall(b->count, b->at, &b->done, b->statuses);
    return b->done || b->rc;
}

static int test_any(void *batch)
{
    Batch *b = batch;
    b->rc = MPI_Testany(b->count, b->at, &b->index, &b->done, b->statuses);
    return b->done || b->rc;
}

static int test_some(void *batch)
{
    Batch *b = batch;
    b->rc = MPI_Testsome(b->count, b->at, &b->outcount, b->indices, b->statuses);
    return b->outcount != 0 || b->rc;
}

/* test until something is done; GIL released */
static int wait_batch(int operation, Batch *b, int (*test)(void *))
{
    Door door;
    int rc = enter(&door, operation, NOTE(.requests = b->count, .request = first_start(b)));
    if (rc) return rc;
    rc = poll_until(&door, test, b);
    if (!rc) rc = b->rc;
    leave(&door, rc, NULL);
    return settle_batch(b, rc);
}

static PyObject *some(Frame *frame, int rc, Batch *b, PyObject *statuses)
{
    int n = b->outcount == MPI_UNDEFINED ? 0 : b->outcount;
    if (rc != RAISED && give_statuses(statuses, b, n)) rc = RAISED;
    return finish_with(frame, rc, rc ? NULL : b->outcount == MPI_UNDEFINED ? Py_NewRef(Py_None) : from_ints(b->indices, n));
}

CLASSMETHOD(Request, Waitall, "requests, statuses=None", "Wait until all operations are done.")
{
    Frame frame; Batch b; PyObject *statuses = NULL;
    (void)self;
    int rc = PARSE(&frame, to_batch, &b, to_statuses, &statuses);
    if (!rc && (rc = wait_batch(OP_MPI_Waitall, &b, test_all)) != RAISED && give_statuses(statuses, &b, b.count)) rc = RAISED;
    return finish_with(&frame, rc, PyBool_FromLong(1));
}

CLASSMETHOD(Request, Waitany, "requests, status=None", "Wait until one operation is done; return its index, UNDEFINED if none is under way.")
{
    Frame frame; Batch b; Status *status = NULL; MPI_Status none = empty_status();
    (void)self;
    int rc = PARSE(&frame, to_batch, &b, to_status, &status);
    if (!rc) rc = wait_batch(OP_MPI_Waitany, &b, test_any);
    if (!rc) set_status(status, b.count ? b.statuses : &none);
    return finish_with(&frame, rc, rc ? NULL : PyLong_FromLong(b.index));
}

CLASSMETHOD(Request, Waitsome, "requests, statuses=None", "Wait until some operations are done; return their indices, None if none is under way.")
{
    Frame frame; Batch b; PyObject *statuses = NULL;
    (void)self;
    int rc = PARSE(&frame, to_batch, &b, to_statuses, &statuses);
    if (rc) return finish(&frame, rc);
    return some(&frame, wait_batch(OP_MPI_Waitsome, &b, test_some), &b, statuses);
}

CLASSMETHOD(Request, Testall, "requests, statuses=None", "Say whether all operations are done.")
{
    Frame frame; Batch b; PyObject *statuses = NULL;
    (void)self;
    int rc = PARSE(&frame, to_batch, &b, to_statuses, &statuses);
    if (rc) return finish(&frame, rc);
    CALL(rc, NOTE(.requests = b.count, .request = first_start(&b)), MPI_Testall, b.count, b.at, &b.done, b.statuses);
    settle_batch(&b, rc);
    if (rc != RAISED && b.done && give_statuses(statuses, &b, b.count)) rc = RAISED;
    return finish_with(&frame, rc, PyBool_FromLong(b.done));
}

CLASSMETHOD(Request, Testany, "requests, status=None", "Say whether one operation is done: its index, and the answer.")
{
    Frame frame; Batch b; Status *status = NULL;
    (void)self;
    int rc = PARSE(&frame, to_batch, &b, to_status, &status);
    if (rc) return finish(&frame, rc);
    CALL(rc, NOTE(.requests = b.count, .request = first_start(&b)), MPI_Testany, b.count, b.at, &b.index, &b.done, b.statuses);
    settle_batch(&b, rc);
    if (!rc && b.done && b.count) set_status(status, b.statuses);
    return finish_with(&frame, rc, rc ? NULL : Py_BuildValue("iN", b.index, PyBool_FromLong(b.done)));
}

CLASSMETHOD(Request, Testsome, "requests, statuses=None", "The indices of the operations that are done, None if none is under way.")
{
    Frame frame; Batch b; PyObject *statuses = NULL;
    (void)self;
    int rc = PARSE(&frame, to_batch, &b, to_statuses, &statuses);
    if (rc) return finish(&frame, rc);
    CALL(rc, NOTE(.requests = b.count, .request = first_start(&b)), MPI_Testsome, b.count, b.at, &b.outcount, b.indices, b.statuses);
    return some(&frame, settle_batch(&b, rc), &b, statuses);
}

/* --- the type --------------------------------------------------------------------------------------------- */

static int request_traverse(PyObject *self, visitproc visit, void *arg)
{
    const Frame *frame = ((Request *)self)->frame;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Request *)self)->buf);
    for (int i = 0; frame && i < frame->nheld; i++) Py_VISIT(frame->held[i]);
    for (int i = 0; frame && i < frame->nviews; i++) Py_VISIT(frame->views[i].obj);
    return 0;
}

static int request_clear(PyObject *self)                /* never an active frame */
{
    settle((Request *)self);
    Py_CLEAR(((Request *)self)->buf);
    return 0;
}

static void request_dealloc(PyObject *self)
{
    Request *r = (Request *)self;
    PyObject_GC_UnTrack(self);
    if (r->frame && r->handle != MPI_REQUEST_NULL && mpi_state == RUNNING) park(r->handle, r->frame);
    else free_frame(r->frame);
    r->frame = NULL;
    Py_CLEAR(r->buf);
    handle_dealloc(self);
}

static PyGetSetDef getters[] = {HANDLE_GETROW, END_OF_GETROWS};
static PyMethodDef methods[] = {
    HANDLE_ROWS, ROW(Request, Wait), ROW(Request, Test), ROW(Request, Get_status), ROW0(Request, Cancel), ROW0(Request, Free),
    CLASSROW(Request, Waitall), CLASSROW(Request, Waitany), CLASSROW(Request, Waitsome),
    CLASSROW(Request, Testall), CLASSROW(Request, Testany), CLASSROW(Request, Testsome), END_OF_ROWS};
static PyType_Slot slots[] = {
    HANDLE_SLOTS, SLOT(Py_tp_dealloc, request_dealloc), SLOT(Py_tp_traverse, request_traverse), SLOT(Py_tp_clear, request_clear),
    {Py_tp_getset, getters}, {Py_tp_methods, methods}, {Py_tp_doc, "An operation under way."}, {0, NULL}};
static PyType_Spec spec = {"mmpi.MPI.Request", sizeof(Request), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};

int add_request_type(PyObject *module) { return add_type(module, &RequestType, &spec, NULL, methods); }
