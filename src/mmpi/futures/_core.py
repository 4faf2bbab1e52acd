# SPDX-License-Identifier: BSD-3-Clause
"""What stands behind an executor: its pool, a thread that sees to the calls, and the crew of workers that makes them.

Who submits hands a call to an idle worker himself, if there is one; else it waits in the pool's queue. The pool's thread
receives answers, gives the worker that sent one the next call, and then settles the future. It sleeps while no call is
under way. A worker has one call at a time; but while its calls are quick and the queue is long, it gets some ahead, since
waiting for the next would take longer than making it. A worker whose call took long sends back what it has not begun.

Who waits for the only call under way receives its answer himself (attend), since waking one thread after the other takes
longer than the message. The pool's thread naps meanwhile. Such a receiver may be the main thread, in which a signal handler may
raise between any two steps: an answer goes from MPI to the pool's inbox within C, and what follows may be done twice.

A crew may serve several pools, as under `python -m mmpi.futures`. Each has a tag of its own; they share the idle workers,
which they get by turns, and the lock. Pickling a call may run code that submits another: a thread may take the lock twice.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any, TypeVar

from mmpi import MPI

from . import worker
from .worker import MAIN_RUN_NAME, QUICK, Back, Failure, RemoteTraceback

__all__ = [
    "MAIN_RUN_NAME", "Crew", "Pool", "PoolFuture", "RemoteTraceback", "SharedPool", "ThreadPool", "comm_split", "serialized",
    "setup_mpi_threads",
]  # fmt: skip

T = TypeVar("T")
Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
Item = tuple["Future[Any]", Call]

_AHEAD = 16  # calls that a worker has at most
_TAGS = 1 << 14  # of pools that share a crew
_SOON = 0.1  # seconds; who has just received for himself is expected to do so again
_open: weakref.WeakSet[Any] = weakref.WeakSet()  # pools whose threads run

SharedPool: Callable[[Any], Pool | ThreadPool] | None = None  # makes pools where all executors share the ranks of the job


class _Serialized:
    """A lock for calls of MPI, where it does not let threads call it at the same time; `with serialized():`."""

    lock: threading.Lock | None = None

    def __call__(self) -> contextlib.AbstractContextManager[Any]:
        return self.lock or contextlib.nullcontext()


serialized = _Serialized()


def setup_mpi_threads() -> None:
    """Look at what MPI provides for threads, once."""
    if serialized.lock is None and MPI.Query_thread() < MPI.THREAD_MULTIPLE:
        serialized.lock = threading.Lock()


def comm_split(comm: MPI.Intracomm, root: int) -> tuple[MPI.Intercomm, MPI.Intracomm]:
    """An intercommunicator between `root` and the others, and one of the others (COMM_NULL at root). Collective."""
    if comm.Get_size() == 1:
        raise ValueError("comm_split: a communicator of one process cannot be split in two")
    is_root = comm.Get_rank() == root
    local = comm.Split(int(is_root), comm.Get_rank())
    peer = (0 if root else 1) if is_root else root
    inter = local.Create_intercomm(0, comm, peer)
    if not is_root:
        return inter, local
    local.Free()
    return inter, MPI.Intracomm(MPI.COMM_NULL)


# --- workers -----------------------------------------------------------------------------------------------------


class Crew:
    """The processes at the other end of an intercommunicator, each in worker.serve(), and which of them are idle."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.size = 0
        self.idle: deque[int] = deque()
        self.pools: deque[Pool] = deque()
        self.tags = itertools.count()

    def hire(self, comm: MPI.Intercomm) -> None:
        """These are the workers, from now on."""
        self.comm = comm
        self.size = comm.Get_remote_size()
        self.idle.extend(range(self.size))

    def next_tag(self) -> int:
        """A tag for another pool."""
        return next(self.tags) % _TAGS

    def dispatch(self) -> None:
        """Give waiting calls to idle workers, of each pool by turns. Under the lock."""
        while self.idle:
            pool = next((pool for pool in self.pools if pool.queue), None)
            if pool is None:
                return
            self.pools.remove(pool)
            self.pools.append(pool)
            if (item := pool.next()) and pool.hand(self.idle[0], *item):
                self.idle.popleft()

    def wanted_by_others(self, pool: Pool) -> bool:
        """Do other pools wait for workers?"""
        return len(self.pools) > 1 and any(other.queue for other in self.pools if other is not pool)

    def dismiss(self) -> None:
        """All of them are idle: tell them to stop, and part from them."""
        if self.size:
            with serialized():
                for request in [self.comm.isend(None, rank) for rank in range(self.size)]:
                    request.wait()
                self.comm.Disconnect()
            self.size = 0
            self.idle.clear()


# --- pools -------------------------------------------------------------------------------------------------------


