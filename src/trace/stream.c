/* Reading a stream: every record once, keeping what matching needs. Whatever the file holds, nothing outside it is touched. */
#include <stdlib.h>
#include <string.h>
#include "merge.h"

int room_for(void **at, size_t *room, size_t n, size_t size)
{
    if (n < *room) return 0;
    size_t more = *room ? *room * 2 : 64;
    void *grown = realloc(*at, more * size);
    if (!grown) return -1;
    *at = grown;
    *room = more;
    return 0;
}

/* --- where records are ------------------------------------------------------------------------------------ */

static const StreamHead *head_of(const Stream *s) { return (const StreamHead *)s->data; }

static size_t place_of(const Stream *s, uint64_t segment)
{
    const StreamHead *head = head_of(s);
    return (size_t)(head->ring && head->limit ? segment % head->limit : segment);
}

static size_t places(const Stream *s) { return (s->size - STREAM_HEAD + SEGMENT - 1) / SEGMENT; }

const Record *segment_of(const Stream *s, uint64_t segment)
{
    return (const Record *)(s->data + STREAM_HEAD + place_of(s, segment) * SEGMENT);
}

size_t records_in(const Stream *s, uint64_t segment)
{
    size_t rest = (s->size - STREAM_HEAD - place_of(s, segment) * SEGMENT) / RECORD;
    return rest < SEGMENT_RECORDS ? rest : SEGMENT_RECORDS;
}

static int is_there(const Stream *s, uint64_t segment)
{
    if (place_of(s, segment) >= places(s) || records_in(s, segment) < 1) return 0;
    const SegmentHead *head = (const SegmentHead *)segment_of(s, segment);
    return head->number == segment && head->clock.ticks;
}

/* The newest segments that follow each other; what lies before a gap cannot be told from what was overwritten. */
static void find_segments(Stream *s)
{
    const StreamHead *head = head_of(s);
    uint64_t end = head->segments, most = places(s);
    if (!head->ring && end > most) end = most;
    while (end > 0 && head->segments - end < most && !is_there(s, end - 1)) end--;
    uint64_t first = end;
    while (first > 0 && end - first < most && is_there(s, first - 1)) first--;
    s->first_segment = first;
    s->segments = end - first;
    s->lost = first;
}

const Record *record_of(const Stream *s, uint64_t record)
{
    uint64_t segment = record / SEGMENT_RECORDS, i = record % SEGMENT_RECORDS;
    if (i == 0 || segment < s->first_segment || segment - s->first_segment >= s->segments || i >= records_in(s, segment)) return NULL;
    return segment_of(s, segment) + i;
}

static uint64_t bit_of(const Stream *s, uint64_t record) { return record - s->first_segment * SEGMENT_RECORDS; }

static int ones(uint64_t word)
{
    int n = 0;
    for (; word; word &= word - 1) n++;
    return n;
}

int64_t call_number(const Stream *s, uint64_t record)
{
    if (!record_of(s, record)) return -1;
    uint64_t bit = bit_of(s, record), word = s->is_call[bit / 64];
    if (!(word >> bit % 64 & 1)) return -1;
    return (int64_t)(s->calls_before[bit / 64] + (uint64_t)ones(word & LOW(bit % 64)));
}

/* --- clocks ----------------------------------------------------------------------------------------------- */

int64_t to_ns(const Stream *s, uint64_t ticks, size_t *knot)
{
    size_t k = *knot;
    while (k + 1 < s->nknots && ticks >= s->knots[k + 1].ticks) k++;
    while (k > 0 && ticks < s->knots[k].ticks) k--;
    *knot = k;
    double after = (double)(int64_t)(ticks - s->knots[k].ticks) * s->knots[k].rate;
    if (!(after > -4e18 && after < 4e18)) after = 0;   /* no clock says so: the record is damaged */
    return (int64_t)((uint64_t)s->knots[k].ns + (uint64_t)(int64_t)after);
}

/* --- what each record means ------------------------------------------------------------------------------- */

typedef struct { Stream *s; uint64_t record, number; int64_t start, end; const Record *r; Operation operation; size_t knot; } Scan;

static Membership membership(const Stream *s, size_t comm)
{
    static const Membership none = {0, -1};
    return comm < s->ncomms ? s->comms[comm] : none;
}

static Half *add_half(Scan *x, int is, size_t comm, int32_t peer, int32_t tag, int64_t bytes)
{
    Half *h = PUSH(&x->s->halves);
    if (!h) return NULL;
    *h = (Half){.record = x->record, .call = x->number, .done = (int64_t)x->number, .start = x->start, .end = x->end, .when = x->start,
                .bytes = bytes, .comm = membership(x->s, comm).comm, .rank = membership(x->s, comm).rank, .peer = peer, .tag = tag,
                .stream = x->s->index, .is = (uint16_t)is};
    if (is & IS_RETURNED) { h->done = -1; h->end = INT64_MIN; }
    if (is & IS_OPEN && !(is & IS_SEND)) h->end = INT64_MIN;
    return h;
}

