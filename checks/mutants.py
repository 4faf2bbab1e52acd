#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Do the tests notice when something is broken? Break one thing after the other; each time the test named for it must fail.

usage: mutants.py [--check | SITE [NAME...]]

SITE: where the package was installed with the build option `mutants`, whose C code has the switches MUTANT(name). What is
Python is broken by an edit in a copy of it. --check only looks whether this table and the sources agree.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mmpi.launch.folder import remove_leftovers
from mmpi.launch.hydra import LEFTOVERS

SOURCES = Path(__file__).resolve().parent.parent / "src"
MARK = "MMPI_MUTANTS_RUN"  # in the environment of all that we start
LIMIT = 20  # seconds for a job of a broken package, which may never end
AT_ONCE = 2
FAILED = 1  # the status of pytest if tests failed; other problems have others


@dataclass(frozen=True)
class Mutant:
    """One thing that is broken: by a switch in C, or in a Python file by putting `new` for `old`."""

    name: str
    test: str
    file: str = ""
    old: str = ""
    new: str = ""


MUTANTS = (
    Mutant("no_abort_at_exit", "test_exit.py::test_the_same_under_plain_mpiexec[sys.exit(3)-3]"),
    Mutant("no_doom", "test_exit.py::test_a_thread_stuck_in_recv_does_not_hold_up_an_exception"),
    Mutant("no_fork_check", "test_life.py::test_a_forked_child_is_no_rank"),
    Mutant("no_parking", "test_lifetime.py::test_dropped_receive_keeps_its_buffer"),
    Mutant("no_mismatch_check", "test_checking.py::test_an_uncaught_mismatch_ends_the_job_and_names_it"),
    Mutant("no_record", "test_flight.py::test_others_see_a_blocked_rank"),
    Mutant("no_fallocate", "test_flight.py::test_a_full_file_system_kills_nobody"),
    Mutant("no_farewell", "test_flight.py::test_a_dying_rank_lets_go_of_its_record_first"),
    Mutant("polls_count", "test_hang_zoo.py::test_a_hang_is_explained_in_time[iprobe_loop]"),
    Mutant("no_naps", "test_crowded.py::test_an_idle_rank_leaves_the_core_to_others"),
    Mutant("no_signal_check", "test_interrupts.py::test_keyboard_interrupt_in_every_mode"),
    Mutant("no_taking_back", "test_interrupts.py::test_receive_is_taken_back"),
    Mutant("no_bounds", "test_guards.py::test_outside_is_refused"),
    Mutant("no_remote_error", "test_objects_collectives.py::test_an_object_that_cannot_be_pickled"),
    Mutant(
        "no_excepthook",
        "test_endings.py::test_equal_tracebacks_are_told_once",
        "endings.py",
        "sys.excepthook, threading.excepthook, sys.unraisablehook = in_main, in_thread, unraisable",
        "pass",
    ),
    Mutant(
        "no_launch_mismatch",
        "test_endings.py::test_launchers_that_do_not_speak_to_our_library[palsd]",
        "world.py",
        "if launcher and size == 1 < (launcher.size or 1):",
        "if False:",
    ),
    Mutant(
        "no_worker_check",
        "test_endings.py::test_workers_of_multiprocessing_are_no_ranks[import mmpi; from mmpi import MPI-spawn]",
        "world.py",
        "return child_of_multiprocessing() and any(name in os.environ for name in (RANK, *RANKS))",
        "return False",
    ),
    Mutant(
        "no_yielding",
        "test_crowded.py::test_a_rank_blocks_where_each_has_a_core",
        "waiting.py",
        "if ranks > 1 and ranks > (cores := job_cores()):",
        "if False:",
    ),
    Mutant(
        "no_watching_of_ranks",
        "test_launch.py::test_status[os.kill(os.getpid(), 9) if rank == 1 else time.sleep(50)]",
        "launch/processes.py",
        "for pid in ranks_below(self.launcher):",
        "for pid in ():",
    ),
    Mutant(
        "no_hang_watch",
        "test_hang_zoo.py::test_a_hang_is_explained_in_time[self_receive]",
        "hang/watch.py",
        "return now - self.since >= self.seconds",
        "return False",
    ),
    Mutant(
        "no_second_for_finally",
        "test_launch.py::test_finally_runs_on_both_signals",
        "launch/supervise.py",
        "processes.send(pid, processes.fitting(pid, self.signum))",
        "processes.send(pid, signal.SIGKILL)",
    ),
    Mutant(
        "no_guard",
        "test_launch.py::test_killed_supervisor[sleeping-at work]",
        "launch/guard.py",
        "read -r _\n",
        "read -r _; exit\n",
    ),
)


