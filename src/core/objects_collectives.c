/* Collectives of objects: slots travel, and what does not fit them follows point-to-point.
 *
 * Among many ranks slots go by one nonblocking collective. Few send them to each other, on a hidden duplicate of the
 * communicator: that takes a third of the time, and one step where a collective takes several.
 *
 * A slot says how long an object's first message is and holds it; or says that its rank failed, and why. So all ranks
 * learn of an error by what moves small objects, and none goes on to wait for what never comes.
 * Pieces travel on the duplicate too, tagged by the number of the collective: ranks may reach them in different orders.
 * The duplicate is made when all ranks know that it is needed; before the slots, where this could not be known, or where
 * other collectives may begin meanwhile; and for few ranks that use collectives repeatedly. So ranks always agree on
 * whether it is there. */
#include "core.h"
#include <stdlib.h>

enum { FAILED = 1, MORE = 2 };          /* flags: no object but the text of an error; pieces follow, for somebody */
typedef struct { uint16_t length; uint8_t flags, unused[3]; char data[SLOT_ROOM]; } Slot;

enum { BCAST, GATHER, SCATTER, ALLGATHER, ALLTOALL, BARRIER, ITEMS };  /* ITEMS: raw, to be combined */
enum { NUMBERS = 1 << 14 };             /* of collectives that are told apart */
enum { FEW = 4, REPEATEDLY = 4 };       /* ranks; collectives until the duplicate is made for them */
enum { SLOTTED, AWAITING, DIRECT, WANTING, HIDDEN, MOVING, FORWARDING };       /* WANTING: the caller has to make the duplicate */

typedef struct {
    Work work;
    MPI_Comm comm;
    int kind, stage, rank, size, root, tag, nonblocking;
    PyObject *object;                   /* the root's own, in a broadcast */
    PyObject *op;                       /* combines what was gathered, in a reduction */
    PyObject *type, *error, *trace;     /* why this rank failed */
    int noutgoing, nincoming;
    Slot *outgoing, *incoming;
    Parcel *parcels;                    /* of each outgoing slot */
    Frame **frames;                     /* that own those with pieces */
    Part **parts;                       /* of each incoming slot */
    int *nparts;
    Items items;                        /* what the caller has, and gets */
    MPI_Request first, few[2 * (FEW - 1)];
    Slot slots[];                       /* and behind them, the arrays */
} Exchange;

/* --- packing ---------------------------------------------------------------------------------------------- */

/* the exception of this rank goes into all its slots, as text */
static void fail(Exchange *e)
{
    PyObject *text = NULL;
    PyErr_Fetch(&e->type, &e->error, &e->trace);
    PyErr_NormalizeException(&e->type, &e->error, &e->trace);
    PyObject *name = PyObject_GetAttrString(e->type, "__name__");
    if (name) text = PyUnicode_FromFormat("%U: %S", name, e->error);
    PyObject *bytes = text ? PyUnicode_AsEncodedString(text, "utf-8", "replace") : NULL;
    PyErr_Clear();
    for (int i = 0; i < e->noutgoing; i++) {
        Slot *slot = &e->outgoing[i];
        size_t length = bytes ? (size_t)PyBytes_Size(bytes) : 0;
        *slot = (Slot){.flags = FAILED, .length = (uint16_t)(length < SLOT_ROOM ? length : SLOT_ROOM)};
        if (bytes) memcpy(slot->data, PyBytes_AsString(bytes), slot->length);
    }
    Py_XDECREF(bytes);
    Py_XDECREF(text);
    Py_XDECREF(name);
}

static int pack_slot(Exchange *e, int i, PyObject *object)
{
    Frame *frame = new_frame();
    if (!frame) return -1;
    Parcel *p = &e->parcels[i];
    Slot *slot = &e->outgoing[i];
    int bad = pack(frame, e->work.serializer, object, &to_collect, slot->data, p);
    if (!bad && p->npieces) { e->frames[i] = frame; frame = NULL; }
    free_frame(frame);
    slot->length = (uint16_t)p->bytes;
    return bad;
}

