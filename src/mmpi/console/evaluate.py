# SPDX-License-Identifier: BSD-3-Clause
"""Running source on a rank: what it prints and what it raises comes back as text; and the texts of all ranks as one."""

from __future__ import annotations

import ast
import contextlib
import io
import linecache
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

ADDRESS, KEY = "MMPI_CONSOLE_ADDRESS", "MMPI_CONSOLE_KEY"  # in the environment of ranks whose prompt is elsewhere

HERE = os.path.dirname(__file__)


class Outcome(NamedTuple):
    """What a statement did on one rank. `leave`: the exit status if it raised SystemExit."""

    output: str
    error: str = ""
    leave: int | None = None


class Evaluator:
    """The names of a rank, and running source with them."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = {"__name__": "__main__", "__builtins__": __builtins__, **names}
        self._count = 0
        sys.ps1 = getattr(sys, "ps1", ">>> ")  # interactive: an exception does not end the job

    def run(self, source: str) -> Outcome:
        """Run statements; the value of an expression that comes last is shown, as Python's prompt does."""
        stream = io.StringIO()
        self._count += 1
        name = f"<console-{self._count}>"
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            try:
                for code in _compiled(source, name):
                    exec(code, self.names)
            except SystemExit as error:
                return Outcome(stream.getvalue(), "", _status(error))
            except BaseException as error:
                return Outcome(stream.getvalue(), _told(error))
        return Outcome(stream.getvalue())

    def complete(self, text: str) -> list[str]:
        """The names that begin like this."""
        import rlcompleter

        completer = rlcompleter.Completer(self.names)
        found: list[str] = []
        with contextlib.suppress(Exception):
            while (match := completer.complete(text, len(found))) is not None:
                found.append(match)
        return found


def _compiled(source: str, name: str) -> list[Any]:
    tree = ast.parse(source, name)
    last = [tree.body.pop()] if tree.body and isinstance(tree.body[-1], ast.Expr) else []
    codes = [compile(tree, name, "exec")] if tree.body else []
    return codes + [compile(ast.Interactive([node]), name, "single") for node in last]


def _told(error: BaseException) -> str:
    """The traceback, without the frames of the console."""
    told = traceback.TracebackException.from_exception(error)
    told.stack = traceback.StackSummary.from_list([frame for frame in told.stack if os.path.dirname(frame.filename) != HERE])
    return "".join(told.format())


def _status(error: SystemExit) -> int:
    return error.code if isinstance(error.code, int) else 0 if error.code is None else 1


def start_mpi() -> tuple[Any, dict[str, Any]]:
    """Initialize MPI; return the communicator, and the names at hand: rank, size, comm, MPI, mmpi."""
    import mmpi
    from mmpi import MPI

    comm = MPI.COMM_WORLD
    return comm, {"comm": comm, "rank": comm.Get_rank(), "size": comm.Get_size(), "MPI": MPI, "mmpi": mmpi}


def shown(outcomes: list[Outcome]) -> str:
    """What the ranks printed, then what they raised; the same once."""
    return merged([one.output for one in outcomes]) + merged([one.error for one in outcomes])


def merged(texts: Sequence[str]) -> str:
    """The texts of all ranks in their order, under a line that names the ranks; what is the same on all, once, as it is."""
    groups: dict[str, list[int]] = {}
    for rank, text in enumerate(texts):
        groups.setdefault(text, []).append(rank)
    if len(groups) == 1:
        return _ended(texts[0])
    return "".join(f"[{ranges(ranks)}]\n{_ended(text)}" for text, ranks in groups.items() if text)


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def ranges(ranks: Iterable[int]) -> str:
    """Ranks in words: "0-2, 5"."""
    runs: list[list[int]] = []
    for rank in ranks:
        if runs and rank == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], rank]
        else:
            runs.append([rank])
    return ", ".join("-".join(map(str, run)) for run in runs)
