# SPDX-License-Identifier: BSD-3-Clause
"""Persistent and partitioned requests: prepared once, started as often as needed."""

import gc
import time

import numpy as np
import pytest

from mmpi import MPI

pytestmark = pytest.mark.mmpi(n=[1, 2, 3])

SENDS = ["Send_init", "Ssend_init", "Bsend_init", "Rsend_init"]


def neighbors(comm):
    return (comm.rank + 1) % comm.size, (comm.rank - 1) % comm.size


@pytest.fixture
def attached():
    MPI.Attach_buffer(bytearray(4096))
    yield
    MPI.Detach_buffer()


@pytest.mark.parametrize("name", SENDS)
def test_point_to_point_again_and_again(quiet_comm, attached, name):
    right, left = neighbors(quiet_comm)
    out, back = np.zeros(5), np.zeros(5)
    receive = quiet_comm.Recv_init(back, left, 7)
    send = getattr(quiet_comm, name)(out, right, 7)
    assert isinstance(send, MPI.Prequest) and isinstance(receive, MPI.Prequest)
    for turn in range(4):
        out[:] = 10 * quiet_comm.rank + turn
        back[:] = -1
        receive.Start()
        quiet_comm.Barrier()  # a ready send needs it
        send.Start()
        status = MPI.Status()
        receive.Wait(status)
        send.Wait()
        assert (back == 10 * left + turn).all() and (status.source, status.tag, status.Get_count(MPI.DOUBLE)) == (left, 7, 5)
    for request in (send, receive):
        assert request
        request.Free()
        assert not request


def test_startall_and_waits_of_several(quiet_comm):
    right, left = neighbors(quiet_comm)
    out, back = [np.full(2, float(i)) for i in range(3)], [np.zeros(2) for _ in range(3)]
    requests = [quiet_comm.Recv_init(b, left, i) for i, b in enumerate(back)] + [quiet_comm.Send_init(o, right, i) for i, o in enumerate(out)]
    for _ in range(3):
        MPI.Prequest.Startall(requests)
        MPI.Request.Waitall(requests)
        assert all(requests)
    assert MPI.Request.Waitany(requests) == MPI.UNDEFINED and MPI.Request.Testall(requests)
    assert [b[0] for b in back] == [0, 1, 2]
    for request in requests:
        request.Free()


def test_one_that_was_never_started_or_is_dropped_while_active(quiet_comm):
    right, left = neighbors(quiet_comm)
    data, got = np.arange(3.0), np.zeros(3)
    quiet_comm.Send_init(data, right)
    gc.collect()
    send, receive = quiet_comm.Send_init(data, right, 1), quiet_comm.Recv_init(got, left, 1)
    MPI.Prequest.Startall([receive, send])
    send.Free()
    del send
    receive.Wait()
    assert (got == data).all()
    receive.Free()


def test_the_buffer_lives_as_long_as_the_request(quiet_comm):
    right, left = neighbors(quiet_comm)
    send, got = quiet_comm.Send_init(np.full(1000, 3.0), right), np.zeros(1000)
    gc.collect()
    send.Start()
    quiet_comm.Recv(got, left)
    send.Wait()
    assert (got == 3).all()
    send.Free()


def test_misuse(quiet_comm):
    with pytest.raises(MPI.Exception):
        quiet_comm.Send_init(bytearray(1), quiet_comm.size)
    with pytest.raises(TypeError):
        quiet_comm.Send_init(bytearray(1))
    with pytest.raises(BufferError, match="read-only"):
        quiet_comm.Recv_init(b"constant", 0)
    with pytest.raises(TypeError, match="Prequest"):
        MPI.Prequest(MPI.Grequest.Start())


def result_of(comm, name, out, back):
    """What the blocking form does; then the persistent one, three times, and their results."""
    blocking, persistent = getattr(comm, name), getattr(comm, name + "_init")
    arguments = {"Bcast": [back], "Barrier": []}.get(name, [out, back])
    if name == "Bcast":
        back[:] = out
    blocking(*arguments)
    expected = back.copy()
    request = persistent(*arguments)
    for _ in range(3):
        if name != "Bcast":
            back[:] = 0
        request.Start()
        request.Wait()
        assert (back == expected).all() or (name == "Exscan" and comm.rank == 0)
    request.Free()


COLLECTIVES = "Barrier Bcast Allgather Alltoall Allreduce Scan Exscan Reduce_scatter_block Gather Scatter Reduce".split()


