# SPDX-License-Identifier: BSD-3-Clause
"""Objects from rank to rank: all ways to send and receive, in every order, with statuses and errors."""

import array
import contextlib
import itertools
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import mmpi
from alike import CannotTravel, same, until
from mmpi import MPI
from test_interrupts import Interrupted, alarm, interrupt

pytestmark = pytest.mark.mmpi(n=[1, 2, 3, 5])

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
RANK = SIZE = LEFT = RIGHT = 0  # set on the ranks, see ring()
RESERVED = 1024  # tags at the top that objects cannot have

OBJECTS = {  # by the messages that they take
    "value": lambda seed: (seed, "x", 2.5),
    "one": lambda seed: {"a": np.arange(1500) + seed, "b": [[seed]]},
    "array": lambda seed: np.arange(100_000.0) + seed,  # a header and one piece
    "pieces": lambda seed: [np.arange(50_000.0) + seed, {"b": bytearray(b"%d" % seed) * 300_000}, seed],
    "bytes": lambda seed: b"%d" % seed * 300_000,
    "stream": lambda seed: [f"{seed}-{i}-" * 30 for i in range(2000)],  # the pickle itself is the piece
}
LARGE = ["array", "pieces", "bytes", "stream"]
alone = pytest.mark.mmpi(n=[1])
all_objects = pytest.mark.parametrize("kind", OBJECTS)
SENDS = ["send", "ssend", "bsend", "isend", "issend", "ibsend"]


@pytest.fixture(scope="module", autouse=True)
def ring():
    """Our place among the ranks: not known where tests are only collected."""
    global RANK, SIZE, LEFT, RIGHT
    RANK, SIZE = WORLD.Get_rank(), WORLD.Get_size()
    LEFT, RIGHT = (RANK - 1) % SIZE, (RANK + 1) % SIZE


@pytest.fixture
def comm(quiet_comm):
    return quiet_comm


@contextlib.contextmanager
def buffered(nbytes):
    """A buffer for buffered sends; leaving waits until it is empty."""
    MPI.Attach_buffer(bytearray(nbytes + 16 * MPI.BSEND_OVERHEAD))
    try:
        yield
    finally:
        MPI.Detach_buffer()


def check(got, kind, seed):
    assert same(got, OBJECTS[kind](seed))


def check_status(status, source, tag, kind):
    """An object's count is what it takes in bytes, pieces and all."""
    assert (status.source, status.tag, status.error, status.cancelled) == (source, tag, MPI.SUCCESS, False)
    least = {"value": 10, "one": 12_000, "array": 800_000, "pieces": 700_000, "bytes": 300_000, "stream": 300_000}[kind]
    assert least <= status.Get_count(MPI.BYTE) <= 3 * least + 100


def check_nothing(comm):
    assert comm.iprobe() is False
    assert comm.improbe() is None


def wait(request):
    """Of what a send gives back: None, or a request whose wait gives None."""
    assert request is None or request.wait() is None


# --- sending and receiving -----------------------------------------------------------------------------------------


@all_objects
@pytest.mark.parametrize("mode", SENDS)
def test_modes(mode, kind, comm):
    status = MPI.Status()
    with buffered(3_000_000):
        receive = comm.irecv(None, LEFT, 7)
        wait(getattr(comm, mode)(OBJECTS[kind](RANK), RIGHT, 7))
        check(receive.wait(status), kind, LEFT)
        check_status(status, LEFT, 7, kind)
        request = comm.isend(OBJECTS[kind](RANK + 1), RIGHT, 8)
        check(comm.recv(None, LEFT, 8, status), kind, LEFT + 1)
        check_status(status, LEFT, 8, kind)
        wait(request)


def test_keywords_and_defaults(comm):
    status = MPI.Status()
    for mode in SENDS:
        with buffered(1000):
            receive = comm.irecv(tag=3, source=LEFT, buf=None)
            wait(getattr(comm, mode)(tag=3, dest=RIGHT, obj=[mode]))
            assert receive.wait(status=status) == [mode]
            receive = comm.irecv()
            wait(getattr(comm, mode)(mode, RIGHT))
            assert receive.wait(status) == mode
            assert (status.source, status.tag) == (LEFT, 0)
    request = comm.isend(obj=4, dest=RIGHT, tag=9)
    assert comm.recv(status=status, tag=9, source=LEFT, buf=None) == 4
    assert (status.source, status.tag) == (LEFT, 9)
    wait(request)


@pytest.mark.parametrize("kind", ["value", "one", "array", "pieces"])
def test_a_synchronous_send_ends_when_its_receive_begins(kind, comm):
    request = comm.issend(OBJECTS[kind](RANK), RIGHT, 1)
    for _ in range(100):
        assert request.test() == (False, None)
    assert request.get_status() is False
    comm.Barrier()
    check(comm.recv(None, LEFT, 1), kind, LEFT)
    assert until(request.test)
    wait(request)


