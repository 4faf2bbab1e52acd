# SPDX-License-Identifier: BSD-3-Clause
"""MPI under the names that mpi4py made known. Importing this module initializes MPI, unless `mmpi.rc.initialize` is False."""

from __future__ import annotations

import _thread
import re as _re
import typing as _typing

from . import library as _library
from . import life as _life
from . import rc as _rc
from . import world as _world

_core: _typing.Any = _library.load()
globals().update({name: value for name, value in vars(_core).items() if not name.startswith("__") or name == "__pyx_capi__"})

VERSION, SUBVERSION = _core.Get_version()

_VENDORS = (
    (r"MPICH Version:\s*([\d.]+)", "MPICH"),
    (r"Open MPI v([\d.]+)", "Open MPI"),
    (r"Intel\(R\) MPI Library (\d+)(?:\.(\d+))?", "Intel MPI"),
    (r"MVAPICH2? Version\s*:\s*([\d.]+)", "MVAPICH"),
    (r"CRAY MPICH version ([\d.]+)", "Cray MPICH"),
)


def get_vendor() -> tuple[str, tuple[int, int, int]]:
    """The name and the version of the MPI library: ("MPICH", (5, 0, 2))."""
    text = _core.Get_library_version()
    for pattern, name in _VENDORS:
        found = _re.search(pattern, text)
        if found:
            numbers = [int(part) for part in ".".join(group for group in found.groups() if group).split(".") if part][:3]
            return name, (*numbers, *[0] * (3 - len(numbers)))  # type: ignore[return-value]
    return "unknown", (0, 0, 0)


def Init() -> None:
    """Initialize MPI with the thread level that `mmpi.rc` says. (MPI 5.0, section 11.2)"""
    _life.start("single")


def Init_thread(required: int = _core.THREAD_MULTIPLE) -> int:
    """Initialize MPI with a thread level; return the one provided. (MPI 5.0, section 11.6)"""
    levels = [_core.THREAD_SINGLE, _core.THREAD_FUNNELED, _core.THREAD_SERIALIZED, _core.THREAD_MULTIPLE]
    if required not in levels:
        raise ValueError(f"Init_thread(required): expected a THREAD_ constant, not {required!r}")
    return _life.start(_rc.LEVELS[levels.index(required)])


def _comm_lock(comm: _typing.Any, key: _typing.Hashable = None) -> _thread.LockType:
    """The lock of a communicator for a key, whatever it means to those who agree on it."""
    lock: _thread.LockType = _core._comm_lock_table(comm).setdefault(key, _thread.allocate_lock())
    return lock


if _rc.initialize and _core._state() == "not started" and not _world.is_worker():
    _life.start(_life._level(None))
