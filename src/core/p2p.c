/* Point-to-point communication (MPI 5.0, chapter 3). */
#include "core.h"
#include <stdlib.h>

#define TO_PEER(m, to, with) NOTE(ON(self), MOVES(m), .peer = to, .tag = with)
#define BOTH_WAYS(m) NOTE(ON(self), MOVES(m), .peer = dest, .tag = sendtag, .from = source == MPI_PROC_NULL ? NONE : source, .from_tag = recvtag)

/* a call that starts a send, or prepares one: `request` is the request to fill */
#define STARTING(name, request, may_copy, doc)                                                                      \
    METHOD(Comm, name, "buf, dest, tag=0", doc)                                                           \
    {                                                                                                     \
        PyObject *buf; Buffer m; int dest, tag = 0, rc = RAISED;                                          \
        Request *r = request;                                                                             \
        signature->copies = may_copy;                                                                     \
        if (!r || PARSE(r->frame, to_object, &buf, to_int, &dest, to_int, &tag) || peer_buffer(r->frame, "buf", buf, TO_READ, dest, &m)) return started(r, rc); \
        CALL_C(rc, TO_PEER(m, dest, tag), MPI_##name, m.addr, m.count, m.type, dest, tag, self->handle, &r->handle); \
        return started(r, rc);                                                                            \
    }

/* the four modes: blocking, nonblocking, persistent; a synchronous send of any size waits without bound */
#define SENDING(name, twin, DOOR, doc)                                                                    \
    METHOD(Comm, name, "buf, dest, tag=0", doc " Return when the buffer may be reused.")                  \
    {                                                                                                     \
        Frame frame; PyObject *buf; Buffer m; int dest, tag = 0;                                          \
        signature->copies = 1;                                                                            \
        int rc = PARSE(&frame, to_object, &buf, to_int, &dest, to_int, &tag) || peer_buffer(&frame, "buf", buf, TO_READ, dest, &m) ? RAISED : 0; \
        if (!rc) DOOR(rc, &frame, TO_PEER(m, dest, tag), MPI_##name, MPI_##twin, weight_of(self->context, dest, m.bytes), \
                      m.addr, m.count, m.type, dest, tag, self->handle);                                  \
        return finish(&frame, rc);                                                                        \
    }                                                                                                     \
    STARTING(twin, new_request(new_frame()), 1, "Start to: " doc " Wait for the request before the buffer is reused.") \
    STARTING(name##_init, new_prequest(), 0, "Prepare to: " doc " Start the request as often as needed.")

SENDING(Send, Isend, SEND_C, "Send a buffer.")
SENDING(Ssend, Issend, SYNCHRONOUS_C, "Send a buffer; synchronous: its receive has begun when this ends.")
SENDING(Bsend, Ibsend, SEND_C, "Send a buffer through the attached one.")
SENDING(Rsend, Irsend, SEND_C, "Send a buffer to a receive that is already posted.")

typedef struct { Context *context; MPI_Comm comm; MPI_Message message; MPI_Status status; int source, tag, found, rc; } Probe;

static Probe probe_for(const Comm *self, int source, int tag)
{
    return (Probe){.context = self->context, .comm = self->handle, .message = MPI_MESSAGE_NULL, .status = empty_status(), .source = source, .tag = tag};
}

static int test_probe(void *probe)
{
    Probe *p = probe;
    if (nworks) advance_works();                        /* receives posted before come first */
    p->rc = find_message(p->context, p->comm, p->source, p->tag, NULL, &p->status, &p->found);
    return p->found || p->rc;
}

static int test_mprobe(void *probe)
{
    Probe *p = probe;
    if (nworks) advance_works();
    p->rc = find_message(p->context, p->comm, p->source, p->tag, &p->message, &p->status, &p->found);
    return p->found || p->rc;
}

/* MPICH loses a message that UCX has brought before a receive from anybody is posted: the data arrives, the request never ends. What
 * a probe matched is received well. */
static int loses_wildcards(void)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING + 1] = ""; int length, size = flight_head()->size;
    const char *netmod = getenv("MPIR_CVAR_CH4_NETMOD"), *apart = getenv("MPIR_CVAR_NOLOCAL"), *here = getenv("MPI_LOCALNRANKS");
    int by_ucx = !MPI_Get_library_version(text, &length) && strstr(text, "ch4:ucx") && !(netmod && strcmp(netmod, "ucx"));
    return by_ucx && size > 1 && (!here || atoi(here) < size || (apart && strcmp(apart, "0")));         /* on one host it does not use UCX */
}

