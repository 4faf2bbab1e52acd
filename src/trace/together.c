/* Collectives: calls that belong together have the same number on the same communicator. And what comes last: time for all hosts. */
#include <stdlib.h>
#include <string.h>
#include "merge.h"

int list_unmatched(Merge *m, uint64_t call, int why)
{
    Unmatched *u = PUSH(&m->unmatched);
    if (u) *u = (Unmatched){call, why};
    return u ? 0 : -1;
}

int sort_places(Place *places, size_t n)
{
    Place *spare = malloc((n + 1) * sizeof *spare), *from = places, *to = spare;
    if (!spare) return -1;
    for (int shift = 0; shift < 64; shift += 8) {
        size_t counts[257] = {0};
        for (size_t i = 0; i < n; i++) counts[(from[i].key >> shift & 255) + 1]++;
        if (n && counts[(from[0].key >> shift & 255) + 1] == n) continue;        /* all the same */
        for (int b = 0; b < 256; b++) counts[b + 1] += counts[b];
        for (size_t i = 0; i < n; i++) to[counts[from[i].key >> shift & 255]++] = from[i];
        Place *swap = from;
        from = to;
        to = swap;
    }
    if (from != places) memcpy(places, from, n * sizeof *places);
    free(spare);
    return 0;
}

static uint64_t ordered(int64_t ns) { return (uint64_t)ns ^ UINT64_C(1) << 63; }

/* --- instances -------------------------------------------------------------------------------------------- */

/* All members of communicators that are known, sorted by communicator and number, then round. The others are listed. */
static int gather(Merge *m)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < m->nstreams; i++) n += m->streams[i].members.n;
    Place *places = malloc((n + 1) * sizeof *places);
    m->together.at = malloc((n + 1) * sizeof *m->together.at);
    Member **members = malloc((n + 1) * sizeof *members);
    int bad = !places || !m->together.at || !members;
    for (size_t i = 0; i < m->nstreams && !bad; i++)
        for (size_t k = 0; k < m->streams[i].members.n; k++) {
            Member *p = &m->streams[i].members.at[k];
            if (!p->comm) { bad = bad || list_unmatched(m, p->call, NOT_TOLD); continue; }
            places[at] = (Place){p->round, at};
            members[at++] = p;
        }
    n = at;
    bad = bad || sort_places(places, n);
    for (size_t i = 0; i < n && !bad; i++) {
        const Member *p = members[places[i].index];
        places[i].key = (uint64_t)(uint32_t)m->comms[p->comm].family << 32 | p->number;
    }
    bad = bad || sort_places(places, n);
    for (size_t i = 0; i < n && !bad; i++) m->together.at[i] = *members[places[i].index];
    m->together.n = m->together.room = bad ? 0 : n;
    free(places);
    free(members);
    return bad ? -1 : 0;
}

static int belong_together(const Merge *m, const Member *a, const Member *b)
{
    return m->comms[a->comm].family == m->comms[b->comm].family && a->number == b->number && a->round == b->round;
}

/* The operation that most of them called; of equals the first. */
static int32_t usual_operation(const Member *members, size_t n)
{
    int32_t usual = members[0].operation;
    size_t most = 0;
    for (size_t i = 0; i < n && most < n - i; i++) {
        size_t count = 0;
        if (i && members[i].operation == members[i - 1].operation) continue;
        for (size_t k = 0; k < n; k++) count += members[k].operation == members[i].operation;
        if (count > most) { most = count; usual = members[i].operation; }
    }
    return usual;
}

/* Are the records of all members of the communicator here, as far as they called it? */
static int all_told(const Merge *m, const Member *member)
{
    const Comm *sides[2] = {&m->comms[member->comm], &m->comms[m->comms[member->comm].side]};
    for (int side = 0; side < (sides[0] == sides[1] ? 1 : 2); side++)
        for (int32_t i = 0; i < sides[side]->size; i++) {
            if (flags_of_process(m, m->members[sides[side]->first + (uint32_t)i])) return 0;
        }
    return 1;
}

