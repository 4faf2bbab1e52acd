/* Datatypes: what lies in a buffer, and how (MPI 5.0, chapter 5). */
#include "core.h"
#include <limits.h>

PyTypeObject *DatatypeType;

int to_type(Frame *frame, PyObject *value, void *target)
{
    (void)frame;
    PyObject *type = PyObject_TypeCheck(value, DatatypeType) ? value : PyUnicode_Check(value) ? type_of_code(value) : NULL;
    if (!type && !PyErr_Occurred() && PyUnicode_Check(value)) PyErr_Format(PyExc_KeyError, "no MPI datatype for the type code %R", value);
    else if (!type && !PyErr_Occurred()) PyErr_Format(PyExc_TypeError, "expected a Datatype or a type code such as 'd', not %R", value);
    if (!type) return -1;
    *(MPI_Datatype *)target = ((Datatype *)type)->handle;
    return 0;
}

static PyObject *seen(const void *handle) { return new_handle(DatatypeType, handle); }
ATTRIBUTES(Datatype, Type, seen)

/* --- what it is ------------------------------------------------------------------------------------------- */

int size_of_type(MPI_Datatype type, MPI_Count *size)
{
    int rc;
    if (large_counts) LOCAL(rc, MPI_Type_size_c, type, size);
    else LOCAL(rc, MPI_Type_size_x, type, size);
    return rc;
}

