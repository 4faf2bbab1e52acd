# SPDX-License-Identifier: BSD-3-Clause
"""Collectives of neighbors: typed ones and objects, in all topologies."""

import contextlib

import numpy as np
import pytest

import mmpi
from alike import CannotTravel, same
from mmpi import MPI
from things import THINGS

pytestmark = pytest.mark.mmpi(n=[1, 2, 3, 5])


def blocking(comm, name, *args):
    return getattr(comm, name[0].upper() + name[1:])(*args)


def nonblocking(comm, name, *args):
    request = getattr(comm, "I" + name)(*args)
    request.Wait()
    assert request == MPI.REQUEST_NULL


@pytest.fixture(params=[blocking, nonblocking], ids=["blocking", "nonblocking"])
def call(request):
    return request.param


def ring(comm):
    return comm.Create_cart([comm.size], periods=True)


def line(comm):
    return comm.Create_cart([comm.size], periods=False)


def star(comm):
    """Node 0 and all others, by an adjacency list."""
    others = list(range(1, comm.size))
    return comm.Create_graph(
        [max(1, len(others) * 1), *range(len(others) + 1, 2 * len(others) + 1)], (others or [0]) + [0] * len(others)
    )


def lopsided(comm):
    """Each sends to the next and to itself, and gets from the one before and itself, in another order."""
    return comm.Create_dist_graph_adjacent(
        [comm.rank, (comm.rank - 1) % comm.size], [(comm.rank + 1) % comm.size, comm.rank]
    )


def alone(comm):
    """Only rank 0 sends, and only to the last; the others have no neighbors, or none in one direction."""
    last = comm.size - 1
    return comm.Create_dist_graph_adjacent([0] if comm.rank == last else [], [last] if comm.rank == 0 else [])


@pytest.fixture(params=[ring, line, star, lopsided, alone], ids=lambda make: make.__name__)
def comm(request):
    topology = request.param(MPI.COMM_WORLD)
    yield topology
    topology.Free()


def sent(source, dest, length):
    """What one rank sends to another; the same for two edges between them, whose order is the library's."""
    return np.arange(length, dtype="d") + source * 100 + dest * 10


def expect(comm, length, to_all=False):
    """What comes in, as blocks; -1 where there is no neighbor."""
    nothing = np.full(length, -1.0)
    return [nothing if s == MPI.PROC_NULL else sent(s, 0 if to_all else comm.rank, length) for s in comm.inedges]


def test_allgather(comm, call):
    got = np.full((comm.indegree, 3), -1.0)
    call(comm, "neighbor_allgather", sent(comm.rank, 0, 3), got)
    assert np.array_equal(got, np.array(expect(comm, 3, to_all=True)).reshape(-1, 3))


def test_allgatherv(comm, call):
    n = comm.indegree
    got = np.full(n * 4, -1.0)
    call(comm, "neighbor_allgatherv", sent(comm.rank, 0, 3), [got, [3] * n, [4 * i for i in range(n)], MPI.DOUBLE])
    assert np.array_equal(got.reshape(n, 4)[:, :3], np.array(expect(comm, 3, to_all=True)).reshape(-1, 3))
    assert np.all(got.reshape(n, 4)[:, 3] == -1)


def test_alltoall(comm, call):
    out = np.array([sent(comm.rank, d, 2) for d in comm.outedges]).reshape(-1, 2)
    got = np.full((comm.indegree, 2), -1.0)
    call(comm, "neighbor_alltoall", out, got)
    assert np.array_equal(got, np.array(expect(comm, 2)).reshape(-1, 2))


def lengths(rank, edges):
    """Parts whose length depends on both ends."""
    return [0 if edge == MPI.PROC_NULL else (rank + edge) % 3 + 1 for edge in edges]


def test_alltoallv(comm, call):
    outgoing, incoming = lengths(comm.rank, comm.outedges), lengths(comm.rank, comm.inedges)
    out = np.concatenate([np.empty(0), *(sent(comm.rank, d, n) for d, n in zip(comm.outedges, outgoing, strict=True))])
    got = np.full(sum(incoming), -1.0)
    call(comm, "neighbor_alltoallv", [out, outgoing], [got, incoming])
    assert np.array_equal(
        got,
        np.concatenate([np.empty(0), *(sent(s, comm.rank, n) for s, n in zip(comm.inedges, incoming, strict=True))]),
    )


def test_alltoallw(comm, call):
    outgoing, incoming = lengths(comm.rank, comm.outedges), lengths(comm.rank, comm.inedges)
    out = np.concatenate([np.empty(0), *(sent(comm.rank, d, n) for d, n in zip(comm.outedges, outgoing, strict=True))])
    got = np.full(sum(incoming), -1.0)

    def parts(array, counts):
        places = np.cumsum([0, *counts])[:-1] * 8
        return [array, (counts, places), [MPI.DOUBLE] * len(counts)]

    call(comm, "neighbor_alltoallw", parts(out, outgoing), parts(got, incoming))
    assert np.array_equal(
        got,
        np.concatenate([np.empty(0), *(sent(s, comm.rank, n) for s, n in zip(comm.inedges, incoming, strict=True))]),
    )


