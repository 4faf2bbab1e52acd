/* Objects from one process to another: any size, one message, or one and a piece for each large buffer.
 *
 * Pieces travel on tags reserved at the top of the tag space. A send that has pieces takes one of them until its first
 * message is received, and names it there: so the pieces of two sends never meet, in whatever order they are received.
 * A receive matches by probe, takes the first message, and posts its pieces under the same lock. A probe for any tag
 * that meets a piece has met one whose first message is matched, but not yet received: it is kept as a stray. */
#include "core.h"
#include <limits.h>
#include <stdlib.h>

static int piece_base = INT_MAX;        /* the first reserved tag */

int prepare_objects(MPI_Comm comm)
{
    int *most = NULL, found = 0;
    if (piece_base != INT_MAX) return 0;
    if (check(MPI_Comm_get_attr(comm, MPI_TAG_UB, &most, &found))) return -1;
    piece_base = (found ? *most : 32767) - SLOTS + 1;
    return 0;
}

/* an object's tag: not a reserved one */
static int check_tag(int tag) { return tag >= piece_base ? MPI_ERR_TAG : 0; }

/* --- pieces ----------------------------------------------------------------------------------------------- */

int chunks_of(MPI_Count bytes) { return bytes ? (int)((bytes + CHUNK - 1) / CHUNK) : 1; }

static int chunk(MPI_Count bytes, MPI_Count at) { return (int)(bytes - at < CHUNK ? bytes - at : CHUNK); }

int messages_of(const Piece *pieces, int n)
{
    int messages = 0;
    for (int i = 0; i < n; i++) messages += chunks_of(pieces[i].bytes);
    return messages;
}

static int send_piece(const Piece *piece, int dest, int tag, MPI_Comm comm, MPI_Request *requests)
{
    MPI_Count at = 0;
    int rc = 0;
    do {
        rc = MPI_Isend((const char *)piece->addr + at, chunk(piece->bytes, at), MPI_BYTE, dest, tag, comm, requests++);
        at += CHUNK;
    } while (!rc && at < piece->bytes);
    return rc;
}

int send_pieces(const Piece *pieces, int n, int dest, int tag, MPI_Comm comm, MPI_Request *requests)
{
    int rc = 0;
    for (int i = 0; i < n && !rc; requests += chunks_of(pieces[i++].bytes)) rc = send_piece(&pieces[i], dest, tag, comm, requests);
    return rc;
}

int receive_piece(const Part *part, int source, int tag, MPI_Comm comm, MPI_Request *requests)
{
    MPI_Count at = 0;
    int rc = 0;
    do {
        rc = MPI_Irecv(part->data + at, chunk(part->bytes, at), MPI_BYTE, source, tag, comm, requests++);
        at += CHUNK;
    } while (!rc && at < part->bytes);
    return rc;
}

void free_parts(Part *parts, int n)
{
    for (int i = 0; parts && i < n; i++) give_memory(parts[i].addr, (size_t)parts[i].bytes);
    free(parts);
}

Part *new_parts(const MPI_Count *lengths, int n)
{
    Part *parts = calloc((size_t)n + 1, sizeof *parts);
    for (int i = 0; parts && i < n; i++) {
        parts[i].bytes = lengths[i];
        parts[i].data = parts[i].addr = get_memory((size_t)lengths[i]);
        if (!parts[i].addr) { free_parts(parts, i); return NULL; }
    }
    return parts;
}

/* tags in use, a bit each; taken from the lowest, which other ranks' sends use too: only those of one pair must differ */
static int take_slot(Context *context)
{
    for (int i = 0; i < SLOTS; i++) {
        uint64_t bit = UINT64_C(1) << i % 64, *word = &context->slots[i / 64];
        if (*word == UINT64_MAX) i |= 63;
        else if (!(*word & bit) && !(__atomic_fetch_or(word, bit, __ATOMIC_ACQ_REL) & bit)) return i;
    }
    return -1;
}

static void give_slot(Context *context, int slot)
{
    __atomic_fetch_and(&context->slots[slot / 64], ~(UINT64_C(1) << slot % 64), __ATOMIC_ACQ_REL);
}

/* --- strays ----------------------------------------------------------------------------------------------- */

