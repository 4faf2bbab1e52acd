# SPDX-License-Identifier: BSD-3-Clause
"""Typed collectives, blocking and nonblocking, against the answers that NumPy gives."""

import array

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2, 3, 5])

# Every rank must draw the same examples, and a failure must be every rank's failure (see agree).
SAME_ON_ALL_RANKS = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
on_three = pytest.mark.mmpi(n=[3])  # for tests of all types: the number of ranks changes nothing
TYPES = ["b", "B", "h", "H", "i", "I", "l", "L", "q", "Q", "f", "d", "g", "F", "D", "G", "?"]


@pytest.fixture
def comm():
    return MPI.COMM_WORLD


def blocking(comm, name, *args, **options):
    assert getattr(comm, name)(*args, **options) is None


def nonblocking(comm, name, *args, **options):
    request = getattr(comm, "I" + name.lower())(*args, **options)
    assert isinstance(request, MPI.Request)
    request.Wait()
    assert request == MPI.REQUEST_NULL


@pytest.fixture(params=[blocking, nonblocking], ids=["blocking", "nonblocking"])
def call(request):
    return request.param


@pytest.fixture(params=["first", "last"])
def root(request, comm):
    return 0 if request.param == "first" else comm.size - 1


def agree(comm, ok):
    """True on all ranks if `ok` is true on all ranks."""
    verdict = np.array([bool(ok)], "i")
    comm.Allreduce(MPI.IN_PLACE, verdict, MPI.MIN)
    return bool(verdict[0])


def own(rank, count, dtype="d"):
    """What a rank contributes: different on every rank, exact in every type."""
    return (np.arange(count) % 7 + rank + 1).astype(dtype)


def everyone(comm, count, dtype="d"):
    return np.array([own(rank, count, dtype) for rank in range(comm.size)])


# --- Barrier and Bcast ------------------------------------------------------------------------------------


def test_barrier(comm, call):
    for _ in range(5):
        call(comm, "Barrier")


def test_nobody_leaves_a_barrier_before_the_last_has_come(comm):
    request = comm.Ibarrier()
    if comm.rank:
        request.Wait()
        comm.Send(np.zeros(1), dest=0, tag=9)
        return
    if comm.size > 1:
        assert not comm.Iprobe(source=MPI.ANY_SOURCE, tag=9)  # rank 0 has not begun to progress the barrier by Wait
    request.Wait()
    for _ in range(comm.size - 1):
        comm.Recv(np.zeros(1), source=MPI.ANY_SOURCE, tag=9)


@on_three
@pytest.mark.parametrize("dtype", TYPES)
def test_bcast(comm, call, root, dtype):
    data = own(root, 11, dtype) if comm.rank == root else np.zeros(11, dtype)
    call(comm, "Bcast", data, root=root)
    assert (data == own(root, 11, dtype)).all()


@pytest.mark.parametrize(
    "spec",
    [
        lambda a: a,
        lambda a: [a, 6],
        lambda a: [a, MPI.DOUBLE],
        lambda a: [a, "d"],
        lambda a: (a, 6, MPI.DOUBLE),
        lambda a: [a, 6, "d"],
        lambda a: [a, None, MPI.DOUBLE],
        lambda a: [a, (6, None), MPI.DOUBLE],
        lambda a: [a, (6, 0), MPI.DOUBLE],
        lambda a: [a, 6, 0, MPI.DOUBLE],
        lambda a: [memoryview(a).cast("B"), 6, MPI.DOUBLE],
        lambda a: memoryview(a),
        lambda a: a.reshape(2, 3),
        lambda a: a.reshape(2, 3, order="F"),
    ],
)
def test_bcast_takes_every_form_of_specification(comm, spec):
    data = own(0, 6) if comm.rank == 0 else np.zeros(6)
    comm.Bcast(spec(data))
    assert (data == own(0, 6)).all()


@pytest.mark.parametrize(
    "make", [lambda n: bytearray(n), lambda n: array.array("b", bytes(n)), lambda n: np.zeros(n, "b")]
)
def test_bcast_of_every_kind_of_array(comm, make):
    data = make(5)
    if comm.rank == 0:
        data[:] = type(data)(b"hello") if isinstance(data, bytearray) else array.array("b", b"hello")
    comm.Bcast(data)
    assert bytes(data) == b"hello"


def test_bcast_leaves_what_is_beyond_the_count_alone(comm):
    data = own(0, 8) if comm.rank == 0 else np.full(8, -1.0)
    comm.Bcast([data, (3, 2), MPI.DOUBLE])
    expected = own(0, 8)
    if comm.rank:
        expected[:2] = expected[5:] = -1
    assert (data == expected).all()


def test_root_of_bcast_may_send_from_read_only_memory(comm):
    data = b"read only" if comm.rank == 0 else bytearray(9)
    comm.Bcast([data, MPI.BYTE])
    assert bytes(data) == b"read only"


def test_bcast_of_nothing(comm, call):
    call(comm, "Bcast", np.zeros(0))
    call(comm, "Bcast", [None, 0, MPI.INT])