def test_buffered_sends_do_not_wait(comm):
    """However large: all leave before one is received."""
    with buffered(6_000_000):
        for number, kind in enumerate(OBJECTS):
            comm.bsend(OBJECTS[kind](RANK), RIGHT, number)
        comm.Barrier()
        for number, kind in enumerate(OBJECTS):
            check(comm.recv(None, LEFT, number), kind, LEFT)


def test_objects_arrive_in_order(comm):
    """Of one source: small and large with equal and with different tags, in the order in which they left."""
    kinds = ["value", "array", "one", "value", "pieces", "pieces", "value", "stream", "one"]
    requests = [comm.isend(OBJECTS[kind](i), RIGHT, i % 2) for i, kind in enumerate(kinds)]
    for i, kind in enumerate(kinds):
        status = MPI.Status()
        check(comm.recv(None, (LEFT, MPI.ANY_SOURCE)[i % 2], MPI.ANY_TAG, status), kind, i)
        check_status(status, LEFT, i % 2, kind)
    assert MPI.Request.waitall(requests) == [None] * len(kinds)


def test_large_objects_out_of_order(comm):
    kinds = ["array", "value", "pieces", "stream", "array", "one", "pieces"]
    requests = [comm.isend(OBJECTS[kind](10 * RANK + i), RIGHT, i) for i, kind in enumerate(kinds)]
    for i in (6, 0, 3, 5, 4, 2, 1):
        check(comm.recv(None, LEFT, i), kinds[i], 10 * LEFT + i)
    MPI.Request.waitall(requests)


def test_from_anybody_with_any_tag(comm):
    """All ranks send to all."""
    kinds, came = list(OBJECTS), []
    requests = [comm.isend((RANK, OBJECTS[kind](RANK)), to, i) for i, kind in enumerate(kinds) for to in range(SIZE)]
    for _ in range(len(kinds) * SIZE):
        status = MPI.Status()
        source, thing = comm.recv(status=status)
        assert status.source == source
        check(thing, kinds[status.tag], source)
        came.append((source, status.tag))
    assert sorted(came) == sorted(itertools.product(range(SIZE), range(len(kinds))))
    assert all(came.index((source, i)) < came.index((source, i + 1)) for source in range(SIZE) for i in range(len(kinds) - 1))
    MPI.Request.waitall(requests)


def test_communicators_do_not_mix(comm):
    """Large ones of the same tag on two communicators, received the other way round."""
    other = comm.Dup()
    requests = [each.isend(OBJECTS["pieces"](seed), RIGHT, 1) for each, seed in ((comm, 1), (other, 2))]
    check(other.recv(), "pieces", 2)
    check_nothing(other)
    check(comm.recv(), "pieces", 1)
    MPI.Request.waitall(requests)
    other.Free()


@pytest.mark.mmpi(n=[1, 2])
@pytest.mark.parametrize("order", [1, -1], ids=["in order", "backwards"])
def test_more_large_sends_than_there_are_tags_for_pieces(order, comm):
    """Those that get none go in one message."""
    count, block = RESERVED + 40, np.arange(40_000.0)
    for _ in range(2):
        requests = [comm.isend([number, block], RIGHT, number) for number in range(count)]
        for number in range(count)[::order]:
            got, items = comm.recv(None, LEFT, number)
            assert got == number
            assert (items == block).all()
        assert MPI.Request.waitall(requests) == [None] * count
    assert all(len(MPI._pack([0, block])) == 2 for _ in range(2))  # so that the above is about large ones


# --- exchanges -----------------------------------------------------------------------------------------------------


@all_objects
def test_sendrecv(kind, comm):
    status = MPI.Status()
    check(comm.sendrecv(OBJECTS[kind](RANK), RIGHT, 3, None, LEFT, 3, status), kind, LEFT)
    check_status(status, LEFT, 3, kind)
    got = comm.sendrecv(status=status, recvtag=4, source=LEFT, recvbuf=None, sendtag=4, dest=RIGHT, sendobj=OBJECTS[kind](RANK))
    check(got, kind, LEFT)
    check_status(status, LEFT, 4, kind)
    check(comm.sendrecv(OBJECTS[kind](RANK), RIGHT), kind, LEFT)


def test_sendrecv_matches_send_and_recv(comm):
    for kind in OBJECTS:
        receive, sending = comm.irecv(None, LEFT, 1), comm.isend(OBJECTS[kind](RANK), LEFT, 2)
        check(comm.sendrecv(OBJECTS[kind](RANK), RIGHT, 1, None, RIGHT, 2), kind, RIGHT)
        check(receive.wait(), kind, LEFT)
        wait(sending)


