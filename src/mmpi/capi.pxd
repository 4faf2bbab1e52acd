# SPDX-License-Identifier: BSD-3-Clause
# For Cython: `from mmpi.capi cimport MPI_Comm, import_mmpi, mmpi_Comm_Get`, with -I from mmpi.get_include(). Call
# import_mmpi() once, at the top of the module.

cdef extern from "mpi.h":
    ctypedef void *MPI_Datatype
    ctypedef void *MPI_Request
    ctypedef void *MPI_Message
    ctypedef void *MPI_Op
    ctypedef void *MPI_Group
    ctypedef void *MPI_Info
    ctypedef void *MPI_Errhandler
    ctypedef void *MPI_Session
    ctypedef void *MPI_Comm
    ctypedef void *MPI_Win
    ctypedef void *MPI_File
    ctypedef struct MPI_Status:
        int MPI_SOURCE
        int MPI_TAG
        int MPI_ERROR

cdef extern from "mmpi.h":
    int import_mmpi() except -1
    object mmpi_Datatype_New(MPI_Datatype)
    MPI_Datatype *mmpi_Datatype_Get(object) except NULL
    object mmpi_Status_New(MPI_Status *)
    MPI_Status *mmpi_Status_Get(object) except NULL
    object mmpi_Request_New(MPI_Request)
    object mmpi_Prequest_New(MPI_Request)
    object mmpi_Grequest_New(MPI_Request)
    MPI_Request *mmpi_Request_Get(object) except NULL
    object mmpi_Message_New(MPI_Message)
    MPI_Message *mmpi_Message_Get(object) except NULL
    object mmpi_Op_New(MPI_Op)
    MPI_Op *mmpi_Op_Get(object) except NULL
    object mmpi_Group_New(MPI_Group)
    MPI_Group *mmpi_Group_Get(object) except NULL
    object mmpi_Info_New(MPI_Info)
    MPI_Info *mmpi_Info_Get(object) except NULL
    object mmpi_Errhandler_New(MPI_Errhandler)
    MPI_Errhandler *mmpi_Errhandler_Get(object) except NULL
    object mmpi_Session_New(MPI_Session)
    MPI_Session *mmpi_Session_Get(object) except NULL
    object mmpi_Comm_New(MPI_Comm)
    MPI_Comm *mmpi_Comm_Get(object) except NULL
    object mmpi_Win_New(MPI_Win)
    MPI_Win *mmpi_Win_Get(object) except NULL
    object mmpi_File_New(MPI_File)
    MPI_File *mmpi_File_Get(object) except NULL