static int is_unsafe(const Comm *self, int source)
{
    static int loses = -1;
    if (source != MPI_ANY_SOURCE || !self->context) return 0;
    if (loses < 0) loses = loses_wildcards();
    return loses;
}

/* what is looked for, if the receive is not posted, and what it will come into */
typedef struct { MPI_Request both[2]; MPI_Status statuses[2]; int done, rc, looking; Probe probe; const Buffer *in; } Pair;

static int test_pair(void *pair)
{
    Pair *p = pair;
    if (p->looking && test_mprobe(&p->probe)) {
        p->looking = 0;
        p->rc = p->probe.rc ? p->probe.rc : PICK_C(MPI_Imrecv, p->in->addr, p->in->count, p->in->type, &p->probe.message, &p->both[0]);
        if (p->rc) return 1;
    }
    p->rc = p->both[1] == MPI_REQUEST_NULL ? MPI_Test(p->both, &p->done, p->statuses) : MPI_Testall(2, p->both, &p->done, p->statuses);
    return (p->done && !p->looking) || p->rc;
}

/* a signal handler raised: the receive is taken back, the send goes on with the frame */
static void abandon(Frame *frame, Pair *p)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    if (p->both[0] != MPI_REQUEST_NULL) cancel_receive(&p->both[0], MPI_STATUS_IGNORE);
    Frame *heap = p->both[1] != MPI_REQUEST_NULL ? evacuate(frame) : NULL;
    if (heap) park(p->both[1], heap);
    PyErr_Restore(type, value, trace);
}

/* Irecv and a send, if there is one, tested together if that may wait, too: like every receive, this may wait without bound */
static int exchange(Frame *frame, int operation, const Note *note, Pair *p, const Buffer *out, int dest, int sendtag, const Buffer *in, int source, int recvtag, const Comm *self)
{
    Door door;
    const MPI_Comm comm = self->handle;
    *p = (Pair){.both = {MPI_REQUEST_NULL, MPI_REQUEST_NULL}, .statuses = {empty_status(), empty_status()}, .in = in};
    int rc = enter(&door, operation, note);
    if (rc) return rc;
    if (is_unsafe(self, source)) {
        p->looking = 1;
        p->probe = probe_for(self, source, recvtag);
    } else
        rc = PICK_C(MPI_Irecv, in->addr, in->count, in->type, source, recvtag, comm, &p->both[0]);
    const int own = source == dest && recvtag == sendtag;       /* the receive is there before the send */
    if (!rc && out) rc = by_twin(&door, own ? out->bytes : weight_of(self->context, dest, out->bytes)) ? PICK_C(MPI_Isend, out->addr, out->count, out->type, dest, sendtag, comm, &p->both[1])
                                             : PICK_C(MPI_Send, out->addr, out->count, out->type, dest, sendtag, comm);
    if (rc && p->both[0] != MPI_REQUEST_NULL) {
        MPI_Cancel(&p->both[0]);
        MPI_Wait(&p->both[0], MPI_STATUS_IGNORE);
    }
    if (!rc && !(rc = poll_until(&door, test_pair, p))) rc = error_in_status(p->rc, p->statuses, 2);
    leave(&door, rc, &p->statuses[0]);
    if (rc == RAISED) abandon(frame, p);
    return rc;
}

METHOD(Comm, Recv, "buf, source=ANY_SOURCE, tag=ANY_TAG, status=None", "Receive into a buffer.")
{
    Frame frame; PyObject *buf; Buffer m; Status *status = NULL; MPI_Status s = empty_status(); int source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG;
    signature->copies = 1;
    int rc = PARSE(&frame, to_object, &buf, to_int, &source, to_int, &tag, to_status, &status) || peer_buffer(&frame, "buf", buf, TO_WRITE, source, &m) ? RAISED : 0;
    if (!rc && is_unsafe(self, source)) {
        Pair p;
        rc = exchange(&frame, OP_MPI_Recv, TO_PEER(m, source, tag), &p, NULL, MPI_PROC_NULL, 0, &m, source, tag, self);
        s = p.statuses[0];
    } else if (!rc) RECEIVE_C(rc, &frame, TO_PEER(m, source, tag), &s, MPI_Recv, MPI_Irecv, m.addr, m.count, m.type, source, tag, self->handle);
    if (rc != RAISED) set_status(status, &s);
    return finish(&frame, rc);
}

