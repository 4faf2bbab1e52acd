# SPDX-License-Identifier: BSD-3-Clause
"""Python objects of every type and size: they arrive as they went."""

import array
import builtins
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import json
import marshal
import math
import operator
import pathlib
import pickle
import struct
import tempfile
import types
import uuid

import hypothesis
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import strategies as st

import mmpi
from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 3])

KIB, MIB = 2**10, 2**20
WORLD = MPI.COMM_WORLD


@pytest.fixture
def comm(mmpi_comm):
    return mmpi_comm


# --- equality that looks closely -----------------------------------------------------------------------------------


def same_numbers(a, b):
    """Arrays of one type and shape hold the same: NaNs count as equal, the two zeros do not."""
    if a.dtype.names:
        return all(same_array(a[name], b[name]) for name in a.dtype.names)
    if a.dtype.kind in "OT":
        return same(a.tolist(), b.tolist())
    if a.dtype.char == "G":
        return same_numbers(a.real, b.real) and same_numbers(a.imag, b.imag)
    if a.dtype.char == "g":  # has bytes that mean nothing
        return np.array_equal(a, b, equal_nan=True) and np.array_equal(np.signbit(a), np.signbit(b))
    return a.tobytes() == b.tobytes()


def same_array(a, b):
    if a.dtype != b.dtype or a.shape != b.shape or issubclass(a.dtype.type, np.record) != issubclass(b.dtype.type, np.record):
        return False
    if isinstance(a, np.ma.MaskedArray):
        masks = same_array(np.ma.getmaskarray(a), np.ma.getmaskarray(b))
        return masks and same_array(a.data, b.data) and a.fill_value == b.fill_value
    return a.dtype.isalignedstruct == b.dtype.isalignedstruct and same_numbers(np.asarray(a), np.asarray(b))


def same(a, b):
    """The same type and the same value, also of all that is inside; floats to the last bit."""
    if isinstance(a, np.generic) and isinstance(b, np.generic):  # some types of NumPy are one: longlong and int64
        return same_array(np.asarray(a), np.asarray(b))
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return same_array(a, b)
    if hasattr(a, "equals"):  # of pandas and Arrow
        return a.equals(b)
    if hasattr(a, "nnz"):
        return (a.shape, a.dtype, a.nnz) == (b.shape, b.dtype, b.nnz) and (a != b).nnz == 0
    if hasattr(a, "__dict__") and not same(vars(a), vars(b)):
        return False
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, types.FunctionType):
        return a.__code__ == b.__code__
    if isinstance(a, memoryview):
        return (a.format, a.shape, a.tobytes()) == (b.format, b.shape, b.tobytes())
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, (list, tuple, collections.deque)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, BaseException) and not isinstance(a, MPI.Exception):
        return same(a.args, b.args)
    return isinstance(a, Record) or bool(a == b)


def check(got, sent):
    """An array is also writable, aligned, and in the order in which it went."""
    assert same(got, sent), f"{got!r} is not {sent!r}"
    if type(sent) is np.ndarray:
        flags = got.flags
        assert flags.writeable
        assert flags.aligned
        assert flags.f_contiguous if sent.flags.f_contiguous and not sent.flags.c_contiguous else flags.c_contiguous
        assert not np.shares_memory(got, sent) or got.nbytes == 0


# --- ways from rank to rank: pairs of what came from others (or a copy of one's own) and what should have come ---------


def neighbours(comm):
    return (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size


def by_sendrecv(comm, make):
    left, right = neighbours(comm)
    return [(comm.sendrecv(make(comm.rank), right, 3, None, left, 3), make(left))]


def by_isend(comm, make):
    left, right = neighbours(comm)
    request = comm.isend(make(comm.rank), right, 4)
    got = comm.recv(None, left, 4)
    request.wait()
    return [(got, make(left))]


def by_irecv(comm, make):
    left, right = neighbours(comm)
    request = comm.irecv(None, left, 5)
    comm.send(make(comm.rank), right, 5)
    return [(request.wait(), make(left))]


def by_mprobe(comm, make):
    left, right = neighbours(comm)
    request = comm.isend(make(comm.rank), right, 6)
    got = comm.mprobe(left, 6).recv()
    request.wait()
    return [(got, make(left))]


def by_bcast(comm, make):
    root = comm.size - 1
    mine = make(root) if comm.rank == root else None
    got = comm.bcast(mine, root)
    if comm.rank != root:
        return [(got, make(root))]
    assert got is mine
    return []


def others(comm, got, sent):
    """What a rank has from itself may be the very object: it is as it was, and that is all."""
    assert len(got) == comm.size
    assert same(got[comm.rank], sent[comm.rank])
    return [pair for rank, pair in enumerate(zip(got, sent, strict=True)) if rank != comm.rank]


def by_allgather(comm, make):
    return others(comm, comm.allgather(make(comm.rank)), [make(rank) for rank in range(comm.size)])


def by_alltoall(comm, make):
    out = [make(10 * comm.rank + to) for to in range(comm.size)]
    return others(comm, comm.alltoall(out), [make(10 * source + comm.rank) for source in range(comm.size)])


POINT_TO_POINT = [by_sendrecv, by_isend, by_irecv, by_mprobe]
WAYS = [*POINT_TO_POINT, by_bcast, by_allgather, by_alltoall]
all_ways = pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])


def check_ways(comm, make, ways=WAYS):
    for way in ways:
        for got, sent in way(comm, make):
            check(got, sent)


def ring(comm, obj):
    """What comes from the left, if all send the same sort of thing to the right."""
    return by_sendrecv(comm, lambda _: obj)[0][0]


# --- builtins ------------------------------------------------------------------------------------------------------


class Int(int):
    pass


class Float(float):
    pass


class Str(str):
    pass


class Bytes(bytes):
    pass


class ByteArray(bytearray):
    pass


class List(list):
    pass


class Tuple(tuple):
    pass


class Dict(dict):
    pass


class Set(set):
    pass


Point = collections.namedtuple("Point", "x y")


class Colour(enum.Enum):
    RED = 1


class Number(enum.IntEnum):
    ONE = 1


@dataclasses.dataclass
class Record:
    """An ordinary object."""

    name: str
    value: object = None


@dataclasses.dataclass(frozen=True, slots=True)
class Slots:
    """An object without a dict."""

    a: int
    b: tuple


def with_attribute(thing):
    thing.note = [1, 2]
    return thing


def nested(kind, depth):
    thing = kind()
    for _ in range(depth):
        thing = kind([thing])
    return thing


