# SPDX-License-Identifier: BSD-3-Clause
"""Modules beside MPI: util.sync, util.pool, util.dtlib, util.pkl5, the small tests of bench, what builds ask."""

import os

import numpy as np
import pytest

import mmpi
from mmpi import MPI, bench
from mmpi.util import dtlib, pkl5, pool, sync

on_ranks = pytest.mark.mmpi(n=[1, 3])


@on_ranks
def test_counter_mutex_and_sequence(mmpi_comm):
    comm, counter, mutex = mmpi_comm, sync.Counter(comm=mmpi_comm), sync.Mutex(comm=mmpi_comm)
    with sync.Sequential(comm):
        assert next(counter) == comm.Get_rank()
    comm.Barrier()
    for _ in range(10):
        with mutex:
            assert mutex.locked()
            values = [next(counter) for _ in range(3)]
        assert values == list(range(values[0], values[0] + 3))
    comm.Barrier()
    assert counter.next(0) == 31 * comm.Get_size()
    with mutex, pytest.raises(RuntimeError, match="already"):
        mutex.acquire()
    with pytest.raises(RuntimeError, match="does not have"):
        mutex.release()
    counter.free()
    mutex.free()
    mutex.free()
    for call in (counter.next, mutex.acquire, mutex.locked):
        with pytest.raises(RuntimeError, match="freed"):
            call()


@on_ranks
def test_condition_and_semaphore(mmpi_comm):
    comm, condition = mmpi_comm, sync.Condition(comm=mmpi_comm)
    ready = sync.Counter(comm=comm)
    if comm.Get_rank() == 0:
        woken = 0
        while woken < comm.Get_size() - 1:
            with condition:
                ready.next(1)
                woken += condition.notify_all()
        with condition:
            assert condition.notify() == 0
    else:
        with condition, condition:
            condition.wait()
            assert condition.wait_for(lambda: ready.next(0)) > 0
    with pytest.raises(RuntimeError, match="does not have the mutex"):
        condition.wait()
    condition.free()
    ready.free()
    semaphore, inside = sync.Semaphore(2, comm=comm), sync.Counter(comm=comm)
    for _ in range(10):
        with semaphore:
            assert inside.next(1) < 2
            inside.next(-1)
    comm.Barrier()
    with pytest.raises(ValueError, match="more often"):
        semaphore.release()
    inside.free()
    semaphore.free()


@pytest.mark.mmpi(n=1)
def test_pool_of_threads():
    called = []
    with pool.ThreadPool(2) as workers:
        assert workers.apply(pow, (2, 5)) == 32
        assert workers.map(abs, range(-9, 0), chunksize=4) == list(range(9, 0, -1))
        assert workers.starmap(pow, [(2, i) for i in range(5)]) == [1, 2, 4, 8, 16]
        assert sorted(workers.imap_unordered(abs, [-1, -2])) == [1, 2]
        failed = workers.map_async(int, ["x"], callback=called.append, error_callback=called.append)
        failed.wait()
        assert not failed.successful() and type(called[0]) is ValueError
        with pytest.raises(ValueError):
            failed.get()
    with pytest.warns(UserWarning, match="maxtasksperchild"):
        pool.ThreadPool(1, maxtasksperchild=1).close()


@pytest.mark.mmpi(n=1)
@pytest.mark.parametrize("spec", ["f8", "?", "S1", "S5", "(2,3)i4", "i4,f8", "u1,(3,)f4,i2", [("x", "i4", 2), ("y", "S3")]])
@pytest.mark.parametrize("align", [False, True])
def test_dtypes_there_and_back(spec, align):
    dtype = np.dtype(spec, align=align)
    made = dtlib.from_numpy_dtype(dtype)
    assert made.Get_extent() == (0, dtype.itemsize)
    back = dtlib.to_numpy_dtype(made)
    assert back.itemsize == dtype.itemsize and dtlib.from_numpy_dtype(back).Get_extent() == (0, dtype.itemsize)
    for wrong in "O", ">i4", "V3":
        with pytest.raises(ValueError):
            dtlib.from_numpy_dtype(wrong)
    with pytest.raises(ValueError):
        dtlib.to_numpy_dtype(MPI.DATATYPE_NULL)


@on_ranks
def test_pkl5_is_what_send_does_anyway(mmpi_comm):
    comm = pkl5.Intracomm(mmpi_comm)
    array = np.arange(10**5)
    right, left = (comm.Get_rank() + 1) % comm.Get_size(), (comm.Get_rank() - 1) % comm.Get_size()
    assert np.array_equal(comm.sendrecv(array, right, 0, bytearray(3), left), array)
    assert comm.allgather(1) == [1] * comm.Get_size()
    with pytest.raises(RuntimeError, match="no irecv"):
        comm.irecv()


@on_ranks
def test_small_benchmarks(mmpi_comm, capsys):
    comm = mmpi_comm
    assert f"process {comm.Get_rank()} of {comm.Get_size()}" in bench.helloworld(comm, [], False)
    assert bench.ringtest(comm, ["-n", "100", "-l", "2"], False) > 0
    if comm.Get_size() == 1:
        with pytest.raises(RuntimeError, match="two processes"):
            bench.pingpong(comm, [], False)
    elif rows := bench.pingpong(comm, ["-n", "4", "-l", "2", "-s", "0", "-p"], True):
        assert [row[0] for row in rows] == [1, 2, 4]
    rows = bench.futures(comm, ["-n", "2", "-l", "1", "-s", "0", "-t", "2"], False)
    assert [row[0] for row in rows] == ([1, 2] if comm.Get_rank() == 0 else [])


@pytest.mark.filterwarnings("ignore:.*MPI is loaded already")
def test_what_builds_ask(tmp_path):
    assert os.path.isfile(os.path.join(mmpi.get_include(), "mmpi.h"))
    assert os.path.isfile(os.path.join(mmpi.get_include(), "mpi4py", "mpi4py.h"))
    assert all(os.path.exists(path) for path in mmpi.get_config().values())
    with pytest.raises(ValueError, match="no such library"):
        mmpi.profile("querty", path=tmp_path)
    (tmp_path / "libtext.so").write_text("no library")
    with pytest.warns(UserWarning, match="libtext"):
        mmpi.profile("text", path=[tmp_path])


def test_options_that_change_nothing():
    options = type(mmpi.rc)(fast_reduce=False, irecv_bufsz=1024)
    assert options.irecv_bufsz == 1024 and "fast_reduce=False" in repr(options) and mmpi.rc.fast_reduce is True
    for wrong in {"irecv_bufsz": -1}, {"recv_mprobe": "maybe"}, {"colour": 1}:
        with pytest.raises(TypeError):
            mmpi.rc(**wrong)
