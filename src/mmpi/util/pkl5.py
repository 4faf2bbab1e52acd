# SPDX-License-Identifier: BSD-3-Clause
"""The names of mpi4py.util.pkl5. Large buffers always travel out of band here, so these classes are MPI's own.

`Intracomm(comm)` and `Intercomm(comm)` give the communicator itself another object. `pickle` is MPI.pickle.
"""

from __future__ import annotations

from typing import Any, NoReturn, SupportsIndex

from mmpi import MPI
from mmpi.MPI import ANY_SOURCE, ANY_TAG, PROC_NULL, ROOT, Pickle, Status

__all__ = ["ANY_SOURCE", "ANY_TAG", "PROC_NULL", "ROOT", "Comm", "Intercomm", "Intracomm", "Message", "Pickle", "Request", "Status", "pickle"]

pickle: Pickle = MPI.pickle
Request = MPI.Request
Message = MPI.Message


class _BigMPI:
    """mpi4py cuts large buffers into blocks of this size. Here MPI's large counts do, or pieces that it takes."""

    def __init__(self) -> None:
        self.blocksize = 1 << 30


_bigmpi = _BigMPI()


class Comm(MPI.Comm):
    """A communicator; all of them send large buffers from where they are. As in mpi4py, `buf` is ignored, and irecv is missing."""

    def recv(self, buf: Any = None, source: SupportsIndex = ANY_SOURCE, tag: SupportsIndex = ANY_TAG, status: Status | None = None) -> Any:
        """Receive an object of any size."""
        return super().recv(None, source, tag, status)

    def sendrecv(
        self,
        sendobj: Any,
        dest: SupportsIndex,
        sendtag: SupportsIndex = 0,
        recvbuf: Any = None,
        source: SupportsIndex = ANY_SOURCE,
        recvtag: SupportsIndex = ANY_TAG,
        status: Status | None = None,
    ) -> Any:
        """Send an object and receive another at once."""
        return super().sendrecv(sendobj, dest, sendtag, None, source, recvtag, status)

    def irecv(self, buf: Any = None, source: SupportsIndex = ANY_SOURCE, tag: SupportsIndex = ANY_TAG) -> NoReturn:
        """RuntimeError, as programs for pkl5 expect; that of MPI.Comm receives objects of any size."""
        raise RuntimeError("pkl5 communicators have no irecv; that of MPI.Comm receives objects of any size")


class Intracomm(Comm, MPI.Intracomm):
    """A communicator of one group."""


class Intercomm(Comm, MPI.Intercomm):
    """A communicator of two groups."""
