/* Collectives of objects: slots travel, and what does not fit them follows point-to-point.
 *
 * Among many ranks slots go by one nonblocking collective. Few send them to each other, on a hidden duplicate of the
 * communicator: that takes a third of the time, and one step where a collective takes several. A broadcast goes along a tree
 * there: its root is done at once, and who receives does not wait for more than one message. Barriers and small items go in
 * rounds there, of which each doubles what a rank has heard of.
 *
 * A slot says how long an object's first message is and holds it; or says that its rank failed, and why. So all ranks
 * learn of an error by what moves small objects, and none goes on to wait for what never comes.
 * Pieces travel on the duplicate too, tagged by the number of the collective: ranks may reach them in different orders.
 * The duplicate is made when all ranks know that it is needed; before the slots, where this could not be known, or where
 * other collectives may begin meanwhile; and for few ranks that use collectives repeatedly. So ranks always agree on
 * whether it is there.
 *
 * A reduction that begins now and ends later gathers objects, and each rank combines them. Where that may fail, on some
 * ranks only, they exchange slots once more, so that all of them raise.
 *
 * Between two groups, all goes on a hidden communicator of both, where each rank sends its slots to all: so all ranks of
 * both learn of errors. Neighbors send each other all point-to-point, and an error reaches the neighbors. */
#include "core.h"
#include <stdlib.h>

enum { FAILED = 1, MORE = 2, RISKY = 4 };       /* flags: no object but the text of an error; pieces follow, for somebody; to combine it may fail */
typedef struct { uint16_t length; uint8_t flags, unused[3]; char data[SLOT_ROOM]; } Slot;

enum { BCAST, GATHER, SCATTER, ALLGATHER, ALLTOALL, BARRIER, ITEMS, NEAR, NEARBY };    /* ITEMS: raw, to be combined; NEAR, NEARBY: among neighbors */
enum { ALL_OF_THEM = -1, NOBODY = -2 }; /* to whom objects go, and from whom they come, unless it is one rank */
enum { NUMBERS = 1 << 14 };             /* of collectives that are told apart */
enum { FEW = 4, MANY = 64, REPEATEDLY = 4 };    /* ranks that send to all others, and in rounds; collectives until the duplicate is made for them */
enum { SLOTTED, AWAITING, DIRECT, PASSING, WANTING, HIDDEN, MOVING, FORWARDING, COMBINING, AGREEING };  /* WANTING: the caller has to make the duplicate */

typedef struct {
    Work work;
    MPI_Comm comm;
    int kind, stage, rank, size, root, tag, nonblocking;    /* rank and size: where slots travel */
    int distance;                       /* of rounds: so many ranks, from this one on, have been heard of; else 0 */
    int low, peers;                     /* the ranks that objects go to and come from: all, or the other group */
    int to, from;                       /* which of them get this rank's objects, and whose it gets */
    Frame *neighbors;                   /* holds the lists, or NULL */
    Ints sources, destinations;
    int grid;                           /* what goes in one direction comes from the other one */
    PyObject *object;                   /* the root's own, in a broadcast */
    PyObject *op, *combined;            /* combines what was gathered, in a reduction; to this, if it may fail */
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
        e->parcels[i].npieces = 0;
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
    const int n = e->neighbors ? e->destinations.count : e->peers;
    PyObject *list = object == Py_None ? PyList_New(0) : PySequence_List(object);
    for (int i = 0; list && object == Py_None && i < n; i++)
        if (PyList_Append(list, Py_None)) Py_CLEAR(list);
    if (!list || PyList_Size(list) == n) return list;
    PyErr_Format(PyExc_ValueError, "%s(sendobj): expected %d items, one for each %s, not %zd", method, n, e->neighbors ? "neighbor" : "rank", PyList_Size(list));
    Py_DECREF(list);
    return NULL;
}

static int pack_items(Exchange *e, const char *method, PyObject *object)
{
    PyObject *list = items_of(e, method, object);
    int bad = !list, more = 0;
    for (int i = 0; !bad && i < PyList_Size(list); i++) {
        int slot = e->low + i;
        bad = pack_slot(e, slot, PyList_GetItem(list, i));
        more |= !bad && e->frames[slot] && slot != e->rank;
    }
    for (int i = 0; more && !bad && i < e->noutgoing; i++) e->outgoing[i].flags = MORE;
    Py_XDECREF(list);
    return bad;
}