def test_bcast_by_keyword(comm):
    data = own(0, 3) if comm.rank == 0 else np.zeros(3)
    comm.Bcast(buf=data, root=0)
    assert (data == own(0, 3)).all()


# --- Gather, Scatter, Allgather, Alltoall -----------------------------------------------------------------


@on_three
@pytest.mark.parametrize("dtype", TYPES)
def test_gather(comm, call, root, dtype):
    into = np.zeros((comm.size, 4), dtype) if comm.rank == root else None
    call(comm, "Gather", own(comm.rank, 4, dtype), into, root=root)
    if comm.rank == root:
        assert (into == everyone(comm, 4, dtype)).all()


def test_gather_in_place(comm, call, root):
    if comm.rank == root:
        into = np.zeros((comm.size, 3))
        into[root] = own(root, 3)
        call(comm, "Gather", MPI.IN_PLACE, into, root=root)
        assert (into == everyone(comm, 3)).all()
    else:
        call(comm, "Gather", own(comm.rank, 3), None, root=root)


@pytest.mark.parametrize("form", [lambda a, n: [a, n], lambda a, n: [a, n, MPI.DOUBLE], lambda a, n: [a, MPI.DOUBLE]])
def test_count_of_gather_is_that_of_one_rank(comm, form):
    into = np.zeros((comm.size, 2))
    comm.Gather([own(comm.rank, 5), 2], form(into, 2) if comm.rank == 0 else None)
    if comm.rank == 0:
        assert (into == everyone(comm, 2)).all()


@on_three
@pytest.mark.parametrize("dtype", TYPES)
def test_scatter(comm, call, root, dtype):
    data = everyone(comm, 4, dtype) if comm.rank == root else None
    into = np.zeros(4, dtype)
    call(comm, "Scatter", data, into, root=root)
    assert (into == own(comm.rank, 4, dtype)).all()


def test_scatter_in_place(comm, call, root):
    data = everyone(comm, 3) if comm.rank == root else None
    into = MPI.IN_PLACE if comm.rank == root else np.zeros(3)
    call(comm, "Scatter", data, into, root=root)
    if comm.rank != root:
        assert (into == own(comm.rank, 3)).all()
    else:
        assert (data == everyone(comm, 3)).all()


@on_three
@pytest.mark.parametrize("dtype", TYPES)
def test_allgather(comm, call, dtype):
    into = np.zeros((comm.size, 3), dtype)
    call(comm, "Allgather", own(comm.rank, 3, dtype), into)
    assert (into == everyone(comm, 3, dtype)).all()


@pytest.mark.parametrize("in_place", ["IN_PLACE", "None"])
def test_allgather_in_place(comm, call, in_place):
    into = np.zeros((comm.size, 3))
    into[comm.rank] = own(comm.rank, 3)
    call(comm, "Allgather", getattr(MPI, in_place, None), into)
    assert (into == everyone(comm, 3)).all()


@on_three
@pytest.mark.parametrize("dtype", TYPES)
def test_alltoall(comm, call, dtype):
    data = np.array([own(10 * comm.rank + to, 2, dtype) for to in range(comm.size)])
    into = np.zeros((comm.size, 2), dtype)
    call(comm, "Alltoall", data, into)
    assert (into == [own(10 * source + comm.rank, 2, dtype) for source in range(comm.size)]).all()


def test_alltoall_in_place(comm, call):
    data = np.array([own(10 * comm.rank + to, 2) for to in range(comm.size)])
    call(comm, "Alltoall", MPI.IN_PLACE, data)
    assert (data == [own(10 * source + comm.rank, 2) for source in range(comm.size)]).all()


@pytest.mark.parametrize("name", ["Gather", "Scatter", "Allgather", "Alltoall"])
def test_collectives_of_nothing(comm, call, name):
    call(comm, name, np.zeros(0), np.zeros(0))


# --- the v-forms ------------------------------------------------------------------------------------------


def uneven(size):
    """Counts of which some are 0, and where each rank's part starts."""
    counts = [rank % 3 for rank in range(size)]
    return counts, [sum(counts[:rank]) for rank in range(size)]


def int64s(values):
    return np.array(values, np.int64)


def int32s(values):
    return np.array(values, np.int32)


KINDS = [list, tuple, int32s, int64s, lambda values: array.array("i", values), lambda values: array.array("q", values)]
KIND_NAMES = ["list", "tuple", "int32", "int64", "array i", "array q"]
FORMS = {
    "counts": lambda a, c, d: [a, c],  # a list: a tuple here is (counts, displs)
    "counts, type": lambda a, c, d: [a, c, MPI.DOUBLE],
    "(counts, None)": lambda a, c, d: [a, (c, None)],
    "(counts, displs)": lambda a, c, d: [a, (c, d)],
    "(counts, displs), type": lambda a, c, d: [a, (c, d), MPI.DOUBLE],
    "(counts, displs), code": lambda a, c, d: [a, (c, d), "d"],
    "counts, displs, type": lambda a, c, d: [a, c, d, MPI.DOUBLE],
    "counts, None, type": lambda a, c, d: (a, c, None, MPI.DOUBLE),
    "counts, displs, code": lambda a, c, d: (a, c, d, "d"),
}


