/* The flight record: what each rank is doing, in a mapped file that others read without MPI and without the GIL.
 * One file a rank, "<pid>.page" in the job's folder: a head, the communicators, a ring of calls for each of THREADS threads.
 * All integers are little-endian; the layout changes only with `version`. */
#ifndef MMPI_FLIGHT_H
#define MMPI_FLIGHT_H
#include <stdint.h>

enum { FLIGHT_VERSION = 2, FLIGHT_HEAD = 4096, THREADS = 16, RING = 63, KNOWN = 256, PENDING = 11 };
enum { NONE = -2147483647 - 1 };        /* an absent int; absent sizes are -1, absent ids and handles 0 */
enum { EMPTY, INSIDE, DONE, IN_VAIN };  /* the state of a call; a poll in vain (Test, Iprobe) gives its place and number to the next call */

typedef struct {                        /* 128 bytes */
    uint64_t sequence;                  /* thread << 48 | number of the call in its thread, from 1 */
    uint64_t comm, collective;          /* the communicator's id, and the number of the collective on it */
    uint64_t datatype, op;              /* handles */
    uint64_t request;                   /* sequence of the call that started the request */
    int64_t started;                    /* ns, CLOCK_MONOTONIC_COARSE */
    int64_t bytes, count, got_bytes;
    int64_t polling;                    /* since when all calls were polls in vain; 0: they were not */
    int32_t operation;                  /* index into the names of the head's library, see flight.c */
    int32_t peer, tag, root;
    int32_t got_source, got_tag;        /* from the status, when done; of an exchange, until then, what it receives */
    int32_t requests;                   /* how many a Wait or Test names */
    int32_t rc;
    volatile int32_t state;             /* written last */
    int32_t spare;
} Call;

typedef struct {                        /* 128 bytes: a communicator */
    uint64_t id, parent, collectives;   /* collectives: so far */
    int32_t rank, size, remote_size;    /* remote_size: -1 unless it joins two groups */
    int32_t leader, made;               /* rank in WORLD of its rank 0; operation that made it; -1: not known */
    volatile int32_t used;              /* 0: this place is free */
    char name[80];
} Known;

typedef struct {                        /* 8 KiB, the ring of one thread */
    volatile uint64_t calls;            /* made so far; the newest is ring[(calls - 1) % RING] */
    volatile int32_t thread;            /* the kernel's id, 0: free */
    volatile int32_t depth;             /* calls under way: a callback of MPI may call MPI */
    volatile int32_t twin;              /* waits by testing a request that can be cancelled */
    int32_t npending;
    volatile uint64_t completed;        /* calls that ended, other than polls in vain */
    uint64_t self;                      /* pthread_self() */
    uint64_t pending[PENDING];          /* sequences of the starts of what the latest Waitall, Waitany, Waitsome waits for */
    Call ring[RING];
} Ring;

typedef struct {
    char magic[8];                      /* "mmpi-fly" */
    int32_t version, head, threads, ring;
    int32_t pid, rank, size, initialized, finalized;
    int32_t status;                     /* exit status, once known; else -1 */
    int64_t started;                    /* ns, CLOCK_REALTIME */
    char host[256], library[512];
    int32_t operations;                 /* how many names an operation index can mean */
    int64_t decided;                    /* ns, CLOCK_REALTIME: when the exit status was known */
} Head;

typedef union { Head head; char bytes[FLIGHT_HEAD]; } Page;

/* What a tracer gives the core by _record_with, in a capsule of this name. It numbers what it records; 0 stands for what it does not. */
#define RECORDER "mmpi.recorder"
enum { MADE_TYPE = 1, MADE_COPY = 2 };  /* how a buffer travels: by a datatype made for it, through a copy */
typedef struct {
    const char *const *names;           /* of operations; these the core fills in */
    int32_t any_source, any_tag, proc_null;
    uint64_t (*enter)(const Call *, const Known *, int how);    /* the GIL is held, as in all but `leave` */
    void (*leave)(uint64_t number, int rc, int in_vain, int known, int source, int tag, int64_t bytes);         /* known: the rest is that of a status */
    void (*completed)(uint64_t wait, uint64_t start, int source, int tag, int64_t bytes, int cancelled);
    uint64_t (*started)(uint64_t call, uint64_t prepared);      /* a prepared request, what `completed` is to name; or the receive of a message, which a probe has taken */
    uint64_t (*ticks)(void);
    void (*packed)(uint64_t began, int64_t bytes);              /* by pickle, for the call that comes next; began 0: it does not come */
    void (*unpacked)(uint64_t call, uint64_t began, int64_t bytes);
    void (*named)(const Known *);       /* a communicator has another name */
    void (*spawned)(const Known *, int64_t ago);        /* the communicator with the children; so many ns ago the call was entered */
} Recorder;
#endif
