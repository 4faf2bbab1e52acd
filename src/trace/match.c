/* Which send belongs to which receive. Within a communicator, from one rank to another and with one tag, the k-th message sent
 * is the k-th received, in the order in which receives were posted: MPI promises that messages do not overtake each other. */
#include <stdlib.h>
#include <string.h>
#include "merge.h"

typedef struct {                        /* what messages have in common that cannot overtake each other */
    int32_t comm, source, destination, tag, partitioned;        /* comm: as the sender sees it */
    int32_t streams[2];                 /* of its receives and sends; MANY: of several */
    uint32_t n[2], unordered;           /* unordered: some do not stand in the order of their records */
    size_t first[2];
} Key;
enum { NONE = -1, MANY = -2 };

typedef struct { Merge *m; Key *keys; size_t nkeys, room; uint32_t *table; size_t slots; Half **halves[2]; VECTOR(Half *) dangling; } Matching;

/* --- keys ------------------------------------------------------------------------------------------------- */

static uint64_t hash_of(const Key *k)
{
    uint64_t h = (uint64_t)(uint32_t)k->comm << 32 | (uint32_t)k->tag;
    h = (h ^ ((uint64_t)(uint32_t)k->source << 32 | (uint32_t)k->destination) * UINT64_C(0x9E3779B97F4A7C15)) * UINT64_C(0xBF58476D1CE4E5B9);
    return (h ^ h >> 29 ^ (uint64_t)k->partitioned) * UINT64_C(0x94D049BB133111EB);
}

static int same(const Key *a, const Key *b)
{
    return a->comm == b->comm && a->source == b->source && a->destination == b->destination && a->tag == b->tag && a->partitioned == b->partitioned;
}

static int more_slots(Matching *x)
{
    size_t slots = x->slots ? x->slots * 2 : 1024;
    uint32_t *table = calloc(slots, sizeof *table);
    if (!table) return -1;
    free(x->table);
    x->table = table;
    x->slots = slots;
    for (size_t i = 0; i < x->nkeys; i++) {
        size_t at = hash_of(&x->keys[i]) >> 20 & (slots - 1);
        while (table[at]) at = (at + 1) & (slots - 1);
        table[at] = (uint32_t)i + 1;
    }
    return 0;
}

static Key *key_for(Matching *x, const Key *wanted)
{
    if (x->nkeys * 2 >= x->slots && more_slots(x)) return NULL;
    size_t at = hash_of(wanted) >> 20 & (x->slots - 1);
    for (; x->table[at]; at = (at + 1) & (x->slots - 1))
        if (same(&x->keys[x->table[at] - 1], wanted)) return &x->keys[x->table[at] - 1];
    if (room_for((void **)&x->keys, &x->room, x->nkeys, sizeof *x->keys)) return NULL;
    x->keys[x->nkeys] = *wanted;
    x->table[at] = (uint32_t)++x->nkeys;
    return &x->keys[x->nkeys - 1];
}

static int is_send(const Half *h) { return (h->is & IS_SEND) != 0; }

/* One whose partner cannot be told: its communicator or what it received is not known. */
static int is_nameless(const Half *h) { return !h->comm || h->rank < 0 || h->peer < 0 || h->is & IS_UNKNOWN_TAG; }

static int list_nameless(Matching *x, Half *h)
{
    if (h->comm && !is_send(h) && h->done < 0) {        /* it may have taken any message, or none */
        Half **place = PUSH(&x->dangling);
        if (!place) return -1;
        *place = h;
        return 0;                       /* listed among those that never completed */
    }
    return list_unmatched(x->m, h->call, h->comm && h->is & IS_OPEN ? is_send(h) ? NO_RECEIVE : NO_SEND : NOT_TOLD);
}

static int add_to_key(Matching *x, Half *h)
{
    int send = is_send(h);
    Key wanted = {.comm = send ? h->comm : x->m->comms[h->comm].side, .source = send ? h->rank : h->peer, .destination = send ? h->peer : h->rank,
                  .tag = h->tag, .partitioned = (h->is & IS_PARTITIONED) != 0, .streams = {NONE, NONE}};
    Key *key = key_for(x, &wanted);
    if (!key) return -1;
    h->key = (uint32_t)(key - x->keys);
    key->n[send]++;
    if (key->streams[send] != h->stream) key->streams[send] = key->streams[send] == NONE ? h->stream : MANY;
    key->unordered |= h->when != h->start;
    return 0;
}

