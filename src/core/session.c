/* Sessions: MPI without a WORLD, and communicators that are made of groups alone (MPI 5.0, chapters 7 and 11). */
#include "core.h"
#include <stdlib.h>

PyTypeObject *SessionType;

int open_sessions;
static MPI_Session *sessions;           /* those that are open */

static PyObject *seen_session(const void *handle) { return new_handle(SessionType, handle); }
ERRHANDLERS(Session, seen_session)
BUFFER_METHODS(Session)

int to_session(Frame *frame, PyObject *value, void *target)
{
    (void)frame;
    if (!PyObject_TypeCheck(value, SessionType)) { PyErr_Format(PyExc_TypeError, "expected a Session, not %R", value); return -1; }
    *(MPI_Session *)target = ((Session *)value)->handle;
    return 0;
}

/* None: errors are raised */
static int to_errors(Frame *frame, PyObject *value, void *target) { return value == Py_None ? 0 : to_errhandler(frame, value, target); }

/* --- start and end ---------------------------------------------------------------------------------------- */

static int remember(MPI_Session session)
{
    MPI_Session *more = realloc(sessions, (size_t)(open_sessions + 1) * sizeof *more);
    if (!more) { PyErr_NoMemory(); return RAISED; }
    sessions = more;
    sessions[open_sessions++] = session;
    return 0;
}

static int find(MPI_Session session)
{
    int i = open_sessions - 1;
    while (i >= 0 && sessions[i] != session) i--;
    return i;
}

/* who we are among all processes that were started together */
static void describe(MPI_Session session, int *rank, int *size)
{
    MPI_Group all;
    *rank = 0;
    *size = 1;
    if (MPI_Group_from_session_pset(session, "mpi://WORLD", &all)) return;
    MPI_Group_rank(all, rank);
    MPI_Group_size(all, size);
    MPI_Group_free(&all);
}

/* The group of all processes that were started together. Open MPI crashes when it is asked about a WORLD that was not initialized. */
int group_of_all(MPI_Group *group)
{
    if (has_world) return MPI_Comm_group(MPI_COMM_WORLD, group);
    return open_sessions ? MPI_Group_from_session_pset(sessions[0], "mpi://WORLD", group) : MPI_ERR_SESSION;
}

static MPI_Session keeper;

/* Open MPI crashes when a session is opened after the last one was closed: one more stays open to the end. */
static void keep_open(void)
{
#if defined(MMPI_ABI_OPENMPI)
    if (!keeper) MPI_Session_init(MPI_INFO_NULL, MPI_ERRORS_RETURN, &keeper);
#endif
}

/* before or without a WORLD, the first session makes MPI run for us */
static int take_up(MPI_Session session)
{
    int rank, size;
    if (mpi_state == RUNNING) return 0;
    keep_open();
    describe(session, &rank, &size);
    PyObject *life = PyImport_ImportModule("mmpi.life"), *done = life ? PyObject_CallMethod(life, "start_sessions", "ii", rank, size) : NULL;
    Py_XDECREF(life);
    Py_XDECREF(done);
    return done ? 0 : RAISED;
}

CLASSMETHOD(Session, Init, "info=INFO_NULL, errhandler=None", "Open a session: MPI for this part of the program, whether or not it was initialized.")
{
    Frame frame; MPI_Info info = MPI_INFO_NULL; MPI_Errhandler handler = MPI_ERRORS_RETURN; MPI_Session new = MPI_SESSION_NULL;
    if (mpi_state == RUNNING && !errors_of_new(&handler)) handler = MPI_ERRORS_ARE_FATAL;         /* MPI's own choice, which rc.errors asks for */
    int rc = PARSE(&frame, to_info, &info, to_errors, &handler);
    hold_signals();
    if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_Session_init, info, handler, &new);
    let_signals();
    if (!rc && !(rc = remember(new))) rc = take_up(new);
    return finish_with(&frame, rc, rc ? NULL : watched(new_handle(self, &new)));
}

