# SPDX-License-Identifier: BSD-3-Clause
"""Groups against Python's lists and sets. Group calls are local, so ranks need not agree on anything."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 3, 5])

ANY = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def world():
    group = MPI.COMM_WORLD.Get_group()
    yield group
    group.Free()


def members(group, world):
    """World ranks of a group, in its order."""
    return list(group.Translate_ranks(list(range(group.size)), world)) if group.size else []


def subset(draw, world):
    """Some world ranks in some order."""
    order = draw.draw(st.permutations(range(world.size)))
    return list(order[: draw.draw(st.integers(0, world.size))])


# --- what they are ----------------------------------------------------------------------------------------


def test_size_and_rank(world):
    comm = MPI.COMM_WORLD
    assert (world.size, world.rank) == (world.Get_size(), world.Get_rank()) == (comm.size, comm.rank)


def test_the_predefined_groups():
    assert MPI.GROUP_EMPTY.size == 0 and MPI.GROUP_EMPTY.rank == MPI.UNDEFINED
    assert MPI.GROUP_EMPTY and not MPI.GROUP_NULL
    assert MPI.GROUP_EMPTY != MPI.GROUP_NULL and MPI.Group() == MPI.GROUP_NULL
    with pytest.raises(MPI.Exception) as caught:
        _ = MPI.GROUP_NULL.size
    assert caught.value.Get_error_class() == MPI.ERR_GROUP


def test_free_makes_the_handle_null(world):
    part = world.Incl([0])
    part.Free()
    assert part == MPI.GROUP_NULL and not part
    with pytest.raises(MPI.Exception):
        part.Get_size()


def test_groups_are_not_hashable_nor_ordered(world):
    with pytest.raises(TypeError):
        hash(world)
    with pytest.raises(TypeError):
        _ = world < world


def test_compare(world):
    same, backwards = world.Incl(list(range(world.size))), world.Incl(list(range(world.size))[::-1])
    assert MPI.Group.Compare(world, same) == world.Compare(same) == MPI.IDENT
    assert MPI.Group.Compare(world, backwards) == (MPI.IDENT if world.size == 1 else MPI.SIMILAR)
    assert MPI.Group.Compare(world, MPI.GROUP_EMPTY) == MPI.UNEQUAL


# --- how they are made ------------------------------------------------------------------------------------


@ANY
@given(draw=st.data())
def test_incl_and_excl(world, draw):
    chosen = subset(draw, world)
    assert members(world.Incl(chosen), world) == chosen
    assert members(world.Excl(chosen), world) == [rank for rank in range(world.size) if rank not in chosen]


@pytest.mark.parametrize("kind", [list, tuple, np.array, lambda ranks: range(len(ranks))])
def test_ranks_may_be_any_sequence_of_integers(world, kind):
    ranks = list(range(world.size))
    assert members(world.Incl(kind(ranks)), world) == ranks


@ANY
@given(draw=st.data())
def test_union_intersection_difference(world, draw):
    one, two = subset(draw, world), subset(draw, world)
    first, second = world.Incl(one), world.Incl(two)
    assert members(MPI.Group.Union(first, second), world) == one + [rank for rank in two if rank not in one]
    assert members(MPI.Group.Intersection(first, second), world) == [rank for rank in one if rank in two]
    assert members(MPI.Group.Intersect(first, second), world) == [rank for rank in one if rank in two]
    assert members(MPI.Group.Difference(first, second), world) == [rank for rank in one if rank not in two]


@ANY
@given(draw=st.data())
def test_translate_ranks(world, draw):
    one, two = subset(draw, world), subset(draw, world)
    first, second = world.Incl(one), world.Incl(two)
    expected = [two.index(rank) if rank in two else MPI.UNDEFINED for rank in one]
    if one:
        assert list(first.Translate_ranks(list(range(len(one))), second)) == expected
        assert list(first.Translate_ranks(group=second)) == expected
    for group, ranks in ((first, one), (second, two)):
        me = MPI.COMM_WORLD.rank
        assert group.rank == (ranks.index(me) if me in ranks else MPI.UNDEFINED)


def test_translate_ranks_of_all_to_the_world(world):
    part = world.Incl(list(range(world.size))[::-1])
    assert list(part.Translate_ranks()) == members(part, world)  # no group: to that of COMM_WORLD
    assert list(part.Translate_ranks([0], world)) == [world.size - 1]
    assert list(part.Translate_ranks([MPI.PROC_NULL], world)) == [MPI.PROC_NULL]


@ANY
@given(draw=st.data())
def test_ranges(world, draw):
    last = world.size - 1
    first, end, step = draw.draw(st.integers(0, last)), draw.draw(st.integers(0, last)), draw.draw(st.integers(1, 3))
    if end < first:
        step = -step
    chosen = list(range(first, end + (1 if step > 0 else -1), step))
    assert members(world.Range_incl([(first, end, step)]), world) == chosen
    assert members(world.Range_excl([[first, end, step]]), world) == [r for r in range(world.size) if r not in chosen]


def test_several_ranges(world):
    chosen = [(rank, rank, 1) for rank in range(world.size)][::-1]
    assert members(world.Range_incl(chosen), world) == list(range(world.size))[::-1]
    assert world.Range_excl(chosen).size == 0
    assert world.Range_incl([]).size == 0


def test_nothing(world):
    assert world.Incl([]).size == 0
    assert MPI.Group.Compare(world.Excl([]), world) == MPI.IDENT


# --- wrong arguments --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [[-9], [5], [0, 77]])
def test_ranks_that_are_not_in_the_group(world, bad):
    for method in (world.Incl, world.Excl):
        with pytest.raises(MPI.Exception) as caught:
            method(bad)
        assert caught.value.Get_error_class() in (MPI.ERR_RANK, MPI.ERR_ARG, MPI.ERR_GROUP)


@pytest.mark.parametrize("bad", [["0"], [0.5], 3, None])
def test_ranks_that_are_no_integers(world, bad):
    with pytest.raises(TypeError, match="ranks|int|sequence|iterable|len"):
        world.Incl(bad)


@pytest.mark.parametrize("bad", [[(0, 0)], [(0, 0, 1, 1)], [0]])
def test_ranges_that_are_no_triples(world, bad):
    with pytest.raises((TypeError, ValueError), match="ranks|triple"):
        world.Range_incl(bad)


def test_a_range_of_stride_zero(world):
    with pytest.raises((MPI.Exception, ValueError)):
        world.Range_incl([(0, 0, 0)])


def test_what_is_no_group(world):
    with pytest.raises(TypeError, match="group"):
        MPI.Group.Union(world, MPI.COMM_WORLD)
    with pytest.raises(TypeError, match="group"):
        MPI.Group.Compare(world, None)
    with pytest.raises(MPI.Exception):
        MPI.Group.Union(world, MPI.GROUP_NULL)
