/* The recorder: streams of records, one a thread, in mapped files (format.h). Plain C, without Python and without mpi.h.
 * All that is named mmpi_trace_* is exported: C programs find it by weak symbols (mmpi_trace.h). */
#ifndef MMPI_TRACE_RECORDER_H
#define MMPI_TRACE_RECORDER_H
#include "format.h"

#define EXPORTED __attribute__((visibility("default")))
enum { TRACE_NO_PEER = -2, TRACE_PROC_NULL = -1 };      /* what a peer can be besides a rank */

typedef struct {
    const char *folder, *job, *program, *library;
    int rank, size;                     /* in WORLD, -1 while not known */
    int spawned;                        /* this WORLD */
    uint64_t limit;                     /* bytes, for all threads of the process */
    int ring;                           /* overwrite the oldest instead of stopping there */
} TraceOptions;

typedef struct {                        /* a call as it is entered */
    int operation, site, comm, peer, tag;
    unsigned flags;
    int64_t bytes;                      /* -1: does not apply */
    int waits;                          /* for a request: what its status says counts only if it was a receive */
    int both, from, from_tag;           /* both: an exchange, which receives too: from whom */
    unsigned from_flags;
} TraceCall;

typedef struct { int error, in_vain, known, peer, tag; int64_t bytes; } TraceEnd;       /* known: peer, tag and bytes are those of the message received */

EXPORTED const char *mmpi_trace_version(void);  /* MaroonMPI's: what is loaded first, the interposer, may be another's */
/* Of a limit as MMPI_TRACE_LIMIT has it ("", "64M", "64M,ring", ",stop"): the bytes, and whether the oldest are overwritten. NULL, or what is wrong with it. */
EXPORTED const char *mmpi_trace_limit(const char *text, uint64_t *bytes, int *ring);
/* 0, or an errno; then *step says of what */
EXPORTED int mmpi_trace_start(const TraceOptions *, const char **step);
EXPORTED void mmpi_trace_stop(void);
EXPORTED void mmpi_trace_pause(int yes);
EXPORTED void mmpi_trace_flush(void);   /* to the disk */
EXPORTED int mmpi_trace_on(void);       /* does it record now? */
EXPORTED int mmpi_trace_session(void);  /* number of the recording under way, 0: none */
EXPORTED void mmpi_trace_rank(int rank, int size, int spawned, const char *library);
EXPORTED int64_t mmpi_trace_now(void);  /* CLOCK_MONOTONIC in ns, as this process sees it */
EXPORTED uint64_t mmpi_trace_ticks(void);
EXPORTED const char *mmpi_trace_boot(void);

/* A record's number in its process: thread << 48 | index; 0: it was not recorded. */
EXPORTED uint64_t mmpi_trace_enter(const TraceCall *);
EXPORTED void mmpi_trace_leave(uint64_t number, const TraceEnd *);
EXPORTED void mmpi_trace_completed(uint64_t wait, uint64_t start, int peer, int tag, int64_t bytes, int cancelled);
EXPORTED uint64_t mmpi_trace_started(uint64_t call, uint64_t prepared);         /* the number that MORE_COMPLETED will name */
EXPORTED void mmpi_trace_packed(uint64_t began, int64_t bytes);         /* of the call that this thread enters next, which begins with it; began 0: it does not come */
EXPORTED void mmpi_trace_nested(uint64_t call, int kind, uint64_t began, int64_t bytes);        /* of a call that has ended; it lasts until now */
EXPORTED void mmpi_trace_values(uint64_t call, const int *types, const uint64_t *values, int n);

/* definitions; 0: there is no room for another */
EXPORTED void mmpi_trace_operation(int operation, const char *name);
EXPORTED void mmpi_trace_site(int site, const char *file, int line, const char *function);
EXPORTED int mmpi_trace_comm(uint64_t id, uint64_t parent, const int32_t rank_size_remote_leader[4], const char *name);
EXPORTED void mmpi_trace_name(uint64_t id, uint64_t parent, const int32_t rank_size_remote_leader[4], const char *name);
EXPORTED void mmpi_trace_spawned(uint64_t id, int n, int64_t ago);      /* the communicator with the n processes that were just spawned; when, in ns before now, the call began */
EXPORTED int mmpi_trace_string(const char *text);
EXPORTED void mmpi_trace_clock(int peer, int64_t time, int64_t difference, int64_t bound);
EXPORTED void mmpi_trace_note(int kind, const char *text);

/* the user's states, events, counters: what a process defines it keeps, also between recordings; STATE_* and the operation, 0: too many */
EXPORTED int mmpi_trace_define(int kind, const char *name, const char *color, const char *format);
EXPORTED int mmpi_trace_describe(int operation, const char *format);
EXPORTED uint64_t mmpi_trace_begin(int operation, int site);
EXPORTED int mmpi_trace_end(int operation);     /* 0; 1: it is not the innermost, -1: it is not open */
EXPORTED uint64_t mmpi_trace_mark(int operation, int site);     /* an event, or a counter */

/* numbered events, as MPE has them: a state is a pair of them */
EXPORTED int mmpi_trace_event_number(void);
EXPORTED int mmpi_trace_describe_events(int start, int end, const char *name, const char *color, const char *format);  /* end 0: a single one */
EXPORTED int mmpi_trace_log(int event, long long data, const char *text);       /* 0, 1: it is not described, or a state that ends has not begun */
EXPORTED int mmpi_trace_arrow(int sent, int peer, int tag, int64_t bytes);      /* half of a message that the user makes up: 0, 1: there is no such rank in WORLD */
#endif
