# SPDX-License-Identifier: BSD-3-Clause
"""The interface of multiprocessing.pool on executors: Pool on MPI processes, ThreadPool on threads."""

from __future__ import annotations

import concurrent.futures
import functools
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, Self, TypeVar

from mmpi import futures

S = TypeVar("S")
T = TypeVar("T")

__all__ = ["ApplyResult", "AsyncResult", "MapResult", "Pool", "ThreadPool"]


class Pool:
    """Processes that calls are spread over; further keywords are those of futures.MPIPoolExecutor."""

    Executor: type[concurrent.futures.Executor] = futures.MPIPoolExecutor

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        **kwargs: Any,
    ) -> None:
        for name in "maxtasksperchild", "context":
            if kwargs.pop(name, None) is not None:
                warnings.warn(f"Pool({name}): has no meaning here", UserWarning, stacklevel=2)
        make: Any = self.Executor
        self.executor: Any = make(processes, initializer=initializer, initargs=initargs, **kwargs)

    def apply(self, func: Callable[..., T], args: Iterable[Any] = (), kwds: Mapping[str, Any] = {}) -> T:
        """func(*args, **kwds), called by a worker."""
        return self.apply_async(func, args, kwds).get()

    def apply_async(
        self,
        func: Callable[..., T],
        args: Iterable[Any] = (),
        kwds: Mapping[str, Any] = {},
        callback: Callable[[T], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> ApplyResult[T]:
        """Start a call; the result's get() waits for it. A callback gets the result, error_callback the exception."""
        return ApplyResult(self.executor.submit(func, *args, **kwds), callback, error_callback)

    def map(self, func: Callable[[S], T], iterable: Iterable[S], chunksize: int | None = None) -> list[T]:
        """The list of func(item) for each item; `chunksize` items make one call."""
        return self.map_async(func, iterable, chunksize).get()

    def map_async(
        self,
        func: Callable[[S], T],
        iterable: Iterable[S],
        chunksize: int | None = None,
        callback: Callable[[list[T]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> MapResult[T]:
        """Start to map; the result's get() waits for it."""
        return self._start(functools.partial(_map, func), iterable, chunksize, callback, error_callback)

    def imap(self, func: Callable[[S], T], iterable: Iterable[S], chunksize: int = 1) -> Iterator[T]:
        """An iterator of the results, in order."""
        return self.executor.map(func, iterable, chunksize=chunksize)  # type: ignore[no-any-return]

    def imap_unordered(self, func: Callable[[S], T], iterable: Iterable[S], chunksize: int = 1) -> Iterator[T]:
        """An iterator of the results, as they are ready."""
        return self.executor.map(func, iterable, chunksize=chunksize, unordered=True)  # type: ignore[no-any-return]

    def starmap(self, func: Callable[..., T], iterable: Iterable[Iterable[Any]], chunksize: int | None = None) -> list[T]:
        """The list of func(*args) for each args."""
        return self.starmap_async(func, iterable, chunksize).get()

    def starmap_async(
        self,
        func: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[list[T]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> MapResult[T]:
        """Start to map; the result's get() waits for it."""
        return self._start(functools.partial(_starmap, func), iterable, chunksize, callback, error_callback)

    def istarmap(self, func: Callable[..., T], iterable: Iterable[Iterable[Any]], chunksize: int = 1) -> Iterator[T]:
        """An iterator of the results, in order."""
        return self.executor.starmap(func, iterable, chunksize=chunksize)  # type: ignore[no-any-return]

    def istarmap_unordered(self, func: Callable[..., T], iterable: Iterable[Iterable[Any]], chunksize: int = 1) -> Iterator[T]:
        """An iterator of the results, as they are ready."""
        return self.executor.starmap(func, iterable, chunksize=chunksize, unordered=True)  # type: ignore[no-any-return]

    def _start(self, chunk: Callable[[list[Any]], list[T]], iterable: Iterable[Any], size: int | None, *callbacks: Any) -> MapResult[T]:
        items = list(iterable)
        if size is None:
            workers: int = getattr(self.executor, "num_workers", None) or self.executor._max_workers
            size = -(-len(items) // (4 * workers)) or 1
        if size < 1:
            raise ValueError(f"chunksize: expected at least 1, not {size}")
        parts = [self.executor.submit(chunk, items[i : i + size]) for i in range(0, len(items), size)]
        return MapResult(futures.compose(futures.collect(parts), _flat), *callbacks)

    def close(self) -> None:
        """Take no more calls."""
        self.executor.shutdown(wait=False)

    def terminate(self) -> None:
        """Take no more calls, and cancel those that have not begun."""
        self.executor.shutdown(wait=False, cancel_futures=True)

    def join(self) -> None:
        """Wait until all is done."""
        self.executor.shutdown(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()


class ThreadPool(Pool):
    """Threads of this process."""

    Executor = futures.ThreadPoolExecutor


class AsyncResult(Generic[T]):
    """The result of a call that was started."""

    def __init__(
        self,
        future: concurrent.futures.Future[T],
        callback: Callable[[T], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> None:
        self.future = future

        def done(future: concurrent.futures.Future[T]) -> None:
            error = concurrent.futures.CancelledError() if future.cancelled() else future.exception()
            if error is None and callback:
                callback(future.result())
            if error is not None and error_callback:
                error_callback(error)

        if callback or error_callback:
            future.add_done_callback(done)

    def get(self, timeout: float | None = None) -> T:
        """Wait for the result, and return it or raise what the call raised; TimeoutError if it takes longer, or was cancelled."""
        try:
            return self.future.result(timeout)
        except (concurrent.futures.CancelledError, concurrent.futures.TimeoutError):
            if self.future.done() and not self.future.cancelled():
                raise
            raise TimeoutError from None

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it is there, or the time is over."""
        concurrent.futures.wait([self.future], timeout)

    def ready(self) -> bool:
        """Has the call ended?"""
        return self.future.done()

    def successful(self) -> bool:
        """Has it ended without an exception? ValueError if it has not ended."""
        if not self.future.done():
            raise ValueError(f"{self!r} is not ready")
        return not self.future.cancelled() and self.future.exception() is None


class ApplyResult(AsyncResult[T]):
    """The result of apply_async."""


class MapResult(AsyncResult[list[T]]):
    """The result of map_async and starmap_async."""


def _map(func: Callable[[S], T], items: list[S]) -> list[T]:
    return [func(item) for item in items]


def _starmap(func: Callable[..., T], items: list[Any]) -> list[T]:
    return [func(*args) for args in items]


def _flat(chunks: list[list[T]]) -> list[T]:
    return list(itertools.chain.from_iterable(chunks))
