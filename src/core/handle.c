/* What the objects of all handle types have in common: made from a handle, compared, pickled by name. */
#include "core.h"
#include <stdarg.h>
#include <stdlib.h>

/* Each object begins with its handle. All handles have the size of a communicator's, but for MPICH's files. */
typedef struct { LOCAL_HEAD(MPI_Comm); } Any;
typedef struct { HANDLE_HEAD(MPI_File); } Wide;

static Kind kinds[16];
static int nkinds;

static const Kind *kind_of(PyTypeObject *type)
{
    const Kind *k = kinds;
    while (k < kinds + nkinds - 1 && !PyType_IsSubtype(type, *k->type)) k++;
    return k;
}

static int is_wide(const Kind *k) { return k->size != sizeof(MPI_Comm); }
static uintptr_t number_of(PyObject *self, const Kind *k) { return is_wide(k) ? (uintptr_t)((Wide *)self)->handle : (uintptr_t)((Any *)self)->handle; }
static uintptr_t number(PyObject *self) { return number_of(self, kind_of(Py_TYPE(self))); }
static unsigned *flags_of(PyObject *self, const Kind *k) { return is_wide(k) ? &((Wide *)self)->flags : &((Any *)self)->flags; }

static void set_number(PyObject *self, const Kind *k, uintptr_t to)
{
    if (is_wide(k)) ((Wide *)self)->handle = (MPI_File)to;
    else ((Any *)self)->handle = (MPI_Comm)to;
}

void *new_handle(PyTypeObject *type, const void *handle)
{
    const Kind *k = kind_of(type);
    PyObject *self = PyType_GenericAlloc(type, 0);
    if (self) set_number(self, k, is_wide(k) ? (uintptr_t)*(MPI_File *)handle : (uintptr_t)*(MPI_Comm *)handle);
    return self;
}

void *new_owned(PyTypeObject *type, const void *handle)
{
    Any *self = new_handle(type, handle);
    if (self) self->flags |= OWNED;
    return self;
}

void disown(PyObject *self)
{
    for (Any *object = (Any *)self; object; object = (Any *)object->origin) object->flags &= ~(unsigned)OWNED;
}

