# SPDX-License-Identifier: BSD-3-Clause
"""What the operations of MPI mean to the analysis, by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .nesting import Ints

NONE, BARRIER, ALL_TO_ALL, ONE_TO_ALL, ALL_TO_ONE, SCAN, CREATION = range(7)

_ROLES = {
    BARRIER: "barrier win_fence win_free",
    ALL_TO_ALL: "allreduce allgather allgatherv alltoall alltoallv alltoallw reduce_scatter reduce_scatter_block",
    ONE_TO_ALL: "bcast scatter scatterv",
    ALL_TO_ONE: "gather gatherv reduce",
    SCAN: "scan exscan",
    CREATION: (
        "comm_dup comm_dup_with_info comm_idup comm_idup_with_info comm_create comm_split comm_split_type "
        "cart_create cart_sub graph_create dist_graph_create dist_graph_create_adjacent intercomm_create intercomm_merge "
        "comm_spawn comm_spawn_multiple comm_accept comm_connect "
        "win_create win_allocate win_allocate_shared win_create_dynamic file_open"
    ),
}
ROLES = {name: role for role, names in _ROLES.items() for name in names.split()}
OF_OBJECTS = frozenset({"reduce", "ireduce", "scan", "iscan", "exscan", "iexscan"})  # all begin with an allreduce, which tells what is reduced
SYNCHRONOUS = frozenset({"ssend", "issend"})
NEVER_WAITS = frozenset({"bsend", "ibsend", "rsend", "irsend"})
PROBES = frozenset({"probe", "mprobe"})
ACCESSES = frozenset(
    "put rput get rget accumulate raccumulate get_accumulate rget_accumulate fetch_and_op compare_and_swap".split()
)
RECEIVES = frozenset({"recv", "irecv", "mrecv", "imrecv"})


def bare(name: str) -> str:
    """`MPI_Send_c`, `Send` and `send` are the same: `send`."""
    return name.removeprefix("MPI_").removeprefix("PMPI_").removesuffix("_c").lower()


def shown(name: str) -> str:
    """An operation as the report writes it: without MPI_."""
    return name.removeprefix("MPI_")


def role(name: str) -> int:
    """What a collective needs of whom before it can end; NONE for what is not one, or not known to wait."""
    plain = bare(name)
    return ROLES.get(plain) or (ROLES.get(plain[1:], NONE) if plain.startswith("i") else NONE)


def roles(operations: Sequence[dict[str, Any]], operation: Ints, size: Ints) -> Ints:
    """The role of each call, by its operation and bytes: reductions of objects, whose bytes are not told (-1), need all ranks."""
    role_of = np.array([role(op["name"]) if op["kind"] == "mpi" else NONE for op in operations], dtype=np.int64)
    objects = (select(operations, OF_OBJECTS)[operation] == 1) & (size < 0)
    return np.where(objects, ALL_TO_ALL, role_of[operation])


def select(operations: Sequence[dict[str, Any]], names: frozenset[str]) -> Ints:
    """1 for each operation of these names."""
    return np.array([op["kind"] == "mpi" and bare(op["name"]) in names for op in operations], dtype=np.int64)