/* a list of as many items as ranks; None stands for as many None */
static PyObject *items_of(const Exchange *e, const char *method, PyObject *object)
{
    PyObject *list = object == Py_None ? PyList_New(0) : PySequence_List(object);
    for (int i = 0; list && object == Py_None && i < e->size; i++)
        if (PyList_Append(list, Py_None)) Py_CLEAR(list);
    if (!list || PyList_Size(list) == e->size) return list;
    PyErr_Format(PyExc_ValueError, "%s(sendobj): expected %d items, one for each rank, not %zd", method, e->size, PyList_Size(list));
    Py_DECREF(list);
    return NULL;
}

static int pack_items(Exchange *e, const char *method, PyObject *object)
{
    PyObject *list = items_of(e, method, object);
    int bad = !list, more = 0;
    for (int i = 0; !bad && i < e->size; i++) {
        bad = pack_slot(e, i, PyList_GetItem(list, i));
        more |= !bad && e->frames[i] && i != e->rank;
    }
    for (int i = 0; more && !bad && i < e->size; i++) e->outgoing[i].flags = MORE;
    Py_XDECREF(list);
    return bad;
}

/* --- the collective of slots ------------------------------------------------------------------------------ */

static int is_one_to_each(const Exchange *e) { return e->kind == SCATTER || e->kind == ALLTOALL; }

/* what this rank sends to that one, if it sends */
static const Parcel *parcel_for(const Exchange *e, int peer) { return &e->parcels[is_one_to_each(e) ? peer : 0]; }

/* how many slots go out of this rank, and how many come in */
static void count_slots(int kind, int rank, int size, int root, int *out, int *in)
{
    *out = kind == ALLTOALL || (kind == SCATTER && rank == root) ? size : kind == SCATTER ? 0 : 1;
    *in = kind == SCATTER || kind == BCAST ? 1 : size;
}

static PyObject *exchanged(Work *);
static void release_exchange(Work *);
static int advance_exchange(Work *);

static Exchange *new_exchange(Comm *self, int kind, int root, int nonblocking)
{
    const Context *context = self->context;
    int out, in;
    count_slots(kind, context->rank, context->size, root, &out, &in);
    const size_t slots = (size_t)(out + in) * sizeof(Slot), parcels = (size_t)out * sizeof(Parcel), frames = (size_t)out * sizeof(Frame *),
                 parts = (size_t)in * sizeof(Part *), all = slots + parcels + frames + parts + (size_t)in * sizeof(int);
    Exchange *e = new_work(sizeof *e + all, self->context, advance_exchange, exchanged, release_exchange);
    if (!e) return NULL;
    char *behind = (char *)e->slots + slots;
    e->work.together = 1;
    e->comm = self->handle;
    e->kind = kind;
    e->rank = context->rank;
    e->size = context->size;
    e->root = root;
    e->nonblocking = nonblocking;
    e->noutgoing = out;
    e->nincoming = in;
    e->outgoing = e->slots;
    e->incoming = e->slots + out;
    e->first = MPI_REQUEST_NULL;
    e->parcels = (void *)behind;
    e->frames = (void *)(behind + parcels);
    e->parts = (void *)(behind + parcels + frames);
    e->nparts = (void *)(behind + parcels + frames + parts);
    return e;
}

static int make_hidden(Context *context, MPI_Comm comm)
{
    if (context->size == 1 || context->hidden != MPI_COMM_NULL || context->making != MPI_REQUEST_NULL) return 0;
#if defined(MMPI_ABI_OPENMPI)          /* its idup goes on in collectives of its own, which meet those that begin meanwhile */
    return MPI_Comm_dup(comm, &context->hidden);
#else
    return MPI_Comm_idup(comm, &context->hidden, &context->making);
#endif
}

static int is_from_root(const Exchange *e) { return e->kind == BCAST || e->kind == SCATTER; }
static int sends(const Exchange *e, int rank) { return !is_from_root(e) || rank == e->root; }
static Slot *slot_for(const Exchange *e, int peer) { return &e->outgoing[is_one_to_each(e) ? peer : 0]; }
static Slot *slot_from(const Exchange *e, int peer) { return &e->incoming[is_from_root(e) ? 0 : peer]; }

