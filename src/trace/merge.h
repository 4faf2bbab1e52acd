/* Merging: streams are read (stream.c), what belongs together is found (match.c), and the columns of the merged file are made (tables.c).
 * Functions that return int return 0, or -1 when there is no memory. Nothing here knows Python, except mergemodule.c. */
#ifndef MMPI_TRACE_MERGE_H
#define MMPI_TRACE_MERGE_H
#include <stddef.h>
#include <stdint.h>
#include "codec.h"
#include "format.h"

#define LOW(n) ((UINT64_C(1) << (n)) - 1)
#define VECTOR(type) struct { type *at; size_t n, room; }
#define PUSH(vector) (room_for((void **)&(vector)->at, &(vector)->room, (vector)->n, sizeof *(vector)->at) ? NULL : &(vector)->at[(vector)->n++])
int room_for(void **at, size_t *room, size_t n, size_t size);

/* What an operation does, as far as matching asks. What is none of these and has a number is a collective. */
enum { SENDS = 1, RECEIVES = 2, RETURNS = 4, PREPARES = 8, COLLECTIVE = 16, PARTITIONED = 32 };      /* RETURNS: a request that something completes */

typedef struct { uint64_t ticks; int64_t ns; double rate; } Knot;       /* from here on so many ns a tick */
typedef struct { int32_t number, does; } Operation;     /* in the merged file */
typedef struct { int32_t comm, rank; } Membership;      /* a communicator of the merged file (0: not known), and the process's rank in it */

/* Half of a message. */
typedef struct {
    uint64_t record, call;              /* in its stream, which completions name; the number of the call */
    int64_t done;                       /* the call that completed it; -1 */
    int64_t start, end;                 /* ns on the clock of its host, of the call, and of the end of the one that completed it */
    int64_t when;                       /* by which it is ordered: start, or when its message was probed */
    int64_t bytes;
    int32_t comm, rank, peer, tag;      /* of its own side; peer -1: not known */
    uint32_t key, second;               /* second: of an exchange, how many records later its receiving half is */
    int32_t stream;
    uint16_t is;
} Half;
enum { IS_SEND = 1, IS_OPEN = 2, IS_GONE = 4, IS_RETURNED = 8, IS_PARTITIONED = 16, IS_UNKNOWN_TAG = 32 };    /* GONE: cancelled */

/* A process's part in a collective. */
typedef struct {
    uint64_t record, call;
    int64_t done, start;
    uint32_t number, round;             /* round: 0, or the how many-eth start of a prepared one */
    int32_t comm, operation, process, is;
} Member;

typedef struct { uint64_t target, call; int64_t end, bytes; int32_t source, tag, cancelled; } Completion;
typedef struct { uint64_t record, call, target; int64_t start, end; } Started;  /* target: the call that prepared it */
typedef struct { size_t half; uint64_t target; } Probed;
typedef struct { uint64_t record, lasts, bytes; } Wide;

typedef struct {
    const uint8_t *data; size_t size;   /* the file */
    const Knot *knots; size_t nknots;
    const Operation *operations; size_t noperations;
    const int32_t *sites; size_t nsites;
    const Membership *comms; size_t ncomms;
    const int32_t *strings; size_t nstrings;
    int32_t index, process, thread, host, unknown;      /* unknown: the operation of records whose own is not defined */
    uint64_t first_segment, segments;   /* that are there */
    uint64_t ncalls, base;              /* base: number of its first call */
    int64_t first, last;                /* ns, of all that was recorded */
    uint64_t torn, damaged, lost;       /* records without operation, those that make no sense; segments a ring has overwritten */
    uint64_t *is_call; uint32_t *calls_before;  /* a bit for each record, and the number of calls before each 64 */
    VECTOR(Half) halves; VECTOR(Member) members; VECTOR(Completion) completions; VECTOR(Started) started; VECTOR(Probed) probed; VECTOR(Wide) wides;
    size_t hint;                        /* where a half was found last */
    int32_t next;                       /* stream of the same process, -1 */
} Stream;