static int find_keys(Matching *x)
{
    for (size_t i = 0; i < x->m->nstreams; i++) {
        Stream *s = &x->m->streams[i];
        for (size_t k = 0; k < s->halves.n; k++) {
            Half *h = &s->halves.at[k];
            if (h->is & IS_GONE) continue;
            if (h->is & IS_RETURNED && h->done < 0 && list_unmatched(x->m, h->call, x->m->flags[s->process] & (MISSES_SOME | MISSES_END) ? NOT_TOLD : NOT_COMPLETED)) return -1;
            if (is_nameless(h) ? list_nameless(x, h) : add_to_key(x, h)) return -1;
        }
    }
    return 0;
}

/* The halves of each key together, in the order of streams and records. */
static int sort_by_key(Matching *x)
{
    size_t n[2] = {0, 0};
    for (size_t i = 0; i < x->nkeys; i++)
        for (int side = 0; side < 2; side++) {
            x->keys[i].first[side] = n[side];
            n[side] += x->keys[i].n[side];
            x->keys[i].n[side] = 0;
        }
    for (int side = 0; side < 2; side++)
        if (!(x->halves[side] = malloc((n[side] + 1) * sizeof *x->halves[side]))) return -1;
    for (size_t i = 0; i < x->m->nstreams; i++) {
        Stream *s = &x->m->streams[i];
        for (size_t k = 0; k < s->halves.n; k++) {
            Half *h = &s->halves.at[k];
            Key *key = &x->keys[h->key];
            int side = is_send(h);
            if (!(h->is & IS_GONE) && !is_nameless(h)) x->halves[side][key->first[side] + key->n[side]++] = h;
        }
    }
    return 0;
}

/* --- pairs ------------------------------------------------------------------------------------------------ */

static int by_time(const void *a, const void *b)
{
    const Half *x = *(Half *const *)a, *y = *(Half *const *)b;
    if (x->when != y->when) return x->when < y->when ? -1 : 1;
    if (x->stream != y->stream) return x->stream < y->stream ? -1 : 1;
    return x->record < y->record ? -1 : x->record > y->record;
}

static int process_at(const Merge *m, int32_t comm, int32_t rank)
{
    const Comm *c = &m->comms[comm];
    return rank >= 0 && rank < c->size ? m->members[c->first + (uint32_t)rank] : -1;
}

int flags_of_process(const Merge *m, int32_t process)
{
    return process == NOBODY ? MISSES_END : m->flags[process < 0 ? m->nprocesses : (size_t)process];
}

/* What is known of the records of both processes. */
static int losses(const Merge *m, const Key *key)
{
    return flags_of_process(m, process_at(m, key->comm, key->source)) | flags_of_process(m, process_at(m, m->comms[key->comm].side, key->destination));
}

/* Another of the same Startall has the same key: their order is not told. */
static int is_twin(Half *const *halves, size_t n, size_t i)
{
    return (i > 0 && halves[i - 1]->call == halves[i]->call) || (i + 1 < n && halves[i + 1]->call == halves[i]->call);
}

/* A receive that never ended, posted before, may have taken the message of this one. */
static int is_doubtful(const Matching *x, const Half *h)
{
    for (size_t i = 0; i < x->dangling.n; i++) {
        const Half *d = x->dangling.at[i];
        if (x->m->streams[d->stream].process == x->m->streams[h->stream].process && d->comm == h->comm && d->when < h->when &&
            (d->peer < 0 || d->peer == h->peer) && (d->is & IS_UNKNOWN_TAG || d->tag == h->tag)) return 1;
    }
    return 0;
}

static int add_message(Matching *x, const Half *send, const Half *receive, int assumed)
{
    Message *message = PUSH(&x->m->messages);
    if (!message) return -1;
    *message = (Message){.send = send->call, .receive = receive->call, .send_done = send->done, .receive_done = receive->done, .start = send->start,
                         .end = receive->end, .bytes = send->bytes >= 0 ? send->bytes : receive->bytes, .tag = send->tag, .comm = send->comm,
                         .assumed = assumed || is_doubtful(x, receive), .from = x->m->streams[send->stream].host, .to = x->m->streams[receive->stream].host};
    return 0;
}

static int is_possible(const Merge *m, const Half *send, const Half *receive)
{
    int one_clock = m->streams[send->stream].host == m->streams[receive->stream].host;
    if (send->bytes >= 0 && receive->bytes > send->bytes && receive->done >= 0) return 0;
    return !one_clock || receive->end == INT64_MIN || receive->end >= send->start;
}

/* Of processes that were recorded in part it can only be assumed that nothing was under way when recording began or paused. */
static int is_plausible(const Merge *m, const Key *key, Half *const *sends, Half *const *receives)
{
    if (key->n[0] != key->n[1]) return 0;
    for (size_t i = 0; i < key->n[0]; i++)
        if (!is_possible(m, sends[i], receives[i])) return 0;
    return 1;
}