/* what the flags of a record say of its half */
static int is_of(unsigned flags, int does)
{
    int is = (flags & RECORD_OPEN ? IS_OPEN : 0) | (does & RETURNS ? IS_RETURNED : 0) | (does & PARTITIONED ? IS_PARTITIONED : 0);
    return is | (does & SENDS ? IS_SEND : flags & RECORD_ANY_TAG && flags & (RECORD_OPEN | RECORD_ERROR) ? IS_UNKNOWN_TAG : 0);
}

static int scan_message(Scan *x)
{
    const Record *r = x->r;
    unsigned flags = flags_of(r);
    int does = x->operation.does, is = is_of(flags, does);
    int32_t peer = peer_of(r->lasts), tag = tag_of(r);
    if (peer == -2 || (does & PREPARES) || (does & SENDS && flags & RECORD_ERROR)) return 0;
    if (does & RECEIVES && does & RETURNS && flags & RECORD_ERROR) return 0;
    if (does & RECEIVES && does & RETURNS && flags & RECORD_ANY_TAG) is |= IS_UNKNOWN_TAG;
    if (does & RECEIVES && flags & RECORD_ANY_SOURCE && (does & RETURNS || flags & (RECORD_OPEN | RECORD_ERROR))) peer = -1;
    return add_half(x, is, comm_of(r), peer, tag, bytes_of(r->moves)) ? 0 : -1;
}

static int scan_collective(Scan *x)
{
    const Record *r = x->r;
    uint32_t number = (uint32_t)tag_of(r);
    Membership in = membership(x->s, comm_of(r));
    int32_t comm = in.rank < 0 ? 0 : in.comm, returned = (x->operation.does & RETURNS) != 0;
    if (number == UINT32_MAX || flags_of(r) & RECORD_ERROR) return 0;
    Member *m = PUSH(&x->s->members);
    if (!m) return -1;
    *m = (Member){.record = x->record, .call = x->number, .done = returned ? -1 : (int64_t)x->number, .start = x->start, .number = number,
                  .comm = comm, .operation = x->operation.number, .process = x->s->process, .is = (returned ? IS_RETURNED : 0) | (flags_of(r) & RECORD_OPEN ? IS_OPEN : 0)};
    return 0;
}

static int scan_call(Scan *x)
{
    Stream *s = x->s;
    const Record *r = x->r;
    size_t operation = (size_t)operation_of(r);
    int known = operation < s->noperations && s->operations[operation].number >= 0;
    uint64_t bit = bit_of(s, x->record);
    x->operation = known ? s->operations[operation] : (Operation){s->unknown, 0};
    s->damaged += !known;
    s->is_call[bit / 64] |= UINT64_C(1) << bit % 64;
    x->number = s->ncalls++;
    x->start = to_ns(s, r->start, &x->knot);
    x->end = to_ns(s, r->start + (r->lasts & LOW(40)), &x->knot);
    if (x->start < s->first) s->first = x->start;
    if (x->end > s->last) s->last = x->end;
    if (x->operation.does & (SENDS | RECEIVES)) return scan_message(x);
    return x->operation.does & COLLECTIVE ? scan_collective(x) : 0;
}

/* --- records that say more -------------------------------------------------------------------------------- */

/* The half that this record made, if it is a recent one. */
static Half *recent_half(Stream *s, uint64_t record)
{
    enum { FAR = 64 };
    for (size_t i = s->halves.n, low = i > FAR ? i - FAR : 0; i > low; i--)
        if (s->halves.at[i - 1].record == record) return &s->halves.at[i - 1];
    return NULL;
}

static int scan_second(Scan *x, const Record *parent)
{
    const Record *r = x->r;
    unsigned flags = (unsigned)site_of(r);
    Half *first = recent_half(x->s, r->start);
    int32_t peer = peer_of(r->lasts);
    Operation operation = x->s->operations[operation_of(parent)];       /* a half or none: it was known */
    int returned = operation.does & RETURNS, open = flags_of(parent) & RECORD_OPEN;
    if (peer == -2 || flags_of(parent) & RECORD_ERROR) return 0;
    int is = (returned ? IS_RETURNED : 0) | (open ? IS_OPEN : 0) | ((returned || open) && flags & RECORD_ANY_TAG ? IS_UNKNOWN_TAG : 0);
    x->start = to_ns(x->s, parent->start, &x->knot);
    x->end = to_ns(x->s, parent->start + (parent->lasts & LOW(40)), &x->knot);
    if ((returned || open) && flags & RECORD_ANY_SOURCE) peer = -1;
    if (first) first->second = (uint32_t)(x->record - first->record);
    return add_half(x, is, comm_of(r), peer, tag_of(r), bytes_of(r->moves)) ? 0 : -1;
}

