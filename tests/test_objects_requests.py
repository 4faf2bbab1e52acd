# SPDX-License-Identifier: BSD-3-Clause
"""Requests of objects: waiting, testing and cancelling, alone, together, and mixed with typed ones."""

import gc
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from alike import same, until
from mmpi import MPI
from test_objects_p2p import LARGE, OBJECTS, check

pytestmark = pytest.mark.mmpi(n=[1, 2, 3, 5])

WORLD = MPI.COMM_WORLD
RANK = SIZE = LEFT = RIGHT = 0  # set on the ranks, see ring()
R = MPI.Request
all_objects = pytest.mark.parametrize("kind", OBJECTS)


@pytest.fixture(scope="module", autouse=True)
def ring():
    """Our place among the ranks: not known where tests are only collected."""
    global RANK, SIZE, LEFT, RIGHT
    RANK, SIZE = WORLD.Get_rank(), WORLD.Get_size()
    LEFT, RIGHT = (RANK - 1) % SIZE, (RANK + 1) % SIZE


@pytest.fixture
def comm(quiet_comm):
    return quiet_comm


# --- one -----------------------------------------------------------------------------------------------------------


@all_objects
def test_wait_and_test(kind, comm):
    """The object comes once; a request that is done gives None, and the empty status."""
    for finish in (lambda r, s=None: r.wait(s), lambda r, s=None: until(lambda: (answer := r.test(s))[0] and answer)[1]):
        status = MPI.Status()
        receive = comm.irecv(None, LEFT, 3)
        assert receive
        assert receive.test() == (False, None)
        assert receive.get_status() is False
        comm.Barrier()
        send = comm.isend(OBJECTS[kind](RANK), RIGHT, 3)
        assert until(lambda r=receive, s=status: r.get_status(s)) is True
        assert (status.source, status.tag) == (LEFT, 3)
        assert receive.get_status() is True
        status = MPI.Status()
        check(finish(receive, status), kind, LEFT)
        assert (status.source, status.tag, status.cancelled) == (LEFT, 3, False)
        assert finish(send) is None
        for request in (receive, send):
            assert request == MPI.REQUEST_NULL
            assert request.wait(status) is None
            assert (status.source, status.tag, status.count) == (MPI.ANY_SOURCE, MPI.ANY_TAG, 0)
            assert request.test() == (True, None)
            assert request.get_status() is True


def test_typed_requests_bring_nothing(comm):
    back = np.zeros(3)
    receive, send = comm.Irecv(back, LEFT, 1), comm.Isend(np.full(3, RANK + 1.0), RIGHT, 1)
    assert receive.wait() is None
    assert until(send.test) == (True, None)
    assert (back == LEFT + 1).all()


@all_objects
@pytest.mark.parametrize("name", ["Wait", "Test", "Waitall", "Testall", "Waitany"])
def test_upper_case_loses_the_object(name, kind, comm):
    status, receive = MPI.Status(), comm.irecv(None, LEFT, 3)
    comm.send(OBJECTS[kind](RANK), RIGHT, 3)
    if name in ("Wait", "Test"):
        assert until(lambda: getattr(receive, name)(status)) is True
        assert (status.source, status.tag) == (LEFT, 3)
    elif name == "Waitany":
        assert R.Waitany([receive]) == 0
    else:
        assert until(lambda: getattr(R, name)([receive])) is True
    assert receive == MPI.REQUEST_NULL
    assert receive.wait() is None


@all_objects
@pytest.mark.parametrize("mode", ["send", "ssend"])
def test_all_send_while_they_receive(mode, kind, comm):
    """`r = irecv(); send(big); r.wait()` on all ranks, with nothing else to make it go on."""
    for _ in range(3):
        receive = comm.irecv(None, LEFT, 1)
        getattr(comm, mode)(OBJECTS[kind](RANK), RIGHT, 1)
        check(receive.wait(), kind, LEFT)
        receives = [comm.irecv(None, source, 1) for source in range(SIZE)]
        for to in range(SIZE):
            getattr(comm, mode)(OBJECTS[kind](RANK), to, 1)
        for source, got in enumerate(R.waitall(receives)):
            check(got, kind, source)


