/* The module: types, constants, functions. */
#include "core.h"
#include <limits.h>
#include <stdlib.h>

int large_counts;

/* what the library lacks is there all the same: an error that never comes, a class or a constructor of nothing */
static int add_integer(PyObject *module, const char *name, int value)
{
    int none = strncmp(name, "ERR_", 4) == 0 ? MPI_ERR_UNKNOWN : MPI_UNDEFINED;
    return PyModule_AddIntConstant(module, name, value == INT_MIN ? none : value);
}

static int add_integers(PyObject *module)
{
#define INT(name, std, mpich, openmpi) || add_integer(module, #name, MPI_##name)
#define EXTENSION(name) || add_integer(module, #name, MPIX_##name)
    return 0
#include "abi/constants.h"
        EXTENSION(ERR_PROC_FAILED) EXTENSION(ERR_PROC_FAILED_PENDING) EXTENSION(ERR_REVOKED) EXTENSION(TYPECLASS_LOGICAL);
#undef INT
}

/* A predefined handle that the library lacks is the null handle of its kind. */
#define ADD_HANDLE(type, ctype, name, null)                                                               \
    { ctype handle_ = MPI_##name ? MPI_##name : null; bad = bad || add_constant(module, python_name(#name), type, &handle_); }
#define ADD_Op(name) ADD_HANDLE(OpType, MPI_Op, name, MPI_OP_NULL)
#define ADD_Comm(name) ADD_HANDLE(name##_TYPE, MPI_Comm, name, MPI_COMM_NULL)
#define ADD_Group(name) ADD_HANDLE(GroupType, MPI_Group, name, MPI_GROUP_NULL)
#define ADD_Info(name) ADD_HANDLE(InfoType, MPI_Info, name, MPI_INFO_NULL)
#define ADD_Errhandler(name) ADD_HANDLE(ErrhandlerType, MPI_Errhandler, name, MPI_ERRHANDLER_NULL)
#define ADD_Message(name) ADD_HANDLE(MessageType, MPI_Message, name, MPI_MESSAGE_NULL)
#define ADD_Request(name) ADD_HANDLE(RequestType, MPI_Request, name, MPI_REQUEST_NULL)
#define ADD_Datatype(name) ADD_HANDLE(DatatypeType, MPI_Datatype, name, MPI_DATATYPE_NULL)
#define ADD_Win(name) ADD_HANDLE(WinType, MPI_Win, name, MPI_WIN_NULL)
#define ADD_File(name) ADD_HANDLE(FileType, MPI_File, name, MPI_FILE_NULL)
#define ADD_Session(name) ADD_HANDLE(SessionType, MPI_Session, name, MPI_SESSION_NULL)
#define COMM_NULL_TYPE CommType
#define COMM_WORLD_TYPE IntracommType
#define COMM_SELF_TYPE IntracommType

/* "2INT" is no name in Python */
static const char *python_name(const char *name)
{
    static char text[64];
    if (*name != '2') return name;
    PyOS_snprintf(text, sizeof text, "TWO%s", name + 1);
    return text;
}

static int add_handles(PyObject *module)
{
    int bad = 0;
#define OBJ(type, name, ...) ADD_##type(name)
#include "abi/objects.h"
#undef OBJ
    const struct { const char *name; MPI_Datatype type; } more[] = {{"FLOAT16_T", MPIX_C_FLOAT16}, {"BFLOAT16_T", MPIX_BFLOAT16}};
    for (int i = 0; i < 2; i++) {
        MPI_Datatype type = more[i].type ? more[i].type : MPI_DATATYPE_NULL;
        bad = bad || add_constant(module, more[i].name, DatatypeType, &type);
    }
    return bad;
}

/* names that Python cannot have, or that are the same type under a longer name */
static int add_aliases(PyObject *module)
{
    static const char *const aliases[][2] = {
        {"SIGNED_SHORT", "SHORT"}, {"SIGNED_INT", "INT"}, {"SIGNED_LONG", "LONG"}, {"SIGNED_LONG_LONG", "LONG_LONG"},
        {"UNSIGNED_INT", "UNSIGNED"}, {"BOOL", "C_BOOL"}, {"C_COMPLEX", "C_FLOAT_COMPLEX"}, {"INT_INT", "TWOINT"},
        {"FLOAT32_T", "FLOAT"}, {"FLOAT64_T", "DOUBLE"}, {"ORDER_F", "ORDER_FORTRAN"}, {"DISP_CUR", "DISPLACEMENT_CURRENT"},
        {"WIN_FLAVOR", "WIN_CREATE_FLAVOR"},
        {"SINT8_T", "INT8_T"}, {"SINT16_T", "INT16_T"}, {"SINT32_T", "INT32_T"}, {"SINT64_T", "INT64_T"},
        {"F_BOOL", "LOGICAL"}, {"F_INT", "INTEGER"}, {"F_FLOAT", "REAL"}, {"F_DOUBLE", "DOUBLE_PRECISION"},
        {"F_COMPLEX", "COMPLEX"}, {"F_FLOAT_COMPLEX", "COMPLEX"}, {"F_DOUBLE_COMPLEX", "DOUBLE_COMPLEX"}};
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++) {
        PyObject *object = PyObject_GetAttrString(module, aliases[i][1]);
        int bad = !object || PyModule_AddObjectRef(module, aliases[i][0], object);
        Py_XDECREF(object);
        if (bad) return -1;

    }
    return 0;
}

