# SPDX-License-Identifier: BSD-3-Clause
"""The executors."""

from __future__ import annotations

import concurrent.futures as cf
import functools
import itertools
import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from typing import Any, ParamSpec, Self, TypeVar

from mmpi import MPI, spawning

from . import _core, spawn, worker

T = TypeVar("T")
P = ParamSpec("P")
Pairs = Mapping[str, Any] | Iterable[tuple[str, Any]]
_NAMES = frozenset("python_exe python_args mpi_info globals main path wdir env use_pkl5 backoff service".split())
_FLAGS = frozenset("1 true yes on y 0 false no off n".split())


class MPIPoolExecutor(Executor):
    """Calls functions on other MPI processes.

    Its workers are started by the first call, or by bootup(): `max_workers` of them (default: MPI4PY_FUTURES_MAX_WORKERS,
    what the universe has left, or 1). Each runs `initializer(*initargs)`, if given; when that fails, the executor is broken.
    Keywords: `python_exe` and `python_args` of the workers, `mpi_info` for their start, `globals` for the main module there,
    which is imported unless `main` is false, `path` for sys.path, `wdir`, `env`. `service` is the name, or (host, port), of a
    server that brings the workers, see mmpi.futures.server; None is its default name. `use_pkl5` and `backoff` are taken and
    change nothing: large buffers always travel out of band, and waiting is what MMPI_WAIT says, by default with naps after a while.
    """

    Future: type[cf.Future[Any]] = _core.PoolFuture

    def __init__(
        self, max_workers: int | None = None, initializer: Callable[..., object] | None = None, initargs: Iterable[Any] = (), **kwargs: Any
    ) -> None:
        if max_workers is not None:
            max_workers = int(max_workers)
            if max_workers <= 0:
                raise ValueError(f"max_workers: expected at least 1, not {max_workers}")
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer: {initializer!r} cannot be called")
        if unknown := set(kwargs) - _NAMES:
            raise TypeError(f"{type(self).__name__} has no parameter {unknown.pop()!r}")
        self._max_workers = max_workers
        self._initializer = initializer
        self._initargs = tuple(initargs)
        self._options = kwargs
        self._pool: _core.Pool | _core.ThreadPool | None = None
        self._shutdown = False

    def _make_pool(self) -> _core.Pool | _core.ThreadPool:
        if _core.SharedPool is not None:
            return _core.SharedPool(self)
        bring = functools.partial(spawn.connect if "service" in self._options else spawn.start, self._max_workers, self._options)
        return _core.Pool(self, _core.Crew(), bring, True, self._preparations())

    def _preparations(self) -> list[_core.Call]:
        """The calls that prepare a process as a worker."""
        return [(worker.prepare, (_options(self._options),), {}), *self._initialization()]

    def _initialization(self) -> list[_core.Call]:
        """Those that prepare a thread."""
        return [] if self._initializer is None else [(self._initializer, self._initargs, {})]

    def _bootup(self) -> _core.Pool | _core.ThreadPool:
        if self._pool is None:
            worker.refuse_recursion()
            sys.modules.setdefault(worker.MAIN_RUN_NAME, sys.modules["__main__"])  # what comes back may be of that
            _check_pkl5(self._options.get("use_pkl5"))
            self._pool = self._make_pool()
            self._pool.start()
        return self._pool

    def bootup(self, wait: bool = True) -> Self:
        """Start the workers now, and wait until they are ready."""
        if self._shutdown:
            raise RuntimeError("cannot bootup after shutdown")
        pool = self._bootup()
        if wait:
            pool.wait()
        return self

    @property
    def num_workers(self) -> int:
        """The number of workers; 0 after shutdown, or where they could not be prepared."""
        if self._shutdown:
            return 0
        pool = self._bootup()
        pool.wait()
        self._max_workers = pool.size
        return pool.size

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> cf.Future[T]:
        """Schedule the call fn(*args, **kwargs); the future brings its result, or the exception that it raised."""
        if self._shutdown:
            raise RuntimeError("cannot submit after shutdown")
        pool = self._pool or self._bootup()
        future: cf.Future[T] = self.Future()
        pool.submit(future, (fn, args, kwargs))
        return future

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        unordered: bool = False,
    ) -> Iterator[T]:
        """As map(fn, *iterables), the calls made by the workers, `chunksize` of them in one go.

        Results come in order, or, if `unordered`, as they are ready; TimeoutError if the next one is not there
        `timeout` seconds after this call. With `buffersize`, no more chunks than that are taken from the iterables
        ahead of the results.
        """
        return self.starmap(fn, zip(*iterables, strict=False), timeout, chunksize, buffersize, unordered)

    def starmap(
        self,
        fn: Callable[..., T],
        iterable: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        unordered: bool = False,
    ) -> Iterator[T]:
        """As map, for arguments that are tuples already."""
        if chunksize < 1:
            raise ValueError(f"chunksize: expected at least 1, not {chunksize}")
        if buffersize is not None:
            if not isinstance(buffersize, int):
                raise TypeError(f"buffersize: expected an integer or None, not {buffersize!r}")
            if buffersize < 1:
                raise ValueError(f"buffersize: expected at least 1, not {buffersize}")
            if unordered:
                raise ValueError("buffersize: unordered results are not buffered")
        end = None if timeout is None else time.monotonic() + timeout
        calls = self._calls(fn, iter(iterable), chunksize)
        results: Iterator[Any] = _unordered(calls, end) if unordered else _ordered(calls, buffersize, end)
        return results if chunksize == 1 else (item for chunk in results for item in chunk)

    def _calls(self, fn: Callable[..., Any], arguments: Iterator[Any], chunksize: int) -> Iterator[cf.Future[Any]]:
        if chunksize == 1:
            for args in arguments:
                yield self.submit(fn, *args)
            return
        while chunk := [args for _, args in zip(range(chunksize), arguments, strict=False)]:
            yield self.submit(_call_each, fn, chunk)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; the workers end when those that were submitted are done.

        With `cancel_futures`, calls that no worker has begun are cancelled; with `wait`, it returns when all is done.
        """
        self._shutdown = True
        pool = self._pool
        if pool is None:
            return
        if cancel_futures:
            pool.cancel()
        pool.done()
        if wait:
            pool.join()
            self._pool = None
        self._max_workers = 0


class ProcessPoolExecutor(MPIPoolExecutor):
    """An MPIPoolExecutor, under the name that concurrent.futures has."""


class ThreadPoolExecutor(MPIPoolExecutor):
    """The same interface on threads of this process."""

    def _make_pool(self) -> _core.ThreadPool:
        return _core.ThreadPool(self, self._max_workers or spawn.default_workers(), self._initialization())


class MPICommExecutor:
    """The processes of a communicator as a pool: `root` submits, the others work; collective.

        with MPICommExecutor(MPI.COMM_WORLD, root=0) as executor:
            if executor is not None:
                print(executor.submit(abs, -42).result())

    In a communicator of one process, a thread makes the calls. Further keywords are those of MPIPoolExecutor.
    """

    def __init__(self, comm: MPI.Intracomm | None = None, root: int = 0, **kwargs: Any) -> None:
        comm = MPI.COMM_WORLD if comm is None else comm
        if comm.Is_inter():
            raise ValueError("MPICommExecutor(comm): expected an intracommunicator")
        if not 0 <= root < comm.Get_size():
            raise ValueError(f"MPICommExecutor(root): {root} is no rank of a communicator of {comm.Get_size()}")
        if _core.SharedPool is not None and root != 0:
            raise ValueError("MPICommExecutor(root): under `python -m mmpi.futures` it is 0")
        self._comm, self._root, self._kwargs = comm, root, kwargs
        self._executor: MPIPoolExecutor | None = None
        self._crew: _core.Crew | None = None
        self._entered = False

    def __enter__(self) -> MPIPoolExecutor | None:
        if self._entered:
            raise RuntimeError("this MPICommExecutor has been entered already")
        self._entered = True
        if self._comm.Get_size() == 1:
            self._executor = ThreadPoolExecutor(1, **self._kwargs)
        elif _core.SharedPool is not None:
            self._executor = MPIPoolExecutor(**self._kwargs)
        elif self._comm.Get_rank() == self._root:
            inter, _ = _core.comm_split(self._comm, self._root)
            self._crew = _core.Crew()
            self._crew.hire(inter)
            self._executor = _CrewExecutor(self._crew, **self._kwargs)
        else:
            self._serve()
        return self._executor

    def _serve(self) -> None:
        inter, workers = _core.comm_split(self._comm, self._root)
        try:
            worker.serve(inter, workers)
        finally:
            inter.Disconnect()
            workers.Free()

    def __exit__(self, *args: object) -> None:
        self._entered = False
        if self._executor is not None:
            self._executor.shutdown(wait=True)
            self._executor = None
        if self._crew is not None:
            self._crew.dismiss()
            self._crew = None


class _CrewExecutor(MPIPoolExecutor):
    """An executor for workers that are there already, and stay when it ends."""

    def __init__(self, crew: _core.Crew, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._crew = crew

    def _make_pool(self) -> _core.Pool:
        return _core.Pool(self, self._crew, None, False, self._preparations())


def share(crew: _core.Crew, executor: MPIPoolExecutor) -> _core.Pool | _core.ThreadPool:
    """A pool for an executor where all of them share the ranks of the job; threads if there is but one rank."""
    if not crew.size:
        return _core.ThreadPool(executor, 1, executor._initialization())
    return _core.Pool(executor, crew, None, False, executor._preparations())


def _call_each(function: Callable[..., Any], arguments: Sequence[Any]) -> list[Any]:
    return [function(*args) for args in arguments]


def _options(given: Mapping[str, Any]) -> worker.Options:
    return worker.Options(
        main=worker.main_program() if given.get("main", True) else None,
        globals=dict(given.get("globals") or {}),
        path=[*map(os.fspath, given.get("path") or ()), *sys.path],
        wdir=None if given.get("wdir") is None else os.fspath(given["wdir"]),
        env=dict(given.get("env") or {}),
        argv=list(sys.argv),
        alias=spawning.alias() is not None,
    )


def _check_pkl5(wanted: bool | None) -> None:
    """The variable is of no use here, but what is wrong with it is said."""
    text = spawn.environment("USE_PKL5", "")
    if wanted is None and text and text.lower() not in _FLAGS:
        warnings.warn(f"environment variable MPI4PY_FUTURES_USE_PKL5: unexpected value {text!r}", RuntimeWarning, stacklevel=4)


def _left(end: float | None) -> float | None:
    return None if end is None else end - time.monotonic()


def _ordered(calls: Iterator[Future[T]], ahead: int | None, end: float | None) -> Iterator[T]:
    """The results of calls; of no more than `ahead` of them at a time, if that is given. The first are made at once."""
    waiting = deque(calls if ahead is None else itertools.islice(calls, ahead))
    return _results(waiting, calls, end)


def _results(waiting: deque[Future[T]], calls: Iterator[Future[T]], end: float | None) -> Iterator[T]:
    try:
        while waiting:
            future = waiting[0]
            result = future.result(_left(end))
            waiting.popleft()
            del future  # its result may be large, and need not live on here
            yield result
            del result
            waiting.extend(itertools.islice(calls, 1))
    finally:
        for future in waiting:
            future.cancel()


def _unordered(calls: Iterator[Future[T]], end: float | None) -> Iterator[T]:
    waiting = set(calls)
    return _as_ready(waiting, end)


def _as_ready(waiting: set[Future[T]], end: float | None) -> Iterator[T]:
    try:
        for future in as_completed(list(waiting), _left(end)):
            waiting.discard(future)
            yield future.result()
    finally:
        for future in waiting:
            future.cancel()
