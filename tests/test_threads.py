# SPDX-License-Identifier: BSD-3-Clause
"""Several threads of a rank in MPI at once: no mixed messages, no deadlock, no thread that keeps the others waiting."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2, 3], timeout=120)


@pytest.fixture
def comm(threaded_comm):
    return threaded_comm


def together(*functions):
    """Run functions at the same time, each in a thread of its own; raise what any of them raised."""
    start = threading.Barrier(len(functions))

    def begin(function):
        start.wait()
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result() for future in [pool.submit(begin, function) for function in functions]]


def ring(comm, tag, rounds, length):
    """Pass arrays around the ring; the values tell sender, tag and round."""
    after, before = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
    got = np.zeros(length)
    for turn in range(rounds):
        comm.Sendrecv(np.full(length, 1e6 * comm.rank + 1e3 * tag + turn), after, tag, got, before, tag)
        assert (got == 1e6 * before + 1e3 * tag + turn).all()


@pytest.mark.parametrize("length", [1, 1000, 100_000])
def test_exchanges_with_different_tags(comm, length):
    together(*[lambda tag=tag: ring(comm, tag, 20, length) for tag in range(4)])


def test_nonblocking_exchanges_with_different_tags(comm):
    def exchange(tag):
        after, before = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size
        for turn in range(20):
            got = np.zeros((5, 10))
            requests = [comm.Irecv(got[i], before, tag) for i in range(5)]
            requests += [comm.Isend(np.full(10, 100.0 * tag + turn + i), after, tag) for i in range(5)]
            MPI.Request.Waitall(requests)
            assert (got == 100.0 * tag + turn + np.arange(5)[:, None]).all()

    together(*[lambda tag=tag: exchange(tag) for tag in range(4)])


def test_a_collective_of_each_thread_on_a_communicator_of_its_own(comm):
    copies = [comm.Dup() for _ in range(4)]

    def sums(i):
        into = np.zeros(10)
        for turn in range(20):
            copies[i].Allreduce(np.full(10, float(comm.rank + i + turn)), into)
            assert (into == sum(rank + i + turn for rank in range(comm.size))).all()

    together(*[lambda i=i: sums(i) for i in range(4)])
    for copy in copies:
        copy.Free()


def test_python_operations_in_one_thread_while_others_communicate(comm):
    """The callback needs the GIL: whoever holds it must not be in MPI."""

    def add(invec, inoutvec, datatype):
        target = np.frombuffer(inoutvec, "d")
        target += np.frombuffer(invec, "d")

    op = MPI.Op.Create(add, True)
    copy = comm.Dup()

    def reduce():
        into = np.zeros(100)
        for _ in range(40):
            copy.Allreduce(np.ones(100), into, op=op)
            assert (into == comm.size).all()
            copy.Iallreduce(np.ones(100), into, op=op).Wait()

    def handles():
        for _ in range(100):
            request = comm.Isend(bytearray(10), comm.rank, 77)
            while not comm.Iprobe(comm.rank, 77):
                pass
            comm.Recv(bytearray(10), comm.rank, 77)
            while not request.Test():
                pass
            MPI.INT.Create_vector(2, 1, 3).Commit().Free()

    together(reduce, handles, lambda: ring(comm, 1, 50, 10), lambda: ring(comm, 2, 50, 5000))
    op.Free()
    copy.Free()


def test_a_thread_that_waits_leaves_the_interpreter_to_the_others(comm):
    got = bytearray(1)
    waiting = threading.Thread(target=comm.Recv, args=(got, comm.rank, 5))
    waiting.start()
    turns = sum(1 for _ in range(100_000))
    time.sleep(0.1)
    assert waiting.is_alive() and turns == 100_000
    comm.Send(b"x", comm.rank, 5)
    waiting.join()
    assert got == b"x"


def test_a_request_may_be_waited_for_in_another_thread(comm):
    got = np.zeros(4)
    request = comm.Irecv(got, comm.rank, 6)
    together(request.Wait, lambda: comm.Send(np.ones(4), comm.rank, 6))
    assert (got == 1).all() and request == MPI.REQUEST_NULL


def test_messages_matched_by_probe_go_to_the_thread_that_matched(comm):
    count = 50

    def receive(_):
        seen = []
        for _ in range(count):
            message = comm.Mprobe(comm.rank, 8)
            got = np.zeros(1)
            message.Recv(got)
            seen.append(got[0])
        return seen

    def send():
        for i in range(3 * count):
            comm.Send(np.array([float(i)]), comm.rank, 8)

    *seen, _ = together(*[lambda i=i: receive(i) for i in range(3)], send)
    assert sorted(sum(seen, [])) == list(range(3 * count))


def test_more_threads_than_the_record_has_rings(comm):
    def alone(tag):
        got = bytearray(2)
        for _ in range(5):
            comm.Sendrecv(b"ab", comm.rank, tag, got, comm.rank, tag)
        return bytes(got)

    assert together(*[lambda tag=tag: alone(tag) for tag in range(24)]) == [b"ab"] * 24


def test_threads_that_come_and_go(comm):
    for turn in range(60):
        thread = threading.Thread(target=comm.Sendrecv, args=(b"a", comm.rank, turn, bytearray(1), comm.rank, turn))
        thread.start()
        thread.join()


def test_an_error_belongs_to_the_thread_that_made_it(comm):
    def wrong():
        for _ in range(50):
            with pytest.raises(MPI.Exception) as caught:
                comm.Send(b"x", comm.size + 7)
            assert caught.value.Get_error_class() == MPI.ERR_RANK

    together(wrong, wrong, lambda: ring(comm, 3, 50, 10))


def test_making_and_freeing_handles_in_threads(comm):
    def types():
        for _ in range(100):
            kind = MPI.DOUBLE.Create_contiguous(3).Commit()
            got = np.zeros(3)
            comm.Sendrecv([np.ones(3), 1, kind], comm.rank, 9, [got, 1, kind], comm.rank, 9)
            kind.Free()

    def groups():
        for _ in range(100):
            group = comm.Get_group()
            group.Incl([0]).Free()
            group.Free()

    def copies():
        for _ in range(20):
            comm.Dup().Free()

    together(types, groups, copies)


def test_the_main_thread(comm):
    assert MPI.Is_thread_main()
    assert together(MPI.Is_thread_main) == [False]