def test_sendrecv_with_nobody(comm):
    up = RANK + 1 if RANK + 1 < SIZE else MPI.PROC_NULL
    down = RANK - 1 if RANK > 0 else MPI.PROC_NULL
    status = MPI.Status()
    for kind in OBJECTS:
        got = comm.sendrecv(OBJECTS[kind](RANK), up, 1, None, down, 1, status)
        assert status.source == down
        assert got is None if down == MPI.PROC_NULL else same(got, OBJECTS[kind](RANK - 1))


# --- nobody --------------------------------------------------------------------------------------------------------


def check_nobody(status):
    assert (status.source, status.tag, status.count) == (MPI.PROC_NULL, MPI.ANY_TAG, 0)


def test_nobody(comm):
    status, nobody = MPI.Status(), MPI.PROC_NULL
    for mode in SENDS:
        for thing in (None, 7, OBJECTS["pieces"](1)):
            wait(getattr(comm, mode)(thing, nobody))
    calls = [
        lambda: comm.recv(None, nobody, 5, status),
        lambda: comm.recv(np.zeros(3), nobody, status=status),
        lambda: comm.irecv(None, nobody, 5).wait(status),
        lambda: comm.sendrecv(3, nobody, 1, None, nobody, 1, status),
        lambda: comm.mprobe(nobody).recv(status),
        lambda: comm.improbe(nobody).irecv().wait(status),
        lambda: MPI.MESSAGE_NO_PROC.recv(status),
    ]
    for call in calls:
        SELF.Sendrecv(b"x", 0, 1, bytearray(1), 0, 1, status)
        assert call() is None
        check_nobody(status)
    for probe in (comm.probe, comm.iprobe):
        SELF.Sendrecv(b"x", 0, 1, bytearray(1), 0, 1, status)
        assert probe(nobody, 3, status) is True
        check_nobody(status)


# --- probing -------------------------------------------------------------------------------------------------------


@all_objects
def test_probe(kind, comm):
    status = MPI.Status()
    assert comm.iprobe(LEFT, 6, status) is False
    assert comm.improbe(LEFT, 6, status) is None
    comm.Barrier()
    request = comm.isend(OBJECTS[kind](RANK), RIGHT, 6)
    for source, tag in ((LEFT, 6), (MPI.ANY_SOURCE, 6), (LEFT, MPI.ANY_TAG), (MPI.ANY_SOURCE, MPI.ANY_TAG)):
        assert comm.probe(source, tag, status) is True
        assert (status.source, status.tag) == (LEFT, 6)
        assert until(lambda source=source, tag=tag: comm.iprobe(source=source, tag=tag, status=status)) is True
        assert (status.source, status.tag) == (LEFT, 6)
    assert comm.iprobe(LEFT, 5) is False
    assert comm.probe() is True
    check(comm.recv(None, status.source, status.tag), kind, LEFT)
    wait(request)
    check_nothing(comm)


PROBES = {
    "mprobe": lambda comm, *args, **kwargs: comm.mprobe(*args, **kwargs),
    "improbe": lambda comm, *args, **kwargs: until(lambda: comm.improbe(*args, **kwargs)),
    "Message.probe": lambda comm, *args, **kwargs: MPI.Message.probe(comm, *args, **kwargs),
    "Message.iprobe": lambda comm, *args, **kwargs: until(lambda: MPI.Message.iprobe(comm, *args, **kwargs)),
}


@all_objects
@pytest.mark.parametrize("name", PROBES)
def test_matched_messages(name, kind, comm):
    """What a probe has taken is there for its message only."""
    take, status = PROBES[name], MPI.Status()
    requests = [comm.isend(OBJECTS[kind](RANK + i), RIGHT, 6) for i in range(4)]
    messages = [take(comm, LEFT, 6, status), take(comm), take(comm, status=status, tag=6, source=LEFT)]
    assert (status.source, status.tag) == (LEFT, 6)
    assert all(type(message) is MPI.Message and message for message in messages)
    check(comm.recv(), kind, LEFT + 3)
    check_nothing(comm)
    check(messages[2].recv(status), kind, LEFT + 2)
    check_status(status, LEFT, 6, kind)
    receive = messages[0].irecv()
    check(messages[1].recv(status=status), kind, LEFT + 1)
    check(receive.wait(status), kind, LEFT)
    check_status(status, LEFT, 6, kind)
    for message in messages:
        assert message == MPI.MESSAGE_NULL
        for call in (message.recv, message.irecv):
            with pytest.raises(MPI.Exception):
                call()
    MPI.Request.waitall(requests)


