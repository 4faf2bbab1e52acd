/* Status: what came in, from whom. */
#include "core.h"

PyTypeObject *StatusType;

MPI_Status empty_status(void)
{
    MPI_Status s = {0};
    s.MPI_SOURCE = MPI_ANY_SOURCE;
    s.MPI_TAG = MPI_ANY_TAG;
    s.MPI_ERROR = MPI_SUCCESS;
    return s;
}

/* Read where each family keeps it: no call that a tool would count. */
MPI_Count status_bytes(const MPI_Status *s)
{
#if defined(MMPI_ABI_MPICH)
    return (MPI_Count)(unsigned)s->count_lo | (MPI_Count)((unsigned)s->count_hi >> 1) << 32;
#elif defined(MMPI_ABI_OPENMPI)
    return (MPI_Count)s->ucount;
#else
    int count = -1;
    return MPI_Get_count(s, MPI_BYTE, &count) || count == MPI_UNDEFINED ? -1 : count;
#endif
}

void set_status(Status *to, const MPI_Status *from) { if (to) to->handle = *from; }

int to_status(Frame *frame, PyObject *value, void *target)
{
    (void)frame;
    if (value == Py_None) return 0;
    if (!PyObject_TypeCheck(value, StatusType)) { PyErr_Format(PyExc_TypeError, "expected a Status or None, not %R", value); return -1; }
    *(Status **)target = (Status *)value;
    return 0;
}

METHOD0(Status, Get_source, "The rank the message came from.") { return PyLong_FromLong(self->handle.MPI_SOURCE); }
METHOD0(Status, Get_tag, "The tag of the message.") { return PyLong_FromLong(self->handle.MPI_TAG); }
METHOD0(Status, Get_error, "The error code of the operation.") { return PyLong_FromLong(self->handle.MPI_ERROR); }

METHOD(Status, Set_source, "source", "Set the rank the message came from.")
{
    Frame frame;
    return finish(&frame, PARSE(&frame, to_int, &self->handle.MPI_SOURCE));
}

METHOD(Status, Set_tag, "tag", "Set the tag of the message.")
{
    Frame frame;
    return finish(&frame, PARSE(&frame, to_int, &self->handle.MPI_TAG));
}

METHOD(Status, Set_error, "error", "Set the error code of the operation.")
{
    Frame frame;
    return finish(&frame, PARSE(&frame, to_int, &self->handle.MPI_ERROR));
}

/* more items than an int holds, where the library counts with ints */
static MPI_Count beyond_int(const Status *self, MPI_Datatype type)
{
    MPI_Count bytes = status_bytes(&self->handle);
    int size = 0;
    return MPI_Type_size(type, &size) || size <= 0 || bytes % size ? MPI_UNDEFINED : bytes / size;
}

static PyObject *count_of(Status *self, Frame *frame, MPI_Datatype type, int rc)
{
    MPI_Count count = 0;
    int small = 0;
    if (rc) return finish(frame, rc);
    if (large_counts) LOCAL(rc, MPI_Get_count_c, &self->handle, type, &count);
    else { LOCAL(rc, MPI_Get_count, &self->handle, type, &small); count = small == MPI_UNDEFINED ? beyond_int(self, type) : small; }
    return finish_with(frame, rc, PyLong_FromLongLong(count));
}

METHOD(Status, Get_count, "datatype=BYTE", "The number of items received, UNDEFINED if they are not whole.")
{
    Frame frame; MPI_Datatype type = MPI_BYTE;
    int rc = PARSE(&frame, to_type, &type);
    return count_of(self, &frame, type, rc);
}

METHOD(Status, Get_elements, "datatype", "The number of basic elements received.")
{
    Frame frame; MPI_Datatype type; MPI_Count count = 0;
    int rc = PARSE(&frame, to_type, &type);
    if (!rc) LOCAL(rc, MPI_Get_elements_x, &self->handle, type, &count);
    return finish_with(&frame, rc, PyLong_FromLongLong(count));
}