@pytest.mark.parametrize("name", COLLECTIVES)
def test_collectives(mmpi_comm, name):
    n = mmpi_comm.size
    out = np.arange(2.0 * n) + mmpi_comm.rank
    back = np.zeros({"Allgather": 2 * n * n, "Gather": 2 * n * n, "Reduce_scatter_block": 2, "Scatter": 2}.get(name, 2 * n))
    try:
        result_of(mmpi_comm, name, out, back)
    except NotImplementedError:
        assert MPI.Get_version() < (4, 0)


def test_collectives_of_vectors(mmpi_comm):
    n = mmpi_comm.size
    out, back = np.full(3, float(mmpi_comm.rank)), np.zeros(3 * n)
    counts = [3] * n
    for request in (mmpi_comm.Allgatherv_init(out, [back, counts]), mmpi_comm.Gatherv_init(out, [back, counts])):
        request.Start()
        request.Wait()
        if mmpi_comm.rank == 0:
            assert (back == np.repeat(np.arange(n), 3)).all()
        request.Free()
    part = np.zeros(3)
    with mmpi_comm.Scatterv_init([back, counts], part) as request:
        request.Start()
    assert (part == out).all()
    every = np.repeat(np.arange(float(n)), 3)
    request = mmpi_comm.Alltoallv_init([every, counts], [back, counts])
    request.Start()
    request.Wait()
    assert (back == mmpi_comm.rank).all()
    request.Free()


def test_a_copy_that_goes_away_first_leaves_the_request_alone(quiet_comm):
    right, left = neighbors(quiet_comm)
    got = bytearray(3)
    for kind in MPI.Prequest, MPI.Request:
        request = quiet_comm.Send_init(b"abc", MPI.PROC_NULL)
        del_me = kind(request)
        assert del_me == request
        del del_me
        request.Start()
        request.Wait()
        request.Free()
        request = quiet_comm.Send_init(b"abc", MPI.PROC_NULL)
        kept = kind(request)
        request.Free()
        del kept  # of a request that is no more
        receive = quiet_comm.Irecv(got, left)
        MPI.Request(MPI.Request(receive))
        quiet_comm.Send(b"xyz", right)
        receive.Wait()
        assert got == b"xyz"
    with quiet_comm.Dup() as comm:
        for _ in range(20):  # looks at what was dropped before
            comm.Isend(b"", MPI.PROC_NULL).Wait()


def test_partitions(quiet_comm):
    right, left = neighbors(quiet_comm)
    out, back = np.arange(8.0), np.zeros(8)
    send, receive = quiet_comm.Psend_init(out, 4, right, 3), quiet_comm.Precv_init(back, 4, left, 3)
    for turn in range(3):
        out[:] = np.arange(8.0) + turn
        MPI.Prequest.Startall([receive, send])
        send.Pready(2)
        send.Pready_range(0, 1)
        send.Pready_list([3])
        while not all(receive.Parrived(i) for i in range(4)):
            pass
        if turn:
            MPI.Request.Waitall([receive, send])
        else:
            while not MPI.Request.Testall([receive, send]):
                pass
        assert (back == out).all()
    send.Free()
    receive.Free()


def test_partitions_that_do_not_fit(quiet_comm):
    with pytest.raises(ValueError, match="partitions"):
        quiet_comm.Psend_init(np.zeros(8), 0, 0)
    with pytest.raises(ValueError):
        quiet_comm.Psend_init(np.zeros(8), 3, 0)


def test_exchanges_that_do_not_block(quiet_comm):
    right, left = neighbors(quiet_comm)
    out, back = np.full(4, float(quiet_comm.rank)), np.zeros(4)
    try:
        quiet_comm.Isendrecv(out, right, 1, back, left, 1).Wait()
    except NotImplementedError:
        assert MPI.Get_version() < (4, 0)
        return
    assert (back == left).all()
    quiet_comm.Isendrecv_replace(out, right, 2, left, 2).Wait()  # MPICH leaves the status of both wrong
    assert (out == left).all()


def test_status_of_several_without_ending_them(quiet_comm):
    right, left = neighbors(quiet_comm)
    got = bytearray(1)
    requests = [quiet_comm.Irecv(got, left), quiet_comm.Irecv(bytearray(1), MPI.PROC_NULL)]
    try:
        assert MPI.Request.Get_status_any(requests)[1] is True
    except NotImplementedError:
        assert MPI.Get_version() < (4, 1)
    else:
        assert MPI.Request.Get_status_some(requests) in ([1], [0, 1])
        assert all(requests)
    quiet_comm.Send(b"x", right)
    MPI.Request.Waitall(requests)
    assert got == b"x" and not any(requests)


def test_with_waits(quiet_comm):
    right, left = neighbors(quiet_comm)
    got = bytearray(3)
    with quiet_comm.Irecv(got, left) as request:
        quiet_comm.Send(b"abc", right)
    assert got == b"abc" and not request


