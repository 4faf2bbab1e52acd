# SPDX-License-Identifier: BSD-3-Clause
"""MPI for Python through a small, plain C core.

    import mmpi
    rank, size = mmpi.init()
    mmpi.WORLD.Send(...)

Importing opens nothing. `init()` starts MPI; `finalize()`, or the end of the program, ends it. Classes and constants of
`mmpi.MPI` are here too, under their own names; touching one loads the MPI library, and initializes nothing.

(PYTEST_DONT_REWRITE, where `import mpi4py` means mmpi, which is then imported before pytest is.)
"""

from __future__ import annotations

TYPE_CHECKING = False

from . import rc
from .configure import get_config, get_include, profile
from .errors import CollectiveMismatch, LaunchMismatch, MPIError, RemoteError
from .life import abort, clean_env, finalize, finalized, init, initialized, thread_level

if TYPE_CHECKING:
    from typing import Any

    from .communicator import Communicator as Communicator
    from .MPI import COMM_SELF as SELF
    from .MPI import COMM_WORLD as WORLD

    send, ssend, bsend, isend, issend, ibsend = WORLD.send, WORLD.ssend, WORLD.bsend, WORLD.isend, WORLD.issend, WORLD.ibsend
    recv, irecv, sendrecv = WORLD.recv, WORLD.irecv, WORLD.sendrecv
    probe, iprobe, mprobe, improbe = WORLD.probe, WORLD.iprobe, WORLD.mprobe, WORLD.improbe
    barrier, bcast, gather, scatter, allgather, alltoall = (
        WORLD.barrier, WORLD.bcast, WORLD.gather, WORLD.scatter, WORLD.allgather, WORLD.alltoall,
    )  # fmt: skip
    reduce, allreduce, scan, exscan = WORLD.reduce, WORLD.allreduce, WORLD.scan, WORLD.exscan
    ibarrier, ibcast, igather, iscatter = WORLD.ibarrier, WORLD.ibcast, WORLD.igather, WORLD.iscatter
    iallgather, ialltoall, iallreduce = WORLD.iallgather, WORLD.ialltoall, WORLD.iallreduce

__version__ = "0.1.0"
__all__ = [
    "SELF", "WORLD", "CollectiveMismatch", "LaunchMismatch", "MPIError", "RemoteError", "abort", "clean_env", "finalize", "finalized",
    "get_config", "get_include", "init", "initialized", "profile", "rc", "thread_level",
]  # fmt: skip

# The methods of WORLD that move objects are functions here.
_OBJECTS = frozenset(
    "send ssend bsend isend issend ibsend recv irecv sendrecv probe iprobe mprobe improbe barrier bcast gather scatter allgather"
    " alltoall reduce allreduce scan exscan ibarrier ibcast igather iscatter iallgather ialltoall iallreduce".split()
)
_SHORT = {"WORLD": "COMM_WORLD", "SELF": "COMM_SELF"}


def __getattr__(name: str) -> Any:
    if not name.startswith("_") and name[0].isupper() and name != "MPI":
        from . import library

        try:
            globals()[name] = getattr(library.load(), _SHORT.get(name, name))
            return globals()[name]
        except AttributeError:
            pass
    if name == "Communicator":
        from .communicator import Communicator

        return Communicator
    if name in _OBJECTS:
        from . import library

        globals()[name] = getattr(library.load().COMM_WORLD, name)
        return globals()[name]
    raise AttributeError(f"module 'mmpi' has no attribute {name!r}")


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext mmpi`: cells that begin with `%%mmpi -n 4` run on ranks."""
    from .notebook import load

    load(ipython)