BLOCKING = {
    "Barrier": lambda comm, other: comm.Barrier(),
    "barrier": lambda comm, other: comm.barrier(),
    "Allreduce": lambda comm, other: comm.Allreduce(np.ones(1), np.zeros(1)),
    "bcast": lambda comm, other: comm.bcast(RANK, 0),
    "Recv": lambda comm, other: comm.Recv(np.zeros(1), other, 9) if RANK else comm.Send(np.zeros(1), other, 9),
    "recv": lambda comm, other: comm.recv(None, other, 9) if RANK else comm.send(0, other, 9),
    "Probe": lambda comm, other: comm.Recv(np.zeros(1), other, 9) if RANK and comm.Probe(other, 9) else comm.Send(np.ones(1), other, 9),
}


@pytest.mark.mmpi(n=[2])
@pytest.mark.parametrize("kind", LARGE)
@pytest.mark.parametrize("name", BLOCKING)
def test_a_receive_goes_on_while_its_rank_blocks_elsewhere(name, kind, comm):
    """`irecv; Barrier; wait` against `send(big); Barrier`."""
    for _ in range(5):
        if RANK == 0:
            comm.send(OBJECTS[kind](7), 1, 1)
            BLOCKING[name](comm, 1)
        else:
            receive = comm.irecv(None, 0, 1)
            BLOCKING[name](comm, 0)
            check(receive.wait(), kind, 7)


# --- the order of receives -----------------------------------------------------------------------------------------


@all_objects
def test_receives_match_in_the_order_of_their_posting(kind, comm):
    """Wildcards overlap, and waiting goes backwards."""
    anybody, any_tag = MPI.ANY_SOURCE, MPI.ANY_TAG
    for early in (False, True):
        sends = [comm.isend((i, OBJECTS[kind](i)), RIGHT, tag) for i, tag in enumerate((5, 5, 6, 5, 6, 7))] if early else []
        comm.Barrier()
        wanted = [(anybody, any_tag), (LEFT, 5), (LEFT, any_tag), (anybody, 5), (anybody, 7), (LEFT, 6)]
        receives = [comm.irecv(None, source, tag) for source, tag in wanted]
        comm.Barrier()
        if not early:
            sends = [comm.isend((i, OBJECTS[kind](i)), RIGHT, tag) for i, tag in enumerate((5, 5, 6, 5, 6, 7))]
        for receive, i in reversed(list(zip(receives, (0, 1, 2, 3, 5, 4), strict=True))):
            number, thing = receive.wait()
            assert number == i
            check(thing, kind, i)
        R.waitall(sends)


@all_objects
def test_a_receive_that_was_there_before_comes_first(kind, comm):
    """Before blocking receives, exchanges and probes of the same."""
    later = [
        lambda: comm.recv(None, LEFT, 5),
        lambda: comm.recv(),
        lambda: comm.sendrecv(0, MPI.PROC_NULL, 0, None, LEFT, 5),
        lambda: comm.mprobe(LEFT, 5).recv(),
        lambda: until(lambda: comm.improbe()).recv(),
        lambda: comm.probe(LEFT, 5) and comm.recv(None, LEFT, 5),
    ]
    for call in later:
        first = comm.irecv(None, MPI.ANY_SOURCE, 5)
        comm.Barrier()
        sends = [comm.isend((i, OBJECTS[kind](RANK)), RIGHT, 5) for i in range(2)]
        number, thing = call()
        assert number == 1
        check(thing, kind, LEFT)
        assert first.wait()[0] == 0
        R.waitall(sends)


def test_many_pending_receives(comm):
    """They are found by tag, whatever the order."""
    count = 200
    receives = [comm.irecv(None, (LEFT, MPI.ANY_SOURCE)[i % 2], i) for i in range(count)]
    comm.Barrier()
    sends = [comm.isend((i, b"x" * (i * 50)), RIGHT, i) for i in reversed(range(count))]
    for i, got in enumerate(R.waitall(receives)):
        assert same(got, (i, b"x" * (i * 50)))
    receives = [comm.irecv() for _ in range(count)]
    sends += [comm.isend(i, RIGHT, i) for i in range(count)]
    assert R.waitall(receives) == list(range(count))
    R.waitall(sends)


# --- several, of objects and typed ---------------------------------------------------------------------------------


