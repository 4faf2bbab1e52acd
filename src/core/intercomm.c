/* Communicators that join two groups (MPI 5.0, chapter 7). */
#include "core.h"

METHOD(Comm, Create_intercomm, "local_leader, peer_comm, remote_leader, tag=0",
       "Join this communicator's processes with those of another. The leaders of both are members of peer_comm, which only they need to know.")
{
    Frame frame; int local, remote, tag = 0; Comm *peers; MPI_Comm new = MPI_COMM_NULL;
    int rc = PARSE(&frame, to_int, &local, to_comm, &peers, to_int, &remote, to_int, &tag);
    if (!rc) CALL(rc, NOTE(ALL(self), .root = local, .tag = tag), MPI_Intercomm_create, self->handle, local, peers->handle, remote, tag, &new);
    return finish_with(&frame, rc, rc ? NULL : new_inter(new, self->context));
}

METHOD0(Comm, Get_remote_group, "The group on the other side.")
{
    MPI_Group group = MPI_GROUP_NULL; int rc;
    LOCAL(rc, MPI_Comm_remote_group, self->handle, &group);
    return rc ? finish(NULL, rc) : new_owned(GroupType, &group);
}

METHOD0(Comm, Get_remote_size, "The number of processes on the other side.")
{
    int size = 0, rc;
    LOCAL(rc, MPI_Comm_remote_size, self->handle, &size);
    return finish_with(NULL, rc, PyLong_FromLong(size));
}

METHOD(Comm, Merge, "high=False", "One communicator of both groups; that which says high=True comes last.")
{
    Frame frame; int high = 0; MPI_Comm new = MPI_COMM_NULL;
    int rc = PARSE(&frame, to_flag, &high);
    if (!rc) CALL(rc, NOTE(ALL(self)), MPI_Intercomm_merge, self->handle, high, &new);
    return finish_with(&frame, rc, rc ? NULL : new_comm(new, self->context));
}

GETTER(Comm, remote_group, "The group on the other side.") { return Comm_Get_remote_group_body(self); }
GETTER(Comm, remote_size, "The number of processes on the other side.") { return Comm_Get_remote_size_body(self); }

PyMethodDef making_inter_methods[] = {ROW(Comm, Create_intercomm), END_OF_ROWS};
PyMethodDef inter_methods[] = {ROW0(Comm, Get_remote_group), ROW0(Comm, Get_remote_size), ROW(Comm, Merge), END_OF_ROWS};
PyGetSetDef inter_getters[] = {GETROW(Comm, remote_group), GETROW(Comm, remote_size), END_OF_GETROWS};
