# SPDX-License-Identifier: BSD-3-Clause
"""What is to be started, from the arguments of Spawn and Spawn_multiple (MPI 5.0, section 11.8)."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from operator import index
from typing import Any, NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .MPI import Info

Word = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class Program(NamedTuple):
    """A program, as MPI takes it."""

    command: bytes
    args: list[bytes]
    maxprocs: int
    info: Info | None


def _is_open_mpi() -> bool:
    from .library import load

    return str(load().Get_library_version()).startswith("Open MPI")


def _words(args: Sequence[Word] | str | bytes | None) -> list[bytes]:
    """A single string is one argument."""
    words = [os.fsencode(word) for word in ([args] if isinstance(args, (str, bytes)) else args or ())]
    bad = next((word for word in words if not word or b"\n" in word), None)
    if bad is not None and not _is_open_mpi():
        raise ValueError(f"args: {os.fsdecode(bad)!r}: MPICH's launcher passes on no empty arguments and none of several lines")
    return words


def _prepare_daemon() -> None:
    """Without a launcher, Open MPI starts a daemon at the first Spawn, which counts slots, and refuses root by a name of its own."""
    if "OMPI_COMM_WORLD_SIZE" in os.environ or not _is_open_mpi():
        return
    os.environ.setdefault("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe")
    for suffix in ("", "_CONFIRM"):
        if asked := os.environ.get(f"OMPI_ALLOW_RUN_AS_ROOT{suffix}"):
            os.environ.setdefault(f"PRTE_ALLOW_RUN_AS_ROOT{suffix}", asked)


def alias() -> Any:
    """The module mmpi.compat where `import mpi4py` means mmpi, else None. Who has not asked for that does not import it."""
    compat = sys.modules.get("mmpi.compat")
    return compat if compat and compat.installed() else None


def _known_as(program: Program) -> Program:
    """Where `import mpi4py` means mmpi, it does in what is started too; launchers do not pass on our environment."""
    compat = alias()
    if compat is None:
        return program
    variables = [os.fsencode(f"{name}={value}") for name, value in compat.environment().items()]
    return program._replace(command=b"env", args=[*variables, program.command, *program.args])


def one(command: Word, args: Sequence[Word] | str | bytes | None, maxprocs: Any, info: Info | None) -> list[Program]:
    """The program of Spawn."""
    _prepare_daemon()
    number = 1 if maxprocs is None else int(maxprocs) if isinstance(maxprocs, float) and maxprocs.is_integer() else index(maxprocs)
    if number < 0:
        raise ValueError(f"Spawn: maxprocs: {number} processes")
    return [_known_as(Program(os.fsencode(command), _words(args), number, info))]


def _each(name: str, value: Any, n: int) -> Sequence[Any]:
    """One item for each of n programs."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise ValueError(f"Spawn_multiple: {name}: expected a sequence, not {value!r}")
    if len(value) != n:
        raise ValueError(f"Spawn_multiple: {name}: {len(value)} items for {n} programs")
    return value


def several(command: Sequence[Word], args: Any, maxprocs: Any, info: Any) -> list[Program]:
    """The programs of Spawn_multiple; maxprocs and info may be one for all."""
    n = 0 if isinstance(command, (str, bytes)) or not isinstance(command, Sequence) else len(command)
    _each("command", command, n)
    each_args = [None] * n if args is None else _each("args", args, n)
    each_number = _each("maxprocs", maxprocs, n) if isinstance(maxprocs, Sequence) else [maxprocs] * n
    each_info = _each("info", info, n) if isinstance(info, Sequence) else [info] * n
    rows = zip(command, each_args, each_number, each_info, strict=True)
    return [program for row in rows for program in one(*row)]


def codes_of_one(errcodes: list[int], codes: list[int], maxprocs: list[int]) -> None:
    """Give the error codes to the caller's list."""
    errcodes[:] = codes


def codes_of_several(errcodes: list[list[int]], codes: list[int], maxprocs: list[int]) -> None:
    """The same, a list for each program; one list where the programs are not known."""
    if sum(maxprocs) != len(codes):
        maxprocs = [len(codes)]
    ends = [sum(maxprocs[: i + 1]) for i in range(len(maxprocs))]
    errcodes[:] = [codes[end - n : end] for end, n in zip(ends, maxprocs, strict=True)]