typedef struct Stray {                  /* a piece that a probe met; under the lock of works */
    struct Stray *next;
    Context *context;
    int source, tag;
    char *data, *to;
    MPI_Count bytes;
    MPI_Request request;
} Stray;
static Stray *strays;

static int keep_stray(Context *context, MPI_Message *message, const MPI_Status *status)
{
    Stray *stray = calloc(1, sizeof *stray), **at = &strays;
    MPI_Count bytes = status_bytes(status);
    if (!stray || !(stray->data = get_memory((size_t)bytes))) { free(stray); return MPI_ERR_NO_MEM; }
    stray->context = context;
    stray->source = status->MPI_SOURCE;
    stray->tag = status->MPI_TAG;
    stray->bytes = bytes;
    while (*at) at = &(*at)->next;
    *at = stray;
    return MPI_Imrecv(stray->data, (int)bytes, MPI_BYTE, message, &stray->request);
}

/* where the first of these is linked in; there is NULL if there is none */
static Stray **find_stray(const Context *context, int source, int tag)
{
    Stray **at = &strays;
    while (*at && ((*at)->context != context || (*at)->source != source || (*at)->tag != tag)) at = &(*at)->next;
    return at;
}

static Stray *take_stray(const Context *context, int source, int tag)
{
    Stray **at = find_stray(context, source, tag), *stray = *at;
    if (stray) *at = stray->next;
    return stray;
}

static int look(MPI_Comm comm, int source, int tag, MPI_Message *message, MPI_Status *status, int *found)
{
    return message ? MPI_Improbe(source, tag, comm, found, message, status) : MPI_Iprobe(source, tag, comm, found, status);
}

/* the same, locked; pieces in the way are kept */
static int look_behind(Context *context, MPI_Comm comm, int source, int tag, MPI_Message *message, MPI_Status *status, int *found)
{
    for (;;) {
        int rc = look(comm, source, tag, message, status, found);
        if (rc || !*found || tag != MPI_ANY_TAG || status->MPI_TAG < piece_base) return rc;
        MPI_Message piece = message ? *message : MPI_MESSAGE_NULL;
        if (!message && ((rc = MPI_Improbe(status->MPI_SOURCE, status->MPI_TAG, comm, found, &piece, status)) || !*found)) return rc;
        if ((rc = keep_stray(context, &piece, status))) return rc;
    }
}

/* --- receiving -------------------------------------------------------------------------------------------- */

enum { UNMATCHED, HEAD, CLAIMED, PIECES };
enum { TRUSTED = 1 << 30 };             /* bytes that a first message may claim before a piece of them was seen */
typedef struct {
    Work work;
    MPI_Comm comm;
    int source, tag, stage;
    int behind;                         /* an earlier receive might want the same message */
    Frame *frame;                       /* holds what to receive into */
    Place place;
    int placed;                         /* it came right there */
    int typed;                          /* no object: the first message comes into the buffer, and is all */
    Buffer buffer;
    char *head;                         /* the first message */
    MPI_Count bytes;
    int n, nstrays;
    Part *parts;
    MPI_Request first;
    Stray **strays;                     /* to be copied at the end */
    char room[768];                     /* for small first messages */
} Receiving;

static int matches(const Receiving *r, int source, int tag)
{
    return (r->source == MPI_ANY_SOURCE || source == MPI_ANY_SOURCE || r->source == source) &&
           (r->tag == MPI_ANY_TAG || tag == MPI_ANY_TAG || r->tag == tag);
}

static int advance_receive(Work *);

/* the first receive listed before that work that waits for such a message */
static Receiving *earlier(const Work *work, MPI_Comm comm, int source, int tag)
{
    for (Work *w = works; w && w != work; w = w->next) {
        Receiving *other = (Receiving *)w;
        if (w->advance == advance_receive && other->stage == UNMATCHED && other->comm == comm && matches(other, source, tag)) return other;
    }
    return NULL;
}