METHOD0(Datatype, Get_size, "The number of bytes of data in one item.")
{
    MPI_Count size = 0; int rc = size_of_type(self->handle, &size);
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
    if (self->handle == MPI_DATATYPE_NULL) return PyUnicode_FromString("MPI_DATATYPE_NULL");    /* an error before MPI 4.1 */
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

typedef struct { MPI_Count integers, addresses, counts, types; int combiner; } Envelope;

static int envelope_of(MPI_Datatype type, Envelope *e)
{
    int rc, n[3] = {0};
    *e = (Envelope){.combiner = MPI_COMBINER_NAMED};
    if (large_counts) LOCAL(rc, MPI_Type_get_envelope_c, type, &e->integers, &e->addresses, &e->counts, &e->types, &e->combiner);
    else LOCAL(rc, MPI_Type_get_envelope, type, &n[0], &n[1], &n[2], &e->combiner);
    if (!large_counts) { e->integers = n[0]; e->addresses = n[1]; e->types = n[2]; }
    return rc;
}

/* is the type MPI's own, not to be freed? Value-index pairs are, too, but may be freed by who asked for them */
static int of_mpi(const Envelope *e)
{
    return e->combiner == MPI_COMBINER_NAMED || e->combiner == MPI_COMBINER_F90_INTEGER || e->combiner == MPI_COMBINER_F90_REAL ||
           e->combiner == MPI_COMBINER_F90_COMPLEX;
}

METHOD0(Datatype, Get_envelope, "How it was made: the numbers of integers, addresses, counts and datatypes in its contents, and the combiner.")
{
    Envelope e;
    int rc = envelope_of(self->handle, &e);
    return finish_with(NULL, rc, rc ? NULL : Py_BuildValue("LLLLi", (long long)e.integers, (long long)e.addresses, (long long)e.counts, (long long)e.types, e.combiner));
}

/* --- lifetimes -------------------------------------------------------------------------------------------- */

/* the object for a type that MPI gave us: it answers for what is not MPI's own */
static PyObject *own(PyTypeObject *class, MPI_Datatype type)
{
    Envelope e = {.combiner = MPI_COMBINER_NAMED};
    if (type != MPI_DATATYPE_NULL) envelope_of(type, &e);
    return of_mpi(&e) || e.combiner == MPI_COMBINER_VALUE_INDEX ? new_handle(class, &type) : new_owned(class, &type);
}

static int release(void *handle) { return MPI_Type_free(handle); }

/* --- new ones --------------------------------------------------------------------------------------------- */

/* A new type, not committed. `call` stores its handle in `new`. */
#define NEW_TYPE(type, rc, call)                                                                          \
    do {                                                                                                  \
        MPI_Datatype new = MPI_DATATYPE_NULL;                                                             \
        if (!rc) call;                                                                                    \
        return finish_with(&frame, rc, rc ? NULL : own(type, new));                                       \
    } while (0)

typedef char same_size[sizeof(MPI_Aint) == sizeof(MPI_Count) ? 1 : -1];        /* displacements in bytes go as either */

METHOD0(Datatype, Dup, "A duplicate of the datatype.")
{
    MPI_Datatype new = MPI_DATATYPE_NULL; int rc;
    CALL(rc, NOTE(.type = self->handle), MPI_Type_dup, self->handle, &new);
    return rc ? finish(NULL, rc) : own(CLASS_OF(self), new);
}

/* more items than an int counts, for libraries without large counts */
int long_type(MPI_Count count, MPI_Datatype type, MPI_Datatype *new)
{
    MPI_Aint lb, extent, at[2] = {0};
    MPI_Datatype parts[2] = {MPI_DATATYPE_NULL, MPI_DATATYPE_NULL};
    int rc, chunks = (int)(count / INT_MAX), ones[2] = {1, 1};
    LOCAL(rc, MPI_Type_get_extent, type, &lb, &extent);
    at[1] = (MPI_Aint)chunks * INT_MAX * extent;
    if (!rc) LOCAL(rc, MPI_Type_vector, chunks, INT_MAX, INT_MAX, type, &parts[0]);
    if (!rc) LOCAL(rc, MPI_Type_contiguous, (int)(count % INT_MAX), type, &parts[1]);
    if (!rc) LOCAL(rc, MPI_Type_create_struct, 2, ones, at, parts, new);
    for (int i = 0; i < 2; i++) if (parts[i] != MPI_DATATYPE_NULL) MPI_Type_free(&parts[i]);
    return rc;
}

METHOD(Datatype, Create_contiguous, "count", "Items one after the other.")
{
    Frame frame; MPI_Count count; int rc = PARSE(&frame, to_count, &count);
    if (count > INT_MAX && !large_counts) NEW_TYPE(CLASS_OF(self), rc, rc = long_type(count, self->handle, &new));
    NEW_TYPE(CLASS_OF(self), rc, LOCAL_C(rc, MPI_Type_contiguous, count, self->handle, &new));
}

METHOD(Datatype, Create_vector, "count, blocklength, stride", "Blocks of items at a distance of stride items.")
{
    Frame frame; MPI_Count count, blocklength, stride;
    int rc = PARSE(&frame, to_size, &count, to_size, &blocklength, to_size, &stride);
    NEW_TYPE(CLASS_OF(self), rc, LOCAL_C(rc, MPI_Type_vector, count, blocklength, stride, self->handle, &new));
}

METHOD(Datatype, Create_hvector, "count, blocklength, stride", "Blocks of items at a distance of stride bytes.")
{
    Frame frame; MPI_Count count, blocklength, stride;
    int rc = PARSE(&frame, to_size, &count, to_size, &blocklength, to_count, &stride);
    NEW_TYPE(CLASS_OF(self), rc, LOCAL_C(rc, MPI_Type_create_hvector, count, blocklength, stride, self->handle, &new));
}

/* blocks of lengths of their own at displacements, in items or (the type is MPI_Aint) in bytes */
#define INDEXED(name, function, converter, doc)                                                           \
    METHOD(Datatype, name, "blocklengths, displacements", doc)                                            \
    {                                                                                                     \
        Frame frame; Sizes lengths, displs;                                                               \
        int rc = PARSE(&frame, to_sizes, &lengths, converter, &displs) ||                                 \
                 same_length(&frame, "blocklengths and displacements", lengths.count, displs.count) ? RAISED : 0; \
        NEW_TYPE(CLASS_OF(self), rc, LOCAL_C(rc, function, lengths.count, lengths.at, displs.at, self->handle, &new)); \
    }
#define INDEXED_BLOCK(name, function, converter, doc)                                                     \
    METHOD(Datatype, name, "blocklength, displacements", doc)                                             \
    {                                                                                                     \
        Frame frame; MPI_Count length; Sizes displs;                                                      \
        int rc = PARSE(&frame, to_size, &length, converter, &displs);                                     \
        NEW_TYPE(CLASS_OF(self), rc, LOCAL_C(rc, function, displs.count, length, displs.at, self->handle, &new)); \
    }
INDEXED(Create_indexed, MPI_Type_indexed, to_sizes, "Blocks of different lengths, at displacements in items.")
INDEXED(Create_hindexed, MPI_Type_create_hindexed, to_aints, "Blocks of different lengths, at displacements in bytes.")
INDEXED_BLOCK(Create_indexed_block, MPI_Type_create_indexed_block, to_sizes, "Blocks of one length, at displacements in items.")
INDEXED_BLOCK(Create_hindexed_block, MPI_Type_create_hindexed_block, to_aints, "Blocks of one length, at displacements in bytes.")

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
    Frame frame; Sizes lengths, displs; Types types;
    int rc = PARSE(&frame, to_sizes, &lengths, to_aints, &displs, to_types, &types) ||
             same_length(&frame, "blocklengths and displacements", lengths.count, displs.count) ||
             same_length(&frame, "blocklengths and datatypes", lengths.count, types.count) ? RAISED : 0;
    NEW_TYPE(self, rc, LOCAL_C(rc, MPI_Type_create_struct, lengths.count, lengths.at, displs.at, types.at, &new));
}

