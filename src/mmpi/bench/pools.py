# SPDX-License-Identifier: BSD-3-Clause
"""The pools of the suite: one process that has workers, of any kind that offers a parallel map."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from mmpi.bench.measure import Case
from mmpi.bench.programs import program_cases
from mmpi.bench.summary import ALONE as ONE


def installed(module: str) -> bool:
    """Is there such a module, or package?"""
    try:
        return find_spec(module) is not None
    except ImportError:
        return False


def _pool(method: str) -> Callable[[int], tuple[Any, Callable[[], object]]]:
    def start(n: int) -> tuple[Any, Callable[[], object]]:
        pool = import_module("multiprocessing").get_context(method).Pool(n)
        return pool.map, pool.terminate

    return start


def _executor(module: str, kind: str) -> Callable[[int], tuple[Any, Callable[[], object]]]:
    def start(n: int) -> tuple[Any, Callable[[], object]]:
        executor = getattr(import_module(module), kind)(n)
        return executor.map, executor.shutdown

    return start


def _ipyparallel(n: int) -> tuple[Any, Callable[[], object]]:
    cluster = import_module("ipyparallel").Cluster(n=n)
    client = cluster.start_and_connect_sync()
    return client.load_balanced_view().map_sync, cluster.stop_cluster_sync


# Each returns a map, and what ends its workers.
POOLS: dict[str, Callable[[int], tuple[Any, Callable[[], object]]]] = {
    ONE: lambda n: (map, lambda: None),
    "Pool (fork)": _pool("fork"),
    "Pool (forkserver)": _pool("forkserver"),
    "concurrent.futures": _executor("concurrent.futures", "ProcessPoolExecutor"),
    "mpi4py.futures": _executor("mpi4py.futures", "MPIPoolExecutor"),
    "mmpi.futures": _executor("mmpi.futures", "MPIPoolExecutor"),
    "ipyparallel": _ipyparallel,
}
EXTRA = ("mpi4py.futures", "mmpi.futures", "ipyparallel")  # modules that may be missing
JOBS = ("mpi4py.futures", "mmpi.futures")  # their workers are the ranks of a job


class Side:
    """The process that has the workers; they start with the first program and serve all that follow."""

    rank, size = 0, 1

    def __init__(self, name: str, workers: int) -> None:
        self.name, self.workers = name, workers
        self.map: Any = None
        self.stop: Callable[[], object] = lambda: None

    def line_up(self) -> None:
        """There is no one to wait for."""

    def build(self, name: str, *arguments: Any) -> list[Case]:
        """The program as users of pools write it."""
        if name != "program":
            return []
        program, quick = arguments
        if self.map is None:
            self.map, self.stop = POOLS[self.name](self.workers)
        form, more = ("serial", ()) if self.name == ONE else ("pool", (self.map,))
        return program_cases(program, quick, [(self.name, form, more)], leader=True)

    def close(self) -> None:
        """The case is over."""

    def end(self) -> None:
        """The last case is over."""
        self.stop()
