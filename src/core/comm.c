/* Communicators: what they are, and how new ones are made (MPI 5.0, chapter 7). */
#include "core.h"
#include <stdlib.h>

PyTypeObject *CommType, *IntracommType, *IntercommType;

/* --- what we know of a communicator ----------------------------------------------------------------------- */

uint64_t self_id;
static int context_key;                 /* the MPI attribute that leads from a communicator to its context */

static int drop_object(void *object)
{
    Py_DECREF((PyObject *)object);
    return 0;
}

static void free_hidden(Context *context)
{
    if (mpi_state != RUNNING) return;
    if (context->making != MPI_REQUEST_NULL) MPI_Wait(&context->making, MPI_STATUS_IGNORE);
    if (context->hidden != MPI_COMM_NULL) MPI_Comm_free(&context->hidden);
}

void end_comms(void)                    /* MPICH complains of a duplicate of WORLD that is left */
{
    Context *context = NULL;
    int found = 0, done = 1;
    if (MPI_Comm_get_attr(MPI_COMM_WORLD, context_key, &context, &found) || !found) return;
    if (context->making != MPI_REQUEST_NULL) MPI_Test(&context->making, &done, MPI_STATUS_IGNORE);
    if (done) free_hidden(context);
}

void drop_context(Context *context)
{
    if (!context || __atomic_sub_fetch(&context->references, 1, __ATOMIC_ACQ_REL)) return;
    free_hidden(context);
    PyObject *objects[] = {context->serializer, context->locks};
    for (int i = 0; i < 2; i++)         /* the GIL may be somebody else's */
        if (objects[i]) (void)Py_AddPendingCall(drop_object, objects[i]);
    free(context);
}

static int no_copy(MPI_Comm comm, int key, void *extra, void *value, void *copy, int *flag)
{
    (void)comm; (void)key; (void)extra; (void)value; (void)copy;
    *flag = 0;                          /* a duplicate made by others gets a context of its own */
    return MPI_SUCCESS;
}

static int delete_context(MPI_Comm comm, int key, void *value, void *extra)
{
    Context *context = value;
    (void)comm; (void)key; (void)extra;
    if (!context->pending) free_hidden(context);        /* else collectives go on there: the last reference frees it */
    drop_context(context);
    return MPI_SUCCESS;
}

static Context *find_context(MPI_Comm comm, uint64_t id)
{
    Context *context = NULL;
    int found = 0;
    if (MPI_Comm_get_attr(comm, context_key, &context, &found) == MPI_SUCCESS && found) {
        __atomic_add_fetch(&context->references, 1, __ATOMIC_ACQ_REL);
        return context;
    }
    if (!(context = calloc(1, sizeof *context))) return NULL;
    int inter = 0;
    context->remote_size = -1;
    context->hidden = MPI_COMM_NULL;
    context->making = MPI_REQUEST_NULL;
    if (MPI_Comm_rank(comm, &context->rank) || MPI_Comm_size(comm, &context->size) || MPI_Comm_test_inter(comm, &inter) ||
        (inter && MPI_Comm_remote_size(comm, &context->remote_size))) { free(context); return NULL; }
    context->id = id;
    context->references = 2;            /* the attribute's, and the caller's */
    if (MPI_Comm_set_attr(comm, context_key, context)) context->references = 1;
    return context;
}

/* The context of a communicator; a new one, with the id, if it has none. A new reference, or NULL without memory.
 * Without the GIL: a lock of MPI's may be held by a thread that waits for it in a callback. */
static Context *context_of(MPI_Comm comm, uint64_t id)
{
    Context *context;
    if (comm == MPI_COMM_NULL || mpi_state != RUNNING) return NULL;
    Py_BEGIN_ALLOW_THREADS
    context = find_context(comm, id);
    Py_END_ALLOW_THREADS
    return context;
}

/* without a context (COMM_NULL, or before init) MPI, or the door, has to say what is wrong */
int usable(const Comm *self)
{
    int size, rc = 0;
    if (self->context) return 0;
    LOCAL(rc, MPI_Comm_size, self->handle, &size);
    return check(rc);
}

