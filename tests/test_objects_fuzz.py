# SPDX-License-Identifier: BSD-3-Clause
"""Bytes that are no object message: an error or by accident an object, never a crash, a hang or a wild allocation.

`make test-asan` runs this too: what is decoded is read to its last byte, and written where it can be.
"""

import array
import ctypes
import os
import pickle
import random
import resource
import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alike import same
from jobs import job, lines, serial
from mmpi import MPI

alone = pytest.mark.mmpi(n=[1], timeout=300)
pair = pytest.mark.mmpi(n=[2])
SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")  # its shadow memory knows no limits
GIB = 1 << 30


def examples(count):
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example, HealthCheck.filter_too_much]
    return settings(derandomize=True, database=None, deadline=None, max_examples=count, suppress_health_check=checks)


# --- the format, see docs/wire-format.md ---------------------------------------------------------------------------

FRONT = struct.Struct("=BBBBIIIQ")  # version, kind, flags, 0, checksum, number of buffers, slot, bytes of the skeleton
VERSION, SEPARATE, STREAM_SEPARATE = 0xA1, 1, 2
KINDS = b"ABUWVaP"
ARRAY = struct.Struct("=BBBBI")  # number of the type, order, dimensions, 0, bytes of the pickled dtype


def sealed(head):
    """With the checksum that belongs to it: FNV-1a of all bytes but those of the checksum."""
    if len(head) < FRONT.size:
        return head
    value = 2166136261
    for byte in head[:4] + head[8:]:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return head[:4] + struct.pack("=I", value) + head[8:]


def head_of(kind, flags, skeleton, lengths, nbuffers=None, claim=None):
    """A first message that says what it is told to say, with a true checksum."""
    nbuffers = len(lengths) if nbuffers is None else nbuffers
    claim = len(skeleton) if claim is None else claim
    front = FRONT.pack(VERSION, kind, flags, 0, 0, nbuffers, 0, claim)
    inside = b"" if flags & STREAM_SEPARATE else skeleton
    return sealed(front + struct.pack(f"={len(lengths)}Q", *lengths) + inside)


def message_of(kind, skeleton, buffers, **lies):
    """All in one message."""
    front = head_of(kind, 0, skeleton, [len(buffer) for buffer in buffers], **lies)
    return front[:4] + bytes(4) + front[8:] + b"".join(buffers)


def has_pickled_dtype(messages):
    """A dtype of NumPy that has no number is pickled: what goes wrong with it is pickle's or NumPy's to say."""
    head = messages[0]
    if len(head) < FRONT.size or head[1:2] != b"A":
        return False
    _, _, flags, _, _, nbuffers, _, _ = FRONT.unpack_from(head)
    skeleton = head[FRONT.size + 8 * nbuffers :] if not flags & STREAM_SEPARATE else b"".join(messages[1:2])
    return len(skeleton) >= ARRAY.size and ARRAY.unpack_from(skeleton)[4] != 0


# --- decoding ------------------------------------------------------------------------------------------------------


class Pickled:
    """What stands for an unpickled object: random bytes must not run code."""

    def __init__(self, stream, buffers=()):
        self.stream, self.buffers = bytes(stream), [memoryview(buffer) for buffer in buffers]


@pytest.fixture
def harmless():
    MPI.pickle.__init__(loads=Pickled)
    yield
    MPI.pickle.__init__()


@pytest.fixture
def little_memory():
    """A claim of more than 1 GiB cannot be met."""
    if SANITIZED:
        yield
        return
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + GIB, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def guarded(function):
    """On one rank, where no code is run by accident and no memory is wasted."""
    return alone(pytest.mark.usefixtures("harmless", "little_memory")(function))


def touch(item):
    """Look at all of it."""
    if isinstance(item, (list, tuple)):
        for one in item:
            touch(one)
    elif isinstance(item, dict):
        touch(list(item.items()))
    elif isinstance(item, np.ndarray):
        item.tobytes()
        if item.size:
            item[...] = item[(0,) * item.ndim]
    elif isinstance(item, (memoryview, array.array, bytearray)):
        size = len(bytes(item))
        if size:
            (ctypes.c_char * size).from_buffer(item)[:] = bytes(size)  # an error if it is read-only
    elif isinstance(item, Pickled):
        for buffer in item.buffers:
            touch(buffer)
    else:
        repr(item)


def decode(messages):
    """The object, or the error, which must be ours."""
    try:
        item = MPI._unpack(messages)
    except MPI.Exception as error:
        assert "no object message" in str(error), error
        return error
    except Exception:
        if not has_pickled_dtype(messages):
            raise
        return None
    touch(item)
    return item


