/* Info: hints to MPI, which are also a mapping of str to str (MPI 5.0, chapter 10). */
#include "core.h"

PyTypeObject *InfoType;

int to_info(Frame *frame, PyObject *value, void *target)
{
    (void)frame;
    if (value == Py_None) return 0;
    if (!PyObject_TypeCheck(value, InfoType)) { PyErr_Format(PyExc_TypeError, "expected an Info, not %R", value); return -1; }
    *(MPI_Info *)target = ((Info *)value)->handle;
    return 0;
}

PyObject *new_info(MPI_Info handle) { return new_owned(InfoType, &handle); }

/* Since MPI 4.0, which brought MPI_Info_create_env, there may be an Info before init and after finalize. */
int may_have_info(void) { return mpi_state == RUNNING || (MPI_Info_create_env && mpi_state != FORKED); }

/* An error of MPI would end the process where MPI does not run, so we look before for what could be one. */
static int allow(int operation, MPI_Info info, const char *key, const char *value)
{
    int found = 1, length = 0;
    if (mpi_state == RUNNING) return 0;
    if (!may_have_info()) return refuse(operation);
    if (info == MPI_INFO_NULL) return MPI_ERR_INFO;
    if (key && (!*key || strlen(key) >= MPI_MAX_INFO_KEY)) return MPI_ERR_INFO_KEY;
    if (value && strlen(value) >= MPI_MAX_INFO_VAL) return MPI_ERR_INFO_VALUE;
    if (operation == OP_MPI_Info_delete) MPI_Info_get_valuelen(info, key, &length, &found);
    return found ? 0 : MPI_ERR_INFO_NOKEY;
}
#define OF_INFO(rc, function, key, value, info, ...) ((rc = allow(OP_##function, info, key, value)) != 0 ? rc : ANYTIME(rc, function, info, __VA_ARGS__))

/* --- keys and values -------------------------------------------------------------------------------------- */

/* a new reference; None: no such key, NULL: an error */
static PyObject *get(MPI_Info info, const char *key)
{
    char value[MPI_MAX_INFO_VAL + 1] = ""; int found = 0, length = sizeof value, rc;
    if (info == MPI_INFO_NULL) Py_RETURN_NONE;
    if (MPI_Info_get_string) OF_INFO(rc, MPI_Info_get_string, key, NULL, info, key, &length, value, &found);
    else OF_INFO(rc, MPI_Info_get, key, NULL, info, key, MPI_MAX_INFO_VAL, value, &found);
    if (rc) return finish(NULL, rc);
    return found ? PyUnicode_DecodeUTF8(value, (Py_ssize_t)strlen(value), "replace") : Py_NewRef(Py_None);
}

static int count(MPI_Info info)         /* -1 with an exception */
{
    int n = 0, rc = 0;
    if (info != MPI_INFO_NULL) OF_INFO(rc, MPI_Info_get_nkeys, NULL, NULL, info, &n);
    return check(rc) ? -1 : n;
}

static PyObject *key_at(MPI_Info info, int n)
{
    char key[MPI_MAX_INFO_KEY + 1] = ""; int rc = allow(OP_MPI_Info_get_nthkey, info, NULL, NULL);
    if (!rc && mpi_state != RUNNING && (n < 0 || n >= count(info))) rc = MPI_ERR_ARG;
    if (!rc) ANYTIME(rc, MPI_Info_get_nthkey, info, n, key);
    return rc ? finish(NULL, rc) : PyUnicode_DecodeUTF8(key, (Py_ssize_t)strlen(key), "replace");
}

