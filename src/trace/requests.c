/* Requests: what a Start has started, what a wait has completed. Both may be calls of another thread. */
#include <stdlib.h>
#include "merge.h"

static Stream *thread_of(Merge *m, const Stream *s, uint64_t number)
{
    for (int32_t i = s->next; i != s->index; i = m->streams[i].next)
        if ((uint64_t)m->streams[i].thread == number >> 48) return &m->streams[i];
    return (uint64_t)s->thread == number >> 48 ? (Stream *)(uintptr_t)s : NULL;
}

/* The streams of a process in a circle. */
static void link_threads(Merge *m)
{
    for (size_t i = 0; i < m->nstreams; i++) {
        Stream *s = &m->streams[i];
        s->next = s->index;
        for (size_t j = i; j-- > 0;)
            if (m->streams[j].process == s->process) { s->next = m->streams[j].next; m->streams[j].next = s->index; break; }
    }
}

static void number_calls(Merge *m)
{
    uint64_t base = 0;
    for (size_t i = 0; i < m->nstreams; i++) {
        Stream *s = &m->streams[i];
        s->base = base;
        base += s->ncalls;
        for (size_t k = 0; k < s->halves.n; k++) {
            s->halves.at[k].call += s->base;
            if (s->halves.at[k].done >= 0) s->halves.at[k].done += (int64_t)s->base;
        }
        for (size_t k = 0; k < s->members.n; k++) {
            s->members.at[k].call += s->base;
            if (s->members.at[k].done >= 0) s->members.at[k].done += (int64_t)s->base;
        }
        for (size_t k = 0; k < s->completions.n; k++) s->completions.at[k].call += s->base;
        for (size_t k = 0; k < s->started.n; k++) s->started.at[k].call += s->base;
    }
}

/* The order of a message that was probed is that of the probe, which knows the communicator too. */
static void order_probed(Merge *m, Stream *s)
{
    for (size_t i = 0; i < s->probed.n; i++) {
        size_t knot = 0;
        const Stream *t = thread_of(m, s, s->probed.at[i].target);
        const Record *probe = t ? record_of(t, s->probed.at[i].target & LOW(48)) : NULL;
        Half *h = &s->halves.at[s->probed.at[i].half];
        if (!probe) continue;
        h->when = to_ns(t, probe->start, &knot);
        if (h->comm || comm_of(probe) >= t->ncomms) continue;
        h->comm = t->comms[comm_of(probe)].comm;
        h->rank = t->comms[comm_of(probe)].rank;
    }
}

/* --- what was started ------------------------------------------------------------------------------------- */

static int half_started(Stream *s, const Started *started, const Stream *t, const Record *prepared, int does)
{
    int32_t peer = peer_of(prepared->lasts);
    size_t comm = comm_of(prepared);
    Membership in = comm < t->ncomms ? t->comms[comm] : (Membership){0, -1};
    if (peer == -2) return 0;
    int any_tag = !(does & SENDS) && flags_of(prepared) & RECORD_ANY_TAG, any_source = !(does & SENDS) && flags_of(prepared) & RECORD_ANY_SOURCE;
    Half *h = PUSH(&s->halves);
    if (!h) return -1;
    *h = (Half){.record = started->record, .call = started->call, .done = -1, .start = started->start, .end = INT64_MIN, .when = started->start,
                .bytes = bytes_of(prepared->moves), .comm = in.comm, .rank = in.rank, .peer = any_source ? -1 : peer, .tag = tag_of(prepared), .stream = s->index,
                .is = (uint16_t)(IS_RETURNED | (does & SENDS ? IS_SEND : 0) | (does & PARTITIONED ? IS_PARTITIONED : 0) | (any_tag ? IS_UNKNOWN_TAG : 0))};
    return 0;
}

static int member_started(Stream *s, const Started *started, const Stream *t, const Record *prepared, Operation operation, uint32_t round)
{
    size_t comm = comm_of(prepared);
    Member *p = PUSH(&s->members);
    if (!p) return -1;
    *p = (Member){.record = started->record, .call = started->call, .done = -1, .start = started->start, .number = (uint32_t)tag_of(prepared), .round = round,
                  .comm = comm < t->ncomms ? t->comms[comm].comm : 0, .operation = operation.number, .process = s->process, .is = IS_RETURNED};
    return 0;
}

static int by_target(const void *a, const void *b)
{
    const Started *x = a, *y = b;
    if (x->target != y->target) return x->target < y->target ? -1 : 1;
    return x->record < y->record ? -1 : x->record > y->record;
}