def test_alltoallw_of_addresses():
    """They are displacements from BOTTOM, for libraries as well that count with ints."""
    with ring(MPI.COMM_WORLD) as comm:
        out, got, expected = np.arange(2.0) + 2 * comm.rank, np.zeros(2), np.zeros(2)
        sides = ([MPI.BOTTOM, ([1, 1], [MPI.Get_address(array[i:]) for i in range(2)]), [MPI.DOUBLE] * 2] for array in (out, got))
        comm.Neighbor_alltoallw(*sides)
        comm.Neighbor_alltoall(out, expected)
        assert np.array_equal(got, expected)


def test_buffers_that_are_too_small():
    comm = ring(MPI.COMM_WORLD)
    with pytest.raises(ValueError, match="recvbuf"):
        comm.Neighbor_allgather(np.zeros(2), [np.zeros(3), 2, MPI.DOUBLE])
    with pytest.raises(ValueError, match="sendbuf"):
        comm.Neighbor_alltoall(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match="recvbuf"):
        comm.Neighbor_alltoallv([np.zeros(2), [1, 1]], [np.zeros(2), [1, 1, 1]])
    comm.Free()


def test_without_a_topology_there_are_no_neighbors():
    assert not hasattr(MPI.COMM_WORLD, "Neighbor_allgather")


# --- objects ------------------------------------------------------------------------------------------------

@pytest.fixture(params=THINGS)
def thing(request):
    return THINGS[request.param]


def now(comm, name, *args):
    return getattr(comm, name)(*args)


def later(comm, name, *args):
    return getattr(comm, "i" + name)(*args).wait()


@pytest.fixture(params=[now, later], ids=["blocking", "nonblocking"])
def do(request):
    return request.param


def test_objects(comm, do, thing):
    expected = [None if source == MPI.PROC_NULL else thing(source) for source in comm.inedges]
    assert same(do(comm, "neighbor_allgather", thing(comm.rank)), expected)
    expected = [None if source == MPI.PROC_NULL else thing(10 * source + comm.rank) for source in comm.inedges]
    assert same(do(comm, "neighbor_alltoall", [thing(10 * comm.rank + dest) for dest in comm.outedges]), expected)


@pytest.mark.mmpi(n=[1, 2])
@pytest.mark.parametrize("size", [10, 40000])
def test_several_edges_between_two_ranks(do, size):
    """What goes down comes from above."""
    comm = ring(MPI.COMM_WORLD)
    low, high = comm.inedges
    received = do(comm, "neighbor_alltoall", [np.full(size + way, 10 * comm.rank + way) for way in (0, 1)])
    assert [(part[0], part.size) for part in received] == [(10 * low + 1, size + 1), (10 * high, size)]
    assert [part[0] for part in do(comm, "neighbor_allgather", np.full(size, comm.rank))] == [low, high]
    comm.Free()
    rank = MPI.COMM_WORLD.rank
    graph = MPI.COMM_WORLD.Create_dist_graph_adjacent([low, low, rank], [high, high, rank])
    received = do(graph, "neighbor_alltoall", [np.full(size + k, k) for k in range(3)])
    assert [(part[0], part.size) for part in received] == [(k, size + k) for k in range(3)]
    graph.Free()


def test_objects_that_overlap(do):
    comm = lopsided(MPI.COMM_WORLD)
    requests = [comm.ineighbor_allgather((k, comm.rank, b"x" * (k * 30000))) for k in range(4)]
    for k in (2, 0, 3, 1):
        assert requests[k].wait() == [(k, source, b"x" * (k * 30000)) for source in comm.inedges]
    comm.Free()


def test_an_error_reaches_the_neighbors(do):
    comm = lopsided(MPI.COMM_WORLD)
    big = np.arange(30000)
    for bad in range(comm.size):
        mine = [big] * 1000 + [CannotTravel()] if comm.rank == bad else big
        kind = ZeroDivisionError if comm.rank == bad else mmpi.RemoteError if bad in comm.inedges else None
        for name, objects in (("neighbor_allgather", mine), ("neighbor_alltoall", [big, mine])):
            with pytest.raises(kind, match="it cannot travel") if kind else contextlib.nullcontext() as caught:
                assert same(do(comm, name, objects), [big] * 2)
            assert kind is not mmpi.RemoteError or caught.value.rank == bad
        assert comm.neighbor_allgather(comm.rank) == comm.inedges
    comm.Free()


def test_as_many_items_as_neighbors(do):
    comm = lopsided(MPI.COMM_WORLD)
    kind = ValueError if comm.rank == 0 else mmpi.RemoteError if 0 in comm.inedges else None
    with (
        pytest.raises(kind, match="expected 2 items, one for each neighbor, not 3")
        if kind
        else contextlib.nullcontext()
    ):
        do(comm, "neighbor_alltoall", [1, 2, 3] if comm.rank == 0 else [1, 2])
    comm.Free()
