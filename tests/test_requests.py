# SPDX-License-Identifier: BSD-3-Clause
"""Requests: waiting, testing, cancelling and freeing, one and many."""

import contextlib

import numpy as np
import pytest

from alike import until
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


def receives(count, tag):
    """`count` receives from the left, and the arrays they write."""
    backs = np.full((count, 2), -1.0)
    return [WORLD.Irecv(backs[i], LEFT, tag + i) for i in range(count)], backs


def send(count, tag):
    """Send what `receives` waits for."""
    for i in range(count):
        WORLD.Send(np.array([RANK, i], "d"), RIGHT, tag + i)


def check(backs):
    assert (backs[:, 0] == LEFT).all()
    assert (backs[:, 1] == np.arange(len(backs))).all()


def all_null(requests):
    return all(request == MPI.REQUEST_NULL for request in requests)


def check_statuses(statuses, tag):
    for i, status in enumerate(statuses):
        assert (status.source, status.tag, status.Get_count(MPI.DOUBLE)) == (LEFT, tag + i, 2)


def check_empty(status):
    assert (status.source, status.tag, status.count) == (MPI.ANY_SOURCE, MPI.ANY_TAG, 0)
    assert status.error == MPI.SUCCESS
    assert status.cancelled is False


# --- the object ----------------------------------------------------------------------------------------------------


def test_null_request():
    request = MPI.Request()
    assert request == MPI.REQUEST_NULL
    assert not request != MPI.REQUEST_NULL
    assert not request
    assert request != 3
    assert request != None  # noqa: E711
    with pytest.raises(TypeError):
        hash(request)
    with pytest.raises(TypeError):
        request < MPI.REQUEST_NULL  # noqa: B015


def test_active_request(tag):
    request = WORLD.Irecv(bytearray(1), LEFT, tag)
    assert request
    assert request != MPI.REQUEST_NULL
    assert request != WORLD.Irecv(bytearray(1), MPI.PROC_NULL)
    send = WORLD.Isend(b"x", RIGHT, tag)
    MPI.Request.Waitall([request, send])
    assert not request


def test_waiting_for_nothing():
    """A null request is done, with the empty status."""
    status, request = MPI.Status(), MPI.Request()
    SELF.Sendrecv(b"abc", 0, 1, bytearray(3), 0, 1, status)
    assert request.Wait(status) is True
    check_empty(status)
    assert request.Test(status) is True
    check_empty(status)
    assert request.Get_status(status) is True
    check_empty(status)
    assert MPI.REQUEST_NULL.Wait() is True


@pytest.mark.parametrize("name", ["Cancel", "Free"])
def test_null_request_cannot(name):
    with pytest.raises(MPI.Exception) as caught:
        getattr(MPI.Request(), name)()
    assert caught.value.Get_error_class() == MPI.ERR_REQUEST


# --- one -----------------------------------------------------------------------------------------------------------


def test_wait(tag):
    requests, backs = receives(3, tag)
    send(3, tag)
    status = MPI.Status()
    for i, call in enumerate(
        [lambda r: r.Wait(), lambda r: r.Wait(status), lambda r: r.Wait(status=status)],
    ):
        assert call(requests[i]) is True
        assert requests[i] == MPI.REQUEST_NULL
    assert (status.source, status.tag) == (LEFT, tag + 2)
    check(backs)
    assert requests[0].Wait() is True  # again: nothing to wait for


def test_test(tag):
    requests, backs = receives(1, tag)
    status = MPI.Status()
    assert requests[0].Test() is False
    assert requests[0].Test(status) is False
    WORLD.Barrier()
    send(1, tag)
    assert until(lambda: requests[0].Test(status=status)) is True
    assert all_null(requests)
    check_statuses([status], tag)
    check(backs)


def test_get_status_leaves_the_request(tag):
    requests, backs = receives(1, tag)
    status = MPI.Status()
    assert requests[0].Get_status() is False
    WORLD.Barrier()
    send(1, tag)
    assert until(lambda: requests[0].Get_status(status=status)) is True
    check_statuses([status], tag)
    check(backs)
    assert requests[0] != MPI.REQUEST_NULL
    assert requests[0].Get_status() is True
    status = MPI.Status()
    requests[0].Wait(status)
    check_statuses([status], tag)


def test_status_of_a_send(tag):
    status = MPI.Status()
    receive = WORLD.Irecv(bytearray(3), LEFT, tag)
    assert WORLD.Isend(b"abc", RIGHT, tag).Wait(status) is True
    receive.Wait()
    assert status.Is_cancelled() is False


def test_cancel(tag):
    request, status = SELF.Irecv(bytearray(3), 0, tag), MPI.Status()
    assert request.Cancel() is None
    assert request != MPI.REQUEST_NULL
    assert request.Wait(status) is True
    assert status.Is_cancelled() is True
    assert request == MPI.REQUEST_NULL
    send = SELF.Isend(b"abc", 0, tag)
    back = bytearray(3)  # a cancelled receive takes nothing
    SELF.Recv(back, 0, tag)
    send.Wait()
    assert back == b"abc"