static int add_error(PyObject *module)
{
    PyObject *errors = PyImport_ImportModule("mmpi.errors");
    MPIError = errors ? PyObject_GetAttrString(errors, "MPIError") : NULL;
    Py_XDECREF(errors);
    return !MPIError || PyModule_AddObjectRef(module, "Exception", MPIError) ? -1 : 0;
}

#ifdef MMPI_MUTANTS
int mutant(const char *name)
{
    const char *chosen = getenv("MMPI_MUTANT");
    return chosen && !strcmp(chosen, name);
}
#endif

static int exec(PyObject *module)
{
    static int loaded;
    if (loaded++) { PyErr_SetString(PyExc_ImportError, "MPI is one in a process: its core cannot be loaded twice"); return -1; }
    if (!MPI_Init_thread) { PyErr_SetString(PyExc_ImportError, "an MPI library must be loaded first: import mmpi, not its core"); return -1; }
    large_counts = MPI_Send_c != NULL && !getenv("MMPI_NO_LARGECOUNT");
    debugging = getenv("MMPI_DEBUG") && *getenv("MMPI_DEBUG") != '0';
    prepare_elements();
    if (add_error(module) || add_group_type(module) || add_datatype_type(module) || add_op_type(module) || add_request_type(module) ||
        add_status_type(module) || add_message_type(module) || add_info_type(module) || add_errhandler_type(module) || add_comm_types(module) || add_session_type(module) ||
        add_win_type(module) || add_file_type(module) || add_buffer_type(module)) return -1;
    if (add_integers(module) || add_handles(module) || add_aliases(module) || prepare_places(module) || prepare_types(module) || add_capi(module)) return -1;
    PyMethodDef *const tables[] = {flight_functions, runtime_functions, error_functions, attached_functions, handle_functions, topology_functions, process_functions, serialize_functions,
                                  object_functions, file_functions, NULL}, *functions = joined(tables);
    if (prepare_serializer(module) || !functions) return -1;
    return document(functions, "$module") || PyModule_AddFunctions(module, functions) ? -1 : 0;
}

static PyModuleDef_Slot slots[] = {SLOT(Py_mod_exec, exec), {0, NULL}};
#define TEXT2(name) #name
#define TEXT(name) TEXT2(name)
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "mmpi." TEXT(MODULE_NAME), NULL, 0, NULL, slots, NULL, NULL, NULL};
#define GLUE2(a, b) a##b
#define GLUE(a, b) GLUE2(a, b)
PyMODINIT_FUNC GLUE(PyInit_, MODULE_NAME)(void) { return PyModuleDef_Init(&definition); }
