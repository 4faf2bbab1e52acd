# SPDX-License-Identifier: BSD-3-Clause
"""Whole programs, each written once for every kind of contender in the idiom of its users, checked for the same answer.

A module has `serial(scale)` and any of these forms: `typed(MPI, scale)` and `objects(MPI, scale)` of mpi4py's API, whose answer
rank 0 returns; `pool(map, scale)` of a `map` that works in parallel; `processes(side, scale)` of processes that share memory.
`SCALE` and `QUICK` are the sizes of a full and of a quick run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from mmpi.bench.measure import Case, Contender

Way = tuple[str, str, tuple[Any, ...]]  # contender, form, arguments before the scale


def program_cases(name: str, quick: bool, ways: Sequence[Way], leader: bool) -> list[Case]:
    """A case for each way in which the program is written; the leader compares the answer with that of one process."""
    module = import_module(f"{__name__}.{name}")
    scale = module.QUICK if quick else module.SCALE
    ways = [way for way in ways if hasattr(module, way[1])]
    expected = module.serial(scale) if leader and ways else None
    return [_case(contender, getattr(module, form), (*arguments, scale), expected, leader) for contender, form, arguments in ways]


def _case(name: str, run: Callable[..., Any], arguments: tuple[Any, ...], expected: Any, leader: bool) -> Case:
    answer: Any = None

    def repeated(n: int) -> None:
        nonlocal answer
        for _ in range(n):
            answer = run(*arguments)

    return Case(name, [Contender(name, repeated)], None, lambda: not leader or answer == expected)