INTEGERS = [0, 1, -1, 127, 128, -129, 255, 256, 2**53 + 1, 10**1000, -(10**1000)]
INTEGERS += [sign * (2**bits) + off for bits in (31, 32, 63, 64, 127, 200) for sign in (1, -1) for off in (-1, 0, 1)]
FLOATS = [0.0, -0.0, 1.5, 0.1, math.inf, -math.inf, math.nan, 5e-324, 1.7976931348623157e308]
FLOATS += [math.copysign(math.nan, -1), struct.unpack("<d", b"\x39\x30\0\0\0\0\xf8\x7f")[0]]
COMPLEX = [1j, complex(-0.0, 0.0), complex(0.0, -0.0), complex(math.nan, -math.inf), complex(-0.0, math.nan)]
STRINGS = ["", "a", "abc" * 100, "\0", "a\0b", "é", "ÿ" * 300, "日本語", "😀" * 70, "\ud800", "x\udcff", "\udc80" * 300]
STRINGS += ["x" * 10_000, "😀" * 3000, "日" * 100_000]
BYTES = [b"", b"\0", b"abc", bytes(range(256)), b"\x80\x05N.", b"x" * 100_000]
TUPLES = [(), (None,), (1, 2.5, "x"), (1, (2, (3, ())), b""), (True, 1, 1.0, 1 + 0j), (-0.0, math.nan), tuple(range(1000))]
TUPLES += [nested(tuple, 1), nested(tuple, 7), nested(tuple, 9), nested(tuple, 100), ([],), ({},), (2**70,), ("\ud800",)]
LISTS = [[], [[]], [None] * 1000, [True, 1, 1.0], [1, [2, [3, []]]], [(), {}, set()], nested(list, 100), [0.5] * 40_000]
LISTS += [["x" * 300], ["é" * n for n in range(50)], [b"", "", None, (), 0, False, 0.0]]
DICTS = [{}, {"a": 1}, {1: "a", "b": 2.5, None: True, (1, 2): [3]}, {"z": 1, "a": 2, "m": 3}, {True: 1, 2: False}]
DICTS += [{"a": {"b": {"c": {}}}}, {n: str(n) for n in range(2000)}, {math.inf: -0.0, -1j: math.nan}, {b"k": b"v"}]
SETS = [set(), {1, 2, 3}, {None, "a", 2.5, (1, 2)}, frozenset(), frozenset([1, frozenset([2])]), {frozenset()}, set(range(5000))]
SUBCLASSES = [Int(7), Int(2**100), Float(-0.0), Str("s"), Str(), Bytes(b"b"), ByteArray(b"ba"), List([1]), Tuple((1, 2)), Dict(a=1)]
SUBCLASSES += [Set([1]), Point(1, "y"), Point(Point(1, 2), []), Colour.RED, Number.ONE, [Number.ONE], (Int(1), Str("k"))]
SUBCLASSES += [{Str("k"): Float(1.0)}, with_attribute(Int(1)), with_attribute(List([1, 2])), with_attribute(Dict(b=2))]
LIBRARY = [Ellipsis, NotImplemented, range(3, 30, 4), slice(1, None, 2), decimal.Decimal("1.10"), fractions.Fraction(1, 3)]
LIBRARY += [datetime.datetime(2020, 2, 29, 1, 2, 3, 4, datetime.UTC), datetime.timedelta(1, 2, 3), uuid.UUID(int=2**127 + 5)]
LIBRARY += [pathlib.PurePosixPath("/a/b"), collections.OrderedDict(b=1, a=2), collections.Counter("abca")]
LIBRARY += [collections.deque([1, 2, 3], 3), collections.defaultdict(list, {1: [2]}), types.SimpleNamespace(a=1, b=[2])]
LIBRARY += [Record("r", [1, {"a": (2,)}]), Record("é" * 200, Record("inner")), Slots(1, ("x",)), array.array("i"), bytearray()]
VALUES = {
    "singletons": [None, True, False],
    "integers": INTEGERS,
    "floats": FLOATS,
    "complex": COMPLEX,
    "strings": STRINGS,
    "bytes": BYTES,
    "tuples": TUPLES,
    "lists": LISTS,
    "dicts": DICTS,
    "sets": SETS,
    "subclasses": SUBCLASSES,
    "library": LIBRARY,
}


@pytest.mark.parametrize("group", VALUES)
def test_values_inside_others(group, comm):
    """All together, and each in a tuple, a list and a dict of small things."""
    check(ring(comm, VALUES[group]), VALUES[group])
    for value in VALUES[group]:
        for box in ((1, value, "x"), [value, None], {"key": value, "last": 0.5}, (None, (value,))):
            check(ring(comm, box), box)


@pytest.mark.parametrize("group", VALUES)
def test_values_all_ways(group, comm):
    """Ranks send different ones."""
    values = VALUES[group]
    for start in range(len(values)):
        check_ways(comm, lambda seed, start=start: values[(start + seed) % len(values)])


def test_true_is_not_one(comm):
    assert ring(comm, True) is True
    assert ring(comm, False) is False
    assert ring(comm, None) is None
    assert [type(item) for item in ring(comm, (True, 1, 1.0))] == [bool, int, float]
    assert {type(key) for key in ring(comm, {True: 1})} == {bool}
    assert type(ring(comm, np.True_)) is np.bool_
    assert type(ring(comm, np.float64(1))) is np.float64


def test_objects_in_themselves(comm):
    items = [1]
    items.append(items)
    got = ring(comm, items)
    assert got is not items
    assert len(got) == 2
    assert got[1] is got
    table = {}
    table["me"] = table
    got = ring(comm, table)
    assert got is not table
    assert got["me"] is got
    pair = ([], 1)
    pair[0].append(pair)
    got = ring(comm, pair)
    assert got is not pair
    assert got[0][0] is got
    record = Record("loop", [])
    record.value.append(record)
    got = ring(comm, record)
    assert got is not record
    assert got.value[0] is got


BOXES = {
    "list": (lambda thing: [thing, thing], lambda box: (box[0], box[1])),
    "tuple": (lambda thing: (thing, 1, thing), lambda box: (box[0], box[2])),
    "dict": (lambda thing: {"a": thing, "b": thing}, lambda box: (box["a"], box["b"])),
    "nested": (lambda thing: [thing, ({"k": [thing]},)], lambda box: (box[0], box[1][0]["k"][0])),
    "object": (lambda thing: Record("r", [thing, thing]), lambda box: (box.value[0], box.value[1])),
}


@pytest.mark.parametrize("box", BOXES)
def test_shared_references(box, comm):
    """What is one object on the sender is one on the receiver."""
    put, take = BOXES[box]
    for thing in ([1], {1: 2}, {3}, Record("s"), np.zeros(3), np.zeros(MIB), bytearray(5), bytearray(MIB), array.array("d", [1])):
        a, b = take(ring(comm, put(thing)))
        assert a is b
        assert a is not thing
        check(a, thing)


