# SPDX-License-Identifier: BSD-3-Clause
"""Datatypes: sizes and extents, and what a message of each constructed type picks from memory."""

import ctypes
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2])

ANY = settings(derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SOURCE = np.arange(1000, dtype="i")

C_TYPES = {
    "CHAR": ctypes.c_char,
    "SIGNED_CHAR": ctypes.c_byte,
    "UNSIGNED_CHAR": ctypes.c_ubyte,
    "WCHAR": ctypes.c_wchar,
    "SHORT": ctypes.c_short,
    "UNSIGNED_SHORT": ctypes.c_ushort,
    "INT": ctypes.c_int,
    "UNSIGNED": ctypes.c_uint,
    "LONG": ctypes.c_long,
    "UNSIGNED_LONG": ctypes.c_ulong,
    "LONG_LONG": ctypes.c_longlong,
    "UNSIGNED_LONG_LONG": ctypes.c_ulonglong,
    "FLOAT": ctypes.c_float,
    "DOUBLE": ctypes.c_double,
    "LONG_DOUBLE": ctypes.c_longdouble,
    "C_BOOL": ctypes.c_bool,
    "INT8_T": ctypes.c_int8,
    "INT16_T": ctypes.c_int16,
    "INT32_T": ctypes.c_int32,
    "INT64_T": ctypes.c_int64,
    "UINT8_T": ctypes.c_uint8,
    "UINT16_T": ctypes.c_uint16,
    "UINT32_T": ctypes.c_uint32,
    "UINT64_T": ctypes.c_uint64,
    "AINT": ctypes.c_ssize_t,
}
OTHER_SIZES = {
    "BYTE": 1,
    "COUNT": 8,
    "OFFSET": 8,
    "C_COMPLEX": 8,
    "C_FLOAT_COMPLEX": 8,
    "C_DOUBLE_COMPLEX": 16,
    "C_LONG_DOUBLE_COMPLEX": 32,
    "FLOAT_INT": 8,
    "DOUBLE_INT": 12,
    "LONG_INT": 12,
    "TWOINT": 8,
    "SHORT_INT": 6,
}


def picked(kind, count=1, of=SOURCE):
    """The ints that `count` items of a type take from memory, by a message to oneself."""
    size = kind.Get_size() * count // 4
    into = np.full(size, -1, "i")
    MPI.COMM_SELF.Sendrecv([of, count, kind], 0, recvbuf=[into, size, MPI.INT], source=0)
    return into.tolist()


def scattered(kind, total, count=1):
    """The reverse: where `count` items of a type put ints that come one after another."""
    size = kind.Get_size() * count // 4
    into = np.full(total, -1, "i")
    MPI.COMM_SELF.Sendrecv([SOURCE, size, MPI.INT], 0, recvbuf=[into, count, kind], source=0)
    return into.tolist()


# --- predefined -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", C_TYPES)
def test_sizes_are_those_of_c(name):
    kind = getattr(MPI, name)
    size = ctypes.sizeof(C_TYPES[name])
    assert kind.Get_size() == kind.size == size
    assert kind.Get_extent() == (0, size) == (kind.lb, kind.extent)


@pytest.mark.parametrize("name", OTHER_SIZES)
def test_sizes_without_a_ctypes_type(name):
    assert getattr(MPI, name).Get_size() == OTHER_SIZES[name]


@pytest.mark.parametrize("one,two", [("BOOL", "C_BOOL"), ("UNSIGNED_INT", "UNSIGNED"), ("INT_INT", "TWOINT")])
def test_second_names(one, two):
    assert getattr(MPI, one) == getattr(MPI, two)


@pytest.mark.parametrize("name", [*C_TYPES, *OTHER_SIZES])
def test_names_are_those_of_the_standard(name):
    kind = getattr(MPI, name)
    assert isinstance(kind, MPI.Datatype) and kind and kind != MPI.DATATYPE_NULL
    if name not in ("C_COMPLEX", "C_FLOAT_COMPLEX", "LONG_LONG", "TWOINT"):
        assert kind.Get_name() == kind.name == "MPI_" + name


def test_predefined_types_are_not_to_be_freed():
    with pytest.raises((MPI.Exception, ValueError)):
        MPI.INT.Free()
    assert MPI.INT.size == 4


def test_the_null_type():
    assert not MPI.DATATYPE_NULL and MPI.Datatype() == MPI.DATATYPE_NULL
    with pytest.raises(MPI.Exception) as caught:
        MPI.DATATYPE_NULL.Get_size()
    assert caught.value.Get_error_class() == MPI.ERR_TYPE


@pytest.mark.parametrize("code", "bBhHiIlLqQfdgFDG?")
def test_codes_of_numpy_in_place_of_types(code):
    data = np.ones(3, code)
    into = np.zeros(3, code)
    MPI.COMM_SELF.Sendrecv([data, code], 0, recvbuf=[into, 3, code], source=0)
    assert (into == data).all()


def test_one_item_lower_and_upper_bound():
    assert MPI.INT.Get_true_extent() == (0, 4)
    assert (MPI.DOUBLE_INT.size, MPI.DOUBLE_INT.extent) == (12, 16)
    assert MPI.INT.ub == 4


# --- constructed ------------------------------------------------------------------------------------------


def test_contiguous():
    kind = MPI.INT.Create_contiguous(5).Commit()
    assert (kind.size, kind.extent) == (20, 20)
    assert picked(kind, 2) == list(range(10))
    kind.Free()


def test_vector():
    kind = MPI.INT.Create_vector(3, 2, 5).Commit()
    assert (kind.Get_size(), kind.Get_extent()) == (24, (0, 48))
    assert picked(kind) == [0, 1, 5, 6, 10, 11]
    assert picked(kind, 2) == [0, 1, 5, 6, 10, 11, 12, 13, 17, 18, 22, 23]
    assert scattered(kind, 12) == [0, 1, -1, -1, -1, 2, 3, -1, -1, -1, 4, 5]
    kind.Free()


def test_hvector():
    kind = MPI.INT.Create_hvector(3, 1, 12).Commit()
    assert picked(kind) == [0, 3, 6]
    kind.Free()


def test_indexed():
    kind = MPI.INT.Create_indexed([2, 0, 1], [4, 0, 1]).Commit()
    assert (kind.size, kind.Get_extent()) == (12, (4, 20))
    assert picked(kind) == [4, 5, 1]
    kind.Free()


def test_hindexed():
    kind = MPI.INT.Create_hindexed([1, 2], [8, 20]).Commit()
    assert picked(kind) == [2, 5, 6]
    kind.Free()


def test_indexed_block():
    kind = MPI.INT.Create_indexed_block(2, [6, 0]).Commit()
    assert picked(kind) == [6, 7, 0, 1]
    kind.Free()
    kind = MPI.INT.Create_hindexed_block(2, [24, 0]).Commit()
    assert picked(kind) == [6, 7, 0, 1]
    kind.Free()


def test_struct():
    kind = MPI.Datatype.Create_struct([1, 1, 2], [0, 8, 16], [MPI.INT, MPI.DOUBLE, MPI.SHORT]).Commit()
    assert kind.size == 16
    record = struct.pack("i4xd2h", 7, 2.5, -1, 3)
    into = bytearray(len(record))
    MPI.COMM_SELF.Sendrecv([record, 1, kind], 0, recvbuf=[into, 1, kind], source=0)
    assert struct.unpack("i4xd2h", into) == (7, 2.5, -1, 3)
    kind.Free()


def test_subarray():
    kind = MPI.INT.Create_subarray([6, 8], [2, 3], [1, 4]).Commit()
    matrix = np.arange(48, dtype="i").reshape(6, 8)
    assert (kind.size, kind.extent) == (24, 192)
    assert picked(kind, of=matrix) == matrix[1:3, 4:7].ravel().tolist()
    kind.Free()
    kind = MPI.INT.Create_subarray([6, 8], [2, 3], [1, 4], order=MPI.ORDER_FORTRAN).Commit()
    fortran = np.asfortranarray(np.arange(48, dtype="i").reshape(6, 8))
    assert picked(kind, of=fortran) == fortran[1:3, 4:7].ravel(order="F").tolist()
    kind.Free()


def test_resized():
    kind = MPI.INT.Create_resized(0, 16).Commit()
    assert (kind.size, kind.Get_extent(), kind.Get_true_extent()) == (4, (0, 16), (0, 4))
    assert picked(kind, 3) == [0, 4, 8]
    kind.Free()


def test_types_of_types():
    row = MPI.INT.Create_contiguous(2)
    kind = row.Create_vector(2, 1, 3).Commit()
    row.Free()  # the standard keeps what another type was made of
    assert picked(kind) == [0, 1, 6, 7]
    kind.Free()


def test_dup():
    kind = MPI.INT.Create_vector(2, 1, 3).Commit()
    copy = kind.Dup()
    kind.Free()
    assert copy != kind and picked(copy) == [0, 3]
    copy.Free()


def test_commit_returns_the_type_and_may_come_twice():
    kind = MPI.INT.Create_contiguous(2)
    assert kind.Commit() is kind
    assert kind.Commit() is kind
    kind.Free()


def test_free_makes_the_handle_null():
    kind = MPI.INT.Create_contiguous(2).Commit()
    kind.Free()
    assert kind == MPI.DATATYPE_NULL and not kind
    for use in (kind.Free, kind.Commit, kind.Get_size, kind.Get_extent, lambda: kind.Create_contiguous(2)):
        with pytest.raises(MPI.Exception) as caught:
            use()
        assert caught.value.Get_error_class() == MPI.ERR_TYPE


def test_names():
    kind = MPI.INT.Create_contiguous(2)
    kind.Set_name("pair")
    assert kind.Get_name() == kind.name == "pair"
    kind.name = "two"
    assert kind.name == "two" and MPI.DATATYPE_NULL.name == "MPI_DATATYPE_NULL"
    kind.Free()


def test_more_bytes_than_an_int_counts():
    with MPI.INT64_T.Create_contiguous(2**30 + 1) as kind, kind.Create_vector(2, 1, 3) as twice:
        assert kind.size == kind.Get_size() == kind.extent == 2**33 + 8 and twice.size == 2**34 + 16


def test_nothing():
    kind = MPI.INT.Create_contiguous(0).Commit()
    assert (kind.size, kind.Get_extent()) == (0, (0, 0)) and picked(kind) == []
    kind.Free()
    kind = MPI.INT.Create_indexed([], []).Commit()
    assert kind.size == 0
    kind.Free()


@pytest.mark.parametrize("make", [list, tuple, np.array, lambda v: np.array(v, "i")])
def test_lengths_and_displacements_in_any_sequence(make):
    kind = MPI.INT.Create_indexed(make([1, 2]), make([5, 0])).Commit()
    assert picked(kind) == [5, 0, 1]
    kind.Free()


@ANY
@given(count=st.integers(0, 6), length=st.integers(1, 5), stride=st.integers(0, 12), items=st.integers(0, 3))
def test_any_vector(count, length, stride, items):
    stride = max(stride, length)
    kind = MPI.INT.Create_vector(count, length, stride).Commit()
    one = [block * stride + i for block in range(count) for i in range(length)]
    extent = max(one, default=-1) + 1
    assert (kind.size, kind.extent) == (4 * len(one), 4 * extent)
    assert picked(kind, items) == [item * extent + i for item in range(items) for i in one]
    kind.Free()


@ANY
@given(blocks=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 50)), max_size=8))
def test_any_indexed(blocks):
    kind = MPI.INT.Create_indexed([length for length, _ in blocks], [start for _, start in blocks]).Commit()
    assert picked(kind) == [start + i for length, start in blocks for i in range(length)]
    kind.Free()


