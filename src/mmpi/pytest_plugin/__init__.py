# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) the MaroonMPI authors
"""pytest plugin: tests on n processes, by `@pytest.mark.mmpi(n=[1, 2, 4], timeout=60)`.

Three roles. The controller is the pytest that the user started: it collects as ever and hands tests with the marker
to jobs, one a module and n, or one an n (controller.py). A worker is one rank of such a job (worker.py). A guest is a pytest that
the user started under mpiexec himself: its tests run where they are. None of them loads MPI by itself. This file is
read in every pytest run of everyone who has the package installed: it imports nothing that pytest has not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from mmpi import rc

from . import marks

if TYPE_CHECKING:
    from .worker import Worker

WORKER_VARIABLE = "MMPI_PYTEST_WORKER"
_WORKER_KEY: pytest.StashKey[Worker] = pytest.StashKey()
_SETTINGS_KEY: pytest.StashKey[marks.Settings] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and ini settings, all named mmpi."""
    group = parser.getgroup("mmpi", "tests on several MPI processes")
    group.addoption("--mmpi-n", metavar="N,N", help="run mmpi tests on these numbers of processes only")
    group.addoption("--mmpi-timeout", metavar="S", help="seconds for an mmpi test without a limit (0: no limits)")
    parser.addini("mmpi_n", "numbers of processes of a bare mmpi marker", default="2")
    parser.addini("mmpi_timeout", "seconds for an mmpi test without a limit (0: none)", default="60")
    parser.addini("mmpi_share", "whose tests with the same n share a job: those of a module, or all of the session",
                  default="module")
    parser.addini("mmpi_grace", "seconds given to the other ranks once one rank has failed a test", default="10")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Become a worker before anything is configured, where a controller says so."""
    folder = os.environ.pop(WORKER_VARIABLE, None)      # popped: a pytest that a test starts is no worker
    if folder is not None:
        from .worker import Worker
        config.stash[_WORKER_KEY] = Worker(config, folder)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and the object that plays our role."""
    config.addinivalue_line("markers", "mmpi(n=[1, 2, 4], timeout=60): run the test on n MPI processes, once for "
                            "each n; timeout in seconds.")
    config.stash[_SETTINGS_KEY] = marks.settings_of(config)
    if "MMPI_RC_ABORT" not in os.environ:
        rc.abort = False    # here pytest deals with exceptions, and its exit status is no reason to end a job
    if _WORKER_KEY in config.stash:
        config.pluginmanager.register(config.stash[_WORKER_KEY], "mmpi-worker")


def _controls(config: pytest.Config) -> bool:
    """Do marked tests go to jobs of their own from here?"""
    return _WORKER_KEY not in config.stash and _launched_size() is None


def _launched_size() -> int | None:
    """The size of the job that we are a rank of, as the launcher's environment tells it."""
    for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE"):
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return None


def _job_size(config: pytest.Config) -> int:
    worker = config.stash.get(_WORKER_KEY, None)
    return worker.size if worker is not None else _launched_size() or 1


# ---- collection: one item for each n ----

