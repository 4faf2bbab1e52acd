/* Functions with the names of MPI's, and when they record (interposer.h). */
#define _GNU_SOURCE
#include "interposer.h"
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the table of functions ------------------------------------------------------------------------------- */

enum {                                  /* operations are numbered as in the core (core.h) */
#define MPI(type, name, parameters) OP_##name,
#include "../core/abi/functions.h"
#undef MPI
    OPERATIONS
};

#define TEXT(name, lower, n, nfortran, flags, roles) CALL(name, lower, n, flags, roles)
#define CALL(name, lower, n, flags, roles) ROW_##name,
#define LARGE(name, n, flags, roles) ROW_##name##_c,
enum { ROW_Finalize, ROW_Init, ROW_Init_thread,
#include "calls.h"
    ROWS };
#undef CALL
#undef LARGE

#define CALL(name, lower, n, flags, roles) EXPORTED int MPI_##name(PARAMETERS(n));
#define LARGE(name, n, flags, roles) EXPORTED int MPI_##name##_c(PARAMETERS(n));
#define PARAMETERS(n) PARAMETERS_##n
#define PARAMETERS_1 Arg a
#define PARAMETERS_2 PARAMETERS_1, Arg b
#define PARAMETERS_3 PARAMETERS_2, Arg c
#define PARAMETERS_4 PARAMETERS_3, Arg d
#define PARAMETERS_5 PARAMETERS_4, Arg e
#define PARAMETERS_6 PARAMETERS_5, Arg f
#define PARAMETERS_7 PARAMETERS_6, Arg g
#define PARAMETERS_8 PARAMETERS_7, Arg h
#define PARAMETERS_9 PARAMETERS_8, Arg i
#define PARAMETERS_10 PARAMETERS_9, Arg j
#define PARAMETERS_11 PARAMETERS_10, Arg k
#define PARAMETERS_12 PARAMETERS_11, Arg l
#define PARAMETERS_13 PARAMETERS_12, Arg m
#define PARAMETERS_14 PARAMETERS_13, Arg o
#define VALUES_1 a
#define VALUES_2 VALUES_1, b
#define VALUES_3 VALUES_2, c
#define VALUES_4 VALUES_3, d
#define VALUES_5 VALUES_4, e
#define VALUES_6 VALUES_5, f
#define VALUES_7 VALUES_6, g
#define VALUES_8 VALUES_7, h
#define VALUES_9 VALUES_8, i
#define VALUES_10 VALUES_9, j
#define VALUES_11 VALUES_10, k
#define VALUES_12 VALUES_11, l
#define VALUES_13 VALUES_12, m
#define VALUES_14 VALUES_13, o
#define PASSED_1 v[0]
#define PASSED_2 PASSED_1, v[1]
#define PASSED_3 PASSED_2, v[2]
#define PASSED_4 PASSED_3, v[3]
#define PASSED_5 PASSED_4, v[4]
#define PASSED_6 PASSED_5, v[5]
#define PASSED_7 PASSED_6, v[6]
#define PASSED_8 PASSED_7, v[7]
#define PASSED_9 PASSED_8, v[8]
#define PASSED_10 PASSED_9, v[9]
#define PASSED_11 PASSED_10, v[10]
#define PASSED_12 PASSED_11, v[11]
#define PASSED_13 PASSED_12, v[12]
#define PASSED_14 PASSED_13, v[13]
#include "calls.h"
#undef CALL
#undef LARGE
EXPORTED int MPI_Finalize(void);
EXPORTED int MPI_Init(Arg, Arg);
EXPORTED int MPI_Init_thread(Arg, Arg, Arg, Arg);

#define HAND(name, lower) {#name, #lower, "", OP_##name + 1, 0, (Function)MPI_##name, {0}},
#define CALL(name, lower, n, flags, roles) {#name, #lower, roles, OP_##name + 1, flags, (Function)MPI_##name, {0}},
#define LARGE(name, n, flags, roles) {#name "_c", NULL, roles, OP_##name + 1, (flags) | WIDE_COUNTS, (Function)MPI_##name##_c, {0}},
static Row rows[ROWS] = {HAND(Finalize, finalize) HAND(Init, init) HAND(Init_thread, init_thread)
#include "calls.h"
};
#undef CALL
#undef LARGE
#undef TEXT

