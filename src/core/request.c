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
    to->work = from->work;
    to->start = from->start;
    ((Request *)from)->frame = NULL;
    ((Request *)from)->work = NULL;
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
    sweep_works();
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

/* what an object brought, or the error it ended with; a new reference to None for anything else */
static int take_result(Request *r, PyObject **result)
{
    Work *work = r->work;
    *result = work && r->handle == MPI_REQUEST_NULL ? NULL : Py_NewRef(Py_None);
    if (*result) return 0;
    int rc = work->rc;
    r->work = NULL;
    if (!rc && !(*result = work->result(work))) rc = RAISED;
    free_work(work);
    return rc;
}

static int lose_result(Request *r)
{
    PyObject *result;
    int rc = take_result(r, &result);
    Py_XDECREF(result);
    return rc;
}

#define ONE(self) NOTE(.requests = 1, .request = (self)->start)

static int wait_one(Request *self, Signature *signature, Frame *frame, ARGS)
{
    Status *status = NULL; MPI_Status s = empty_status(); Door door;
    int rc = PARSE(frame, to_status, &status);
    if (rc || (rc = enter(&door, OP_MPI_Wait, ONE(self)))) return rc;
    MPI_Request handle = self->handle;
    rc = drive(&door, frame, 0, TO_WAIT, &handle, &s, NULL);
    leave(&door, rc, &s);
    self->handle = handle;
    if (rc != RAISED) set_status(status, &s);
    settle(self);
    return rc;
}

METHOD(Request, Wait, "status=None", "Wait until the operation is done; its buffers may be reused then.")
{
    Frame frame;
    int rc = wait_one(self, signature, &frame, args, nargs, kwnames);
    return finish_with(&frame, rc ? rc : lose_result(self), PyBool_FromLong(1));
}

METHOD(Request, wait, "status=None", "Wait until the operation is done; return the object that it brought, or None.")
{
    Frame frame; PyObject *result = NULL;
    int rc = wait_one(self, signature, &frame, args, nargs, kwnames);
    if (!rc) rc = take_result(self, &result);
    return finish_with(&frame, rc, result);
}

static int test_one_request(Request *self, Signature *signature, Frame *frame, int *done, ARGS)
{
    Status *status = NULL; MPI_Status s = empty_status();
    int rc = PARSE(frame, to_status, &status);
    MPI_Request handle = self->handle;
    if (!rc) CALL(rc, ONE(self), MPI_Test, &handle, done, &s);
    self->handle = handle;
    if (*done && rc != RAISED) set_status(status, &s);
    settle(self);
    return rc;
}

METHOD(Request, Test, "status=None", "Say whether the operation is done.")
{
    Frame frame; int done = 0;
    int rc = test_one_request(self, signature, &frame, &done, args, nargs, kwnames);
    return finish_with(&frame, rc ? rc : lose_result(self), PyBool_FromLong(done));
}

METHOD(Request, test, "status=None", "Say whether the operation is done, and what object it brought: (True, object), or (False, None).")
{
    Frame frame; int done = 0; PyObject *object = NULL;
    int rc = test_one_request(self, signature, &frame, &done, args, nargs, kwnames);
    if (!rc) rc = take_result(self, &object);
    return finish_with(&frame, rc, rc ? NULL : Py_BuildValue("NN", PyBool_FromLong(done), object));
}

METHOD(Request, Get_status, "status=None", "Say whether the operation is done, without ending the request.")
{
    Frame frame; Status *status = NULL; MPI_Status s = empty_status(); int done = 0;
    int rc = PARSE(&frame, to_status, &status);
    if (!rc) CALL(rc, ONE(self), MPI_Request_get_status, self->handle, &done, &s);
    if (done && !rc) set_status(status, &s);
    return finish_with(&frame, rc, PyBool_FromLong(done));
}

METHOD(Request, get_status, "status=None", "Say whether the operation is done, without ending the request.")
{
    return Request_Get_status_body(self, signature, args, nargs, kwnames);
}