@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize a marked function by n; first of all parametrizations, so that ids begin with it: [n=2-f8]."""
    spec = _spec_or_fail(metafunc.definition)
    if spec is None:
        return
    worker = metafunc.config.stash.get(_WORKER_KEY, None)
    sizes = spec.sizes if worker is None else [size for size in spec.sizes if size == worker.size]
    if marks.ID_PARAMETER not in metafunc.fixturenames:
        metafunc.fixturenames.append(marks.ID_PARAMETER)
    # Scope "module" lets pytest itself bring the tests of a module that have the same n together.
    metafunc.parametrize(marks.ID_PARAMETER, sizes, ids=[f"n={size}" for size in sizes], scope="module")


def _spec_or_fail(node: Any) -> marks.Spec | None:
    try:
        return marks.spec_of(node, node.config.stash[_SETTINGS_KEY].default_sizes)
    except ValueError as error:
        pytest.fail(f"{node.nodeid}: {error}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport,
                                                                         pytest.CollectReport]:
    """Repeat the methods of a unittest.TestCase for each n: pytest does not parametrize them."""
    report = yield
    if not _controls(collector.config) or not _is_test_case(collector):
        return report
    items: list[Any] = []
    try:
        for item in report.result:
            assert isinstance(item, pytest.Item)
            spec = marks.spec_of(item, collector.config.stash[_SETTINGS_KEY].default_sizes)
            items += [item] if spec is None else [_twin(item, size) for size in spec.sizes]
    except ValueError as error:
        return pytest.CollectReport(collector.nodeid, "failed", f"{item.nodeid}: {error}", [])
    report.result = items
    return report


def _is_test_case(collector: pytest.Collector) -> bool:
    unittest = sys.modules.get("unittest")
    return unittest is not None and isinstance(collector, pytest.Class) and issubclass(collector.obj, unittest.TestCase)


class Twin(pytest.Item):
    """Stands for a method of a TestCase on n processes. It is never run: the ranks run the method itself."""

    def __init__(self, *, original: pytest.Item, size: int, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.original = original
        self.own_markers += original.own_markers
        self.keywords.update(original.keywords)
        self.stash[marks.N_KEY] = size
        self.stash[marks.ORIGINAL_KEY] = original.nodeid

    def __getattr__(self, name: str) -> Any:
        """Whatever plugins and conftest files like to know of a test: function, cls, fixturenames, ..."""
        return getattr(self.__dict__["original"], name)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Where it stands."""
        path, line, where = self.original.reportinfo()
        return path, line, where + self.name[len(self.original.name):]

    def runtest(self) -> None:
        """Only reached if another plugin runs our tests."""
        raise RuntimeError("a test marked mmpi must be run by mmpi.pytest_plugin")


def _twin(item: pytest.Item, size: int) -> Twin:
    assert item.parent is not None
    # With brackets in the name alone, pytest 9 would not know them as parameters.
    return Twin.from_parent(item.parent, name=f"{item.name}[n={size}]", nodeid=f"{item.nodeid}[n={size}]",
                            original=item, size=size)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Bring the controller in where there is something for it to do."""
    if _controls(config) and any(item.get_closest_marker("mmpi") for item in items):
        from .controller import Controller
        controller = Controller(config, config.stash[_SETTINGS_KEY])
        config.pluginmanager.register(controller, "mmpi-controller")
        controller.prepare(items)


# ---- a guest: pytest under somebody's mpiexec ----

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs another number of processes, where the user has started the ranks."""
    config = item.config
    if _controls(config) or _WORKER_KEY in config.stash:
        return
    spec = marks.spec_of(item, config.stash[_SETTINGS_KEY].default_sizes)
    if spec is not None:
        callspec = getattr(item, "callspec", None)
        sizes = spec.sizes if callspec is None else (callspec.params[marks.ID_PARAMETER],)
        if _job_size(config) not in sizes:
            pytest.skip(f"for {', '.join(map(str, sizes))} processes; this job has {_job_size(config)}")


# ---- fixtures ----

@pytest.fixture(scope="session")
def mmpi_n(request: pytest.FixtureRequest) -> int:
    """The number of processes that the test runs on."""
    return _job_size(request.config)


@pytest.fixture
def mmpi_comm(request: pytest.FixtureRequest) -> Generator[Any, None, None]:
    """A fresh duplicate of COMM_WORLD, freed after the test."""
    from mmpi import MPI
    comm = MPI.COMM_WORLD.Dup()
    yield comm
    # Free is collective: after a failure the other ranks may be elsewhere, and the job is about to end anyway.
    worker = request.config.stash.get(_WORKER_KEY, None)
    if (worker is None or not worker.failed_now) and comm != MPI.COMM_NULL:
        comm.Free()