class Mixed:
    """Requests of all sorts, each done in the end, and what they bring."""

    def __init__(self, comm, kind):
        self.kind, self.backs = kind, [np.zeros(4), np.zeros(50_000)]
        self.requests = [
            comm.irecv(None, LEFT, 0),
            comm.Irecv(self.backs[0], LEFT, 1),
            MPI.Request(),
            comm.ibcast(("root", RANK) if RANK == SIZE - 1 else None, SIZE - 1),
            comm.irecv(None, MPI.ANY_SOURCE, 2),
            comm.Irecv(self.backs[1], LEFT, 3),
            comm.isend(OBJECTS[kind](RANK), RIGHT, 0),
            comm.Isend(np.full(4, RANK + 1.0), RIGHT, 1),
            comm.issend("small", RIGHT, 2),
            comm.Isend(np.full(50_000, RANK + 2.0), RIGHT, 3),
            comm.ibarrier(),
        ]
        self.nulls = {2}

    def check(self, objects):
        assert len(objects) == len(self.requests)
        check(objects[0], self.kind, LEFT)
        assert objects[3] == ("root", SIZE - 1)
        assert objects[4] == "small"
        assert all(objects[i] is None for i in (1, 2, 5, 6, 7, 8, 9, 10))
        self.check_done()

    def check_done(self):
        assert all(request == MPI.REQUEST_NULL for request in self.requests)
        assert (self.backs[0] == LEFT + 1).all()
        assert (self.backs[1] == LEFT + 2).all()

    def check_statuses(self, statuses):
        for i, tag in ((0, 0), (1, 1), (4, 2), (5, 3)):
            assert (statuses[i].source, statuses[i].tag) == (LEFT, tag)
        assert statuses[1].Get_count(MPI.DOUBLE) == 4
        assert (statuses[2].source, statuses[2].tag) == (MPI.ANY_SOURCE, MPI.ANY_TAG)


@all_objects
def test_all_of_them(kind, comm):
    mixed, statuses = Mixed(comm, kind), []
    mixed.check(R.waitall(mixed.requests, statuses))
    mixed.check_statuses(statuses)
    mixed, statuses = Mixed(comm, kind), [MPI.Status()]
    done, objects = until(lambda: (answer := R.testall(mixed.requests, statuses))[0] and answer)
    assert done is True
    mixed.check(objects)
    mixed.check_statuses(statuses)
    mixed = Mixed(comm, kind)
    mixed.check(R.waitall(requests=iter(mixed.requests), statuses=None))
    mixed, statuses = Mixed(comm, kind), []
    assert R.Waitall(mixed.requests, statuses) is True
    mixed.check_statuses(statuses)
    mixed.check_done()
    mixed = Mixed(comm, kind)
    assert until(lambda: R.Testall(mixed.requests)) is True
    mixed.check_done()


def one_by_one(mixed, attempt):
    """Objects by index until none is left; those of null requests never come."""
    objects, status = [None] * len(mixed.requests), MPI.Status()
    seen = set(mixed.nulls)
    while True:
        index, *answer = attempt(status)
        if index == MPI.UNDEFINED:
            assert answer[-1] is None
            return objects if len(seen) == len(objects) else pytest.fail(f"only {seen}")
        assert index not in seen
        assert mixed.requests[index] == MPI.REQUEST_NULL
        if index in (0, 1, 4, 5):
            assert (status.source, status.tag) == (LEFT, {0: 0, 1: 1, 4: 2, 5: 3}[index])
        seen.add(index)
        objects[index] = answer[-1]


@all_objects
def test_any_of_them(kind, comm):
    mixed = Mixed(comm, kind)
    mixed.check(one_by_one(mixed, lambda status: R.waitany(mixed.requests, status)))
    mixed = Mixed(comm, kind)
    mixed.check(one_by_one(mixed, lambda status: until(lambda: (answer := R.testany(mixed.requests, status))[1] and answer)))
    mixed = Mixed(comm, kind)
    one_by_one(mixed, lambda status: (R.Waitany(mixed.requests, status), None))
    mixed.check_done()


def some_by_some(mixed, attempt):
    objects, seen = [None] * len(mixed.requests), set(mixed.nulls)
    while True:
        statuses = []
        indices, some = until(lambda statuses=statuses: (answer := attempt(statuses))[0] != [] and answer)
        if indices is None:
            assert some is None
            return objects if len(seen) == len(objects) else pytest.fail(f"only {seen}")
        assert len(indices) == len(some) == len(statuses)
        for index, thing, status in zip(indices, some, statuses, strict=True):
            assert index not in seen
            if index in (0, 1, 4, 5):
                assert (status.source, status.tag) == (LEFT, {0: 0, 1: 1, 4: 2, 5: 3}[index])
            seen.add(index)
            objects[index] = thing


@all_objects
def test_some_of_them(kind, comm):
    mixed = Mixed(comm, kind)
    mixed.check(some_by_some(mixed, lambda statuses: R.waitsome(mixed.requests, statuses)))
    mixed = Mixed(comm, kind)
    mixed.check(some_by_some(mixed, lambda statuses: R.testsome(mixed.requests, statuses)))
    mixed = Mixed(comm, kind)
    while R.Waitsome(mixed.requests) is not None:
        pass
    mixed.check_done()


