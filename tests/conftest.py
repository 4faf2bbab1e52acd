# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of all tests, and a look at what the whole suite has left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmpi import job
from mmpi.launch import hydra
from mmpi.launch.folder import remove_leftovers

MARK = "MMPI_TEST_SUITE"  # in the environment of everything that the suite starts
SHARED_MEMORY = Path("/dev/shm")
OTHERS = (*hydra.LEFTOVERS, "/dev/shm/sm_segment.*")  # of MPI libraries; none of ours
PREFIX = "mmpi-tests-"
HYPOTHESIS = "hypothesis"  # where it notes what it knows of the modules: not into the user's folder


@pytest.fixture
def tag(request: pytest.FixtureRequest) -> int:
    """A tag of the test's own, the same on all ranks: what a failed test left behind is never received by another."""
    return zlib.crc32(request.node.nodeid.split("::", 1)[-1].encode()) % 30000 + 1


@pytest.fixture
def quiet_comm(mmpi_comm: Any) -> Iterator[Any]:
    """A communicator of the test's own, in which nothing must be left."""
    yield mmpi_comm
    mmpi_comm.Barrier()
    assert mmpi_comm.Iprobe() is False


@pytest.fixture
def threaded_comm(mmpi_comm: Any) -> Any:
    """A communicator of the test's own, for several threads."""
    from mmpi import MPI

    if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
        pytest.skip("needs THREAD_MULTIPLE")
    return mmpi_comm


@pytest.fixture
def truncation_is_told() -> None:
    """Skip where a receive that is too short goes unnoticed: Open MPI does not look at short messages to oneself."""
    from mmpi import MPI

    if MPI.get_vendor()[0] == "Open MPI" and MPI.COMM_WORLD.Get_size() == 1:
        pytest.skip("Open MPI does not tell that a message to oneself was cut off")


# --- what is left behind -------------------------------------------------------------------------------------------


class Leftovers:
    """Processes, shared memory and temporary files that outlive the suite."""

    def __init__(self) -> None:
        self.mark, self.began = uuid.uuid4().hex, time.time()
        self.remove_stale_folders()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self.old_folder = os.environ.get("TMPDIR")
        self.before = self.shared_memory()
        os.environ[MARK] = self.mark
        os.environ["TMPDIR"] = str(self.folder)
        os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(self.folder / HYPOTHESIS))

    @staticmethod
    def remove_stale_folders() -> None:
        """What suites that were killed could not remove."""
        for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}[0-9]*-*"):
            if not Path("/proc", path.name.removeprefix(PREFIX).partition("-")[0]).exists():
                shutil.rmtree(path, ignore_errors=True)

    def processes(self) -> list[str]:
        """Living processes with our mark, other than this one."""
        wanted, found = f"{MARK}={self.mark}".encode(), []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found.append(f"process {entry.name}: {command}")
            except OSError:  # gone, or not ours
                continue
        return found

    @staticmethod
    def shared_memory() -> set[Path]:
        """What stands in /dev/shm and is ours."""
        found = set()
        for path in SHARED_MEMORY.glob("*"):
            try:
                if path.lstat().st_uid == os.getuid():
                    found.add(path)
            except OSError:
                continue
        return found

    @staticmethod
    def in_use(path: Path) -> bool:
        """Does a living process have the file, or one in the folder, open or mapped? Then it is another job's."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if str(path) in (process / "maps").read_text(errors="replace"):
                    return True
                if any(os.readlink(link).startswith(str(path)) for link in (process / "fd").iterdir()):
                    return True
            except OSError:
                continue
        return False

    def files(self) -> list[str]:
        """Temporary files; empty folders of launchers do not count."""
        paths = self.folder.rglob("*")
        return [f"temporary file {path}" for path in paths if not path.is_dir() and HYPOTHESIS not in path.parts]

    def found(self) -> list[str]:
        """All that is left, in words."""
        memory = [f"shared memory {path} {content(path)}" for path in self.shared_memory() - self.before if not self.in_use(path)]
        return self.processes() + sorted(memory) + sorted(self.files())

    def remove_others(self) -> None:
        """Remove what an MPI library could not: tests kill processes that `mmpi run` did not start, and so does not tidy up."""
        job.sweep()  # as the next rank that starts would
        remove_leftovers(OTHERS, os.getuid(), self.began)

    def close(self) -> list[str]:
        """Give the last ones a moment to end; then tell what is left, and tidy up."""
        end = time.monotonic() + job.STARTING + 5
        while (found := self.found()) and time.monotonic() < end:
            time.sleep(0.1)
            self.remove_others()
        self.remove_others()
        os.environ.pop(MARK, None)
        os.environ.pop("TMPDIR", None)
        if self.old_folder is not None:
            os.environ["TMPDIR"] = self.old_folder
        shutil.rmtree(self.folder, ignore_errors=True)
        return found


def content(path: Path) -> str:
    """What lies in a folder."""
    try:
        return " ".join(sorted(os.listdir(path)))
    except OSError:
        return ""


LEFTOVERS = pytest.StashKey[Leftovers]()
FOUND = pytest.StashKey[list[str]]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember how it was; not in the ranks that the suite starts, nor where only names are collected."""
    if MARK in os.environ or session.config.option.collectonly:
        return
    session.config.stash[LEFTOVERS] = Leftovers()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the whole run if something is left."""
    leftovers = session.config.stash.get(LEFTOVERS, None)
    if leftovers is None:
        return
    session.config.stash[FOUND] = found = leftovers.close()
    # Shared memory may belong to a job that somebody else has just lost: only where the machine is ours it is certain.
    certain = [line for line in found if "MMPI_REQUIRE" in os.environ or not line.startswith("shared memory")]
    if certain and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name what is left."""
    found = config.stash.get(FOUND, [])
    if found:
        terminalreporter.section("left behind by the tests", red=True)
        for line in found:
            terminalreporter.line(line)
