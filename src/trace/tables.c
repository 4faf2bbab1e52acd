/* The tables of the merged file, a block of columns at a time. */
#include <stdlib.h>
#include <string.h>
#include "merge.h"

enum { COLUMNS = 10 };
typedef struct {
    int64_t *values[COLUMNS];
    const enum Coding *codings;
    Block block;                        /* its bytes are those of the columns, encoded */
    Take *take;
    void *to;
} Table;

static const enum Coding CALLS[] = {DELTA, PLAIN, DELTA, DELTA, DELTA, ZIGZAG, ZIGZAG, ZIGZAG, PLAIN, PLAIN};
static const enum Coding MESSAGES[] = {DELTA, ZIGZAG, ZIGZAG, ZIGZAG, ZIGZAG, ZIGZAG, DELTA, PLAIN};
static const enum Coding COLLECTIVES[] = {DELTA, DELTA, ZIGZAG};
static const enum Coding NESTED[] = {DELTA, PLAIN, PLAIN, PLAIN, PLAIN};
static const enum Coding VALUES[] = {DELTA, PLAIN, PLAIN, ZIGZAG};
static const enum Coding UNMATCHED[] = {DELTA, PLAIN};

static void close_table(Table *t)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        free(t->values[i]);
        free(t->block.bytes[i]);
    }
}

static int open_table(Table *t, const enum Coding *codings, size_t ncolumns, Take *take, void *to)
{
    *t = (Table){.codings = codings, .block = {.ncolumns = ncolumns}, .take = take, .to = to};
    for (size_t i = 0; i < ncolumns; i++) {
        t->values[i] = malloc(BLOCK * sizeof *t->values[i]);
        t->block.bytes[i] = malloc(BLOCK * VARINT);
        if (!t->values[i] || !t->block.bytes[i]) { close_table(t); return -1; }
    }
    return 0;
}

static int flush(Table *t)
{
    if (!t->block.n) return 0;
    for (size_t i = 0; i < t->block.ncolumns; i++) t->block.lengths[i] = encode_column(t->values[i], t->block.n, t->codings[i], t->block.bytes[i]);
    int rc = t->take(t->to, &t->block);
    t->block.n = 0;
    return rc;
}

static int add(Table *t, const int64_t *row)
{
    for (size_t i = 0; i < t->block.ncolumns; i++) t->values[i][t->block.n] = row[i];
    return ++t->block.n == BLOCK ? flush(t) : 0;
}
#define ADD(table, ...) add(table, (const int64_t[]){__VA_ARGS__})

/* --- calls ------------------------------------------------------------------------------------------------ */

typedef struct {
    const Merge *m; const Stream *s; Table table;
    size_t knot, wide, half, depth, room;
    int64_t *ends;                      /* of the calls that we are in */
    int64_t until, before;              /* when an open call is taken to end; start of the call before */
} Rows;

static int64_t end_of_process(const Merge *m, const Stream *s)
{
    int64_t last = s->last;
    for (int32_t i = s->next; i != s->index; i = m->streams[i].next)
        if (m->streams[i].last > last) last = m->streams[i].last;
    return corrected(m, s->host, last);
}

/* The half of a message that this record is. */
static const Half *half_of(Rows *x, uint64_t record)
{
    const Stream *s = x->s;
    while (x->half < s->halves.n && s->halves.at[x->half].record < record) x->half++;
    return x->half < s->halves.n && s->halves.at[x->half].record == record ? &s->halves.at[x->half] : NULL;
}

/* What this record began and something else ended: that tells what was received. */
static int was_received(const Half *h) { return h && !(h->is & IS_SEND) && h->is & IS_RETURNED && h->done >= 0 && !(h->is & IS_GONE); }

static void widen(Rows *x, uint64_t record, uint64_t *lasts, int64_t *bytes)
{
    const Stream *s = x->s;
    for (; x->wide < s->wides.n && s->wides.at[x->wide].record <= record; x->wide++) {
        const Wide *w = &s->wides.at[x->wide];
        if (w->record == record && w->lasts) *lasts = w->lasts;
        if (w->record == record && w->bytes <= INT64_MAX) *bytes = (int64_t)w->bytes;
    }
}

/* How many calls this one is in. */
static int enter(Rows *x, int64_t start, int64_t end, int64_t *depth)
{
    while (x->depth && x->ends[x->depth - 1] <= start) x->depth--;
    *depth = (int64_t)x->depth;
    if (room_for((void **)&x->ends, &x->room, x->depth, sizeof *x->ends)) return -1;
    x->ends[x->depth++] = end;
    return 0;
}

static int write_call(Rows *x, const Record *r, uint64_t record)
{
    const Stream *s = x->s;
    uint64_t lasts = r->lasts & LOW(40);
    int64_t bytes = bytes_of(r->moves), depth;
    size_t operation = (size_t)operation_of(r), site = site_of(r), comm = comm_of(r);
    widen(x, record, &lasts, &bytes);
    int64_t start = corrected(x->m, s->host, to_ns(s, r->start, &x->knot)), end = corrected(x->m, s->host, to_ns(s, r->start + lasts, &x->knot));
    if (flags_of(r) & RECORD_OPEN) end = x->until;
    if (start < x->before) start = x->before;
    if (end < start) end = start;
    x->before = start;
    if (enter(x, start, end, &depth)) return -1;
    const Half *half = half_of(x, record), *h = was_received(half) ? half : NULL;
    int32_t in = half ? half->comm : comm < s->ncomms ? s->comms[comm].comm : 0;
    if (!x->table.block.n) { x->table.block.start = start; x->table.block.end = end; }
    if (end > x->table.block.end) x->table.block.end = end;
    return ADD(&x->table, start, end - start, operation < s->noperations && s->operations[operation].number >= 0 ? s->operations[operation].number : s->unknown,
               site < s->nsites ? s->sites[site] : 0, in, h ? h->peer : peer_of(r->lasts), h ? h->tag : tag_of(r),
               h ? h->bytes : bytes, flags_of(r), depth);
}

