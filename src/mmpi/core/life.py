# SPDX-License-Identifier: BSD-3-Clause
"""Start, end, errors, and what this process is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import life
from .handles import call, comm_of, is_handle, last, lib


def init(*arguments: Any) -> tuple[int, int]:
    """Start MPI; return rank and size. `argv`, or `argc, argv`, may be given. MPIError on a second call."""
    return life.init(*arguments)


def mpi_init(*arguments: Any) -> Any:
    """As init; but with `argc, argv`, return the list of arguments that MPI left over, as MYMPI did."""
    result = life.init(*arguments)
    if len(arguments) < 2:
        return result
    argc, argv = arguments[:2]
    if argc != len(argv):
        raise ValueError(f"argc is {argc}, but argv has {len(argv)} items")
    return list(argv)


def finalize() -> None:
    """End MPI in this process."""
    call(life.finalize)()


def initialized() -> bool:
    """Whether MPI runs or has run."""
    return life.initialized()


def finalized() -> bool:
    """Whether MPI has ended."""
    return life.finalized()


@call
def abort(comm: Any, code: int = 1) -> None:
    """End all processes of the job with this exit status."""
    comm_of(comm)
    life.abort(code)


def error() -> int:
    """The error code of the last call in this thread, 0 if it went well. Errors are raised as well."""
    return last.error


def error_string(code: int | None = None) -> str:
    """The text of an error code, by default the last one."""
    return str(lib().Get_error_string(last.error if code is None else code))


@call
def get_processor_name() -> str:
    """The name of this host."""
    return str(lib().Get_processor_name())


def get_version() -> tuple[int, int]:
    """The version of the MPI standard that the library has."""
    major, minor = lib().Get_version()
    return major, minor


@call
def wtime() -> float:
    """Seconds since some time in the past."""
    return float(lib().Wtime())


@call
def wtick() -> float:
    """Seconds between two ticks of wtime."""
    return float(lib().Wtick())


REMOVED = ("MPI_UB", "MPI_LB")
_SPELLED = {"2INT": "TWOINT", "2INTEGER": "TWOINTEGER", "2REAL": "TWOREAL", "2DOUBLE_PRECISION": "TWODOUBLE_PRECISION"}


def constant(name: str) -> Any:
    """The constant MPI_X as C has it: a number, a handle as an int, MPI.BOTTOM or MPI.IN_PLACE. AttributeError if there is none."""
    if name in REMOVED:
        raise AttributeError(f"{name} was removed from MPI in version 3.0; use type_create_resized, which sets bounds")
    short = name.removeprefix("MPI_")
    value: Any = getattr(lib(), _SPELLED.get(short, short), None)
    if isinstance(value, int | lib().BottomType | lib().InPlaceType):
        return value
    if value is not None and is_handle(value):
        return int(value.handle)
    raise AttributeError(f"module 'mmpi.core' has no attribute {name!r}: this MPI has no such constant")


def constants() -> Sequence[str]:
    """The names of all constants."""
    names = [f"MPI_{name}" for name in vars(lib()) if name.isupper() or (name[:1].isupper() and name[-2:] == "_T")]
    return [name for name in names if _is_constant(name)] + [f"MPI_{name}" for name in _SPELLED]


def _is_constant(name: str) -> bool:
    try:
        constant(name)
    except AttributeError:
        return False
    return True

