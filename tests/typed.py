# SPDX-License-Identifier: BSD-3-Clause
"""A program that type checkers must accept, with the lines they must refuse marked; it also runs, on one process."""

from __future__ import annotations

import ctypes
from array import array
from typing import Any, Literal, assert_type

import mmpi
from mmpi import MPI
from mmpi.typing import Buffer, BufSpec, TypeSpec


class Index:
    """An integer of another kind, as those of NumPy."""

    def __index__(self) -> int:
        return 0


class Tensor:
    """An array with the DLPack protocol."""

    def __dlpack__(self, *, stream: Any = None, **options: Any) -> Any:
        return None

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def buffers(comm: MPI.Comm, tensor: Tensor) -> None:
    """All forms of a buffer."""
    memory = bytearray(16)
    numbers = array("d", [1.0, 2.0])
    for buf in (b"ab", memory, memoryview(memory), numbers, (ctypes.c_int * 2)(), tensor):
        comm.Send(buf, 0)
    comm.Send([memory, 2, MPI.DOUBLE], dest=Index(), tag=1)
    comm.Send((memory, "d"), 0)
    comm.Send((memory, (1, 1), MPI.DOUBLE), 0)
    comm.Send((MPI.BOTTOM, 0, MPI.INT), 0)
    comm.Gatherv(numbers, (memory, ([2], [0]), MPI.DOUBLE))
    comm.Gatherv(numbers, (memory, array("i", [2]), range(1), "d"))
    comm.Alltoallw((memory, ([1], [0]), [MPI.BYTE]), [memory, [1], [0], [MPI.BYTE]])
    comm.Gather(numbers, None)
    comm.Allreduce(MPI.IN_PLACE, numbers, op=MPI.MAX)
    comm.Reduce_scatter(numbers, numbers, [2])


def mistakes(comm: MPI.Comm, status: MPI.Status, buf: BufSpec | None) -> None:
    """What a checker must find."""
    comm.Send("text", 0)  # type: ignore[arg-type]
    comm.Send(3, 0)  # type: ignore[arg-type]
    comm.Send(buf, 0)  # type: ignore[arg-type]
    comm.Send(b"", "0")  # type: ignore[arg-type]
    comm.Send(b"", 0, to=1)  # type: ignore[call-arg]
    comm.Bcast(MPI.IN_PLACE, root=1.5)  # type: ignore[arg-type]
    comm.Alltoallw(b"", bytearray())  # type: ignore[arg-type]
    comm.Scan(b"", bytearray())  # type: ignore[attr-defined]
    comm.rank = 1  # type: ignore[misc]
    MPI.SUM = MPI.MAX  # type: ignore[misc]
    MPI.Datatype(MPI.SUM)  # type: ignore[arg-type]


def results(comm: MPI.Intracomm) -> None:
    """The types of what calls give back."""
    memory, status = bytearray(8), MPI.Status()
    assert_type(comm.rank, int)
    assert_type(comm.Split(0), MPI.Intracomm)
    assert_type(comm.Dup(), MPI.Intracomm)
    grid = comm.Create_cart([1], periods=True)
    assert_type(grid.Dup(), MPI.Cartcomm)
    assert_type(grid.Sub([False]), MPI.Cartcomm)
    assert_type(grid.Split(), MPI.Intracomm)
    assert_type(grid.coords, list[int])
    request = comm.Irecv(memory, source=0, tag=7)
    assert_type(request, MPI.Request)
    assert_type(comm.Iprobe(), bool)
    comm.Send(b"12345678", 0, 7)
    assert_type(request.Wait(status), Literal[True])
    assert_type(comm.Improbe(), MPI.Message | None)
    assert_type(MPI.Request.Waitsome([request]), list[int] | None)
    status.source = Index()
    assert_type(status.source, int)
    block = MPI.DOUBLE.Create_vector(2, 1, 3).Commit()
    assert_type(block, MPI.Datatype)
    assert_type(block.Get_extent(), tuple[int, int])
    assert_type(MPI.Get_version(), tuple[int, int])
    block.Free()


def add(a: MPI.buffer, b: MPI.buffer, datatype: MPI.Datatype) -> None:
    """A function for Op.Create."""


def main(spec: TypeSpec = "d", buf: Buffer = b"") -> None:
    """Run what can run on one process."""
    comm = mmpi.SELF
    assert_type(comm, MPI.Intracomm)
    assert_type(MPI.Op.Create(add, commute=True), MPI.Op)
    try:
        comm.Send(bytearray(1), 99)
    except MPI.Exception as error:
        assert_type(error, mmpi.MPIError)
        assert_type(error.Get_error_class(), int)
    results(comm)


if __name__ == "__main__":
    main()
