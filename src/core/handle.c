/* What the objects of all handle types have in common: made from a handle, compared, pickled by name. */
#include "core.h"
#include <stdlib.h>

/* All handles but MPICH's files have the size of a communicator's; each object begins with its handle. */
typedef struct { HANDLE_HEAD(MPI_Comm); } Any;

PyTypeObject *InfoType, *ErrhandlerType;

typedef struct { PyTypeObject **type; uintptr_t null; } Kind;

static const Kind *kind_of(PyTypeObject *type)
{
    static Kind kinds[] = {{&CommType, 0}, {&GroupType, 0}, {&DatatypeType, 0}, {&OpType, 0}, {&InfoType, 0},
                           {&ErrhandlerType, 0}, {&MessageType, 0}, {&RequestType, 0}};
    if (!kinds[0].null) {
        kinds[0].null = (uintptr_t)MPI_COMM_NULL;
        kinds[1].null = (uintptr_t)MPI_GROUP_NULL;
        kinds[2].null = (uintptr_t)MPI_DATATYPE_NULL;
        kinds[3].null = (uintptr_t)MPI_OP_NULL;
        kinds[4].null = (uintptr_t)MPI_INFO_NULL;
        kinds[5].null = (uintptr_t)MPI_ERRHANDLER_NULL;
        kinds[6].null = (uintptr_t)MPI_MESSAGE_NULL;
        kinds[7].null = (uintptr_t)MPI_REQUEST_NULL;
    }
    const Kind *k = kinds;
    while (k < kinds + sizeof kinds / sizeof *kinds - 1 && !PyType_IsSubtype(type, *k->type)) k++;
    return k;
}

static uintptr_t number(PyObject *self) { return (uintptr_t)((Any *)self)->handle; }

void *new_handle(PyTypeObject *type, const void *handle)
{
    Any *self = (Any *)PyType_GenericAlloc(type, 0);
    if (self) memcpy(&self->handle, handle, sizeof self->handle);
    return self;
}

/* Comm(), or Comm(other) of the same kind: a second object for the same handle */
PyObject *handle_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *other = NULL;
    static char *names[] = {"", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", names, &other)) return NULL;
    const Kind *kind = kind_of(type);
    if (other && other != Py_None && !PyObject_TypeCheck(other, *kind->type))
        return PyErr_Format(PyExc_TypeError, "expected a %R, not %R", (PyObject *)*kind->type, (PyObject *)Py_TYPE(other));
    MPI_Comm handle = other && other != Py_None ? ((Any *)other)->handle : (MPI_Comm)kind->null;
    if (kind->type == &CommType) return (PyObject *)wrap_comm(type, handle);
    PyObject *self = new_handle(type, &handle);
    if (self && kind->type == &RequestType && other && other != Py_None) share_request((Request *)self, (Request *)other);
    if (self && kind->type == &MessageType && other && other != Py_None) share_message((Message *)self, (Message *)other);
    return self;
}

