/* Datatypes: what lies in a buffer, and how (MPI 5.0, chapter 5). */
#include "core.h"

PyTypeObject *DatatypeType;

int to_type(Frame *frame, PyObject *value, void *target)
{
    (void)frame;
    if (PyObject_TypeCheck(value, DatatypeType)) {
        *(MPI_Datatype *)target = ((Datatype *)value)->handle;
        return 0;
    }
    Py_ssize_t length = 0;
    const char *code = PyUnicode_Check(value) ? PyUnicode_AsUTF8AndSize(value, &length) : NULL;
    if (!code && !PyErr_Occurred()) PyErr_Format(PyExc_TypeError, "expected a Datatype or a type code such as 'd', not %R", value);
    if (!code) return -1;
    MPI_Datatype type = (size_t)length == strlen(code) ? type_of_code(code) : MPI_DATATYPE_NULL;
    if (type == MPI_DATATYPE_NULL) { PyErr_Format(PyExc_TypeError, "no MPI datatype for the type code %R", value); return -1; }
    *(MPI_Datatype *)target = type;
    return 0;
}

/* --- what it is ------------------------------------------------------------------------------------------- */

METHOD0(Datatype, Get_size, "The number of bytes of data in one item.")
{
    MPI_Count size = 0; int small = 0, rc;
    if (large_counts) LOCAL(rc, MPI_Type_size_c, self->handle, &size);
    else { LOCAL(rc, MPI_Type_size, self->handle, &small); size = small; }
    return finish_with(NULL, rc, PyLong_FromLongLong(size));
}

static int extents(Datatype *self, int true_ones, MPI_Aint *lb, MPI_Aint *extent)
{
    int rc;
    *lb = *extent = 0;
    if (true_ones) LOCAL(rc, MPI_Type_get_true_extent, self->handle, lb, extent);
    else LOCAL(rc, MPI_Type_get_extent, self->handle, lb, extent);
    return rc;
}

METHOD0(Datatype, Get_extent, "Lower bound and extent, in bytes.")
{
    MPI_Aint lb, extent;
    int rc = extents(self, 0, &lb, &extent);
    return finish_with(NULL, rc, rc ? NULL : Py_BuildValue("nn", (Py_ssize_t)lb, (Py_ssize_t)extent));
}

METHOD0(Datatype, Get_true_extent, "Lower bound and extent of the data itself, in bytes.")
{
    MPI_Aint lb, extent;
    int rc = extents(self, 1, &lb, &extent);
    return finish_with(NULL, rc, rc ? NULL : Py_BuildValue("nn", (Py_ssize_t)lb, (Py_ssize_t)extent));
}

METHOD0(Datatype, Get_name, "The name of the datatype.")
{
    char name[MPI_MAX_OBJECT_NAME + 1] = ""; int length = 0, rc;
    LOCAL(rc, MPI_Type_get_name, self->handle, name, &length);
    return rc ? finish(NULL, rc) : PyUnicode_DecodeUTF8(name, length, "replace");
}

METHOD(Datatype, Set_name, "name", "Give it a name, for debuggers and tools.")
{
    Frame frame; const char *name;
    int rc = PARSE(&frame, to_text, &name);
    if (!rc) LOCAL(rc, MPI_Type_set_name, self->handle, name);
    return finish(&frame, rc);
}

static int is_named(Datatype *self, int *named)
{
    int ni, na, nd, combiner = MPI_COMBINER_NAMED, rc = 0;
    if (self->handle != MPI_DATATYPE_NULL) LOCAL(rc, MPI_Type_get_envelope, self->handle, &ni, &na, &nd, &combiner);
    *named = combiner == MPI_COMBINER_NAMED || combiner == MPI_COMBINER_F90_INTEGER || combiner == MPI_COMBINER_F90_REAL || combiner == MPI_COMBINER_F90_COMPLEX;
    return rc;
}

/* --- new ones --------------------------------------------------------------------------------------------- */

/* A new type, not committed. `call` stores its handle in `new`. */
#define NEW_TYPE(type, rc, call)                                                                          \
    do {                                                                                                  \
        MPI_Datatype new = MPI_DATATYPE_NULL;                                                             \
        if (!rc) call;                                                                                    \
        return finish_with(&frame, rc, rc ? NULL : new_handle(type, &new));                               \
    } while (0)

METHOD0(Datatype, Dup, "A duplicate of the datatype.")
{
    MPI_Datatype new = MPI_DATATYPE_NULL; int rc;
    CALL(rc, NOTE(.type = self->handle), MPI_Type_dup, self->handle, &new);
    return rc ? finish(NULL, rc) : new_handle(CLASS_OF(self), &new);
}

