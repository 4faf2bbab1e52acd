# SPDX-License-Identifier: BSD-3-Clause
"""NumPy arrays of any dtype and any strides: what arrives is what was sent."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmpi import MPI
from mmpi.datatypes import layout

pytestmark = pytest.mark.mmpi(n=[1, 2, 3])

SELF, WORLD = MPI.COMM_SELF, MPI.COMM_WORLD
SIZE, RANK = WORLD.Get_size(), WORLD.Get_rank()
ANY = settings(derandomize=True, database=None, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def exchange(send, receive):
    """Send to ourselves and receive."""
    status = MPI.Status()
    SELF.Sendrecv(send, 0, 1, receive, 0, 1, status)
    return status


VIEWS = {
    "step": np.s_[::2],
    "backwards": np.s_[::-1],
    "column": np.s_[:, 3],
    "row-backwards": np.s_[2, ::-1],
    "block": np.s_[1:4, 2:7],
    "both": np.s_[::2, ::3],
    "both-backwards": np.s_[::-2, ::-3],
    "one-backwards": np.s_[::-1, 1:5],
    "one-item": np.s_[2:3, 3:4],
    "no-item": np.s_[:0, ::2],
    "new-axis": np.s_[::2, None, ::2],
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_views(view):
    """The items of a view arrive in order, and nothing between them is touched."""
    source, target = np.arange(60.0).reshape(5, 12), np.full((5, 12), -1.0)
    plain = np.zeros(source[view].shape)
    assert exchange(source[view], plain).Get_count(MPI.DOUBLE) == plain.size
    assert (plain == source[view]).all()
    exchange(source[view], target[view])
    expected = np.full((5, 12), -1.0)
    expected[view] = source[view]
    assert (target == expected).all()
    target[view] = 0
    exchange(plain, target[view])
    assert (target == expected).all()


def test_an_array_in_one_piece_travels_as_it_lies():
    fortran, back = np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.zeros(6)
    exchange(fortran, back)
    assert (back == fortran.ravel(order="K")).all()
    exchange(np.arange(6.0).reshape(2, 3).T, back)
    assert (back == np.arange(6.0)).all()
    gaps = np.asfortranarray(np.arange(12.0).reshape(4, 3))[::2]
    exchange(gaps, back)
    assert (back == gaps.ravel()).all()


def test_counts_and_displacements_of_a_column():
    source, target = np.arange(20.0).reshape(5, 4), np.zeros((5, 4))
    exchange([source[:, 1], (3, 1)], [target[:, 2], (3, 2), MPI.DOUBLE])
    assert target[:, 2].tolist() == [0, 0, 5, 9, 13]
    exchange([source[::-1, 0], (2, 1), "d"], [target[::-1, 3], 2])
    assert target[:, 3].tolist() == [0, 0, 0, 8, 12]


def test_no_dimension():
    source, target = np.array(3.5), np.array(0.0)
    exchange(source, target)
    assert target == 3.5


def test_broadcast_array_can_be_sent():
    back = np.zeros((3, 4))
    exchange(np.broadcast_to(np.arange(4.0), (3, 4)), back)
    assert (back == np.arange(4.0)).all()


def test_layouts_are_made_once():
    source = np.arange(60.0).reshape(5, 12)
    exchange(source[:, 1], np.zeros(5))
    before = layout.cache_info()
    for column in range(12):
        exchange(source[:, column], np.zeros(5))
    after = layout.cache_info()
    assert (after.misses, after.hits) == (before.misses, before.hits + 12)


def test_more_layouts_than_are_kept():
    """Those that go free their datatypes, also while messages are under way."""
    source, requests = np.arange(3000.0), []
    targets = [np.zeros(2) for _ in range(300)]
    for step, target in enumerate(targets, 2):
        requests += [SELF.Irecv(target, 0, step), SELF.Isend(source[: step + 1 : step], 0, step)]
    MPI.Request.Waitall(requests)
    assert [target.tolist() for target in targets] == [[0, step] for step in range(2, 302)]


# --- dtypes --------------------------------------------------------------------------------------------------------

RECORD = np.dtype([("a", "i1"), ("b", "f8"), ("c", "S5"), ("d", "M8[s]"), ("e", ">i4", (2,)), ("f", [("x", "f4"), ("y", "u2")])], align=True)
UNION = np.dtype({"names": ["whole", "low"], "formats": ["u8", "u4"], "offsets": [0, 0]})
DTYPES = [
    "?", "i2", "u8", "f8", "c16", "f2", ">f8", ">i4", ">c8", "S1", "S7", "U1", "U3", ">U2", "V5", "M8[ns]", "m8[s]", ">M8[D]",
    np.dtype([("a", "i1"), ("b", "f8")]), RECORD, UNION, np.dtype([("a", "i4")]),
]  # fmt: skip


def filled(dtype, count):
    """Items whose bytes all differ, padding aside."""
    raw = np.zeros(count, dtype)
    if raw.dtype.names and dtype is not UNION:
        for name in raw.dtype.names:
            raw[name] = filled(raw.dtype[name].base, raw[name].size).reshape(raw[name].shape)
        return raw
    seed = np.arange(1, raw.nbytes + 1, dtype="u1").view("u1")
    if raw.dtype.kind == "U":
        return np.array(["".join(chr(65 + i + k) for k in range(raw.dtype.itemsize // 4)) for i in range(count)], dtype)
    if raw.dtype.kind == "b":
        return np.arange(count) % 2 == 0
    raw.view("u1").reshape(-1)[:] = seed % 120 + 1
    return raw


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("step", [1, 2, -1])
def test_dtypes(dtype, step):
    source = filled(dtype, 8)[::step]
    target = np.zeros(16, source.dtype)[:: 2 * abs(step)][: len(source)]
    exchange(source, target)
    assert (target == source).all()
    if RANK:
        WORLD.Send(source, 0, 5)
    else:
        for rank in range(1, SIZE):
            target[...] = np.zeros(len(target), target.dtype)
            WORLD.Recv(target, rank, 5)
            assert (target == source).all()


@pytest.mark.parametrize("dtype", [RECORD, ">f8", "M8[s]", "S7"], ids=str)
def test_dtypes_in_collectives(dtype):
    mine, everyone = filled(dtype, 4)[:: 1 if RANK % 2 else -1], np.zeros((SIZE, 4), dtype)
    WORLD.Allgather(mine, everyone)
    for rank in range(SIZE):
        assert (everyone[rank] == filled(dtype, 4)[:: 1 if rank % 2 else -1]).all()
    WORLD.Bcast(mine)
    assert (mine == filled(dtype, 4)[::-1]).all()


def test_subclasses_and_memory_maps(tmp_path):
    source = np.arange(12.0).view(np.recarray)[::3]
    target = np.memmap(tmp_path / "data", "f8", "w+", shape=(8,))[::2]
    exchange(source, target)
    assert target.tolist() == [0, 3, 6, 9]


def test_what_fields_leave_free_is_not_touched():
    gaps = np.dtype({"names": ["a"], "formats": ["i4"], "offsets": [4], "itemsize": 12})
    target = np.frombuffer(bytearray(b"\xff" * 24), gaps)
    exchange(np.zeros(2, gaps), target)
    assert target.tobytes() == (b"\xff" * 4 + b"\0" * 4 + b"\xff" * 4) * 2


def test_memory_of_structures_as_bytes():
    source, target = filled(RECORD, 3), np.zeros(3, RECORD)
    exchange([source, MPI.BYTE], [target, source.nbytes, MPI.BYTE])
    assert target.tobytes() == source.tobytes()


def test_types_of_other_projects_travel_as_bytes():
    """A float8 has the character of an unsigned long, and bfloat16 that of no type at all: nobody may guess."""
    for dtype in (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.int4):
        source, target = np.arange(4).astype(dtype), np.zeros(4, dtype)
        exchange(source, target)
        assert (source == target).all()
        with pytest.raises(TypeError, match="does not know"):
            SELF.Allreduce(source, target)


# --- reductions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [">f8", RECORD, "S7"], ids=str)
def test_reductions_of_what_mpi_does_not_know(dtype):
    items = filled(dtype, 4)
    for call in (SELF.Allreduce, SELF.Iallreduce, SELF.Reduce, SELF.Scan, SELF.Reduce_scatter, SELF.Reduce_scatter_block):
        with pytest.raises(TypeError, match="does not know items of this type"):
            call(items, items.copy())
    with pytest.raises(TypeError, match="does not know"):
        MPI.SUM.Reduce_local(items, items.copy())


def test_reductions_of_arrays_with_gaps():
    with pytest.raises(TypeError, match="one piece"):
        SELF.Allreduce(np.zeros(8)[::2], np.zeros(8)[::2])


def test_own_operations_reduce_structures():
    pair = np.dtype([("value", "f8"), ("count", "i8")])

    def add(a, b, _datatype):
        left, right = np.frombuffer(a, pair), np.frombuffer(b, pair)
        right["value"] += left["value"]
        right["count"] += left["count"]

    total = np.zeros(2, pair)
    op = MPI.Op.Create(add, commute=True)
    WORLD.Allreduce(np.array([(RANK, 1), (2 * RANK, 1)], pair), total, op)
    op.Free()
    rank_sum = SIZE * (SIZE - 1) // 2
    assert total.tolist() == [(rank_sum, SIZE), (2 * rank_sum, SIZE)]


def test_times_are_reduced():
    late = np.array([RANK, -RANK], "m8[s]")
    WORLD.Allreduce(MPI.IN_PLACE, late, MPI.MAX)
    assert late.tolist() == np.array([SIZE - 1, 0], "m8[s]").tolist()


# --- any view ------------------------------------------------------------------------------------------------------


@st.composite
def views(draw, first=None):
    """An array and a view of it: sliced, reversed, transposed."""
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    shape = [first, *shape[1:]] if first else shape
    code = draw(st.sampled_from(["u1", "i2", "f8", ">i4", "c16", "S3"]))
    base = filled(code, int(np.prod(shape)) * 3**2).reshape(*[3 * n if i < 2 else n for i, n in enumerate(shape)], -1)[..., 0]
    slices = []
    for i, n in enumerate(shape):
        step = draw(st.sampled_from([1, 2, 3, -1, -2, -3] if i < 2 else [1, -1]))
        slices.append((slice(None, n * step, step) if step > 0 else slice(-1, -n * -step - 1, step)) if i < 2 else slice(None, None, step))
    view = base[tuple(slices)]
    order = draw(st.permutations(range(view.ndim))) if not first else range(view.ndim)
    return view.transpose(order)


def travels(view):
    """The items in the order in which they travel: as they lie, if they lie in one piece."""
    return view.ravel(order="K" if view.flags.c_contiguous or view.flags.f_contiguous else "C")


def like(view):
    """An array in one piece, in C order, for the items."""
    return np.zeros(view.size, view.dtype)


@ANY
@given(view=views())
def test_any_view_to_oneself(view):
    back = like(view)
    exchange(view, back)
    assert (back == travels(view)).all()
    copy = np.zeros((2, *view.shape), view.dtype)[1]
    exchange(back, copy)
    assert (copy.ravel() == back).all()


@ANY
@given(view=views())
def test_any_view_in_collectives(view):
    mine = view if RANK == 0 else np.zeros_like(view)
    flat = like(view)
    WORLD.Bcast(view if RANK == 0 else flat)
    assert RANK == 0 or (flat == travels(view)).all()
    everyone = np.zeros((SIZE, view.size), view.dtype)
    WORLD.Allgather(view, everyone)
    assert (everyone == travels(view)).all()
    WORLD.Gather(mine, everyone if RANK == 0 else None)


@ANY
@given(view=views(first=6))
def test_any_view_in_blocks(view):
    """Blocks of an array with gaps are parts along its first axis, as of one without."""
    part = np.zeros(view.size // SIZE, view.dtype)
    WORLD.Scatter(view, part)
    assert (part == travels(view).reshape(SIZE, -1)[RANK]).all()
    back = np.zeros((2, *view.shape), view.dtype)[:, ::-1][1] if not view.flags.c_contiguous else np.zeros_like(view)
    WORLD.Allgather(part, back)
    assert (back.ravel() == travels(view)).all() or back.shape != view.shape