def test_duplicates_that_are_made_in_the_background(mmpi_comm):
    for make in (mmpi_comm.Idup, lambda: mmpi_comm.Idup(MPI.INFO_NULL), lambda: mmpi_comm.Idup_with_info(MPI.INFO_NULL)):
        try:
            comm, request = make()
        except NotImplementedError:
            assert MPI.Get_version() < (4, 0)
            continue
        request.Wait()
        with comm:
            assert comm.allgather(comm.rank) == list(range(comm.size)) and comm.Compare(mmpi_comm) == MPI.CONGRUENT
            assert comm.Get_errhandler() == MPI.ERRORS_RETURN


def test_a_communicator_of_some_who_alone_call(mmpi_comm):
    half = mmpi_comm.group.Incl(range(0, mmpi_comm.size, 2))
    if mmpi_comm.rank % 2 == 0:
        with mmpi_comm.Create_group(half, 5) as comm:
            assert comm.size == half.size and comm.allreduce(1) == comm.size


def test_hints(mmpi_comm):
    with mmpi_comm.Dup() as comm:
        comm.Set_info(MPI.Info.Create({"mpi_assert_no_any_tag": "true"}))
        assert isinstance(comm.Get_info().items(), list)
        comm.info = MPI.INFO_ENV
        assert isinstance(comm.info, MPI.Info)
        with pytest.raises(TypeError):
            comm.info = "text"


def test_fault_tolerance(mmpi_comm):
    """Where the library has none, nobody has failed."""
    with mmpi_comm.Dup() as comm:
        assert comm.Is_revoked() is False
        assert comm.Agree(0b110 | comm.rank << 8) == 0b110
        assert comm.Get_failed().size == 0 and comm.Ack_failed() == comm.Ack_failed(0) == 0
        flag = np.array([3 if comm.rank else 7], "i")
        comm.Iagree(flag).Wait()
        assert flag[0] == (3 if comm.size > 1 else 7)
        alive, making = comm.Ishrink()
        making.Wait()
        with comm.Shrink() as other, alive:
            assert alive.size == other.size == comm.size
        for wrong, error in ((bytearray(8), ValueError), (b"1234", BufferError), (1, TypeError)):
            with pytest.raises(error):
                comm.Iagree(wrong)
    with pytest.raises(MPI.Exception):
        MPI.COMM_NULL.Is_revoked()


def test_the_end_of_communication(mmpi_comm):
    with mmpi_comm.Dup() as comm:
        try:
            comm.Revoke()
        except NotImplementedError as error:
            assert "ULFM" in str(error)
        else:
            assert comm.Is_revoked()
            for call in comm.Barrier, lambda: comm.Send(b"", MPI.PROC_NULL), lambda: comm.Recv(bytearray(1), MPI.PROC_NULL):
                with pytest.raises(MPI.Exception) as caught:
                    call()
                assert caught.value.Get_error_class() == MPI.ERR_REVOKED


@pytest.mark.mmpi(n=[2, 3])
def test_two_groups_agree(mmpi_comm):
    """Each about the flags of the other."""
    side = mmpi_comm.rank % 2
    with mmpi_comm.Split(side) as group, group.Create_intercomm(0, mmpi_comm, 1 - side, 8) as comm:
        for one in range(mmpi_comm.size):
            mine = 0b101 if mmpi_comm.rank == one else 0b111
            expected = 0b101 if one % 2 != side else 0b111
            assert comm.Agree(mine) == expected
            flag = np.array([mine], "i")
            comm.Iagree(flag).Wait()
            assert flag[0] == expected
        with comm.Shrink() as alive:
            assert alive.remote_size == comm.remote_size and not comm.Get_failed().size


@pytest.mark.mmpi(n=2)
def test_a_long_waitall_keeps_the_status_of_a_prepared_receive(mmpi_comm, tag):
    """It looks again and again, for other ranks' messages too; what was received first is still told in the end."""
    for _ in range(30):
        first, second, statuses = bytearray(8), bytearray(8), [MPI.Status(), MPI.Status()]
        if mmpi_comm.rank:
            mmpi_comm.Send(first, 0, tag)
            time.sleep(0.005)
            mmpi_comm.Send(second, 0, tag + 1)
        else:
            prepared = mmpi_comm.Recv_init(first, 1, tag)
            prepared.Start()
            MPI.Request.Waitall([prepared, mmpi_comm.Irecv(second, 1, tag + 1)], statuses)
            assert [status.source for status in statuses] == [1, 1]
            prepared.Free()
        mmpi_comm.Barrier()