def test_what_arrives_is_new(comm):
    """Also from a rank to itself: what changes there is not what was sent."""
    for thing in ([1, 2], {"a": 1}, {1, 2}, bytearray(b"abc"), array.array("i", [1, 2]), Record("r", 1), List([1])):
        got = ring(comm, thing)
        assert got is not thing
        got.clear() if hasattr(got, "clear") else setattr(got, "value", 2) if type(got) is Record else got.pop()
        assert not same(got, thing)


class Failure(Exception):
    """An exception with more than its arguments."""

    def __init__(self, text, code):
        super().__init__(text, code)
        self.code = code


def exceptions():
    try:
        bytes([255]).decode()
    except UnicodeDecodeError as error:
        decode = error
    noted = RuntimeError("noted")
    noted.add_note("more")
    group = ExceptionGroup("several", [ValueError(1), KeyError("k")])
    plain = [ValueError("x", 3), KeyError("k"), StopIteration(5), KeyboardInterrupt(), SystemExit(3), OSError(2, "no", "name")]
    return [*plain, decode, noted, Failure("text", 7), group, MPI.Exception(MPI.ERR_RANK), mmpi.MPIError("text")]


def test_exceptions(comm):
    for error in exceptions():
        got = ring(comm, error)
        if isinstance(error, ExceptionGroup):
            assert got.message == error.message
            got, error = list(got.exceptions), list(error.exceptions)
        check(got, error)
        assert str(got) == str(error)


def function(x):
    return x + 1


def test_by_reference(comm):
    """Functions, classes and modules' constants: the receiver finds its own."""
    things = [len, function, Record, int, np.sum, np.float64, math.sin, type(None), Record.__init__, MPI.Comm, mmpi.MPIError]
    for thing in [*things, MPI.SUM, MPI.DOUBLE, MPI.COMM_WORLD]:
        assert ring(comm, thing) is thing
    assert ring(comm, {"f": function})["f"] is function
    for thing in (functools.partial(function, 3), operator.itemgetter(1), "abc".upper, [1, 2].__len__):
        got = ring(comm, thing)
        assert type(got) is type(thing)
        assert got([5, 7]) == 7 if isinstance(got, operator.itemgetter) else got() == thing()
    errors = [thing for thing in vars(builtins).values() if isinstance(thing, type) and issubclass(thing, BaseException)]
    assert all(a is b for a, b in zip(ring(comm, errors), errors, strict=True))


# --- NumPy arrays --------------------------------------------------------------------------------------------------


def numbers(seed, *shape, code="d"):
    return ((np.arange(math.prod(shape)) * 7 + seed * 13 + 1) % 120).astype(code).reshape(shape)


def fill(dtype, seed, *shape):
    """A structured array of any type: each field has numbers."""
    items = np.zeros(shape, dtype)
    for number, name in enumerate(items.dtype.names):
        field = items[name]
        if field.dtype.names:
            items[name] = fill(field.dtype, seed + number, *field.shape)
        else:
            items[name] = numbers(seed + number, *field.shape).astype(field.dtype)
    return items


def memmap(seed):
    file = tempfile.TemporaryFile()
    items = np.memmap(file, "i4", "w+", shape=(5, 3))
    items[...] = numbers(seed, 5, 3)
    return items


def read_only(items):
    items.flags.writeable = False
    return items


def objects(seed):
    items = np.empty((2, 3), object)
    items[...] = [[None, seed, "x"], [[1, 2], {"a": np.arange(3.0)}, 2.5]]
    return items