/* --- recording -------------------------------------------------------------------------------------------- */

enum { NOT_YET, WATCHING, QUIET };
static volatile int state = QUIET;
static __thread int inside __attribute__((tls_model("initial-exec")));      /* a call that is made inside a call is the library's own */

__attribute__((constructor)) static void prepare(void)
{
    const char *folder = getenv("MMPI_TRACE"), *job = getenv("MMPI_JOB");
    if (!folder || !*folder || !job || !*job) return;
    for (int i = 0; i < ROWS; i++)
        for (int k = 0; rows[i].roles[k]; k++)
            if (rows[i].roles[k] != '.') rows[i].at[rows[i].roles[k] - 'A'] = (unsigned char)(k + 1);
    state = NOT_YET;
}

/* Has a rank started this program? Its environment is not meant for us. */
static int is_of_a_rank(void)
{
    const char *rank = getenv("MMPI_RANK");
    return rank && *rank && atoi(rank) != getpid();
}

static int is_spawned(int has_world)
{
    Arg parent = library.no_comm;
    const char *spawned = getenv("PMI_SPAWNED");
    if (!has_world) return (spawned && *spawned && strcmp(spawned, "0")) || getenv("OMPI_PARENT_PORT");
    return !library_says("PMPI_Comm_get_parent", (Arg)&parent, 0) && handle_in(COMM, (Arg)&parent, 0) != library.no_comm;
}

static void read_program(char *text, size_t size)
{
    FILE *file = fopen("/proc/self/cmdline", "re");
    size_t n = file ? fread(text, 1, size - 1, file) : 0;
    if (file) fclose(file);
    while (n && !text[n - 1]) n--;
    text[n] = 0;
    for (size_t i = 0; i < n; i++) if (!text[i]) text[i] = ' ';
}

static int start(int has_world)
{
    static char program[900], version[8193];
    const char *step = NULL, *folder = getenv("MMPI_TRACE"), *limit = getenv("MMPI_TRACE_LIMIT"), *why = settle_library();
    int rank = -1, size = -1, length;
    All all;
    TraceOptions options = {.folder = folder, .job = getenv("MMPI_JOB"), .program = program, .library = version};
    if (why) { fprintf(stderr, "mmpi: this program is not recorded: its MPI library cannot be used: %s\n", why); return 0; }
    if (is_of_a_rank()) return 0;
    if ((why = mmpi_trace_limit(limit ? limit : "", &options.limit, &options.ring))) { fprintf(stderr, "mmpi: this program is not recorded: MMPI_TRACE_LIMIT: %s\n", why); return 0; }
    read_program(program, sizeof program);
    library_says("PMPI_Get_library_version", (Arg)version, (Arg)&length);
    version[strcspn(version, "\n")] = 0;
    if (!take_all(&all)) {
        library_says("PMPI_Group_rank", all.group, (Arg)&rank);
        library_says("PMPI_Group_size", all.group, (Arg)&size);
        let_all_go(&all);
    }
    options.rank = rank;
    options.size = size;
    options.spawned = is_spawned(has_world);
    mkdir(folder, 0777);                /* on another host it may not be there */
    int error = mmpi_trace_session() ? 0 : mmpi_trace_start(&options, &step);
    if (error) { fprintf(stderr, "mmpi: this program is not recorded: %s: %s: %s\n", folder, step, strerror(error)); return 0; }
    watch_world(rank, size);
    if (options.spawned && has_world) watch_parent();
    unsetenv("MMPI_TRACE");             /* what a rank starts is no part of the job */
    return 1;
}

