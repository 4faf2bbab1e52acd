# SPDX-License-Identifier: BSD-3-Clause
"""What mmpi.MPI has that is Python: who made the library, and locks that belong to communicators."""

from __future__ import annotations

import re
from _thread import LockType, allocate_lock
from collections.abc import Hashable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .MPI import Comm

_VENDORS = (
    (r"MPICH Version:\s*([\d.]+)", "MPICH"),
    (r"Open MPI v([\d.]+)", "Open MPI"),
    (r"Intel\(R\) MPI Library (\d+)(?:\.(\d+))?", "Intel MPI"),
    (r"MVAPICH2? Version\s*:\s*([\d.]+)", "MVAPICH"),
    (r"CRAY MPICH version ([\d.]+)", "Cray MPICH"),
)


def get_vendor() -> tuple[str, tuple[int, int, int]]:
    """The name and the version of the MPI library: ("MPICH", (5, 0, 2))."""
    from .library import load

    text = load().Get_library_version()
    for pattern, name in _VENDORS:
        found = re.search(pattern, text)
        if found:
            numbers = [int(part) for part in ".".join(group for group in found.groups() if group).split(".") if part][:3]
            return name, (*numbers, *[0] * (3 - len(numbers)))  # type: ignore[return-value]
    return "unknown", (0, 0, 0)


def comm_lock(comm: Comm, key: Hashable = None) -> LockType:
    """The lock of a communicator for a key, whatever it means to those who agree on it."""
    from .library import load

    lock: LockType = load()._comm_lock_table(comm).setdefault(key, allocate_lock())
    return lock
