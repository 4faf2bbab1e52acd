# SPDX-License-Identifier: BSD-3-Clause
"""Reductions of objects that neither MPI nor the core combines: by Python, in rank order.

An exception on one rank, in its operation or in pickling, becomes that of all: what a rank has is a value or a failure,
and failures travel like values.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any, NamedTuple

from .errors import RemoteError
from .operators import FUNCTIONS, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .MPI import Comm

TAG = 1 << 15  # on the hidden duplicate, above the numbers of collectives

# What Python's operators do not do item by item.
_UFUNCS = {"MAX": "maximum", "MIN": "minimum", "LAND": "logical_and", "LOR": "logical_or", "LXOR": "logical_xor"}
_RANKED: dict[str, Callable[[Any, Any], Any]] = {"REPLACE": lambda a, b: b, "NO_OP": lambda a, b: a}


class Failure(NamedTuple):
    """What went wrong, and where."""

    rank: int
    text: str


class _Outcome:
    """What this rank has, until something fails: then the exception, if it is its own, and the failure."""

    def __init__(self, comm: Comm, value: Any) -> None:
        self.rank = comm.Get_rank()
        self.value = value
        self.error: Exception | None = None

    def attempt(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:
            self.error = error
            return Failure(self.rank, f"{type(error).__name__}: {error}")

    def take(self, function: Callable[[Any, Any], Any], other: Any) -> None:
        """Combine with what comes from a higher rank."""
        if isinstance(other, Failure) or isinstance(self.value, Failure):
            self.value = self.value if isinstance(self.value, Failure) else other
        else:
            self.value = self.attempt(function, self.value, other)

    def finish(self, failure: Failure | None) -> None:
        """Raise what all ranks raise."""
        if self.error is not None:
            raise self.error
        if failure is not None:
            raise RemoteError(failure.rank, failure.text)


def _function(op: Any) -> tuple[Callable[[Any, Any], Any], bool]:
    """The operation as a function of two objects, and whether it is the user's: that may change what it is given."""
    from .MPI import Op

    name = name_of(repr(op)) if isinstance(op, Op) else ""
    if name in _RANKED:
        return _RANKED[name], False
    if name not in FUNCTIONS:
        return op, True
    plain = FUNCTIONS[name]
    if name not in _UFUNCS:
        return plain, False

    def function(a: Any, b: Any) -> Any:
        return _by_items(name, a, b) if _has_items(a) or _has_items(b) else plain(a, b)

    return function, False


def _has_items(value: Any) -> bool:
    if not hasattr(value, "__array_ufunc__"):
        return False
    import numpy as np

    return not isinstance(value, np.generic)


def _by_items(name: str, a: Any, b: Any) -> Any:
    """Arrays by NumPy's own function; truths of equal integers as integers, as MPI gives them."""
    import numpy as np

    result = getattr(np, _UFUNCS[name])(a, b)
    if name[0] == "L" and type(result) is type(a) is type(b) is np.ndarray and a.dtype == b.dtype and a.dtype.kind in "iu":
        return result.astype(a.dtype)
    return result


def fold(objects: Sequence[Any], op: Any) -> Any:
    """The objects combined from left to right."""
    function, _ = _function(op)
    result = objects[0]
    for other in objects[1:]:
        result = function(result, other)
    return result


def _send(outcome: _Outcome, twin: Comm, dest: int) -> None:
    """What cannot be pickled arrives as a failure."""
    failure = outcome.attempt(twin.send, outcome.value, dest, TAG)
    if isinstance(failure, Failure):
        outcome.value = failure
        twin.send(failure, dest, TAG)


def _climb(comm: Comm, twin: Comm, outcome: _Outcome, op: Any, root: int) -> None:
    """Combine along a binomial tree whose order is that of the ranks, from the root on."""
    function, users = _function(op)
    size = comm.Get_size()
    me = (outcome.rank - root) % size
    if users and size > 1:
        outcome.value = outcome.attempt(deepcopy, outcome.value)
    step = 1
    while step < size:
        if me & step:
            _send(outcome, twin, (me - step + root) % size)
            return
        if me + step < size:
            outcome.take(function, twin.recv(None, (me + step + root) % size, TAG))
        step *= 2


def _between(comm: Comm, value: Any, op: Any, root: int | None = None) -> Any:
    """Combine what the other group has, in its rank order: everywhere, or at the root. All ranks of both learn of a failure."""
    outcome = _Outcome(comm, None)
    objects = comm.allgather(value) if root is None else comm.gather(value, root)
    if objects is not None:
        outcome.value = outcome.attempt(fold, objects, op)
    both: Comm = comm._hidden()  # type: ignore[attr-defined]
    failures = both.allgather(outcome.value if isinstance(outcome.value, Failure) else None)
    outcome.finish(next((failure for failure in failures if failure is not None), None))
    return outcome.value


def reduce(comm: Comm, value: Any, op: Any, root: int, commute: int) -> Any:
    """Combine in rank order at rank 0 and hand the result over, or at once at the root if order does not matter."""
    if comm.Is_inter():
        return _between(comm, value, op, root)
    twin: Comm = comm._hidden()  # type: ignore[attr-defined]
    outcome, top = _Outcome(comm, value), root if commute else 0
    _climb(comm, twin, outcome, op, top)
    if top != root and outcome.rank == top:
        _send(outcome, twin, root)
    if top != root and outcome.rank == root:
        outcome.value = twin.recv(None, top, TAG)
    failed = isinstance(outcome.value, Failure)
    outcome.finish(comm.bcast(outcome.value if failed else None, root))
    return outcome.value if outcome.rank == root else None


def allreduce(comm: Comm, value: Any, op: Any, root: int, commute: int) -> Any:
    """Combine in rank order at rank 0, and broadcast the result."""
    if comm.Is_inter():
        return _between(comm, value, op)
    twin: Comm = comm._hidden()  # type: ignore[attr-defined]
    outcome = _Outcome(comm, value)
    _climb(comm, twin, outcome, op, 0)
    result = comm.bcast(outcome.value, 0)
    outcome.finish(result if isinstance(result, Failure) else None)
    return result


def scan(comm: Comm, value: Any, op: Any, root: int, safe: int) -> Any:
    """Combine what all ranks have up to this one; unless nobody can fail, agree that nobody did."""
    return _prefix(comm, comm.allgather(value)[: comm.Get_rank() + 1], op, safe)


def exscan(comm: Comm, value: Any, op: Any, root: int, safe: int) -> Any:
    """Combine what all ranks before this one have."""
    return _prefix(comm, comm.allgather(value)[: comm.Get_rank()], op, safe)


def _prefix(comm: Comm, objects: list[Any], op: Any, safe: int) -> Any:
    outcome = _Outcome(comm, None)
    if objects:
        outcome.value = fold(objects, op) if safe else outcome.attempt(fold, objects, op)
    if not safe:
        failures = comm.allgather(outcome.value if isinstance(outcome.value, Failure) else None)
        outcome.finish(next((failure for failure in failures if failure is not None), None))
    return outcome.value
