# SPDX-License-Identifier: BSD-3-Clause
"""Communicators that join two groups: what they are, typed collectives, objects, and errors that both groups hear of."""

import contextlib
import functools

import numpy as np
import pytest

import mmpi
from alike import CannotTravel, same
from mmpi import MPI
from things import THINGS

pytestmark = pytest.mark.mmpi(n=[2, 3, 5])


@pytest.fixture
def inter():
    """The lower half of WORLD and the upper one."""
    world = MPI.COMM_WORLD
    half = world.size // 2
    low = world.rank < half
    own = world.Split(0 if low else 1)
    comm = own.Create_intercomm(0, world, half if low else 0, tag=7)
    yield comm
    comm.Free()
    own.Free()


def is_low():
    return MPI.COMM_WORLD.rank < MPI.COMM_WORLD.size // 2


def base(low):
    """The rank in WORLD of a group's rank 0."""
    return 0 if low else MPI.COMM_WORLD.size // 2


def rooted(inter, root, root_is_low):
    """What a rank passes as root: ROOT at the root itself, PROC_NULL beside it, the rank on the other side."""
    if is_low() != root_is_low:
        return root
    return MPI.ROOT if inter.rank == root else MPI.PROC_NULL


@pytest.fixture(params=[True, False], ids=["root below", "root above"])
def root_is_low(request):
    return request.param


def roots(root_is_low):
    """All ranks of the root's group."""
    half = MPI.COMM_WORLD.size // 2
    return range(half if root_is_low else MPI.COMM_WORLD.size - half)


# --- what they are ------------------------------------------------------------------------------------------


def test_what_it_is(inter):
    half = MPI.COMM_WORLD.size // 2
    sizes = (half, MPI.COMM_WORLD.size - half)
    assert type(inter) is MPI.Intercomm and inter.is_inter and not inter.is_intra
    assert (inter.size, inter.remote_size) == (sizes if is_low() else sizes[::-1])
    assert inter.Get_remote_size() == inter.remote_size
    assert inter.rank == MPI.COMM_WORLD.rank - base(is_low())
    group = inter.Get_remote_group()
    first = base(not is_low())
    assert (
        group.Translate_ranks() == list(range(first, first + inter.remote_size))
        and inter.remote_group.size == group.size
    )