static PyObject *to_dict(MPI_Info info)
{
    int n = count(info);
    PyObject *dict = n < 0 ? NULL : PyDict_New();
    for (int i = 0; dict && i < n; i++) {
        PyObject *key = key_at(info, i), *value = key ? get(info, PyUnicode_AsUTF8AndSize(key, NULL)) : NULL;
        if (!value || PyDict_SetItem(dict, key, value)) Py_CLEAR(dict);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return dict;
}

static int set_all(MPI_Info info, PyObject *dict)
{
    PyObject *key, *value; Py_ssize_t at = 0;
    while (PyDict_Next(dict, &at, &key, &value)) {
        const char *k = PyUnicode_AsUTF8AndSize(key, NULL), *v = k ? PyUnicode_AsUTF8AndSize(value, NULL) : NULL;
        int rc = RAISED;
        if (v) OF_INFO(rc, MPI_Info_set, k, v, info, k, v);
        if (check(rc)) return RAISED;
    }
    return 0;
}

/* --- methods of MPI --------------------------------------------------------------------------------------- */

CLASSMETHOD(Info, Create, "items=None", "A new Info; of an Info, a mapping, or pairs of key and value.")
{
    Frame frame; PyObject *items = Py_None, *dict = NULL; MPI_Info new = MPI_INFO_NULL;
    int rc = PARSE(&frame, to_object, &items);
    if (!rc && items != Py_None && !(dict = PyObject_CallFunctionObjArgs((PyObject *)&PyDict_Type, items, NULL))) rc = blame(&frame, "items");
    if (!rc && !(rc = allow(OP_MPI_Info_create, MPI_INFO_ENV, NULL, NULL))) ANYTIME(rc, MPI_Info_create, &new);
    PyObject *object = rc ? NULL : new_owned(self, &new);
    if (object && dict && set_all(new, dict)) { Py_CLEAR(object); rc = RAISED; }
    Py_XDECREF(dict);
    return finish_with(&frame, rc, object);
}

/* a sequence of str, or one; char ** ending in NULL, in the frame's memory, alive as long as the frame */
static char **to_argv(Frame *frame, PyObject *args, int *argc)
{
    PyObject *list = PyUnicode_Check(args) ? Py_BuildValue("(O)", args) : PySequence_Tuple(args);
    if (!list) return NULL;
    frame_hold(frame, list);
    Py_DECREF(list);
    *argc = (int)PyTuple_Size(list);
    const char **argv = frame_memory(frame, (size_t)*argc + 1, sizeof *argv);
    for (int i = 0; argv && i < *argc; i++)
        if (!(argv[i] = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(list, i), NULL))) return NULL;
    return (char **)(uintptr_t)argv;
}

CLASSMETHOD(Info, Create_env, "args=None", "The Info of how this process was started: command, argv, maxprocs, soft, host, arch, wdir, file.")
{
    Frame frame; PyObject *args_ = Py_None; MPI_Info new = MPI_INFO_NULL; int argc = 0; char **argv = NULL;
    int rc = PARSE(&frame, to_object, &args_);
    if (!rc && args_ != Py_None && !(argv = to_argv(&frame, args_, &argc))) rc = blame(&frame, "args");
    if (!rc) ANYTIME(rc, MPI_Info_create_env, argc, argv, &new);
    return finish_with(&frame, rc, rc ? NULL : new_owned(self, &new));
}

METHOD0(Info, Dup, "A copy, with the keys in the same order.")
{
    MPI_Info new = MPI_INFO_NULL; int rc;
    OF_INFO(rc, MPI_Info_dup, NULL, NULL, self->handle, &new);
    return rc ? finish(NULL, rc) : new_owned(CLASS_OF(self), &new);
}

METHOD0(Info, Free, "Free the info; MPI keeps what it needs of it.")
{
    int rc = allow(OP_MPI_Info_free, self->handle, NULL, NULL);
    if (!rc && mpi_state != RUNNING && is_predefined((PyObject *)self)) rc = MPI_ERR_INFO;
    if (!rc) ANYTIME(rc, MPI_Info_free, &self->handle);
    if (!rc) disown((PyObject *)self);
    return finish(NULL, rc);
}

METHOD(Info, Get, "key", "The value of a key, or None.")
{
    Frame frame; const char *key; int n, rc = 0;
    if (PARSE(&frame, to_text, &key)) return finish(&frame, RAISED);
    if (self->handle == MPI_INFO_NULL) OF_INFO(rc, MPI_Info_get_nkeys, NULL, NULL, self->handle, &n);     /* MPI says what it thinks of that */
    return finish_with(&frame, rc, rc ? NULL : get(self->handle, key));
}

METHOD(Info, Set, "key, value", "Set the value of a key.")
{
    Frame frame; const char *key, *value;
    int rc = PARSE(&frame, to_text, &key, to_text, &value);
    if (!rc) OF_INFO(rc, MPI_Info_set, key, value, self->handle, key, value);
    return finish(&frame, rc);
}