def disagreements() -> list[str]:
    """Where this table and the sources do not fit each other."""
    in_c = {name for path in (SOURCES / "core").glob("*.c") for name in re.findall(r"\bMUTANT\((\w+)\)", path.read_text())}
    here = {mutant.name for mutant in MUTANTS if not mutant.file}
    found = [f"{name}: only in {'C' if name in in_c else 'checks/mutants.py'}" for name in sorted(in_c ^ here)]
    for mutant in MUTANTS:
        if mutant.file and (SOURCES / "mmpi" / mutant.file).read_text().count(mutant.old) != 1:
            found.append(f"{mutant.name}: {mutant.file} must have this once: {mutant.old}")
    return found


def pytest(site: Path, tests: Sequence[str], **variables: str) -> tuple[int, str, float]:
    """Run tests on a package; the status, what pytest said, and the seconds."""
    mark = uuid.uuid4().hex
    environ = {**os.environ, "PYTHONPATH": str(site), MARK: mark, **variables}
    options = ["-q", "-x", "--no-header", "-p", "no:cacheprovider", "--mmpi-n", "1,2"]
    words = [sys.executable, "-m", "pytest", *options, *(f"tests/{test}" for test in tests)]
    began, since = time.monotonic(), time.time()
    with tempfile.TemporaryFile("w+") as file:  # no pipe: what is left behind may keep it open
        ended = subprocess.run(words, env=environ, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=SOURCES.parent, check=False)
        end(mark)
        remove_leftovers(LEFTOVERS, os.getuid(), since)
        file.seek(0)
        return ended.returncode, file.read(), time.monotonic() - began


def end(mark: str) -> None:
    """Kill what tests on a broken package have left behind."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"{MARK}={mark}".encode() in path.read_bytes():
                os.kill(int(path.parent.name), signal.SIGKILL)


def broken(site: Path, mutant: Mutant) -> tuple[int, str, float]:
    """Run the test of a mutant on it."""
    with tempfile.TemporaryDirectory(prefix="mmpi-mutant-") as folder:
        if mutant.file:
            shutil.copytree(site / "mmpi", Path(folder, "mmpi"), ignore=shutil.ignore_patterns("__pycache__"))
            path = Path(folder, "mmpi", mutant.file)
            path.write_text(path.read_text().replace(mutant.old, mutant.new))
            site = Path(folder)
        return pytest(site, [mutant.test], MMPI_MUTANT=mutant.name, MMPI_TEST_LIMIT=str(LIMIT))


def main(words: Sequence[str]) -> int:
    """Print the table; 1 if a mutant lives on."""
    if found := disagreements():
        print(*found, sep="\n")
        return 1
    if list(words) == ["--check"]:
        return 0
    site, names = Path(words[0]).resolve(), words[1:]  # tests change the folder
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    status, out, seconds = pytest(site, [mutant.test for mutant in chosen])
    print(f"{len(chosen)} tests on the package as it is: {'passed' if status == 0 else 'FAILED'} ({seconds:.0f} s)", flush=True)
    if status:
        print(out)
        return 1
    alive = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for mutant, (status, out, seconds) in zip(chosen, pool.map(lambda m: broken(site, m), chosen), strict=True):
            alive += status != FAILED
            print(f"{mutant.name:<24}{'noticed by' if status == FAILED else 'NOT NOTICED by'} {mutant.test} ({seconds:.0f} s)", flush=True)
            if status != FAILED:
                print(out)
    print(f"{len(chosen) - alive} of {len(chosen)} noticed")
    return min(alive, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