/* to each other, without a collective */
static int send_slots(Exchange *e)
{
    const MPI_Comm comm = e->work.context->hidden;
    int rc = 0;
    MPI_Request *request = e->work.requests = e->few;
    e->stage = DIRECT;
    if (sends(e, e->rank)) *slot_from(e, e->rank) = *slot_for(e, e->rank);
    for (int i = 0; i < e->size && !rc; i++)
        if (i != e->rank && sends(e, i)) rc = MPI_Irecv(slot_from(e, i), sizeof(Slot), MPI_BYTE, i, e->tag, comm, request++);
    for (int i = 0; i < e->size && !rc && sends(e, e->rank); i++) {
        const Slot *slot = slot_for(e, i);
        int bytes = e->kind == ITEMS ? e->items.bytes : (int)offsetof(Slot, data) + slot->length;
        if (i != e->rank) rc = MPI_Isend(slot, bytes, MPI_BYTE, i, e->tag, comm, request++);
    }
    e->work.nrequests = (int)(request - e->few);
    return rc;
}

static int collect_slots(Exchange *e)
{
    enum { BYTES = sizeof(Slot) };
    const void *out = e->outgoing;
    switch (e->kind) {
    case BCAST:
        if (e->rank == e->root) *e->incoming = *e->outgoing;
        return MPI_Ibcast(e->incoming, BYTES, MPI_BYTE, e->root, e->comm, &e->first);
    case SCATTER: return MPI_Iscatter(out, BYTES, MPI_BYTE, e->incoming, BYTES, MPI_BYTE, e->root, e->comm, &e->first);
    case ALLTOALL: return MPI_Ialltoall(out, BYTES, MPI_BYTE, e->incoming, BYTES, MPI_BYTE, e->comm, &e->first);
    case BARRIER: return MPI_Ibarrier(e->comm, &e->first);
    case ITEMS: return MPI_Iallreduce(out, e->incoming, 1, e->items.type, e->items.op, e->comm, &e->first);
    default: return MPI_Iallgather(out, BYTES, MPI_BYTE, e->incoming, BYTES, MPI_BYTE, e->comm, &e->first);
    }
}

/* without the GIL, in the order of calls */
static int start_exchange(Exchange *e)
{
    Context *context = e->work.context;
    const uint64_t before = context->exchanges++;
    const int pending = context->making != MPI_REQUEST_NULL, few = e->size > 1 && e->size <= FEW;
    e->tag = (int)(before % NUMBERS);
    if (few && pending) { e->stage = AWAITING; return 0; }
    if (few && context->hidden != MPI_COMM_NULL) return send_slots(e);
    const int needed = e->kind == ALLTOALL || (e->nonblocking ? e->kind < BARRIER : few && before >= REPEATEDLY);
    int rc = needed ? make_hidden(context, e->comm) : 0;
    return rc ? rc : collect_slots(e);
}

/* --- the pieces ------------------------------------------------------------------------------------------- */

/* the rank whose object an incoming slot holds */
static int origin(const Exchange *e, int i) { return is_from_root(e) ? e->root : i; }

static int failed_slot(const Exchange *e)
{
    for (int i = 0; i < e->nincoming; i++)
        if (e->incoming[i].flags & FAILED) return i;
    return -1;
}

static int has_pieces(const Slot *slot)
{
    MPI_Count *lengths;
    int unused, n = pieces_of(slot->data, slot->length, &lengths, &unused);
    free(lengths);
    return n > 0;
}

/* Does anybody move pieces? Where the duplicate is still to be made, all ranks come to the same answer; in alltoall it
 * is there, and each asks for itself. */
static int any_pieces(const Exchange *e)
{
    if (e->kind == SCATTER) return e->incoming->flags & MORE;
    for (int i = 0; i < e->nincoming; i++) {
        if (e->kind == ALLTOALL && e->frames[i]) return 1;
        if (!(e->kind == GATHER && i == e->root) && has_pieces(&e->incoming[i])) return 1;
    }
    return 0;
}