PAIR = np.dtype([("a", "i4"), ("b", "f8")])
ALIGNED = np.dtype([("a", "i1"), ("b", "f8"), ("c", "i2")], align=True)
NESTED = np.dtype([("x", PAIR), ("y", ALIGNED, (2,)), ("z", "u2", (2, 3))])
HOLES = np.dtype({"names": ["a", "b"], "formats": ["i2", ">f4"], "offsets": [3, 11], "itemsize": 20})
OVERLAP = np.dtype({"names": ["all", "low"], "formats": ["u4", "u2"], "offsets": [0, 0]})
TITLES = np.dtype([(("long title", "a"), "i4"), (("other", "b"), "S3")])
TEXTS = np.dtype([("s", "S5"), ("u", "U7"), ("t", "M8[ms]"), ("v", "V3")])
RECORDS = np.dtype((np.record, [("a", "i4"), ("b", "f8")]))
CODES = "?bBhHiIlLqQefdgFDG"
UNITS = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "25s", "7D"]
SWAPPED = ["i2", "u4", "i8", "f2", "f4", "f8", "c8", "c16", "U3", "M8[s]", "m8[ns]"]
ARRAYS = {
    "0-d": lambda s: np.array(1.5 + s),
    "0-d-int": lambda s: np.array(s, "i1"),
    "0-d-text": lambda s: np.array(f"é{s}"),
    "0-d-date": lambda s: np.array("2001-01-01", "M8[D]") + s,
    "0-d-object": lambda s: np.array({"a": s}, object),
    "0-d-structured": lambda s: fill(PAIR, s),
    "1-d": lambda s: numbers(s, 10),
    "2-d": lambda s: numbers(s, 3, 4),
    "3-d": lambda s: numbers(s, 2, 3, 4),
    "one": lambda s: numbers(s, 1),
    "8-d": lambda s: numbers(s, 1, 2, 1, 3, 1, 2, 2, 1),
    "32-d": lambda s: numbers(s, *[1] * 29, 2, 3, 2),
    "32-d-of-2": lambda s: numbers(s, *[2, 1] * 16, code="i1"),
    "32-d-F": lambda s: np.asfortranarray(numbers(s, *[1] * 29, 2, 3, 2)),
    "F": lambda s: np.asfortranarray(numbers(s, 3, 4)),
    "F-3-d": lambda s: np.asfortranarray(numbers(s, 2, 3, 4)),
    "F-transposed": lambda s: numbers(s, 5, 3).T,
    "axes": lambda s: numbers(s, 2, 3, 4).transpose(1, 2, 0),
    "column": lambda s: numbers(s, 4, 1),
    "strided": lambda s: numbers(s, 30)[::3],
    "columns": lambda s: numbers(s, 5, 6)[:, 1::2],
    "block": lambda s: numbers(s, 5, 6)[1:3, 2:5],
    "block-F": lambda s: np.asfortranarray(numbers(s, 5, 6))[1:3, 2:5],
    "negative": lambda s: numbers(s, 10)[::-1],
    "negative-2-d": lambda s: numbers(s, 4, 5)[::-1, ::-2],
    "negative-F": lambda s: np.asfortranarray(numbers(s, 4, 5))[:, ::-1],
    "broadcast": lambda s: np.broadcast_to(numbers(s, 3, 1), (2, 3, 5)),
    "broadcast-0": lambda s: np.broadcast_to(np.float32(s), (7,)),
    "overlapping": lambda s: np.lib.stride_tricks.sliding_window_view(numbers(s, 10), 4),
    "unaligned": lambda s: np.frombuffer(b"x" + numbers(s, 5).tobytes(), "d", offset=1),
    "empty": lambda s: np.zeros(0),
    "empty-3x0": lambda s: np.zeros((3, 0), "i2"),
    "empty-0x3": lambda s: np.zeros((0, 3), "f4"),
    "empty-2x0x4": lambda s: np.zeros((2, 0, 4), "D"),
    "empty-F": lambda s: np.zeros((0, 3, 2), order="F"),
    "empty-strided": lambda s: np.zeros((6, 6))[2:2, ::2],
    "empty-structured": lambda s: np.zeros((0, 2), NESTED),
    "empty-text": lambda s: np.zeros(0, "U5"),
    "empty-object": lambda s: np.zeros((0, 2), object),
    "no-fields": lambda s: np.zeros(3, []),
    "void-0": lambda s: np.zeros(3, "V0"),
    "structured": lambda s: fill(PAIR, s, 5),
    "structured-F": lambda s: np.asfortranarray(fill(PAIR, s, 2, 3)),
    "structured-strided": lambda s: fill(PAIR, s, 9)[::2],
    "aligned": lambda s: fill(ALIGNED, s, 4),
    "aligned-strided": lambda s: fill(ALIGNED, s, 4, 4)[::2, ::-1],
    "nested": lambda s: fill(NESTED, s, 3, 2),
    "field": lambda s: fill(PAIR, s, 5)["b"],
    "fields": lambda s: fill(NESTED, s, 5)[["x", "z"]],
    "inner-field": lambda s: fill(NESTED, s, 5)["x"]["a"],
    "subarray": lambda s: np.zeros(2, np.dtype(("i4", (2, 3)))) + s,
    "holes": lambda s: fill(HOLES, s, 4),
    "overlapping-fields": lambda s: fill(OVERLAP, s, 4),
    "titles": lambda s: fill(TITLES, s, 4),
    "texts": lambda s: np.array([(f"s{s}", f"é{s}", s, b"v\0"), ("", "", "NaT", b"")], TEXTS),
    "record-type": lambda s: fill(RECORDS, s, 3),
    "object-field": lambda s: np.array([(s, [1]), (2, {"a": s})], [("n", "i4"), ("o", "O")]),
    "metadata": lambda s: numbers(s, 3).astype(np.dtype("f8", metadata={"unit": "m"})),
    "dates-NaT": lambda s: np.array(["2001-02-03", "NaT", "1677-01-01"], "M8[D]") + s,
    "times-generic": lambda s: np.array([s, -5, 2**62], "m8"),
    "times-NaT": lambda s: np.array([s, "NaT"], "m8[us]"),
    "NaNs": lambda s: np.array([np.nan, -np.nan, np.inf, -np.inf, -0.0, 5e-324, s]),
    "NaN-bits": lambda s: np.array([0x7FF0000000000001, 0xFFF8000000000ABC], "u8").view("f8"),
    "longdouble": lambda s: np.array([1, np.nan, -0.0, np.inf, s], "g") / 3,
    "longdouble-strided": lambda s: (numbers(s, 4, 4, code="g") / 3)[::2, ::-1],
    "bytes": lambda s: np.array([b"a\0b", b"", b"xyz%d" % s]),
    "text": lambda s: np.array(["", "é日", f"😀{s}"]),
    "void": lambda s: np.array([b"abc", b"\0\0", b"de%d" % (s % 10)], "V5"),
    "object": objects,
    "object-strided": lambda s: objects(s)[::-1, ::2],
    "object-F": lambda s: np.asfortranarray(objects(s)),
    "object-of-arrays": lambda s: np.array([numbers(s, 3), numbers(s, 2, 2), None], object),
    "read-only": lambda s: read_only(numbers(s, 20)),
    "read-only-F": lambda s: read_only(np.asfortranarray(numbers(s, 4, 5))),
    "read-only-of-bytes": lambda s: np.frombuffer(bytes([s % 200] * 9), "B"),
    "of-bytearray": lambda s: np.frombuffer(bytearray([s % 200] * 9), "B"),
    "large": lambda s: numbers(s, 300_001),
    "large-F": lambda s: np.asfortranarray(numbers(s, 1000, 301)),
    "large-strided": lambda s: numbers(s, 1000, 602)[::-1, ::2],
    "large-structured": lambda s: fill(NESTED, s, 5000),
    "large-dates": lambda s: numbers(s, 100_000).astype("M8[us]"),
    "large-big-endian": lambda s: numbers(s, 100_000).astype(">f8"),
    "large-read-only": lambda s: read_only(numbers(s, 100_000)),
    "large-object": lambda s: np.array([f"{s}-{i}" for i in range(30_000)], object),
    "large-text": lambda s: np.array([f"{s}-{i}" for i in range(50_000)]),
    **{f"type-{c}": lambda s, c=c: numbers(s, 3, 4, code=c) for c in CODES},
    **{f"M8[{unit}]": lambda s, u=unit: np.array([s, -7, 12345], f"M8[{u}]") for unit in UNITS},
    **{f"m8[{unit}]": lambda s, u=unit: np.array([[s, -7, 12345]] * 2, f"m8[{u}]") for unit in UNITS},
    **{f"big-endian-{c}": lambda s, c=c: numbers(s, 2, 3, code="i4").astype(f">{c}") for c in SWAPPED},
    **{f"little-endian-{c}": lambda s, c=c: numbers(s, 2, 3, code="i4").astype(f"<{c}") for c in SWAPPED},
}
SUBCLASSED = {
    "matrix": lambda s: numbers(s, 3, 4).view(np.matrix),
    "recarray": lambda s: fill(PAIR, s, 5).view(np.recarray),
    "recarray-large": lambda s: fill(PAIR, s, 50_000).view(np.recarray),
    "masked": lambda s: np.ma.array(numbers(s, 3, 4), mask=numbers(s, 3, 4) % 3 == 0, fill_value=-1.0),
    "masked-none": lambda s: np.ma.array(numbers(s, 4)),
    "masked-large": lambda s: np.ma.masked_greater(numbers(s, 100_000), 50),
    "masked-structured": lambda s: np.ma.array(fill(PAIR, s, 3), mask=[(0, 1), (1, 0), (0, 0)]),
    "memmap": memmap,
    "chararray": lambda s: np.array(["a", "bc"]).view(np.char.chararray),
}
if hasattr(np.dtypes, "StringDType"):  # NumPy 2: items are pointers, and arrays have up to 64 dimensions
    ARRAYS["strings"] = lambda s: np.array(["", "é" * 100, f"{s}"], np.dtypes.StringDType())
    ARRAYS["64-d"] = lambda s: numbers(s, *[1] * 62, 2, 3)