@ANY
@given(draw=st.data())
def test_any_subarray(draw):
    shape = draw.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    part = [draw.draw(st.integers(1, n)) for n in shape]
    start = [draw.draw(st.integers(0, n - p)) for n, p in zip(shape, part, strict=True)]
    data = np.arange(np.prod(shape), dtype="i").reshape(shape)
    kind = MPI.INT.Create_subarray(shape, part, start, MPI.ORDER_C).Commit()
    box = tuple(slice(s, s + p) for s, p in zip(start, part, strict=True))
    assert picked(kind, of=data) == data[box].ravel().tolist()
    kind.Free()


def test_a_status_counts_in_the_type_asked():
    status = MPI.Status()
    pair = MPI.INT.Create_contiguous(2).Commit()
    into = np.zeros(8, "i")
    MPI.COMM_SELF.Sendrecv([SOURCE, 3, pair], 0, recvbuf=into, source=0, status=status)
    assert (status.Get_count(pair), status.Get_count(MPI.INT), status.Get_elements(pair)) == (3, 6, 6)
    MPI.COMM_SELF.Sendrecv([SOURCE, 3, MPI.INT], 0, recvbuf=[into, 4, pair], source=0, status=status)
    assert status.Get_count(pair) == MPI.UNDEFINED and status.Get_elements(pair) == 3
    pair.Free()


