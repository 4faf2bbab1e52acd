/* The door to MPI, and the record of who went through it. */
#define _GNU_SOURCE
#include "core.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef struct { Page page; Known known[KNOWN]; Ring rings[THREADS]; } Flight;

static Flight private_flight;           /* until the file is mapped, or where it cannot be */
static Flight *flight = &private_flight;
static char file_name[4096];
static int held = -1;                   /* its descriptor */
enum { HELD_FILE = 512 };               /* more than a launcher or a program has open before us */
static __thread Ring *my_ring __attribute__((tls_model("initial-exec")));

volatile int mpi_state;
const Call *failed_call;
const Recorder *recorder;
static const Recorder *tracer;        /* also while it does not record: what it has begun, it ends */
static __thread uint64_t my_record __attribute__((tls_model("initial-exec")));

const char *const operation_names[] = {
#define MPI(type, name, parameters) "MPI_" #name,
#include "abi/functions.h"
#undef MPI
#define MPIX(type, name, parameters) "MPIX_" #name,
#include "abi/extensions.h"
#undef MPIX
};

static int64_t now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* --- rings ------------------------------------------------------------------------------------------------ */

static pthread_key_t ring_key;

static void free_ring(void *ring) { ((Ring *)ring)->thread = 0; }

/* The ring of this thread: a free one; with more threads than rings, the last is shared. Under the GIL. */
static Ring *take_ring(void)
{
    int i = 0;
    while (i < THREADS - 1 && flight->rings[i].thread) i++;
    my_ring = &flight->rings[i];
    my_ring->thread = (int32_t)syscall(SYS_gettid);
    my_ring->self = (uint64_t)pthread_self();
    pthread_setspecific(ring_key, my_ring);
    return my_ring;
}

Ring *this_ring(void) { return my_ring ? my_ring : take_ring(); }

uint64_t last_sequence(void)
{
    Ring *ring = my_ring;
    return ring ? ring->ring[(ring->calls - 1) % RING].sequence : 0;
}

uint64_t last_record(void) { return my_record; }

int last_operation(void)
{
    Ring *ring = my_ring;
    return ring ? ring->ring[(ring->calls - 1) % RING].operation : -1;
}

int64_t since_last(void)
{
    const Ring *ring = my_ring;
    return ring ? now(CLOCK_MONOTONIC_COARSE) - ring->ring[(ring->calls - 1) % RING].started : 0;
}

int threads_waiting(void)
{
    int n = 0;
    for (int i = 0; i < THREADS; i++) n += &flight->rings[i] != my_ring && flight->rings[i].twin;
    return n;
}

static int is_inside(const Ring *ring) { return ring != my_ring && ring->thread && ring->depth > 0 && !ring->twin; }
static int latest(const Ring *ring) { return (int)ring->ring[(ring->calls - 1) % RING].operation; }

int threads_blocked(void)
{
    int n = 0;
    for (int i = 0; i < THREADS; i++) n += is_inside(&flight->rings[i]) && !is_at_once(latest(&flight->rings[i]));
    return n;
}

int threads_inside(char *names, size_t size)
{
    int n = 0;
    *names = 0;
    for (int i = 0; i < THREADS; i++) {
        const Ring *ring = &flight->rings[i];
        if (!is_inside(ring)) continue;
        size_t used = strlen(names);
        snprintf(names + used, size - used, "%s%s", n++ ? ", " : "", operation_names[latest(ring)]);
    }
    return n;
}

/* --- the door --------------------------------------------------------------------------------------------- */

/* The next call of a ring; it takes the place of a poll in vain. */
static Call *record(Ring *ring, int operation, const Note *note)
{
    Context *comm = note->comm;
    Call *last = &ring->ring[(ring->calls - 1) % RING];
    uint64_t number = ring->calls += last->state != IN_VAIN;
    Call *call = &ring->ring[(number - 1) % RING];
    if (last != call) call->polling = 0;
    call->state = EMPTY;
    call->sequence = (uint64_t)(ring - flight->rings) << 48 | number;
    call->comm = comm ? comm->id : 0;
    call->collective = comm && note->collective ? ++comm->known->collectives : 0;
    call->datatype = (uint64_t)(uintptr_t)note->type;
    call->op = (uint64_t)(uintptr_t)note->op;
    call->request = note->request;
    call->started = now(CLOCK_MONOTONIC_COARSE);
    call->bytes = note->bytes;
    call->count = note->count;
    call->got_bytes = -1;
    call->operation = operation;
    call->peer = note->peer;
    call->tag = note->tag;
    call->root = note->root;
    call->got_source = note->from;
    call->got_tag = note->from_tag;
    call->requests = note->requests;
    ring->depth++;
    __atomic_store_n(&call->state, MUTANT(no_record) ? EMPTY : INSIDE, __ATOMIC_RELEASE);
    return call;
}

