/* Is our MPI header true? Compiled with -DMMPI_ABI_<FAMILY> once against a real header (-DREAL='<mpi.h>') and once against
   ours (-DREAL='"abi.h"'): where the same tables and lists hold for both, both agree. Prints one line for each difference
   ("kind name theirs ours"), then "checked N, lacking M". Needs gcc, no MPI library.

   The trick: every name is first an enumerator LACKING, then the real header is included inside main(), where what it
   declares hides the enumerator; a name that it lacks stays LACKING. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "layout.h"                              /* PICK and nothing else */

enum {
    LACKING = -2147483647 - 1,
#define INT(name, ...) MPI_##name = LACKING,
#define OBJ(type, name, ...) MPI_##name = LACKING,
#define MPI(type, name, parameters) MPI_##name = LACKING,
#define EXT(name, ...) MPIX_##name = LACKING,
#define EXTOBJ(type, name, ...) MPIX_##name = LACKING,
#define MPIX(type, name, parameters) MPIX_##name = LACKING,
#include "constants.h"
#include "objects.h"
#include "functions.h"
#include "extensions.h"
#undef INT
#undef OBJ
#undef MPI
#undef EXT
#undef EXTOBJ
#undef MPIX
};

/* types that an old header lacks */
typedef struct lacking *MPI_Session, *MPI_T_event_registration, *MPI_T_event_instance;
typedef int MPI_T_cb_safety, MPI_T_source_order;
typedef void lacking_function(struct lacking *);
typedef lacking_function MPI_User_function_c, MPI_Datarep_conversion_function_c, MPI_Session_errhandler_function,
    MPI_T_event_cb_function, MPI_T_event_free_cb_function, MPI_T_event_dropped_cb_function;

static int checked, lacking;

static void integer(const char *kind, const char *name, long long theirs, long long ours)
{
    checked++;
    if (theirs == LACKING) lacking++;
    else if (theirs != ours) printf("%s %s %lld %lld\n", kind, name, theirs, ours);
}

static void prototype(const char *kind, const char *name, bool absent, bool same)
{
    checked++;
    if (absent) lacking++;
    else if (!same) printf("%s %s other same\n", kind, name);
}

#if defined(MMPI_ABI_OPENMPI) && !defined(OURS)
/* Open MPI's handles are addresses of data symbols: find the symbol in the text of the macro. */
static void symbol(const char *name, bool absent, const char *theirs, const char *ours)
{
    checked++;
    if (absent) { lacking++; return; }
    if (!strcmp(ours, "ABSENT")) { printf("handle %s %s absent\n", name, theirs); return; }
    const char *found = strstr(theirs, ours);
    if (!found || strchr("_0123456789abcdefghijklmnopqrstuvwxyz", found[strlen(ours)])) printf("handle %s %s %s\n", name, theirs, ours);
}
#endif

#define IS(a, b) __builtin_types_compatible_p(__typeof__(a), b)
#define TEXT(...) TEXT2(__VA_ARGS__)
#define TEXT2(...) #__VA_ARGS__
#define SIZE(type, s, m, o) integer("size", #type, sizeof(type), PICK(s, m, o));
#define OFFSET(field, s, m, o) integer("offset", #field, offsetof(MPI_Status, field), PICK(s, m, o));
#define ADDRESS(name, s, m, o) integer("address", #name, (intptr_t)name, PICK(s, m, o));

int main(void)
{
#include REAL
#ifdef EXTENSIONS
#include EXTENSIONS
#endif
    SIZE(MPI_Status, 32, 20, 24)
    OFFSET(MPI_SOURCE, 0, 8, 0) OFFSET(MPI_TAG, 4, 12, 4) OFFSET(MPI_ERROR, 8, 16, 8)
    SIZE(MPI_Aint, 8, 8, 8) SIZE(MPI_Offset, 8, 8, 8) SIZE(MPI_Count, 8, 8, 8)
    SIZE(MPI_Comm, 8, 4, 8) SIZE(MPI_Datatype, 8, 4, 8) SIZE(MPI_Errhandler, 8, 4, 8) SIZE(MPI_File, 8, 8, 8)
    SIZE(MPI_Group, 8, 4, 8) SIZE(MPI_Info, 8, 4, 8) SIZE(MPI_Message, 8, 4, 8) SIZE(MPI_Op, 8, 4, 8)
    SIZE(MPI_Request, 8, 4, 8) SIZE(MPI_Win, 8, 4, 8)
    if (!IS(MPI_Session, struct lacking *)) { SIZE(MPI_Session, 8, 4, 8) }

    ADDRESS(MPI_BOTTOM, 0, 0, 0) ADDRESS(MPI_IN_PLACE, 1, -1, 1)
    ADDRESS(MPI_STATUS_IGNORE, 0, 1, 0) ADDRESS(MPI_STATUSES_IGNORE, 0, 1, 0)
    ADDRESS(MPI_ARGV_NULL, 0, 0, 0) ADDRESS(MPI_ARGVS_NULL, 0, 0, 0) ADDRESS(MPI_ERRCODES_IGNORE, 0, 0, 0)
#ifdef MPI_BUFFER_AUTOMATIC
    ADDRESS(MPI_BUFFER_AUTOMATIC, 2, -2, 0)
#endif
#ifndef MMPI_ABI_MPICH                           /* data symbols there, no numbers */
    ADDRESS(MPI_UNWEIGHTED, 10, 0, 2) ADDRESS(MPI_WEIGHTS_EMPTY, 11, 0, 3)
#endif

#define CALLBACK(type, name, parameters) \
    prototype("callback", "MPI_" #name, IS(MPI_##name *, lacking_function *), IS(MPI_##name *, type (*) parameters));
#include "callbacks.h"
#undef ABSENT
#define ABSENT LACKING
#define INT(name, s, m, o) integer("constant", "MPI_" #name, MPI_##name, PICK(s, m, o));
#include "constants.h"
#define EXT(name, s, m, o) integer("constant", "MPIX_" #name, MPIX_##name, PICK(s, m, o));
#include "extensions.h"
#undef EXT
#if defined(OURS)
#define HANDLE(name, handle, text, ...)          /* ours is the table itself */
#elif defined(MMPI_ABI_OPENMPI)
#undef ABSENT
#define HANDLE(name, handle, text, s, m, o) symbol(name, (intptr_t)(handle) == LACKING, text, #o);
#else
#define HANDLE(name, handle, text, s, m, o) if ((intptr_t)(handle) == LACKING) checked++, lacking++; \
    else integer("handle", name, (uint32_t)(intptr_t)(handle), PICK(s, m, 0));
#endif
#define OBJ(type, name, ...) HANDLE("MPI_" #name, MPI_##name, TEXT(MPI_##name), __VA_ARGS__)
#define EXTOBJ(type, name, ...) HANDLE("MPIX_" #name, MPIX_##name, TEXT(MPIX_##name), __VA_ARGS__)
#include "objects.h"
#include "extensions.h"
#undef EXTOBJ
#define MPI(type, name, parameters) prototype("function", "MPI_" #name, IS(MPI_##name, int), IS(MPI_##name, type parameters));
#include "functions.h"
#define MPIX(type, name, parameters) prototype("function", "MPIX_" #name, IS(MPIX_##name, int), IS(MPIX_##name, type parameters));
#include "extensions.h"
    printf("checked %d, lacking %d\n", checked, lacking);
    return 0;
}
