/* Processes that are started, and jobs that meet: spawn, ports, names (MPI 5.0, chapter 11). */
#include "core.h"
#include <limits.h>

int has_company;                        /* this process started others, or met some */

PyObject *new_inter(MPI_Comm handle, const Context *parent)
{
    Comm *self = adopt_comm(IntercommType, handle, NULL);       /* who are in it may be children of different communicators */
    if (!self || !self->context || !parent) return (PyObject *)self;
    self->context->serializer = Py_XNewRef(parent->serializer);
    self->context->known->parent = parent->id;
    return (PyObject *)self;
}

/* of a Spawn: a timeline finds the children by the time at which it was */
static PyObject *spawned(PyObject *result)
{
    const Comm *new = (Comm *)result;
    if (new && new->context && recorder) recorder->spawned(new->context->known, since_last());
    return result;
}

/* the communicator that joins us with others */
static PyObject *met(Frame *frame, int rc, MPI_Comm new, const Comm *self)
{
    if (!rc) has_company = 1;
    return finish_with(frame, rc, rc ? NULL : new_inter(new, self ? self->context : NULL));
}

/* --- starting processes ----------------------------------------------------------------------------------- */

typedef struct { int n, *maxprocs; char **commands, ***argvs; MPI_Info *infos; } Programs;

/* what mmpi.spawning made of the arguments, as MPI takes it; the strings live as long as the list */
static int to_programs(Frame *frame, PyObject *list, Programs *p)
{
    Py_ssize_t words = 0, n = p->n = (int)PyList_Size(list);
    for (Py_ssize_t i = 0; i < n; i++) words += PyList_Size(PyTuple_GetItem(PyList_GetItem(list, i), 1)) + 1;
    char **word = frame_memory(frame, (size_t)(words + n), sizeof *word);
    p->argvs = word ? frame_memory(frame, (size_t)n, sizeof *p->argvs) : NULL;
    p->maxprocs = p->argvs ? frame_memory(frame, (size_t)n, sizeof *p->maxprocs) : NULL;
    p->infos = p->maxprocs ? frame_memory(frame, (size_t)n, sizeof *p->infos) : NULL;
    if (!p->infos) return RAISED;
    p->commands = word + words;
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *program = PyList_GetItem(list, i), *argv = PyTuple_GetItem(program, 1);
        p->commands[i] = PyBytes_AsString(PyTuple_GetItem(program, 0));
        p->argvs[i] = word;
        for (Py_ssize_t k = 0; k < PyList_Size(argv); k++) *word++ = PyBytes_AsString(PyList_GetItem(argv, k));
        word++;                         /* a null ends them */
        p->infos[i] = MPI_INFO_NULL;
        if (to_int(frame, PyTuple_GetItem(program, 2), &p->maxprocs[i]) || to_info(frame, PyTuple_GetItem(program, 3), &p->infos[i])) return RAISED;
    }
    return 0;
}

/* How many processes the root starts, or an error on all ranks if one has wrong arguments: before anything is started. */
static int agree(Comm *self, const Programs *p, int rc, int root, int *total)
{
    PyObject *type, *value, *trace;
    int sum = 0, mine = rc ? -1 : INT_MAX, all = -1;
    PyErr_Fetch(&type, &value, &trace);
    for (int i = 0; i < p->n; i++) sum += p->maxprocs[i];
    if (!rc && self->context->rank == root) mine = sum;
    CALL(rc, NOTE(ALL(self)), MPI_Allreduce, &mine, &all, 1, MPI_INT, MPI_MIN, self->handle);
    *total = all;
    if (type) { PyErr_Restore(type, value, trace); return RAISED; }
    if (rc || all >= 0) return rc;
    PyErr_SetString(MPIError, "the arguments of another rank are wrong: nothing was started");
    return RAISED;
}

typedef struct { PyObject *command, *args, *maxprocs, *info, *errcodes; int root; } Spawning;

/* the programs by `with`, a function of mmpi.spawning; only the root needs any */
static int prepare_spawn(Comm *self, Frame *frame, const char *with, const Spawning *s, Programs *p, int *total)
{
    *p = (Programs){.n = 0};
    if (usable(self)) return RAISED;
    int rc = s->root < 0 || s->root >= self->context->size ? check(MPI_ERR_ROOT) : 0;
    PyObject *spawning = rc ? NULL : PyImport_ImportModule("mmpi.spawning"), *list = NULL;
    if (spawning && (s->command != Py_None || self->context->rank == s->root))
        list = PyObject_CallMethod(spawning, with, "OOOO", s->command, s->args, s->maxprocs ? s->maxprocs : Py_None, s->info ? s->info : Py_None);
    if (list) frame_hold(frame, list);
    if (PyErr_Occurred() || (list && to_programs(frame, list, p))) rc = RAISED;
    Py_XDECREF(list);
    Py_XDECREF(spawning);
    return agree(self, p, rc, s->root, total);
}