@pytest.mark.parametrize("first", LARGE)
def test_a_large_object_is_taken_and_another_received(first, comm):
    """The pieces of the first are under way, and nobody else's: a receive of any tag passes them by."""
    status = MPI.Status()
    for second in OBJECTS:
        requests = [comm.isend(OBJECTS[first](RANK), RIGHT, 1)]
        message = comm.mprobe(LEFT, 1)
        comm.Barrier()
        for _ in range(20):
            assert comm.iprobe() is False
        comm.Barrier()
        requests.append(comm.isend(OBJECTS[second](RANK + 1), RIGHT, 2))
        check(comm.recv(None, LEFT, MPI.ANY_TAG, status), second, LEFT + 1)
        check_status(status, LEFT, 2, second)
        check_nothing(comm)
        check(message.recv(), first, LEFT)
        MPI.Request.waitall(requests)


def test_many_large_objects_are_taken_and_received_backwards(comm):
    kinds = LARGE * 3
    requests = [comm.isend(OBJECTS[kind](RANK + i), RIGHT, i) for i, kind in enumerate(kinds)]
    messages = [comm.mprobe() for _ in kinds]
    check_nothing(comm)
    for i in reversed(range(len(kinds))):
        check(messages[i].recv(), kinds[i], LEFT + i)
    MPI.Request.waitall(requests)


# --- receiving into place ------------------------------------------------------------------------------------------


def into_recv(comm, out, buf):
    request = comm.isend(out, RIGHT, 1)
    try:
        return comm.recv(buf, LEFT, 1)
    finally:
        wait(request)


def into_irecv(comm, out, buf):
    receive = comm.irecv(buf, LEFT, 1)
    comm.send(out, RIGHT, 1)
    return receive.wait()


def into_sendrecv(comm, out, buf):
    return comm.sendrecv(out, RIGHT, 1, buf, LEFT, 1)


INTO = [into_recv, into_irecv, into_sendrecv]
into_place = pytest.mark.mmpi(n=[1, 3])


def grid(seed, *shape, code="d"):
    return ((np.arange(np.prod(shape, dtype=int)) + seed) % 100).astype(code).reshape(shape)


def structured(seed, count=5):
    items = np.zeros(count, [("a", "i4"), ("b", "f8")])
    items["a"], items["b"] = grid(seed, count), grid(seed + 1, count)
    return items


PLACES = {  # what is sent, and what it comes into
    "1-d": (lambda s: grid(s, 10), lambda: np.zeros(10)),
    "0-d": (lambda s: np.array(1.5 + s), lambda: np.zeros(())),
    "empty": (lambda s: np.zeros((3, 0)), lambda: np.zeros((3, 0))),
    "medium": (lambda s: grid(s, 20, 300), lambda: np.zeros((20, 300))),
    "large": (lambda s: grid(s, 300, 400), lambda: np.zeros((300, 400))),
    "F": (lambda s: np.asfortranarray(grid(s, 3, 4)), lambda: np.zeros((3, 4), order="F")),
    "large-F": (lambda s: np.asfortranarray(grid(s, 300, 400)), lambda: np.zeros((300, 400), order="F")),
    "F-into-C": (lambda s: np.asfortranarray(grid(s, 3, 4)), lambda: np.zeros((3, 4))),
    "C-into-F": (lambda s: grid(s, 3, 4), lambda: np.zeros((3, 4), order="F")),
    "large-F-into-C": (lambda s: np.asfortranarray(grid(s, 300, 400)), lambda: np.zeros((300, 400))),
    "large-C-into-F": (lambda s: grid(s, 300, 400), lambda: np.zeros((300, 400), order="F")),
    "from-strided": (lambda s: grid(s, 20)[::2], lambda: np.zeros(10)),
    "into-strided": (lambda s: grid(s, 10), lambda: np.zeros(20)[::2]),
    "into-backwards": (lambda s: grid(s, 10), lambda: np.zeros(10)[::-1]),
    "large-into-columns": (lambda s: grid(s, 300, 400), lambda: np.zeros((300, 800))[:, ::2]),
    "into-a-part": (lambda s: grid(s, 4), lambda: np.zeros(10)[3:7]),
    "structured": (lambda s: structured(s), lambda: structured(7)),
    "large-structured": (lambda s: structured(s, 50_000), lambda: structured(7, 50_000)),
    "dates": (lambda s: grid(s, 5).astype("M8[s]"), lambda: np.zeros(5, "M8[s]")),
    "big-endian": (lambda s: grid(s, 5, code=">i4"), lambda: np.zeros(5, ">i4")),
    "objects": (lambda s: np.array([s, "x", None], object), lambda: np.zeros(3, object)),
    "read-only-sent": (lambda s: np.broadcast_to(np.float64(s), (5,)), lambda: np.zeros(5)),
}


