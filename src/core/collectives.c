/* Collectives (MPI 5.0, chapter 6): each operation blocking, nonblocking and persistent from one preparation. */
#include "core.h"

/* --- who sends to whom ------------------------------------------------------------------------------------ */

/* ranks on the other side: those of the remote group where there is one */
static int peers(const Comm *self)
{
    const Context *known = self->context;
    return !known ? 1 : known->remote_size < 0 ? known->size : known->remote_size;
}

static int is_inter(const Comm *self) { return self->context && self->context->remote_size >= 0; }

/* does this process hold the data of the root? */
static int is_root(const Comm *self, int root)
{
    return is_inter(self) ? root == MPI_ROOT : self->context && root == self->context->rank;
}

static int is_idle(const Comm *self, int root) { return is_inter(self) && root == MPI_PROC_NULL; }

static void in_place(Buffer *b, const Buffer *other)
{
    *b = *other;
    b->addr = MPI_IN_PLACE;
}

/* the send side of an operation that allows IN_PLACE there */
static int send_or_in_place(Frame *frame, PyObject *object, int blocks, Collective *c)
{
    if (is_in_place(object)) { in_place(&c->in, &c->out); return 0; }
    return to_buffer(frame, "sendbuf", object, TO_READ, blocks, &c->in);
}

/* --- what can be reduced ----------------------------------------------------------------------------------- */

static void *behind(void *addr, MPI_Count bytes) { return addr == MPI_IN_PLACE || !addr ? addr : (char *)addr + bytes; }

/* the next of a reduction that goes in chunks, since the library counts with ints */
int next_chunk(Collective *c)
{
    MPI_Count done = c->in.count;
    MPI_Aint lb, extent;
    if (!c->left) return 0;
    MPI_Type_get_extent(c->in.item, &lb, &extent);
    c->in.addr = behind(c->in.addr, done * extent);
    c->out.addr = behind(c->out.addr, done * extent);
    c->in.count = c->out.count = c->left < CHUNK ? c->left : CHUNK;
    c->left -= c->in.count;
    return 1;
}

int in_chunks(const Collective *c)
{
    if (c->left) PyErr_SetString(PyExc_OverflowError, "more items than this MPI library can reduce at once: it has no large-count functions. The blocking method takes them");
    return c->left != 0;
}

/* can it be reduced? What is done item by item can be done in chunks */
static int itemwise(const Frame *frame, Collective *c)
{
    if (!c->in.items || c->in.form == GAPS) return reducible(frame, "sendbuf", &c->in, c->op);
    c->in.type = c->out.type = c->in.item;
    c->in.count = c->out.count = CHUNK;
    c->left = c->in.items - CHUNK;
    return 0;
}

/* --- from and to one root --------------------------------------------------------------------------------- */

PREPARE(bcast)
{
    PyObject *buf;
    c->root = 0;
    if (PARSE(frame, to_object, &buf, to_int, &c->root, to_info, &c->info) || usable(self)) return RAISED;
    if (is_idle(self, c->root)) { no_buffer(&c->in); return 0; }
    return to_buffer(frame, "buf", buf, is_root(self, c->root) ? TO_READ : TO_WRITE, 1, &c->in);
}
FAMILY(Bcast, Ibcast, prepare_bcast, "buf, root=0", "Broadcast a buffer from one rank to all.", c.in.addr, c.in.count, c.in.type, c.root)

static int prepare_gathering(Comm *self, Signature *signature, Frame *frame, Collective *c, Form form, ARGS)
{
    PyObject *send, *receive;
    c->root = 0;
    no_buffer(&c->in);
    no_buffer(&c->out);
    if (PARSE(frame, to_object, &send, to_object, &receive, to_int, &c->root, to_info, &c->info) || usable(self)) return RAISED;
    int root = is_root(self, c->root);
    if (root && form(frame, "recvbuf", receive, TO_WRITE, peers(self), &c->out)) return RAISED;
    if (is_idle(self, c->root) || (root && is_inter(self))) return 0;
    if (root && is_in_place(send)) { in_place(&c->in, &c->out); return 0; }
    return to_buffer(frame, "sendbuf", send, TO_READ, 1, &c->in);
}
PREPARE(gather) { return prepare_gathering(self, signature, frame, c, to_buffer, args, nargs, kwnames); }
PREPARE(gatherv) { return prepare_gathering(self, signature, frame, c, to_blocks, args, nargs, kwnames); }
FAMILY(Gather, Igather, prepare_gather, "sendbuf, recvbuf, root=0", "Gather equal parts from all ranks at one.",
       c.in.addr, c.in.count, c.in.type, c.out.addr, c.out.count, c.out.type, c.root)
