# SPDX-License-Identifier: BSD-3-Clause
"""Messages under way, as pyMPI has them: what came is `request.message`, from whom `request.status`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..MPI import Request as _Handle
from ..MPI import Status as _Filled


class Status(NamedTuple):
    """Where a message came from: `source`, `tag`, `error`, also by index."""

    source: int
    tag: int
    error: int


def status_of(filled: _Filled) -> Status:
    """A status of mmpi.MPI as pyMPI's."""
    return Status(filled.source, filled.tag, filled.error)


class Request:
    """A send or a receive under way; true when it is done. `message` and `status` wait for it."""

    def __init__(self, handle: _Handle) -> None:
        self._handle = handle
        self._filled = _Filled()
        self._message: Any = None
        self._done = False

    @property
    def ready(self) -> bool:
        """Whether it is done; does not wait."""
        if not self._done:
            self._done, self._message = self._handle.test(self._filled)
        return self._done

    test = ready

    @property
    def test_cancelled(self) -> bool:
        """Whether it is done because it was cancelled; does not wait."""
        return self.ready and self._filled.cancelled

    def wait(self) -> Status:
        """Wait until it is done; return the status."""
        if not self._done:
            self._message = self._handle.wait(self._filled)
            self._done = True
        return status_of(self._filled)

    @property
    def message(self) -> Any:
        """What came, None for a send; waits for it."""
        self.wait()
        return self._message

    @property
    def status(self) -> Status:
        """Where it came from; waits for it."""
        return self.wait()

    def cancel(self) -> None:
        """Ask to cancel it; wait for it then."""
        self._handle.cancel()

    def __bool__(self) -> bool:
        return self.ready


def _listed(requests: tuple[Any, ...]) -> list[Request]:
    if len(requests) == 1 and not isinstance(requests[0], Request):
        return list(requests[0])
    return list(requests)


def test(request: Request) -> bool:
    """Whether a request is done."""
    return request.ready


def test_cancelled(request: Request) -> bool:
    """Whether a request was cancelled."""
    return request.test_cancelled


def wait(request: Request) -> Status:
    """Wait for a request; return its status."""
    return request.wait()


def cancel(request: Request) -> None:
    """Ask to cancel a request."""
    request.cancel()


def testall(*requests: Request | Iterable[Request]) -> list[Status]:
    """The statuses of all requests if all are done, else an empty list."""
    those = _listed(requests)
    return [one.status for one in those] if all(one.ready for one in those) else []


def testany(*requests: Request | Iterable[Request]) -> tuple[int, Status] | tuple[None, None]:
    """The index and the status of a request that is done, or (None, None)."""
    return next(((i, one.status) for i, one in enumerate(_listed(requests)) if one.ready), (None, None))


def testsome(*requests: Request | Iterable[Request]) -> tuple[list[int], list[Status]]:
    """The indices and the statuses of the requests that are done."""
    done = [(i, one.status) for i, one in enumerate(_listed(requests)) if one.ready]
    return [i for i, _ in done], [status for _, status in done]


def waitall(*requests: Request | Iterable[Request]) -> list[Status]:
    """Wait for all requests; return their statuses."""
    return [one.wait() for one in _listed(requests)]


def waitany(*requests: Request | Iterable[Request]) -> tuple[int, Status]:
    """Wait for one request; return its index and its status. ValueError without requests."""
    those = _listed(requests)
    if not those:
        raise ValueError("waitany() needs a request at least")
    _wait_for_one(those)
    return next((i, one.status) for i, one in enumerate(those) if one.ready)


def waitsome(*requests: Request | Iterable[Request]) -> tuple[list[int], list[Status]]:
    """Wait for at least one request; return the indices and the statuses of those that are done."""
    those = _listed(requests)
    if those:
        _wait_for_one(those)
    return testsome(those)


def _wait_for_one(requests: list[Request]) -> None:
    if any(one.ready for one in requests):
        return
    filled = _Filled()
    index, message = _Handle.waitany([one._handle for one in requests], filled)
    one = requests[index]
    one._message, one._filled, one._done = message, filled, True