@pytest.mark.parametrize("requests", [[], [MPI.REQUEST_NULL], [MPI.Request(), MPI.Request()]], ids=["none", "null", "nulls"])
def test_nothing_to_wait_for(requests):
    nones = [None] * len(requests)
    assert R.waitall(requests) == nones
    assert R.testall(requests) == (True, nones)
    assert R.waitany(requests) == (MPI.UNDEFINED, None)
    assert R.testany(requests) == (MPI.UNDEFINED, True, None)
    assert R.waitsome(requests) == (None, None)
    assert R.testsome(requests) == (None, None)


def test_nothing_is_done_yet(comm):
    receives = [comm.irecv(None, LEFT, 1), comm.irecv(np.zeros(3), LEFT, 2)]
    assert R.testall(receives) == (False, None)
    assert R.testany(receives) == (MPI.UNDEFINED, False, None)
    assert R.testsome(receives) == ([], [])
    comm.Barrier()
    comm.send("second", RIGHT, 2)
    assert R.waitany(receives) == (1, "second")
    assert R.testall(receives) == (False, None)
    comm.Barrier()
    comm.send("first", RIGHT, 1)
    assert R.waitsome(receives) == ([0], ["first"])


def test_what_is_no_list_of_requests(comm):
    request = comm.irecv(None, LEFT, 1)
    for call in (R.waitall, R.waitany, R.waitsome, R.testall, R.testany, R.testsome):
        for bad in (3, None, [3], [request, None], "x"):
            with pytest.raises(TypeError):
                call(bad)
        with pytest.raises(TypeError):
            call([request], 3)
        with pytest.raises(TypeError):
            call()
    with pytest.raises(ValueError):
        R.waitall([request, request])
    for call in (request.wait, request.test, request.get_status):
        with pytest.raises(TypeError):
            call(3)
    comm.Barrier()
    comm.send("fine", RIGHT, 1)
    assert request.wait() == "fine"


def fail():
    raise ZeroDivisionError("not here")


class CannotArrive:
    def __reduce__(self):
        return fail, ()


def test_one_of_several_cannot_be_unpickled(comm):
    for call in (R.waitall, lambda requests: until(lambda: R.testall(requests)[0])):
        receives = [comm.irecv(None, LEFT, tag) for tag in range(3)]
        for tag, thing in enumerate(("a", CannotArrive(), "c")):
            comm.send(thing, RIGHT, tag)
        with pytest.raises(ZeroDivisionError, match="not here"):
            call(receives)
        assert comm.sendrecv(RANK, RIGHT, 1, None, LEFT, 1) == LEFT


# --- dropped, cancelled, copied ------------------------------------------------------------------------------------


@all_objects
def test_dropped_sends_arrive(kind, comm):
    """What they send lives as long as it must."""
    for mode in (comm.isend, comm.issend):
        for i in range(3):
            mode(OBJECTS[kind](RANK + i), RIGHT, i)
        gc.collect()
        spoil = [bytearray(b"\xff") * 300_000 for _ in range(5)]
        comm.Barrier()
        for i in reversed(range(3)):
            check(comm.recv(None, LEFT, i), kind, LEFT + i)
        assert len(spoil) == 5


@all_objects
def test_dropped_receives_swallow_nothing(kind, comm):
    for _ in range(5):
        comm.irecv(None, LEFT, 1)
        comm.irecv()
        comm.irecv(np.zeros(100_000), LEFT, 1)
    comm.Barrier()
    check(comm.sendrecv(OBJECTS[kind](RANK), RIGHT, 1, None, LEFT, 1), kind, LEFT)
    comm.irecv()
    receive = comm.irecv(None, LEFT, 1)
    comm.irecv()
    comm.Barrier()
    comm.send(OBJECTS[kind](RANK), RIGHT, 1)
    check(receive.wait(), kind, LEFT)


@all_objects
def test_a_dropped_receive_that_has_its_message(kind, comm):
    """Its message is lost, pieces and all; the next one is not."""
    for _ in range(3):
        receive, send = comm.irecv(None, LEFT, 1), comm.isend(OBJECTS[kind](RANK), RIGHT, 1)
        until(receive.get_status)
        del receive
        send.wait()
        check(comm.sendrecv(OBJECTS[kind](RANK + 1), RIGHT, 1, None, LEFT, 1), kind, LEFT + 1)


