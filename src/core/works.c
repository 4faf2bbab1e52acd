/* Works: what goes on over several calls of MPI, advanced by everybody who waits. */
#define _GNU_SOURCE
#include "core.h"
#include <sched.h>
#include <stdlib.h>
#include <time.h>

volatile int nworks;
Work *works;                            /* in the order of their posting: receives match in it */
static Work *dead;                      /* ended alone; to be released by somebody with the GIL */
volatile int ndead;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t something = PTHREAD_COND_INITIALIZER;     /* is listed */

static int waiting;                     /* for the lock: those that only try it stand back, or they would have it always */

void lock_works(void)
{
    __atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&lock);
    __atomic_sub_fetch(&waiting, 1, __ATOMIC_RELAXED);
}

static int try_works(void) { return !__atomic_load_n(&waiting, __ATOMIC_RELAXED) && pthread_mutex_trylock(&lock) == 0; }

void unlock_works(void) { pthread_mutex_unlock(&lock); }

/* Blocks of one size, kept for the next: where UCX hooks malloc, it costs more than all else in a small collective. */
enum { COMMON = 2048, KEPT = 32 };
static void *kept[KEPT];                /* under the GIL */
static int nkept;

void *new_work(size_t size, Context *context, int (*advance)(Work *), PyObject *(*result)(Work *), void (*release)(Work *))
{
    Work *w = size > COMMON ? malloc(size) : nkept ? kept[--nkept] : malloc(COMMON);
    if (!w) { PyErr_NoMemory(); return NULL; }
    memset(w, 0, size);
    w->size = size;
    w->advance = advance;
    w->result = result;
    w->release = release;
    w->promise = MPI_REQUEST_NULL;
    w->status = empty_status();
    w->context = context;
    if (context) __atomic_add_fetch(&context->references, 1, __ATOMIC_ACQ_REL);
    if (context) __atomic_add_fetch(&context->pending, 1, __ATOMIC_ACQ_REL);
    w->serializer = context ? Py_XNewRef(context->serializer) : NULL;
    return w;
}

void free_work(Work *w)
{
    w->release(w);
    Py_XDECREF(w->serializer);
    if (w->context) __atomic_sub_fetch(&w->context->pending, 1, __ATOMIC_ACQ_REL);
    drop_context(w->context);
    if (w->size <= COMMON && nkept < KEPT) kept[nkept++] = w;
    else free(w);
}

/* --- generalized requests --------------------------------------------------------------------------------- */

static int query(void *work, MPI_Status *status)
{
    const Work *w = work;
    MPI_Count bytes = w->cancelled ? 0 : status_bytes(&w->status);
    MPI_Status_set_elements_x(status, MPI_BYTE, bytes < 0 ? 0 : bytes);
    MPI_Status_set_cancelled(status, w->cancelled);
    status->MPI_SOURCE = w->status.MPI_SOURCE;
    status->MPI_TAG = w->status.MPI_TAG;
    return MPI_SUCCESS;
}

static int forget(void *work) { (void)work; return MPI_SUCCESS; }

static int cancel(void *work, int complete)             /* the next that advances it sees this */
{
    if (!complete) ((Work *)work)->cancelled = 1;
    return MPI_SUCCESS;
}

/* --- the list --------------------------------------------------------------------------------------------- */

static void bury(Work *w)                               /* it ended, and nobody wants to know */
{
    if (w->promise != MPI_REQUEST_NULL) MPI_Wait(&w->promise, MPI_STATUS_IGNORE);
    w->next = dead;
    dead = w;
    ndead = 1;
}

static void end_work(Work **at)                         /* its owner may free it at once */
{
    Work *w = *at;
    int orphan = w->orphan;
    MPI_Request promise = w->promise;
    *at = w->next;
    w->listed = 0;
    nworks--;
    if (w->wake) pthread_cond_signal(w->wake);
    if (!orphan) __atomic_store_n(&w->done, 1, __ATOMIC_RELEASE);
    if (promise != MPI_REQUEST_NULL) MPI_Grequest_complete(promise);
    if (orphan) bury(w);
}

static void append(Work *w)
{
    Work **at = &works;
    while (*at) at = &(*at)->next;
    w->next = NULL;
    w->listed = 1;
    *at = w;
    if (!nworks++) pthread_cond_signal(&something);
}

void list_work(Work *w)
{
    lock_works();
    append(w);
    unlock_works();
}

static void advance_all(void)
{
    for (Work **at = &works; *at; )
        if ((*at)->advance(*at)) end_work(at);
        else at = &(*at)->next;
}

