# SPDX-License-Identifier: BSD-3-Clause
"""Generalized requests: operations of one's own."""

import threading

import pytest

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2])


def test_complete_and_wait():
    request = MPI.Grequest.Start()
    assert isinstance(request, MPI.Grequest) and request and not request.Test()
    request.Complete()
    status = MPI.Status()
    assert request.Wait(status) and not request
    assert (status.source, status.tag, status.count, status.cancelled) == (MPI.ANY_SOURCE, MPI.ANY_TAG, 0, False)


def test_the_callbacks_and_their_arguments():
    seen = []

    def query(status, *args, **kwargs):
        seen.append(("query", args, kwargs))
        status.source, status.tag = 3, 7
        status.Set_elements(MPI.INT, 2)

    request = MPI.Grequest.Start(
        query, lambda *a, **k: seen.append(("free", a, k)), lambda *a, **k: seen.append(("cancel", a, k)), [1], {"key": 2}
    )
    request.Cancel()
    request.Complete()
    status = MPI.Status()
    request.Wait(status)
    assert (status.source, status.tag, status.Get_count(MPI.INT)) == (3, 7, 2)
    assert [name for name, *_ in seen] == ["cancel", "query", "free"]
    assert seen[0][1:] == ((False, 1), {"key": 2}) and seen[1][1:] == seen[2][1:] == ((1,), {"key": 2})


def test_an_object_is_brought_once():
    request = MPI.Grequest.Start()
    assert request.test() == (False, None)
    request.complete({"a": 1})
    assert request.wait() == {"a": 1} and request.wait() is None


def test_among_other_requests(quiet_comm):
    mine, receive = MPI.Grequest.Start(), quiet_comm.irecv(source=quiet_comm.rank)
    threading.Timer(0.05, mine.complete, ["done"]).start()
    quiet_comm.send("hello", quiet_comm.rank)
    assert MPI.Request.waitall([receive, mine]) == ["hello", "done"]


def test_errors_of_callbacks():
    request = MPI.Grequest.Start(cancel_fn=lambda completed: 1 / 0)
    with pytest.raises(MPI.Exception) as caught:
        request.Cancel()
    assert caught.value.Get_error_class() == MPI.ERR_OTHER
    request.Complete()
    request.Wait()
    with pytest.raises(TypeError):
        MPI.Grequest.Start(args=3)


def test_one_that_is_dropped():
    MPI.Grequest.Start()
    done = MPI.Grequest.Start()
    done.Complete()
    del done