/* do pieces of incoming slot i come to this rank? */
static int comes(const Exchange *e, int i) { return origin(e, i) != e->rank && (e->kind != GATHER || e->rank == e->root); }

/* does this rank send pieces to that one? */
static int goes(const Exchange *e, int peer)
{
    return peer != e->rank && (e->kind == GATHER ? peer == e->root : sends(e, e->rank));
}

static int post_parts(Exchange *e, const Part *parts, int n, int source)
{
    int rc = 0;
    for (int i = 0; i < n && !rc; i++) {
        rc = receive_piece(&parts[i], source, e->tag, e->work.context->hidden, e->work.requests + e->work.nrequests);
        e->work.nrequests += chunks_of(parts[i].bytes);
    }
    return rc;
}

static int post_pieces(Exchange *e, const Piece *pieces, int n, int dest)
{
    MPI_Request *requests = e->work.requests + e->work.nrequests;
    e->work.nrequests += messages_of(pieces, n);        /* what was not posted is null */
    return send_pieces(pieces, n, dest, e->tag, e->work.context->hidden, requests);
}

static void free_requests(const Exchange *e) { if (e->work.requests != e->few) free(e->work.requests); }

/* room for so many requests more, all null */
static int more_requests(Exchange *e, int n)
{
    free_requests(e);
    e->work.nrequests = 0;
    e->work.requests = malloc((size_t)(n + 1) * sizeof(MPI_Request));
    for (int i = 0; e->work.requests && i < n; i++) e->work.requests[i] = MPI_REQUEST_NULL;
    return e->work.requests ? 0 : MPI_ERR_NO_MEM;
}

/* memory for all that comes; how many messages that takes */
static int make_room(Exchange *e, int *messages)
{
    for (int i = 0; i < e->nincoming; i++) {
        MPI_Count *lengths;
        int unused, n = comes(e, i) ? pieces_of(e->incoming[i].data, e->incoming[i].length, &lengths, &unused) : 0;
        if (n <= 0) continue;
        e->parts[i] = new_parts(lengths, n);
        free(lengths);
        if (!e->parts[i]) return MPI_ERR_NO_MEM;
        e->nparts[i] = n;
        for (int k = 0; k < n; k++) *messages += chunks_of(e->parts[i][k].bytes);
    }
    return 0;
}

/* the ranks of a binomial tree around the root: from whom a broadcast comes, and to whom it goes on */
static int parent(const Exchange *e)
{
    int me = (e->rank - e->root + e->size) % e->size;
    return ((me & (me - 1)) + e->root) % e->size;
}

static int child(const Exchange *e, int i)              /* -1: no more; the largest subtree first */
{
    int me = (e->rank - e->root + e->size) % e->size, mask = 1, n = 0;
    while (mask < e->size && !(me & mask)) mask <<= 1;
    for (mask >>= 1; mask; mask >>= 1)
        if (me + mask < e->size && n++ == i) return (me + mask + e->root) % e->size;
    return -1;
}

/* the broadcast's pieces, which are here now, to the children */
static int forward(Exchange *e)
{
    int children = 0, rc;
    const Parcel *own = e->rank == e->root ? e->parcels : NULL;
    int n = own ? own->npieces : e->nparts[0];
    Piece *pieces = malloc((size_t)n * sizeof *pieces);
    if (!pieces) return MPI_ERR_NO_MEM;
    for (int i = 0; i < n; i++) pieces[i] = own ? own->pieces[i] : (Piece){e->parts[0][i].data, e->parts[0][i].bytes};
    while (child(e, children) >= 0) children++;
    rc = more_requests(e, messages_of(pieces, n) * children);
    for (int i = 0; i < children && !rc; i++) rc = post_pieces(e, pieces, n, child(e, i));
    free(pieces);
    e->stage = FORWARDING;
    return rc;
}

