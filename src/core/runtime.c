/* The life of MPI in this process: its start, its end, and what can be asked of it at any time (MPI 5.0, chapters 9, 11). */
#define _GNU_SOURCE
#include "core.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int ours;                        /* we initialized MPI, so we finalize it */
int has_world;
static int was_finalized;
static int owner;                       /* the process that did; a forked child is another */
static int abort_on_error = 1, finalize_at_exit = 1;
static MPI_Errhandler old_errors[2];    /* of WORLD and SELF, put back at the end */
static int restore_errors;

static PyObject *allocated;             /* addresses that Alloc_mem gave out: a set */

static const char *state_name(void)
{
    static const char *const names[] = {"not started", "running", "finalized", "forked"};
    return mpi_state == RUNNING && !has_world ? "sessions" : names[mpi_state];
}

/* --- the end ---------------------------------------------------------------------------------------------- */

static void nap(long ms) { struct timespec t = {ms / 1000, ms % 1000 * 1000000}; nanosleep(&t, NULL); }

/* Where `mmpi run` makes a report of the end, MPI need not say of MPI_Abort what it says. */
static void hush(void)
{
    int null = getenv("MMPI_REPORT") ? open("/dev/null", O_WRONLY) : -1;
    if (null >= 0) dup2(null, 2);
}

static int catches(long pid, int signum)
{
    char path[64], line[256];
    unsigned long long mask = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file) && sscanf(line, "SigCgt: %llx", &mask) != 1) ;
    if (file) fclose(file);
    return (int)(mask >> (signum - 1) & 1);
}

/* the path of a file in the folder that a variable names; 0 if there is none */
static int file_in(const char *variable, const char *name, char path[PATH_MAX])
{
    const char *folder = getenv(variable);
    return folder && snprintf(path, PATH_MAX, "%s/%s", folder, name) < PATH_MAX;
}

#define STACK_SIGNAL (SIGRTMIN + 7)     /* asks a rank for the Python stacks of its threads; hang/stacks.py has it, too */

/* We are about to abort the job: before, the other ranks here write where in Python they are, for the report of `mmpi run`.
 * The first that aborts asks them. */
void ask_others(void)
{
    char mark[PATH_MAX];
    if (!file_in("MMPI_REPORT", "asked", mark)) return;
    int first = open(mark, O_CREAT | O_EXCL | O_CLOEXEC | O_WRONLY, 0600), asked = 0;
    if (first < 0) return;
    close(first);
    DIR *entries = opendir(getenv("MMPI_REPORT"));
    for (struct dirent *entry; entries && (entry = readdir(entries)); ) {
        char *kind;
        long pid = strtol(entry->d_name, &kind, 10);
        if (!strcmp(kind, ".stack") && pid != getpid() && catches(pid, STACK_SIGNAL)) asked += !kill((pid_t)pid, STACK_SIGNAL);
    }
    if (entries) closedir(entries);
    if (asked) nap(100);
}

/* Is `mmpi run` about to end the job? Then its launcher is stopped meanwhile, and to abort or finalize would wait for that. */
static int is_ended_by_run(void)
{
    char mark[PATH_MAX];
    return file_in("MMPI_JOB_DIR", "ending", mark) && !access(mark, F_OK);
}

static void leave_at_once(int status)
{
    if (status) set_exit_status(status);
    else note_finalized();              /* an orderly end */
    fflush(NULL);
    _exit(status);
}

static void abort_job(int status)
{
    if (is_ended_by_run()) leave_at_once(status);
    set_exit_status(status);
    ask_others();
    hush();
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
    if (has_world) end_comms();
    put_back_errors();
    if (has_world && open_sessions) return; /* which go on */
    end_objects();
    end_key();
}

/* MPICH 5 fails in MPI_Finalize where messages have come that nobody received. A program may leave them, as elsewhere.
 * No barrier before that, which would do for one that the program wants: those that come later are an error that we do not tell. */
static void receive_the_rest(void)
{
#if !defined(MMPI_ABI_OPENMPI)
    const MPI_Comm comms[2] = {MPI_COMM_WORLD, MPI_COMM_SELF};
    int found = 0, count = 0;
    MPI_Message message;
    MPI_Status status;
    char *memory = NULL, *grown;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    for (int i = 0; i < 2; i++)
        for (int misses = 0; misses < 2; misses = found ? 0 : misses + 1) {    /* a look finds what the one before brought in */
            if (MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, comms[i], &found, &message, &status)) break;
            if (!found) continue;
            if (MPI_Get_count(&status, MPI_BYTE, &count) || count < 0 || !(grown = realloc(memory, (size_t)count + 1))) break;
            memory = grown;
            MPI_Mrecv(memory, count, MPI_BYTE, &message, MPI_STATUS_IGNORE);
        }
    free(memory);