@pytest.mark.parametrize("name", ARRAYS)
def test_array(name, comm):
    """As it is, and inside of other things, where it is pickled."""
    make = ARRAYS[name]
    check_ways(comm, make)
    for way in POINT_TO_POINT:
        got, sent = way(comm, lambda seed: {"array": make(seed), "more": [make(seed + 1), seed]})[0]
        check(got, pickle.loads(pickle.dumps(sent, 5)))  # which makes big-endian dates native
    sent = make(comm.rank)
    got, other = ring(comm, sent), ring(comm, make(7))
    assert got.dtype.metadata == sent.dtype.metadata
    assert not np.shares_memory(got, other)
    assert not np.shares_memory(got, sent)


@pytest.mark.parametrize("name", SUBCLASSED)
def test_array_of_a_subclass(name, comm):
    for way in WAYS:
        for got, sent in way(comm, SUBCLASSED[name]):
            check(got, sent)
            assert got.flags.writeable


class Attached(np.ndarray):
    """An array with an attribute, which it takes along."""

    unit = None

    def __reduce__(self):
        return attach, (np.asarray(self), self.unit)


def attach(items, unit):
    result = items.view(Attached)
    result.unit = unit
    return result


@pytest.mark.parametrize("count", [3, 200_000])
def test_array_of_my_own_class(count, comm):
    got, sent = by_sendrecv(comm, lambda seed: attach(numbers(seed, count), f"m{seed}"))[0]
    assert type(got) is Attached
    assert got.unit == sent.unit
    assert (got == sent).all()


@all_ways
@pytest.mark.parametrize("count", [1, 10, 5000, 100_000])
def test_writing_to_a_received_array_changes_no_other(count, way, comm):
    """Neither the sender's, nor one that was received before or at the same time."""
    mine = numbers(comm.rank, count)
    original = mine.copy()
    arrays = []
    for _ in range(3):
        for got, sent in way(comm, lambda seed: mine if seed == comm.rank else numbers(seed, count)):
            check(got, sent)
            arrays.append((got, got.copy()))
    for number, (item, _) in enumerate(arrays):
        item += 1000 * (number + 1)
    assert (mine == original).all()
    for number, (item, before) in enumerate(arrays):
        assert (item == before + 1000 * (number + 1)).all()


def test_the_sender_may_change_its_array_after_send(comm):
    """As soon as send has returned, or the request is done."""
    left, right = neighbours(comm)
    for count in (10, 10_000, 300_000):
        receive, out = comm.irecv(None, left, 1), numbers(comm.rank, count)
        comm.send(out, right, 1)
        out[:] = -1
        check(receive.wait(), numbers(left, count))
        receive, out = comm.irecv(None, left, 1), {"a": numbers(comm.rank, count)}
        request = comm.isend(out, right, 1)
        request.wait()
        out["a"][:] = -1
        check(receive.wait(), {"a": numbers(left, count)})


SCALARS = [np.dtype(c).type(3) for c in CODES]
SCALARS += [np.float64("nan"), np.float64(-0.0), np.longdouble(1) / 3, np.clongdouble(1 - 2j) / 3, np.float16("inf"), np.bool_(False)]
SCALARS += [np.str_("é"), np.bytes_(b"a\0b"), np.datetime64("2001-01-01", "ms"), np.datetime64("NaT"), np.timedelta64(5, "25s")]
SCALARS += [np.void(b"abc"), fill(PAIR, 1, 2)[0], fill(NESTED, 2, 1)[0], fill(PAIR, 1, 2).view(np.recarray)[1]]


def test_scalars(comm):
    for scalar in SCALARS:
        check_ways(comm, lambda _, scalar=scalar: scalar, [by_sendrecv, by_bcast])
        check(ring(comm, (scalar, 1)), (scalar, 1))


def test_dtypes(comm):
    for dtype in map(np.dtype, [*CODES, PAIR, ALIGNED, NESTED, HOLES, OVERLAP, TITLES, TEXTS, ">i4", "M8[25s]", "O"]):
        got = ring(comm, dtype)
        assert got == dtype
        assert got.isalignedstruct == dtype.isalignedstruct


# --- other memory --------------------------------------------------------------------------------------------------

TYPECODES = array.array("u").typecode + array.typecodes.replace("u", "")
COUNTS = [0, 1, 5, 3000, 100_000]


@pytest.mark.parametrize("code", TYPECODES)
def test_array_array(code, comm):
    def make(seed, count=5):
        if code in "uw":
            return array.array(code, "".join(chr(0x4E00 + (i * 7 + seed) % 5000) for i in range(count)))
        return array.array(code, [(i * 7 + seed) % 100 for i in range(count)])

    for count in COUNTS:
        for way in WAYS:
            for got, sent in way(comm, lambda seed, count=count: make(seed, count)):
                check(got, sent)
                got.extend(sent)  # nobody looks into it
    check_ways(comm, lambda seed: [make(seed), {"k": make(seed + 1)}], [by_isend])


@pytest.mark.parametrize("size", [0, 1, 9, 300, 20_000, 300_000])
@pytest.mark.parametrize("kind", [bytearray, ByteArray], ids=lambda kind: kind.__name__)
def test_bytearray(kind, size, comm):
    for way in WAYS:
        for got, sent in way(comm, lambda seed: kind(chunk(seed, size))):
            check(got, sent)
            got.append(1)
            got += bytes(size)