@pytest.mark.parametrize("low_first", [True, False])
def test_merge(inter, low_first):
    both = inter.Merge(high=is_low() != low_first)
    world = MPI.COMM_WORLD
    order = [*range(world.size // 2), *range(world.size // 2, world.size)]
    order = order if low_first else order[world.size // 2 :] + order[: world.size // 2]
    assert type(both) is MPI.Intracomm and both.allgather(world.rank) == order
    both.Free()


def test_duplicates_and_parts(inter):
    twin = inter.Dup()
    assert type(twin) is MPI.Intercomm and MPI.Comm.Compare(inter, twin) == MPI.CONGRUENT
    assert twin.allgather(inter.rank) == list(range(inter.remote_size))
    twin.Free()
    part = inter.Split(0 if inter.rank == 0 else MPI.UNDEFINED)
    assert (part != MPI.COMM_NULL) == (inter.rank == 0)
    if part != MPI.COMM_NULL:
        assert (part.size, part.remote_size) == (1, 1)
        part.Free()


def test_of_groups_without_a_parent():
    world = MPI.COMM_WORLD.Get_group()
    half = world.size // 2
    low, high = world.Range_incl([(0, half - 1, 1)]), world.Range_incl([(half, world.size - 1, 1)])
    own, other = (low, high) if is_low() else (high, low)
    try:
        comm = MPI.Intercomm.Create_from_groups(own, 0, other, 0, "mmpi.test")
    except NotImplementedError as error:
        pytest.skip(str(error))
    except MPI.Exception as error:
        if error.Get_error_class() != MPI.ERR_UNSUPPORTED_OPERATION:
            raise
        pytest.skip(f"the library has it, but not for this transport: {error}")
    assert type(comm) is MPI.Intercomm and (comm.size, comm.remote_size) == (own.size, other.size)
    assert comm.allgather(comm.rank) == list(range(other.size))
    comm.Free()


# --- typed collectives --------------------------------------------------------------------------------------


def blocking(comm, name, *args, **options):
    getattr(comm, name)(*args, **options)


def nonblocking(comm, name, *args, **options):
    getattr(comm, "I" + name.lower())(*args, **options).Wait()


@pytest.fixture(params=[blocking, nonblocking], ids=["blocking", "nonblocking"])
def call(request):
    return request.param


def own(inter, length=3):
    return np.arange(length, dtype="d") + 10 * inter.rank + 100 * is_low()


def others(inter, rank, length=3):
    """What that rank on the other side has."""
    return np.arange(length, dtype="d") + 10 * rank + 100 * (not is_low())


def typed_roots(call, root_is_low):
    """One root for those that do not block: ranks that name PROC_NULL do not count them, so MPICH and Open MPI hang in the next."""
    return roots(root_is_low) if call is blocking else roots(root_is_low)[:1]


def test_bcast(inter, call, root_is_low):
    for root in typed_roots(call, root_is_low):
        name = rooted(inter, root, root_is_low)
        buf = own(inter) if name == MPI.ROOT else np.zeros(3)
        call(inter, "Bcast", None if name == MPI.PROC_NULL else buf, root=name)
        assert np.array_equal(
            buf, own(inter) if name == MPI.ROOT else np.zeros(3) if name == MPI.PROC_NULL else others(inter, root)
        )


@pytest.mark.parametrize("name", ["Gather", "Gatherv"])
def test_gather(inter, call, root_is_low, name):
    for root in typed_roots(call, root_is_low):
        as_root = rooted(inter, root, root_is_low)
        got = np.zeros((inter.remote_size, 3)) if as_root == MPI.ROOT else None
        call(inter, name, own(inter), got, root=as_root)
        if got is not None:
            assert np.array_equal(got, [others(inter, rank) for rank in range(inter.remote_size)])


@pytest.mark.parametrize("name", ["Scatter", "Scatterv"])
def test_scatter(inter, call, root_is_low, name):
    for root in typed_roots(call, root_is_low):
        as_root = rooted(inter, root, root_is_low)
        out = np.arange(inter.remote_size * 2, dtype="d") + root if as_root == MPI.ROOT else None
        got = np.zeros(2)
        call(inter, name, out, got, root=as_root)
        if as_root >= 0:
            assert np.array_equal(got, np.arange(2.0) + 2 * inter.rank + root)


def test_allgather(inter, call):
    got = np.zeros((inter.remote_size, 3))
    call(inter, "Allgather", own(inter), got)
    assert np.array_equal(got, [others(inter, rank) for rank in range(inter.remote_size)])


def test_allgatherv(inter, call):
    counts = [rank + 1 for rank in range(inter.remote_size)]
    got = np.zeros(sum(counts))
    call(inter, "Allgatherv", own(inter, inter.rank + 1), [got, counts])
    assert np.array_equal(got, np.concatenate([others(inter, rank, rank + 1) for rank in range(inter.remote_size)]))


@pytest.mark.parametrize("name", ["Alltoall", "Alltoallv", "Alltoallw"])
def test_alltoall(inter, call, name):
    n = inter.remote_size
    out, got = np.array([own(inter)[0] + 1000 * rank for rank in range(n)]), np.zeros(n)
    if name == "Alltoallw":
        call(inter, name, *([b, ([1] * n, [8 * i for i in range(n)]), [MPI.DOUBLE] * n] for b in (out, got)))
    else:
        call(inter, name, out, got)
    assert np.array_equal(got, [others(inter, rank)[0] + 1000 * inter.rank for rank in range(n)])


def test_reduce(inter, call, root_is_low):
    for root in typed_roots(call, root_is_low):
        as_root = rooted(inter, root, root_is_low)
        got = np.zeros(3) if as_root == MPI.ROOT else None
        call(inter, "Reduce", own(inter), got, MPI.SUM, as_root)
        if got is not None:
            assert np.array_equal(got, sum(others(inter, rank) for rank in range(inter.remote_size)))


def test_allreduce(inter, call):
    got = np.zeros(3)
    call(inter, "Allreduce", own(inter), got)
    assert np.array_equal(got, sum(others(inter, rank) for rank in range(inter.remote_size)))


@pytest.mark.parametrize("name", ["Reduce_scatter_block", "Reduce_scatter"])
def test_reduce_scatter(inter, call, name):
    """As many items on both sides, shared out within each group."""
    total = inter.size * inter.remote_size
    got = np.zeros(inter.remote_size)
    call(inter, name, own(inter, total), got)
    whole = sum(others(inter, rank, total) for rank in range(inter.remote_size))
    assert np.array_equal(got, whole[inter.rank * inter.remote_size :][: inter.remote_size])


def test_barrier(inter):
    inter.Barrier()
    inter.Ibarrier().Wait()


# --- objects ------------------------------------------------------------------------------------------------

@pytest.fixture(params=THINGS)
def thing(request):
    return THINGS[request.param]


def now(comm, name, *args, **options):
    return getattr(comm, name)(*args, **options)


def later(comm, name, *args, **options):
    return getattr(comm, "i" + name)(*args, **options).wait()


@pytest.fixture(params=[now, later], ids=["blocking", "nonblocking"])
def do(request):
    return request.param


def far(inter):
    return range(inter.remote_size)


def test_objects_to_and_from_one(inter, do, thing, root_is_low):
    for root in roots(root_is_low):
        name = rooted(inter, root, root_is_low)
        is_root, idle = name == MPI.ROOT, name == MPI.PROC_NULL
        got = do(inter, "bcast", thing(root) if is_root else None, root=name)
        assert same(got, None if is_root or idle else thing(root))
        got = do(inter, "scatter", [thing(rank) for rank in far(inter)] if is_root else None, root=name)
        assert same(got, None if is_root or idle else thing(inter.rank))
        got = do(inter, "gather", None if is_root or idle else thing(inter.rank), root=name)
        assert same(got, [thing(rank) for rank in far(inter)] if is_root else None)


def test_objects_to_and_from_all(inter, do, thing):
    assert same(do(inter, "allgather", thing(inter.rank)), [thing(rank) for rank in far(inter)])
    got = do(inter, "alltoall", [thing(10 * inter.rank + rank) for rank in far(inter)])
    assert same(got, [thing(10 * rank + inter.rank) for rank in far(inter)])
    assert do(inter, "barrier") is None


def test_only_some_objects_are_large(inter, do):
    big = np.arange(30000)
    got = do(inter, "allgather", big if inter.rank == 0 and is_low() else inter.rank)
    assert same(got, [big if rank == 0 and not is_low() else rank for rank in far(inter)])
    items = [big + rank if rank == 0 else rank for rank in far(inter)]
    assert same(do(inter, "alltoall", items), [big if inter.rank == 0 else inter.rank for _ in far(inter)])


def test_collectives_that_overlap(inter):
    requests = [inter.iallgather((k, inter.rank, b"x" * (k * 30000))) for k in range(4)]
    requests.append(inter.ialltoall([[inter.rank] * 9000] * inter.remote_size))
    for k in (4, 2, 0, 3, 1):
        got = requests[k].wait()
        assert got == (
            [[rank] * 9000 for rank in far(inter)] if k == 4 else [(k, rank, b"x" * (k * 30000)) for rank in far(inter)]
        )


@pytest.mark.parametrize("op", [MPI.SUM, MPI.MAX, lambda a, b: a + b, max], ids=["SUM", "MAX", "callable", "max"])
def test_reductions(inter, op, root_is_low):
    expected = functools.reduce(op, far(inter))
    assert inter.allreduce(inter.rank, op) == expected
    assert inter.iallreduce(inter.rank, op).wait() == expected
    for root in roots(root_is_low):
        name = rooted(inter, root, root_is_low)
        assert inter.reduce(inter.rank, op, name) == (expected if name == MPI.ROOT else None)


def test_reductions_keep_the_order_of_ranks(inter):
    assert inter.allreduce(f"{inter.rank}", lambda a, b: a + b) == "".join(map(str, far(inter)))
    assert same(inter.allreduce(np.full(3, inter.rank)), np.full(3, sum(far(inter))))


def test_a_reduction_that_fails_on_one_rank_raises_on_all_of_both_groups(inter):
    world = MPI.COMM_WORLD
    for bad in range(world.size):
        alone = (world.size - world.size // 2 if bad < world.size // 2 else world.size // 2) == 1  # it gets one object

        def combine(a, b, bad=bad):
            if world.rank == bad:
                raise ZeroDivisionError("this rank cannot combine")
            return a + b

        for reduce in (inter.allreduce, lambda *args: inter.iallreduce(*args).wait()):
            if alone:
                assert reduce("x", combine) == "x" * inter.remote_size
                continue
            with pytest.raises(ZeroDivisionError if world.rank == bad else mmpi.RemoteError, match="cannot combine") as caught:
                reduce("x", combine)
            assert world.rank == bad or caught.value.rank == bad - base(bad < world.size // 2)


def test_messages(inter):
    """Object messages go to ranks on the other side."""
    big = np.arange(50000.0)
    requests = [inter.isend((inter.rank, rank, big), rank, tag=3) for rank in far(inter)]
    for rank in far(inter):
        status = MPI.Status()
        got = inter.recv(source=rank, tag=3, status=status)
        assert same(got, (rank, inter.rank, big)) and status.source == rank
    MPI.Request.waitall(requests)


# --- errors -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def failing(inter, bad, kind, text):
    """The block raises on all ranks of both groups; `bad` is a rank of WORLD."""
    here = MPI.COMM_WORLD.rank == bad
    with pytest.raises(kind if here else mmpi.RemoteError, match=text) as caught:
        yield
    if not here:
        assert caught.value.rank == bad - base(bad < MPI.COMM_WORLD.size // 2)
    assert inter.allgather(inter.rank) == list(far(inter))


def test_an_object_that_cannot_travel(inter, do):
    for bad in range(MPI.COMM_WORLD.size):
        mine = CannotTravel() if MPI.COMM_WORLD.rank == bad else [inter.rank] * 5000
        with failing(inter, bad, ZeroDivisionError, "it cannot travel"):
            do(inter, "allgather", mine)
        with failing(inter, bad, ZeroDivisionError, "it cannot travel"):
            do(inter, "alltoall", [mine] * inter.remote_size)
        with failing(inter, bad, ZeroDivisionError, "it cannot travel"):
            inter.allreduce(mine)


def test_a_root_that_fails(inter, do, root_is_low):
    for root in roots(root_is_low):
        bad, name = base(root_is_low) + root, rooted(inter, root, root_is_low)
        with failing(inter, bad, ZeroDivisionError, "it cannot travel"):
            do(inter, "bcast", CannotTravel() if name == MPI.ROOT else None, root=name)
        with failing(inter, bad, ValueError, f"expected {len(roots(not root_is_low))} items"):
            do(inter, "scatter", [] if name == MPI.ROOT else None, root=name)


def test_an_operation_that_fails_on_one_rank(inter, root_is_low):
    """The one rank that combines: for a single object nothing is combined."""
    root, size = 0, len(roots(not root_is_low))
    name = rooted(inter, root, root_is_low)
    if size == 1:
        assert inter.reduce(inter.rank, lambda a, b: 1 / 0, name) == (0 if name == MPI.ROOT else None)
        return
    with failing(inter, base(root_is_low) + root, ZeroDivisionError, "division"):
        inter.reduce(inter.rank, lambda a, b: 1 / 0, name)


@pytest.mark.parametrize("name", ["bcast", "gather", "scatter", "reduce", "ibcast"])
def test_roots_that_are_none(inter, name):
    for root in {inter.remote_size, -7} - {MPI.ROOT, MPI.PROC_NULL}:
        with pytest.raises(MPI.Exception) as caught:
            getattr(inter, name)(None, root=root)
        assert caught.value.Get_error_class() == MPI.ERR_ROOT


def test_wrong_arguments(inter):
    with pytest.raises(TypeError, match="peer_comm"):
        MPI.COMM_SELF.Create_intercomm(0, None, 0)
    with pytest.raises(TypeError, match="Intercomm"):
        MPI.Intercomm(MPI.COMM_SELF)
    assert not hasattr(inter, "scan") and not hasattr(inter, "Create_intercomm")
    assert not hasattr(MPI.COMM_WORLD, "Merge")
