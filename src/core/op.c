/* Operations of reductions, also Python callables (MPI 5.0, section 6.9).
 *
 * MPI gives an operation's function no closure, so each user operation needs a C function of its own: the first
 * STAMPED are stamped by a macro, the rest are made by ctypes, so there is no limit. A slot is used again when the Op has
 * gone away that it belongs to: requests hold theirs. C functions are given to MPI as they are, and never need the GIL. */
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
typedef struct { PyObject *callable; MPI_User_function *function; } Slot;       /* callable: NULL if it is free */
static Slot *slots_;
static int nslots;

static int apply(PyObject *function, void *in, void *inout, int count, MPI_Datatype type)
{
    MPI_Aint lb, extent;
    if (MPI_Type_get_extent(type, &lb, &extent)) return -1;
    PyObject *a = memory_of(in, count * extent, 0), *b = memory_of(inout, count * extent, 1), *t = new_handle(DatatypeType, &type);
    PyObject *done = a && b && t ? PyObject_CallFunctionObjArgs(function, a, b, t, NULL) : NULL;
    PyObject *both[] = {a, b};
    for (int i = 0; done && i < 2; i++)
        if (end_memory(both[i])) PyErr_Clear();         /* gone after this call; who still uses it does so at his own risk */
    Py_XDECREF(a);
    Py_XDECREF(b);
    Py_XDECREF(t);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

static void call_function(int slot, void *in, void *inout, int count, MPI_Datatype type)
{
    if (!Py_IsInitialized()) MPI_Abort(MPI_COMM_WORLD, 1);
    PyGILState_STATE gil = PyGILState_Ensure();
    if (apply(slots_[slot].callable, in, inout, count, type)) end_in_callback("a reduction operation");
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

/* a slot for a callable, or -1 */
static int take_slot(PyObject *callable)
{
    int slot = 0;
    while (slot < nslots && slots_[slot].callable) slot++;
    if (slot == nslots) {
        Slot *more = realloc(slots_, (size_t)(nslots + 1) * sizeof *slots_);
        if (!more) { PyErr_NoMemory(); return -1; }
        slots_ = more;
        MPI_User_function *function = slot < STAMPED ? stamped[slot] : closure(slot);
        if (!function) return -1;
        slots_[nslots++] = (Slot){NULL, function};
    }
    slots_[slot].callable = Py_NewRef(callable);
    return slot;
}

static void give_slot(int slot) { if (slot >= 0) Py_CLEAR(slots_[slot].callable); }

/* the function itself if it is one of C: an address, or an object of ctypes, cffi or Numba that has one; NULL without an exception: Python */
static MPI_User_function *function_of_c(PyObject *callable)
{
    MPI_User_function *function = NULL;
    PyObject *helpers = PyImport_ImportModule("mmpi.closures"), *address = helpers ? PyObject_CallMethod(helpers, "address_of", "O", callable) : NULL;
    if (address && address != Py_None) *(void **)&function = PyLong_AsVoidPtr(address);
    Py_XDECREF(helpers);
    Py_XDECREF(address);
    return function;
}

/* --- methods ---------------------------------------------------------------------------------------------- */

CLASSMETHOD(Op, Create, "function, commute=False",
            "An operation from function(inbuf, inoutbuf, datatype), which changes inoutbuf in place"
            "; or from a C function (MPI_User_function): its address, or an object of ctypes, cffi or Numba.")
{
    Frame frame; PyObject *callable; int commute = 0, slot = -1; MPI_Op new = MPI_OP_NULL; MPI_User_function *function = NULL;
    int rc = PARSE(&frame, to_object, &callable, to_flag, &commute);
    if (!rc && mpi_state != RUNNING) rc = refuse(OP_MPI_Op_create);
    if (!rc && !(function = function_of_c(callable)) && PyErr_Occurred()) rc = RAISED;
    if (!rc && !function && !PyCallable_Check(callable)) { PyErr_Format(PyExc_TypeError, "Create(function, commute=False): function: %R cannot be called", callable); rc = RAISED; }
    if (!rc && !function && (slot = take_slot(callable)) < 0) rc = RAISED;
    if (!rc) LOCAL(rc, MPI_Op_create, function ? function : slots_[slot].function, commute, &new);
    Op *op = rc ? NULL : new_owned(self, &new);
    if (op) { op->function = Py_NewRef(callable); op->slot = slot; }
    else give_slot(slot);
    return finish_with(&frame, rc, (PyObject *)op);
}

METHOD0(Op, Free, "Free the operation.")
{
    int rc;
    CALL(rc, NOTE(.op = self->handle), MPI_Op_free, &self->handle);
    if (!rc) disown((PyObject *)self);
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
             to_buffer(&frame, "inoutbuf", inout, TO_WRITE, 1, &b) || same_layout(&frame, &a, &b) || reducible(&frame, "inbuf", &a, self->handle) ? RAISED : 0;
    if (!rc) CALL_C(rc, NOTE(MOVES(a), .op = self->handle), MPI_Reduce_local, a.addr, b.addr, a.count, a.type, self->handle);
    return finish(&frame, rc);
}

GETTER(Op, is_commutative, "Whether the order of operands does not matter.") { return Op_Is_commutative_body(self); }

/* MPI's own operations know numbers only, and no derived type, which also stands for a count beyond int */
int reducible(const Frame *frame, const char *argument, const Buffer *b, MPI_Op op)
{
    PyObject *object = b->form == OPAQUE ? new_handle(OpType, &op) : NULL;
    if (b->form == GAPS) PyErr_SetString(PyExc_TypeError, "an array that is not in one piece cannot be reduced: see numpy.ascontiguousarray");
    else if (object && is_predefined(object)) PyErr_SetString(PyExc_TypeError, "MPI does not know items of this type, so none of its own operations can reduce them");
    else if (b->items) PyErr_SetString(PyExc_OverflowError, "more items than this MPI library can reduce at once: it has no large-count functions");
    Py_XDECREF(object);
    return PyErr_Occurred() ? blame(frame, argument) : 0;
}

GETTER(Op, is_predefined, "Whether MPI defines it.") { return PyBool_FromLong(is_predefined((PyObject *)self)); }

/* op(a, b) on Python objects: what the operation of that name does to numbers; see mmpi/operators.py */
static PyObject *op_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *a, *b, *function = ((Op *)self)->function;
    static char *names[] = {"x", "y", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO", names, &a, &b)) return NULL;
    if (function) return PyObject_CallFunctionObjArgs(function, a, b, Py_None, NULL);
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
    Op *op = (Op *)self;
    int slot = op->function && (op->flags & OWNED || op->handle == MPI_OP_NULL) ? op->slot : -1;   /* else somebody may have the handle */
    PyObject_GC_UnTrack(self);
    op_clear(self);
    handle_dealloc(self);
    give_slot(slot);
}

METHOD0(Op, __reduce__, "For pickle: predefined ones by name, others by their function.")
{
    if (is_predefined((PyObject *)self) || !self->function) return handle_reduce((PyObject *)self, NULL);
    PyObject *create = PyObject_GetAttrString((PyObject *)CLASS_OF(self), "Create"), *commute = create ? Op_Is_commutative_body(self) : NULL;
    if (!commute) { Py_XDECREF(create); return NULL; }
    return Py_BuildValue("N(ON)", create, self->function, commute);
}

static PyObject *op_repr(PyObject *self)
{
    PyObject *function = ((Op *)self)->function;
    return function && handle_bool(self) ? PyUnicode_FromFormat("<Op of %R>", function) : handle_repr(self);
}

static PyGetSetDef getters[] = {HANDLE_GETROW, GETROW(Op, is_commutative), GETROW(Op, is_predefined), END_OF_GETROWS};
static PyMethodDef methods[] = {
    ROW0(Op, __reduce__), HANDLE_ROWS, CLASSROW(Op, Create), ROW0(Op, Free), ROW0(Op, Is_commutative), ROW(Op, Reduce_local), END_OF_ROWS};
static PyType_Slot slots[] = {
    HANDLE_SLOTS, SLOT(Py_tp_dealloc, op_dealloc), SLOT(Py_tp_traverse, op_traverse), SLOT(Py_tp_clear, op_clear), SLOT(Py_tp_call, op_call), SLOT(Py_tp_repr, op_repr),
    {Py_tp_getset, getters}, {Py_tp_methods, methods}, {Py_tp_doc, "An operation of reductions."}, {0, NULL}};
static PyType_Spec spec = {"mmpi.MPI.Op", sizeof(Op), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};

static int release(void *handle) { return MPI_Op_free(handle); }

int add_op_type(PyObject *module) { return add_handle_type(module, KIND(Op, MPI_OP_NULL, "Free", release), &spec, methods); }
