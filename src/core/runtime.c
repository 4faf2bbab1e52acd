/* The life of MPI in this process: its start, its end, and what can be asked of it at any time (MPI 5.0, chapters 9, 11). */
#define _GNU_SOURCE
#include "core.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int ours;                        /* we initialized MPI, so we finalize it */
static int owner;                       /* the process that did; a forked child is another */
static int abort_on_error = 1, finalize_at_exit = 1;
static MPI_Errhandler old_errors[2];    /* of WORLD and SELF, put back at the end */
static int restore_errors;

static const char *state_name(void)
{
    static const char *const names[] = {"not started", "running", "finalized", "forked"};
    return names[mpi_state];
}

/* --- the end ---------------------------------------------------------------------------------------------- */

static void nap(long ms) { struct timespec t = {ms / 1000, ms % 1000 * 1000000}; nanosleep(&t, NULL); }

static void abort_job(int status)
{
    set_exit_status(status);
    mpi_state = FINALIZED;
    if (!getenv("MMPI_JOB_DIR")) close_flight();        /* else `mmpi run` reads the status there, and tidies up */
    MPI_Abort(MPI_COMM_WORLD, status);
    _exit(status);
}

/* other threads still in MPI: those that wait by a twin let go; any other would crash in MPI_Finalize */
static int threads_gone(void)
{
    char names[256];
    ending = 1;
    for (int ms = 0; ms < 1000 && threads_waiting(); ms++) nap(1);
    if (!threads_inside(names, sizeof names) && !threads_waiting()) return 1;
    fprintf(stderr, "mmpi: rank %d ends while other threads are in %s: aborting the job\n", flight_head()->rank, *names ? names : "MPI");
    return 0;
}

static void put_back_errors(void)
{
    if (!restore_errors) return;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, old_errors[0]);
    MPI_Comm_set_errhandler(MPI_COMM_SELF, old_errors[1]);
    restore_errors = 0;
}

/* Open MPI never removes the shared memory of a process that no launcher started. */
static void remove_segments(void)
{
#if defined(MMPI_ABI_OPENMPI)
    char line[1024];
    FILE *maps = getenv("OMPI_COMM_WORLD_SIZE") ? NULL : fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        if (!strstr(line, "/sm_segment.")) continue;
        line[strcspn(line, "\n")] = 0;
        unlink(strchr(line, '/'));
    }
    if (maps) fclose(maps);
#endif
}

/* before MPI_Finalize: let go of what is ours */
static void wind_up(int with_python)
{
    if (ours) remove_segments();
    end_works(with_python);
    end_parked(with_python);
    end_objects();
    end_comms();
    put_back_errors();
}

/* runs when the interpreter has ended, with the status that it chose */
static void at_exit(int status, void *unused)
{
    (void)unused;
    int final = 0;
    if (getpid() != owner || mpi_state != RUNNING) return;
    if (MPI_Finalized(&final) || final) { close_flight(); return; }
    if (status == 0 && flight_head()->status > 0) status = flight_head()->status;
    /* alone, nobody waits for us, and an orderly end leaves no shared memory behind */
    if (status && abort_on_error && flight_head()->size != 1) abort_job(status);
    if (!ours) { put_back_errors(); close_flight(); return; }
    if (!finalize_at_exit) { close_flight(); return; }
    if (!threads_gone()) abort_job(status ? status : 1);
    wind_up(0);
    mpi_state = FINALIZED;
    MPI_Finalize();
    close_flight();
}

static void *late_abort(void *status)
{
    nap(1000);
    if (mpi_state == RUNNING) abort_job((int)(intptr_t)status);
    return NULL;
}

/* An exception nobody caught: the job ends with this status, in a second at the latest, since a thread that waits in
 * MPI for ever keeps the interpreter from ending. */
FUNCTION(_doom, "status", "End the job with this status within a second.")
{
    Frame frame; int status;
    (void)self;
    if (PARSE(&frame, to_int, &status)) return finish(&frame, RAISED);
    if (!abort_on_error || mpi_state != RUNNING || getpid() != owner) return finish(&frame, 0);
    pthread_t thread;
    set_exit_status(status);
    if (pthread_create(&thread, NULL, late_abort, (void *)(intptr_t)status) == 0) pthread_detach(thread);
    return finish(&frame, 0);
}

static void in_child(void) { if (mpi_state == RUNNING) mpi_state = FORKED; }

/* --- the start -------------------------------------------------------------------------------------------- */