@pytest.mark.parametrize("name", ["cancel", "Cancel"])
def test_cancel_an_unmatched_receive(name, comm):
    status, buf = MPI.Status(), np.full(100_000, 7.0)
    finishes = [
        lambda r: r.wait(status),
        lambda r: until(lambda: (answer := r.test(status))[0] and answer)[1],
        lambda r: R.waitall([r], [status])[0],
        lambda r: R.waitany([r], status)[1],
    ]
    for finish in finishes:
        for place in (None, buf):
            receive, status = comm.irecv(place, LEFT, 1), MPI.Status()
            assert getattr(receive, name)() is None
            assert finish(receive) is None
            assert status.Is_cancelled() is True
            assert receive == MPI.REQUEST_NULL
            comm.Barrier()
            check(comm.sendrecv(OBJECTS["array"](RANK), RIGHT, 1, None, LEFT, 1, status), "array", LEFT)
            assert status.Is_cancelled() is False
    assert (buf == 7).all()


@all_objects
def test_cancel_what_is_done_or_cannot_be(kind, comm):
    """A receive that has its message, and a send: both go on."""
    status, receive = MPI.Status(), comm.irecv(None, LEFT, 1)
    send = comm.isend(OBJECTS[kind](RANK), RIGHT, 1)
    until(receive.get_status)
    receive.cancel()
    check(receive.wait(status), kind, LEFT)
    assert status.Is_cancelled() is False
    send.wait()
    with pytest.raises(MPI.Exception) as caught:
        send.cancel()
    assert caught.value.Get_error_class() == MPI.ERR_REQUEST


def test_cancelled_receives_among_others(comm):
    receives = [comm.irecv(None, LEFT, 1) for _ in range(5)]
    for i in (0, 2, 3):
        receives[i].cancel()
    comm.Barrier()
    comm.send("a", RIGHT, 1)
    comm.send("b", RIGHT, 1)
    statuses = []
    assert R.waitall(receives, statuses) == [None, "a", None, None, "b"]
    assert [status.Is_cancelled() for status in statuses] == [True, False, True, True, False]


@all_objects
def test_copies(kind, comm):
    """The newest object answers for the operation, and lives without the older one."""

    class Mine(MPI.Request):
        pass

    older = comm.irecv(None, LEFT, 1)
    receive = Mine(older)
    assert type(receive) is Mine
    assert receive == older
    del older
    older = comm.isend(OBJECTS[kind](RANK), RIGHT, 1)
    send = MPI.Request(older)
    del older
    gc.collect()
    check(receive.wait(), kind, LEFT)
    assert send.wait() is None


# --- the end -------------------------------------------------------------------------------------------------------

ENDS = {
    "receives": "left = [world.irecv(), world.irecv(np.zeros(3), 0, 1)]",
    "a cancelled receive": "left = world.irecv(); left.cancel()",
    "small sends": "left = [world.isend(7, peer), world.isend([[1]], peer)]",
    "received sends": "left = world.isend(np.ones(100_000), peer, 3); got = world.recv(None, world.size - 1 - world.rank, 3)",
    "done receives": "left = world.irecv(None, peer, 3); world.send(np.ones(100_000), peer, 3)",
    "dropped receives": "[world.irecv() for _ in range(50)]",
    "a message": "s = world.isend([[1]], peer, 2); m = world.mprobe(peer, 2)",
}


@pytest.mark.mmpi(n=[1])
@pytest.mark.parametrize("end", ["", "MPI.Finalize()"], ids=["by itself", "Finalize"])
@pytest.mark.parametrize("name", ENDS)
def test_requests_that_are_outstanding_at_the_end(name, end):
    """The program ends, and only MPICH may tell of sends that nobody received, which is an error of the program."""
    code = f"""
import numpy as np
from mmpi import MPI
world = MPI.COMM_WORLD
peer = world.size - 1 - world.rank
{ENDS[name]}
{end}
"""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PMI", "OMPI_COMM", "HYDI", "MMPI_JOB"))}
    for command in ([sys.executable, "-c", code], [sys.executable, "-m", "mmpi", "run", "-n", "2", "-c", textwrap.dedent(code)]):
        done = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=60)
        told = [line for line in done.stderr.splitlines() if not line.startswith("MPICH: Builtin communicator")]
        assert (done.returncode, done.stdout, told) == (0, "", [])


@pytest.mark.mmpi(n=[1])
def test_nothing_is_kept():
    """Of all that was dropped above, and of what is done. The last test of this module."""
    gc.collect()
    for _ in range(20):
        WORLD.sendrecv(1, 0)
    assert MPI._counters() == (0, 0)