FAMILY(Gatherv, Igatherv, prepare_gatherv, "sendbuf, recvbuf, root=0", "Gather parts of any length from all ranks at one.",
       c.in.addr, c.in.count, c.in.type, c.out.addr, c.out.counts, c.out.displs, c.out.type, c.root)

static int prepare_scattering(Comm *self, Signature *signature, Frame *frame, Collective *c, Form form, ARGS)
{
    PyObject *send, *receive;
    c->root = 0;
    no_buffer(&c->in);
    no_buffer(&c->out);
    if (PARSE(frame, to_object, &send, to_object, &receive, to_int, &c->root, to_info, &c->info) || usable(self)) return RAISED;
    int root = is_root(self, c->root);
    if (root && form(frame, "sendbuf", send, TO_READ, peers(self), &c->in)) return RAISED;
    if (is_idle(self, c->root) || (root && is_inter(self))) return 0;
    if (root && is_in_place(receive)) { in_place(&c->out, &c->in); return 0; }
    return to_buffer(frame, "recvbuf", receive, TO_WRITE, 1, &c->out);
}
PREPARE(scatter) { return prepare_scattering(self, signature, frame, c, to_buffer, args, nargs, kwnames); }
PREPARE(scatterv) { return prepare_scattering(self, signature, frame, c, to_blocks, args, nargs, kwnames); }
FAMILY(Scatter, Iscatter, prepare_scatter, "sendbuf, recvbuf, root=0", "Scatter equal parts from one rank to all.",
       c.in.addr, c.in.count, c.in.type, c.out.addr, c.out.count, c.out.type, c.root)
FAMILY(Scatterv, Iscatterv, prepare_scatterv, "sendbuf, recvbuf, root=0", "Scatter parts of any length from one rank to all.",
       c.in.addr, c.in.counts, c.in.displs, c.in.type, c.out.addr, c.out.count, c.out.type, c.root)

/* --- from all to all -------------------------------------------------------------------------------------- */

METHOD0(Comm, Barrier, "Wait until all ranks have come.")
{
    int rc; Frame frame;
    open_frame(&frame, NULL);
    COLLECT(rc, &frame, NOTE(ALL(self)), self, MPI_Barrier, MPI_Ibarrier, self->handle);
    return finish(&frame, rc);
}

METHOD0(Comm, Ibarrier, "Start a barrier; the request is done when all ranks have come.")
{
    int rc = RAISED;
    Request *r = new_request(new_frame());
    if (!r) return NULL;
    CALL(rc, NOTE(ALL(self)), MPI_Ibarrier, self->handle, &r->handle);
    return started(r, rc);
}

METHOD(Comm, Barrier_init, "info=INFO_NULL", "Prepare a barrier; start the request as often as needed.")
{
    MPI_Info info = MPI_INFO_NULL; int rc = RAISED;
    Request *r = new_prequest();
    if (!r || PARSE(r->frame, to_info, &info)) return started(r, rc);
    CALL(rc, NOTE(ALL(self)), MPI_Barrier_init, self->handle, info, &r->handle);
    return started(r, rc);
}

static int prepare_allgathering(Comm *self, Signature *signature, Frame *frame, Collective *c, Form form, ARGS)
{
    PyObject *send, *receive;
    if (PARSE(frame, to_object, &send, to_object, &receive, to_info, &c->info) || usable(self)) return RAISED;
    return form(frame, "recvbuf", receive, TO_WRITE, peers(self), &c->out) || send_or_in_place(frame, send, 1, c) ? RAISED : 0;
}
PREPARE(allgather)
{
#if defined(MMPI_ABI_OPENMPI)           /* its MPI_Allgather crashes on negative extents, unless the ranks are a power of two */
    signature->forwards = 1;
#endif
    return prepare_allgathering(self, signature, frame, c, to_buffer, args, nargs, kwnames);
}
PREPARE(allgatherv) { return prepare_allgathering(self, signature, frame, c, to_blocks, args, nargs, kwnames); }
FAMILY(Allgather, Iallgather, prepare_allgather, "sendbuf, recvbuf", "Gather equal parts from all ranks at all.",
       c.in.addr, c.in.count, c.in.type, c.out.addr, c.out.count, c.out.type)
FAMILY(Allgatherv, Iallgatherv, prepare_allgatherv, "sendbuf, recvbuf", "Gather parts of any length from all ranks at all.",
       c.in.addr, c.in.count, c.in.type, c.out.addr, c.out.counts, c.out.displs, c.out.type)