static int replace_errors(MPI_Errhandler handler, int keep)
{
    MPI_Comm comms[2] = {MPI_COMM_WORLD, MPI_COMM_SELF};
    choose_errors(handler, keep);
    for (int i = 0; i < 2; i++) {
        if (MPI_Comm_get_errhandler(comms[i], &old_errors[i])) return -1;
        if (!keep && (ours || old_errors[i] == MPI_ERRORS_ARE_FATAL)) adopt_errors(comms[i]);
    }
    restore_errors = !keep;
    return 0;
}

static int errors_named(const char *name, MPI_Errhandler *handler, int *keep)
{
    *keep = strcmp(name, "default") == 0;
    *handler = strcmp(name, "fatal") == 0 ? MPI_ERRORS_ARE_FATAL : strcmp(name, "abort") == 0 && MPI_ERRORS_ABORT ? MPI_ERRORS_ABORT : MPI_ERRORS_RETURN;
    if (*keep || !strcmp(name, "fatal") || !strcmp(name, "abort") || !strcmp(name, "exception")) return 0;
    PyErr_Format(PyExc_ValueError, "rc.errors: expected 'exception', 'default', 'abort' or 'fatal', not '%s'", name);
    return -1;
}

/* MPI runs: learn who we are, and prepare the end */
static int take_up(PyObject *module, MPI_Errhandler handler, int keep)
{
    static int registered;
    int rank, size;
    mpi_state = RUNNING;
    owner = getpid();
    if (replace_errors(handler, keep) || MPI_Comm_rank(MPI_COMM_WORLD, &rank) || MPI_Comm_size(MPI_COMM_WORLD, &size)) {
        PyErr_SetString(MPIError, "MPI was initialized, but COMM_WORLD cannot be used");
        return -1;
    }
    describe_rank(rank, size);
    verify_elements();
    if (!registered++ && (on_exit(at_exit, NULL) || pthread_atfork(NULL, NULL, in_child))) { PyErr_NoMemory(); return -1; }
    return prepare_comm(module) || prepare_objects() ? -1 : 0;
}

FUNCTION(_begin, "level, folder, errors", "Start or join MPI; return the thread level provided and whether it was started here.")
{
    Frame frame; int level, provided = 0, there = 0, over = 0, keep, rc = 0; const char *folder, *errors; MPI_Errhandler handler;
    if (PARSE(&frame, to_int, &level, to_text, &folder, to_text, &errors) || errors_named(errors, &handler, &keep)) return finish(&frame, RAISED);
    if (mpi_state == FORKED || mpi_state == FINALIZED) return finish(&frame, refuse(OP_MPI_Init_thread));
    if (mpi_state == RUNNING || MPI_Initialized(&there) || MPI_Finalized(&over) || over) {
        PyErr_Format(MPIError, "MPI cannot be initialized: it is %s", over ? "finalized" : state_name());
        return finish(&frame, RAISED);
    }
    if (open_flight(folder)) return finish(&frame, RAISED);
    ours = !there;
    if (there) { mpi_state = RUNNING; LOCAL(rc, MPI_Query_thread, &provided); }
    else CALL(rc, NOTE(.comm = NULL), MPI_Init_thread, NULL, NULL, level, &provided);
    if (rc) { close_flight(); mpi_state = NOT_STARTED; return finish(&frame, rc); }
    if (take_up(self, handler, keep)) return finish(&frame, RAISED);
    return finish_with(&frame, 0, Py_BuildValue("iN", provided, PyBool_FromLong(ours)));
}

FUNCTION(_set_policy, "wait, typed, abort, finalize", "How to wait, whether typed collectives go by twins, whether errors end the job, whether the end finalizes.")
{
    Frame frame; int wait, typed, abort, finalize;
    (void)self;
    int rc = PARSE(&frame, to_int, &wait, to_flag, &typed, to_flag, &abort, to_flag, &finalize);
    if (!rc) {
        wait_policy = wait;
        typed_twins = typed && MPI_Ibarrier != NULL;
        abort_on_error = abort;
        finalize_at_exit = finalize;
    }
    return finish(&frame, rc);
}

FUNCTION0(_counters, "Frames and buffer views that are alive: 0 and 0, unless requests are.")
{
    (void)self;
    return Py_BuildValue("ll", live_frames, live_views);
}

FUNCTION0(Finalize, "End MPI in this process; all processes must call this.")
{
    int rc = 0;
    (void)self;
    if (mpi_state != RUNNING) return finish(NULL, refuse(OP_MPI_Finalize));
    wind_up(1);
    if (ours) CALL0(rc, NOTE(.comm = NULL), MPI_Finalize);
    mpi_state = FINALIZED;
    close_flight();
    return finish(NULL, rc);
}

/* --- at any time ------------------------------------------------------------------------------------------ */

