/* Packing: items of a datatype one after the other, in the library's own form or in a portable one (MPI 5.0, sections 5.2, 5.3). */
#include "core.h"
#include <limits.h>

typedef struct { PyObject *from, *to; void *in, *out; MPI_Count bytes, items, position; Comm *comm; const char *form; } Packing;

/* the packed side is bytes, the other as many items as fit */
static int prepare(Datatype *self, Frame *frame, Packing *p, int packs)
{
    MPI_Count in, out;
    if (to_memory(frame, "inbuf", p->from, TO_READ, &p->in, &in) || to_memory(frame, "outbuf", p->to, TO_WRITE, &p->out, &out)) return RAISED;
    p->bytes = packs ? out : in;
    if (items_in(packs ? in : out, self->handle, &p->items)) return blame(frame, packs ? "inbuf" : "outbuf");
    if (p->position < 0 || p->position > p->bytes) PyErr_Format(PyExc_ValueError, "%lld is outside the packed buffer of %lld bytes", (long long)p->position, (long long)p->bytes);
    else if (!large_counts && (p->bytes > INT_MAX || p->items > INT_MAX)) PyErr_SetString(PyExc_OverflowError, "more than this MPI library can pack: it has no large-count functions");
    return PyErr_Occurred() ? blame(frame, "position") : 0;
}

#define NOTED NOTE(.bytes = p.bytes, .count = p.items, .type = self->handle)
#define END(position) return finish_with(&frame, rc, rc ? NULL : PyLong_FromLongLong((long long)(position)))

METHOD(Datatype, Pack, "inbuf, outbuf, position, comm", "Pack all items of a buffer into another, at a position in bytes; return the position behind them.")
{
    Frame frame; Packing p;
    int rc = PARSE(&frame, to_object, &p.from, to_object, &p.to, to_count, &p.position, to_comm, &p.comm) || prepare(self, &frame, &p, 1) ? RAISED : 0, at = (int)p.position;
    if (!rc && large_counts) CALL(rc, NOTED, MPI_Pack_c, p.in, p.items, self->handle, p.out, p.bytes, &p.position, p.comm->handle);
    else if (!rc) CALL(rc, NOTED, MPI_Pack, p.in, (int)p.items, self->handle, p.out, (int)p.bytes, &at, p.comm->handle);
    END(large_counts ? p.position : at);
}

METHOD(Datatype, Unpack, "inbuf, position, outbuf, comm", "Unpack as many items as a buffer holds from another, at a position in bytes; return the position behind them.")
{
    Frame frame; Packing p;
    int rc = PARSE(&frame, to_object, &p.from, to_count, &p.position, to_object, &p.to, to_comm, &p.comm) || prepare(self, &frame, &p, 0) ? RAISED : 0, at = (int)p.position;
    if (!rc && large_counts) CALL(rc, NOTED, MPI_Unpack_c, p.in, p.bytes, &p.position, p.out, p.items, self->handle, p.comm->handle);
    else if (!rc) CALL(rc, NOTED, MPI_Unpack, p.in, (int)p.bytes, &at, p.out, (int)p.items, self->handle, p.comm->handle);
    END(large_counts ? p.position : at);
}

METHOD(Datatype, Pack_size, "count, comm", "The bytes that so many items may take when packed.")
{
    Frame frame; Comm *comm; MPI_Count count, size = 0; int small = 0, rc = PARSE(&frame, to_size, &count, to_comm, &comm);
    if (!rc && large_counts) LOCAL(rc, MPI_Pack_size_c, count, self->handle, comm->handle, &size);
    else if (!rc) LOCAL(rc, MPI_Pack_size, (int)count, self->handle, comm->handle, &small);
    END(large_counts ? size : small);
}

METHOD(Datatype, Pack_external, "datarep, inbuf, outbuf, position", "Pack all items of a buffer in the form 'external32'; return the position behind them.")
{
    Frame frame; Packing p; MPI_Aint at;
    int rc = PARSE(&frame, to_text, &p.form, to_object, &p.from, to_object, &p.to, to_count, &p.position) || prepare(self, &frame, &p, 1) ? RAISED : 0;
    at = (MPI_Aint)p.position;
    if (!rc && large_counts) CALL(rc, NOTED, MPI_Pack_external_c, p.form, p.in, p.items, self->handle, p.out, p.bytes, &p.position);
    else if (!rc) CALL(rc, NOTED, MPI_Pack_external, p.form, p.in, (int)p.items, self->handle, p.out, (MPI_Aint)p.bytes, &at);
    END(large_counts ? p.position : at);
}

METHOD(Datatype, Unpack_external, "datarep, inbuf, position, outbuf", "Unpack as many items as a buffer holds from the form 'external32'; return the position behind them.")
{
    Frame frame; Packing p; MPI_Aint at;
    int rc = PARSE(&frame, to_text, &p.form, to_object, &p.from, to_count, &p.position, to_object, &p.to) || prepare(self, &frame, &p, 0) ? RAISED : 0;
    at = (MPI_Aint)p.position;
    if (!rc && large_counts) CALL(rc, NOTED, MPI_Unpack_external_c, p.form, p.in, p.bytes, &p.position, p.out, p.items, self->handle);
    else if (!rc) CALL(rc, NOTED, MPI_Unpack_external, p.form, p.in, (MPI_Aint)p.bytes, &at, p.out, (int)p.items, self->handle);
    END(large_counts ? p.position : at);
}

METHOD(Datatype, Pack_external_size, "datarep, count", "The bytes that so many items take in the form 'external32'.")
{
    Frame frame; const char *form; MPI_Count count, size = 0; MPI_Aint small = 0; int rc = PARSE(&frame, to_text, &form, to_size, &count);
    if (!rc && large_counts) LOCAL(rc, MPI_Pack_external_size_c, form, count, self->handle, &size);
    else if (!rc) LOCAL(rc, MPI_Pack_external_size, form, (int)count, self->handle, &small);
    END(large_counts ? size : small);
}

PyMethodDef pack_methods[] = {
    ROW(Datatype, Pack), ROW(Datatype, Unpack), ROW(Datatype, Pack_size), ROW(Datatype, Pack_external), ROW(Datatype, Unpack_external),
    ROW(Datatype, Pack_external_size), END_OF_ROWS};