def test_cancel_of_what_is_done(tag):
    request, status = SELF.Irecv(back := bytearray(3), 0, tag), MPI.Status()
    SELF.Send(b"abc", 0, tag)
    request.Cancel()
    request.Wait(status)
    assert status.Is_cancelled() is False
    assert back == b"abc"


def test_free(tag):
    """A freed request is null at once; the message arrives all the same."""
    out = np.array([RANK, 0], "d")
    receive, backs = receives(1, tag)
    request = WORLD.Isend(out, RIGHT, tag)
    assert request.Free() is None
    assert request == MPI.REQUEST_NULL
    receive[0].Wait()
    check(backs)


def test_truncation_in_test(tag, truncation_is_told):
    receive = WORLD.Irecv(bytearray(2), LEFT, tag)
    request = WORLD.Isend(bytes(5), RIGHT, tag)
    with pytest.raises(MPI.Exception) as caught:
        until(receive.Test)
    assert caught.value.Get_error_class() == MPI.ERR_TRUNCATE
    assert receive == MPI.REQUEST_NULL
    with contextlib.suppress(MPI.Exception):
        request.Wait()


# --- all -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 20])
def test_waitall(count, tag):
    requests, backs = receives(count, tag)
    send(count, tag)
    assert MPI.Request.Waitall(requests) is True
    assert all_null(requests)
    check(backs)
    assert MPI.Request.Waitall(requests) is True


def test_waitall_of_a_thousand(tag):
    back = np.zeros((1000, 1), int)
    requests = [WORLD.Irecv(row, LEFT, tag) for row in back]
    requests += [WORLD.Isend(np.array([i + RANK]), RIGHT, tag) for i in range(1000)]
    statuses = []
    MPI.Request.Waitall(requests, statuses)
    assert (back[:, 0] == np.arange(1000) + LEFT).all()
    assert len(statuses) == 2000
    assert all_null(requests)


@pytest.mark.parametrize("given", [0, 2, 3, 5])
def test_waitall_statuses(given, tag):
    """A list of statuses grows to the number of requests; what is longer keeps its rest."""
    requests, backs = receives(3, tag)
    send(3, tag)
    statuses = [MPI.Status() for _ in range(given)]
    first = list(statuses)
    MPI.Request.Waitall(requests, statuses)
    assert len(statuses) == max(given, 3)
    assert all(a is b for a, b in zip(statuses, first, strict=False))
    check_statuses(statuses[:3], tag)
    for status in statuses[3:]:
        check_empty(status)
    check(backs)


def test_waitall_takes_sequences_and_keywords(tag):
    requests, backs = receives(2, tag)
    send(2, tag)
    statuses = []
    MPI.Request.Waitall(statuses=statuses, requests=tuple(requests))
    check_statuses(statuses, tag)
    check(backs)
    assert MPI.Request.Waitall([], statuses=[]) is True


def test_waitall_with_null_requests(tag):
    requests, backs = receives(1, tag)
    send(1, tag)
    statuses = []
    MPI.Request.Waitall([MPI.REQUEST_NULL, requests[0], MPI.Request()], statuses)
    check_empty(statuses[0])
    check_statuses(statuses[1:2], tag)
    check_empty(statuses[2])
    check(backs)


def test_testall(tag):
    requests, backs = receives(3, tag)
    assert MPI.Request.Testall(requests) is False
    assert not any(request == MPI.REQUEST_NULL for request in requests)
    WORLD.Barrier()
    send(3, tag)
    statuses = []
    assert until(lambda: MPI.Request.Testall(requests, statuses)) is True
    assert all_null(requests)
    check_statuses(statuses, tag)
    check(backs)
    assert MPI.Request.Testall([]) is True
    assert MPI.Request.Testall(requests=requests, statuses=None) is True


def test_waitall_with_an_error(tag, truncation_is_told):
    """The error of one request does not keep the others from being done."""
    backs = [bytearray(2), bytearray(8)]
    receive = [WORLD.Irecv(backs[0], LEFT, tag), WORLD.Irecv(backs[1], LEFT, tag + 1)]
    request = WORLD.Isend(bytes(5), RIGHT, tag)
    WORLD.Send(b"complete", RIGHT, tag + 1)
    statuses = []
    with pytest.raises(MPI.Exception) as caught:
        MPI.Request.Waitall(receive, statuses)
    assert caught.value.Get_error_class() in (MPI.ERR_IN_STATUS, MPI.ERR_TRUNCATE)
    with contextlib.suppress(MPI.Exception):  # an error may leave others pending
        MPI.Request.Waitall(receive)
    assert backs[1] == b"complete"
    assert all_null(receive)
    with contextlib.suppress(MPI.Exception):
        request.Wait()


# --- any -----------------------------------------------------------------------------------------------------------