METHOD(Status, Set_elements, "datatype, count", "Set the number of basic elements received.")
{
    Frame frame; MPI_Datatype type; MPI_Count count;
    int rc = PARSE(&frame, to_type, &type, to_count, &count);
    if (!rc) LOCAL(rc, MPI_Status_set_elements_x, &self->handle, type, count);
    return finish(&frame, rc);
}

METHOD0(Status, Is_cancelled, "Whether the operation was cancelled.")
{
    int flag = 0, rc;
    LOCAL(rc, MPI_Test_cancelled, &self->handle, &flag);
    return finish_with(NULL, rc, PyBool_FromLong(flag));
}

METHOD(Status, Set_cancelled, "flag", "Mark the operation as cancelled, or not.")
{
    Frame frame; int flag;
    int rc = PARSE(&frame, to_flag, &flag);
    if (!rc) LOCAL(rc, MPI_Status_set_cancelled, &self->handle, flag);
    return finish(&frame, rc);
}

GETTER(Status, source, "The rank the message came from.") { return Status_Get_source_body(self); }
GETTER(Status, tag, "The tag of the message.") { return Status_Get_tag_body(self); }
GETTER(Status, error, "The error code of the operation.") { return Status_Get_error_body(self); }
GETTER(Status, count, "The number of bytes received.") { return count_of(self, NULL, MPI_BYTE, 0); }
GETTER(Status, cancelled, "Whether the operation was cancelled.") { return Status_Is_cancelled_body(self); }

static int set_int(PyObject *self, PyObject *value, void *offset)
{
    if (!value) { PyErr_SetString(PyExc_AttributeError, "a Status keeps its fields"); return -1; }
    return to_int(NULL, value, (char *)self + (size_t)(uintptr_t)offset);
}

static int set_cancelled(PyObject *self, PyObject *value, void *unused)
{
    int flag, rc = RAISED;
    (void)unused;
    if (!value) PyErr_SetString(PyExc_AttributeError, "a Status keeps its fields");
    else if (!to_flag(NULL, value, &flag)) LOCAL(rc, MPI_Status_set_cancelled, &((Status *)self)->handle, flag);
    return check(rc) ? -1 : 0;
}

static int set_count(PyObject *self, PyObject *value, void *unused)
{
    MPI_Count count; int rc = RAISED;
    (void)unused;
    if (!value) PyErr_SetString(PyExc_AttributeError, "a Status keeps its fields");
    else if (!to_count(NULL, value, &count)) LOCAL(rc, MPI_Status_set_elements_x, &((Status *)self)->handle, MPI_BYTE, count);
    return check(rc) ? -1 : 0;
}

/* Fortran's status is an array of integers, which all libraries lay out like C's struct */
METHOD0(Status, py2f, "The status as Fortran has it, a list of integers.")
{
    return from_ints((const int *)&self->handle, (int)(sizeof self->handle / sizeof(int)));
}

CLASSMETHOD(Status, f2py, "arg", "Make a Status from one of Fortran, a list of integers.")
{
    Frame frame; Ints ints;
    int rc = PARSE(&frame, to_ints, &ints) || same_length(&frame, "arg and a status", ints.count, (long)(sizeof(MPI_Status) / sizeof(int))) ? RAISED : 0;
    Status *status = rc ? NULL : (Status *)PyType_GenericAlloc(self, 0);
    if (status) memcpy(&status->handle, ints.at, sizeof status->handle);
    return finish_with(&frame, rc, (PyObject *)status);
}

METHOD0(Status, tomemory, "A memoryview of the MPI status, as C ints.")
{
    PyObject *bytes = PyMemoryView_FromMemory((char *)&self->handle, (Py_ssize_t)sizeof self->handle, PyBUF_WRITE);
    PyObject *ints = bytes ? PyObject_CallMethod(bytes, "cast", "s", "i") : NULL;
    Py_XDECREF(bytes);
    return ints;
}

/* pickled as the bytes that this MPI library understands */
METHOD0(Status, __reduce__, "For pickle: the fields as this MPI library keeps them.")
{
    return Py_BuildValue("O()y#", (PyObject *)Py_TYPE((PyObject *)self), (const char *)&self->handle, (Py_ssize_t)sizeof self->handle);
}

