# SPDX-License-Identifier: BSD-3-Clause
"""Arrays whose memory the host cannot reach: through a copy, or an error; never a crash. The "device" is memory without access rights."""

import mmap

import numpy as np
import pytest

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2])

SELF, WORLD = MPI.COMM_SELF, MPI.COMM_WORLD
SIZE, RANK = WORLD.Get_size(), WORLD.Get_rank()


class Unreachable:
    """An array on a device, that offers no copy."""

    def __init__(self, items, read_only=False):
        self.items, self.read_only = np.array(items), read_only

    @property
    def __cuda_array_interface__(self):
        return {"shape": self.items.shape, "typestr": self.items.dtype.str, "data": (ADDRESS, self.read_only), "version": 3}


class Like(Unreachable):
    """One as CuPy's."""

    def get(self):
        return self.items.copy()

    def set(self, copy):
        self.items[...] = copy


class LikeNumba(Unreachable):
    """One as Numba's."""

    def copy_to_host(self):
        return self.items.copy()

    def copy_to_device(self, copy):
        self.items[...] = copy


class LikeAny(Unreachable):
    """One that can be indexed."""

    def get(self):
        return self.items.copy()

    def __setitem__(self, index, copy):
        self.items[index] = copy


def forbidden():
    """The address of memory that nobody may read."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    return libc.mmap(None, 1 << 16, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)


ADDRESS = forbidden()


@pytest.mark.parametrize("kind", [Like, LikeNumba, LikeAny])
def test_through_the_host(kind):
    source, target = kind(np.arange(5.0)), kind(np.zeros(5))
    SELF.Sendrecv(source, 0, 1, target, 0, 1)
    assert target.items.tolist() == [0, 1, 2, 3, 4]
    request = SELF.Irecv([target, 2, MPI.DOUBLE], 0, 2)
    SELF.Send([source, (2, 3)], 0, 2)
    assert target.items.tolist() == [0, 1, 2, 3, 4]
    request.Wait()
    assert target.items.tolist() == [3, 4, 2, 3, 4]


def test_in_collectives():
    mine, total = Like([float(RANK), 1.0]), Like([0.0, 0.0])
    WORLD.Allreduce(mine, total)
    assert total.items.tolist() == [SIZE * (SIZE - 1) / 2, SIZE]
    WORLD.Allreduce(MPI.IN_PLACE, mine, MPI.MAX)
    assert mine.items.tolist() == [SIZE - 1, 1]
    everyone = Like(np.zeros((SIZE, 2)))
    request = WORLD.Iallgather(Like([RANK, RANK + 0.5]), everyone)
    MPI.Request.Waitall([request])
    assert everyone.items.tolist() == [[rank, rank + 0.5] for rank in range(SIZE)]


def test_no_way_to_the_host():
    with pytest.raises(BufferError, match=r"buf: .*device.*no copy on the host"):
        SELF.Send(Unreachable([1.0]), 0, 1)
    with pytest.raises(BufferError, match="recvbuf"):
        SELF.Allreduce(np.zeros(1), Unreachable([1.0]))
    with pytest.raises(BufferError, match="device"):
        MPI.INT.Pack(Like(np.zeros(2, "i")), bytearray(8), 0, SELF)
    with pytest.raises(BufferError, match="read-only"):
        SELF.Recv(Like([1.0], read_only=True), 0, 1)


def test_what_goes_wrong_on_the_way_back():
    class Stubborn(Like):
        def set(self, copy):
            raise RuntimeError("the device is busy")

    with pytest.raises(RuntimeError, match="busy"):
        SELF.Sendrecv(np.ones(2), 0, 1, Stubborn([0.0, 0.0]), 0, 1)


def test_nothing():
    SELF.Sendrecv(Unreachable(np.zeros(0)), 0, 1, Unreachable(np.zeros(0)), 0, 1)
