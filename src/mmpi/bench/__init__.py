# SPDX-License-Identifier: BSD-3-Clause
"""Benchmarks. The suite is `mmpi bench`; overhead, objects and crowded are programs of their own. All stand on `mmpi.bench.measure`.

command.py -> cases.py (what) -> teams.py (the driver of processes) -> member.py (in each process) -> messages.py, pipes.py,
pools.py (the contenders), programs/; startup.py starts jobs; summary.py, changes.py, plot.py make something of the results.

`python -m mmpi.bench helloworld`, `ringtest`, `pingpong` and `futures` are small tests of an installation, with the names
and options of mpi4py's (small.py); they are functions here too.
"""


from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmpi import MPI


def helloworld(comm: MPI.Intracomm, args: Sequence[str] | None = None, verbose: bool = True) -> str:
    """Let all ranks say hello, one after the other; return what this one says."""
    from . import small

    return small.helloworld(comm, args, verbose)


def ringtest(comm: MPI.Intracomm, args: Sequence[str] | None = None, verbose: bool = True) -> float:
    """Send a message around a ring; return the seconds that a round took."""
    from . import small

    return small.ringtest(comm, args, verbose)


def pingpong(comm: MPI.Intracomm, args: Sequence[str] | None = None, verbose: bool = True) -> list[tuple[int, float, float]]:
    """Send messages between two ranks; return size, seconds and their deviation of each size."""
    from . import small

    return small.pingpong(comm, args, verbose)


def futures(comm: MPI.Intracomm, args: Sequence[str] | None = None, verbose: bool = True) -> list[tuple[int, float, float]]:
    """Let the other ranks take tasks with arguments of growing size; return size, seconds a task, and their deviation."""
    from . import small

    return small.futures(comm, args, verbose)


def main(args: Sequence[str] | None = None) -> None:
    """The command line of `python -m mmpi.bench`."""
    from . import small

    small.main(args)