@into_place
@pytest.mark.parametrize("name", PLACES)
def test_into_place(name, comm):
    """The array itself comes back, with what was sent in the memory that it had."""
    make, place = PLACES[name]
    for way in INTO:
        buf = place()
        where, strides = buf.ctypes.data, buf.strides
        assert way(comm, make(RANK), buf) is buf
        assert (buf.ctypes.data, buf.strides) == (where, strides)
        assert same(buf, make(LEFT))


OTHER_MEMORY = {
    "bytes-into-view": (lambda s: bytes([s] * 9), lambda: memoryview(bytearray(9))),
    "large-bytes-into-view": (lambda s: bytes([s]) * 300_000, lambda: memoryview(bytearray(300_000))),
    "bytearray-into-view": (lambda s: bytearray([s] * 9), lambda: memoryview(bytearray(9))),
    "view": (lambda s: memoryview(bytes([s] * 9)), lambda: memoryview(bytearray(9))),
    "array": (lambda s: array.array("i", [s, 2, 3]), lambda: array.array("i", [0] * 3)),
    "large-array": (lambda s: array.array("d", [s] * 100_000), lambda: array.array("d", [0]) * 100_000),
    "bytes-into-numpy": (lambda s: bytes([s] * 9), lambda: np.zeros(9, "B")),
}


@into_place
@pytest.mark.parametrize("name", OTHER_MEMORY)
def test_into_other_memory(name, comm):
    make, place = OTHER_MEMORY[name]
    for way in INTO:
        buf = place()
        assert way(comm, make(RANK), buf) is buf
        assert memoryview(buf).tobytes() == memoryview(make(LEFT)).tobytes()


MISFITS = {
    "shorter": lambda: np.zeros(9),
    "longer": lambda: np.zeros(11),
    "shape": lambda: np.zeros((2, 5)),
    "type": lambda: np.zeros(10, "i8"),
    "narrower": lambda: np.zeros(10, "f4"),
    "byte-order": lambda: np.zeros(10, ">f8"),
    "strided": lambda: np.zeros(18)[::2],
    "large": lambda: np.zeros(100_000),
    "objects": lambda: np.zeros(10, object),
    "structured": lambda: np.zeros(10, [("a", "f8")]),
    "array": lambda: array.array("i", [0] * 20),
    "view": lambda: memoryview(bytearray(80)).cast("q"),
}