METHOD(Info, Delete, "key", "Remove a key and its value.")
{
    Frame frame; const char *key;
    int rc = PARSE(&frame, to_text, &key);
    if (!rc) OF_INFO(rc, MPI_Info_delete, key, NULL, self->handle, key);
    return finish(&frame, rc);
}

METHOD0(Info, Get_nkeys, "The number of keys.")
{
    int n = 0, rc;
    OF_INFO(rc, MPI_Info_get_nkeys, NULL, NULL, self->handle, &n);
    return finish_with(NULL, rc, PyLong_FromLong(n));
}

METHOD(Info, Get_nthkey, "n", "The key at place n, from 0.")
{
    Frame frame; int n;
    if (PARSE(&frame, to_int, &n)) return finish(&frame, RAISED);
    return finish_with(&frame, 0, key_at(self->handle, n));
}

/* --- as a mapping ----------------------------------------------------------------------------------------- */

/* a new reference, NULL with KeyError */
static PyObject *item(PyObject *self, PyObject *key)
{
    const char *text = PyUnicode_AsUTF8AndSize(key, NULL);
    PyObject *value = text ? get(((Info *)self)->handle, text) : NULL;
    if (value != Py_None) return value;
    Py_DECREF(value);
    PyErr_SetObject(PyExc_KeyError, key);
    return NULL;
}

static int has(PyObject *self, PyObject *key)
{
    const char *text = PyUnicode_AsUTF8AndSize(key, NULL);
    PyObject *value = text ? get(((Info *)self)->handle, text) : NULL;
    Py_XDECREF(value);
    return value ? value != Py_None : -1;
}

static int set_item(PyObject *self, PyObject *key, PyObject *value)
{
    MPI_Info info = ((Info *)self)->handle;
    const char *text = PyUnicode_AsUTF8AndSize(key, NULL), *to = text && value ? PyUnicode_AsUTF8AndSize(value, NULL) : NULL;
    int rc = RAISED, there = !text || (value && !to) ? -1 : value ? info != MPI_INFO_NULL : has(self, key);
    if (!there) PyErr_SetObject(PyExc_KeyError, key);
    if (there == 1 && value) OF_INFO(rc, MPI_Info_set, text, to, info, text, to);
    else if (there == 1) OF_INFO(rc, MPI_Info_delete, text, NULL, info, text);
    return check(rc) ? -1 : 0;
}

static Py_ssize_t length(PyObject *self) { return count(((Info *)self)->handle); }

METHOD(Info, get, "key, default=None", "The value of a key, or the default.")
{
    Frame frame; const char *key; PyObject *otherwise = Py_None, *value;
    if (PARSE(&frame, to_text, &key, to_object, &otherwise)) return finish(&frame, RAISED);
    value = get(self->handle, key);
    if (value != Py_None) return finish_with(&frame, 0, value);
    Py_DECREF(value);
    return finish_with(&frame, 0, Py_NewRef(otherwise));
}

#define LISTING(name, of_dict, doc)                                                                       \
    METHOD0(Info, name, doc)                                                                              \
    {                                                                                                     \
        PyObject *dict = to_dict(self->handle), *list = dict ? of_dict(dict) : NULL;                      \
        Py_XDECREF(dict);                                                                                 \
        return list;                                                                                      \
    }
LISTING(keys, PyDict_Keys, "All keys, in their order.")
LISTING(values, PyDict_Values, "All values, in the order of keys.")
LISTING(items, PyDict_Items, "All pairs of key and value.")

static PyObject *iterate(PyObject *self)
{
    PyObject *keys = Info_keys(self, NULL), *iterator = keys ? PyObject_GetIter(keys) : NULL;
    Py_XDECREF(keys);
    return iterator;
}

static PyObject *update(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *dict = PyObject_Call((PyObject *)&PyDict_Type, args, kwargs);
    MPI_Info info = ((Info *)self)->handle;
    if (dict && info == MPI_INFO_NULL) { PyErr_SetString(PyExc_KeyError, "INFO_NULL holds nothing"); Py_CLEAR(dict); }
    int bad = !dict || set_all(info, dict);
    Py_XDECREF(dict);
    return bad ? NULL : Py_NewRef(Py_None);
}

