# SPDX-License-Identifier: BSD-3-Clause
"""MPI for Python through a small, plain C core.

    import mmpi
    rank, size = mmpi.init()
    mmpi.WORLD.Send(...)

Importing opens nothing. `init()` starts MPI; `finalize()`, or the end of the program, ends it. Classes and constants of
`mmpi.MPI` are here too, under their own names; touching one loads the MPI library, and initializes nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False

from . import rc
from .errors import LaunchMismatch, MPIError
from .life import abort, finalize, finalized, init, initialized, thread_level

if TYPE_CHECKING:
    from typing import Any

    from .MPI import COMM_SELF as SELF
    from .MPI import COMM_WORLD as WORLD

__version__ = "0.1.0"
__all__ = [
    "SELF", "WORLD", "LaunchMismatch", "MPIError", "abort", "finalize", "finalized", "init", "initialized", "rc", "thread_level",
]  # fmt: skip

_SHORT = {"WORLD": "COMM_WORLD", "SELF": "COMM_SELF"}


def __getattr__(name: str) -> Any:
    if not name.startswith("_") and name[0].isupper() and name != "MPI":
        from . import library

        try:
            return getattr(library.load(), _SHORT.get(name, name))
        except AttributeError:
            pass
    raise AttributeError(f"module 'mmpi' has no attribute {name!r}")
