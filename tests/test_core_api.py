# SPDX-License-Identifier: BSD-3-Clause
"""MaroonMPI 1's core API: every name, on real messages; misuse; and programs as they were written for it."""

import itertools
import pickle
import sys

import numpy as np
import pytest

import mmpi
from jobs import job, lines, serial
from mmpi import core as mpi
from requirements import need

ranks = pytest.mark.mmpi(n=[1, 2, 3, 5])

# what MaroonMPI 1.1 had, what its headers promised, and what MYMPI had for processes
FUNCTIONS = """
abort allgather allgatherv allreduce alltoall alltoallv barrier bcast comm_compare comm_create comm_dup comm_free comm_group comm_rank
comm_size comm_split error error_string finalize gather gatherv get_count get_processor_name get_version group_incl group_rank init
initialized iprobe irecv isend probe recv reduce scan scatter scatterv send status test wait wtick wtime
sendrecv cancel testall testany testsome waitall waitany waitsome reduce_scatter cart_create cart_coords cart_get cart_map cart_rank
cart_shift cart_sub graph_create intercomm_create intercomm_merge remote_size pack unpack type_contiguous type_vector type_hvector
type_indexed type_hindexed type_struct type_commit type_free type_size type_extent type_lb type_ub
attr_get comm_spawn array_of_errcodes comm_get_parent open_port close_port comm_accept comm_connect comm_disconnect comm_set_errhandler
comm_split_type comm_c2f comm_f2c type_c2f type_f2c op_c2f op_f2c group_c2f group_f2c
""".split()
CONSTANTS = """
CHAR BYTE SHORT INT LONG FLOAT DOUBLE PACKED MAX MIN SUM PROD LAND BAND LOR BOR LXOR BXOR MINLOC MAXLOC COMM_WORLD COMM_NULL OP_NULL
GROUP_NULL DATATYPE_NULL REQUEST_NULL ERRHANDLER_NULL PROC_NULL ANY_SOURCE ANY_TAG UNDEFINED BOTTOM SUCCESS KEYVAL_INVALID
BSEND_OVERHEAD MAX_PROCESSOR_NAME MAX_ERROR_STRING IDENT CONGRUENT SIMILAR UNEQUAL ROOT INFO_NULL ERRORS_RETURN TAG_UB COMM_SELF 2INT
""".split()


def test_every_name_is_there():
    assert set(FUNCTIONS) <= set(mpi.__all__)
    assert {f"MPI_{name}" for name in CONSTANTS} | {f"mpi_{name}" for name in FUNCTIONS} <= set(dir(mpi))
    for name in FUNCTIONS:
        assert name == "init" or getattr(mpi, f"mpi_{name}") is getattr(mpi, name)
        assert getattr(mpi, name).__doc__
    assert all(isinstance(getattr(mpi, f"MPI_{name}"), int) for name in CONSTANTS if name != "BOTTOM")
    assert type(mpi.MPI_BOTTOM).__name__ == "BottomType" and int(mpi.MPI_BOTTOM) == 0, "a plain 0 would be a number to send"


@pytest.mark.parametrize("name", ["MPI_UB", "MPI_LB"])
def test_what_mpi_has_removed_says_so(name):
    with pytest.raises(AttributeError, match=r"removed from MPI in version 3\.0"):
        getattr(mpi, name)


@pytest.mark.parametrize("name", ["MPI_NOTHING", "nothing", "mpi_nothing", "MPI_Comm"])
def test_other_names_are_no_attributes(name):
    with pytest.raises(AttributeError, match=name):
        getattr(mpi, name)


def test_the_exception_is_that_of_mmpi():
    assert mpi.MpiException is mmpi.MPIError


# --- on ranks ------------------------------------------------------------------------------------------------


@pytest.fixture
def world():
    mpi.init()
    return mpi.MPI_COMM_WORLD


@pytest.fixture
def me(world):
    return mpi.comm_rank(world), mpi.comm_size(world)


def ring(me):
    rank, size = me
    return (rank - 1) % size, (rank + 1) % size


@ranks
def test_init_returns_rank_and_size(me):
    assert mpi.init() == mpi.mpi_init() == mpi.init(len(sys.argv), sys.argv) == me
    assert mpi.mpi_init(3, ["a", "b", "c"]) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="argc is 2, but argv has 3 items"):
        mpi.mpi_init(2, ["a", "b", "c"])
    assert mpi.initialized() and not mpi.finalized()