/* Comm(), or Comm(other) of the same kind: a second object for the same handle */
PyObject *handle_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *other = NULL;
    static char *names[] = {"", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", names, &other)) return NULL;
    const Kind *kind = kind_of(type);
    if (other == Py_None) other = NULL;
    if (other && !PyObject_TypeCheck(other, *kind->type))
        return PyErr_Format(PyExc_TypeError, "expected a %R, not %R", (PyObject *)*kind->type, (PyObject *)Py_TYPE(other));
    PyTypeObject *kinds_of_request[] = {PrequestType, GrequestType};
    for (int i = 0; other && kind->type == &RequestType && i < 2; i++)
        if (PyType_IsSubtype(type, kinds_of_request[i]) && PyObject_TypeCheck(other, kinds_of_request[1 - i]))
            return PyErr_Format(PyExc_TypeError, "%R cannot become a %R", other, (PyObject *)type);
    uintptr_t handle = other ? number_of(other, kind) : kind->null;
    if (kind->type == &CommType) return (PyObject *)wrap_comm(type, (MPI_Comm)handle);
    PyObject *self = PyType_GenericAlloc(type, 0);
    if (!self) return NULL;
    set_number(self, kind, handle);
    if (kind->release) ((Any *)self)->origin = Py_XNewRef(other);
    if (kind->type == &OpType && other) {               /* the slot stays with the first */
        ((Op *)self)->function = Py_XNewRef(((Op *)other)->function);
        ((Op *)self)->slot = -1;
    }
    if (kind->type == &RequestType && other) share_request((Request *)self, (Request *)other);
    if (kind->type == &MessageType && other) share_message((Message *)self, (Message *)other);
    if (kind->type == &WinType && other) share_win((Win *)self, (Win *)other);
    if (kind->type == &FileType && other) share_file((File *)self, (File *)other);
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

/* may this thread call MPI now, whatever it was doing? */
static int may_call(void)
{
    int level = 0;
    return mpi_state == RUNNING && !MPI_Query_thread(&level) && (level == MPI_THREAD_MULTIPLE || is_main_thread());
}

/* the handle of an object that goes away; one that other objects were made of lives as long as they */
static void let_go(PyObject *self, const Kind *k)
{
    PyObject *type, *value, *trace;
    Any *object = (Any *)self;
    PyErr_Fetch(&type, &value, &trace);
    if (object->flags & OWNED && number_of(self, k) != k->null && may_call()) {
        Py_BEGIN_ALLOW_THREADS          /* a lock of MPI's may be held by a thread that waits for the GIL in a callback */
        k->release(&object->handle);
        Py_END_ALLOW_THREADS
    }
    Py_XDECREF(object->origin);
    PyErr_Restore(type, value, trace);
}

int debugging;

static void tell(const char *function, const char *format, ...)
{
    va_list items;
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    va_start(items, format);
    PyObject *leaks = PyImport_ImportModule("mmpi.leaks"), *call = leaks ? PyObject_GetAttrString(leaks, function) : NULL;
    PyObject *arguments = Py_VaBuildValue(format, items), *done = call && arguments ? PyObject_CallObject(call, arguments) : NULL;
    va_end(items);
    if (!done) PyErr_WriteUnraisable(call);
    Py_XDECREF(leaks);
    Py_XDECREF(call);
    Py_XDECREF(arguments);
    Py_XDECREF(done);
    PyErr_Restore(type, value, trace);
}

void *watched(void *object)
{
    if (debugging && object && handle_bool(object)) tell("made", "(O)", object);
    return object;
}

/* a dropped request goes on, and is counted where it does */
static void note_end(PyObject *self, const Kind *k)
{
    int lives = mpi_state == RUNNING && k->type != &RequestType && number_of(self, k) != k->null && !is_predefined(self);
    PyObject *name = PyObject_GetAttrString((PyObject *)Py_TYPE(self), "__name__");
    if (Py_IsInitialized()) tell("gone", "(NO)", PyLong_FromVoidPtr(self), lives && name ? name : Py_None);
    Py_XDECREF(name);
}

void report_leaks(int dropped, Py_ssize_t allocated) { if (debugging) tell("report", "(iin)", flight_head()->rank, dropped, allocated); }

void handle_dealloc(PyObject *self)
{
    const Kind *k = kind_of(Py_TYPE(self));
    if (debugging) note_end(self, k);
    if (k->release) let_go(self, k);
    PyObject_ClearWeakRefs(self);
    free_object(self);
}

PyObject *handle_compare(PyObject *a, PyObject *b, int how)
{
    const Kind *k = kind_of(Py_TYPE(a));
    if ((how != Py_EQ && how != Py_NE) || !PyObject_TypeCheck(b, *k->type)) Py_RETURN_NOTIMPLEMENTED;
    return PyBool_FromLong((number_of(a, k) == number_of(b, k)) == (how == Py_EQ));
}

int handle_bool(PyObject *self)
{
    const Kind *k = kind_of(Py_TYPE(self));
    return number_of(self, k) != k->null;
}

/* --- predefined handles ----------------------------------------------------------------------------------- */

typedef struct { const Kind *kind; uintptr_t number; PyObject *object, *name; } Constant;
static Constant constants[256];
static int nconstants;

static const Constant *constant_of(PyObject *self)
{
    const Kind *k = kind_of(Py_TYPE(self));
    for (const Constant *c = constants; c < constants + nconstants; c++)
        if (c->kind == k && c->number == number_of(self, k)) return c;
    return NULL;
}

int is_predefined(PyObject *self) { return constant_of(self) != NULL; }

int add_constant(PyObject *module, const char *name, PyTypeObject *type, const void *handle)
{
    const Kind *k = kind_of(type);
    PyObject *object = new_handle(type, handle), *text = PyUnicode_FromString(name);
    if (!object || !text || nconstants == sizeof constants / sizeof *constants) return -1;
    *flags_of(object, k) |= CONSTANT;
    if (number_of(object, k) != k->null || strstr(name, "_NULL")) constants[nconstants++] = (Constant){k, number_of(object, k), object, text};
    return PyModule_AddObjectRef(module, name, object);
}

/* --- the end of a handle ---------------------------------------------------------------------------------- */

/* free() of a predefined one: the constant stays, another object forgets the handle */
PyObject *handle_free(PyObject *self, PyObject *unused)
{
    (void)unused;
    const Kind *k = kind_of(Py_TYPE(self));
    if (number_of(self, k) == k->null) Py_RETURN_NONE;
    if (k->free && !is_predefined(self)) return PyObject_CallMethod(self, k->free, NULL);
    if (!(*flags_of(self, k) & CONSTANT)) set_number(self, k, k->null);
    Py_RETURN_NONE;
}

PyObject *handle_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(self);
}