#define RECEIVING(name, request, may_copy, doc)                                                                     \
    METHOD(Comm, name, "buf, source=ANY_SOURCE, tag=ANY_TAG", doc)                                        \
    {                                                                                                     \
        PyObject *buf; Buffer m; int source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, rc = RAISED;             \
        Request *r = request;                                                                             \
        signature->copies = may_copy;                                                                     \
        if (!r || PARSE(r->frame, to_object, &buf, to_int, &source, to_int, &tag) || peer_buffer(r->frame, "buf", buf, TO_WRITE, source, &m)) return started(r, rc); \
        if (may_copy && is_unsafe(self, source)) return irecv_from_anybody(self, r, &m, tag, TO_PEER(m, source, tag)); \
        CALL_C(rc, TO_PEER(m, source, tag), MPI_##name, m.addr, m.count, m.type, source, tag, self->handle, &r->handle); \
        return started(r, rc);                                                                            \
    }
RECEIVING(Irecv, new_request(new_frame()), 1, "Start to receive into a buffer.")
RECEIVING(Recv_init, new_prequest(), 0, "Prepare to receive into a buffer; start the request as often as needed.")

/* a buffer in equal partitions, each of which is sent when it is ready */
static PyObject *partitioned(Comm *self, Request *r, int operation, PyObject *buf, int access, int parts, int peer, int tag, MPI_Info info, int parsed)
{
    Buffer m; int rc = RAISED;
    if (!r || parsed) return started(r, rc);
    if (parts < 1) { PyErr_Format(PyExc_ValueError, "partitions: expected a positive number, not %d", parts); blame(r->frame, "partitions"); return started(r, rc); }
    if (peer == MPI_PROC_NULL && buf == Py_None) no_buffer(&m);
    else if (to_buffer(r->frame, "buf", buf, access, parts, &m)) return started(r, rc);
    if (operation == OP_MPI_Psend_init) CALL(rc, TO_PEER(m, peer, tag), MPI_Psend_init, m.addr, parts, m.count, m.type, peer, tag, self->handle, info, &r->handle);
    else CALL(rc, TO_PEER(m, peer, tag), MPI_Precv_init, m.addr, parts, m.count, m.type, peer, tag, self->handle, info, &r->handle);
    return started(r, rc);
}

METHOD(Comm, Psend_init, "buf, partitions, dest, tag=0, info=INFO_NULL", "Prepare to send a buffer in equal partitions: after Start, each goes when Pready says so.")
{
    PyObject *buf = NULL; int parts = 0, dest = 0, tag = 0; MPI_Info info = MPI_INFO_NULL; Request *r = new_prequest();
    int bad = r ? PARSE(r->frame, to_object, &buf, to_int, &parts, to_int, &dest, to_int, &tag, to_info, &info) : 0;
    return partitioned(self, r, OP_MPI_Psend_init, buf, TO_READ, parts, dest, tag, info, bad);
}

METHOD(Comm, Precv_init, "buf, partitions, source=ANY_SOURCE, tag=ANY_TAG, info=INFO_NULL", "Prepare to receive a buffer in equal partitions: after Start, Parrived tells of each.")
{
    PyObject *buf = NULL; int parts = 0, source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG; MPI_Info info = MPI_INFO_NULL; Request *r = new_prequest();
    int bad = r ? PARSE(r->frame, to_object, &buf, to_int, &parts, to_int, &source, to_int, &tag, to_info, &info) : 0;
    return partitioned(self, r, OP_MPI_Precv_init, buf, TO_WRITE, parts, source, tag, info, bad);
}

/* --- send and receive in one ------------------------------------------------------------------------------ */

METHOD(Comm, Sendrecv, "sendbuf, dest, sendtag=0, recvbuf=None, source=ANY_SOURCE, recvtag=ANY_TAG, status=None", "Send and receive at once.")
{
    Frame frame; PyObject *send, *receive = Py_None; Buffer out, in; Status *status = NULL; Pair p;
    int dest, sendtag = 0, source = MPI_ANY_SOURCE, recvtag = MPI_ANY_TAG;
    signature->copies = 1;
    if (PARSE(&frame, to_object, &send, to_int, &dest, to_int, &sendtag, to_object, &receive, to_int, &source, to_int, &recvtag, to_status, &status) ||
        peer_buffer(&frame, "sendbuf", send, TO_READ, dest, &out) || peer_buffer(&frame, "recvbuf", receive, TO_WRITE, source, &in)) return finish(&frame, RAISED);
    int rc = exchange(&frame, OP_MPI_Sendrecv, BOTH_WAYS(out), &p, &out, dest, sendtag, &in, source, recvtag, self);
    if (rc != RAISED) set_status(status, &p.statuses[0]);
    return finish(&frame, rc);
}

/* What is sent comes from a copy of the buffer (MPICH's MPI_Isendrecv_replace leaves the status wrong). */
METHOD(Comm, Sendrecv_replace, "buf, dest, sendtag=0, source=ANY_SOURCE, recvtag=ANY_TAG, status=None", "Send a buffer and receive into it.")
{
    Frame frame; PyObject *buf; Buffer in, out; Status *status = NULL; Pair p;
    int dest, sendtag = 0, source = MPI_ANY_SOURCE, recvtag = MPI_ANY_TAG, rc;
    signature->copies = 1;
    if (PARSE(&frame, to_object, &buf, to_int, &dest, to_int, &sendtag, to_int, &source, to_int, &recvtag, to_status, &status) ||
        peer_buffer(&frame, "buf", buf, TO_WRITE, dest == MPI_PROC_NULL ? source : dest, &in)) return finish(&frame, RAISED);
    if (in.addr == MPI_BOTTOM && in.count) {            /* spread over all of memory: the library copies what is needed */
        p.statuses[0] = empty_status();
        CALL_C(rc, BOTH_WAYS(in), MPI_Sendrecv_replace, in.addr, in.count, in.type, dest, sendtag, source, recvtag, self->handle, &p.statuses[0]);
    } else if (copy_buffer(&frame, &in, &out))
        rc = RAISED;
    else
        rc = exchange(&frame, OP_MPI_Sendrecv_replace, BOTH_WAYS(in), &p, &out, dest, sendtag, &in, source, recvtag, self);
    if (rc != RAISED) set_status(status, &p.statuses[0]);
    return finish(&frame, rc);
}

METHOD(Comm, Isendrecv, "sendbuf, dest, sendtag=0, recvbuf=None, source=ANY_SOURCE, recvtag=ANY_TAG", "Start to send and receive at once.")
{
    PyObject *send, *receive = Py_None; Buffer out, in; int dest, sendtag = 0, source = MPI_ANY_SOURCE, recvtag = MPI_ANY_TAG, rc = RAISED;
    Request *r = new_request(new_frame());
    signature->copies = 1;
    if (!r || PARSE(r->frame, to_object, &send, to_int, &dest, to_int, &sendtag, to_object, &receive, to_int, &source, to_int, &recvtag) ||
        peer_buffer(r->frame, "sendbuf", send, TO_READ, dest, &out) || peer_buffer(r->frame, "recvbuf", receive, TO_WRITE, source, &in)) return started(r, rc);
    CALL_C(rc, BOTH_WAYS(out), MPI_Isendrecv, out.addr, out.count, out.type, dest, sendtag,
           in.addr, in.count, in.type, source, recvtag, self->handle, &r->handle);
    return started(r, rc);
}

METHOD(Comm, Isendrecv_replace, "buf, dest, sendtag=0, source=ANY_SOURCE, recvtag=ANY_TAG", "Start to send a buffer and receive into it.")
{
    PyObject *buf; Buffer in, out; int dest, sendtag = 0, source = MPI_ANY_SOURCE, recvtag = MPI_ANY_TAG, rc = RAISED;
    Request *r = new_request(new_frame());
    signature->copies = 1;
    if (!r || PARSE(r->frame, to_object, &buf, to_int, &dest, to_int, &sendtag, to_int, &source, to_int, &recvtag) ||
        peer_buffer(r->frame, "buf", buf, TO_WRITE, dest == MPI_PROC_NULL ? source : dest, &in)) return started(r, rc);
    int spread = in.addr == MPI_BOTTOM && in.count;     /* over all of memory: the library copies what is needed */
    if (!spread && copy_buffer(r->frame, &in, &out)) return started(r, rc);
    if (spread) CALL_C(rc, BOTH_WAYS(in), MPI_Isendrecv_replace, in.addr, in.count, in.type, dest, sendtag, source, recvtag, self->handle, &r->handle);
    else CALL_C(rc, BOTH_WAYS(out), MPI_Isendrecv, out.addr, out.count, out.type, dest, sendtag,
                in.addr, in.count, in.type, source, recvtag, self->handle, &r->handle);
    return started(r, rc);
}

/* --- probes ----------------------------------------------------------------------------------------------- */

int probe(Comm *self, int operation, int wait, int matched, int source, int tag, MPI_Message *message, MPI_Status *status, int *found)
{
    Door door;
    Probe p = probe_for(self, source, tag);
    int (*test)(void *) = matched ? test_mprobe : test_probe;
    if (self->handle == MPI_COMM_NULL) return MPI_ERR_COMM;     /* Open MPI would end the job */
    int rc = enter(&door, operation, NOTE(ON(self), .peer = source, .tag = tag));
    if (rc) return rc;
    if (wait) rc = poll_until(&door, test, &p);
    else test(&p);
    if (!rc) rc = p.rc;
    leave_poll(&door, rc, p.found ? &p.status : NULL, p.found);
    *message = p.message;
    *status = p.status;
    *found = p.found;
    return rc;
}

METHOD(Comm, Probe, "source=ANY_SOURCE, tag=ANY_TAG, status=None", "Wait until a message could be received.")
{
    Frame frame; Status *status = NULL; MPI_Status s; MPI_Message none; int source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, found;
    int rc = PARSE(&frame, to_int, &source, to_int, &tag, to_status, &status);
    if (!rc && !(rc = probe(self, OP_MPI_Probe, 1, 0, source, tag, &none, &s, &found))) set_status(status, &s);
    return finish_with(&frame, rc, PyBool_FromLong(1));
}

METHOD(Comm, Iprobe, "source=ANY_SOURCE, tag=ANY_TAG, status=None", "Say whether a message could be received.")
{
    Frame frame; Status *status = NULL; MPI_Status s; MPI_Message none; int source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG, found = 0;
    int rc = PARSE(&frame, to_int, &source, to_int, &tag, to_status, &status);
    if (!rc && !(rc = probe(self, OP_MPI_Iprobe, 0, 0, source, tag, &none, &s, &found)) && found) set_status(status, &s);
    return finish_with(&frame, rc, PyBool_FromLong(found));
}

METHOD(Comm, Mprobe, "source=ANY_SOURCE, tag=ANY_TAG, status=None", "Wait for a message and take it, to be received by Message.Recv.")
{
    Frame frame; Status *status = NULL; int source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG;
    if (PARSE(&frame, to_int, &source, to_int, &tag, to_status, &status)) return finish(&frame, RAISED);
    return finish_with(&frame, 0, matched(MessageType, self, 1, source, tag, status));
}

METHOD(Comm, Improbe, "source=ANY_SOURCE, tag=ANY_TAG, status=None", "Take a message if one is there, to be received by Message.Recv; else None.")
{
    Frame frame; Status *status = NULL; int source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG;
    if (PARSE(&frame, to_int, &source, to_int, &tag, to_status, &status)) return finish(&frame, RAISED);
    return finish_with(&frame, 0, matched(MessageType, self, 0, source, tag, status));
}

#define ALIAS(method, upper, text, doc) METHOD(Comm, method, text, doc) { return Comm_##upper##_body(self, signature, args, nargs, kwnames); }
ALIAS(probe, Probe, "source=ANY_SOURCE, tag=ANY_TAG, status=None", "Wait until a message could be received.")
ALIAS(iprobe, Iprobe, "source=ANY_SOURCE, tag=ANY_TAG, status=None", "Say whether a message could be received.")
ALIAS(mprobe, Mprobe, "source=ANY_SOURCE, tag=ANY_TAG, status=None", "Wait for a message and take it, to be received by Message.recv.")
ALIAS(improbe, Improbe, "source=ANY_SOURCE, tag=ANY_TAG, status=None", "Take a message if one is there, to be received by Message.recv; else None.")

PyMethodDef p2p_methods[] = {
    ROW(Comm, Send), ROW(Comm, Isend), ROW(Comm, Ssend), ROW(Comm, Issend), ROW(Comm, Bsend), ROW(Comm, Ibsend), ROW(Comm, Rsend),
    ROW(Comm, Irsend), ROW(Comm, Send_init), ROW(Comm, Ssend_init), ROW(Comm, Bsend_init), ROW(Comm, Rsend_init), ROW(Comm, Recv_init),
    ROW(Comm, Psend_init), ROW(Comm, Precv_init), ROW(Comm, Isendrecv), ROW(Comm, Isendrecv_replace), ROW(Comm, Recv),
    ROW(Comm, Irecv), ROW(Comm, Sendrecv), ROW(Comm, Sendrecv_replace), ROW(Comm, Probe),
    ROW(Comm, Iprobe), ROW(Comm, Mprobe), ROW(Comm, Improbe), ROW(Comm, probe), ROW(Comm, iprobe), ROW(Comm, mprobe), ROW(Comm, improbe), END_OF_ROWS};
