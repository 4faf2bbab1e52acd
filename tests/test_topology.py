# SPDX-License-Identifier: BSD-3-Clause
"""Topologies against plain arithmetic."""

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


# --- graphs -------------------------------------------------------------------------------------------------


def star(size):
    """Node 0 has all others as neighbors, as index and edges."""
    lists = [list(range(1, size))] + [[0]] * (size - 1)
    return list(itertools.accumulate(map(len, lists))), [edge for edges in lists for edge in edges]


@pytest.mark.parametrize("leading", [[], [0]], ids=["MPI's index", "index with a zero"])
def test_a_graph_that_all_know(leading):
    comm = MPI.COMM_WORLD
    index, edges = star(comm.size)
    graph = comm.Create_graph(leading + index, edges) if edges else comm.Create_graph([1], edges := [0])
    index = index if comm.size > 1 else [1]
    own = edges[index[comm.rank - 1] if comm.rank else 0 : index[comm.rank]]
    assert type(graph) is MPI.Graphcomm and graph.is_topo and graph.Get_topology() == MPI.GRAPH
    assert graph.dims == graph.Get_dims() == (comm.size, len(edges)) == (graph.nnodes, graph.nedges)
    assert graph.topo == graph.Get_topo() == (index, edges) == (graph.index, graph.edges)
    assert graph.neighbors == graph.Get_neighbors(comm.rank) == own
    assert graph.nneighbors == graph.Get_neighbors_count(comm.rank) == len(own)
    assert graph.degrees == (len(own), len(own)) and graph.inoutedges == (own, own)
    with pytest.raises(MPI.Exception):
        graph.Get_neighbors(comm.size)
    graph.Free()


def test_a_graph_of_which_each_knows_its_neighbors():
    comm = MPI.COMM_WORLD
    left, right = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
    graph = comm.Create_dist_graph_adjacent([left, comm.rank], [right, comm.rank])
    assert type(graph) is MPI.Distgraphcomm and graph.topology == MPI.DIST_GRAPH
    assert graph.Get_dist_neighbors_count() == (2, 2, False)
    assert graph.Get_dist_neighbors() == ([left, comm.rank], [right, comm.rank], None)
    assert (graph.indegree, graph.outdegree, graph.inedges, graph.outedges) == (
        2,
        2,
        [left, comm.rank],
        [right, comm.rank],
    )
    graph.Free()
    graph = comm.Create_dist_graph_adjacent([left], [right], [comm.rank + 5], [right + 5])
    assert graph.Get_dist_neighbors() == ([left], [right], ([comm.rank + 5], [right + 5]))
    graph.Free()


def test_a_graph_that_one_process_describes():
    comm = MPI.COMM_WORLD
    index, edges = star(comm.size)
    degrees = [b - a for a, b in itertools.pairwise([0, *index])]
    described = (range(comm.size), degrees, edges, np.arange(len(edges)) + 1) if comm.rank == 0 else ([], [], [], [])
    graph = comm.Create_dist_graph(*described)
    sources, destinations, weights = graph.Get_dist_neighbors()
    assert sorted(sources) == sorted(destinations) == (list(range(1, comm.size)) if comm.rank == 0 else [0])
    assert weights is not None and [len(w) for w in weights] == [len(sources), len(destinations)]
    graph.Free()


def test_processes_without_neighbors():
    for nothing in ([], None):
        graph = MPI.COMM_WORLD.Create_dist_graph_adjacent(nothing, nothing)
        assert graph.Get_dist_neighbors() == ([], [], None) and graph.degrees == (0, 0)
        graph.Free()
    graph = MPI.COMM_WORLD.Create_dist_graph_adjacent([], [], MPI.WEIGHTS_EMPTY, MPI.WEIGHTS_EMPTY)
    assert graph.Get_dist_neighbors_count() == (0, 0, True)
    graph.Free()


@pytest.mark.parametrize("periods", [None, True])
def test_maps_name_the_rank_that_reorder_gives(periods):
    comm = MPI.COMM_WORLD
    cart = comm.Create_cart([comm.size], periods, reorder=True)
    assert comm.Cart_map([comm.size], periods) == cart.rank
    cart.Free()
    index, edges = star(comm.size) if comm.size > 1 else ([1], [0])
    graph = comm.Create_graph(index, edges, reorder=True)
    assert comm.Graph_map(index, edges) == graph.rank
    graph.Free()


def test_edges_of_a_grid_end_at_its_border():
    cart = MPI.COMM_WORLD.Create_cart([MPI.COMM_WORLD.size, 1], [False, True])
    low, high = cart.Shift(0, 1)
    assert cart.inedges == cart.outedges == [low, high, cart.rank, cart.rank]
    cart.Free()


@pytest.mark.parametrize(
    "call",
    [
        "Create_graph([2, 1], [0])",
        "Create_graph([1], [0, 0])",
        "Create_graph([], [0])",
        "Create_dist_graph_adjacent([0], [], [1, 2])",
        "Create_dist_graph_adjacent([0], [0], MPI.WEIGHTS_EMPTY, MPI.WEIGHTS_EMPTY)",
        "Create_dist_graph_adjacent([], [], 5, None)",
        "Create_dist_graph([0], [1, 1], [0, 0])",
        "Create_dist_graph([0], [2], [0])",
        "Create_dist_graph([0], [1], [0], [1, 2])",
    ],
)
def test_graphs_that_contradict_themselves(call):
    with pytest.raises(ValueError, match=call.split("(")[0]):
        eval(f"MPI.COMM_WORLD.{call}")


def test_an_edge_to_nowhere():
    with pytest.raises(MPI.Exception):
        MPI.COMM_SELF.Create_graph([1], [7])


def test_objects_of_the_wrong_class():
    cart = MPI.COMM_SELF.Create_cart([1])
    graph = MPI.COMM_SELF.Create_graph([1], [0])
    for wrong in (MPI.Graphcomm, MPI.Distgraphcomm, MPI.Intercomm):
        with pytest.raises(TypeError, match="Cartcomm"):
            wrong(cart)
    with pytest.raises(TypeError, match="Topocomm"):
        MPI.Topocomm(MPI.COMM_SELF)
    assert MPI.Intracomm(cart) == MPI.Cartcomm(cart) == MPI.Topocomm(cart) == cart
    assert MPI.Topocomm(MPI.COMM_NULL) == MPI.COMM_NULL
    cart.Free()
    graph.Free()


def test_a_handle_gives_an_object_of_its_class():
    cart = MPI.COMM_WORLD.Create_cart([MPI.COMM_WORLD.size])
    assert type(MPI.Comm.fromhandle(cart.handle)) is MPI.Cartcomm
    assert type(MPI.Intracomm.fromhandle(cart.handle)) is MPI.Intracomm
    with pytest.raises(TypeError, match="Cartcomm"):
        MPI.Graphcomm.fromhandle(cart.handle)
    cart.Free()