# --- wrong arguments --------------------------------------------------------------------------------------


def test_a_type_that_was_not_committed():
    kind = MPI.INT.Create_contiguous(2)
    with pytest.raises(MPI.Exception) as caught:
        MPI.COMM_SELF.Sendrecv([SOURCE, 1, kind], 0, recvbuf=np.zeros(2, "i"), source=0)
    assert caught.value.Get_error_class() == MPI.ERR_TYPE
    kind.Free()


def test_a_type_that_reaches_beyond_the_buffer():
    kind = MPI.INT.Create_vector(3, 1, 10).Commit()
    small = np.zeros(20, "i")
    with pytest.raises((ValueError, BufferError), match="recvbuf"):
        MPI.COMM_SELF.Sendrecv([SOURCE, 3, MPI.INT], 0, recvbuf=[small, 1, kind], source=0)
    kind.Free()


def test_lists_of_different_lengths():
    with pytest.raises(ValueError, match="displ|2.*1|1.*2"):
        MPI.INT.Create_indexed([1, 2], [0])
    with pytest.raises(ValueError, match="types|displ|2.*1|1.*2"):
        MPI.Datatype.Create_struct([1, 1], [0, 8], [MPI.INT])
    with pytest.raises(ValueError, match="starts|sub|2.*1|1.*2"):
        MPI.INT.Create_subarray([4, 4], [2, 2], [0])


def test_negative_counts_and_starts():
    with pytest.raises((MPI.Exception, ValueError)):
        MPI.INT.Create_contiguous(-1)
    with pytest.raises((MPI.Exception, ValueError)):
        MPI.INT.Create_subarray([4], [3], [-1])


@pytest.mark.parametrize("bad", ["3", 1.5, None])
def test_counts_that_are_no_integers(bad):
    with pytest.raises(TypeError, match="count|integer"):
        MPI.INT.Create_contiguous(bad)


def test_an_unknown_code():
    with pytest.raises((ValueError, KeyError, TypeError), match="zz"):
        MPI.COMM_SELF.Bcast([np.zeros(2), "zz"])


def test_struct_of_what_is_no_type():
    with pytest.raises(TypeError, match="(?i)datatype"):
        MPI.Datatype.Create_struct([1], [0], [int])