def refused(messages):
    return isinstance(decode(messages), MPI.Exception)


# --- messages that are good ----------------------------------------------------------------------------------------

LARGE = 100 << 10  # three of them are too much for one message
VALUES = [
    None, True, 7, -(2**63), 1.5, 2j, "text", "", b"bytes", (), (1, (2.5, "x", (None,))), [1, "a", b"c"], {"a": 1, 2: (3,)},
    ["x" * 50] * 20, {i: str(i) for i in range(50)}, "é" * 300, b"z" * 3000,
]  # fmt: skip
BUFFERS = [
    np.arange(10.0), np.zeros((3, 4), "f", order="F"), np.array(5), np.zeros((2, 0, 3)), np.arange(5, dtype="e"), bytearray(b"abc"),
    bytearray(), array.array("d", [1, 2, 3]), memoryview(bytearray(range(24))).cast("B", (2, 3, 4)), memoryview(b"ab"),
    memoryview(b"abcd").cast("i"),
    np.arange(400_000), bytes(500_000), "x" * 500_000, bytearray(500_000), memoryview(bytearray(500_000)),
]  # fmt: skip
OBJECTS = [
    Fraction(1, 3), {1, 2}, 2**100, [[1], [2, [3]]], [np.arange(3.0), "x"], [np.full(LARGE, i, "B") for i in range(5)],
    [list(range(i, i + 20)) for i in range(20_000)], {"a": np.zeros(LARGE // 8), "b": np.zeros(400_000), "c": ["x"] * 100_000},
]  # fmt: skip


@alone
def test_good_messages_are_decoded():
    """By the true pickle: the changes below start from what works."""
    for item in VALUES + BUFFERS + OBJECTS:
        messages = MPI._pack(item)
        assert all(type(message) is bytes for message in messages)
        got = MPI._unpack(messages)
        assert same(got, item)
        touch(got)
    assert [len(MPI._pack(item)) for item in (7, np.arange(400_000), *OBJECTS[5:])] == [1, 2, 6, 2, 4]


@alone
def test_the_format_is_what_these_tests_think_it_is():
    """Else their changes would reach no further than the checksum."""
    head, piece = MPI._pack(np.arange(400_000))
    version, kind, flags, zero, _, nbuffers, _, skeleton = FRONT.unpack_from(head)
    assert (version, kind, flags, zero, nbuffers) == (VERSION, ord("A"), SEPARATE, 0, 1)
    assert struct.unpack_from("=Q", head, FRONT.size) == (len(piece),)
    assert len(head) == FRONT.size + 8 + skeleton
    assert sealed(head) == head
    assert ARRAY.unpack_from(head, FRONT.size + 8) == (np.dtype(int).num, ord("C"), 1, 0, 0)
    assert head_of(kind, flags, head[FRONT.size + 8 :], [len(piece)]) == head
    [whole] = MPI._pack(np.arange(3))
    assert message_of(ord("A"), whole[FRONT.size + 8 : -24], [whole[-24:]]) == whole
    flags = [FRONT.unpack_from(MPI._pack(item)[0])[2] for item in OBJECTS[5:]]
    assert SEPARATE in flags and SEPARATE | STREAM_SEPARATE in flags


@alone
def test_an_empty_message_is_none():
    assert MPI._unpack([b""]) is None


@alone
def test_a_bare_pickle_is_what_it_was():
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert MPI._unpack([pickle.dumps({"a": [1]}, protocol)]) == {"a": [1]}


@alone
@pytest.mark.parametrize("wrong", [[], None, b"abc", [None], ["abc"], [b"", None], (b"",), [bytearray(3)]])
def test_what_is_no_list_of_bytes(wrong):
    with pytest.raises(TypeError):
        MPI._unpack(wrong)


# --- messages that are chosen to harm ------------------------------------------------------------------------------


def value(code, *fields):
    """A value: its code, and lengths or bytes after it."""
    return bytes([VERSION]) + code + b"".join(struct.pack("=I", field) if isinstance(field, int) else field for field in fields)


def array_skeleton(num=12, order=b"C", shape=(), dtype=0, ndim=None):
    ndim = len(shape) if ndim is None else ndim
    return ARRAY.pack(num, order[0], ndim, 0, dtype) + struct.pack(f"={len(shape)}q", *shape)


def view_skeleton(shape, form, ndim=None):
    return bytes([len(shape) if ndim is None else ndim]) + struct.pack(f"={len(shape)}q", *shape) + form


MOST = 2**32 - 1
HOSTILE = {
    "only the version": bytes([VERSION]),
    "unknown code": value(b"?"),
    "another version": bytes([VERSION + 1]) + b"N",
    "text": b"Hello, world! This was typed by somebody.",
    "zeros": bytes(1000),
    "doubles": np.arange(100.0).tobytes(),
    "int without bytes": value(b"i"),
    "float cut off": value(b"f", b"1234567"),
    "text without length": value(b"s", b"\1\0"),
    "text too long": value(b"s", 100, b"abc"),
    "text longer than memory": value(b"s", MOST, b"abc"),
    "text of half characters": value(b"s", 2, b"\xc3("),
    "text of surrogates": value(b"s", 3, b"\xed\xa0\x80"),
    "bytes too long": value(b"b", MOST),
    "more than the value": value(b"N", b"N"),
    "tuple without items": value(b"(", 3, b"NN"),
    "tuple of four billion": value(b"(", MOST, b"N" * 100),
    "list of four billion": value(b"[", MOST, b"N" * 100),
    "dict of four billion": value(b"{", MOST, b"NN" * 100),
    "key without value": value(b"{", 1, b"N"),
    "list as key": value(b"{", 1, b"[", 0, b"N"),
    "dict as key": value(b"{", 1, b"{", 0, b"N"),
    "tuple with a list as key": value(b"{", 1, b"(", 1, b"[", 0, b"N"),
    "deep tuples": bytes([VERSION]) + b"(\1\0\0\0" * 100_000 + b"N",
    "deep lists": bytes([VERSION]) + b"[\1\0\0\0" * 100_000 + b"N",
    "deep dicts": bytes([VERSION]) + b"{\1\0\0\0N" * 100_000 + b"N",
    "wide and deep": bytes([VERSION]) + b"".join(b"(" + struct.pack("=I", 500_000 - 5 * i) for i in range(9)) + b"N" * 500_000,
    "only the front": head_of(ord("B"), 0, b"", [], nbuffers=1),
    "half a front": head_of(ord("B"), 0, b"", [3])[:15],
    "no buffer": message_of(ord("B"), b"", []),
    "two buffers": message_of(ord("B"), b"", [b"a", b"b"]),
    "no buffer of an array": message_of(ord("A"), array_skeleton(shape=(2,)), []),
    "more buffers than bytes": message_of(ord("P"), b"x", [], nbuffers=MOST),
    "many buffers": message_of(ord("P"), b"x", [], nbuffers=4096),
    "skeleton too long": message_of(ord("P"), b"x", [], claim=100),
    "skeleton beyond memory": message_of(ord("P"), b"x", [], claim=2**64 - 1),
    "skeleton that wraps": message_of(ord("P"), b"x", [], claim=2**64 - FRONT.size),
    "bytes after the last buffer": message_of(ord("B"), b"", [b"abc"]) + b"d",
    "last buffer cut off": message_of(ord("B"), b"", [b"abc"])[:-1],
    "lengths that wrap": head_of(ord("P"), 0, b"x", [2**64 - 1, 2**63, 1]),
    "text of half characters in a buffer": message_of(ord("U"), b"", [b"\xff" * 600]),
    "array without a description": message_of(ord("A"), b"", [b""]),
    "array of no type": message_of(ord("A"), array_skeleton(num=17, shape=(1,)), [bytes(8)]),
    "array of type 200": message_of(ord("A"), array_skeleton(num=200, shape=(1,)), [bytes(8)]),
    "array of type 255": message_of(ord("A"), array_skeleton(num=255, shape=(1,)), [bytes(8)]),
    "array in no order": message_of(ord("A"), array_skeleton(order=b"K", shape=(1,)), [bytes(8)]),
    "array too large": message_of(ord("A"), array_skeleton(shape=(2,)), [bytes(8)]),
    "array too small": message_of(ord("A"), array_skeleton(shape=(1,)), [bytes(16)]),
    "array with a negative length": message_of(ord("A"), array_skeleton(shape=(-1,)), [bytes(8)]),
    "array of two negative lengths": message_of(ord("A"), array_skeleton(shape=(-1, -1)), [bytes(8)]),
    "array whose size wraps": message_of(ord("A"), array_skeleton(shape=(2**32, 2**32, 1)), [b""]),
    "array whose size wraps to its bytes": message_of(ord("A"), array_skeleton(shape=(2**61 + 1,)), [bytes(8)]),
    "empty and endless": message_of(ord("A"), array_skeleton(shape=(2**62, 2**62, 0)), [b""]),
    "endless and empty": message_of(ord("A"), array_skeleton(shape=(0, 2**62, 2**62)), [b""]),
    "array of 65 dimensions": message_of(ord("A"), array_skeleton(shape=(1,) * 65), [bytes(8)]),
    "array of 255 dimensions": message_of(ord("A"), array_skeleton(shape=(1,) * 64, ndim=255), [bytes(8)]),
    "array with fewer lengths": message_of(ord("A"), array_skeleton(shape=(1,), ndim=2), [bytes(8)]),
    "array with more lengths": message_of(ord("A"), array_skeleton(shape=(1, 1), ndim=1), [bytes(8)]),
    "dtype too long": message_of(ord("A"), array_skeleton(shape=(1,), dtype=MOST), [bytes(8)]),
    "view without a description": message_of(ord("V"), b"", [b"abc"]),
    "view without a format": message_of(ord("V"), view_skeleton((3,), b"\0"), [b"abc"]),
    "view whose format has no end": message_of(ord("V"), view_skeleton((3,), b"B"), [b"abc"]),
    "view of unknown format": message_of(ord("V"), view_skeleton((3,), b"Z\0"), [b"abc"]),
    "view of objects": message_of(ord("V"), view_skeleton((1,), b"O\0"), [bytes(8)]),
    "view of pointers to itself": message_of(ord("V"), view_skeleton((1,), b"P\0"), [bytes(7)]),
    "view of another size": message_of(ord("V"), view_skeleton((4,), b"B\0"), [b"abc"]),
    "view of half items": message_of(ord("V"), view_skeleton((1,), b"d\0"), [b"abc"]),
    "view with a negative length": message_of(ord("V"), view_skeleton((-3,), b"B\0"), [b"abc"]),
    "view of zero lengths": message_of(ord("V"), view_skeleton((0, 3), b"B\0"), [b"abc"]),
    "view of 255 dimensions": message_of(ord("V"), view_skeleton((1,) * 255, b"B\0"), [b"a"]),
    "view with fewer lengths": message_of(ord("V"), view_skeleton((1,), b"B\0", ndim=9), [b"a"]),
    "array.array of unknown type": message_of(ord("a"), view_skeleton((1,), b"x\0"), [bytes(8)]),
    "array.array of a long type": message_of(ord("a"), view_skeleton((1,), b"dd\0"), [bytes(8)]),
    "array.array of bad text": message_of(ord("a"), view_skeleton((1,), b"\xff\0"), [bytes(8)]),
    "array.array of half items": message_of(ord("a"), view_skeleton((1,), b"d\0"), [bytes(7)]),
}


@guarded
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages(name):
    assert refused([HOSTILE[name]])


@guarded
@pytest.mark.parametrize("form", [b"u", b"w"])
def test_characters_that_are_none(form):
    """An array.array of numbers that are no characters: only a look at it may fail."""
    decode([message_of(ord("a"), view_skeleton((1,), form + b"\0"), [b"\xff\xff\xff\xff"])])


PIECES = {
    "piece missing": [head_of(ord("B"), SEPARATE, b"", [3])],
    "piece too short": [head_of(ord("B"), SEPARATE, b"", [3]), b"ab"],
    "piece too long": [head_of(ord("B"), SEPARATE, b"", [3]), b"abcd"],
    "piece too many": [head_of(ord("B"), SEPARATE, b"", [3]), b"abc", b"d"],
    "piece of a value": [bytes([VERSION]) + b"N", b"abc"],
    "piece of nothing": [b"", b""],
    "piece of a pickle": [pickle.dumps(1), b"abc"],
    "no checksum": [head_of(ord("B"), SEPARATE, b"", [3])[:4] + bytes(4) + head_of(ord("B"), SEPARATE, b"", [3])[8:], b"abc"],
    "claim of an exabyte": [head_of(ord("B"), SEPARATE, b"", [2**60]), b"abc"],
    "claim of everything": [head_of(ord("B"), SEPARATE, b"", [2**64 - 1]), b"abc"],
    "more buffers than the header": [head_of(ord("P"), SEPARATE, b"x", [], nbuffers=MOST)],
    "many more buffers": [head_of(ord("P"), SEPARATE, b"x", [], nbuffers=4096)],
    "skeleton of an exabyte": [head_of(ord("P"), SEPARATE | STREAM_SEPARATE, b"x", [], claim=2**60), b"x"],
    "skeleton that wraps": [head_of(ord("P"), SEPARATE, b"x", [], claim=2**64 - 24)],
    "skeleton missing": [head_of(ord("P"), SEPARATE | STREAM_SEPARATE, b"xyz", [])],
    "skeleton too short": [head_of(ord("P"), SEPARATE | STREAM_SEPARATE, b"xyz", []), b"xy"],
    "array without a skeleton": [head_of(ord("A"), SEPARATE | STREAM_SEPARATE, b"", [8]), b"", bytes(8)],
    "array of another size": [head_of(ord("A"), SEPARATE, array_skeleton(shape=(3,)), [8]), bytes(8)],
    "array of two buffers": [head_of(ord("A"), SEPARATE, array_skeleton(shape=(1,)), [8, 8]), bytes(8), bytes(8)],
    "array without buffers": [head_of(ord("A"), SEPARATE, array_skeleton(shape=(1,)), [])],
    "no buffers at all": [head_of(ord("P"), SEPARATE, b"x", [])],
    "text of half characters": [head_of(ord("U"), SEPARATE, b"", [2]), b"\xc3("],
    "view of another size": [head_of(ord("V"), SEPARATE, view_skeleton((4,), b"B\0"), [3]), b"abc"],
}


@guarded
@pytest.mark.parametrize("name", PIECES)
def test_hostile_pieces(name):
    assert refused(PIECES[name])


# --- random bytes, and good messages that were changed -------------------------------------------------------------

edges = st.sampled_from([0, 1, 2, 7, 8, 24, 255, 256, 4096, 4097, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1])
starts = st.sampled_from([b"", bytes([VERSION]), *[bytes([VERSION, code]) for code in b"NTFifcsb([{" + KINDS], b"\x80\x05"])


@guarded
@examples(1500)
@given(start=starts, rest=st.binary(max_size=300), pieces=st.lists(st.binary(max_size=40), max_size=3))
def test_random_bytes(start, rest, pieces):
    decode([start + rest, *pieces])


def counted(code, items, extra):
    return code + struct.pack("=I", (len(items) + extra) % 2**32) + b"".join(items)


wrong_by = st.sampled_from([0] * 8 + [1, -1, 2**31, 2**32 - 1])
leaves = st.one_of(
    st.sampled_from([b"N", b"T", b"F", b"?"]),
    st.binary(min_size=8, max_size=8).map(lambda data: b"i" + data),
    st.binary(min_size=8, max_size=8).map(lambda data: b"f" + data),
    st.binary(min_size=15, max_size=16).map(lambda data: b"c" + data),
    st.tuples(st.sampled_from([b"s", b"b"]), st.binary(max_size=20), wrong_by).map(
        lambda parts: parts[0] + struct.pack("=I", (len(parts[1]) + parts[2]) % 2**32) + parts[1]
    ),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(counted, st.sampled_from([b"(", b"["]), st.lists(inner, max_size=5), wrong_by),
        st.builds(counted, st.just(b"{"), st.lists(st.tuples(inner, inner).map(b"".join), max_size=4), wrong_by),
    ),
    max_leaves=30,
)


@guarded
@examples(1000)
@given(tree=trees)
def test_random_values(tree):
    """Well formed, but for a length or a code here and there."""
    decode([bytes([VERSION]) + tree])


lengths = st.one_of(st.integers(-2, 9), edges.map(lambda n: n - 2**64 if n >= 2**63 else n))
shapes = st.lists(lengths, max_size=5)
skeletons = st.one_of(
    st.binary(max_size=30),
    st.builds(
        array_skeleton,
        num=st.one_of(st.integers(0, 23), st.just(255)),
        order=st.sampled_from([b"C", b"C", b"F", b"K"]),
        shape=shapes,
        ndim=st.one_of(st.none(), st.sampled_from([0, 1, 64, 65, 255])),
    ),
    st.builds(view_skeleton, shapes, st.sampled_from([b"B\0", b"d\0", b"i\0", b"?\0", b"u\0", b"O\0", b"\0", b"dd\0", b"B", b"\xff\0"])),
)


@guarded
@examples(2000)
@given(
    kind=st.sampled_from(KINDS),
    flags=st.sampled_from([0, 0, SEPARATE, SEPARATE | STREAM_SEPARATE, STREAM_SEPARATE, 4, 255]),
    skeleton=skeletons,
    buffers=st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([bytes(8), bytes(16), bytes(64)])), max_size=4),
    claims=st.lists(st.tuples(st.integers(0, 3), edges), max_size=1),
    nbuffers=st.one_of(st.none(), st.none(), st.none(), edges.filter(lambda n: n < 2**32)),
    claim=st.one_of(st.none(), st.none(), st.none(), edges),
)
def test_random_descriptions(kind, flags, skeleton, buffers, claims, nbuffers, claim):
    """Fronts whose fields fit but for one or two, with true checksums, whole and in pieces."""
    sizes = [len(buffer) for buffer in buffers]
    for i, size in claims:
        if i < len(sizes):
            sizes[i] = size
    head = head_of(kind, flags, skeleton, sizes, nbuffers, claim)
    if flags & SEPARATE:
        decode([head, *([skeleton] if flags & STREAM_SEPARATE else []), *buffers])
    else:
        decode([head + b"".join(buffers)])