static int prepare_exchange(Comm *self, Signature *signature, Frame *frame, Collective *c, Form form, ARGS)
{
    PyObject *send, *receive;
    if (PARSE(frame, to_object, &send, to_object, &receive, to_info, &c->info) || usable(self)) return RAISED;
    if (form(frame, "recvbuf", receive, TO_WRITE, peers(self), &c->out)) return RAISED;
    if (!is_in_place(send)) return form(frame, "sendbuf", send, TO_READ, peers(self), &c->in);
    c->in = c->out;
    c->in.addr = MPI_IN_PLACE;
    return 0;
}
PREPARE(alltoall) { return prepare_exchange(self, signature, frame, c, to_buffer, args, nargs, kwnames); }
PREPARE(alltoallv) { return prepare_exchange(self, signature, frame, c, to_blocks, args, nargs, kwnames); }
PREPARE(alltoallw) { return prepare_exchange(self, signature, frame, c, to_wblocks, args, nargs, kwnames); }
FAMILY(Alltoall, Ialltoall, prepare_alltoall, "sendbuf, recvbuf", "Send an equal part to each rank, and receive one from each.",
       c.in.addr, c.in.count, c.in.type, c.out.addr, c.out.count, c.out.type)
FAMILY(Alltoallv, Ialltoallv, prepare_alltoallv, "sendbuf, recvbuf", "Send a part of any length to each rank, and receive one from each.",
       c.in.addr, c.in.counts, c.in.displs, c.in.type, c.out.addr, c.out.counts, c.out.displs, c.out.type)
FAMILY(Alltoallw, Ialltoallw, prepare_alltoallw, "sendbuf, recvbuf", "Send a part of any length and datatype to each rank, and receive one from each.",
       c.in.addr, c.in.counts, c.in.displs, c.in.types, c.out.addr, c.out.counts, c.out.displs, c.out.types)

/* --- reductions ------------------------------------------------------------------------------------------- */

PREPARE(reduce)
{
    PyObject *send, *receive;
    c->root = 0;
    c->op = MPI_SUM;
    no_buffer(&c->in);
    no_buffer(&c->out);
    if (PARSE(frame, to_object, &send, to_object, &receive, to_op, &c->op, to_int, &c->root, to_info, &c->info) || usable(self)) return RAISED;
    int root = is_root(self, c->root);
    if (root && to_buffer(frame, "recvbuf", receive, TO_WRITE, 1, &c->out)) return RAISED;
    if (is_idle(self, c->root)) return 0;
    if (root && is_inter(self)) { c->in = c->out; c->in.addr = NULL; return itemwise(frame, c); }
    if (root && is_in_place(send)) { in_place(&c->in, &c->out); return itemwise(frame, c); }
    if (to_buffer(frame, "sendbuf", send, TO_READ, 1, &c->in) || (root && same_layout(frame, &c->in, &c->out))) return RAISED;
    return itemwise(frame, c);
}
FAMILY(Reduce, Ireduce, prepare_reduce, "sendbuf, recvbuf, op=SUM, root=0", "Reduce buffers over all ranks; one gets the result.",
       c.in.addr, c.out.addr, c.in.count, c.in.type, c.op, c.root)

PREPARE(allreduce)
{
    PyObject *send, *receive;
    c->op = MPI_SUM;
    if (PARSE(frame, to_object, &send, to_object, &receive, to_op, &c->op, to_info, &c->info) || usable(self)) return RAISED;
    if (to_buffer(frame, "recvbuf", receive, TO_WRITE, 1, &c->out) || send_or_in_place(frame, send, 1, c)) return RAISED;
    return same_layout(frame, &c->in, &c->out) || itemwise(frame, c) ? RAISED : 0;
}
FAMILY(Allreduce, Iallreduce, prepare_allreduce, "sendbuf, recvbuf, op=SUM", "Reduce buffers over all ranks; all get the result.",
       c.in.addr, c.out.addr, c.in.count, c.in.type, c.op)
FAMILY(Scan, Iscan, prepare_allreduce, "sendbuf, recvbuf, op=SUM", "Reduce buffers over the ranks up to this one.",
       c.in.addr, c.out.addr, c.in.count, c.in.type, c.op)
FAMILY(Exscan, Iexscan, prepare_allreduce, "sendbuf, recvbuf, op=SUM", "Reduce buffers over the ranks before this one.",
       c.in.addr, c.out.addr, c.in.count, c.in.type, c.op)

