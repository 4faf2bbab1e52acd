# SPDX-License-Identifier: BSD-3-Clause
"""Packing, and datatypes of any nesting: what they pick is what NumPy picks."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2])

SELF = MPI.COMM_SELF
ANY = settings(derandomize=True, database=None, deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
EXTERNAL = "external32"


def test_pack_and_unpack():
    """Ints, then doubles, into one buffer, and back."""
    ints, doubles = np.arange(5, dtype="i"), np.arange(3) / 4
    packed = bytearray(MPI.INT.Pack_size(5, SELF) + MPI.DOUBLE.Pack_size(3, SELF))
    middle = MPI.INT.Pack(ints, packed, 0, SELF)
    end = MPI.DOUBLE.Pack(doubles, packed, middle, SELF)
    assert 20 <= middle < end <= len(packed)
    ints_back, doubles_back = np.zeros_like(ints), np.zeros_like(doubles)
    assert MPI.INT.Unpack(packed, 0, ints_back, SELF) == middle
    assert MPI.DOUBLE.Unpack(packed, middle, doubles_back, SELF) == end
    assert (ints_back == ints).all()
    assert (doubles_back == doubles).all()


def test_a_packed_message():
    packed = bytearray(MPI.INT.Pack_size(3, SELF))
    end = MPI.INT.Pack(np.arange(3, dtype="i"), packed, 0, SELF)
    back = np.zeros(3, "i")
    SELF.Sendrecv([packed, end, MPI.PACKED], 0, 1, back, 0, 1)
    assert back.tolist() == [0, 1, 2]


def test_external_form_is_big_endian():
    packed = bytearray(MPI.INT.Pack_external_size(EXTERNAL, 2))
    assert MPI.INT.Pack_external(EXTERNAL, np.array([1, 2], "i"), packed, 0) == 8 == len(packed)
    assert packed == np.array([1, 2], ">i4").tobytes()
    back = np.zeros(2, "i")
    assert MPI.INT.Unpack_external(EXTERNAL, packed, 0, back) == 8
    assert back.tolist() == [1, 2]


def test_nothing():
    packed = bytearray(8)
    assert MPI.INT.Pack(b"", packed, 3, SELF) == 3
    assert MPI.INT.Unpack(packed, 8, bytearray(0), SELF) == 8
    assert MPI.INT.Pack_external_size(EXTERNAL, 0) == 0


@pytest.mark.parametrize("position", [-1, 9])
def test_positions_outside(position):
    for call in (
        lambda: MPI.INT.Pack(np.zeros(1, "i"), bytearray(8), position, SELF),
        lambda: MPI.INT.Unpack(bytes(8), position, np.zeros(1, "i"), SELF),
        lambda: MPI.INT.Pack_external(EXTERNAL, np.zeros(1, "i"), bytearray(8), position),
        lambda: MPI.INT.Unpack_external(EXTERNAL, bytes(8), position, np.zeros(1, "i")),
    ):
        with pytest.raises(ValueError, match="position"):
            call()


def test_buffers_that_will_not_do():
    with pytest.raises(BufferError, match="outbuf"):
        MPI.INT.Pack(np.zeros(1, "i"), bytes(8), 0, SELF)
    with pytest.raises(BufferError, match="inbuf"):
        MPI.INT.Pack(np.zeros(4, "i")[::2], bytearray(8), 0, SELF)
    with pytest.raises(TypeError, match="inbuf"):
        MPI.INT.Pack(3, bytearray(8), 0, SELF)
    outside = MPI.INT.Create_hindexed([1], [100]).Create_resized(0, 4).Commit()
    with pytest.raises(ValueError, match="inbuf"):
        outside.Pack(np.zeros(4, "i"), bytearray(16), 0, SELF)


# --- any nesting ---------------------------------------------------------------------------------------------------

ROOM = 4000


@st.composite
def kinds(draw, depth=3):
    """A datatype over ints, and the indices of what one item picks; extents are measured, not computed here."""
    if depth == 0 or draw(st.booleans()):
        return MPI.INT, [0]
    base, picks = draw(kinds(depth=depth - 1))
    lb, extent = base.Get_extent()
    unit = extent // 4
    small = st.integers(0, 3)
    which = draw(st.sampled_from(["contiguous", "vector", "hvector", "indexed", "hindexed_block", "struct", "resized", "subarray", "dup"]))

    def at(places):
        return [place + pick for place in places for pick in picks]

    if which == "contiguous":
        n = draw(small)
        return base.Create_contiguous(n), at(i * unit for i in range(n))
    if which in ("vector", "hvector"):
        n, length, gap = draw(small), draw(st.integers(1, 3)), draw(small)
        stride = length + gap
        kind = base.Create_vector(n, length, stride) if which == "vector" else base.Create_hvector(n, length, stride * extent)
        return kind, at((i * stride + k) * unit for i in range(n) for k in range(length))
    if which in ("indexed", "hindexed_block"):
        starts = draw(st.lists(st.integers(0, 8), max_size=3, unique=True))
        if which == "indexed":
            lengths = [draw(small) for _ in starts]
            return base.Create_indexed(lengths, starts), at((s + k) * unit for s, n in zip(starts, lengths, strict=True) for k in range(n))
        return base.Create_hindexed_block(2, [4 * s for s in starts]), at(s + k * unit for s in starts for k in range(2))
    if which == "struct":
        other, more = draw(kinds(depth=depth - 1))
        shift = draw(st.integers(0, 5))
        kind = MPI.Datatype.Create_struct([1, 1], [0, 4 * shift], [base, other])
        return kind, [*picks, *(shift + pick for pick in more)]
    if which == "subarray":
        n, part, start = 4, draw(st.integers(1, 2)), draw(small)
        start = min(start, n - part)
        kind = base.Create_subarray([n, n], [part, part], [start, start])
        return kind, at((i * n + k) * unit for i in range(start, start + part) for k in range(start, start + part))
    if which == "resized":
        return base.Create_resized(lb, extent + 4 * draw(small)), picks
    return base.Dup(), picks


@ANY
@given(made=kinds(), count=st.integers(0, 3))
def test_any_type_picks_what_it_says(made, count):
    kind, picks = made
    kind = kind.Dup().Commit()
    unit = kind.extent // 4
    where = [item * unit + pick for item in range(count) for pick in picks]
    if max(where, default=0) >= ROOM:
        return
    data, packed = np.arange(ROOM, dtype="i"), np.full(len(where), -1, "i")
    assert kind.size == 4 * len(picks)
    SELF.Sendrecv([data, count, kind], 0, 1, packed, 0, 1)
    assert packed.tolist() == where
    area = np.zeros(max([(count - 1) * unit + pick + 1 for pick in picks], default=0) if count else 0, "i")
    if unit and len(area) % unit == 0 and len(area) == count * unit:
        area[:] = np.arange(len(area))
        room = bytearray(kind.Pack_size(count, SELF))
        end = kind.Pack(area, room, 0, SELF)
        assert np.frombuffer(room[:end], "i").tolist() == where
    if len(set(where)) == len(where):  # MPI receives nothing twice into one place
        scattered = np.full(ROOM, -1, "i")
        SELF.Sendrecv(packed, 0, 1, [scattered, count, kind], 0, 1)
        expected = np.full(ROOM, -1, "i")
        expected[where] = where
        assert (scattered == expected).all()


@ANY
@given(made=kinds())
def test_any_type_can_be_made_again(made):
    """What `decode` says makes an equal type; so does pickle."""
    import pickle

    kind, _ = made
    base, name, arguments = kind.decode()
    if name != "NAMED":
        again = getattr(base, "Dup" if name == "DUP" else "Create_" + name.lower())(**arguments)
        assert (again.size, again.Get_extent(), again.combiner) == (kind.size, kind.Get_extent(), kind.combiner)
    copy = pickle.loads(pickle.dumps(kind))
    assert (copy.size, copy.Get_extent(), copy.Get_true_extent()) == (kind.size, kind.Get_extent(), kind.Get_true_extent())