METHOD(Datatype, Create_subarray, "sizes, subsizes, starts, order=ORDER_C", "A part of an array of several dimensions.")
{
    Frame frame; Sizes sizes, subsizes, starts; int order = MPI_ORDER_C;
    int rc = PARSE(&frame, to_sizes, &sizes, to_sizes, &subsizes, to_sizes, &starts, to_int, &order) ||
             same_length(&frame, "sizes and subsizes", sizes.count, subsizes.count) ||
             same_length(&frame, "sizes and starts", sizes.count, starts.count) ? RAISED : 0;
    NEW_TYPE(CLASS_OF(self), rc, LOCAL_C(rc, MPI_Type_create_subarray, sizes.count, sizes.at, subsizes.at, starts.at, order, self->handle, &new));
}

METHOD(Datatype, Create_darray, "size, rank, gsizes, distribs, dargs, psizes, order=ORDER_C", "A rank's part of an array that is distributed over a grid of processes.")
{
    Frame frame; int size, rank, order = MPI_ORDER_C; Sizes gsizes; Ints distribs, dargs, psizes;
    int rc = PARSE(&frame, to_int, &size, to_int, &rank, to_sizes, &gsizes, to_ints, &distribs, to_ints, &dargs, to_ints, &psizes, to_int, &order) ||
             same_length(&frame, "gsizes and distribs", gsizes.count, distribs.count) || same_length(&frame, "gsizes and dargs", gsizes.count, dargs.count) ||
             same_length(&frame, "gsizes and psizes", gsizes.count, psizes.count) ? RAISED : 0;
    NEW_TYPE(CLASS_OF(self), rc, LOCAL_C(rc, MPI_Type_create_darray, size, rank, gsizes.count, gsizes.at, distribs.at, dargs.at, psizes.at, order, self->handle, &new));
}

METHOD(Datatype, Create_resized, "lb, extent", "The same data with another lower bound and extent.")
{
    Frame frame; MPI_Aint lb, extent;
    int rc = PARSE(&frame, to_aint, &lb, to_aint, &extent);
    NEW_TYPE(CLASS_OF(self), rc, LOCAL_C(rc, MPI_Type_create_resized, self->handle, lb, extent, &new));
}

/* --- those that MPI has ------------------------------------------------------------------------------------ */

CLASSMETHOD(Datatype, Create_f90_integer, "r", "The Fortran integer of at least r decimal digits.")
{
    Frame frame; int r, rc = PARSE(&frame, to_int, &r);
    NEW_TYPE(self, rc, LOCAL(rc, MPI_Type_create_f90_integer, r, &new));
}

CLASSMETHOD(Datatype, Create_f90_real, "p, r", "The Fortran real of at least p decimal digits and a decimal exponent range of r.")
{
    Frame frame; int p, r, rc = PARSE(&frame, to_int, &p, to_int, &r);
    NEW_TYPE(self, rc, LOCAL(rc, MPI_Type_create_f90_real, p, r, &new));
}

CLASSMETHOD(Datatype, Create_f90_complex, "p, r", "The Fortran complex of at least p decimal digits and a decimal exponent range of r.")
{
    Frame frame; int p, r, rc = PARSE(&frame, to_int, &p, to_int, &r);
    NEW_TYPE(self, rc, LOCAL(rc, MPI_Type_create_f90_complex, p, r, &new));
}

CLASSMETHOD(Datatype, Match_size, "typeclass, size", "The datatype of a class (TYPECLASS_REAL, ...) and of a size in bytes.")
{
    Frame frame; int typeclass, size, rc = PARSE(&frame, to_int, &typeclass, to_int, &size);
    NEW_TYPE(self, rc, LOCAL(rc, MPI_Type_match_size, typeclass, size, &new));
}

