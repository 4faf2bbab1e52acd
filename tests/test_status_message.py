# SPDX-License-Identifier: BSD-3-Clause
"""Status, and Message: what a matched probe hands out."""

import copy
import pickle
import threading
import time

import numpy as np
import pytest

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2, 3, 5])

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
RANK = SIZE = LEFT = RIGHT = 0  # set on the ranks, see ring()


@pytest.fixture(scope="module", autouse=True)
def ring():
    """Our place among the ranks: not known where tests are only collected."""
    global RANK, SIZE, LEFT, RIGHT
    RANK, SIZE = WORLD.Get_rank(), WORLD.Get_size()
    LEFT, RIGHT = (RANK - 1) % SIZE, (RANK + 1) % SIZE


def received(out, back, tag=1):
    """The status of a message to ourselves."""
    status = MPI.Status()
    SELF.Sendrecv(out, 0, tag, back, 0, tag, status)
    return status


# --- Status --------------------------------------------------------------------------------------------------------


def test_new_status_is_empty():
    status = MPI.Status()
    assert status.Get_source() == status.source == MPI.ANY_SOURCE
    assert status.Get_tag() == status.tag == MPI.ANY_TAG
    assert status.Get_error() == status.error == MPI.SUCCESS
    assert status.Get_count() == status.Get_count(MPI.BYTE) == status.count == 0
    assert status.Get_count(MPI.INT) == 0
    assert status.Get_elements(MPI.BYTE) == 0
    assert status.Is_cancelled() is False
    assert status.cancelled is False


def test_fields_after_a_message(tag):
    status = MPI.Status()
    WORLD.Sendrecv(np.zeros(3, "i"), RIGHT, tag, bytearray(100), LEFT, tag, status)
    assert status.Get_source() == status.source == LEFT
    assert status.Get_tag() == status.tag == tag
    assert status.Get_error() == status.error == MPI.SUCCESS
    assert status.Get_count() == status.count == 12
    assert status.Is_cancelled() is False
    assert status.cancelled is False


