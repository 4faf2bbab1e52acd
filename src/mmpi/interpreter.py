# SPDX-License-Identifier: BSD-3-Clause
"""`mpirun -n 3 mmpi pympi [-color=N] [script arguments]`: Python with MPI started, and `mpi` as a builtin."""

from __future__ import annotations

import builtins
import faulthandler
import os
import runpy
import sys
from collections.abc import Sequence

HELP = """\
usage: mpirun -n 3 mmpi pympi [-color=N] [script [arguments]]        or: mmpi run -n 3 mmpi pympi ...

Start MPI, then the script, with `mpi` (mmpi.pympi) as a builtin; without a script, the parallel console.
-color=N: programs with the same number share mpi.WORLD, and have no other in it.
"""


def main(argv: Sequence[str]) -> int:
    """Run `mmpi pympi` with these words; return its exit status."""
    words = list(argv)
    if words and words[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if words and words[0].startswith("-color="):
        color = words.pop(0).removeprefix("-color=")
        if not color.isdecimal():
            print(f"mmpi pympi: -color={color}: a whole number from 0 on is needed", file=sys.stderr)
            return 2
        os.environ["MMPI_PYMPI_COLOR"] = color
    if words and not os.path.exists(words[0]):
        print(f"mmpi pympi: {words[0]}: no such file", file=sys.stderr)
        return 2
    from mmpi import pympi

    faulthandler.enable()  # now: MPI has set handlers of its own
    builtins.mpi = pympi  # type: ignore[attr-defined]
    if words:
        sys.argv = words
        sys.path.insert(0, os.path.dirname(os.path.abspath(words[0])))
        runpy.run_path(words[0], run_name="__main__")
        return 0
    return _console()


def _console() -> int:
    from mmpi import pympi

    from .console import plain
    from .console.evaluate import start_mpi

    _, names = start_mpi()
    banner = f"Python {sys.version.split()[0]} (pympi) on {pympi.size} ranks; mpi, rank, size, comm are at hand"
    return plain.interact(pympi.WORLD.comm.Dup(), {**names, "mpi": pympi, "rank": pympi.rank, "size": pympi.size}, banner)