def test_waitany(tag):
    requests, backs = receives(4, tag)
    WORLD.Barrier()
    seen = []
    for i in (2, 0, 3, 1):
        WORLD.Send(np.array([RANK, i], "d"), RIGHT, tag + i)
        status = MPI.Status()
        index = MPI.Request.Waitany(requests, status)
        seen.append(index)
        assert index == i
        assert requests[index] == MPI.REQUEST_NULL
        assert (status.source, status.tag) == (LEFT, tag + i)
        WORLD.Barrier()  # nobody sends the next one before
    check(backs)
    assert MPI.Request.Waitany(requests) == MPI.UNDEFINED


def test_waitany_of_nothing():
    status = MPI.Status()
    assert MPI.Request.Waitany([]) == MPI.UNDEFINED
    assert MPI.Request.Waitany(requests=[MPI.REQUEST_NULL], status=status) == MPI.UNDEFINED
    check_empty(status)


def test_testany(tag):
    requests, backs = receives(2, tag)
    assert MPI.Request.Testany(requests) == (MPI.UNDEFINED, False)
    WORLD.Barrier()
    send(2, tag)
    seen = set()
    for _ in range(2):
        status = MPI.Status()
        index, flag = until(lambda s=status: (r := MPI.Request.Testany(requests, status=s))[1] and r)
        assert flag is True
        assert status.tag == tag + index
        seen.add(index)
    assert seen == {0, 1}
    check(backs)
    assert MPI.Request.Testany(requests) == (MPI.UNDEFINED, True)
    assert MPI.Request.Testany([]) == (MPI.UNDEFINED, True)


# --- some ----------------------------------------------------------------------------------------------------------


def test_waitsome(tag):
    requests, backs = receives(5, tag)
    send(5, tag)
    seen = []
    while len(seen) < 5:
        statuses = []
        indices = MPI.Request.Waitsome(requests, statuses)
        assert isinstance(indices, list)
        assert len(indices) > 0
        for index, status in zip(indices, statuses, strict=False):
            assert status.tag == tag + index
            assert requests[index] == MPI.REQUEST_NULL
        assert len(statuses) >= len(indices)
        seen += indices
    assert sorted(seen) == [0, 1, 2, 3, 4]
    check(backs)
    assert MPI.Request.Waitsome(requests) is None


def test_testsome(tag):
    requests, backs = receives(3, tag)
    assert MPI.Request.Testsome(requests) == []
    WORLD.Barrier()
    send(3, tag)
    seen = []
    while len(seen) < 3:
        statuses = []
        indices = until(lambda s=statuses: MPI.Request.Testsome(requests, statuses=s))
        for index, status in zip(indices, statuses, strict=False):
            assert status.tag == tag + index
        seen += indices
    assert sorted(seen) == [0, 1, 2]
    check(backs)
    assert MPI.Request.Testsome(requests) is None
    assert MPI.Request.Testsome([]) is None
    assert MPI.Request.Waitsome(requests=[MPI.REQUEST_NULL], statuses=[]) is None


# --- misuse --------------------------------------------------------------------------------------------------------

MANY = ["Waitall", "Waitany", "Waitsome", "Testall", "Testany", "Testsome"]


@pytest.mark.parametrize("name", MANY)
@pytest.mark.parametrize("bad", [[1], [None], [MPI.COMM_SELF], None, 5], ids=["int", "none", "comm", "None", "5"])
def test_only_requests(name, bad):
    with pytest.raises(TypeError) as caught:
        getattr(MPI.Request, name)(bad)
    assert "request" in str(caught.value).lower()


@pytest.mark.parametrize("name", MANY)
def test_bad_item_leaves_the_others(name, tag):
    """Nothing is waited for where one of the items is no request."""
    requests, backs = receives(1, tag)
    with pytest.raises(TypeError):
        getattr(MPI.Request, name)([requests[0], "no request"])
    assert requests[0] != MPI.REQUEST_NULL
    send(1, tag)
    requests[0].Wait()
    check(backs)


@pytest.mark.parametrize("name", ["Wait", "Test", "Get_status"])
def test_status_must_be_a_status(name, tag):
    requests, backs = receives(1, tag)
    with pytest.raises(TypeError, match="status"):
        getattr(requests[0], name)("no status")
    send(1, tag)
    requests[0].Wait()
    check(backs)


@pytest.mark.parametrize("name", ["Waitall", "Testall", "Waitsome", "Testsome"])
def test_statuses_must_be_a_list_of_statuses(name, tag):
    requests, backs = receives(1, tag)
    for bad in (3, [3], "x"):
        with pytest.raises(TypeError, match="status"):
            getattr(MPI.Request, name)(requests, bad)
    assert requests[0] != MPI.REQUEST_NULL
    send(1, tag)
    requests[0].Wait()
    check(backs)


def test_one_request_twice_in_a_list(tag):
    """MPI would wait for ever, or crash: it is refused. Null requests may stand there as often as they like."""
    requests, backs = receives(1, tag)
    for name in MANY:
        with pytest.raises(ValueError, match="request"):
            getattr(MPI.Request, name)([requests[0], MPI.REQUEST_NULL, MPI.REQUEST_NULL, requests[0]])
    send(1, tag)
    MPI.Request.Waitall([requests[0], MPI.REQUEST_NULL, MPI.REQUEST_NULL])
    check(backs)