METHOD(Datatype, Create_contiguous, "count", "Items one after the other.")
{
    Frame frame; int count, rc = PARSE(&frame, to_int, &count);
    NEW_TYPE(CLASS_OF(self), rc, LOCAL(rc, MPI_Type_contiguous, count, self->handle, &new));
}

METHOD(Datatype, Create_vector, "count, blocklength, stride", "Blocks of items at a distance of stride items.")
{
    Frame frame; int count, blocklength, stride, rc = PARSE(&frame, to_int, &count, to_int, &blocklength, to_int, &stride);
    NEW_TYPE(CLASS_OF(self), rc, LOCAL(rc, MPI_Type_vector, count, blocklength, stride, self->handle, &new));
}

METHOD(Datatype, Create_hvector, "count, blocklength, stride", "Blocks of items at a distance of stride bytes.")
{
    Frame frame; int count, blocklength; MPI_Aint stride;
    int rc = PARSE(&frame, to_int, &count, to_int, &blocklength, to_aint, &stride);
    NEW_TYPE(CLASS_OF(self), rc, LOCAL(rc, MPI_Type_create_hvector, count, blocklength, stride, self->handle, &new));
}

METHOD(Datatype, Create_indexed, "blocklengths, displacements", "Blocks of different lengths, at displacements in items.")
{
    Frame frame; Ints lengths, displs;
    int rc = PARSE(&frame, to_ints, &lengths, to_ints, &displs) ||
             same_length(&frame, "blocklengths and displacements", lengths.count, displs.count) ? RAISED : 0;
    NEW_TYPE(CLASS_OF(self), rc, LOCAL(rc, MPI_Type_indexed, lengths.count, lengths.at, displs.at, self->handle, &new));
}

METHOD(Datatype, Create_hindexed, "blocklengths, displacements", "Blocks of different lengths, at displacements in bytes.")
{
    Frame frame; Ints lengths; Aints displs;
    int rc = PARSE(&frame, to_ints, &lengths, to_aints, &displs) ||
             same_length(&frame, "blocklengths and displacements", lengths.count, displs.count) ? RAISED : 0;
    NEW_TYPE(CLASS_OF(self), rc, LOCAL(rc, MPI_Type_create_hindexed, lengths.count, lengths.at, displs.at, self->handle, &new));
}

METHOD(Datatype, Create_indexed_block, "blocklength, displacements", "Blocks of one length, at displacements in items.")
{
    Frame frame; int length; Ints displs;
    int rc = PARSE(&frame, to_int, &length, to_ints, &displs);
    NEW_TYPE(CLASS_OF(self), rc, LOCAL(rc, MPI_Type_create_indexed_block, displs.count, length, displs.at, self->handle, &new));
}

METHOD(Datatype, Create_hindexed_block, "blocklength, displacements", "Blocks of one length, at displacements in bytes.")
{
    Frame frame; int length; Aints displs;
    int rc = PARSE(&frame, to_int, &length, to_aints, &displs);
    NEW_TYPE(CLASS_OF(self), rc, LOCAL(rc, MPI_Type_create_hindexed_block, displs.count, length, displs.at, self->handle, &new));
}

int to_types(Frame *frame, PyObject *value, void *target)
{
    Types *types = target;
    Py_ssize_t n = PyUnicode_Check(value) ? -1 : PySequence_Size(value);
    if (n < 0) { PyErr_Format(PyExc_TypeError, "expected a sequence of datatypes, not %R", value); return -1; }
    types->count = (int)n;
    types->at = frame_memory(frame, (size_t)n, sizeof *types->at);
    for (Py_ssize_t i = 0; types->at && i < n; i++) {
        PyObject *item = PySequence_GetItem(value, i);
        int bad = !item || to_type(frame, item, &types->at[i]);
        Py_XDECREF(item);
        if (bad) return -1;
    }
    return types->at ? 0 : -1;
}

CLASSMETHOD(Datatype, Create_struct, "blocklengths, displacements, datatypes", "Blocks of different types, at displacements in bytes.")
{
    Frame frame; Ints lengths; Aints displs; Types types;
    int rc = PARSE(&frame, to_ints, &lengths, to_aints, &displs, to_types, &types) ||
             same_length(&frame, "blocklengths and displacements", lengths.count, displs.count) ||
             same_length(&frame, "blocklengths and datatypes", lengths.count, types.count) ? RAISED : 0;
    NEW_TYPE(self, rc, LOCAL(rc, MPI_Type_create_struct, lengths.count, lengths.at, displs.at, types.at, &new));
}