#endif
}

static int end_world(void)
{
    receive_the_rest();
    return MPI_Finalize();
}

void wind_down(void) { if (!has_world) wind_up(1); }

void have_ended(void) { if (!has_world && !open_sessions && mpi_state == RUNNING) mpi_state = was_finalized ? FINALIZED : NOT_STARTED; }

/* the end of a process that has no WORLD, or no more; the launcher ends the others if it failed */
static void leave_sessions(int status)
{
    if (status) set_exit_status(status);
    else if (mpi_state != RUNNING) end_sessions();
    else if (threads_gone()) { wind_up(0); end_sessions(); }
    if (!status || !getenv("MMPI_JOB_DIR")) close_flight();
    if (!status || mpi_state != RUNNING) return;
    fflush(NULL);
    _exit(status);                      /* Open MPI would crash when its library is unloaded */
}

/* Does nobody wait for this process? Not those of its job, none that it started, nor who started it. */
static int is_alone(void)
{
    MPI_Comm parent = MPI_COMM_NULL;
    return flight_head()->size == 1 && !has_company && !MPI_Comm_get_parent(&parent) && parent == MPI_COMM_NULL;
}

static int abort_asked;                 /* with this status, by the program, which may be alone */

/* MPI_Finalize failed, and the launcher will end the others: say why, and that it was here. */
static void fail_to_end(int rc)
{
    char text[MPI_MAX_ERROR_STRING + 1] = "";
    int length = 0;
    MPI_Error_string(rc, text, &length);
    fprintf(stderr, "mmpi: rank %d: MPI_Finalize: %s\n", flight_head()->rank, text);
    fflush(NULL);
    set_exit_status(1);
    _exit(1);
}

/* runs when the interpreter has ended, with the status that it chose */
static void at_exit(int status, void *unused)
{
    (void)unused;
    int final = 0;
    if (getpid() != owner || mpi_state == FORKED) return;
    if (!has_world) { leave_sessions(status); return; }
    if (MPI_Finalized(&final) || final) { close_flight(); return; }
    if (status == 0 && flight_head()->status > 0) status = flight_head()->status;
    if (status && abort_asked) status = abort_asked;
    /* an orderly end leaves no shared memory behind */
    if (status && abort_on_error && (abort_asked || !is_alone()) && !MUTANT(no_abort_at_exit)) abort_job(status);
    if (!ours) { put_back_errors(); close_flight(); return; }
    if (!finalize_at_exit) { close_flight(); return; }
    if (is_ended_by_run()) leave_at_once(status);
    if (!threads_gone()) abort_job(status ? status : 1);
    record_finalize();
    end_sessions();
    wind_up(0);
    mpi_state = FINALIZED;
    int rc = end_world();
    if (rc) fail_to_end(rc);
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
    if (!abort_on_error || mpi_state != RUNNING || getpid() != owner || MUTANT(no_doom)) return finish(&frame, 0);
    pthread_t thread;
    set_exit_status(status);
    if (start_thread(&thread, late_abort, (void *)(intptr_t)status) == 0) pthread_detach(thread);
    return finish(&frame, 0);
}

static void in_child(void)
{
    release_flight();
    if (mpi_state == RUNNING && !MUTANT(no_fork_check)) mpi_state = FORKED;
}

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

static pthread_t starter;

int is_main_thread(void)                /* Open MPI crashes when it is asked without a WORLD */
{
    int main = 0;
    return has_world ? !MPI_Is_thread_main(&main) && main : pthread_equal(pthread_self(), starter) != 0;
}

/* MPI runs: prepare the end */
static int watch_end(void)
{
    static int registered;
    mpi_state = RUNNING;
    owner = getpid();
    starter = pthread_self();
    verify_elements();
    prepare_checking();
    if (registered++ || (!on_exit(at_exit, NULL) && !pthread_atfork(NULL, NULL, in_child))) return prepare_key();
    PyErr_NoMemory();
    return -1;
}

/* learn who we are */
static int take_up(PyObject *module, MPI_Errhandler handler, int keep)
{
    int rank, size;
    mpi_state = RUNNING;
    has_world = 1;
    if (replace_errors(handler, keep) || MPI_Comm_rank(MPI_COMM_WORLD, &rank) || MPI_Comm_size(MPI_COMM_WORLD, &size)) {
        PyErr_SetString(MPIError, "MPI was initialized, but COMM_WORLD cannot be used");
        return -1;
    }
    describe_rank(rank, size);
    return watch_end() || prepare_comm(module) || prepare_objects(MPI_COMM_WORLD) ? -1 : 0;
}

