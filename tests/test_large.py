# SPDX-License-Identifier: BSD-3-Clause
"""More items than an int counts, for real: 3 GiB through a send, a broadcast, a reduction and a file, compared byte by byte."""

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mmpi import MPI

pytestmark = [pytest.mark.mmpi(n=2, timeout=600), pytest.mark.slow]

ITEMS = 3 << 30
PERIOD = 16777213  # bytes until the pattern begins anew; a prime, so that no shift by a round number goes unseen
CHUNK = 1 << 24


@pytest.fixture(autouse=True)
def room(request):
    """Both ranks skip if there is too little memory: a reduction needs room for what comes, too, in each."""
    needed = 20 if request.function is test_allreduce_in_place else 10
    facts = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = MPI.COMM_WORLD.bcast(int(facts["MemAvailable"].split()[0]) / (1 << 20))
    if free < needed:
        pytest.skip(f"{free:.1f} GiB of memory are free, {needed} are needed")


@cache
def pattern():
    return np.resize(np.random.default_rng(5).integers(0, 256, PERIOD, "u1"), PERIOD + CHUNK)


def pieces(array, shift=0):
    """Pieces of an array, with what belongs there."""
    for start in range(0, len(array), CHUNK):
        piece = array[start : start + CHUNK]
        at = (start + shift) % PERIOD
        yield piece, pattern()[at : at + len(piece)]


def filled(shift=0):
    array = np.empty(ITEMS, "i1")
    for piece, values in pieces(array.view("u1"), shift):
        piece[:] = values
    return array


def check(array, shift=0):
    assert len(array) == ITEMS
    for at, (piece, values) in enumerate(pieces(array.view("u1"), shift)):
        assert np.array_equal(piece, values), f"wrong in chunk {at}"


def test_send():
    comm = MPI.COMM_WORLD
    if comm.rank == 0:
        comm.Send(filled(), 1, 7)
    else:
        got, status = np.empty(ITEMS, "i1"), MPI.Status()
        comm.Recv(got, 0, 7, status)
        check(got)
        assert status.Get_elements(MPI.INT8_T) == ITEMS


def test_bcast():
    comm = MPI.COMM_WORLD
    array = filled(3) if comm.rank == 0 else np.empty(ITEMS, "i1")
    comm.Bcast(array)
    check(array, 3)


def test_allreduce_in_place():
    comm = MPI.COMM_WORLD
    array = filled(comm.rank)
    comm.Allreduce(MPI.IN_PLACE, array, MPI.BXOR)
    for (piece, first), (_, second) in zip(pieces(array.view("u1")), pieces(array.view("u1"), 1), strict=True):
        assert np.array_equal(piece, first ^ second)


def test_write_at(tmp_path):
    if MPI.COMM_WORLD.rank:
        return
    if shutil.disk_usage(tmp_path).free < 2 * ITEMS:
        pytest.skip("less than 6 GiB are free on disk")
    path = tmp_path / "large"
    with MPI.File.Open(MPI.COMM_SELF, path, MPI.MODE_CREATE | MPI.MODE_WRONLY) as file:
        file.Write_at(5, filled(5))
    written = np.memmap(path, "u1", "r")
    assert len(written) == ITEMS + 5
    check(written[5:], 5)
