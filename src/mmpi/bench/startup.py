# SPDX-License-Identifier: BSD-3-Clause
"""How long programs take to start, and how much memory a rank holds: whole jobs, from the command until all have said hello and ended."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from mmpi.bench.crowded import ALLOWED, CROWD, compile_program, plain
from mmpi.bench.measure import Case, Contender, Result, Timing, measure
from mmpi.bench.pools import installed
from mmpi.bench.summary import BARE

START, MEMORY, IMPORT, INIT = "start of 4 ranks", "memory of a rank", "import", "import and init"
RANKS = 4
LIMIT = 120  # seconds
SHARED = "/dev/shm" if os.path.isdir("/dev/shm") else None  # for files that Open MPI leaves there of a process without a launcher
SOURCE = Path(__file__).with_name("hello.c")
HELLO = """import os; os.write(1, f"hello {open('/proc/self/statm').read().split()[1]}\\n".encode())"""  # one write: lines stay whole
OURS, THEIRS = f"import mmpi; mmpi.init(); {HELLO}", f"from mpi4py import MPI; {HELLO}"
CHILDREN = f"""
import multiprocessing
def hello():
    {HELLO}
if __name__ == "__main__":
    context = multiprocessing.get_context("METHOD")
    children = [context.Process(target=hello) for _ in range({RANKS})]
    for child in children:
        child.start()
    for child in children:
        child.join()
"""
PROGRAMS = {
    IMPORT: {
        BARE: "pass",
        "mmpi": "import mmpi",
        "mpi4py": "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI",
        "multiprocessing": "import multiprocessing.pool, multiprocessing.queues",
    },
    INIT: {BARE: "pass", "mmpi": "import mmpi; mmpi.init()", "mpi4py": "from mpi4py import MPI"},
}


class Jobs:
    """The commands, and what the last runs of each printed about memory."""

    def __init__(self, folder: str) -> None:
        mpiexec = [plain(sys.executable), "-n", str(RANKS)]
        python = [sys.executable, "-c"]
        self.commands = {
            "C, mpiexec": [*mpiexec, compile_program(sys.executable, folder, SOURCE)],
            "mmpi, mmpi run": [sys.executable, "-m", "mmpi", "run", "-n", str(RANKS), "-c", OURS],
            "mmpi, mpiexec": [*mpiexec, *python, OURS],
        }
        if installed("mpi4py"):
            self.commands["mpi4py, mpiexec"] = [*mpiexec, *python, THEIRS]
        for method in ("fork", "forkserver"):
            program = Path(folder, f"{method}.py")
            program.write_text(CHILDREN.replace("METHOD", method))
            self.commands[f"multiprocessing ({method})"] = [sys.executable, str(program)]
        self.bytes: dict[str, list[float]] = {name: [] for name in self.commands}

    def contender(self, name: str) -> Contender:
        """A job, whose ranks must all say hello."""

        def run(n: int) -> None:
            for _ in range(n):
                words = [line.split() for line in output(self.commands[name]).splitlines()]
                pages = [int(line[1]) for line in words if line[:1] == ["hello"]]
                if len(pages) != RANKS:
                    raise RuntimeError(f"{name}: {len(pages)} of {RANKS} said hello")
                self.bytes[name].append(max(pages) * float(os.sysconf("SC_PAGE_SIZE")))

        return Contender(name, run)


def output(command: Sequence[str]) -> str:
    """What a program prints. RuntimeError with its errors if it fails."""
    with tempfile.TemporaryDirectory(prefix="mmpi-bench-", dir=SHARED) as folder:
        env = {**os.environ, **ALLOWED, **CROWD, "OMPI_MCA_btl_sm_backing_directory": folder}
        done = subprocess.run(command, capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL, timeout=LIMIT)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stderr}")
    return done.stdout


def _python(name: str, code: str) -> Contender:
    def run(n: int) -> None:
        for _ in range(n):
            output([sys.executable, "-c", code])

    return Contender(name, run)


def compare(names: Sequence[str], repeat: int, say: Callable[[str], object]) -> list[Result]:
    """The results of these cases; starting and memory come from the same jobs."""
    results = []
    if START in names or MEMORY in names:
        say(START)
        with tempfile.TemporaryDirectory(prefix="mmpi-bench-") as folder:
            jobs = Jobs(folder)
            started = measure(Case(START, [jobs.contender(name) for name in jobs.commands]), repeat=repeat, single=True)
            held = Result(MEMORY, {name: Timing(1, pages) for name, pages in jobs.bytes.items()}, "B")
            results += [result for result in (started, held) if result.case in names]
    for case in (name for name in PROGRAMS if name in names):
        say(case)
        contenders = [_python(name, code) for name, code in PROGRAMS[case].items() if name != "mpi4py" or installed(name)]
        results.append(measure(Case(case, contenders), repeat=repeat, single=True))
    return results