class _Base:
    """What pools have in common: a queue, a thread, and how they end. `lock` guards all but the thread."""

    def __init__(self, executor: Executor, changed: threading.Condition) -> None:
        self.changed = changed
        self.queue: deque[Item] = deque()
        self.event = threading.Event()  # it is ready, or broken
        self.size = 0
        self._running: dict[int, deque[Item]] = {}  # the calls of each worker
        self.error: str | None = None
        self.closed = False
        self.exref = weakref.ref(executor, lambda _: self.done())
        self.thread = threading.Thread(target=self._live, name=type(self).__name__, daemon=True)

    def start(self) -> None:
        """Let the thread run. At the end of the program it is waited for."""
        _open.add(self)
        self.thread.start()

    def wait(self) -> None:
        """Wait until it is ready, or broken."""
        self.event.wait()

    def join(self) -> None:
        """Wait until all its calls are done and its workers are dismissed."""
        self.thread.join()

    def done(self) -> None:
        """No more calls will be submitted."""
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def cancel(self) -> None:
        """Cancel the calls that have not begun."""
        with self.changed:
            items = list(self.queue)
            self.queue.clear()
        for future, _ in items:
            if future.cancel():
                future.set_running_or_notify_cancel()

    def refuse_if_broken(self) -> None:
        """BrokenExecutor if the workers could not be started or prepared."""
        if self.error is not None:
            raise BrokenExecutor(self.error)

    def _live(self) -> None:
        try:
            self._begin()
            self.event.set()
            self._work()
        except BaseException as error:
            self._break(error)
        finally:
            self._end()
            _open.discard(self)

    def _break(self, error: BaseException) -> None:
        """Calls that wait, and those to come, raise BrokenExecutor."""
        if isinstance(error, _Broken):
            self.error, cause = error.args[0], error.__cause__
        else:
            self.error, cause = f"the pool failed: {type(error).__name__}: {error}", error
        with self.changed:
            lost = [future for future, _ in self.queue if future.set_running_or_notify_cancel()]
            lost += [future for line in self._running.values() for future, _ in line]
            self.queue.clear()
            self._running.clear()
            self.size = 0
        self.event.set()
        for future in lost:
            broken = BrokenExecutor(self.error)
            broken.__cause__ = cause
            future.set_exception(broken)

    def next(self) -> Item | None:
        """The next call that nobody cancelled; it is running from now on. Under the lock."""
        while self.queue:
            item = self.queue.popleft()
            if item[0].running() or item[0].set_running_or_notify_cancel():  # it runs if a worker sent it back
                return item
        return None

    def submit(self, future: Future[Any], call: Call) -> None:
        raise NotImplementedError

    def _begin(self) -> None:
        raise NotImplementedError

    def _work(self) -> None:
        raise NotImplementedError

    def _end(self) -> None:
        pass


class _Broken(Exception):
    """A worker could not be prepared; the text says it all."""


def _cannot_prepare(error: BaseException | None) -> _Broken:
    broken = _Broken(f"a worker could not be prepared: {type(error).__name__}: {error}")
    broken.__cause__ = error
    return broken


