# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) the MaroonMPI authors
"""The reports of all ranks about one test, merged into the reports of one test."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

Reports = dict[int, list[pytest.TestReport]]    # rank -> its reports on one test, in order

PHASES = ("setup", "call", "teardown")


def ranks_text(ranks: Iterable[int]) -> str:
    """Name ranks: 'rank 3', 'ranks 0-2, 5'."""
    ordered = sorted(ranks)
    runs: list[list[int]] = []
    for rank in ordered:
        if runs and rank == runs[-1][1] + 1:
            runs[-1][1] = rank
        else:
            runs.append([rank, rank])
    # Two neighbours read better as '1, 2' than as '1-2'.
    words = [str(a) if a == b else f"{a}, {b}" if b == a + 1 else f"{a}-{b}" for a, b in runs]
    return ("rank " if len(ordered) == 1 else "ranks ") + ", ".join(words)


def ranks_of(ranks: Iterable[int], size: int) -> str:
    """Name ranks of a job: 'rank 3 of 4', 'all 4 ranks', and of a job of one 'the process'."""
    some = list(ranks)
    if len(some) == size:
        return f"all {size} ranks" if size > 1 else "the process"
    return f"{ranks_text(some)} of {size}"


def grouped(texts: dict[int, str]) -> list[tuple[list[int], str]]:
    """Put ranks with the same text together; addresses such as 0x7f12 do not make texts differ."""
    groups: dict[str, list[int]] = {}
    for rank in sorted(texts):
        groups.setdefault(re.sub(r"\b0x[0-9a-f]+", "0x", texts[rank]), []).append(rank)
    return [(ranks, texts[ranks[0]]) for ranks in groups.values()]


class Crash:
    """Where a failure was, in the shape pytest reads for its summary lines and junit files."""

    def __init__(self, path: str, lineno: int, message: str) -> None:
        self.path, self.lineno, self.message = path, lineno, message

    def __str__(self) -> str:
        return f"{self.path}:{self.lineno}: {self.message}"


class RanksRepr:
    """What is shown of a failure: the text of each group of ranks under its ranks, then notes."""

    def __init__(self, parts: Sequence[tuple[str, Any]], notes: Sequence[str], reprcrash: Crash) -> None:
        self.parts, self.notes, self.reprcrash = parts, notes, reprcrash

    def toterminal(self, out: Any) -> None:
        """Write it to pytest's terminal writer."""
        for title, text in self.parts:
            if title:
                out.sep("~", title, bold=True)
            if hasattr(text, "toterminal"):
                text.toterminal(out)
            else:
                out.line(str(text))
        for note in self.notes:
            out.line()
            for line in note.splitlines():
                out.line(line, red=True)

    def __str__(self) -> str:
        return pytest.TestReport("", ("", None, ""), {}, "failed", self, "call").longreprtext  # type: ignore[arg-type]


def failed(report: pytest.TestReport) -> bool:
    """Whether the rank met an exception here, an expected one (xfail) included."""
    return report.outcome == "failed" or (report.outcome == "skipped" and hasattr(report, "wasxfail"))


def alike(reports: Reports) -> bool:
    """Whether all ranks came the same way: the same outcomes, and failures with the same text."""
    ways = {rank: "\n".join(_way(report) for report in list_) for rank, list_ in reports.items()}
    return len(grouped(ways)) == 1


def _way(report: pytest.TestReport) -> str:
    return f"{report.when} {report.outcome} {report.longreprtext if failed(report) else ''}"


def merge(item: pytest.Item, reports: Reports, size: int, notes: Sequence[str] = ()) -> list[pytest.TestReport]:
    """Merge what the ranks reported on one test; notes are shown under the first failure."""
    merged = [_merge_phase(same, size) for same in _by_phase(reports)]
    if any(report.when == "setup" and report.outcome == "failed" for report in merged):
        merged = [report for report in merged if report.when != "call" or report.outcome == "failed"]
    if merged[-1].when != "teardown":
        merged.append(_passed(item, "teardown"))    # the job ended first; each test that pytest shows has one
    for report in merged:
        report.nodeid, report.location = item.nodeid, item.location
    for report in merged:
        shown: Any = report.longrepr
        if notes and isinstance(shown, RanksRepr):
            shown.notes = notes
            break
    return merged