void advance_works(void)
{
    if (!nworks || !try_works()) return;                /* somebody else does it */
    advance_all();
    unlock_works();
}

/* --- what some need Python for ---------------------------------------------------------------------------- */

enum { WANTS_TO = 1, DOES };
volatile int thoughtful;
static int closing;                     /* MPI ends: nobody wants to know any more */

void want_to_think(Work *w, void (*think)(Work *))
{
    w->think = think;
    w->thinking = WANTS_TO;
    thoughtful = 1;
}

static int wants_to_think(const Work *w) { return w->thinking == WANTS_TO && !w->orphan && !closing; }

int is_thinking(const Work *w) { return w->thinking == DOES || wants_to_think(w); }

static Work *next_to_think(void)
{
    lock_works();
    Work *w = works;
    while (w && !wants_to_think(w)) w = w->next;
    if (w) w->thinking = DOES;
    else thoughtful = 0;
    unlock_works();
    return w;
}

/* It is not freed meanwhile: nothing ends a work that thinks. */
void let_think(void)
{
    stop_leading();
    for (Work *w; !ending && (w = next_to_think()) != NULL; ) {
        PyGILState_STATE state = PyGILState_Ensure();
        w->think(w);
        PyGILState_Release(state);
        lock_works();
        w->thinking = 0;
        unlock_works();
    }
    advance_works();
}

int test_requests(Work *w)
{
    int done = 0;
    w->rc = MPI_Testall(w->nrequests, w->requests, &done, MPI_STATUSES_IGNORE);
    return w->rc || done;
}

static int promise(Work *w, MPI_Request *handle)        /* list it with a request for its end */
{
    int rc = MPI_Grequest_start(query, forget, cancel, w, &w->promise);
    if (rc) return rc;
    *handle = w->promise;
    lock_works();
    append(w);
    advance_all();
    unlock_works();
    return 0;
}

/* --- waiting for one -------------------------------------------------------------------------------------- */

enum { PATIENCE = 64 };                 /* tests before a work is listed: far fewer than until a look at signals */

/* Of many threads that wait, one advances the works of all: the others sleep. Else they would take the cores from each
 * other and from the other ranks. */
static pthread_t leader;
static volatile int led, followers;

static int leading(void) { return led && pthread_equal(leader, pthread_self()); }

/* Sleep until the leader has ended this work, or stops to lead. It may be busy in a signal handler: so not for long. */
static int follow(Work *w)
{
    enum { AWHILE = 1000000 };
    pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += AWHILE;
    if (end.tv_nsec >= 1000000000) { end.tv_nsec -= 1000000000; end.tv_sec++; }
    lock_works();
    if (!w->done && !w->listed) append(w);
    w->wake = &wake;
    followers++;
    if (!w->done && led && pthread_cond_timedwait(&wake, &lock, &end)) advance_all();
    followers--;
    w->wake = NULL;
    int done = w->done;
    unlock_works();
    return done;
}

void stop_leading(void)
{
    if (!leading()) return;
    led = 0;
    if (!followers) return;
    lock_works();
    Work *w = works;
    while (w && !w->wake) w = w->next;
    if (w) pthread_cond_signal(w->wake);
    unlock_works();
}

int test_work(void *work)
{
    Work *w = work;
    if (__atomic_load_n(&w->done, __ATOMIC_ACQUIRE)) return 1;
    if (led && !leading()) return follow(w);
    if (!try_works()) return 0;
    if (!led) { leader = pthread_self(); led = 1; }
    if (nworks) advance_all();
    if (!w->listed && !w->done) w->done = w->advance(w);
    int done = w->done;
    if (!done && !w->listed && ++w->turns == PATIENCE) append(w);      /* a signal handler may need it to go on meanwhile */
    unlock_works();
    return done;
}

int finish_work(Door *door, Work *w)
{
    int rc = poll_until(door, test_work, w);
    return rc ? rc : w->rc;
}

void leave_alone(Work *w)
{
    Py_BEGIN_ALLOW_THREADS
    lock_works();
    w->orphan = 1;
    if (w->done) bury(w);
    else if (!w->listed) append(w);
    unlock_works();
    Py_END_ALLOW_THREADS
}

PyObject *conclude(Work *w, int rc, Status *status)
{
    if (rc && !w->done) {
        PyObject *raised = finish(NULL, rc);
        w->cancelled = 1;
        leave_alone(w);
        return raised;
    }
    set_status(status, &w->status);
    PyObject *result = rc ? finish(NULL, rc) : w->result(w);
    free_work(w);
    return result;
}

