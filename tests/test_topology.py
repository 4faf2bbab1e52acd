# SPDX-License-Identifier: BSD-3-Clause
"""Cartesian topologies against plain arithmetic."""

import itertools
import math

import numpy as np
import pytest

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2, 3, 5])


@pytest.fixture(params=[1, 2, 3])
def ndims(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["periodic", "open"])
def cart(request, ndims):
    dims = MPI.Compute_dims(MPI.COMM_WORLD.size, ndims)
    periods = [request.param] * ndims
    comm = MPI.COMM_WORLD.Create_cart(dims, periods=periods)
    yield comm
    comm.Free()


def position(rank, dims):
    """Row-major, as the standard says."""
    return list(itertools.product(*map(range, dims)))[rank]


# --- what they are ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [1, 2, 3, 4, 6, 12, 17, 60, 97, 1024])
def test_compute_dims(nodes, ndims):
    dims = MPI.Compute_dims(nodes, ndims)
    assert len(dims) == ndims and math.prod(dims) == nodes and dims == sorted(dims, reverse=True)


def test_compute_dims_keeps_what_is_given():
    assert MPI.Compute_dims(12, [0, 3]) == [4, 3]
    assert MPI.Compute_dims(12, (2, 0, 2)) == [2, 3, 2]
    assert MPI.Compute_dims(6, [0]) == [6]
    assert MPI.Compute_dims(6, [2, 3]) == [2, 3]


def test_the_communicator_knows_its_topology(cart, ndims):
    dims = MPI.Compute_dims(MPI.COMM_WORLD.size, ndims)
    assert type(cart) is MPI.Cartcomm and isinstance(cart, MPI.Intracomm)
    assert cart.Get_dim() == cart.dim == cart.ndim == ndims
    got_dims, periods, coords = cart.Get_topo()
    assert (list(got_dims), list(coords)) == (dims, list(position(cart.rank, dims)))
    assert list(cart.dims) == dims
    assert [bool(p) for p in cart.periods] == [bool(p) for p in periods]
    assert list(cart.coords) == list(coords)
    assert tuple(map(list, cart.topo)) == (list(got_dims), list(periods), list(coords))


def test_coordinates_and_ranks(cart):
    for rank in range(cart.size):
        coords = cart.Get_coords(rank)
        assert list(coords) == list(position(rank, cart.dims))
        assert cart.Get_cart_rank(coords) == rank
        assert cart.Get_cart_rank(tuple(coords)) == rank
        assert cart.Get_cart_rank(np.array(coords)) == rank


def test_periodic_coordinates_wrap(cart):
    if all(cart.periods):
        beyond = [c + d for c, d in zip(cart.coords, cart.dims, strict=True)]
        assert cart.Get_cart_rank(beyond) == cart.rank
        assert cart.Get_cart_rank([c - d for c, d in zip(cart.coords, cart.dims, strict=True)]) == cart.rank


@pytest.mark.parametrize("disp", [1, -1, 2, 0])
def test_shift(cart, disp):
    def neighbor(direction, step):
        coords = list(cart.coords)
        coords[direction] += step
        if cart.periods[direction]:
            coords[direction] %= cart.dims[direction]
        elif not 0 <= coords[direction] < cart.dims[direction]:
            return MPI.PROC_NULL
        return cart.Get_cart_rank(coords)

    for direction in range(cart.ndim):
        assert cart.Shift(direction, disp) == (neighbor(direction, -disp), neighbor(direction, disp))


def test_a_ring_passes_what_it_gets(cart):
    source, dest = cart.Shift(direction=0, disp=1)
    got = np.full(1, -1, "i")
    cart.Sendrecv(np.array([cart.rank], "i"), dest, recvbuf=got, source=source)
    assert got[0] == (source if source != MPI.PROC_NULL else -1)


def test_sub(cart):
    for keep in itertools.product([True, False], repeat=cart.ndim):
        part = cart.Sub(keep)
        assert type(part) is MPI.Cartcomm
        assert list(part.dims) == [d for d, kept in zip(cart.dims, keep, strict=True) if kept]
        assert list(part.coords) == [c for c, kept in zip(cart.coords, keep, strict=True) if kept]
        part.Free()


def test_dup_keeps_the_topology(cart):
    copy = cart.Dup()
    assert type(copy) is MPI.Cartcomm and copy.topo == cart.topo
    copy.Free()


def test_ranks_left_over_get_no_communicator():
    comm = MPI.COMM_WORLD
    small = max(1, comm.size - 1)
    cart = comm.Create_cart([small])
    if comm.rank < small:
        assert cart.size == small and list(cart.dims) == [small]
        cart.Free()
    else:
        assert cart == MPI.COMM_NULL


def test_defaults_are_open_and_not_reordered():
    cart = MPI.COMM_WORLD.Create_cart((MPI.COMM_WORLD.size,))
    assert [bool(p) for p in cart.periods] == [False] and cart.rank == MPI.COMM_WORLD.rank
    cart.Free()


def test_one_period_for_all_and_reorder_by_keyword():
    cart = MPI.COMM_WORLD.Create_cart([MPI.COMM_WORLD.size, 1], periods=True, reorder=True)
    assert [bool(p) for p in cart.periods] == [True, True]
    cart.Free()


def test_a_grid_of_no_dimensions():
    cart = MPI.COMM_SELF.Create_cart([])
    assert cart.size == 1 and cart.ndim == 0 and list(cart.dims) == []
    cart.Free()


# --- wrong arguments --------------------------------------------------------------------------------------


def test_a_grid_larger_than_the_communicator():
    with pytest.raises(MPI.Exception):
        MPI.COMM_WORLD.Create_cart([MPI.COMM_WORLD.size + 1])


def test_periods_of_another_length():
    with pytest.raises(ValueError, match="periods|1.*2|2.*1"):
        MPI.COMM_WORLD.Create_cart([1], periods=[True, False])


@pytest.mark.parametrize("bad", ["ab", [1.5], [None], None, 3.5])
def test_dims_that_are_no_integers(bad):
    with pytest.raises(TypeError, match="dims|int|sequence|iterable|len"):
        MPI.COMM_WORLD.Create_cart(bad)


def test_negative_dims():
    with pytest.raises((MPI.Exception, ValueError)):
        MPI.Compute_dims(6, [-2, 0])


def test_dims_that_do_not_divide():
    with pytest.raises((MPI.Exception, ValueError)):
        MPI.Compute_dims(7, [2, 0])


def test_wrong_coordinates():
    cart = MPI.COMM_WORLD.Create_cart([MPI.COMM_WORLD.size])
    with pytest.raises((ValueError, MPI.Exception)):
        cart.Get_cart_rank([0, 0])
    with pytest.raises(MPI.Exception):
        cart.Get_cart_rank([cart.size])
    with pytest.raises((ValueError, MPI.Exception)):
        cart.Sub([True, True])
    cart.Free()


@pytest.mark.parametrize("call", ["Get_coords(cart.size)", "Get_coords(-1)", "Shift(1, 1)", "Shift(-1, 1)"])
def test_ranks_and_directions_outside_the_grid(call):
    """Open MPI tests neither: it would read beyond its arrays."""
    cart = MPI.COMM_WORLD.Create_cart([MPI.COMM_WORLD.size])
    with pytest.raises((ValueError, MPI.Exception)):
        eval(f"cart.{call}")
    cart.Free()


def test_coordinates_are_only_for_grids():
    assert not hasattr(MPI.COMM_WORLD, "Get_coords")
