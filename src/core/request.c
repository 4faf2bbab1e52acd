/* Requests: an operation under way, and the frame that it needs until it is done. */
#include "core.h"
#include <stdlib.h>

PyTypeObject *RequestType, *PrequestType, *GrequestType;

/* --- from start to end ------------------------------------------------------------------------------------ */

Request *new_request_of(PyTypeObject *type, Frame *frame)
{
    if (!frame) return NULL;
    if (sweep() < 0) { free_frame(frame); return NULL; }
    Request *r = (Request *)PyType_GenericAlloc(type, 0);
    if (!r) { free_frame(frame); return NULL; }
    r->handle = MPI_REQUEST_NULL;
    r->frame = frame;
    return r;
}

Request *new_request(Frame *frame) { return new_request_of(RequestType, frame); }
Request *new_prequest(void) { return new_request_of(PrequestType, new_frame()); }

PyObject *started(Request *r, int rc)
{
    if (!r) return NULL;
    if (!rc) {
        r->start = last_sequence();
        if (recorder) *(PyObject_TypeCheck((PyObject *)r, PrequestType) ? &r->prepared : &r->record) = last_record();
        return watched(r);
    }
    finish(r->frame, rc);
    Py_DECREF((PyObject *)r);
    return NULL;
}

/* the newer object answers for the frame, and gives it back when it goes away first */
void share_request(Request *to, const Request *from)
{
    to->origin = (Request *)Py_NewRef((PyObject *)from);
    to->frame = from->frame;
    to->work = from->work;
    to->start = from->start;
    to->record = from->record;
    to->prepared = from->prepared;
    ((Request *)from)->frame = NULL;
    ((Request *)from)->work = NULL;
}

static void settle(Request *r)
{
    if (r->handle != MPI_REQUEST_NULL || !r->frame) return;
    Frame *frame = r->frame;
    r->frame = NULL;
    if (bring_back(frame)) PyErr_WriteUnraisable((PyObject *)r);
    if (r->flags & MAKES) finish_comm((Comm *)r->buf);
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
    if (MUTANT(no_parking)) { free_frame(frame); return; }
    if (nparked == room) {
        Parked *more = realloc(parked, (size_t)(room + 256) * sizeof *parked);
        if (!more) return;
        parked = more;
        room += 256;
    }
    parked[nparked++] = (Parked){handle, frame};
}

static void free_handle(MPI_Request *handle)
{
    Py_BEGIN_ALLOW_THREADS
    MPI_Request_free(handle);
    Py_END_ALLOW_THREADS
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
    if (!rc && !done) { park(one.handle, one.frame); return 0; }
    if (one.handle != MPI_REQUEST_NULL) free_handle(&one.handle);       /* a persistent one has ended, but is still there */
    free_frame(one.frame);
    return 1;
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
        if (MPI_Test(handle, &done, MPI_STATUS_IGNORE)) continue;
        if (!done) MPI_Cancel(handle);
        if (*handle != MPI_REQUEST_NULL) MPI_Request_free(handle);
    }
    if (thread) PyEval_RestoreThread(thread);
}

/* --- one request ------------------------------------------------------------------------------------------ */