# every form with lists, and every kind of sequence in one form
CASES = [(form, list) for form in FORMS] + [("counts, displs, type", kind) for kind in KINDS[1:]]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{KIND_NAMES[KINDS.index(case[1])]}")
def case(request):
    name, kind = request.param
    return FORMS[name], kind


def parts(comm):
    counts, displs = uneven(comm.size)
    return counts, displs, np.concatenate([own(rank, count) for rank, count in enumerate(counts)])


def test_gatherv_takes_every_form(comm, call, case):
    form, kind = case
    counts, displs, expected = parts(comm)
    into = np.zeros(sum(counts)) if comm.rank == 0 else None
    spec = form(into, kind(counts), kind(displs)) if comm.rank == 0 else None
    call(comm, "Gatherv", own(comm.rank, counts[comm.rank]), spec)
    if comm.rank == 0:
        assert (into == expected).all()


def test_scatterv_takes_every_form(comm, call, case):
    form, kind = case
    counts, displs, data = parts(comm)
    root = comm.size - 1
    into = np.zeros(counts[comm.rank])
    call(comm, "Scatterv", form(data, kind(counts), kind(displs)) if comm.rank == root else None, into, root=root)
    assert (into == own(comm.rank, counts[comm.rank])).all()


def test_allgatherv_takes_every_form(comm, call, case):
    form, kind = case
    counts, displs, expected = parts(comm)
    into = np.zeros(sum(counts))
    call(comm, "Allgatherv", own(comm.rank, counts[comm.rank]), form(into, kind(counts), kind(displs)))
    assert (into == expected).all()


def test_alltoallv_takes_every_form(comm, call, case):
    form, kind = case
    counts, displs = uneven(comm.size)
    data = np.concatenate([own(10 * comm.rank + to, count) for to, count in enumerate(counts)])
    mine = counts[comm.rank]
    into = np.zeros(mine * comm.size)
    receive = [into, kind([mine] * comm.size), kind([mine * rank for rank in range(comm.size)]), MPI.DOUBLE]
    call(comm, "Alltoallv", form(data, kind(counts), kind(displs)), receive)
    assert (into == np.concatenate([own(10 * source + comm.rank, mine) for source in range(comm.size)])).all()


@pytest.mark.parametrize("count", [2, np.int32(2), np.int64(2), True + 1])
def test_one_number_as_counts_means_the_same_for_all(comm, count):
    into = np.zeros((comm.size, 2))
    comm.Allgatherv(own(comm.rank, 2), [into, count])
    assert (into == everyone(comm, 2)).all()


def test_counts_left_out_share_the_buffer_evenly(comm):
    into = np.zeros((comm.size, 2))
    comm.Allgatherv(own(comm.rank, 2), into)
    assert (into == everyone(comm, 2)).all()
    into[:] = 0
    comm.Allgatherv(own(comm.rank, 2), [into, MPI.DOUBLE])
    assert (into == everyone(comm, 2)).all()


def test_displacements_may_leave_holes_and_go_backwards(comm):
    size = comm.size
    displs = [3 * (size - 1 - rank) for rank in range(size)]
    into = np.full(3 * size, -1.0)
    comm.Allgatherv(own(comm.rank, 2), [into, [2] * size, displs, MPI.DOUBLE])
    expected = np.full((size, 3), -1.0)
    expected[:, :2] = everyone(comm, 2)[::-1]
    assert (into == expected.ravel()).all()


def test_gatherv_in_place(comm, call):
    counts, displs, expected = parts(comm)
    root = comm.size - 1
    if comm.rank == root:
        into = np.zeros(sum(counts))
        into[displs[root] :] = own(root, counts[root])
        call(comm, "Gatherv", MPI.IN_PLACE, [into, counts], root=root)
        assert (into == expected).all()
    else:
        call(comm, "Gatherv", own(comm.rank, counts[comm.rank]), None, root=root)


def test_scatterv_in_place(comm, call):
    counts, displs, data = parts(comm)
    if comm.rank == 0:
        call(comm, "Scatterv", [data, counts, displs, MPI.DOUBLE], MPI.IN_PLACE)
    else:
        into = np.zeros(counts[comm.rank])
        call(comm, "Scatterv", None, into)
        assert (into == own(comm.rank, counts[comm.rank])).all()


def test_allgatherv_in_place(comm, call):
    counts, displs, expected = parts(comm)
    into = np.zeros(sum(counts))
    start = displs[comm.rank]
    into[start : start + counts[comm.rank]] = own(comm.rank, counts[comm.rank])
    call(comm, "Allgatherv", MPI.IN_PLACE, [into, counts])
    assert (into == expected).all()