/* --- the collective of slots ------------------------------------------------------------------------------ */

static int is_one_to_each(const Exchange *e) { return e->kind == SCATTER || e->kind == ALLTOALL || e->kind == NEARBY; }

/* how many slots go out of this rank, and how many come in */
static void count_slots(int kind, int rank, int size, int root, int *out, int *in)
{
    *out = kind == ALLTOALL || (kind == SCATTER && rank == root) ? size : kind == SCATTER ? 0 : 1;
    *in = kind == SCATTER || kind == BCAST ? 1 : size;
}

static PyObject *exchanged(Work *);
static void release_exchange(Work *);
static int advance_exchange(Work *);
static void combine_objects(Work *);

static Exchange *allocate(Comm *self, int kind, int out, int in)
{
    const size_t slots = (size_t)(out + in) * sizeof(Slot), parcels = (size_t)out * sizeof(Parcel), frames = (size_t)out * sizeof(Frame *),
                 parts = (size_t)in * sizeof(Part *), all = slots + parcels + frames + parts + (size_t)in * sizeof(int);
    Exchange *e = new_work(sizeof *e + all, self->context, advance_exchange, exchanged, release_exchange);
    if (!e) return NULL;
    char *behind = (char *)(e + 1) + slots;     /* not where the slots end: they need less alignment than pointers */
    e->work.together = 1;
    e->comm = self->handle;
    e->kind = kind;
    e->rank = self->context->rank;
    e->size = e->peers = self->context->size;
    e->to = e->from = ALL_OF_THEM;
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

static int is_inter(const Comm *self) { return self->context->remote_size >= 0; }

/* Between two groups: all slots go to all. What the caller named as root says whether objects go from here, or come. */
static Exchange *between_groups(Comm *self, int kind, int root)
{
    const Context *c = self->context;
    const int size = c->size + c->remote_size, each = kind == SCATTER || kind == ALLTOALL, in_front = c->place == c->rank;
    Exchange *e = allocate(self, each ? ALLTOALL : kind == BARRIER ? BARRIER : ALLGATHER, each ? size : 1, size);
    if (!e) return NULL;
    e->comm = c->hidden;
    e->rank = c->place;
    e->size = size;
    e->low = in_front ? c->size : 0;
    e->peers = c->remote_size;
    if (kind != BCAST && kind != SCATTER && kind != GATHER) return e;
    const int sends = kind == GATHER ? root >= 0 : root == MPI_ROOT, receives = kind == GATHER ? root == MPI_ROOT : root >= 0;
    e->to = !sends ? NOBODY : kind == GATHER ? e->low + root : ALL_OF_THEM;
    e->from = !receives ? NOBODY : kind == GATHER ? ALL_OF_THEM : e->low + root;
    return e;
}

static Exchange *among_neighbors(Comm *self, int kind)
{
    Ints in, out;
    Frame *frame = new_frame();
    int rc = frame ? neighbors_of(self, frame, &in, &out) : RAISED, topology = MPI_UNDEFINED;
    if (!rc) LOCAL(rc, MPI_Topo_test, self->handle, &topology);
    Exchange *e = check(rc) ? NULL : allocate(self, kind, kind == NEARBY ? out.count : 1, in.count);
    if (!e) { free_frame(frame); return NULL; }
    e->neighbors = frame;
    e->sources = in;
    e->destinations = out;
    e->grid = topology == MPI_CART;
    return e;
}

static Exchange *new_exchange(Comm *self, int kind, int root, int nonblocking)
{
    int out, in;
    count_slots(kind, self->context->rank, self->context->size, root, &out, &in);
    Exchange *e = is_inter(self) ? between_groups(self, kind, root) : kind >= NEAR ? among_neighbors(self, kind) : allocate(self, kind, out, in);
    if (!e) return NULL;
    const int rooted = e->kind < ALLGATHER, is_root = e->rank == root;
    e->root = root;
    e->nonblocking = nonblocking;
    if (rooted && kind != GATHER) { e->to = is_root ? ALL_OF_THEM : NOBODY; e->from = root; }
    if (rooted && kind == GATHER) { e->to = root; e->from = is_root ? ALL_OF_THEM : NOBODY; }
    return e;
}

/* the communicator of both groups, which everything between them needs; all ranks call this, and it may block */
static int join_groups(Comm *self)
{
    Context *context = self->context;
    MPI_Comm both = MPI_COMM_NULL;
    int rc = 0;
    if (!is_inter(self) || context->hidden != MPI_COMM_NULL) return 0;
    CALL(rc, NOTE(ALL(self)), MPI_Intercomm_merge, self->handle, 0, &both);
    if (!rc) rc = adopt_errors(both);
    if (!rc) LOCAL(rc, MPI_Comm_rank, both, &context->place);
    if (!rc) context->hidden = both;
    return rc;
}

static int make_hidden(Context *context, MPI_Comm comm)
{
    if ((context->size == 1 && context->remote_size < 0) || context->hidden != MPI_COMM_NULL || context->making != MPI_REQUEST_NULL) return 0;
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

static void free_requests(const Exchange *e) { if (e->work.requests != e->few) free(e->work.requests); }

/* room for so many requests more, all null */
static int more_requests(Exchange *e, int n)
{
    free_requests(e);
    e->work.nrequests = 0;
    e->work.requests = n <= 2 * (FEW - 1) ? e->few : malloc((size_t)n * sizeof(MPI_Request));
    for (int i = 0; e->work.requests && i < n; i++) e->work.requests[i] = MPI_REQUEST_NULL;
    return e->work.requests ? 0 : MPI_ERR_NO_MEM;
}

/* The tag of an edge between neighbors: a grid of two has two edges between the same ranks, one in each direction.
 * Elsewhere those of two ranks are told apart by their order. */
static int tag_of(const Exchange *e, int up) { return e->grid ? e->tag + NUMBERS * (3 + (up & 1)) : e->tag; }

/* the outgoing edge that is the i-th incoming one, where both lead from here to here */
static int own_edge(const Exchange *e, int i)
{
    int before = 0, k = -1;
    if (e->grid) return i ^ 1;
    for (int j = 0; j <= i; j++) before += e->sources.at[j] == e->rank;
    while (before) before -= e->destinations.at[++k] == e->rank;
    return k;
}

static int exchange_with_neighbors(Exchange *e)
{
    const MPI_Comm comm = e->work.context->hidden;
    int rc = more_requests(e, e->sources.count + e->destinations.count);
    MPI_Request *request = e->work.requests;
    e->stage = DIRECT;
    for (int i = 0; i < e->sources.count && !rc; i++) {
        int source = e->sources.at[i];
        if (source == e->rank) e->incoming[i] = *slot_for(e, own_edge(e, i));
        else if (source >= 0) rc = MPI_Irecv(&e->incoming[i], sizeof(Slot), MPI_BYTE, source, tag_of(e, i ^ 1), comm, request++);
    }
    for (int i = 0; i < e->destinations.count && !rc; i++) {
        const Slot *slot = slot_for(e, i);
        int dest = e->destinations.at[i], bytes = (int)offsetof(Slot, data) + slot->length;
        if (dest >= 0 && dest != e->rank) rc = MPI_Isend(slot, bytes, MPI_BYTE, dest, tag_of(e, i), comm, request++);
    }
    e->work.nrequests = (int)(request - e->work.requests);
    return rc;
}

/* The ranks of a binomial tree around the root: from whom a broadcast comes, and to whom it goes on. Slots of few ranks: all from the root. */
static int parent(const Exchange *e, int flat)
{
    int me = (e->rank - e->root + e->size) % e->size;
    return flat ? e->root : ((me & (me - 1)) + e->root) % e->size;
}

static int child(const Exchange *e, int flat, int i)    /* -1: no more; the largest subtree first */
{
    int me = (e->rank - e->root + e->size) % e->size, mask = 1, n = 0;
    if (flat) return me || i + 1 >= e->size ? -1 : (i + 1 + e->root) % e->size;
    while (mask < e->size && !(me & mask)) mask <<= 1;
    for (mask >>= 1; mask; mask >>= 1)
        if (me + mask < e->size && n++ == i) return (me + mask + e->root) % e->size;
    return -1;
}

static int count_children(const Exchange *e, int flat)
{
    int n = 0;
    while (child(e, flat, n) >= 0) n++;
    return n;
}

/* the broadcast's slot, which is here now, to the children */
static int pass_on(Exchange *e)
{
    const int flat = e->size <= FEW, children = count_children(e, flat);
    int rc = more_requests(e, children);
    for (int i = 0; i < children && !rc; i++)
        rc = MPI_Isend(e->incoming, (int)offsetof(Slot, data) + e->incoming->length, MPI_BYTE, child(e, flat, i), e->tag, e->work.context->hidden, &e->work.requests[i]);
    e->work.nrequests = children;
    e->stage = PASSING;
    return rc;
}

static int send_down(Exchange *e)
{
    if (e->rank == e->root) *e->incoming = *e->outgoing;
    if (e->rank == e->root) return pass_on(e);
    int rc = more_requests(e, 1);
    e->work.nrequests = 1;
    e->stage = DIRECT;
    return rc ? rc : MPI_Irecv(e->incoming, sizeof(Slot), MPI_BYTE, parent(e, e->size <= FEW), e->tag, e->work.context->hidden, e->work.requests);
}

static int has_rounds(const Exchange *e) { return e->size > FEW && e->size <= MANY && (e->kind == BARRIER || e->kind == ITEMS); }

static char *item_of(const Exchange *e, int rank)       /* in rounds: items lie in the order of ranks from this one on */
{
    return e->distance ? (char *)e->incoming + (rank - e->rank + e->size) % e->size * e->items.bytes : (char *)&e->incoming[rank];
}

/* get what the rank at that distance has, and give what this one has to the rank at that distance below */
static int next_round(Exchange *e)
{
    const MPI_Comm comm = e->work.context->hidden;
    const int left = e->size - e->distance, bytes = e->items.bytes * (left < e->distance ? left : e->distance);
    const int above = (e->rank + e->distance) % e->size, below = (e->rank - e->distance + e->size) % e->size;
    int rc = more_requests(e, 2);
    e->work.nrequests = 2;
    if (!rc) rc = MPI_Irecv(item_of(e, above), bytes, MPI_BYTE, above, e->tag, comm, &e->work.requests[0]);
    if (!rc) rc = MPI_Isend(item_of(e, e->rank), bytes, MPI_BYTE, below, e->tag, comm, &e->work.requests[1]);
    e->distance *= 2;
    return rc;
}

static int begin_rounds(Exchange *e)
{
    e->stage = DIRECT;
    e->distance = 1;
    if (e->kind == ITEMS) memcpy(item_of(e, e->rank), e->outgoing, (size_t)e->items.bytes);
    return next_round(e);
}

/* to each other, without a collective */
static int send_slots(Exchange *e)
{
    if (e->neighbors) return exchange_with_neighbors(e);
    if (e->kind == BCAST) return send_down(e);
    if (has_rounds(e)) return begin_rounds(e);
    const MPI_Comm comm = e->work.context->hidden;
    int rc = more_requests(e, 2 * (e->size - 1));
    MPI_Request *request = e->work.requests;
    e->stage = DIRECT;
    if (sends(e, e->rank)) *slot_from(e, e->rank) = *slot_for(e, e->rank);
    for (int i = 0; i < e->size && !rc; i++)
        if (i != e->rank && sends(e, i)) rc = MPI_Irecv(slot_from(e, i), sizeof(Slot), MPI_BYTE, i, e->tag, comm, request++);
    for (int i = 0; i < e->size && !rc && sends(e, e->rank); i++) {
        const Slot *slot = slot_for(e, i);
        int bytes = e->kind == ITEMS ? e->items.bytes : (int)offsetof(Slot, data) + slot->length;
        if (i != e->rank) rc = MPI_Isend(slot, bytes, MPI_BYTE, i, e->tag, comm, request++);
    }
    e->work.nrequests = (int)(request - e->work.requests);
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
    const int few = e->neighbors || (e->size > 1 && (e->size <= FEW || e->kind == BCAST || has_rounds(e)));
    /* awaited at once: who leaves after this call might never come to a next one, and Disconnect waits for it elsewhere */
    int rc = e->neighbors || (few && !e->nonblocking && before >= REPEATEDLY) ? make_hidden(context, e->comm) : 0;
    e->tag = (int)(before % NUMBERS);
    if (rc) return rc;
    if (few && context->making != MPI_REQUEST_NULL) { e->stage = AWAITING; return 0; }
    if (e->neighbors || (few && context->hidden != MPI_COMM_NULL)) return send_slots(e);
    const int needed = e->kind == ALLTOALL || (e->nonblocking && e->kind < BARRIER);
    rc = needed ? make_hidden(context, e->comm) : 0;
    return rc ? rc : collect_slots(e);
}

/* --- the pieces ------------------------------------------------------------------------------------------- */

/* the rank whose object an incoming slot holds */
static int origin(const Exchange *e, int i) { return e->neighbors ? e->sources.at[i] : is_from_root(e) ? e->root : i; }

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

static int is_peer(const Exchange *e, int rank) { return rank != e->rank && rank >= e->low && rank < e->low + e->peers; }

/* do pieces of incoming slot i come to this rank? */
static int comes(const Exchange *e, int i)
{
    return is_peer(e, origin(e, i)) && !(e->incoming[i].flags & FAILED) && (e->from == ALL_OF_THEM || e->from == origin(e, i));
}

/* The i-th rank to send pieces to, or NOBODY. Each rank begins with another, so that none is flooded. */
static int target(const Exchange *e, int i)
{
    int peer = e->neighbors ? e->destinations.at[i] : (e->rank + i) % e->size;
    return is_peer(e, peer) && (e->to == ALL_OF_THEM || e->to == peer) ? peer : NOBODY;
}

static int targets(const Exchange *e) { return e->kind == BCAST ? 0 : e->neighbors ? e->destinations.count : e->size; }

/* what goes to the i-th */
static const Parcel *parcel_for(const Exchange *e, int i)
{
    return &e->parcels[!is_one_to_each(e) ? 0 : e->neighbors ? i : (e->rank + i) % e->size];
}

static int post_parts(Exchange *e, const Part *parts, int n, int source, int tag)
{
    int rc = 0;
    for (int i = 0; i < n && !rc; i++) {
        rc = receive_piece(&parts[i], source, tag, e->work.context->hidden, e->work.requests + e->work.nrequests);
        e->work.nrequests += chunks_of(parts[i].bytes);
    }
    return rc;
}

static int post_pieces(Exchange *e, const Piece *pieces, int n, int dest, int tag)
{
    MPI_Request *requests = e->work.requests + e->work.nrequests;
    e->work.nrequests += messages_of(pieces, n);        /* what was not posted is null */
    return send_pieces(pieces, n, dest, tag, e->work.context->hidden, requests);
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

/* the broadcast's pieces, which are here now, to the children */
static int forward(Exchange *e)
{
    const int children = count_children(e, 0);
    int rc;
    const Parcel *own = e->rank == e->root ? e->parcels : NULL;
    int n = own ? own->npieces : e->nparts[0];
    Piece *pieces = malloc((size_t)n * sizeof *pieces);
    if (!pieces) return MPI_ERR_NO_MEM;
    for (int i = 0; i < n; i++) pieces[i] = own ? own->pieces[i] : (Piece){e->parts[0][i].data, e->parts[0][i].bytes};
    rc = more_requests(e, messages_of(pieces, n) * children);
    for (int i = 0; i < children && !rc; i++) rc = post_pieces(e, pieces, n, child(e, 0, i), e->tag);
    free(pieces);
    e->stage = FORWARDING;
    return rc;
}

/* receives and sends at once */
static int move(Exchange *e)
{
    int messages = 0, rc = make_room(e, &messages);
    for (int i = 0; i < targets(e); i++)
        if (target(e, i) != NOBODY) messages += messages_of(parcel_for(e, i)->pieces, parcel_for(e, i)->npieces);
    if (!rc) rc = more_requests(e, messages);
    for (int i = 0; i < e->nincoming && !rc; i++)
        rc = post_parts(e, e->parts[i], e->nparts[i], e->kind == BCAST ? parent(e, 0) : origin(e, i), tag_of(e, i ^ 1));
    for (int i = 0; i < targets(e) && !rc; i++)
        if (target(e, i) != NOBODY) rc = post_pieces(e, parcel_for(e, i)->pieces, parcel_for(e, i)->npieces, target(e, i), tag_of(e, i));
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
    while (e->stage != SLOTTED) {
        if (!test_requests(&e->work)) return 0;
        if (e->work.rc) return 1;
        if (e->kind == BCAST && e->stage == DIRECT) e->work.rc = pass_on(e);
        else if (e->distance && e->distance < e->size) e->work.rc = next_round(e);
        else return 1;
        if (e->work.rc) return 1;
    }
    e->work.rc = MPI_Test(&e->first, &done, MPI_STATUS_IGNORE);
    return done || e->work.rc;
}

/* with the slots, for all ranks: neighbors do not know of others' neighbors */
static int is_over(const Exchange *e)
{
    return !e->neighbors && (e->kind == BARRIER || e->kind == ITEMS || failed_slot(e) >= 0 || !any_pieces(e));
}

/* All objects are here. What may fail is combined now, so that the ranks can agree on it. */
static int have_objects_come(Exchange *e)
{
    int risky = 0;
    for (int i = 0; e->op && i < e->nincoming; i++) risky |= e->incoming[i].flags & RISKY;
    if (!risky || e->work.rc || e->size == 1 || failed_slot(e) >= 0) return 1;
    *e->outgoing = (Slot){0};
    e->stage = COMBINING;
    want_to_think(&e->work, combine_objects);
    return 0;
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
    case DIRECT: case PASSING: case SLOTTED:
        if (!have_slots_come(e)) return 0;
        if (work->rc || e->size == 1 || is_over(e)) return have_objects_come(e);
        e->stage = context->hidden == MPI_COMM_NULL && context->making == MPI_REQUEST_NULL ? WANTING : HIDDEN;
        if (e->stage == WANTING) return 0;
        /* fall through */
    case HIDDEN:
        if (!is_duplicated(e)) return work->rc != 0;
        if ((work->rc = move(e))) return 1;
        /* fall through */
    case MOVING: case FORWARDING:
        if (!test_requests(work)) return 0;
        if (work->rc || e->kind != BCAST || e->stage == FORWARDING) return have_objects_come(e);
        work->rc = forward(e);
        return work->rc || test_requests(work);
    case COMBINING:
        if (is_thinking(work)) return 0;
        if (!is_duplicated(e)) return work->rc != 0;
        e->tag += NUMBERS;
        if ((work->rc = send_slots(e))) return 1;
        e->stage = AGREEING;
        /* fall through */
    case AGREEING: return test_requests(work);
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
    if (origin(e, i) == e->rank && e->noutgoing) return unpack_own(e, slot, &e->parcels[!is_one_to_each(e) ? 0 : e->neighbors ? own_edge(e, i) : e->rank]);
    return unpack(e->work.serializer, slot->data, slot->length, e->parts[i], e->nparts[i]);
}

static PyObject *unpack_all(const Exchange *e)
{
    const int n = e->neighbors ? e->nincoming : e->peers;
    PyObject *list = PyList_New(n);
    for (int i = 0; list && i < n; i++) {
        PyObject *object = unpack_slot(e, e->low + i);
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

/* With the GIL: combine, or say to all why it failed. */
static void combine_objects(Work *work)
{
    Exchange *e = (Exchange *)work;
    PyObject *list = unpack_all(e);
    e->combined = list ? fold(list, e->op) : NULL;
    if (!e->combined) fail(e);
}

/* in the order of ranks; MPI has done it, unless the items were exchanged */
static PyObject *combined(const Exchange *e)
{
    const Items *items = &e->items;
    int rank = e->stage == DIRECT ? e->size - 1 : 0;
    char *last = item_of(e, rank);
    while (rank-- > 0) items->combine(item_of(e, rank), last);
    memcpy(items->item, last, (size_t)items->bytes);
    Py_RETURN_NONE;
}

/* the rank in its own group of one where slots travel */
static int in_group(const Exchange *e, int rank)
{
    if (rank >= e->low && rank < e->low + e->peers) return rank - e->low;
    return e->low ? rank : rank - e->peers;
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
    if (failed >= 0 && !MUTANT(no_remote_error)) return raise_remote(in_group(e, origin(e, failed)), e->incoming[failed].data, e->incoming[failed].length);
    if (e->kind == BCAST && e->rank == e->root) return Py_NewRef(e->object);
    if (e->from == NOBODY) Py_RETURN_NONE;
    if (e->from != ALL_OF_THEM) return unpack_slot(e, is_from_root(e) ? 0 : e->from);
    if (e->combined) return Py_NewRef(e->combined);
    PyObject *list = unpack_all(e);
    return list && e->op ? fold(list, e->op) : list;
}

static void release_exchange(Work *work)
{
    Exchange *e = (Exchange *)work;
    for (int i = 0; i < e->noutgoing; i++) free_frame(e->frames[i]);
    for (int i = 0; i < e->nincoming; i++) free_parts(e->parts[i], e->nparts[i]);
    free_requests(e);
    free_frame(e->neighbors);
    Py_XDECREF(e->object);
    Py_XDECREF(e->op);
    Py_XDECREF(e->combined);
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

/* ranks that can be named as root here: those of the other group, where there is one */
static int is_root_name(const Comm *self, int root)
{
    const Context *c = self->context;
    return is_inter(self) ? root == MPI_ROOT || root == MPI_PROC_NULL || (root >= 0 && root < c->remote_size) : root >= 0 && root < c->size;
}

int check_objects(Comm *self, const char *name, int root)
{
    if (usable(self)) return RAISED;
    if (!is_root_name(self, root)) return MPI_ERR_ROOT;
    int rc = join_groups(self);
    return rc || !self->context->locks ? rc : note_use(self->context, name);
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
    if (e->to != NOBODY && (is_one_to_each(e) ? pack_items(e, m->name, object) : pack_slot(e, 0, object))) fail(e);
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
COLLECTIVE(neighbor_allgather, ineighbor_allgather, NEAR, 0, Neighbor_allgather, "sendobj", "Send an object to all neighbors; return a list of what came from each.")
COLLECTIVE(neighbor_alltoall, ineighbor_alltoall, NEARBY, 0, Neighbor_alltoall, "sendobj", "Send an item of a sequence to each neighbor; return a list of what came from each.")
COLLECTIVE(alltoall, ialltoall, ALLTOALL, 0, Alltoall, "sendobj", "Send an item of a sequence to each rank; return a list of what came from each.")

/* Predefined operations on numbers fail on all ranks or on none. */
static int may_fail(PyObject *op, PyObject *object)
{
    const PyTypeObject *type = Py_TYPE(object);
    const int is_number = type == &PyLong_Type || type == &PyFloat_Type || type == &PyBool_Type || type == &PyComplex_Type;
    return !is_number || !PyObject_TypeCheck(op, OpType) || ((Op *)op)->function;
}

METHOD(Comm, iallreduce, "sendobj, op=SUM, commute=False", "Start to: Combine an object of each rank, in rank order; request.wait() returns the result, or raises what went wrong, on all ranks.")
{
    PyObject *object, *op = NULL, *commute = NULL;
    Request *r = new_request(new_frame());
    int rc = !r || PARSE(r->frame, to_object, &object, to_object, &op, to_object, &commute) || to_function(r->frame, &op) ? RAISED : check_objects(self, "allreduce", 0);
    Exchange *e = rc ? NULL : new_exchange(self, ALLGATHER, 0, 1);
    if (!e) return started(r, rc ? rc : RAISED);
    e->op = Py_NewRef(op);
    if (pack_slot(e, 0, object)) fail(e);
    else if (may_fail(op, object)) e->outgoing->flags = RISKY;
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
    int rc = usable(self) ? RAISED : join_groups(self);
    if (!rc) rc = enter(&door, OP_MPI_Comm_idup, NOTE(ON(self)));
    if (rc) return finish(NULL, rc);
    rc = make_hidden(self->context, self->handle);
    if (!rc) rc = poll_until(&door, test_hidden, self->context);
    leave(&door, rc, NULL);
    return rc ? finish(NULL, rc) : hidden_comm(self->context);
}

PyMethodDef object_functions[] = {ROW_(module, _comm_lock_table, 0), END_OF_ROWS};
PyMethodDef object_collective_methods[] = {
#define BOTH(name) ROW(Comm, name), ROW(Comm, i##name)
    BOTH(bcast), BOTH(gather), BOTH(scatter), BOTH(allgather), BOTH(alltoall), ROW0(Comm, barrier), ROW0(Comm, ibarrier), ROW(Comm, iallreduce),
    ROW0(Comm, _hidden), END_OF_ROWS};
PyMethodDef object_neighbor_methods[] = {BOTH(neighbor_allgather), BOTH(neighbor_alltoall), END_OF_ROWS};
