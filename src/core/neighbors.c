/* Collectives of neighbors in a topology (MPI 5.0, chapter 8). */
#include "core.h"

/* how many processes this one receives from and sends to */
static int degrees(Comm *self, int *in, int *out)
{
    Frame frame;
    Ints from = {NULL, 0}, to = {NULL, 0};
    open_frame(&frame, NULL);
    int rc = usable(self) ? RAISED : neighbors_of(self, &frame, &from, &to);
    close_frame(&frame);
    *in = from.count;
    *out = to.count;
    return check(rc);
}

/* A buffer for no neighbors is as long as the other one: MPI wants the same of all, and Open MPI ends at once where a count is 0. */
static void like(Buffer *b, const Buffer *other)
{
    b->count = other->count;
    b->type = other->type;
}

static int prepare_gathering(Comm *self, Signature *signature, Frame *frame, Collective *c, Form form, ARGS)
{
    PyObject *send, *receive;
    int in, out;
    if (PARSE(frame, to_object, &send, to_object, &receive, to_info, &c->info) || degrees(self, &in, &out)) return RAISED;
    if (form(frame, "recvbuf", receive, TO_WRITE, in, &c->out) || to_buffer(frame, "sendbuf", send, TO_READ, 1, &c->in)) return RAISED;
    if (!in) like(&c->out, &c->in);
    return 0;
}

static int prepare_exchange(Comm *self, Signature *signature, Frame *frame, Collective *c, Form form, ARGS)
{
    PyObject *send, *receive;
    int in, out;
    if (PARSE(frame, to_object, &send, to_object, &receive, to_info, &c->info) || degrees(self, &in, &out)) return RAISED;
    if (form(frame, "recvbuf", receive, TO_WRITE, in, &c->out) || form(frame, "sendbuf", send, TO_READ, out, &c->in)) return RAISED;
    if (!in) like(&c->out, &c->in);
    if (!out) like(&c->in, &c->out);
    return 0;
}

PREPARE(allgather) { return prepare_gathering(self, signature, frame, c, to_buffer, args, nargs, kwnames); }
PREPARE(allgatherv) { return prepare_gathering(self, signature, frame, c, to_blocks, args, nargs, kwnames); }
PREPARE(alltoall) { return prepare_exchange(self, signature, frame, c, to_buffer, args, nargs, kwnames); }
PREPARE(alltoallv) { return prepare_exchange(self, signature, frame, c, to_blocks, args, nargs, kwnames); }
PREPARE(alltoallw) { return prepare_exchange(self, signature, frame, c, to_placed_wblocks, args, nargs, kwnames); }
FAMILY(Neighbor_allgather, Ineighbor_allgather, prepare_allgather, "sendbuf, recvbuf", "Send one part to all neighbors, and receive an equal one from each.",
       c.in.addr, c.in.count, c.in.type, c.out.addr, c.out.count, c.out.type)
FAMILY(Neighbor_allgatherv, Ineighbor_allgatherv, prepare_allgatherv, "sendbuf, recvbuf", "Send one part to all neighbors, and receive one of any length from each.",
       c.in.addr, c.in.count, c.in.type, c.out.addr, c.out.counts, c.out.displs, c.out.type)
FAMILY(Neighbor_alltoall, Ineighbor_alltoall, prepare_alltoall, "sendbuf, recvbuf", "Send an equal part to each neighbor, and receive one from each.",
       c.in.addr, c.in.count, c.in.type, c.out.addr, c.out.count, c.out.type)
FAMILY(Neighbor_alltoallv, Ineighbor_alltoallv, prepare_alltoallv, "sendbuf, recvbuf", "Send a part of any length to each neighbor, and receive one from each.",
       c.in.addr, c.in.counts, c.in.displs, c.in.type, c.out.addr, c.out.counts, c.out.displs, c.out.type)
FAMILY(Neighbor_alltoallw, Ineighbor_alltoallw, prepare_alltoallw, "sendbuf, recvbuf", "Send a part of any length and datatype to each neighbor, and receive one from each.",
       c.in.addr, c.in.counts, c.in.displs, c.in.types, c.out.addr, c.out.counts, c.out.displs, c.out.types)

PyMethodDef neighbor_methods[] = {
#define ALL_OF(name) ROW(Comm, Neighbor_##name), ROW(Comm, Ineighbor_##name), ROW(Comm, Neighbor_##name##_init)
    ALL_OF(allgather), ALL_OF(allgatherv), ALL_OF(alltoall), ALL_OF(alltoallv), ALL_OF(alltoallw), END_OF_ROWS};
