/* What the program's MPI library is like: its functions, handles, constants and statuses (interposer.h). */
#define _GNU_SOURCE
#include "interposer.h"
#include "../core/family.h"
#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#define ABSENT 0
Library library = {.family = NO_FAMILY};

/* --- functions -------------------------------------------------------------------------------------------- */

/* A library that is loaded for one extension module alone is not in the order of the loader: find it by what it defines. */
static int is_mpi(struct dl_phdr_info *info, size_t size, void *found)
{
    (void)size;
    if (!strstr(info->dlpi_name, "mpi")) return 0;
    strncpy(found, info->dlpi_name, 4095);
    void *handle = dlopen(found, RTLD_NOLOAD | RTLD_LAZY);
    int yes = handle && dlsym(handle, "PMPI_Init");
    if (handle) dlclose(handle);
    return yes;
}

static void *find_behind(void *start, const char *name)
{
    static char path[4096];
    void *symbol = dlsym(start, name);
    if (!symbol && (*path || dl_iterate_phdr(is_mpi, path))) {
        void *handle = dlopen(path, RTLD_NOLOAD | RTLD_LAZY);
        symbol = handle ? dlsym(handle, name) : NULL;
        if (handle) dlclose(handle);
    }
    return symbol;
}

Function find(const char *name)
{
    Function function = NULL;
    *(void **)&function = find_behind(RTLD_NEXT, name);
    return function;
}

/* Data may have been copied into the program by the linker: that copy is the one all use. */
static void *find_data(const char *name) { return find_behind(RTLD_DEFAULT, name); }

#define AS(result, ...) (result (*)(__VA_ARGS__))

int library_says(const char *name, Arg a, Arg b)
{
    Function function = find(name);
    return function ? (AS(int, Arg, Arg)function)(a, b) : -1;
}

/* --- constants -------------------------------------------------------------------------------------------- */

enum {
#define INT(name, std, mpich, openmpi) STD_##name = std, MPICH_##name = mpich, OPENMPI_##name = openmpi,
#include "../core/abi/constants.h"
#undef INT
    CONSTANTS
};
#define INT_OF(name) ((const int[]){STD_##name, MPICH_##name, OPENMPI_##name}[library.family])

static const struct { const char *name; Arg std, mpich; const char *symbol; } objects[] = {
#define OBJ(type, name, std, mpich, symbol) {#name, std, (int)(mpich), #symbol},
#include "../core/abi/objects.h"
#undef OBJ
};

static Arg object(const char *name)
{
    size_t i = 0;
    while (strcmp(objects[i].name, name)) i++;
    return library.family == STD ? objects[i].std : library.family == MPICH ? objects[i].mpich : (Arg)find_data(objects[i].symbol);
}

static int (*type_size)(Arg, Arg), (*get_count)(Arg, Arg, Arg), (*test_cancelled)(Arg, Arg);
static Function from_fortran[CLASSES];
enum { SENTINELS = 3 };                 /* addresses that mean something in Fortran; of those of mpif.h some are told by pointers, which a start of Fortran sets */
static Arg *pointers[SENTINELS];        /* of an ignored status, of several, of IN_PLACE */
static Arg objects_of_f08[SENTINELS];

static Function needed(const char *name, const char **missing)
{
    Function function = find(name);
    if (!function) *missing = name;
    return function;
}

const char *settle_library(void)
{
    static const char *const classes[CLASSES] = {"PMPI_Comm_f2c", "PMPI_Request_f2c", "PMPI_Message_f2c", "PMPI_Win_f2c", "PMPI_File_f2c", "PMPI_Type_f2c"};
    static const char *const pointer_names[SENTINELS] = {"MPI_F_STATUS_IGNORE", "MPI_F_STATUSES_IGNORE", "MPIR_F_MPI_IN_PLACE"};
    static const char *const mpich_names[SENTINELS] = {"MPIR_F08_MPI_STATUS_IGNORE_OBJ", "MPIR_F08_MPI_STATUSES_IGNORE_OBJ", "MPIR_F08_MPI_IN_PLACE"};
    static const char *const openmpi_names[SENTINELS] = {"mpi_fortran_status_ignore_", "mpi_fortran_statuses_ignore_", "mpi_fortran_in_place_"};
    const char *missing = NULL;
    library.family = family_of(find_behind, RTLD_DEFAULT);
    if (library.family == NO_FAMILY) return "its ABI is none of MPICH, Open MPI or the standard";
    library.status_ints = INT_OF(F_STATUS_SIZE);
    library.source_at = INT_OF(F_SOURCE);
    library.tag_at = INT_OF(F_TAG);
    library.any_source = INT_OF(ANY_SOURCE);
    library.any_tag = INT_OF(ANY_TAG);
    library.proc_null = INT_OF(PROC_NULL);
    library.undefined = INT_OF(UNDEFINED);
    library.no_info = object("INFO_NULL");
    library.errors_return = object("ERRORS_RETURN");
    library.world = object("COMM_WORLD");
    library.self = object("COMM_SELF");
    library.no_comm = object("COMM_NULL");
    library.no_request = object("REQUEST_NULL");
    library.no_message = object("MESSAGE_NULL");
    library.no_message_there = object("MESSAGE_NO_PROC");
    library.no_type = object("DATATYPE_NULL");
    library.byte = object("BYTE");
    library.in_place = library.family == MPICH ? -1 : 1;
    library.ignore = library.family == MPICH;
    type_size = AS(int, Arg, Arg)needed("PMPI_Type_size", &missing);
    get_count = AS(int, Arg, Arg, Arg)needed("PMPI_Get_count", &missing);
    test_cancelled = AS(int, Arg, Arg)needed("PMPI_Test_cancelled", &missing);
    for (int i = 0; i < CLASSES && library.family != MPICH; i++) from_fortran[i] = find(classes[i]);
    if (library.family == MPICH) from_fortran[FILE_] = find(classes[FILE_]);
    for (int i = 0; i < SENTINELS; i++) pointers[i] = find_data(pointer_names[i]);
    for (int i = 0; i < SENTINELS; i++) objects_of_f08[i] = (Arg)find_data(library.family == OPENMPI ? openmpi_names[i] : mpich_names[i]);
    return missing;
}

