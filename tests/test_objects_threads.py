# SPDX-License-Identifier: BSD-3-Clause
"""Threads that exchange objects: on one communicator from anybody with any tag, beside callables, and in collectives."""

import itertools
import operator
import random
import struct
import zlib

import numpy as np
import pytest

from alike import same
from mmpi import MPI, RemoteError
from test_threads import together

pytestmark = pytest.mark.mmpi(n=[2, 3], timeout=120)

THREADS = 8


@pytest.fixture
def comm(threaded_comm):
    return threaded_comm


# --- one communicator, ANY_SOURCE and ANY_TAG ----------------------------------------------------------------------

HEAD = struct.Struct("=iiiiI")  # rank, thread, number, tag, and the checksum of what follows
LARGEST = 1 << 21


def lengths(own, large):
    """From 1 B to 2 MiB: each power of two as often as any other, except that of the largest there are fewer."""
    while True:
        power = own.uniform(0, 21)
        if power < 17 or own.random() < large:
            yield max(1, int(2**power))


def payload(own, length):
    """Bytes that are cheap to make and hard to mistake."""
    block = own.randbytes(min(length, 4096))
    return (block * (length // len(block) + 1))[:length]


def as_parts(data):
    """A list of arrays and a rest: many buffers, or one, or none."""
    cut = max(1, len(data) // 3)
    return [np.frombuffer(data[i : i + cut], "B") for i in range(0, len(data), cut)]


FORMS = {  # an object that holds these bytes, and the bytes it holds
    "bytes": (lambda data: data, bytes),
    "bytearray": (bytearray, bytes),
    "array": (lambda data: np.frombuffer(data, "B"), lambda array: array.tobytes()),
    "nested": (lambda data: {"data": (data, [None])}, lambda item: item["data"][0]),
    "arrays": (as_parts, lambda parts: b"".join(part.tobytes() for part in parts)),
    "text": (lambda data: data.decode("latin-1"), lambda text: text.encode("latin-1")),
}


def make(own, form, length, *who):
    data = payload(own, length)
    return FORMS[form][0](HEAD.pack(*who, zlib.crc32(data)) + data)


def read(item):
    """Who sent it, or what is wrong with it."""
    kinds = {bytes: "bytes", bytearray: "bytearray", np.ndarray: "array", dict: "nested", list: "arrays", str: "text"}
    data = FORMS[kinds[type(item)]][1](item)
    *who, check = HEAD.unpack_from(data)
    if zlib.crc32(data[HEAD.size :]) != check:
        raise AssertionError(f"an object said to be of {who} arrived damaged")
    return tuple(who)


def by_recv(comm, status):
    return comm.recv(status=status)


def by_irecv(comm, status):
    return comm.irecv().wait(status)


def by_mprobe(comm, status):
    message = comm.mprobe()
    return message.recv(status)


def by_improbe(comm, status):
    while (message := comm.improbe()) is None:
        pass
    return message.irecv().wait(status)


def by_test(comm, status):
    request = comm.irecv()
    while not (answer := request.test(status))[0]:
        pass
    return answer[1]


RECEIVES = [by_recv, by_recv, by_irecv, by_mprobe, by_improbe, by_test]


class Exchange:
    """Each thread sends as many objects as it receives, and waits for its sends at the end: so nobody waits in a circle."""

    def __init__(self, comm, each, large):
        self.comm, self.each, self.large = comm, each, large
        self.got, self.wrong = [], []  # list.append is safe in threads

    def address(self, rank, thread, number):
        """Where it goes, each other rank as often as any; and its tag."""
        size = self.comm.size
        return (rank + 1 + number % (size - 1)) % size, (7 * thread + number) % 1000

    def expected(self):
        """What has to arrive here."""
        everything = itertools.product(range(self.comm.size), range(THREADS), range(self.each))
        return sorted((*who, self.address(*who)[1]) for who in everything if self.reaches(*who))

    def reaches(self, rank, thread, number):
        return rank != self.comm.rank and self.address(rank, thread, number)[0] == self.comm.rank

    def send(self, own, sizes, thread, number):
        dest, tag = self.address(self.comm.rank, thread, number)
        item = make(own, own.choice(list(FORMS)), next(sizes), self.comm.rank, thread, number, tag)
        return self.comm.isend(item, dest, tag)

    def receive(self, own):
        """Problems are noted and not raised: the others count on us to take our share."""
        status = MPI.Status()
        try:
            who = read(own.choice(RECEIVES)(self.comm, status))
        except Exception as error:
            self.wrong.append(repr(error))
            return
        self.got.append(who)
        if (status.source, status.tag) != (who[0], who[3]):
            self.wrong.append(f"the status of {who} tells of source {status.source} and tag {status.tag}")

    def run(self, thread):
        own = random.Random(1000 * self.comm.rank + thread)
        sizes, requests = lengths(own, self.large), []
        for number in range(self.each):
            requests.append(self.send(own, sizes, thread, number))
            self.receive(own)
            if number % 16 == 15:
                requests = [request for request in requests if not request.test()[0]]
        MPI.Request.waitall(requests)

    def __call__(self):
        together(*[lambda thread=thread: self.run(thread) for thread in range(THREADS)])
        assert not self.wrong, f"{len(self.wrong)} problems, first {self.wrong[:3]}"
        assert sorted(self.got) == self.expected()


def per_thread(comm, total):
    """Of so many in all; a multiple of how many destinations take turns."""
    return total // (THREADS * comm.size * (comm.size - 1)) * (comm.size - 1)


def test_eight_threads_exchange_objects(comm):
    """None lost, none mixed, none twice."""
    Exchange(comm, per_thread(comm, 3000), 0.3)()


@pytest.mark.slow
@pytest.mark.mmpi(n=[2, 3], timeout=900)
def test_eight_threads_exchange_very_many_objects(comm):
    Exchange(comm, per_thread(comm, 100_000), 0.05)()


def test_two_exchanges_on_two_communicators(comm):
    """What is sent on one is never received on the other."""
    copy = comm.Dup()
    one, two = Exchange(comm, per_thread(comm, 1000), 0.3), Exchange(copy, per_thread(copy, 1000), 0.3)
    together(one, two)
    copy.Free()


@pytest.mark.mmpi(n=[1, 2])
def test_threads_and_their_own_tags(comm):
    """Blocking exchanges around the ring, one tag a thread: no thread gets another's object."""
    after, before = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size

    def exchange(thread):
        own = random.Random(thread)
        for number, length in enumerate(itertools.islice(lengths(own, 0.3), 60)):
            mine = (comm.rank, thread, number, bytes(length))
            got = comm.sendrecv(mine, after, thread, None, before, thread)
            assert got == (before, thread, number, bytes(length))

    together(*[lambda thread=thread: exchange(thread) for thread in range(THREADS)])


def test_objects_and_typed_messages_share_a_communicator(comm):
    """Threads with typed messages between those with objects, each with tags of its own."""
    after, before = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size

    def objects(tag):
        for number in range(60):
            mine = [np.full(10_000 * (number % 5), comm.rank), number]
            request = comm.isend(mine, after, tag)
            assert same(comm.recv(None, before, tag), [np.full(10_000 * (number % 5), before), number])
            request.wait()

    def typed(tag):
        got = np.zeros(50_000)
        for number in range(60):
            comm.Sendrecv(np.full(len(got), 100.0 * comm.rank + number), after, tag, got, before, tag)
            assert (got == 100 * before + number).all()

    together(*[lambda tag=tag: (objects if tag % 2 else typed)(tag) for tag in range(6)])


# --- callables of reductions ---------------------------------------------------------------------------------------


def add_in_place(invec, inoutvec, datatype):
    target = np.frombuffer(inoutvec, "d")
    target += np.frombuffer(invec, "d")


def test_python_operations_while_others_exchange_objects(comm):
    """A callback of MPI needs the GIL, others hold it and want MPI: neither must wait for the other's lock."""
    typed, plain = comm.Dup(), comm.Dup()
    op = MPI.Op.Create(add_in_place, True)
    exchange = Exchange(comm, per_thread(comm, 600), 0.3)

    def reduce_typed():
        into = np.zeros(1000)
        for _ in range(60):
            typed.Allreduce(np.ones(len(into)), into, op)
            assert (into == typed.size).all()
            typed.Iallreduce(np.ones(len(into)), into, op).Wait()

    def reduce_objects():
        ranks = list(range(plain.size))
        for turn in range(60):
            assert plain.allreduce([plain.rank], lambda a, b: a + b) == ranks
            assert plain.iallreduce((turn, plain.rank), max).wait() == (turn, ranks[-1])
            assert plain.scan(str(plain.rank), operator.add) == "".join(map(str, ranks[: plain.rank + 1]))
            total = plain.allreduce(np.full(20_000, 1.5), lambda a, b: a + b)
            assert (total == 1.5 * plain.size).all()

    together(reduce_typed, reduce_objects, exchange)
    op.Free()
    typed.Free()
    plain.Free()


def test_slow_callables_hold_up_nobody(comm):
    """While one thread is in a callable, those of other communicators go on: the callable waits for them to be done."""
    copy, done = comm.Dup(), []

    def talk():
        for turn in range(50):
            comm.sendrecv(np.full(50_000, turn), (comm.rank + 1) % comm.size, 1, None, (comm.rank - 1) % comm.size, 1)
        done.append(True)

    def combine(a, b):
        while not done:
            sum(range(1000))
        return a + b

    assert together(lambda: copy.allreduce("x", combine), talk)[0] == "x" * comm.size
    copy.Free()


def test_threads_that_wait_for_callables_of_each_other(comm):
    """Whichever thread combines, the result or the error comes to the one that waits, on all ranks."""
    copies = [comm.Dup() for _ in range(4)]

    def reduce(copy, bad):
        def combine(a, b):
            if copy.rank == bad:
                raise ZeroDivisionError("here")
            return a + b

        for _ in range(20):
            request = copy.iallreduce("x", combine)
            if bad is None:
                assert request.wait() == "x" * copy.size
                continue
            with pytest.raises(ZeroDivisionError if copy.rank == bad else RemoteError, match="here"):
                request.wait()

    together(*[lambda copy=copy, bad=bad: reduce(copy, bad) for copy, bad in zip(copies, (None, 0, 1, None), strict=True)])
    for copy in copies:
        copy.Free()


# --- collectives on communicators of their own ---------------------------------------------------------------------


def collectives(comm, thread, rounds):
    """All kinds, sizes by turns; the objects tell thread, round and rank."""
    own, size, rank = random.Random(thread), comm.size, comm.rank
    for turn, length in enumerate(itertools.islice(lengths(own, 0.1), rounds)):
        objects = [(thread, turn, other, np.full(length // 8, other)) for other in range(size)]
        root = turn % size
        requests = [comm.iallgather(objects[rank]), comm.ibcast(objects[root] if rank == root else None, root)]
        requests.append(comm.iallreduce(thread + rank))
        assert same(comm.allgather(objects[rank]), objects)
        assert same(comm.bcast(objects[root] if rank == root else None, root), objects[root])
        assert same(comm.scatter(objects if rank == root else None, root), objects[rank])
        assert same(comm.gather(objects[rank], root), objects if rank == root else None)
        assert same(comm.alltoall(objects), [objects[rank]] * size)
        assert comm.allreduce([turn, thread]) == [turn, thread] * size
        comm.barrier()
        everyone, from_root, total = MPI.Request.waitall(requests)
        assert same(everyone, objects) and same(from_root, objects[root])
        assert total == size * thread + sum(range(size))


@pytest.mark.mmpi(n=[1, 2, 3])
def test_each_thread_has_collectives_on_a_communicator_of_its_own(comm):
    copies = [comm.Dup() for _ in range(THREADS)]
    together(*[lambda thread=thread: collectives(copies[thread], thread, 15) for thread in range(THREADS)])
    for copy in copies:
        copy.Free()


def test_collectives_beside_messages(comm):
    """And on the communicator of the messages too, by one thread: open receives see nothing of it."""
    exchange = Exchange(comm, per_thread(comm, 600), 0.3)
    copies = [comm.Dup() for _ in range(3)]
    together(exchange, lambda: collectives(comm, 9, 15), *[lambda i=i: collectives(copies[i], i, 15) for i in range(3)])
    for copy in copies:
        copy.Free()


def test_a_request_is_waited_for_in_another_thread(comm):
    item = np.arange(200_000)
    request = comm.irecv(None, comm.rank, 6)
    got, _ = together(request.wait, lambda: comm.send(item, comm.rank, 6))
    assert same(got, item)
    request = comm.iallgather(item + comm.rank)
    [everyone] = together(request.wait)
    assert same(everyone, [item + rank for rank in range(comm.size)])