SOURCES = []


def sources():
    """The messages that changes start from; none with a pickled dtype, since that would be unpickled truly."""
    if not SOURCES:
        SOURCES.extend(MPI._pack(item) for item in VALUES + BUFFERS + OBJECTS)
        SOURCES.append([pickle.dumps(OBJECTS[4])])
    return SOURCES


def chosen(data):
    return sources()[data.draw(st.integers(0, len(sources()) - 1))]


def changed_bytes(data, text):
    """One change to a message."""
    at = data.draw(st.integers(0, min(len(text), 200)))
    way = data.draw(st.sampled_from(["flip", "set", "cut", "end", "extend", "remove", "repeat", "number", "splice"]))
    if way == "flip" and at < len(text):
        return text[:at] + bytes([text[at] ^ 1 << data.draw(st.integers(0, 7))]) + text[at + 1 :]
    if way == "set":
        return text[:at] + data.draw(st.binary(min_size=1, max_size=1)) + text[at + 1 :]
    if way == "cut":
        return text[:at]
    if way == "end":
        return text[: len(text) - at]
    if way == "extend":
        return text + data.draw(st.binary(min_size=1, max_size=20))
    if way == "remove":
        return text[:at] + text[at + data.draw(st.integers(1, 16)) :]
    if way == "repeat":
        return text[:at] + text[at : at + data.draw(st.integers(1, 16))] + text[at:]
    if way == "number":
        size = data.draw(st.sampled_from([1, 4, 8]))
        return text[:at] + (data.draw(edges) % 256**size).to_bytes(size, "little") + text[at + size :]
    other = chosen(data)[0]
    return text[:at] + other[data.draw(st.integers(0, len(other))) :][:100]