static int scan_completed(Scan *x, const Record *parent)
{
    const Record *r = x->r;
    Completion *c = PUSH(&x->s->completions);
    if (!c) return -1;
    *c = (Completion){.target = r->lasts, .call = x->number, .bytes = bytes_of(r->moves), .source = peer_of(r->moves), .tag = tag_of(r),
                      .cancelled = (int32_t)site_of(r) & 1, .end = to_ns(x->s, parent->start + (parent->lasts & LOW(40)), &x->knot)};
    if (flags_of(parent) & RECORD_OPEN) c->end = INT64_MIN;
    return 0;
}

static int scan_started(Scan *x, const Record *parent)
{
    const Record *r = x->r;
    Half *received = recent_half(x->s, r->start);
    if (received) {
        Probed *p = PUSH(&x->s->probed);
        if (p) *p = (Probed){(size_t)(received - x->s->halves.at), r->lasts};
        return p ? 0 : -1;
    }
    Started *s = PUSH(&x->s->started);
    if (!s) return -1;
    *s = (Started){.record = x->record, .call = x->number, .target = r->lasts, .start = to_ns(x->s, parent->start, &x->knot)};
    s->end = to_ns(x->s, parent->start + (parent->lasts & LOW(40)), &x->knot);
    return 0;
}

static int scan_wide(Scan *x)
{
    Wide *w = PUSH(&x->s->wides);
    if (w) *w = (Wide){x->r->start, x->r->lasts, x->r->moves};
    return w ? 0 : -1;
}

static int scan_more(Scan *x)
{
    const Record *r = x->r, *parent = r->start < x->record ? record_of(x->s, r->start) : NULL;
    int64_t call = parent ? call_number(x->s, r->start) : -1;
    if (call < 0) {                     /* a ring has overwritten what it refers to, or nothing ever was there */
        x->s->damaged += r->start >= x->s->first_segment * SEGMENT_RECORDS;
        return 0;
    }
    x->number = (uint64_t)call;
    switch (operation_of(r)) {
    case MORE_WIDE: return scan_wide(x);
    case MORE_COMPLETED: return scan_completed(x, parent);
    case MORE_SECOND: return (size_t)operation_of(parent) < x->s->noperations ? scan_second(x, parent) : 0;
    case MORE_STARTED: return scan_started(x, parent);
    case MORE_NESTED: case MORE_VALUES: return 0;       /* tables.c */
    default: x->s->damaged++; return 0;
    }
}

static int scan_segment(Scan *x, uint64_t segment, uint64_t *empty)
{
    Stream *s = x->s;
    const Record *records = segment_of(s, segment);
    size_t n = records_in(s, segment);
    for (size_t i = 1; i < n; i++) {
        x->r = &records[i];
        x->record = segment * SEGMENT_RECORDS + i;
        uint64_t bit = bit_of(s, x->record);
        if (bit % 64 == 0) s->calls_before[bit / 64] = (uint32_t)s->ncalls;
        int operation = operation_of(x->r);
        if (!operation) { ++*empty; continue; }
        s->torn += *empty;              /* something follows: it was not the end */
        *empty = 0;
        if (operation < FIRST_EXTENSION ? scan_call(x) : scan_more(x)) return -1;
    }
    return 0;
}

static int by_record(const void *a, const void *b)
{
    uint64_t x = ((const Wide *)a)->record, y = ((const Wide *)b)->record;
    return x < y ? -1 : x > y;
}

int scan(Stream *s)
{
    find_segments(s);
    size_t words = (size_t)s->segments * SEGMENT_RECORDS / 64;
    s->is_call = calloc(words + 1, sizeof *s->is_call);
    s->calls_before = calloc(words + 1, sizeof *s->calls_before);
    if (!s->is_call || !s->calls_before) return -1;
    Scan x = {.s = s};
    uint64_t empty = 0;
    s->first = to_ns(s, head_of(s)->first.ticks, &x.knot);
    s->last = to_ns(s, head_of(s)->latest.ticks, &x.knot);
    if (s->last < s->first) s->last = s->first;
    for (uint64_t k = 0; k < s->segments; k++) {
        s->calls_before[k * SEGMENT_RECORDS / 64] = (uint32_t)s->ncalls;
        if (scan_segment(&x, s->first_segment + k, &empty)) return -1;
    }
    if (s->wides.n) qsort(s->wides.at, s->wides.n, sizeof *s->wides.at, by_record);
    return 0;
}

void free_stream(Stream *s)
{
    free(s->is_call);
    free(s->calls_before);
    free(s->halves.at);
    free(s->members.at);
    free(s->completions.at);
    free(s->started.at);
    free(s->probed.at);
    free(s->wides.at);
}