PREPARE(reduce_scatter_block)
{
    PyObject *send, *receive;
    c->op = MPI_SUM;
    if (PARSE(frame, to_object, &send, to_object, &receive, to_op, &c->op, to_info, &c->info) || usable(self)) return RAISED;
    int blocks = self->context ? self->context->size : 1, place = is_in_place(send);
    if (to_buffer(frame, "recvbuf", receive, TO_WRITE, place ? blocks : 1, &c->out) || send_or_in_place(frame, send, blocks, c)) return RAISED;
    return same_layout(frame, &c->in, &c->out) || reducible(frame, "sendbuf", &c->in, c->op) ? RAISED : 0;
}
FAMILY(Reduce_scatter_block, Ireduce_scatter_block, prepare_reduce_scatter_block, "sendbuf, recvbuf, op=SUM", "Reduce buffers over all ranks; each gets an equal part.",
       c.in.addr, c.out.addr, c.out.count, c.out.type, c.op)

/* recvcounts=None: each rank's own count, asked of all, or equal parts where the buffer is both, and between groups */
static int default_counts(Comm *self, Frame *frame, Collective *c, int n, int place)
{
    MPI_Count *all = frame_memory(frame, (size_t)n, sizeof *all), mine = c->out.count;
    int rc = 0;
    if (!all) return RAISED;
    if (!place && !is_inter(self)) CALL(rc, NOTE(ALL(self)), MPI_Allgather, &mine, sizeof mine, MPI_BYTE, all, sizeof mine, MPI_BYTE, self->handle);
    for (int i = 0; place && i < n; i++) all[i] = c->out.count / n;
    for (int i = 0; is_inter(self) && i < n; i++) all[i] = mine;        /* an allgather would tell those of the others */
    if (check(rc)) return RAISED;
    c->out.counts = frame_memory(frame, (size_t)n, sizeof *all);
    for (int i = 0; c->out.counts && i < n; i++) {
        if (large_counts) ((MPI_Count *)c->out.counts)[i] = all[i];
        else ((int *)c->out.counts)[i] = (int)all[i];
    }
    return c->out.counts ? 0 : RAISED;
}

static MPI_Count count_at(const Collective *c, int i)
{
    return large_counts ? ((const MPI_Count *)c->out.counts)[i] : ((const int *)c->out.counts)[i];
}

PREPARE(reduce_scatter)
{
    PyObject *send, *receive, *counts = Py_None;
    c->op = MPI_SUM;
    if (PARSE(frame, to_object, &send, to_object, &receive, to_object, &counts, to_op, &c->op, to_info, &c->info) || usable(self)) return RAISED;
    int n = self->context ? self->context->size : 1, place = is_in_place(send);
    if (to_buffer(frame, "recvbuf", receive, TO_WRITE, 1, &c->out) || send_or_in_place(frame, send, 1, c)) return RAISED;
    if (reducible(frame, "sendbuf", &c->in, c->op)) return RAISED;
    if (counts == Py_None ? default_counts(self, frame, c, n, place) : to_counts(frame, "recvcounts", counts, n, &c->out)) return RAISED;
    MPI_Count total = 0;
    for (int i = 0; i < n; i++) total += count_at(c, i);
    MPI_Count need = place ? total : count_at(c, self->context ? self->context->rank : 0);
    if (c->in.count == total && c->out.count >= need && c->in.type == c->out.type) return 0;
    PyErr_Format(PyExc_ValueError, "%s(%s): recvcounts sum up to %lld items, but sendbuf has %lld, recvbuf %lld for %lld; or their datatypes differ",
                 signature->name, signature->text, (long long)total, (long long)c->in.count, (long long)c->out.count, (long long)need);
    return RAISED;
}
FAMILY(Reduce_scatter, Ireduce_scatter, prepare_reduce_scatter, "sendbuf, recvbuf, recvcounts=None, op=SUM", "Reduce buffers over all ranks; each gets a part of any length.",
       c.in.addr, c.out.addr, c.out.counts, c.out.type, c.op)

PyMethodDef collective_methods[] = {
#define FORMS(name, iname) ROW(Comm, name), ROW(Comm, iname), ROW(Comm, name##_init)
    ROW0(Comm, Barrier), ROW0(Comm, Ibarrier), ROW(Comm, Barrier_init), FORMS(Bcast, Ibcast), FORMS(Gather, Igather), FORMS(Gatherv, Igatherv),
    FORMS(Scatter, Iscatter), FORMS(Scatterv, Iscatterv), FORMS(Allgather, Iallgather), FORMS(Allgatherv, Iallgatherv),
    FORMS(Alltoall, Ialltoall), FORMS(Alltoallv, Ialltoallv), FORMS(Alltoallw, Ialltoallw), FORMS(Reduce, Ireduce),
    FORMS(Allreduce, Iallreduce), FORMS(Reduce_scatter_block, Ireduce_scatter_block), FORMS(Reduce_scatter, Ireduce_scatter), END_OF_ROWS};
PyMethodDef scan_methods[] = {FORMS(Scan, Iscan), FORMS(Exscan, Iexscan), END_OF_ROWS};