static int post_piece(Receiving *r, const Part *part, int tag)
{
    MPI_Request *request = r->work.requests + r->work.nrequests;
    int rc = 0, n = chunks_of(part->bytes);
    for (int i = 0; i < n && !rc; i++) {                /* strays come first, and only these were sent before */
        Part rest = {.data = part->data + (MPI_Count)i * CHUNK, .bytes = part->bytes - (MPI_Count)i * CHUNK};
        Stray *stray = take_stray(r->work.context, r->work.status.MPI_SOURCE, tag);
        if (!stray) { rc = receive_piece(&rest, r->work.status.MPI_SOURCE, tag, r->comm, request + i); break; }
        stray->to = rest.data;
        request[i] = stray->request;
        r->strays[r->nstrays++] = stray;
    }
    r->work.nrequests += n;
    return rc;
}

/* memory for the pieces, or the place that waits for the only one; how many messages they take */
static int make_room(Receiving *r, const MPI_Count *lengths)
{
    int messages = 0;
    r->placed = r->n == 1 && lengths[0] == r->place.length && fits(&r->place, r->head, (size_t)r->bytes) != NULL;
    r->parts = r->placed ? calloc(1, sizeof *r->parts) : new_parts(lengths, r->n);
    for (int i = 0; i < r->n; i++) messages += chunks_of(lengths[i]);
    r->work.requests = malloc((size_t)messages * sizeof(MPI_Request));
    r->strays = calloc((size_t)messages, sizeof *r->strays);
    if (!r->parts || !r->work.requests || !r->strays) return MPI_ERR_NO_MEM;
    if (r->placed) *r->parts = (Part){.data = r->place.addr, .bytes = lengths[0]};
    return 0;
}

/* is there something behind this claim? */
static int believe(const Receiving *r, MPI_Count bytes, int tag, int *credible)
{
    MPI_Status status;
    int source = r->work.status.MPI_SOURCE;
    *credible = bytes <= TRUSTED || *find_stray(r->work.context, source, tag) != NULL;
    return *credible ? 0 : MPI_Iprobe(source, tag, r->comm, credible, &status);
}

/* The first message is there: post what follows. */
static int post_pieces(Receiving *r)
{
    MPI_Count *lengths, total = r->bytes;
    int slot = 0, credible;
    r->n = pieces_of(r->head, (size_t)r->bytes, &lengths, &slot);
    r->stage = PIECES;
    if (r->n <= 0) { r->n = 0; return 0; }
    int tag = piece_base + slot % SLOTS;
    for (int i = 0; i < r->n; i++) total += lengths[i];
    int rc = believe(r, total, tag, &credible);
    if (!credible) {
        r->stage = CLAIMED;
        r->n = 0;                                       /* no parts yet */
    } else if (!rc)
        rc = make_room(r, lengths);
    for (int i = 0; i < r->n && !rc; i++) rc = post_piece(r, &r->parts[i], tag);
    free(lengths);
    return rc || !credible ? rc : MPI_Status_set_elements_x(&r->work.status, MPI_BYTE, total);
}

/* Receive the first message. A small one is there already and comes at once, and its pieces are posted before the lock is
 * let go: with its end its slot may be used again. A larger one has no pieces. */
static int take_head(Receiving *r, MPI_Message *message)
{
    if (r->typed) { r->stage = HEAD; return PICK_C(MPI_Imrecv, r->buffer.addr, r->buffer.count, r->buffer.type, message, &r->first); }
    r->bytes = status_bytes(&r->work.status);
    r->head = r->bytes <= (MPI_Count)sizeof r->room ? r->room : get_memory((size_t)r->bytes);
    r->stage = HEAD;
    if (!r->head) return MPI_ERR_NO_MEM;
    if (r->bytes <= ROOM) {
        int rc = MPI_Mrecv(r->head, (int)r->bytes, MPI_BYTE, message, &r->work.status);
        return rc ? rc : post_pieces(r);
    }
    if (large_counts) return MPI_Imrecv_c(r->head, r->bytes, MPI_BYTE, message, &r->first);
    return r->bytes > INT_MAX ? MPI_ERR_COUNT : MPI_Imrecv(r->head, (int)r->bytes, MPI_BYTE, message, &r->first);
}