int write_calls(Merge *m, size_t row, Take *take, void *to)
{
    const Stream *s = &m->streams[row];
    Rows x = {.m = m, .s = s, .until = end_of_process(m, s)};
    int rc = open_table(&x.table, CALLS, COLUMNS, take, to);
    if (rc) return rc;
    for (uint64_t segment = s->first_segment; segment < s->first_segment + s->segments && !rc; segment++) {
        const Record *records = segment_of(s, segment);
        size_t n = records_in(s, segment);
        for (size_t i = 1; i < n && !rc; i++)
            if (operation_of(&records[i]) && operation_of(&records[i]) < FIRST_EXTENSION) rc = write_call(&x, &records[i], segment * SEGMENT_RECORDS + i);
    }
    rc = rc ? rc : flush(&x.table);
    close_table(&x.table);
    free(x.ends);
    return rc;
}

/* --- what calls have besides ------------------------------------------------------------------------------ */

typedef int More(Table *, const Stream *, const Record *, const Record *call, uint64_t number);

static int write_nested(Table *t, const Stream *s, const Record *r, const Record *call, uint64_t number)
{
    size_t knot = 0;
    if (operation_of(r) != MORE_NESTED) return 0;
    int64_t start = to_ns(s, call->start, &knot), began = to_ns(s, call->start + (uint32_t)tag_of(r), &knot);
    int64_t ended = to_ns(s, call->start + (uint32_t)tag_of(r) + (r->lasts & LOW(40)), &knot);
    return ADD(t, (int64_t)number, (int64_t)(r->lasts >> 40), began > start ? began - start : 0, ended > began ? ended - began : 0, (int64_t)(r->moves & INT64_MAX));
}

static int64_t value_of(const Stream *s, int type, uint64_t bits)
{
    return type != VALUE_STRING ? (int64_t)bits : bits < s->nstrings ? s->strings[bits] : 0;
}

static int write_values(Table *t, const Stream *s, const Record *r, const Record *call, uint64_t number)
{
    (void)call;
    if (operation_of(r) != MORE_VALUES) return 0;
    int first = tag_of(r) & 255, second = tag_of(r) >> 8 & 255;
    int64_t position = t->block.end = (int64_t)number == t->block.start ? t->block.end + 2 : 0;      /* of the record before: the same call's */
    t->block.start = (int64_t)number;
    if (first >= VALUE_INT && first <= VALUE_STRING && ADD(t, (int64_t)number, position, first, value_of(s, first, r->lasts))) return -1;
    return second >= VALUE_INT && second <= VALUE_STRING ? ADD(t, (int64_t)number, position + 1, second, value_of(s, second, r->moves)) : 0;
}

static int each_more(Merge *m, Table *t, More *more)
{
    t->block.start = -1;
    for (size_t i = 0; i < m->nstreams; i++) {
        const Stream *s = &m->streams[i];
        for (uint64_t segment = s->first_segment; segment < s->first_segment + s->segments; segment++) {
            const Record *records = segment_of(s, segment);
            size_t n = records_in(s, segment);
            for (size_t k = 1; k < n; k++) {
                const Record *r = &records[k], *call = operation_of(r) < FIRST_EXTENSION || r->start >= segment * SEGMENT_RECORDS + k ? NULL : record_of(s, r->start);
                int64_t number = call ? call_number(s, r->start) : -1;
                if (number >= 0 && more(t, s, r, call, s->base + (uint64_t)number)) return -1;
            }
        }
    }
    return 0;
}

static int each_message(Merge *m, Table *t)
{
    for (size_t i = 0; i < m->messages.n; i++) {
        const Message *a = &m->messages.at[i];
        if (ADD(t, (int64_t)a->send, a->send_done, (int64_t)a->receive, a->receive_done, a->bytes, a->tag, a->comm, a->assumed)) return -1;
    }
    return 0;
}

static int each_instance(Merge *m, Table *t)
{
    for (size_t i = 0; i < m->instances.n; i++)
        for (size_t k = m->instances.at[i].first; k < m->instances.at[i].first + m->instances.at[i].n; k++)
            if (ADD(t, (int64_t)i, (int64_t)m->together.at[k].call, m->together.at[k].done)) return -1;
    return 0;
}

static int each_unmatched(Merge *m, Table *t)
{
    for (size_t i = 0; i < m->unmatched.n; i++)
        if (ADD(t, (int64_t)m->unmatched.at[i].call, m->unmatched.at[i].why)) return -1;
    return 0;
}

int write_table(Merge *m, const char *name, Take *take, void *to)
{
    Table t;
    int rc;
#define TABLE(word, codings, walk) \
    if (!strcmp(name, word)) { \
        if (open_table(&t, codings, sizeof codings / sizeof *codings, take, to)) return -1; \
        rc = walk; \
        rc = rc ? rc : flush(&t); \
        close_table(&t); \
        return rc; \
    }
    TABLE("messages", MESSAGES, each_message(m, &t))
    TABLE("collectives", COLLECTIVES, each_instance(m, &t))
    TABLE("unmatched", UNMATCHED, each_unmatched(m, &t))
    TABLE("nested", NESTED, each_more(m, &t, write_nested))
    TABLE("values", VALUES, each_more(m, &t, write_values))
#undef TABLE
    return 1;
}
