/* Streams of records. In the way of a call there are plain stores, no system call and no page fault: a helper thread gets
 * the next segment of a stream ready while the present one is filled. What is rare (definitions, new threads) takes a lock. */
#define _GNU_SOURCE
#include "recorder.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RARE __attribute__((noinline, cold))    /* so that it does not make the way of each call longer */
#define LOW(n) ((UINT64_C(1) << (n)) - 1)
#define EACH_STREAM(s) for (Stream *s = __atomic_load_n(&streams, __ATOMIC_ACQUIRE); s; s = s->older)
enum { DEPTH = 64, CACHE = 8, STRINGS = 1 << 16, COMMS = 1 << 16, USER = FIRST_EXTENSION - FIRST_USER, TEXT = 240, LINE = 64 };

typedef struct { uint64_t number; Record *record; int operation, waits, both, from, from_tag; unsigned from_flags; } Open;    /* both: else the last three are not set */

typedef struct Stream {
    Record *at, *end;                   /* the place of the next record, and the end of its segment; what each call looks at comes first, in one line of the cache */
    uint64_t next;                      /* the number of the next record */
    volatile int live;                  /* the session, until the stream is closed; then -1 */
    int depth, is_packed, ring;
    Open open[DEPTH];
    struct Stream *older;
    StreamHead *head;                   /* mapped, with all the file may hold; blocks come a segment at a time */
    Record *records;
    uint64_t ready, wanted;             /* segments that have their blocks, and that should */
    uint64_t places;                    /* segments that fit into the file */
    uint64_t poll;                      /* number of polls in vain, to which another may be added; 0: none */
    uint64_t packed_at, packed_for;     /* when pickling for the next call began, and how long it took */
    int64_t packed;
    int session, number, file, full;
    pthread_mutex_t preparing;
    struct { uint64_t id; int number; } comms[CACHE];
} Stream;

static volatile int on, session;        /* session: of the recording under way, 0: none; on: the same while it records, 0 while it pauses */
static int sessions, threads, definitions = -1;
static Stream *streams;
static TraceOptions options;
static char folder[3072], job[16], host[256], boot[40];
static volatile int64_t budget;         /* segments left */
static uint64_t record_ns;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t key;
static sem_t work;
static __thread Stream *mine __attribute__((tls_model("initial-exec")));

/* --- clocks ----------------------------------------------------------------------------------------------- */

static int by_counter, is_fake;
static int64_t fake_offset, fake_since;
static double fake_drift;               /* of one */

static int64_t clock_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* for tests: this process seems to be on another host, whose clock is off and drifts */
int64_t mmpi_trace_now(void)
{
    int64_t now = clock_of(CLOCK_MONOTONIC);
    return is_fake ? now + fake_offset + (int64_t)(fake_drift * (double)(now - fake_since)) : now;
}

static inline uint64_t ticks(void)
{
#if defined(__x86_64__)
    if (by_counter) return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t t;
    if (by_counter) { __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t)); return t; }
#endif
    return (uint64_t)mmpi_trace_now();
}

uint64_t mmpi_trace_ticks(void) { return ticks(); }

static ClockPair clocks(void)
{
    ClockPair pair = {ticks(), (uint64_t)mmpi_trace_now(), (uint64_t)clock_of(CLOCK_REALTIME)};
    return pair;
}

static int has_word(const char *path, const char *line, const char *word)
{
    char text[4096];
    int found = 0;
    FILE *file = fopen(path, "re");
    while (file && !found && fgets(text, sizeof text, file)) found = !strncmp(text, line, strlen(line)) && strstr(text, word);
    if (file) fclose(file);
    return found;
}

/* the counter of the processor, if it ticks evenly, and on all cores as one */
static int counter_is_sound(void)
{
#if defined(__aarch64__)
    return 1;
#elif defined(__x86_64__)
    static const char cpu[] = "/proc/cpuinfo";
    return has_word(cpu, "flags", " constant_tsc") && has_word(cpu, "flags", " nonstop_tsc") &&
           has_word("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc", "tsc");
#else
    return 0;
#endif
}

/* MMPI_TRACE_FAKE_CLOCK: "offset in ns:drift in millionths" for rank 0, then for rank 1, ..., with commas between */
static void fake_clock(int rank)
{
    const char *text = getenv("MMPI_TRACE_FAKE_CLOCK");
    for (int i = 0; text && i < rank; i++) text = strchr(text, ',') ? strchr(text, ',') + 1 : NULL;
    if (!text || rank < 0) return;
    char *drift;
    fake_offset = strtoll(text, &drift, 10);
    fake_drift = *drift == ':' ? strtod(drift + 1, NULL) / 1e6 : 0;
    fake_since = clock_of(CLOCK_MONOTONIC);
    is_fake = 1;
    snprintf(boot, sizeof boot, "fake-%d", rank);
}

/* A container may have a time namespace, where CLOCK_MONOTONIC is off by so much: it goes into the last part of the boot's id. */
static void tell_clocks_apart(void)
{
    enum { LAST = 24 };                 /* where that begins */
    long long seconds = 0, ns = 0;
    FILE *file = fopen("/proc/self/timens_offsets", "re");
    int known = file && fscanf(file, "monotonic %lld %lld", &seconds, &ns) == 2;
    if (file) fclose(file);
    if (!known || !(seconds || ns) || strlen(boot) < LAST) return;
    unsigned long long off = (unsigned long long)seconds * 1000000000 + (unsigned long long)ns;
    snprintf(boot + LAST, sizeof boot - LAST, "%012llx", (strtoull(boot + LAST, NULL, 16) ^ off) & 0xFFFFFFFFFFFF);
}

