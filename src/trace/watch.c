/* What calls mean: of each, the recorder is told whom it is for and what it moves, what requests it starts and completes, what
 * communicator it makes. Communicators get the ids, and collectives the numbers, that the core gives them in ranks of Python:
 * both kinds of ranks may be members. */
#define _GNU_SOURCE
#include "interposer.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORLD_ID = 1, PARENT_ID = 3, CHAINS = 1024 };      /* ids as in the core */
#define NOTHING_MIXED UINT64_C(14695981039346656037)
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* --- arguments -------------------------------------------------------------------------------------------- */

static int role(const Watch *w, char letter) { return w->row->at[letter - 'A']; }       /* 0, or the number of the argument from 1 */
static Arg argument(const Watch *w, int role) { return w->a[role - 1]; }

static int to_int(const Watch *w, Arg a) { return w->language ? *(int *)a : (int)a; }
static int64_t to_long(const Watch *w, Arg a) { return w->language ? *(int64_t *)a : a; }

static int int_of(const Watch *w, char letter, int otherwise)
{
    int at = role(w, letter);
    return at ? to_int(w, argument(w, at)) : otherwise;
}

static int pointed(const Watch *w, char letter) { return *(int *)argument(w, role(w, letter)); }        /* what the call has written there */

/* --- communicators, and the windows and files that are made of them --------------------------------------- */

typedef struct Place {
    struct Place *next;
    Arg handle;
    uint64_t id, parent;
    unsigned collectives, children;
    int32_t numbers[4];                 /* rank, size, -1, rank in WORLD of rank 0; as the recorder wants them */
    char name[128];
} Place;
static Place *places[CHAINS];

static size_t chain_of(Arg handle) { return ((uint64_t)handle * UINT64_C(0x9e3779b97f4a7c15)) >> 54; }

static Place *place_at(Arg handle)      /* locked, as the next two */
{
    Place *p = places[chain_of(handle)];
    while (p && p->handle != handle) p = p->next;
    return p;
}

static void forget_place(Arg handle)
{
    Place **at = &places[chain_of(handle)];
    while (*at && (*at)->handle != handle) at = &(*at)->next;
    Place *p = *at;
    if (p) { *at = p->next; free(p); }
}

static void add_place(Arg handle, const Place *like)
{
    forget_place(handle);               /* a handle of one that has ended */
    Place *p = malloc(sizeof *p), **chain = &places[chain_of(handle)];
    if (!p) return;
    *p = *like;
    p->handle = handle;
    p->next = *chain;
    *chain = p;
}

