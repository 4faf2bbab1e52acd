# SPDX-License-Identifier: BSD-3-Clause
"""Buffer arguments: every form, every kind of memory, every type."""

import array
import ctypes
import mmap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrays import CODES, KINDS, TYPES, CudaArray, DLPack1Array, DLPackArray, dlpack_lent, pattern
from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2])

SELF, WORLD = MPI.COMM_SELF, MPI.COMM_WORLD
MANY_EXAMPLES = settings(derandomize=True, database=None, deadline=None, max_examples=200)


def exchange(send, receive):
    """Send to ourselves and receive; the status tells what has come."""
    status = MPI.Status()
    SELF.Sendrecv(send, 0, 1, receive, 0, 1, status)
    return status


def datatype(code):
    return getattr(MPI, TYPES[code])


def check_bytes(got, expected):
    """The same to the last bit: also not-a-number and the sign of zero. (Bytes that pad a long double do not count.)"""
    got, expected = np.ascontiguousarray(got).ravel(), np.ascontiguousarray(expected).ravel()
    if expected.dtype.char in "gG":
        assert (got == expected).all()
    else:
        assert got.tobytes() == expected.tobytes()


# --- kinds and types -----------------------------------------------------------------------------------------------

KIND_AND_CODE = [pytest.param(kind, code, id=f"{kind}-{code}") for kind in KINDS.values() for code in kind.codes]


@pytest.mark.parametrize(("kind", "code"), KIND_AND_CODE)
def test_every_kind_and_type(kind, code):
    """A bare object: its whole memory, with the type that its items have."""
    values = pattern(code, 11, seed=3)
    source, target = kind.new(code, values), kind.new(code, np.zeros(11))
    status = exchange(source.object, target.object)
    assert status.Get_count(datatype(code)) == 11
    assert status.count == values.nbytes
    check_bytes(target.items, values)
    check_bytes(source.items, values)


@pytest.mark.parametrize("code", CODES)
def test_types_of_both_ends_agree(code):
    """What one kind sends as its native type, NumPy receives as the type of that name."""
    for kind in KINDS.values():
        if code not in kind.codes:
            continue
        values = pattern(code, 5)
        back = np.zeros(5, code)
        exchange(kind.new(code, values).object, [back, 5, datatype(code)])
        check_bytes(back, values)


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_nothing(kind):
    """An object of no items sends and takes nothing."""
    if kind.name == "mmap":
        pytest.skip("the system maps no empty memory")
    code = kind.codes[-1]
    assert exchange(kind.new(code, []).object, kind.new(code, []).object).count == 0


def test_read_only_objects_can_be_sent():
    frozen = np.arange(3, dtype="B")
    frozen.flags.writeable = False
    read_only = mmap.mmap(-1, 3, prot=mmap.PROT_READ)
    for thing in (b"\0\1\2", memoryview(b"\0\1\2"), frozen, DLPack1Array(frozen), CudaArray(frozen)):
        back = bytearray(3)
        exchange(thing, back)
        assert back == b"\0\1\2"
    exchange(read_only, back)
    assert back == b"\0\0\0"
    read_only.close()


def test_mmap_of_a_file(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(bytes(range(100)))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 100) as memory:
        exchange(np.full(10, 255, "B"), [memory, (10, 50), MPI.BYTE])
    data = path.read_bytes()
    assert data[50:60] == b"\xff" * 10
    assert data[:50] + data[60:] == bytes(range(50)) + bytes(range(60, 100))


def test_ctypes_scalars_structs_and_nested_arrays():
    number, back = ctypes.c_double(2.5), ctypes.c_double()
    assert exchange(number, back).Get_count(MPI.DOUBLE) == 1
    assert back.value == 2.5
    grid, copy = ((ctypes.c_int * 3) * 2)((1, 2, 3), (4, 5, 6)), np.zeros((2, 3), "i")
    exchange(grid, copy)
    assert copy.tolist() == [[1, 2, 3], [4, 5, 6]]

    class Point(ctypes.Structure):
        _fields_ = [("x", ctypes.c_int), ("y", ctypes.c_double)]

    there = Point()
    exchange([Point(3, 4.5), ctypes.sizeof(Point), MPI.BYTE], [there, MPI.BYTE])
    assert (there.x, there.y) == (3, 4.5)