/* what MPI_Type_get_value_index finds, for libraries that are older than it */
static int value_index(MPI_Datatype value, MPI_Datatype index, MPI_Datatype *pair)
{
    const MPI_Datatype pairs[][2] = {{MPI_FLOAT, MPI_FLOAT_INT}, {MPI_DOUBLE, MPI_DOUBLE_INT}, {MPI_LONG_DOUBLE, MPI_LONG_DOUBLE_INT},
                                     {MPI_SHORT, MPI_SHORT_INT}, {MPI_INT, MPI_2INT}, {MPI_LONG, MPI_LONG_INT}};
    *pair = MPI_DATATYPE_NULL;
    if (value == MPI_DATATYPE_NULL || index == MPI_DATATYPE_NULL) return MPI_ERR_TYPE;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (index == MPI_INT && value == pairs[i][0]) *pair = pairs[i][1];
    return MPI_SUCCESS;
}

CLASSMETHOD(Datatype, Get_value_index, "value, index", "The pair of these two that MINLOC and MAXLOC take; DATATYPE_NULL: there is none.")
{
    Frame frame; MPI_Datatype value, index;
    int rc = PARSE(&frame, to_type, &value, to_type, &index);
    if (!MPI_Type_get_value_index)
        NEW_TYPE(self, rc, rc = mpi_state == RUNNING ? value_index(value, index, &new) : refuse(OP_MPI_Type_get_value_index));
    NEW_TYPE(self, rc, LOCAL(rc, MPI_Type_get_value_index, value, index, &new));
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
    if (!rc) disown((PyObject *)self);
    return finish(NULL, rc);
}

/* --- what it was made of ---------------------------------------------------------------------------------- */

static PyObject *from_types(PyTypeObject *class, const MPI_Datatype *at, MPI_Count count)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (MPI_Count i = 0; list && i < count; i++) {
        PyObject *item = own(class, at[i]);
        if (!item || PyList_SetItem(list, (Py_ssize_t)i, item)) Py_CLEAR(list);
    }
    return list;
}

static PyObject *from_aints(const MPI_Aint *at, MPI_Count count)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (MPI_Count i = 0; list && i < count; i++) {
        PyObject *item = PyLong_FromSsize_t((Py_ssize_t)at[i]);
        if (!item || PyList_SetItem(list, (Py_ssize_t)i, item)) Py_CLEAR(list);
    }
    return list;
}

METHOD0(Datatype, Get_contents, "What it was made of: lists of integers, addresses, counts and datatypes.")
{
    Frame frame; Envelope e;
    open_frame(&frame, NULL);
    int rc = envelope_of(self->handle, &e);
    if (rc) return finish(&frame, rc);
    int *i = frame_memory(&frame, (size_t)e.integers, sizeof *i);
    MPI_Aint *a = frame_memory(&frame, (size_t)e.addresses, sizeof *a);
    MPI_Count *c = frame_memory(&frame, (size_t)e.counts, sizeof *c);
    MPI_Datatype *d = frame_memory(&frame, (size_t)e.types, sizeof *d);
    if (!i || !a || !c || !d) return finish(&frame, RAISED);
    if (large_counts) LOCAL(rc, MPI_Type_get_contents_c, self->handle, e.integers, e.addresses, e.counts, e.types, i, a, c, d);
    else LOCAL(rc, MPI_Type_get_contents, self->handle, (int)e.integers, (int)e.addresses, (int)e.types, i, a, d);
    return finish_with(&frame, rc, rc ? NULL : Py_BuildValue("NNNN", from_ints(i, (int)e.integers), from_aints(a, e.addresses),
                                                             from_aints((MPI_Aint *)c, e.counts), from_types(DatatypeType, d, e.types)));
}

/* what needs no MPI: mmpi/datatypes.py */
static PyObject *in_python(const char *function, Datatype *self)
{
    PyObject *module = PyImport_ImportModule("mmpi.datatypes"), *result = module ? PyObject_CallMethod(module, function, "O", self) : NULL;
    Py_XDECREF(module);
    return result;
}

METHOD0(Datatype, decode, "What it was made of: the datatype, the name of the constructor, its arguments in a dict.") { return in_python("decode", self); }
METHOD0(Datatype, tocode, "The type code of NumPy, such as 'd' or 'i8'. ValueError: there is none.") { return in_python("tocode", self); }

METHOD0(Datatype, __reduce__, "By name where MPI has it, else by how it was made.") { return in_python("reduce", self); }