/* Once MPI is initialized, by whatever name, or a session is open. */
static int begin(int has_session)
{
    static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
    int has_world = 0;
    if ((library_says("PMPI_Initialized", (Arg)&has_world, 0) || !has_world) && !has_session) return 0;
    pthread_mutex_lock(&starting);
    if (state == NOT_YET) state = start(has_world) ? WATCHING : QUIET;
    pthread_mutex_unlock(&starting);
    return state == WATCHING;
}

/* --- calls ------------------------------------------------------------------------------------------------ */

static int lacking(void) { return 16; }         /* MPI_ERR_OTHER, or one like it */

static Function real_of(int row, int language)
{
    static const char *const suffixes[LANGUAGES] = {"", "_", "_f08_", "_f08ts_"};
    static Function found[ROWS][LANGUAGES];
    Function *f = &found[row][language];
    char name[80];
    if (*f) return *f;
    snprintf(name, sizeof name, "%s%s%s", language ? "mpi_" : "MPI_", language ? rows[row].fortran : rows[row].name, suffixes[language]);
    if (!(*f = find(name))) {
        fprintf(stderr, "mmpi: this MPI library has no %s\n", name);
        *f = (Function)lacking;
    }
    return *f;
}

static void enter(Watch *w, int row, int language, Arg *arguments)
{
    w->row = &rows[row];
    w->real = real_of(row, language);
    w->watched = 0;
    if (inside || state == QUIET || (state == NOT_YET && !begin(0))) return;
    w->language = language;
    w->a = arguments;
    w->watched = inside = 1;
    watch(w);
}

static int leave(Watch *w, int rc)
{
    if (w->row->flags & BEGINS && !rc && state == NOT_YET) begin(1);
    if (!w->watched) return rc;
    note(w, rc);
    inside = 0;
    return rc;
}

