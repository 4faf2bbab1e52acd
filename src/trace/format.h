/* What a trace looks like on disk while it is written: a stream of records for each thread ("<job>-<host>-<pid>-<tid>.mmpis"),
 * and the definitions of each process ("<job>-<host>-<pid>.mmpid"). docs/trace-format.md explains both.
 * All integers are little-endian; the layout changes only with TRACE_VERSION. */
#ifndef MMPI_TRACE_FORMAT_H
#define MMPI_TRACE_FORMAT_H
#include <stdint.h>

enum { TRACE_VERSION = 1, STREAM_HEAD = 4096, SEGMENT = 1 << 20, RECORD = 32, SEGMENT_RECORDS = SEGMENT / RECORD };

typedef struct { uint64_t ticks, monotonic, realtime; } ClockPair;     /* ticks, and ns of two clocks, read together */

typedef struct {
    char magic[8];                      /* "mmpi-str" */
    uint32_t version, head;             /* TRACE_VERSION, STREAM_HEAD */
    char job[16], host[256], boot[40];  /* boot: of the kernel, and of its time namespace; processes with the same share a clock */
    int32_t pid, tid, rank, size;       /* in WORLD, -1 while not known */
    uint32_t thread;                    /* number of the thread in its process, from 0 */
    uint32_t ticks_are_ns;              /* else of the processor's counter, whose rate the pairs of clocks tell */
    ClockPair first, latest;            /* when the stream began; at the end, until then not more than some seconds ago */
    uint64_t segments;                  /* begun so far */
    uint64_t limit;                     /* segments in the file; a ring overwrites the oldest, 0: no limit */
    uint64_t dropped;                   /* records that found no room */
    uint64_t record_ns;                 /* what a record costs here, measured at the start, in ns/1000 */
    uint32_t ring;                      /* 1: segment k lies at place k % limit */
    volatile uint32_t finished;         /* 1: closed in order */
} StreamHead;

/* A segment is SEGMENT_RECORDS records, the first of which is its head. */
typedef struct { uint64_t number; ClockPair clock; } SegmentHead;

/* 256 bits. A record with operation 0 was not written. Of the fields of a word, the first named is in the lowest bits. */
typedef struct {
    uint64_t start;                     /* ticks */
    uint64_t lasts;                     /* duration in ticks: 40 bits | peer + 2: 24 bits */
    uint64_t moves;                     /* bytes + 1 (0: does not apply): 40 bits | communicator: 16 bits | flags: 8 bits */
    uint64_t what;                      /* tag (all ones: none): 32 bits | site: 20 bits | operation: 12 bits; written first, as the last of an entry */
} Record;

enum {                                  /* flags */
    RECORD_OPEN = 1,                    /* entered, not left yet; also what was inside when the process died */
    RECORD_ERROR = 2,                   /* MPI returned an error */
    RECORD_ANY_SOURCE = 4, RECORD_ANY_TAG = 8,      /* a receive or probe that was posted so; peer and tag say what it got */
    RECORD_DERIVED = 16,                /* a derived datatype that was made for the layout of an array */
    RECORD_COPIED = 32,                 /* went through a copy */
    RECORD_POLLS = 64,                  /* polls in vain at one place in a row; bytes says how many */
    RECORD_EXTENDED = 128               /* one or more of the records below refer to it */
};

/* Operations below FIRST_USER are those of MPI, by the table of the process (definitions), the last two MPE's; then come the user's. */
enum { LOG_SEND = 0x7FE, LOG_RECEIVE, FIRST_USER, FIRST_EXTENSION = 0xF00 };

/* Records that say more about an earlier one. `start` is the index of that one in this stream (segment heads count). */
enum {
    MORE_WIDE = FIRST_EXTENSION,        /* lasts: the duration, moves: the bytes, where they need more than 40 bits */
    MORE_COMPLETED,                     /* a wait or test completed a request: lasts: thread << 48 | index of the record that started it,
                                         * moves: bytes + 1: 40 bits | source + 2: 24 bits, of its status, tag likewise; site: 1 if it was cancelled */
    MORE_SECOND,                        /* the receiving half of an exchange: lasts, moves, tag as in a receive of its own; site: flags */
    MORE_NESTED,                        /* pickling and unpickling: lasts: duration in ticks: 40 bits | kind: 24 bits, moves: bytes, its start: ticks after that of the call in tag */
    MORE_VALUES,                        /* values of a user's state or event: lasts, moves: two 64-bit values, tag: the types of both, VALUE_*, 8 bits each */
    MORE_STARTED                        /* Start, or one of a Startall, has started a prepared request: lasts: thread << 48 | index of the call that prepared it
                                         * (0: not known). MORE_COMPLETED names this record then, not that of the call. Of Mrecv and Imrecv: lasts names
                                         * the probe that took the message. */
};
enum { VALUE_NONE, VALUE_INT, VALUE_FLOAT, VALUE_STRING };              /* VALUE_STRING: the number of a defined string */
enum { NESTED_PICKLE = 1, NESTED_UNPICKLE = 2 };

/* A definition: the bytes after this head, their checksum (CRC-32 as zlib has it), then kind, id, NUMBERS numbers, strings, each ended by 0. */
enum { NUMBERS = 6 };
typedef struct { uint32_t length, checksum; } DefinitionHead;
typedef struct { uint32_t kind, id; int64_t numbers[NUMBERS]; } Definition;

enum {
    DEFINE_PROCESS = 1,                 /* numbers: pid, rank, size, WORLD (0: the launcher's, 1: one that was spawned, else which of those), when the process was
                                         * started, in ticks of the kernel and in ns of CLOCK_MONOTONIC (one tick too early at most); strings: job, host, boot, program, library */
    DEFINE_OPERATION,                   /* id: operation; strings: name */
    DEFINE_SITE,                        /* id; numbers: line; strings: file, function */
    DEFINE_COMM,                        /* id; numbers: id equal on all ranks, that of the parent, rank, size, size of the other group or -1, rank in WORLD of rank 0; strings: name */
    DEFINE_STATE,                       /* id: operation; numbers: STATE_*; strings: name, color, format */
    DEFINE_STRING,                      /* id; strings: the text */
    DEFINE_CLOCK,                       /* an exchange with the host of rank 0: numbers: peer's rank, our time in ns of CLOCK_MONOTONIC, its time minus ours, bound of the error, all in ns */
    DEFINE_NOTE,                        /* numbers: NOTE_*, time in ns of CLOCK_MONOTONIC; strings: what happened */
    DEFINE_SPAWN                        /* numbers: id of the communicator with the processes that were spawned, times in ns of CLOCK_MONOTONIC before and after
                                         * that call, number of processes */
};
enum { STATE_STATE, STATE_EVENT, STATE_COUNTER };
enum { NOTE_START, NOTE_STOP, NOTE_FULL };
#endif
