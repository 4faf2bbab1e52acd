# SPDX-License-Identifier: BSD-3-Clause
"""What starting costs, with targets: importing mmpi, opening the library, init() over MPI_Init, and a job of four ranks.

python -m mmpi.bench.starting [--json FILE] [--repeat N]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mmpi.bench import startup
from mmpi.bench.crowded import library_of
from mmpi.bench.measure import Case, Result, measure
from mmpi.bench.objects import Outcome, conclusion
from mmpi.bench.report import load_warning, machine, table, to_json
from mmpi.bench.teams import Clock

IMPORT, INIT = "import, from inside", "from import to a running MPI"
TIMED = "import time; start = time.perf_counter_ns(); {}; print(time.perf_counter_ns() - start{})"
LOADED = "import mmpi; from mmpi import library; "
PROFILED = 'import ctypes, mmpi; mmpi.profile("{tool}"); from mmpi import library; library.load(); tool = ctypes.CDLL("{tool}"); '
CODES = {
    IMPORT: {"nothing": TIMED.format("pass", ""), "mmpi": TIMED.format("import mmpi", "")},
    INIT: {
        "open the library": LOADED + TIMED.format("library.load()", ""),
        "init() but MPI_Init_thread": PROFILED + TIMED.format("mmpi.init()", ' - ctypes.c_long.in_dll(tool, "took").value'),
    },
}
# What MPI_Init_thread takes varies by more than all that init() does besides: so both are timed in the same call.
TOOL = """
#include <time.h>
int PMPI_Init_thread(int *, char ***, int, int *);
long took;                              /* nanoseconds */
int MPI_Init_thread(int *argc, char ***argv, int level, int *provided)
{
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    int rc = PMPI_Init_thread(argc, argv, level, provided);
    clock_gettime(CLOCK_MONOTONIC, &end);
    took = (end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec - start.tv_nsec;
    return rc;
}
"""
MILLISECOND = 1e6
IMPORT_LIMIT, OPENS_LIMIT, INIT_LIMIT, HELLO_LIMIT = 5.0, 60, 1.0, 0.8  # ms, files, ms, seconds


def compile_tool(folder: str) -> str:
    """The library that times MPI_Init_thread."""
    tool = str(Path(folder, "libtook.so"))
    compiler = [os.environ.get("CC") or "cc", "-O2", "-fPIC", "-shared", "-x", "c", "-", "-o", tool]
    subprocess.run(compiler, input=TOOL, text=True, check=True)
    return tool


def inside(case: str, tool: str, repeat: int) -> Result:
    """Processes by turns, each of which says how long its part took."""
    clock = Clock()
    codes = {name: code.replace("{tool}", tool) for name, code in CODES[case].items()}
    contenders = [clock.contender(name, partial(_took, code)) for name, code in codes.items()]
    return measure(Case(case, contenders), repeat=repeat, clock=clock, single=True)


def _took(code: str, n: int) -> int:
    return sum(int(startup.output([sys.executable, "-c", code]).split()[-1]) for _ in range(n))


def files_opened(code: str) -> int | None:
    """How many files a Python program opens; None without strace."""
    strace = shutil.which("strace")
    if not strace:
        return None
    with tempfile.NamedTemporaryFile("r") as file:
        command = [strace, "-f", "-qq", "-e", "trace=open,openat", "-o", file.name, sys.executable, "-c", code]
        if subprocess.run(command, capture_output=True).returncode:
            return None  # not allowed to trace
        return sum("open" in line for line in file)


def outcomes(results: dict[str, Result], library: str) -> list[Outcome]:
    """The rows with their targets."""
    above = results[IMPORT].extra("mmpi", "nothing")
    rows = [Outcome("import mmpi", "ms over bare Python", above.median / MILLISECOND, above.spread / MILLISECOND, IMPORT_LIMIT)]
    bare, ours = files_opened("pass"), files_opened("import mmpi")
    counted = None if bare is None or ours is None else ours - bare
    rows.append(Outcome("import mmpi", "files opened over bare Python", counted, 0.0, OPENS_LIMIT, note="" if counted else "needs strace"))
    opened, extra = (results[INIT].time(name) for name in CODES[INIT])
    rows.append(Outcome("open the library", "ms", opened.median / MILLISECOND, opened.spread / MILLISECOND, None))
    rows.append(Outcome("mmpi.init()", "ms over MPI_Init_thread", extra.median / MILLISECOND, extra.spread / MILLISECOND, INIT_LIMIT))
    return rows + hello(results[startup.START], "Open MPI" in library)


def hello(result: Result, openmpi: bool) -> list[Outcome]:
    """How much sooner a job of ours has ended than one of mpi4py; the target is for Open MPI."""
    limit = HELLO_LIMIT if openmpi else None
    rows = []
    for name in ("mmpi, mmpi run", "mmpi, mpiexec"):
        if "mpi4py, mpiexec" not in result.timings:
            rows.append(Outcome(f"hello of {name}", "s sooner than mpi4py", None, None, limit, True, "needs mpi4py"))
            continue
        sooner = result.extra("mpi4py, mpiexec", name)
        rows.append(Outcome(f"hello of {name}", "s sooner than mpi4py", sooner.median / 1e9, sooner.spread / 1e9, limit, True))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m mmpi.bench.starting", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all samples and the machine")
    parser.add_argument("--repeat", metavar="N", type=int, default=11, help="rounds (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.repeat < 2:
        parser.error(f"--repeat {options.repeat}: at least 2, since one sample has no spread")
    described = machine() | {"mpi": library_of(sys.executable)}
    if warning := load_warning(described, startup.RANKS):
        print(warning, file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="mmpi-bench-") as folder:
        tool = compile_tool(folder)
        results = {case: inside(case, tool, options.repeat) for case in (IMPORT, INIT)}
    results |= {result.case: result for result in startup.compare([startup.START], options.repeat, lambda name: None)}
    found = outcomes(results, described["mpi"])
    lines = [[outcome.row, *outcome.words()] for outcome in found]
    print(f"{table([['starting', 'goal', 'value', 'target', ''], *lines])}\n{conclusion(found)}")
    if options.json:
        options.json.write_text(to_json(list(results.values()), described) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
