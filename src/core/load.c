/* Find, open and identify an MPI library. The one file of the core that is compiled once and knows no ABI:
 * it must run before a core is imported, because a core's weak MPI symbols are bound when it is mapped.
 * Functions return NULL with an exception set, or a new reference. A library that is refused is closed again. */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include "family.h"

enum { TEXT = 8193 };                      /* the largest MPI_MAX_LIBRARY_VERSION_STRING of all ABIs, and a final 0 */

/* The loader's path of this object if it defines PMPI_Init itself, else NULL: tools define MPI_Init too, and a
 * Fortran library or an extension module finds PMPI_Init in the MPI below it. */
static const char *path_of_mpi(void *handle)
{
    struct link_map *map = NULL;
    Dl_info info;
    void *init = dlsym(handle, "PMPI_Init");
    if (!init || dlinfo(handle, RTLD_DI_LINKMAP, &map) || !dladdr(init, &info) || !info.dli_fname) return NULL;
    return strcmp(info.dli_fname, map->l_name) ? NULL : map->l_name;
}

struct names {
    char **items;
    Py_ssize_t count;
};

/* Called under the loader's lock: no Python and no dlopen here. */
static int note_name(struct dl_phdr_info *info, size_t size, void *data)
{
    struct names *names = data;
    (void)size;
    if (!info->dlpi_name || !strchr(info->dlpi_name, '/')) return 0;
    char **items = realloc(names->items, (size_t)(names->count + 1) * sizeof *items);
    if (!items) return -1;
    names->items = items;
    items[names->count] = strdup(info->dlpi_name);
    return items[names->count] ? (names->count++, 0) : -1;
}

static int append_if_mpi(PyObject *list, const char *name)
{
    void *handle = dlopen(name, RTLD_NOLOAD | RTLD_LAZY);
    const char *path = handle ? path_of_mpi(handle) : NULL;
    PyObject *item = path ? PyUnicode_DecodeFSDefault(path) : NULL;
    int rc = path && (!item || PyList_Append(list, item)) ? -1 : 0;
    Py_XDECREF(item);
    if (handle) dlclose(handle);
    return rc;
}

static PyObject *loaded(PyObject *module, PyObject *unused)
{
    struct names names = {NULL, 0};
    PyObject *found = NULL;
    (void)module; (void)unused;
    if (dl_iterate_phdr(note_name, &names)) PyErr_NoMemory();
    else found = PyList_New(0);
    for (Py_ssize_t i = 0; i < names.count; i++) {
        if (found && append_if_mpi(found, names.items[i])) Py_CLEAR(found);
        free(names.items[i]);
    }
    free(names.items);
    return found;
}

/* Call MPI_Get_library_version, which is legal before MPI_Init; 0 if there is none or it fails. */
static int library_text(void *scope, char *text)
{
    int (*get)(char *, int *) = NULL, length = 0;
    *(void **)&get = dlsym(scope, "MPI_Get_library_version");
    memset(text, 0, TEXT);
    return get && !get(text, &length);
}

/* (family or None, path) of this opened library, or NULL with ImportError if it cannot be used. */
static PyObject *describe(void *handle, const char *asked)
{
    char text[TEXT];
    Dl_info other;
    static const char *const names[FAMILIES] = {"std", "mpich", "openmpi"};
    const char *path = path_of_mpi(handle);
    if (!path) return PyErr_Format(PyExc_ImportError, "%s is not an MPI library: it defines no PMPI_Init", asked);
    void *visible = dlsym(RTLD_DEFAULT, "PMPI_Init");
    if (visible != dlsym(handle, "PMPI_Init")) {
        if (!visible || !dladdr(visible, &other) || !other.dli_fname) other.dli_fname = "another library";
        return PyErr_Format(PyExc_ImportError, "%s is already in this process and would hide %s: two MPI libraries",
                            other.dli_fname, path);
    }
    const int family = family_of(dlsym, handle);
    if (family == STD && library_text(handle, text) && !strncmp(text, "Intel(R) MPI Library", 20))
        return PyErr_Format(PyExc_ImportError, "%s is Intel's, whose constants differ from the standard ABI: "
                            "use the libmpi.so.12 beside it", path);
    PyObject *real = PyUnicode_DecodeFSDefault(path);
    return real ? Py_BuildValue("zN", family == NO_FAMILY ? NULL : names[family], real) : NULL;
}

static PyObject *load(PyObject *module, PyObject *arg)
{
    PyObject *bytes = NULL, *result = NULL;
    void *handle;
    (void)module;
    if (!PyUnicode_FSConverter(arg, &bytes)) return NULL;
    const char *path = PyBytes_AsString(bytes);
    Py_BEGIN_ALLOW_THREADS                 /* the constructors of an MPI's libraries can take 40 ms */
    handle = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    Py_END_ALLOW_THREADS
    if (!handle) {
        const char *why = dlerror();
        PyErr_Format(PyExc_ImportError, "%s", why ? why : "dlopen failed");
    } else if (!(result = describe(handle, path))) {
        dlclose(handle);
    }
    Py_DECREF(bytes);
    return result;
}