PyObject *started_work(Request *r, Door *door, Work *w, int rc, void (*drop)(Work *))
{
    if (!rc) rc = promise(w, &r->handle);
    leave(door, rc, NULL);
    if (rc) drop(w);
    else r->work = w;
    return started(r, rc);
}

void sweep_works(void)
{
    if (!ndead || !try_works()) return;
    Work *w = dead;
    dead = NULL;
    ndead = 0;
    unlock_works();
    while (w) {
        Work *next = w->next;
        free_work(w);
        w = next;
    }
}

static int is_settled(void *context)
{
    lock_works();
    const Work *w = works;
    while (w && !(w->together && w->context == context)) w = w->next;
    unlock_works();
    return w == NULL;
}

int settle_works(Door *door, Context *context)
{
#if defined(MMPI_ABI_OPENMPI)
    return context && nworks ? poll_until(door, is_settled, context) : 0;
#else
    (void)door; (void)context; (void)is_settled;
    return 0;
#endif
}

/* --- while a thread blocks in MPI ------------------------------------------------------------------------- */

enum { NO_WATCHER, WATCHING, LEAVING };
static pthread_t watcher;
static volatile int watching;
static int in_python;                   /* the watcher, or about to be: under the lock */

static void watch_thoughts(void)
{
    lock_works();
    in_python = thoughtful && watching == WATCHING;
    unlock_works();
    if (in_python) let_think();
    in_python = 0;
}

/* Who waits by a twin advances works himself; this thread does it for those that block, and sleeps without works. */
static void *watch(void *unused)
{
    char names[64];
    struct timespec nap = {0, 200000};
    (void)unused;
    while (watching == WATCHING) {
        lock_works();
        while (!nworks && watching == WATCHING) pthread_cond_wait(&something, &lock);
        unlock_works();
        if (!threads_inside(names, sizeof names)) { nanosleep(&nap, NULL); continue; }
        advance_works();
        if (thoughtful && threads_blocked()) watch_thoughts();
        sched_yield();
    }
    return NULL;
}

int is_at_once(int operation)
{
    const char *name = operation_names[operation] + 4;
    return (*name == 'I' && strncmp(name, "Inter", 5)) || strncmp(name, "Test", 4) == 0 || strncmp(name, "Request", 7) == 0;
}

void watch_over(int operation)
{
    int level = 0;
    advance_works();
    if (thoughtful) let_think();
    if (watching || ending || is_at_once(operation)) return;
    if (MPI_Query_thread(&level) || level != MPI_THREAD_MULTIPLE) return;
    lock_works();
    if (!watching) {                                    /* it runs as long as it sees this */
        watching = WATCHING;
        if (start_thread(&watcher, watch, NULL)) watching = NO_WATCHER;
    }
    unlock_works();
}

/* Without the interpreter, a thread that waits for it never comes back. */
static void end_watch(int with_python)
{
    if (!watching) return;
    lock_works();
    watching = LEAVING;
    pthread_cond_signal(&something);
    int lost = in_python && !with_python;
    unlock_works();
    if (!lost) pthread_join(watcher, NULL);
    watching = NO_WATCHER;
}

/* It will not end: its owner frees what it holds. Nothing is cancelled: MPICH crashes on some sends. */
static void let_go(Work *w)
{
    for (int i = 0; i < w->nrequests; i++)
        if (w->requests[i] != MPI_REQUEST_NULL) MPI_Request_free(&w->requests[i]);
    w->rc = MPI_ERR_PENDING;
    end_work(&works);
}

/* Sends get a chance to end; receives that nobody answers are given up. Without the interpreter, memory stays. */
void end_works(int with_python)
{
    PyThreadState *thread = with_python ? PyEval_SaveThread() : NULL;
    end_watch(with_python);
    struct timespec nap = {0, 200000};
    lock_works();
    closing = 1;
    for (int quiet = 0, n = nworks; n && quiet < 2000; quiet++) {
        if (quiet > 200) nanosleep(&nap, NULL);
        advance_all();
        if (nworks != n) quiet = 0;
        n = nworks;
    }
    for (Work *w = works; w; w = w->next) w->cancelled = 1;
    advance_all();
    while (works) let_go(works);
    closing = 0;
    unlock_works();
    if (thread) PyEval_RestoreThread(thread);
    if (with_python) sweep_works();
}
