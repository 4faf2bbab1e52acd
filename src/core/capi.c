/* What compiled extensions use: a table of functions in the capsule mmpi.MPI._C_API (its header is mmpi.h), and the same
 * functions under mpi4py's names and signatures in __pyx_capi__, where extensions compiled against it look. */
#include "core.h"
#define MMPI_CORE
#define MMPI_WITHOUT_MPI_H
#include "../mmpi/headers/mmpi.h"

static void *object_for(PyTypeObject *type, const void *handle)
{
    if (type == CommType && *(const MPI_Comm *)handle != MPI_COMM_NULL) type = class_of_comm(*(const MPI_Comm *)handle);
    return PyType_IsSubtype(type, CommType) ? (void *)wrap_comm(type, *(const MPI_Comm *)handle) : new_handle(type, handle);
}

static void *handle_in(PyObject *object, PyTypeObject *type)
{
    if (PyObject_TypeCheck(object, type)) return object;
    PyErr_Format(PyExc_TypeError, "expected a %R, not %R", (PyObject *)type, object);
    return NULL;
}

#define FUNCTIONS(name)                                                                                   \
    static PyObject *name##_New(MPI_##name handle) { return object_for(name##Type, &handle); }           \
    static MPI_##name *name##_Get(PyObject *object)                                                       \
    {                                                                                                     \
        name *self = handle_in(object, name##Type);                                                       \
        if (self) give_away(object);                                                                      \
        return self ? &self->handle : NULL;                                                               \
    }
MMPI_FOR_HANDLES(FUNCTIONS)

static PyObject *Prequest_New(MPI_Request handle) { return object_for(PrequestType, &handle); }
static PyObject *Grequest_New(MPI_Request handle) { return object_for(GrequestType, &handle); }

static MPI_Status *Status_Get(PyObject *object)
{
    Status *self = handle_in(object, StatusType);
    return self ? &self->handle : NULL;
}

static PyObject *Status_New(MPI_Status *status)
{
    Status *self = (Status *)PyObject_CallNoArgs((PyObject *)StatusType);
    if (self && status && status != MPI_STATUS_IGNORE) self->handle = *status;
    return (PyObject *)self;
}

static MmpiApi table;

static int add_capsule(PyObject *dict, const char *name, const char *signature, void (*function)(void))
{
    void *pointer;                      /* a cast is more than C99 allows, and what dlsym asks for too */
    memcpy(&pointer, &function, sizeof pointer);
    PyObject *capsule = PyCapsule_New(pointer, signature, NULL);
    int bad = !capsule || PyDict_SetItemString(dict, name, capsule);
    Py_XDECREF(capsule);
    return bad;
}

#define FILL(name) table.name##_Type = name##Type; table.name##_New = name##_New; table.name##_Get = name##_Get;
#define OFFER_NEW(name, argument) bad = bad || add_capsule(dict, "PyMPI" #name "_New", "PyObject *(" #argument ")", (void (*)(void))name##_New);
#define OFFER_GET(name) bad = bad || add_capsule(dict, "PyMPI" #name "_Get", "MPI_" #name " *(PyObject *)", (void (*)(void))name##_Get);
#define OFFER(name) OFFER_NEW(name, MPI_##name) OFFER_GET(name)

int add_capi(PyObject *module)
{
    int bad = 0;
    table.version = MMPI_API_VERSION;
    table.comm_size = (int)sizeof(MPI_Comm);
    table.status_size = (int)sizeof(MPI_Status);
    MMPI_FOR_HANDLES(FILL)
    FILL(Status)
    table.Prequest_Type = PrequestType;
    table.Prequest_New = Prequest_New;
    table.Grequest_Type = GrequestType;
    table.Grequest_New = Grequest_New;
    PyObject *dict = PyDict_New(), *capsule = PyCapsule_New(&table, "mmpi.MPI._C_API", NULL);
    if (!dict) bad = 1;
    MMPI_FOR_HANDLES(OFFER)
    OFFER_NEW(Status, MPI_Status *)
    OFFER_GET(Status)
    OFFER_NEW(Prequest, MPI_Request)
    OFFER_NEW(Grequest, MPI_Request)
    bad = bad || !capsule || PyModule_AddObjectRef(module, "_C_API", capsule) || PyModule_AddObjectRef(module, "__pyx_capi__", dict);
    Py_XDECREF(capsule);
    Py_XDECREF(dict);
    return bad ? -1 : 0;
}