def test_alltoallv_in_place(comm, call):
    size = comm.size
    counts = [(comm.rank + to) % 3 for to in range(size)]  # symmetric, as the standard asks
    data = np.concatenate([own(10 * comm.rank + to, count) for to, count in enumerate(counts)])
    call(comm, "Alltoallv", MPI.IN_PLACE, [data, counts])
    expected = [own(10 * source + comm.rank, count) for source, count in enumerate(counts)]
    assert (data == np.concatenate(expected)).all()


@SAME_ON_ALL_RANKS
@given(draw=st.data())
def test_allgatherv_of_any_counts_and_displacements(comm, draw):
    counts = draw.draw(st.lists(st.integers(0, 9), min_size=comm.size, max_size=comm.size))
    gaps = draw.draw(st.lists(st.integers(0, 3), min_size=comm.size, max_size=comm.size))
    order = draw.draw(st.permutations(range(comm.size)))
    displs, end = [0] * comm.size, 0
    for rank, gap in zip(order, gaps, strict=True):
        displs[rank] = end + gap
        end += gap + counts[rank]
    expected = np.full(end, -1.0)
    for rank, (count, start) in enumerate(zip(counts, displs, strict=True)):
        expected[start : start + count] = own(rank, count)
    into = np.full(end, -1.0)
    comm.Allgatherv(own(comm.rank, counts[comm.rank]), [into, (counts, displs), MPI.DOUBLE])
    assert agree(comm, (into == expected).all())


@SAME_ON_ALL_RANKS
@given(draw=st.data())
def test_alltoallv_of_any_counts(comm, draw):
    size, rank = comm.size, comm.rank
    table = np.array(draw.draw(st.lists(st.integers(0, 6), min_size=size * size, max_size=size * size))).reshape(
        size, size
    )
    data = np.concatenate([own(10 * rank + to, count, "i") for to, count in enumerate(table[rank])])
    into = np.zeros(table[:, rank].sum(), "i")
    comm.Alltoallv([data, table[rank]], [into, (tuple(table[:, rank]), None)])
    expected = np.concatenate([own(10 * source + rank, count, "i") for source, count in enumerate(table[:, rank])])
    assert agree(comm, (into == expected).all())


# --- Alltoallw --------------------------------------------------------------------------------------------


def test_alltoallw_takes_a_type_and_a_byte_displacement_for_each_rank(comm, call):
    size, rank = comm.size, comm.rank
    kinds = [MPI.INT if to % 2 else MPI.DOUBLE for to in range(size)]
    widths = [kind.Get_size() for kind in kinds]
    displs = [sum(widths[:to]) for to in range(size)]
    data = bytearray(sum(widths))
    for to, (start, width) in enumerate(zip(displs, widths, strict=True)):
        data[start : start + width] = np.array(10 * rank + to, "i" if to % 2 else "d").tobytes()
    into = np.zeros(size, "i" if rank % 2 else "d")
    receive = [into, [1] * size, [into.itemsize * source for source in range(size)], [kinds[rank]] * size]
    call(comm, "Alltoallw", [data, [1] * size, displs, kinds], receive)
    assert (into == [10 * source + rank for source in range(size)]).all()


@pytest.mark.parametrize("kind", [list, tuple, int32s, int64s])
def test_alltoallw_with_counts_and_displacements_in_a_pair(comm, kind):
    size = comm.size
    data, into = np.arange(size, dtype="i") + 10 * comm.rank, np.zeros(size, "i")
    counts, displs, types = kind([1] * size), kind([4 * rank for rank in range(size)]), [MPI.INT] * size
    comm.Alltoallw([data, (counts, displs), types], [into, (counts, displs), tuple(types)])
    assert (into == [10 * source + comm.rank for source in range(size)]).all()


def test_alltoallw_in_place(comm, call):
    size = comm.size
    data = np.arange(size, dtype="i") + 10 * comm.rank
    displs = [4 * rank for rank in range(size)]
    call(comm, "Alltoallw", MPI.IN_PLACE, [data, [1] * size, displs, [MPI.INT] * size])
    assert (data == [10 * source + comm.rank for source in range(size)]).all()


def test_alltoallw_moves_columns_into_rows(comm):
    size = comm.size
    matrix = np.arange(size * size, dtype="d").reshape(size, size) + 100 * comm.rank
    column = MPI.DOUBLE.Create_vector(size, 1, size).Commit()
    into = np.zeros((size, size))
    ones = [1] * size
    send = [matrix, ones, [8 * to for to in range(size)], [column] * size]
    receive = [into, [size] * size, [8 * size * source for source in range(size)], [MPI.DOUBLE] * size]
    comm.Alltoallw(send, receive)
    expected = [np.arange(size) * size + comm.rank + 100 * source for source in range(size)]
    assert (into == expected).all()
    column.Free()


# --- reductions -------------------------------------------------------------------------------------------