FUNCTION(_begin_sessions, "folder, errors, rank, size", "Prepare for the end of a program that has opened its first session.")
{
    Frame frame; int keep, rank, size; const char *folder, *errors; MPI_Errhandler handler;
    (void)self;
    if (PARSE(&frame, to_text, &folder, to_text, &errors, to_int, &rank, to_int, &size) || errors_named(errors, &handler, &keep)) return finish(&frame, RAISED);
    const Head *head = flight_head();
    if ((!head->initialized || head->finalized) && open_flight(folder)) return finish(&frame, RAISED);
    describe_rank(rank, size);
    choose_errors(handler, keep);
    return finish(&frame, watch_end() ? RAISED : 0);
}

FUNCTION0(_place, "Rank and size of this process's WORLD, also where only sessions are used; -1 before MPI runs.")
{
    (void)self;
    return Py_BuildValue("ii", (int)flight_head()->rank, (int)flight_head()->size);
}

FUNCTION0(_stack_signal, "The signal that asks for Python stacks, ignored where it would kill: so faulthandler leaves it when the interpreter ends.")
{
    struct sigaction now;
    (void)self;
    if (!sigaction(STACK_SIGNAL, NULL, &now) && now.sa_handler == SIG_DFL) signal(STACK_SIGNAL, SIG_IGN);
    return PyLong_FromLong(STACK_SIGNAL);
}

FUNCTION(_begin, "level, folder, errors", "Start or join MPI; return the thread level provided and whether it was started here.")
{
    Frame frame; int level, provided = 0, there = 0, over = 0, keep, rc = 0; const char *folder, *errors; MPI_Errhandler handler;
    if (PARSE(&frame, to_int, &level, to_text, &folder, to_text, &errors) || errors_named(errors, &handler, &keep)) return finish(&frame, RAISED);
    if (mpi_state == FORKED || mpi_state == FINALIZED) return finish(&frame, refuse(OP_MPI_Init_thread));
    if (has_world || MPI_Initialized(&there) || MPI_Finalized(&over) || over) {
        PyErr_Format(MPIError, "MPI cannot be initialized: it is %s", over ? "finalized" : state_name());
        return finish(&frame, RAISED);
    }
    if (mpi_state != RUNNING && open_flight(folder)) return finish(&frame, RAISED);
    ours = !there;
    if (there) { mpi_state = RUNNING; LOCAL(rc, MPI_Query_thread, &provided); }
    else {
        hold_signals();
        CALL(rc, NOTE(.comm = NULL), MPI_Init_thread, NULL, NULL, level, &provided);
        let_signals();
    }
    if (rc && !open_sessions) { close_flight(); mpi_state = NOT_STARTED; }
    if (rc) return finish(&frame, rc);
    if (take_up(self, handler, keep)) return finish(&frame, RAISED);
    return finish_with(&frame, 0, Py_BuildValue("iN", provided, PyBool_FromLong(ours)));
}

static PyObject *start_at(int level)
{
    const int levels[] = {MPI_THREAD_SINGLE, MPI_THREAD_FUNNELED, MPI_THREAD_SERIALIZED, MPI_THREAD_MULTIPLE};
    static const char *const names[] = {"single", "funneled", "serialized", "multiple"};
    int i = 0;
    while (i < 4 && levels[i] != level) i++;
    if (i == 4) { PyErr_Format(PyExc_ValueError, "required: expected a THREAD_ constant, not %d", level); return NULL; }
    PyObject *life = PyImport_ImportModule("mmpi.life"), *provided = life ? PyObject_CallMethod(life, "start", "s", names[i]) : NULL;
    Py_XDECREF(life);
    return provided;
}

FUNCTION0(Init, "Initialize MPI, for programs of one thread (MPI 5.0, section 11.2).")
{
    (void)self;
    PyObject *provided = start_at(MPI_THREAD_SINGLE);
    Py_XDECREF(provided);
    return provided ? Py_NewRef(Py_None) : NULL;
}