/* Messages go to receives in the order of these. 1: it has its message, and began to receive it. */
static int match(Receiving *r)
{
    MPI_Message message;
    MPI_Status *status = &r->work.status;
    Context *context = r->work.context;
    int found = 0, source = r->source, tag = r->tag;
    if (r->behind && (r->behind = earlier(&r->work, r->comm, source, tag) != NULL)) {
        r->work.rc = look_behind(context, r->comm, source, tag, NULL, status, &found);
        if (r->work.rc || !found) return r->work.rc != 0;
        Receiving *other = earlier(&r->work, r->comm, status->MPI_SOURCE, status->MPI_TAG);
        if (other) { match(other); return 0; }          /* it goes on when it is its turn */
        source = status->MPI_SOURCE;
        tag = status->MPI_TAG;
    }
    r->work.rc = look_behind(context, r->comm, source, tag, &message, status, &found);
    if (!r->work.rc && found) r->work.rc = take_head(r, &message);
    return r->work.rc || found;
}

static int take_pieces(Receiving *r)
{
    if (!test_requests(&r->work)) return 0;
    if (r->work.rc) return 1;
    for (int i = 0; i < r->nstrays; i++) {
        memcpy(r->strays[i]->to, r->strays[i]->data, (size_t)r->strays[i]->bytes);
        give_memory(r->strays[i]->data, (size_t)r->strays[i]->bytes);
        free(r->strays[i]);
    }
    return 1;
}

/* a message that no receive which was there before wants */
static int look_after_receives(Context *context, MPI_Comm comm, int source, int tag, MPI_Message *message, MPI_Status *status, int *found)
{
    for (;;) {
        int rc = look_behind(context, comm, source, tag, NULL, status, found);
        if (rc || !*found) return rc;
        Receiving *other = earlier(NULL, comm, status->MPI_SOURCE, status->MPI_TAG);
        if (other) match(other);
        else return message ? look_behind(context, comm, status->MPI_SOURCE, status->MPI_TAG, message, status, found) : 0;
    }
}

int find_message(Context *context, MPI_Comm comm, int source, int tag, MPI_Message *message, MPI_Status *status, int *found)
{
    if (!context || (tag != MPI_ANY_TAG && !nworks)) return look(comm, source, tag, message, status, found);
    lock_works();
    int rc = nworks ? look_after_receives(context, comm, source, tag, message, status, found)
                    : look_behind(context, comm, source, tag, message, status, found);
    unlock_works();
    return rc;
}

static int advance_receive(Work *work)
{
    Receiving *r = (Receiving *)work;
    int done = 0;
    if (r->stage == UNMATCHED && work->cancelled) return 1;
    if (r->stage == UNMATCHED && !match(r)) return 0;
    work->cancelled = 0;
    if (!work->rc && r->stage == CLAIMED) work->rc = post_pieces(r);
    if (work->rc) return 1;
    if (r->stage == CLAIMED) return 0;
    if (r->stage == PIECES) return take_pieces(r);
    work->rc = MPI_Test(&r->first, &done, &work->status);
    return work->rc || done;
}

static PyObject *received(Work *work)
{
    Receiving *r = (Receiving *)work;
    if (r->typed && bring_back(r->frame)) return NULL;
    if (work->cancelled || r->typed) Py_RETURN_NONE;
    const char *bytes = r->n || !r->place.object ? NULL : fits(&r->place, r->head, (size_t)r->bytes);
    if (bytes) memcpy(r->place.addr, bytes, (size_t)r->place.length);
    if (r->placed || bytes) return Py_NewRef(r->place.object);
    PyObject *object = unpack(work->serializer, r->head, (size_t)r->bytes, r->parts, r->n);
    return object && r->place.object ? put_in_place(object, r->place.object) : object;
}

static void release_receive(Work *work)
{
    Receiving *r = (Receiving *)work;
    if (r->head != r->room) give_memory(r->head, (size_t)r->bytes);
    free_parts(r->parts, r->n);
    free(work->requests);
    free(r->strays);
    free_frame(r->frame);
}

/* takes the frame over, which knows the signature */
static Receiving *new_receive(Context *context, MPI_Comm comm, int source, int tag, Frame *frame, const char *argument, PyObject *place)
{
    Receiving *r = new_work(sizeof *r, context, advance_receive, received, release_receive);
    if (!r || !frame) { if (r) free_work(&r->work); free_frame(frame); return NULL; }
    r->comm = comm;
    r->source = source;
    r->tag = tag;
    r->behind = 1;
    r->first = MPI_REQUEST_NULL;
    r->frame = frame;
    if (place == Py_None || !to_place(frame, argument, place, &r->place)) return r;
    free_work(&r->work);
    return NULL;
}

