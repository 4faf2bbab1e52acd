/* The flight record: what each rank is doing, in a mapped file that others read without MPI and without the GIL.
 * One file a rank, "<pid>.page" in the job's folder: a head, then a ring of calls for each of THREADS threads.
 * All integers are little-endian; the layout changes only with `version`. */
#ifndef MMPI_FLIGHT_H
#define MMPI_FLIGHT_H
#include <stdint.h>

enum { FLIGHT_VERSION = 1, FLIGHT_HEAD = 4096, THREADS = 16, RING = 63 };
enum { NONE = -2147483647 - 1 };        /* an absent int; absent sizes are -1, absent ids and handles 0 */
enum { EMPTY, INSIDE, DONE };           /* the state of a call */

typedef struct {                        /* 128 bytes */
    uint64_t sequence;                  /* thread << 48 | number of the call in its thread, from 1 */
    uint64_t comm, collective;          /* the communicator's id, and the number of the collective on it */
    uint64_t datatype, op;              /* handles */
    uint64_t request;                   /* sequence of the call that started the request */
    int64_t started;                    /* ns, CLOCK_MONOTONIC_COARSE */
    int64_t bytes, count, got_bytes;
    int32_t operation;                  /* index into the names of the head's library, see flight.c */
    int32_t peer, tag, root;
    int32_t got_source, got_tag;        /* from the status, when done */
    int32_t requests;                   /* how many a Wait or Test names */
    int32_t rc;
    volatile int32_t state;             /* written last */
    int32_t spare[3];
} Call;

typedef struct {                        /* 8 KiB, the ring of one thread */
    volatile uint64_t calls;            /* made so far; the newest is ring[(calls - 1) % RING] */
    volatile int32_t thread;            /* the kernel's id, 0: free */
    volatile int32_t depth;             /* calls under way: a callback of MPI may call MPI */
    volatile int32_t twin;              /* waits by testing a request that can be cancelled */
    int32_t spare;
    uint64_t reserved[13];
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
#endif