@pytest.mark.parametrize("code", ["c", "b", "B"])
def test_bytes_of_all_codes(code):
    back = bytearray(4)
    exchange(memoryview(b"abcd").cast(code), back)
    assert back == b"abcd"


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("shape", [(), (1,), (6,), (2, 3), (1, 6), (2, 3, 4), (2, 1, 3, 1, 2), (0,), (3, 0), (2, 0, 4)])
def test_shapes_and_orders(shape, order):
    """Any array that lies in one piece: sent and received in the order of memory."""
    count = int(np.prod(shape))
    source = np.array(np.arange(1.0, count + 1).reshape(shape), order=order)
    target = np.zeros(shape, order=order)
    assert exchange(source, target).Get_count(MPI.DOUBLE) == count
    assert (target == source).all()
    flat = np.zeros(max(count, 1))
    exchange(source, flat)
    assert (flat[:count] == source.ravel(order="K")).all()


def test_contiguous_views():
    base = np.arange(24.0).reshape(4, 6)
    for view in (base[1:3], base[2], base[2, 1:4], base.T, base[3:, 5:], base[1, None]):
        back = np.zeros(view.size)
        exchange(view, back)
        assert (back == view.ravel(order="K")).all()
    part = np.zeros((4, 6))
    exchange(np.ones(12), part[1:3])
    assert part.sum() == part[1:3].sum() == 12


def test_subclasses_of_arrays():
    class Mine(np.ndarray):
        pass

    source, target = np.arange(4.0).view(Mine), np.zeros(4).view(Mine)
    exchange(source, target)
    assert (target == source).all()
    matrix = np.ma.masked_array(np.zeros(4))
    exchange(source, matrix)
    assert list(matrix) == [0, 1, 2, 3]


def test_subclasses_of_bytearray_and_array():
    class Bytes(bytearray):
        pass

    class Numbers(array.array):
        pass

    back = Bytes(3)
    exchange(Bytes(b"abc"), back)
    assert back == b"abc"
    numbers = Numbers("d", [0, 0])
    exchange(Numbers("d", [1, 2]), numbers)
    assert list(numbers) == [1, 2]


def test_bool_arrays_keep_their_values():
    source, target = np.array([True, False, True]), np.zeros(3, bool)
    assert exchange(source, target).Get_count(MPI.C_BOOL) == 3
    assert target.tolist() == [True, False, True]


@pytest.mark.parametrize("code", ["F", "D", "G"])
def test_complex_special_values(code):
    source = np.array([complex(1, -2), complex(float("nan"), float("inf")), complex(-0.0, 0.0)], code)
    target = np.zeros(3, code)
    exchange(source, target)
    assert target[0] == source[0]
    assert np.isnan(target[1].real)
    assert np.isinf(target[1].imag)
    assert np.signbit(target[2].real)


def test_half_precision():
    """Where the MPI library knows the type, it travels; where not, the error says what is missing."""
    source, target = np.arange(5, dtype="e"), np.zeros(5, "e")
    try:
        exchange(source, target)
    except TypeError as error:
        assert "sendbuf" in str(error)
        assert "float16" in str(error) or "'e'" in str(error)
        exchange([source, MPI.BYTE], [target, MPI.BYTE])
    assert (target == source).all()


def test_numpy_scalars():
    back = np.zeros(1)
    exchange(np.float64(2.5), back)
    assert back[0] == 2.5


# --- forms ---------------------------------------------------------------------------------------------------------


def forms(thing, count, displ, code):
    """(spec, first item, number of items) of all ways to name a part of an object of 10 items."""
    mpi = datatype(code)
    return [
        (thing, 0, 10),
        ([thing, mpi], 0, 10),
        ([thing, code], 0, 10),
        ([thing, count], 0, count),
        ([thing, None, mpi], 0, 10),
        ([thing, count, mpi], 0, count),
        ([thing, count, code], 0, count),
        ((thing, count, mpi), 0, count),
        ([thing, (count, displ)], displ, count),
        ([thing, (count, displ), mpi], displ, count),
        ([thing, [count, displ], code], displ, count),
        ([thing, (count, None), mpi], 0, count),
        ([thing, (None, displ), mpi], displ, 10 - displ),
        ([thing, count, displ, mpi], displ, count),
        ([thing, count, displ, code], displ, count),
        ((thing, None, displ, mpi), displ, 10 - displ),
        ([thing, count, None, mpi], 0, count),
        ([thing, None, None, mpi], 0, 10),
    ]