METHOD0(Session, Finalize, "Close the session; what was made of it must have been freed.")
{
    const uintptr_t owner = (uintptr_t)self->handle;
    int rc, at = find(self->handle);
    if (at >= 0 && open_sessions == 1) wind_down();
    CALL(rc, NOTE(.comm = NULL), MPI_Session_finalize, &self->handle);
    if (!rc) drop_buffer(OF_Session, owner);            /* MPI has detached it */
    if (rc || at < 0) return finish(NULL, rc);
    sessions[at] = sessions[--open_sessions];
    if (!open_sessions) have_ended();
    return finish(NULL, 0);
}

void end_sessions(void)
{
    while (open_sessions) MPI_Session_finalize(&sessions[--open_sessions]);
    if (keeper) MPI_Session_finalize(&keeper);
}

/* --- what it knows ---------------------------------------------------------------------------------------- */

METHOD(Session, Get_num_psets, "info=INFO_NULL", "The number of process sets.")
{
    Frame frame; MPI_Info info = MPI_INFO_NULL; int n = 0;
    int rc = PARSE(&frame, to_info, &info);
    if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_Session_get_num_psets, self->handle, info, &n);
    return finish_with(&frame, rc, PyLong_FromLong(n));
}

METHOD(Session, Get_nth_pset, "n, info=INFO_NULL", "The name of a process set.")
{
    Frame frame; MPI_Info info = MPI_INFO_NULL; int n, length = 0; char *name = NULL;
    int rc = PARSE(&frame, to_int, &n, to_info, &info);
    if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_Session_get_nth_pset, self->handle, info, n, &length, NULL);
    if (!rc && !(name = frame_memory(&frame, (size_t)length + 1, 1))) rc = RAISED;
    if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_Session_get_nth_pset, self->handle, info, n, &length, name);
    return finish_with(&frame, rc, rc ? NULL : PyUnicode_DecodeUTF8(name, (Py_ssize_t)strlen(name), "replace"));
}

METHOD0(Session, Get_info, "The hints that MPI uses.")
{
    MPI_Info info = MPI_INFO_NULL; int rc;
    CALL(rc, NOTE(.comm = NULL), MPI_Session_get_info, self->handle, &info);
    return rc ? finish(NULL, rc) : new_info(info);
}

METHOD(Session, Get_pset_info, "pset_name", "What is known of a process set: mpi_size, and what the library adds.")
{
    Frame frame; const char *name; MPI_Info info = MPI_INFO_NULL;
    int rc = PARSE(&frame, to_text, &name);
    if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_Session_get_pset_info, self->handle, name, &info);
    return finish_with(&frame, rc, rc ? NULL : new_info(info));
}

METHOD(Session, Create_group, "pset_name", "The group of a process set.")
{
    Frame frame; const char *name; MPI_Group group = MPI_GROUP_NULL;
    int rc = PARSE(&frame, to_text, &name);
    if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_Group_from_session_pset, self->handle, name, &group);
    return finish_with(&frame, rc, rc ? NULL : new_owned(GroupType, &group));
}

CLASSMETHOD(Group, Create_from_session_pset, "session, pset_name", "The group of a session's process set.")
{
    Frame frame; MPI_Session session; const char *name; MPI_Group group = MPI_GROUP_NULL;
    int rc = PARSE(&frame, to_session, &session, to_text, &name);
    if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_Group_from_session_pset, session, name, &group);
    return finish_with(&frame, rc, rc ? NULL : new_owned(self, &group));
}

/* --- communicators of groups ------------------------------------------------------------------------------ */

/* How many communicators were made of this group with this tag, or of these groups, this one included. */
uint64_t count_made(uint64_t what)
{
    static struct { uint64_t what, n; } *made;
    static size_t n;
    size_t i = 0;
    while (i < n && made[i].what != what) i++;
    if (i < n) return ++made[i].n;
    void *more = realloc(made, (n + 1) * sizeof *made);
    if (!more) return 0;
    made = more;
    made[n].what = what;
    return made[n++].n = 1;
}

