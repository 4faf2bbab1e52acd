# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) the MaroonMPI authors
"""What `@pytest.mark.mmpi(...)` says: the numbers of processes and the time limit of a test."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from _pytest.nodes import Node

ID_PARAMETER = "_mmpi_n"      # not the fixture mmpi_n, which any scope may ask for
N_KEY = pytest.StashKey[int]()
ORIGINAL_KEY = pytest.StashKey[str]()


class Settings(NamedTuple):
    """What the command line and the ini-file say."""

    default_sizes: tuple[int, ...]      # of a bare marker
    only: tuple[int, ...] | None        # --mmpi-n: run no others
    limit: float                        # seconds for a test without a limit of its own, 0: none
    unlimited: bool                     # --mmpi-timeout=0: no limit for any test
    grace: float                        # seconds for the other ranks once one has failed
    shared: bool                        # the modules of a session share jobs


def settings_of(config: pytest.Config) -> Settings:
    """Read the settings; UsageError where one is wrong."""
    sizes = sizes_of_text(config.getini("mmpi_n"), "ini option mmpi_n")
    only = config.getoption("mmpi_n")
    if only:
        sizes = sizes_of_text(only, "--mmpi-n")
    limit = seconds_of_text(config.getini("mmpi_timeout"), "ini option mmpi_timeout")
    given = config.getoption("mmpi_timeout")
    if given is not None:
        limit = seconds_of_text(given, "--mmpi-timeout")
    grace = seconds_of_text(config.getini("mmpi_grace"), "ini option mmpi_grace")
    share = config.getini("mmpi_share")
    if share not in ("module", "session"):
        raise pytest.UsageError(f"ini option mmpi_share: expected module or session, not {share!r}")
    return Settings(sizes, sizes if only else None, limit, given is not None and limit == 0, grace, share == "session")


class Spec(NamedTuple):
    """One test's numbers of processes and its time limit in seconds (None: the default one)."""

    sizes: tuple[int, ...]
    timeout: float | None


def spec_of(node: Node, default_sizes: tuple[int, ...]) -> Spec | None:
    """Read the markers of `node`, the closest one first; None where there is none, ValueError where one is wrong."""
    sizes: tuple[int, ...] | None = None
    timeout: float | None = None
    marked = False
    for mark in node.iter_markers("mmpi"):
        marked = True
        given_sizes, given_timeout = _arguments(mark)
        if sizes is None:
            sizes = given_sizes
        if timeout is None:
            timeout = given_timeout
    return Spec(sizes or default_sizes, timeout) if marked else None


def _arguments(mark: pytest.Mark) -> tuple[tuple[int, ...] | None, float | None]:
    keywords = dict(mark.kwargs)
    if len(mark.args) > 1:
        raise ValueError(f"mmpi takes at most one positional argument, n, not {len(mark.args)}; write n=[1, 2, 4]")
    if mark.args and "n" in keywords:
        raise ValueError("mmpi got n twice, by position and by name")
    n = mark.args[0] if mark.args else keywords.pop("n", None)
    timeout = keywords.pop("timeout", None)
    if keywords:
        raise ValueError(f"mmpi has no argument {', '.join(sorted(keywords))}; it takes n and timeout")
    return (None if n is None else sizes_of(n), None if timeout is None else timeout_of(timeout))


def sizes_of(n: Any) -> tuple[int, ...]:
    """Check numbers of processes: an int or several, each at least 1, none twice."""
    several = isinstance(n, Iterable) and not isinstance(n, (str, bytes))
    sizes = tuple(n) if several else (n,)
    for size in sizes:
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            what = f"{size!r} in n={n!r}" if several else f"n={n!r}"
            raise ValueError(f"mmpi needs whole numbers of processes from 1 up, not {what}")
    if not sizes:
        raise ValueError(f"mmpi needs at least one number of processes, n={n!r} has none")
    if len(set(sizes)) < len(sizes):
        raise ValueError(f"mmpi has a number of processes twice in n={n!r}")
    return sizes


def sizes_of_text(text: str, where: str) -> tuple[int, ...]:
    """Read '1,2,4' or '1 2 4' of the command line or the ini-file; `where` names the option in an error."""
    words = text.replace(",", " ").split()
    try:
        return sizes_of([int(word) for word in words])
    except ValueError:
        raise pytest.UsageError(f"{where}: expected numbers of processes such as 1,2,4, not {text!r}") from None


def timeout_of(value: Any) -> float:
    """Check a time limit in seconds; 0 means none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ValueError(f"mmpi needs a time limit in seconds (0 for none), not timeout={value!r}")
    return float(value)


def seconds_of_text(text: str, where: str) -> float:
    """Read a time in seconds of the command line or the ini-file; `where` names the option in an error."""
    try:
        return timeout_of(float(text))
    except ValueError:
        raise pytest.UsageError(f"{where}: expected a time in seconds (0 for no limit), not {text!r}") from None
