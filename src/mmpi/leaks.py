# SPDX-License-Identifier: BSD-3-Clause
"""MMPI_DEBUG=1: what the program has to free, and had not freed when MPI ended. The core tells of what was made and went away."""

from __future__ import annotations

import os
import sys
import weakref
from collections import Counter
from typing import Any

HERE = os.path.dirname(__file__) + os.sep
MOST = 20  # lines of one report

_made: dict[int, tuple[weakref.ref[Any], str]] = {}  # what is there: object, and where it was made
_lost: Counter[str] = Counter()  # what went away with its handle


def made(obj: Any) -> None:
    """From now on somebody has to free it."""
    _made[id(obj)] = weakref.ref(obj), place()


def gone(key: int, name: str | None) -> None:
    """The object is no more; a name says that the handle lives on."""
    _, where = _made.pop(key, (None, ""))
    if name and where:
        _lost[f"{name} (its object is gone), made at {where}"] += 1


def place() -> str:
    """Where the program is: the innermost line outside this package."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith(HERE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def report(rank: int, dropped: int, allocated: int) -> None:
    """Say what is left, before MPI ends; `dropped` operations without a request, pieces of memory `allocated`."""
    found = _lost + Counter(f"{obj!r}, made at {where}" for ref, where in _made.values() if (obj := ref()))
    _made.clear()
    _lost.clear()
    if dropped:
        found["operations whose requests were dropped, still under way"] = dropped
    if allocated:
        found["memory of Alloc_mem"] = allocated
    for text, n in found.most_common(MOST):
        print(f"mmpi: rank {rank}: not freed: {text}{f', {n} times' if n > 1 else ''}", file=sys.stderr)
    if len(found) > MOST:
        print(f"mmpi: rank {rank}: not freed: {len(found) - MOST} more kinds", file=sys.stderr)
