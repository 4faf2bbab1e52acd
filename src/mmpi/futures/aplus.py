# SPDX-License-Identifier: BSD-3-Clause
"""Futures that are chained as promises are: `future.then(on_success, on_failure)`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from ._core import PoolFuture

T = TypeVar("T")

__all__ = ["ThenableFuture", "catch", "then"]


def then(
    future: Future[Any],
    on_success: Callable[[Any], Any] | None = None,
    on_failure: Callable[[BaseException], Any] | None = None,
) -> Future[Any]:
    """A future of what on_success makes of the result of `future`, or on_failure of its exception; without, they are passed on.

    A future that a function returns is waited for, and so is its result if that is a future again. What on_failure returns
    is a result, unless it is an exception. When `future` is cancelled, so is the new one.
    """
    new = type(future)()
    future.add_done_callback(lambda done: _settled(done, new, on_success, on_failure, {new}))
    return new


def catch(future: Future[Any], on_failure: Callable[[BaseException], Any] | None = None) -> Future[Any]:
    """A future of the result of `future`, or of what on_failure makes of its exception; None if that is not given."""
    return then(future, None, on_failure or (lambda _: None))


class ThenableFuture(PoolFuture[T]):
    """A future with the methods `then` and `catch`."""

    def then(
        self,
        on_success: Callable[[T], Any] | None = None,
        on_failure: Callable[[BaseException], Any] | None = None,
    ) -> ThenableFuture[Any]:
        """As the function `then`."""
        return then(self, on_success, on_failure)  # type: ignore[return-value]

    def catch(self, on_failure: Callable[[BaseException], Any] | None = None) -> ThenableFuture[Any]:
        """As the function `catch`."""
        return catch(self, on_failure)  # type: ignore[return-value]


def _settled(
    done: Future[Any],
    new: Future[Any],
    on_success: Callable[[Any], Any] | None,
    on_failure: Callable[[BaseException], Any] | None,
    seen: set[Future[Any]],
) -> None:
    """`done` has ended: let `new` end, or wait for the future that comes in its place."""
    if done.cancelled():
        if new.cancel():
            new.set_running_or_notify_cancel()
        return
    try:
        error = done.exception()
        value: Any = error
        if error is None:
            value = done.result()
        if error is None and on_success is not None:
            value = on_success(value)
        if error is not None and on_failure is not None:
            value = on_failure(error)
    except BaseException as raised:
        _end(new, raised, failed=True)
        return
    if not isinstance(value, Future):
        _end(new, value, failed=error is not None and isinstance(value, BaseException))
    elif value in seen:
        _end(new, RuntimeError("chain cycle detected"), failed=True)
    else:
        seen.add(value)
        value.add_done_callback(lambda done: _settled(done, new, None, None, seen))


def _end(new: Future[Any], value: Any, failed: bool) -> None:
    if not new.set_running_or_notify_cancel():
        return
    if failed:
        new.set_exception(value)
    else:
        new.set_result(value)