static int give_codes(const Spawning *s, const char *with, const int *codes, int total, const Programs *p)
{
    PyObject *spawning = PyImport_ImportModule("mmpi.spawning");
    PyObject *done = spawning ? PyObject_CallMethod(spawning, with, "ONN", s->errcodes, from_ints(codes, total), from_ints(p->maxprocs, p->n)) : NULL;
    Py_XDECREF(done);
    Py_XDECREF(spawning);
    return done ? 0 : RAISED;
}

METHOD(Comm, Spawn, "command, args=None, maxprocs=1, info=INFO_NULL, root=0, errcodes=None",
       "Start a program, with maxprocs processes; return the communicator that joins them with us. Arguments count at the root only. errcodes: a list, gets an error code for each.")
{
    Frame frame; Spawning s = {.args = Py_None, .errcodes = Py_None}; Programs p; MPI_Comm new = MPI_COMM_NULL; int total = 0, *codes = NULL;
    int rc = PARSE(&frame, to_object, &s.command, to_object, &s.args, to_object, &s.maxprocs, to_object, &s.info, to_int, &s.root, to_object, &s.errcodes);
    if (!rc) rc = prepare_spawn(self, &frame, "one", &s, &p, &total);
    if (!rc && !(codes = frame_memory(&frame, (size_t)total, sizeof *codes))) rc = RAISED;
    if (!rc) CALL(rc, NOTE(ALL(self), .root = s.root), MPI_Comm_spawn, p.n ? *p.commands : "", p.n ? *p.argvs : MPI_ARGV_NULL, total, p.n ? *p.infos : MPI_INFO_NULL,
                  s.root, self->handle, &new, codes);
    if (!rc && s.errcodes != Py_None && give_codes(&s, "codes_of_one", codes, total, &p)) rc = RAISED;
    return spawned(met(&frame, rc, new, self));
}

METHOD(Comm, Spawn_multiple, "command, args=None, maxprocs=None, info=INFO_NULL, root=0, errcodes=None",
       "Start several programs as one job; return the communicator that joins their processes with us. Arguments are sequences and count at the root only.")
{
    Frame frame; Spawning s = {.args = Py_None, .errcodes = Py_None}; Programs p; MPI_Comm new = MPI_COMM_NULL; int total = 0, *codes = NULL;
    int rc = PARSE(&frame, to_object, &s.command, to_object, &s.args, to_object, &s.maxprocs, to_object, &s.info, to_int, &s.root, to_object, &s.errcodes);
    if (!rc) rc = prepare_spawn(self, &frame, "several", &s, &p, &total);
    if (!rc && !(codes = frame_memory(&frame, (size_t)total, sizeof *codes))) rc = RAISED;
    if (!rc) CALL(rc, NOTE(ALL(self), .root = s.root), MPI_Comm_spawn_multiple, p.n, p.commands, p.argvs, p.maxprocs, p.infos, s.root, self->handle, &new, codes);
    if (!rc && s.errcodes != Py_None && give_codes(&s, "codes_of_several", codes, total, &p)) rc = RAISED;
    return spawned(met(&frame, rc, new, self));
}

METHOD0_(Comm, Get_parent, "What joins us with the processes that started us; COMM_NULL if none did.", PyTypeObject)
{
    static int adopted;                 /* once: later, what it does with errors is the user's */
    MPI_Comm parent = MPI_COMM_NULL; int rc;
    (void)self;
    CALL(rc, NOTE(.comm = NULL), MPI_Comm_get_parent, &parent);
    if (!rc && !adopted++) rc = adopt_errors(parent);
    Comm *comm = rc ? NULL : wrap_comm(IntercommType, parent);
    if (comm && comm->context && !comm->context->id) identify(comm->context, PARENT_ID, 0);
    return rc ? finish(NULL, rc) : (PyObject *)comm;
}

/* --- jobs that meet --------------------------------------------------------------------------------------- */

/* the port counts at the root only */
static int to_port(Comm *self, Frame *frame, PyObject *port, int root, const char **name)
{
    *name = "";
    if (usable(self)) return RAISED;
    return self->context->rank == root && to_text(frame, port, name) ? blame(frame, "port_name") : 0;
}

