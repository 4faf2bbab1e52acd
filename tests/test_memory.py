# SPDX-License-Identifier: BSD-3-Clause
"""MPI.buffer: bytes of MPI's, of windows, of other objects; who uses them, and what is refused."""

import gc
import pickle
import weakref

import numpy as np
import pytest

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2])


def test_of_nothing():
    empty = MPI.buffer()
    assert MPI.memory is MPI.buffer
    assert (empty.address, empty.obj, empty.nbytes, empty.readonly, empty.format, empty.itemsize, len(empty)) == (
        0,
        None,
        0,
        False,
        "B",
        1,
        0,
    )
    empty[:] = 7
    empty[:] = b""
    assert empty[:].tobytes() == empty.tobytes() == bytes(memoryview(empty)) == b"" and not empty.toreadonly().nbytes
    empty.release()
    assert empty.address == 0 and len(np.frombuffer(empty, "B")) == 0


def test_of_an_object():
    data = bytearray(b"abcdef")
    seen = MPI.buffer(data)
    assert seen.obj is data and seen.nbytes == 6 and not seen.readonly and seen.address == MPI.Get_address(data)
    seen[1] = 65
    seen[-1] = np.int8(66)
    seen[2:4] = b"xy"
    seen[4:5] = 67
    assert data == b"aAxyCB" and list(seen) == list(data) and bytes(seen) == data == seen.tobytes("C")
    part = seen[2:4]
    assert type(part) is MPI.buffer and part.obj is data and part.address == seen.address + 2
    part[:] = seen[:2]
    assert data == b"aAaACB"
    with pytest.raises(BufferError):  # it is lent
        data.append(1)
    seen.release()
    assert seen.nbytes == seen.address == 0 and seen.obj is None and part.tobytes() == b"aA"
    part.release()
    data.append(1)


def test_of_arrays():
    array = np.arange(6, dtype="i").reshape(2, 3)
    assert MPI.buffer(array).cast("i").tolist() == list(range(6))
    assert MPI.buffer(np.asfortranarray(array)).nbytes == 24 and MPI.buffer(np.zeros((0, 3))).nbytes == 0
    assert MPI.buffer(array).cast("i", (3, 2)).tolist() == [[0, 1], [2, 3], [4, 5]]
    assert MPI.buffer(array).cast(format="B", shape=[24]).nbytes == 24
    with pytest.raises(BufferError):
        MPI.buffer(array[:, ::2])


def test_read_only():
    for fixed in (
        MPI.buffer(b"abc"),
        MPI.buffer.frombuffer(bytearray(b"abc"), readonly=True),
        MPI.buffer(bytearray(b"abc")).toreadonly(),
    ):
        assert fixed.readonly and memoryview(fixed).readonly and fixed[1:].readonly and fixed[0] == 97
        for change in (lambda f=fixed: f.__setitem__(0, 1), lambda f=fixed: f.__setitem__(slice(None), b"xyz")):
            with pytest.raises(TypeError, match="read-only"):
                change()
        with pytest.raises(BufferError):
            MPI.COMM_SELF.Recv(fixed, MPI.COMM_SELF.rank)
        with pytest.raises(BufferError):
            np.frombuffer(fixed, "B").flags.writeable or MPI.buffer.frombuffer(fixed)
    with pytest.raises(BufferError, match="read-only"):
        MPI.buffer.frombuffer(b"abc")


def test_of_new_memory_and_of_addresses():
    for n in 0, 1, 5000:
        new = MPI.buffer.allocate(n, clear=True)
        assert new.nbytes == memoryview(new.obj).nbytes == n and new.address and new.tobytes() == bytes(n)
    new[:] = 3
    again = MPI.buffer.fromaddress(new.address + 1, 2)
    again[0] = 9
    assert new[:3].tobytes() == b"\3\x09\3" and again.obj is None and MPI.buffer.fromaddress(0, 0).nbytes == 0
    assert MPI.buffer.fromaddress(address=new.address, nbytes=4, readonly=True).readonly


@pytest.mark.parametrize(
    "error, call",
    [
        (TypeError, lambda: MPI.buffer(3)),
        (TypeError, lambda: MPI.buffer.frombuffer(None)),
        (TypeError, lambda: MPI.buffer.allocate(None)),
        (ValueError, lambda: MPI.buffer.allocate(-1)),
        (ValueError, lambda: MPI.buffer.fromaddress(8, -1)),
        (ValueError, lambda: MPI.buffer.fromaddress(0, 1)),
        (TypeError, lambda: MPI.buffer(b"abc").cast(3)),
        (IndexError, lambda: MPI.buffer(b"abc")[3]),
        (IndexError, lambda: MPI.buffer(b"abc")[-4]),
        (IndexError, lambda: MPI.buffer(b"abc")[2**80]),
        (IndexError, lambda: MPI.buffer(b"abc")[::2]),
        (TypeError, lambda: MPI.buffer(b"abc")["a"]),
        (ValueError, lambda: MPI.buffer(bytearray(3)).__setitem__(0, 256)),
        (TypeError, lambda: MPI.buffer(bytearray(3)).__setitem__(0, b"a")),
        (ValueError, lambda: MPI.buffer(bytearray(3)).__setitem__(slice(None), b"ab")),
        (NotImplementedError, lambda: MPI.buffer(bytearray(3)).__delitem__(0)),
    ],
)
def test_misuse(error, call):
    with pytest.raises(error):
        call()


