# SPDX-License-Identifier: BSD-3-Clause
"""MPI under the names that mpi4py made known. Importing this module initializes MPI, unless `mmpi.rc.initialize` is False."""

from __future__ import annotations

from . import rc as _rc
from .extras import comm_lock as _comm_lock  # noqa: F401 (a name of mpi4py's)
from .extras import get_vendor as get_vendor
from .library import load as _load
from .life import _level
from .life import start as _start
from .world import is_worker as _is_worker

# No module is a name here: tools that walk through this one, for help or to check docstrings, would walk on.
globals().update({name: value for name, value in vars(_load()).items() if not name.startswith("__") or name == "__pyx_capi__"})

VERSION, SUBVERSION = _load().Get_version()

if _rc.initialize and _load()._state() == "not started" and not _is_worker():
    _start(_level(None))
