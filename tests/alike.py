# SPDX-License-Identifier: BSD-3-Clause
"""What tests on ranks share: comparing objects of any kind, waiting, errors that all ranks hear of, life after them."""

import contextlib
import time

import numpy as np
import pytest

import mmpi
from mmpi import MPI


def same(a, b):
    """Equal in type and value down to the items; NaN equals NaN, and an array its copy, whatever its strides."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind in "fcmM")
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, float):
        return repr(a) == repr(b)
    return a == b


def until(attempt):
    """Repeat until the attempt gives something, and give it back."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        result = attempt()
        if result:
            return result
        time.sleep(0)
    raise AssertionError("nothing within a minute")


def agree(comm, ok):
    """True on all ranks if `ok` is true on all ranks."""
    verdict = np.array([bool(ok)], "i")
    comm.Allreduce(MPI.IN_PLACE, verdict, MPI.MIN)
    return bool(verdict[0])


class CannotTravel:
    """An object that cannot be pickled."""

    def __init__(self, text="it cannot travel"):
        self.text = text

    def __reduce__(self):
        raise ZeroDivisionError(self.text)


@contextlib.contextmanager
def failing(comm, bad, kind, text=""):
    """The block raises on every rank: the original error on the rank at fault, and word of it on the others."""
    with pytest.raises(kind if comm.rank == bad else mmpi.RemoteError) as caught:
        yield
    if comm.rank == bad:
        assert text in str(caught.value)
    else:
        check_remote(caught.value, bad, text)


def check_remote(error, bad, text=""):
    """A RemoteError that names rank and text."""
    assert error.rank == bad
    assert text in error.text
    assert error.text in str(error) and str(bad) in str(error)


def check_usable(comm):
    """Objects of all sizes, and typed messages, still go where they should."""
    rank, size = comm.rank, comm.size
    ranks = list(range(size))
    assert comm.allgather(rank) == ranks
    assert comm.allgather(bytes([rank]) * 1000) == [bytes([other]) * 1000 for other in ranks]
    assert comm.bcast([rank] * 5000, size - 1) == [size - 1] * 5000
    assert comm.allreduce(rank) == sum(ranks)
    assert comm.sendrecv(rank, (rank + 1) % size, 1, source=(rank - 1) % size, recvtag=1) == (rank - 1) % size
    total = np.zeros(3)
    comm.Allreduce(np.full(3, float(rank)), total)
    assert (total == sum(ranks)).all()
