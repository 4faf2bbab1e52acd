/* The interposer: a library that is loaded before the MPI library of a program that is not Python, has functions of the same
 * names, and records their calls (recorder.h). It knows no mpi.h and no ABI before it has seen the library: whatever its type,
 * an argument of MPI travels in one register or 8 bytes of the stack, and is passed on as it came. What a program's handles,
 * statuses and constants are is looked up by the family of its library (library.c). */
#ifndef MMPI_TRACE_INTERPOSER_H
#define MMPI_TRACE_INTERPOSER_H
#include <stddef.h>
#include "recorder.h"

typedef intptr_t Arg;
typedef void (*Function)(void);

enum { ALL = 1, RECEIVES = 2, PREPARES = 4, FROM_ROOT = 8, POLLS = 16, NAMES = 32, WIDE_COUNTS = 64, BEGINS = 128, SPAWNS = 256 };        /* flags of a row */
/* ALL: a collective; FROM_ROOT: only the root tells what it sends; NAMES: gives a communicator a name; WIDE_COUNTS: of 64 bits; BEGINS: MPI may be used after it */
typedef struct {
    const char *name, *fortran, *roles;
    int operation, flags;
    Function wrapper;
    unsigned char at[64];               /* by letter, from 'A': the number of the argument of this role, from 1; 0: there is none */
} Row;

/* the languages of a program; those of Fortran pass pointers: with mpif.h or `use mpi`, with `use mpi_f08`, and there with buffers that are described */
enum { IN_C, IN_FORTRAN, IN_F08, IN_F08_DESCRIBED, LANGUAGES };
enum { FEW = 16, STATUS_INTS = 8 };     /* STATUS_INTS: of the largest status of all families */
typedef struct {                        /* a call under way */
    const Row *row;
    Function real;
    int language, watched;
    Arg *a;                             /* its arguments; statuses that the program ignores are replaced */
    uint64_t number;                    /* its record */
    int64_t began;                      /* of a spawn, when */
    int n;                              /* requests */
    Arg *handles;                       /* of requests, as they were before the call */
    int *statuses;                      /* the program's, or ours */
    struct { Arg handles[FEW]; int statuses[FEW * STATUS_INTS]; } few;
    void *many;                         /* memory for more than a few */
} Watch;

/* library.c: the program's MPI library */
enum { COMM, REQUEST, MESSAGE, WIN, FILE_, TYPE, CLASSES };     /* of handles */
typedef struct {
    int family, status_ints, source_at, tag_at;         /* of a status: size, and where */
    int any_source, any_tag, proc_null, undefined;
    Arg no_info, errors_return, world, self, no_comm, no_request, no_message, no_message_there, no_type, byte, in_place, ignore;     /* ignore: a status */
} Library;
extern Library library;
typedef struct { Arg group, session; } All;     /* the processes that were started together */
Function find(const char *name);        /* the next function of this name behind ours, or NULL */
const char *settle_library(void);       /* NULL, or why it cannot be used */
Arg handle_in(int class, Arg at, int language);  /* the handle that is stored there; 0: of no object */
Arg handle_of(int class, Arg argument, int language);
Arg handle_at(int class, Arg array, int i, int language);
int is_ignored(Arg status, int language);        /* is this pointer to a status, or statuses, one that means: none? */
int is_in_place(Arg buffer, int language);
int64_t size_of_type(Arg type);         /* -1: not known */
int64_t status_bytes(const int *status);
int is_cancelled(const int *status);
int library_says(const char *name, Arg a, Arg b);       /* the result of PMPI_name(a, b); -1: there is none */
int take_all(All *);                    /* what MPI returns */
void let_all_go(All *);

/* watch.c: what calls mean */
void watch_world(int rank, int size);
void watch_parent(void);
void watch(Watch *);                    /* before the call */
void note(Watch *, int rc);             /* after it */
#endif