#define MEETING(method, function, doc)                                                                    \
    METHOD(Comm, method, "port_name, info=INFO_NULL, root=0", doc)                                        \
    {                                                                                                     \
        Frame frame; PyObject *port; const char *name; MPI_Info info = MPI_INFO_NULL; int root = 0; MPI_Comm new = MPI_COMM_NULL; \
        int rc = PARSE(&frame, to_object, &port, to_info, &info, to_int, &root) || to_port(self, &frame, port, root, &name) ? RAISED : 0; \
        if (!rc) CALL(rc, NOTE(ALL(self), .root = root), function, name, info, root, self->handle, &new); \
        return met(&frame, rc, new, self);                                                                \
    }
MEETING(Accept, MPI_Comm_accept, "Wait for a job that connects to a port; the port counts at the root only.")
MEETING(Connect, MPI_Comm_connect, "Connect to a job that accepts at a port; the port counts at the root only.")

CLASSMETHOD(Comm, Join, "fd", "Meet the process at the other end of a socket, which must call this too.")
{
    Frame frame; int fd; MPI_Comm new = MPI_COMM_NULL;
    (void)self;
    int rc = PARSE(&frame, to_int, &fd);
    if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_Comm_join, fd, &new);
    return met(&frame, rc, new, NULL);
}

/* Names of ports may be longer than MPI_MAX_PORT_NAME of MPICH, whose hint says how long. */
enum { LONGEST_PORT = 1024 };

static int with_room(MPI_Info given, MPI_Info *info)
{
    int rc;
    if (given == MPI_INFO_NULL) CALL(rc, NOTE(.comm = NULL), MPI_Info_create, info);
    else CALL(rc, NOTE(.comm = NULL), MPI_Info_dup, given, info);
    if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_Info_set, *info, "port_name_size", "1024");
    return rc;
}

FUNCTION(Open_port, "info=INFO_NULL", "A name at which other jobs can connect to this process.")
{
    Frame frame; MPI_Info given = MPI_INFO_NULL, info = MPI_INFO_NULL; char name[LONGEST_PORT + 1] = "";
    (void)self;
    int rc = PARSE(&frame, to_info, &given);
    if (!rc && !(rc = with_room(given, &info))) CALL(rc, NOTE(.comm = NULL), MPI_Open_port, info, name);
    if (info != MPI_INFO_NULL) MPI_Info_free(&info);
    return finish_with(&frame, rc, rc ? NULL : PyUnicode_DecodeFSDefault(name));
}

FUNCTION(Close_port, "port_name", "Let nobody connect at this name any more.")
{
    Frame frame; const char *name;
    (void)self;
    int rc = PARSE(&frame, to_text, &name);
    if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_Close_port, name);
    return finish(&frame, rc);
}

#define PUBLISHING(method, function, doc)                                                                 \
    FUNCTION(method, "service_name, port_name, info=INFO_NULL", doc)                                      \
    {                                                                                                     \
        Frame frame; const char *service, *port; MPI_Info info = MPI_INFO_NULL;                           \
        (void)self;                                                                                       \
        int rc = PARSE(&frame, to_text, &service, to_text, &port, to_info, &info);                        \
        if (!rc) CALL(rc, NOTE(.comm = NULL), function, service, info, port);                             \
        return finish(&frame, rc);                                                                        \
    }
PUBLISHING(Publish_name, MPI_Publish_name, "Publish the name of a port under that of a service.")
PUBLISHING(Unpublish_name, MPI_Unpublish_name, "Take back a published name.")

FUNCTION(Lookup_name, "service_name, info=INFO_NULL", "The name of the port that was published for a service.")
{
    Frame frame; const char *service; MPI_Info given = MPI_INFO_NULL, info = MPI_INFO_NULL; char name[LONGEST_PORT + 1] = "";
    (void)self;
    int rc = PARSE(&frame, to_text, &service, to_info, &given);
    if (!rc && !(rc = with_room(given, &info))) CALL(rc, NOTE(.comm = NULL), MPI_Lookup_name, service, info, name);
    if (info != MPI_INFO_NULL) MPI_Info_free(&info);
    return finish_with(&frame, rc, rc ? NULL : PyUnicode_DecodeFSDefault(name));
}

PyMethodDef process_functions[] = {
    ROW_(module, Open_port, 0), ROW_(module, Close_port, 0), ROW_(module, Publish_name, 0), ROW_(module, Unpublish_name, 0), ROW_(module, Lookup_name, 0), END_OF_ROWS};
PyMethodDef process_methods[] = {ROW(Comm, Spawn), ROW(Comm, Spawn_multiple), ROW(Comm, Accept), ROW(Comm, Connect), END_OF_ROWS};
PyMethodDef joining_methods[] = {
    {"Get_parent", Comm_Get_parent, METH_NOARGS | METH_CLASS, Comm_Get_parent_doc}, CLASSROW(Comm, Join), END_OF_ROWS};