/* what an object brought, or the error it ended with; a new reference to None for anything else */
static int take_result(Request *r, PyObject **result)
{
    Work *work = r->work;
    if (!work || r->handle != MPI_REQUEST_NULL) {
        int brought = r->buf && !(r->flags & MAKES) && r->handle == MPI_REQUEST_NULL;      /* by Grequest.complete, once */
        *result = brought ? r->buf : Py_NewRef(Py_None);
        if (brought) r->buf = NULL;
        return 0;
    }
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

/* for a tracer: this wait or test has ended the request */
static void tell_done(Request *r, uint64_t wait, const MPI_Status *status)
{
    int cancelled = 0;
    if (!r->record) return;
    MPI_Test_cancelled(status, &cancelled);
    recorder->completed(wait, r->record, status->MPI_SOURCE, status->MPI_TAG, status_bytes(status), cancelled);
    r->record = 0;
}

#define ONE(self) NOTE(.requests = 1, .request = (self)->start)

static int wait_one(Request *self, Signature *signature, Frame *frame, ARGS)
{
    Status *status = NULL; MPI_Status s = empty_status(); Door door;
    int rc = PARSE(frame, to_status, &status);
    if (rc || (rc = enter(&door, OP_MPI_Wait, ONE(self)))) return rc;
    MPI_Request handle = self->handle;
    rc = drive(&door, frame, 0, TO_WAIT, &handle, &s, NULL);
    leave(&door, rc, self->flags & ACCESSES ? NULL : &s);      /* MPI promises nothing of that status */
    if (recorder && !rc) tell_done(self, door.record, &s);
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
    if (!rc) POLL(rc, ONE(self), *done, MPI_Test, &handle, done, &s);
    if (recorder && !rc && *done) tell_done(self, last_record(), &s);
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
    if (!rc) POLL(rc, ONE(self), done, MPI_Request_get_status, self->handle, &done, &s);
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
        if (PyObject_TypeCheck((PyObject *)self, PrequestType)) test_one(nparked - 1);     /* it may not be started */
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
    int noted[PENDING];                 /* those in the record */
    unsigned turns;
    int prepared;                       /* some of those noted are */
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

/* None, or a list of Status that is filled and made longer as needed; a tuple gets as many as it holds */
static int to_statuses(Frame *frame, PyObject *value, void *target)
{
    Status *unused;
    if (value == Py_None) return 0;
    if (!PyList_Check(value) && !PyTuple_Check(value)) { PyErr_Format(PyExc_TypeError, "expected a list of Status, not %R", value); return -1; }
    for (Py_ssize_t i = 0; i < PySequence_Size(value); i++) {
        PyObject *item = PySequence_GetItem(value, i);
        int bad = !item || to_status(frame, item, &unused);
        Py_XDECREF(item);
        if (bad) return -1;
    }
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
        int there = i < PySequence_Size(list);
        if (!there && PyTuple_Check(list)) break;
        PyObject *item = there ? PySequence_GetItem(list, i) : PyObject_CallNoArgs((PyObject *)StatusType);
        if (!item || (!there && PyList_Append(list, item))) { Py_XDECREF(item); return -1; }
        Status *to = NULL;
        int bad = to_status(NULL, item, &to);
        set_status(to, &b->statuses[i]);
        Py_DECREF(item);
        if (bad) return -1;
    }
    return 0;
}

/* now and then, while it waits long: without those that are done meanwhile. MPICH forgets the status of a prepared request that was asked. */
static void note_done(const Batch *b)
{
    Ring *ring = this_ring();
    for (int i = 0, done = 0; i < ring->npending; i++)
        if (!b->prepared && !MPI_Request_get_status(b->at[b->noted[i]], &done, MPI_STATUS_IGNORE) && done) ring->pending[i] = 0;
}

int error_in_status(int rc, const MPI_Status *statuses, int n)
{
    int class = MPI_SUCCESS;
    if (rc) MPI_Error_class(rc, &class);
    if (class != MPI_ERR_IN_STATUS) return rc;
    for (int i = 0; i < n; i++)
        if (statuses[i].MPI_ERROR != MPI_SUCCESS && statuses[i].MPI_ERROR != MPI_ERR_PENDING) return statuses[i].MPI_ERROR;
    return MPI_SUCCESS;
}

static int look_at_all(Batch *b)
{
    int rc = MPI_Testall(b->count, b->at, &b->done, b->statuses), done = 0;
    if (!rc || error_in_status(rc, b->statuses, b->count)) return rc;
    b->done = 1;                        /* MPICH takes partitioned requests that go on for failed ones: one by one it does not */
    for (int i = rc = 0; !rc && i < b->count; i++) {
        rc = MPI_Test(&b->at[i], &done, &b->statuses[i]);
        b->done &= done;
    }
    return rc;
}

static int test_all(void *batch)
{
    enum { SELDOM = 1024 };
    Batch *b = batch;
    if (++b->turns % SELDOM == 0) note_done(b);
    b->rc = look_at_all(b);
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

/* for the record: the starts of those that are under way */
static void note_pending(Ring *ring, Batch *b)
{
    ring->npending = 0;
    for (int i = 0; i < b->count && ring->npending < PENDING; i++)
        if (b->at[i] != MPI_REQUEST_NULL) {
            PyObject *item = PyTuple_GetItem(b->objects, i);
            b->prepared |= PyObject_TypeCheck(item, PrequestType);
            b->noted[ring->npending] = i;
            ring->pending[ring->npending++] = ((Request *)item)->start;
        }
}

/* for a tracer: which have ended; what the call said of that depends on its kind */
static void tell_batch(const Batch *b, int operation, uint64_t wait)
{
    int any = operation == OP_MPI_Waitany || operation == OP_MPI_Testany, all = operation == OP_MPI_Waitall || operation == OP_MPI_Testall;
    int n = any ? b->done && b->index != MPI_UNDEFINED : all ? b->done * b->count : b->outcount == MPI_UNDEFINED ? 0 : b->outcount;
    for (int i = 0; i < n; i++)
        tell_done((Request *)PyTuple_GetItem(b->objects, any ? b->index : all ? i : b->indices[i]), wait, &b->statuses[i]);
}

/* test until something is done; GIL released */
static int wait_batch(int operation, Batch *b, int (*test)(void *))
{
    Door door;
    note_pending(this_ring(), b);
    int rc = enter(&door, operation, NOTE(.requests = b->count, .request = first_start(b)));
    if (rc) return rc;
    rc = poll_until(&door, test, b);
    if (!rc) rc = b->rc;
    leave(&door, rc, NULL);
    if (recorder && !rc) tell_batch(b, operation, door.record);
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
    AROUND_(rc, SEVERAL(*b), MPI_Testall, look_at_all(b), leave_poll(&door_, rc, NULL, b->done));
    if (recorder && !rc) tell_batch(b, OP_MPI_Testall, last_record());
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
    POLL(rc, SEVERAL(*b), b->done, MPI_Testany, b->count, b->at, &b->index, &b->done, b->statuses);
    if (recorder && !rc) tell_batch(b, OP_MPI_Testany, last_record());
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
    POLL(rc, SEVERAL(*b), b->outcount, MPI_Testsome, b->count, b->at, &b->outcount, b->indices, b->statuses);
    if (recorder && !rc) tell_batch(b, OP_MPI_Testsome, last_record());
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

/* --- several requests, looked at without ending them ----------------------------------------------------- */

CLASSMETHOD(Request, Get_status_all, "requests, statuses=None", "Say whether all operations are done, without ending the requests.")
{
    Frame frame; Batch b; PyObject *statuses = NULL;
    (void)self;
    int rc = PARSE(&frame, to_batch, &b, to_statuses, &statuses);
    if (!rc) CALL(rc, SEVERAL(b), MPI_Request_get_status_all, b.count, b.at, &b.done, b.statuses);
    if (!rc && b.done && give_statuses(statuses, &b, b.count)) rc = RAISED;
    return finish_with(&frame, rc, rc ? NULL : PyBool_FromLong(b.done));
}

CLASSMETHOD(Request, Get_status_any, "requests, status=None", "Say whether one operation is done, without ending its request: its index, and the answer.")
{
    Frame frame; Batch b; Status *status = NULL;
    (void)self;
    int rc = PARSE(&frame, to_batch, &b, to_status, &status);
    if (!rc) CALL(rc, SEVERAL(b), MPI_Request_get_status_any, b.count, b.at, &b.index, &b.done, b.statuses);
    if (!rc && b.done && b.count) set_status(status, b.statuses);
    return finish_with(&frame, rc, rc ? NULL : Py_BuildValue("iN", b.index, PyBool_FromLong(b.done)));
}

CLASSMETHOD(Request, Get_status_some, "requests, statuses=None", "The indices of the operations that are done, without ending their requests; None if none is under way.")
{
    Frame frame; Batch b; PyObject *statuses = NULL;
    (void)self;
    int rc = PARSE(&frame, to_batch, &b, to_statuses, &statuses);
    if (!rc) CALL(rc, SEVERAL(b), MPI_Request_get_status_some, b.count, b.at, &b.outcount, b.indices, b.statuses);
    if (!rc && give_statuses(statuses, &b, how_many(&b))) rc = RAISED;
    return finish_with(&frame, rc, rc ? NULL : b.outcount == MPI_UNDEFINED ? Py_NewRef(Py_None) : from_ints(b.indices, b.outcount));
}

#define LOWER(lower, upper, text, doc) CLASSMETHOD(Request, lower, text, doc) { return Request_##upper##_body(self, signature, args, nargs, kwnames); }
LOWER(get_status_all, Get_status_all, "requests, statuses=None", "Say whether all operations are done, without ending the requests.")
LOWER(get_status_any, Get_status_any, "requests, status=None", "Say whether one operation is done, without ending its request: its index, and the answer.")
LOWER(get_status_some, Get_status_some, "requests, statuses=None", "The indices of the operations that are done, without ending their requests; None if none is under way.")

/* --- persistent requests ---------------------------------------------------------------------------------- */

METHOD0(Request, Start, "Start the operation that was prepared; Wait or Test ends it, and it may be started again.")
{
    int rc;
    CALL(rc, ONE(self), MPI_Start, &self->handle);
    if (!rc) self->start = last_sequence();
    if (recorder && !rc) self->record = recorder->started(last_record(), self->prepared);
    return finish(NULL, rc);
}

CLASSMETHOD(Request, Startall, "requests", "Start all these operations.")
{
    Frame frame; Batch b;
    (void)self;
    int rc = PARSE(&frame, to_batch, &b);
    if (!rc) CALL(rc, SEVERAL(b), MPI_Startall, b.count, b.at);
    for (int i = 0; recorder && !rc && i < b.count; i++) {
        Request *r = (Request *)PyTuple_GetItem(b.objects, i);
        r->record = recorder->started(last_record(), r->prepared);
    }
    if (rc != RAISED) settle_batch(&b, rc);
    return finish(&frame, rc);
}

METHOD(Request, Pready, "partition", "This partition of the buffer may be sent.")
{
    Frame frame; int partition;
    int rc = PARSE(&frame, to_int, &partition);
    if (!rc) CALL(rc, ONE(self), MPI_Pready, partition, self->handle);
    return finish(&frame, rc);
}

METHOD(Request, Pready_range, "partition_low, partition_high", "The partitions from low to high, both included, may be sent.")
{
    Frame frame; int low, high;
    int rc = PARSE(&frame, to_int, &low, to_int, &high);
    if (!rc) CALL(rc, ONE(self), MPI_Pready_range, low, high, self->handle);
    return finish(&frame, rc);
}

METHOD(Request, Pready_list, "partitions", "These partitions of the buffer may be sent.")
{
    Frame frame; Ints partitions;
    int rc = PARSE(&frame, to_ints, &partitions);
    if (!rc) CALL(rc, ONE(self), MPI_Pready_list, partitions.count, partitions.at, self->handle);
    return finish(&frame, rc);
}

METHOD(Request, Parrived, "partition", "Say whether this partition of the buffer has come.")
{
    Frame frame; int partition, flag = 0;
    int rc = PARSE(&frame, to_int, &partition);
    if (!rc) CALL(rc, ONE(self), MPI_Parrived, self->handle, partition, &flag);
    return finish_with(&frame, rc, PyBool_FromLong(flag));
}

/* --- generalized requests --------------------------------------------------------------------------------- */

typedef struct { PyObject *query, *free, *cancel, *args, *kwargs; } Generalized;

/* function(first, *args, **kwargs), or without a first; the error code for MPI */
static int call_back(const Generalized *g, PyObject *function, PyObject *first)
{
    if (!function || function == Py_None) return MPI_SUCCESS;
    PyObject *head = first ? Py_BuildValue("(O)", first) : PyTuple_New(0), *all = head ? PySequence_Concat(head, g->args) : NULL;
    PyObject *done = all ? PyObject_Call(function, all, g->kwargs) : NULL;
    int rc = done ? MPI_SUCCESS : error_in_callback();
    Py_XDECREF(head);
    Py_XDECREF(all);
    Py_XDECREF(done);
    return rc;
}

static int query_generalized(void *state, MPI_Status *status)
{
    const Generalized *g = state;
    int rc = MPI_SUCCESS;
    *status = empty_status();
    MPI_Status_set_elements(status, MPI_BYTE, 0);
    MPI_Status_set_cancelled(status, 0);
    if (!Py_IsInitialized()) return rc;
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *object = PyObject_CallNoArgs((PyObject *)StatusType);
    set_status((Status *)object, status);
    rc = object ? call_back(g, g->query, object) : error_in_callback();
    if (object && !rc) *status = ((Status *)object)->handle;
    Py_XDECREF(object);
    PyGILState_Release(gil);
    return rc;
}

static void drop_generalized(Generalized *g)
{
    PyObject *held[] = {g->query, g->free, g->cancel, g->args, g->kwargs};
    for (int i = 0; i < 5; i++) Py_XDECREF(held[i]);
    PyMem_Free(g);
}

/* after an error the request is still there, and MPI comes back to it: what it calls stays, but the function that failed */
static int free_generalized(void *state)
{
    Generalized *g = state;
    if (!Py_IsInitialized()) return MPI_SUCCESS;
    PyGILState_STATE gil = PyGILState_Ensure();
    int rc = call_back(g, g->free, NULL);
    if (rc) Py_CLEAR(g->free);
    else drop_generalized(g);
    PyGILState_Release(gil);
    return rc;
}

static int cancel_generalized(void *state, int complete)
{
    const Generalized *g = state;
    if (!Py_IsInitialized()) return MPI_SUCCESS;
    PyGILState_STATE gil = PyGILState_Ensure();
    int rc = call_back(g, g->cancel, complete ? Py_True : Py_False);
    PyGILState_Release(gil);
    return rc;
}

static Generalized *new_generalized(PyObject *query, PyObject *free, PyObject *cancel, PyObject *args, PyObject *kwargs)
{
    Generalized *g = PyMem_Calloc(1, sizeof *g);
    if (!g) { PyErr_NoMemory(); return NULL; }
    g->args = args == Py_None ? PyTuple_New(0) : PySequence_Tuple(args);
    g->kwargs = kwargs == Py_None ? PyDict_New() : PyObject_CallFunctionObjArgs((PyObject *)&PyDict_Type, kwargs, NULL);
    if (!g->args || !g->kwargs) { drop_generalized(g); return NULL; }
    g->query = Py_NewRef(query);
    g->free = Py_NewRef(free);
    g->cancel = Py_NewRef(cancel);
    return g;
}

static PyObject *Grequest_start(PyTypeObject *type, Signature *signature, ARGS)
{
    PyObject *query = Py_None, *free = Py_None, *cancel = Py_None, *args_ = Py_None, *kwargs = Py_None; int rc = RAISED;
    Request *r = new_request_of(type, new_frame());
    if (!r || PARSE(r->frame, to_object, &query, to_object, &free, to_object, &cancel, to_object, &args_, to_object, &kwargs)) return started(r, rc);
    Generalized *g = new_generalized(query, free, cancel, args_, kwargs);
    if (g) CALL(rc, NOTE(.comm = NULL), MPI_Grequest_start, query_generalized, free_generalized, cancel_generalized, g, &r->handle);
    if (g && rc) drop_generalized(g);
    return started(r, rc);
}

METHOD0(Request, Complete, "The operation is done.")
{
    int rc;
    CALL(rc, ONE(self), MPI_Grequest_complete, self->handle);
    return finish(NULL, rc);
}

METHOD(Request, complete, "obj=None", "The operation is done; wait and test return the object.")
{
    Frame frame; PyObject *object = Py_None;
    if (PARSE(&frame, to_object, &object)) return finish(&frame, RAISED);
    Py_XDECREF(self->buf);
    self->buf = Py_NewRef(object);
    return finish_with(&frame, 0, Request_Complete_body(self));
}

/* --- the type --------------------------------------------------------------------------------------------- */

static int request_traverse(PyObject *self, visitproc visit, void *arg)
{
    const Frame *frame = ((Request *)self)->frame;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Request *)self)->buf);
    Py_VISIT((PyObject *)((Request *)self)->origin);
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

static void give_back(Request *r)
{
    Request *to = r->origin;
    if (to->handle != r->handle) r->handle = MPI_REQUEST_NULL;      /* it ended there */
    else if (!to->frame && !to->work) {
        to->frame = r->frame;
        to->work = r->work;
        r->frame = NULL;
        r->work = NULL;
    }
    r->origin = NULL;
    Py_DECREF((PyObject *)to);
}

static void request_dealloc(PyObject *self)
{
    Request *r = (Request *)self;
    PyObject_GC_UnTrack(self);
    if (r->origin) give_back(r);
    drop_work(r);
    if (r->frame && r->handle != MPI_REQUEST_NULL && mpi_state == RUNNING) park(r->handle, r->frame);
    else free_frame(r->frame);
    r->frame = NULL;
    Py_CLEAR(r->buf);
    handle_dealloc(self);
}

static PyGetSetDef getters[] = {HANDLE_GETROW, END_OF_GETROWS};
static PyObject *request_exit(PyObject *, PyObject *);
static PyMethodDef methods[] = {
    {"__exit__", request_exit, METH_VARARGS, NULL}, HANDLE_ROWS,
    CLASSROW(Request, Get_status_all), CLASSROW(Request, Get_status_any), CLASSROW(Request, Get_status_some),
    CLASSROW(Request, get_status_all), CLASSROW(Request, get_status_any), CLASSROW(Request, get_status_some), ROW(Request, Wait),
    ROW(Request, Test), ROW(Request, Get_status), ROW0(Request, Cancel), ROW0(Request, Free),
    CLASSROW(Request, Waitall), CLASSROW(Request, Waitany), CLASSROW(Request, Waitsome),
    CLASSROW(Request, Testall), CLASSROW(Request, Testany), CLASSROW(Request, Testsome),
    ROW(Request, wait), ROW(Request, test), ROW(Request, get_status), ROW0(Request, cancel),
    CLASSROW(Request, waitall), CLASSROW(Request, waitany), CLASSROW(Request, waitsome),
    CLASSROW(Request, testall), CLASSROW(Request, testany), CLASSROW(Request, testsome), END_OF_ROWS};
static PyType_Slot slots[] = {
    HANDLE_SLOTS, SLOT(Py_tp_dealloc, request_dealloc), SLOT(Py_tp_traverse, request_traverse), SLOT(Py_tp_clear, request_clear),
    {Py_tp_getset, getters}, {Py_tp_methods, methods}, {Py_tp_doc, "An operation under way."}, {0, NULL}};
static PyType_Spec spec = {"mmpi.MPI.Request", sizeof(Request), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};

/* `with` waits; after an exception it only lets go */
static PyObject *request_exit(PyObject *self, PyObject *error)
{
    PyObject *type = PyTuple_Check(error) && PyTuple_Size(error) ? PyTuple_GetItem(error, 0) : Py_None;
    PyObject *done = type == Py_None ? PyObject_CallMethod(self, "Wait", NULL) : Py_NewRef(Py_None), *freed = done ? handle_free(self, NULL) : NULL;
    Py_XDECREF(done);
    Py_XDECREF(freed);
    return freed ? Py_NewRef(Py_False) : NULL;
}

/* what Python calls Start is of different kinds: of an object for what is prepared, of the class for what is generalized */
METHOD_(Grequest, Start, "query_fn=None, free_fn=None, cancel_fn=None, args=None, kwargs=None",
        "A request for an operation of one's own. query_fn(status, *args, **kwargs) fills the status, free_fn(*args, **kwargs) is called at the end, "
        "cancel_fn(completed, *args, **kwargs) by Cancel.", PyTypeObject)
{
    return Grequest_start(self, signature, args, nargs, kwnames);
}

static PyMethodDef persistent_methods[] = {
    ROW0(Request, Start), CLASSROW(Request, Startall), ROW(Request, Pready), ROW(Request, Pready_range), ROW(Request, Pready_list), ROW(Request, Parrived), END_OF_ROWS};
static PyMethodDef generalized_methods[] = {CLASSROW(Grequest, Start), ROW0(Request, Complete), ROW(Request, complete), END_OF_ROWS};
#define SUBTYPE(name, methods, doc)                                                                       \
    static PyType_Slot name##_slots[] = {                                                                 \
        SLOT(Py_tp_dealloc, request_dealloc), SLOT(Py_tp_traverse, request_traverse), SLOT(Py_tp_clear, request_clear), \
        {Py_tp_methods, methods}, {Py_tp_doc, doc}, {0, NULL}};                                           \
    static PyType_Spec name##_spec = {"mmpi.MPI." #name, sizeof(Request), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, name##_slots};
SUBTYPE(Prequest, persistent_methods, "An operation that is prepared once and started as often as needed.")
SUBTYPE(Grequest, generalized_methods, "An operation of one's own that can be waited for like those of MPI.")

int add_request_type(PyObject *module)
{
    return add_handle_type(module, KIND(Request, MPI_REQUEST_NULL, "Free", NULL), &spec, methods) ||
           add_type(module, &PrequestType, &Prequest_spec, RequestType, persistent_methods) ||
           add_type(module, &GrequestType, &Grequest_spec, RequestType, generalized_methods) ? -1 : 0;
}