/* receives and sends at once; each rank begins with another, so that none is flooded */
static int move(Exchange *e)
{
    int messages = 0, rc = make_room(e, &messages);
    for (int i = 0; i < e->size && e->kind != BCAST; i++)
        if (goes(e, i)) messages += messages_of(parcel_for(e, i)->pieces, parcel_for(e, i)->npieces);
    if (!rc) rc = more_requests(e, messages);
    for (int i = 0; i < e->nincoming && !rc; i++)
        rc = post_parts(e, e->parts[i], e->nparts[i], e->kind == BCAST ? parent(e) : origin(e, i));
    for (int i = 1; i < e->size && !rc && e->kind != BCAST; i++) {
        int peer = (e->rank + i) % e->size;
        if (goes(e, peer)) rc = post_pieces(e, parcel_for(e, peer)->pieces, parcel_for(e, peer)->npieces, peer);
    }
    e->stage = MOVING;
    return rc;
}

static int is_duplicated(Exchange *e)
{
    int done = 1;
    if (e->work.context->making != MPI_REQUEST_NULL) e->work.rc = MPI_Test(&e->work.context->making, &done, MPI_STATUS_IGNORE);
    return done && !e->work.rc;
}

static int have_slots_come(Exchange *e)
{
    int done = 0;
    if (e->stage == DIRECT) return test_requests(&e->work);
    e->work.rc = MPI_Test(&e->first, &done, MPI_STATUS_IGNORE);
    return done || e->work.rc;
}

static int advance_exchange(Work *work)
{
    Exchange *e = (Exchange *)work;
    const Context *context = work->context;
    work->cancelled = 0;                                /* a collective cannot be taken back */
    switch (e->stage) {
    case AWAITING:
        if (!is_duplicated(e)) return work->rc != 0;
        if ((work->rc = send_slots(e))) return 1;
        /* fall through */
    case DIRECT: case SLOTTED:
        if (!have_slots_come(e)) return 0;
        if (work->rc || e->size == 1 || e->kind >= BARRIER || failed_slot(e) >= 0 || !any_pieces(e)) return 1;
        e->stage = context->hidden == MPI_COMM_NULL && context->making == MPI_REQUEST_NULL ? WANTING : HIDDEN;
        if (e->stage == WANTING) return 0;
        /* fall through */
    case HIDDEN:
        if (!is_duplicated(e)) return work->rc != 0;
        if ((work->rc = move(e))) return 1;
        /* fall through */
    case MOVING: case FORWARDING:
        if (!test_requests(work)) return 0;
        if (work->rc || e->kind != BCAST || e->stage == FORWARDING) return 1;
        work->rc = forward(e);
        return work->rc || test_requests(work);
    default: return 0;
    }
}

/* --- unpacking -------------------------------------------------------------------------------------------- */

static PyObject *unpack_own(const Exchange *e, const Slot *slot, const Parcel *p)
{
    Part *parts = p->npieces ? calloc((size_t)p->npieces, sizeof *parts) : NULL;
    if (p->npieces && !parts) return PyErr_NoMemory();
    for (int i = 0; i < p->npieces; i++) parts[i] = (Part){.data = (char *)(uintptr_t)p->pieces[i].addr, .bytes = p->pieces[i].bytes};
    PyObject *object = unpack(e->work.serializer, slot->data, slot->length, parts, p->npieces);
    free(parts);
    return object;
}

static PyObject *unpack_slot(const Exchange *e, int i)
{
    const Slot *slot = &e->incoming[i];
    if (origin(e, i) == e->rank && e->noutgoing) return unpack_own(e, slot, parcel_for(e, e->rank));
    return unpack(e->work.serializer, slot->data, slot->length, e->parts[i], e->nparts[i]);
}

static PyObject *unpack_all(const Exchange *e)
{
    PyObject *list = PyList_New(e->size);
    for (int i = 0; list && i < e->size; i++) {
        PyObject *object = unpack_slot(e, i);
        if (!object || PyList_SetItem(list, i, object)) Py_CLEAR(list);
    }
    return list;
}