FUNCTION0(Is_initialized, "Whether MPI was initialized, by anybody.")
{
    int flag = 0;
    (void)self;
    return PyBool_FromLong(MPI_Initialized(&flag) == MPI_SUCCESS && flag);
}

FUNCTION0(Is_finalized, "Whether MPI was finalized.")
{
    int flag = 0;
    (void)self;
    return PyBool_FromLong(mpi_state == FINALIZED || (MPI_Finalized(&flag) == MPI_SUCCESS && flag));
}

FUNCTION0(_state, "What our calls see: 'not started', 'running', 'finalized' or 'forked'.")
{
    (void)self;
    return PyUnicode_FromString(state_name());
}

FUNCTION0(Query_thread, "The thread level that MPI provides.")
{
    int level = 0, rc;
    (void)self;
    LOCAL(rc, MPI_Query_thread, &level);
    return finish_with(NULL, rc, PyLong_FromLong(level));
}

FUNCTION0(Is_thread_main, "Whether this thread initialized MPI.")
{
    int flag = 0, rc;
    (void)self;
    LOCAL(rc, MPI_Is_thread_main, &flag);
    return finish_with(NULL, rc, PyBool_FromLong(flag));
}

FUNCTION0(Get_version, "The version of the MPI standard that the library implements: (version, subversion).")
{
    int version = 0, subversion = 0, rc;
    (void)self;
    ANYTIME(rc, MPI_Get_version, &version, &subversion);
    return finish_with(NULL, rc, rc ? NULL : Py_BuildValue("ii", version, subversion));
}

FUNCTION0(Get_library_version, "What the library says of itself.")
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING + 1] = ""; int length = 0, rc;
    (void)self;
    ANYTIME(rc, MPI_Get_library_version, text, &length);
    return rc ? finish(NULL, rc) : PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

FUNCTION0(Get_processor_name, "The name of the host.")
{
    char text[MPI_MAX_PROCESSOR_NAME + 1] = ""; int length = 0, rc;
    (void)self;
    LOCAL(rc, MPI_Get_processor_name, text, &length);
    return rc ? finish(NULL, rc) : PyUnicode_DecodeUTF8(text, length, "replace");
}

FUNCTION0(Wtime, "Seconds since some time in the past.")
{
    (void)self;
    return mpi_state == RUNNING ? PyFloat_FromDouble(MPI_Wtime()) : finish(NULL, refuse(OP_MPI_Wtime));
}

FUNCTION0(Wtick, "Seconds between two ticks of Wtime.")
{
    (void)self;
    return mpi_state == RUNNING ? PyFloat_FromDouble(MPI_Wtick()) : finish(NULL, refuse(OP_MPI_Wtick));
}

FUNCTION(Get_error_class, "errorcode", "The class of an error code.")
{
    Frame frame; int code, class = 0;
    (void)self;
    int rc = PARSE(&frame, to_int, &code);
    if (!rc) ANYTIME(rc, MPI_Error_class, code, &class);
    return finish_with(&frame, rc, PyLong_FromLong(class));
}

FUNCTION(Get_error_string, "errorcode", "The text of an error code.")
{
    Frame frame; int code, length = 0; char text[MPI_MAX_ERROR_STRING + 1] = "";
    (void)self;
    int rc = PARSE(&frame, to_int, &code);
    if (!rc) ANYTIME(rc, MPI_Error_string, code, text, &length);
    return finish_with(&frame, rc, rc ? NULL : PyUnicode_DecodeUTF8(text, length, "replace"));
}

/* --- memory ----------------------------------------------------------------------------------------------- */

static PyObject *allocated;             /* addresses that Alloc_mem gave out: a set */

/* PySet_Add, PySet_Contains or PySet_Discard of an address */
static int know_memory(void *base, int (*with)(PyObject *, PyObject *))
{
    if (!allocated && !(allocated = PySet_New(NULL))) return -1;
    PyObject *address = PyLong_FromVoidPtr(base);
    int answer = address ? with(allocated, address) : -1;
    Py_XDECREF(address);
    return answer;
}

FUNCTION(Alloc_mem, "size, info=INFO_NULL", "A memoryview of `size` bytes that MPI may reach faster; give it back by Free_mem.")
{
    Frame frame; MPI_Aint size; MPI_Info info = MPI_INFO_NULL; void *base = NULL;
    (void)self;
    int rc = PARSE(&frame, to_aint, &size, to_info, &info);
    if (!rc && size < 0) { PyErr_Format(PyExc_ValueError, "Alloc_mem(size, info=INFO_NULL): size: negative number of bytes %zd", (Py_ssize_t)size); rc = RAISED; }
    if (!rc) CALL(rc, NOTE(.bytes = size), MPI_Alloc_mem, size ? size : 1, info, &base);
    if (!rc && (uintptr_t)base < 4096) { PyErr_NoMemory(); rc = RAISED; }       /* MPICH adds to the null of a failed malloc */
    if (!rc && know_memory(base, PySet_Add)) rc = RAISED;
    return finish_with(&frame, rc, rc ? NULL : memory_of(base, (Py_ssize_t)size, 1));
}