NUMPY = {
    "SUM": np.add,
    "PROD": np.multiply,
    "MIN": np.minimum,
    "MAX": np.maximum,
    "BAND": np.bitwise_and,
    "BOR": np.bitwise_or,
    "BXOR": np.bitwise_xor,
    "LAND": np.logical_and,
    "LOR": np.logical_or,
    "LXOR": np.logical_xor,
}
ARITHMETIC = [(name, dtype) for name in ("SUM", "PROD", "MIN", "MAX") for dtype in "hHiIlLqQfdg"]
COMPLEX = [(name, dtype) for name in ("SUM", "PROD") for dtype in "FDG"]
BITWISE = [(name, dtype) for name in ("BAND", "BOR", "BXOR") for dtype in "bBhHiIlLqQ"]
LOGICAL = [(name, dtype) for name in ("LAND", "LOR", "LXOR") for dtype in "iq?"]
REDUCTIONS = ARITHMETIC + COMPLEX + BITWISE + LOGICAL


def reduced(comm, op, count, dtype="d", upto=None):
    rows = everyone(comm, count, dtype)[:upto]
    return NUMPY[op].reduce(rows, axis=0).astype(dtype)


def is_reduced(comm, into, op, dtype):
    if op in ("LAND", "LOR", "LXOR"):
        into = into != 0  # a single rank's values come back as they are
    return (into == reduced(comm, op, len(into), dtype)).all()


@on_three
@pytest.mark.parametrize("op,dtype", REDUCTIONS)
def test_allreduce(comm, call, op, dtype):
    into = np.zeros(5, dtype)
    call(comm, "Allreduce", own(comm.rank, 5, dtype), into, op=getattr(MPI, op))
    assert is_reduced(comm, into, op, dtype)


@pytest.mark.parametrize("op", ["SUM", "MAX"])
def test_reduce(comm, call, root, op):
    into = np.zeros(5) if comm.rank == root else None
    call(comm, "Reduce", own(comm.rank, 5), into, op=getattr(MPI, op), root=root)
    if comm.rank == root:
        assert (into == reduced(comm, op, 5)).all()


def test_the_default_operation_is_sum(comm, call):
    into = np.zeros(3)
    call(comm, "Allreduce", own(comm.rank, 3), into)
    assert (into == reduced(comm, "SUM", 3)).all()
    into[:] = 0
    call(comm, "Reduce", own(comm.rank, 3), into)
    assert (into == (reduced(comm, "SUM", 3) if comm.rank == 0 else 0)).all()


def test_reductions_in_place(comm, call, root):
    data = own(comm.rank, 4)
    call(comm, "Allreduce", MPI.IN_PLACE, data)
    assert (data == reduced(comm, "SUM", 4)).all()
    data = own(comm.rank, 4)
    if comm.rank == root:
        call(comm, "Reduce", MPI.IN_PLACE, data, root=root)
        assert (data == reduced(comm, "SUM", 4)).all()
    else:
        call(comm, "Reduce", data, None, root=root)
        assert (data == own(comm.rank, 4)).all()


def test_minloc_and_maxloc(comm, call):
    pair = np.dtype([("value", "d"), ("rank", "i")], align=True)
    data, into = np.zeros(2, pair), np.zeros(2, pair)
    data["value"] = [comm.rank % 2, -comm.rank]
    data["rank"] = comm.rank
    call(comm, "Allreduce", [data.view("B"), 2, MPI.DOUBLE_INT], [into.view("B"), 2, MPI.DOUBLE_INT], op=MPI.MINLOC)
    assert into.tolist() == [(0.0, 0), (1.0 - comm.size, comm.size - 1)]
    call(comm, "Allreduce", [data.view("B"), 2, MPI.DOUBLE_INT], [into.view("B"), 2, MPI.DOUBLE_INT], op=MPI.MAXLOC)
    assert into.tolist() == [(float(comm.size > 1), int(comm.size > 1)), (0.0, 0)]


@pytest.mark.parametrize("op", ["SUM", "PROD", "MIN"])
def test_scan_and_exscan(comm, call, op):
    into = np.full(3, -1.0)
    call(comm, "Scan", own(comm.rank, 3), into, op=getattr(MPI, op))
    assert (into == reduced(comm, op, 3, upto=comm.rank + 1)).all()
    into = np.full(3, -1.0)
    call(comm, "Exscan", own(comm.rank, 3), into, op=getattr(MPI, op))
    if comm.rank:  # undefined on rank 0
        assert (into == reduced(comm, op, 3, upto=comm.rank)).all()


def test_scan_and_exscan_in_place(comm, call):
    data = own(comm.rank, 3)
    call(comm, "Scan", MPI.IN_PLACE, data)
    assert (data == reduced(comm, "SUM", 3, upto=comm.rank + 1)).all()
    data = own(comm.rank, 3)
    call(comm, "Exscan", MPI.IN_PLACE, data)
    if comm.rank:
        assert (data == reduced(comm, "SUM", 3, upto=comm.rank)).all()


def test_reduce_scatter_block(comm, call):
    data = own(comm.rank, 2 * comm.size)
    expected = reduced(comm, "SUM", 2 * comm.size).reshape(comm.size, 2)[comm.rank]
    into = np.zeros(2)
    call(comm, "Reduce_scatter_block", data, into, op=MPI.SUM)
    assert (into == expected).all()
    call(comm, "Reduce_scatter_block", MPI.IN_PLACE, data)
    assert (data[:2] == expected).all()


