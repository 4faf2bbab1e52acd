/* SPDX-License-Identifier: BSD-3-Clause
 *
 * For sources that include mpi4py's header: the same names, on mmpi.h. */
#ifndef MPI4PY_H
#define MPI4PY_H

#include "../mmpi.h"

#define import_mpi4py import_mmpi

#define PyMPIDatatype_Type (*mmpi_Datatype_Type)
#define PyMPIDatatype_New mmpi_Datatype_New
#define PyMPIDatatype_Get mmpi_Datatype_Get
#define PyMPIStatus_Type (*mmpi_Status_Type)
#define PyMPIStatus_New mmpi_Status_New
#define PyMPIStatus_Get mmpi_Status_Get
#define PyMPIRequest_Type (*mmpi_Request_Type)
#define PyMPIRequest_New mmpi_Request_New
#define PyMPIRequest_Get mmpi_Request_Get
#define PyMPIMessage_Type (*mmpi_Message_Type)
#define PyMPIMessage_New mmpi_Message_New
#define PyMPIMessage_Get mmpi_Message_Get
#define PyMPIOp_Type (*mmpi_Op_Type)
#define PyMPIOp_New mmpi_Op_New
#define PyMPIOp_Get mmpi_Op_Get
#define PyMPIGroup_Type (*mmpi_Group_Type)
#define PyMPIGroup_New mmpi_Group_New
#define PyMPIGroup_Get mmpi_Group_Get
#define PyMPIInfo_Type (*mmpi_Info_Type)
#define PyMPIInfo_New mmpi_Info_New
#define PyMPIInfo_Get mmpi_Info_Get
#define PyMPIErrhandler_Type (*mmpi_Errhandler_Type)
#define PyMPIErrhandler_New mmpi_Errhandler_New
#define PyMPIErrhandler_Get mmpi_Errhandler_Get
#define PyMPISession_Type (*mmpi_Session_Type)
#define PyMPISession_New mmpi_Session_New
#define PyMPISession_Get mmpi_Session_Get
#define PyMPIComm_Type (*mmpi_Comm_Type)
#define PyMPIComm_New mmpi_Comm_New
#define PyMPIComm_Get mmpi_Comm_Get
#define PyMPIWin_Type (*mmpi_Win_Type)
#define PyMPIWin_New mmpi_Win_New
#define PyMPIWin_Get mmpi_Win_Get
#define PyMPIFile_Type (*mmpi_File_Type)
#define PyMPIFile_New mmpi_File_New
#define PyMPIFile_Get mmpi_File_Get
#define PyMPIPrequest_New mmpi_Prequest_New
#define PyMPIGrequest_New mmpi_Grequest_New

#endif
