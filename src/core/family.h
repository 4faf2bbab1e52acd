/* Which ABI an MPI library has, known before any of its declarations can be used. */
#ifndef MMPI_FAMILY_H
#define MMPI_FAMILY_H

enum { STD, MPICH, OPENMPI, FAMILIES, NO_FAMILY = -1 };

/* By its symbols, which `look` finds as dlsym does. Native libraries of MPICH 5 offer MPI_Abi_get_version too, and answer -1. */
static int family_of(void *(*look)(void *, const char *), void *where)
{
    int (*abi)(int *, int *) = 0, major = -1, minor = -1;
    *(void **)&abi = look(where, "MPI_Abi_get_version");
    if (abi && !abi(&major, &minor) && major > 0) return STD;
    if (look(where, "ompi_mpi_comm_world")) return OPENMPI;
    return look(where, "MPIR_Dup_fn") ? MPICH : NO_FAMILY;
}
#endif
