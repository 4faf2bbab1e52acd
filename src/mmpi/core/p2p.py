# SPDX-License-Identifier: BSD-3-Clause
"""Messages between two processes, and the requests of those that are under way."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import MPIError
from .arrays import incoming, outgoing
from .handles import call, comm_of, last, lib, new_status, take


@call
def send(buf: Any, count: int, type: Any, dest: int, tag: int, comm: Any) -> None:
    """Send `count` items; return when the buffer may be used again."""
    comm_of(comm).Send(outgoing(buf, count, type), dest, tag)


@call
def recv(count: int, type: Any, source: int, tag: int, comm: Any) -> Any:
    """Receive up to `count` items; return a new array of `count` items. `get_count(type)` tells how many came."""
    data, spec = incoming(count, type)
    comm_of(comm).Recv(spec, source, tag, new_status())
    return data


@call
def sendrecv(
    sbuf: Any, scount: int, stype: Any, dest: int, stag: int, rcount: int, rtype: Any, source: int, rtag: int, comm: Any
) -> Any:
    """Send and receive at once; return what came."""
    data, spec = incoming(rcount, rtype)
    comm_of(comm).Sendrecv(outgoing(sbuf, scount, stype), dest, stag, spec, source, rtag, new_status())
    return data


@call
def probe(source: int, tag: int, comm: Any) -> tuple[int, int, int]:
    """Wait for a message; return its status, and keep it for `status()` and `get_count(type)`."""
    comm_of(comm).Probe(source, tag, new_status())
    return status()


@call
def iprobe(source: int, tag: int, comm: Any) -> bool:
    """Say whether a message is there; if so, `status()` tells whose."""
    found = lib().Status()
    if not comm_of(comm).Iprobe(source, tag, found):
        return False
    last.status = found
    return True


@call
def status() -> tuple[int, int, int]:
    """Source, tag and error of the last receive, probe, wait or test that found something."""
    found = last.status or lib().Status()
    return found.source, found.tag, found.error


@call
def get_count(type: Any) -> int:
    """How many items of a type the message of `status()` has; MPI_UNDEFINED if they are not whole."""
    return int((last.status or lib().Status()).Get_count(take("Datatype", type)))


@call
def test_cancelled() -> bool:
    """Whether the operation of `status()` was cancelled."""
    return bool((last.status or lib().Status()).Is_cancelled())


# --- requests ------------------------------------------------------------------------------------------------


@dataclass
class _Record:
    """A message under way, under a number of our own."""

    type: str  # "isend" or "irecv"
    count: int
    datatype: int
    target: int
    tag: int
    comm: int
    buffer: Any
    request: Any


_records: dict[int, _Record] = {}
_numbers = itertools.count(1)


def _start(record: _Record) -> int:
    number = next(_numbers)
    _records[number] = record
    return number


@call
def isend(buf: Any, count: int, type: Any, dest: int, tag: int, comm: Any) -> int:
    """Start to send; return the number of the request. The buffer must not change until it is done."""
    spec = outgoing(buf, count, type)
    return _start(_Record("isend", count, int(type), dest, tag, int(comm), buf, comm_of(comm).Isend(spec, dest, tag)))


@call
def irecv(count: int, type: Any, source: int, tag: int, comm: Any) -> tuple[int, Any]:
    """Start to receive; return the number of the request and the array that is filled when it is done."""
    data, spec = incoming(count, type)
    request = comm_of(comm).Irecv(spec, source, tag)
    return _start(_Record("irecv", count, int(type), source, tag, int(comm), data, request)), data


def _record(number: int) -> _Record:
    if not isinstance(number, int):
        raise TypeError(f"expected the number of a request, which is an int, not {number!r}; irecv returns it and an array")
    found = _records.get(number)
    if found is None:
        raise MPIError(f"request {number!r} is finished, or never was one")
    return found


def _requests(count: int, numbers: Sequence[int]) -> list[Any]:
    if count != len(numbers):
        raise ValueError(f"count is {count}, but {len(numbers)} requests are given")
    null = lib().REQUEST_NULL
    return [null if isinstance(number, int) and number == null.handle else _record(number).request for number in numbers]


def _settle(numbers: Sequence[int]) -> None:
    """Forget the requests that are done."""
    for number in numbers:
        if number in _records and not _records[number].request:
            del _records[number]


def _several(function: Callable[[list[Any]], Any], count: int, numbers: Sequence[int]) -> Any:
    requests = _requests(count, numbers)
    try:
        return function(requests)
    finally:
        _settle(numbers)


def _one(function: Callable[[Any, Any], Any], number: int) -> bool:
    found = lib().Status()
    done = bool(_several(lambda requests: function(requests[0], found), 1, [number]))
    last.status = found if done else last.status
    return done


@call
def wait(request: int) -> None:
    """Wait for a request; its number is used up then."""
    _one(lambda one, found: one.Wait(found), request)


@call
def test(request: int) -> bool:
    """Say whether a request is done; its number is used up then."""
    return _one(lambda one, found: one.Test(found), request)


@call
def waitall(count: int, requests: Sequence[int]) -> None:
    """Wait for all requests."""
    _several(lib().Request.Waitall, count, requests)


@call
def testall(count: int, requests: Sequence[int]) -> bool:
    """Say whether all requests are done."""
    return bool(_several(lib().Request.Testall, count, requests))


@call
def waitany(count: int, requests: Sequence[int]) -> int:
    """Wait for one request; return its index."""
    return int(_several(lambda some: lib().Request.Waitany(some, new_status()), count, requests))


@call
def testany(count: int, requests: Sequence[int]) -> tuple[int, bool]:
    """The index of a request that is done, and whether there is one."""
    found = lib().Status()
    index, done = _several(lambda some: lib().Request.Testany(some, found), count, requests)
    last.status = found if done else last.status
    return index, done


@call
def waitsome(count: int, requests: Sequence[int]) -> list[int]:
    """Wait for at least one request; return the indices of those that are done."""
    return list(_several(lib().Request.Waitsome, count, requests) or [])


@call
def testsome(count: int, requests: Sequence[int]) -> list[int]:
    """The indices of the requests that are done."""
    return list(_several(lib().Request.Testsome, count, requests) or [])


@call
def cancel(request: int) -> None:
    """Ask to cancel a request; wait for it then, and `test_cancelled()` tells."""
    _record(request).request.Cancel()


class Request:
    """A request of isend or irecv, by its number: `type count datatype target tag comm buffer` say what it is."""

    def __init__(self, request: int) -> None:
        self._number = int(request)
        self._record = _record(self._number)
        record = self._record
        self.type, self.count, self.datatype, self.target = record.type, record.count, record.datatype, record.target
        self.tag, self.comm, self.buffer = record.tag, record.comm, record.buffer

    @property
    def valid(self) -> bool:
        """Whether it is still under way, as far as it was tested."""
        return _records.get(self._number) is self._record

    def test(self) -> bool:
        """Say whether it is done."""
        return not self.valid or test(self._number)

    def wait(self) -> Any:
        """Wait until it is done; return the buffer."""
        if self.valid:
            wait(self._number)
        return self.buffer

    def __int__(self) -> int:
        return self._number

    def __repr__(self) -> str:
        return f"<mmpi.core.Request {self._number}: {self.type}, {'under way' if self.valid else 'done'}>"