static void read_boot(void)
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!file || !fgets(boot, sizeof boot, file)) snprintf(boot, sizeof boot, "?");
    boot[strcspn(boot, "\n")] = 0;
    if (file) fclose(file);
    tell_clocks_apart();
}

const char *mmpi_trace_boot(void) { return boot; }

/* --- definitions ------------------------------------------------------------------------------------------ */

static uint32_t checksum(const unsigned char *at, size_t n)     /* CRC-32 */
{
    uint32_t crc = ~0u;
    while (n--) {
        crc ^= *at++;
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
    }
    return ~crc;
}

/* One write a definition, so that it is there as a whole or not at all. */
static void define(int kind, int id, const int64_t *numbers, const char *const *texts, int ntexts)
{
    struct { DefinitionHead head; Definition body; char text[5 * 1024]; } d;
    memset(&d.body, 0, sizeof d.body);
    d.body.kind = (uint32_t)kind;
    d.body.id = (uint32_t)id;
    for (int i = 0; numbers && i < NUMBERS; i++) d.body.numbers[i] = numbers[i];
    size_t used = 0;
    for (int i = 0; i < ntexts; i++) {
        size_t n = strnlen(texts[i] ? texts[i] : "", sizeof d.text / 5 - 1);
        memcpy(d.text + used, texts[i] ? texts[i] : "", n);
        d.text[used + n] = 0;
        used += n + 1;
    }
    d.head.length = (uint32_t)(sizeof d.body + used);
    d.head.checksum = checksum((const unsigned char *)&d.body, d.head.length);
    size_t whole = sizeof d.head + d.head.length;
    if (definitions < 0 || write(definitions, &d, whole) == (ssize_t)whole) return;
    if (on) fprintf(stderr, "mmpi: recording has ended: %s: %s\n", folder, strerror(errno));
    on = 0;
}
#define NUMBERED(...) (const int64_t[NUMBERS]){__VA_ARGS__}
#define TEXTS(...) (const char *const[]){__VA_ARGS__}

void mmpi_trace_note(int kind, const char *text)
{
    define(DEFINE_NOTE, 0, NUMBERED(kind, mmpi_trace_now()), TEXTS(text), 1);
}

static int64_t started_at(void)
{
    char text[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file) fclose(file);
    text[n] = 0;
    char *at = strrchr(text, ')');      /* ends the second word, which may have blanks; the time is the 22nd */
    for (int word = 2; at && word < 22; word++) at = strchr(at + 1, ' ');
    return at ? strtoll(at, NULL, 10) : 0;
}

/* Of worlds that were spawned Open MPI has names; MPICH has none, but starts the processes of one after those of the other. */
static int64_t world(void)
{
    const char *name = options.spawned ? getenv("PMIX_NAMESPACE") : NULL;
    return name && *name ? 2 + (int64_t)checksum((const unsigned char *)name, strlen(name)) : options.spawned;
}

static void define_process(void)
{
    const int64_t started = started_at(), since_boot = clock_of(CLOCK_BOOTTIME) - started * (INT64_C(1000000000) / sysconf(_SC_CLK_TCK));
    const int64_t numbers[NUMBERS] = {getpid(), options.rank, options.size, world(), started, mmpi_trace_now() - since_boot};
    define(DEFINE_PROCESS, 0, numbers, TEXTS(job, host, boot, options.program, options.library), 5);
}

void mmpi_trace_clock(int peer, int64_t time, int64_t difference, int64_t bound)
{
    define(DEFINE_CLOCK, 0, NUMBERED(peer, time, difference, bound), NULL, 0);
}

void mmpi_trace_operation(int operation, const char *name)
{
    define(DEFINE_OPERATION, operation, NULL, TEXTS(name), 1);
}

void mmpi_trace_site(int site, const char *file, int line, const char *function)
{
    define(DEFINE_SITE, site, NUMBERED(line), TEXTS(file, function), 2);
}

/* --- tables: communicators by id, strings by text --------------------------------------------------------- */

typedef struct Entry { struct Entry *next; uint64_t id; int number; char *text; } Entry;
typedef struct { Entry *chains[1024]; int n; } Table;
static Table comms, strings;

static uint64_t hash(const char *text)
{
    uint64_t h = UINT64_C(14695981039346656037);
    while (*text) h = (h ^ (unsigned char)*text++) * UINT64_C(1099511628211);
    return h;
}

static Entry *look_up(const Table *table, uint64_t id, const char *text)
{
    Entry *e = table->chains[id % 1024];
    while (e && (e->id != id || (text && strcmp(e->text, text)))) e = e->next;
    return e;
}

static Entry *add_entry(Table *table, uint64_t id, const char *text, int most)
{
    Entry *e = table->n < most - 1 ? calloc(1, sizeof *e) : NULL;
    if (!e || (text && !(e->text = strdup(text)))) { free(e); return NULL; }
    e->id = id;
    e->number = ++table->n;
    e->next = table->chains[id % 1024];
    table->chains[id % 1024] = e;
    return e;
}

static void empty(Table *table)
{
    for (int i = 0; i < 1024; i++)
        while (table->chains[i]) {
            Entry *e = table->chains[i];
            table->chains[i] = e->next;
            free(e->text);
            free(e);
        }
    table->n = 0;
}

static void define_comm(int number, uint64_t id, uint64_t parent, const int32_t *n, const char *name)
{
    define(DEFINE_COMM, number, NUMBERED((int64_t)id, (int64_t)parent, n[0], n[1], n[2], n[3]), TEXTS(name), 1);
}