def cast(code, *shape):
    """A memoryview of its own memory, in one of the formats that Python knows."""
    count = math.prod(shape)
    nbytes = count * struct.calcsize(code)
    flat = memoryview(bytearray(bytes(range(2 if code == "?" else 100)) * (nbytes // 2 + 1))[:nbytes])
    return flat.cast("B").cast(code, shape) if len(shape) != 1 else flat.cast(code)


VIEWS = {
    "bytes": lambda: memoryview(b"abc"),
    "bytearray": lambda: memoryview(bytearray(b"abc")),
    "empty": lambda: memoryview(b""),
    "large": lambda: memoryview(bytes(range(256)) * 2000),
    "large-2-d": lambda: cast("d", 500, 200),
    "read-only": lambda: cast("i", 5).toreadonly(),
    "array": lambda: memoryview(array.array("l", range(20))),
    "array-empty": lambda: memoryview(array.array("d")),
    "strided": lambda: memoryview(bytes(range(100)))[::3],
    "negative": lambda: cast("i", 10)[::-1],
    "large-strided": lambda: memoryview(bytes(range(256)) * 4000)[::2],
    "1x1x1": lambda: cast("B", 1, 1, 1),
    "2-d": lambda: cast("h", 3, 4),
    "3-d": lambda: cast("f", 2, 3, 4),
    "8-d": lambda: cast("B", 1, 2, 1, 2, 1, 2, 1, 3),
    "0-d": lambda: memoryview(np.array(2.5)),
    "numpy-C": lambda: memoryview(numbers(1, 3, 4)),
    "numpy-F": lambda: memoryview(np.asfortranarray(numbers(1, 3, 4))),
    "numpy-strided": lambda: memoryview(numbers(1, 5, 6)[::2, ::-3]),
    "numpy-empty": lambda: memoryview(np.zeros((3, 0), "i4")),
    "numpy-big-endian": lambda: memoryview(numbers(1, 4).astype(">i4")),
    "numpy-complex": lambda: memoryview(numbers(1, 4).astype("D")),
    "numpy-longdouble": lambda: memoryview(numbers(1, 4).astype("g")),
    "numpy-text": lambda: memoryview(np.array(["abc", "é"])),
    "numpy-structured": lambda: memoryview(fill(PAIR, 1, 4)),
    **{f"format-{c}": lambda c=c: cast(c, 6) for c in "cbB?hHiIlLqQnNfdP"},
}


@pytest.mark.parametrize("name", VIEWS)
def test_memoryview(name, comm):
    """It arrives writable, with its format and shape."""
    for way in WAYS:
        for got, sent in way(comm, lambda _: VIEWS[name]()):
            check(got, sent)
            assert not got.readonly
            assert got.c_contiguous or got.f_contiguous
            assert (got.itemsize, got.nbytes) == (sent.itemsize, sent.nbytes)


def test_writing_to_a_memoryview(comm):
    sent = bytearray(b"abcdefgh")
    first, second = ring(comm, memoryview(sent)), ring(comm, memoryview(sent))
    first[0] = ord("x")
    assert (first.tobytes(), second.tobytes(), sent) == (b"xbcdefgh", b"abcdefgh", b"abcdefgh")
    grid = ring(comm, cast("d", 2, 3))
    grid[1, 2] = 7.5
    assert grid[1, 2] == 7.5


def test_released_memoryview(comm):
    view = memoryview(b"abc")
    view.release()
    with pytest.raises(ValueError):
        comm.send(view, comm.rank)
    assert comm.iprobe(comm.rank) is False
    check(ring(comm, 7), 7)


# --- objects of libraries ------------------------------------------------------------------------------------------


library = pytest.mark.mmpi(n=[1, 3])  # each rank takes seconds to import one
ROWS = [0, 10, 5_000, pytest.param(100_000, marks=pytest.mark.slow)]  # the libraries' own comparison of many is slow


@library
@pytest.mark.parametrize("count", ROWS)
def test_pandas(count, comm):
    pandas = pytest.importorskip("pandas")

    def make(seed):
        texts = [f"t{i % 7}" for i in range(count)]
        columns = {"a": np.arange(count) + seed, "b": numbers(seed, count), "t": texts, "c": pandas.Categorical(texts)}
        return pandas.DataFrame(columns, index=pandas.date_range("2020", periods=count))

    for way in WAYS:
        for a, b in way(comm, make):
            assert same(a, b)
            pandas.testing.assert_frame_equal(a.head(1000), b.head(1000))  # looks at more, and takes a minute for all
            a["b"] += 1
            pandas.testing.assert_series_equal(a["a"], b["a"])
            assert same(a["a"], b["a"]) and (count == 0 or not same(a["b"], b["b"]))
    series = make(1)["b"]
    pandas.testing.assert_series_equal(ring(comm, series), series)
    pandas.testing.assert_index_equal(ring(comm, series.index), series.index)


@library
@pytest.mark.parametrize("count", ROWS)
def test_arrow(count, comm):
    pyarrow = pytest.importorskip("pyarrow")

    def make(seed):
        texts = [None if i % 5 == 0 else f"t{i + seed}" for i in range(count)]
        return pyarrow.table({"a": pyarrow.array(np.arange(count) + seed), "t": pyarrow.array(texts, pyarrow.string())})

    for way in WAYS:
        for a, b in way(comm, make):
            a.validate(full=True)
            assert same(a, b) and a.schema == b.schema
    column = make(1)["a"]
    assert ring(comm, column).equals(column)


@library
@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "dia", "bsr"])
@pytest.mark.parametrize("size", [5, 3000])
def test_sparse(form, size, comm):
    sparse = pytest.importorskip("scipy.sparse")
    if form in ("lil", "dok"):
        size = min(size, 300)

    def make(seed):
        # few diagonals, so that every form is quick
        return sparse.diags([numbers(seed, size), numbers(seed + 1, size - 1) + 1], [0, 1]).asformat(form)

    for way in WAYS:
        for a, b in way(comm, make):
            assert same(a, b)


# --- serializers ---------------------------------------------------------------------------------------------------


@pytest.fixture
def default():
    """Pickle as it was, also if a test fails."""
    MPI.pickle.__init__()
    yield MPI.pickle
    MPI.pickle.__init__()


SMALL = [None, True, 7, 2.5, 1j, "abc", b"abc", (), (1, "x"), [1, 2.5], [], {"a": 1}, {}]
LARGE = [[[1, 2], {"a": [3]}], [[i] for i in range(1000)], [["x" * 300_000]]]


def refuse(*_):
    raise AssertionError("the serializer was asked")


def test_pickle_dumps_and_loads(default):
    for thing in (7, [1, [2]], Record("r", {"a": 1})):
        data = default.dumps(thing)
        assert same(default.loads(data), thing)
        assert same(default.loads(bytearray(data)), thing)
        assert same(pickle.loads(data), thing)
    assert isinstance(default.PROTOCOL, int)


def test_pickle_protocol(default, comm):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        default.__init__(protocol=protocol)
        assert default.PROTOCOL == protocol
        assert default.dumps([[]]) == pickle.dumps([[]], protocol)
        for thing in (*LARGE, {"a": np.arange(3)}, [np.arange(100_000), "x"], Record("r")):
            check(ring(comm, thing), thing)
    default.__init__()
    assert default.dumps([[]])[:2] == bytes([0x80, default.PROTOCOL])


def test_json_for_pickle(default, comm):
    default.__init__(lambda obj: json.dumps(obj).encode(), lambda data: json.loads(bytes(data)))
    for thing in LARGE:
        check_ways(comm, lambda _, thing=thing: thing)
    assert ring(comm, [(1, 2), [(3,)]]) == [[1, 2], [[3]]]  # which tells that it was JSON
    with pytest.raises(TypeError, match="JSON"):
        comm.send({1, 2}, comm.rank)
    assert comm.iprobe(comm.rank) is False
    default.__init__()
    check(ring(comm, [{1, 2}, [(3,)]]), [{1, 2}, [(3,)]])


def test_marshal_for_pickle(default, comm):
    default.__init__(marshal.dumps, marshal.loads)
    for thing in [*LARGE, [{1, 2}, [(3,)]], [frozenset([(1j, 2.5)]), [2**100]]]:
        check_ways(comm, lambda _, thing=thing: thing)
    with pytest.raises(ValueError):
        comm.send(Record("r"), comm.rank)
    assert comm.iprobe(comm.rank) is False


def test_only_one_side_of_pickle(default, comm):
    """What is left out stays the default."""
    seen = []
    default.__init__(dumps=lambda obj, *args, **kwargs: seen.append(obj) or pickle.dumps(obj, *args, **kwargs))
    check(ring(comm, LARGE), LARGE)
    assert seen == [LARGE]
    seen.clear()
    default.__init__(loads=lambda data, **kwargs: seen.append(1) or pickle.loads(data, **kwargs))
    check(ring(comm, LARGE), LARGE)
    assert seen == [1]


def test_small_builtins_are_not_pickled(default, comm):
    """Whatever the serializer: they have codes of their own."""
    default.__init__(refuse, refuse)
    for comm.serializer in (None, types.SimpleNamespace(dumps=refuse, loads=refuse)):
        for thing in SMALL:
            for way in WAYS:
                for got, sent in way(comm, lambda _, thing=thing: thing):
                    check(got, sent)
        check(ring(comm, numbers(1, 3, 4)), numbers(1, 3, 4))
        check(ring(comm, b"x" * 300_000), b"x" * 300_000)
        with pytest.raises(AssertionError, match="serializer was asked"):
            comm.send([[1]], comm.rank)
    assert comm.iprobe(comm.rank) is False


def function_dumps(obj):
    """Of functions: their code, in a list with what is not a function."""
    is_function = isinstance(obj, types.FunctionType)
    return bytes([is_function]) + (marshal.dumps(obj.__code__) if is_function else pickle.dumps(obj))


def function_loads(data):
    data = bytes(data)
    return types.FunctionType(marshal.loads(data[1:]), globals()) if data[0] else pickle.loads(data[1:])


def functions():
    """A serializer of ours, as a module."""
    module = types.ModuleType("functions")
    module.dumps, module.loads = function_dumps, function_loads
    return module


def test_serializer_of_a_communicator(comm):
    assert comm.serializer is None
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        comm.send(lambda x: x, comm.rank)
    comm.serializer = functions()
    assert comm.serializer.dumps(2.5) == function_dumps(2.5)
    for way in WAYS:
        for got, _ in way(comm, lambda _: lambda x: x + 1):
            assert got(4) == 5
    check(ring(comm, LARGE), LARGE)
    comm.serializer = None
    assert comm.serializer is None
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        comm.send(lambda x: x, comm.rank)
    assert comm.iprobe(comm.rank) is False


def test_serializer_of_duplicates(comm):
    """They inherit it; others do not, and what is set later is their own."""
    other, before = WORLD.Dup(), comm.Dup()
    comm.serializer = functions()
    copy = comm.Dup()
    assert other.serializer is None
    assert before.serializer is None
    assert ring(copy, lambda x: x + 1)(4) == 5
    comm.serializer = None
    assert ring(copy, lambda x: x + 2)(4) == 6
    for each in (copy, other, before):
        each.Free()


@pytest.mark.parametrize("bad", [3, "pickle", object(), types.SimpleNamespace(dumps=refuse), types.SimpleNamespace(loads=refuse)])
def test_bad_serializer(bad, comm):
    with pytest.raises((TypeError, AttributeError)):
        comm.serializer = bad
    assert comm.serializer is None
    check(ring(comm, LARGE), LARGE)


@pytest.mark.parametrize("bad", ["text", None, 7], ids=str)
def test_serializer_that_gives_no_bytes(bad, comm):
    comm.serializer = types.SimpleNamespace(dumps=lambda obj: bad, loads=refuse)
    with pytest.raises(TypeError):
        comm.send([[1]], comm.rank)
    comm.serializer = None
    assert comm.iprobe(comm.rank) is False
    check(ring(comm, LARGE), LARGE)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview], ids=lambda kind: kind.__name__)