METHOD(Info, pop, "key, default=...", "Remove a key and return its value; the default if there is none, else KeyError.")
{
    Frame frame; PyObject *key, *otherwise = NULL;
    if (PARSE(&frame, to_object, &key, to_object, &otherwise)) return finish(&frame, RAISED);
    PyObject *value = item((PyObject *)self, key);
    if (value && set_item((PyObject *)self, key, NULL)) Py_CLEAR(value);
    else if (!value && otherwise && PyErr_ExceptionMatches(PyExc_KeyError)) { PyErr_Clear(); value = Py_NewRef(otherwise); }
    return finish_with(&frame, 0, value);
}

METHOD0(Info, popitem, "Remove the last pair of key and value and return it.")
{
    int n = count(self->handle);
    if (n == 0) PyErr_SetString(PyExc_KeyError, "there are no keys");
    PyObject *key = n > 0 ? key_at(self->handle, n - 1) : NULL, *value = key ? item((PyObject *)self, key) : NULL;
    if (!value || set_item((PyObject *)self, key, NULL)) { Py_XDECREF(key); Py_XDECREF(value); return NULL; }
    return Py_BuildValue("NN", key, value);
}

METHOD0(Info, copy, "A copy.") { return self->handle == MPI_INFO_NULL ? new_handle(CLASS_OF(self), &self->handle) : Info_Dup_body(self); }

METHOD0(Info, clear, "Remove all keys.")
{
    int bad = 0;
    for (int n; !bad && (n = count(self->handle)) != 0;) {
        PyObject *key = n > 0 ? key_at(self->handle, n - 1) : NULL;
        bad = !key || set_item((PyObject *)self, key, NULL);
        Py_XDECREF(key);
    }
    return bad ? NULL : Py_NewRef(Py_None);
}

METHOD0(Info, __reduce__, "For pickle: predefined ones by name, others by keys and values.")
{
    if (is_predefined((PyObject *)self)) return handle_reduce((PyObject *)self, NULL);
    PyObject *create = PyObject_GetAttrString((PyObject *)CLASS_OF(self), "Create"), *dict = create ? to_dict(self->handle) : NULL;
    if (!dict) { Py_XDECREF(create); return NULL; }
    return Py_BuildValue("N(N)", create, dict);
}

static PyObject *repr(PyObject *self)
{
    if (is_predefined(self) || mpi_state != RUNNING) return handle_repr(self);
    PyObject *dict = to_dict(((Info *)self)->handle), *text = dict ? PyUnicode_FromFormat("<Info %R>", dict) : NULL;
    Py_XDECREF(dict);
    return text;
}

/* --- the type --------------------------------------------------------------------------------------------- */

static int release(void *handle) { return MPI_Info_free(handle); }

static PyGetSetDef getters[] = {HANDLE_GETROW, END_OF_GETROWS};
static PyMethodDef methods[] = {
    ROW0(Info, __reduce__), HANDLE_ROWS, CLASSROW(Info, Create), CLASSROW(Info, Create_env), ROW0(Info, Dup), ROW0(Info, Free), ROW(Info, Get), ROW(Info, Set),
    ROW(Info, Delete), ROW0(Info, Get_nkeys), ROW(Info, Get_nthkey), ROW(Info, get), ROW0(Info, keys), ROW0(Info, values), ROW0(Info, items),
    {"update", (PyCFunction)(void (*)(void))update, METH_VARARGS | METH_KEYWORDS, "update(items=(), **kwds)\nSet keys and values of an Info, a mapping, or pairs."},
    ROW(Info, pop), ROW0(Info, popitem), ROW0(Info, copy), ROW0(Info, clear), END_OF_ROWS};
static PyType_Slot slots[] = {
    HANDLE_SLOTS, SLOT(Py_mp_length, length), SLOT(Py_mp_subscript, item), SLOT(Py_mp_ass_subscript, set_item), SLOT(Py_sq_contains, has),
    SLOT(Py_tp_iter, iterate), SLOT(Py_tp_repr, repr), {Py_tp_getset, getters}, {Py_tp_methods, methods}, {Py_tp_doc, "Hints to MPI: keys and values."}, {0, NULL}};
static PyType_Spec spec = {"mmpi.MPI.Info", sizeof(Info), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

int add_info_type(PyObject *module) { return add_handle_type(module, KIND(Info, MPI_INFO_NULL, "Free", release), &spec, methods); }