def changed_list(data, messages):
    """One change to the list of messages."""
    way, i = data.draw(st.sampled_from(["drop", "twice", "swap", "other"])), data.draw(st.integers(0, len(messages) - 1))
    if way == "drop":
        return messages[:i] + messages[i + 1 :] or [b""]
    if way == "twice":
        return [*messages[: i + 1], *messages[i:]]
    if way == "swap":
        return [*messages[i:], *messages[:i]]
    return [*messages[:i], chosen(data)[-1], *messages[i + 1 :]]


@guarded
@examples(3000)
@given(data=st.data())
def test_changed_messages(data):
    messages = list(chosen(data))
    for _ in range(data.draw(st.integers(1, 3))):
        if data.draw(st.integers(0, 4)) == 0:
            messages = changed_list(data, messages)
        else:
            i = data.draw(st.sampled_from([0, 0, len(messages) - 1]))
            messages[i] = changed_bytes(data, messages[i])
    if data.draw(st.booleans()):
        messages[0] = sealed(messages[0][:5000]) if len(messages) > 1 else messages[0]
    decode(messages)


@guarded
def test_every_bit_of_every_front():
    """One by one, with a true checksum, so that it is the rest that is looked at."""
    for messages in sources():
        head = messages[0]
        for bit in range(8 * min(len(head), 64)):
            text = bytearray(head[:8000])
            text[bit // 8] ^= 1 << bit % 8
            decode([bytes(text) + head[8000:], *messages[1:]])
            if len(messages) > 1:
                decode([sealed(bytes(text)), *messages[1:]])


@guarded
def test_every_length_of_every_message():
    """Cut off at any point of the front and the description, and one byte short or long."""
    for messages in sources():
        head, pieces = messages[0], messages[1:]
        for length in range(min(len(head), 100)):
            assert length == 0 or refused([head[:length]]) or head[0] == 0x80
            decode([head[:length], *pieces])
            if pieces:
                assert refused([sealed(head[:length]), *pieces])
        if head[0] != 0x80:
            assert refused([head + b"\0", *pieces])
            assert len(head) == 1 or refused([head[:-1], *pieces])


# --- what it costs -------------------------------------------------------------------------------------------------


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@alone
@pytest.mark.skipif(SANITIZED, reason="the sanitizer keeps what was freed")
@pytest.mark.usefixtures("harmless")
def test_nothing_is_kept_of_bad_messages():
    """Not on any of the ways out: each bad message brings 100 kB along."""
    ballast = bytes(100_000)
    bad = [message_of(ord("P"), ballast, [b"x"], nbuffers=2), message_of(ord("U"), b"", [ballast + b"\xff"])]
    bad += [message_of(ord("A"), array_skeleton(num=2, shape=(100_001,)), [ballast])]
    bad += [message_of(ord("V"), view_skeleton((100_000,), form), [ballast]) for form in (b"Z\0", b"d\0", b"\0")]
    bad += [message_of(ord("a"), view_skeleton((1,), form), [ballast + b"x"]) for form in (b"d\0", b"dd\0")]
    bad += [value(b"(", 3, b"b", 100_000, ballast, b"b", 100_000, ballast, b"?")]
    bad += [value(b"{", 2, b"b", 100_000, ballast, b"[", 1, b"b", 100_000, ballast, b"b", 100_000, ballast)]
    bad += [value(b"{", 1, b"(", 2, b"b", 100_000, ballast, b"[", 0, b"b", 100_000, ballast)]
    lists = [[text] for text in bad]
    lists += [[head_of(ord("V"), SEPARATE, view_skeleton((7,), b"B\0"), [len(ballast)]), ballast]]
    for messages in lists:
        for _ in range(30):
            assert refused(messages)
    before = resident()
    for messages in lists:
        for _ in range(300):
            assert refused(messages)
        assert resident() - before < 16 << 20, messages[0][:40]


DTYPES = """
import pickle

answer = []


def loads(data, **options):
    if not answer:
        return true_loads(data, **options)
    if isinstance(answer[0], Exception):
        raise answer[0]
    return answer[0]


true_loads, pickle.loads = pickle.loads, loads

import numpy as np
from mmpi import MPI

messages = []
for kind in ([("a", "f8")], [("a", "f8"), ("b", "f8")]):
    messages += [MPI._pack(np.ones(shape, kind)) for shape in (4, 100_000, (0, 3), ())]
answers = [np.dtype(object), np.dtype([("a", object)]), np.dtype([("a", "f8"), ("b", object)]), np.dtype("V0"), np.dtype("S0"), np.dtype("U0"),
           np.dtype("f4"), np.dtype("f8"), np.dtype(("f8", 2)), np.dtype(("f4", 2)), np.dtype("V8"), np.dtype("S8"), np.dtype("M8[s]"),
           np.dtype(">f8"), np.dtype([("a", "i4", 2)]), np.dtype([("a", object, 0)]), None, 5, "f8", b"O", np.float64,
           object, [("a", object)], np.zeros(3), ValueError("no"), MemoryError(), RecursionError()]
if hasattr(np.dtypes, "StringDType"):
    answers.append(np.dtypes.StringDType())
for item in answers:
    for parts in messages:
        answer[:] = [item]
        try:
            got = MPI._unpack(parts)
        except Exception:
            pass
        else:
            assert isinstance(got, np.ndarray) and not got.dtype.hasobject, (item, got)
            assert len(parts) == 1 or got.nbytes == len(parts[1]), item
            got.tobytes(), got.tolist(), repr(got)
        answer.clear()
print("done")
"""


def test_pickled_dtypes_that_are_something_else():
    """What a dtype's pickle brings is not believed: above all, bytes never become pointers to objects."""
    assert lines(serial(DTYPES)) == ["done"]


# --- on the wire ---------------------------------------------------------------------------------------------------


def garbage(own):
    """Random bytes, most of which begin as object messages do; or a good message with a few bytes changed."""
    if own.random() < 0.3:
        text = bytearray(own.choice([messages for messages in sources() if len(messages) == 1])[0])
        for _ in range(own.randint(1, 4)):
            if text:
                text[own.randrange(min(len(text), 80))] = own.randrange(256)
        return bytes(text)
    start = own.choice([b"", bytes([VERSION]), bytes([VERSION, own.choice(KINDS)]), bytes([VERSION, own.choice(b"sb([{i")]), b"\x80"])
    return start + own.randbytes(own.choice([0, 1, 5, 23, 24, 40, 300, 5000, 300_000]))


def check_wire(receive, into):
    """What a receive made of somebody's bytes. By accident they are an array that does not fit the one it was to come into."""
    try:
        item = receive()
    except MPI.Exception as error:
        assert "no object message" in str(error), error
    except ValueError:
        assert into
    else:
        touch(item)


def by_test(comm, tag):
    request = comm.irecv(None, 0, tag)
    while not (answer := request.test())[0]:
        pass
    return answer[1]


def by_improbe(comm, tag):
    while (message := comm.improbe(0, tag)) is None:
        pass
    return message.recv()


RECEIVES = {
    "recv": lambda comm, tag: comm.recv(None, 0, tag),
    "recv into": lambda comm, tag: comm.recv(np.zeros(5), 0, tag),
    "irecv": lambda comm, tag: comm.irecv(None, 0, tag).wait(),
    "test": by_test,
    "waitall": lambda comm, tag: MPI.Request.waitall([comm.irecv(None, 0, tag)])[0],
    "mprobe": lambda comm, tag: comm.mprobe(0, tag).recv(),
    "mprobe irecv": lambda comm, tag: comm.mprobe(0, tag).irecv().wait(),
    "improbe": by_improbe,
    "anybody": lambda comm, tag: comm.recv(None, MPI.ANY_SOURCE, MPI.ANY_TAG),
    "sendrecv": lambda comm, tag: comm.sendrecv(None, MPI.PROC_NULL, 0, None, 0, tag),
}


@pair
@pytest.mark.usefixtures("harmless")
@pytest.mark.parametrize("way", RECEIVES)
def test_typed_messages_that_meet_a_receive_of_objects(mmpi_comm, way, tag):
    comm, own = mmpi_comm, random.Random(way)
    for turn in range(100):
        text = garbage(own)
        if comm.rank == 0:
            comm.Send([text, len(text), MPI.BYTE], 1, tag)
            comm.send(("good", turn, b"x" * 1000 * (turn % 5)), 1, tag)
            if turn % 20 == 0:
                comm.send(np.full(100_000, turn), 1, tag)
        else:
            check_wire(lambda: RECEIVES[way](comm, tag), way == "recv into")
            assert comm.recv(None, 0, tag) == ("good", turn, b"x" * 1000 * (turn % 5))
            if turn % 20 == 0:
                assert (comm.recv(None, 0, tag) == turn).all()


@pair
@pytest.mark.parametrize("way", [way for way in RECEIVES if way != "recv into"])
def test_typed_messages_that_are_understood(mmpi_comm, way, tag):
    """Nothing is None, and a pickle is what was pickled."""
    comm = mmpi_comm
    if comm.rank == 0:
        comm.Send([None, 0, MPI.BYTE], 1, tag)
        comm.Send([pickle.dumps({"a": [1]}), MPI.BYTE], 1, tag)
        comm.Send([pickle.dumps(list(range(100_000))), MPI.BYTE], 1, tag)
    else:
        assert RECEIVES[way](comm, tag) is None
        assert RECEIVES[way](comm, tag) == {"a": [1]}
        assert RECEIVES[way](comm, tag) == list(range(100_000))


@pair
@pytest.mark.parametrize("way", RECEIVES)
def test_typed_messages_of_numbers(mmpi_comm, way, tag):
    """What somebody would send who mistakes a receive of objects for a typed one."""
    comm = mmpi_comm
    for numbers in (np.zeros(1), np.arange(10.0), np.ones(3, "i"), np.arange(100_000), np.full(3, 1 + 2j)):
        if comm.rank == 0:
            comm.Send(numbers, 1, tag)
        else:
            with pytest.raises(MPI.Exception, match="no object message"):
                RECEIVES[way](comm, tag)


CLAIM = """
import os, resource, struct, sys
from mmpi import MPI
world = MPI.COMM_WORLD


def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmPeak"))


head = bytes.fromhex("{head}")
if world.rank == 0:
    world.Send([head, MPI.BYTE], 1, 5)
    world.recv(None, 1, 6)
else:
    world.Probe(0, 5)
    before, request, answer = peak(), world.irecv(None, 0, 5), "waits"
    try:
        for _ in range(1000):
            assert request.test() == (False, None)
    except MPI.Exception:
        answer = "refuses"
    used = peak() - before
    world.send("enough", 0, 6)
    print("fine" if used < 512 << 20 else f"{{answer}}, and takes {{used >> 20}} MiB")
"""


@pytest.mark.skipif(SANITIZED, reason="the sanitizer takes memory of its own")
@pytest.mark.parametrize(
    "head",
    [
        head_of(ord("B"), SEPARATE, b"", [2**40]),
        head_of(ord("B"), SEPARATE, b"", [2**62]),
        head_of(ord("P"), SEPARATE | STREAM_SEPARATE, b"x", [], claim=2**45),
        head_of(ord("P"), SEPARATE, b"x", [2**33] * 100),
        head_of(ord("P"), SEPARATE, b"x", [2**29] * 64),
    ],
    ids=["1 TiB", "4 EiB", "skeleton", "100 x 8 GiB", "64 x 0.5 GiB"],
)
def test_a_claim_is_not_believed_before_its_piece_is_here(head):
    """The piece never comes: the receive goes on waiting, takes no memory, not even addresses, and the job ends well."""
    assert lines(job(2, CLAIM.format(head=head.hex()))) == ["fine"]