TYPES = [
    ("CHAR", "S1"), ("BYTE", "B"), ("SHORT", "h"), ("INT", "i"), ("LONG", "l"), ("FLOAT", "f"), ("DOUBLE", "d"), ("UNSIGNED", "I"),
    ("LONG_LONG", "q"), ("C_DOUBLE_COMPLEX", "D"), ("INT16_T", "h"),
]  # fmt: skip


@ranks
@pytest.mark.parametrize(("name", "code"), TYPES)
@pytest.mark.parametrize("count", [0, 1, 7, 3000])
def test_send_and_recv(world, me, tag, name, code, count):
    left, right = ring(me)
    kind = getattr(mpi, f"MPI_{name}")
    mine = np.array([(me[0] + i) % 100 for i in range(count)]).astype(code)
    request = mpi.isend(mine, count, kind, right, tag, world)
    got = mpi.recv(count, kind, left, tag, world)
    mpi.wait(request)
    assert type(got) is np.ndarray and got.dtype == np.dtype(code)
    assert (got == np.array([(left + i) % 100 for i in range(count)]).astype(code)).all() and got.shape == (count,)


@ranks
@pytest.mark.parametrize(
    ("buf", "name", "count", "expected"),
    [
        ([1, 2, 3], "INT", 2, [1, 2]), (range(4), "DOUBLE", 4, [0, 1, 2, 3]), (5, "INT", 1, [5]), (2.5, "DOUBLE", 1, [2.5]),
        ("hello", "CHAR", 5, [b"h", b"e", b"l", b"l", b"o"]), (b"ab", "BYTE", 2, [97, 98]),
        (np.arange(6).reshape(2, 3).T, "INT", 6, [0, 3, 1, 4, 2, 5]),
        (np.arange(5)[::2], "INT", 3, [0, 2, 4]), ([], "INT", 0, []), (np.float64(1.5), "FLOAT", 1, [1.5]),
    ],
)  # fmt: skip
def test_what_may_be_sent(world, me, tag, buf, name, count, expected):
    kind = getattr(mpi, f"MPI_{name}")
    left, right = ring(me)
    got = mpi.sendrecv(buf, count, kind, right, tag, count, kind, left, tag, world)
    assert got.tolist() == expected
    assert mpi.status() == (left, tag, 0) and mpi.get_count(kind) == count


@ranks
def test_probe_status_and_get_count(world, me, tag):
    left, right = ring(me)
    request = mpi.isend([1, 2, 3], 3, mpi.MPI_INT, right, tag, world)
    assert mpi.probe(left, tag, world) == mpi.status() == (left, tag, 0)
    assert mpi.iprobe(mpi.MPI_ANY_SOURCE, tag, world) is True
    assert mpi.get_count(mpi.MPI_INT) == 3 and mpi.get_count(mpi.MPI_BYTE) == 12
    assert mpi.get_count(mpi.MPI_DOUBLE) == mpi.MPI_UNDEFINED
    assert mpi.recv(5, mpi.MPI_INT, mpi.MPI_ANY_SOURCE, tag, world).tolist() == [1, 2, 3, 0, 0]
    mpi.wait(request)
    mpi.barrier(world)
    assert mpi.iprobe(mpi.MPI_ANY_SOURCE, tag, world) is False


@ranks
def test_requests_have_numbers_that_are_never_used_again(world, me, tag):
    left, right = ring(me)
    seen = set()
    for i in range(3):
        receive, buffer = mpi.irecv(1, mpi.MPI_INT, left, tag, world)
        send = mpi.isend([i], 1, mpi.MPI_INT, right, tag, world)
        while not mpi.test(receive):
            pass
        mpi.wait(send)
        assert buffer.tolist() == [i] and not {receive, send} & seen
        seen |= {receive, send}
    for number in seen:
        for use in (mpi.wait, mpi.test, mpi.cancel, mpi.Request):
            with pytest.raises(mpi.MpiException, match=f"request {number} is finished, or never was one"):
                use(number)