@pytest.mark.parametrize(
    ("name", "size"), [("BYTE", 1), ("CHAR", 1), ("SHORT", 2), ("INT", 4), ("DOUBLE", 8), ("C_DOUBLE_COMPLEX", 16)]
)
def test_get_count(name, size):
    datatype = getattr(MPI, name)
    for count in (0, 1, 48 // size):
        status = received([np.zeros(48, "B"), count, datatype], [np.zeros(48, "B"), datatype])
        assert status.Get_count(datatype) == count
        assert status.Get_count(datatype=datatype) == count
        assert status.Get_elements(datatype) == count
        assert status.Get_elements(datatype=datatype) == count
        assert status.Get_count() == status.Get_count(MPI.BYTE) == count * size


def test_count_of_a_part_is_undefined():
    """Four integers are one and a third of a triple."""
    triple = MPI.INT.Create_contiguous(3).Commit()
    status = received(np.arange(4, dtype="i"), [np.zeros(6, "i"), 2, triple])
    assert status.Get_count(triple) == MPI.UNDEFINED
    assert status.Get_elements(triple) == 4
    status = received(np.arange(6, dtype="i"), [np.zeros(6, "i"), 2, triple])
    assert status.Get_count(triple) == 2
    assert status.Get_elements(triple) == 6
    triple.Free()


def test_setters():
    status = MPI.Status()
    assert status.Set_source(3) is None
    assert status.Set_tag(5) is None
    assert status.Set_error(MPI.ERR_OTHER) is None
    assert (status.source, status.tag, status.error) == (3, 5, MPI.ERR_OTHER)
    status.source, status.tag, status.error = 1, 2, MPI.SUCCESS
    assert (status.Get_source(), status.Get_tag(), status.Get_error()) == (1, 2, MPI.SUCCESS)
    assert status.Set_elements(MPI.INT, 7) is None
    assert (status.Get_count(MPI.INT), status.Get_elements(MPI.INT)) == (7, 7)
    status.count = 9
    assert status.Get_count() == status.count == 9
    assert status.Set_cancelled(True) is None
    assert status.Is_cancelled() is True
    status.cancelled = False
    assert status.Is_cancelled() is False


def test_copies_and_comparison():
    status = received(b"abc", bytearray(3), 5)
    for twin in (MPI.Status(status), pickle.loads(pickle.dumps(status)), copy.copy(status), copy.deepcopy(status)):
        assert twin is not status
        assert (twin.source, twin.tag, twin.error, twin.count) == (0, 5, MPI.SUCCESS, 3)
    twin = MPI.Status(status)
    assert twin == status
    assert not twin != status
    twin.tag = 6
    assert twin != status
    assert status.tag == 5
    assert status != "status"
    with pytest.raises(TypeError):
        hash(status)
    with pytest.raises(TypeError):
        status < twin  # noqa: B015


def test_status_is_written_anew_each_time():
    status = received(np.zeros(4, "i"), bytearray(16), 3)
    SELF.Sendrecv(b"", 0, 4, bytearray(4), 0, 4, status)
    assert (status.source, status.tag, status.count) == (0, 4, 0)


@pytest.mark.parametrize(
    ("bad", "error"),
    [(None, TypeError), (3, TypeError), (MPI.COMM_SELF, TypeError), ("INT", KeyError)],
    ids=["None", "int", "comm", "no type code"],
)
@pytest.mark.parametrize("name", ["Get_count", "Get_elements"])
def test_status_wants_a_datatype(name, bad, error):
    with pytest.raises(error, match="datatype|Datatype"):
        getattr(MPI.Status(), name)(bad)


@pytest.mark.parametrize("name", ["source", "tag", "error"])
def test_status_fields_are_ints(name):
    status = MPI.Status()
    for bad, error in (("x", TypeError), (None, TypeError), (2**31, OverflowError)):
        with pytest.raises(error):
            setattr(status, name, bad)
        with pytest.raises(error):
            getattr(status, f"Set_{name}")(bad)
    with pytest.raises((TypeError, AttributeError)):
        delattr(status, name)
    assert status == MPI.Status()


@pytest.mark.parametrize("bad", [3, "x", MPI.COMM_SELF], ids=["int", "str", "comm"])
def test_status_argument_must_be_a_status(bad):
    request = SELF.Irecv(bytearray(1), 0, 1)
    with pytest.raises(TypeError, match="status"):
        SELF.Recv(bytearray(1), 0, 1, bad)
    with pytest.raises(TypeError, match="status"):
        SELF.Sendrecv(b"x", 0, 1, bytearray(1), 0, 1, bad)
    with pytest.raises(TypeError, match="status"):
        SELF.Iprobe(0, 1, bad)
    SELF.Send(b"x", 0, 1)
    request.Wait()


# --- Message -------------------------------------------------------------------------------------------------------


def test_null_messages():
    assert MPI.Message() == MPI.MESSAGE_NULL
    assert not MPI.MESSAGE_NULL
    assert MPI.MESSAGE_NO_PROC != MPI.MESSAGE_NULL
    assert MPI.MESSAGE_NO_PROC
    assert MPI.MESSAGE_NULL != 0
    with pytest.raises(TypeError):
        hash(MPI.MESSAGE_NULL)


@pytest.mark.parametrize("count", [0, 1, 5 * 2**20 // 8])
@pytest.mark.parametrize("start", [WORLD.Mprobe, lambda *args: MPI.Message.Probe(WORLD, *args)], ids=["comm", "class"])
def test_mprobe_and_recv(start, count, tag):
    request, status = WORLD.Isend(np.full(count, RANK, "d"), RIGHT, tag), MPI.Status()
    message = start(LEFT, tag, status)
    assert type(message) is MPI.Message
    assert message
    assert message != MPI.MESSAGE_NULL
    assert (status.source, status.tag, status.Get_count(MPI.DOUBLE)) == (LEFT, tag, count)
    back, status = np.full(count, -1.0), MPI.Status()
    assert message.Recv(back, status) is None
    assert message == MPI.MESSAGE_NULL
    assert (status.source, status.tag, status.Get_count(MPI.DOUBLE)) == (LEFT, tag, count)
    assert (back == LEFT).all()
    request.Wait()


@pytest.mark.parametrize("start", [WORLD.Improbe, lambda *a: MPI.Message.Iprobe(WORLD, *a)], ids=["comm", "class"])
def test_improbe_and_irecv(start, tag):
    status = MPI.Status()
    assert start(LEFT, tag) is None
    assert start(LEFT, tag, status) is None
    WORLD.Barrier()
    request = WORLD.Isend(np.full(3, RANK, "i"), RIGHT, tag)
    end = time.monotonic() + 60
    while (message := start(LEFT, tag, status)) is None:
        assert time.monotonic() < end
    assert (status.source, status.tag, status.Get_count(MPI.INT)) == (LEFT, tag, 3)
    back, status = np.zeros(3, "i"), MPI.Status()
    receive = message.Irecv(back)
    assert type(receive) is MPI.Request
    assert message == MPI.MESSAGE_NULL
    receive.Wait(status)
    assert list(back) == [LEFT] * 3
    assert (status.source, status.tag) == (LEFT, tag)
    request.Wait()


def test_message_keywords(tag):
    status = MPI.Status()
    requests = [WORLD.Isend(bytes([RANK]), RIGHT, tag) for _ in range(3)]
    back = bytearray(1)
    WORLD.Mprobe(status=status, tag=tag, source=MPI.ANY_SOURCE).Recv(status=status, buf=back)
    assert (status.source, back[0]) == (LEFT, LEFT)
    MPI.Message.Probe(comm=WORLD, source=LEFT, tag=tag, status=status).Irecv(buf=back).Wait()
    end = time.monotonic() + 60
    while (message := WORLD.Improbe(status=status, tag=tag, source=LEFT)) is None:
        assert time.monotonic() < end
    message.Recv(back)
    MPI.Request.Waitall(requests)


def test_mprobe_defaults_to_any():
    assert SELF.Improbe() is None
    request, status = SELF.Isend(b"abc", 0, 9), MPI.Status()
    message = SELF.Mprobe(status=status)
    assert (status.source, status.tag, status.count) == (0, 9, 3)
    assert SELF.Iprobe() is False  # matched: nobody else sees it
    message.Recv(back := bytearray(3))
    request.Wait()
    assert back == b"abc"


def test_matched_messages_in_any_order(tag):
    requests = [WORLD.Isend(np.array([i]), RIGHT, tag) for i in range(3)]
    messages = [WORLD.Mprobe(LEFT, tag) for _ in range(3)]
    back = np.zeros(1, int)
    for i in (2, 0, 1):
        messages[i].Recv(back)
        assert back[0] == i
    MPI.Request.Waitall(requests)


def test_message_into_every_form(tag):
    requests = [WORLD.Isend(np.arange(4, dtype="i") + RANK, RIGHT, tag) for _ in range(4)]
    back = np.zeros(8, "i")
    for spec in (back, [back, 4], [back, 4, MPI.INT], [back, (4, 2), "i"]):
        back[:] = -1
        WORLD.Mprobe(LEFT, tag).Recv(spec)
        at = 2 if isinstance(spec, list) and isinstance(spec[1], tuple) else 0
        assert list(back[at : at + 4]) == [LEFT, LEFT + 1, LEFT + 2, LEFT + 3]
        assert sum(back == -1) == 4
    MPI.Request.Waitall(requests)


def test_probe_nobody():
    status = MPI.Status()
    for message in (WORLD.Mprobe(MPI.PROC_NULL, 1, status), WORLD.Improbe(MPI.PROC_NULL, 1, status)):
        assert message == MPI.MESSAGE_NO_PROC
        assert (status.source, status.tag, status.count) == (MPI.PROC_NULL, MPI.ANY_TAG, 0)
        back = bytearray(b"abc")
        message.Recv(back, status)
        assert back == b"abc"
        assert (status.source, status.tag, status.count) == (MPI.PROC_NULL, MPI.ANY_TAG, 0)
    WORLD.Mprobe(MPI.PROC_NULL).Irecv(bytearray(1)).Wait(status)
    assert status.source == MPI.PROC_NULL
    WORLD.Mprobe(MPI.PROC_NULL).Recv(None)


def test_failed_receive_keeps_the_message(tag):
    """An argument that is wrong costs nothing: the message can still be received."""
    request = WORLD.Isend(b"abc", RIGHT, tag)
    message = WORLD.Mprobe(LEFT, tag)
    for bad, error in ((b"read-only", BufferError), (None, TypeError), (3, TypeError)):
        with pytest.raises(error, match="buf"):
            message.Recv(bad)
        with pytest.raises(error, match="buf"):
            message.Irecv(bad)
    back = bytearray(3)
    message.Recv(back)
    assert back == b"abc"
    request.Wait()


def test_matched_probe_in_threads(tag):
    """Each thread gets the whole of what it has matched."""
    if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
        pytest.skip("the MPI library runs one thread at a time")
    seen = []

    def take():
        for _ in range(25):
            status = MPI.Status()
            message = WORLD.Mprobe(LEFT, tag, status)
            back = bytearray(status.count)
            message.Recv(back)
            seen.append(bytes(back))

    requests = [WORLD.Isend(bytes([i]) * (i + 1), RIGHT, tag) for i in range(50)]
    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads)
    MPI.Request.Waitall(requests)
    assert sorted(seen) == sorted(bytes([i]) * (i + 1) for i in range(50))


def test_a_received_message_is_gone(tag):
    """Receiving it again is an error."""
    request = WORLD.Isend(b"abc", RIGHT, tag)
    message = WORLD.Mprobe(LEFT, tag)
    message.Recv(bytearray(3))
    request.Wait()
    for call in (message.Recv, message.Irecv, MPI.MESSAGE_NULL.Recv):
        with pytest.raises((MPI.Exception, ValueError)):
            call(bytearray(3))
