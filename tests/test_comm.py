# SPDX-License-Identifier: BSD-3-Clause
"""Communicators: what they are, how they are made, compared, named and freed."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2, 3, 5])

SAME_ON_ALL_RANKS = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def comm():
    return MPI.COMM_WORLD


def agree(comm, ok):
    """True on all ranks if `ok` is true on all ranks."""
    verdict = np.array([bool(ok)], "i")
    comm.Allreduce(MPI.IN_PLACE, verdict, MPI.MIN)
    return bool(verdict[0])


def ranks_of(part, comm):
    """World ranks of a communicator's members, by asking them."""
    into = np.zeros(part.size, "i")
    part.Allgather(np.array([comm.rank], "i"), into)
    return into.tolist()


# --- what they are ----------------------------------------------------------------------------------------


def test_rank_and_size(comm):
    assert comm.Get_rank() == comm.rank and comm.Get_size() == comm.size
    assert 0 <= comm.rank < comm.size
    everyone = np.zeros(comm.size, "i")
    comm.Allgather(np.array([comm.rank], "i"), everyone)
    assert everyone.tolist() == list(range(comm.size))


def test_self():
    assert (MPI.COMM_SELF.rank, MPI.COMM_SELF.size) == (0, 1)


def test_types_of_the_predefined(comm):
    assert type(MPI.COMM_WORLD) is MPI.Intracomm
    assert type(MPI.COMM_SELF) is MPI.Intracomm
    assert type(MPI.COMM_NULL) is MPI.Comm
    assert issubclass(MPI.Intracomm, MPI.Comm)
    assert issubclass(MPI.Cartcomm, MPI.Intracomm)
    assert MPI.Comm.__module__ == "mmpi.MPI" or MPI.Comm.__module__ == MPI.__name__


