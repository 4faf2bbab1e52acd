/* MPICH before 5.0 spins while it waits and never gives way: with more ranks than cores, what takes microseconds takes milliseconds,
 * until the kernel ends the turn of who spins. Where it waits by UCX, each turn of its loop calls ucp_worker_progress. Loaded before the
 * MPI library, into programs of any language, this library takes the place of that function, and yields after turns in vain.
 * It is loaded only where ranks share cores: by library.py, and by `mmpi run` (launch/plans.py) also into what does not import mmpi. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { IN_VAIN = 2 };                   /* what one turn brings in, the next one finds */

typedef unsigned Progress(void *worker);

/* UCX's own function. Its library need not be where the loader searches: who opened MPI may have kept that to itself. */
static Progress *original(void)
{
    static Progress *known;
    Progress *found = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (found) return found;
    void *ucx = dlopen("libucp.so.0", RTLD_LAZY | RTLD_NOLOAD);
    if (ucx) *(void **)&found = dlsym(ucx, "ucp_worker_progress");
    if (!found) {
        fputs("mmpi: libucp.so.0, which this process waits by, is not there\n", stderr);
        abort();
    }
    __atomic_store_n(&known, found, __ATOMIC_RELAXED);
    return found;
}

unsigned ucp_worker_progress(void *worker) __attribute__((visibility("default")));
unsigned ucp_worker_progress(void *worker)
{
    static __thread unsigned turns;
    unsigned events = original()(worker);
    if (events) turns = 0;
    else if (++turns >= IN_VAIN) {
        turns = 0;
        sched_yield();
    }
    return events;
}