int enter(Door *door, int operation, const Note *note)
{
    if (mpi_state != RUNNING && refuse(operation)) return RAISED;
    if (ndead) sweep_works();
    Context *comm = note->comm;
    if (comm && comm->broken && note->collective) {
        PyErr_Format(MPIError, "%s: this communicator cannot be used for collectives any more: %s", operation_names[operation], comm->broken);
        if (recorder) recorder->packed(0, 0);
        return RAISED;
    }
    Ring *ring = this_ring();
    Call *call = record(ring, operation, note);
    door->ring = ring;
    door->call = call;
    door->sequence = call->sequence;
    door->record = recorder ? recorder->enter(call, comm ? comm->known : NULL, (note->form == GAPS ? MADE_TYPE : 0) | (note->copied ? MADE_COPY : 0)) : 0;
    door->thread = PyEval_SaveThread();
    return checking && comm && note->collective ? check_collective(door, operation, note) : 0;
}

static void note_status(Call *call, const MPI_Status *status)
{
    call->got_source = status->MPI_SOURCE;
    call->got_tag = status->MPI_TAG;
    call->got_bytes = status_bytes(status);
}

static void tell_recorder(const Door *door, int rc, const MPI_Status *status, int state)
{
    int known = status && !rc;
    my_record = door->record;
    if (!door->record) return;
    tracer->leave(door->record, rc, state == IN_VAIN, known, known ? status->MPI_SOURCE : 0, known ? status->MPI_TAG : 0, known ? status_bytes(status) : -1);
}

FUNCTION(_record_with, "recorder", "Let a tracer see all calls from now on; None: no more.")
{
    Frame frame; PyObject *capsule;
    (void)self;
    if (PARSE(&frame, to_object, &capsule)) return finish(&frame, RAISED);
    Recorder *r = capsule == Py_None ? NULL : PyCapsule_GetPointer(capsule, RECORDER);
    if (r) {
        r->names = operation_names;
        r->any_source = MPI_ANY_SOURCE;
        r->any_tag = MPI_ANY_TAG;
        r->proc_null = MPI_PROC_NULL;
        tracer = r;
    }
    recorder = r;
    return finish(&frame, r || capsule == Py_None ? 0 : RAISED);
}

PyMethodDef flight_functions[] = {ROW_(module, _record_with, 0), END_OF_ROWS};

static void leave_as(Door *door, int rc, const MPI_Status *status, int state)
{
    Call *call = door->call;
    door->ring->depth--;
    door->ring->completed += state == DONE;
    if (call->sequence == door->sequence) {     /* else more calls than the ring holds were made inside this one */
        if (status && !rc) note_status(call, status);
        if (!call->polling) call->polling = call->started;
        call->rc = rc;
        __atomic_store_n(&call->state, state, __ATOMIC_RELEASE);
    }
    if (recorder || door->record) tell_recorder(door, rc, status, state);
    PyEval_RestoreThread(door->thread);
    if (rc) failed_call = call;
}

void leave(Door *door, int rc, const MPI_Status *status) { leave_as(door, rc, status == MPI_STATUS_IGNORE ? NULL : status, DONE); }

/* where ranks share cores, a loop around a poll must not keep one */
void leave_poll(Door *door, int rc, const MPI_Status *status, int found)
{
    if (!rc && !found && wait_policy != BLOCK) sched_yield();
    leave_as(door, rc, status, rc || found || MUTANT(polls_count) ? DONE : IN_VAIN);
}

void record_finalize(void)
{
    record(this_ring(), OP_MPI_Finalize, NOTE(.comm = NULL));
}

static void library_version(char *text, size_t size)
{
    char version[MPI_MAX_LIBRARY_VERSION_STRING + 1] = "";
    int length;
    MPI_Get_library_version(version, &length);
    snprintf(text, size, "%.*s", (int)strcspn(version, "\n,"), version);
}

static const char *version_with(const char *name)
{
    static const char *const since_4[] = {"Session", "Psend", "Precv", "Pready", "Parrived", "Isendrecv", "_init", "Info_create_env", "Info_get_string", "idup_with_info", "_c"};
    static const char *const since_41[] = {"_buffer", "Buffer_flush", "Buffer_iflush", "Status_get", "Status_set_", "Request_get_status_", "Remove_error", "value_index", "hw_resource"};
    if (!strncmp(name, "MPIX", 4)) return "a library with fault tolerance (ULFM)";
    if (strstr(name, "Abi_") || strstr(name, "_toint") || strstr(name, "_fromint")) return "MPI 5.0";
    for (size_t i = 0; i < sizeof since_41 / sizeof *since_41; i++) if (strstr(name, since_41[i])) return "MPI 4.1";
    for (size_t i = 0; i < sizeof since_4 / sizeof *since_4; i++) if (strstr(name, since_4[i])) return "MPI 4.0";
    return "MPI 3.1";
}