static PyObject *raise_remote(int rank, const char *text, size_t length)
{
    PyObject *errors = PyImport_ImportModule("mmpi.errors"), *class = errors ? PyObject_GetAttrString(errors, "RemoteError") : NULL;
    PyObject *message = class ? PyUnicode_DecodeUTF8(text, (Py_ssize_t)length, "replace") : NULL;
    PyObject *error = message ? PyObject_CallFunction(class, "iO", rank, message) : NULL;
    if (error) PyErr_SetObject(class, error);
    Py_XDECREF(error);
    Py_XDECREF(message);
    Py_XDECREF(class);
    Py_XDECREF(errors);
    return NULL;
}

/* the objects of all ranks combined by an operation; steals the list */
static PyObject *fold(PyObject *list, PyObject *op)
{
    PyObject *reductions = PyImport_ImportModule("mmpi.reductions");
    PyObject *result = reductions ? PyObject_CallMethod(reductions, "fold", "OO", list, op) : NULL;
    Py_XDECREF(reductions);
    Py_DECREF(list);
    return result;
}

/* in the order of ranks; MPI has done it, unless the items were exchanged */
static PyObject *combined(const Exchange *e)
{
    const Items *items = &e->items;
    Slot *last = &e->incoming[e->stage == DIRECT ? e->size - 1 : 0];
    for (const Slot *other = last; other-- > e->incoming; ) items->combine(other, last);
    memcpy(items->item, last, (size_t)items->bytes);
    Py_RETURN_NONE;
}

static PyObject *exchanged(Work *work)
{
    Exchange *e = (Exchange *)work;
    if (e->kind == ITEMS) return combined(e);
    if (e->kind == BARRIER) Py_RETURN_NONE;
    int failed = failed_slot(e);
    if (e->type) {
        PyErr_Restore(e->type, e->error, e->trace);
        e->type = e->error = e->trace = NULL;
        return NULL;
    }
    if (failed >= 0) return raise_remote(origin(e, failed), e->incoming[failed].data, e->incoming[failed].length);
    if (e->kind == BCAST && e->rank == e->root) return Py_NewRef(e->object);
    if (e->kind == BCAST || e->kind == SCATTER) return unpack_slot(e, 0);
    if (e->kind == GATHER && e->rank != e->root) Py_RETURN_NONE;
    PyObject *list = unpack_all(e);
    return list && e->op ? fold(list, e->op) : list;
}

static void release_exchange(Work *work)
{
    Exchange *e = (Exchange *)work;
    for (int i = 0; i < e->noutgoing; i++) free_frame(e->frames[i]);
    for (int i = 0; i < e->nincoming; i++) free_parts(e->parts[i], e->nparts[i]);
    free_requests(e);
    Py_XDECREF(e->object);
    Py_XDECREF(e->op);
    Py_XDECREF(e->type);
    Py_XDECREF(e->error);
    Py_XDECREF(e->trace);
}

/* --- the methods ------------------------------------------------------------------------------------------ */

typedef struct { const char *name; int kind, operation, rooted; } Method;

/* A lock for each method that was used: for programs that asked for the table. */
static int note_use(Context *context, const char *name)
{
    if (PyDict_GetItemString(context->locks, name)) return 0;
    PyObject *threading = PyImport_ImportModule("threading"), *lock = threading ? PyObject_CallMethod(threading, "Lock", NULL) : NULL;
    int bad = !lock || PyDict_SetItemString(context->locks, name, lock);
    Py_XDECREF(lock);
    Py_XDECREF(threading);
    return bad ? RAISED : 0;
}

int check_objects(const Comm *self, const char *name, int root)
{
    if (usable(self)) return RAISED;
    if (self->context->remote_size >= 0) {
        PyErr_Format(PyExc_NotImplementedError, "%s: objects cannot be sent collectively between two groups: use the methods with a capital, or merge them", name);
        return RAISED;
    }
    if (root < 0 || root >= self->context->size) return MPI_ERR_ROOT;
    return self->context->locks ? note_use(self->context, name) : 0;
}