def test_serializer_that_gives_any_bytes(kind, comm):
    loads = lambda data: pickle.loads(bytes(data))  # noqa: E731
    comm.serializer = types.SimpleNamespace(dumps=lambda obj: kind(pickle.dumps(obj)), loads=loads)
    for thing in LARGE:
        check(ring(comm, thing), thing)


def test_cloudpickle(comm):
    comm.serializer = pytest.importorskip("cloudpickle")
    for way in WAYS:
        for f, g in way(comm, lambda seed: lambda x: x + seed):
            assert f(4) == g(4)
    big = numbers(1, 200_000)
    got = ring(comm, {"f": lambda: big.sum(), "big": big})
    assert got["f"]() == big.sum()
    check(got["big"], big)


def test_cloudpickle_everywhere(default, comm):
    cloudpickle = pytest.importorskip("cloudpickle")
    default.__init__(cloudpickle.dumps, cloudpickle.loads)
    assert ring(comm, lambda x: x + 1)(4) == 5
    check(ring(comm, [numbers(1, 200_000)]), [numbers(1, 200_000)])


# --- sizes ---------------------------------------------------------------------------------------------------------

AROUND = (-100, -64, -49, -33, -32, -24, -17, -16, -8, -1, 0, 1, 8, 100)
SIZES = [0, 1, *range(205, 261), *[limit + off for limit in (4 * KIB, 16 * KIB, 256 * KIB) for off in AROUND]]
SIZES += [64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 2 * MIB + 7]


@functools.lru_cache(1)
def noise():
    return np.random.default_rng(7).bytes(3 * MIB)


def chunk(seed, size):
    return noise()[seed * 1013 : seed * 1013 + size]


def raw(seed, size, code="B"):
    """The same in an array that can be written."""
    return np.array(np.frombuffer(chunk(seed, size), code)) if size else np.zeros(0, code)


