# SPDX-License-Identifier: BSD-3-Clause
"""Collectives of Python objects, blocking and nonblocking: any object, any size, any order, and errors on some ranks."""

import gc
import random
from fractions import Fraction

import numpy as np
import pytest

import mmpi
from alike import CannotTravel, check_usable, failing, same, until
from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2, 3, 5])

NAMES = ["bcast", "gather", "scatter", "allgather", "alltoall"]
ROOTED = ["bcast", "gather", "scatter"]


@pytest.fixture
def comm(mmpi_comm):
    return mmpi_comm


def blocking(comm, name, *args, **options):
    return getattr(comm, name)(*args, **options)


def nonblocking(comm, name, *args, **options):
    request = getattr(comm, "i" + name)(*args, **options)
    assert type(request) is MPI.Request
    result = request.wait()
    assert request == MPI.REQUEST_NULL
    return result


@pytest.fixture(params=[blocking, nonblocking], ids=["blocking", "nonblocking"])
def call(request):
    return request.param


# --- objects -------------------------------------------------------------------------------------------------------


def data(length, key):
    """Bytes that differ with the key, from their start to their end."""
    pattern = bytes((key * 31 + i * 7) % 256 for i in range(256))
    return (pattern * (length // 256 + 1))[:length]


def floats(length, key):
    return np.arange(length // 8, dtype="d") + key


SMALL = {  # what fits the slot of a collective
    "None": lambda key: None,
    "bool": lambda key: key % 2 == 0,
    "int": lambda key: key - 2,
    "big int": lambda key: 3**200 + key,
    "float": lambda key: key / 8,
    "complex": lambda key: complex(key, -key),
    "text": lambda key: f"räng {key}",
    "bytes": lambda key: data(key, key),
    "tuple": lambda key: (key, None, "x", (1.5, b"y")),
    "dict": lambda key: {"key": key, "more": [key, {key: (key,)}]},
    "set": lambda key: {key, "x"},
    "object": lambda key: Fraction(key, 7),
    "array": lambda key: floats(80, key),
    "0-d array": lambda key: np.array(key),
    "empty array": lambda key: np.zeros((0, key)),
    "structured array": lambda key: np.array([(key, 1.5)], dtype=[("a", "i4"), ("b", "f8")]),
}
LARGE = {
    "64 KiB": lambda key: data(1 << 16, key),
    "64 KiB array": lambda key: floats(1 << 16, key),
    "300 KiB": lambda key: data(300 << 10, key),
    "300 KiB text": lambda key: data(300 << 10, key).decode("latin-1"),
    "300 KiB array": lambda key: floats(300 << 10, key).reshape(8, -1).T,  # in Fortran's order
    "300 KiB object": lambda key: [(key, i, str(i)) for i in range(20000)],  # a pickle without buffers
    "5 MiB array": lambda key: floats(5 << 20, key),
    "5 MiB dict": lambda key: {key: data(5 << 20, key)},
    "list of arrays": lambda key: [floats(8 * 30_000, key + i) for i in range(4)],
    "many arrays": lambda key: [np.full(2500, key + i) for i in range(40)],
    "arrays of many sizes": lambda key: {i: floats(8 << i, key) for i in range(16)},
    "object array": lambda key: np.array([key, "x", None] * 5000, dtype=object),
}
KINDS = SMALL | LARGE
SOME = [KINDS[name] for name in ("int", "300 KiB", "None", "many arrays", "dict", "64 KiB array", "300 KiB object", "array")]


def each(make, size):
    """The object of every rank."""
    return [make(rank) for rank in range(size)]


def mixed(key):
    """Of all kinds, on neighbouring ranks objects of very different sizes."""
    return SOME[key % len(SOME)](key)


@pytest.fixture(params=KINDS)
def make(request):
    return KINDS[request.param]


# --- one by one ----------------------------------------------------------------------------------------------------


def test_barrier(comm, call):
    for _ in range(5):
        assert call(comm, "barrier") is None


def test_nobody_leaves_a_barrier_before_the_last_has_come(comm, tag):
    if comm.rank:
        request = comm.ibarrier()
        comm.send("here", 0, tag)
        assert request.wait() is None
        comm.send("left", 0, tag + 1)
        return
    for other in range(1, comm.size):
        assert comm.recv(None, other, tag) == "here"
    assert not any(comm.iprobe(MPI.ANY_SOURCE, tag + 1) for _ in range(200))
    comm.barrier()
    for other in range(1, comm.size):
        assert comm.recv(None, other, tag + 1) == "left"


def test_bcast(comm, call, make):
    for root in range(comm.size):
        own = make(root) if comm.rank == root else None
        got = call(comm, "bcast", own, root)
        assert same(got, make(root))
        assert comm.rank != root or got is own


def test_gather(comm, call, make):
    for root in range(comm.size):
        got = call(comm, "gather", make(comm.rank), root)
        assert same(got, each(make, comm.size) if comm.rank == root else None)


def test_scatter(comm, call, make):
    for root in range(comm.size):
        got = call(comm, "scatter", each(make, comm.size) if comm.rank == root else None, root)
        assert same(got, make(comm.rank))


def test_allgather(comm, call, make):
    assert same(call(comm, "allgather", make(comm.rank)), each(make, comm.size))


def test_alltoall(comm, call, make):
    size, rank = comm.size, comm.rank
    got = call(comm, "alltoall", [make(size * rank + to) for to in range(size)])
    assert same(got, [make(size * source + rank) for source in range(size)])


def test_objects_of_all_sizes_at_once(comm, call):
    """Small on one rank, large on the next, in many pieces on the one after."""
    size, rank = comm.size, comm.rank
    for turn in range(len(SOME)):
        root, objects = turn % size, [mixed(turn + other) for other in range(size)]
        assert same(call(comm, "allgather", objects[rank]), objects)
        assert same(call(comm, "gather", objects[rank], root), objects if rank == root else None)
        assert same(call(comm, "scatter", objects if rank == root else None, root), objects[rank])
        got = call(comm, "alltoall", [mixed(turn + size * rank + to) for to in range(size)])
        assert same(got, [mixed(turn + size * source + rank) for source in range(size)])


@pytest.mark.parametrize("name", NAMES)
def test_every_length_around_that_of_a_slot(comm, call, name):
    """Messages of 230 to 270 bytes, whatever the format adds to the bytes; on each rank another length."""
    size, rank, added = comm.size, comm.rank, len(MPI._pack(b"")[0])
    for length in range(230 - added - 30, 271):
        root = length % size

        def item(key, length=length):
            return data(length + key % 3, key)

        if name == "bcast":
            assert call(comm, name, item(root) if rank == root else None, root) == item(root)
        elif name == "gather":
            assert call(comm, name, item(rank), root) == (each(item, size) if rank == root else None)
        elif name == "scatter":
            assert call(comm, name, each(item, size) if rank == root else None, root) == item(rank)
        elif name == "allgather":
            assert call(comm, name, item(rank)) == each(item, size)
        else:
            got = call(comm, name, [item(size * rank + to) for to in range(size)])
            assert got == [item(size * source + rank) for source in range(size)]


def test_lengths_around_those_of_slots_with_all_kinds_of_objects(comm, call):
    """The same for objects that are described and pickled."""
    for length in range(150, 260, 3):
        objects = [np.full(length, comm.rank, "B"), ["x" * length], bytearray(length), "é" * (length // 2), {1, "y" * length}]
        for item, got in zip(objects, call(comm, "allgather", objects)[comm.rank], strict=True):
            assert same(item, got)
        for item in objects:
            assert same(call(comm, "allgather", item)[comm.rank], item)
            assert same(call(comm, "scatter", [item] * comm.size, comm.size - 1), call(comm, "bcast", item, comm.size - 1))


@pytest.mark.mmpi(n=[8], timeout=120)
def test_many_ranks(comm, call):
    size, rank, objects = comm.size, comm.rank, each(mixed, comm.size)
    call(comm, "barrier")
    for root in range(0, size, 3):
        assert same(call(comm, "bcast", mixed(root + 3) if rank == root else None, root), mixed(root + 3))
        assert same(call(comm, "gather", objects[rank], root), objects if rank == root else None)
        assert same(call(comm, "scatter", objects if rank == root else None, root), objects[rank])
    assert same(call(comm, "allgather", objects[rank]), objects)
    got = call(comm, "alltoall", [mixed(rank + to) for to in range(size)])
    assert same(got, [mixed(source + rank) for source in range(size)])
    assert call(comm, "allreduce", rank) == 28


# --- what comes back -----------------------------------------------------------------------------------------------


def test_objects_that_came_are_ours(comm, call):
    """Nobody else sees what we do to them: arrays are writable, and no two results share memory."""
    for length in (3, 100, 40_000):
        mine = np.full(length, comm.rank)
        first, second = call(comm, "allgather", mine), call(comm, "allgather", mine)
        for other, array in enumerate(first):
            if other != comm.rank:
                array[:] = -1
        assert all((array == other).all() for other, array in enumerate(second))
        assert (mine == comm.rank).all()
        got = call(comm, "bcast", mine if comm.rank == 0 else None)
        got += 1
        assert (got == 1).all()


def test_the_same_object_for_all(comm, call):
    """A list that holds one object many times."""
    shared = [1, "x", floats(40_000, 3)]
    assert same(call(comm, "scatter", [shared] * comm.size), shared)
    assert same(call(comm, "alltoall", [shared] * comm.size), [shared] * comm.size)


def test_strided_and_read_only_arrays(comm, call):
    for length in (20, 200_000):
        whole = np.arange(length, dtype="d") + comm.rank
        frozen = whole.copy()
        frozen.flags.writeable = False
        for array in (whole[::2], whole[::-1], whole.reshape(2, -1).T, whole.reshape(2, -1)[:, ::3], frozen):
            got = call(comm, "allgather", array)
            assert same(got[comm.rank], array)
            assert all(item.flags.writeable for other, item in enumerate(got) if other != comm.rank)
            assert same(call(comm, "bcast", array + (0 - comm.rank)), array - comm.rank)


def test_a_list_of_any_kind_is_scattered(comm, call):
    size, rank = comm.size, comm.rank
    for items in (list(range(size)), tuple(range(size)), range(size)):
        assert call(comm, "scatter", items if rank == 0 else None) == rank
        assert call(comm, "alltoall", items) == [rank] * size
    rows = np.arange(3 * size).reshape(size, 3)
    assert same(call(comm, "scatter", rows if rank == 0 else None), rows[rank])
    assert same(call(comm, "alltoall", rows), [rows[rank]] * size)
    assert call(comm, "scatter", "abcdefgh"[:size] if rank == 0 else None) == "abcdefgh"[rank]


def test_none_stands_for_none_for_everyone(comm, call):
    assert call(comm, "scatter", None) is None
    assert call(comm, "scatter", [None] * comm.size, comm.size - 1) is None
    assert call(comm, "alltoall", None) == [None] * comm.size
    got = call(comm, "alltoall", None if comm.rank else each(mixed, comm.size))
    assert same(got, [mixed(comm.rank)] + [None] * (comm.size - 1))
    assert call(comm, "bcast", None) is None
    assert call(comm, "allgather", None) == [None] * comm.size


def test_what_is_not_significant_is_not_looked_at(comm, call):
    root = comm.size - 1
    other = None if comm.rank == root else CannotTravel()
    for item in (7, data(1000, 7)):
        assert call(comm, "bcast", item if comm.rank == root else other, root) == item
        assert call(comm, "scatter", [item] * comm.size if comm.rank == root else other, root) == item


def test_arguments_by_name(comm, call):
    root, size = comm.size - 1, comm.size
    assert call(comm, "bcast", root=root, obj=comm.rank) == root
    assert call(comm, "gather", root=root, sendobj=comm.rank) == (list(range(size)) if comm.rank == root else None)
    assert call(comm, "scatter", root=root, sendobj=list(range(size))) == comm.rank
    assert call(comm, "allgather", sendobj=comm.rank) == list(range(size))
    assert call(comm, "alltoall", sendobj=[comm.rank] * size) == list(range(size))
    assert call(comm, "bcast", comm.rank) == 0  # the root unless told
    assert call(comm, "gather", comm.rank) == (list(range(size)) if comm.rank == 0 else None)
    assert call(comm, "scatter", list(range(size))) == comm.rank


@pytest.mark.parametrize("prefix", ["", "i"])
def test_functions_of_the_module(prefix):
    """On COMM_WORLD."""
    world = MPI.COMM_WORLD
    rank, size = world.rank, world.size

    def run(name, *args):
        result = getattr(mmpi, prefix + name)(*args)
        return result.wait() if prefix else result

    for length in (1, 1000):
        assert run("barrier") is None
        assert run("bcast", data(length, rank), size - 1) == data(length, size - 1)
        assert run("gather", data(length, rank), 0) == (each(lambda key, n=length: data(n, key), size) if rank == 0 else None)
        assert run("scatter", [data(length, to) for to in range(size)]) == data(length, rank)
        assert run("allgather", data(length, rank)) == each(lambda key, n=length: data(n, key), size)
        assert run("alltoall", [data(length, rank)] * size) == each(lambda key, n=length: data(n, key), size)
        assert run("allreduce", rank) == sum(range(size))


# --- several at once -----------------------------------------------------------------------------------------------


def start_all(comm, turn):
    """One of each kind under way: the requests, and what they are to bring here."""
    size, rank, root = comm.size, comm.rank, turn % comm.size
    objects = [mixed(turn + other) for other in range(size)]
    return [
        (comm.ibcast(objects[root] if rank == root else None, root), objects[root]),
        (comm.iallgather(objects[rank]), objects),
        (comm.ibarrier(), None),
        (comm.igather(objects[rank], root), objects if rank == root else None),
        (comm.iscatter(objects if rank == root else None, root), objects[rank]),
        (comm.ialltoall([mixed(turn + rank + to) for to in range(size)]), [mixed(turn + source + rank) for source in range(size)]),
        (comm.iallreduce(rank + turn), sum(range(size)) + size * turn),
    ]


def one_by_one(requests):
    return [request.wait() for request in requests]


def by_test(requests):
    """Look at one after the other, again and again."""
    results, left = [None] * len(requests), list(range(len(requests)))
    while left:
        for i in left[:]:
            done, result = requests[i].test()
            if done:
                results[i] = result
                left.remove(i)
    return results


def by_get_status(requests):
    """Waiting is over at once for what get_status says is done."""
    for request in requests:
        until(request.get_status)
    return [request.wait() for request in requests]


def by_any(requests):
    results = [None] * len(requests)
    for _ in requests:
        i, result = MPI.Request.waitany(requests)
        assert requests[i] == MPI.REQUEST_NULL
        results[i] = result
    assert MPI.Request.waitany(requests) == (MPI.UNDEFINED, None)
    return results


def by_some(requests):
    results, left = [None] * len(requests), len(requests)
    while left:
        indices, objects = MPI.Request.waitsome(requests)
        assert indices and len(indices) == len(objects)
        left -= len(indices)
        for i, result in zip(indices, objects, strict=True):
            results[i] = result
    assert MPI.Request.waitsome(requests) == (None, None)
    return results


def by_testall(requests):
    return until(lambda: (MPI.Request.testall(requests))[1])


def by_testany(requests):
    results = [None] * len(requests)
    for _ in requests:
        i, _, result = until(lambda: (answer := MPI.Request.testany(requests))[1] and answer)
        results[i] = result
    return results


def by_testsome(requests):
    results, left = [None] * len(requests), len(requests)
    while left:
        indices, objects = MPI.Request.testsome(requests)
        left -= len(indices or [])
        for i, result in zip(indices or [], objects or [], strict=True):
            results[i] = result
    return results


WAYS = [one_by_one, MPI.Request.waitall, by_test, by_get_status, by_any, by_some, by_testall, by_testany, by_testsome]
WAY_NAMES = ["wait", "waitall", "test", "get_status", "waitany", "waitsome", "testall", "testany", "testsome"]


@pytest.fixture(params=WAYS, ids=WAY_NAMES)
def way(request):
    return request.param


def check_results(started, way):
    results = way([request for request, _ in started])
    assert len(results) == len(started)
    for (_, expected), result in zip(started, results, strict=True):
        assert same(result, expected)


def test_many_are_under_way(comm, way):
    check_results([pair for turn in range(4) for pair in start_all(comm, turn)], way)


def test_ranks_complete_them_in_orders_of_their_own(comm, way):
    """Nobody's second step waits for another's order: each rank's is another permutation."""
    own = random.Random(comm.rank)
    for turn in range(3):
        started = start_all(comm, turn) + start_all(comm, turn + 3)
        own.shuffle(started)
        check_results(started, way)


@pytest.mark.parametrize("make", [LARGE[name] for name in ("64 KiB", "300 KiB object", "many arrays")])
def test_opposite_orders(comm, make):
    """One rank waits for the first, the next for the last."""
    for _ in range(3):
        started = [
            (comm.ibcast(make(root) if comm.rank == root else None, root), make(root)) for root in range(comm.size)
        ]
        check_results(started if comm.rank % 2 else started[::-1], one_by_one)


def test_completed_after_others_that_began_later(comm):
    """Blocking collectives, of objects and typed, come and go between start and wait."""
    size, rank = comm.size, comm.rank
    for turn in range(3):
        started = start_all(comm, turn)
        comm.Barrier()
        assert same(comm.allgather(mixed(rank)), each(mixed, size))
        total = np.zeros(1000)
        comm.Allreduce(np.full(1000, float(rank)), total)
        assert (total == sum(range(size))).all()
        typed = np.full(3000, float(rank))
        others = [(comm.Ibcast(typed, size - 1), None)]
        assert same(comm.bcast(mixed(turn + 2), 0), mixed(turn + 2))
        comm.Bcast(np.zeros(10), size - 1)
        comm.barrier()
        started += others + start_all(comm, turn + 5)
        random.Random(rank + turn).shuffle(started)
        check_results(started, one_by_one)
        assert (typed == size - 1).all()


@pytest.mark.parametrize("make", [LARGE[name] for name in ("64 KiB", "300 KiB object", "5 MiB array", "many arrays")])
def test_they_go_on_while_a_rank_blocks_in_a_typed_collective(comm, make):
    """It entered the barrier before it waited, the others wait before they enter it."""
    if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
        pytest.skip("needs THREAD_MULTIPLE")
    for blocked in range(comm.size):
        for root in {blocked, (blocked + 1) % comm.size}:
            requests = [comm.ibcast(make(root) if comm.rank == root else None, root), comm.iallgather(make(comm.rank))]
            if comm.rank == blocked:
                comm.Barrier()
            got, everyone = [request.wait() for request in requests]
            if comm.rank != blocked:
                comm.Barrier()
            assert same(got, make(root)) and same(everyone, each(make, comm.size))


@pytest.mark.parametrize("make", [LARGE[name] for name in ("64 KiB", "5 MiB array")])
def test_they_go_on_while_a_rank_waits_for_a_message(comm, make, tag):
    request = comm.iallgather(make(comm.rank))
    note = np.zeros(1)
    if comm.rank == 0:
        for other in range(1, comm.size):
            comm.Recv(note, other, tag)
    assert same(request.wait(), each(make, comm.size))
    if comm.rank:
        comm.Send(note, 0, tag)


def test_requests_of_all_kinds_together(comm, tag, way):
    """Object collectives, object messages, typed collectives and typed messages in one list."""
    rank, size = comm.rank, comm.size
    right, left = (rank + 1) % size, (rank - 1) % size
    total, column, back = np.zeros(4), np.zeros(size), np.zeros(5)
    started = [
        (comm.irecv(None, left, tag), mixed(left)),
        (comm.Irecv(back, left, tag + 1), None),
        *start_all(comm, 1),
        (comm.Iallreduce(np.full(4, float(rank)), total), None),
        (comm.isend(mixed(rank), right, tag), None),
        (comm.Iallgather(np.array([float(rank)]), column), None),
        (comm.Isend(np.full(5, float(rank)), right, tag + 1), None),
        (comm.Ibarrier(), None),
    ]
    random.Random(rank).shuffle(started)
    check_results(started, way)
    assert (total == sum(range(size))).all() and (column == range(size)).all() and (back == left).all()


def test_uppercase_waits_complete_them(comm):
    """The objects are lost, nothing else."""
    started = start_all(comm, 2)
    MPI.Request.Waitall([request for request, _ in started[:4]])
    for request, _ in started[4:]:
        request.Wait()
    assert all(request == MPI.REQUEST_NULL for request, _ in started)
    check_usable(comm)


def test_open_receives_see_nothing_of_them(comm, tag):
    """A receive from anybody with any tag on the same communicator gets the message, never a piece of a collective."""
    rank, size = comm.rank, comm.size
    status, request = MPI.Status(), comm.irecv(None, MPI.ANY_SOURCE, MPI.ANY_TAG)
    started = start_all(comm, 1) + start_all(comm, 3)
    assert same(comm.allgather(mixed(rank + 1)), each(lambda key: mixed(key + 1), size))
    assert not comm.iprobe(MPI.ANY_SOURCE, MPI.ANY_TAG)
    assert request.test() == (False, None)
    check_results(started, one_by_one)
    comm.barrier()
    sending = comm.isend(("note", rank), (rank + 1) % size, tag)
    assert request.wait(status) == ("note", (rank - 1) % size)
    assert (status.source, status.tag) == ((rank - 1) % size, tag)
    sending.wait()


def step(comm, name, table, root):
    """A collective whose bytes stand in a table of lengths and keys, a row each rank: its arguments, and what it brings."""
    rank, mine, everyone = comm.rank, [data(*key) for key in table[comm.rank]], [data(*row[0]) for row in table]
    if name == "bcast":
        return (mine[0] if rank == root else None, root), everyone[root]
    if name == "gather":
        return (mine[0], root), everyone if rank == root else None
    if name == "scatter":
        return (mine if rank == root else None, root), data(*table[root][rank])
    if name == "allgather":
        return (mine[0],), everyone
    return (mine,), [data(*row[rank]) for row in table]


LENGTHS = [0, 1, 100, 200, 240, 250, 260, 1000, 4090, 16_384, 70_000, 262_100, 262_144, 400_000]


@pytest.mark.parametrize("seed", range(6))
def test_random_programs(comm, seed):
    """All ranks run the same program; when it waits, and for what first, each decides for itself."""
    program, own = random.Random(seed), random.Random(100 * seed + comm.rank)
    size, left = comm.size, []
    for turn in range(40):
        name, root, wait = program.choice(NAMES), program.randrange(size), program.random() < 0.4
        table = [[(program.choice(LENGTHS), turn + 3 * i + j) for j in range(size)] for i in range(size)]
        given, expected = step(comm, name, table, root)
        if wait:
            assert getattr(comm, name)(*given) == expected
        else:
            left.append((getattr(comm, "i" + name)(*given), expected))
        while left and own.random() < 0.3:
            request, expected = left.pop(own.randrange(len(left)))
            assert request.wait() == expected
    own.shuffle(left)
    check_results(left, one_by_one)


# --- requests that nobody waits for --------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [LARGE[name] for name in ("64 KiB", "5 MiB array", "many arrays")] + [SMALL["int"]])
def test_dropped_requests(comm, make):
    """The operation goes on: nobody else is left waiting, and the communicator is as good as before."""
    for root in range(comm.size):
        dropper = (root + 1) % comm.size
        requests = [comm.ibcast(make(root) if comm.rank == root else None, root), comm.iallgather(make(comm.rank))]
        if comm.rank in (root, dropper):
            del requests
            gc.collect()
        else:
            assert same(requests[1].wait(), each(make, comm.size))
            assert same(requests[0].wait(), make(root))
        check_usable(comm)


def test_all_requests_are_dropped(comm):
    for turn in range(5):
        start_all(comm, turn)
    check_usable(comm)


def test_a_communicator_is_freed_while_its_collectives_go_on(comm):
    copy = comm.Dup()
    started = start_all(copy, 1)
    dropped = start_all(copy, 2)
    copy.Free()
    del dropped
    check_results(started, one_by_one)
    check_usable(comm)


def test_free_a_request(comm):
    request = comm.iallgather(mixed(comm.rank + 1))
    request.Free()
    assert request == MPI.REQUEST_NULL
    check_usable(comm)


# --- communicators -------------------------------------------------------------------------------------------------


def test_self(call):
    comm = MPI.COMM_SELF
    call(comm, "barrier")
    for make in KINDS.values():
        item = make(3)
        assert same(call(comm, "bcast", item), item)
        for name in ("gather", "allgather"):
            assert same(call(comm, name, item), [item])
        assert same(call(comm, "scatter", [item]), item)
        assert same(call(comm, "alltoall", [item]), [item])


def test_duplicates_do_not_mix(comm):
    """The same collectives at once on a communicator, its copies and their copies, completed in any order."""
    copies = [comm, comm.Dup(), comm.Dup()]
    copies.append(copies[1].Dup())
    started = [pair for turn, copy in enumerate(copies) for pair in start_all(copy, turn)]
    random.Random(comm.rank).shuffle(started)
    check_results(started, one_by_one)
    for copy in copies[1:]:
        copy.Free()
    check_usable(comm)


def test_parts_of_a_communicator(comm, call):
    """Each part goes its own way, with more or fewer collectives than the others, and other ranks than its parent."""
    part = comm.Split(comm.rank % 2, -comm.rank)
    for turn in range(1 + 3 * (comm.rank % 2)):
        objects = each(lambda key, turn=turn: (comm.rank % 2, mixed(turn + key)), part.size)
        assert same(call(part, "allgather", objects[part.rank]), objects)
        root = turn % part.size
        assert same(call(part, "bcast", objects[root] if part.rank == root else None, root), objects[root])
        assert same(call(part, "scatter", objects if part.rank == root else None, root), objects[part.rank])
    check_usable(part)
    part.Free()
    check_usable(comm)


def test_a_part_without_some_ranks(comm, call):
    part = comm.Split(0 if comm.rank else MPI.UNDEFINED)
    if comm.rank == 0:
        assert part == MPI.COMM_NULL
        with pytest.raises(MPI.Exception):
            call(part, "bcast", 1)
    else:
        assert same(call(part, "allgather", mixed(part.rank)), each(mixed, part.size))
        part.Free()
    check_usable(comm)


def test_a_grid(comm, call):
    grid = comm.Create_cart([comm.size], [True])
    assert same(call(grid, "allgather", mixed(grid.rank)), each(mixed, grid.size))
    grid.Free()


@pytest.mark.slow
@pytest.mark.mmpi(n=[2], timeout=120)
def test_communicators_are_not_used_up(comm):
    """Each copy that moves a large object has a hidden one of its own, and libraries have about 2000 in all."""
    item = data(1000, comm.rank)
    for _ in range(2000):
        copy = comm.Dup()
        assert copy.bcast(item, 1) == data(1000, 1)
        copy.Free()


@pytest.mark.mmpi(n=[2])
def test_small_objects_use_up_none_at_all(comm):
    """Far more copies than half of what a library has, alive at the same time: none has a hidden one."""
    copies = [comm.Dup() for _ in range(1200)]
    for copy in copies:
        assert copy.allgather(copy.rank) == [0, 1]
        assert copy.sendrecv(data(400_000, 5), copy.rank, 1, source=copy.rank, recvtag=1) == data(400_000, 5)
    for copy in copies:
        copy.Free()


def test_a_freed_communicator(comm, call):
    copy = comm.Dup()
    assert same(copy.allgather(mixed(comm.rank)), each(mixed, comm.size))
    copy.Free()
    for name in NAMES:
        with pytest.raises(MPI.Exception) as caught:
            call(copy, name, [1] * comm.size)
        assert caught.value.Get_error_class() == MPI.ERR_COMM
    with pytest.raises(MPI.Exception):
        call(copy, "barrier")


# --- wrong arguments -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_object(comm, call, name):
    with pytest.raises(TypeError, match=name):
        call(comm, name)
    check_usable(comm)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_argument(comm, call, name):
    with pytest.raises(TypeError, match="colour"):
        call(comm, name, [1] * comm.size, colour=3)
    check_usable(comm)


def test_too_many_arguments(comm, call):
    for name, arguments in (("barrier", (1,)), ("bcast", (1, 0, 2)), ("allgather", (1, 0)), ("alltoall", (None, 0))):
        with pytest.raises(TypeError, match=name):
            call(comm, name, *arguments)
    check_usable(comm)


@pytest.mark.parametrize("root", [0.5, "0", None, [0]])
@pytest.mark.parametrize("name", ROOTED)
def test_a_root_that_is_no_integer(comm, call, name, root):
    with pytest.raises(TypeError, match="root|integer"):
        call(comm, name, [1] * comm.size, root=root)
    check_usable(comm)


@pytest.mark.parametrize("name", ROOTED)
@pytest.mark.parametrize("make", [SMALL["int"], LARGE["64 KiB"]])
def test_a_root_that_is_no_rank(comm, call, name, make):
    for root in (comm.size, -1, -7, 2**31 - 1, MPI.PROC_NULL):
        with pytest.raises(MPI.Exception) as caught:
            call(comm, name, [make(0)] * comm.size, root)
        assert caught.value.Get_error_class() == MPI.ERR_ROOT
    check_usable(comm)


# --- errors on some ranks ------------------------------------------------------------------------------------------


def arguments(comm, name, item, root):
    """For the collective of that name, where `item` is what this rank has to tell."""
    if name == "scatter":
        item = [item] * comm.size if comm.rank == root else None
    elif name == "alltoall":
        item = [item] * comm.size
    return (item, root) if name in ROOTED else (item,)


OTHERS = {"small": SMALL["int"], "large": LARGE["300 KiB"], "many": LARGE["many arrays"]}


@pytest.mark.parametrize("others", OTHERS)
@pytest.mark.parametrize("name", NAMES)
def test_an_object_that_cannot_be_pickled(comm, call, name, others):
    """Each rank in turn is at fault; where the root alone has objects, each root."""
    for bad in range(comm.size):
        for root in [bad] if name in ("bcast", "scatter") else [0, comm.size - 1]:
            item = CannotTravel() if comm.rank == bad else OTHERS[others](comm.rank)
            with failing(comm, bad, ZeroDivisionError, "it cannot travel"):
                call(comm, name, *arguments(comm, name, item, root))
            if bad in (0, comm.size - 1):
                check_usable(comm)


@pytest.mark.parametrize("name", ["scatter", "alltoall"])
def test_one_item_of_many_that_cannot_be_pickled(comm, call, name):
    for bad in range(comm.size):
        for place in range(comm.size):
            items = [LARGE["64 KiB"](to) for to in range(comm.size)]
            if comm.rank == bad:
                items[place] = [1, CannotTravel()]
            with failing(comm, bad, ZeroDivisionError, "it cannot travel"):
                call(comm, name, items, bad) if name == "scatter" else call(comm, name, items)
    check_usable(comm)


def test_what_pickle_itself_refuses(comm, call):
    """A function without a name, a thread's lock, an open file: Python's own exceptions."""
    for bad in range(comm.size):
        with failing(comm, bad, Exception, "lambda"):
            call(comm, "allgather", (lambda: 1) if comm.rank == bad else 1)
        with failing(comm, bad, TypeError, "generator"):
            call(comm, "bcast", (i for i in [1]) if comm.rank == bad else None, bad)
    check_usable(comm)


@pytest.mark.parametrize("name", ["gather", "allgather", "alltoall"])
def test_several_objects_that_cannot_be_pickled(comm, call, name):
    """Ranks at fault have their own errors, the others hear of one of them."""
    bad = {rank for rank in range(comm.size) if rank % 2 == 0}
    item = CannotTravel(f"not from {comm.rank}") if comm.rank in bad else LARGE["64 KiB"](comm.rank)
    with pytest.raises(ZeroDivisionError if comm.rank in bad else mmpi.RemoteError) as caught:
        call(comm, name, *arguments(comm, name, item, comm.size - 1))
    named = comm.rank if comm.rank in bad else caught.value.rank
    assert named in bad and f"not from {named}" in str(caught.value)
    check_usable(comm)


@pytest.mark.parametrize("text", ["x" * 10_000, "schön ☃ " * 500, "a\0b", ""], ids=["long", "not ASCII", "zero", "empty"])
def test_texts_of_errors(comm, call, text):
    """What does not fit is left out, but never half a character."""
    for bad in range(comm.size):
        with pytest.raises(ZeroDivisionError if comm.rank == bad else mmpi.RemoteError) as caught:
            call(comm, "allgather", CannotTravel(text) if comm.rank == bad else 1)
        if comm.rank == bad:
            assert str(caught.value) == text
        else:
            assert caught.value.rank == bad and text[:40].split("\0")[0] in caught.value.text
            assert str(bad) in str(caught.value) and "\ufffd" not in caught.value.text
    check_usable(comm)


class Speechless(Exception):
    """An exception that fails when it is to say what it is."""

    def __str__(self):
        raise RuntimeError("no words")


class CannotSayWhy:
    def __reduce__(self):
        raise Speechless


def test_an_error_without_words(comm, call):
    for bad in range(comm.size):
        with pytest.raises(Speechless if comm.rank == bad else mmpi.RemoteError) as caught:
            call(comm, "allgather", CannotSayWhy() if comm.rank == bad else 1)
        assert comm.rank == bad or caught.value.rank == bad
    check_usable(comm)


@pytest.mark.parametrize("extra", [-1, 1])
@pytest.mark.parametrize("others", OTHERS)
@pytest.mark.parametrize("name", ["scatter", "alltoall"])
def test_a_list_of_wrong_length(comm, call, name, others, extra):
    for bad in range(comm.size):
        length = comm.size + (extra if comm.rank == bad else 0)
        items = [OTHERS[others](to) for to in range(length)]
        with failing(comm, bad, ValueError, str(comm.size)):
            call(comm, name, items, bad) if name == "scatter" else call(comm, name, items)
    check_usable(comm)


class CannotBeListed:
    """A sequence that fails on the way."""

    def __len__(self):
        return MPI.COMM_WORLD.Get_size()

    def __getitem__(self, i):
        raise ZeroDivisionError("it cannot be listed")


@pytest.mark.parametrize("name", ["scatter", "alltoall"])
def test_a_list_that_is_none(comm, call, name):
    for bad in range(comm.size):
        for kind, text, wrong in ((TypeError, "int", 5), (ZeroDivisionError, "listed", CannotBeListed())):
            items = wrong if comm.rank == bad else [1] * comm.size
            with failing(comm, bad, kind, text):
                call(comm, name, items, bad) if name == "scatter" else call(comm, name, items)
    check_usable(comm)


def explode(where, weight):
    """What unpickling Explosive does."""
    if MPI.COMM_WORLD.Get_rank() == where:
        raise ZeroDivisionError("it went off")
    return "safe", weight


class Explosive:
    """An object that one rank of all cannot unpickle."""

    def __init__(self, where, weight):
        self.arguments = where, weight

    def __reduce__(self):
        return explode, self.arguments


def has_objects_of_others(comm, name, root):
    """Does this rank get any?"""
    if name in ("bcast", "scatter"):
        return comm.rank != root
    return comm.size > 1 and (name != "gather" or comm.rank == root)


@pytest.mark.parametrize("make", [SMALL["int"], LARGE["300 KiB"], LARGE["many arrays"]], ids=["small", "large", "many"])
@pytest.mark.parametrize("name", NAMES)
def test_an_object_that_one_rank_cannot_load(comm, call, name, make):
    """What has arrived has arrived: the error is that rank's alone, and the next collective finds all in step.

    Whether a rank's own object makes the journey is nobody's business.
    """
    for where in range(comm.size):
        for root in range(comm.size) if name in ROOTED else [0]:
            item = Explosive(where, make(1))
            unsafe = comm.rank == where and has_objects_of_others(comm, name, root)
            try:
                got = call(comm, name, *arguments(comm, name, item, root))
            except ZeroDivisionError as error:
                assert comm.rank == where and "it went off" in str(error)
                continue
            assert not unsafe
            if name == "gather" and comm.rank != root:
                assert got is None
                continue
            assert all(one is item or same(one, ("safe", make(1))) for one in (got if isinstance(got, list) else [got]))
        check_usable(comm)


def test_errors_of_nonblocking_collectives_come_with_their_end(comm):
    """Starting does not raise, nor does what else is under way suffer."""
    for bad in range(comm.size):
        item = CannotTravel() if comm.rank == bad else LARGE["64 KiB"](comm.rank)
        failed = [comm.ibcast(item, bad), comm.iallgather(item), comm.igather(item, comm.size - 1)]
        started = start_all(comm, bad)
        failed.append(comm.ialltoall([item] * (comm.size + (comm.rank == bad))))
        random.Random(comm.rank).shuffle(started)
        check_results(started, one_by_one)
        for request in failed[:-1]:
            with failing(comm, bad, ZeroDivisionError, "it cannot travel"):
                request.wait()
            assert request == MPI.REQUEST_NULL
        with failing(comm, bad, ValueError):
            failed[-1].wait()
    check_usable(comm)


def test_test_raises_the_errors_of_nonblocking_collectives(comm):
    request = comm.iallgather(CannotTravel() if comm.rank == 0 else 1)
    with failing(comm, 0, ZeroDivisionError, "it cannot travel"):
        until(lambda: request.test()[0])
    check_usable(comm)


def test_errors_that_nobody_waits_for(comm):
    for _ in range(5):
        for bad in range(comm.size):
            item = CannotTravel() if comm.rank == bad else LARGE["64 KiB"](comm.rank)
            comm.iallgather(item)
            comm.ibcast(item, bad)
            comm.ialltoall([item] * (comm.size + (comm.rank == bad)))
    check_usable(comm)


def test_errors_on_one_communicator_leave_others_alone(comm):
    copy = comm.Dup()
    started = start_all(copy, 1)
    with failing(comm, 0, ZeroDivisionError, "it cannot travel"):
        comm.allgather(CannotTravel() if comm.rank == 0 else 1)
    check_results(started, one_by_one)
    check_usable(copy)
    copy.Free()