@into_place
@pytest.mark.parametrize("name", MISFITS)
def test_a_place_that_does_not_fit(name, comm):
    """Arrays of other shapes and types are refused, nothing is written, and the next message is as ever."""
    buf, fitting = MISFITS[name](), np.zeros(10)
    before = np.array(buf)
    for way in INTO:
        for out in (grid(RANK, 10), grid(RANK, 10)[::-1]):
            with pytest.raises(ValueError):
                way(comm, out, buf)
            assert same(np.array(buf), before)
            assert way(comm, out, fitting) is fitting
            assert same(fitting, grid(LEFT, 10)[:: out.strides[0] // 8])


@into_place
def test_a_large_array_into_a_place_that_does_not_fit(comm):
    for way in INTO:
        for buf in (np.zeros(99_999), np.zeros(100_000, "i8"), np.zeros((1000, 100)), np.zeros(5)):
            with pytest.raises(ValueError):
                way(comm, OBJECTS["array"](RANK), buf)
            assert not buf.any()
        check(way(comm, OBJECTS["array"](RANK), np.zeros(100_000)), "array", LEFT)


@into_place
@pytest.mark.parametrize("kind", ["value", "one", "pieces", "stream"])
def test_what_is_no_array_leaves_the_place_alone(kind, comm):
    buf = np.full(10, 7.0)
    for way in INTO:
        check(way(comm, OBJECTS[kind](RANK), buf), kind, LEFT)
        assert (buf == 7).all()


def frozen():
    items = np.zeros(3)
    items.flags.writeable = False
    return items


@into_place
@pytest.mark.parametrize("bad", [b"abc", memoryview(b"abc"), frozen(), "text", 2.5, {}, [np.zeros(3)]], ids=lambda x: type(x).__name__)
def test_no_place(bad, comm):
    """Nothing is received, nor sent."""
    request = comm.isend(np.ones(3), RIGHT, 1)
    for name, call in (
        ("buf", lambda: comm.recv(bad, LEFT, 1)),
        ("buf", lambda: comm.irecv(bad, LEFT, 1)),
        ("recvbuf", lambda: comm.sendrecv(2, RIGHT, 1, bad, LEFT, 1)),
    ):
        with pytest.raises((TypeError, ValueError, BufferError), match=name):
            call()
    assert same(comm.recv(None, LEFT, 1), np.ones(3))
    wait(request)


@into_place
def test_a_size_is_not_needed(comm):
    """mpi4py's receives were told how much there could be."""
    for size in (10, bytearray(10)):
        request = comm.isend("x" * 100, RIGHT, 1)
        with pytest.warns(UserWarning, match="size"):
            assert comm.recv(size, LEFT, 1) == "x" * 100
        wait(request)


# --- tags and ranks ------------------------------------------------------------------------------------------------


def highest_tag():
    """The library's limit: found by asking."""
    low, high = 0, 2**31 - 1
    while low < high:
        middle = (low + high + 1) // 2
        try:
            SELF.Iprobe(0, middle)
            low = middle
        except MPI.Exception as error:
            assert error.Get_error_class() == MPI.ERR_TAG
            high = middle - 1
    return low


@contextlib.contextmanager
def error_class(wanted):
    with pytest.raises(MPI.Exception) as caught:
        yield
    assert caught.value.Get_error_class() == wanted


def ways_with(comm, peer, tag):
    """Calls that have a rank and a tag."""
    sends = [lambda mode=mode, thing=thing: getattr(comm, mode)(thing, peer, tag) for mode in SENDS for thing in (7, np.zeros(100_000))]
    receives = [lambda: comm.recv(None, peer, tag), lambda: comm.irecv(None, peer, tag).wait()]
    sends += [lambda: comm.sendrecv(1, peer, tag, None, 0, 1), lambda: comm.sendrecv(np.zeros(100_000), peer, tag, None, 0, 1)]
    return sends, [*receives, lambda: comm.sendrecv(1, MPI.PROC_NULL, 1, None, peer, tag)]


def test_tags_at_the_limit(comm):
    top = highest_tag() - RESERVED
    status = MPI.Status()
    for tag in (0, 1, 32766 - RESERVED, top - 1, top):
        for kind in ("value", "pieces"):
            check(comm.sendrecv(OBJECTS[kind](RANK), RIGHT, tag, None, LEFT, tag, status), kind, LEFT)
            assert status.tag == tag
    for tag in (top + 1, top + RESERVED, *[top + RESERVED + 1] * (top + RESERVED < 2**31 - 1)):
        sends, receives = ways_with(comm, RANK, tag)
        for call in sends + receives:
            with error_class(MPI.ERR_TAG):
                call()
    check_nothing(comm)


@pytest.mark.parametrize("tag", [-7, 1 - 2**31])
def test_negative_tags(tag, comm):
    sends, receives = ways_with(comm, RANK, tag)
    for call in sends + receives:
        with error_class(MPI.ERR_TAG):
            call()
    check_nothing(comm)
    comm.Barrier()
    check(comm.sendrecv(OBJECTS["pieces"](RANK), RIGHT, 1, None, LEFT, 1), "pieces", LEFT)


@pytest.mark.parametrize("rank", [5, 99, -77, 2**31 - 1])
def test_no_such_rank(rank, comm):
    sends, receives = ways_with(comm, rank, 1)
    for call in sends + receives:
        with error_class(MPI.ERR_RANK):
            call()
    check_nothing(comm)
    comm.Barrier()
    check(comm.sendrecv(OBJECTS["pieces"](RANK), RIGHT, 1, None, LEFT, 1), "pieces", LEFT)


@alone
def test_nowhere():
    for call in (*ways_with(MPI.COMM_NULL, 0, 1)[0], *ways_with(MPI.COMM_NULL, 0, 1)[1], MPI.COMM_NULL.mprobe, MPI.COMM_NULL.iprobe):
        with error_class(MPI.ERR_COMM):
            call()


# --- misuse --------------------------------------------------------------------------------------------------------

SEND = (["obj", "dest"], ["obj", "dest", "tag"])
CALLS = {  # name: (required arguments, all arguments)
    **dict.fromkeys(SENDS, SEND),
    "recv": ([], ["buf", "source", "tag", "status"]),
    "irecv": ([], ["buf", "source", "tag"]),
    "sendrecv": (["sendobj", "dest"], ["sendobj", "dest", "sendtag", "recvbuf", "source", "recvtag", "status"]),
    **dict.fromkeys(["probe", "iprobe", "mprobe", "improbe"], ([], ["source", "tag", "status"])),
}
VALUES = {"obj": "x", "sendobj": "x", "buf": None, "recvbuf": None, "status": None}
all_calls = pytest.mark.parametrize("name", CALLS)


def given(*names, **other):
    return {name: VALUES.get(name, 0) for name in names} | other


def refuse(exception, name, *words, args=(), **kwargs):
    with pytest.raises(exception) as caught:
        getattr(SELF, name)(*args, **kwargs)
    told = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    for word in (name, *words):
        assert word in told
    check_nothing(SELF)


@alone
@all_calls
def test_wrong_arguments(name):
    required, every = CALLS[name]
    refuse(TypeError, name, "tga", **given(*required), tga=1)
    refuse(TypeError, name, args=[*given(*every).values(), 0])
    refuse(TypeError, name, every[0], args=[VALUES.get(every[0], 0)], **given(*every))
    for argument in required:
        refuse(TypeError, name, argument, **given(*[other for other in required if other != argument]))
    for argument in every:
        if argument == "status":
            for bad in (3, "x", [MPI.Status()], MPI.Status):
                refuse(TypeError, name, "status", **given(*every, status=bad))
        if argument not in VALUES:
            for bad in ("0", None, 1j, object(), [0], 0.5):
                refuse(TypeError, name, argument, **given(*every, **{argument: bad}))
            for big in (2**31, -(2**31) - 1, 2**63, -(10**40)):
                refuse(OverflowError, name, argument, str(big), **given(*every, **{argument: big}))


@alone
def test_messages_of_the_wrong_kind():
    for function in (MPI.Comm.send, MPI.Comm.irecv, MPI.Message.recv, MPI.Message.irecv):
        for args in ((), (3,), (MPI.INT, 1, 0), (None,)):
            with pytest.raises(TypeError):
                function(*args)
    for probe in (MPI.Message.probe, MPI.Message.iprobe):
        for args in ((), (3,), (None,), (SELF, "x")):
            with pytest.raises(TypeError):
                probe(*args)
    message = MPI.Message()
    assert message == MPI.MESSAGE_NULL
    for call in (message.recv, message.irecv):
        with pytest.raises(MPI.Exception):
            call()


@alone
def test_before_and_after():
    """Functions of the module say that MPI does not run."""
    code = """
        import mmpi
        def refused(*names):
            for name in names:
                args = {"recv": (), "irecv": (), "iprobe": (), "mprobe": ()}.get(name, (1, 0))
                try:
                    print(name, getattr(mmpi, name)(*args))
                except mmpi.MPIError as error:
                    assert "initialized" in str(error) or "finalized" in str(error), error
        refused("send", "isend", "recv", "irecv", "sendrecv", "iprobe", "mprobe")
        mmpi.init()
        request = mmpi.isend([1], 0)
        assert mmpi.recv() == [1]
        request.wait()
        mmpi.finalize()
        refused("send", "isend", "recv", "irecv", "sendrecv", "iprobe", "mprobe")
    """
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("PMI", "OMPI_COMM", "HYDI", "MMPI_JOB"))}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, env=alone, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