int mmpi_trace_comm(uint64_t id, uint64_t parent, const int32_t numbers[4], const char *name)
{
    Stream *s = mine;
    int i = (int)(id % CACHE);
    if (!id) return 0;
    if (s && s->session == session && s->comms[i].id == id) return s->comms[i].number;
    pthread_mutex_lock(&lock);
    Entry *e = look_up(&comms, id, NULL);
    if (!e && session && (e = add_entry(&comms, id, NULL, COMMS))) define_comm(e->number, id, parent, numbers, name);
    int number = e ? e->number : 0;
    pthread_mutex_unlock(&lock);
    if (s && s->session == session) { s->comms[i].id = id; s->comms[i].number = number; }
    return number;
}

/* it has another name from now on */
void mmpi_trace_name(uint64_t id, uint64_t parent, const int32_t numbers[4], const char *name)
{
    pthread_mutex_lock(&lock);
    const Entry *e = look_up(&comms, id, NULL);
    if (e) define_comm(e->number, id, parent, numbers, name);
    pthread_mutex_unlock(&lock);
}

void mmpi_trace_spawned(uint64_t id, int n, int64_t ago)
{
    const int64_t time = mmpi_trace_now();
    define(DEFINE_SPAWN, 0, NUMBERED((int64_t)id, time - ago, time, n), NULL, 0);
}

int mmpi_trace_string(const char *text)
{
    char cut[TEXT + 1];
    snprintf(cut, sizeof cut, "%s", text);
    pthread_mutex_lock(&lock);
    Entry *e = look_up(&strings, hash(cut), cut);
    if (!e && session && (e = add_entry(&strings, hash(cut), cut, STRINGS))) define(DEFINE_STRING, e->number, NULL, TEXTS(cut), 1);
    int number = e ? e->number : 0;
    pthread_mutex_unlock(&lock);
    return number;
}

/* --- segments --------------------------------------------------------------------------------------------- */

static Record *segment_at(const Stream *s, uint64_t k) { return s->records + (k < s->places ? k : k % s->places) * SEGMENT_RECORDS; }     /* a division takes long */

static int get_blocks(Stream *s, uint64_t k)
{
    if (__atomic_sub_fetch(&budget, 1, __ATOMIC_RELAXED) < 0) { __atomic_add_fetch(&budget, 1, __ATOMIC_RELAXED); return EDQUOT; }
    int error = posix_fallocate(s->file, (off_t)(STREAM_HEAD + k * SEGMENT), SEGMENT);
    if (error) __atomic_add_fetch(&budget, 1, __ATOMIC_RELAXED);
    return error;
}

/* Blocks first, since a write to a page that the disk has no room for kills; then the pages. 0 or an errno; s->preparing is held. */
static int prepare(Stream *s, uint64_t k)
{
    enum { POPULATE_WRITE = 23, PAGE = 4096 };
    if (s->ready > k) return 0;
    int fresh = k < s->places, error = fresh ? get_blocks(s, k) : s->ring ? 0 : EDQUOT;
    char *at = error ? NULL : (char *)segment_at(s, k);
    if (error) return error;
    if (!fresh) { memset(at, 0, SEGMENT); ((SegmentHead *)at)->number = k; }
    else if (madvise(at, SEGMENT, POPULATE_WRITE)) for (int i = 0; i < SEGMENT; i += PAGE) ((volatile char *)at)[i] = 0;
    s->ready = k + 1;
    return 0;
}

/* Until a request for a segment, or a second has passed: then the heads of the streams get the time, which tells until when a process
 * that is killed has lived, and how fast its counter ticked. */
static int wait_for_work(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    if (!(session ? sem_timedwait(&work, &until) : sem_wait(&work))) return 0;
    return errno;
}

static void *help(void *unused)
{
    (void)unused;
    for (;;) {
        int error = wait_for_work();
        if (error && error != ETIMEDOUT) continue;
        EACH_STREAM(s) {
            pthread_mutex_lock(&s->preparing);
            if (s->live > 0 && s->wanted) prepare(s, s->wanted - 1);
            if (s->live > 0 && error) s->head->latest = clocks();
            pthread_mutex_unlock(&s->preparing);
        }
    }
    return NULL;
}

static void start_helper(void)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (!pthread_create(&thread, NULL, help, NULL)) pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void say_full(int error)
{
    char text[4096];
    if (error == EDQUOT) snprintf(text, sizeof text, "the limit of %llu MiB was reached (MMPI_TRACE_LIMIT)", (unsigned long long)(options.limit >> 20));
    else snprintf(text, sizeof text, "%s: %s", folder, strerror(error));
    pthread_mutex_lock(&lock);
    mmpi_trace_note(NOTE_FULL, text);
    pthread_mutex_unlock(&lock);
    if (error != EDQUOT) fprintf(stderr, "mmpi: recording has ended: %s\n", text);
}

static int begin_segment(Stream *s, uint64_t k)
{
    int error = s->live < 0 ? EBADF : s->full ? s->full : prepare(s, k);
    if (error) return error;
    SegmentHead *head = (SegmentHead *)segment_at(s, k);
    head->clock = s->head->latest = clocks();
    head->number = k;
    s->head->segments = k + 1;
    s->at = segment_at(s, k) + 1;
    s->end = segment_at(s, k) + SEGMENT_RECORDS;
    s->next = (uint64_t)s->number << 48 | (k * SEGMENT_RECORDS + 1);
    s->poll = 0;
    s->wanted = k + 1 + !(s->ring && s->places == 2);           /* there, what comes next takes the place of what was before, of which something must be left */
    return 0;
}

