# SPDX-License-Identifier: BSD-3-Clause
"""Futures made of futures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

__all__ = ["collect", "compose"]


def collect(fs: Collection[Future[T]]) -> Future[list[T]]:
    """A future of the list of results of `fs`. If one of them fails or is cancelled, so does it, and the others are cancelled.

    Cancelling it cancels them all.
    """
    futures = list(fs)
    whole: Future[Any] = type(futures[0])() if futures else Future()
    if not futures:
        whole.set_result([])
        return whole
    lock, left = threading.RLock(), set(futures)

    def one_done(future: Future[T]) -> None:
        bad = future.cancelled() or future.exception() is not None
        with lock:
            left.discard(future)
            if whole.done() or whole.running() or (left and not bad):
                return
            if future.cancelled():
                whole.cancel()
            if not whole.set_running_or_notify_cancel():
                return
        if bad:
            whole.set_exception(future.exception())
        else:
            whole.set_result([each.result() for each in futures])

    def whole_done(_: Future[Any]) -> None:
        for future in futures:
            future.cancel()

    whole.add_done_callback(whole_done)
    for future in dict.fromkeys(futures):
        future.add_done_callback(one_done)
    return whole


def compose(
    future: Future[Any],
    resulthook: Callable[[Any], Any] | None = None,
    excepthook: Callable[[BaseException], Any] | None = None,
) -> Future[Any]:
    """A future of what `resulthook` makes of the result of `future`, or `excepthook` of its exception.

    What `excepthook` returns is the result, unless it is an exception. Without a hook they are passed on. Cancelling one
    of the two futures cancels the other.
    """
    new = type(future)()

    def old_done(old: Future[Any]) -> None:
        if old.cancelled():
            new.cancel()
            new.set_running_or_notify_cancel()
            return
        if not new.set_running_or_notify_cancel():
            return
        error = old.exception()
        try:
            if error is None:
                result = old.result()
                value = result if resulthook is None else resulthook(result)
            else:
                value = error if excepthook is None else excepthook(error)
        except BaseException as raised:
            new.set_exception(raised)
            return
        if error is not None and isinstance(value, BaseException):
            new.set_exception(value)
        else:
            new.set_result(value)

    def new_done(_: Future[Any]) -> None:
        if new.cancelled():
            future.cancel()

    new.add_done_callback(new_done)
    future.add_done_callback(old_done)
    return new