CLASSMETHOD(Datatype, fromcode, "code", "The datatype of a type code, such as 'd' or 'i8'. ValueError: there is none.")
{
    Frame frame; PyObject *code, *type = NULL;
    (void)self;
    int rc = PARSE(&frame, to_object, &code);
    if (!rc && !(type = type_of_code(code)) && !PyErr_Occurred()) PyErr_Format(PyExc_ValueError, "no MPI datatype for the type code %R", code);
    return finish_with(&frame, type ? 0 : RAISED, Py_XNewRef(type));
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

GETTER(Datatype, envelope, "How it was made: see Get_envelope.") { return Datatype_Get_envelope_body(self); }
GETTER(Datatype, contents, "What it was made of: see Get_contents.") { return Datatype_Get_contents_body(self); }
GETTER(Datatype, typechar, "The type code of NumPy in one character: 'd'. 'V': there is none.") { return in_python("typechar", self); }
GETTER(Datatype, typestr, "The type code of NumPy with the size: 'f8'. 'V12': there is none.") { return in_python("typestr", self); }

GETTER(Datatype, combiner, "The constructor that made it: COMBINER_VECTOR, ...")
{
    Envelope e;
    int rc = envelope_of(self->handle, &e);
    return finish_with(NULL, rc, PyLong_FromLong(e.combiner));
}

GETTER(Datatype, is_named, "Whether MPI has a name for it.")
{
    Envelope e;
    int rc = envelope_of(self->handle, &e);
    return finish_with(NULL, rc, PyBool_FromLong(e.combiner == MPI_COMBINER_NAMED));
}

GETTER(Datatype, is_predefined, "Whether MPI or Fortran 90 parameters define it.")
{
    Envelope e = {.combiner = MPI_COMBINER_NAMED};
    int rc = self->handle == MPI_DATATYPE_NULL ? 0 : envelope_of(self->handle, &e);
    return finish_with(NULL, rc, PyBool_FromLong(of_mpi(&e)));
}

static PyGetSetDef getters[] = {
    HANDLE_GETROW, GETROW(Datatype, size), GETROW(Datatype, lb), GETROW(Datatype, extent), GETROW(Datatype, ub), GETROW(Datatype, true_lb),
    GETROW(Datatype, true_extent), GETROW(Datatype, true_ub), SETROW(Datatype, name, Set_name), GETROW(Datatype, envelope),
    GETROW(Datatype, contents), GETROW(Datatype, combiner), GETROW(Datatype, is_named), GETROW(Datatype, is_predefined),
    GETROW(Datatype, typechar), GETROW(Datatype, typestr), END_OF_GETROWS};
static PyMethodDef type_methods[] = {
    ROW0(Datatype, __reduce__), HANDLE_ROWS, ROW0(Datatype, Get_size), ROW0(Datatype, Get_extent), ROW0(Datatype, Get_true_extent),
    ROW0(Datatype, Get_name), ROW(Datatype, Set_name), ROW0(Datatype, Dup), {"Create_dup", Datatype_Dup, METH_NOARGS, Datatype_Dup_doc},
    ROW(Datatype, Create_contiguous), ROW(Datatype, Create_vector), ROW(Datatype, Create_hvector), ROW(Datatype, Create_indexed),
    ROW(Datatype, Create_hindexed), ROW(Datatype, Create_indexed_block), ROW(Datatype, Create_hindexed_block), CLASSROW(Datatype, Create_struct),
    ROW(Datatype, Create_subarray), ROW(Datatype, Create_darray), ROW(Datatype, Create_resized), ALIASROW(Datatype, Resized, Create_resized),
    CLASSROW(Datatype, Create_f90_integer), CLASSROW(Datatype, Create_f90_real), CLASSROW(Datatype, Create_f90_complex), CLASSROW(Datatype, Match_size),
    CLASSROW(Datatype, Get_value_index), ROW0(Datatype, Commit), ROW0(Datatype, Free), ROW0(Datatype, Get_envelope), ROW0(Datatype, Get_contents),
    ROW0(Datatype, decode), ROW0(Datatype, tocode), CLASSROW(Datatype, fromcode), ATTRIBUTE_ROWS(Datatype), END_OF_ROWS};
int add_datatype_type(PyObject *module)
{
    PyMethodDef *const tables[] = {type_methods, pack_methods, NULL}, *methods = joined(tables);
    PyType_Slot slots[] = {HANDLE_SLOTS, {Py_tp_getset, getters}, {Py_tp_methods, methods},
                           {Py_tp_doc, "What lies in a buffer, and how."}, {0, NULL}};
    PyType_Spec spec = {"mmpi.MPI.Datatype", sizeof(Datatype), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
    return methods ? add_handle_type(module, KIND(Datatype, MPI_DATATYPE_NULL, "Free", release), &spec, methods) : -1;
}
