# SPDX-License-Identifier: BSD-3-Clause
"""Typed point-to-point communication, blocking and nonblocking."""

import contextlib
import threading
import time

import numpy as np
import pytest

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2, 3, 5])

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
RANK = SIZE = LEFT = RIGHT = 0  # set on the ranks, see ring()
BIG = 5 * 2**20 // 8
COUNTS = [0, 1, 1000, BIG]


@pytest.fixture(scope="module", autouse=True)
def ring():
    """Our place among the ranks: not known where tests are only collected."""
    global RANK, SIZE, LEFT, RIGHT
    RANK, SIZE = WORLD.Get_rank(), WORLD.Get_size()
    LEFT, RIGHT = (RANK - 1) % SIZE, (RANK + 1) % SIZE


@contextlib.contextmanager
def buffered(nbytes):
    """A buffer for buffered sends; leaving waits until it is empty."""
    MPI.Attach_buffer(bytearray(nbytes + 4 * MPI.BSEND_OVERHEAD))
    try:
        yield
    finally:
        MPI.Detach_buffer()


def within(seconds, attempt):
    """Repeat until something comes of it: most tests need this for an instant only."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = attempt()
        if result:
            return result
        time.sleep(0)
    raise AssertionError(f"nothing within {seconds} s")


def outgoing(count, rank=None):
    return np.arange(count, dtype="d") + 1000 * (RANK if rank is None else rank)


def check_ring(received, status, tag):
    assert (received == outgoing(len(received), LEFT)).all()
    assert (status.Get_source(), status.Get_tag()) == (LEFT, tag)
    assert status.Get_count(MPI.DOUBLE) == len(received)


# --- sending -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("mode", ["Send", "Ssend", "Bsend", "Rsend"])
def test_blocking_send(mode, count, tag):
    out, back, status = outgoing(count), np.full(count, -1.0), MPI.Status()
    request = WORLD.Irecv(back, LEFT, tag)
    WORLD.Barrier()  # a ready send needs the receive to be there
    with buffered(out.nbytes):
        assert getattr(WORLD, mode)(out, RIGHT, tag) is None
    request.Wait(status)
    check_ring(back, status, tag)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("mode", ["Isend", "Issend", "Ibsend", "Irsend"])
def test_nonblocking_send(mode, count, tag):
    out, back, status = outgoing(count), np.full(count, -1.0), MPI.Status()
    receive = WORLD.Irecv(back, LEFT, tag)
    WORLD.Barrier()
    with buffered(out.nbytes):
        request = getattr(WORLD, mode)(out, RIGHT, tag)
        assert type(request) is MPI.Request
        receive.Wait(status)
        assert request.Wait() is True
    assert request == MPI.REQUEST_NULL
    check_ring(back, status, tag)


@pytest.mark.parametrize("mode", ["Send", "Ssend", "Bsend", "Rsend", "Isend", "Issend", "Ibsend", "Irsend"])
def test_send_keywords(mode):
    """All arguments by keyword in any order; the tag is 0 unless told."""
    out, back, status = outgoing(5), np.zeros(5), MPI.Status()
    for options, expected in (({}, 0), ({"tag": 7}, 7)):
        receive = SELF.Irecv(back, 0)
        with buffered(out.nbytes):
            request = getattr(SELF, mode)(**options, dest=0, buf=out)
            if request is not None:
                request.Wait()
        receive.Wait(status)
        assert (back == out).all()
        assert status.tag == expected
        back[:] = 0


def test_synchronous_send_waits_for_its_receive(tag):
    request = WORLD.Issend(outgoing(1), RIGHT, tag)
    assert not request.Test()
    assert not request.Get_status()
    WORLD.Barrier()
    WORLD.Recv(np.zeros(1), LEFT, tag)
    request.Wait()


# --- receiving -----------------------------------------------------------------------------------------------------


def test_receive_defaults():
    """Source and tag are open unless told, and the status is optional."""
    back = np.zeros(3)
    for call in (
        lambda: SELF.Recv(back),
        lambda: SELF.Recv(back, 0),
        lambda: SELF.Recv(back, 0, 3),
        lambda: SELF.Recv(back, 0, 3, None),
        lambda: SELF.Recv(buf=back, source=0, tag=3, status=None),
        lambda: SELF.Irecv(back).Wait(),
        lambda: SELF.Irecv(back, 0, 3).Wait(),
        lambda: SELF.Irecv(tag=3, source=0, buf=back).Wait(),
    ):
        request = SELF.Isend(outgoing(3), 0, 3)
        assert call() in (None, True)
        request.Wait()
        assert (back == outgoing(3)).all()
        back[:] = 0


def test_receive_status_argument(tag):
    status = MPI.Status()
    request = WORLD.Isend(outgoing(4), RIGHT, tag)
    WORLD.Recv(np.zeros(10), source=LEFT, tag=tag, status=status)
    request.Wait()
    assert (status.source, status.tag, status.Get_count(MPI.DOUBLE)) == (LEFT, tag, 4)


def test_any_source(tag):
    requests = [WORLD.Isend(outgoing(3), peer, tag) for peer in range(SIZE)]
    seen, status, back = set(), MPI.Status(), np.zeros(3)
    for _ in range(SIZE):
        WORLD.Recv(back, MPI.ANY_SOURCE, tag, status)
        assert (back == outgoing(3, status.source)).all()
        seen.add(status.source)
    MPI.Request.Waitall(requests)
    assert seen == set(range(SIZE))


def test_any_tag(tag):
    requests = [WORLD.Isend(outgoing(1), RIGHT, tag + i) for i in range(5)]
    status, tags = MPI.Status(), []
    for _ in range(5):
        WORLD.Recv(np.zeros(1), LEFT, MPI.ANY_TAG, status)
        tags.append(status.tag)
    MPI.Request.Waitall(requests)
    assert tags == [tag + i for i in range(5)]


def test_messages_keep_their_order(tag):
    requests = [WORLD.Isend(np.array([i]), RIGHT, tag) for i in range(200)]
    back = np.zeros(1, int)
    for i in range(200):
        WORLD.Recv(back, LEFT, tag)
        assert back[0] == i
    MPI.Request.Waitall(requests)


def test_tags_select(tag):
    requests = [WORLD.Isend(np.array([i]), RIGHT, tag + i) for i in range(4)]
    back = np.zeros(1, int)
    for i in (2, 0, 3, 1):
        WORLD.Recv(back, LEFT, tag + i)
        assert back[0] == i
    MPI.Request.Waitall(requests)


def test_largest_tag():
    top = WORLD.Get_attr(MPI.TAG_UB) if hasattr(WORLD, "Get_attr") else 32767
    status = MPI.Status()
    request = SELF.Isend(outgoing(1), 0, top - 1)
    SELF.Recv(np.zeros(1), 0, top - 1, status)
    request.Wait()
    assert status.tag == top - 1


def test_shorter_message_leaves_the_rest(tag):
    back = np.full(8, -1.0)
    request = WORLD.Isend(outgoing(3), RIGHT, tag)
    WORLD.Recv(back, LEFT, tag)
    request.Wait()
    assert list(back[3:]) == [-1.0] * 5
    assert (back[:3] == outgoing(3, LEFT)).all()


def test_truncation_is_an_error(tag, truncation_is_told):
    back = np.zeros(2)
    receive = WORLD.Irecv(back, LEFT, tag)
    request = WORLD.Isend(outgoing(5), RIGHT, tag)
    with pytest.raises(MPI.Exception) as caught:
        receive.Wait()
    assert caught.value.Get_error_class() == MPI.ERR_TRUNCATE
    with contextlib.suppress(MPI.Exception):  # to itself the sender may hear of it too
        request.Wait()


@pytest.mark.parametrize("count", [1, BIG])
def test_everyone_with_everyone(count, tag):
    backs = np.zeros((SIZE, count))
    requests = [WORLD.Irecv(backs[peer], peer, tag) for peer in range(SIZE)]
    requests += [WORLD.Isend(outgoing(count) + peer, peer, tag) for peer in range(SIZE)]
    MPI.Request.Waitall(requests)
    for peer in range(SIZE):
        assert (backs[peer] == outgoing(count, peer) + RANK).all()


# --- both ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", COUNTS)
def test_sendrecv(count, tag):
    back, status = np.full(count, -1.0), MPI.Status()
    assert WORLD.Sendrecv(outgoing(count), RIGHT, tag, back, LEFT, tag, status) is None
    check_ring(back, status, tag)


def test_sendrecv_keywords(tag):
    back, status = np.zeros(3), MPI.Status()
    WORLD.Sendrecv(
        status=status, recvtag=tag, source=LEFT, recvbuf=back, sendtag=tag, dest=RIGHT, sendbuf=outgoing(3)
    )
    check_ring(back, status, tag)


def test_sendrecv_defaults():
    """Send tag 0, any source, any tag."""
    back, status = np.zeros(3), MPI.Status()
    SELF.Sendrecv(outgoing(3), 0, recvbuf=back, status=status)
    assert (back == outgoing(3)).all()
    assert (status.source, status.tag) == (0, 0)


def test_sendrecv_of_two_types(tag):
    back = np.zeros(4, "i")
    WORLD.Sendrecv(np.arange(4, dtype="i") + RANK, RIGHT, tag, back, LEFT, tag)
    assert list(back) == [LEFT, LEFT + 1, LEFT + 2, LEFT + 3]
    raw = bytearray(16)
    WORLD.Sendrecv([back, MPI.BYTE], RIGHT, tag, raw, LEFT, tag)
    assert len(np.frombuffer(raw, "i")) == 4


def test_sendrecv_matches_send_and_recv(tag):
    back = np.zeros(2)
    request = WORLD.Irecv(back, LEFT, tag)
    other = np.zeros(2)
    sending = WORLD.Isend(outgoing(2), LEFT, tag + 1)
    WORLD.Sendrecv(outgoing(2), RIGHT, tag, other, RIGHT, tag + 1)
    request.Wait()
    sending.Wait()
    assert (back == outgoing(2, LEFT)).all()
    assert (other == outgoing(2, RIGHT)).all()


@pytest.mark.parametrize("count", COUNTS)
def test_sendrecv_replace(count, tag):
    both, status = outgoing(count), MPI.Status()
    assert WORLD.Sendrecv_replace(both, RIGHT, tag, LEFT, tag, status) is None
    check_ring(both, status, tag)


def test_sendrecv_replace_keywords(tag):
    both, status = outgoing(3), MPI.Status()
    WORLD.Sendrecv_replace(status=status, recvtag=tag, source=LEFT, sendtag=tag, dest=RIGHT, buf=both)
    check_ring(both, status, tag)
    SELF.Sendrecv_replace(both, 0)
    assert (both == outgoing(3, LEFT)).all()


def test_shift_along_a_line(tag):
    """The ends of the line talk to nobody: their buffers stay as they are."""
    up = RANK + 1 if RANK + 1 < SIZE else MPI.PROC_NULL
    down = RANK - 1 if RANK > 0 else MPI.PROC_NULL
    back, status = np.full(2, -1.0), MPI.Status()
    WORLD.Sendrecv(outgoing(2), up, tag, back, down, tag, status)
    assert status.source == down
    assert (back == (outgoing(2, RANK - 1) if RANK else -1.0)).all()


# --- nobody --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["Send", "Ssend", "Bsend", "Rsend", "Isend", "Issend", "Ibsend", "Irsend"])
@pytest.mark.parametrize("buf", [None, b"abc", bytearray(0), np.zeros(3)], ids=["None", "bytes", "empty", "numpy"])
def test_send_to_nobody(mode, buf):
    request = getattr(WORLD, mode)(buf, MPI.PROC_NULL)
    if request is not None:
        assert request.Wait() is True


def check_nobody(status):
    assert (status.source, status.tag, status.count) == (MPI.PROC_NULL, MPI.ANY_TAG, 0)


def test_receive_from_nobody():
    back, status = np.full(3, -1.0), MPI.Status()
    WORLD.Recv(back, MPI.PROC_NULL, 5, status)
    check_nobody(status)
    WORLD.Recv(None, MPI.PROC_NULL, status=status)
    check_nobody(status)
    WORLD.Irecv(back, MPI.PROC_NULL, 5).Wait(status)
    check_nobody(status)
    assert list(back) == [-1.0] * 3


def test_exchange_with_nobody():
    back, status = np.full(3, -1.0), MPI.Status()
    WORLD.Sendrecv(outgoing(3), MPI.PROC_NULL, 1, back, MPI.PROC_NULL, 1, status)
    check_nobody(status)
    WORLD.Sendrecv(None, MPI.PROC_NULL, 1, None, MPI.PROC_NULL, 1, status)
    check_nobody(status)
    WORLD.Sendrecv_replace(back, MPI.PROC_NULL, 1, MPI.PROC_NULL, 1, status)
    check_nobody(status)
    assert list(back) == [-1.0] * 3


def test_probe_nobody():
    status = MPI.Status()
    assert WORLD.Probe(MPI.PROC_NULL, 3, status) is True
    check_nobody(status)
    assert WORLD.Iprobe(MPI.PROC_NULL, 3, status) is True
    check_nobody(status)


# --- probing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", COUNTS)
def test_probe(count, tag):
    request, status = WORLD.Isend(outgoing(count), RIGHT, tag), MPI.Status()
    assert WORLD.Probe(LEFT, tag, status) is True
    assert (status.source, status.tag, status.count) == (LEFT, tag, 8 * count)
    back = np.zeros(status.Get_count(MPI.DOUBLE))
    WORLD.Recv(back, status.source, status.tag)
    request.Wait()
    assert (back == outgoing(count, LEFT)).all()


def test_probe_keywords(tag):
    request, status = WORLD.Isend(outgoing(2), RIGHT, tag), MPI.Status()
    assert WORLD.Probe(status=status, tag=tag, source=LEFT) is True
    assert within(60, lambda: WORLD.Iprobe(status=status, tag=tag, source=MPI.ANY_SOURCE)) is True
    assert status.source == LEFT
    WORLD.Recv(np.zeros(2), LEFT, tag)
    request.Wait()


def test_iprobe(tag):
    status = MPI.Status()
    assert WORLD.Iprobe(LEFT, tag, status) is False
    WORLD.Barrier()
    request = WORLD.Isend(outgoing(7), RIGHT, tag)
    within(60, lambda: WORLD.Iprobe(LEFT, tag, status))
    assert (status.source, status.tag, status.Get_count(MPI.DOUBLE)) == (LEFT, tag, 7)
    WORLD.Recv(np.zeros(7), LEFT, tag)
    request.Wait()
    assert WORLD.Iprobe(LEFT, tag) is False


def test_probe_defaults_to_any():
    assert SELF.Iprobe() is False
    request, status = SELF.Isend(b"abc", 0, 9), MPI.Status()
    assert SELF.Probe() is True
    assert SELF.Iprobe(MPI.ANY_SOURCE, MPI.ANY_TAG, status) is True
    assert (status.source, status.tag, status.count) == (0, 9, 3)
    SELF.Recv(bytearray(3))
    request.Wait()


# --- buffered sends and memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [bytearray, lambda n: np.zeros(n, "B"), lambda n: np.zeros(n // 8 + 1)])
def test_attached_buffer_comes_back(make):
    buffer = make(10000 + MPI.BSEND_OVERHEAD)
    assert MPI.Attach_buffer(buffer) is None
    request = SELF.Irecv(np.zeros(100), 0, 1)
    SELF.Bsend(outgoing(100), 0, 1)
    request.Wait()
    assert MPI.Detach_buffer() is buffer


def test_buffered_sends_do_not_wait(tag):
    """Ten messages leave before one is received."""
    with buffered(10 * (800 + MPI.BSEND_OVERHEAD)):
        for i in range(10):
            WORLD.Bsend(outgoing(100) + i, RIGHT, tag)
        WORLD.Barrier()
        back = np.zeros(100)
        for i in range(10):
            WORLD.Recv(back, LEFT, tag)
            assert (back == outgoing(100, LEFT) + i).all()


def test_bsend_overhead_is_an_int():
    assert isinstance(MPI.BSEND_OVERHEAD, int)
    assert 0 < MPI.BSEND_OVERHEAD < 100000


def test_alloc_mem(tag):
    memory = MPI.Alloc_mem(4096)
    view = memoryview(memory)
    assert (view.nbytes, view.readonly, view.format) == (4096, False, "B")
    items = np.frombuffer(memory, "d")
    items[:] = outgoing(512)
    back = MPI.Alloc_mem(4096)
    WORLD.Sendrecv(memory, RIGHT, tag, back, LEFT, tag)
    assert (np.frombuffer(back, "d") == outgoing(512, LEFT)).all()
    del items, view
    assert MPI.Free_mem(memory) is None
    MPI.Free_mem(back)


def test_alloc_mem_takes_an_info():
    memory = MPI.Alloc_mem(64, MPI.INFO_NULL)
    assert memoryview(memory).nbytes == 64
    MPI.Free_mem(memory)
    memory = MPI.Alloc_mem(size=64, info=MPI.INFO_NULL)
    MPI.Free_mem(mem=memory)


# --- threads -------------------------------------------------------------------------------------------------------


@pytest.fixture
def many_threads():
    if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
        pytest.skip("the MPI library runs one thread at a time")


def test_threads_exchange_at_once(tag, many_threads):
    backs, errors = np.zeros((4, 50)), []

    def talk(number):
        try:
            for i in range(20):
                WORLD.Sendrecv(outgoing(50) + i, RIGHT, tag + number, backs[number], LEFT, tag + number)
        except Exception as error:  # shown by the main thread
            errors.append(error)

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not errors
    assert not any(thread.is_alive() for thread in threads)
    assert (backs == outgoing(50, LEFT) + 19).all()


def test_a_blocked_receive_lets_other_threads_run(tag, many_threads):
    """A thread waits for a message that the main thread sends later."""
    back = np.zeros(1)
    thread = threading.Thread(target=lambda: SELF.Recv(back, 0, tag))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    SELF.Send(outgoing(1) + 1, 0, tag)
    thread.join(60)
    assert not thread.is_alive()
    assert back[0] == 1 + 1000 * RANK
