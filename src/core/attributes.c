/* Attributes: what users keep at communicators, datatypes and windows (MPI 5.0, section 7.7). ATTRIBUTES in core.h
 * makes the methods of a class; here is what they share. A value is a Python object, which the attribute owns, or an
 * address: with nopython, and for keyvals made by others. */
#include "core.h"
#include <stdlib.h>

struct Keyval {
    Keyval *next;
    PyTypeObject *type;
    PyObject *copy, *drop;              /* callables or NULL; Py_True copies as it is */
    int number, plain, references;      /* plain: addresses. References: the user's, and one of each attribute */
};

static Keyval *keyvals;                 /* those that users can name */

static Keyval *find(PyTypeObject *type, int number)
{
    Keyval *k = keyvals;
    while (k && (k->type != type || k->number != number)) k = k->next;
    return k;
}

static void release(Keyval *k)
{
    if (--k->references) return;
    Py_XDECREF(k->copy);
    Py_XDECREF(k->drop);
    free(k);
}

static void forget(Keyval *k)
{
    Keyval **at = &keyvals;
    while (*at != k) at = &(*at)->next;
    *at = k->next;
    release(k);
}

/* --- keyvals ---------------------------------------------------------------------------------------------- */

static int to_hook(PyObject *function, PyObject **hook)
{
    if (function == Py_None || function == Py_False) return 0;
    if (function != Py_True && !PyCallable_Check(function)) { PyErr_Format(PyExc_TypeError, "expected a callable, not %R", function); return -1; }
    *hook = Py_NewRef(function);
    return 0;
}

Keyval *new_keyval(PyTypeObject *type, Signature *signature, Frame *frame, int **number, ARGS)
{
    PyObject *copy = Py_None, *drop = Py_None; int plain = 0;
    if (PARSE(frame, to_object, &copy, to_object, &drop, to_flag, &plain)) return NULL;
    Keyval *k = calloc(1, sizeof *k);
    if (!k) { PyErr_NoMemory(); return NULL; }
    *k = (Keyval){.next = keyvals, .type = type, .plain = plain, .references = 1};
    keyvals = k;
    *number = &k->number;
    if ((to_hook(copy, &k->copy) && blame(frame, "copy_fn")) || (to_hook(drop, &k->drop) && blame(frame, "delete_fn"))) { forget(k); return NULL; }
    return k;
}

PyObject *made_keyval(Frame *frame, Keyval *k, int rc)
{
    int number = k ? k->number : 0;
    if (k && rc) forget(k);
    return finish_with(frame, rc, rc ? NULL : PyLong_FromLong(number));
}

void freed_keyval(PyTypeObject *type, int number)
{
    Keyval *k = find(type, number);
    if (k) forget(k);
}

/* --- values ----------------------------------------------------------------------------------------------- */

static PyObject *from_value(const Keyval *k, void *value) { return k && !k->plain ? Py_NewRef((PyObject *)value) : PyLong_FromVoidPtr(value); }

/* the object becomes the value, which holds a reference of its own */
static int to_value(const Keyval *k, PyObject *object, void **value)
{
    if (k && !k->plain) { *value = Py_NewRef(object); return 0; }
    *value = PyLong_AsVoidPtr(object);
    return PyErr_Occurred() ? -1 : 0;
}

int hold_attribute(PyTypeObject *type, int number, PyObject *object, void **value)
{
    Keyval *k = find(type, number);
    if (to_value(k, object, value)) return RAISED;
    if (k) k->references++;
    return 0;
}

void lose_attribute(PyTypeObject *type, int number, void *value)
{
    Keyval *k = find(type, number);
    if (k && !k->plain) Py_DECREF((PyObject *)value);
    if (k) release(k);
}

/* what MPI defines: an int, but for where a window lies and how long it is */
static PyObject *predefined(int number, void *value)
{
    static const int ints[] = {MPI_IO, MPI_HOST, MPI_WTIME_IS_GLOBAL, MPI_APPNUM, MPI_LASTUSEDCODE, MPI_UNIVERSE_SIZE, MPI_WIN_DISP_UNIT, MPI_WIN_CREATE_FLAVOR, MPI_WIN_MODEL};
    if (number == MPI_TAG_UB) return PyLong_FromLong(*(int *)value - SLOTS);
    if (number == MPI_WIN_SIZE) return PyLong_FromSsize_t((Py_ssize_t)*(MPI_Aint *)value);
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
        if (number == ints[i]) return PyLong_FromLong(*(int *)value);
    return PyLong_FromVoidPtr(value);
}

PyObject *attribute_of(PyTypeObject *type, int number, void *value)
{
    const Keyval *k = find(type, number);
    return k ? from_value(k, value) : predefined(number, value);
}

/* --- what MPI calls --------------------------------------------------------------------------------------- */

static PyObject *call_hook(const Keyval *k, PyObject *hook, Seen seen, const void *handle, void *value)
{
    PyObject *object = seen(handle), *given = object ? from_value(k, value) : NULL;
    PyObject *result = given ? PyObject_CallFunction(hook, "OiO", object, k->number, given) : NULL;
    Py_XDECREF(object);
    Py_XDECREF(given);
    return result;
}

int copy_attribute(Keyval *k, Seen seen, const void *handle, void *value, void **copy, int *flag)
{
    *flag = 0;
    if (!k->copy || !Py_IsInitialized()) return MPI_SUCCESS;
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *new = k->copy == Py_True ? from_value(k, value) : call_hook(k, k->copy, seen, handle, value);
    if (new && new != Py_NotImplemented && !to_value(k, new, copy)) {
        *flag = 1;
        k->references++;
    }
    int rc = PyErr_Occurred() ? error_in_callback() : MPI_SUCCESS;
    Py_XDECREF(new);
    PyGILState_Release(gil);
    return rc;
}

int drop_attribute(Keyval *k, Seen seen, const void *handle, void *value)
{
    if (!Py_IsInitialized()) return MPI_SUCCESS;
    PyGILState_STATE gil = PyGILState_Ensure();
    PyObject *done = k->drop && k->drop != Py_True ? call_hook(k, k->drop, seen, handle, value) : Py_NewRef(Py_None);
    int rc = done ? MPI_SUCCESS : error_in_callback();
    if (find(k->type, k->number) != k) rc = MPI_SUCCESS;        /* the key is gone: nobody could try again, nor free the object */
    if (!rc) {
        if (!k->plain) Py_DECREF((PyObject *)value);
        release(k);
    }
    Py_XDECREF(done);
    PyGILState_Release(gil);
    return rc;
}