METHOD(Status, __setstate__, "state", "For pickle.")
{
    Frame frame; PyObject *state;
    int rc = PARSE(&frame, to_object, &state);
    if (!rc && (!PyBytes_Check(state) || PyBytes_Size(state) != (Py_ssize_t)sizeof self->handle)) {
        PyErr_SetString(PyExc_ValueError, "this is no Status of this MPI library");
        rc = RAISED;
    }
    if (!rc) memcpy(&self->handle, PyBytes_AsString(state), sizeof self->handle);
    return finish(&frame, rc);
}

static PyObject *status_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *other = NULL;
    static char *names[] = {"", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", names, &other)) return NULL;
    Status *from = NULL;
    if (other && to_status(NULL, other, &from)) return NULL;
    Status *self = (Status *)PyType_GenericAlloc(type, 0);
    if (self) self->handle = from ? from->handle : empty_status();
    return (PyObject *)self;
}

static void status_dealloc(PyObject *self)
{
    if (((Status *)self)->weakrefs) PyObject_ClearWeakRefs(self);
    free_object(self);
}

static PyObject *status_compare(PyObject *a, PyObject *b, int how)
{
    if ((how != Py_EQ && how != Py_NE) || !PyObject_TypeCheck(b, StatusType)) Py_RETURN_NOTIMPLEMENTED;
    return PyBool_FromLong((memcmp(&((Status *)a)->handle, &((Status *)b)->handle, sizeof(MPI_Status)) == 0) == (how == Py_EQ));
}

static PyObject *status_repr(PyObject *self)
{
    const MPI_Status *s = &((Status *)self)->handle;
    return PyUnicode_FromFormat("<Status source %d tag %d error %d bytes %lld>", s->MPI_SOURCE, s->MPI_TAG, s->MPI_ERROR, (long long)status_bytes(s));
}

#define AT(field) (void *)(uintptr_t)(offsetof(Status, handle) + offsetof(MPI_Status, field))
static PyGetSetDef getters[] = {
    {"source", Status_get_source, set_int, Status_get_source_doc, AT(MPI_SOURCE)}, {"tag", Status_get_tag, set_int, Status_get_tag_doc, AT(MPI_TAG)},
    {"error", Status_get_error, set_int, Status_get_error_doc, AT(MPI_ERROR)}, GETSETROW(Status, count, set_count),
    GETSETROW(Status, cancelled, set_cancelled), END_OF_GETROWS};
static PyMethodDef methods[] = {
    ROW0(Status, Get_source), ROW(Status, Set_source), ROW0(Status, Get_tag), ROW(Status, Set_tag), ROW0(Status, Get_error), ROW(Status, Set_error),
    ROW(Status, Get_count), ROW(Status, Get_elements), ROW(Status, Set_elements), ROW0(Status, Is_cancelled), ROW(Status, Set_cancelled),
    ROW0(Status, py2f), CLASSROW(Status, f2py), ROW0(Status, tomemory), ROW0(Status, __reduce__), ROW(Status, __setstate__), END_OF_ROWS};
static PyMemberDef members[] = {{"__weaklistoffset__", T_PYSSIZET, offsetof(Status, weakrefs), READONLY, NULL}, {NULL, 0, 0, 0, NULL}};
static PyType_Slot slots[] = {
    SLOT(Py_tp_new, status_new), SLOT(Py_tp_dealloc, status_dealloc), SLOT(Py_tp_richcompare, status_compare), SLOT(Py_tp_repr, status_repr),
    SLOT(Py_tp_hash, PyObject_HashNotImplemented), {Py_tp_members, members}, {Py_tp_getset, getters}, {Py_tp_methods, methods},
    {Py_tp_doc, "What came in, from whom."}, {0, NULL}};
static PyType_Spec spec = {"mmpi.MPI.Status", sizeof(Status), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

int add_status_type(PyObject *module) { return add_type(module, &StatusType, &spec, NULL, methods); }
