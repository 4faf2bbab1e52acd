/* Communicators: what they are, and how new ones are made (MPI 5.0, chapter 7). */
#include "core.h"
#include <stdlib.h>

PyTypeObject *CommType, *IntracommType, *IntercommType;

/* --- what we know of a communicator ----------------------------------------------------------------------- */

uint64_t self_id;
Context *self_context;
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
    if (context->handle && context->checker != MPI_COMM_NULL) MPI_Comm_free(&context->checker);
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
    if (context->id != WORLD_ID) context->known->used = 0;     /* in MPI_Finalize, others may still ask how far we came */
    free(context);
}

void describe_context(Context *context)
{
    context->known = new_known();
    if (!context->known) context->known = &context->own;
    Known *known = context->known;
    known->id = context->id;
    known->rank = context->rank;
    known->size = context->size;
    known->remote_size = context->remote_size;
    known->parent = known->collectives = 0;
    known->leader = known->made = -1;
    known->name[0] = 0;
    __atomic_store_n(&known->used, 1, __ATOMIC_RELEASE);
}

void name_context(Context *context, const char *name)
{
    if (!context) return;
    PyOS_snprintf(context->known->name, sizeof context->known->name, "%s", name);
    if (recorder) recorder->named(context->known);
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
    context->handle = comm;
    context->checker = MPI_COMM_NULL;
    context->hidden = MPI_COMM_NULL;
    context->making = MPI_REQUEST_NULL;
    if (MPI_Comm_rank(comm, &context->rank) || MPI_Comm_size(comm, &context->size) || MPI_Comm_test_inter(comm, &inter) ||
        (inter && MPI_Comm_remote_size(comm, &context->remote_size))) { free(context); return NULL; }
    context->id = id;
    describe_context(context);
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

uint64_t mix(uint64_t a, uint64_t b)    /* the finalizer of splitmix64 */
{
    uint64_t x = a + UINT64_C(0x9e3779b97f4a7c15) * (b + 1);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

Context *share_context(Context *context)
{
    if (context) __atomic_add_fetch(&context->references, 1, __ATOMIC_ACQ_REL);
    return context;
}

Context *derived_context(Context *parent, const char *name)
{
    Context *context = parent ? calloc(1, sizeof *context) : NULL;
    if (!context) return NULL;
    *context = (Context){.id = parent->id ? mix(parent->id, ++parent->children) : 0, .rank = parent->rank, .size = parent->size,
                         .remote_size = parent->remote_size, .references = 1, .hidden = MPI_COMM_NULL, .making = MPI_REQUEST_NULL};
    describe_context(context);
    context->known->parent = parent->id;
    context->known->made = last_operation();
    name_context(context, name);
    return context;
}

/* Without a context it is COMM_NULL, or before init, and MPI, or the door, has to say what is wrong; or a compiled extension wrote
 * the handle into an object that had none (`comm.ob_mpi` in Cython), which gets its context now. */
int usable(Comm *self)
{
    int size, rc = 0;
    if (self->context) return 0;
    LOCAL(rc, MPI_Comm_size, self->handle, &size);
    if (check(rc)) return RAISED;
    self->context = context_of(self->handle, 0);
    if (!self->context) PyErr_NoMemory();
    return self->context ? 0 : RAISED;
}

/* the rank of a communicator's rank 0 in WORLD, or among all that were started together */
static int leader_of(MPI_Comm comm)
{
    MPI_Group group, world;
    int zero = 0, leader = -1;
    Py_BEGIN_ALLOW_THREADS
    if (MPI_Comm_group(comm, &group) == MPI_SUCCESS) {
        if (group_of_all(&world) == MPI_SUCCESS) {
            MPI_Group_translate_ranks(group, 1, &zero, world, &leader);
            MPI_Group_free(&world);
        }
        MPI_Group_free(&group);
    }
    Py_END_ALLOW_THREADS
    return leader;
}

/* What a hash makes of who is in a group, by their ranks in another; 0: they are not known. Strangers are in that not. */
uint64_t mix_group(uint64_t what, MPI_Group group, MPI_Group all, int *strangers)
{
    int n = 0, rank;
    if (MPI_Group_size(group, &n)) return 0;
    for (int i = 0; i < n; i++) {
        if (MPI_Group_translate_ranks(group, 1, &i, all, &rank)) return 0;
        if (rank < 0) { *strangers = 1; rank = -1; }
        what = mix(what, (uint64_t)rank);
    }
    return what;
}

/* A hash of both groups of a communicator, on both sides the same; 0: none. */
static uint64_t mix_groups(MPI_Comm comm, int *strangers)
{
    MPI_Group groups[2] = {MPI_GROUP_NULL, MPI_GROUP_NULL}, all = MPI_GROUP_NULL;
    uint64_t parts[2] = {0, 0};
    if (!group_of_all(&all) && !MPI_Comm_group(comm, &groups[0]) && !MPI_Comm_remote_group(comm, &groups[1]))
        for (int i = 0; i < 2; i++) parts[i] = mix_group(NOTHING_MIXED, groups[i], all, strangers);
    for (int i = 0; i < 2; i++)
        if (groups[i] != MPI_GROUP_NULL) MPI_Group_free(&groups[i]);
    if (all != MPI_GROUP_NULL) MPI_Group_free(&all);
    const int first = parts[0] > parts[1];
    return parts[0] && parts[1] ? mix(parts[first], parts[!first]) : 0;
}

/* The id of a communicator of two groups, of what it was made by (0: nothing that both know). It is odd if not all of its processes were
 * started together: the others do not know us by the same numbers, and give it another one. */
static uint64_t id_of_inter(MPI_Comm comm, uint64_t made)
{
    int strangers = 0;
    uint64_t groups;
    Py_BEGIN_ALLOW_THREADS
    groups = mix_groups(comm, &strangers);
    Py_END_ALLOW_THREADS
    if (groups && !made) made = count_made(groups);
    return groups && made ? (mix(groups, made) & ~UINT64_C(1)) | (uint64_t)strangers : 0;
}

void identify(Context *context, uint64_t id, int leader)
{
    context->id = context->known->id = id;
    context->known->leader = leader;
}

/* --- objects ---------------------------------------------------------------------------------------------- */

static MPI_Errhandler chosen_errors = 0;                /* rc.errors: what a new communicator does */
static int keep_errors;

int adopt_errors(MPI_Comm comm)
{
    int rc = 0;
    if (keep_errors || comm == MPI_COMM_NULL) return 0;
    Py_BEGIN_ALLOW_THREADS
    rc = MPI_Comm_set_errhandler(comm, chosen_errors);
    Py_END_ALLOW_THREADS
    return rc;
}

void choose_errors(MPI_Errhandler handler, int keep)
{
    chosen_errors = handler;
    keep_errors = keep;
}

int errors_of_new(MPI_Errhandler *handler)
{
    *handler = chosen_errors;
    return !keep_errors;
}

PyTypeObject *class_of_comm(MPI_Comm handle)
{
    int inter = 0, topology = MPI_UNDEFINED;
    if (handle == MPI_COMM_NULL || mpi_state != RUNNING) return IntracommType;
    MPI_Comm_test_inter(handle, &inter);
    if (inter) return IntercommType;
    MPI_Topo_test(handle, &topology);
    return topology == MPI_CART ? CartcommType : topology == MPI_GRAPH ? GraphcommType : topology == MPI_DIST_GRAPH ? DistgraphcommType : IntracommType;
}

/* is this a communicator of the class, which may be a user's? */
static int suits(PyTypeObject *type, MPI_Comm handle)
{
    PyTypeObject *const classes[] = {CartcommType, GraphcommType, DistgraphcommType, TopocommType, IntercommType, IntracommType};
    if (handle == MPI_COMM_NULL || mpi_state != RUNNING) return 1;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (PyType_IsSubtype(type, classes[i])) return PyType_IsSubtype(class_of_comm(handle), classes[i]);
    return 1;
}

Comm *wrap_comm(PyTypeObject *type, MPI_Comm handle)
{
    if (!suits(type, handle)) { PyErr_Format(PyExc_TypeError, "this communicator is no %R but a %R", (PyObject *)type, (PyObject *)class_of_comm(handle)); return NULL; }
    Comm *self = new_handle(type, &handle);
    if (self) self->context = context_of(handle, 0);
    return self;
}

/* made: by what, as all members know it; 0: nothing. A child is one of another communicator. */
static void identify_new(Context *context, int child, uint64_t made)
{
    const int inter = context->remote_size >= 0, leader = child || inter ? leader_of(context->handle) : -1;
    identify(context, inter ? id_of_inter(context->handle, made) : made ? mix(made, (uint64_t)leader) : 0, leader);
}

static Comm *new_one(PyTypeObject *type, MPI_Comm handle, Context *parent)
{
    uint64_t parent_id = parent ? parent->id : 0, number = parent ? ++parent->children : 0;
    adopt_errors(handle);
    Comm *self = new_handle(type, &handle);
    if (!self || handle == MPI_COMM_NULL) return self;
    int made = last_operation();
    if (!(self->context = context_of(handle, 0))) return self;
    identify_new(self->context, parent != NULL, parent_id ? mix(parent_id, number) : 0);
    if (parent) self->context->serializer = Py_XNewRef(parent->serializer);
    self->context->known->parent = parent_id;
    self->context->known->made = made;
    return self;
}

Comm *adopt_comm(PyTypeObject *type, MPI_Comm handle, Context *parent) { return watched(new_one(type, handle, parent)); }

/* the duplicate on which collectives of objects go on; known to the record by an id of its own */
PyObject *hidden_comm(Context *context)
{
    Comm *self = new_one(IntracommType, context->hidden, NULL);
    if (!self || !self->context || !context->id) return (PyObject *)self;
    self->context->id = self->context->known->id = ~context->id;
    self->context->known->parent = context->id;
    return (PyObject *)self;
}

/* of a communicator that a nonblocking call makes: it is not used before that has ended */
static PyObject *begun(Comm *self, PyTypeObject *type, int operation, MPI_Info info)
{
    MPI_Comm none = MPI_COMM_NULL; int rc = RAISED;
    Comm *new = new_handle(type, &none);
    Request *r = new ? new_request(new_frame()) : NULL;
    if (!r) { Py_XDECREF((PyObject *)new); return NULL; }
    new->id = self->context && self->context->id ? mix(self->context->id, ++self->context->children) : 0;
    r->buf = (PyObject *)new;
    r->flags |= MAKES;
    frame_hold(r->frame, (PyObject *)new);              /* MPI writes the handle there at the end */
    if (operation == OP_MPI_Comm_idup) CALL(rc, NOTE(ALL(self)), MPI_Comm_idup, self->handle, &new->handle, &r->handle);
    else if (operation == OP_MPI_Comm_idup_with_info) CALL(rc, NOTE(ALL(self)), MPI_Comm_idup_with_info, self->handle, info, &new->handle, &r->handle);
    else CALL(rc, NOTE(ALL(self)), MPIX_Comm_ishrink, self->handle, &new->handle, &r->handle);
    if (!started(r, rc)) return NULL;
    return Py_BuildValue("ON", (PyObject *)new, (PyObject *)r);
}

void finish_comm(Comm *self)
{
    if (self->context || self->handle == MPI_COMM_NULL) return;
    adopt_errors(self->handle);
    self->context = context_of(self->handle, 0);
    if (self->context && self->id) identify_new(self->context, 1, self->id);
    watched(self);
}

PyObject *new_comm(MPI_Comm handle, Context *parent) { return (PyObject *)adopt_comm(class_of_comm(handle), handle, parent); }

int to_comm(Frame *frame, PyObject *value, void *target)
{
    (void)frame;
    if (!PyObject_TypeCheck(value, CommType)) { PyErr_Format(PyExc_TypeError, "expected a Comm, not %R", value); return -1; }
    *(Comm **)target = (Comm *)value;
    return 0;
}

/* In a callback of MPI's, which may be about the end of the communicator: with the context it has, if it still has it. */
PyObject *seen_comm(const void *handle)
{
    MPI_Comm comm = *(const MPI_Comm *)handle;
    Comm *self = new_handle(class_of_comm(comm), &comm);
    int found = 0;
    if (!self || MPI_Comm_get_attr(comm, context_key, &self->context, &found)) return (PyObject *)self;
    if (!found) self->context = NULL;
    else __atomic_add_fetch(&self->context->references, 1, __ATOMIC_ACQ_REL);
    return (PyObject *)self;
}

ATTRIBUTES(Comm, Comm, seen_comm)
ERRHANDLERS(Comm, seen_comm)
BUFFER_METHODS(Comm)

static int know(PyObject *module, const char *name, uint64_t id)
{
    Comm *comm = (Comm *)PyObject_GetAttrString(module, name);
    if (!comm) return -1;
    if (!comm->context) comm->context = context_of(comm->handle, id);
    Py_DECREF(comm);
    return comm->context ? 0 : -1;
}

static int has_key;

int prepare_key(void)
{
    int rc = has_key ? 0 : MPI_Comm_create_keyval(no_copy, delete_context, &context_key, NULL);
    has_key = !rc;
    return check(rc);
}

void end_key(void)
{
    has_key = 0;
    MPI_Comm_free_keyval(&context_key);
}

int prepare_comm(PyObject *module)
{
    int rank, rc = prepare_key() ? RAISED : MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (check(rc)) return -1;
    self_id = mix(WORLD_ID + 1, (uint64_t)rank);
    self_context = context_of(MPI_COMM_SELF, self_id);
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
    return rc ? finish(NULL, rc) : new_owned(GroupType, &group);
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
    if (self->handle == MPI_COMM_NULL) return PyUnicode_FromString("MPI_COMM_NULL");    /* an error before MPI 4.1 */
    LOCAL(rc, MPI_Comm_get_name, self->handle, name, &length);
    return rc ? finish(NULL, rc) : PyUnicode_DecodeUTF8(name, length, "replace");
}

METHOD(Comm, Set_name, "name", "Give it a name, for debuggers and tools.")
{
    Frame frame; const char *name;
    int rc = PARSE(&frame, to_text, &name);
    if (!rc) CALL(rc, NOTE(ON(self)), MPI_Comm_set_name, self->handle, name);
    if (!rc) name_context(self->context, name);
    return finish(&frame, rc);
}

/* Let the report of the end tell where in Python it is. */
static void say_abort(int code)
{
    PyObject *module = PyImport_ImportModule("mmpi.endings");
    PyObject *done = module ? PyObject_CallMethod(module, "aborting", "i", code) : NULL;
    if (!done) PyErr_Clear();
    Py_XDECREF(done);
    Py_XDECREF(module);
}

METHOD(Comm, Abort, "errorcode=0", "End all processes of the communicator's job.")
{
    Frame frame; int code = 0;
    int rc = PARSE(&frame, to_int, &code);
    if (!rc) { say_abort(code); set_exit_status(code); ask_others(); CALL(rc, NOTE(ON(self)), MPI_Abort, self->handle, code); }
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

METHOD(Comm, Dup_with_info, "info", "Duplicate the communicator, with other hints.")
{
    Frame frame; MPI_Info info = MPI_INFO_NULL;
    int rc = PARSE(&frame, to_info, &info);
    return finish_with(&frame, rc, rc ? NULL : duplicate(self, info, 1));
}

METHOD(Comm, Idup, "info=None", "Start to duplicate the communicator: the duplicate, which is usable when the request is done, and the request.")
{
    Frame frame; MPI_Info info = MPI_INFO_NULL; PyObject *given = Py_None;
    int rc = PARSE(&frame, to_object, &given) || to_info(&frame, given, &info) ? RAISED : 0;
    return finish_with(&frame, rc, rc ? NULL : begun(self, CLASS_OF(self), given == Py_None ? OP_MPI_Comm_idup : OP_MPI_Comm_idup_with_info, info));
}

METHOD(Comm, Idup_with_info, "info", "Start to duplicate the communicator, with other hints: the duplicate, which is usable when the request is done, and the request.")
{
    Frame frame; MPI_Info info = MPI_INFO_NULL;
    int rc = PARSE(&frame, to_info, &info);
    return finish_with(&frame, rc, rc ? NULL : begun(self, CLASS_OF(self), OP_MPI_Comm_idup_with_info, info));
}

/* Only its members know that it was made: its parent does not count it. */
static PyObject *made_by_group(const Context *parent, int tag, MPI_Comm handle)
{
    Comm *self = adopt_comm(class_of_comm(handle), handle, NULL);
    if (!self || !self->context) return (PyObject *)self;
    identify(self->context, id_of_group(handle, mix(mix(NOTHING_MIXED, parent->id), (uint64_t)tag)), leader_of(handle));
    self->context->known->parent = parent->id;
    return (PyObject *)self;
}

METHOD(Comm, Create_group, "group, tag=0", "A communicator of the processes in the group, which alone must call this.")
{
    Frame frame; MPI_Group group; int tag = 0; MPI_Comm new = MPI_COMM_NULL;
    int rc = PARSE(&frame, to_group, &group, to_int, &tag);
    if (!rc) CALL(rc, NOTE(ON(self), .tag = tag), MPI_Comm_create_group, self->handle, group, tag, &new);
    return finish_with(&frame, rc, rc ? NULL : made_by_group(self->context, tag, new));
}

METHOD0(Comm, Get_info, "The hints that are in use.")
{
    MPI_Info info = MPI_INFO_NULL; int rc;
    CALL(rc, NOTE(ON(self)), MPI_Comm_get_info, self->handle, &info);
    return rc ? finish(NULL, rc) : new_owned(InfoType, &info);
}

METHOD(Comm, Set_info, "info", "Set hints.")
{
    Frame frame; MPI_Info info = MPI_INFO_NULL;
    int rc = PARSE(&frame, to_info, &info);
    if (!rc) CALL(rc, NOTE(ALL(self)), MPI_Comm_set_info, self->handle, info);
    return finish(&frame, rc);
}

GETTER(Comm, info, "The hints: those in use, and, set, new ones.") { return Comm_Get_info_body(self); }

static int set_info(PyObject *self, PyObject *value, void *unused)
{
    (void)unused;
    PyObject *done = value ? PyObject_CallMethod(self, "Set_info", "O", value) : PyErr_Format(PyExc_AttributeError, "a communicator keeps its hints");
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* --- after failures (ULFM) -------------------------------------------------------------------------------- */

/* Elsewhere a failure ends the job, so nobody has ever failed, and the answers are those of plain MPI, as in mpi4py. MPICH's ch4 has most of
   these functions, and ends the job in each of them. */
static int tolerant(void)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING + 1] = ""; int length = 0;
    return MPIX_Comm_revoke && !MPI_Get_library_version(text, &length) && !strstr(text, "ch4");
}

METHOD0(Comm, Revoke, "End all communication here, on all ranks: it fails with ERR_REVOKED.")
{
    int rc;
    if (tolerant()) CALL(rc, NOTE(ON(self)), MPIX_Comm_revoke, self->handle);
    else rc = lacking(OP_MPIX_Comm_revoke);
    return finish(NULL, rc);
}

METHOD0(Comm, Is_revoked, "Whether it was revoked.")
{
    int flag = 0, inter, rc;
    if (tolerant()) CALL(rc, NOTE(ON(self)), MPIX_Comm_is_revoked, self->handle, &flag);
    else LOCAL(rc, MPI_Comm_test_inter, self->handle, &inter);
    return finish_with(NULL, rc, PyBool_FromLong(flag));
}

METHOD0(Comm, Get_failed, "The group of the processes that are known to have failed.")
{
    MPI_Group group = MPI_GROUP_NULL; int inter, rc;
    if (tolerant()) CALL(rc, NOTE(ON(self)), MPIX_Comm_get_failed, self->handle, &group);
    else if (!LOCAL(rc, MPI_Comm_test_inter, self->handle, &inter)) rc = MPI_Group_union(MPI_GROUP_EMPTY, MPI_GROUP_EMPTY, &group);
    return rc ? finish(NULL, rc) : new_owned(GroupType, &group);
}

METHOD(Comm, Ack_failed, "num_to_ack=None", "Acknowledge so many of the failed processes (None: all); return how many are acknowledged.")
{
    Frame frame; PyObject *given = Py_None; int number = 0, acked = 0, size = 0;
    int rc = PARSE(&frame, to_object, &given) || (given != Py_None && to_int(&frame, given, &number)) ? RAISED : 0;
    if (!rc) LOCAL(rc, MPI_Comm_size, self->handle, &size);
    if (!rc && tolerant()) CALL(rc, NOTE(ON(self)), MPIX_Comm_ack_failed, self->handle, given == Py_None ? size : number, &acked);
    return finish_with(&frame, rc, PyLong_FromLong(acked));
}

METHOD(Comm, Agree, "flag", "The bitwise and of the flags of all living ranks; with two groups, of those in the other.")
{
    Frame frame; int *flags, agreed = 0;          /* flags: the frame's, since a wait that a signal ends leaves them to MPI */
    int rc = PARSE(&frame, to_int, &agreed) || !(flags = frame_memory(&frame, 2, sizeof *flags)) ? RAISED : 0;
    if (!rc && tolerant()) CALL(rc, NOTE(ALL(self)), MPIX_Comm_agree, self->handle, &agreed);
    else if (!rc) {
        flags[0] = agreed;
        COLLECT(rc, &frame, NOTE(ALL(self)), self, MPI_Allreduce, MPI_Iallreduce, &flags[0], &flags[1], 1, MPI_INT, MPI_BAND, self->handle);
        if (!rc) agreed = flags[1];
    }
    return finish_with(&frame, rc, PyLong_FromLong(agreed));
}

METHOD(Comm, Iagree, "flag", "Start to agree: the buffer of one C int gets the bitwise and of the flags of all living ranks; with two groups, of those in the other.")
{
    PyObject *object; Py_buffer *view = NULL; int rc = RAISED, *own;
    Request *r = new_request(new_frame());
    if (!r || PARSE(r->frame, to_object, &object) || !(view = take_view(r->frame, object, PyBUF_WRITABLE))) return started(r, rc);
    if (view->len != (Py_ssize_t)sizeof(int)) { PyErr_Format(PyExc_ValueError, "Iagree(flag): flag: expected a buffer of one C int, not of %zd bytes", view->len); return started(r, rc); }
    if (tolerant()) { CALL(rc, NOTE(ALL(self)), MPIX_Comm_iagree, self->handle, view->buf, &r->handle); return started(r, rc); }
    if (!(own = frame_memory(r->frame, 1, sizeof *own))) return started(r, rc);
    memcpy(own, view->buf, sizeof *own);
    CALL(rc, NOTE(ALL(self)), MPI_Iallreduce, own, view->buf, 1, MPI_INT, MPI_BAND, self->handle, &r->handle);
    return started(r, rc);
}

METHOD0(Comm, Shrink, "A communicator of the processes that are still alive.")
{
    MPI_Comm new = MPI_COMM_NULL; int rc;
    if (!tolerant()) return duplicate(self, MPI_INFO_NULL, 0);
    CALL(rc, NOTE(ALL(self)), MPIX_Comm_shrink, self->handle, &new);
    return rc ? finish(NULL, rc) : (PyObject *)adopt_comm(CLASS_OF(self), new, self->context);
}

METHOD0(Comm, Ishrink, "Start to make a communicator of the processes that are still alive: it, usable when the request is done, and the request.")
{
    return begun(self, CLASS_OF(self), MPIX_Comm_ishrink && tolerant() ? OP_MPIX_Comm_ishrink : OP_MPI_Comm_idup, MPI_INFO_NULL);
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

/* end it, when what goes on there is done where it has to be */
static PyObject *let_go(Comm *self, int operation, int (*end)(MPI_Comm *))
{
    Door door; uintptr_t owner = (uintptr_t)self->handle;
    int rc = enter(&door, operation, NOTE(ALL(self)));
    if (rc) return finish(NULL, rc);
    rc = settle_works(&door, self->context);
    if (!rc) rc = end(&self->handle);
    leave(&door, rc, NULL);
    if (rc) return finish(NULL, rc);
    drop_buffer(OF_COMM, owner);        /* which MPI let go, too */
    drop_context(self->context);
    self->context = NULL;
    return finish(NULL, 0);
}

METHOD0(Comm, Free, "Free the communicator; all its processes must call this.") { return let_go(self, OP_MPI_Comm_free, MPI_Comm_free); }

METHOD0(Comm, Disconnect, "Wait until all communication on it is done, then free it; all its processes must call this.")
{
    return let_go(self, OP_MPI_Comm_disconnect, MPI_Comm_disconnect);
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
    Comm *comm = (Comm *)self;
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
    ROW0(Comm, Get_topology), ROW(Comm, Compare), ROW0(Comm, Get_name), ROW(Comm, Set_name), ERRHANDLER_ROWS(Comm), BUFFER_ROWS(Comm),
    ATTRIBUTE_ROWS(Comm), ROW(Comm, Abort), ROW(Comm, Dup), ROW0(Comm, Clone), ROW(Comm, Dup_with_info), ROW(Comm, Idup), ROW(Comm, Idup_with_info),
    ROW0(Comm, Get_info), ROW(Comm, Set_info), ROW0(Comm, Revoke), ROW0(Comm, Is_revoked), ROW0(Comm, Get_failed), ROW(Comm, Ack_failed),
    ROW(Comm, Agree), ROW(Comm, Iagree), ROW0(Comm, Shrink), ROW0(Comm, Ishrink), ROW(Comm, Create), ROW(Comm, Split),
    ROW(Comm, Split_type), ROW0(Comm, Free), ROW0(Comm, Disconnect), END_OF_ROWS};
static PyGetSetDef getters[] = {
    HANDLE_GETROW, GETROW(Comm, rank), GETROW(Comm, size), GETROW(Comm, group), GETROW(Comm, is_inter), GETROW(Comm, is_intra),
    GETROW(Comm, topology), GETROW(Comm, is_topo), GETSETROW(Comm, info, set_info), SETROW(Comm, name, Set_name),
    GETSETROW(Comm, serializer, set_serializer), END_OF_GETROWS};

static int add_comm_type(PyObject *module, PyTypeObject **type, const char *name, const char *doc, PyTypeObject *base, PyMethodDef *const tables[], PyGetSetDef *own)
{
    PyMethodDef *methods = joined(tables);
    if (!methods) return -1;
    PyType_Slot base_slots[] = {
        HANDLE_SLOTS, SLOT(Py_tp_dealloc, comm_dealloc), SLOT(Py_tp_repr, comm_repr), {Py_tp_getset, own},
        {Py_tp_methods, methods}, {Py_tp_doc, (void *)(uintptr_t)doc}, {0, NULL}};
    PyType_Slot slots[] = {SLOT(Py_tp_dealloc, comm_dealloc), {Py_tp_methods, methods}, {Py_tp_getset, own}, {Py_tp_doc, (void *)(uintptr_t)doc}, {0, NULL}};
    PyType_Spec spec = {name, sizeof(Comm), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, base ? slots : base_slots};
    return base ? add_type(module, type, &spec, base, methods) : add_handle_type(module, KIND(Comm, MPI_COMM_NULL, "Free", NULL), &spec, methods);
}

int add_comm_types(PyObject *module)
{
    static PyMethodDef own_intra[] = {ROW(Comm, Create_group), END_OF_ROWS};
    static PyGetSetDef no_getters[] = {END_OF_GETROWS};
    PyMethodDef *const comm[] = {comm_methods, p2p_methods, collective_methods, object_p2p_methods, object_collective_methods,
                                object_reduction_methods, joining_methods, NULL};
    PyMethodDef *const intra[] = {own_intra, scan_methods, topology_methods, object_scan_methods, making_inter_methods, process_methods, session_intra_methods, NULL};
    PyMethodDef *const inter[] = {inter_methods, session_inter_methods, NULL};
    return add_comm_type(module, &CommType, "mmpi.MPI.Comm", "A communicator.", NULL, comm, getters) ||
           add_comm_type(module, &IntracommType, "mmpi.MPI.Intracomm", "A communicator of one group.", CommType, intra, no_getters) ||
           add_comm_type(module, &IntercommType, "mmpi.MPI.Intercomm", "A communicator that joins two groups.", CommType, inter, inter_getters) ||
           add_topology_types(module) ? -1 : 0;
}