@pytest.mark.parametrize("code", ["B", "i", "d"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_every_form(kind, code):
    if code not in kind.codes:
        code = "B"
    values = pattern(code, 10, seed=5)
    zero = np.zeros(10, code)
    for number in range(len(forms(b"", 4, 3, code))):
        source, target = kind.new(code, values), kind.new(code, zero)
        spec, first, count = forms(source.object, 4, 3, code)[number]
        status = exchange(spec, [target.object, datatype(code)])
        assert status.Get_count(datatype(code)) == count, spec
        assert (target.items[:count] == values[first : first + count]).all(), spec
        assert (target.items[count:] == 0).all(), spec

        target.items[:] = 0
        spec, first, count = forms(target.object, 4, 3, code)[number]
        exchange([source.object, count, datatype(code)], spec)
        assert (target.items[first : first + count] == values[:count]).all(), spec
        assert (target.items[:first] == 0).all(), spec
        assert (target.items[first + count :] == 0).all(), spec


@pytest.mark.parametrize("index", [np.int32, np.int64, np.uint8, int])
def test_counts_are_integers_of_any_kind(index):
    class Index:
        def __index__(self):
            return 2

    back = np.zeros(4)
    exchange([np.arange(4.0), index(2), MPI.DOUBLE], back)
    assert list(back) == [0, 1, 0, 0]
    exchange([np.arange(4.0), (Index(), index(2)), MPI.DOUBLE], back)
    assert list(back) == [2, 3, 0, 0]
    exchange([np.arange(4.0), index(1), Index(), MPI.DOUBLE], back)
    assert list(back) == [2, 3, 0, 0]


def test_count_zero_anywhere():
    """No items are no items: at the front, in the middle and at the very end."""
    back = np.full(4, 9.0)
    for spec in ([back, 0], [back, 0, MPI.INT], [back, (0, 4), MPI.DOUBLE], [back, 0, 2, MPI.DOUBLE], [b"", 0, "d"]):
        assert exchange(spec, [bytearray(0), 0]).count == 0
        if spec[0] is back:
            exchange(b"", spec)
    assert list(back) == [9.0] * 4


def test_another_type_than_the_items():
    """The type decides how memory is cut: its items need not be those of the object."""
    values = np.arange(6, dtype="i")
    raw = bytearray(24)
    assert exchange([values, MPI.BYTE], raw).count == 24
    assert raw == values.tobytes()
    back = np.zeros(3)
    exchange([raw, MPI.DOUBLE], back)
    assert back.tobytes() == values.tobytes()
    exchange([raw, (1, 2), MPI.DOUBLE], [back, 1])
    assert back[:1].tobytes() == values[4:].tobytes()


@pytest.mark.parametrize(
    ("text", "name"),
    [(code, name) for code, name in TYPES.items()]
    + [("c", "CHAR"), ("i1", "INT8_T"), ("i2", "INT16_T"), ("i4", "INT32_T"), ("i8", "INT64_T")]
    + [("u1", "UINT8_T"), ("u2", "UINT16_T"), ("u4", "UINT32_T"), ("u8", "UINT64_T"), ("f4", "FLOAT"), ("f8", "DOUBLE")]
    + [("c8", "C_FLOAT_COMPLEX"), ("c16", "C_DOUBLE_COMPLEX"), ("b1", "C_BOOL")]
    + [("Zf", "C_FLOAT_COMPLEX"), ("Zd", "C_DOUBLE_COMPLEX"), ("Zg", "C_LONG_DOUBLE_COMPLEX")],
)
def test_types_as_strings(text, name):
    mpi = getattr(MPI, name)
    size = mpi.Get_size()
    source, back = np.arange(4 * size, dtype="B"), np.zeros(4 * size, "B")
    assert exchange([source, 3, text], [back, 4, text]).Get_count(mpi) == 3
    if name not in ("LONG_DOUBLE", "C_LONG_DOUBLE_COMPLEX", "C_BOOL"):
        assert (back[: 3 * size] == source[: 3 * size]).all()
    assert (back[3 * size :] == 0).all()


def test_none_is_nothing():
    """None stands for a buffer of no items, if the type is said."""
    back = bytearray(b"abc")
    for spec in ([None, 0, MPI.INT], [None, MPI.INT], [None, (0, 0), MPI.INT], [None, 0, 0, MPI.INT], [None, 0, "i"]):
        assert exchange(spec, back).count == 0
        exchange(b"", spec)
    assert back == b"abc"


# --- absolute addresses --------------------------------------------------------------------------------------------


def absolute(*arrays):
    """A datatype that finds the arrays by their addresses."""
    types = [datatype(items.dtype.char) for items in arrays]
    lengths, addresses = [items.size for items in arrays], [items.ctypes.data for items in arrays]
    return MPI.Datatype.Create_struct(lengths, addresses, types).Commit()


@pytest.mark.parametrize("bottom", [MPI.BOTTOM, None], ids=["BOTTOM", "None"])
def test_bottom(bottom):
    """One message gathers two arrays, and fills two others."""
    out = np.arange(3, dtype="i"), np.arange(4.0) / 2
    back = np.zeros(3, "i"), np.zeros(4)
    sends, receives = absolute(*out), absolute(*back)
    if bottom is MPI.BOTTOM:
        status = exchange([bottom, 1, sends], [bottom, 1, receives])
        assert status.Get_count(receives) == 1
        assert (back[0] == out[0]).all()
        assert (back[1] == out[1]).all()
        exchange([bottom, (1, 0), sends], [bottom, 1, 0, receives])
    else:
        assert exchange([bottom, 0, sends], [bottom, 0, receives]).count == 0
    sends.Free()
    receives.Free()


def test_derived_types():
    """Every other item, by a vector; a block of a grid, by a subarray; blanks stay as they are."""
    column = MPI.DOUBLE.Create_vector(4, 1, 6).Commit()
    block = MPI.DOUBLE.Create_subarray([4, 6], [2, 3], [1, 2]).Commit()
    grid, back, whole = np.arange(24.0).reshape(4, 6), np.zeros(4), np.zeros((4, 6))
    exchange([grid, 1, column], back)
    assert (back == grid[:, 0]).all()
    exchange([grid, 1, block], [whole, 1, block])
    assert (whole[1:3, 2:5] == grid[1:3, 2:5]).all()
    assert np.count_nonzero(whole) == 6
    exchange([grid, block], back_6 := np.zeros(6))  # the count follows from the extent: one
    assert (back_6 == grid[1:3, 2:5].ravel()).all()
    column.Free()
    block.Free()


def test_constants_are_usable_as_numbers():
    assert MPI.BOTTOM == 0
    assert MPI.BOTTOM != MPI.IN_PLACE
    assert "BOTTOM" in repr(MPI.BOTTOM)


# --- DLPack and the CUDA array interface ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [DLPackArray, DLPack1Array])
def test_dlpack_gives_back(kind):
    """Each tensor taken is given back when the call ends, well or badly."""
    before = dlpack_lent()
    source, target = kind(np.arange(4.0)), kind(np.zeros(4))
    exchange(source, target)
    assert target.items.tolist() == [0, 1, 2, 3]
    assert dlpack_lent() == before
    with pytest.raises(TypeError):
        SELF.Sendrecv(source, 0, 1, object(), 0, 1)
    with pytest.raises(TypeError):
        SELF.Sendrecv(source, "nobody", 1, target, 0, 1)
    with pytest.raises(ValueError, match="sendbuf"):
        exchange([source, 5, MPI.DOUBLE], bytearray(100))
    assert dlpack_lent() == before
    request = SELF.Irecv(target, 0, 3)
    assert dlpack_lent() == before + 1
    SELF.Send(source, 0, 3)
    request.Wait()
    assert dlpack_lent() == before


@pytest.mark.parametrize("kind", [DLPackArray, DLPack1Array])
def test_dlpack_shapes(kind):
    for items in (np.arange(6.0).reshape(2, 3), np.array(3.5), np.zeros((0, 3)), np.arange(6.0).reshape(2, 3).T):
        source, target = kind(items, strides=True), np.zeros(items.size)
        assert exchange(source, target).count == items.nbytes
        assert (target == items.ravel(order="K")).all()


def test_dlpack_strided():
    with pytest.raises((BufferError, ValueError), match="sendbuf"):
        exchange(DLPackArray(np.arange(6.0)[::2]), bytearray(100))


def test_dlpack_read_only():
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    with pytest.raises(BufferError, match="recvbuf"):
        exchange(np.ones(3), DLPack1Array(frozen))
    assert frozen.sum() == 0


def test_dlpack_on_a_device():
    """Memory that only a device can read is either handed to MPI as it is (no data here) or refused, never touched."""
    before = dlpack_lent()
    device = DLPackArray(np.zeros(0), device=(2, 0))
    try:
        exchange(device, bytearray(0))
    except (TypeError, BufferError, NotImplementedError) as error:
        assert "sendbuf" in str(error)
    assert dlpack_lent() == before


def test_dlpack_errors_come_through():
    class Broken(DLPackArray):
        def __dlpack__(self, stream=None):
            raise RuntimeError("no capsule today")

    class Wrong(DLPackArray):
        def __dlpack__(self, stream=None):
            return "no capsule"

    with pytest.raises(RuntimeError, match="no capsule today"):
        exchange(Broken(np.zeros(3)), bytearray(24))
    with pytest.raises((TypeError, ValueError, BufferError)):
        exchange(Wrong(np.zeros(3)), bytearray(24))


def test_cuda_strides():
    items = np.arange(6.0).reshape(2, 3)
    back = np.zeros(6)
    exchange(CudaArray(items, strides=items.strides), back)
    assert (back == items.ravel()).all()
    with pytest.raises((BufferError, ValueError), match="sendbuf"):
        exchange(CudaArray(np.arange(6.0)[::2]), back)


def test_cuda_read_only():
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    with pytest.raises(BufferError, match="recvbuf"):
        exchange(np.ones(3), CudaArray(frozen))


NONSENSE = {
    "negative": {"shape": (-1,)},
    "twice-negative": {"shape": (-1, -3)},
    "overflow": {"shape": (2**40, 2**40)},
    "overflow-64": {"shape": (2**64,)},
    "shape-text": {"shape": "x"},
    "shape-none": {"shape": None},
    "shape-floats": {"shape": (1.5,)},
    "type-unknown": {"typestr": "?!"},
    "type-int": {"typestr": 3},
    "type-empty": {"typestr": ""},
    "big-endian": {"typestr": ">f8"},
    "data-none": {"data": None},
    "data-short": {"data": (1,)},
    "data-text": {"data": ("x", False)},
    "strides-many": {"strides": (1, 2, 3)},
    "strides-text": {"strides": "x"},
    "mask": {"mask": object()},
}


@pytest.mark.parametrize("changes", NONSENSE.values(), ids=NONSENSE)
def test_cuda_nonsense(changes):
    """What a producer gets wrong is an error here, not a crash."""
    with pytest.raises((TypeError, ValueError, BufferError, NotImplementedError, OverflowError)) as caught:
        exchange(CudaArray(np.zeros(3), **changes), bytearray(24))
    assert "sendbuf" in str(caught.value)


def test_cuda_attribute_that_is_no_dictionary():
    class Strange:
        __cuda_array_interface__ = 3

    with pytest.raises((TypeError, BufferError), match="sendbuf"):
        exchange(Strange(), bytearray(24))


# --- anything whatever ---------------------------------------------------------------------------------------------


@MANY_EXAMPLES
@given(
    code=st.sampled_from(CODES),
    shape=st.lists(st.integers(0, 5), max_size=4),
    orders=st.tuples(st.sampled_from("CF"), st.sampled_from("CF")),
    seed=st.integers(0, 99),
)
def test_any_array_makes_the_round_trip(code, shape, orders, seed):
    count = int(np.prod(shape))
    source = np.array(pattern(code, count, seed).reshape(shape), order=orders[0])
    target = np.zeros(shape, code, order=orders[1])
    status = exchange(source, target)
    assert status.Get_count(datatype(code)) == count
    assert (target.ravel(order="K") == source.ravel(order="K")).all()


@MANY_EXAMPLES
@given(data=st.data(), code=st.sampled_from(CODES), length=st.integers(0, 40), by_text=st.booleans())
def test_any_part_lands_in_any_part(data, code, length, by_text):
    count = data.draw(st.integers(0, length))
    from_, to = data.draw(st.integers(0, length - count)), data.draw(st.integers(0, length - count))
    source, target = pattern(code, length, 7), np.zeros(length, code)
    mpi = code if by_text else datatype(code)
    exchange([source, (count, from_), mpi], [target, count, to, mpi])
    expected = np.zeros(length, code)
    expected[to : to + count] = source[from_ : from_ + count]
    assert (target == expected).all()


@MANY_EXAMPLES
@given(
    code=st.sampled_from(CODES), length=st.integers(0, 20), count=st.integers(-3, 40), displ=st.integers(-3, 40)
)
def test_any_part_is_inside_or_refused(code, length, count, displ):
    """Count and displacement either lie within the buffer, or the call says no and writes nothing."""
    target = np.zeros(length, code)
    fits = count >= 0 and displ >= 0 and count + displ <= length
    source = pattern(code, max(count, 0))
    spec = [target, (count, displ), datatype(code)]
    if fits:
        exchange(source, spec)
        assert (target[displ : displ + count] == source).all()
    else:
        with pytest.raises(ValueError, match="recvbuf"):
            exchange(source, spec)
        assert not target.any()
