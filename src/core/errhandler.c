/* Error handlers, also Python functions (MPI 5.0, section 9.3). ERRHANDLERS in core.h makes the methods of a class.
 *
 * MPI gives a handler's function no closure, so each needs a C function of its own: HANDLERS for each class. A handler
 * may be in use long after it was freed, so of the freed ones that was freed first is used again. */
#include "core.h"
#include <stdlib.h>

PyTypeObject *ErrhandlerType;

typedef struct { PyObject *function; Seen seen; uintptr_t number; unsigned long freed; } Handler;
static Handler handlers[4][HANDLERS];   /* by class */
static unsigned long nfreed;            /* so far; 0 in Handler.freed: in use */

int to_errhandler(Frame *frame, PyObject *value, void *target)
{
    (void)frame;
    if (!PyObject_TypeCheck(value, ErrhandlerType)) { PyErr_Format(PyExc_TypeError, "expected an Errhandler, not %R", value); return -1; }
    *(MPI_Errhandler *)target = ((Errhandler *)value)->handle;
    return 0;
}

static void call_handler(Handler *h, const void *handle, int code)
{
    if (code == MPI_SUCCESS || !Py_IsInitialized()) return;
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyObject *object = h->seen(handle), *done = object ? PyObject_CallFunction(h->function, "Oi", object, code) : NULL;
    if (!done) end_in_callback("an error handler");
    Py_XDECREF(object);
    Py_XDECREF(done);
    PyErr_Restore(type, value, trace);
    PyGILState_Release(gil);
}

#define STAMP(class, n) static void class##_function_##n(MPI_##class *handle, int *code, ...) { call_handler(&handlers[OF_##class][0##n], handle, *code); }
#define STAMP_ROW(class, n) class##_function_##n,
#define EIGHT(X, c, n) X(c, n##0) X(c, n##1) X(c, n##2) X(c, n##3) X(c, n##4) X(c, n##5) X(c, n##6) X(c, n##7)
#define ALL_STAMPS(X, c) EIGHT(X, c, 0) EIGHT(X, c, 1) EIGHT(X, c, 2) EIGHT(X, c, 3)      /* 00 to 37, octal */
#define FUNCTIONS(class) ALL_STAMPS(STAMP, class) MPI_##class##_errhandler_function *const class##_handlers[HANDLERS] = {ALL_STAMPS(STAMP_ROW, class)};
FUNCTIONS(Comm)
FUNCTIONS(Win)
FUNCTIONS(File)
FUNCTIONS(Session)

/* one never used, else the one freed first; all taken: NULL */
static Handler *take(Handler *of_class)
{
    Handler *best = NULL;
    for (Handler *h = of_class; h < of_class + HANDLERS; h++) {
        if (!h->function) return h;
        if (h->freed && (!best || h->freed < best->freed)) best = h;
    }
    return best;
}

int new_handler(int class, PyObject *function, Seen seen)
{
    if (!PyCallable_Check(function)) { PyErr_Format(PyExc_TypeError, "Create_errhandler(errhandler_fn): errhandler_fn: %R cannot be called", function); return RAISED; }
    Handler *h = take(handlers[class]);
    if (!h) { PyErr_Format(PyExc_RuntimeError, "Create_errhandler: there are %d error handlers of this class already: free one", HANDLERS); return RAISED; }
    PyObject *old = h->function;
    *h = (Handler){.function = Py_NewRef(function), .seen = seen};
    Py_XDECREF(old);
    return (int)(h - handlers[class]);
}

PyObject *made_errhandler(Frame *frame, int class, int which, int rc, MPI_Errhandler handle)
{
    Handler *h = which < 0 ? NULL : &handlers[class][which];
    if (h && rc) Py_CLEAR(h->function);
    else if (h) h->number = (uintptr_t)handle;
    return finish_with(frame, rc, rc ? NULL : new_owned(ErrhandlerType, &handle));
}

static void mark_freed(uintptr_t number)
{
    for (int i = 0; i < 4 * HANDLERS; i++) {
        Handler *h = &handlers[0][0] + i;
        if (h->function && h->number == number && !h->freed) h->freed = ++nfreed;
    }
}

METHOD0(Errhandler, Free, "Free the error handler; it goes on for the objects that use it.")
{
    uintptr_t number = (uintptr_t)self->handle; int rc;
    CALL(rc, NOTE(.comm = NULL), MPI_Errhandler_free, &self->handle);
    if (!rc) { disown((PyObject *)self); mark_freed(number); }
    return finish(NULL, rc);
}

static int release(void *handle) { return MPI_Errhandler_free(handle); }

static PyGetSetDef getters[] = {HANDLE_GETROW, END_OF_GETROWS};
static PyMethodDef methods[] = {HANDLE_ROWS, ROW0(Errhandler, Free), END_OF_ROWS};
static PyType_Slot slots[] = {HANDLE_SLOTS, {Py_tp_getset, getters}, {Py_tp_methods, methods}, {Py_tp_doc, "What MPI does when a call fails."}, {0, NULL}};
static PyType_Spec spec = {"mmpi.MPI.Errhandler", sizeof(Errhandler), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

int add_errhandler_type(PyObject *module)
{
    return add_handle_type(module, KIND(Errhandler, MPI_ERRHANDLER_NULL, "Free", release), &spec, methods);
}
