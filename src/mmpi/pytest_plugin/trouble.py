# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) the MaroonMPI authors
"""Jobs that do not go on: seeing it, deciding which test it was, and saying what is known."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from . import merge
from .job import how_of, shortened
from .merge import ranks_of, ranks_text

if TYPE_CHECKING:
    from .job import Job
    from .marks import Settings

START_LIMIT = 60.0      # seconds for launching, importing and collecting, at least
DEATH_PATIENCE = 2.0    # seconds for the launcher to notice that a rank has died

Decisions = dict[pytest.Item, list[pytest.TestReport]]


class Watch:
    """Watches a job while a test in it is waited for. All tests before that one are decided."""

    def __init__(self, job: Job, test: int, limit: float, settings: Settings) -> None:
        self.job, self.test, self.limit = job, test, limit
        self.start_limit = max(limit, settings.limit, START_LIMIT) if limit else 0.0
        self.grace = min(settings.grace, limit) if limit else settings.grace
        self.since = time.monotonic()

    def trouble(self) -> Decisions | None:
        """None while the job goes on; else what that makes of one or more of its tests."""
        job, now = self.job, time.monotonic()
        if job.broken:
            return self._not_started(f"{ranks_text(job.broken)} cannot run the tests")
        if job.missing and job.ready:
            return {job.items[test]: merge.made(job.items[test], self._missing(ranks), "setup")
                    for test, ranks in job.missing.items()}
        if job.poll() is not None:
            job.wait(0)
            job.read()
            return None if job.complete(self.test) else self._ended()
        if job.deaths and not job.being_ended and now > (job.deaths[0][1].ended or now) + DEATH_PATIENCE:
            return self._ended()
        if self.test in job.first_bad and now > max(job.first_bad[self.test], self.since) + self.grace:
            return self._out_of_step()
        if job.ready and self.limit and now > job.last_event + self.limit:
            return self._hung()
        if not job.ready and self.start_limit and now > job.last_event + self.start_limit:
            return self._not_started(f"the ranks were not ready after {self.start_limit:g} s")
        return None

    def _missing(self, ranks: list[int]) -> str:
        return f"{ranks_of(ranks, self.job.size)} did not collect this test: do its parameters depend on the rank?"

    def _not_started(self, headline: str) -> Decisions:
        """All tests of the job fail: a fresh job would not come further."""
        job = self.job
        groups = merge.grouped(job.broken)
        details = [f"{ranks_of(ranks, job.size)}:\n{text}" for ranks, text in groups] or self._where()
        sections = job.output(range(job.size))
        items = [item for test, item in enumerate(job.items) if test >= self.test]
        decisions = {item: merge.made(item, f"{headline} (see the first test of this job)", "setup") for item in items}
        decisions[items[0]] = merge.made(items[0], "\n\n".join([headline, *details]), "setup", sections)
        return decisions

    def _ended(self) -> Decisions:
        """A rank, or the whole job, is gone."""
        job = self.job
        if not job.started:
            return self._not_started(f"the job ended before its first test: {job.status_text()}")
        if not job.deaths:
            text = [f"the job ended in this test: {job.status_text()}", *self._where()]
            return self._decide(self.test, text, job.ranks_in(self.test))
        number, seen = job.first_death
        who, status = ranks_of([number], job.size), job.status_text() if seen.status is None else how_of(seen.status)
        if not job.ranks[number].ready:
            return self._not_started(f"{who} ended before its first test: {status}")
        # Ranks may be tests ahead of each other. The test to blame is the one that the first dead rank was in.
        test = job.ranks[number].current
        text = [f"{who} ended {'before' if test is None else 'in'} this test: {status}"]
        if test is None or test < self.test:
            test = self.test
        if stack := job.crash_stack(number):
            text.append(shortened(stack))
        if others := [rank for rank in job.ranks_in(test) if rank != number]:
            text.append(f"also in it: {ranks_of(others, job.size)}")
        return self._decide(test, text, [number])

    def _out_of_step(self) -> Decisions:
        """Some ranks failed the test, and the others wait for them."""
        item, notes = self.job.items[self.test], [f"the job was ended {self.grace:g} s after this", *self._where()]
        return {item: merge.merge(item, self.job.reports(self.test), self.job.size, notes)}

    def _hung(self) -> Decisions:
        headline = f"no rank began or finished a test for {self.limit:g} s: the job was ended"
        return self._decide(self.test, [headline, *self.job.hang_report(), *self._where()], self.job.ranks_in(self.test))

    def _where(self) -> list[str]:
        """Which ranks are where, with the Python stacks of those that are in a test."""
        job = self.job
        stacks = job.stacks()
        places: dict[int, str] = {}
        for number, rank in enumerate(job.ranks):
            inside = rank.current is not None or not rank.ready
            places[number] = self._place(number) + (f"\n{stacks[number]}" if inside and number in stacks else "")
        return [f"{ranks_of(ranks, job.size)}: {text}" for ranks, text in merge.grouped(places)]

    def _place(self, number: int) -> str:
        rank = self.job.ranks[number]
        if rank.dead:
            return "ended"
        if not rank.ready:
            return "not here yet" if rank.pid is None else "starting"
        if rank.current is None:
            return "through with this test" if self.test in rank.finished else "before this test"
        return "in this test" if rank.current == self.test else f"in {self.job.items[rank.current].nodeid}"

    def _decide(self, test: int, text: list[str], ranks: list[int]) -> Decisions:
        """Make the reports of the test to blame: what ranks have reported of it, else a failure with our words."""
        job, item = self.job, self.job.items[test]
        reports = job.reports(test)
        if any(report.outcome == "failed" for list_ in reports.values() for report in list_):
            return {item: merge.merge(item, reports, job.size, text)}
        called = [number for number, list_ in reports.items() if any(report.when == "call" for report in list_)]
        when = "teardown" if len(called) == job.size else "call"
        return {item: merge.made(item, "\n\n".join(text), when, job.output(ranks))}


def after_last(job: Job, item: pytest.Item, patience: float) -> list[pytest.TestReport]:
    """The teardown of the last test of a job that went wrong after it."""
    if job.poll() is None:
        stacks = [f"{ranks_of(ranks, job.size)}:\n{text}" for ranks, text in merge.grouped(job.stacks())]
        text = "\n\n".join([f"the job did not end within {patience:g} s of its last test", *stacks])
    else:
        text = f"the job failed after its last test: {job.status_text()}"
    return merge.made(item, text, "teardown", job.output(range(job.size)))[-1:]
