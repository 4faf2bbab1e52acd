# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) the MaroonMPI authors
"""One rank of a job: runs the tests it is given and writes what happens to a file of its own.

The folder that the controller made holds job.json (what to run), options (the controller's options, pickled) and, for
rank r, r.events (JSON lines), r.stack (Python stacks on request), r.crash (Python stack at a fatal signal), r.out and
r.err (the output since the last report). Files, not MPI: they work when MPI hangs.
"""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import sys
import time
import warnings
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter

from .merge import failed
from .place import STACK_SIGNAL, home

RANK_VARIABLES = ("MMPI_RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")


def _rank() -> int:
    for name in RANK_VARIABLES:
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    raise pytest.UsageError(f"cannot tell the rank: the launcher set none of {', '.join(RANK_VARIABLES)}")


class Worker:
    """The plugin object of a rank."""

    def __init__(self, config: pytest.Config, folder: str) -> None:
        self.config = config
        self.folder = Path(folder)
        job = json.loads((self.folder / "job.json").read_text())
        self.size: int = job["size"]
        self.controller: int = job["controller"]
        self.index = {nodeid: index for index, nodeid in enumerate(job["tests"])}
        self.rank = _rank()
        self.failed_now = False
        self.capture = _Capture(self._path("out"), self._path("err")) if job["capture"] else None
        self.events = os.open(self._path("events"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.tell("hello", pid=os.getpid(), home=home())
        # Any time from now on the controller may ask where we are; faulthandler answers even inside a C call.
        self.stack = open(self._path("stack"), "w")
        faulthandler.register(STACK_SIGNAL, file=self.stack, all_threads=True, chain=False)
        for name, value in pickle.loads((self.folder / "options").read_bytes()).items():
            try:
                setattr(config.option, name, pickle.loads(value))
            except Exception as error:
                raise pytest.UsageError(f"option {name} does not travel to the ranks: {error}") from error
        config.option.basetemp = str(self.folder / f"{self.rank}.tmp")

    def pytest_configure(self, config: pytest.Config) -> None:
        """Hush: the controller's terminal shows all. But pytest 8 cannot explain an assertion without a reporter."""
        config.pluginmanager.unregister(name="terminalreporter")
        config.pluginmanager.register(TerminalReporter(config, open(os.devnull, "w")), "terminalreporter")

    def _path(self, suffix: str) -> Path:
        return self.folder / f"{self.rank}.{suffix}"

    def tell(self, event: str, **fields: Any) -> None:
        """Append one event to our file, in one write."""
        os.write(self.events, (json.dumps({"event": event, **fields}, default=str) + "\n").encode())

    # ---- collection ----

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Tell of an import that fails here, and else that we go on."""
        if report.failed:
            self.tell("broken", text=report.longreprtext)
        else:
            self.tell("collected")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the tests of this job, in the controller's order."""
        items[:] = sorted((item for item in items if item.nodeid in self.index),
                          key=lambda item: self.index[item.nodeid])
        missing = self.index.keys() - {item.nodeid for item in items}
        self.tell("ready", missing=sorted(self.index[nodeid] for nodeid in missing))

    # ---- running ----

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Point fatal signals at our file; pytest's own plugin has pointed them at stderr when it was configured."""
        self.crash = open(self._path("crash"), "w")
        faulthandler.enable(file=self.crash, all_threads=True)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self.failed_now = False
        if self.capture is not None:
            self.capture.take()     # what came between tests belongs to none
        self.tell("start", test=self.index[nodeid])

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        with self._captured(item, "setup"):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        with self._captured(item, "call"):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        with self._captured(item, "teardown"):
            return (yield)

    @contextmanager
    def _captured(self, item: pytest.Item, when: str) -> Iterator[None]:
        try:
            yield
        finally:
            if self.capture is not None:
                for stream, text in self.capture.take().items():
                    item.add_report_section(when, stream, text)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Pass a report on."""
        index = self.index[report.nodeid]
        if failed(report) and not self.failed_now:
            self.failed_now = True
            (self.folder / f"bad.{index}").touch()
        data = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
        self.tell("report", test=index, bad=failed(report), report=data)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """A test is over. If it failed on any rank, wait for the controller's word: the next test must not meet ranks
        that are still in this one."""
        index = self.index[nodeid]
        self.tell("finish", test=index)
        if (self.folder / f"bad.{index}").exists():
            while not (self.folder / f"go.{index}").exists():
                if not self._controller_lives():
                    os._exit(1)
                time.sleep(0.01)

    def _controller_lives(self) -> bool:
        try:
            os.kill(self.controller, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage, when: str, nodeid: str,
                                location: tuple[str, int, str] | None) -> None:
        """Pass on the warnings of tests; those of collection the controller has met itself."""
        if when == "runtest" and nodeid in self.index:
            self.tell("warning", test=self.index[nodeid], category=warning_message.category.__name__,
                      message=str(warning_message.message), filename=warning_message.filename,
                      lineno=warning_message.lineno, location=location)

    # ---- the end ----

    def pytest_internalerror(self, excrepr: Any) -> None:
        """pytest itself, or a hook of the user's, broke."""
        self.tell("broken", text=str(excrepr))

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """pytest.exit() or an interrupt: the controller does the same."""
        if excinfo.errisinstance(pytest.Session.Interrupted):
            return      # pytest's own way to stop after a collection that failed
        self.tell("exit", reason=str(excinfo.value), returncode=getattr(excinfo.value, "returncode", None),
                  interrupt=excinfo.errisinstance(KeyboardInterrupt))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Failed tests are reported; an exit status for them would make the launcher end the other ranks."""
        if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.OK
            self.tell("end")
        if self.capture is not None:
            self.capture.stop()


class _Capture:
    """Output of the rank goes to two files; pytest's own capture would lose it with the process."""

    def __init__(self, out: Path, err: Path) -> None:
        self.paths = {"stdout": out, "stderr": err}
        self.streams: dict[str, tuple[int, int, int]] = {}
        for number, (name, path) in enumerate(self.paths.items(), 1):
            # O_APPEND: the next write after a truncation begins at 0.
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self.streams[name] = (number, os.dup(number), file)
            os.dup2(file, number)

    def take(self) -> dict[str, str]:
        """Return what was written since the last call, by stream, and forget it."""
        sys.stdout.flush()
        sys.stderr.flush()
        texts = {}
        for name, (_, _, file) in self.streams.items():
            if (length := os.fstat(file).st_size) > 0:
                texts[name] = os.pread(file, length, 0).decode(errors="replace")
                os.ftruncate(file, 0)
        return texts

    def stop(self) -> None:
        """Let output go where it went before."""
        sys.stdout.flush()
        sys.stderr.flush()
        for number, before, file in self.streams.values():
            os.dup2(before, number)
            os.close(before)
            os.close(file)