/* --- handles ---------------------------------------------------------------------------------------------- */

/* MPICH's are ints, and the same in Fortran; but those of files are pointers */
static int is_int(int class) { return library.family == MPICH && class != FILE_; }

static Arg converted(int class, int handle)
{
    if (is_int(class)) return handle;
    return from_fortran[class] ? (AS(Arg, int)from_fortran[class])(handle) : 0;
}

Arg handle_in(int class, Arg at, int language)
{
    if (language) return converted(class, *(int *)at);
    return is_int(class) ? *(int *)at : *(Arg *)at;
}

Arg handle_of(int class, Arg argument, int language)
{
    if (language) return converted(class, *(int *)argument);
    return is_int(class) ? (int)argument : argument;
}

Arg handle_at(int class, Arg array, int i, int language)
{
    size_t size = language || is_int(class) ? sizeof(int) : sizeof(Arg);
    return handle_in(class, array + (Arg)((size_t)i * size), language);
}

int64_t size_of_type(Arg type)
{
    int size = 0;
    if (!type || type == library.no_type || type_size(type, (Arg)&size) || size < 0) return -1;
    return size;
}

/* --- who was started together ----------------------------------------------------------------------------- */

/* Of a program that uses nothing but sessions, Open MPI must not be asked about WORLD: there a session of our own tells, while another is open. */
int take_all(All *all)
{
    int initialized = 0, rc;
    *all = (All){0, 0};
    if (!library_says("PMPI_Initialized", (Arg)&initialized, 0) && initialized) return library_says("PMPI_Comm_group", library.world, (Arg)&all->group);
    Function open = find("PMPI_Session_init"), members = find("PMPI_Group_from_session_pset");
    if (!open || !members) return -1;
    if ((rc = (AS(int, Arg, Arg, Arg)open)(library.no_info, library.errors_return, (Arg)&all->session))) return rc;
    if ((rc = (AS(int, Arg, Arg, Arg)members)(all->session, (Arg)"mpi://WORLD", (Arg)&all->group))) let_all_go(all);
    return rc;
}

void let_all_go(All *all)
{
    if (all->group) library_says("PMPI_Group_free", (Arg)&all->group, 0);
    if (all->session) library_says("PMPI_Session_finalize", (Arg)&all->session, 0);
}

/* --- arguments that mean something by their address ------------------------------------------------------- */

static int is_sentinel(Arg address, int which) { return address == objects_of_f08[which] || (pointers[which] && address == *pointers[which]); }

int is_ignored(Arg status, int language)
{
    return language == IN_C ? status == library.ignore : is_sentinel(status, 0) || is_sentinel(status, 1);
}

/* Where it cannot be told, yes: then nothing is made of the arguments that would not count. */
int is_in_place(Arg buffer, int language)
{
    if (language == IN_C) return buffer == library.in_place;
    if (!objects_of_f08[2] && !pointers[2]) return 1;
    return is_sentinel(language == IN_F08_DESCRIBED ? *(Arg *)buffer : buffer, 2);
}

/* --- statuses --------------------------------------------------------------------------------------------- */

int64_t status_bytes(const int *status)
{
    int count = -1;
    size_t bytes;
    if (library.family == MPICH) return (int64_t)(unsigned)status[0] | (int64_t)((unsigned)status[1] >> 1) << 32;
    memcpy(&bytes, status + 4, sizeof bytes);
    if (library.family == OPENMPI) return (int64_t)bytes;
    return get_count((Arg)status, library.byte, (Arg)&count) || count == library.undefined ? -1 : count;
}

int is_cancelled(const int *status)
{
    int yes = 0;
    return !test_cancelled((Arg)status, (Arg)&yes) && yes;
}
