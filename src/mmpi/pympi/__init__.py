# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: I001 -- names in few lines
"""pyMPI's interface: Python objects, communicators as lists of ranks, reductions by any function, output in rank order.

    from mmpi import pympi as mpi
    mpi.synchronizedWriteln("rank", mpi.rank, "of", mpi.size)
    message, status = mpi.recv()

Importing this initializes MPI, or joins it, on all ranks: WORLD is a communicator of its own, so that these messages never
meet those of other libraries. WORLD's methods are functions here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from .. import MPI, life
from ..errors import MPIError
from ..MPI import (
    ANY_SOURCE, ANY_TAG, BAND, BOR, BXOR, LAND, LOR, LXOR, MAX, MAXLOC, MIN, MINLOC, PROD, SUM, UNDEFINED,
)  # fmt: skip
from .communicators import Cartesian, Communicator
from .requests import (
    Request, Status, cancel, test, test_cancelled, testall, testany, testsome, wait, waitall, waitany, waitsome,
)  # fmt: skip

if not life.initialized():  # mmpi.rc.initialize is for mmpi.MPI alone
    life.start(life._level(None))

COLOR = int(os.environ.get("MMPI_PYMPI_COLOR", "0"))  # set by `mmpi pympi -color=N`
COMM_WORLD = Communicator(MPI.COMM_WORLD)
COMM_NULL = Communicator(MPI.COMM_NULL)
WORLD = Communicator(MPI.COMM_WORLD.Split(COLOR, MPI.COMM_WORLD.Get_rank()))

name = "pympi"
rank, size = WORLD.rank, WORLD.size
procs = size
configuration = {
    "library": MPI.Get_library_version().splitlines()[0], "version": MPI.Get_version(), "threads": life.thread_level(),
    "python": sys.version.split()[0], "processor": MPI.Get_processor_name(),
}  # fmt: skip

_LIFTED = (
    "send recv sendrecv isend irecv barrier bcast scatter gather allgather reduce allreduce scan synchronizedWrite synchronizedWriteln"
    " synchronizeQueuedOutput comm_create comm_dup comm_split cart_create comm_rank comm_size comm_free abort time tick stopwatch map"
    " mapserver mapstats"
).split()
for _method in _LIFTED:  # so that mpi.send is mpi.WORLD.send
    globals()[_method] = WORLD.__dict__[_method] = getattr(WORLD, _method)

from .remote import RemoteObject  # noqa: E402 -- it needs WORLD

__all__ = [
    "ANY_SOURCE", "ANY_TAG", "BAND", "BOR", "BXOR", "COLOR", "COMM_NULL", "COMM_WORLD", "LAND", "LOR", "LXOR", "MAX", "MAXLOC", "MIN",
    "MINLOC", "PROD", "SUM", "UNDEFINED", "WORLD", "Cartesian", "Communicator", "MPIError", "RemoteObject", "Request", "Status",
    "bcast_input_to_slaves", "cancel", "cartesian_communicator", "communicator", "configuration", "finalize", "finalized", "initialized",
    "name", "procs", "rank", "size", "test", "test_cancelled", "testall", "testany", "testsome", "trace", "traceln", "wait", "waitall",
    "waitany", "waitsome", "wtick", "wtime", *_LIFTED,
]  # fmt: skip


def initialized() -> bool:
    """Whether MPI runs or has run."""
    return life.initialized()


def finalized() -> bool:
    """Whether MPI has ended."""
    return life.finalized()


def finalize() -> None:
    """End MPI."""
    life.finalize()


def wtime() -> float:
    """Seconds since some time in the past."""
    return MPI.Wtime()


def wtick() -> float:
    """Seconds between two ticks of wtime."""
    return MPI.Wtick()


def trace(*args: Any) -> None:
    """On rank 0, write the arguments to stderr, with blanks between."""
    if rank == 0:
        sys.stderr.write(" ".join(str(arg) for arg in args))
        sys.stderr.flush()


def traceln(*args: Any) -> None:
    """As trace, with a newline."""
    trace(" ".join(str(arg) for arg in args) + "\n")


def communicator(communicator: Any = None, persist: int = 1) -> Communicator:
    """A communicator made of another, of one of mmpi.MPI, or of a C handle. persist=0: freed when Python lets go of it."""
    if communicator is None:
        communicator = MPI.COMM_NULL
    if isinstance(communicator, int):
        communicator = MPI.Intracomm.fromhandle(communicator)
    return Communicator(getattr(communicator, "comm", communicator), bool(persist))


def cartesian_communicator(
    old_comm: Communicator = WORLD, dims: Sequence[int] | None = None, periods: Sequence[int] | None = None, reorder: int = 1
) -> Cartesian | None:
    """A grid of the ranks of a communicator, by default a ring of all."""
    return old_comm.cart_create(dims, periods, reorder)


def bcast_input_to_slaves(s: str) -> str:
    """A line that rank 0 has read, at all ranks."""
    return str(WORLD.bcast(s))


def __getattr__(name: str) -> Any:
    raise AttributeError(f"module 'mmpi.pympi' has no attribute {name!r}")