# --- what goes wrong on the way ------------------------------------------------------------------------------------

UNPICKLABLE = {
    "itself": lambda: CannotTravel("not today"),
    "inside": lambda: {"a": [1, np.zeros(10), CannotTravel("not today")]},
    "after-large-ones": lambda: [np.zeros(100_000), bytearray(300_000), CannotTravel("not today")],
    "object-array": lambda: np.array([1, CannotTravel("not today")], object),
}


@pytest.mark.parametrize("name", UNPICKLABLE)
def test_what_cannot_be_pickled_is_not_sent(name, comm):
    with buffered(1000):
        for mode in SENDS:
            with pytest.raises(ZeroDivisionError, match="not today"):
                getattr(comm, mode)(UNPICKLABLE[name](), RIGHT, 1)
    request = comm.isend("kept", LEFT, 2)
    with pytest.raises(ZeroDivisionError, match="not today"):
        comm.sendrecv(UNPICKLABLE[name](), RIGHT, 1, None, RIGHT, 2)
    assert comm.recv(None, RIGHT, 2) == "kept"  # it was not received either
    wait(request)
    comm.Barrier()
    check_nothing(comm)


def fail(*_):
    raise ZeroDivisionError("not here")


class CannotArrive:
    def __init__(self, *more):
        self.more = more

    def __reduce__(self):
        return fail, self.more


def test_what_cannot_be_unpickled(comm):
    """The receive raises what loading raises; the message is gone, and the next one is as ever."""
    for thing in (CannotArrive(), [CannotArrive(np.zeros(100_000), bytearray(300_000))]):
        requests = [comm.isend(thing, RIGHT, 1) for _ in range(3)] + [comm.isend("next", RIGHT, 1)]
        for receive in (lambda: comm.recv(), lambda: comm.irecv().wait(), lambda: comm.mprobe().recv()):
            with pytest.raises(ZeroDivisionError, match="not here"):
                receive()
        assert comm.recv(None, LEFT, 1) == "next"
        MPI.Request.waitall(requests)


def test_an_object_that_changes_while_it_is_pickled(comm):
    """Its code may do anything, as long as what is sent holds together."""
    items = [np.zeros(100_000), bytearray(b"x" * 300_000)]

    class Sly:
        def __reduce__(self):
            items[0], items[1] = None, None
            return list, ()

    items.append(Sly())
    got = into_sendrecv(comm, items, None)
    assert same(got, [np.zeros(100_000), bytearray(b"x" * 300_000), []])