FUNCTION(Free_mem, "mem", "Give back memory of Alloc_mem; its memoryview is released.")
{
    Frame frame; PyObject *memory; Py_buffer view; int rc;
    (void)self;
    if (PARSE(&frame, to_object, &memory)) return finish(&frame, RAISED);
    if (!PyMemoryView_Check(memory)) { PyErr_Format(PyExc_TypeError, "Free_mem(mem): mem: expected the memoryview of Alloc_mem, not %R", memory); return finish(&frame, RAISED); }
    if (PyObject_GetBuffer(memory, &view, PyBUF_SIMPLE)) return finish(&frame, RAISED);
    void *base = view.buf;
    PyBuffer_Release(&view);
    int known = know_memory(base, PySet_Contains);
    if (known == 0) PyErr_SetString(PyExc_ValueError, "Free_mem(mem): mem: this memory is not from Alloc_mem, or was given back");
    if (known != 1) return finish(&frame, RAISED);
    PyObject *released = PyObject_CallMethod(memory, "release", NULL);
    if (!released) return finish(&frame, RAISED);
    Py_DECREF(released);
    CALL(rc, NOTE(.comm = NULL), MPI_Free_mem, base);
    if (!rc && know_memory(base, PySet_Discard) < 0) rc = RAISED;
    return finish(&frame, rc);
}

static Frame attached;                  /* the buffer of Bsend, MPI's until it is detached */
static PyObject *attached_object;

FUNCTION(Attach_buffer, "buf", "Give MPI a buffer for Bsend; it belongs to MPI until Detach_buffer.")
{
    Frame frame; PyObject *object; Buffer b;
    (void)self;
    if (PARSE(&frame, to_object, &object)) return finish(&frame, RAISED);
    if (attached_object) { PyErr_SetString(MPIError, "Attach_buffer: a buffer is attached already: call Detach_buffer first"); return finish(&frame, RAISED); }
    open_frame(&attached, signature);
    int rc = to_buffer(&attached, "buf", object, TO_WRITE, 1, &b) ? RAISED : 0;
    if (!rc && b.bytes > INT32_MAX && !large_counts) { PyErr_SetString(PyExc_OverflowError, "Attach_buffer(buf): buf: more than 2**31-1 bytes"); rc = RAISED; }
    if (!rc) CALL_C(rc, NOTE(.bytes = b.bytes), MPI_Buffer_attach, b.addr, b.bytes);
    if (rc) close_frame(&attached);
    else attached_object = Py_NewRef(object);
    return finish(&frame, rc);
}

FUNCTION0(Detach_buffer, "Wait until all buffered messages are sent; return the buffer, None if there is none.")
{
    void *base; int size; MPI_Count large; int rc; Door door;
    (void)self;
    if (mpi_state == RUNNING && !attached_object) Py_RETURN_NONE;
    if ((rc = enter(&door, OP_MPI_Buffer_detach, NOTE(.comm = NULL)))) return finish(NULL, rc);
    rc = large_counts ? MPI_Buffer_detach_c(&base, &large) : MPI_Buffer_detach(&base, &size);
    leave(&door, rc, NULL);
    if (rc) return finish(NULL, rc);
    close_frame(&attached);
    PyObject *object = attached_object;
    attached_object = NULL;
    return object;
}

PyMethodDef runtime_functions[] = {
    ROW_(module, _begin, 0), ROW_(module, _set_policy, 0), ROW_(module, _doom, 0), ROW0(module, _counters), ROW0(module, _state), ROW0(module, Finalize),
    ROW0(module, Is_initialized), ROW0(module, Is_finalized), ROW0(module, Query_thread), ROW0(module, Is_thread_main), ROW0(module, Get_version),
    ROW0(module, Get_library_version), ROW0(module, Get_processor_name), ROW0(module, Wtime), ROW0(module, Wtick),
    ROW_(module, Get_error_class, 0), ROW_(module, Get_error_string, 0), ROW_(module, Alloc_mem, 0), ROW_(module, Free_mem, 0),
    ROW_(module, Attach_buffer, 0), ROW0(module, Detach_buffer), END_OF_ROWS};