@ranks
def test_several_requests(world, me, tag):
    left, right = ring(me)

    def exchange(n):
        receives = [mpi.irecv(1, mpi.MPI_INT, left, tag + i, world) for i in range(n)]
        sends = [mpi.isend([i], 1, mpi.MPI_INT, right, tag + i, world) for i in range(n)]
        return [number for number, _ in receives], sends, [buffer for _, buffer in receives]

    receives, sends, buffers = exchange(3)
    mpi.waitall(6, receives + sends)
    assert [b.tolist() for b in buffers] == [[0], [1], [2]]
    receives, sends, _ = exchange(2)
    while not mpi.testall(4, receives + sends):
        pass
    receives, sends, _ = exchange(2)
    index = mpi.waitany(2, receives)
    receives[index] = mpi.MPI_REQUEST_NULL
    assert mpi.status()[0] == left
    while not (found := mpi.testany(2, receives))[1]:
        pass
    receives[found[0]] = mpi.MPI_REQUEST_NULL
    assert mpi.waitany(2, receives) == mpi.MPI_UNDEFINED and mpi.waitsome(2, receives) == mpi.testsome(2, receives) == []
    mpi.waitall(2, sends)
    receives, sends, _ = exchange(3)
    open_ones = receives + sends
    while open_ones:
        done = mpi.waitsome(len(open_ones), open_ones)
        open_ones = [number for i, number in enumerate(open_ones) if i not in done]
        done = mpi.testsome(len(open_ones), open_ones)
        open_ones = [number for i, number in enumerate(open_ones) if i not in done]
    with pytest.raises(ValueError, match="count is 2, but 1 requests are given"):
        mpi.waitall(2, [mpi.MPI_REQUEST_NULL])


@ranks
def test_cancel(world, me, tag):
    request, _ = mpi.irecv(1, mpi.MPI_INT, me[0], tag, world)
    mpi.cancel(request)
    mpi.wait(request)
    assert mpi.test_cancelled() is True
    assert mpi.sendrecv([1], 1, mpi.MPI_INT, me[0], tag, 1, mpi.MPI_INT, me[0], tag, world)[0] == 1
    assert mpi.test_cancelled() is False


@ranks
def test_the_request_object_of_old(world, me, tag):
    left, right = ring(me)
    number, buffer = mpi.irecv(2, mpi.MPI_INT, left, tag, world)
    request = mpi.Request(number)
    assert request.valid and int(request) == number and request.buffer is buffer
    assert (request.type, request.count, request.datatype) == ("irecv", 2, mpi.MPI_INT)
    assert (request.target, request.tag, request.comm) == (left, tag, world)
    send = mpi.Request(mpi.isend([3, 4], 2, mpi.MPI_INT, right, tag, world))
    assert send.type == "isend" and send.target == right
    assert request.wait().tolist() == [3, 4] and not request.valid and request.test()
    send.wait()
    assert mmpi.Request is not mpi.Request


@ranks
def test_collectives(world, me):
    rank, size = me
    INT, everyone = mpi.MPI_INT, list(range(size))
    for root in range(size):
        assert mpi.bcast([root, 7] if rank == root else None, 2, INT, root, world).tolist() == [root, 7]
        got = mpi.gather([rank, rank], 2, INT, 2, INT, root, world)
        assert got.tolist() == (sorted(everyone * 2) if rank == root else [])
        got = mpi.scatter(range(10, 10 + size), 1, INT, 1, INT, root, world)
        assert got.tolist() == [10 + rank]
        got = mpi.reduce([rank, 1], 2, INT, mpi.MPI_SUM, root, world)
        assert got.tolist() == ([sum(everyone), size] if rank == root else [])
    assert mpi.bcast([], 0, INT, 0, world).tolist() == mpi.allreduce([], 0, INT, mpi.MPI_SUM, world).tolist() == []
    assert mpi.allgather([rank], 1, INT, 1, INT, world).tolist() == everyone
    assert mpi.allreduce([rank], 1, mpi.MPI_DOUBLE, mpi.MPI_MAX, world).tolist() == [size - 1]
    assert mpi.scan([rank], 1, INT, mpi.MPI_SUM, world).tolist() == [sum(range(rank + 1))]
    assert mpi.alltoall([rank * 10 + i for i in everyone], 1, INT, 1, INT, world).tolist() == [i * 10 + rank for i in everyone]
    got = mpi.reduce_scatter([1] * sum(everyone), everyone, INT, mpi.MPI_SUM, world)
    assert got.tolist() == [size] * rank
    mpi.barrier(world)


