# SPDX-License-Identifier: BSD-3-Clause
"""Modules beside MPI: util.sync, util.pool, util.dtlib, util.pkl5, the small tests of bench, what builds ask, the end of pools."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import mmpi
from jobs import LIMIT
from mmpi import MPI, bench
from mmpi.flight import completed
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


@pytest.mark.mmpi(n=2)
def test_who_waits_for_a_mutex_asks_nobody(mmpi_comm):
    """While the other one naps, it calls MPI a few times only."""
    mutex = sync.Mutex(comm=mmpi_comm)
    if mmpi_comm.Get_rank() == 0:
        with mutex:
            mmpi_comm.barrier()
            time.sleep(0.3)
        mmpi_comm.barrier()
    else:
        mmpi_comm.barrier()
        before = completed(os.environ["MMPI_JOB_DIR"])[os.getpid()]
        with mutex:
            calls = completed(os.environ["MMPI_JOB_DIR"])[os.getpid()] - before
        mmpi_comm.barrier()
        assert 0 < calls < 50
    mutex.free()


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


@pytest.mark.mmpi(n=1)
def test_a_structure_that_does_not_begin_at_0():
    """Its extent leaves out the gap before it, and is what lies between two items."""
    made = MPI.Datatype.Create_struct([1, 2], [4, 8], [MPI.INT, MPI.INT])
    dtype = dtlib.to_numpy_dtype(made)
    assert (made.extent, dtype.itemsize) == (12, 16)
    made = MPI.Datatype.Create_struct([1, 2, 3], [1, 27, 71], [MPI.INT, MPI.DOUBLE, MPI.INT])
    assert dtlib.to_numpy_dtype(made).itemsize == made.extent
    assert dtlib.to_numpy_dtype(MPI.Datatype.Create_struct([1], [0], [made])).fields["f0"][0].names == ("f0", "f1", "f2")


@pytest.mark.mmpi(n=1)
def test_pairs():
    """Found in libraries that lack MPI 4.1's function, too."""
    for value, pair in (MPI.DOUBLE, MPI.DOUBLE_INT), (MPI.INT, MPI.INT_INT), (MPI.LONG, MPI.LONG_INT):
        assert MPI.Datatype.Get_value_index(value, MPI.INT) == pair
        assert dtlib.to_numpy_dtype(pair).itemsize == pair.extent
    assert MPI.Datatype.Get_value_index(MPI.INT, MPI.DOUBLE) == MPI.DATATYPE_NULL
    for wrong in (MPI.DATATYPE_NULL, MPI.INT), (MPI.INT, MPI.DATATYPE_NULL):
        with pytest.raises(MPI.Exception) as caught:
            MPI.Datatype.Get_value_index(*wrong)
        assert caught.value.Get_error_class() == MPI.ERR_TYPE


@pytest.mark.mmpi(n=1)
def test_buffers_out_of_band():
    """MPI.pickle keeps buffers apart as memory of MPI's, which stays where it is, whatever the protocol."""
    pickle, array = pkl5.Pickle(threshold=64), np.arange(100)
    for protocol in None, 0, 3, 5:
        pickle.PROTOCOL = protocol
        data, buffers = pickle.dumps_oob([array, b"x", array[:2]])
        assert [type(buffer) for buffer in buffers] == [MPI.buffer] and buffers[0].address == array.ctypes.data
        back = pickle.loads_oob(data, buffers)
        assert np.array_equal(back[0], array) and np.array_equal(back[2], array[:2])
    array.flags.writeable = False
    assert pickle.dumps_oob(array)[1][0].readonly
    pickle.THRESHOLD = None
    assert pickle.THRESHOLD == pkl5.Pickle().THRESHOLD and pickle.dumps_oob(array)[1] == []


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


POOL = """
import os, sys, time
from mmpi.futures import MPIPoolExecutor, MPICommExecutor
def work(n):
    print("at work", flush=True)
    time.sleep(60)
if __name__ == "__main__":
    {block}
        list(pool.map(work, range(8)))
"""
POOLS = {
    "spawned": ("with MPIPoolExecutor(2) as pool:", ["-n", "1"], []),
    "shared": ("with MPIPoolExecutor() as pool:", ["-n", "3"], ["-m", "mmpi.futures"]),
    "comm": ("with MPICommExecutor() as pool:\n        if pool is None: sys.exit()", ["-n", "3"], []),
}


@pytest.mark.parametrize("kind", POOLS)
def test_ctrl_c_ends_a_pool(kind, tmp_path):
    """Ctrl-C of a pool at work: the job ends with 130, in time, and no worker stays."""
    block, options, before = POOLS[kind]
    path = tmp_path / "pool.py"
    path.write_text(POOL.format(block=block))
    mark = f"MARK={tmp_path}"
    words = [sys.executable, "-m", "mmpi", "run", *options, *before, str(path)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"MARK": str(tmp_path)})
    try:
        assert process.stdout.readline() == "at work\n" == process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=LIMIT)
        assert process.returncode == 130, told
    finally:
        process.kill()
    deadline = time.monotonic() + LIMIT / 4
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


def marked(mark):
    """The processes with this variable in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and int(entry.name) != os.getpid() and mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(entry.name)
    return found
