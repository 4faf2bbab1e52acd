/* Our own MPI header: the facts of one ABI family, chosen by -DMMPI_ABI_{STD,MPICH,OPENMPI}.
   No MPI is needed to compile. Every function is weak: absent in the loaded library = null address.
   With -DMMPI_ABI_SITE it is the site's mpi.h instead, and what checks/probe.c found lacking there. */
#ifndef MMPI_ABI_MPI_H
#define MMPI_ABI_MPI_H
#include <stddef.h>
#include <stdint.h>
#define WEAK __attribute__((weak))
#define ABSENT (-2147483647 - 1)

#if defined(MMPI_ABI_SITE)
#  include <mpi.h>
#  ifdef OMPI_MAJOR_VERSION
#    include <mpi-ext.h>
#  endif
#  include "missing.h"
#else
#include "layout.h"

typedef intptr_t MPI_Aint;
typedef int64_t MPI_Offset, MPI_Count;

#if defined(MMPI_ABI_MPICH)                      /* handles are ints, except files */
typedef int MPI_Comm, MPI_Datatype, MPI_Errhandler, MPI_Group, MPI_Info, MPI_Message, MPI_Op, MPI_Request,
            MPI_Session, MPI_Win;
typedef struct ADIOI_FileD *MPI_File;
typedef struct { int count_lo, count_hi, MPI_SOURCE, MPI_TAG, MPI_ERROR; } MPI_Status;
#else                                            /* handles are pointers */
typedef struct mpi_comm *MPI_Comm;
typedef struct mpi_datatype *MPI_Datatype;
typedef struct mpi_errhandler *MPI_Errhandler;
typedef struct mpi_file *MPI_File;
typedef struct mpi_group *MPI_Group;
typedef struct mpi_info *MPI_Info;
typedef struct mpi_message *MPI_Message;
typedef struct mpi_op *MPI_Op;
typedef struct mpi_request *MPI_Request;
typedef struct mpi_session *MPI_Session;
typedef struct mpi_win *MPI_Win;
#  if defined(MMPI_ABI_STD)
typedef struct { int MPI_SOURCE, MPI_TAG, MPI_ERROR, internal[5]; } MPI_Status;
#  else
typedef struct { int MPI_SOURCE, MPI_TAG, MPI_ERROR, cancelled; size_t ucount; } MPI_Status;
#  endif
#endif

/* tool interface */
typedef struct mpit_enum *MPI_T_enum;
typedef struct mpit_cvar *MPI_T_cvar_handle;
typedef struct mpit_pvar *MPI_T_pvar_handle;
typedef struct mpit_session *MPI_T_pvar_session;
typedef struct mpit_registration *MPI_T_event_registration;
typedef struct mpit_instance *MPI_T_event_instance;
typedef int MPI_T_cb_safety, MPI_T_source_order;

/* callbacks */
#define CALLBACK(type, name, parameters) typedef type MPI_##name parameters;
#include "callbacks.h"
#undef CALLBACK

/* integer constants */
enum {
#define INT(name, std, mpich, openmpi) MPI_##name = PICK(std, mpich, openmpi),
#include "constants.h"
#undef INT
#define EXT(name, std, mpich, openmpi) MPIX_##name = PICK(std, mpich, openmpi),
#include "extensions.h"
#undef EXT
    MPI_CONSTANTS_END
};

/* predefined handles: values in std and mpich, addresses of data symbols in Open MPI */
#if defined(MMPI_ABI_OPENMPI)
#  undef ABSENT
#  define ABSENT ompi_absent                     /* no such object: weak, never defined, so null */
#  define OBJ(type, name, std, mpich, symbol) extern WEAK char symbol[];
#  define EXTOBJ OBJ
#  include "objects.h"
#  include "extensions.h"
#  undef OBJ
#  undef EXTOBJ
#  define HANDLE(std, mpich, symbol) (void *)symbol
#else
#  define HANDLE(std, mpich, symbol) (intptr_t)PICK(std, mpich, 0)
#endif
#define OBJ(type, name, ...) static const MPI_##type MPI_##name __attribute__((unused)) = (MPI_##type)HANDLE(__VA_ARGS__);
#define EXTOBJ(type, name, ...) static const MPI_##type MPIX_##name __attribute__((unused)) = (MPI_##type)HANDLE(__VA_ARGS__);
#include "objects.h"
#include "extensions.h"
#undef OBJ
#undef EXTOBJ
#undef HANDLE

/* addresses with a meaning */
#define MPI_BOTTOM          ((void *)0)
#define MPI_IN_PLACE        ((void *)PICK(1, -1, 1))
#define MPI_STATUS_IGNORE   ((MPI_Status *)PICK(0, 1, 0))
#define MPI_STATUSES_IGNORE MPI_STATUS_IGNORE
#define MPI_ARGV_NULL       ((char **)0)
#define MPI_ARGVS_NULL      ((char ***)0)
#define MPI_ERRCODES_IGNORE ((int *)0)
#define MPI_BUFFER_AUTOMATIC ((void *)PICK(2, -2, 0))    /* null: Open MPI has none */
#if defined(MMPI_ABI_MPICH)                      /* data symbols, not numbers */
extern WEAK int *const MPI_UNWEIGHTED, *const MPI_WEIGHTS_EMPTY;
#else
#define MPI_UNWEIGHTED      ((int *)PICK(10, 0, 2))
#define MPI_WEIGHTS_EMPTY   ((int *)PICK(11, 0, 3))
#endif

/* functions */
#define MPI(type, name, parameters) WEAK type MPI_##name parameters;
#include "functions.h"
#undef MPI
#define MPIX(type, name, parameters) WEAK type MPIX_##name parameters;
#include "extensions.h"
#undef MPIX
#define FORTRAN(class, name) WEAK int MPI_##name##_c2f(MPI_##class); WEAK MPI_##class MPI_##name##_f2c(int);
#if defined(MMPI_ABI_OPENMPI)
#  include "extensions.h"
#endif
#undef FORTRAN
#endif                                           /* not a site's */
#endif