static int add_instance(Merge *m, size_t first, size_t end)
{
    Member *members = &m->together.at[first];
    int32_t usual = usual_operation(members, end - first);
    size_t n = 0;
    int64_t start = INT64_MAX;
    for (size_t i = 0; i < end - first; i++) {
        if (members[i].operation != usual) { if (list_unmatched(m, members[i].call, ANOTHER)) return -1; }
        else members[n++] = members[i];
    }
    const Comm *comm = &m->comms[members[0].comm];
    int missing = n < end - first || (int64_t)n >= comm->total ? 0 : comm->apart ? NOT_FOUND : all_told(m, &members[0]) ? NOT_CALLED : NOT_TOLD;
    for (size_t i = 0; i < n; i++) {
        if (missing && list_unmatched(m, members[i].call, missing)) return -1;
        int lost = m->flags[members[i].process] & (MISSES_SOME | MISSES_END);
        if (members[i].done < 0 && list_unmatched(m, members[i].call, lost ? NOT_TOLD : NOT_COMPLETED)) return -1;
        if (members[i].start < start) start = members[i].start;
    }
    Instance *instance = PUSH(&m->instances);
    if (instance) *instance = (Instance){first, n, start};
    return instance ? 0 : -1;
}

int gather_collectives(Merge *m)
{
    if (gather(m)) return -1;
    for (size_t first = 0, end; first < m->together.n; first = end) {
        for (end = first + 1; end < m->together.n && belong_together(m, &m->together.at[first], &m->together.at[end]); end++) {}
        if (add_instance(m, first, end)) return -1;
    }
    return 0;
}

/* --- time ------------------------------------------------------------------------------------------------- */

int64_t corrected(const Merge *m, int host, int64_t ns)
{
    const HostClock *c = &m->clocks[host];
    int64_t since = (int64_t)((uint64_t)ns - (uint64_t)c->at), more = (int64_t)(c->drift * (double)since);
    return (int64_t)((uint64_t)ns + (uint64_t)c->offset + (uint64_t)more - (uint64_t)m->began);
}

/* the n items at `at` of this size, in the order of their places */
static int put_in_order(Place *places, void *at, size_t n, size_t size)
{
    char *sorted = malloc(n * size + 1);
    int bad = !sorted || sort_places(places, n);
    for (size_t i = 0; i < n && !bad; i++) memcpy(sorted + i * size, (char *)at + places[i].index * size, size);
    if (n && !bad) memcpy(at, sorted, n * size);
    free(sorted);
    return bad ? -1 : 0;
}

static int order_messages(Merge *m)
{
    size_t n = m->messages.n;
    Place *places = malloc((n + 1) * sizeof *places);
    for (size_t i = 0; i < n && places; i++) {
        Message *a = &m->messages.at[i];
        a->start = corrected(m, a->from, a->start);
        if (a->end != INT64_MIN) m->violations += (a->end = corrected(m, a->to, a->end)) < a->start - 1;       /* times are rounded */
        places[i] = (Place){ordered(a->start), i};
    }
    int bad = !places || put_in_order(places, m->messages.at, n, sizeof *m->messages.at);
    free(places);
    return bad ? -1 : 0;
}

static int order_instances(Merge *m)
{
    size_t n = m->instances.n;
    Place *places = malloc((n + 1) * sizeof *places);
    for (size_t i = 0; i < n && places; i++) places[i] = (Place){ordered(m->instances.at[i].start), i};
    int bad = !places || put_in_order(places, m->instances.at, n, sizeof *m->instances.at);
    free(places);
    return bad ? -1 : 0;
}

static int order_unmatched(Merge *m)
{
    size_t n = m->unmatched.n, kept = 0;
    Place *places = malloc((n + 1) * sizeof *places);
    int bad = !places;
    for (size_t i = 0; i < n && !bad; i++) places[i] = (Place){m->unmatched.at[i].call << 3 | (uint64_t)m->unmatched.at[i].why, i};
    bad = bad || sort_places(places, n);
    for (size_t i = 0; i < n && !bad; i++)
        if (!i || places[i].key != places[i - 1].key) m->unmatched.at[kept++] = (Unmatched){places[i].key >> 3, (int)(places[i].key & 7)};
    m->unmatched.n = kept;
    free(places);
    return bad ? -1 : 0;
}

/* Members start at times of their own hosts: without hosts' clocks their first is not known. */
static int correct_instances(Merge *m)
{
    int32_t *hosts = calloc(m->nprocesses + 1, sizeof *hosts);
    for (size_t i = 0; i < m->nstreams && hosts; i++) hosts[m->streams[i].process] = m->streams[i].host;
    for (size_t i = 0; i < m->instances.n && hosts; i++) {
        Instance *a = &m->instances.at[i];
        a->start = INT64_MAX;
        for (size_t k = a->first; k < a->first + a->n; k++) {
            int64_t start = corrected(m, hosts[m->together.at[k].process], m->together.at[k].start);
            if (start < a->start) a->start = start;
        }
    }
    int bad = !hosts;
    free(hosts);
    return bad ? -1 : 0;
}

int settle(Merge *m)
{
    return correct_instances(m) || order_messages(m) || order_instances(m) || order_unmatched(m) ? -1 : 0;
}