def test_size_and_rank_cannot_be_assigned(comm):
    for name in ("size", "rank", "group"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(comm, name, 3)


def test_truth_and_equality(comm):
    assert comm and MPI.COMM_SELF and not MPI.COMM_NULL
    assert comm == MPI.COMM_WORLD and comm != MPI.COMM_SELF and comm != MPI.COMM_NULL
    assert MPI.Comm() == MPI.COMM_NULL and MPI.Intracomm() == MPI.COMM_NULL
    assert MPI.Intracomm(comm) == comm and MPI.Comm(comm) == comm
    assert not comm == 3 and comm != "world"


def test_communicators_are_not_ordered_nor_hashable(comm):
    with pytest.raises(TypeError):
        _ = comm < MPI.COMM_SELF
    with pytest.raises(TypeError):
        hash(comm)


def test_repr_names_no_inner_module(comm):
    assert "_core" not in repr(comm) and "_core" not in repr(type(comm))


def test_an_intracommunicator_is_one(comm):
    assert comm.Is_intra() and comm.is_intra
    assert not comm.Is_inter() and not comm.is_inter


def test_compare(comm):
    copy = comm.Dup()
    backwards = comm.Split(0, -comm.rank)
    assert MPI.Comm.Compare(comm, comm) == comm.Compare(comm) == MPI.IDENT
    assert MPI.Comm.Compare(comm, copy) == MPI.CONGRUENT
    expected = MPI.CONGRUENT if comm.size == 1 else MPI.SIMILAR
    assert MPI.Comm.Compare(comm, backwards) == expected
    alone = MPI.CONGRUENT if comm.size == 1 else MPI.UNEQUAL
    assert MPI.Comm.Compare(comm, MPI.COMM_SELF) == alone
    copy.Free()
    backwards.Free()


def test_names(comm):
    assert MPI.COMM_WORLD.Get_name() == MPI.COMM_WORLD.name == "MPI_COMM_WORLD"
    assert MPI.COMM_SELF.name == "MPI_COMM_SELF" and MPI.COMM_NULL.name == "MPI_COMM_NULL"
    copy = comm.Dup()
    copy.Set_name("halo of rang é")
    assert copy.Get_name() == "halo of rang é"
    copy.name = "again"
    assert copy.name == "again"
    copy.name = ""
    assert copy.name == ""
    longest = "x" * (MPI.MAX_OBJECT_NAME - 1)
    copy.name = longest
    assert copy.name == longest
    copy.Free()


# --- how they are made ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["Dup", "Clone"])
def test_a_copy_is_another_context(comm, method):
    copy = getattr(comm, method)()
    assert type(copy) is MPI.Intracomm
    assert copy != comm and (copy.rank, copy.size) == (comm.rank, comm.size)
    there, here = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    requests = [copy.Isend(np.array([2.0]), there, tag=1), comm.Isend(np.array([1.0]), there, tag=1)]
    got = np.zeros(1)
    comm.Recv(got, here, tag=1)
    assert got[0] == 1
    copy.Recv(got, here, tag=1)
    assert got[0] == 2
    MPI.Request.Waitall(requests)
    copy.Free()


def test_free_makes_the_handle_null(comm):
    copy = comm.Dup()
    copy.Free()
    assert copy == MPI.COMM_NULL and not copy
    for use in (lambda: copy.rank, lambda: copy.Get_size(), copy.Dup, copy.Free, copy.Get_group, lambda: copy.Split(0)):
        with pytest.raises(MPI.Exception) as caught:
            use()
        assert caught.value.Get_error_class() == MPI.ERR_COMM


def test_world_and_self_are_not_to_be_freed():
    for fixed in (MPI.COMM_SELF, MPI.COMM_WORLD):
        with pytest.raises((MPI.Exception, ValueError)):
            fixed.Free()
        assert fixed.size >= 1


@pytest.mark.mmpi(n=[1])
def test_more_copies_one_after_another_than_mpi_has_at_once():
    for _ in range(2500):
        MPI.COMM_SELF.Dup().Free()


def test_split_by_parity(comm):
    part = comm.Split(comm.rank % 2)
    assert type(part) is MPI.Intracomm
    assert ranks_of(part, comm) == [rank for rank in range(comm.size) if rank % 2 == comm.rank % 2]
    part.Free()


def test_the_key_of_split_orders_the_ranks(comm):
    part = comm.Split(color=0, key=-comm.rank)
    assert part.rank == comm.size - 1 - comm.rank
    assert ranks_of(part, comm) == list(range(comm.size))[::-1]
    part.Free()


def test_split_leaves_out_who_says_undefined(comm):
    part = comm.Split(MPI.UNDEFINED if comm.rank == 0 else 1)
    if comm.rank == 0:
        assert part == MPI.COMM_NULL
    else:
        assert ranks_of(part, comm) == list(range(1, comm.size))
        part.Free()


@SAME_ON_ALL_RANKS
@given(draw=st.data())
def test_split_by_any_colors_and_keys(comm, draw):
    each = st.tuples(st.integers(0, 3), st.integers(-100, 100))
    wishes = draw.draw(st.lists(each, min_size=comm.size, max_size=comm.size))
    color, key = wishes[comm.rank]
    part = comm.Split(color, key)
    expected = sorted((k, rank) for rank, (c, k) in enumerate(wishes) if c == color)
    assert agree(comm, ranks_of(part, comm) == [rank for _, rank in expected])
    part.Free()


def test_split_type(comm):
    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    assert type(node) is MPI.Intracomm
    assert 1 <= node.size <= comm.size and comm.rank in ranks_of(node, comm)
    node.Free()
    node = comm.Split_type(split_type=MPI.COMM_TYPE_SHARED, key=-comm.rank)
    assert ranks_of(node, comm) == sorted(ranks_of(node, comm), reverse=True)
    node.Free()
    assert comm.Split_type(MPI.UNDEFINED) == MPI.COMM_NULL


def test_create(comm):
    group = comm.Get_group()
    evens = group.Incl(list(range(0, comm.size, 2)))
    part = comm.Create(evens)
    if comm.rank % 2:
        assert part == MPI.COMM_NULL
    else:
        assert type(part) is MPI.Intracomm
        assert ranks_of(part, comm) == list(range(0, comm.size, 2))
        part.Free()
    evens.Free()
    group.Free()


def test_create_from_the_empty_group(comm):
    assert comm.Create(MPI.GROUP_EMPTY) == MPI.COMM_NULL


def test_group_of_a_communicator(comm):
    group = comm.Get_group()
    assert isinstance(group, MPI.Group)
    assert (group.size, group.rank) == (comm.size, comm.rank)
    assert MPI.Group.Compare(group, comm.group) == MPI.IDENT
    group.Free()


def test_nested_parts_work_at_the_same_time(comm):
    half = comm.Split(comm.rank % 2)
    inner = half.Split(half.rank % 2)
    total = np.array([1], "i")
    for part in (inner, half, comm):
        into = np.zeros(1, "i")
        part.Allreduce(total, into)
        assert into[0] == part.size
    inner.Free()
    half.Free()


def test_a_subclass_keeps_its_own_things(comm):
    class Named(MPI.Intracomm):
        def hello(self):
            return self.rank + 1

    mine = Named(comm)
    assert mine.hello() == comm.rank + 1 and mine == comm
    copy = mine.Dup()
    assert isinstance(copy, MPI.Intracomm)
    copy.Free()


# --- wrong arguments --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["1", 1.5, None, [0]])
def test_a_color_that_is_no_integer(comm, bad):
    with pytest.raises(TypeError, match="color|integer"):
        comm.Split(bad)


def test_integers_beyond_a_c_int(comm):
    with pytest.raises((OverflowError, ValueError), match="key|2147483648|int"):
        comm.Split(0, 2**31)


def test_a_group_that_is_none(comm):
    with pytest.raises(TypeError, match="group"):
        comm.Create(comm)
    with pytest.raises(MPI.Exception):
        comm.Create(MPI.GROUP_NULL)


def test_compare_with_what_is_no_communicator(comm):
    with pytest.raises(TypeError, match="comm"):
        MPI.Comm.Compare(comm, 3)


def test_a_name_that_is_no_text(comm):
    copy = comm.Dup()
    with pytest.raises(TypeError):
        copy.Set_name(3)
    copy.Free()


def test_a_name_too_long_is_refused_or_cut(comm):
    copy = comm.Dup()
    try:
        copy.name = "y" * (MPI.MAX_OBJECT_NAME + 50)
    except (ValueError, MPI.Exception):
        pass
    else:
        assert set(copy.name) == {"y"}
    copy.Free()


def test_wrong_number_of_arguments(comm):
    with pytest.raises(TypeError, match="Split"):
        comm.Split(0, 0, 0)
    with pytest.raises(TypeError, match="colour"):
        comm.Split(colour=1)
    with pytest.raises(TypeError, match="Create"):
        comm.Create()