void free_object(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release;
    *(void **)&release = PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

void handle_dealloc(PyObject *self)
{
    if (((Any *)self)->weakrefs) PyObject_ClearWeakRefs(self);
    free_object(self);
}

PyObject *handle_compare(PyObject *a, PyObject *b, int how)
{
    if ((how != Py_EQ && how != Py_NE) || !PyObject_TypeCheck(b, *kind_of(Py_TYPE(a))->type)) Py_RETURN_NOTIMPLEMENTED;
    return PyBool_FromLong((number(a) == number(b)) == (how == Py_EQ));
}

int handle_bool(PyObject *self) { return number(self) != kind_of(Py_TYPE(self))->null; }

/* the name under which mmpi.MPI has this predefined handle, or NULL */
static PyObject *constant_name(PyObject *self)
{
    PyObject *core = PyDict_GetItemString(PyImport_GetModuleDict(), "mmpi._core"), *key, *value;
    PyObject *names = core ? PyModule_GetDict(core) : NULL;
    Py_ssize_t i = 0;
    while (names && PyDict_Next(names, &i, &key, &value))
        if (Py_TYPE(value) == Py_TYPE(self) && (((Any *)value)->flags & CONSTANT) && number(value) == number(self)) return Py_NewRef(key);
    return NULL;
}

int handle_set_name(PyObject *self, PyObject *name, void *unused)
{
    (void)unused;
    PyObject *done = name ? PyObject_CallMethod(self, "Set_name", "O", name) : PyErr_Format(PyExc_AttributeError, "%R keeps its name", self);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

PyObject *handle_repr(PyObject *self)
{
    PyObject *class = PyObject_GetAttrString((PyObject *)Py_TYPE(self), "__name__"), *name = constant_name(self), *text = NULL;
    if (class && name) text = PyUnicode_FromFormat("<%U %U>", class, name);
    else if (class) text = PyUnicode_FromFormat(handle_bool(self) ? "<%U handle 0x%lx>" : "<%U null>", class, (unsigned long)number(self));
    Py_XDECREF(class);
    Py_XDECREF(name);
    return text;
}

PyObject *handle_get(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(sizeof(MPI_Comm) == sizeof(int) ? (size_t)(unsigned)number(self) : (size_t)number(self));
}

PyObject *handle_to(PyObject *self, PyObject *unused)
{
    (void)unused;
    return handle_get(self, NULL);
}

PyObject *handle_from(PyObject *type, PyObject *value)
{
    size_t given = PyLong_AsSize_t(value);
    if (given == (size_t)-1 && PyErr_Occurred()) return NULL;
    MPI_Comm handle = (MPI_Comm)(uintptr_t)given;
    if (kind_of((PyTypeObject *)type)->type == &CommType) return (PyObject *)wrap_comm((PyTypeObject *)type, handle);
    return new_handle((PyTypeObject *)type, &handle);
}

/* a predefined handle is pickled by its name in mmpi.MPI, so that it opens under another MPI library */
PyObject *handle_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyObject *name = constant_name(self);
    if (!name) return PyErr_Format(PyExc_ValueError, "cannot pickle %R: it means something in this process only", self);
    return name;
}

PyMemberDef handle_members[] = {{"__weaklistoffset__", T_PYSSIZET, offsetof(Any, weakrefs), READONLY, NULL}, {NULL, 0, 0, 0, NULL}};

int add_constant(PyObject *module, const char *name, PyTypeObject *type, const void *handle)
{
    Any *object = new_handle(type, handle);
    if (!object) return -1;
    object->flags |= CONSTANT;
    int bad = PyModule_AddObjectRef(module, name, (PyObject *)object);
    Py_DECREF(object);
    return bad;
}

PyMethodDef *joined(PyMethodDef *const tables[])
{
    size_t n = 0;
    for (int t = 0; tables[t]; t++)
        for (PyMethodDef *row = tables[t]; row->ml_name; row++) n++;
    PyMethodDef *all = calloc(n + 1, sizeof *all), *next = all;
    if (!all) { PyErr_NoMemory(); return NULL; }
    for (int t = 0; tables[t]; t++)
        for (PyMethodDef *row = tables[t]; row->ml_name; row++) *next++ = *row;
    return all;                         /* lives as long as the type */
}

int add_type(PyObject *module, PyTypeObject **type, PyType_Spec *spec, PyTypeObject *base, PyMethodDef *methods)
{
    if (methods && document(methods, "$self")) return -1;
    *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, (PyObject *)base);
    return *type ? PyModule_AddType(module, *type) : -1;
}

/* --- types that so far have constants only ---------------------------------------------------------------- */

static PyGetSetDef getters[] = {HANDLE_GETROW, END_OF_GETROWS};
static PyMethodDef methods[] = {HANDLE_ROWS, END_OF_ROWS};
static PyType_Slot info_slots[] = {HANDLE_SLOTS, {Py_tp_getset, getters}, {Py_tp_methods, methods}, {Py_tp_doc, "Hints to MPI: keys and values."}, {0, NULL}};
static PyType_Slot errhandler_slots[] = {HANDLE_SLOTS, {Py_tp_getset, getters}, {Py_tp_methods, methods}, {Py_tp_doc, "What MPI does when a call fails."}, {0, NULL}};
static PyType_Spec info_spec = {"mmpi.MPI.Info", sizeof(Info), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, info_slots};
static PyType_Spec errhandler_spec = {"mmpi.MPI.Errhandler", sizeof(Errhandler), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, errhandler_slots};

int to_info(Frame *frame, PyObject *value, void *target)
{
    (void)frame;
    if (value == Py_None) return 0;
    if (!PyObject_TypeCheck(value, InfoType)) { PyErr_Format(PyExc_TypeError, "expected an Info, not %R", value); return -1; }
    *(MPI_Info *)target = ((Info *)value)->handle;
    return 0;
}

int add_other_types(PyObject *module)
{
    return add_type(module, &InfoType, &info_spec, NULL, methods) || add_type(module, &ErrhandlerType, &errhandler_spec, NULL, NULL) ? -1 : 0;
}
