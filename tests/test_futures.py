# SPDX-License-Identifier: BSD-3-Clause
"""Pools: calls on the other ranks of a communicator, on threads, on processes that are started; and what may go wrong."""

import concurrent.futures
import socket
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from jobs import job, lines, run, serial
from mmpi import MPI, futures
from mmpi.futures import aplus
from mmpi.futures.worker import RemoteTraceback

on_ranks = pytest.mark.mmpi(n=[1, 3])


class NoPickle:
    """Cannot be pickled."""

    def __reduce__(self):
        raise ZeroDivisionError("no pickle")


class NoUnpickle:
    """Cannot be made again."""

    def __reduce__(self):
        return divide, (1, 0)


class TwoArgumentsError(Exception):
    """Pickles, but cannot be made again of that."""

    def __init__(self, one, two):
        super().__init__(one)


def divide(x, y):
    return x / y


def give(value):
    return value


def fail(kind, *args):
    raise kind(*args)


def size_of_workers():
    comm = futures.get_comm_workers()
    comm.Barrier()
    return comm.allreduce(1), comm.Get_size()


def pause(seconds, value=None):
    time.sleep(seconds)
    return value


prepared = []


def note(value):
    prepared.append(value)


def prepared_by(value):
    return prepared == [value]


def on_workers(test):
    """Runs a test on rank 0 with an executor for the others, which work."""

    def run_test(mmpi_comm):
        with futures.MPICommExecutor(mmpi_comm) as executor:
            if executor is not None:
                test(executor)

    run_test.__name__, run_test.__doc__ = test.__name__, test.__doc__
    return on_ranks(run_test)


@on_workers
def test_calls(executor):
    assert executor.num_workers == max(1, MPI.COMM_WORLD.Get_size() - 1)
    assert executor.submit(divide, 1, y=4).result() == 0.25
    assert list(executor.map(pow, range(200), [2] * 200)) == [i * i for i in range(200)]
    assert list(executor.starmap(pow, [(2, i) for i in range(9)], chunksize=4)) == [2**i for i in range(9)]
    assert sorted(executor.map(abs, range(-50, 0), unordered=True, chunksize=7)) == list(range(1, 51))
    assert list(executor.map(abs, [])) == []
    array = np.arange(10**5)
    assert np.array_equal(executor.submit(give, array).result(), array)


@on_workers
def test_map_takes_no_more_than_the_buffer(executor):
    taken = []
    results = executor.map(give, (taken.append(i) or i for i in range(20)), buffersize=3)
    assert len(taken) == 3
    assert next(results) == 0 and len(taken) == 3
    assert next(results) == 1 and len(taken) == 4
    assert list(results) == list(range(2, 20))
    for wrong, error in ({"buffersize": "1"}, TypeError), ({"buffersize": 0}, ValueError), ({"chunksize": 0}, ValueError):
        with pytest.raises(error):
            executor.map(give, [1], **wrong)
    with pytest.raises(ValueError):
        executor.map(give, [1], buffersize=1, unordered=True)