SIZED = {
    "bytes": chunk,
    "bytearray": lambda s, n: bytearray(chunk(s, n)),
    "ascii": lambda s, n: (raw(s, n) & 127).tobytes().decode(),
    "latin-1": lambda s, n: chunk(s, n).decode("latin-1"),
    "wide": lambda s, n: "日" * (n // 3) + "x" * (n % 3) if n < MIB else "日" + chr(97 + s) * n,
    "uint8": lambda s, n: read_only(raw(s, n)),
    "float64": lambda s, n: raw(s, n & ~7, "d"),
    "strided": lambda s, n: raw(s, 2 * min(n, MIB))[::2],
    "array": lambda s, n: array.array("B", chunk(s, n)),
    "view": lambda s, n: memoryview(chunk(s, n)),
    "tuple": lambda s, n: (chunk(s, n), s),
    "tuple-str": lambda s, n: ("x", chunk(s, n).decode("latin-1")),
    "list": lambda s, n: [raw(s, n)],
    "dict": lambda s, n: {"key": raw(s, n), "seed": s},
    "two": lambda s, n: [raw(s, n // 2), bytearray(chunk(s + 1, n - n // 2))],
    "record": lambda s, n: Record("r", chunk(s, n)),
    "set": lambda s, n: {chunk(s, n)},
}


@pytest.mark.parametrize("kind", SIZED)
def test_sizes(kind, comm):
    """All that came is looked at in the end: what came later must not have changed it."""
    came = []
    for way in (by_sendrecv, by_irecv, by_bcast, by_allgather):
        for size in SIZES:
            came += [(size, got, sent) for got, sent in way(comm, lambda seed, size=size: SIZED[kind](seed, size))]
    for size, got, sent in came:
        assert same(got, sent), f"{size} bytes"


LISTS_OF_ARRAYS = [(1, 20), (1, 300), (2, 128), (2, 200), (5, 100), (12, 20), (13, 20), (14, 20), (40, 20), (3, 16), (40, 16), (7, 1024)]


@pytest.mark.parametrize(("count", "kib"), LISTS_OF_ARRAYS)
def test_lists_of_arrays(count, kib, comm):
    """Many large buffers, each of which goes its own way; they stay apart, and can be written."""
    for way in (by_sendrecv, by_irecv, by_mprobe, by_bcast, by_allgather):
        for got, sent in way(comm, lambda seed: [raw(seed + 5 * i, kib * KIB, "i4") for i in range(count)]):
            assert same(got, sent)
            for number, item in enumerate(got):
                assert item.flags.writeable
                item[:] = number
            for number, item in enumerate(got):
                assert (item == number).all()


def test_mixed_buffers(comm):
    """Small and large, of several kinds, in one object; also a skeleton that is large itself."""

    def make(seed):
        sizes = [0, 8, 100, 15 * KIB, 16 * KIB, 17 * KIB, 300 * KIB, 1, 2 * MIB, 0, 20 * KIB]
        arrays = [raw(seed + i, size) for i, size in enumerate(sizes)]
        more = {"F": np.asfortranarray(numbers(seed, 300, 200)), "o": np.array([numbers(seed, 50_000), "x"], object)}
        more |= {"bytes": chunk(seed, 100_000), "bytearray": bytearray(chunk(seed, 400_000)), "a": array.array("d", range(50_000))}
        return [arrays, more, Record("r", arrays[6]), [f"{seed}-{i}" for i in range(60_000)], fill(NESTED, seed, 3000)]

    check_ways(comm, make)


def test_large_skeletons_without_buffers(comm):
    ways = [by_sendrecv, by_mprobe, by_bcast, by_allgather]
    check_ways(comm, lambda seed: {f"{seed}-{i}": [i, str(i), {"n": i}] for i in range(12_000)}, ways)


# --- anything ------------------------------------------------------------------------------------------------------

PHASES = (hypothesis.Phase.explicit, hypothesis.Phase.generate, hypothesis.Phase.shrink)
CHECKS = [hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large]
everywhere = hypothesis.settings(  # all ranks draw the same examples
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=80,
    phases=PHASES,
    suppress_health_check=CHECKS,
    report_multiple_bugs=False,
)
SCALAR_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.complex_numbers(),
    st.text(),
    st.text(st.characters(), max_size=5),  # with surrogates
    st.text(min_size=200, max_size=300),
    st.binary(),
    st.binary(min_size=230, max_size=280),
    st.sampled_from([Int(3), Float(2.5), Str("s"), Bytes(b"b"), Point(1, 2), Colour.RED, Number.ONE, np.float32(1), np.int64(7)]),
)
KEYS = st.one_of(st.integers(), st.text(), st.booleans(), st.tuples(st.integers(), st.text()), st.none())
INSIDE = SCALAR_VALUES | st.builds(bytearray, st.binary()) | st.builds(np.arange, st.integers(0, 40))
THINGS = st.recursive(
    INSIDE,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(KEYS, inner),
        st.builds(List, st.lists(inner)),
        st.builds(Tuple, st.lists(inner)),
        st.builds(Point, inner, inner),
        st.builds(Record, st.text(), inner),
        st.sets(KEYS),
        st.frozensets(KEYS),
    ),
    max_leaves=30,
)
ANY_THING = THINGS | st.lists(SCALAR_VALUES) | st.lists(SCALAR_VALUES).map(tuple) | st.dictionaries(KEYS, SCALAR_VALUES)
LAYOUTS = {
    "C": lambda a: a,
    "F": np.asfortranarray,
    "transposed": np.transpose,
    "reversed": lambda a: a[::-1] if a.ndim else a,
    "every other": lambda a: a[..., ::2] if a.ndim else a,
    "read-only": lambda a: read_only(a.copy()),
    "swapped": lambda a: a.astype(a.dtype.newbyteorder()),
}


@st.composite
def any_array(draw):
    dtype = draw(hnp.scalar_dtypes() | hnp.array_dtypes() | hnp.nested_dtypes())
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
    return LAYOUTS[draw(st.sampled_from(list(LAYOUTS)))](draw(hnp.arrays(dtype, shape)))


def check_together(comm, results):
    """Fail on all ranks if one fails, so that all of them look for a simpler example in the same way."""
    error, failed = None, np.zeros(1, "i")
    try:
        for got, sent in results:
            check(got, sent)
    except AssertionError as caught:
        error, failed[0] = caught, 1
    comm.Allreduce(MPI.IN_PLACE, failed)
    if failed[0]:
        raise AssertionError("failed on a rank") from error


@everywhere
@hypothesis.given(first=ANY_THING, second=ANY_THING)
def test_any_thing(comm, first, second):
    """Ranks send different ones; all is received before anything is checked."""
    results = [pair for way in (by_sendrecv, by_irecv, by_bcast) for pair in way(comm, lambda seed: (first, second)[seed % 2])]
    results.append((ring(comm, [first, second]), [first, second]))
    check_together(comm, results)


@everywhere
@hypothesis.given(first=any_array(), second=any_array())
def test_any_array(comm, first, second):
    results = [pair for way in (by_sendrecv, by_irecv, by_bcast) for pair in way(comm, lambda seed: (first, second)[seed % 2])]
    both = {"a": first, "b": [second]}
    results.append((ring(comm, both), pickle.loads(pickle.dumps(both, 5))))
    check_together(comm, results)


@everywhere
@hypothesis.given(sizes=st.lists(st.integers(0, 40_000) | st.integers(0, 400_000), max_size=12))
def test_any_number_of_buffers(comm, sizes):
    make = lambda seed: [raw(seed + i, size) for i, size in enumerate(sizes)]  # noqa: E731
    check_together(comm, by_sendrecv(comm, make) + by_irecv(comm, make))
