# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) the MaroonMPI authors
"""A running job as the controller sees it: its ranks' event files, their deaths, their stacks, its end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mmpi import launch

from .merge import Reports
from .place import STACK_SIGNAL, home

BELOW_TESTS = re.compile(r'/(_pytest|pluggy|pytest)/|/mmpi/pytest_plugin/worker.py|"<frozen runpy>"')


class Rank:
    """What is known of one rank."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: int | None = None      # descriptor of its event file
        self.rest = b""                     # a line of it that is not complete yet
        self.pid: int | None = None
        self.here = False                   # on this host: the pid means something
        self.ready = self.ended = self.dead = False
        self.current: int | None = None     # the test it is in
        self.finished: set[int] = set()
        self.reports: dict[int, list[dict[str, Any]]] = {}

    def lines(self) -> list[bytes]:
        """The complete lines that are new in the event file."""
        if self.events is None:
            try:
                self.events = os.open(self.path, os.O_RDONLY)
            except FileNotFoundError:
                return []
        data = self.rest
        while piece := os.read(self.events, 1 << 16):
            data += piece
        *lines, self.rest = data.split(b"\n")
        return lines


class Job:
    """One job: its process, its ranks, and all that they have told."""

    def __init__(self, config: pytest.Config, folder: Path, items: Sequence[pytest.Item], size: int) -> None:
        self.config, self.folder, self.items, self.size = config, folder, list(items), size
        self.index = {item: index for index, item in enumerate(items)}
        self.ranks = [Rank(folder / f"{rank}.events") for rank in range(size)]
        self.process: launch.Job | None = None
        self.started = False                            # has any rank begun a test?
        self.last_event = time.monotonic()
        self.first_bad: dict[int, float] = {}           # test -> when its first failure came
        self.missing: dict[int, list[int]] = {}         # test -> ranks that do not have it
        self.broken: dict[int, str] = {}                # rank -> why it cannot run tests
        self.warnings: list[dict[str, Any]] = []
        self.exit: dict[str, Any] | None = None
        self.noted = 0                                  # how many ends of ranks we have looked at
        self.deaths: list[tuple[int, Any]] = []         # ranks that ended before their time, in order, with their ends

    def launch(self, argv: Sequence[str], env: dict[str, str], *, show: bool) -> None:
        """Start it, by the mpiexec that `mmpi run` would use; with `show` its output goes where pytest's goes, else to
        a file. Raises launch.LaunchError."""
        plan = launch.plan(argv, self.size)
        with open(os.devnull if show else self.folder / "log", "wb") as log:
            output = None if show else log
            self.process = launch.start(plan, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env)

    # ---- following ----

    def read(self) -> None:
        """Take in what the ranks have told since the last time."""
        for number, rank in enumerate(self.ranks):
            for line in rank.lines():
                self._take(number, rank, json.loads(line))
                self.last_event = time.monotonic()

    def _take(self, number: int, rank: Rank, event: dict[str, Any]) -> None:
        match event["event"]:
            case "hello":
                rank.pid, rank.here = event["pid"], event["home"] == home()
            case "ready":
                rank.ready = True
                for test in event["missing"]:
                    self.missing.setdefault(test, []).append(number)
            case "start":
                rank.current = event["test"]
                self.started = True
            case "report":
                rank.reports.setdefault(event["test"], []).append(event["report"])
                if event["bad"]:
                    self.first_bad.setdefault(event["test"], time.monotonic())
            case "finish":
                rank.current = None
                rank.finished.add(event["test"])
            case "warning":
                if event not in self.warnings:
                    self.warnings.append(event)
            case "broken":
                self.broken.setdefault(number, event["text"])
            case "exit":
                # A launcher that ends a job may interrupt its ranks; only an interrupt without that is the user's.
                if not (event["interrupt"] and (self.deaths or self.being_ended)):
                    self.exit = event
            case "end":
                rank.ended = True

    def wait(self, seconds: float) -> None:
        """Sleep, but note at once when a rank dies: the first one is the one to blame."""
        if self.process is not None:
            self.process.watch(seconds)
            self._note_deaths(self.process.ranks.ended)

    def _note_deaths(self, ended: Sequence[Any]) -> None:
        new, self.noted = ended[self.noted:], len(ended)
        if not new:
            return
        self.read()     # their last words
        dead = [(number, seen) for seen in new
                for number, rank in enumerate(self.ranks) if rank.here and rank.pid == seen.pid]
        # Several at once: those that say why go first.
        for number, seen in sorted(dead, key=lambda pair: not (pair[1].status or self.crash_stack(pair[0]))):
            self.ranks[number].dead = True
            if not self.ranks[number].ended:
                self.deaths.append((number, seen))

    @property
    def first_death(self) -> tuple[int, Any]:
        """The rank that died first, and how: as the ended job says, which knows who was only killed for it, else as seen."""
        cause = self.process.cause if self.process is not None else None
        return next((death for death in self.deaths if death[1] is cause), self.deaths[0])

    def complete(self, test: int) -> bool:
        """Have all ranks finished the test?"""
        return all(test in rank.finished for rank in self.ranks)

    @property
    def ready(self) -> bool:
        """Have all ranks collected their tests?"""
        return all(rank.ready for rank in self.ranks)

    @property
    def being_ended(self) -> bool:
        """Does the launcher end the job, because a rank has failed?"""
        return self.process is not None and self.process.ending is not None

    def poll(self) -> int | None:
        """The exit status of the job, None while it runs."""
        return self.process.poll() if self.process is not None else None

    def reports(self, test: int) -> Reports:
        """All that the ranks have reported on a test."""
        return {number: [self._report(data) for data in rank.reports[test]]
                for number, rank in enumerate(self.ranks) if test in rank.reports}

    def _report(self, data: dict[str, Any]) -> pytest.TestReport:
        # JSON knows no tuples; pytest insists on them here.
        for name in ("longrepr", "location"):
            if isinstance(data[name], list):
                data[name] = tuple(data[name])
        for name in ("sections", "user_properties"):
            data[name] = [tuple(pair) for pair in data[name]]
        report: pytest.TestReport = self.config.hook.pytest_report_from_serializable(config=self.config, data=data)
        return report

    def ranks_in(self, test: int) -> list[int]:
        """The ranks that are in the test."""
        return [number for number, rank in enumerate(self.ranks) if rank.current == test]

    # ---- what the files of the ranks say ----

    def crash_stack(self, number: int) -> str:
        """The Python stack that faulthandler wrote when a fatal signal hit the rank."""
        return _text(self.folder / f"{number}.crash").strip()

    def stacks(self) -> dict[int, str]:
        """Ask the living ranks of this host for their Python stacks, innermost line first."""
        asked = {}
        for number, rank in enumerate(self.ranks):
            path = self.folder / f"{number}.stack"
            if rank.pid is not None and rank.here and not rank.dead and self.poll() is None and path.exists():
                try:
                    os.kill(rank.pid, STACK_SIGNAL)
                except ProcessLookupError:
                    continue
                asked[number] = path
        texts = dict.fromkeys(asked, "")
        deadline = time.monotonic() + 2
        # A dump has no end mark: it is over when it has begun and grows no more.
        while time.monotonic() < deadline:
            time.sleep(0.05)
            before, texts = texts, {number: _text(path) for number, path in asked.items()}
            if texts == before and all(texts.values()):
                break
        return {number: shortened(text) if text else "did not answer (stopped?)" for number, text in texts.items()}

    def hang_report(self) -> list[str]:
        """What the flight records tell of a job that does not go on: what is wrong, and what each rank does in MPI."""
        from mmpi import hang

        ranks = hang.look(self.process.plan.directory) if self.process is not None and self.poll() is None else []
        return ["\n".join(hang.lines(ranks))] if hang.Job(ranks).wants else []

    def output(self, ranks: Sequence[int]) -> list[tuple[str, str]]:
        """The last output of ranks and of the job, as sections of a report."""
        sections = []
        for number in ranks:
            for stream, suffix in (("stdout", "out"), ("stderr", "err")):
                if text := tail(_text(self.folder / f"{number}.{suffix}")):
                    sections.append((f"Captured {stream} call (rank {number}, last lines)", text))
        if text := tail(_text(self.folder / "log")):
            sections.append(("Output of the job (last lines)", text))
        return sections

    def status_text(self) -> str:
        """How the job ended, in words."""
        status = self.poll()
        return "it was ended by pytest" if status is None else how(status)

    def go(self, test: int) -> None:
        """Let the ranks that failed the test go on."""
        (self.folder / f"go.{test}").touch()

    def end(self) -> None:
        """Make sure that nothing of the job is left."""
        if self.process is not None:
            self.process.kill()
        for rank in self.ranks:
            if rank.events is not None:
                os.close(rank.events)
                rank.events = None


def how(status: int) -> str:
    """An exit status in words; 128 + s is signal s, as in a shell."""
    if 128 < status < 128 + signal.NSIG:
        try:
            return f"signal {status - 128} ({signal.Signals(status - 128).name})"
        except ValueError:
            return f"signal {status - 128}"
    return f"exit status {status}"


def how_of(wait_status: int) -> str:
    """The end of one process in words."""
    code = os.waitstatus_to_exitcode(wait_status)
    return how(code if code >= 0 else 128 - code)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def tail(text: str, lines: int = 25) -> str:
    """The last lines of a text."""
    kept = text.rstrip().splitlines()
    return "\n".join((["..."] if len(kept) > lines else []) + kept[-lines:])


def shortened(stack: str) -> str:
    """A dump of Python stacks without the frames that every test has below it."""
    threads = []
    for thread in re.split(r"\n{2,}", stack.strip()):
        lines = [line for line in thread.splitlines() if line.startswith("  ")]
        own = [line for line in lines if not BELOW_TESTS.search(line)]
        threads.append([thread.partition("\n")[0], *(own or lines[:5])])
    # With one thread the line that names it says nothing.
    return "\n".join("\n".join(lines if len(threads) > 1 else lines[1:]) for lines in threads)