/* the next segment; -1: there is no room for one, and the record is counted as lost */
static RARE int turn(Stream *s)
{
    pthread_mutex_lock(&s->preparing);
    int error = begin_segment(s, s->head->segments), first = error && !s->full;
    if (error && error != EBADF) { s->full = error; s->head->dropped++; }
    pthread_mutex_unlock(&s->preparing);
    if (!error) sem_post(&work);
    else if (first && error != EBADF) say_full(error);
    return error ? -1 : 0;
}

/* --- streams ---------------------------------------------------------------------------------------------- */

/* The file keeps its whole segments. Records that other threads write at this moment have their place still. */
static void close_stream(Stream *s)
{
    pthread_mutex_lock(&s->preparing);
    if (s->live > 0) {
        s->head->latest = clocks();
        uint64_t used = s->head->segments < s->places ? s->head->segments : s->places;
        __atomic_add_fetch(&budget, (int64_t)((s->ready < s->places ? s->ready : s->places) - used), __ATOMIC_RELAXED);
        s->live = -1;
        s->head->finished = !ftruncate(s->file, (off_t)(STREAM_HEAD + used * SEGMENT));
        close(s->file);
    }
    pthread_mutex_unlock(&s->preparing);
}

static void let_go(Stream *s)           /* of the memory of a closed stream; its thread uses it no more */
{
    pthread_setspecific(key, NULL);
    munmap(s->head, STREAM_HEAD + s->places * SEGMENT);
}

static void thread_ends(void *stream)
{
    mine = NULL;
    close_stream(stream);
    let_go(stream);
}

/* A ring has its size from the start: most of the limit for the first thread, a sixteenth for each other. */
static uint64_t places_for(int first)
{
    uint64_t all = options.limit / SEGMENT;
    uint64_t places = !options.ring ? all : first ? all * 3 / 4 : all / 16;
    return places < 2 ? 2 : places;
}

static void describe_stream(const Stream *s)
{
    StreamHead *head = s->head;
    memcpy(head->magic, "mmpi-str", sizeof head->magic);
    head->version = TRACE_VERSION;
    head->head = STREAM_HEAD;
    memcpy(head->job, job, sizeof head->job);
    memcpy(head->host, host, sizeof head->host);
    memcpy(head->boot, boot, sizeof head->boot);
    head->pid = getpid();
    head->tid = (int32_t)syscall(SYS_gettid);
    head->rank = options.rank;
    head->size = options.size;
    head->thread = (uint32_t)s->number;
    head->ticks_are_ns = !by_counter;
    head->first = head->latest = clocks();
    head->limit = s->places;
    head->ring = (uint32_t)s->ring;
    head->record_ns = record_ns;
}

/* a new file of this thread's; the kernel gives the number of a thread to another later */
static int open_file(void)
{
    char path[4096];
    int tid = (int)syscall(SYS_gettid), file = -1;
    for (int i = 1; file < 0 && i < 1000; i++) {
        int n = snprintf(path, sizeof path, i == 1 ? "%s/%s-%s-%d-%d.mmpis" : "%s/%s-%s-%d-%d-%d.mmpis", folder, job, host, (int)getpid(), tid, i);
        if (n >= (int)sizeof path) return -1;
        file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file < 0 && errno != EEXIST) return -1;
    }
    return file;
}

static int map_stream(Stream *s)
{
    size_t size = STREAM_HEAD + s->places * SEGMENT;
    int error = posix_fallocate(s->file, 0, STREAM_HEAD);
    void *at = error ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, s->file, 0);
    if (error || at == MAP_FAILED) return error ? error : errno;
    madvise(at, size, MADV_DONTFORK);
    s->head = at;
    s->records = (Record *)((char *)at + STREAM_HEAD);
    return 0;
}

