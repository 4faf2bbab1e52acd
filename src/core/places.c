/* BOTTOM, IN_PLACE and BUFFER_AUTOMATIC: addresses with a meaning, given in place of a buffer (MPI 5.0, sections 2.5.4, 3.6, 6.2.1). */
#include "core.h"

typedef struct { PyObject_HEAD const char *name; void *address; } Constant;

static PyObject *bottom, *in_place, *automatic;

int is_in_place(PyObject *object) { return object == in_place || object == Py_None; }
int is_bottom(PyObject *object) { return object == bottom; }
int is_automatic(PyObject *object) { return object == automatic || object == Py_None; }

int is_place(PyObject *object) { return object == bottom || object == in_place || object == automatic; }

static PyObject *place_int(PyObject *self) { return PyLong_FromSsize_t((Py_ssize_t)((Constant *)self)->address); }
static PyObject *place_repr(PyObject *self) { return PyUnicode_FromString(((Constant *)self)->name); }
static int place_bool(PyObject *self) { return ((Constant *)self)->address != NULL; }

static PyObject *place_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    return place_repr(self);
}

static Py_hash_t place_hash(PyObject *self)
{
    PyObject *number = place_int(self);
    Py_hash_t hash = number ? PyObject_Hash(number) : -1;
    Py_XDECREF(number);
    return hash;
}

static PyObject *place_compare(PyObject *self, PyObject *other, int how)
{
    if (how != Py_EQ && how != Py_NE) Py_RETURN_NOTIMPLEMENTED;
    PyObject *a = place_int(self), *b = Py_TYPE(other) == Py_TYPE(self) ? place_int(other) : Py_NewRef(other);
    PyObject *answer = a && b ? PyObject_RichCompare(a, b, how) : NULL;
    Py_XDECREF(a);
    Py_XDECREF(b);
    return answer;
}

static int place_buffer(PyObject *self, Py_buffer *view, int flags) { return PyBuffer_FillInfo(view, NULL, ((Constant *)self)->address, 0, 0, flags); }

/* there is one of each: the module has it */
#define PLACE(class, constant, index, doc)                                                                 \
    static PyObject *class##_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)                    \
    {                                                                                                     \
        static char *names[] = {NULL};                                                                    \
        (void)type;                                                                                       \
        return PyArg_ParseTupleAndKeywords(args, kwargs, "", names) ? Py_NewRef(constant) : NULL;         \
    }                                                                                                     \
    static PyMethodDef class##_methods[] = {{"__reduce__", place_reduce, METH_NOARGS, NULL}, END_OF_ROWS}; \
    static PyType_Slot class##_slots[] = {                                                                \
        SLOT(Py_tp_new, class##_new), SLOT(index, place_int), SLOT(Py_nb_int, place_int), SLOT(Py_nb_bool, place_bool), SLOT(Py_tp_repr, place_repr), \
        SLOT(Py_tp_hash, place_hash), SLOT(Py_tp_richcompare, place_compare), SLOT(Py_bf_getbuffer, place_buffer), {Py_tp_methods, class##_methods}, \
        {Py_tp_doc, doc}, {0, NULL}};                                                                     \
    static PyTypeObject *class;                                                                           \
    static PyType_Spec class##_spec = {"mmpi.MPI." #class, sizeof(Constant), 0, Py_TPFLAGS_DEFAULT, class##_slots};
PLACE(BottomType, bottom, Py_nb_index, "The type of BOTTOM: the start of memory, for datatypes made of addresses.")
PLACE(InPlaceType, in_place, Py_nb_int, "The type of IN_PLACE: the other buffer is both input and output.")
PLACE(BufferAutomaticType, automatic, Py_nb_int, "The type of BUFFER_AUTOMATIC: MPI takes memory for buffered sends as it needs it.")

static PyObject *new_place(PyObject *module, PyTypeObject **type, PyType_Spec *spec, const char *name, void *address)
{
    Constant *self = add_type(module, type, spec, NULL, NULL) ? NULL : (Constant *)PyType_GenericAlloc(*type, 0);
    if (!self || PyModule_AddObjectRef(module, name, (PyObject *)self)) return NULL;
    self->name = name;
    self->address = address;
    return (PyObject *)self;
}

int prepare_places(PyObject *module)
{
    bottom = new_place(module, &BottomType, &BottomType_spec, "BOTTOM", MPI_BOTTOM);
    in_place = bottom ? new_place(module, &InPlaceType, &InPlaceType_spec, "IN_PLACE", MPI_IN_PLACE) : NULL;
    automatic = in_place ? new_place(module, &BufferAutomaticType, &BufferAutomaticType_spec, "BUFFER_AUTOMATIC", MPI_BUFFER_AUTOMATIC) : NULL;
    return automatic ? 0 : -1;
}