FUNCTION(Init_thread, "required=THREAD_MULTIPLE", "Initialize MPI with a thread level; return the one provided (MPI 5.0, section 11.6).")
{
    Frame frame; int required = MPI_THREAD_MULTIPLE;
    (void)self;
    int rc = PARSE(&frame, to_int, &required);
    PyObject *provided = rc ? NULL : start_at(required);
    return finish_with(&frame, provided ? 0 : RAISED, provided);
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

FUNCTION(_set_patience, "flag", "Whether this thread sleeps between looks when it waits for long, whatever the policy says.")
{
    Frame frame; int patient = 0;
    (void)self;
    int rc = PARSE(&frame, to_flag, &patient);
    if (!rc) set_patience(patient);
    return finish(&frame, rc);
}

FUNCTION0(_counters, "Frames and buffer views that are alive: 0 and 0, unless requests are.")
{
    (void)self;
    return Py_BuildValue("ll", live_frames, live_views);
}

FUNCTION0(_report_leaks, "With MMPI_DEBUG=1: say what nobody freed so far.")
{
    (void)self;
    if (debugging && mpi_state == RUNNING) report_leaks(sweep(), allocated ? PySet_Size(allocated) : 0);
    Py_RETURN_NONE;
}

FUNCTION0(Finalize, "End MPI in this process; all processes must call this.")
{
    int rc = 0;
    (void)self;
    if (!has_world) return finish(NULL, refuse(OP_MPI_Finalize));
    Py_XDECREF(module__report_leaks_body(self));
    wind_up(1);
    if (ours) THROUGH_(rc, NOTE(.comm = NULL), MPI_Finalize, end_world());
    has_world = 0;
    was_finalized = 1;
    have_ended();
    if (mpi_state != RUNNING) note_finalized();         /* others may still ask where we are */
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
    (void)self;
    return mpi_state == RUNNING ? PyBool_FromLong(is_main_thread()) : finish(NULL, refuse(OP_MPI_Is_thread_main));
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

/* PySet_Add, PySet_Contains or PySet_Discard of an address */
static int know_memory(void *base, int (*with)(PyObject *, PyObject *))
{
    if (!allocated && !(allocated = PySet_New(NULL))) return -1;
    PyObject *address = PyLong_FromVoidPtr(base);
    int answer = address ? with(allocated, address) : -1;
    Py_XDECREF(address);
    return answer;
}

FUNCTION(Alloc_mem, "size, info=INFO_NULL", "A buffer of `size` bytes that MPI may reach faster; give it back by Free_mem.")
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

FUNCTION(Free_mem, "mem", "Give back memory of Alloc_mem; its buffer is empty from then on.")
{
    Frame frame; PyObject *memory; Py_buffer view; int rc;
    (void)self;
    if (PARSE(&frame, to_object, &memory)) return finish(&frame, RAISED);
    if (!is_memory(memory)) { PyErr_Format(PyExc_TypeError, "Free_mem(mem): mem: expected the buffer of Alloc_mem, not %R", memory); return finish(&frame, RAISED); }
    if (PyObject_GetBuffer(memory, &view, PyBUF_SIMPLE)) return finish(&frame, RAISED);
    void *base = view.buf;
    PyBuffer_Release(&view);
    int known = know_memory(base, PySet_Contains);
    if (known == 0) PyErr_SetString(PyExc_ValueError, "Free_mem(mem): mem: this memory is not from Alloc_mem, or was given back");
    if (known != 1) return finish(&frame, RAISED);
    if (end_memory(memory)) return finish(&frame, RAISED);
    CALL(rc, NOTE(.comm = NULL), MPI_Free_mem, base);
    if (!rc && know_memory(base, PySet_Discard) < 0) rc = RAISED;
    return finish(&frame, rc);
}

/* --- addresses -------------------------------------------------------------------------------------------- */

FUNCTION(Get_address, "location", "The address of a buffer, or of a place such as BOTTOM; 0 for None.")
{
    Frame frame; PyObject *object; Py_buffer *view; MPI_Aint address = 0; Py_ssize_t bytes; void *addr = NULL; int on_host, rc = 0;
    (void)self;
    if (PARSE(&frame, to_object, &object)) return finish(&frame, RAISED);
    if (object == Py_None) return finish_with(&frame, 0, PyLong_FromLong(0));
    if (PyLong_Check(object)) return finish_with(&frame, 0, PyNumber_Long(object));
    if (!PyObject_CheckBuffer(object)) rc = locate(&frame, object, &addr, &bytes, &on_host);
    else if ((view = take_view(&frame, object, PyBUF_STRIDES))) addr = view->buf;
    if (rc || PyErr_Occurred()) return finish(&frame, blame(&frame, "location"));
    ANYTIME(rc, MPI_Get_address, addr, &address);
    return finish_with(&frame, rc, PyLong_FromSsize_t((Py_ssize_t)address));
}

/* Open MPI has these as macros only */
#define ADDRESSES(name, sign, text, doc)                                                                  \
    FUNCTION(name, text, doc)                                                                             \
    {                                                                                                     \
        Frame frame; MPI_Aint a = 0, b = 0;                                                               \
        (void)self;                                                                                       \
        int rc = PARSE(&frame, to_aint, &a, to_aint, &b);                                                 \
        return finish_with(&frame, rc, PyLong_FromSsize_t((Py_ssize_t)(MPI_##name ? MPI_##name(a, b) : a sign b))); \
    }
ADDRESSES(Aint_add, +, "base, disp", "The address at a displacement from another.")
ADDRESSES(Aint_diff, -, "addr1, addr2", "The displacement of the first address from the second.")

/* --- what there is ---------------------------------------------------------------------------------------- */

FUNCTION0(Get_abi_version, "The version of the standard ABI that the library implements; (-1, -1) if it has another.")
{
    int version = -1, subversion = -1, rc = 0;
    (void)self;
    if (MPI_Abi_get_version) ANYTIME(rc, MPI_Abi_get_version, &version, &subversion);
    return finish_with(NULL, rc, rc ? NULL : Py_BuildValue("ii", version, subversion));
}

/* what a library that is older than the function would say */
static PyObject *told_in_python(const char *function)
{
    PyObject *module = PyImport_ImportModule("mmpi.datatypes"), *info = module ? PyObject_CallMethod(module, function, NULL) : NULL;
    Py_XDECREF(module);
    return info;
}

#define INFORMATION(name, function, older, doc)                                                           \
    FUNCTION0(name, doc)                                                                                  \
    {                                                                                                     \
        MPI_Info info = MPI_INFO_NULL; int rc;                                                            \
        const char *instead = older;                                                                      \
        (void)self;                                                                                       \
        if (!(function) && instead) return told_in_python(instead);                                       \
        ANYTIME(rc, function, &info);                                                                     \
        return rc ? finish(NULL, rc) : new_owned(InfoType, &info);                                        \
    }
INFORMATION(Get_abi_info, MPI_Abi_get_info, "abi_info", "What the library says of its ABI: the sizes of its integers.")
INFORMATION(Get_abi_fortran_info, MPI_Abi_get_fortran_info, "abi_fortran_info", "What the library says of Fortran: sizes, and which types there are.")
INFORMATION(Get_hw_resource_info, MPI_Get_hw_resource_info, NULL, "The hardware resources that the library knows, and whether this process is restricted to them.")

FUNCTION(Pcontrol, "level", "A message to a profiling tool: 0 off, 1 on, 2 flush; other levels have the meaning that it gives them.")
{
    Frame frame; int level;
    (void)self;
    int rc = PARSE(&frame, to_int, &level);
    if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_Pcontrol, level);
    return finish(&frame, rc);
}

FUNCTION(_set_abort_status, "status", "The end of the program aborts the job with this status.")
{
    Frame frame; int status;
    (void)self;
    int rc = PARSE(&frame, to_int, &status);
    if (!rc) set_exit_status(status);
    if (!rc) abort_asked = status;
    return finish(&frame, rc);
}

PyMethodDef runtime_functions[] = {
    ROW_(module, _begin, 0), ROW_(module, _begin_sessions, 0), ROW0(module, _place), ROW0(module, _stack_signal), ROW_(module, _set_policy, 0),
    ROW_(module, _set_patience, 0), ROW_(module, _doom, 0), ROW0(module, _counters), ROW0(module, _report_leaks), ROW0(module, _state),
    ROW0(module, Init), ROW_(module, Init_thread, 0), ROW0(module, Finalize),
    ROW0(module, Is_initialized), ROW0(module, Is_finalized), ROW0(module, Query_thread), ROW0(module, Is_thread_main), ROW0(module, Get_version),
    ROW0(module, Get_library_version), ROW0(module, Get_processor_name), ROW0(module, Wtime), ROW0(module, Wtick),
    ROW_(module, Get_error_class, 0), ROW_(module, Get_error_string, 0), ROW_(module, Alloc_mem, 0), ROW_(module, Free_mem, 0),
    ROW_(module, Get_address, 0), ROW_(module, Aint_add, 0), ROW_(module, Aint_diff, 0), ROW0(module, Get_abi_version), ROW0(module, Get_abi_info),
    ROW0(module, Get_abi_fortran_info), ROW0(module, Get_hw_resource_info), ROW_(module, Pcontrol, 0), ROW_(module, _set_abort_status, 0), END_OF_ROWS};
