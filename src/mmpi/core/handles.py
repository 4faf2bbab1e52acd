# SPDX-License-Identifier: BSD-3-Clause
"""C handles as Python ints, and back: what is known of each, so that a mixed-up argument is an error and not a crash."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from .. import library
from ..errors import MPIError

P = ParamSpec("P")
R = TypeVar("R")
KINDS = {
    "Comm": "a communicator", "Datatype": "a datatype", "Op": "an operation", "Group": "a group", "Info": "an info",
    "Errhandler": "an error handler", "Request": "a request", "Win": "a window",
}  # fmt: skip
FREED = "freed"


class _Last(threading.local):
    """What the last calls of this thread left behind: a status, an error code."""

    status: Any = None
    error: int = 0


last = _Last()


def lib() -> Any:
    """The loaded core: classes, constants and functions of MPI."""
    return sys.modules.get("mmpi._core") or library.load()


def call(function: Callable[P, R]) -> Callable[P, R]:
    """A function that needs MPI to run; what it raises sets `error()`."""
    name = function.__name__

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        core: Any = sys.modules.get("mmpi._core")
        if core is None or core._state() != "running":
            when = "after mpi.finalize" if core and core.Is_finalized() else "before mpi.init"
            raise MPIError(f"Attempt to call mpi.{name} {when}!")
        last.error = 0
        try:
            return function(*args, **kwargs)
        except MPIError as error:
            last.error = int(error)
            raise

    return checked


def is_handle(value: Any) -> bool:
    """Whether this is an object of mmpi.MPI that stands for a handle."""
    return any(isinstance(value, getattr(lib(), name, ())) for name in KINDS)


@functools.cache
def known() -> dict[int, str]:
    """The kind of each handle that we know: the predefined ones, and those that our functions returned."""
    objects = filter(is_handle, list(vars(lib()).values()))
    return {value.handle: next(name for name in KINDS if isinstance(value, getattr(lib(), name, ()))) for value in objects}


def new(value: Any, kind: str) -> int:
    """The handle of an object that MPI has made."""
    handle = int(value.handle)
    known()[handle] = kind
    return handle


def gone(handle: Any, kind: str) -> None:
    """Remember that a handle was freed."""
    known()[number(handle)] = FREED


def number(handle: Any) -> int:
    """A handle as an int: it may be given as an int, an object of mmpi.MPI, or an mmpi.Communicator."""
    value = getattr(handle, "handle", handle)
    try:
        return int(value)
    except (TypeError, ValueError):
        raise TypeError(f"expected a handle, which is an int, not {handle!r}") from None


def take(kind: str, handle: Any, cls: str = "") -> Any:
    """The object of mmpi.MPI for a handle; TypeError if it is known to be something else."""
    value = number(handle)
    what = known().get(value)
    if what != kind and (what or value < 4096):  # what C or Fortran made is not known; small numbers are counts or ranks
        found = f"a {FREED} handle" if what == FREED else KINDS[what] if what else "no handle"
        raise TypeError(f"expected {KINDS[kind]}, but {value:#x} is {found}")
    return getattr(lib(), cls or kind).fromhandle(value)


def comm_of(handle: Any) -> Any:
    """A communicator, of one group or of two."""
    one = take("Comm", handle)
    return one if not one or one.Is_inter() else lib().Intracomm(one)


def inter_of(handle: Any) -> Any:
    """An intercommunicator."""
    return take("Comm", handle, "Intercomm")


def new_status() -> Any:
    """The status that the coming call fills in, and `status()` shows."""
    last.status = lib().Status()
    return last.status