/* an exchange with this rank's part packed; NULL with rc */
static Exchange *prepare_exchange(Comm *self, const Method *m, int nonblocking, int *rc, Signature *signature, Frame *frame, ARGS)
{
    PyObject *object = Py_None;
    int root = 0;
    *rc = m->rooted ? PARSE(frame, to_object, &object, to_int, &root) : PARSE(frame, to_object, &object);
    if (*rc || (*rc = check_objects(self, m->name, root))) return NULL;
    Exchange *e = new_exchange(self, m->kind, root, nonblocking);
    if (!e) { *rc = RAISED; return NULL; }
    if (m->kind == BCAST) e->object = Py_NewRef(object);
    int packs = m->kind == BCAST || m->kind == SCATTER ? e->rank == root : 1;
    if (packs && (is_one_to_each(e) ? pack_items(e, m->name, object) : pack_slot(e, 0, object))) fail(e);
    return e;
}

/* The duplicate is made by the caller, outside of the lock: it may block, and other threads' duplicates must go on. */
static int test_exchange(void *work)
{
    Exchange *e = work;
    if (e->stage == WANTING) {
        stop_leading();
        int rc = make_hidden(e->work.context, e->comm);
        lock_works();
        e->work.rc = rc;
        e->stage = HIDDEN;
        unlock_works();
        if (rc) return 1;
    }
    return test_work(work);
}

static PyObject *finished_exchange(Comm *self, Exchange *e, int operation, const Note *note)
{
    Door door;
    int rc = enter(&door, operation, note);
    if (rc) { free_work(&e->work); return finish(NULL, rc); }
    rc = start_exchange(e);
    if (!rc && !(rc = poll_until(&door, test_exchange, e))) rc = e->work.rc;
    leave(&door, rc, NULL);
    if (rc == RAISED) self->context->broken = "a collective on it was interrupted";
    return conclude(&e->work, rc, NULL);
}

static PyObject *collect(Comm *self, const Method *m, Signature *signature, ARGS)
{
    Frame frame; int rc;
    Exchange *e = prepare_exchange(self, m, 0, &rc, signature, &frame, args, nargs, kwnames);
    if (!e) return finish(&frame, rc);
    close_frame(&frame);
    return finished_exchange(self, e, m->operation, NOTE(ALL(self), .root = m->rooted ? e->root : NONE));
}

PyObject *combine_items(Comm *self, const Items *items, int operation, const Note *note)
{
    Exchange *e = new_exchange(self, ITEMS, 0, 0);
    if (!e) return NULL;
    e->items = *items;
    memcpy(e->outgoing, items->item, (size_t)items->bytes);
    return finished_exchange(self, e, operation, note);
}

static PyObject *started_exchange(Request *r, Exchange *e, int operation, const Note *note)
{
    Door door;
    int rc = enter(&door, operation, note);
    if (rc) { free_work(&e->work); return started(r, rc); }
    rc = start_exchange(e);
    return started_work(r, &door, &e->work, rc, free_work);
}

static PyObject *started_collective(Comm *self, const Method *m, Signature *signature, ARGS)
{
    int rc = RAISED;
    Request *r = new_request(new_frame());
    Exchange *e = r ? prepare_exchange(self, m, 1, &rc, signature, r->frame, args, nargs, kwnames) : NULL;
    return e ? started_exchange(r, e, m->operation, NOTE(ALL(self), .root = m->rooted ? e->root : NONE)) : started(r, rc);
}