METHOD0(Request, Cancel, "Ask to cancel the operation; Wait must follow.")
{
    int rc;
    CALL(rc, ONE(self), MPI_Cancel, &self->handle);
    return finish(NULL, rc);
}

METHOD0(Request, cancel, "Ask to cancel the operation; wait must follow.") { return Request_Cancel_body(self); }

/* nobody can have the object any more: a receive that has none yet is taken back, anything else goes on alone */
static void drop_work(Request *r)
{
    Work *work = r->work;
    r->work = NULL;
    if (!work) return;
    if (r->handle == MPI_REQUEST_NULL || mpi_state != RUNNING) { free_work(work); return; }
    work->cancelled = 1;
    leave_alone(work);
    r->handle = MPI_REQUEST_NULL;
}

METHOD0(Request, Free, "Let go of the request; an operation under way goes on, and keeps its buffers until it is done. An object that was to be received is not.")
{
    int rc = 0;
    if (self->work) { drop_work(self); return finish(NULL, 0); }
    if (self->frame && self->handle != MPI_REQUEST_NULL && mpi_state == RUNNING) {
        park(self->handle, self->frame);
        self->handle = MPI_REQUEST_NULL;
        self->frame = NULL;
        return finish(NULL, 0);
    }
    CALL(rc, ONE(self), MPI_Request_free, &self->handle);
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

/* the objects that some of the requests brought, or None for all that did not; after an error the others are lost */
static PyObject *results(const Batch *b, const int *indices, int n)
{
    PyObject *list = PyList_New(n), *result, *type = NULL, *value, *trace;
    for (int i = 0; i < n; i++) {
        int rc = take_result((Request *)PyTuple_GetItem(b->objects, indices ? indices[i] : i), &result);
        if (rc && type) { if (rc == RAISED) PyErr_Clear(); continue; }
        if (check(rc)) PyErr_Fetch(&type, &value, &trace);
        else if (!list || PyList_SetItem(list, i, result)) Py_CLEAR(list);
    }
    if (!type) return list;
    Py_XDECREF(list);
    PyErr_Restore(type, value, trace);
    return NULL;
}

static int lose_results(const Batch *b, const int *indices, int n)
{
    PyObject *list = results(b, indices, n);
    Py_XDECREF(list);
    return list ? 0 : RAISED;
}

#define SEVERAL(b) NOTE(.requests = (b).count, .request = first_start(&(b)))

static int wait_all(Signature *signature, Frame *frame, Batch *b, ARGS)
{
    PyObject *statuses = NULL;
    int rc = PARSE(frame, to_batch, b, to_statuses, &statuses);
    if (!rc && (rc = wait_batch(OP_MPI_Waitall, b, test_all)) != RAISED && give_statuses(statuses, b, b->count)) rc = RAISED;
    return rc;
}

CLASSMETHOD(Request, Waitall, "requests, statuses=None", "Wait until all operations are done.")
{
    Frame frame; Batch b;
    (void)self;
    int rc = wait_all(signature, &frame, &b, args, nargs, kwnames);
    return finish_with(&frame, rc ? rc : lose_results(&b, NULL, b.count), PyBool_FromLong(1));
}

CLASSMETHOD(Request, waitall, "requests, statuses=None", "Wait until all operations are done; return the objects that they brought.")
{
    Frame frame; Batch b;
    (void)self;
    int rc = wait_all(signature, &frame, &b, args, nargs, kwnames);
    PyObject *list = rc ? NULL : results(&b, NULL, b.count);
    return finish_with(&frame, rc || list ? rc : RAISED, list);
}

static int wait_any(Signature *signature, Frame *frame, Batch *b, ARGS)
{
    Status *status = NULL; MPI_Status none = empty_status();
    int rc = PARSE(frame, to_batch, b, to_status, &status);
    if (!rc) rc = wait_batch(OP_MPI_Waitany, b, test_any);
    if (!rc) set_status(status, b->count ? b->statuses : &none);
    return rc;
}

static int any_result(const Batch *b, PyObject **result)
{
    if (b->done && b->index != MPI_UNDEFINED) return take_result((Request *)PyTuple_GetItem(b->objects, b->index), result);
    *result = Py_NewRef(Py_None);
    return 0;
}

CLASSMETHOD(Request, Waitany, "requests, status=None", "Wait until one operation is done; return its index, UNDEFINED if none is under way.")
{
    Frame frame; Batch b; PyObject *object = NULL;
    (void)self;
    int rc = wait_any(signature, &frame, &b, args, nargs, kwnames);
    if (!rc) rc = any_result(&b, &object);
    Py_XDECREF(object);
    return finish_with(&frame, rc, rc ? NULL : PyLong_FromLong(b.index));
}

CLASSMETHOD(Request, waitany, "requests, status=None", "Wait until one operation is done; return its index, and the object that it brought.")
{
    Frame frame; Batch b; PyObject *object = NULL;
    (void)self;
    int rc = wait_any(signature, &frame, &b, args, nargs, kwnames);
    if (!rc) rc = any_result(&b, &object);
    return finish_with(&frame, rc, rc ? NULL : Py_BuildValue("iN", b.index, object));
}

static int how_many(const Batch *b) { return b->outcount == MPI_UNDEFINED ? 0 : b->outcount; }

static int wait_some(Signature *signature, Frame *frame, Batch *b, ARGS)
{
    PyObject *statuses = NULL;
    int rc = PARSE(frame, to_batch, b, to_statuses, &statuses);
    if (!rc && (rc = wait_batch(OP_MPI_Waitsome, b, test_some)) != RAISED && give_statuses(statuses, b, how_many(b))) rc = RAISED;
    return rc;
}

/* indices, or None if no request is under way */
static PyObject *some(Frame *frame, int rc, const Batch *b)
{
    if (!rc) rc = lose_results(b, b->indices, how_many(b));
    return finish_with(frame, rc, rc ? NULL : b->outcount == MPI_UNDEFINED ? Py_NewRef(Py_None) : from_ints(b->indices, b->outcount));
}

static PyObject *some_results(Frame *frame, int rc, const Batch *b)
{
    PyObject *list = rc ? NULL : results(b, b->indices, how_many(b)), *pair = NULL;
    if (list && b->outcount == MPI_UNDEFINED) pair = Py_BuildValue("OO", Py_None, Py_None);
    else if (list) pair = Py_BuildValue("NO", from_ints(b->indices, b->outcount), list);
    Py_XDECREF(list);
    return finish_with(frame, rc || pair ? rc : RAISED, pair);
}

CLASSMETHOD(Request, Waitsome, "requests, statuses=None", "Wait until some operations are done; return their indices, None if none is under way.")
{
    Frame frame; Batch b;
    (void)self;
    return some(&frame, wait_some(signature, &frame, &b, args, nargs, kwnames), &b);
}

CLASSMETHOD(Request, waitsome, "requests, statuses=None",
            "Wait until some operations are done; return their indices and the objects that they brought, (None, None) if none is under way.")
{
    Frame frame; Batch b;
    (void)self;
    return some_results(&frame, wait_some(signature, &frame, &b, args, nargs, kwnames), &b);
}

static int test_all_requests(Signature *signature, Frame *frame, Batch *b, ARGS)
{
    PyObject *statuses = NULL;
    int rc = PARSE(frame, to_batch, b, to_statuses, &statuses);
    if (rc) return rc;
    CALL(rc, SEVERAL(*b), MPI_Testall, b->count, b->at, &b->done, b->statuses);
    settle_batch(b, rc);
    return rc != RAISED && b->done && give_statuses(statuses, b, b->count) ? RAISED : rc;
}

CLASSMETHOD(Request, Testall, "requests, statuses=None", "Say whether all operations are done.")
{
    Frame frame; Batch b;
    (void)self;
    int rc = test_all_requests(signature, &frame, &b, args, nargs, kwnames);
    if (!rc && b.done) rc = lose_results(&b, NULL, b.count);
    return finish_with(&frame, rc, rc ? NULL : PyBool_FromLong(b.done));
}

CLASSMETHOD(Request, testall, "requests, statuses=None", "Say whether all operations are done, and what they brought: (True, objects), or (False, None).")
{
    Frame frame; Batch b;
    (void)self;
    int rc = test_all_requests(signature, &frame, &b, args, nargs, kwnames);
    PyObject *list = rc ? NULL : b.done ? results(&b, NULL, b.count) : Py_NewRef(Py_None);
    if (!list && !rc) rc = RAISED;
    return finish_with(&frame, rc, rc ? NULL : Py_BuildValue("NN", PyBool_FromLong(b.done), list));
}

static int test_any_request(Signature *signature, Frame *frame, Batch *b, ARGS)
{
    Status *status = NULL;
    int rc = PARSE(frame, to_batch, b, to_status, &status);
    if (rc) return rc;
    CALL(rc, SEVERAL(*b), MPI_Testany, b->count, b->at, &b->index, &b->done, b->statuses);
    settle_batch(b, rc);
    if (!rc && b->done && b->count) set_status(status, b->statuses);
    return rc;
}

CLASSMETHOD(Request, Testany, "requests, status=None", "Say whether one operation is done: its index, and the answer.")
{
    Frame frame; Batch b; PyObject *object = NULL;
    (void)self;
    int rc = test_any_request(signature, &frame, &b, args, nargs, kwnames);
    if (!rc) rc = any_result(&b, &object);
    Py_XDECREF(object);
    return finish_with(&frame, rc, rc ? NULL : Py_BuildValue("iN", b.index, PyBool_FromLong(b.done)));
}

CLASSMETHOD(Request, testany, "requests, status=None", "Say whether one operation is done: its index, the answer, and the object that it brought.")
{
    Frame frame; Batch b; PyObject *object = NULL;
    (void)self;
    int rc = test_any_request(signature, &frame, &b, args, nargs, kwnames);
    if (!rc) rc = any_result(&b, &object);
    return finish_with(&frame, rc, rc ? NULL : Py_BuildValue("iNN", b.index, PyBool_FromLong(b.done), object));
}

static int test_some_requests(Signature *signature, Frame *frame, Batch *b, ARGS)
{
    PyObject *statuses = NULL;
    int rc = PARSE(frame, to_batch, b, to_statuses, &statuses);
    if (rc) return rc;
    CALL(rc, SEVERAL(*b), MPI_Testsome, b->count, b->at, &b->outcount, b->indices, b->statuses);
    settle_batch(b, rc);
    return rc != RAISED && give_statuses(statuses, b, how_many(b)) ? RAISED : rc;
}

CLASSMETHOD(Request, Testsome, "requests, statuses=None", "The indices of the operations that are done, None if none is under way.")
{
    Frame frame; Batch b;
    (void)self;
    return some(&frame, test_some_requests(signature, &frame, &b, args, nargs, kwnames), &b);
}

CLASSMETHOD(Request, testsome, "requests, statuses=None", "The indices of the operations that are done and the objects that they brought, (None, None) if none is under way.")
{
    Frame frame; Batch b;
    (void)self;
    return some_results(&frame, test_some_requests(signature, &frame, &b, args, nargs, kwnames), &b);
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
    drop_work(r);
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
    CLASSROW(Request, Testall), CLASSROW(Request, Testany), CLASSROW(Request, Testsome),
    ROW(Request, wait), ROW(Request, test), ROW(Request, get_status), ROW0(Request, cancel),
    CLASSROW(Request, waitall), CLASSROW(Request, waitany), CLASSROW(Request, waitsome),
    CLASSROW(Request, testall), CLASSROW(Request, testany), CLASSROW(Request, testsome), END_OF_ROWS};
static PyType_Slot slots[] = {
    HANDLE_SLOTS, SLOT(Py_tp_dealloc, request_dealloc), SLOT(Py_tp_traverse, request_traverse), SLOT(Py_tp_clear, request_clear),
    {Py_tp_getset, getters}, {Py_tp_methods, methods}, {Py_tp_doc, "An operation under way."}, {0, NULL}};
static PyType_Spec spec = {"mmpi.MPI.Request", sizeof(Request), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};

int add_request_type(PyObject *module) { return add_type(module, &RequestType, &spec, NULL, methods); }
