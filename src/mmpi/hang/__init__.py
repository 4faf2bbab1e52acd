# SPDX-License-Identifier: BSD-3-Clause
"""What the ranks of a job are doing, seen from outside, while they do it: `mmpi ps`, `mmpi hang`, `mmpi run --hang-timeout`.

    describe(folder)        what each rank of the job with this folder does: lines, ranks that do the same together
    report(folder)          the same, after what is wrong, where, and how to mend it
    snapshot(folder)        all of that for programs, as JSON takes it; the ranks of several hosts are merged by `merged`
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .look import Rank, from_json, look
from .report import as_json, groups, lines
from .waits import Job

__all__ = ["Job", "Rank", "describe", "lines", "look", "merged", "report", "snapshot"]


def describe(folder: str, ranks: Iterable[int] | None = None) -> list[str]:
    """What the ranks of a job on this host do, or some of them: lines such as "ranks 0, 2: is in Barrier ..."."""
    seen = look(folder)
    wanted = {rank.rank for rank in seen} if ranks is None else set(ranks)
    return groups(Job(seen), wanted)


def report(folder: str, others: Sequence[Rank] = ()) -> list[str]:
    """The whole report on a job; `others` are its ranks on other hosts."""
    return lines([*look(folder), *others])


def snapshot(folder: str, others: Sequence[Rank] = ()) -> dict[str, Any]:
    """The ranks of a job on this host, and `others`, and what is wrong with it, as plain dicts, lists and numbers."""
    return as_json(folder.rpartition("-")[2], [*look(folder), *others])


def merged(snapshots: Iterable[dict[str, Any]]) -> list[Rank]:
    """The ranks of several hosts, each from the `snapshot` (or `mmpi hang --json`) made there, for `lines` or as `others`."""
    return [from_json(rank) for data in snapshots for rank in data["ranks"]]