/* without the GIL: post it, behind those that were there before */
static int finish_receive(Door *door, Receiving *r)
{
    if (nworks) list_work(&r->work);
    else r->behind = 0;
    return finish_work(door, &r->work);
}

/* --- sending ---------------------------------------------------------------------------------------------- */

enum { STANDARD, SYNCHRONOUS, BUFFERED };
typedef struct {
    Work work;
    Frame *frame;                       /* owns what is sent */
    int slot;
} Sending;

static int advance_send(Work *work)
{
    Sending *s = (Sending *)work;
    work->cancelled = 0;                                /* what is sent cannot be taken back */
    if (!test_requests(work)) return 0;
    if (s->slot >= 0) give_slot(work->context, s->slot);
    return 1;
}

static PyObject *sent(Work *work) { (void)work; Py_RETURN_NONE; }

static void release_send(Work *work) { free_frame(((Sending *)work)->frame); }

/* the first message from the stack into the frame, which lives as long as the send */
static int keep_head(Frame *frame, Parcel *p, const char *room)
{
    if (p->head != room || !p->bytes) return 0;
    char *copy = frame_memory(frame, 1, p->bytes);
    if (copy) p->head = memcpy(copy, room, p->bytes);
    return copy ? 0 : RAISED;
}

/* all in one message */
static int pack_whole(Frame *frame, const Context *context, PyObject *object, char *room, Parcel *p)
{
    if (pack(frame, context->serializer, object, &to_buffer_up, room, p)) return RAISED;
    if (p->bytes <= INT_MAX || large_counts) return keep_head(frame, p, room);
    PyErr_Format(PyExc_OverflowError, "an object of %zu bytes does not fit one message: this MPI library has no large-count functions", p->bytes);
    return RAISED;
}

/* Pack an object; what does not fit one message gets a slot, or, when all are in use, goes in one message after all. */
static int pack_to_send(Frame *frame, Context *context, PyObject *object, int dest, int mode, char *room, Parcel *p, int *slot)
{
    *slot = -1;
    *p = (Parcel){.head = room};
    if (dest == MPI_PROC_NULL) return 0;
    if (mode == BUFFERED) return pack_whole(frame, context, object, room, p);
    if (pack(frame, context->serializer, object, &to_send, room, p)) return RAISED;
    if (p->npieces && (*slot = take_slot(context)) < 0) {
        close_frame(frame);
        return pack_whole(frame, context, object, room, p);
    }
    if (p->npieces) set_slot(p, *slot);
    if (!keep_head(frame, p, room)) return 0;
    if (*slot >= 0) give_slot(context, *slot);
    return RAISED;
}

/* takes the frame over */
static Sending *new_send(Context *context, Frame *frame, const Parcel *p, int slot)
{
    Sending *s = new_work(sizeof *s, context, advance_send, sent, release_send);
    if (!s) { if (slot >= 0) give_slot(context, slot); free_frame(frame); return NULL; }
    s->frame = frame;
    s->slot = slot;
    int n = 1 + messages_of(p->pieces, p->npieces);
    s->work.nrequests = n;
    s->work.requests = frame_memory(frame, (size_t)n, sizeof(MPI_Request));
    for (int i = 0; s->work.requests && i < n; i++) s->work.requests[i] = MPI_REQUEST_NULL;
    if (s->work.requests) return s;
    if (slot >= 0) give_slot(context, slot);
    free_work(&s->work);
    return NULL;
}

/* The first message goes synchronously where pieces follow: its end says that its slot is known. */
static int post_send(Sending *s, const Parcel *p, int dest, int tag, int mode, MPI_Comm comm)
{
    MPI_Request *request = s->work.requests;
    int rc = p->npieces || mode == SYNCHRONOUS ? PICK_C(MPI_Issend, p->head, (MPI_Count)p->bytes, MPI_BYTE, dest, tag, comm, request)
                                               : PICK_C(MPI_Isend, p->head, (MPI_Count)p->bytes, MPI_BYTE, dest, tag, comm, request);
    return rc ? rc : send_pieces(p->pieces, p->npieces, dest, piece_base + s->slot, comm, request + 1);
}

typedef struct { PyObject *object; int dest, tag; } Letter;