#define TYPES(n) PARAMETERS_##n
#define DEFINE(name, n) DEFINE_(name, n)
#define DEFINE_(name, n)                                                                                  \
    int MPI_##name(PARAMETERS_##n)                                                                        \
    {                                                                                                     \
        Arg v[] = {VALUES_##n};                                                                           \
        Watch w;                                                                                          \
        enter(&w, ROW_##name, IN_C, v);                                                                   \
        return leave(&w, ((int (*)(TYPES(n)))w.real)(PASSED_##n));                                        \
    }
/* nerror: which argument is the error; in mpi_f08 it may be missing */
#define DEFINE_FORTRAN(name, language, function, n, nerror)                                               \
    EXPORTED void function(PARAMETERS_##n);                                                               \
    void function(PARAMETERS_##n)                                                                         \
    {                                                                                                     \
        Arg v[] = {VALUES_##n};                                                                           \
        Watch w;                                                                                          \
        enter(&w, ROW_##name, language, v);                                                               \
        ((void (*)(TYPES(n)))w.real)(PASSED_##n);                                                         \
        leave(&w, v[nerror] ? *(int *)v[nerror] : 0);                                                     \
    }
#define AFTER_1 2
#define AFTER_2 3
#define AFTER_3 4
#define AFTER_4 5
#define AFTER_5 6
#define AFTER_6 7
#define AFTER_7 8
#define AFTER_8 9
#define AFTER_9 10
#define AFTER_10 11
#define AFTER_11 12
#define AFTER_12 13
#define AFTER_13 14
#define FORTRAN_(name, lower, n, nerror)                                                                  \
    DEFINE_FORTRAN(name, IN_FORTRAN, mpi_##lower##_, n, nerror)                                           \
    DEFINE_FORTRAN(name, IN_F08, mpi_##lower##_f08_, n, nerror)                                           \
    DEFINE_FORTRAN(name, IN_F08_DESCRIBED, mpi_##lower##_f08ts_, n, nerror)                               \
    EXPORTED void mpi_##lower##__(PARAMETERS(n)) __attribute__((alias("mpi_" #lower "_")));
#define CALL(name, lower, n, flags, roles) DEFINE(name, n) FORTRAN_(name, lower, AFTER_##n, n)
#define TEXT(name, lower, n, nfortran, flags, roles) DEFINE(name, n) FORTRAN_(name, lower, nfortran, n)
#define LARGE(name, n, flags, roles) DEFINE(name##_c, n)
#include "calls.h"

/* The begin and the end of MPI. What mpi_f08 has initialized is noticed at its first call. */
int MPI_Init(Arg argc, Arg argv)
{
    int rc = ((int (*)(Arg, Arg))real_of(ROW_Init, IN_C))(argc, argv);
    if (!rc && state == NOT_YET) begin(0);
    return rc;
}

int MPI_Init_thread(Arg argc, Arg argv, Arg required, Arg provided)
{
    int rc = ((int (*)(Arg, Arg, Arg, Arg))real_of(ROW_Init_thread, IN_C))(argc, argv, required, provided);
    if (!rc && state == NOT_YET) begin(0);
    return rc;
}

EXPORTED void mpi_init_(Arg error);
EXPORTED void mpi_init__(Arg error) __attribute__((alias("mpi_init_")));
void mpi_init_(Arg error)
{
    ((void (*)(Arg))real_of(ROW_Init, IN_FORTRAN))(error);
    if (!*(int *)error && state == NOT_YET) begin(0);
}

EXPORTED void mpi_init_thread_(Arg required, Arg provided, Arg error);
EXPORTED void mpi_init_thread__(Arg required, Arg provided, Arg error) __attribute__((alias("mpi_init_thread_")));
void mpi_init_thread_(Arg required, Arg provided, Arg error)
{
    ((void (*)(Arg, Arg, Arg))real_of(ROW_Init_thread, IN_FORTRAN))(required, provided, error);
    if (!*(int *)error && state == NOT_YET) begin(0);
}

int MPI_Finalize(void)
{
    Watch w;
    enter(&w, ROW_Finalize, IN_C, NULL);
    int rc = leave(&w, ((int (*)(void))w.real)());
    if (w.watched) state = QUIET;
    return rc;
}

#define DEFINE_FINALIZE(language, function)                                                               \
    EXPORTED void function(Arg error);                                                                    \
    void function(Arg error)                                                                              \
    {                                                                                                     \
        Watch w;                                                                                          \
        enter(&w, ROW_Finalize, language, NULL);                                                          \
        ((void (*)(Arg))w.real)(error);                                                                   \
        leave(&w, error ? *(int *)error : 0);                                                             \
        if (w.watched) state = QUIET;                                                                     \
    }
DEFINE_FINALIZE(IN_FORTRAN, mpi_finalize_)
DEFINE_FINALIZE(IN_F08, mpi_finalize_f08_)
EXPORTED void mpi_finalize__(Arg error) __attribute__((alias("mpi_finalize_")));

/* --- in processes of Python ------------------------------------------------------------------------------- */

static ElfW(Sym) *symbol_of(int row)
{
    Dl_info info;
    void *at, *symbol = NULL;
    memcpy(&at, &rows[row].wrapper, sizeof at);
    return dladdr1(at, &info, &symbol, RTLD_DL_SYMENT) ? symbol : NULL;
}

/* The core of this process records its calls itself, and tells by which names can be found what its library has:
 * from now on the loader finds none of ours. */
EXPORTED void mmpi_trace_withdraw(void);
void mmpi_trace_withdraw(void)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), low = UINTPTR_MAX, high = 0;
    state = QUIET;
    for (int i = 0; i < ROWS; i++) {
        uintptr_t at = (uintptr_t)symbol_of(i);
        if (at && at < low) low = at;
        if (at && at > high) high = at;
    }
    low &= ~(page - 1);
    high = (high + sizeof(ElfW(Sym)) + page - 1) & ~(page - 1);
    if (low >= high || mprotect((void *)low, high - low, PROT_READ | PROT_WRITE)) return;
    for (int i = 0; i < ROWS; i++) {
        ElfW(Sym) *symbol = symbol_of(i);
        if (symbol) symbol->st_value = 0;
    }
    mprotect((void *)low, high - low, PROT_READ);
}