class Pool(_Base):
    """The calls of one executor, for a crew. `bring` is called in the pool's thread: it starts the workers, if need be."""

    def __init__(
        self,
        executor: Executor,
        crew: Crew,
        bring: Callable[[], MPI.Intercomm] | None,
        own: bool,
        preparations: list[Call],
    ) -> None:
        super().__init__(executor, crew.changed)
        self.crew = crew
        self._bring = bring
        self._own = own  # do the workers go when the pool ends?
        self._preparations = preparations
        self._ready = False
        self._since: dict[int, float] = {}  # when a worker got its call, or sent its last answer
        self._tag = crew.next_tag()
        self._status = MPI.Status()
        self._receiver: int | None = None  # the thread that receives
        self._attended = -_SOON  # when a thread had received for itself
        self._requests: list[MPI.Request] = []  # the receive under way, if that was begun
        self._inbox: list[Any] = []  # what came, until its call has ended
        setup_mpi_threads()

    def submit(self, future: Future[Any], call: Call) -> None:
        """Hand a call to an idle worker, or let it wait for one."""
        if isinstance(future, PoolFuture):
            future.pool = self
        with self.crew.lock:
            self.refuse_if_broken()
            first, attended = not self._running, self._is_attended()
            if self._ready and self.crew.idle and not self.queue:
                if future.set_running_or_notify_cancel() and self.hand(self.crew.idle[0], future, call):
                    self.crew.idle.popleft()
            else:
                self.queue.append((future, call))
            if first != attended:  # the pool's thread sleeps, or naps, and is needed
                self.changed.notify_all()

    def hand(self, rank: int, future: Future[Any], call: Call) -> bool:
        """Send a call to a worker; False if it cannot be pickled. Under the lock."""
        try:
            with serialized():
                self.crew.comm.isend(call, rank, self._tag)
        except BaseException as error:
            future.set_exception(error)
            if isinstance(error, MPI.Exception):
                raise
            return False
        if rank not in self._running:
            self._running[rank] = deque()
            self._since[rank] = time.perf_counter()
        self._running[rank].append((future, call))
        return True

    def _receive(self) -> tuple[int, Any]:
        """The next answer, and the worker that it came from; it stays in the inbox until its call has ended."""
        inbox, requests = self._inbox, self._requests
        if not inbox and serialized.lock:
            inbox.append(self._poll())
        elif not inbox:
            if not requests:
                requests.extend(itertools.starmap(self.crew.comm.irecv, [(None, MPI.ANY_SOURCE, self._tag)]))
            try:
                inbox.extend(map(requests[0].wait, [self._status]))
            except BaseException as error:
                if isinstance(error, MPI.Exception) or requests[0]:
                    raise
                inbox.append(_Unreadable(error))
        requests.clear()
        return self._status.Get_source(), inbox[0]

    def _poll(self) -> Any:
        """As recv, for an MPI that does not take calls from several threads at a time."""
        nap = 1e-5
        while True:
            with serialized():
                message = self.crew.comm.improbe(MPI.ANY_SOURCE, self._tag)
                if message is not None:
                    try:
                        return message.recv(self._status)
                    except MPI.Exception:
                        raise
                    except Exception as error:
                        return _Unreadable(error)
            time.sleep(nap)
            nap = min(nap * 1.5, 1e-3)

    def _begin(self) -> None:
        worker.be_patient(True)
        if self._bring and not self.crew.size:
            with serialized():
                comm = self._bring()
            self.crew.hire(comm)
        for call in self._preparations:
            self._let_all(call)
        with self.changed:
            self.size = self.crew.size
            self._ready = True
            self.crew.pools.append(self)

    def _let_all(self, call: Call) -> None:
        """Let every worker make a call, each as soon as it is idle; raise what the first of them raised."""
        left = set(range(self.crew.size))
        error: BaseException | None = None
        while left or self._running:
            with self.changed:
                for rank in [rank for rank in self.crew.idle if rank in left]:
                    left.discard(rank)
                    future: Future[Any] = Future()
                    if not self.hand(rank, future, call):
                        raise _cannot_prepare(future.exception())
                    self.crew.idle.remove(rank)
                if not self._running and left:
                    self.changed.wait()  # others' calls keep those that are missing
            if self._running:
                answer = self._take()[1]
                error = error or (answer.exception() if type(answer) is Failure else None)
        if error:
            raise _cannot_prepare(error)

    def _take(self) -> tuple[Future[Any], Any]:
        """Wait for an answer; its worker gets the next call."""
        rank, answer = self._receive()
        with self.changed:
            self._inbox.clear()
            line = self._running[rank]
            future, call = line.popleft()
            if type(answer) is Back:
                self.queue.appendleft((future, call))
            ahead = self._ahead(rank)
            while len(line) < ahead and (item := self.next()):
                self.hand(rank, *item)
            if not line:
                del self._running[rank]
                self.crew.idle.append(rank)
                self.crew.dispatch()
                if not self._own:
                    self.changed.notify_all()
        return future, answer

    def _ahead(self, rank: int) -> int:
        """How many calls a worker may have: several if its calls are quick, and many wait; 0 if others want it."""
        now = time.perf_counter()
        quick = now - self._since[rank] < QUICK
        self._since[rank] = now
        if not self._ready or self.crew.wanted_by_others(self):
            return 0
        return max(1, min(_AHEAD, len(self.queue) // (4 * self.size))) if quick else 1

    def attend(self, future: Future[Any]) -> None:
        """Receive in this thread until `future` is done, if its call is the only one under way and no other thread receives."""
        me = threading.get_ident()
        try:
            while self._may_receive(me, future):
                worker.be_patient(True)
                rank, answer = self._receive()
                if type(answer) is Back:
                    return
                self._conclude(rank, answer)
                self._attended = time.perf_counter()
        finally:
            if self._receiver == me:
                self._receiver = None
                worker.be_patient(False)

    def _may_receive(self, me: int, future: Future[Any]) -> bool:
        """If so, this thread is the receiver from now on."""
        with self.crew.lock:
            if serialized.lock or self._receiver not in (None, me) or self.queue or len(self._running) != 1:
                return False
            (line,) = self._running.values()
            if not self._ready or len(line) != 1 or line[0][0] is not future:
                return False
            self._receiver = me
        return True

    def _is_attended(self) -> bool:
        """Does, or soon will, another thread than the pool's receive?"""
        return self._receiver is not None or time.perf_counter() - self._attended < _SOON

    def _conclude(self, rank: int, answer: Any) -> None:
        """The only call of a worker has ended, and none waits for it. May be done again, and by another thread."""
        with self.crew.lock:  # the answer may be here before who sent the call has noted that
            line = self._running.get(rank)
        if line and not line[0][0].done():
            settle(line[0][0], answer)
        with self.crew.lock:
            self._running.pop(rank, None)
            if rank not in self.crew.idle:
                self.crew.idle += (rank,)  # no call until the inbox is empty, so no signal handler runs in between
            self._inbox = []
            if self.closed or any(pool.queue for pool in self.crew.pools):
                self.changed.notify_all()

    def _work(self) -> None:
        while self._wait_for_calls():
            if self._inbox and type(self._inbox[0]) is not Back:  # an interrupted thread left it
                self._conclude(*self._receive())
            else:
                future, answer = self._take()
                if type(answer) is not Back:
                    settle(future, answer)
                del future, answer
            self._receiver = None

    def _wait_for_calls(self) -> bool:
        """Is a call under way, and its answer to be received by this thread? If none is and none will be, False."""
        napped = False
        with self.changed:
            while True:
                self.crew.dispatch()
                under_way = bool(self._running or self._inbox)
                if under_way and self._receiver is None and (napped or not self._is_attended()):
                    self._receiver = threading.get_ident()
                    return True
                if self.closed and not self.queue and not under_way:
                    return False
                self.changed.wait(self._nap() if under_way or self._is_attended() else None)
                napped = under_way

    def _nap(self) -> float:
        """How long the pool's thread sleeps while another is expected to receive, in seconds."""
        return min(max((time.perf_counter() - self._attended) / 8, 1e-3), 0.05)

    def _end(self) -> None:
        with self.changed:
            if self in self.crew.pools:
                self.crew.pools.remove(self)
        if self._own:
            self.crew.dismiss()


class _Unreadable:
    """An answer that could not be unpickled."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def settle(future: Future[Any], answer: Any) -> None:
    """A call has ended: so has its future."""
    kind = type(answer)
    if kind is Failure:
        future.set_exception(answer.exception())
    elif kind is _Unreadable:
        future.set_exception(answer.error)
    else:
        future.set_result(answer)


class PoolFuture(Future[T]):
    """A future of a pool's call. Who waits for it alone receives its answer."""

    pool: Pool | None = None

    def result(self, timeout: float | None = None) -> T:
        """As that of concurrent.futures."""
        self._attend(timeout)
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """As that of concurrent.futures."""
        self._attend(timeout)
        return super().exception(timeout)

    def _attend(self, timeout: float | None) -> None:
        if timeout is None and self.pool is not None and not self.done():
            self.pool.attend(self)


class ThreadPool(_Base):
    """Threads of this process instead of workers."""

    def __init__(self, executor: Executor, size: int, preparations: list[Call]) -> None:
        super().__init__(executor, threading.Condition(threading.RLock()))
        self._wanted = size
        self._preparations = preparations

    def submit(self, future: Future[Any], call: Call) -> None:
        """Let a call wait for the next idle thread."""
        with self.changed:
            self.refuse_if_broken()
            self.queue.append((future, call))
            self.changed.notify()

    def _begin(self) -> None:
        worker.be_worker(MPI.COMM_SELF)
        barrier = threading.Barrier(self._wanted)
        self._failures: list[BaseException] = []
        self._others = [threading.Thread(target=self._other, args=(barrier,), daemon=True) for _ in range(self._wanted - 1)]
        for thread in self._others:
            thread.start()
        self._prepare(barrier)
        if self._failures:
            raise _cannot_prepare(self._failures[0])
        self.size = self._wanted

    def _prepare(self, barrier: threading.Barrier) -> None:
        try:
            for function, args, kwargs in self._preparations:
                function(*args, **kwargs)
        except BaseException as error:
            self._failures.append(error)
        barrier.wait()

    def _other(self, barrier: threading.Barrier) -> None:
        worker.be_worker(MPI.COMM_SELF)
        self._prepare(barrier)
        if not self._failures:
            self._work()

    def _work(self) -> None:
        for future, (function, args, kwargs) in self._calls():
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
            del future, function, args, kwargs

    def _calls(self) -> Iterator[Item]:
        while True:
            with self.changed:
                while not (item := self.next()):
                    if self.closed:
                        return
                    self.changed.wait()
            yield item
            del item

    def _end(self) -> None:
        for thread in self._others:
            thread.join()


def join_all() -> None:
    """The program ends: pools that nobody shut down do their calls first."""
    pools = list(_open)
    for pool in pools:
        pool.done()
    for pool in pools:
        pool.join()


# Before the interpreter waits for threads, as concurrent.futures does; it has no public name.
getattr(threading, "_register_atexit", atexit.register)(join_all)
