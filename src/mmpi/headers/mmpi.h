/* SPDX-License-Identifier: BSD-3-Clause
 *
 * MPI handles of C, C++ and Cython as objects of mmpi.MPI, and back:
 *
 *     #include <mpi.h>
 *     #include <mmpi.h>                            -I$(python -c 'import mmpi; print(mmpi.get_include())')
 *
 *     if (import_mmpi() < 0) return NULL;          once, in the module's init function
 *     MPI_Comm *comm = mmpi_Comm_Get(object);      where the object keeps its handle; NULL with TypeError if it is none
 *     PyObject *object = mmpi_Comm_New(comm);      an object for a handle that stays yours
 *
 * Datatype, Status, Request, Message, Op, Group, Info, Errhandler, Session, Comm, Win, File have these; Status_New takes a
 * pointer. Nothing here needs more than the limited API of Python. The MPI must be the one that mmpi loads: import_mmpi()
 * refuses one of another ABI.
 */
#ifndef MMPI_H
#define MMPI_H

#include <Python.h>
#ifndef MMPI_WITHOUT_MPI_H
#include <mpi.h>
#if MPI_VERSION < 4 && !defined MPI_Session
#define MPI_Session MPI_Comm            /* a handle of the same kind; an MPI this old has no sessions to make objects of */
#endif
#endif

#define MMPI_API_VERSION 1              /* grows when members are added; none ever changes or goes */

#define MMPI_FOR_HANDLES(_) _(Datatype) _(Request) _(Message) _(Op) _(Group) _(Info) _(Errhandler) _(Session) _(Comm) _(Win) _(File)
#define MMPI_MEMBERS(name) PyTypeObject *name##_Type; PyObject *(*name##_New)(MPI_##name); MPI_##name *(*name##_Get)(PyObject *);

typedef struct {
    int version;
    int comm_size, status_size;         /* of MPI's types in the ABI that was loaded */
    MMPI_FOR_HANDLES(MMPI_MEMBERS)
    PyTypeObject *Status_Type; PyObject *(*Status_New)(MPI_Status *); MPI_Status *(*Status_Get)(PyObject *);
    PyTypeObject *Prequest_Type; PyObject *(*Prequest_New)(MPI_Request);
    PyTypeObject *Grequest_Type; PyObject *(*Grequest_New)(MPI_Request);
} MmpiApi;

#ifndef MMPI_CORE

static const MmpiApi *mmpi_api;

/* Load mmpi.MPI, which initializes MPI unless mmpi.rc says otherwise; -1 with an exception if that fails. */
static int import_mmpi(void)
{
    PyObject *module = PyImport_ImportModule("mmpi.MPI");
    PyObject *capsule = module ? PyObject_GetAttrString(module, "_C_API") : NULL;
    const MmpiApi *api = capsule ? (const MmpiApi *)PyCapsule_GetPointer(capsule, "mmpi.MPI._C_API") : NULL;
    Py_XDECREF(capsule);
    Py_XDECREF(module);
    if (!api) return -1;
    if (api->version < MMPI_API_VERSION) {
        PyErr_SetString(PyExc_ImportError, "this extension was compiled for a newer mmpi");
        return -1;
    }
    if (api->comm_size != (int)sizeof(MPI_Comm) || api->status_size != (int)sizeof(MPI_Status)) {
        PyErr_SetString(PyExc_ImportError, "this extension was compiled for an MPI of another ABI than the one that mmpi loaded");
        return -1;
    }
    mmpi_api = api;
    return 0;
}

#define mmpi_Datatype_Type (mmpi_api->Datatype_Type)
#define mmpi_Datatype_New (mmpi_api->Datatype_New)
#define mmpi_Datatype_Get (mmpi_api->Datatype_Get)
#define mmpi_Status_Type (mmpi_api->Status_Type)
#define mmpi_Status_New (mmpi_api->Status_New)
#define mmpi_Status_Get (mmpi_api->Status_Get)
#define mmpi_Request_Type (mmpi_api->Request_Type)
#define mmpi_Request_New (mmpi_api->Request_New)
#define mmpi_Request_Get (mmpi_api->Request_Get)
#define mmpi_Prequest_Type (mmpi_api->Prequest_Type)
#define mmpi_Prequest_New (mmpi_api->Prequest_New)
#define mmpi_Grequest_Type (mmpi_api->Grequest_Type)
#define mmpi_Grequest_New (mmpi_api->Grequest_New)
#define mmpi_Message_Type (mmpi_api->Message_Type)
#define mmpi_Message_New (mmpi_api->Message_New)
#define mmpi_Message_Get (mmpi_api->Message_Get)
#define mmpi_Op_Type (mmpi_api->Op_Type)
#define mmpi_Op_New (mmpi_api->Op_New)
#define mmpi_Op_Get (mmpi_api->Op_Get)
#define mmpi_Group_Type (mmpi_api->Group_Type)
#define mmpi_Group_New (mmpi_api->Group_New)
#define mmpi_Group_Get (mmpi_api->Group_Get)
#define mmpi_Info_Type (mmpi_api->Info_Type)
#define mmpi_Info_New (mmpi_api->Info_New)
#define mmpi_Info_Get (mmpi_api->Info_Get)
#define mmpi_Errhandler_Type (mmpi_api->Errhandler_Type)
#define mmpi_Errhandler_New (mmpi_api->Errhandler_New)
#define mmpi_Errhandler_Get (mmpi_api->Errhandler_Get)
#define mmpi_Session_Type (mmpi_api->Session_Type)
#define mmpi_Session_New (mmpi_api->Session_New)
#define mmpi_Session_Get (mmpi_api->Session_Get)
#define mmpi_Comm_Type (mmpi_api->Comm_Type)
#define mmpi_Comm_New (mmpi_api->Comm_New)
#define mmpi_Comm_Get (mmpi_api->Comm_Get)
#define mmpi_Win_Type (mmpi_api->Win_Type)
#define mmpi_Win_New (mmpi_api->Win_New)
#define mmpi_Win_Get (mmpi_api->Win_Get)
#define mmpi_File_Type (mmpi_api->File_Type)
#define mmpi_File_New (mmpi_api->File_New)
#define mmpi_File_Get (mmpi_api->File_Get)

#endif
#endif
