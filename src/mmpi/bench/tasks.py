# SPDX-License-Identifier: BSD-3-Clause
"""What a task of a pool costs, with mpi4py.futures beside it: python -m mmpi.bench.tasks.

Each contender is a job of its own, `-m PACKAGE.futures` on 2 and 3 ranks; they take turns, so that what disturbs the
machine hits both, and the medians over the turns are compared.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from mmpi.bench.report import load_warning, machine, table

TARGET = 2.0  # times as good as mpi4py
CASES = {"map": "tasks/s, map", "submit": "tasks/s, submit", "round trip": "round trips/s"}


def worker() -> int:
    """One contender, as rank 0 of its job: print what it does in a second."""
    futures = importlib.import_module(f"{os.environ['MMPI_BENCH_PACKAGE']}.futures")
    with futures.MPIPoolExecutor() as executor:
        list(executor.map(bool, range(200)))
        rates: dict[str, float] = {}
        cases: dict[str, tuple[int, Callable[[int], object]]] = {
            "map": (2000, lambda n: list(executor.map(bool, range(n)))),
            "submit": (2000, lambda n: [future.result() for future in [executor.submit(bool) for _ in range(n)]]),
            "round trip": (400, lambda n: [executor.submit(bool).result() for _ in range(n)]),
        }
        for name, (n, run) in cases.items():
            began = time.perf_counter()
            run(n)
            rates[name] = n / (time.perf_counter() - began)
    print(json.dumps(rates))
    return 0


def _measure(package: str, ranks: int) -> dict[str, float]:
    environment = os.environ | {"MMPI_BENCH_PACKAGE": package}
    words = [sys.executable, "-m", "mmpi", "run", "-n", str(ranks), "-m", f"{package}.futures", "-m", "mmpi.bench.tasks"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> int:
    """Measure, print a table; 0 if all targets were met."""
    parser = argparse.ArgumentParser(prog="python -m mmpi.bench.tasks", description=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 3])
    options = parser.parse_args()
    described = machine()
    rows, missed = [["case", "mmpi", "mpi4py", "ratio", "target", ""]], 0
    for ranks in options.ranks:
        turns = [(_measure("mmpi", ranks), _measure("mpi4py", ranks)) for _ in range(options.turns)]
        for name, title in CASES.items():
            ours, theirs = (statistics.median(turn[i][name] for turn in turns) for i in (0, 1))
            met = ours >= TARGET * theirs
            missed += not met
            label = f"{title}, {ranks - 1} worker{'s' if ranks > 2 else ''}"
            rows.append([label, f"{ours:.0f}", f"{theirs:.0f}", f"{ours / theirs:.2f}", f">= {TARGET:g}", "OK" if met else "MISSED"])
    print(table(rows))
    if warning := load_warning(described, max(options.ranks)):
        print(warning)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(worker() if "MMPI_BENCH_PACKAGE" in os.environ else main())
