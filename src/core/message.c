/* Messages: matched by a probe, to be received by nobody else. */
#include "core.h"

PyTypeObject *MessageType;

/* where it came from */
static void know_source(Message *self, Context *context, MPI_Comm comm, const MPI_Status *status)
{
    self->status = *status;
    self->comm = comm;
    if ((self->context = context)) __atomic_add_fetch(&context->references, 1, __ATOMIC_ACQ_REL);
}

void share_message(Message *to, const Message *from)
{
    know_source(to, from->context, from->comm, &from->status);
    to->record = from->record;
}

PyObject *matched(PyTypeObject *type, Comm *comm, int wait, int source, int tag, Status *status)
{
    MPI_Message handle; MPI_Status s; int found = 0;
    int rc = probe(comm, wait ? OP_MPI_Mprobe : OP_MPI_Improbe, wait, 1, source, tag, &handle, &s, &found);
    if (rc || !found) return finish(NULL, rc);
    set_status(status, &s);
    Message *self = new_handle(type, &handle);
    if (self) know_source(self, comm->context, comm->handle, &s);
    if (self && recorder) self->record = last_record();
    return (PyObject *)self;
}

CLASSMETHOD(Message, Probe, "comm, source=ANY_SOURCE, tag=ANY_TAG, status=None", "Wait for a message and take it.")
{
    Frame frame; Comm *comm; Status *status = NULL; int source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG;
    if (PARSE(&frame, to_comm, &comm, to_int, &source, to_int, &tag, to_status, &status)) return finish(&frame, RAISED);
    return finish_with(&frame, 0, matched(self, comm, 1, source, tag, status));
}

CLASSMETHOD(Message, Iprobe, "comm, source=ANY_SOURCE, tag=ANY_TAG, status=None", "Take a message if one is there, else None.")
{
    Frame frame; Comm *comm; Status *status = NULL; int source = MPI_ANY_SOURCE, tag = MPI_ANY_TAG;
    if (PARSE(&frame, to_comm, &comm, to_int, &source, to_int, &tag, to_status, &status)) return finish(&frame, RAISED);
    return finish_with(&frame, 0, matched(self, comm, 0, source, tag, status));
}

/* whose message it is: one from PROC_NULL takes no buffer */
static int source_of(const Message *self) { return self->handle == MPI_MESSAGE_NO_PROC ? MPI_PROC_NULL : self->status.MPI_SOURCE; }

void now_is(Message *self, MPI_Message handle)          /* the constant MESSAGE_NO_PROC stays */
{
    if (!(self->flags & CONSTANT)) self->handle = handle;
}

/* some libraries end the job when a message is received twice */
static int is_there(const Message *self)
{
    if (self->handle != MPI_MESSAGE_NULL) return 1;
    PyErr_SetString(MPIError, "this message was received already, or is MESSAGE_NULL");
    return 0;
}

METHOD(Message, Recv, "buf, status=None", "Receive the message into a buffer.")
{
    Frame frame; PyObject *buf; Buffer m; Status *status = NULL; MPI_Status s = empty_status();
    MPI_Message handle = self->handle;
    int rc = PARSE(&frame, to_object, &buf, to_status, &status) || !is_there(self) || peer_buffer(&frame, "buf", buf, TO_WRITE, source_of(self), &m) ? RAISED : 0;
    if (!rc) EXCHANGE_C(rc, &frame, NOTE(MOVES(m), .peer = self->status.MPI_SOURCE), &s, MPI_Mrecv, MPI_Imrecv, m.addr, m.count, m.type, &handle);
    if (recorder && !rc) recorder->started(last_record(), self->record);
    if (rc != RAISED) { now_is(self, handle); set_status(status, &s); }
    return finish(&frame, rc);
}

METHOD(Message, Irecv, "buf", "Start to receive the message into a buffer.")
{
    PyObject *buf; Buffer m; int rc = RAISED;
    MPI_Message handle = self->handle;
    Request *r = new_request(new_frame());
    if (!r || PARSE(r->frame, to_object, &buf) || !is_there(self) || peer_buffer(r->frame, "buf", buf, TO_WRITE, source_of(self), &m)) return started(r, rc);
    CALL_C(rc, NOTE(MOVES(m), .peer = self->status.MPI_SOURCE), MPI_Imrecv, m.addr, m.count, m.type, &handle, &r->handle);
    if (recorder && !rc) recorder->started(last_record(), self->record);
    if (!rc) now_is(self, handle);
    return started(r, rc);
}

CLASSMETHOD(Message, probe, "comm, source=ANY_SOURCE, tag=ANY_TAG, status=None", "Wait for a message and take it.")
{
    return Message_Probe_body(self, signature, args, nargs, kwnames);
}

CLASSMETHOD(Message, iprobe, "comm, source=ANY_SOURCE, tag=ANY_TAG, status=None", "Take a message if one is there, else None.")
{
    return Message_Iprobe_body(self, signature, args, nargs, kwnames);
}

static void message_dealloc(PyObject *self)
{
    drop_context(((Message *)self)->context);
    handle_dealloc(self);
}

static PyGetSetDef getters[] = {HANDLE_GETROW, END_OF_GETROWS};
static PyMethodDef own_methods[] = {
    HANDLE_ROWS, CLASSROW(Message, Probe), CLASSROW(Message, Iprobe), ROW(Message, Recv), ROW(Message, Irecv), CLASSROW(Message, probe),
    CLASSROW(Message, iprobe), END_OF_ROWS};

int add_message_type(PyObject *module)
{
    PyMethodDef *const tables[] = {own_methods, object_message_methods, NULL}, *methods = joined(tables);
    if (!methods) return -1;
    PyType_Slot slots[] = {
        HANDLE_SLOTS, SLOT(Py_tp_dealloc, message_dealloc), {Py_tp_getset, getters}, {Py_tp_methods, methods},
        {Py_tp_doc, "A message that was matched and waits to be received."}, {0, NULL}};
    PyType_Spec spec = {"mmpi.MPI.Message", sizeof(Message), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
    return add_handle_type(module, KIND(Message, MPI_MESSAGE_NULL, NULL, NULL), &spec, methods);
}
