# SPDX-License-Identifier: BSD-3-Clause
"""`mpirun -n 4 mmpi-console`: rank 0 reads lines, all run them, rank 0 writes what they did. Needs nothing but MPI."""

from __future__ import annotations

import codeop
import sys
import time
from typing import Any

from .evaluate import Evaluator, Outcome, shown, start_mpi
from .lines import Lines

NAP = 0.01  # seconds between looks, while somebody thinks at the prompt


def _shared(comm: Any, value: Any = None) -> Any:
    """What rank 0 has, at all ranks; waiting costs no core."""
    request = comm.ibcast(value)
    while True:
        done, result = request.test()
        if done:
            return result
        time.sleep(NAP)


def _statement(source_of: Lines) -> str | None:
    """Read one statement, of several lines perhaps; None at the end of the input."""
    lines: list[str] = []
    while True:
        sys.stdout.write("... " if lines else ">>> ")
        sys.stdout.flush()
        line = source_of.readline()
        if not line and not lines:
            sys.stdout.write("\n")
            return None
        lines.append(line.rstrip("\n"))
        source = "\n".join(lines)
        try:
            if codeop.compile_command(source) is None and line:
                continue
        except (OverflowError, SyntaxError, ValueError):
            pass  # the ranks say what is wrong with it
        return source


def interact(comm: Any, names: dict[str, Any], banner: str) -> int:
    """Run what rank 0 reads on all ranks of a communicator, which is its own; return the exit status."""
    evaluator, reads, read = Evaluator(names), comm.Get_rank() == 0, Lines()
    if reads:
        print(banner)
    while (source := _shared(comm, _statement(read) if reads else None)) is not None:
        outcomes: list[Outcome] | None = comm.gather(evaluator.run(source) if source.strip() else Outcome(""))
        leave = None
        if outcomes is not None:
            sys.stdout.write(shown(outcomes))
            sys.stdout.flush()
            if all(one.leave is not None for one in outcomes):
                leave = max(one.leave or 0 for one in outcomes)
        leave = comm.bcast(leave)
        if leave is not None:
            return int(leave)
    return 0


def main() -> None:
    """The command mmpi-console."""
    comm, names = start_mpi()
    banner = f"Python {sys.version.split()[0]} on {comm.Get_size()} ranks; rank, size, comm are at hand"
    sys.exit(interact(comm.Dup(), names, banner))
