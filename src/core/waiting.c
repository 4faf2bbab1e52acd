/* Waiting: block in MPI, or test the nonblocking twin until it is done, as the policy of this rank says.
 *
 * No twin exists for window synchronization but Wait, files, Split, Create, Create_cart, Spawn, Finalize: these block in MPI. */
#define _GNU_SOURCE
#include "core.h"
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

int wait_policy, typed_twins;
volatile int ending;
static __thread int patient __attribute__((tls_model("initial-exec")));    /* this thread may wait for long, and sleeps then */

void set_patience(int yes) { patient = yes; }

/* A thread begins with the signal mask of who starts it. Signals are for Python's main thread: if one of ours or of the MPI library
 * took them, Python's handler would run there, and the main thread, asleep or in a loop, might not see that for ever. Faults stay with
 * who makes them, and the signal that asks for a stack is answered by any thread. */
static __thread sigset_t mask __attribute__((tls_model("initial-exec")));

void hold_signals(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t held;
    sigemptyset(&held);
    for (int signum = 1; signum < 32; signum++) sigaddset(&held, signum);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&held, faults[i]);
    pthread_sigmask(SIG_BLOCK, &held, &mask);
}

void let_signals(void) { pthread_sigmask(SIG_SETMASK, &mask, NULL); }

int start_thread(pthread_t *thread, void *(*function)(void *), void *argument)
{
    hold_signals();
    int error = pthread_create(thread, NULL, function, argument);
    let_signals();
    return error;
}

enum { EAGER = 16384 };                 /* bytes that every library sends without waiting for the receiver */
enum { TURNS = 64 };                    /* between two looks at the clock */
enum { PATIENT_TURNS = 8 * TURNS };     /* some 100 us, before the first nap */
#define SECOND INT64_C(1000000000)

static int64_t coarse(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

/* Sends that may wait without bound go by the twin, so that signals are seen; in other threads all of them do, so that
 * they can be taken back at exit. */
int by_twin(const Door *door, MPI_Count bytes)
{
    return wait_policy != BLOCK || bytes > EAGER || nworks || door->ring->thread != flight_head()->pid;
}

/* In MPICH a message to oneself waits for its receive, however short. */
MPI_Count weight_of(const Context *context, int dest, MPI_Count bytes) { return context && dest == context->rank ? INT_MAX : bytes; }

/* --- a signal came ---------------------------------------------------------------------------------------- */

static PyObject *late_type, *late_value, *late_trace;   /* raised at the next check, since the call succeeded */

static int raise_late(void *unused)
{
    (void)unused;
    PyErr_Restore(late_type, late_value, late_trace);
    late_type = late_value = late_trace = NULL;
    return -1;
}

/* Its end is near, but needs a lock of MPI's that a thread may hold which waits for the GIL in a callback. */
int cancel_receive(MPI_Request *request, MPI_Status *status)
{
    int rc;
    Py_BEGIN_ALLOW_THREADS
    rc = MPI_Cancel(request);
    if (!rc) rc = MPI_Wait(request, status);
    Py_END_ALLOW_THREADS
    return rc;
}

/* take back a receive; 0 if it was done after all */
static int take_back(MPI_Request *request, MPI_Status *status)
{
    MPI_Status own;
    int cancelled = 0;
    if (cancel_receive(request, &own) || MPI_Test_cancelled(&own, &cancelled) || cancelled) return RAISED;
    if (status != MPI_STATUS_IGNORE) *status = own;
    PyErr_Fetch(&late_type, &late_value, &late_trace);
    return Py_AddPendingCall(raise_late, NULL) ? RAISED : 0;
}

/* The GIL is held, an exception is set: undo the call as far as it can be undone. */
static int interrupted(Frame *frame, int kind, MPI_Request *request, MPI_Status *status, Context *context)
{
    PyObject *type, *value, *trace;
    if (kind == TO_WAIT) return RAISED;                 /* the request lives on */
    if (kind == TO_RECEIVE && !MUTANT(no_taking_back)) return take_back(request, status);
    if (kind == TOGETHER && context) context->broken = "a collective on it was interrupted";
    PyErr_Fetch(&type, &value, &trace);
    Frame *heap = evacuate(frame);
    if (heap) park(*request, heap);
    PyErr_Clear();
    PyErr_Restore(type, value, trace);
    return RAISED;
}

/* --- the loop --------------------------------------------------------------------------------------------- */

/* the process ends and this is not its main thread: take the request back, and never return to Python */
static void let_go(Ring *ring, MPI_Request *request, int kind)
{
    if (request && kind == TO_RECEIVE) MPI_Cancel(request);
    if (request && kind != TO_WAIT) MPI_Request_free(request);
    ring->depth = ring->twin = 0;
    for (;;) pause();
}

typedef struct { int64_t since, looked; unsigned turns; int nap; } Patience;

/* A probe of MPICH's finds what the one before brought in: two looks between two yields. A thread that is patient yields first, too: what
 * it waits for may be on its core, and the kernel does not part two that sleep now and then. */
static void rest(Patience *p)
{
    if (wait_policy == BLOCK && !patient) return;
    if (++p->turns % 2) return;
    int soon = patient ? p->turns < PATIENT_TURNS : wait_policy == YIELD || !p->since || coarse() - p->since < SECOND || MUTANT(no_naps);
    if (soon) { sched_yield(); return; }
    usleep((useconds_t)(p->nap = p->nap < 20 ? 20 : p->nap < 1000 ? p->nap * 5 / 4 : 1000));
}

/* between two tests; RAISED if a signal handler raised (the GIL is held then, and again released by the caller) */
static int between(Door *door, Patience *p)
{
    if (nworks) advance_works();
    if (thoughtful) let_think();
    rest(p);
    if (wait_policy == BLOCK && !patient && ++p->turns % TURNS) return 0;      /* a yield costs more than the clock */
    int64_t time = coarse();
    if (!p->since) p->since = p->looked = time;
    if (time - p->looked < SECOND / 20 || door->ring->thread != flight_head()->pid) return 0;
    p->looked = time;
    PyEval_RestoreThread(door->thread);
    if (!MUTANT(no_signal_check) && PyErr_CheckSignals()) return RAISED;
    door->thread = PyEval_SaveThread();
    return 0;
}

int drive(Door *door, Frame *frame, int rc, int kind, MPI_Request *request, MPI_Status *status, Context *context)
{
    Patience p = {0, 0, 0, 0};
    int done = 0, main_thread = door->ring->thread == flight_head()->pid;
    door->ring->twin = 1;
    while (!rc && !(rc = MPI_Test(request, &done, status)) && !done) {
        if (ending && !main_thread) let_go(door->ring, request, kind);
        if (!between(door, &p)) continue;
        rc = interrupted(frame, kind, request, status, context);
        door->thread = PyEval_SaveThread();
        break;
    }
    door->ring->twin = 0;
    return rc;
}

int poll_until(Door *door, int (*test)(void *), void *what)
{
    Patience p = {0, 0, 0, 0};
    int done, rc = 0, main_thread = door->ring->thread == flight_head()->pid;
    door->ring->twin = 1;
    while ((done = test(what)) == 0) {
        if (ending && !main_thread) let_go(door->ring, NULL, TO_WAIT);
        if (!between(door, &p)) continue;
        rc = RAISED;
        door->thread = PyEval_SaveThread();
        break;
    }
    stop_leading();
    door->ring->twin = 0;
    return rc;
}