int lacking(int operation)
{
    char version[80];
    library_version(version, sizeof version);
    PyErr_Format(PyExc_NotImplementedError, "%s is not in this MPI library (%s); %s has it",
                 operation_names[operation], version, version_with(operation_names[operation]));
    return RAISED;
}

int refuse(int operation)
{
    if ((operation == OP_MPI_Init_thread && mpi_state == NOT_STARTED) || (operation == OP_MPI_Session_init && mpi_state != FORKED)) return 0;
    static const char *const why[] = {
        [NOT_STARTED] = "called before MPI was initialized: call mmpi.init() first",
        [FINALIZED] = "called after MPI was finalized",
        [FORKED] = "called in a forked child of a rank: a child is not a rank; communicate in the parent"};
    PyErr_Format(MPIError, "%s %s", operation_names[operation], why[mpi_state == RUNNING ? NOT_STARTED : mpi_state]);
    return RAISED;
}

/* --- the file --------------------------------------------------------------------------------------------- */

void set_exit_status(int status)
{
    Head *head = &flight->page.head;
    if (head->status <= 0) head->decided = now(CLOCK_REALTIME);         /* the first word counts */
    if (head->status <= 0) head->status = status;
}

void describe_rank(int rank, int size)
{
    Head *head = &flight->page.head;
    head->rank = rank;
    head->size = size;
    head->initialized = 1;
    library_version(head->library, sizeof head->library);
}

Known *new_known(void)
{
    for (int i = 0; i < KNOWN; i++)
        if (!flight->known[i].used && !__atomic_exchange_n(&flight->known[i].used, -1, __ATOMIC_ACQ_REL)) return &flight->known[i];
    return NULL;
}

void note_finalized(void) { flight->page.head.finalized = 1; }

const Head *flight_head(void) { return &flight->page.head; }

static void describe_process(Head *head)
{
    memcpy(head->magic, "mmpi-fly", sizeof head->magic);
    head->version = FLIGHT_VERSION;
    head->head = FLIGHT_HEAD;
    head->threads = THREADS;
    head->ring = RING;
    head->pid = getpid();
    head->rank = head->size = head->status = -1;
    head->started = now(CLOCK_REALTIME);
    head->operations = OPERATIONS;
    gethostname(head->host, sizeof head->host - 1);
}

/* Hold the record's file as the descriptor that the kernel closes first when we die, which is the one with the largest number:
 * `mmpi run` is told of that, and so before a launcher that holds another of our descriptors can kill the other ranks for it. */
static void hold(int file)
{
    release_flight();
    held = MUTANT(no_farewell) ? -1 : fcntl(file, F_DUPFD_CLOEXEC, HELD_FILE);
    if (held < 0) held = file;
    else close(file);
}

void release_flight(void)
{
    if (held >= 0) close(held);
    held = -1;
}

/* Map "<folder>/<pid>.page". Without a folder, or where it is full, the record stays private: a full file system
 * must not kill us later by SIGBUS, so the blocks are taken first. */
int open_flight(const char *folder)
{
    static int keys;
    if (!keys && pthread_key_create(&ring_key, free_ring)) { PyErr_SetString(PyExc_OSError, "no thread key left"); return -1; }
    keys = 1;
    Flight *mapped = MAP_FAILED;
    if (folder && *folder && snprintf(file_name, sizeof file_name, "%s/%d.page", folder, (int)getpid()) < (int)sizeof file_name) {
        int file = open(file_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (file >= 0 && (MUTANT(no_fallocate) ? ftruncate(file, sizeof *mapped) : posix_fallocate(file, 0, sizeof *mapped)) == 0)
            mapped = mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (mapped != MAP_FAILED) hold(file);
        else if (file >= 0) { unlink(file_name); close(file); }
    }
    if (mapped == MAP_FAILED) *file_name = 0;
    else flight = mapped;
    my_ring = NULL;
    describe_process(&flight->page.head);
    return 0;
}

void close_flight(void)
{
    note_finalized();
    char *slash = strrchr(file_name, '/');
    if (!slash) return;
    unlink(file_name);
    memcpy(strrchr(file_name, '.'), ".stack", sizeof ".stack");
    unlink(file_name);
    *slash = 0;
    rmdir(file_name);                   /* the last of the job on this host takes the folder along */
    *file_name = 0;
}
