/* Site build: print what the site's mpi.h lacks, as declarations to be compiled after it. Compiled by the site's mpicc and run;
   it calls no MPI function. The trick is that of truth.c: names are first enumerators, then mpi.h is included inside main(). */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
typedef struct lacking *Lacking;
typedef Lacking MPI_Session, MPI_T_event_registration, MPI_T_event_instance, MPI_T_cb_safety, MPI_T_source_order;
typedef void lacking_function(Lacking);
typedef lacking_function MPI_User_function_c, MPI_Datarep_conversion_function_c, MPI_Session_errhandler_function,
    MPI_T_event_cb_function, MPI_T_event_free_cb_function, MPI_T_event_dropped_cb_function;

#define IS(a, b) __builtin_types_compatible_p(__typeof__(a), b)
#define TYPE(name, as) if (IS(name, Lacking)) puts("typedef " as " " #name ";");
#define CALLBACK(type, name, parameters) \
    if (IS(MPI_##name *, lacking_function *)) puts("typedef " #type " MPI_" #name #parameters ";");

static const char *null_of(const char *type)
{
    static const char *const nulls[][2] = {
        {"Datatype", "MPI_DATATYPE_NULL"}, {"Errhandler", "MPI_ERRHANDLER_NULL"}, {"Info", "MPI_INFO_NULL"},
        {"Message", "MPI_MESSAGE_NULL"}, {"Op", "MPI_OP_NULL"}, {"Session", "((MPI_Session)0)"}};
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        if (!strcmp(type, nulls[i][0])) return nulls[i][1];
    fprintf(stderr, "mpi.h lacks a predefined MPI_%s, which no MPI may\n", type);
    exit(1);
}

int main(void)
{
#include <mpi.h>
#ifdef OMPI_MAJOR_VERSION
#include <mpi-ext.h>
#endif
    TYPE(MPI_Session, "struct mmpi_session *") TYPE(MPI_T_event_registration, "struct mmpi_registration *")
    TYPE(MPI_T_event_instance, "struct mmpi_instance *") TYPE(MPI_T_cb_safety, "int") TYPE(MPI_T_source_order, "int")
#include "callbacks.h"
#ifndef MPI_BUFFER_AUTOMATIC
    puts("#define MPI_BUFFER_AUTOMATIC ((void *)0)");
#endif
#define INT(name, s, m, o) if (MPI_##name == LACKING) puts("#define MPI_" #name " ABSENT");
#include "constants.h"
#define EXT(name, s, m, o) if (MPIX_##name == LACKING) puts("#define MPIX_" #name " ABSENT");
#include "extensions.h"
#undef EXT
#define OBJ(type, name, s, m, o) if ((intptr_t)(MPI_##name) == LACKING) printf("#define MPI_" #name " %s\n", null_of(#type));
#include "objects.h"
#define EXTOBJ(type, name, ...) if ((intptr_t)(MPIX_##name) == LACKING) puts("#define MPIX_" #name " ((MPI_" #type ")0)");
#include "extensions.h"
#undef EXTOBJ
/* In parentheses, since some mpi.h have macros of these names that take arguments. */
#define MPI(type, name, parameters) if (IS(MPI_##name, int)) puts(#type " (MPI_" #name ")" #parameters " WEAK;");
#include "functions.h"
#define MPIX(type, name, parameters) if (IS(MPIX_##name, int)) puts(#type " (MPIX_" #name ")" #parameters " WEAK;");
#include "extensions.h"
    return 0;
}