/* Who they are they know by their ranks among those that were started together. */
uint64_t id_of_group(MPI_Comm comm, uint64_t what)
{
    MPI_Group group = MPI_GROUP_NULL, all = MPI_GROUP_NULL;
    int strangers = 0, known = !group_of_all(&all) && !MPI_Comm_group(comm, &group);
    if (known) what = mix_group(what, group, all, &strangers);
    if (group != MPI_GROUP_NULL) MPI_Group_free(&group);
    if (all != MPI_GROUP_NULL) MPI_Group_free(&all);
    const uint64_t number = known && what ? count_made(what) : 0;
    return number ? mix(what, number) : 0;
}

static uint64_t mix_text(const char *text)
{
    uint64_t what = NOTHING_MIXED;
    while (*text) what = mix(what, (unsigned char)*text++);
    return what;
}

static PyObject *of_groups(Frame *frame, int rc, PyTypeObject *class, MPI_Comm new, const char *tag)
{
    if (!rc && prepare_objects(new)) rc = RAISED;
    Comm *self = rc ? NULL : adopt_comm(class, new, NULL);
    if (self && self->context && class == IntracommType) self->context->id = self->context->known->id = id_of_group(new, mix_text(tag));
    return finish_with(frame, rc, (PyObject *)self);
}

CLASSMETHOD(Comm, Create_from_group, "group, stringtag='org.maroonmpi', info=INFO_NULL, errhandler=None",
            "A communicator of a group's processes, which all call this with the same tag; no other communicator is needed.")
{
    Frame frame; MPI_Group group; const char *tag = "org.maroonmpi"; MPI_Info info = MPI_INFO_NULL; MPI_Errhandler handler = MPI_ERRORS_RETURN; MPI_Comm new = MPI_COMM_NULL;
    (void)self;
    int rc = PARSE(&frame, to_group, &group, to_text, &tag, to_info, &info, to_errors, &handler);
    if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_Comm_create_from_group, group, tag, info, handler, &new);
    return of_groups(&frame, rc, IntracommType, new, tag);
}

CLASSMETHOD(Comm, Create_from_groups, "local_group, local_leader, remote_group, remote_leader, stringtag='org.maroonmpi', info=INFO_NULL, errhandler=None",
            "Join the processes of two groups, which all call this with the same tag; no other communicator is needed.")
{
    Frame frame; MPI_Group own, other; const char *tag = "org.maroonmpi"; MPI_Info info = MPI_INFO_NULL; MPI_Errhandler handler = MPI_ERRORS_RETURN; MPI_Comm new = MPI_COMM_NULL;
    int leader, remote;
    (void)self;
    int rc = PARSE(&frame, to_group, &own, to_int, &leader, to_group, &other, to_int, &remote, to_text, &tag, to_info, &info, to_errors, &handler);
    if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_Intercomm_create_from_groups, own, leader, other, remote, tag, info, handler, &new);
    return of_groups(&frame, rc, IntercommType, new, tag);
}

/* --- the type --------------------------------------------------------------------------------------------- */

PyMethodDef session_group_methods[] = {CLASSROW(Group, Create_from_session_pset), END_OF_ROWS};
PyMethodDef session_intra_methods[] = {CLASSROW(Comm, Create_from_group), END_OF_ROWS};
PyMethodDef session_inter_methods[] = {CLASSROW(Comm, Create_from_groups), END_OF_ROWS};
static PyGetSetDef getters[] = {HANDLE_GETROW, END_OF_GETROWS};
static PyMethodDef methods[] = {
    HANDLE_ROWS, ERRHANDLER_ROWS(Session), CLASSROW(Session, Init), ROW0(Session, Finalize), ROW(Session, Get_num_psets), ROW(Session, Get_nth_pset),
    ROW0(Session, Get_info), ROW(Session, Get_pset_info), ROW(Session, Create_group), BUFFER_ROWS(Session), END_OF_ROWS};
static PyType_Slot slots[] = {
    HANDLE_SLOTS, {Py_tp_getset, getters}, {Py_tp_methods, methods}, {Py_tp_doc, "MPI for a part of the program."}, {0, NULL}};
static PyType_Spec spec = {"mmpi.MPI.Session", sizeof(Session), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

int add_session_type(PyObject *module) { return add_handle_type(module, KIND(Session, MPI_SESSION_NULL, "Finalize", NULL), &spec, methods); }