def _by_phase(reports: Reports) -> list[dict[int, pytest.TestReport]]:
    """Put together what ranks reported on the same phase; sub-tests are of phase "call" and have a context."""
    phases: dict[tuple[Any, ...], dict[int, pytest.TestReport]] = {}
    for rank in sorted(reports):
        seen: Counter[tuple[Any, ...]] = Counter()
        for report in reports[rank]:
            kind = (PHASES.index(report.when), repr(getattr(report, "context", None)))
            phases.setdefault((*kind, seen[kind]), {})[rank] = report
            seen[kind] += 1
    return [phases[key] for key in sorted(phases, key=lambda key: key[0])]


def _merge_phase(reports: dict[int, pytest.TestReport], size: int) -> pytest.TestReport:
    chosen = _deciding(reports)
    first = reports[chosen[0]]
    merged = copy.copy(first)
    merged.sections = _sections(reports, size)
    merged.duration = max(report.duration for report in reports.values())
    merged.start = min(report.start for report in reports.values())
    merged.stop = max(report.stop for report in reports.values())
    merged.user_properties = []
    for report in reports.values():
        merged.user_properties += [pair for pair in report.user_properties if pair not in merged.user_properties]
    if first.outcome == "failed":
        merged.longrepr = _failure({rank: reports[rank] for rank in chosen}, size)  # type: ignore[assignment]
    return merged


def _deciding(reports: dict[int, pytest.TestReport]) -> list[int]:
    """The ranks whose outcome is the test's: any that failed, else any xfailed, else any passed, else all (skipped)."""
    xfailed = [rank for rank, report in reports.items() if report.outcome != "failed" and failed(report)]
    bad = [rank for rank, report in reports.items() if report.outcome == "failed"
           and not (xfailed and str(report.longrepr).startswith("[XPASS(strict)]"))]
    # A test that was expected to fail has done so if it failed on one rank.
    passed = [rank for rank, report in reports.items() if report.outcome == "passed"]
    return bad or xfailed or passed or list(reports)


def _failure(reports: dict[int, pytest.TestReport], size: int) -> RanksRepr:
    groups = grouped({rank: report.longreprtext for rank, report in reports.items()})
    parts, heads = [], []
    for ranks, text in groups:
        longrepr = reports[ranks[0]].longrepr
        title = "" if size == 1 else ranks_of(ranks, size)
        parts.append((title, longrepr))
        crash = getattr(longrepr, "reprcrash", None)
        heads.append((crash, f"{crash.message if crash else text.strip()}", ranks))
    crash, message, ranks = heads[0]
    if len(reports) < size or len(groups) > 1:
        message = f"{ranks_text(ranks)}: {message}"
    path, lineno = (crash.path, crash.lineno) if crash else (reports[ranks[0]].location[0], 0)
    return RanksRepr(parts, [], Crash(path, lineno, message))


def _sections(reports: dict[int, pytest.TestReport], size: int) -> list[tuple[str, str]]:
    """The captured output of the ranks; ranks with the same output share a section."""
    sections: dict[tuple[str, str], list[int]] = {}
    for rank, report in sorted(reports.items()):
        for title, text in report.sections:
            sections.setdefault((title, text), []).append(rank)
    ordered = sorted(sections.items(), key=lambda pair: pair[1][0])
    return [(title if size == 1 else f"{title} ({ranks_text(ranks)})", text) for (title, text), ranks in ordered]


def _passed(item: pytest.Item, when: Any) -> pytest.TestReport:
    return pytest.TestReport(item.nodeid, item.location, dict.fromkeys(item.keywords, 1), "passed", None, when)


def made(item: pytest.Item, text: str, when: str = "call",
         sections: Sequence[tuple[str, str]] = ()) -> list[pytest.TestReport]:
    """Reports of a failed test for which the ranks have none: it crashed, hung, or could not start."""
    path, lineno, _ = item.location
    reports = [_passed(item, phase) for phase in PHASES if not (when == "setup" and phase == "call")]
    for report in reports:
        if report.when == when:
            report.outcome = "failed"
            crash = Crash(path, (lineno or 0) + 1, text.partition("\n")[0])
            report.longrepr = RanksRepr([("", text)], [], crash)  # type: ignore[assignment]
            report.sections = list(sections)
    return reports