static int half_by_record(const void *a, const void *b)
{
    uint64_t x = ((const Half *)a)->record, y = ((const Half *)b)->record;
    return x < y ? -1 : x > y;
}

static int member_by_record(const void *a, const void *b)
{
    uint64_t x = ((const Member *)a)->record, y = ((const Member *)b)->record;
    return x < y ? -1 : x > y;
}

static int add_started(Merge *m, Stream *s)
{
    uint64_t target = 0;
    uint32_t round = 0;
    if (!s->started.n) return 0;
    qsort(s->started.at, s->started.n, sizeof *s->started.at, by_target);       /* to count the starts of each */
    for (size_t i = 0; i < s->started.n; i++) {
        const Started *started = &s->started.at[i];
        const Stream *t = thread_of(m, s, started->target);
        const Record *prepared = t ? record_of(t, started->target & LOW(48)) : NULL;
        size_t number = prepared ? (size_t)operation_of(prepared) : SIZE_MAX;
        Operation operation = prepared && number < t->noperations ? t->operations[number] : (Operation){-1, 0};
        int bad = 0;
        if (started->target != target) { target = started->target; round = 0; }
        round++;
        if (!(operation.does & PREPARES)) bad = list_unmatched(m, started->call, NOT_TOLD);
        else if (operation.does & COLLECTIVE) bad = member_started(s, started, t, prepared, operation, round);
        else bad = half_started(s, started, t, prepared, operation.does);
        if (bad) return -1;
    }
    if (s->halves.n) qsort(s->halves.at, s->halves.n, sizeof *s->halves.at, half_by_record);
    if (s->members.n) qsort(s->members.at, s->members.n, sizeof *s->members.at, member_by_record);
    return 0;
}

/* --- what was completed ----------------------------------------------------------------------------------- */

/* Requests mostly complete soon after their start and in its order: look around the last one. */
static Half *find_half(Stream *s, uint64_t record)
{
    size_t low = 0, high = s->halves.n, step = 1, at = s->hint < high ? s->hint : 0;
    Half *halves = s->halves.at;
    if (!high) return NULL;
    if (halves[at].record <= record) {
        low = at;
        while (low + step < high && halves[low + step].record <= record) { low += step; step *= 2; }
        if (low + step < high) high = low + step;
    } else {
        high = at;
        while (high > step && halves[high - step].record > record) { high -= step; step *= 2; }
        low = high > step ? high - step : 0;
    }
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (halves[middle].record <= record) low = middle;
        else high = middle;
    }
    s->hint = low;
    return halves[low].record == record ? &halves[low] : NULL;
}

static Member *find_member(Stream *s, uint64_t record)
{
    size_t low = 0, high = s->members.n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->members.at[middle].record < record) low = middle + 1;
        else high = middle;
    }
    return low < s->members.n && s->members.at[low].record == record ? &s->members.at[low] : NULL;
}

static void complete(Half *h, const Completion *c)
{
    if (!(h->is & IS_RETURNED) || h->done >= 0) return;
    h->done = (int64_t)c->call;
    h->end = c->end;
    if (c->cancelled) h->is |= IS_GONE;
    if (h->is & IS_SEND || c->source == -1) return;     /* the status of a send says nothing */
    if (c->source == -2) { h->is |= IS_GONE; return; }
    if (h->peer < 0) h->peer = c->source;               /* what was said is certain: of an Isendrecv, MPICH's status is not */
    if (h->is & IS_UNKNOWN_TAG) h->tag = c->tag;
    h->is &= (uint16_t)~IS_UNKNOWN_TAG;
    if (c->bytes >= 0) h->bytes = c->bytes;
}

static void take_completions(Merge *m, Stream *s)
{
    for (size_t i = 0; i < s->completions.n; i++) {
        const Completion *c = &s->completions.at[i];
        uint64_t record = c->target & LOW(48);
        Stream *t = thread_of(m, s, c->target);
        Half *h = t ? find_half(t, record) : NULL, *second = h && h->second ? find_half(t, record + h->second) : NULL;
        Member *member = t && !h ? find_member(t, record) : NULL;
        if (h) complete(h, c);
        if (second) complete(second, c);
        if (member && member->done < 0) member->done = (int64_t)c->call;
    }
    free(s->completions.at);
    s->completions.at = NULL;
    s->completions.n = s->completions.room = 0;
}

int link_requests(Merge *m)
{
    link_threads(m);
    number_calls(m);
    for (size_t i = 0; i < m->nstreams; i++) {
        order_probed(m, &m->streams[i]);
        if (add_started(m, &m->streams[i])) return -1;
    }
    for (size_t i = 0; i < m->nstreams; i++) take_completions(m, &m->streams[i]);
    return 0;
}