# --- functions of the module ---------------------------------------------------------------------------------------


def test_functions_of_the_module(tag):
    """They are WORLD's methods."""
    status = MPI.Status()
    mmpi.init()
    with buffered(1000):
        for mode in SENDS:
            receive = mmpi.irecv(None, LEFT, tag)
            wait(getattr(mmpi, mode)([mode], RIGHT, tag))
            assert receive.wait() == [mode]
    assert mmpi.sendrecv(RANK, RIGHT, tag, None, LEFT, tag, status) == LEFT
    assert (status.source, status.tag) == (LEFT, tag)
    requests = [mmpi.isend((RANK, i), RIGHT, tag) for i in range(3)]
    assert mmpi.probe(LEFT, tag) is True
    assert mmpi.iprobe(LEFT, tag) is True
    messages = [mmpi.mprobe(LEFT, tag), until(lambda: mmpi.improbe(LEFT, tag))]
    assert mmpi.recv(source=LEFT, tag=tag) == (LEFT, 2)
    assert [message.recv() for message in messages] == [(LEFT, 0), (LEFT, 1)]
    assert mmpi.iprobe(LEFT, tag) is False
    MPI.Request.waitall(requests)


# --- signals -------------------------------------------------------------------------------------------------------

@alone
@pytest.mark.parametrize("kind", OBJECTS)
def test_an_interrupted_receive_is_taken_back(kind, comm):
    waits = [lambda: comm.recv(), lambda: comm.recv(None, 0, 1), lambda: comm.probe(0, 1), lambda: comm.mprobe(0, 1)]
    for call in (*waits, lambda: comm.recv(np.zeros(100_000), 0, 1)):
        with alarm(interrupt, 0.05), pytest.raises(Interrupted):
            call()
    request = comm.isend(OBJECTS[kind](1), 0, 1)
    check(comm.recv(), kind, 1)
    wait(request)


@alone
def test_keyboard_interrupt(comm):
    def press():
        raise KeyboardInterrupt

    with alarm(press, 0.05), pytest.raises(KeyboardInterrupt):
        comm.recv()
    assert comm.sendrecv(1, 0) == 1


@alone
def test_a_handler_that_returns_changes_nothing(comm):
    with alarm(lambda: comm.isend("late", 0, 2), 0.05):
        assert comm.recv(None, 0, 2) == "late"
    receive = comm.irecv(None, 0, 3)
    with alarm(lambda: comm.isend(OBJECTS["pieces"](1), 0, 3), 0.05):
        check(receive.wait(), "pieces", 1)


@pytest.mark.parametrize("kind", OBJECTS)
@pytest.mark.parametrize("name", ["send", "ssend"])
def test_a_handler_sends_what_the_interrupted_receive_waits_for(kind, name, comm):
    """It blocks until the receive that it interrupted has taken the object; and it may exchange others before."""
    right, left = (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size

    def talk():
        check(comm.sendrecv(OBJECTS[kind](comm.rank), right, 8, None, left, 8), kind, left)
        getattr(comm, name)(OBJECTS[kind](comm.rank), right, 9)
        spoken.append(comm.rank)

    spoken = []
    with alarm(talk, 0.05):
        check(comm.recv(None, left, 9), kind, left)
        until(lambda: spoken)
    comm.barrier()


@alone
@pytest.mark.parametrize("kind", OBJECTS)
def test_an_interrupted_send_goes_on(kind, comm):
    """With the object that it had, which nobody else holds."""
    with alarm(interrupt, 0.05), pytest.raises(Interrupted):
        comm.ssend(OBJECTS[kind](1), 0, 5)
    check(comm.recv(None, 0, 5), kind, 1)


@alone
@pytest.mark.parametrize("kind", OBJECTS)
def test_an_interrupted_exchange_keeps_what_it_sends(kind, comm):
    with alarm(interrupt, 0.05), pytest.raises(Interrupted):
        comm.sendrecv(OBJECTS[kind](1), 0, 6, None, 0, 7)
    check(comm.recv(None, 0, 6), kind, 1)


@alone
@pytest.mark.parametrize("kind", OBJECTS)
def test_an_interrupted_wait_changes_nothing(kind, comm):
    request = comm.irecv(None, 0, 4)
    for wait_for in (request.wait, lambda: MPI.Request.waitall([request]), lambda: MPI.Request.waitany([request])):
        with alarm(interrupt, 0.05), pytest.raises(Interrupted):
            wait_for()
    comm.send(OBJECTS[kind](1), 0, 4)
    check(request.wait(), kind, 1)