static int to_letter(Comm *self, Signature *signature, Frame *frame, Letter *letter, ARGS)
{
    *letter = (Letter){NULL, 0, 0};
    return PARSE(frame, to_object, &letter->object, to_int, &letter->dest, to_int, &letter->tag) || usable(self) ? RAISED : check_tag(letter->tag);
}

#define TO_PEER(p, to, with) NOTE(ON(self), .bytes = (p).total, .peer = to, .tag = with)

/* a large one: post all, wait until it is gone */
static int send_large(Comm *self, Frame *frame, int operation, const Parcel *p, const Letter *to, int slot, int mode)
{
    Door door;
    Sending *s = new_send(self->context, frame, p, slot);
    if (!s) return RAISED;
    int rc = enter(&door, operation, TO_PEER(*p, to->dest, to->tag));
    if (rc) { free_work(&s->work); return rc; }
    rc = post_send(s, p, to->dest, to->tag, mode, self->handle);
    if (!rc) rc = finish_work(&door, &s->work);
    leave(&door, rc, NULL);
    if (rc) leave_alone(&s->work);
    else free_work(&s->work);
    return rc;
}

static PyObject *started_large(Comm *self, Request *r, int operation, const Parcel *p, const Letter *to, int slot, int mode)
{
    Door door;
    Sending *s = new_send(self->context, r->frame, p, slot);
    r->frame = NULL;
    if (!s) return started(r, RAISED);
    int rc = enter(&door, operation, TO_PEER(*p, to->dest, to->tag));
    if (rc) { free_work(&s->work); return started(r, rc); }
    rc = post_send(s, p, to->dest, to->tag, mode, self->handle);
    return started_work(r, &door, &s->work, rc, leave_alone);
}

