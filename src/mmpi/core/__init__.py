# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: I001 -- one name after the other would fill pages
"""MPI in the order of C's arguments, with explicit counts and types: the interface of MaroonMPI 1 and of MYMPI.

    from mmpi import core as mpi
    rank, size = mpi.init()
    total = mpi.allreduce(rank, 1, mpi.MPI_INT, mpi.MPI_SUM, mpi.MPI_COMM_WORLD)[0]

Handles are the C handles as ints. What is received comes back as a new array, of NumPy if that is installed. Every function
has its name with `mpi_` in front too. Importing this starts nothing; `init()` starts MPI.
"""

from typing import Any

from ..errors import MPIError as MpiException
from . import life
from .collectives import (
    allgather, allgatherv, allreduce, alltoall, alltoallv, barrier, bcast, gather, gatherv, reduce, reduce_scatter, scan, scatter,
    scatterv,
)  # fmt: skip
from .fortran import comm_c2f, comm_f2c, group_c2f, group_f2c, op_c2f, op_f2c, type_c2f, type_f2c
from .life import (
    abort, error, error_string, finalize, finalized, get_processor_name, get_version, init, initialized, mpi_init, wtick, wtime,
)  # fmt: skip
from .objects import (
    attr_get, cart_coords, cart_create, cart_get, cart_map, cart_rank, cart_shift, cart_sub, cartdim_get, comm_compare, comm_create,
    comm_dup, comm_free, comm_group, comm_rank, comm_remote_size, comm_set_errhandler, comm_size, comm_split, comm_split_type,
    comm_test_inter, dims_create, graph_create, group_free, group_incl, group_rank, group_size, intercomm_create, intercomm_merge,
    pack, pack_size, type_commit, type_contiguous, type_create_resized, type_extent, type_free, type_hindexed, type_hvector,
    type_indexed, type_lb, type_size, type_struct, type_ub, type_vector, unpack,
)  # fmt: skip
from .p2p import (
    Request, cancel, get_count, iprobe, irecv, isend, probe, recv, send, sendrecv, status, test, test_cancelled, testall, testany,
    testsome, wait, waitall, waitany, waitsome,
)  # fmt: skip
from .processes import (
    array_of_errcodes, close_port, comm_accept, comm_connect, comm_disconnect, comm_get_parent, comm_spawn, open_port,
)  # fmt: skip

remote_size = comm_remote_size

__all__ = [
    "MpiException", "Request", "abort", "allgather", "allgatherv", "allreduce", "alltoall", "alltoallv", "array_of_errcodes", "attr_get",
    "barrier", "bcast", "cancel", "cart_coords", "cart_create", "cart_get", "cart_map", "cart_rank", "cart_shift", "cart_sub",
    "cartdim_get", "close_port", "comm_accept", "comm_c2f", "comm_compare", "comm_connect", "comm_create", "comm_disconnect", "comm_dup",
    "comm_f2c", "comm_free", "comm_get_parent", "comm_group", "comm_rank", "comm_remote_size", "comm_set_errhandler", "comm_size",
    "comm_spawn", "comm_split", "comm_split_type", "comm_test_inter", "dims_create", "error", "error_string", "finalize", "finalized",
    "gather", "gatherv", "get_count", "get_processor_name", "get_version", "graph_create", "group_c2f", "group_f2c", "group_free",
    "group_incl", "group_rank", "group_size", "init", "initialized", "intercomm_create", "intercomm_merge", "iprobe", "irecv", "isend",
    "mpi_init", "op_c2f", "op_f2c", "open_port", "pack", "pack_size", "probe", "recv", "reduce", "reduce_scatter", "remote_size", "scan",
    "scatter", "scatterv", "send", "sendrecv", "status", "test", "test_cancelled", "testall", "testany", "testsome", "type_c2f",
    "type_commit", "type_contiguous", "type_create_resized", "type_extent", "type_f2c", "type_free", "type_hindexed", "type_hvector",
    "type_indexed", "type_lb", "type_size", "type_struct", "type_ub", "type_vector", "unpack", "wait", "waitall", "waitany", "waitsome",
    "wtick", "wtime",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name.startswith("MPI_"):
        value = globals()[name] = life.constant(name)
        return value
    if name.startswith("mpi_") and name[4:] in __all__:
        return globals()[name[4:]]
    raise AttributeError(f"module 'mmpi.core' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *(f"mpi_{name}" for name in __all__ if name[0].islower() and not name.startswith("mpi_")), *life.constants()]
