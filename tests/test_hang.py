# SPDX-License-Identifier: BSD-3-Clause
"""Looking at running jobs from outside: `mmpi ps`, `mmpi hang`, and when `--hang-timeout` says nothing. The reports: test_hang_zoo.py."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs import job, lines, run
from mmpi import hang
from mmpi.hang import stacks
from mmpi.hang.words import duration, ranks_text

WAITING = """
import os, sys, time
import mmpi
rank, size = mmpi.init()
if rank == 1:
    print("ready", flush=True)
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.01)
mmpi.WORLD.barrier()
print("done", flush=True)
"""


def mmpi(*words):
    return run(sys.executable, "-m", "mmpi", *words)


@contextlib.contextmanager
def running(tmp_path, n=3, program=WAITING, launcher=("-m", "mmpi", "run")):
    """A job whose rank 1 computes and for which the others wait; at the end it is let go on, and must end well."""
    path, go = tmp_path / "program.py", tmp_path / "go"
    path.write_text(program)
    command = [sys.executable, *launcher, "-n", str(n), str(path), str(go)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            name = jobs_of(process.pid)
            until(lambda: "waits for rank 1" in mmpi("hang", name).stdout)
            yield name, process
            go.touch()
            out, _ = process.communicate(timeout=30)
            assert process.returncode == 0 and out.count("done") == n
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)


def jobs_of(pid):
    """The name of the job that a process has started."""
    found = [path for path in Path("/dev/shm").glob(f"mmpi-{os.getuid()}-*") if (path / "run").exists()]
    ours = [path for path in found if any(is_below(int(page.stem), pid) for page in path.glob("*.page"))]
    assert len(ours) == 1
    return ours[0].name.rpartition("-")[2]


def is_below(pid, ancestor):
    while pid > 1 and pid != ancestor:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return pid == ancestor


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


def test_a_running_job_is_listed_and_explained_without_being_stopped(tmp_path):
    with running(tmp_path) as (name, process):
        listed = mmpi("ps")
        row = next(line for line in listed.stdout.splitlines() if line.startswith(name))
        assert "3 of 3" in row and "program.py" in row and listed.returncode == 0
        text = mmpi("hang", name).stdout.splitlines()
        assert text[1].startswith("rank 1 does not come to Barrier on COMM_WORLD, where ranks 0, 2 wait (")
        assert "program.py:8: time.sleep(0.01)" in text[2] or "program.py:7: while not os" in text[2]
        data = json.loads(mmpi("hang", "--json", name).stdout)
        assert [rank["rank"] for rank in data["ranks"]] == [0, 1, 2] and data["job"] == name
        assert data["findings"][0]["title"] == text[1]
        pid = data["ranks"][2]["pid"]
        assert mmpi("hang", str(pid)).stdout.splitlines()[1] == text[1]
        merged = hang.lines(hang.merged([data]))
        assert merged[0] == text[1], "a report made elsewhere from JSON is the same"
        halves = [{**data, "ranks": data["ranks"][:1]}, {**data, "ranks": data["ranks"][1:]}]
        assert hang.lines(hang.merged(halves))[0] == text[1], "the ranks may come from several hosts"
        described = hang.describe(f"/dev/shm/mmpi-{os.getuid()}-{name}", [0, 2])
        assert described[0].startswith("ranks 0, 2: in Barrier on COMM_WORLD for ") and len(described) == 2


def test_a_stopped_rank_is_called_so_and_goes_on_after(tmp_path):
    with running(tmp_path) as (name, process):
        data = json.loads(mmpi("hang", "--json", name).stdout)
        pid = data["ranks"][1]["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            text = mmpi("hang", name).stdout.splitlines()
        finally:
            os.kill(pid, signal.SIGCONT)
        assert text[1] == "rank 1 is stopped, by a signal or a debugger, and ranks 0, 2 wait for it"
        assert text[3] == f"to fix: let it go on: kill -CONT {pid}"


IN_A_THREAD = """
import threading
import mmpi
def work():
    rank, size = mmpi.init()
    if rank == 0:
        mmpi.recv(source=1)
    mmpi.WORLD.barrier()
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def test_lines_of_a_program_that_starts_mpi_in_another_thread(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(IN_A_THREAD)
    result = mmpi("run", "-n", "2", "--hang-timeout", "3", str(path))
    assert result.returncode == 124 and "program.py:7 in work" in result.stderr and "program.py:8 in work" in result.stderr


def test_what_is_not_there_is_said():
    assert mmpi("hang", "0badc0de").returncode == 1
    assert "no job or process 0badc0de" in mmpi("hang", "0badc0de").stderr
    assert mmpi("hang", "--yaml").returncode == 2 and mmpi("hang", "1", "2").returncode == 2
    assert mmpi("ps", "x").returncode == 2
    for command in ("ps", "hang"):
        assert mmpi(command, "--help").stdout.startswith(f"usage: mmpi {command}")


# --- no false alarms -----------------------------------------------------------------------------------------------


SOAK = str(Path(__file__).with_name("soak.py"))


def soak(seconds, pause, timeout, limit):
    command = ["run", "-n", "4", "--hang-timeout", str(timeout), SOAK, str(seconds), str(pause)]
    result = run(sys.executable, "-m", "mmpi", *command, limit=limit)
    assert result.returncode == 0 and "hang" not in result.stderr, result.stderr
    assert len(result.stdout.splitlines()) == 4


def test_a_job_in_which_one_rank_goes_on_does_not_hang():
    soak(8, 1, 3, 60)


@pytest.mark.slow
def test_a_job_in_which_one_rank_goes_on_does_not_hang_for_long():
    soak(120, 3, 5, 240)


def test_nothing_is_expected_before_init_and_after_finalize():
    code = "import time, mmpi; time.sleep(2); mmpi.init(); mmpi.WORLD.barrier(); mmpi.finalize(); time.sleep(2); print(1)"
    assert lines(job(2, code, options=["--hang-timeout", "1.5"])) == ["1", "1"]


@pytest.mark.parametrize("value", ["0", "-1", "soon", "inf"])
def test_a_wrong_time_is_refused(value):
    result = mmpi("run", "--hang-timeout", value, "-c", "1")
    assert result.returncode == 2 and f"--hang-timeout {value}: a number of seconds above 0 is needed" in result.stderr


def test_the_time_limit_still_says_so():
    result = job(1, "import time, mmpi; mmpi.init(); time.sleep(60)", options=["--hang-timeout", "50", "--timeout", "1.5"])
    assert result.returncode == 124 and "the time limit of 1.5 s is over" in result.stderr and "hang" not in result.stderr


# --- many ranks ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_report_on_64_ranks_is_short():
    code = """
import mmpi
rank, size = mmpi.init()
mmpi.WORLD.barrier()
if rank % 8 == 5:
    mmpi.recv(source=(rank + 8) % size, tag=2)
mmpi.WORLD.barrier()
"""
    result = run(sys.executable, "-m", "mmpi", "run", "-n", "64", "--hang-timeout", "8", "-c", code, limit=240)
    assert result.returncode == 124
    report = result.stderr[result.stderr.index("mmpi run: hang: ") :].splitlines()
    assert "ranks 5, 13, 21, 29, 37, 45, 53, 61 wait for each other" in report[0], report[:8]
    end = next(i for i, line in enumerate(report) if line.startswith("mmpi run: no rank has completed"))
    assert end < 40 and all(len(line) < 300 for line in report[:end])


# --- the parts -----------------------------------------------------------------------------------------------------


def test_ranks_in_words():
    assert ranks_text([3]) == "rank 3"
    assert ranks_text([1, 0]) == "ranks 0, 1"
    assert ranks_text([0, 2, 3, 4, 7]) == "ranks 0, 2-4, 7"


def test_times_in_words():
    assert [duration(t) for t in (0.25, 5.2, 119, 300, 86400)] == ["0.2 s", "5 s", "119 s", "5 min", "24.0 h"]


def test_the_users_line_is_neither_ours_nor_pythons():
    threading = stacks.Place(os.path.join(os.path.dirname(os.__file__), "threading.py"), 10, "join")
    ours = stacks.Place(os.path.join(os.path.dirname(hang.__file__), "look.py"), 10, "look")
    users = stacks.Place("/home/me/program.py", 3, "main")
    assert stacks.users_place([threading, ours, users]) == users
    assert stacks.users_place([threading]) == threading
    assert stacks.users_place([]) is None