static uint64_t mix(uint64_t a, uint64_t b)             /* the finalizer of splitmix64 */
{
    uint64_t x = a + UINT64_C(0x9e3779b97f4a7c15) * (b + 1);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* the rank in WORLD of a communicator's rank 0 */
static int leader_of(MPI_Comm comm)
{
    MPI_Group group, world;
    int zero = 0, leader = -1;
    Py_BEGIN_ALLOW_THREADS
    if (MPI_Comm_group(comm, &group) == MPI_SUCCESS) {
        if (MPI_Comm_group(MPI_COMM_WORLD, &world) == MPI_SUCCESS) {
            MPI_Group_translate_ranks(group, 1, &zero, world, &leader);
            MPI_Group_free(&world);
        }
        MPI_Group_free(&group);
    }
    Py_END_ALLOW_THREADS
    return leader;
}

/* --- objects ---------------------------------------------------------------------------------------------- */

static MPI_Errhandler errors_of_new = 0;                /* rc.errors: what a new communicator does */
static int keep_errors;

int adopt_errors(MPI_Comm comm)
{
    int rc = 0;
    if (keep_errors || comm == MPI_COMM_NULL) return 0;
    Py_BEGIN_ALLOW_THREADS
    rc = MPI_Comm_set_errhandler(comm, errors_of_new);
    Py_END_ALLOW_THREADS
    return rc;
}

void choose_errors(MPI_Errhandler handler, int keep)
{
    errors_of_new = handler;
    keep_errors = keep;
}

Comm *wrap_comm(PyTypeObject *type, MPI_Comm handle)
{
    Comm *self = new_handle(type, &handle);
    if (self) self->context = context_of(handle, 0);
    return self;
}

static PyTypeObject *class_of(MPI_Comm handle)
{
    int inter = 0, topology = MPI_UNDEFINED;
    if (handle == MPI_COMM_NULL) return IntracommType;
    MPI_Comm_test_inter(handle, &inter);
    if (inter) return IntercommType;
    MPI_Topo_test(handle, &topology);
    return topology == MPI_CART ? CartcommType : IntracommType;
}

Comm *adopt_comm(PyTypeObject *type, MPI_Comm handle, Context *parent)
{
    uint64_t parent_id = parent ? parent->id : 0, number = parent ? ++parent->children : 0;
    adopt_errors(handle);
    Comm *self = new_handle(type, &handle);
    if (!self || handle == MPI_COMM_NULL) return self;
    self->context = context_of(handle, parent_id ? mix(mix(parent_id, number), (uint64_t)leader_of(handle)) : 0);
    if (self->context && parent) self->context->serializer = Py_XNewRef(parent->serializer);
    return self;
}

PyObject *new_comm(MPI_Comm handle, Context *parent) { return (PyObject *)adopt_comm(class_of(handle), handle, parent); }

int to_comm(Frame *frame, PyObject *value, void *target)
{
    (void)frame;
    if (!PyObject_TypeCheck(value, CommType)) { PyErr_Format(PyExc_TypeError, "expected a Comm, not %R", value); return -1; }
    *(Comm **)target = (Comm *)value;
    return 0;
}

static int know(PyObject *module, const char *name, uint64_t id)
{
    Comm *comm = (Comm *)PyObject_GetAttrString(module, name);
    if (!comm) return -1;
    if (!comm->context) comm->context = context_of(comm->handle, id);
    Py_DECREF(comm);
    return comm->context ? 0 : -1;
}

int prepare_comm(PyObject *module)
{
    int rank, rc = MPI_Comm_create_keyval(no_copy, delete_context, &context_key, NULL);
    if (!rc) rc = MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (check(rc)) return -1;
    self_id = mix(WORLD_ID + 1, (uint64_t)rank);
    return know(module, "COMM_WORLD", WORLD_ID) || know(module, "COMM_SELF", self_id) ? -1 : 0;
}

/* --- what it is ------------------------------------------------------------------------------------------- */

METHOD0(Comm, Get_rank, "The rank of this process in the communicator.")
{
    int rank = -1, rc;
    LOCAL(rc, MPI_Comm_rank, self->handle, &rank);
    return rc ? finish(NULL, rc) : PyLong_FromLong(rank);
}

METHOD0(Comm, Get_size, "The number of processes in the communicator.")
{
    int size = -1, rc;
    LOCAL(rc, MPI_Comm_size, self->handle, &size);
    return rc ? finish(NULL, rc) : PyLong_FromLong(size);
}

METHOD0(Comm, Get_group, "The group of the communicator.")
{
    MPI_Group group; int rc;
    LOCAL(rc, MPI_Comm_group, self->handle, &group);
    return rc ? finish(NULL, rc) : new_handle(GroupType, &group);
}

METHOD0(Comm, Is_inter, "Whether it joins two groups.")
{
    int flag = 0, rc;
    LOCAL(rc, MPI_Comm_test_inter, self->handle, &flag);
    return finish_with(NULL, rc, PyBool_FromLong(flag));
}

METHOD0(Comm, Is_intra, "Whether it has one group.")
{
    int flag = 0, rc;
    LOCAL(rc, MPI_Comm_test_inter, self->handle, &flag);
    return finish_with(NULL, rc, PyBool_FromLong(!flag));
}

METHOD0(Comm, Get_topology, "CART, GRAPH, DIST_GRAPH, or UNDEFINED.")
{
    int topology = MPI_UNDEFINED, rc;
    LOCAL(rc, MPI_Topo_test, self->handle, &topology);
    return finish_with(NULL, rc, PyLong_FromLong(topology));
}

METHOD(Comm, Compare, "comm", "IDENT, CONGRUENT, SIMILAR or UNEQUAL.")
{
    Frame frame; Comm *other; int result;
    int rc = PARSE(&frame, to_comm, &other);
    if (!rc) LOCAL(rc, MPI_Comm_compare, self->handle, other->handle, &result);
    return finish_with(&frame, rc, rc ? NULL : PyLong_FromLong(result));
}

METHOD0(Comm, Get_name, "The name that debuggers and tools show.")
{
    char name[MPI_MAX_OBJECT_NAME + 1] = ""; int length = 0, rc;
    LOCAL(rc, MPI_Comm_get_name, self->handle, name, &length);
    return rc ? finish(NULL, rc) : PyUnicode_DecodeUTF8(name, length, "replace");
}

METHOD(Comm, Set_name, "name", "Give it a name, for debuggers and tools.")
{
    Frame frame; const char *name;
    int rc = PARSE(&frame, to_text, &name);
    if (!rc) CALL(rc, NOTE(ON(self)), MPI_Comm_set_name, self->handle, name);
    return finish(&frame, rc);
}

METHOD0(Comm, Get_errhandler, "What happens when a call on it fails.")
{
    MPI_Errhandler handler; int rc;
    CALL(rc, NOTE(ON(self)), MPI_Comm_get_errhandler, self->handle, &handler);
    return rc ? finish(NULL, rc) : new_handle(ErrhandlerType, &handler);
}

METHOD(Comm, Set_errhandler, "errhandler", "Say what happens when a call on it fails.")
{
    Frame frame; PyObject *handler;
    int rc = PARSE(&frame, to_object, &handler);
    if (!rc && !PyObject_TypeCheck(handler, ErrhandlerType)) { PyErr_Format(PyExc_TypeError, "errhandler: expected an Errhandler, not %R", handler); rc = RAISED; }
    if (!rc) CALL(rc, NOTE(ON(self)), MPI_Comm_set_errhandler, self->handle, ((Errhandler *)handler)->handle);
    return finish(&frame, rc);
}

METHOD(Comm, Abort, "errorcode=0", "End all processes of the communicator's job.")
{
    Frame frame; int code = 0;
    int rc = PARSE(&frame, to_int, &code);
    if (!rc) { set_exit_status(code); CALL(rc, NOTE(ON(self)), MPI_Abort, self->handle, code); }
    return finish(&frame, rc);
}

/* --- new ones --------------------------------------------------------------------------------------------- */

static PyObject *duplicate(Comm *self, MPI_Info info, int with_info)
{
    MPI_Comm new = MPI_COMM_NULL; int rc;
    if (with_info) CALL(rc, NOTE(ALL(self)), MPI_Comm_dup_with_info, self->handle, info, &new);
    else CALL(rc, NOTE(ALL(self)), MPI_Comm_dup, self->handle, &new);
    return rc ? finish(NULL, rc) : (PyObject *)adopt_comm(CLASS_OF(self), new, self->context);
}

METHOD(Comm, Dup, "info=None", "Duplicate the communicator, with its topology and attributes.")
{
    Frame frame; MPI_Info info = MPI_INFO_NULL; PyObject *given = Py_None;
    int rc = PARSE(&frame, to_object, &given) || to_info(&frame, given, &info) ? RAISED : 0;
    return finish_with(&frame, rc, rc ? NULL : duplicate(self, info, given != Py_None));
}

METHOD0(Comm, Clone, "Duplicate the communicator.") { return duplicate(self, MPI_INFO_NULL, 0); }

METHOD(Comm, Create, "group", "A communicator of the processes in the group; COMM_NULL elsewhere.")
{
    Frame frame; MPI_Group group; MPI_Comm new = MPI_COMM_NULL;
    int rc = PARSE(&frame, to_group, &group);
    if (!rc) CALL(rc, NOTE(ALL(self)), MPI_Comm_create, self->handle, group, &new);
    return finish_with(&frame, rc, rc ? NULL : new_comm(new, self->context));
}

METHOD(Comm, Split, "color=0, key=0", "A communicator for each color, ranks ordered by key; COMM_NULL for color UNDEFINED.")
{
    Frame frame; int color = 0, key = 0; MPI_Comm new = MPI_COMM_NULL;
    int rc = PARSE(&frame, to_int, &color, to_int, &key);
    if (!rc) CALL(rc, NOTE(ALL(self)), MPI_Comm_split, self->handle, color, key, &new);
    return finish_with(&frame, rc, rc ? NULL : new_comm(new, self->context));
}

METHOD(Comm, Split_type, "split_type, key=0, info=INFO_NULL", "A communicator for each set of processes that share something, such as memory (COMM_TYPE_SHARED).")
{
    Frame frame; int type, key = 0; MPI_Info info = MPI_INFO_NULL; MPI_Comm new = MPI_COMM_NULL;
    int rc = PARSE(&frame, to_int, &type, to_int, &key, to_info, &info);
    if (!rc) CALL(rc, NOTE(ALL(self)), MPI_Comm_split_type, self->handle, type, key, info, &new);
    return finish_with(&frame, rc, rc ? NULL : new_comm(new, self->context));
}

METHOD0(Comm, Free, "Free the communicator; all its processes must call this.")
{
    Door door;
    int rc = enter(&door, OP_MPI_Comm_free, NOTE(ALL(self)));
    if (rc) return finish(NULL, rc);
    rc = settle_works(&door, self->context);
    if (!rc) rc = MPI_Comm_free(&self->handle);
    leave(&door, rc, NULL);
    if (!rc) { drop_context(self->context); self->context = NULL; }
    return finish(NULL, rc);
}

/* --- the types -------------------------------------------------------------------------------------------- */

GETTER(Comm, rank, "The rank of this process in the communicator.") { return Comm_Get_rank_body(self); }
GETTER(Comm, size, "The number of processes in the communicator.") { return Comm_Get_size_body(self); }
GETTER(Comm, group, "The group of the communicator.") { return Comm_Get_group_body(self); }
GETTER(Comm, is_inter, "Whether it joins two groups.") { return Comm_Is_inter_body(self); }
GETTER(Comm, is_intra, "Whether it has one group.") { return Comm_Is_intra_body(self); }
GETTER(Comm, topology, "CART, GRAPH, DIST_GRAPH, or UNDEFINED.") { return Comm_Get_topology_body(self); }
GETTER(Comm, name, "The name that debuggers and tools show.") { return Comm_Get_name_body(self); }

GETTER(Comm, is_topo, "Whether it has a topology.")
{
    int topology = MPI_UNDEFINED, rc;
    LOCAL(rc, MPI_Topo_test, self->handle, &topology);
    return finish_with(NULL, rc, PyBool_FromLong(topology != MPI_UNDEFINED));
}

GETTER(Comm, serializer, "What packs objects instead of MPI.pickle: anything with dumps and loads, or None. New communicators made of this one inherit it.")
{
    PyObject *own = self->context ? self->context->serializer : NULL, *source = own ? PyObject_GetAttrString(own, "_source") : Py_NewRef(Py_None);
    if (source != Py_None || !own) return source;
    Py_DECREF(source);
    return Py_NewRef(own);
}

static int set_serializer(PyObject *self, PyObject *value, void *unused)
{
    const Comm *comm = (Comm *)self;
    (void)unused;
    if (!value) { PyErr_SetString(PyExc_AttributeError, "a communicator keeps its serializer: set it to None"); return -1; }
    if (usable(comm)) return -1;
    PyObject *pickling = PyImport_ImportModule("mmpi.pickling"), *old = comm->context->serializer;
    PyObject *made = pickling ? PyObject_CallMethod(pickling, "serializer", "O", value) : NULL;
    Py_XDECREF(pickling);
    if (!made) return -1;
    comm->context->serializer = made == Py_None ? NULL : Py_NewRef(made);
    Py_DECREF(made);
    Py_XDECREF(old);
    return 0;
}

static PyObject *comm_repr(PyObject *self)
{
    Comm *c = (Comm *)self;
    char name[MPI_MAX_OBJECT_NAME + 1] = "";
    int rank = -1, size = -1, length = 0;
    if (c->handle == MPI_COMM_NULL || mpi_state != RUNNING) return handle_repr(self);
    PyObject *class = PyObject_GetAttrString((PyObject *)CLASS_OF(self), "__name__");
    MPI_Comm_rank(c->handle, &rank);
    MPI_Comm_size(c->handle, &size);
    MPI_Comm_get_name(c->handle, name, &length);
    PyObject *text = class ? PyUnicode_FromFormat("<%U '%s' rank %d of %d>", class, name, rank, size) : NULL;
    Py_XDECREF(class);
    return text;
}

void comm_dealloc(PyObject *self)
{
    drop_context(((Comm *)self)->context);
    handle_dealloc(self);
}

static PyMethodDef comm_methods[] = {
    HANDLE_ROWS, ROW0(Comm, Get_rank), ROW0(Comm, Get_size), ROW0(Comm, Get_group), ROW0(Comm, Is_inter), ROW0(Comm, Is_intra),
    ROW0(Comm, Get_topology), ROW(Comm, Compare), ROW0(Comm, Get_name), ROW(Comm, Set_name), ROW0(Comm, Get_errhandler),
    ROW(Comm, Set_errhandler), ROW(Comm, Abort), ROW(Comm, Dup), ROW0(Comm, Clone), ROW(Comm, Create), ROW(Comm, Split),
    ROW(Comm, Split_type), ROW0(Comm, Free), END_OF_ROWS};
static PyGetSetDef getters[] = {
    HANDLE_GETROW, GETROW(Comm, rank), GETROW(Comm, size), GETROW(Comm, group), GETROW(Comm, is_inter), GETROW(Comm, is_intra),
    GETROW(Comm, topology), GETROW(Comm, is_topo), GETSETROW(Comm, name, handle_set_name),
    GETSETROW(Comm, serializer, set_serializer), END_OF_GETROWS};

static int add_comm_type(PyObject *module, PyTypeObject **type, const char *name, const char *doc, PyTypeObject *base, PyMethodDef *const tables[])
{
    PyMethodDef *methods = joined(tables);
    if (!methods) return -1;
    PyType_Slot base_slots[] = {
        HANDLE_SLOTS, SLOT(Py_tp_dealloc, comm_dealloc), SLOT(Py_tp_repr, comm_repr), {Py_tp_getset, getters},
        {Py_tp_methods, methods}, {Py_tp_doc, (void *)(uintptr_t)doc}, {0, NULL}};
    PyType_Slot slots[] = {SLOT(Py_tp_dealloc, comm_dealloc), {Py_tp_methods, methods}, {Py_tp_doc, (void *)(uintptr_t)doc}, {0, NULL}};
    PyType_Spec spec = {name, sizeof(Comm), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, base ? slots : base_slots};
    return add_type(module, type, &spec, base, methods);
}

int add_comm_types(PyObject *module)
{
    static PyMethodDef none[] = {END_OF_ROWS};
    PyMethodDef *const comm[] = {comm_methods, p2p_methods, collective_methods, object_p2p_methods, object_collective_methods,
                                object_reduction_methods, NULL};
    PyMethodDef *const intra[] = {scan_methods, topology_methods, object_scan_methods, NULL};
    PyMethodDef *const nothing[] = {none, NULL};
    return add_comm_type(module, &CommType, "mmpi.MPI.Comm", "A communicator.", NULL, comm) ||
           add_comm_type(module, &IntracommType, "mmpi.MPI.Intracomm", "A communicator of one group.", CommType, intra) ||
           add_comm_type(module, &IntercommType, "mmpi.MPI.Intercomm", "A communicator that joins two groups.", CommType, nothing) ||
           add_topology_types(module) ? -1 : 0;
}
