/* Operations of reductions, also Python callables (MPI 5.0, section 6.9).
 *
 * MPI gives an operation's function no closure, so each user operation needs a C function of its own: the first
 * STAMPED are stamped by a macro, the rest are made by ctypes, so there is no limit. A slot is used again only when
 * its operation was freed and can no longer be in use by MPI, which nobody can know: so never before MPI_Finalize. */
#include "core.h"
#include <stdlib.h>

PyTypeObject *OpType;

int to_op(Frame *frame, PyObject *value, void *target)
{
    if (!PyObject_TypeCheck(value, OpType)) { PyErr_Format(PyExc_TypeError, "expected an Op, not %R", value); return -1; }
    *(MPI_Op *)target = ((Op *)value)->handle;
    return ((Op *)value)->function ? frame_hold(frame, value) : 0;
}

/* --- functions that MPI calls ----------------------------------------------------------------------------- */

enum { STAMPED = 64 };
static PyObject **functions;            /* Python callables, by slot */
static int nfunctions;

static int apply(PyObject *function, void *in, void *inout, int count, MPI_Datatype type)
{
    MPI_Aint lb, extent;
    if (MPI_Type_get_extent(type, &lb, &extent)) return -1;
    PyObject *a = memory_of(in, count * extent, 0), *b = memory_of(inout, count * extent, 1), *t = new_handle(DatatypeType, &type);
    PyObject *done = a && b && t ? PyObject_CallFunctionObjArgs(function, a, b, t, NULL) : NULL;
    PyObject *views[] = {a, b};
    for (int i = 0; i < 2; i++) {       /* the memory is MPI's, and gone after this call */
        PyObject *released = done && views[i] ? PyObject_CallMethod(views[i], "release", NULL) : NULL;
        if (done && !released) PyErr_Clear();           /* somebody still holds a view of it: at his own risk */
        Py_XDECREF(released);
        Py_XDECREF(views[i]);
    }
    Py_XDECREF(t);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* An exception cannot be returned through MPI: it ends the job. */
static void call_function(int slot, void *in, void *inout, int count, MPI_Datatype type)
{
    if (!Py_IsInitialized()) MPI_Abort(MPI_COMM_WORLD, 1);
    PyGILState_STATE gil = PyGILState_Ensure();
    if (apply(functions[slot], in, inout, count, type)) {
        PySys_WriteStderr("An exception in a reduction operation cannot be passed through MPI; the job ends:\n");
        PyErr_Print();
        set_exit_status(1);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    PyGILState_Release(gil);
}

#define STAMP(n) \
    static void function_##n(void *in, void *inout, int *count, MPI_Datatype *type) { call_function(0##n, in, inout, *count, *type); }
#define EIGHT(X, n) X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7)
#define ALL_STAMPS(X) EIGHT(X, 0) EIGHT(X, 1) EIGHT(X, 2) EIGHT(X, 3) EIGHT(X, 4) EIGHT(X, 5) EIGHT(X, 6) EIGHT(X, 7)
ALL_STAMPS(STAMP)                       /* 00 to 77, octal */

#define STAMP_ROW(n) function_##n,
static MPI_User_function *const stamped[STAMPED] = {ALL_STAMPS(STAMP_ROW)};

/* call_slot(slot, in, inout, count, type): where a function made by ctypes leads */
static PyObject *call_slot(PyObject *module, PyObject *args)
{
    int slot; Py_ssize_t in, inout, count, type;
    (void)module;
    if (!PyArg_ParseTuple(args, "innnn", &slot, &in, &inout, &count, &type)) return NULL;
    call_function(slot, (void *)in, (void *)inout, *(int *)count, *(MPI_Datatype *)type);
    Py_RETURN_NONE;
}

static MPI_User_function *closure(int slot)
{
    MPI_User_function *function = NULL;
    static PyMethodDef row = {"call_slot", call_slot, METH_VARARGS, NULL};
    PyObject *helpers = PyImport_ImportModule("mmpi.closures"), *call = PyCFunction_New(&row, NULL);
    PyObject *address = helpers && call ? PyObject_CallMethod(helpers, "user_function", "Oi", call, slot) : NULL;
    if (address) *(void **)&function = PyLong_AsVoidPtr(address);
    Py_XDECREF(helpers);
    Py_XDECREF(call);
    Py_XDECREF(address);
    return function;
}

static MPI_User_function *new_function(PyObject *callable)
{
    PyObject **more = realloc(functions, (size_t)(nfunctions + 1) * sizeof *functions);
    if (!more) { PyErr_NoMemory(); return NULL; }
    functions = more;
    MPI_User_function *function = nfunctions < STAMPED ? stamped[nfunctions] : closure(nfunctions);
    if (function) functions[nfunctions++] = Py_NewRef(callable);
    return function;
}

/* --- methods ---------------------------------------------------------------------------------------------- */

CLASSMETHOD(Op, Create, "function, commute=False", "An operation from function(inbuf, inoutbuf, datatype), which changes inoutbuf in place.")
{
    Frame frame; PyObject *callable; int commute = 0; MPI_Op new = MPI_OP_NULL; MPI_User_function *function = NULL;
    int rc = PARSE(&frame, to_object, &callable, to_flag, &commute);
    if (!rc && !PyCallable_Check(callable)) { PyErr_Format(PyExc_TypeError, "Create(function, commute=False): function: %R cannot be called", callable); rc = RAISED; }
    if (!rc && mpi_state != RUNNING) rc = refuse(OP_MPI_Op_create);
    if (!rc && !(function = new_function(callable))) rc = RAISED;
    if (!rc) LOCAL(rc, MPI_Op_create, function, commute, &new);
    Op *self_ = rc ? NULL : new_handle(self, &new);
    if (self_) self_->function = Py_NewRef(callable);
    return finish_with(&frame, rc, (PyObject *)self_);
}

METHOD0(Op, Free, "Free the operation.")
{
    int rc;
    CALL(rc, NOTE(.op = self->handle), MPI_Op_free, &self->handle);
    if (!rc) Py_CLEAR(self->function);
    return finish(NULL, rc);
}

METHOD0(Op, Is_commutative, "Whether the order of operands does not matter.")
{
    int flag = 0, rc;
    LOCAL(rc, MPI_Op_commutative, self->handle, &flag);
    return finish_with(NULL, rc, PyBool_FromLong(flag));
}

METHOD(Op, Reduce_local, "inbuf, inoutbuf", "Combine two buffers of this process into the second.")
{
    Frame frame; PyObject *in, *inout; Buffer a, b;
    int rc = PARSE(&frame, to_object, &in, to_object, &inout) || to_buffer(&frame, "inbuf", in, TO_READ, 1, &a) ||
             to_buffer(&frame, "inoutbuf", inout, TO_WRITE, 1, &b) || same_layout(&frame, &a, &b) ? RAISED : 0;
    if (!rc) CALL_C(rc, NOTE(MOVES(a), .op = self->handle), MPI_Reduce_local, a.addr, b.addr, a.count, a.type, self->handle);
    return finish(&frame, rc);
}

GETTER(Op, is_commutative, "Whether the order of operands does not matter.") { return Op_Is_commutative_body(self); }
GETTER(Op, is_predefined, "Whether MPI defines it.")
{
    int known = self->handle == MPI_OP_NULL;
#define OBJ(type, name, ...) known |= IS_##type(name);
#define IS_Op(name) self->handle == MPI_##name
#define IS_Comm(name) 0
#define IS_Group(name) 0
#define IS_Win(name) 0
#define IS_File(name) 0
#define IS_Session(name) 0
#define IS_Message(name) 0
#define IS_Info(name) 0
#define IS_Errhandler(name) 0
#define IS_Request(name) 0
#define IS_Datatype(name) 0
#include "abi/objects.h"
#undef OBJ
    return PyBool_FromLong(known);
}

/* op(a, b) on Python objects: what the operation of that name does to numbers; see mmpi/operators.py */
static PyObject *op_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *a, *b, *function = ((Op *)self)->function;
    static char *names[] = {"x", "y", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO", names, &a, &b)) return NULL;
    if (function) return PyObject_CallFunctionObjArgs(function, a, b, NULL);
    PyObject *operators = PyImport_ImportModule("mmpi.operators"), *name = operators ? PyObject_Repr(self) : NULL;
    PyObject *result = name ? PyObject_CallMethod(operators, "apply", "OOO", name, a, b) : NULL;
    Py_XDECREF(operators);
    Py_XDECREF(name);
    return result;
}

static int op_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((Op *)self)->function);
    return 0;
}

static int op_clear(PyObject *self)
{
    Py_CLEAR(((Op *)self)->function);
    return 0;
}

static void op_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    op_clear(self);
    handle_dealloc(self);
}

static PyGetSetDef getters[] = {HANDLE_GETROW, GETROW(Op, is_commutative), GETROW(Op, is_predefined), END_OF_GETROWS};
static PyMethodDef methods[] = {
    HANDLE_ROWS, CLASSROW(Op, Create), ROW0(Op, Free), ROW0(Op, Is_commutative), ROW(Op, Reduce_local), END_OF_ROWS};
static PyType_Slot slots[] = {
    HANDLE_SLOTS, SLOT(Py_tp_dealloc, op_dealloc), SLOT(Py_tp_traverse, op_traverse), SLOT(Py_tp_clear, op_clear), SLOT(Py_tp_call, op_call),
    {Py_tp_getset, getters}, {Py_tp_methods, methods}, {Py_tp_doc, "An operation of reductions."}, {0, NULL}};
static PyType_Spec spec = {"mmpi.MPI.Op", sizeof(Op), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};

int add_op_type(PyObject *module) { return add_type(module, &OpType, &spec, NULL, methods); }