def test_memory_of_mpi():
    memory = MPI.Alloc_mem(64)
    assert type(memory) is MPI.buffer and memory.nbytes == 64 and memory.address
    uses = [np.frombuffer(memory, "d"), memory[8:]]
    uses[0][:] = 2.5
    while uses:
        with pytest.raises(BufferError):  # it would be gone
            MPI.Free_mem(memory)
        assert memory.nbytes == 64 and memory.cast("d")[1] == 2.5
        uses.pop()
        gc.collect()
    MPI.Free_mem(memory)
    assert (memory.address, memory.nbytes, memory.readonly) == (0, 0, False)
    with pytest.raises(ValueError, match="not from Alloc_mem"):
        MPI.Free_mem(memory)
    with pytest.raises(TypeError):
        MPI.Free_mem(bytearray(3))


def test_travel():
    comm, new = MPI.COMM_WORLD, MPI.buffer.allocate(8, True)
    new[0] = comm.rank + 1
    got = MPI.buffer.allocate(8)
    comm.Sendrecv(new, (comm.rank + 1) % comm.size, recvbuf=[got, MPI.BYTE])
    assert got[0] == (comm.rank - 1) % comm.size + 1


def test_nothing_leaks():
    data = bytearray(8)
    view = MPI.buffer(data)
    ref = weakref.ref(view)
    memoryview(view)[0] = 1
    del view
    assert ref() is None
    data.append(1)


def test_memory_of_windows():
    comm = MPI.COMM_WORLD
    with MPI.Win.Allocate(16, comm=comm) as win:
        memory = win.tomemory()
        assert type(memory) is MPI.buffer and (memory.address, memory.nbytes) == win.attrs[:2]
        win.Lock(comm.rank)
        memory[:] = 7
        assert np.frombuffer(win, "B").sum() == 7 * 16 == sum(memory)
        win.Unlock(comm.rank)
        del memory


def test_automatic():
    assert repr(MPI.BUFFER_AUTOMATIC) == "BUFFER_AUTOMATIC" and MPI.BufferAutomaticType() is MPI.BUFFER_AUTOMATIC
    assert MPI.BottomType() is MPI.BOTTOM and MPI.InPlaceType() is MPI.IN_PLACE
    try:
        MPI.Attach_buffer(MPI.BUFFER_AUTOMATIC)
    except NotImplementedError:
        assert MPI.Get_version() < (4, 1)
        return
    request = MPI.COMM_SELF.Irecv(bytearray(3), 0)
    MPI.COMM_SELF.Bsend(b"abc", 0)
    request.Wait()
    assert MPI.Detach_buffer() is MPI.BUFFER_AUTOMATIC


@pytest.mark.parametrize("name", ["BOTTOM", "IN_PLACE", "BUFFER_AUTOMATIC"])
def test_places(name):
    place = getattr(MPI, name)
    assert (
        place == int(place) == MPI.Get_address(place)
        and hash(place) == hash(int(place))
        and bool(place) == bool(int(place))
    )
    assert place != None and not place != int(place) and repr(place) == name  # noqa: E711
    assert memoryview(place).nbytes == 0 and pickle.loads(pickle.dumps(place)) is place
    with pytest.raises(TypeError):
        place + 1
    with pytest.raises(TypeError):  # it is no buffer of no bytes
        MPI.COMM_SELF.Send(place if name != "BOTTOM" else MPI.IN_PLACE, 0)


def test_of_arrays_without_the_buffer_protocol():
    class Producer:
        """A tensor on the host."""

        def __init__(self, array):
            self.__dlpack__, self.__dlpack_device__ = array.__dlpack__, array.__dlpack_device__

    array = np.arange(4, dtype="i")
    seen, producer = MPI.buffer(Producer(array)), Producer(array)
    seen[4] = 7
    assert (
        array[1] == 7
        and seen.address == MPI.Get_address(producer) == array.ctypes.data
        and seen.cast("i").tolist() == [0, 7, 2, 3]
    )
    part = seen[4:8]
    del producer, array, seen
    gc.collect()
    assert np.frombuffer(part, "i") == 7
    far = MPI.buffer(
        type(
            "Far",
            (),
            {"__cuda_array_interface__": {"shape": (3,), "typestr": "<i4", "data": (4096, False), "version": 3}},
        )()
    )
    assert far.address == 4096 and far.nbytes == 12
    for use in (
        far.tobytes,
        lambda: far.cast("i"),
        lambda: far[0],
        lambda: far.__setitem__(0, 1),
        lambda: memoryview(far[1:]),
    ):
        with pytest.raises(BufferError, match="device"):
            use()