/* for what takes the place of functions that an MPI library calls, which `load` opens later */
static PyObject *load_first(PyObject *module, PyObject *arg)
{
    PyObject *bytes = NULL;
    (void)module;
    if (!PyUnicode_FSConverter(arg, &bytes)) return NULL;
    void *handle = dlopen(PyBytes_AsString(bytes), RTLD_NOW | RTLD_GLOBAL);
    const char *why = handle ? NULL : dlerror();
    if (!handle) PyErr_Format(PyExc_ImportError, "%s", why ? why : "dlopen failed");
    Py_DECREF(bytes);
    return handle ? Py_NewRef(Py_None) : NULL;
}

/* The library comes first and unseen by others, so that a tool that is linked to its MPI gets this one, and yet stands before it. */
static PyObject *load_tool(PyObject *module, PyObject *args)
{
    PyObject *tool = NULL, *library = NULL;
    void *handle = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "O&O&", PyUnicode_FSConverter, &tool, PyUnicode_FSConverter, &library)) return NULL;
    const char *path = PyBytes_AsString(library), *name = PyBytes_AsString(tool);
    Py_BEGIN_ALLOW_THREADS
    if (dlopen(path, RTLD_NOW | RTLD_LOCAL)) handle = dlopen(name, RTLD_LAZY | RTLD_GLOBAL);
    Py_END_ALLOW_THREADS
    const char *why = handle ? NULL : dlerror();
    if (!handle) PyErr_Format(PyExc_ImportError, "%s", why ? why : "dlopen failed");
    Py_DECREF(tool);
    Py_DECREF(library);
    return handle ? Py_NewRef(Py_None) : NULL;
}

static PyObject *not_loaded(const char *function)
{
    return PyErr_Format(PyExc_RuntimeError, "no MPI library is loaded that has %s", function);
}

static PyObject *library_version(PyObject *module, PyObject *unused)
{
    char text[TEXT];
    (void)module; (void)unused;
    if (!library_text(RTLD_DEFAULT, text)) return not_loaded("MPI_Get_library_version");
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

static PyObject *version(PyObject *module, PyObject *unused)
{
    int (*get)(int *, int *) = NULL, major = 0, minor = 0;
    (void)module; (void)unused;
    *(void **)&get = dlsym(RTLD_DEFAULT, "MPI_Get_version");
    if (!get || get(&major, &minor)) return not_loaded("MPI_Get_version");
    return Py_BuildValue("ii", major, minor);
}

/* Can MPI be used right now? Both functions are legal at any time. */
static PyObject *initialized(PyObject *module, PyObject *unused)
{
    int (*begun)(int *) = NULL, (*ended)(int *) = NULL, yes = 0, no = 0;
    (void)module; (void)unused;
    *(void **)&begun = dlsym(RTLD_DEFAULT, "MPI_Initialized");
    *(void **)&ended = dlsym(RTLD_DEFAULT, "MPI_Finalized");
    if (!begun || !ended || begun(&yes) || ended(&no)) return not_loaded("MPI_Initialized");
    return PyBool_FromLong(yes && !no);
}

/* Traces of programs that are not Python are recorded by functions with MPI's names, loaded before all else
 * (src/trace/interposer.c). A core records by itself, and must not find those. */
static PyObject *withdraw(PyObject *module, PyObject *unused)
{
    void (*interposer)(void) = NULL;
    (void)module; (void)unused;
    *(void **)&interposer = dlsym(RTLD_DEFAULT, "mmpi_trace_withdraw");
    if (interposer) interposer();
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"loaded", loaded, METH_NOARGS, "loaded()\n--\n\nPaths of the MPI libraries that are in this process."},
    {"load", load, METH_O, "load(path, /)\n--\n\nOpen an MPI library for all to see; return (family or None, path)."},
    {"load_first", load_first, METH_O, "load_first(path, /)\n--\n\nOpen a library for all to see, before the MPI library."},
    {"load_tool", load_tool, METH_VARARGS, "load_tool(tool, library, /)\n--\n\nOpen a tool that is to stand between us and this MPI library, which `load` opens later."},
    {"library_version", library_version, METH_NOARGS, "library_version()\n--\n\nThe text of MPI_Get_library_version."},
    {"version", version, METH_NOARGS, "version()\n--\n\nMPI_Get_version: (major, minor)."},
    {"withdraw", withdraw, METH_NOARGS, "withdraw()\n--\n\nLet no interposer of traces come between a core and MPI."},
    {"initialized", initialized, METH_NOARGS, "initialized()\n--\n\nIs MPI initialized and not finalized?"},
    {NULL, NULL, 0, NULL}};
static PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "mmpi._load", "Find, open and identify an MPI library.", 0,
                                        methods, slots, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit__load(void) { return PyModuleDef_Init(&definition); }