@ranks
def test_collectives_of_any_length(world, me):
    rank, size = me
    INT = mpi.MPI_INT
    counts = [i + 1 for i in range(size)]
    displs = [sum(counts[:i]) + i for i in range(size)]  # with a hole of one item before each part
    whole = list(itertools.chain.from_iterable([0] * (i > 0) + [i] * (i + 1) for i in range(size)))
    for root in range(size):
        got = mpi.gatherv([rank] * (rank + 1), rank + 1, INT, counts, displs, INT, root, world)
        assert got.tolist() == (whole if rank == root else [])
        got = mpi.scatterv(whole if rank == root else None, counts, displs, INT, rank + 1, INT, root, world)
        assert got.tolist() == [rank] * (rank + 1)
    assert mpi.allgatherv([rank] * (rank + 1), rank + 1, INT, counts, displs, INT, world).tolist() == whole
    ones = list(range(size))
    got = mpi.alltoallv([rank] * size, [1] * size, ones, INT, [1] * size, ones, INT, world)
    assert got.tolist() == ones


@ranks
@pytest.mark.parametrize("name", ["MAX", "MIN", "SUM", "PROD", "LAND", "BAND", "LOR", "BOR", "LXOR", "BXOR"])
def test_operations(world, me, name):
    python = {
        "MAX": max, "MIN": min, "SUM": lambda a, b: a + b, "PROD": lambda a, b: a * b, "LAND": lambda a, b: int(bool(a and b)),
        "BAND": lambda a, b: a & b, "LOR": lambda a, b: int(bool(a or b)), "BOR": lambda a, b: a | b,
        "LXOR": lambda a, b: int((a != 0) != (b != 0)), "BXOR": lambda a, b: a ^ b,
    }[name]  # fmt: skip
    expected = 3
    for other in range(1, me[1]):
        expected = python(expected, other + 3)
    got = mpi.allreduce([me[0] + 3], 1, mpi.MPI_INT, getattr(mpi, f"MPI_{name}"), world)[0]
    assert bool(got) == bool(expected) if name[0] == "L" and me[1] == 1 else got == expected


@ranks
@pytest.mark.parametrize("name", ["2INT", "DOUBLE_INT", "FLOAT_INT", "LONG_INT", "SHORT_INT"])
def test_minloc_and_maxloc(world, me, name):
    rank, size = me
    kind = getattr(mpi, f"MPI_{name}")
    assert mpi.allreduce([(-rank, rank)], 1, kind, mpi.MPI_MINLOC, world).tolist() == [(1 - size, size - 1)]
    assert mpi.allreduce([(-rank, rank)], 1, kind, mpi.MPI_MAXLOC, world).tolist() == [(0, 0)]