METHOD(Datatype, Create_subarray, "sizes, subsizes, starts, order=ORDER_C", "A part of an array of several dimensions.")
{
    Frame frame; Ints sizes, subsizes, starts; int order = MPI_ORDER_C;
    int rc = PARSE(&frame, to_ints, &sizes, to_ints, &subsizes, to_ints, &starts, to_int, &order) ||
             same_length(&frame, "sizes and subsizes", sizes.count, subsizes.count) ||
             same_length(&frame, "sizes and starts", sizes.count, starts.count) ? RAISED : 0;
    NEW_TYPE(CLASS_OF(self), rc, LOCAL(rc, MPI_Type_create_subarray, sizes.count, sizes.at, subsizes.at, starts.at, order, self->handle, &new));
}

METHOD(Datatype, Create_resized, "lb, extent", "The same data with another lower bound and extent.")
{
    Frame frame; MPI_Aint lb, extent;
    int rc = PARSE(&frame, to_aint, &lb, to_aint, &extent);
    NEW_TYPE(CLASS_OF(self), rc, LOCAL(rc, MPI_Type_create_resized, self->handle, lb, extent, &new));
}

METHOD0(Datatype, Commit, "Make it ready for communication; returns itself.")
{
    int rc;
    LOCAL(rc, MPI_Type_commit, &self->handle);
    return finish_with(NULL, rc, Py_NewRef((PyObject *)self));
}

METHOD0(Datatype, Free, "Free the datatype; what is under way with it goes on.")
{
    int rc;
    CALL(rc, NOTE(.type = self->handle), MPI_Type_free, &self->handle);
    return finish(NULL, rc);
}

/* --- the type --------------------------------------------------------------------------------------------- */

static PyObject *bound(Datatype *self, int true_ones, int which)
{
    MPI_Aint lb, extent;
    int rc = extents(self, true_ones, &lb, &extent);
    return finish_with(NULL, rc, PyLong_FromSsize_t((Py_ssize_t)(which == 0 ? lb : which == 1 ? extent : lb + extent)));
}

GETTER(Datatype, size, "The number of bytes of data in one item.") { return Datatype_Get_size_body(self); }
GETTER(Datatype, lb, "The lower bound, in bytes.") { return bound(self, 0, 0); }
GETTER(Datatype, extent, "The extent, in bytes.") { return bound(self, 0, 1); }
GETTER(Datatype, ub, "The upper bound, in bytes.") { return bound(self, 0, 2); }
GETTER(Datatype, true_lb, "The lower bound of the data itself, in bytes.") { return bound(self, 1, 0); }
GETTER(Datatype, true_extent, "The extent of the data itself, in bytes.") { return bound(self, 1, 1); }
GETTER(Datatype, true_ub, "The upper bound of the data itself, in bytes.") { return bound(self, 1, 2); }
GETTER(Datatype, name, "The name of the datatype.") { return Datatype_Get_name_body(self); }

GETTER(Datatype, is_predefined, "Whether MPI or Fortran 90 parameters define it.")
{
    int named = 0, rc = is_named(self, &named);
    return finish_with(NULL, rc, PyBool_FromLong(named));
}

static PyGetSetDef getters[] = {
    HANDLE_GETROW, GETROW(Datatype, size), GETROW(Datatype, lb), GETROW(Datatype, extent), GETROW(Datatype, ub), GETROW(Datatype, true_lb),
    GETROW(Datatype, true_extent), GETROW(Datatype, true_ub), GETSETROW(Datatype, name, handle_set_name), GETROW(Datatype, is_predefined), END_OF_GETROWS};
static PyMethodDef methods[] = {
    HANDLE_ROWS, ROW0(Datatype, Get_size), ROW0(Datatype, Get_extent), ROW0(Datatype, Get_true_extent), ROW0(Datatype, Get_name),
    ROW(Datatype, Set_name), ROW0(Datatype, Dup), ROW(Datatype, Create_contiguous), ROW(Datatype, Create_vector), ROW(Datatype, Create_hvector),
    ROW(Datatype, Create_indexed), ROW(Datatype, Create_hindexed), ROW(Datatype, Create_indexed_block), ROW(Datatype, Create_hindexed_block),
    CLASSROW(Datatype, Create_struct), ROW(Datatype, Create_subarray), ROW(Datatype, Create_resized), ROW0(Datatype, Commit), ROW0(Datatype, Free),
    END_OF_ROWS};
static PyType_Slot slots[] = {HANDLE_SLOTS, {Py_tp_getset, getters}, {Py_tp_methods, methods}, {Py_tp_doc, "What lies in a buffer, and how."}, {0, NULL}};
static PyType_Spec spec = {"mmpi.MPI.Datatype", sizeof(Datatype), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

int add_datatype_type(PyObject *module) { return add_type(module, &DatatypeType, &spec, NULL, methods); }