/* three modes, blocking and nonblocking */
#define SENDING(name, iname, mpi, impi, DOOR, mode, doc)                                                  \
    METHOD(Comm, name, "obj, dest, tag=0", doc " Return when it has left; it may be changed then.")      \
    {                                                                                                     \
        Letter to; Parcel p; char room[ROOM]; int slot;                                                   \
        Frame *frame = new_frame();                                                                       \
        int rc = !frame ? RAISED : to_letter(self, signature, frame, &to, args, nargs, kwnames);          \
        if (!rc) rc = pack_to_send(frame, self->context, to.object, to.dest, mode, room, &p, &slot);      \
        if (!rc && p.npieces) return finish(NULL, send_large(self, frame, OP_##mpi, &p, &to, slot, mode));\
        if (!rc)                                                                                          \
            DOOR(rc, frame, TO_PEER(p, to.dest, to.tag), mpi, impi, weight_of(self->context, to.dest, p.total),      \
                 p.head, (MPI_Count)p.bytes, MPI_BYTE, to.dest, to.tag, self->handle);                     \
        return finish_heap(frame, rc);                                                                    \
    }                                                                                                     \
    METHOD(Comm, iname, "obj, dest, tag=0", "Start to: " doc " It must not be changed until the request is done.") \
    {                                                                                                     \
        Letter to; Parcel p; char room[ROOM]; int slot;                                                   \
        Request *r = new_request(new_frame());                                                            \
        int rc = !r ? RAISED : to_letter(self, signature, r->frame, &to, args, nargs, kwnames);           \
        if (!rc) rc = pack_to_send(r->frame, self->context, to.object, to.dest, mode, room, &p, &slot);   \
        if (!rc && p.npieces) return started_large(self, r, OP_##impi, &p, &to, slot, mode);              \
        if (!rc)                                                                                          \
            CALL_C(rc, TO_PEER(p, to.dest, to.tag), impi, p.head, (MPI_Count)p.bytes, MPI_BYTE, to.dest, to.tag, self->handle, &r->handle); \
        return started(r, rc);                                                                            \
    }

SENDING(send, isend, MPI_Send, MPI_Isend, SEND_C, STANDARD, "Send an object.")
SENDING(ssend, issend, MPI_Ssend, MPI_Issend, SYNCHRONOUS_C, SYNCHRONOUS, "Send an object; synchronous: its receive has begun when this ends.")
SENDING(bsend, ibsend, MPI_Bsend, MPI_Ibsend, SEND_C, BUFFERED, "Send an object through the attached buffer, all of it in one message.")

/* --- receiving, for users --------------------------------------------------------------------------------- */

/* buf=10 or buf=bytearray(n) said elsewhere how large an object may get */
static int is_size(PyObject *buf) { return PyLong_Check(buf) || PyByteArray_CheckExact(buf); }

static int warn_of_size(PyObject **buf)
{
    if (!is_size(*buf)) return 0;
    *buf = Py_None;
    return PyErr_WarnEx(PyExc_UserWarning, "recv: no size is needed, an object of any size is received; give an array to receive into it", 1);
}

METHOD(Comm, recv, "buf=None, source=ANY_SOURCE, tag=ANY_TAG, status=None",
       "Receive an object of any size. An array that equals `buf` in shape and dtype is received into it, and `buf` returned.")
{
    PyObject *buf = Py_None; Status *status = NULL; int source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG; Door door;
    Frame *frame = new_frame();
    if (!frame) return NULL;
    int rc = PARSE(frame, to_object, &buf, to_int, &source, to_int, &tag, to_status, &status) || usable(self) || warn_of_size(&buf) ? RAISED : check_tag(tag);
    if (rc) return finish_heap(frame, rc);
    Receiving *r = new_receive(self->context, self->handle, source, tag, frame, "buf", buf);
    if (!r) return NULL;
    if (enter(&door, OP_MPI_Recv, NOTE(ON(self), .peer = source, .tag = tag))) { free_work(&r->work); return NULL; }
    rc = finish_receive(&door, r);
    leave(&door, rc, &r->work.status);
    return conclude(&r->work, rc, status);
}

static int take_message(Receiving *r, MPI_Message *message)
{
    lock_works();
    int rc = take_head(r, message);
    unlock_works();
    return rc;
}

/* a receive that its request waits for; of a message, or of what is to be matched */
static PyObject *started_receive(Request *r, int operation, const Note *note, Receiving *receive, MPI_Message *message)
{
    Door door;
    r->frame = NULL;
    if (!receive) return started(r, RAISED);
    int rc = enter(&door, operation, note);
    if (rc) { free_work(&receive->work); return started(r, rc); }
    if (message) rc = take_message(receive, message);
    return started_work(r, &door, &receive->work, rc, free_work);
}

PyObject *irecv_from_anybody(Comm *self, Request *r, const Buffer *m, int tag, const Note *note)
{
    Receiving *receive = new_receive(self->context, self->handle, MPI_ANY_SOURCE, tag, r->frame, "buf", Py_None);
    if (receive) { receive->typed = 1; receive->buffer = *m; }
    return started_receive(r, OP_MPI_Irecv, note, receive, NULL);
}

METHOD(Comm, irecv, "buf=None, source=ANY_SOURCE, tag=ANY_TAG", "Start to receive an object of any size; request.wait() returns it.")
{
    PyObject *buf = Py_None; int source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG;
    Request *r = new_request(new_frame());
    if (!r) return NULL;
    int rc = PARSE(r->frame, to_object, &buf, to_int, &source, to_int, &tag) || usable(self) ? RAISED : check_tag(tag);
    if (rc) return started(r, rc);
    Receiving *receive = new_receive(self->context, self->handle, source, tag, r->frame, "buf", is_size(buf) ? Py_None : buf);
    return started_receive(r, OP_MPI_Irecv, NOTE(ON(self), .peer = source, .tag = tag), receive, NULL);
}

typedef struct { Work *send, *receive; } Pair;

static int test_pair(void *pair)
{
    Pair *p = pair;
    int sent = test_work(p->send);
    return test_work(p->receive) && sent;
}

METHOD(Comm, sendrecv, "sendobj, dest, sendtag=0, recvbuf=None, source=ANY_SOURCE, recvtag=ANY_TAG, status=None", "Send an object and receive another at once.")
{
    Letter to = {NULL, 0, 0}; PyObject *buf = Py_None; Status *status = NULL; int source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, slot; Parcel p; char room[ROOM]; Door door;
    Frame *frame = new_frame();
    if (!frame) return NULL;
    int rc = PARSE(frame, to_object, &to.object, to_int, &to.dest, to_int, &to.tag, to_object, &buf, to_int, &source, to_int, &tag, to_status, &status) ||
             usable(self) || warn_of_size(&buf) ? RAISED : check_tag(to.tag > tag ? to.tag : tag);
    if (!rc) rc = pack_to_send(frame, self->context, to.object, to.dest, STANDARD, room, &p, &slot);
    if (rc) return finish_heap(frame, rc);
    Sending *s = new_send(self->context, frame, &p, slot);
    Frame *second = s ? new_frame() : NULL;
    if (second) second->signature = signature;
    Receiving *r = s ? new_receive(self->context, self->handle, source, tag, second, "recvbuf", buf) : NULL;
    if (!r || enter(&door, OP_MPI_Sendrecv, NOTE(ON(self), .bytes = p.total, .peer = to.dest, .tag = to.tag, .from = source == MPI_PROC_NULL ? NONE : source, .from_tag = tag))) {
        if (r) free_work(&r->work);
        if (s) leave_alone(&s->work);
        return NULL;
    }
    if (nworks) list_work(&r->work);
    else r->behind = 0;
    rc = post_send(s, &p, to.dest, to.tag, STANDARD, self->handle);
    Pair pair = {&s->work, &r->work};
    if (!rc && !(rc = poll_until(&door, test_pair, &pair))) rc = s->work.rc ? s->work.rc : r->work.rc;
    leave(&door, rc, &r->work.status);
    if (rc) leave_alone(&s->work);
    else free_work(&s->work);
    return conclude(&r->work, rc, status);
}

/* --- matched messages ------------------------------------------------------------------------------------- */

/* a receive of what a probe took, NULL with an exception if it cannot be */
static Receiving *receive_message(Message *self, Frame *frame)
{
    if (self->handle == MPI_MESSAGE_NO_PROC) self->status = (MPI_Status){.MPI_SOURCE = MPI_PROC_NULL, .MPI_TAG = MPI_ANY_TAG};
    else if (self->handle == MPI_MESSAGE_NULL) PyErr_SetString(MPIError, "this message was received already, or is MESSAGE_NULL");
    else if (!self->context) PyErr_SetString(MPIError, "where this message came from is not known: it was made from a handle");
    if (PyErr_Occurred()) { free_frame(frame); return NULL; }
    Receiving *r = new_receive(self->context, self->comm, self->status.MPI_SOURCE, self->status.MPI_TAG, frame, NULL, Py_None);
    if (r) r->work.status = self->status;
    return r;
}

METHOD(Message, recv, "status=None", "Receive the object that the message brings.")
{
    Status *status = NULL; Door door;
    Frame *frame = new_frame();
    if (!frame) return NULL;
    if (PARSE(frame, to_status, &status)) return finish_heap(frame, RAISED);
    Receiving *r = receive_message(self, frame);
    if (!r) return NULL;
    if (enter(&door, OP_MPI_Mrecv, NOTE(.comm = self->context, .peer = r->source, .tag = r->tag))) { free_work(&r->work); return NULL; }
    MPI_Message handle = self->handle;
    int rc = take_message(r, &handle);
    now_is(self, handle);
    if (!rc) rc = finish_work(&door, &r->work);
    leave(&door, rc, &r->work.status);
    if (recorder && !rc) recorder->started(door.record, self->record);
    return conclude(&r->work, rc, status);
}

METHOD0(Message, irecv, "Start to receive the object that the message brings; request.wait() returns it.")
{
    Request *r = new_request(new_frame());
    Receiving *receive = r ? receive_message(self, r->frame) : NULL;
    if (!r) return NULL;
    MPI_Message handle = self->handle;
    PyObject *request = started_receive(r, OP_MPI_Imrecv, NOTE(.comm = self->context, .peer = self->status.MPI_SOURCE), receive, &handle);
    if (recorder && request) recorder->started(last_record(), self->record);
    now_is(self, handle);
    return request;
}

PyMethodDef object_p2p_methods[] = {
    ROW(Comm, send), ROW(Comm, isend), ROW(Comm, ssend), ROW(Comm, issend), ROW(Comm, bsend), ROW(Comm, ibsend), ROW(Comm, recv), ROW(Comm, irecv),
    ROW(Comm, sendrecv), END_OF_ROWS};
PyMethodDef object_message_methods[] = {ROW(Message, recv), ROW0(Message, irecv), END_OF_ROWS};