/* The stream of this thread, which has none in this session yet. Without a file, it is one that is closed. */
static RARE Stream *new_stream(void)
{
    Stream *s, *old = pthread_getspecific(key);
    void *memory;
    if (posix_memalign(&memory, LINE, sizeof *s)) return NULL;
    s = memset(memory, 0, sizeof *s);
    if (old) let_go(old);
    pthread_mutex_init(&s->preparing, NULL);
    pthread_mutex_lock(&lock);
    s->session = session;
    s->live = -1;
    s->number = threads++;
    s->ring = options.ring;
    s->places = places_for(!streams);
    if (session && s->number < 1 << 16 && (s->file = open_file()) >= 0) {
        int error = map_stream(s);
        if (error) close(s->file);
        else { s->live = session; describe_stream(s); }
    }
    s->older = streams;
    if (s->live > 0) __atomic_store_n(&streams, s, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
    mine = s;
    if (s->live > 0) pthread_setspecific(key, s);
    return s;
}

static RARE Stream *other_stream(void)
{
    Stream *s = mine;
    if (on && (!s || s->session != session)) s = new_stream();
    return on && s && s->live > 0 ? s : NULL;
}

static inline Stream *stream(void)      /* of this thread; NULL: it does not record */
{
    Stream *s = mine;
    return s && s->live == on ? s : other_stream();
}

static Stream *stream_of(uint64_t number)       /* of this thread, if it has made this record */
{
    Stream *s = mine;
    return s && number && s->live > 0 && (uint64_t)s->number == number >> 48 ? s : NULL;
}

/* NULL: a ring has overwritten it, or is about to */
static Record *record_at(const Stream *s, uint64_t number)
{
    uint64_t index = number & LOW(48), k = index / SEGMENT_RECORDS;
    if (s->ring && k + s->places < s->wanted) return NULL;
    return segment_at(s, k) + index % SEGMENT_RECORDS;
}

/* --- records ---------------------------------------------------------------------------------------------- */

static inline Record *place(Stream *s)          /* NULL: no room */
{
    return s->at == s->end && turn(s) ? NULL : s->at;
}

/* Its number; start 0 is now. The counter is read as late as can be, also at the end of a call: meanwhile a processor does little else, and what follows waits. */
static inline uint64_t write_record(Stream *s, Record *r, uint64_t start, uint64_t lasts, uint64_t moves, uint64_t what)
{
    uint64_t number = s->next++;
    s->at = r + 1;
    r->lasts = lasts;
    r->moves = moves;
    r->start = start ? start : ticks();
    __atomic_store_n(&r->what, what, __ATOMIC_RELEASE);
    return number;
}

static inline uint64_t peer_bits(int peer) { return (uint64_t)(uint32_t)(peer + 2) << 40; }
static inline uint64_t what_bits(int operation, int site, int tag) { return (uint64_t)operation << 52 | (uint64_t)site << 32 | (uint32_t)tag; }

static inline uint64_t moves_bits(int64_t bytes, int comm, unsigned flags)
{
    uint64_t b = (uint64_t)(bytes + 1);
    return (b > LOW(40) ? LOW(40) : b) | (uint64_t)comm << 40 | (uint64_t)flags << 56;
}

static void set_flags(Record *r, unsigned flags) { if (r) r->moves |= (uint64_t)flags << 56; }

/* what more there is to say of an earlier record */
static uint64_t extend(Stream *s, uint64_t number, int kind, uint64_t lasts, uint64_t moves, int tag, int site)
{
    Record *r = place(s);
    if (!r) return 0;
    uint64_t more = write_record(s, r, number & LOW(48), lasts, moves, what_bits(kind, site, tag));
    set_flags(record_at(s, number), RECORD_EXTENDED);
    return more;
}

static void nest(Stream *s, uint64_t number, const Record *call, int kind, uint64_t began, uint64_t lasts, int64_t bytes)
{
    uint64_t after = began - call->start;
    extend(s, number, MORE_NESTED, (lasts > LOW(40) ? LOW(40) : lasts) | (uint64_t)kind << 40, (uint64_t)bytes, (int)(uint32_t)(after > LOW(32) ? LOW(32) : after), 0);
}

static RARE void enter_more(Stream *s, uint64_t number, const Record *r, int64_t bytes)
{
    if (bytes >= (int64_t)LOW(40)) extend(s, number, MORE_WIDE, 0, (uint64_t)bytes, -1, 0);
    if (s->is_packed) { s->is_packed = 0; nest(s, number, r, NESTED_PICKLE, s->packed_at, s->packed_for, s->packed); }
}

uint64_t mmpi_trace_enter(const TraceCall *c)
{
    Stream *s = stream();
    Record *r = s ? place(s) : NULL;
    if (!r) return 0;
    if (s->depth < DEPTH) {
        Open *open = &s->open[s->depth++];
        open->number = s->next;
        open->record = r;
        open->operation = c->operation;
        open->waits = c->waits;
        open->both = c->both;
        if (c->both) { open->from = c->from; open->from_tag = c->from_tag; open->from_flags = c->from_flags; }
    }
    uint64_t number = write_record(s, r, s->is_packed ? s->packed_at : 0, peer_bits(c->peer),
                                   moves_bits(c->bytes, c->comm, c->flags | RECORD_OPEN), what_bits(c->operation, c->site, c->tag));
    if (s->is_packed || c->bytes >= (int64_t)LOW(40)) enter_more(s, number, r, c->bytes);
    return number;
}

/* Take it, and what was entered after it, from the open ones. An empty one if it is not there: calls were nested too deep. */
static inline const Open *close_open(Stream *s, uint64_t number)
{
    static const Open unknown;
    int i = s->depth;
    while (i > 0 && s->open[i - 1].number != number) i--;
    if (!i) return &unknown;
    s->depth = i - 1;
    return &s->open[i - 1];
}

/* Another poll in vain at the same place adds to the record of those before. */
static int add_poll(Stream *s, Record *r, uint64_t number, uint64_t lasts)
{
    if (s->next != number + 1) return 0;
    Record *before = s->poll && s->poll + 1 == number ? r - 1 : NULL;
    if (!before || before->what != r->what || (before->moves ^ r->moves) >> 40 & LOW(16)) {
        r->moves = moves_bits(1, (int)(r->moves >> 40 & LOW(16)), (unsigned)(r->moves >> 56 & ~(unsigned)RECORD_OPEN) | RECORD_POLLS);
        r->lasts = (r->lasts & ~LOW(40)) | lasts;
        s->poll = number;
        return 1;
    }
    uint64_t whole = r->start + lasts - before->start;
    if (whole > LOW(40)) return 0;
    before->lasts = (before->lasts & ~LOW(40)) | whole;
    before->moves++;
    r->what = 0;
    s->at = r;
    s->next = number;
    return 1;
}

/* What the record of a call that has ended has no room for. */
static RARE void leave_more(Stream *s, uint64_t number, const Record *r, const Open *open, const TraceEnd *end, uint64_t lasts)
{
    const int comm = (int)(r->moves >> 40 & LOW(16)), wide = end->known && !open->both && end->bytes >= (int64_t)LOW(40);
    if (lasts > LOW(40) || wide) extend(s, number, MORE_WIDE, lasts, (uint64_t)(wide ? end->bytes : (int64_t)(r->moves & LOW(40)) - 1), -1, 0);
    if (!open->both) return;
    const int peer = end->known ? end->peer : open->from, tag = end->known ? end->tag : open->from_tag;
    extend(s, number, MORE_SECOND, peer_bits(peer), moves_bits(end->known ? end->bytes : -1, comm, open->from_flags), tag, (int)open->from_flags);
}

static inline void complete(Stream *s, uint64_t number, Record *r, const Open *open, const TraceEnd *end)
{
    const int known = end->known && !open->both && !(open->waits && end->peer < 0), sized = known && end->bytes >= 0;
    uint64_t moves = r->moves & ~((uint64_t)RECORD_OPEN << 56), peer = known ? peer_bits(end->peer) : r->lasts & ~LOW(40);
    if (sized) moves = moves_bits(end->bytes, 0, 0) | (moves & ~LOW(40));
    if (end->error) moves |= (uint64_t)RECORD_ERROR << 56;
    if (known) r->what = (r->what & ~LOW(32)) | (uint32_t)end->tag;
    const int more = open->both || (sized && end->bytes >= (int64_t)LOW(40));
    const uint64_t lasts = ticks() - r->start;
    r->lasts = peer | (lasts > LOW(40) ? LOW(40) : lasts);
    __atomic_store_n(&r->moves, moves, __ATOMIC_RELEASE);
    if (more || lasts > LOW(40)) leave_more(s, number, r, open, end, lasts);
}

static RARE void leave_poll(Stream *s, uint64_t number, Record *r, const Open *open, const TraceEnd *end)
{
    const uint64_t lasts = ticks() - r->start;
    if (lasts > LOW(40) || !add_poll(s, r, number, lasts)) complete(s, number, r, open, end);
}

static RARE Record *own_record(const Stream *s, uint64_t number)
{
    return number && (uint64_t)s->number == number >> 48 ? record_at(s, number) : NULL;
}

void mmpi_trace_leave(uint64_t number, const TraceEnd *end)
{
    Stream *s = mine;
    if (!s || s->live < 0) return;
    const Open *open = close_open(s, number);
    Record *r = open->record && !s->ring ? open->record : own_record(s, number);
    if (!r) return;
    if (end->in_vain) leave_poll(s, number, r, open, end);
    else complete(s, number, r, open, end);
}

void mmpi_trace_completed(uint64_t wait, uint64_t start, int peer, int tag, int64_t bytes, int cancelled)
{
    Stream *s = stream_of(wait);
    if (s && start) extend(s, wait, MORE_COMPLETED, start, moves_bits(bytes, 0, 0) | peer_bits(peer), tag, cancelled != 0);
}

uint64_t mmpi_trace_started(uint64_t call, uint64_t prepared)
{
    Stream *s = stream_of(call);
    return s ? extend(s, call, MORE_STARTED, prepared, 0, -1, 0) : 0;
}

void mmpi_trace_packed(uint64_t began, int64_t bytes)
{
    Stream *s = stream();
    if (s && !began) s->is_packed = 0;
    if (!s || !began) return;
    if (!s->is_packed) { s->packed_at = began; s->packed_for = 0; s->packed = 0; }
    s->is_packed = 1;
    s->packed_for += ticks() - began;
    s->packed += bytes;
}

void mmpi_trace_nested(uint64_t call, int kind, uint64_t began, int64_t bytes)
{
    Stream *s = stream_of(call);
    Record *r = s ? record_at(s, call) : NULL, *last = r && (s->next - 1) % SEGMENT_RECORDS ? s->at - 1 : NULL;
    uint64_t now = ticks(), whole = r ? now - r->start : 0;
    if (!r || whole > LOW(40)) return;
    if (!(r->moves >> 56 & RECORD_OPEN)) r->lasts = (r->lasts & ~LOW(40)) | whole;
    if (last && last->what >> 52 == MORE_NESTED && last->start == (call & LOW(48)) && last->lasts >> 40 == (uint64_t)kind) {
        last->lasts += now - began;
        last->moves += (uint64_t)bytes;
    } else
        nest(s, call, r, kind, began, now - began, bytes);
}

void mmpi_trace_values(uint64_t call, const int *types, const uint64_t *values, int n)
{
    Stream *s = stream_of(call);
    for (int i = 0; s && i < n; i += 2) {
        int second = i + 1 < n ? types[i + 1] : VALUE_NONE;
        extend(s, call, MORE_VALUES, values[i], second ? values[i + 1] : 0, types[i] | second << 8, 0);
    }
}

/* --- the user's states, events, counters ------------------------------------------------------------------ */

static struct { int kind; char *name, *color, *format; } user[USER];
static int nuser;

static void define_user(int i)
{
    define(DEFINE_STATE, FIRST_USER + i, NUMBERED(user[i].kind), TEXTS(user[i].name, user[i].color, user[i].format), 3);
}

/* The same name is the same state, in Python and in C; a color or a format that it lacked it gets. */
static int define_locked(int kind, const char *name, const char *color, const char *format)
{
    int i = 0, changed = 0;
    while (i < nuser && (user[i].kind != kind || strcmp(user[i].name, name))) i++;
    if (i == USER) return 0;
    if (i == nuser) {
        if (!(user[i].name = strdup(name))) return 0;
        user[i].kind = kind;
        user[i].color = user[i].format = NULL;
        nuser++;
        changed = 1;
    }
    if (color && *color && !user[i].color) { user[i].color = strdup(color); changed = 1; }
    if (format && *format && !user[i].format) { user[i].format = strdup(format); changed = 1; }
    if (changed && session) define_user(i);
    return FIRST_USER + i;
}

int mmpi_trace_define(int kind, const char *name, const char *color, const char *format)
{
    pthread_mutex_lock(&lock);
    int operation = define_locked(kind, name, color, format);
    pthread_mutex_unlock(&lock);
    return operation;
}

/* another format for its values; 0, or -1 if there is none of this number */
int mmpi_trace_describe(int operation, const char *format)
{
    pthread_mutex_lock(&lock);
    int i = operation - FIRST_USER, bad = i < 0 || i >= nuser;
    if (!bad) {
        free(user[i].format);
        user[i].format = strdup(format);
        if (session) define_user(i);
    }
    pthread_mutex_unlock(&lock);
    return bad ? -1 : 0;
}

uint64_t mmpi_trace_begin(int operation, int site)
{
    const TraceCall call = {.operation = operation, .site = site, .peer = TRACE_NO_PEER, .tag = -1, .bytes = -1};
    return operation < FIRST_USER ? 0 : mmpi_trace_enter(&call);
}

int mmpi_trace_end(int operation)
{
    const TraceEnd end = {0, 0, 0, 0, 0, 0};
    Stream *s = mine;
    if (!s || s->live < 0) return -1;
    int i = s->depth;
    while (i > 0 && s->open[i - 1].operation != operation) i--;
    if (!i) return -1;
    int inner = i < s->depth;
    uint64_t number = s->open[i - 1].number;
    if (!inner) { mmpi_trace_leave(number, &end); return 0; }
    Open later[DEPTH];
    int n = s->depth - i;
    memcpy(later, s->open + i, (size_t)n * sizeof *later);      /* those go on */
    mmpi_trace_leave(number, &end);
    memcpy(s->open + s->depth, later, (size_t)n * sizeof *later);
    s->depth += n;
    return 1;
}

uint64_t mmpi_trace_mark(int operation, int site)
{
    Stream *s = stream();
    Record *r = s && operation >= FIRST_USER ? place(s) : NULL;
    if (!r) return 0;
    return write_record(s, r, 0, peer_bits(TRACE_NO_PEER), 0, what_bits(operation, site, -1));
}

/* --- numbered events -------------------------------------------------------------------------------------- */

enum { EVENTS = 4096, SINGLE = 1, START, END };
static struct { int role, operation; } events[EVENTS];
static int nevents;

int mmpi_trace_event_number(void)
{
    int number = __atomic_add_fetch(&nevents, 1, __ATOMIC_RELAXED);
    return number < EVENTS ? number : 0;
}

int mmpi_trace_describe_events(int start, int end, const char *name, const char *color, const char *format)
{
    if (start < 1 || start >= EVENTS || end < 0 || end >= EVENTS || start == end) return -1;
    int operation = mmpi_trace_define(end ? STATE_STATE : STATE_EVENT, name, color, format);
    if (!operation) return -1;
    events[start].role = end ? START : SINGLE;
    events[start].operation = operation;
    if (!end) return 0;
    events[end].role = END;
    events[end].operation = operation;
    return 0;
}

int mmpi_trace_log(int event, long long data, const char *text)
{
    if (event < 1 || event >= EVENTS || !events[event].role) return 1;
    int operation = events[event].operation, role = events[event].role;
    if (!on) return 0;
    if (role == END) return mmpi_trace_end(operation) < 0;
    uint64_t number = role == START ? mmpi_trace_begin(operation, 0) : mmpi_trace_mark(operation, 0);
    int types[2] = {VALUE_INT, VALUE_STRING}, some = text && *text;
    uint64_t values[2] = {(uint64_t)data, some ? (uint64_t)mmpi_trace_string(text) : 0};
    if (data || some) mmpi_trace_values(number, types, values, some ? 2 : 1);
    return 0;
}

int mmpi_trace_arrow(int sent, int peer, int tag, int64_t bytes)
{
    enum { ARROWS = 2 };                /* the id of a communicator that no call of MPI uses: WORLD's is 1, others' are hashes */
    static int told;                    /* the recording that knows it */
    if (!on) return 0;
    if (peer < 0 || peer >= options.size) return 1;
    if (told != session) {
        told = session;
        mmpi_trace_operation(LOG_SEND, "MPE_Log_send");
        mmpi_trace_operation(LOG_RECEIVE, "MPE_Log_receive");
    }
    const int comm = mmpi_trace_comm(ARROWS, 1, (const int32_t[]){options.rank, options.size, -1, 0}, "MPE");
    Stream *s = stream();
    Record *r = s ? place(s) : NULL;
    if (r) write_record(s, r, 0, peer_bits(peer), moves_bits(bytes, comm, 0), what_bits(sent ? LOG_SEND : LOG_RECEIVE, 0, tag));
    return 0;
}

/* --- start and stop --------------------------------------------------------------------------------------- */

const char *mmpi_trace_version(void) { return MMPI_VERSION; }
int mmpi_trace_on(void) { return on != 0; }
int mmpi_trace_session(void) { return session; }

/* Who counts messages must know that some were not recorded. */
void mmpi_trace_pause(int yes)
{
    if (session && !on == !yes) mmpi_trace_note(yes ? NOTE_STOP : NOTE_START, yes ? "recording paused" : "recording goes on");
    on = yes ? 0 : session;
}

/* A child is another process: what its parent records it must not touch. */
static void in_child(void)
{
    on = session = 0;
    mine = streams = NULL;
    pthread_setspecific(key, NULL);
    if (definitions >= 0) close(definitions);
    definitions = -1;
    pthread_mutex_init(&lock, NULL);
}

static void once(void)
{
    static int done;
    if (done++) return;
    pthread_key_create(&key, thread_ends);
    pthread_atfork(NULL, NULL, in_child);
    sem_init(&work, 0, 0);
    atexit(mmpi_trace_stop);
}

/* what a record costs: a call is entered and left, in memory of no file */
static uint64_t measure(void)
{
    enum { N = 4000 };
    Stream *s = calloc(1, sizeof *s), *before = mine;
    Record *records = calloc(SEGMENT_RECORDS, sizeof *records);
    StreamHead head;
    int64_t took = 0;
    if (s && records) {
        *s = (Stream){.head = &head, .records = records, .at = records + 1, .end = records + SEGMENT_RECORDS, .next = UINT64_C(1) << 48 | 1, .places = 1,
                      .session = session, .live = session, .number = 1};
        const TraceCall call = {.operation = 1, .bytes = 8};
        const TraceEnd end = {0, 0, 0, 0, 0, 0};
        mine = s;
        on = session;
        for (int i = 0; i < N; i++) {
            if (i == N / 2) took = -clock_of(CLOCK_MONOTONIC);
            mmpi_trace_leave(mmpi_trace_enter(&call), &end);
        }
        took += clock_of(CLOCK_MONOTONIC);
        on = 0;
        mine = before;
    }
    free(records);
    free(s);
    return (uint64_t)(took * 1000 / (N / 2));
}

static int open_definitions(void)
{
    enum { KEPT = 1 << 16 };            /* room for notes of a full disk */
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s-%s-%d.mmpid", folder, job, host, (int)getpid()) >= (int)sizeof path) return ENAMETOOLONG;
    definitions = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    if (definitions < 0) return errno;
    if (fallocate(definitions, FALLOC_FL_KEEP_SIZE, 0, KEPT) && errno == ENOSPC) return ENOSPC;
    return 0;
}

const char *mmpi_trace_limit(const char *text, uint64_t *bytes, int *ring)
{
    enum { DEFAULT = 256, LEAST = 2, MOST = 1 << 22 };          /* MiB */
    static const char units[] = "kmg";
    const size_t digits = strspn(text, "0123456789");
    const char *at = text + digits, *unit = digits && *at ? strchr(units, *at | 0x20) : NULL;
    uint64_t n = digits ? strtoull(text, NULL, 10) : (uint64_t)DEFAULT << 20;
    if (unit) { at++; n = n >> 42 ? n : n << 10 * (unit - units + 1); }
    if (digits) at += (*at | 0x20) == 'b' ? 1 : (*at | 0x20) == 'i' && (at[1] | 0x20) == 'b' ? 2 : 0;
    *bytes = n;
    *ring = !strcmp(at, ",ring");
    if (*at && *at != ',') return "expected bytes, as in 64M";
    if (*at && !*ring && strcmp(at, ",stop")) return "expected bytes, then stop or ring after a comma, as in 64M,ring";
    return n < (uint64_t)LEAST << 20 || n > (uint64_t)MOST << 20 ? "expected bytes, from 2M to 4096G" : NULL;
}

static void keep_options(const TraceOptions *given)
{
    options = *given;
    snprintf(folder, sizeof folder, "%s", given->folder);
    snprintf(job, sizeof job, "%s", given->job);
    options.program = strdup(given->program ? given->program : "");
    options.library = strdup(given->library ? given->library : "");
    gethostname(host, sizeof host - 1);
    for (char *c = host; *c; c++) if (*c == '/') *c = '_';
    budget = (int64_t)(options.limit / SEGMENT);
}

int mmpi_trace_start(const TraceOptions *given, const char **step)
{
    int error;
    *step = "a recording is under way";
    if (session) return EBUSY;
    once();
    read_boot();
    keep_options(given);
    fake_clock(options.rank);
    by_counter = !is_fake && counter_is_sound();
    *step = "definitions";
    if ((error = open_definitions())) {
        if (definitions >= 0) close(definitions);
        definitions = -1;
        return error;
    }
    static pid_t helped;
    if (helped != getpid()) { helped = getpid(); start_helper(); }
    empty(&comms);
    empty(&strings);
    session = ++sessions;
    record_ns = measure();
    define_process();
    for (int i = 0; i < nuser; i++) define_user(i);
    mmpi_trace_note(NOTE_START, "recording started");
    *step = "stream";
    on = session;
    Stream *s = stream();
    if (s && !turn(s)) return 0;
    error = s ? s->full : errno;
    mmpi_trace_stop();
    return error ? error : EIO;
}

void mmpi_trace_stop(void)
{
    if (!session) return;
    on = 0;
    pthread_mutex_lock(&lock);
    mmpi_trace_note(NOTE_STOP, "recording stopped");
    EACH_STREAM(s) close_stream(s);
    session = 0;
    close(definitions);
    definitions = -1;
    pthread_mutex_unlock(&lock);
    if (mine && pthread_getspecific(key) == mine) let_go(mine);
    mine = NULL;
}

void mmpi_trace_flush(void)
{
    EACH_STREAM(s) if (s->live > 0) fdatasync(s->file);
    if (definitions >= 0) fdatasync(definitions);
}

void mmpi_trace_rank(int rank, int size, int spawned, const char *library)
{
    pthread_mutex_lock(&lock);
    free((char *)(uintptr_t)options.library);
    options.library = strdup(library);
    options.rank = rank;
    options.size = size;
    options.spawned = spawned;
    EACH_STREAM(s) if (s->live > 0) { s->head->rank = rank; s->head->size = size; }
    define_process();
    pthread_mutex_unlock(&lock);
}