@pytest.mark.parametrize("kind", KINDS, ids=KIND_NAMES)
def test_reduce_scatter(comm, call, kind):
    counts, displs = uneven(comm.size)
    start, mine = displs[comm.rank], counts[comm.rank]
    expected = reduced(comm, "MAX", sum(counts))[start : start + mine]
    into = np.zeros(mine)
    call(comm, "Reduce_scatter", own(comm.rank, sum(counts)), into, kind(counts), op=MPI.MAX)
    assert (into == expected).all()


def test_reduce_scatter_without_counts_takes_those_of_the_receive_buffers(comm):
    counts, displs = uneven(comm.size)
    start, mine = displs[comm.rank], counts[comm.rank]
    into = np.zeros(mine)
    comm.Reduce_scatter(own(comm.rank, sum(counts)), into)
    assert (into == reduced(comm, "SUM", sum(counts))[start : start + mine]).all()


def test_reduce_scatter_in_place(comm, call):
    counts, displs = uneven(comm.size)
    data = own(comm.rank, sum(counts))
    start, mine = displs[comm.rank], counts[comm.rank]
    call(comm, "Reduce_scatter", MPI.IN_PLACE, data, counts)
    assert (data[:mine] == reduced(comm, "SUM", sum(counts))[start : start + mine]).all()


def test_reductions_of_nothing(comm, call):
    for name in ("Allreduce", "Reduce", "Scan", "Exscan", "Reduce_scatter_block"):
        call(comm, name, np.zeros(0), np.zeros(0))


