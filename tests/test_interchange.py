# SPDX-License-Identifier: BSD-3-Clause
"""Handles go to other bindings of the same MPI in the same process, and come back: mpi4py, imported before or after, and ctypes."""

import pytest

from jobs import job, lines
from requirements import need

IMPORTS = {
    "mpi4py-first": "from mpi4py import MPI as theirs\nfrom mmpi import MPI as ours\n",
    "mmpi-first": "from mmpi import MPI as ours\nfrom mpi4py import MPI as theirs\n",
}
# What `a` has made is used by `b`, which sees it by its handle, or by its number in Fortran. In the end `a` frees it.
EXCHANGE = """
def exchange(a, b, path, rank, size):
    assert a.get_vendor() == b.get_vendor()
    left, right = (rank - 1) % size, (rank + 1) % size
    for name in ("COMM_WORLD", "INT", "SUM", "GROUP_EMPTY", "INFO_ENV", "ERRORS_RETURN", "MESSAGE_NO_PROC", "REQUEST_NULL", "WIN_NULL"):
        mine, its = getattr(a, name), getattr(b, name)
        assert type(its).fromhandle(mine.handle) == type(its).fromint(mine.toint()) == type(its).f2py(mine.py2f()) == its, name

    comm = a.COMM_WORLD.Dup()
    seen = b.Comm.fromhandle(comm.handle)
    assert type(seen) is b.Intracomm and b.Comm.f2py(comm.py2f()) == seen and seen != b.COMM_WORLD
    assert seen.allreduce(rank) == sum(range(size)) and seen.sendrecv([rank], right, source=left) == [left]
    assert type(b.Comm.fromhandle(comm.Create_cart([size]).handle)) is b.Cartcomm
    group = comm.Get_group()
    assert b.Group.fromhandle(group.handle).Get_size() == size
    seen.Set_name("other")
    assert comm.Get_name() == "other"

    kind = a.INT16_T.Create_vector(2, 1, 3).Commit()
    kind_seen = b.Datatype.fromhandle(kind.handle)
    assert kind_seen.Get_extent() == kind.Get_extent() and kind_seen.decode()[1] == "VECTOR"
    got, status = np.zeros(4, "i2"), b.Status()
    sending = comm.Send_init([np.arange(4, dtype="i2"), 1, kind], right, 5)
    its = b.Prequest.fromhandle(sending.handle)
    its.Start()
    seen.Recv([got, 1, kind_seen], left, 5, status)
    its.Wait()
    assert got.tolist() == [0, 0, 0, 3] and status.Get_count(kind_seen) == 1
    assert a.Status.f2py(status.py2f()).source == left
    sending.Free()
    kind.Free()

    sent = comm.Isend(b"abc", right, 6)
    message = comm.Mprobe(left, 6)
    b.Message.fromhandle(message.handle).Recv(got.view("u1")[:3])
    sent.Wait()
    assert bytes(got.view("u1")[:3]) == b"abc"

    def longer(x, y, datatype):
        y[:] = max(bytes(x), bytes(y))
    op = a.Op.Create(longer, True)
    total = bytearray(2)
    seen.Allreduce(bytes([rank, 1]), total, b.Op.fromhandle(op.handle))
    assert total == bytes([size - 1, 1])
    op.Free()

    info = a.Info.Create({"key": "value"})
    assert b.Info.fromhandle(info.handle).Get("key") == "value"
    info.Free()

    window = a.Win.Allocate(8, comm=comm)
    other = b.Win.fromhandle(window.handle)
    other.Fence()
    other.Put(np.array([rank]), right)
    other.Fence()
    assert int.from_bytes(window.tomemory()[:8], "little") == left == int.from_bytes(other.tomemory()[:8], "little")
    window.Free()

    file = a.File.Open(comm, path, a.MODE_CREATE | a.MODE_RDWR)
    other = b.File.fromhandle(file.handle)
    other.Write_at(rank, bytes([rank + 1]))
    comm.Barrier()
    read = bytearray(size)
    file.Read_at_all(0, read)
    assert list(read) == list(range(1, size + 1))
    file.Close()

    handler = a.Comm.Create_errhandler(lambda comm, code: handled.append(code))
    handled = []
    seen.Set_errhandler(b.Errhandler.fromhandle(handler.handle))
    seen.Call_errhandler(b.ERR_OTHER)
    assert handled == [b.ERR_OTHER]
    seen.Set_errhandler(b.ERRORS_RETURN)
    handler.Free()
    group.Free()
    comm.Free()
"""
USE = """
import os
import numpy as np
world = ours.COMM_WORLD
exchange(ours, theirs, os.environ["SHARED_FILE"], world.rank, world.size)
exchange(theirs, ours, os.environ["SHARED_FILE"], world.rank, world.size)
print(theirs.__name__, ours.__name__)
"""
CTYPES = """
import ctypes
from mmpi import MPI
libmpi = ctypes.CDLL(None)                  # the library is there for everyone in the process
Handle = ctypes.c_uint if MPI._sizeof(MPI.Comm) == 4 else ctypes.c_void_p

def call(name, *words):
    assert getattr(libmpi, name)(*words) == MPI.SUCCESS, name

world, made = MPI.COMM_WORLD, Handle()
libmpi.MPI_Comm_size.argtypes = [Handle, ctypes.POINTER(ctypes.c_int)]
for handle in Handle(world.handle), Handle.from_address(MPI._addressof(world)):
    size = ctypes.c_int()
    call("MPI_Comm_size", handle, ctypes.byref(size))
    assert size.value == world.size
call("MPI_Comm_dup", Handle(world.handle), ctypes.byref(made))
twin = MPI.Comm.fromhandle(made.value)
assert type(twin) is MPI.Intracomm and twin.allreduce(1) == world.size and twin.handle == made.value
twin.Free()

call("MPI_Comm_split", Handle(world.handle), world.rank % 2, 0, ctypes.byref(made))
half = MPI.Intracomm()
assert half == MPI.COMM_NULL
Handle.from_address(MPI._addressof(half)).value = made.value            # as C writes into our objects
assert half.size == len(range(world.rank % 2, world.size, 2)) and half.allreduce(1) == half.size
call("MPI_Comm_free", ctypes.c_void_p(MPI._addressof(half)))
assert half == MPI.COMM_NULL

Handle = ctypes.c_uint if MPI._sizeof(MPI.Datatype) == 4 else ctypes.c_void_p
call("MPI_Type_contiguous", 3, Handle(MPI.DOUBLE.handle), ctypes.byref(kind := Handle()))
call("MPI_Type_commit", ctypes.byref(kind))
kind = MPI.Datatype.fromhandle(kind.value)
assert kind.size == 24 and kind.decode()[1:] == ("CONTIGUOUS", {"count": 3})
got = bytearray(24)
world.Sendrecv([bytes(range(24)), 1, kind], world.rank, recvbuf=[got, 1, kind], source=world.rank)
assert got == bytes(range(24))
kind.Free()

status = MPI.Status()
call("MPI_Iprobe", MPI.PROC_NULL, 0, Handle(world.handle), ctypes.byref(ctypes.c_int()), ctypes.c_void_p(MPI._addressof(status)))
assert status.source == MPI.PROC_NULL and status.tag == MPI.ANY_TAG
print("well")
"""


@pytest.mark.parametrize("first", IMPORTS)
@pytest.mark.parametrize("n", [1, 2])
def test_mpi4py(first, n, tmp_path):
    """Whichever comes first starts MPI, and ends it."""
    need("mpi4py")
    ended = job(n, IMPORTS[first] + EXCHANGE + USE, env={"SHARED_FILE": str(tmp_path / "file")})
    assert lines(ended) == ["mpi4py.MPI mmpi.MPI"] * n


@pytest.mark.parametrize("n", [1, 2])
def test_ctypes(n):
    ended = job(n, CTYPES)
    assert lines(ended) == ["well"] * n and not ended.stderr
