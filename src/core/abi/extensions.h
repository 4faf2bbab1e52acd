/* What libraries offer beyond the standard: fault tolerance (ULFM), GPU awareness, a half-precision type, as
   MPIX(return type, name, parameters), EXT(name, standard ABI, MPICH, Open MPI) and EXTOBJ(class, name, standard ABI, MPICH,
   Open MPI data symbol). Included more than once. */
#ifdef EXT
EXT(ERR_PROC_FAILED, ABSENT, 101, 75)
EXT(ERR_PROC_FAILED_PENDING, ABSENT, 102, 76)
EXT(ERR_REVOKED, ABSENT, 103, 77)
EXT(TYPECLASS_LOGICAL, 191, ABSENT, ABSENT)
EXT(GPU_SUPPORT_CUDA, ABSENT, 0, ABSENT)
EXT(GPU_SUPPORT_ZE, ABSENT, 1, ABSENT)
EXT(GPU_SUPPORT_HIP, ABSENT, 2, ABSENT)
#endif
#ifdef EXTOBJ
EXTOBJ(Datatype, C_FLOAT16, 0, 0x4c000246, ompi_mpi_short_float)
EXTOBJ(Datatype, BFLOAT16, 0, 0x4c00024c, ABSENT)
#endif
#ifdef MPIX
MPIX(int, Comm_ack_failed, (MPI_Comm, int, int *))
MPIX(int, Comm_agree, (MPI_Comm, int *))
MPIX(int, Comm_failure_ack, (MPI_Comm))
MPIX(int, Comm_failure_get_acked, (MPI_Comm, MPI_Group *))
MPIX(int, Comm_get_failed, (MPI_Comm, MPI_Group *))
MPIX(int, Comm_iagree, (MPI_Comm, int *, MPI_Request *))
MPIX(int, Comm_is_revoked, (MPI_Comm, int *))
MPIX(int, Comm_ishrink, (MPI_Comm, MPI_Comm *, MPI_Request *))
MPIX(int, Comm_revoke, (MPI_Comm))
MPIX(int, Comm_shrink, (MPI_Comm, MPI_Comm *))
MPIX(int, GPU_query_support, (int, int *))
MPIX(int, Query_cuda_support, (void))
MPIX(int, Query_hip_support, (void))
MPIX(int, Query_rocm_support, (void))
MPIX(int, Query_ze_support, (void))
#endif
#ifdef FORTRAN
FORTRAN(Comm, Comm)
FORTRAN(Group, Group)
FORTRAN(Datatype, Type)
FORTRAN(Op, Op)
FORTRAN(Info, Info)
FORTRAN(Errhandler, Errhandler)
FORTRAN(Message, Message)
FORTRAN(Request, Request)
FORTRAN(Win, Win)
FORTRAN(File, File)
FORTRAN(Session, Session)
#endif