enum { MISSES_SOME = 1, MISSES_END = 2, PART = 4 };     /* of a process: records are lost, only at the end; it was recorded in part */
/* side: the entry of the other group; members from `first` on; apart: there are processes of a world that was not found */
typedef struct { int32_t side, family, size, total; uint32_t first; int32_t apart; } Comm;
typedef struct { int64_t at, offset; double drift; } HostClock;         /* what to add to the clock of a host */
typedef struct {
    uint64_t send, receive;
    int64_t send_done, receive_done, start, end, bytes;         /* start of the send, end of the receive (INT64_MIN: not known) */
    int32_t tag, comm, assumed, from, to;       /* from, to: hosts */
} Message;
typedef struct { size_t first, n; int64_t start; } Instance;    /* of a collective: members in `together` */
typedef struct { uint64_t call; int32_t why; } Unmatched;
typedef struct { uint32_t from, to; int64_t sent, received; } Bound;    /* hosts; a message was sent before it was received */

typedef struct {
    Stream *streams; size_t nstreams;
    const Comm *comms; size_t ncomms;
    const int32_t *members; size_t nmembers;    /* processes, -1: not known, NOBODY: several say it is they */
    int32_t *flags; size_t nprocesses;  /* one more flag than processes: of whatever process never named a communicator that it is in */
    size_t nhosts;
    HostClock *clocks; int64_t began;
    VECTOR(Message) messages; VECTOR(Unmatched) unmatched; VECTOR(Member) together; VECTOR(Bound) bounds; VECTOR(Instance) instances;
    uint64_t violations;
} Merge;
enum { NO_RECEIVE = 1, NO_SEND, NOT_COMPLETED, NOT_CALLED, ANOTHER, NOT_TOLD, NOT_FOUND };         /* why a call is listed as unmatched */

int64_t to_ns(const Stream *, uint64_t ticks, size_t *knot);
size_t records_in(const Stream *, uint64_t segment);            /* of one that is there */
const Record *segment_of(const Stream *, uint64_t segment);
int64_t call_number(const Stream *, uint64_t record);           /* -1: that is no call */
const Record *record_of(const Stream *, uint64_t record);       /* NULL: it is not there */
int scan(Stream *);
void free_stream(Stream *);

/* The fields of records. */
static inline int operation_of(const Record *r) { return (int)(r->what >> 52); }
static inline int32_t peer_of(uint64_t word) { int32_t p = (int32_t)(word >> 40); return p == 0 ? -1 : p == 1 ? -2 : p - 2; }
static inline int64_t bytes_of(uint64_t word) { return (int64_t)(word & LOW(40)) - 1; }
static inline int32_t tag_of(const Record *r) { return (int32_t)(uint32_t)r->what; }
static inline size_t comm_of(const Record *r) { return r->moves >> 40 & LOW(16); }
static inline unsigned flags_of(const Record *r) { return (unsigned)(r->moves >> 56); }
static inline size_t site_of(const Record *r) { return r->what >> 32 & LOW(20); }

typedef struct { uint64_t key, index; } Place;
int sort_places(Place *, size_t n);     /* by key, stable */
enum { NOBODY = -2 };
int flags_of_process(const Merge *, int32_t process);
int list_unmatched(Merge *, uint64_t call, int why);

int pair_messages(Merge *);             /* match.c */
int find_bounds(Merge *, int64_t most); /* what messages say of the clocks of hosts */
int gather_collectives(Merge *);        /* together.c */
int link_requests(Merge *);             /* requests.c: what was started and completed when; call numbers are those of the merged file from here on */
int settle(Merge *);                    /* when the clocks are known: order the messages, count violations */
int64_t corrected(const Merge *, int host, int64_t ns);

/* Blocks of columns. `take` gets each block; what it returns other than 0 ends the walk. */
enum { BLOCK = 65536 };
typedef struct { uint8_t *bytes[10]; size_t lengths[10], ncolumns, n; int64_t start, end; } Block;
typedef int Take(void *, const Block *);
int write_calls(Merge *, size_t row, Take *, void *);
int write_table(Merge *, const char *name, Take *, void *);     /* 1: there is none of that name */
#endif