@on_workers
def test_map_times_out_and_cancels_the_rest(executor):
    with pytest.raises(concurrent.futures.TimeoutError):
        list(executor.map(pause, [0.3] * 20, timeout=0.05))
    assert executor.submit(abs, -1).result() == 1
    results = executor.map(divide, [1, 1, 1], [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


@on_workers
def test_an_exception_tells_of_its_worker(executor):
    error = executor.submit(divide, 1, 0).exception()
    assert type(error) is ZeroDivisionError
    if MPI.COMM_WORLD.Get_size() == 1:
        return
    assert isinstance(error.__cause__, RemoteTraceback)
    assert "in divide" in str(error.__cause__) and "return x / y" in str(error.__cause__)
    assert "worker " in error.__notes__[0] and f" of {executor.num_workers}, host " in error.__notes__[0]


@on_workers
def test_what_goes_wrong_ends_one_future(executor):
    if MPI.COMM_WORLD.Get_size() == 1:
        return
    good = [executor.submit(pause, 0.01, i) for i in range(8)]
    bad = executor.submit(give, NoPickle()).exception()
    assert type(bad) is ZeroDivisionError and bad.__cause__ is None
    assert type(executor.submit(NoPickle).exception()) is ZeroDivisionError
    assert isinstance(executor.submit(give, NoUnpickle()).exception().__cause__, RemoteTraceback)
    assert type(executor.submit(NoUnpickle).exception()) is ZeroDivisionError
    assert "TwoArgumentsError: one" in str(executor.submit(fail, TwoArgumentsError, "one", 2).exception())
    assert type(executor.submit(fail, SystemExit, 3).exception()) is SystemExit
    assert type(executor.submit(fail, KeyboardInterrupt).exception()) is KeyboardInterrupt
    assert type(executor.submit(fail, MPI.Exception, MPI.ERR_RANK).exception()) is MPI.Exception
    assert type(executor.submit(give, lambda: 0).exception()) is not None
    assert [future.result() for future in good] == list(range(8))


@on_workers
def test_a_worker_gets_no_call_behind_one_that_takes_long(executor):
    """While its calls are quick it has some ahead; what it has not begun when one was slow goes to the others."""
    if executor.num_workers < 2:
        return
    list(executor.map(abs, range(500)))
    started = [executor.submit(pause, 1.0 if i == 250 else 0, i) for i in range(500)]
    done, late = concurrent.futures.wait(started, timeout=30)
    assert not late and [future.result() for future in started] == list(range(500))


@on_workers
def test_parallel_tasks(executor):
    workers = executor.num_workers
    for _ in range(3):
        started = [executor.submit(size_of_workers) for _ in range(workers)]
        assert [future.result() for future in started] == [(workers, workers)] * workers
    with pytest.raises(RuntimeError, match="workers of a pool"):
        futures.get_comm_workers()


@on_workers
def test_cancel_and_shutdown(executor):
    running = [executor.submit(pause, 0.2) for _ in range(executor.num_workers)]
    waiting = [executor.submit(pause, 0.2) for _ in range(3)]
    while not all(future.running() or future.done() for future in running):
        time.sleep(0.001)
    assert waiting[1].cancel()
    executor.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in waiting)
    for call in (lambda: executor.submit(abs, 1), executor.bootup):
        with pytest.raises(RuntimeError, match="after shutdown"):
            call()
    executor.shutdown()
    assert all(future.result() is None for future in running) and executor.num_workers == 0


@on_ranks
def test_initializer(mmpi_comm):
    with futures.MPICommExecutor(mmpi_comm, initializer=note, initargs=["here"]) as executor:
        if executor is not None:
            assert all(executor.map(prepared_by, ["here"] * 20))
    with futures.MPICommExecutor(mmpi_comm, initializer=fail, initargs=(KeyError, "unprepared")) as executor:
        if executor is not None:
            with pytest.raises(futures.BrokenExecutor, match=r"could not be prepared: KeyError: 'unprepared'"):
                executor.submit(abs, 1).result()
            with pytest.raises(futures.BrokenExecutor):
                executor.submit(abs, 1)
            assert executor.num_workers == 0
    prepared.clear()


@on_ranks
def test_several_executors_share_a_crew(mmpi_comm):
    """As under python -m mmpi.futures: they get the workers by turns, also while another waits for its own."""
    if mmpi_comm.Get_size() == 1:
        return
    from mmpi.futures import _core, pool

    inter, workers = _core.comm_split(mmpi_comm, 0)
    if mmpi_comm.Get_rank():
        futures.worker.serve(inter, workers)
        inter.Disconnect()
        workers.Free()
        return
    crew = _core.Crew()
    crew.hire(inter)
    executors = [pool._CrewExecutor(crew) for _ in range(5)]
    slow = executors[0].submit(pause, 0.3)
    started = [(i, executor.submit(give, i)) for i in range(40) for executor in executors]
    assert all(future.result() == i for i, future in started)
    assert slow.result() is None
    for executor in executors:
        executor.shutdown()
    crew.dismiss()


@on_ranks
def test_misuse(mmpi_comm):
    for root in -1, mmpi_comm.Get_size():
        with pytest.raises(ValueError, match="is no rank of a communicator"):
            futures.MPICommExecutor(mmpi_comm, root)
    for wrong, error in ({"max_workers": 0}, ValueError), ({"initializer": 1}, TypeError), ({"colour": 1}, TypeError):
        with pytest.raises(error):
            futures.MPIPoolExecutor(**wrong)
    twice = futures.MPICommExecutor(MPI.COMM_SELF)
    with twice, pytest.raises(RuntimeError, match="entered already"), twice:
        pass
    if mmpi_comm.Get_size() > 1:
        inter, workers = futures._core.comm_split(mmpi_comm, 0)
        with pytest.raises(ValueError, match="intracommunicator"):
            futures.MPICommExecutor(inter)
        inter.Free()
        if workers:
            workers.Free()


@pytest.mark.mmpi(n=1)
def test_threads():
    with futures.ThreadPoolExecutor(3) as executor:
        barrier = threading.Barrier(3)
        assert sorted(executor.map(lambda i: barrier.wait() >= 0 and i, range(6))) == list(range(6))
        assert type(executor.submit(divide, 1, 0).exception()) is ZeroDivisionError
        assert executor.submit(size_of_workers).result() == (1, 1)
    broken = futures.ThreadPoolExecutor(2, initializer=fail, initargs=(KeyError, 1))
    with pytest.raises(futures.BrokenExecutor):
        broken.submit(abs, 1).result()
    broken.shutdown()


@pytest.mark.mmpi(n=1)
def test_with_one_thread_in_mpi_at_a_time():
    """Where MPI does not let threads call it at the same time, a lock is held, and nobody waits with it."""
    from mmpi.futures import _core

    before, _core.serialized.lock = _core.serialized.lock, threading.Lock()
    try:
        with futures.MPICommExecutor(MPI.COMM_SELF) as executor:
            assert executor.submit(abs, -1).result() == 1
    finally:
        _core.serialized.lock = before


@pytest.mark.mmpi(n=1)
def test_collect_and_compose():
    assert futures.collect([]).result() == []
    parts = [concurrent.futures.Future() for _ in range(3)]
    whole = futures.collect([*parts, parts[0]])
    for i, part in enumerate(parts):
        assert not whole.done()
        part.set_result(i)
    assert whole.result() == [0, 1, 2, 0]
    parts = [concurrent.futures.Future() for _ in range(3)]
    whole = futures.collect(parts)
    parts[1].set_exception(KeyError(1))
    assert type(whole.exception()) is KeyError and parts[0].cancelled() and parts[2].cancelled()
    parts = [concurrent.futures.Future() for _ in range(3)]
    assert futures.collect(parts).cancel() and all(part.cancelled() for part in parts)

    base = concurrent.futures.Future()
    composed = futures.compose(base, lambda x: x + 1)
    base.set_result(1)
    assert composed.result() == 2
    base = concurrent.futures.Future()
    mended, other = futures.compose(base, excepthook=lambda error: error.args[0]), futures.compose(base, str)
    base.set_exception(KeyError(7))
    assert mended.result() == 7 and type(other.exception()) is KeyError
    base = concurrent.futures.Future()
    assert futures.compose(base).cancel() and base.cancelled()


@pytest.mark.mmpi(n=1)
def test_promises():
    base = aplus.ThenableFuture()
    nested = aplus.ThenableFuture()
    end = base.then(lambda x: nested).then(lambda x: x * 2)
    base.set_result(1)
    assert not end.done()
    nested.set_result(21)
    assert end.result() == 42
    base = aplus.ThenableFuture()
    caught, ignored, passed = base.catch(lambda error: "caught"), base.catch(), base.then(str)
    circle = base.catch(lambda error: circle)
    base.set_exception(KeyError(1))
    assert (caught.result(), ignored.result(), type(passed.exception())) == ("caught", None, KeyError)
    with pytest.raises(RuntimeError, match="cycle"):
        circle.result()
    base = aplus.ThenableFuture()
    after = base.then(str)
    assert base.cancel() and after.cancelled()


# --- processes that are started ------------------------------------------------------------------------------------

PROGRAM = """
import os, sys
from mmpi import MPI
from mmpi.futures import MPIPoolExecutor, get_comm_workers
here = []
class Point:
    def __init__(self, x): self.x = x
def double(point): return Point(2 * point.x)
def which(): return __name__, os.getcwd(), os.environ.get("COLOUR"), extra, sys.argv[1:], get_comm_workers().Get_size()
def stuck(): raise KeyError("stuck")
if __name__ == "__main__":
    with MPIPoolExecutor(2, globals={"extra": 5}, wdir="/", env={"COLOUR": "red"}) as executor:
        assert executor.num_workers == 2
        assert [point.x for point in executor.map(double, map(Point, range(4)))] == [0, 2, 4, 6]
        name, folder, colour, extra, argv, size = executor.submit(which).result()
        if "shared" not in sys.argv:
            assert (name, folder, colour, extra, argv) == ("__worker__", "/", "red", 5, sys.argv[1:]), argv
        assert size == 2
        error = executor.submit(stuck).exception()
        assert type(error) is KeyError and "worker " in error.__notes__[0]
        executor.submit(here.append, 1).result()
    left = MPIPoolExecutor(1)
    print(left.submit(abs, -3).result(), len(here))     # the end of the program shuts it down
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return str(path)


def test_started_processes(program):
    assert lines(run(sys.executable, program, "one", "two")) == ["3 0"]


def test_ranks_of_the_job(program):
    shared = run(sys.executable, "-m", "mmpi", "run", "-n", "3", "-m", "mmpi.futures", program, "shared")
    assert lines(shared) == ["3 0"]
    failed = run(sys.executable, "-m", "mmpi", "run", "-n", "2", "-m", "mmpi.futures", "-c", "raise KeyError(1)")
    assert failed.returncode == 1 and "KeyError: 1" in failed.stderr


@on_workers
def test_who_waits_alone_gets_all_that_others_get(executor):
    """Answers that a waiting thread receives itself: results, errors, callbacks; beside other threads that submit."""
    seen = []
    for i in range(100):
        future = executor.submit(give, i)
        future.add_done_callback(seen.append)
        assert future.result() == i and seen.pop() is future
    assert isinstance(executor.submit(fail, KeyError, 1).exception(), KeyError)
    with pytest.raises(ZeroDivisionError):
        executor.submit(give, NoUnpickle()).result()
    assert executor.submit(abs, -1).result(timeout=60) == 1
    for _ in range(8):  # an answer may come before the thread that sent the call has noted that it did
        results = []

        def fill(first, results=results):
            results.extend(executor.submit(give, first + i).result() for i in range(50))

        work = [threading.Thread(target=fill, args=(first,)) for first in (0, 100)]
        for thread in work:
            thread.start()
        mine = [executor.submit(give, -i).result() for i in range(50)]
        for thread in work:
            thread.join()
        assert mine == [-i for i in range(50)] and sorted(results) == [*range(50), *range(100, 150)]


INTERRUPTED = """
import random, signal, sys, time
from mmpi.futures import MPIPoolExecutor

class Late(Exception): pass

def raise_in_attend(signum, frame):
    if not armed: return
    names = []
    while frame:
        names.append((frame.f_code.co_name, frame.f_code.co_filename))
        frame = frame.f_back
    if any(name == "attend" for name, _ in names) and not any("concurrent" in file or "threading" in file for _, file in names):
        raise Late
    signal.setitimer(signal.ITIMER_REAL, 1e-3)

armed = False
if __name__ == "__main__":
    random.seed(1)
    signal.signal(signal.SIGALRM, raise_in_attend)
    late = 0
    with MPIPoolExecutor() as executor:
        executor.submit(abs, 1).result()
        for i in range(400):
            future = executor.submit(abs if i % 4 else time.sleep, -i if i % 4 else 0.002)
            armed = True
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, 2e-4))
            try:
                future.result()
            except Late:
                late += 1
            armed = False
            assert future.result(timeout=20) == (i if i % 4 else None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert executor.submit(abs, -5).result() == 5
    print(late > 20)
"""


def test_an_interrupted_wait_loses_nothing(tmp_path):
    path = tmp_path / "interrupted.py"
    path.write_text(INTERRUPTED)
    assert lines(run(sys.executable, "-m", "mmpi", "run", "-n", "2", "-m", "mmpi.futures", str(path))) == ["True"]


def test_a_service_that_has_no_name_has_the_default():
    code = """
    from mmpi import MPI
    from mmpi.futures import BrokenExecutor, MPIPoolExecutor
    def lookup(name, info):
        raise LookupError(name)
    MPI.Lookup_name = lookup
    for service in None, "mine":
        try:
            MPIPoolExecutor(service=service).submit(abs, 1).result()
        except BrokenExecutor as error:
            print(error)
    """
    assert [line.split()[-1] for line in lines(serial(code))] == ["mine", "mmpi-futures"]


@pytest.mark.slow
def test_pools_that_cannot_start(tmp_path):
    wrong = """
    from mmpi.futures import MPIPoolExecutor, BrokenExecutor
    {guard}
    executor = MPIPoolExecutor(1)
    try:
        executor.submit(abs, 1).result()
    except BrokenExecutor as error:
        print(error)
    """
    path = tmp_path / "recursive.py"
    path.write_text(textwrap.dedent(wrong.format(guard="")))
    assert "under `if __name__ == '__main__':`" in run(sys.executable, str(path)).stdout
    path.write_text(textwrap.dedent(wrong.format(guard="if __name__ != '__main__': raise KeyError('not here')")))
    assert "KeyError: 'not here'" in run(sys.executable, str(path)).stdout


@pytest.mark.slow
def test_workers_take_no_time_when_idle():
    code = """
    import os, time
    from mmpi.futures import MPIPoolExecutor
    executor = MPIPoolExecutor(1)
    executor.bootup()
    before, pid = executor.submit(time.process_time).result(), os.times()
    time.sleep(3)
    assert executor.submit(time.process_time).result() - before < 1
    assert sum(os.times()[:2]) - sum(pid[:2]) < 1
    executor.shutdown()
    """
    assert serial(code).returncode == 0


@pytest.mark.slow
def test_a_server_brings_workers():
    """MPICH only: jobs of Open MPI meet through a server of their own."""
    if MPI.get_vendor()[0] != "MPICH":
        pytest.skip("needs MPICH")
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    words = ["-n", "2", "-m", "mmpi.futures.server", "--bind", "localhost", "--port", str(port)]
    server = subprocess.Popen([sys.executable, "-m", "mmpi", "run", *words])
    client = f"""
    import time
    from mmpi.futures import MPIPoolExecutor
    for _ in range(100):
        executor = MPIPoolExecutor(service=("localhost", {port}))
        try:
            print(executor.submit(abs, -42).result(), executor.num_workers)
            break
        except Exception as error:
            if "refused" not in str(error): raise
            time.sleep(0.2)
    executor.shutdown()
    """
    try:
        assert lines(job(1, client)) == ["42 2"]
        assert server.wait(20) == 0
    finally:
        server.kill()
