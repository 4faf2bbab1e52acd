# SPDX-License-Identifier: BSD-3-Clause
"""`mpiexec -n 5 python -m mmpi.futures program.py`: rank 0 runs the program, whose executors share the other ranks as workers."""

from __future__ import annotations

import functools
import sys

from mmpi import MPI

from . import _core, pool, worker


def main() -> None:
    """Run the program that the command line names on rank 0, and serve it on the others."""
    from mmpi import run

    comm, crew = MPI.COMM_WORLD, _core.Crew()
    if comm.Get_size() > 1:
        inter, workers = _core.comm_split(comm, 0)
        if comm.Get_rank() != 0:
            worker.serve(inter, workers)
            inter.Disconnect()
            return
        crew.hire(inter)
    _core.SharedPool = functools.partial(pool.share, crew)
    try:
        run.run_command_line(sys.argv[1:])
    except SystemExit as end:
        if end.code not in (None, 0):
            raise
    _core.join_all()
    crew.dismiss()


if __name__ == "__main__":
    main()