def test_reductions_of_lists_of_buffer_and_type(comm):
    data, into = array.array("i", [comm.rank, 1]), array.array("i", [0, 0])
    comm.Allreduce([data, 2, MPI.INT], [into, "i"])
    assert into.tolist() == [comm.size * (comm.size - 1) // 2, comm.size]


@SAME_ON_ALL_RANKS
@given(case=st.sampled_from(REDUCTIONS), count=st.integers(0, 2000))
def test_allreduce_of_any_length(comm, case, count):
    op, dtype = case
    into = np.zeros(count, dtype)
    comm.Allreduce(own(comm.rank, count, dtype), into, op=getattr(MPI, op))
    assert agree(comm, is_reduced(comm, into, op, dtype))


def test_large_messages(comm, call):
    count = 300_000  # beyond every library's short-message algorithm
    into = np.zeros(count)
    call(comm, "Allreduce", own(comm.rank, count), into)
    assert (into == reduced(comm, "SUM", count)).all()
    call(comm, "Bcast", into)
    rows = np.zeros((comm.size, count))
    call(comm, "Allgather", own(comm.rank, count), rows)
    assert (rows == everyone(comm, count)).all()


# --- derived types ----------------------------------------------------------------------------------------


def test_a_column_is_broadcast_into_a_row(comm, call):
    matrix = np.arange(12, dtype="d").reshape(4, 3)
    column = MPI.DOUBLE.Create_vector(4, 1, 3).Commit()
    row = np.zeros(4)
    call(comm, "Bcast", [matrix, 1, column] if comm.rank == 0 else row)
    if comm.rank:
        assert (row == matrix[:, 0]).all()
    column.Free()


def test_gather_into_columns(comm, call):
    size = comm.size
    column = MPI.DOUBLE.Create_vector(4, 1, size).Create_resized(0, 8).Commit()
    into = np.zeros((4, size))
    call(comm, "Gather", own(comm.rank, 4), [into, 1, column] if comm.rank == 0 else None)
    if comm.rank == 0:
        assert (into == everyone(comm, 4).T).all()
    column.Free()


# --- nonblocking: several at once, buffers kept -----------------------------------------------------------


def test_nonblocking_collectives_overlap_and_end_in_any_order(comm):
    sums = [np.zeros(100) for _ in range(8)]
    requests = [
        comm.Iallreduce(own(comm.rank + i, 100), sums[i]) for i in range(8)
    ]  # send buffers: only the requests hold them
    requests.append(comm.Ibarrier())
    for request in reversed(requests):
        request.Wait()
    for i in range(8):
        assert (sums[i] == sum(own(rank + i, 100) for rank in range(comm.size))).all()


def test_waitall_and_testall_complete_collectives(comm):
    into = np.zeros((3, comm.size))
    requests = [comm.Iallgather(np.full(1, comm.rank + 10.0 * i), into[i]) for i in range(3)]
    MPI.Request.Waitall(requests)
    assert (into == [[rank + 10 * i for rank in range(comm.size)] for i in range(3)]).all()
    request = comm.Ibarrier()
    while not request.Test():
        pass


def test_counts_given_as_temporary_arrays_live_as_long_as_the_request(comm):
    size = comm.size
    into = np.zeros((6, size, 2))
    requests = [
        comm.Iallgatherv(own(comm.rank, 2), [into[i], np.full(size, 2, "i"), np.arange(0, 2 * size, 2), MPI.DOUBLE])
        for i in range(6)
    ]
    junk = [np.full(size, 77, "i") for _ in range(100)]  # would land where the arrays were
    MPI.Request.Waitall(requests)
    assert (into == everyone(comm, 2)).all() and len(junk) == 100


def test_types_given_to_ialltoallw_may_be_freed_before_it_ends(comm):
    size = comm.size
    data, into = np.arange(size, dtype="i") + 10 * comm.rank, np.zeros(size, "i")
    kind = MPI.INT.Create_contiguous(1).Commit()
    spec = ([1] * size, [4 * rank for rank in range(size)])
    request = comm.Ialltoallw([data, spec, [kind] * size], [into, spec, [kind] * size])
    kind.Free()
    request.Wait()
    assert (into == [10 * source + comm.rank for source in range(size)]).all()


# --- wrong arguments: all ranks raise before anything is sent ------------------------------------------


def raises(*kinds, text):
    return pytest.raises(kinds, match=text)


@pytest.mark.parametrize("extra", [-1, 1])
@pytest.mark.parametrize("name", ["Allgatherv", "Iallgatherv"])
def test_as_many_counts_as_ranks(comm, name, extra):
    wrong = [1] * (comm.size + extra)
    with raises(
        ValueError, text=f"recvbuf.*{comm.size}.*{comm.size + extra}|recvbuf.*{comm.size + extra}.*{comm.size}"
    ):
        getattr(comm, name)(np.zeros(1), [np.zeros(comm.size + 2), wrong])


def test_as_many_displacements_as_ranks(comm):
    with raises(ValueError, text="recvbuf"):
        comm.Allgatherv(np.zeros(1), [np.zeros(comm.size), [1] * comm.size, [0] * (comm.size + 1), MPI.DOUBLE])


def test_as_many_types_as_ranks(comm):
    size = comm.size
    good = [np.zeros(size), ([1] * size, [0] * size), [MPI.DOUBLE] * size]
    bad = [np.zeros(size), ([1] * size, [0] * size), [MPI.DOUBLE] * (size + 1)]
    with raises(ValueError, text="sendbuf"):
        comm.Alltoallw(bad, good)
    with raises(ValueError, text="recvbuf"):
        comm.Alltoallw(good, bad)


@pytest.mark.parametrize("bad", [-1, 2**31, 2**40])
def test_counts_out_of_range(comm, bad):
    with raises(ValueError, OverflowError, BufferError, MPI.Exception, text="recvbuf|ount"):
        comm.Allgatherv(np.zeros(1), [np.zeros(comm.size), [bad] * comm.size])


@pytest.mark.parametrize("bad", [1.5, "1", object()])
def test_counts_that_are_no_integers(comm, bad):
    with raises(TypeError, ValueError, text="recvbuf"):
        comm.Allgatherv(np.zeros(1), [np.zeros(comm.size), [bad] * comm.size])


@pytest.mark.parametrize("name", ["Allgatherv", "Iallgatherv"])
def test_a_buffer_too_small_for_its_counts(comm, name):
    with raises(ValueError, BufferError, text="recvbuf"):
        getattr(comm, name)(np.zeros(2), [np.zeros(comm.size), [2] * comm.size])


def test_a_displacement_outside_the_buffer(comm):
    for displs in ([comm.size] * comm.size, [-1] * comm.size):
        with raises(ValueError, BufferError, text="recvbuf"):
            comm.Allgatherv(np.zeros(1), [np.zeros(comm.size), [1] * comm.size, displs, MPI.DOUBLE])


def test_alltoallw_checks_the_reach_of_every_part(comm):
    size = comm.size
    good = [np.zeros(size, "i"), ([1] * size, [0] * size), [MPI.INT] * size]
    bad = [np.zeros(size, "i"), ([1] * size, [4 * size] * size), [MPI.INT] * size]
    with raises(ValueError, BufferError, text="recvbuf"):
        comm.Alltoallw(good, bad)


@pytest.mark.parametrize("name", ["Gather", "Allgather", "Alltoall"])
def test_a_receive_buffer_with_no_room_for_all_ranks(comm, name):
    if comm.size == 1:
        pytest.skip("one rank has no other to make room for")
    with raises(ValueError, BufferError, MPI.Exception, text="recvbuf|TRUNC|trunc"):
        getattr(comm, name if name != "Gather" else "Allgather")(np.zeros(comm.size), [np.zeros(1), 1, MPI.DOUBLE])


def test_a_buffer_that_cannot_be_shared_evenly(comm):
    if comm.size == 1:
        pytest.skip("anything divides by one")
    with raises(ValueError, BufferError, text="recvbuf"):
        comm.Allgather(np.zeros(1), np.zeros(comm.size + 1))


@pytest.mark.parametrize("name", ["Allreduce", "Iallreduce", "Scan", "Exscan"])
def test_reductions_want_equal_lengths(comm, name):
    with raises(ValueError, text="4.*3"):
        getattr(comm, name)(np.zeros(4), np.zeros(3))


@pytest.mark.parametrize("name", ["Allreduce", "Iallreduce", "Scan", "Exscan"])
def test_reductions_want_equal_types(comm, name):
    with raises(ValueError, TypeError, text="type"):
        getattr(comm, name)(np.zeros(4), np.zeros(4, "i"))


def test_reduce_scatter_wants_counts_that_fit(comm):
    with raises(ValueError, BufferError, text="count|sendbuf|recvbuf"):
        comm.Reduce_scatter(np.zeros(comm.size), np.zeros(1), [2] * comm.size)
    with raises(ValueError, text="recvcounts|recvbuf"):
        comm.Reduce_scatter(np.zeros(comm.size), np.zeros(1), [1] * (comm.size + 1))


def test_reduce_scatter_block_wants_room_for_all(comm):
    with raises(ValueError, BufferError, text="count|sendbuf|recvbuf"):
        comm.Reduce_scatter_block(np.zeros(2 * comm.size + 1), np.zeros(2))


@pytest.mark.parametrize("op", [None, 3, "SUM", max])
def test_an_operation_must_be_an_op(comm, op):
    with raises(TypeError, text="op"):
        comm.Allreduce(np.zeros(1), np.zeros(1), op=op)


def test_a_null_operation(comm):
    with raises(MPI.Exception, ValueError, text="(?i)op"):
        comm.Allreduce(np.zeros(1), np.zeros(1), op=MPI.OP_NULL)


@pytest.mark.parametrize("name", ["Bcast", "Ibcast"])
@pytest.mark.parametrize("root", [-7, 5])
def test_a_root_that_is_no_rank(comm, name, root):
    with raises(MPI.Exception, text="(?i)root") as caught:
        getattr(comm, name)(np.zeros(1), root=root)
    assert caught.value.Get_error_class() == MPI.ERR_ROOT


@pytest.mark.parametrize("root", [0.5, "0", None])
def test_a_root_that_is_no_integer(comm, root):
    with raises(TypeError, text="root|integer"):
        comm.Bcast(np.zeros(1), root=root)


def test_in_place_is_no_receive_buffer(comm):
    for sendbuf in (MPI.IN_PLACE, np.zeros(1)):
        with raises(MPI.Exception, TypeError, ValueError, BufferError, text="(?i)recvbuf|in_place|buffer"):
            comm.Allreduce(sendbuf, MPI.IN_PLACE)
    with raises(MPI.Exception, TypeError, ValueError, BufferError, text="(?i)buf|in_place"):
        comm.Bcast(MPI.IN_PLACE)


@pytest.mark.parametrize("name", ["Allgather", "Allgatherv", "Alltoall", "Alltoallv", "Allreduce", "Scan"])
def test_a_missing_buffer(comm, name):
    with raises(TypeError, text="recvbuf|buffer"):
        getattr(comm, name)(np.zeros(comm.size), None)


def test_missing_at_the_root(comm):
    """Only rank 0 is at fault and only it raises: on a communicator of its own, so that nobody waits."""
    for name in ("Gather", "Gatherv", "Reduce"):
        with raises(TypeError, text="recvbuf|buffer"):
            getattr(MPI.COMM_SELF, name)(np.zeros(1), None)
    for name in ("Scatter", "Scatterv"):
        with raises(TypeError, text="sendbuf|buffer"):
            getattr(MPI.COMM_SELF, name)(None, np.zeros(1))


def test_a_strided_array_and_a_read_only_receive_buffer(comm):
    every_second = np.full(8, float(comm.rank))
    comm.Bcast(every_second[::2])
    assert every_second.tolist() == [0.0, comm.rank] * 4
    with raises(ValueError, BufferError, TypeError, text="(?i)recvbuf.*(read.?only|writ)"):
        comm.Allreduce(np.zeros(1), np.zeros(1).tobytes())


def test_the_same_memory_twice(comm):
    """MPI forbids it; the answer is MPI's error or the in-place result, never a wrong number."""
    data = own(comm.rank, 3)
    try:
        comm.Allreduce(data, data)
    except (MPI.Exception, ValueError) as error:
        assert "lias" in str(error) or "IN_PLACE" in str(error) or "uffer" in str(error)
    else:
        assert (data == reduced(comm, "SUM", 3)).all()


def test_a_freed_communicator(comm):
    copy = comm.Dup()
    copy.Free()
    for use in (
        copy.Barrier,
        copy.Ibarrier,
        lambda: copy.Bcast(np.zeros(1)),
        lambda: copy.Allreduce(np.zeros(1), np.zeros(1)),
    ):
        with raises(MPI.Exception, text="(?i)comm") as caught:
            use()
        assert caught.value.Get_error_class() == MPI.ERR_COMM


def test_communication_works_after_all_these_errors(comm):
    into = np.zeros(3)
    comm.Allreduce(own(comm.rank, 3), into)
    assert (into == reduced(comm, "SUM", 3)).all()