PyObject *handle_exit(PyObject *self, PyObject *unused)
{
    PyObject *done = handle_bool(self) && !is_predefined(self) ? PyObject_CallMethod(self, "free", NULL) : Py_NewRef(Py_None);
    (void)unused;
    Py_XDECREF(done);
    return done ? Py_NewRef(Py_False) : NULL;
}

int handle_set(PyObject *self, PyObject *value, void *method)
{
    PyObject *done = value ? PyObject_CallMethod(self, method, "O", value) : PyErr_Format(PyExc_AttributeError, "this attribute of %R cannot be deleted", self);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

PyObject *handle_repr(PyObject *self)
{
    const Constant *constant = constant_of(self);
    char handle[32];
    PyOS_snprintf(handle, sizeof handle, "0x%lx", (unsigned long)number(self));
    PyObject *class = PyObject_GetAttrString((PyObject *)Py_TYPE(self), "__name__"), *text = NULL;
    if (class && !handle_bool(self)) text = PyUnicode_FromFormat("<%U null>", class);
    else if (class && constant) text = PyUnicode_FromFormat("<%U %U>", class, constant->name);
    else if (class) text = PyUnicode_FromFormat("<%U handle %s>", class, handle);
    Py_XDECREF(class);
    return text;
}

/* who is given the handle may keep it longer than the object lives */
void give_away(PyObject *self)
{
    if (kind_of(Py_TYPE(self))->release) disown(self);
}

PyObject *handle_get(PyObject *self, void *unused)
{
    (void)unused;
    const Kind *k = kind_of(Py_TYPE(self));
    give_away(self);
    return PyLong_FromSize_t(k->size == sizeof(int) ? (size_t)(unsigned)number_of(self, k) : (size_t)number_of(self, k));
}

PyObject *handle_to(PyObject *self, PyObject *unused)
{
    (void)unused;
    return handle_get(self, NULL);
}

static PyObject *object_for(PyTypeObject *type, const Kind *k, uintptr_t handle)
{
    const MPI_Comm comm = (MPI_Comm)handle;
    if (k->type == &CommType) return (PyObject *)wrap_comm(type == CommType && comm != MPI_COMM_NULL ? class_of_comm(comm) : type, comm);
    PyObject *self = PyType_GenericAlloc(type, 0);
    if (self) set_number(self, k, handle);
    return self;
}

PyObject *handle_from(PyObject *type, PyObject *value)
{
    size_t given = PyLong_AsSize_t(value);
    if (given == (size_t)-1 && PyErr_Occurred()) return NULL;
    return object_for((PyTypeObject *)type, kind_of((PyTypeObject *)type), (uintptr_t)given);
}

/* --- as integers ------------------------------------------------------------------------------------------ */

#if defined(MMPI_ABI_OPENMPI)           /* before MPI 5.0, handles are integers in Fortran only */
#define C2F(class, name, handle) MPI_##name##_c2f((MPI_##class)handle)
#define F2C(class, name, number) MPI_##name##_f2c(number)
#else                                   /* MPICH before MPI 5.0: handles are integers, but for files */
#define C2F(class, name, handle) (sizeof(MPI_##class) == sizeof(int) ? (int)handle : -1)
#define F2C(class, name, number) (uintptr_t)number
#endif
#define CONVERT(class, name)                                                                              \
    int class##_to_integer(uintptr_t handle) { return MPI_##name##_toint ? MPI_##name##_toint((MPI_##class)handle) : C2F(class, name, handle); } \
    uintptr_t class##_from_integer(int number) { return MPI_##name##_fromint ? (uintptr_t)MPI_##name##_fromint(number) : (uintptr_t)F2C(class, name, number); }
CONVERT(Comm, Comm)
CONVERT(Group, Group)
CONVERT(Datatype, Type)
CONVERT(Op, Op)
CONVERT(Info, Info)
CONVERT(Errhandler, Errhandler)
CONVERT(Message, Message)
CONVERT(Request, Request)
CONVERT(Win, Win)
CONVERT(File, File)
CONVERT(Session, Session)

static int can_convert(const Kind *k) { return mpi_state == RUNNING || (k->type == &InfoType && may_have_info()); }

PyObject *handle_to_integer(PyObject *self, PyObject *unused)
{
    (void)unused;
    const Kind *k = kind_of(Py_TYPE(self));
    if (!can_convert(k)) return finish(NULL, refuse(OP_MPI_Comm_toint));
    if (k->release) disown(self);
    return PyLong_FromLong(k->to_integer(number_of(self, k)));
}

PyObject *handle_from_integer(PyObject *type, PyObject *value)
{
    int number_; const Kind *k = kind_of((PyTypeObject *)type);
    if (to_int(NULL, value, &number_)) return NULL;
    return can_convert(k) ? object_for((PyTypeObject *)type, k, k->from_integer(number_)) : finish(NULL, refuse(OP_MPI_Comm_fromint));
}

/* where the handle lies in an object, and how long it is; of a class, only the latter */
static void *handle_in(PyObject *object, size_t *size)
{
    PyTypeObject *type = PyType_Check(object) ? (PyTypeObject *)object : Py_TYPE(object);
    const Kind *k = kind_of(type);
    *size = sizeof(MPI_Status);
    if (PyType_IsSubtype(type, StatusType)) return &((Status *)object)->handle;
    *size = k->size;
    if (PyType_IsSubtype(type, *k->type)) return (char *)object + offsetof(Any, handle);
    PyErr_Format(PyExc_TypeError, "expected an object of MPI, not %R", object);
    return NULL;
}

FUNCTION(_sizeof, "arg", "The number of bytes of the MPI handle of an object, or of the objects of a class.")
{
    Frame frame; PyObject *object; size_t size;
    (void)self;
    int rc = PARSE(&frame, to_object, &object) || !handle_in(object, &size) ? RAISED : 0;
    return finish_with(&frame, rc, rc ? NULL : PyLong_FromSize_t(size));
}

FUNCTION(_addressof, "arg", "The address of the MPI handle of an object.")
{
    Frame frame; PyObject *object; size_t size; void *at = NULL;
    (void)self;
    int rc = PARSE(&frame, to_object, &object) || PyType_Check(object) || !(at = handle_in(object, &size)) ? RAISED : 0;
    if (rc && !PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "expected an object of MPI, not a class");
    if (!rc && size != sizeof(MPI_Status) && kind_of(Py_TYPE(object))->release) disown(object);
    return finish_with(&frame, rc, rc ? NULL : PyLong_FromVoidPtr(at));
}

FUNCTION(_handleof, "arg", "The MPI handle of an object, as an int; of a Status its address.")
{
    Frame frame; PyObject *object; size_t size; void *at = NULL;
    (void)self;
    if (PARSE(&frame, to_object, &object) || !(at = handle_in(object, &size))) return finish(&frame, RAISED);
    return finish_with(&frame, 0, PyObject_TypeCheck(object, StatusType) ? PyLong_FromVoidPtr(at) : handle_get(object, NULL));
}

PyMethodDef handle_functions[] = {ROW_(module, _sizeof, 0), ROW_(module, _addressof, 0), ROW_(module, _handleof, 0), END_OF_ROWS};

/* a predefined handle is pickled by its name in mmpi.MPI, so that it opens under another MPI library */
PyObject *handle_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    const Constant *constant = constant_of(self);
    if (!constant) return PyErr_Format(PyExc_ValueError, "cannot pickle %R: it means something in this process only", self);
    return self == constant->object ? Py_NewRef(constant->name) : Py_BuildValue("O(O)", (PyObject *)Py_TYPE(self), constant->object);
}

PyMemberDef handle_members[] = {{"__weaklistoffset__", T_PYSSIZET, offsetof(Any, weakrefs), READONLY, NULL}, {NULL, 0, 0, 0, NULL}};
PyMemberDef file_members[] = {{"__weaklistoffset__", T_PYSSIZET, offsetof(Wide, weakrefs), READONLY, NULL}, {NULL, 0, 0, 0, NULL}};

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

int add_handle_type(PyObject *module, Kind kind, PyType_Spec *spec, PyMethodDef *methods)
{
    kinds[nkinds++] = kind;
    return add_type(module, kind.type, spec, NULL, methods);
}