#define COLLECTIVE(name, iname, kind, rooted, operation, text, doc)                                       \
    METHOD(Comm, name, text, doc)                                                                         \
    {                                                                                                     \
        static const Method m = {#name, kind, OP_MPI_##operation, rooted};                                \
        return collect(self, &m, signature, args, nargs, kwnames);                                        \
    }                                                                                                     \
    METHOD(Comm, iname, text, "Start to: " doc " request.wait() returns the result.")                     \
    {                                                                                                     \
        static const Method m = {#name, kind, OP_MPI_I##name, rooted};                                    \
        return started_collective(self, &m, signature, args, nargs, kwnames);                             \
    }

COLLECTIVE(bcast, ibcast, BCAST, 1, Bcast, "obj, root=0", "Broadcast an object from one rank to all; return it.")
COLLECTIVE(gather, igather, GATHER, 1, Gather, "sendobj, root=0", "Gather an object from each rank at one, as a list; the others get None.")
COLLECTIVE(scatter, iscatter, SCATTER, 1, Scatter, "sendobj, root=0", "Scatter the items of a sequence from one rank to all; return one's own.")
COLLECTIVE(allgather, iallgather, ALLGATHER, 0, Allgather, "sendobj", "Gather an object from each rank at all, as a list.")
COLLECTIVE(alltoall, ialltoall, ALLTOALL, 0, Alltoall, "sendobj", "Send an item of a sequence to each rank; return a list of what came from each.")

METHOD(Comm, iallreduce, "sendobj, op=SUM, commute=False", "Start to: Combine an object of each rank, in rank order; request.wait() returns the result.")
{
    PyObject *object, *op = NULL, *commute = NULL;
    Request *r = new_request(new_frame());
    int rc = !r || PARSE(r->frame, to_object, &object, to_object, &op, to_object, &commute) || to_function(r->frame, &op) ? RAISED : check_objects(self, "allreduce", 0);
    Exchange *e = rc ? NULL : new_exchange(self, ALLGATHER, 0, 1);
    if (!e) return started(r, rc ? rc : RAISED);
    e->op = Py_NewRef(op);
    if (pack_slot(e, 0, object)) fail(e);
    return started_exchange(r, e, OP_MPI_Iallreduce, NOTE(ALL(self)));
}

METHOD0(Comm, barrier, "Wait until all ranks have come.")
{
    int rc = check_objects(self, "barrier", 0);
    Exchange *e = rc ? NULL : new_exchange(self, BARRIER, 0, 0);
    return e ? finished_exchange(self, e, OP_MPI_Barrier, NOTE(ALL(self))) : finish(NULL, rc ? rc : RAISED);
}

METHOD0(Comm, ibarrier, "Start a barrier; the request is done when all ranks have come.")
{
    Request *r = new_request(new_frame());
    int rc = r ? check_objects(self, "barrier", 0) : RAISED;
    Exchange *e = rc ? NULL : new_exchange(self, BARRIER, 0, 1);
    return e ? started_exchange(r, e, OP_MPI_Ibarrier, NOTE(ALL(self))) : started(r, rc ? rc : RAISED);
}

FUNCTION(_comm_lock_table, "comm", "A dict that gets a lock for each object collective used on the communicator from now on.")
{
    Frame frame; Comm *comm; PyObject *table = NULL;
    (void)self;
    int rc = PARSE(&frame, to_comm, &comm) || usable(comm) ? RAISED : 0;
    if (!rc && !comm->context->locks && !(comm->context->locks = PyDict_New())) rc = RAISED;
    if (!rc) table = Py_NewRef(comm->context->locks);
    return finish_with(&frame, rc, table);
}

static int test_hidden(void *context)
{
    Context *c = context;
    int done = 1;
    lock_works();                       /* works test it too */
    if (c->making != MPI_REQUEST_NULL) MPI_Test(&c->making, &done, MPI_STATUS_IGNORE);
    unlock_works();
    return done;
}

/* The hidden duplicate, for what Python does point-to-point within a collective; all ranks must call this. */
METHOD0(Comm, _hidden, "The communicator on which collectives of objects go on point-to-point.")
{
    Door door;
    int rc = usable(self) || enter(&door, OP_MPI_Comm_idup, NOTE(ON(self))) ? RAISED : 0;
    if (rc) return NULL;
    rc = make_hidden(self->context, self->handle);
    if (!rc) rc = poll_until(&door, test_hidden, self->context);
    leave(&door, rc, NULL);
    return rc ? finish(NULL, rc) : new_comm(self->context->hidden, NULL);
}

PyMethodDef object_functions[] = {ROW_(module, _comm_lock_table, 0), END_OF_ROWS};
PyMethodDef object_collective_methods[] = {
#define BOTH(name) ROW(Comm, name), ROW(Comm, i##name)
    BOTH(bcast), BOTH(gather), BOTH(scatter), BOTH(allgather), BOTH(alltoall), ROW0(Comm, barrier), ROW0(Comm, ibarrier), ROW(Comm, iallreduce),
    ROW0(Comm, _hidden), END_OF_ROWS};
