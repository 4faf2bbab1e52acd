# SPDX-License-Identifier: BSD-3-Clause
"""Collective operations. Where a rank gets no result, it gets an empty array.

On an intercommunicator the root says MPI_ROOT, the others of its group MPI_PROC_NULL, and the other group the root's rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .arrays import incoming, outgoing
from .handles import call, comm_of, inter_of, lib, take


def _place(comm: Any, root: int) -> tuple[Any, bool, bool, int]:
    """The communicator, whether this rank is the root, whether it is one of the others, and how many those are."""
    one = comm_of(comm)
    if not one.Is_inter():
        return one, root == one.Get_rank(), True, one.Get_size()
    return one, root == lib().ROOT, root >= 0, inter_of(comm).Get_remote_size()


def _peers(comm: Any) -> tuple[Any, int]:
    one = comm_of(comm)
    return one, inter_of(comm).Get_remote_size() if one.Is_inter() else one.Get_size()


def _parts(counts: Sequence[int], displs: Sequence[int], size: int) -> int:
    """How many items the parts of all ranks span."""
    if len(counts) != size or len(displs) != size:
        raise ValueError(f"{len(counts)} counts and {len(displs)} displacements are given for {size} ranks")
    if min(*counts, *displs, 0) < 0:
        raise ValueError(f"counts {list(counts)} and displacements {list(displs)} cannot be negative")
    return max((d + c for c, d in zip(counts, displs, strict=True) if c), default=0)


@call
def barrier(comm: Any) -> None:
    """Wait until all ranks have come."""
    comm_of(comm).Barrier()


@call
def bcast(buf: Any, count: int, type: Any, root: int, comm: Any) -> Any:
    """Give the root's items to all; return them. `buf` counts at the root only."""
    one, is_root, takes_part, _ = _place(comm, root)
    data, spec = incoming(count if is_root or takes_part else 0, type)
    if is_root:
        source = outgoing(buf, count, type)
        one.Bcast(source, root)
        return _copied(source, data, spec)
    one.Bcast(spec, root)
    return data


def _copied(source: list[Any], data: Any, spec: list[Any]) -> Any:
    """What the root sent, as the others get it."""
    length = memoryview(spec[0]).nbytes
    if length:
        memoryview(spec[0]).cast("B")[:] = memoryview(source[0]).cast("B")[:length]
    return data


@call
def gather(sbuf: Any, scount: int, stype: Any, rcount: int, rtype: Any, root: int, comm: Any) -> Any:
    """Gather equal parts at the root; return them there."""
    one, is_root, sends, size = _place(comm, root)
    data, spec = incoming(rcount * size if is_root else 0, rtype, rcount)
    one.Gather(outgoing(sbuf, scount, stype) if sends else None, spec if is_root else None, root)
    return data


@call
def gatherv(
    sbuf: Any, scount: int, stype: Any, rcounts: Sequence[int], displs: Sequence[int], rtype: Any, root: int, comm: Any
) -> Any:
    """Gather parts of any length at the root; return them there, each at its displacement."""
    one, is_root, sends, size = _place(comm, root)
    data, spec = incoming(_parts(rcounts, displs, size) if is_root else 0, rtype, (rcounts, displs))
    one.Gatherv(outgoing(sbuf, scount, stype) if sends else None, spec if is_root else None, root)
    return data


@call
def scatter(sbuf: Any, scount: int, stype: Any, rcount: int, rtype: Any, root: int, comm: Any) -> Any:
    """Give each rank an equal part of what the root has; return it."""
    one, is_root, receives, _ = _place(comm, root)
    data, spec = incoming(rcount if receives else 0, rtype)
    one.Scatter(outgoing(sbuf, scount, stype) if is_root else None, spec if receives else None, root)
    return data


@call
def scatterv(
    sbuf: Any, scounts: Sequence[int], displs: Sequence[int], stype: Any, rcount: int, rtype: Any, root: int, comm: Any
) -> Any:
    """Give each rank a part of any length of what the root has; return it."""
    one, is_root, receives, size = _place(comm, root)
    if is_root:
        _parts(scounts, displs, size)
    data, spec = incoming(rcount if receives else 0, rtype)
    one.Scatterv(outgoing(sbuf, (scounts, displs), stype) if is_root else None, spec if receives else None, root)
    return data


@call
def allgather(sbuf: Any, scount: int, stype: Any, rcount: int, rtype: Any, comm: Any) -> Any:
    """Gather equal parts at all ranks; return them."""
    one, size = _peers(comm)
    data, spec = incoming(rcount * size, rtype, rcount)
    one.Allgather(outgoing(sbuf, scount, stype), spec)
    return data


@call
def allgatherv(sbuf: Any, scount: int, stype: Any, rcounts: Sequence[int], displs: Sequence[int], rtype: Any, comm: Any) -> Any:
    """Gather parts of any length at all ranks; return them, each at its displacement."""
    one, size = _peers(comm)
    data, spec = incoming(_parts(rcounts, displs, size), rtype, (rcounts, displs))
    one.Allgatherv(outgoing(sbuf, scount, stype), spec)
    return data


@call
def alltoall(sbuf: Any, scount: int, stype: Any, rcount: int, rtype: Any, comm: Any) -> Any:
    """Send `scount` items to each rank; return what came, `rcount` from each."""
    one, size = _peers(comm)
    data, spec = incoming(rcount * size, rtype, rcount)
    one.Alltoall(outgoing(sbuf, scount, stype), spec)
    return data


@call
def alltoallv(
    sbuf: Any, scounts: Sequence[int], sdispls: Sequence[int], stype: Any,
    rcounts: Sequence[int], rdispls: Sequence[int], rtype: Any, comm: Any,
) -> Any:  # fmt: skip
    """Send a part of any length to each rank; return what came, each at its displacement."""
    one, size = _peers(comm)
    _parts(scounts, sdispls, size)
    data, spec = incoming(_parts(rcounts, rdispls, size), rtype, (rcounts, rdispls))
    one.Alltoallv(outgoing(sbuf, (scounts, sdispls), stype), spec)
    return data


@call
def reduce(buf: Any, count: int, type: Any, op: Any, root: int, comm: Any) -> Any:
    """Combine the items of all ranks; return the result at the root."""
    one, is_root, sends, _ = _place(comm, root)
    data, spec = incoming(count if is_root else 0, type)
    one.Reduce(outgoing(buf, count, type) if sends else None, spec if is_root else None, take("Op", op), root)
    return data


@call
def allreduce(buf: Any, count: int, type: Any, op: Any, comm: Any) -> Any:
    """Combine the items of all ranks; return the result."""
    data, spec = incoming(count, type)
    comm_of(comm).Allreduce(outgoing(buf, count, type), spec, take("Op", op))
    return data


@call
def scan(buf: Any, count: int, type: Any, op: Any, comm: Any) -> Any:
    """Combine the items of the ranks up to this one; return the result."""
    data, spec = incoming(count, type)
    comm_of(comm).Scan(outgoing(buf, count, type), spec, take("Op", op))
    return data


@call
def reduce_scatter(buf: Any, rcounts: Sequence[int], type: Any, op: Any, comm: Any) -> Any:
    """Combine the items of all ranks; return this rank's part of the result, `rcounts[rank]` items."""
    one = comm_of(comm)
    _parts(rcounts, [0] * len(rcounts), one.Get_size())
    data, spec = incoming(rcounts[one.Get_rank()], type)
    one.Reduce_scatter(outgoing(buf, sum(rcounts), type), spec, list(rcounts), take("Op", op))
    return data