static int list_rest(Matching *x, Half *const *halves, size_t from, size_t n, int why)
{
    for (size_t i = from; i < n; i++)
        if (list_unmatched(x->m, halves[i]->call, why)) return -1;
    return 0;
}

static int why_alone(const Matching *x, const Key *key, int lost, int otherwise)
{
    return x->m->comms[key->comm].apart ? NOT_FOUND : lost & (MISSES_SOME | MISSES_END) ? NOT_TOLD : otherwise;
}

static int pair_key(Matching *x, const Key *key)
{
    Half **receives = x->halves[0] + key->first[0], **sends = x->halves[1] + key->first[1];
    size_t n = key->n[0] < key->n[1] ? key->n[0] : key->n[1];
    int lost = losses(x->m, key), shared = key->streams[0] == MANY || key->streams[1] == MANY;
    if (key->streams[0] == MANY || key->unordered) qsort(receives, key->n[0], sizeof *receives, by_time);
    if (key->streams[1] == MANY) qsort(sends, key->n[1], sizeof *sends, by_time);
    if (lost & MISSES_SOME || (lost & PART && !is_plausible(x->m, key, sends, receives))) { n = 0; lost |= MISSES_SOME; }
    for (size_t i = 0; i < n; i++) {
        int twin = is_twin(sends, key->n[1], i) || is_twin(receives, key->n[0], i);
        if (add_message(x, sends[i], receives[i], shared || twin || lost & PART)) return -1;
    }
    if (list_rest(x, sends, n, key->n[1], why_alone(x, key, lost, NO_RECEIVE))) return -1;
    return list_rest(x, receives, n, key->n[0], why_alone(x, key, lost, NO_SEND));
}

/* --- what messages say of clocks -------------------------------------------------------------------------- */

typedef struct { int64_t first, last; } Span;

static size_t part_of(const Span *span, int64_t now, size_t parts)
{
    double part = (double)(now - span->first) / ((double)(span->last - span->first) + 1) * (double)parts;
    return part < 0 ? 0 : part >= (double)parts ? parts - 1 : (size_t)part;
}

/* Between which times messages of each host began. */
static void find_spans(const Merge *m, Span *spans)
{
    for (size_t i = 0; i < m->nhosts; i++) spans[i] = (Span){INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < m->messages.n; i++) {
        Span *span = &spans[m->messages.at[i].from];
        if (m->messages.at[i].start < span->first) span->first = m->messages.at[i].start;
        if (m->messages.at[i].start > span->last) span->last = m->messages.at[i].start;
    }
}

static int64_t takes(const Merge *m, const Bound *b) { return corrected(m, (int)b->to, b->received) - corrected(m, (int)b->from, b->sent); }

static int keep_bounds(Merge *m, const Bound *best, size_t n, int64_t most)
{
    for (size_t i = 0; i < n; i++) {
        if (best[i].from == best[i].to || takes(m, &best[i]) > most) continue;
        Bound *b = PUSH(&m->bounds);
        if (!b) return -1;
        *b = best[i];
    }
    return 0;
}

/* Of each pair of hosts and each part of the time the message that took least, by the clocks as they are now, if not more than `most`. */
int find_bounds(Merge *m, int64_t most)
{
    size_t parts = m->nhosts * m->nhosts < 16384 ? 256 : 4, n = m->nhosts * m->nhosts * parts;
    m->bounds.n = 0;
    if (m->nhosts < 2) return 0;
    Bound *best = calloc(n, sizeof *best);
    Span *spans = malloc(m->nhosts * sizeof *spans);
    if (spans) find_spans(m, spans);
    for (size_t i = 0; i < m->messages.n && best && spans; i++) {
        const Message *a = &m->messages.at[i];
        const Bound one = {(uint32_t)a->from, (uint32_t)a->to, a->start, a->end};
        if (a->from == a->to || a->assumed || a->end == INT64_MIN) continue;
        Bound *b = &best[((size_t)a->from * m->nhosts + (size_t)a->to) * parts + part_of(&spans[a->from], a->start, parts)];
        if (b->to == b->from || takes(m, &one) < takes(m, b)) *b = one;
    }
    int bad = !best || !spans || keep_bounds(m, best, n, most);
    free(best);
    free(spans);
    return bad ? -1 : 0;
}

int pair_messages(Merge *m)
{
    Matching x = {.m = m};
    int bad = find_keys(&x) || sort_by_key(&x);
    for (size_t i = 0; i < x.nkeys && !bad; i++) bad = pair_key(&x, &x.keys[i]);
    free(x.keys);
    free(x.table);
    free(x.halves[0]);
    free(x.halves[1]);
    free(x.dangling.at);
    return bad || find_bounds(m, INT64_MAX) ? -1 : 0;
}