static uint64_t mix(uint64_t a, uint64_t b)     /* that of the core (comm.c) */
{
    uint64_t x = a + UINT64_C(0x9e3779b97f4a7c15) * (b + 1);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* The ranks of the first n of a group's processes among all that were started together; -1: they cannot be told. */
static int to_ranks(Arg group, int n, int *ranks)
{
    int (*translate)(Arg, Arg, Arg, Arg, Arg) = (int (*)(Arg, Arg, Arg, Arg, Arg))find("PMPI_Group_translate_ranks");
    int *theirs = malloc(((size_t)n + 1) * sizeof *theirs), rc = -1;
    All all;
    for (int i = 0; theirs && i < n; i++) theirs[i] = i;
    if (theirs && translate && !take_all(&all)) {
        rc = translate(group, n, (Arg)theirs, all.group, (Arg)ranks);
        let_all_go(&all);
    }
    free(theirs);
    return rc ? -1 : 0;
}

/* what a hash makes of the ranks of a group's processes there; 0: they cannot be told. Strangers are not there. */
static uint64_t mix_group(uint64_t what, Arg group, int *strangers)
{
    int n = 0, *ranks = library_says("PMPI_Group_size", group, (Arg)&n) ? NULL : malloc(((size_t)n + 1) * sizeof *ranks);
    int known = ranks && !to_ranks(group, n, ranks);
    for (int i = 0; i < n && known; i++) {
        if (ranks[i] < 0) { *strangers = 1; ranks[i] = -1; }
        what = mix(what, (uint64_t)ranks[i]);
    }
    free(ranks);
    return known ? what : 0;
}

/* the same of a group of a communicator, by the function that tells it */
static uint64_t mix_group_of(uint64_t what, const char *function, Arg comm, int *strangers)
{
    Arg group = 0;
    if (library_says(function, comm, (Arg)&group)) return 0;
    what = mix_group(what, group, strangers);
    library_says("PMPI_Group_free", (Arg)&group, 0);
    return what;
}

/* How many communicators were made of the same processes, this one included. */
static uint64_t count_made(uint64_t what)
{
    static struct { uint64_t what, n; } *made;
    static size_t n;
    size_t i = 0;
    uint64_t number = 0;
    pthread_mutex_lock(&lock);
    while (i < n && made[i].what != what) i++;
    void *more = i < n ? made : realloc(made, (n + 1) * sizeof *made);
    if (more) {
        made = more;
        if (i == n) { made[n].what = what; made[n++].n = 0; }
        number = ++made[i].n;
    }
    pthread_mutex_unlock(&lock);
    return number;
}

/* The id of a communicator of two groups, as in the core (comm.c): of who is in both, and of what it was made by (0: nothing that both know). */
static uint64_t id_of_inter(Arg comm, uint64_t made)
{
    int strangers = 0;
    uint64_t own = mix_group_of(NOTHING_MIXED, "PMPI_Comm_group", comm, &strangers), other = mix_group_of(NOTHING_MIXED, "PMPI_Comm_remote_group", comm, &strangers);
    uint64_t groups = own && other ? mix(own < other ? own : other, own < other ? other : own) : 0;
    if (groups && !made) made = count_made(groups);
    return groups && made ? (mix(groups, made) & ~UINT64_C(1)) | (uint64_t)strangers : 0;
}

/* the rank of a communicator's rank 0 among all that were started together */
static int leader_of(Arg comm)
{
    Arg group = 0;
    int leader = -1;
    if (library_says("PMPI_Comm_group", comm, (Arg)&group)) return -1;
    if (to_ranks(group, 1, &leader)) leader = -1;
    library_says("PMPI_Group_free", (Arg)&group, 0);
    return leader;
}

/* What is to be known of a communicator besides its id; is it one of two groups? */
static int describe(Arg comm, Place *p)
{
    int inter = 0;
    *p = (Place){.numbers = {-1, -1, -1, -1}};
    library_says("PMPI_Comm_rank", comm, (Arg)&p->numbers[0]);
    library_says("PMPI_Comm_size", comm, (Arg)&p->numbers[1]);
    library_says("PMPI_Comm_test_inter", comm, (Arg)&inter);
    if (inter) library_says("PMPI_Comm_remote_size", comm, (Arg)&p->numbers[2]);
    return inter;
}

/* made: by what, as all members know it; 0: nothing, which is enough for two groups */
static void add_comm(Arg comm, uint64_t made, uint64_t parent)
{
    Place p;
    int inter = describe(comm, &p);
    p.parent = parent;
    p.numbers[3] = leader_of(comm);
    p.id = inter ? id_of_inter(comm, made) : made ? mix(made, (uint64_t)p.numbers[3]) : 0;
    if (!p.id) return;
    pthread_mutex_lock(&lock);
    add_place(comm, &p);
    pthread_mutex_unlock(&lock);
}

void watch_parent(void)
{
    Arg parent = 0;
    Place p;
    if (library_says("PMPI_Comm_get_parent", (Arg)&parent, 0)) return;
    parent = handle_in(COMM, (Arg)&parent, IN_C);
    describe(parent, &p);
    p.id = PARENT_ID;
    p.numbers[3] = 0;
    pthread_mutex_lock(&lock);
    add_place(parent, &p);
    pthread_mutex_unlock(&lock);
}

void watch_world(int rank, int size)
{
    pthread_mutex_lock(&lock);
    add_place(library.world, &(Place){.id = WORLD_ID, .numbers = {rank, size, -1, 0}, .name = "MPI_COMM_WORLD"});
    add_place(library.self, &(Place){.id = mix(WORLD_ID + 1, (uint64_t)rank), .numbers = {0, 1, -1, -1}});
    pthread_mutex_unlock(&lock);
}

/* The handle that the call is on; 0 if on none. */
static Arg on(const Watch *w)
{
    static const struct { char by_value, by_pointer; int class; } kinds[] = {{'c', 'y', COMM}, {'W', 'U', WIN}, {'F', 'P', FILE_}};
    for (int i = 0; i < 3; i++) {
        int value = role(w, kinds[i].by_value), pointer = role(w, kinds[i].by_pointer);
        if (value) return handle_of(kinds[i].class, argument(w, value), w->language);
        if (pointer) return handle_in(kinds[i].class, argument(w, pointer), w->language);
    }
    return 0;
}

/* The place that the call is on, and its number in this recording; a collective counts. Of a place that is not known all is 0. */
static int take_place(const Watch *w, Place *found)
{
    Arg handle = on(w);
    Place *p = NULL;
    *found = (Place){.id = 0};
    pthread_mutex_lock(&lock);
    if (handle) p = place_at(handle);
    if (p && w->row->flags & ALL) p->collectives++;
    if (p) *found = *p;
    if (p && (role(w, 'y') || role(w, 'U') || role(w, 'P'))) forget_place(handle);      /* now: afterwards another may have this handle */
    pthread_mutex_unlock(&lock);
    return found->id ? mmpi_trace_comm(found->id, found->parent, found->numbers, found->name) : 0;
}

/* --- requests, and messages that a probe has found -------------------------------------------------------- */

typedef struct Request {
    struct Request *next;
    Arg handle;
    uint64_t start;                     /* the record that it stands for; 0: a prepared one that is not started */
    uint64_t prepared;                  /* the record that prepared it, if one did */
    int receives, is_prepared, cancelled, source, made_in;
    Arg makes;                          /* where the handle of a new communicator will stand, */
    uint64_t id, parent;                /* and what that will be */
} Request;
static Request *requests[CHAINS];

/* Several can have one handle: those that were done when they began. They go in the order in which they came. */
static void add_request(const Request *like)
{
    Request *r = malloc(sizeof *r), **at = &requests[chain_of(like->handle)];
    if (!r) return;
    *r = *like;
    r->next = NULL;
    pthread_mutex_lock(&lock);
    while (*at) at = &(*at)->next;
    *at = r;
    pthread_mutex_unlock(&lock);
}

static Request **request_at(Arg handle)         /* locked */
{
    Request **at = &requests[chain_of(handle)];
    while (*at && (*at)->handle != handle) at = &(*at)->next;
    return at;
}

/* Its request, which ends unless it is prepared, or is let go; {0} if there is none. */
static Request take_request(Arg handle, int let_go)
{
    Request found = {.start = 0};
    pthread_mutex_lock(&lock);
    Request **at = request_at(handle), *r = *at;
    if (r) found = *r;
    if (r) r->start = 0;
    if (r && (let_go || !r->is_prepared)) { *at = r->next; free(r); }
    pthread_mutex_unlock(&lock);
    return found;
}

static void mark_cancelled(Arg handle)
{
    pthread_mutex_lock(&lock);
    Request *r = *request_at(handle);
    if (r) r->cancelled = 1;
    pthread_mutex_unlock(&lock);
}

static int receives(Arg handle)
{
    pthread_mutex_lock(&lock);
    const Request *r = *request_at(handle);
    int yes = r && r->start && r->receives;
    pthread_mutex_unlock(&lock);
    return yes;
}

static void start_prepared(const Watch *w, Arg handle)
{
    pthread_mutex_lock(&lock);
    Request *r = *request_at(handle);
    uint64_t prepared = r ? r->prepared : 0;
    pthread_mutex_unlock(&lock);
    uint64_t start = mmpi_trace_started(w->number, prepared);
    pthread_mutex_lock(&lock);
    if ((r = *request_at(handle)) != NULL) r->start = start;
    pthread_mutex_unlock(&lock);
}

/* --- what moves ------------------------------------------------------------------------------------------- */

static int64_t count_at(const Watch *w, Arg array, int i) { return w->row->flags & WIDE_COUNTS ? ((int64_t *)array)[i] : ((int *)array)[i]; }

/* Items on one side of a collective, or of a message; a letter for one count, one for an array, of which from..end is summed up. */
static int64_t count_of(const Watch *w, char one, char many, int from, int end)
{
    int single = role(w, one), array = role(w, many), parts = role(w, 'L');
    int64_t count = 0;
    if (single) return (w->row->flags & WIDE_COUNTS ? to_long(w, argument(w, single)) : to_int(w, argument(w, single))) * (parts ? to_long(w, argument(w, parts)) : 1);
    if (!array || !argument(w, array)) return -1;
    for (int i = from; i < end; i++) count += count_at(w, argument(w, array), i);
    return count;
}

static int64_t sized(const Watch *w, int64_t count, char type)
{
    int at = role(w, type);
    int64_t size = at && count >= 0 ? size_of_type(handle_of(TYPE, argument(w, at), w->language)) : -1;
    return size < 0 ? -1 : count * size;
}

/* What this rank gives, in bytes; -1: nothing, or not known. Arguments that do not count on this rank may be anything. */
static int64_t bytes_of(const Watch *w, const Place *p)
{
    int buffer = role(w, 'B'), bytes = role(w, 'z');
    int rank = p->numbers[0], size = p->numbers[1];
    if (bytes) return to_long(w, argument(w, bytes));
    if (w->row->flags & ALL && (!p->id || p->numbers[2] >= 0)) return -1;         /* perhaps, or certainly, in a communicator of two groups */
    if (w->row->flags & FROM_ROOT && int_of(w, 'r', -1) != rank) return 0;
    if (buffer && is_in_place(argument(w, buffer), w->language)) return sized(w, count_of(w, 'N', 'V', rank, rank + 1), 'T');
    return sized(w, role(w, 't') && !role(w, 'n') && !role(w, 'v') ? 1 : count_of(w, 'n', 'v', 0, size), 't');
}

/* --- before the call -------------------------------------------------------------------------------------- */

static int peer_of(int peer) { return peer >= 0 ? peer : peer == library.proc_null ? TRACE_PROC_NULL : TRACE_NO_PEER; }
static int tag_of(int tag) { return tag == library.any_tag ? -1 : tag; }

static unsigned wildcards(int peer, int tag)
{
    return (peer == library.any_source ? RECORD_ANY_SOURCE : 0) | (tag == library.any_tag ? RECORD_ANY_TAG : 0);
}

static int has_room(Watch *w)
{
    size_t n = (size_t)w->n;
    if (n <= FEW) return 1;
    if (!(w->many = malloc(n * (sizeof *w->handles + STATUS_INTS * sizeof *w->statuses)))) return 0;
    w->handles = w->many;
    w->statuses = (int *)(w->handles + n);
    return 1;
}

/* The requests of the call, as they are before it. */
static void take_handles(Watch *w)
{
    int one = role(w, 'Q'), array = role(w, 'A');
    if (!one) one = role(w, 'Z') | role(w, 'e') | role(w, 'a');
    if (!array) array = role(w, 'Y');
    if (one) { w->n = 1; w->handles[0] = handle_in(REQUEST, argument(w, one), w->language); }
    if (!array) return;
    w->n = int_of(w, 'k', 0);
    if (w->n < 0 || !has_room(w)) { w->n = 0; return; }
    for (int i = 0; i < w->n; i++) w->handles[i] = handle_at(REQUEST, argument(w, array), i, w->language);
}

/* Whom a receive was from we must know, even where the program ignores it. */
static void take_statuses(Watch *w)
{
    int one = role(w, 's'), several = role(w, 'S'), at = one ? one : several;
    if (!at || (several && !w->n)) return;
    Arg *status = &w->a[at - 1];
    if (is_ignored(*status, w->language)) *status = (Arg)w->statuses;
    else w->statuses = (int *)*status;
}

static int message_source(const Watch *w)
{
    Arg handle = handle_in(MESSAGE, argument(w, role(w, 'm')), w->language);
    w->handles[0] = handle;
    if (handle == library.no_message_there) return library.proc_null;
    pthread_mutex_lock(&lock);
    const Request *r = *request_at(handle);
    int source = r ? r->source : library.any_source;
    pthread_mutex_unlock(&lock);
    return source;
}

static void define_operation(const Row *row)
{
    static char told[FIRST_USER];       /* the recording, modulo 256, that knows it */
    char name[64];
    int n = (int)strlen(row->name) - (row->flags & WIDE_COUNTS ? 2 : 0);        /* without _c: as the core has it */
    if (told[row->operation] == (char)mmpi_trace_session()) return;
    told[row->operation] = (char)mmpi_trace_session();
    snprintf(name, sizeof name, "MPI_%.*s", n, row->name);
    mmpi_trace_operation(row->operation, name);
}

void watch(Watch *w)
{
    const Row *row = w->row;
    Place place;
    w->handles = w->few.handles;
    w->statuses = w->few.statuses;
    w->many = NULL;
    w->n = 0;
    take_handles(w);
    take_statuses(w);
    if (row->flags & SPAWNS) w->began = mmpi_trace_now();
    int comm = take_place(w, &place), all = row->flags & ALL, exchange = role(w, 'D');
    int peer = role(w, 'm') ? message_source(w) : int_of(w, 'd', int_of(w, 'r', -1)), tag = int_of(w, 'g', 0);
    int from = int_of(w, 'D', -1), from_tag = int_of(w, 'G', -1), both = exchange && from != library.proc_null;
    unsigned flags = row->flags & RECEIVES && role(w, 'd') ? wildcards(peer, tag) : 0;
    define_operation(row);
    w->number = mmpi_trace_enter(&(TraceCall){
        .operation = row->operation, .comm = comm, .peer = role(w, 'd') || role(w, 'm') || role(w, 'r') ? peer_of(peer) : TRACE_NO_PEER,
        .tag = all && comm ? (int)place.collectives : role(w, 'g') ? tag_of(tag) : -1, .flags = flags, .bytes = bytes_of(w, &place),
        .waits = w->n > 0, .both = both, .from = both ? peer_of(from) : TRACE_NO_PEER, .from_tag = both ? tag_of(from_tag) : -1,
        .from_flags = both ? wildcards(from, from_tag) : 0});
}

/* --- after it --------------------------------------------------------------------------------------------- */

static const int *status_of(const Watch *w, int i) { return w->statuses + i * library.status_ints; }

static void end_as(TraceEnd *end, const int *status)
{
    end->known = 1;
    end->peer = peer_of(status[library.source_at]);
    end->tag = tag_of(status[library.tag_at]);
    end->bytes = status_bytes(status);
}

/* Which of its requests the call has completed: all of them, one, some whose numbers stand in the program's array, or none. */
typedef struct { int n; const int *indices; int first; } Done;

static Done done_of(const Watch *w)
{
    int from = w->language ? 1 : 0;      /* Fortran counts from 1 */
    if (role(w, 'f') && !pointed(w, 'f')) return (Done){0, NULL, 0};
    if (role(w, 'i')) {
        int index = pointed(w, 'i');
        return index == library.undefined ? (Done){0, NULL, 0} : (Done){1, NULL, index - from};
    }
    if (role(w, 'o')) {
        int n = pointed(w, 'o');
        return (Done){n == library.undefined ? 0 : n, (const int *)argument(w, role(w, 'I')), -from};
    }
    return (Done){w->n, NULL, 0};
}

static void end_of_wait(const Watch *w, const Done *done, TraceEnd *end)
{
    end->in_vain = !done->n && ((role(w, 'f') && !pointed(w, 'f')) || (w->row->flags & POLLS && !pointed(w, 'o')));
    if (done->n == 1 && role(w, 's') && done->first < w->n && receives(w->handles[done->first])) end_as(end, status_of(w, 0));
}

/* One request of the call is done. */
static void complete(const Watch *w, Arg handle, const int *status)
{
    if (handle == library.no_request) return;
    const Request r = take_request(handle, 0);
    int gone = r.cancelled && is_cancelled(status), known = r.receives && !gone;
    Arg made = r.makes ? handle_in(COMM, r.makes, r.made_in) : 0;
    if (made && made != library.no_comm) add_comm(made, r.id, r.parent);
    mmpi_trace_completed(w->number, r.start, known ? peer_of(status[library.source_at]) : TRACE_NO_PEER, known ? tag_of(status[library.tag_at]) : -1,
                         known ? status_bytes(status) : -1, gone);
}

static void complete_all(const Watch *w, const Done *done)
{
    for (int i = 0; i < done->n; i++) {
        int at = done->first + (done->indices ? done->indices[i] : i);
        if (at >= 0 && at < w->n) complete(w, w->handles[at], status_of(w, role(w, 's') ? 0 : i));
    }
}

/* After an error, what is done is what MPI has let go of. */
static void forget_failed(const Watch *w)
{
    int one = role(w, 'Q'), array = role(w, 'A');
    for (int i = 0; i < w->n; i++) {
        Arg now = one ? handle_in(REQUEST, argument(w, one), w->language) : handle_at(REQUEST, argument(w, array), i, w->language);
        if (now == library.no_request) take_request(w->handles[i], 0);
    }
}

static void add_new_request(const Watch *w, Arg makes, uint64_t id, uint64_t parent)
{
    int prepared = (w->row->flags & PREPARES) != 0;
    Request r = {.handle = handle_in(REQUEST, argument(w, role(w, 'q')), w->language), .start = prepared ? 0 : w->number, .prepared = prepared ? w->number : 0,
                 .is_prepared = prepared, .receives = w->row->flags & RECEIVES || role(w, 'D'), .makes = makes, .made_in = w->language, .id = id, .parent = parent};
    if (r.handle && r.handle != library.no_request) add_request(&r);
}

static uint64_t id_on(const Watch *w)   /* of the place that the call is on; 0: none is known */
{
    pthread_mutex_lock(&lock);
    const Place *p = place_at(on(w));
    const uint64_t id = p ? p->id : 0;
    pthread_mutex_unlock(&lock);
    return id;
}

/* A number, and the communicator that the group is of, or a text. In Fortran that has blanks at its end, and its length stands behind all other arguments. */
static uint64_t hash_of_tag(const Watch *w, uint64_t parent)
{
    if (role(w, 'g')) return mix(mix(NOTHING_MIXED, parent), (uint64_t)int_of(w, 'g', 0));
    const char *tag = (const char *)argument(w, role(w, 'h'));
    uint64_t what = NOTHING_MIXED;
    size_t n = w->language ? (size_t)w->a[strlen(w->row->roles) + 1] : strlen(tag);
    while (w->language && n && tag[n - 1] == ' ') n--;
    for (size_t i = 0; i < n; i++) what = mix(what, (unsigned char)tag[i]);
    return what;
}

/* A communicator that a group alone has made gets an id of who is in it and of the tag, as in the core (comm.c, session.c). */
static void note_of_group(const Watch *w)
{
    Arg comm = handle_in(COMM, argument(w, role(w, 'x')), w->language);
    int strangers = 0;
    Place p;
    if (comm == library.no_comm) return;
    const uint64_t parent = id_on(w), what = mix_group_of(hash_of_tag(w, parent), "PMPI_Comm_group", comm, &strangers);
    if (!what) return;
    describe(comm, &p);
    p.parent = parent;
    p.id = mix(what, count_made(what));
    pthread_mutex_lock(&lock);
    add_place(comm, &p);
    pthread_mutex_unlock(&lock);
}

static void note_joined(const Watch *w)
{
    Arg comm = handle_in(COMM, argument(w, role(w, 'j')), w->language);
    if (comm == library.no_comm) return;
    add_comm(comm, 0, id_on(w));
    if (!(w->row->flags & SPAWNS)) return;
    pthread_mutex_lock(&lock);
    const Place *p = place_at(comm);
    const Place found = p ? *p : (Place){.id = 0};
    pthread_mutex_unlock(&lock);
    if (found.id) mmpi_trace_spawned(found.id, found.numbers[2], mmpi_trace_now() - w->began);
}

/* A new communicator, window or file, or the request that makes one. */
static void note_new(const Watch *w)
{
    if (role(w, 'x') && (role(w, 'h') || role(w, 'g'))) { note_of_group(w); return; }
    if (role(w, 'j')) { note_joined(w); return; }
    int comm = role(w, 'x'), window = role(w, 'u'), file = role(w, 'p');
    int new = comm ? comm : window ? window : file;
    uint64_t parent = 0, id = 0;
    int32_t numbers[4];
    if (new) {
        pthread_mutex_lock(&lock);
        Place *p = place_at(on(w));
        if (p) { parent = p->id; id = mix(parent, ++p->children); memcpy(numbers, p->numbers, sizeof numbers); }
        pthread_mutex_unlock(&lock);
    }
    if (role(w, 'q')) { add_new_request(w, id ? argument(w, new) : 0, id, parent); return; }
    if (!id) return;
    Arg handle = handle_in(comm ? COMM : window ? WIN : FILE_, argument(w, new), w->language);
    if (comm && handle != library.no_comm) add_comm(handle, id, parent);
    if (comm) return;
    pthread_mutex_lock(&lock);
    add_place(handle, &(Place){.id = id, .parent = parent, .numbers = {numbers[0], numbers[1], numbers[2], -1}});
    pthread_mutex_unlock(&lock);
}

static void note_name(const Watch *w)
{
    int (*get)(Arg, Arg, Arg) = (int (*)(Arg, Arg, Arg))find("PMPI_Comm_get_name"), length;
    Place found = {.id = 0};
    pthread_mutex_lock(&lock);
    Place *p = place_at(on(w));
    if (p && get && !get(p->handle, (Arg)p->name, (Arg)&length)) found = *p;
    pthread_mutex_unlock(&lock);
    if (found.id) mmpi_trace_name(found.id, found.parent, found.numbers, found.name);
}

/* A probe has found a message, or a message is received: the receive has the probe's place in the order of messages. */
static void note_message(const Watch *w)
{
    if (role(w, 'M') && (!role(w, 'f') || pointed(w, 'f'))) {
        Request r = {.handle = handle_in(MESSAGE, argument(w, role(w, 'M')), w->language), .start = w->number, .source = w->statuses[library.source_at]};
        if (r.handle != library.no_message && r.handle != library.no_message_there) add_request(&r);
    }
    if (role(w, 'm')) mmpi_trace_started(w->number, take_request(w->handles[0], 1).start);
}

static void note_requests(const Watch *w)
{
    if (role(w, 'e')) take_request(w->handles[0], 1);
    if (role(w, 'a')) mark_cancelled(w->handles[0]);
    if (role(w, 'Z') || role(w, 'Y')) for (int i = 0; i < w->n; i++) start_prepared(w, w->handles[i]);
}

void note(Watch *w, int rc)
{
    TraceEnd end = {.error = rc != 0};
    int waits = role(w, 'Q') || role(w, 'A');
    Done done = waits && !rc ? done_of(w) : (Done){0, NULL, 0};
    if (waits && !rc) end_of_wait(w, &done, &end);
    else if (!rc && role(w, 'f')) end.in_vain = !pointed(w, 'f');
    if (!rc && !waits && role(w, 's') && !end.in_vain) end_as(&end, status_of(w, 0));
    mmpi_trace_leave(w->number, &end);
    if (rc && waits) forget_failed(w);
    if (!rc) {
        complete_all(w, &done);
        note_requests(w);
        if (role(w, 'M') || role(w, 'm')) note_message(w);
        if (role(w, 'q') || role(w, 'x') || role(w, 'u') || role(w, 'p') || role(w, 'j')) note_new(w);
        if (w->row->flags & NAMES) note_name(w);
    }
    free(w->many);
}
