# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) the MaroonMPI authors
"""The pytest that the user started: gives tests with the mmpi marker to jobs and shows what their ranks report.

Consecutive tests of one module and one n share a job; with mmpi_share = session those of all modules. The job ends early when it
crashes, hangs, or when its ranks no longer agree (a failure on some of them: the messages of the next test could meet leftovers of
this one); what it has not run then goes to a fresh one. Each end of that kind decides at least one test, so the last job comes.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from . import marks, merge

if TYPE_CHECKING:
    from .job import Job

LIMIT_KEY = pytest.StashKey[float]()
TICK = 0.01     # seconds between looks at the event files

# Options of the user that the ranks do not get: they choose tests, write files, or belong to the controller's terminal.
# What has an effect before our worker can set options travels on the command line (_argv).
WITHHELD = {
    "assertmode", "basetemp", "cacheclear", "cacheshow", "capture", "collectonly", "confcutdir", "debug", "deselect",
    "dist", "distload", "failedfirst", "file_or_dir", "help", "importmode", "inifilename", "junitprefix", "keyword",
    "last_failed_no_failures", "lf", "log_file", "looponfail", "markexpr", "maxfail", "maxprocesses", "newfirst",
    "noconftest", "numprocesses", "override_ini", "pastebin", "plugins", "report_log", "reruns", "rootdir", "setuponly",
    "setupplan", "setupshow", "stepwise", "stepwise_reset", "stepwise_skip", "trace", "tx", "usepdb", "usepdb_cls",
    "version", "xmlpath"}
WITHHELD_PREFIXES = ("cov", "html", "json_report", "allure", "benchmark", "testmon")


class Controller:
    """The plugin object of the controlling pytest."""

    def __init__(self, config: pytest.Config, settings: marks.Settings) -> None:
        self.config, self.settings = config, settings
        self.folder: Path | None = None
        self.jobs = 0
        self.job: Job | None = None
        self.decided: dict[pytest.Item, list[pytest.TestReport]] = {}

    # ---- which tests ----

    def prepare(self, items: list[pytest.Item]) -> None:
        """Note n and time limit of each marked test, leave out what --mmpi-n leaves out, bring equal n together."""
        kept: list[pytest.Item] = []
        left_out: list[pytest.Item] = []
        for item in items:
            (kept if self._prepare(item) else left_out).append(item)
        if left_out:
            self.config.hook.pytest_deselected(items=left_out)
        shared = self.settings.shared
        items[:] = [item for _, run in groupby(kept, key=lambda item: shared or item.path) for item in _by_size(list(run))]

    def _prepare(self, item: pytest.Item) -> bool:
        try:
            spec = marks.spec_of(item, self.settings.default_sizes)
        except ValueError as error:
            raise pytest.UsageError(f"{item.nodeid}: {error}") from None
        if spec is None:
            return True
        callspec = getattr(item, "callspec", None)
        if callspec is not None and marks.ID_PARAMETER in callspec.params:
            item.stash[marks.N_KEY] = callspec.params[marks.ID_PARAMETER]
        elif marks.N_KEY not in item.stash:
            if len(spec.sizes) > 1:
                raise pytest.UsageError(f"{item.nodeid}: the marker mmpi came after collection; it can then have one n "
                                        f"only, not {list(spec.sizes)}")
            item.stash[marks.N_KEY] = spec.sizes[0]
        limit = self.settings.limit if spec.timeout is None else spec.timeout
        item.stash[LIMIT_KEY] = 0 if self.settings.unlimited else limit
        return self.settings.only is None or item.stash[marks.N_KEY] in self.settings.only

    # ---- running ----

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run a marked test in its job; all others are not ours."""
        if marks.N_KEY not in item.stash:
            return None
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        try:
            reports = self._reports(item)
        except pytest.fail.Exception as error:      # pytest-timeout raises it in whatever runs when time is over
            self._end_job()
            reports = merge.made(item, str(error))
        for report in [*reports, *self._leave_local_fixtures(item, nextitem)]:
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _leave_local_fixtures(self, item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[pytest.TestReport]:
        """Tear down what unmarked tests before have set up in this process and the next test does not need.

        pytest does it in the teardown of each test, which a test that runs elsewhere has none of here.
        """
        state = item.session._setupstate
        reraise = (pytest.exit.Exception, KeyboardInterrupt)
        call = pytest.CallInfo.from_call(lambda: state.teardown_exact(nextitem), when="teardown", reraise=reraise)
        if call.excinfo is not None:
            yield pytest.TestReport.from_item_and_call(item, call)

    def _reports(self, item: pytest.Item) -> list[pytest.TestReport]:
        while item not in self.decided:
            if self.job is not None and item not in self.job.index:
                self._end_job()
            job = self.job = self.job or self._start_job(self._share(item))
            if job is not None:
                self._follow(job, item)
        return self.decided.pop(item)

    def _share(self, item: pytest.Item) -> list[pytest.Item]:
        """The tests that run in one job with this one, which is the first: those after it with its n and,
        unless modules share jobs, its module."""
        if hasattr(self.config, "workerinput"):
            return [item]       # pytest-xdist gives out tests one by one
        items = item.session.items
        same = [item]
        for other in items[items.index(item) + 1:]:
            if other.stash.get(marks.N_KEY, None) != item.stash[marks.N_KEY] or not (self.settings.shared or other.path == item.path):
                break
            if other not in self.decided:
                same.append(other)
        return same

    def _follow(self, job: Job, item: pytest.Item) -> None:
        """Watch the job until the test is decided or the job has ended."""
        from .trouble import Watch
        test = job.index[item]
        watch = Watch(job, test, item.stash[LIMIT_KEY], self.settings)
        while True:
            job.read()
            if job.exit is not None:
                self._leave(job.exit)
            if job.complete(test):
                return self._complete(job, item)
            decisions = watch.trouble()
            if decisions:
                self.decided.update(decisions)
                return self._end_job()
            job.wait(TICK)

    def _complete(self, job: Job, item: pytest.Item) -> None:
        test = job.index[item]
        reports = job.reports(test)
        self.decided[item] = merge.merge(item, reports, job.size)
        bad = test in job.first_bad
        if bad and not merge.alike(reports):
            self._end_job()     # the ranks disagree: the next test must not meet what is left of this one
        elif bad:
            job.go(test)
        if self.job is not None and test == len(job.items) - 1:
            self._last(job, item, bad)

    def _last(self, job: Job, item: pytest.Item, bad: bool) -> None:
        """See the job out. What goes wrong after the last test is shown as an error of its teardown."""
        limit = item.stash[LIMIT_KEY]
        patience = min(limit or self.settings.grace, self.settings.grace) if bad else limit
        start = time.monotonic()
        while job.poll() is None and (not patience or time.monotonic() < start + patience):
            job.read()
            job.wait(TICK)
        if job.poll() != 0 and not bad:
            from .trouble import after_last
            self.decided[item][-1:] = after_last(job, item, patience)
        self._end_job()

    def _show_warnings(self, job: Job) -> None:
        for event in job.warnings:
            # Only the name of the category is printed; its class may not even exist in this process.
            category = type(event["category"], (Warning,), {})
            record = warnings.WarningMessage(category(event["message"]), category, event["filename"], event["lineno"])
            self.config.hook.pytest_warning_recorded.call_historic(kwargs={
                "warning_message": record, "when": "runtest", "nodeid": job.items[event["test"]].nodeid,
                "location": tuple(event["location"]) if event["location"] else None})

    def _leave(self, event: dict[str, Any]) -> NoReturn:
        """A rank called pytest.exit() or was interrupted: so are we."""
        self._end_job()
        if event["interrupt"]:
            raise KeyboardInterrupt
        pytest.exit(event["reason"], event["returncode"])

    # ---- jobs ----

    def _start_job(self, items: list[pytest.Item]) -> Job | None:
        from mmpi.launch import LaunchError

        from .job import Job
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="mmpi-pytest-"))
            if _untouched(signal.SIGTERM):
                signal.signal(signal.SIGTERM, _leave_session)
        self.jobs += 1
        folder = self.folder / str(self.jobs)
        folder.mkdir()
        show = self.config.getoption("capture") in ("no", "tee-sys")
        job = Job(self.config, folder, items, items[0].stash[marks.N_KEY])
        tests = [item.stash.get(marks.ORIGINAL_KEY, item.nodeid) for item in items]
        (folder / "job.json").write_text(json.dumps(
            {"size": job.size, "controller": os.getpid(), "tests": tests, "capture": not show}))
        (folder / "options").write_bytes(pickle.dumps(_travelling_options(self.config)))
        try:
            job.launch(self._argv(list(dict.fromkeys(item.path for item in items)), folder, show), _environment(folder), show=show)
        except LaunchError as error:
            text = f"the job cannot be started: {error}" + (f" ({error.hint})" if error.hint else "")
            self.decided.update({item: merge.made(item, text, "setup") for item in items})
            return None
        return job

    def _argv(self, modules: list[Path], folder: Path, show: bool) -> list[str]:
        """The command line of a rank: what acts before our worker can set options, and the modules."""
        config, option = self.config, self.config.option
        # Under "python -m pytest" the current folder is importable, under "pytest" it is not.
        here = {"", str(Path.cwd()), str(config.invocation_params.dir)} & set(sys.path)
        argv = [sys.executable, *([] if here else ["-P"]), *([] if show else ["-u"]), "-m", "pytest", "-o", "addopts="]
        for plugin in option.plugins:
            argv += ["-p", plugin]
        if (name := config.pluginmanager.get_name(sys.modules[__package__])) not in option.plugins:
            argv += ["-p", str(name)]
        for override in option.override_ini or []:
            argv += ["-o", override]
        if config.pluginmanager.has_plugin("cacheprovider"):
            argv += ["-o", f"cache_dir={folder / 'cache'}"]
        if config.pluginmanager.has_plugin("logging-plugin"):
            argv += ["-o", "log_file="]
        argv += ["--rootdir", str(config.rootpath), "--import-mode", option.importmode, "--assert", option.assertmode]
        argv += ["-c", str(config.inipath)] if config.inipath else ["-c", os.devnull]
        if option.confcutdir:
            argv += ["--confcutdir", str(option.confcutdir)]
        if option.noconftest:
            argv += ["--noconftest"]
        return [*argv, "--capture=no", *map(str, modules)]

    def _end_job(self) -> None:
        job, self.job = self.job, None
        if job is not None:
            job.read()
            job.end()
            self._show_warnings(job)
            shutil.rmtree(job.folder, ignore_errors=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Leave nothing behind, also after -x, an interrupt or an error."""
        self._end_job()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None
            if signal.getsignal(signal.SIGTERM) == _leave_session:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _untouched(number: int) -> bool:
    return threading.current_thread() is threading.main_thread() and signal.getsignal(number) == signal.SIG_DFL


def _leave_session(number: int, frame: Any) -> None:
    """SIGTERM while there are jobs: end the session and them, not this process on the spot."""
    pytest.exit(signal.Signals(number).name, returncode=128 + number)


def _by_size(items: list[pytest.Item]) -> list[pytest.Item]:
    """Bring the tests of a module with the same n together, in the order in which each n comes first."""
    groups: dict[int | None, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(item.stash.get(marks.N_KEY, None), []).append(item)
    return [item for group in groups.values() for item in group]


def _travelling_options(config: pytest.Config) -> dict[str, bytes]:
    """The user's options that the ranks get, each pickled by itself: a value may need a module they do not have."""
    options = {}
    for name, value in vars(config.option).items():
        if name not in WITHHELD and not name.startswith(WITHHELD_PREFIXES):
            try:
                options[name] = pickle.dumps(value)
            except Exception:
                continue    # no plain value, so not from the command line
    return options


def _environment(folder: Path) -> dict[str, str]:
    from . import WORKER_VARIABLE
    env = {**os.environ, WORKER_VARIABLE: str(folder)}
    # Our addopts are in the options that travel; those that must not travel must not come back this way.
    env.pop("PYTEST_ADDOPTS", None)
    env.pop("PYTEST_CURRENT_TEST", None)
    return env
