/* Buffers for buffered sends: of the process, of a communicator, of a session (MPI 5.0, section 3.6). BUFFER_METHODS in
 * core.h makes the methods of a class. A buffer is MPI's until it is detached, so its frame stays until then. */
#include "core.h"

struct Attached { Attached *next; int kind; uintptr_t owner; PyObject *object; Frame frame; };

static Attached *all;

static Attached **find(int kind, uintptr_t owner)
{
    Attached **at = &all;
    while (*at && ((*at)->kind != kind || (*at)->owner != owner)) at = &(*at)->next;
    return at;
}

static void drop(Attached **at)
{
    Attached *a = *at;
    PyObject *type, *value, *trace;
    *at = a->next;
    PyErr_Fetch(&type, &value, &trace);                 /* letting go may run Python code */
    close_frame(&a->frame);
    Py_DECREF(a->object);
    PyErr_Restore(type, value, trace);
    PyMem_Free(a);
}

static int look(Attached *a, Buffer *b)
{
    if (!is_automatic(a->object)) {
        if (to_memory(&a->frame, "buf", a->object, TO_WRITE, &b->addr, &b->bytes)) return RAISED;
        if (b->bytes <= INT32_MAX || large_counts) return 0;
        PyErr_SetString(PyExc_OverflowError, "Attach_buffer(buf): buf: more than 2**31-1 bytes");
        return RAISED;
    }
    *b = (Buffer){.addr = MPI_BUFFER_AUTOMATIC};
    return MPI_BUFFER_AUTOMATIC && MPI_Buffer_flush ? 0 : lacking(OP_MPI_Buffer_flush);
}

int attach(Signature *signature, Frame *frame, int kind, uintptr_t owner, Buffer *b, ARGS)
{
    PyObject *object;
    if (PARSE(frame, to_object, &object)) return RAISED;
    if (*find(kind, owner)) { PyErr_SetString(MPIError, "Attach_buffer: a buffer is attached already: call Detach_buffer first"); return RAISED; }
    Attached *a = PyMem_Calloc(1, sizeof *a);
    if (!a) { PyErr_NoMemory(); return RAISED; }
    a->next = all;
    a->kind = kind;
    a->owner = owner;
    a->object = Py_NewRef(object);
    all = a;
    open_frame(&a->frame, signature);
    if (!look(a, b)) return 0;
    drop(&all);
    return RAISED;
}

void drop_buffer(int kind, uintptr_t owner)
{
    Attached **at = find(kind, owner);
    if (*at) drop(at);
}

PyObject *attached(Frame *frame, int kind, uintptr_t owner, int rc)
{
    if (rc) drop_buffer(kind, owner);
    return finish(frame, rc);
}

int is_attached(int kind, uintptr_t owner) { return *find(kind, owner) != NULL; }

PyObject *detached(int kind, uintptr_t owner, int rc)
{
    if (rc) return finish(NULL, rc);
    Attached *a = *find(kind, owner);
    PyObject *object = Py_NewRef(a ? a->object : Py_None);
    drop_buffer(kind, owner);
    return object;
}

/* --- of the process --------------------------------------------------------------------------------------- */

FUNCTION(Attach_buffer, "buf", "Give MPI a buffer for Bsend; it belongs to MPI until Detach_buffer. BUFFER_AUTOMATIC or None: MPI takes memory as it needs it.")
{
    Frame frame; Buffer b;
    (void)self;
    int rc = attach(signature, &frame, OF_PROCESS, 0, &b, args, nargs, kwnames);
    if (rc) return finish(&frame, rc);
    CALL_C(rc, NOTE(.bytes = b.bytes), MPI_Buffer_attach, b.addr, b.bytes);
    return attached(&frame, OF_PROCESS, 0, rc);
}

FUNCTION0(Detach_buffer, "Wait until all buffered messages are sent; return the buffer, None if there is none.")
{
    void *base; int size, rc; MPI_Count large;
    (void)self;
    if (mpi_state == RUNNING && !is_attached(OF_PROCESS, 0)) Py_RETURN_NONE;
    if (large_counts) CALL(rc, NOTE(.comm = NULL), MPI_Buffer_detach_c, &base, &large);
    else CALL(rc, NOTE(.comm = NULL), MPI_Buffer_detach, &base, &size);
    return detached(OF_PROCESS, 0, rc);
}

FUNCTION0(Flush_buffer, "Wait until all buffered messages are sent.")
{
    int rc;
    (void)self;
    CALL0(rc, NOTE(.comm = NULL), MPI_Buffer_flush);
    return finish(NULL, rc);
}

FUNCTION0(Iflush_buffer, "The request is done when all buffered messages are sent.")
{
    int rc = RAISED;
    Request *r = new_request(new_frame());
    (void)self;
    if (r) CALL(rc, NOTE(.comm = NULL), MPI_Buffer_iflush, &r->handle);
    return started(r, rc);
}

PyMethodDef attached_functions[] = {ROW_(module, Attach_buffer, 0), ROW0(module, Detach_buffer), ROW0(module, Flush_buffer), ROW0(module, Iflush_buffer), END_OF_ROWS};
