# SPDX-License-Identifier: BSD-3-Clause
"""Communicators, groups, topologies and datatypes: handles in, handles out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .arrays import codes, incoming, outgoing
from .handles import call, comm_of, gone, inter_of, lib, new, number, take


@call
def comm_rank(comm: Any) -> int:
    """The rank of this process."""
    return int(comm_of(comm).Get_rank())


@call
def comm_size(comm: Any) -> int:
    """The number of processes."""
    return int(comm_of(comm).Get_size())


@call
def comm_remote_size(comm: Any) -> int:
    """The number of processes on the other side of an intercommunicator."""
    return int(inter_of(comm).Get_remote_size())


@call
def comm_test_inter(comm: Any) -> bool:
    """Whether it joins two groups."""
    return bool(comm_of(comm).Is_inter())


@call
def comm_compare(comm1: Any, comm2: Any) -> int:
    """MPI_IDENT, MPI_CONGRUENT, MPI_SIMILAR or MPI_UNEQUAL."""
    return int(comm_of(comm1).Compare(comm_of(comm2)))


@call
def comm_group(comm: Any) -> int:
    """The group of the processes."""
    return new(comm_of(comm).Get_group(), "Group")


@call
def comm_create(comm: Any, group: Any) -> int:
    """A communicator of the processes in a group; MPI_COMM_NULL elsewhere."""
    return new(comm_of(comm).Create(take("Group", group)), "Comm")


@call
def comm_dup(comm: Any) -> int:
    """A duplicate."""
    return new(comm_of(comm).Dup(), "Comm")


@call
def comm_split(comm: Any, color: int, key: int = 0) -> int:
    """A communicator for each color, ranks ordered by key; MPI_COMM_NULL for MPI_UNDEFINED."""
    return new(comm_of(comm).Split(color, key), "Comm")


@call
def comm_split_type(comm: Any, split_type: int, key: int, info: Any) -> int:
    """A communicator for each set of processes that share something, such as memory (MPI_COMM_TYPE_SHARED)."""
    return new(comm_of(comm).Split_type(split_type, key, take("Info", info)), "Comm")


@call
def comm_free(comm: Any) -> None:
    """Free a communicator; its handle must not be used any more."""
    comm_of(comm).Free()
    gone(comm, "Comm")


@call
def comm_set_errhandler(comm: Any, errhandler: Any) -> None:
    """Say what MPI does when a call fails: MPI_ERRORS_RETURN (it is raised) or MPI_ERRORS_ARE_FATAL."""
    comm_of(comm).Set_errhandler(take("Errhandler", errhandler))


@call
def attr_get(comm: Any, keyval: int) -> Any:
    """The value of an attribute, such as MPI_TAG_UB; None if it is not set."""
    return comm_of(comm).Get_attr(keyval)


def _ranks(n: int, ranks: Sequence[int], what: str) -> list[int]:
    if n != len(ranks):
        raise ValueError(f"{n} {what} were announced, but {len(ranks)} are given")
    return list(ranks)


@call
def group_incl(group: Any, n: int, ranks: Sequence[int]) -> int:
    """The group of the processes with these ranks, in this order."""
    return new(take("Group", group).Incl(_ranks(n, ranks, "ranks")), "Group")


@call
def group_rank(group: Any) -> int:
    """The rank of this process in a group; MPI_UNDEFINED outside."""
    return int(take("Group", group).Get_rank())


@call
def group_size(group: Any) -> int:
    """The number of processes in a group."""
    return int(take("Group", group).Get_size())


@call
def group_free(group: Any) -> None:
    """Free a group."""
    take("Group", group).Free()
    gone(group, "Group")


# --- topologies ----------------------------------------------------------------------------------------------


def _grid(comm: Any) -> Any:
    return take("Comm", comm, "Cartcomm")


@call
def dims_create(nnodes: int, ndims: int, dims: Sequence[int]) -> list[int]:
    """Share out nnodes over a grid; zeros in dims are filled in."""
    return list(lib().Compute_dims(nnodes, _ranks(ndims, dims, "dimensions")))


@call
def cart_create(comm: Any, ndims: int, dims: Sequence[int], periods: Sequence[int], reorder: int) -> int:
    """A communicator whose processes form a grid."""
    shape, wraps = _ranks(ndims, dims, "dimensions"), _ranks(ndims, periods, "periods")
    return new(comm_of(comm).Create_cart(shape, [bool(p) for p in wraps], bool(reorder)), "Comm")


@call
def cartdim_get(comm: Any) -> int:
    """The number of dimensions of a grid."""
    return int(_grid(comm).Get_dim())


@call
def cart_get(comm: Any, maxdims: int) -> tuple[list[int], list[int], list[int]]:
    """Dimensions, periods and own coordinates, at most maxdims of each."""
    dims, periods, coords = _grid(comm).Get_topo()
    return list(dims)[:maxdims], [int(p) for p in periods][:maxdims], list(coords)[:maxdims]


@call
def cart_rank(comm: Any, coords: Sequence[int]) -> int:
    """The rank at these coordinates."""
    return int(_grid(comm).Get_cart_rank(coords))


@call
def cart_coords(comm: Any, rank: int, maxdims: int) -> list[int]:
    """The coordinates of a rank, at most maxdims of them."""
    return list(_grid(comm).Get_coords(rank))[:maxdims]


@call
def cart_shift(comm: Any, direction: int, disp: int) -> tuple[int, int]:
    """The ranks to receive from and to send to; MPI_PROC_NULL beyond the edge."""
    source, dest = _grid(comm).Shift(direction, disp)
    return source, dest


@call
def cart_sub(comm: Any, remain_dims: Sequence[int]) -> int:
    """A communicator for each slice of the grid in the dimensions that remain."""
    return new(_grid(comm).Sub([bool(r) for r in remain_dims]), "Comm")


@call
def cart_map(comm: Any, ndims: int, dims: Sequence[int], periods: Sequence[int]) -> int:
    """The rank that this process would have on a grid; MPI_UNDEFINED outside."""
    shape, wraps = _ranks(ndims, dims, "dimensions"), _ranks(ndims, periods, "periods")
    return int(comm_of(comm).Cart_map(shape, [bool(p) for p in wraps]))


@call
def graph_create(comm: Any, nnodes: int, index: Sequence[int], edges: Sequence[int], reorder: int) -> int:
    """A communicator whose processes form a graph."""
    return new(comm_of(comm).Create_graph(_ranks(nnodes, index, "nodes"), list(edges), bool(reorder)), "Comm")


# --- two groups ----------------------------------------------------------------------------------------------


@call
def intercomm_create(local_comm: Any, local_leader: int, peer_comm: Any, remote_leader: int, tag: int) -> int:
    """Join the processes of a communicator with those of another."""
    return new(comm_of(local_comm).Create_intercomm(local_leader, comm_of(peer_comm), remote_leader, tag), "Comm")


@call
def intercomm_merge(intercomm: Any, high: int) -> int:
    """One communicator of both groups; that which says high=1 comes last."""
    return new(inter_of(intercomm).Merge(bool(high)), "Comm")


# --- datatypes -----------------------------------------------------------------------------------------------


def _derived(made: Any, old: Any) -> int:
    handle = new(made, "Datatype")
    codes().pop(handle, None)
    if number(old) in codes():
        codes()[handle] = codes()[number(old)]
    return handle


@call
def type_contiguous(count: int, oldtype: Any) -> int:
    """Items one after the other."""
    return _derived(take("Datatype", oldtype).Create_contiguous(count), oldtype)


@call
def type_vector(count: int, blocklength: int, stride: int, oldtype: Any) -> int:
    """Blocks of items at a distance of stride items."""
    return _derived(take("Datatype", oldtype).Create_vector(count, blocklength, stride), oldtype)


@call
def type_hvector(count: int, blocklength: int, stride: int, oldtype: Any) -> int:
    """Blocks of items at a distance of stride bytes."""
    return _derived(take("Datatype", oldtype).Create_hvector(count, blocklength, stride), oldtype)


@call
def type_indexed(count: int, blocklengths: Sequence[int], displs: Sequence[int], oldtype: Any) -> int:
    """Blocks of different lengths, at displacements in items."""
    lengths, places = _ranks(count, blocklengths, "blocks"), _ranks(count, displs, "displacements")
    return _derived(take("Datatype", oldtype).Create_indexed(lengths, places), oldtype)


@call
def type_hindexed(count: int, blocklengths: Sequence[int], displs: Sequence[int], oldtype: Any) -> int:
    """Blocks of different lengths, at displacements in bytes."""
    lengths, places = _ranks(count, blocklengths, "blocks"), _ranks(count, displs, "displacements")
    return _derived(take("Datatype", oldtype).Create_hindexed(lengths, places), oldtype)


@call
def type_struct(count: int, blocklengths: Sequence[int], displs: Sequence[int], types: Sequence[Any]) -> int:
    """Blocks of different types, at displacements in bytes. Its buffers are bytes."""
    lengths, places = _ranks(count, blocklengths, "blocks"), _ranks(count, displs, "displacements")
    parts = [take("Datatype", part) for part in types]
    return _derived(lib().Datatype.Create_struct(lengths, places, parts), lib().BYTE.handle)


@call
def type_create_resized(oldtype: Any, lb: int, extent: int) -> int:
    """The same data with other bounds; what MPI_LB and MPI_UB were for."""
    return _derived(take("Datatype", oldtype).Create_resized(lb, extent), oldtype)


@call
def type_commit(type: Any) -> None:
    """Make a datatype ready for communication."""
    take("Datatype", type).Commit()


@call
def type_free(type: Any) -> None:
    """Free a datatype; its handle must not be used any more."""
    take("Datatype", type).Free()
    gone(type, "Datatype")


@call
def type_size(type: Any) -> int:
    """The number of bytes of data in one item."""
    return int(take("Datatype", type).Get_size())


@call
def type_extent(type: Any) -> int:
    """The distance of one item to the next, in bytes."""
    return int(take("Datatype", type).extent)


@call
def type_lb(type: Any) -> int:
    """The lower bound, in bytes."""
    return int(take("Datatype", type).lb)


@call
def type_ub(type: Any) -> int:
    """The upper bound, in bytes."""
    return int(take("Datatype", type).ub)


@call
def pack_size(incount: int, datatype: Any, comm: Any) -> int:
    """How many bytes so many items need at most when packed."""
    return int(take("Datatype", datatype).Pack_size(incount, comm_of(comm)))


@call
def pack(inbuf: Any, incount: int, datatype: Any, outbuf: Any, outsize: int, position: int, comm: Any) -> int:
    """Pack items into `outbuf`, which is writable memory, from `position` on; return the position behind them."""
    room = memoryview(outbuf).cast("B")
    if outsize > len(room):
        raise ValueError(f"outsize is {outsize}, but outbuf has {len(room)} bytes")
    memory, _, kind = outgoing(inbuf, incount, datatype)
    return int(kind.Pack(_items(memory, incount, kind), room[:outsize], position, comm_of(comm)))


def _items(memory: Any, count: int, kind: Any) -> memoryview:
    """The memory of so many items, from which Pack and Unpack tell their number."""
    data, needed = memoryview(memory), count * kind.extent
    data = data.cast("B") if data.nbytes else data  # Python casts nothing that is empty
    if not 0 <= needed <= len(data):
        raise ValueError(f"count is {count}, but the buffer has {len(data)} bytes of {needed}")
    return data[:needed]


@call
def unpack(inbuf: Any, insize: int, position: int, outcount: int, datatype: Any, comm: Any) -> tuple[Any, int]:
    """Unpack items from `position` on; return an array of them, and the position behind them."""
    data, (memory, _, kind) = incoming(outcount, datatype)
    room = memoryview(inbuf).cast("B")
    if insize > len(room):
        raise ValueError(f"insize is {insize}, but inbuf has {len(room)} bytes")
    return data, int(kind.Unpack(room[:insize], position, _items(memory, outcount, kind), comm_of(comm)))