@ranks
def test_groups_and_communicators(world, me):
    rank, size = me
    group = mpi.comm_group(world)
    assert mpi.group_rank(group) == rank and mpi.group_size(group) == size
    evens = list(range(0, size, 2))
    part = mpi.group_incl(group, len(evens), evens)
    assert mpi.group_rank(part) == (rank // 2 if rank % 2 == 0 else mpi.MPI_UNDEFINED)
    comm = mpi.comm_create(world, part)
    assert (comm == mpi.MPI_COMM_NULL) == (rank % 2 == 1)
    if rank % 2 == 0:
        assert (mpi.comm_rank(comm), mpi.comm_size(comm)) == (rank // 2, len(evens))
        mpi.comm_free(comm)
    mpi.group_free(part)
    mpi.group_free(group)
    twin = mpi.comm_dup(world)
    assert mpi.comm_compare(world, twin) == mpi.MPI_CONGRUENT and mpi.comm_compare(world, world) == mpi.MPI_IDENT
    half = mpi.comm_split(twin, rank % 2)
    assert mpi.comm_size(half) == len(range(rank % 2, size, 2))
    back = mpi.comm_split(twin, 0, -rank)
    assert mpi.comm_rank(back) == size - 1 - rank
    assert mpi.comm_split(twin, mpi.MPI_UNDEFINED) == mpi.MPI_COMM_NULL
    near = mpi.comm_split_type(twin, mpi.MPI_COMM_TYPE_SHARED, 0, mpi.MPI_INFO_NULL)
    assert mpi.comm_size(near) == size and not mpi.comm_test_inter(near)
    for one in (near, back, half, twin):
        mpi.comm_free(one)
    with pytest.raises(TypeError, match="expected a communicator, but 0x.* is a freed handle"):
        mpi.comm_size(twin)


@ranks
def test_grids(world, me):
    rank, size = me
    dims = mpi.dims_create(size, 2, [0, 0])
    assert dims[0] * dims[1] == size
    grid = mpi.cart_create(world, 2, dims, [1, 0], 0)
    assert mpi.cartdim_get(grid) == 2
    got_dims, periods, coords = mpi.cart_get(grid, 2)
    assert (got_dims, periods) == (dims, [1, 0]) and coords == [rank // dims[1], rank % dims[1]] == mpi.cart_coords(grid, rank, 2)
    assert mpi.cart_rank(grid, coords) == rank
    source, dest = mpi.cart_shift(grid, 0, 1)
    assert dest == mpi.cart_rank(grid, [(coords[0] + 1) % dims[0], coords[1]])
    assert mpi.cart_shift(grid, 1, dims[1]) == (mpi.MPI_PROC_NULL, mpi.MPI_PROC_NULL)
    row = mpi.cart_sub(grid, [0, 1])
    assert mpi.comm_size(row) == dims[1] and mpi.comm_rank(row) == coords[1]
    mpi.comm_free(row)
    mpi.comm_free(grid)
    with pytest.raises(ValueError, match="3 dimensions were announced, but 2 are given"):
        mpi.cart_create(world, 3, dims, [0, 0, 0], 0)


@ranks
def test_datatypes(world, me, tag):
    left, right = ring(me)
    column = mpi.type_vector(3, 1, 4, mpi.MPI_DOUBLE)
    mpi.type_commit(column)
    assert mpi.type_size(column) == 24 and mpi.type_extent(column) == 9 * 8 == mpi.type_ub(column) and mpi.type_lb(column) == 0
    matrix = np.arange(12.0).reshape(3, 4)
    got = mpi.sendrecv(matrix, 1, column, right, tag, 3, mpi.MPI_DOUBLE, left, tag, world)
    assert got.tolist() == [0, 4, 8]
    got = mpi.sendrecv([1, 2, 3], 3, mpi.MPI_DOUBLE, right, tag, 1, column, left, tag, world)
    assert got.dtype == float and got.tolist() == [1, 0, 0, 0, 2, 0, 0, 0, 3]
    made = [
        mpi.type_contiguous(2, mpi.MPI_INT), mpi.type_hvector(2, 1, 8, mpi.MPI_INT), mpi.type_indexed(2, [1, 1], [0, 2], mpi.MPI_INT),
        mpi.type_hindexed(2, [1, 1], [0, 8], mpi.MPI_INT), mpi.type_struct(2, [1, 1], [0, 8], [mpi.MPI_INT, mpi.MPI_INT]),
        mpi.type_create_resized(mpi.MPI_INT, 0, 16),
    ]  # fmt: skip
    assert [mpi.type_size(one) for one in made] == [8, 8, 8, 8, 8, 4]
    assert mpi.type_extent(made[-1]) == 16
    for one in [column, *made]:
        mpi.type_free(one)


@ranks
def test_handles_for_fortran(world):
    for kind, handle in [("comm", world), ("type", mpi.MPI_DOUBLE), ("op", mpi.MPI_SUM), ("group", mpi.comm_group(world))]:
        number = getattr(mpi, f"{kind}_c2f")(handle)
        assert -(2**31) <= number < 2**31 and getattr(mpi, f"{kind}_f2c")(number) == handle


@ranks
def test_what_this_process_is(world):
    assert mpi.get_processor_name() and mpi.get_version() >= (3, 0)
    assert mpi.wtime() > 0 and 0 < mpi.wtick() < 1
    mpi.comm_set_errhandler(world, mpi.MPI_ERRORS_RETURN)


@ranks
def test_the_world_is_joined_from_everywhere(world, me):
    """Handles are those of mmpi.MPI, and objects with a handle are taken as well."""
    from mmpi import MPI

    assert world == MPI.COMM_WORLD.handle and mpi.MPI_INT == MPI.INT.handle
    assert mpi.comm_size(MPI.COMM_WORLD) == mpi.comm_size(mmpi.Communicator()) == me[1]


# --- topologies of any shape, two groups, packing, processes --------------------------------------------------


@ranks
def test_graphs(world, me):
    _, size = me
    index = list(range(1, size + 1))
    ring = mpi.graph_create(world, size, index, [(i + 1) % size for i in range(size)], 0)
    assert mpi.comm_size(ring) == size
    mpi.comm_free(ring)


@ranks
def test_cart_map(world, me):
    assert 0 <= mpi.cart_map(world, 1, [me[1]], [1]) < me[1]


@pytest.mark.mmpi(n=[2, 3, 5])
def test_intercommunicators(world, me, tag):
    rank, size = me
    half = mpi.comm_split(world, rank % 2)
    inter = mpi.intercomm_create(half, 0, world, 1 - rank % 2, tag)
    there = len(range(1 - rank % 2, size, 2))
    assert mpi.comm_test_inter(inter) and mpi.comm_remote_size(inter) == mpi.remote_size(inter) == there
    root = (mpi.MPI_ROOT if rank == 0 else mpi.MPI_PROC_NULL) if rank % 2 == 0 else 0
    got = mpi.bcast([5, 6], 2, mpi.MPI_INT, root, inter)
    assert got.tolist() == ([5, 6] if rank == 0 or rank % 2 else [])
    got = mpi.gather([rank], 1, mpi.MPI_INT, 1, mpi.MPI_INT, root, inter)
    assert got.tolist() == (list(range(1, size, 2)) if rank == 0 else [])
    got = mpi.scatter(list(range(there)), 1, mpi.MPI_INT, 1, mpi.MPI_INT, root, inter)
    assert got.tolist() == ([rank // 2] if rank % 2 else [])
    got = mpi.reduce([1], 1, mpi.MPI_INT, mpi.MPI_SUM, root, inter)
    assert got.tolist() == ([there] if rank == 0 else [])
    merged = mpi.intercomm_merge(inter, rank % 2)
    assert mpi.comm_size(merged) == size
    for one in (merged, inter, half):
        mpi.comm_free(one)


@ranks
def test_pack_and_unpack(world, me, tag):
    left, right = ring(me)
    size = mpi.pack_size(2, mpi.MPI_INT, world) + mpi.pack_size(1, mpi.MPI_DOUBLE, world)
    packed = bytearray(size)
    position = mpi.pack([1, 2], 2, mpi.MPI_INT, packed, size, 0, world)
    position = mpi.pack([2.5], 1, mpi.MPI_DOUBLE, packed, size, position, world)
    got = mpi.sendrecv(packed, position, mpi.MPI_PACKED, right, tag, size, mpi.MPI_PACKED, left, tag, world)
    numbers, place = mpi.unpack(got, size, 0, 2, mpi.MPI_INT, world)
    last, place = mpi.unpack(got, size, place, 1, mpi.MPI_DOUBLE, world)
    assert numbers.tolist() == [1, 2] and last.tolist() == [2.5] and place == position
    with pytest.raises(ValueError, match="outsize is"):
        mpi.pack([1], 1, mpi.MPI_INT, packed, size + 1, 0, world)


@ranks
def test_attributes(world):
    assert mpi.attr_get(world, mpi.MPI_TAG_UB) >= 32767


@pytest.mark.mmpi(n=[1])
def test_spawn(world, tmp_path):
    assert mpi.comm_get_parent() == mpi.MPI_COMM_NULL
    child = tmp_path / "child.py"
    code = """
from mmpi import core as mpi
rank, size = mpi.init()
parent = mpi.comm_get_parent()
got = mpi.bcast(None, 1, mpi.MPI_INT, 0, parent)
mpi.reduce(got * (rank + 1), 1, mpi.MPI_INT, mpi.MPI_SUM, 0, parent)
mpi.comm_disconnect(parent)
"""
    child.write_text(code)
    try:
        inter = mpi.comm_spawn(sys.executable, [str(child)], 2, mpi.MPI_INFO_NULL, 0, world)
    except (mpi.MpiException, NotImplementedError) as error:
        pytest.skip(f"this MPI starts no processes: {error}")
    assert mpi.array_of_errcodes() == [0, 0]
    mpi.bcast([7], 1, mpi.MPI_INT, mpi.MPI_ROOT, inter)
    assert mpi.reduce(None, 1, mpi.MPI_INT, mpi.MPI_SUM, mpi.MPI_ROOT, inter).tolist() == [21]
    mpi.comm_disconnect(inter)


@pytest.mark.mmpi(n=[2])
def test_ports(world, me, tag):
    rank, _ = me
    null = mpi.MPI_INFO_NULL
    if rank == 0:
        try:
            port = mpi.open_port(null)
        except (mpi.MpiException, NotImplementedError) as error:
            port = ""
            reason = str(error)
        name = port.encode().ljust(1024)
        mpi.send(name, 1024, mpi.MPI_CHAR, 1, tag, world)
        if not port:
            pytest.skip(f"this MPI opens no ports: {reason}")
        inter = mpi.comm_accept(port, null, 0, mpi.MPI_COMM_SELF)
    else:
        port = mpi.recv(1024, mpi.MPI_CHAR, 0, tag, world).tobytes().decode().strip()
        if not port:
            pytest.skip("this MPI opens no ports")
        inter = mpi.comm_connect(port, null, 0, mpi.MPI_COMM_SELF)
    assert mpi.sendrecv([rank], 1, mpi.MPI_INT, 0, 1, 1, mpi.MPI_INT, 0, 1, inter).tolist() == [1 - rank]
    mpi.comm_disconnect(inter)
    if rank == 0:
        mpi.close_port(port)


# --- misuse --------------------------------------------------------------------------------------------------


@ranks
def test_counts_are_checked_against_buffers(world, me, tag):
    rank = me[0]
    for bad in (
        lambda: mpi.send([1, 2], 3, mpi.MPI_INT, rank, tag, world),
        lambda: mpi.send([1, 2], -1, mpi.MPI_INT, rank, tag, world),
        lambda: mpi.isend(np.zeros(3), 4, mpi.MPI_DOUBLE, rank, tag, world),
        lambda: mpi.recv(-1, mpi.MPI_INT, rank, tag, world),
        lambda: mpi.bcast([1], 2, mpi.MPI_INT, rank, mpi.MPI_COMM_SELF if not rank else world),
        lambda: mpi.allreduce([1], 2, mpi.MPI_INT, mpi.MPI_SUM, world),
        lambda: mpi.gatherv([1], 1, mpi.MPI_INT, [1], [0, 1], mpi.MPI_INT, rank, world),
        lambda: mpi.gatherv([1], 1, mpi.MPI_INT, [-1] * me[1], [0] * me[1], mpi.MPI_INT, rank, world),
    ):
        with pytest.raises((ValueError, mpi.MpiException)):
            bad()
    assert mpi.iprobe(rank, tag, world) is False


@ranks
def test_items_that_do_not_fit(world, tag):
    with pytest.raises(OverflowError, match="does not fit"):
        mpi.send([2**40], 1, mpi.MPI_INT, 0, tag, world)
    with pytest.raises(TypeError, match="float64"):
        mpi.send([1.5], 1, mpi.MPI_INT, 0, tag, world)
    with pytest.raises(TypeError, match="cannot be sent as"):
        mpi.send({"a": 1}, 1, mpi.MPI_INT, 0, tag, world)
    with pytest.raises(ValueError, match="buf has 3 bytes, no whole number of items of 4 bytes"):
        mpi.send("abc", 1, mpi.MPI_INT, 0, tag, world)


@ranks
def test_mixed_up_handles_are_named(world, tag):
    with pytest.raises(TypeError, match="expected a communicator, but 0x.* is a datatype"):
        mpi.send([1], 1, world, 0, tag, mpi.MPI_INT)
    with pytest.raises(TypeError, match="expected a datatype, but 0x.* is a communicator"):
        mpi.recv(1, world, 0, tag, world)
    with pytest.raises(TypeError, match="expected a communicator, but 0x1 is no handle"):
        mpi.barrier(1)
    with pytest.raises(TypeError, match="expected a handle, which is an int, not 'world'"):
        mpi.barrier("world")
    with pytest.raises(TypeError, match=r"expected the number of a request, which is an int, not \(1, "):
        mpi.wait((1, [0]))
    with pytest.raises(TypeError, match="expected the number of a request, which is an int, not None"):
        mpi.waitall(1, [None])
    with pytest.raises(TypeError, match="expected an operation, but 0x.* is a datatype"):
        mpi.allreduce([1], 1, mpi.MPI_INT, mpi.MPI_INT, world)


@ranks
def test_errors_are_raised_and_remembered(world, me, tag):
    with pytest.raises(mpi.MpiException) as caught:
        mpi.send([1], 1, mpi.MPI_INT, me[1] + 5, tag, world)
    assert mpi.error() == int(caught.value) != mpi.MPI_SUCCESS
    assert mpi.error_string() == mpi.error_string(mpi.error()) != ""
    mpi.barrier(world)
    assert mpi.error() == mpi.MPI_SUCCESS


BEFORE = """
from mmpi import core as mpi
for name, arguments in [("barrier", [0]), ("comm_rank", [0]), ("wtime", []), ("recv", [1] * 5), ("isend", [1] * 6), ("finalize", [])]:
    try:
        getattr(mpi, name)(*arguments)
        print("nothing")
    except mpi.MpiException as error:
        print(error)
assert not mpi.initialized()
"""


def test_calls_before_init():
    out = lines(serial(BEFORE))
    assert out == sorted(f"Attempt to call mpi.{name} before mpi.init!" for name in "barrier comm_rank wtime recv isend finalize".split())


def test_importing_starts_nothing():
    out = lines(serial("import sys\nfrom mmpi import core\nprint('mmpi._core' in sys.modules, core.initialized())"))
    assert out == ["False False"]


def test_a_second_init_raises_and_so_does_what_comes_after_the_end():
    code = """
    from mmpi import core as mpi
    mpi.init()
    for what in (mpi.init, mpi.finalize, lambda: mpi.barrier(mpi.MPI_COMM_WORLD)):
        try:
            print(what())
        except mpi.MpiException as error:
            print(error)
    """
    out = serial(code).stdout.splitlines()
    assert "initialized once" in out[0] and out[1] == "None" and out[2] == "Attempt to call mpi.barrier after mpi.finalize!"


def test_abort_ends_all():
    code = """
    from mmpi import core as mpi
    rank, _ = mpi.init()
    if rank:
        mpi.abort(mpi.MPI_COMM_WORLD, 7)
    mpi.recv(1, mpi.MPI_INT, 1, 1, mpi.MPI_COMM_WORLD)
    """
    assert job(2, code).returncode == 7


WITHOUT_NUMPY = """
import sys
sys.modules["numpy"] = None
import array
from mmpi import core as mpi
rank, size = mpi.init()
W = mpi.MPI_COMM_WORLD
got = mpi.allgather([rank], 1, mpi.MPI_INT, 1, mpi.MPI_INT, W)
assert got == array.array("i", range(size)), got
assert mpi.bcast("hi", 2, mpi.MPI_CHAR, 0, W).tobytes() == b"hi"
assert mpi.allreduce(array.array("d", [1.5]), 1, mpi.MPI_DOUBLE, mpi.MPI_SUM, W)[0] == 1.5 * size
pairs = mpi.allreduce(array.array("i", [rank, rank]), 1, mpi.MPI_2INT, mpi.MPI_MAXLOC, W)
assert list(pairs) == [size - 1, size - 1], pairs
try:
    mpi.send([1], 2, mpi.MPI_INT, rank, 1, W)
except ValueError:
    print("fine")
"""


def test_without_numpy():
    assert lines(job(2, WITHOUT_NUMPY)) == ["fine", "fine"]


# --- mmpi.Communicator ----------------------------------------------------------------------------------------


@ranks
def test_communicators_are_lists_of_ranks(me):
    from mmpi import MPI

    rank, size = me
    comm = mmpi.Communicator()
    assert comm.comm is MPI.COMM_WORLD and (comm.rank(), comm.size(), len(comm)) == (rank, size, size)
    assert int(comm) == MPI.COMM_WORLD.handle == mpi.MPI_COMM_WORLD
    assert comm[:] == list(comm) == list(range(size)) and comm[0] == 0 and comm[-1] == size - 1 and comm[::2] == list(range(0, size, 2))
    with pytest.raises(IndexError):
        comm[size]
    assert comm == mmpi.Communicator(int(comm)) == mmpi.Communicator(comm) and len({comm, mmpi.Communicator()}) == 1
    twin = comm.dup()
    assert twin != comm and twin.comm.Compare(comm.comm) == MPI.CONGRUENT
    part = twin.create(twin[::2])
    assert (part is None) == (rank % 2 == 1) and (part is None or part.size() == (size + 1) // 2)
    half = twin.split(rank % 2, key=-rank)
    assert half.size() == len(range(rank % 2, size, 2)) and half.rank() == half.size() - 1 - rank // 2
    assert twin.split(MPI.UNDEFINED) is None
    for one in (part, half, twin):
        if one:
            one.comm.Free()


@pytest.mark.parametrize("bad", ["world", 1.5, [0]])
def test_other_things_are_no_communicators(bad):
    with pytest.raises(TypeError, match="expected a communicator"):
        mmpi.Communicator(bad)


def test_names_of_mmpi_stay_what_they_are():
    from mmpi import MPI

    assert mmpi.Request is MPI.Request and mmpi.Communicator.__module__ == "mmpi.communicator"
    assert pickle.loads(pickle.dumps(mmpi.Communicator)) is mmpi.Communicator
    assert need("numpy")
