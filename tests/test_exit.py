# SPDX-License-Identifier: BSD-3-Clause
"""Endings: whatever way one rank ends, the job ends, with its status and with a report that names it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import job, lines, run, serial

START = """
import atexit, os, signal, sys, threading, time
import mmpi
rank, size = mmpi.init()
def wait_for_ever():
    mmpi.WORLD.Recv(bytearray(1), rank, tag=99)
"""


def one_of_three(last_words, others="mmpi.WORLD.Barrier()", env=None):
    """A job in which rank 1 says its last words and the others wait for it in a barrier."""
    return job(3, START + f"if rank == 1:\n    {last_words}\nelse:\n    {others}", env=env)


# --- exit statuses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [1, 3, 42, 255])
def test_sys_exit_on_one_rank_ends_the_job_with_its_status(status):
    assert one_of_three(f"sys.exit({status})").returncode == status


def test_a_status_beyond_a_byte_is_cut_as_unix_does():
    assert one_of_three("sys.exit(256 + 44)").returncode == 44


@pytest.mark.parametrize("way", ["sys.exit(0)", "sys.exit()", "sys.exit(None)", "raise SystemExit", "pass"])
def test_ending_well(way):
    result = job(3, START + way)
    assert lines(result) == [] and result.stderr == ""


def test_sys_exit_with_a_text():
    result = one_of_three("sys.exit('no input file')")
    assert result.returncode == 1 and result.stderr.count("no input file") == 1


def test_exit_while_the_others_receive():
    assert one_of_three("sys.exit(5)", others="wait_for_ever()").returncode == 5


def test_exit_while_the_others_compute():
    assert one_of_three("sys.exit(5)", others="time.sleep(1000)").returncode == 5


def test_exit_while_the_others_have_finished():
    assert one_of_three("time.sleep(0.5); sys.exit(5)", others="pass").returncode == 5


def test_two_ranks_fail():
    assert job(2, START + "sys.exit(3 + rank)").returncode in (3, 4)


@pytest.mark.parametrize("status,expected", [(5, 5), (0, 1)])
def test_os_exit_is_seen_from_outside(status, expected):
    """After init, no process may end without finalizing: even a status of 0 is a failure."""
    assert one_of_three(f"os._exit({status})").returncode == expected


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGABRT", "SIGTERM"])
def test_death_by_signal(name):
    result = one_of_three(f"os.kill(os.getpid(), signal.{name})")
    assert result.returncode == 128 + getattr(signal, name)
    assert re.search(r"rank [\d, or]*\b1\b", result.stderr)  # "rank 0, 1 or 2": the launcher kills the others at once


# --- exceptions -------------------------------------------------------------------------------------------


def test_an_uncaught_exception_ends_the_job_and_names_its_rank():
    result = one_of_three("raise ValueError('bad value')")
    assert result.returncode == 1
    assert result.stderr.count("ValueError: bad value") == 1 and result.stderr.count("Traceback") == 1
    assert "rank 1" in result.stderr and os.uname().nodename.split(".")[0] in result.stderr


@pytest.mark.parametrize("others", ["wait_for_ever()", "time.sleep(1000)", "mmpi.WORLD.Ibarrier().Wait()"])
def test_whatever_the_others_do(others):
    assert one_of_three("1 / 0", others=others).returncode == 1


def test_an_exception_after_importing_the_mpi4py_named_face():
    code = "from mmpi import MPI\nif MPI.COMM_WORLD.rank == 1: 1 / 0\nMPI.COMM_WORLD.Barrier()"
    result = job(3, code)
    assert result.returncode == 1 and "ZeroDivisionError" in result.stderr and "rank 1" in result.stderr


def test_an_exception_in_a_thread():
    last = "threading.Thread(target=lambda: 1 / 0).start(); time.sleep(1000)"
    result = one_of_three(last)
    assert result.returncode == 1 and result.stderr.count("ZeroDivisionError: ") == 1 and "rank 1" in result.stderr


def test_sys_exit_in_a_thread_ends_only_the_thread():
    result = job(
        2, START + "t = threading.Thread(target=sys.exit, args=(3,)); t.start(); t.join(); mmpi.WORLD.Barrier()"
    )
    assert lines(result) == []


def test_an_exception_in_atexit():
    result = one_of_three("atexit.register(lambda: 1 / 0)")
    assert result.returncode == 1 and "ZeroDivisionError" in result.stderr


def test_functions_of_atexit_may_still_communicate():
    code = START + "atexit.register(lambda: (mmpi.WORLD.Barrier(), print('last', rank)))"
    assert lines(job(2, code)) == ["last 0", "last 1"]


def test_keyboard_interrupt():
    assert one_of_three("raise KeyboardInterrupt").returncode == 130


def test_an_error_of_mpi_is_an_exception_like_others():
    result = one_of_three("mmpi.WORLD.Send(b'x', 99)")
    assert (
        result.returncode == 1 and "MPIError" in result.stderr and "rank 1" in result.stderr and "99" in result.stderr
    )


def test_exceptions_that_are_caught_end_nothing():
    code = START + "try:\n    1 / 0\nexcept ZeroDivisionError:\n    pass\nmmpi.WORLD.Barrier()\nprint('well')"
    assert lines(job(2, code)) == ["well"] * 2


def test_what_was_printed_before_is_not_lost():
    result = one_of_three("print('last words', end=''); print('and these', end='', file=sys.stderr); sys.exit(3)")
    assert result.returncode == 3 and "last words" in result.stdout and "and these" in result.stderr


def test_finally_and_atexit_run_before_the_job_is_ended():
    code = """
    atexit.register(print, 'atexit', flush=True)
    try:
        sys.exit(3)
    finally:
        print('finally', flush=True)
"""
    result = one_of_three(code.strip())
    assert result.returncode == 3 and "finally" in result.stdout and "atexit" in result.stdout


def test_a_hook_of_the_user_is_called_too():
    before = "sys.excepthook = lambda kind, value, trace: print('mine:', value, flush=True)"
    code = (
        START.replace("rank, size", before + "\nrank, size")
        + "if rank == 1:\n    raise ValueError('so')\nmmpi.WORLD.Barrier()"
    )
    result = job(3, code)
    assert result.returncode == 1 and result.stdout.count("mine: so") == 1


def test_a_hook_set_after_init_does_not_keep_the_job_alive():
    result = one_of_three("sys.excepthook = lambda *args: print('mine', flush=True); 1 / 0")
    assert result.returncode == 1 and "mine" in result.stdout


# --- threads at the end -----------------------------------------------------------------------------------


def test_a_daemon_thread_in_recv_does_not_disturb_the_end():
    code = (
        START
        + "threading.Thread(target=wait_for_ever, daemon=True).start(); time.sleep(0.3); mmpi.WORLD.Barrier(); print('end')"
    )
    result = job(2, code)
    assert lines(result) == ["end"] * 2


def test_a_daemon_thread_in_recv_and_a_status():
    assert (
        one_of_three(
            "threading.Thread(target=wait_for_ever, daemon=True).start(); time.sleep(0.3); sys.exit(6)"
        ).returncode
        == 6
    )


def test_a_daemon_thread_in_a_collective_is_named():
    code = (
        START
        + """
copy = mmpi.WORLD.Dup()
if rank == 0:
    threading.Thread(target=copy.Barrier, daemon=True).start()
    time.sleep(0.5)
mmpi.WORLD.Barrier()
"""
    )
    result = job(2, code)
    assert result.returncode != 0 and "MPI_Barrier" in result.stderr and "rank 0" in result.stderr


def test_a_thread_stuck_in_recv_does_not_hold_up_an_exception():
    """A thread that is no daemon keeps the interpreter from ending; the job ends all the same."""
    result = one_of_three("threading.Thread(target=wait_for_ever).start(); time.sleep(0.3); 1 / 0")
    assert result.returncode == 1 and "ZeroDivisionError" in result.stderr


def test_a_thread_stuck_in_a_collective_does_not_hold_up_an_exception():
    others = "mmpi.WORLD.Dup(); wait_for_ever()"
    result = one_of_three(
        "c = mmpi.WORLD.Dup(); threading.Thread(target=c.Barrier).start(); time.sleep(0.3); 1 / 0", others
    )
    assert result.returncode == 1 and "ZeroDivisionError" in result.stderr


def test_threads_that_end_in_time_are_waited_for():
    code = (
        START
        + """
def late():
    time.sleep(0.5)
    mmpi.WORLD.Barrier()
    print('late')
threading.Thread(target=late).start()
"""
    )
    assert lines(job(2, code)) == ["late"] * 2


# --- abort switched off -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["attribute", "environment"])
def test_without_the_abort_hook_a_failed_rank_finalizes_as_the_others(way):
    env = {"MMPI_RC_ABORT": "0"} if way == "environment" else None
    off = "mmpi.rc.abort = False" if way == "attribute" else ""
    code = f"import sys, mmpi\n{off}\nrank, size = mmpi.init()\nprint(rank, flush=True)\nif rank == 1: 1 / 0"
    result = job(3, code, env=env)
    assert result.returncode == 1 and sorted(result.stdout.split()) == ["0", "1", "2"]
    assert result.stderr.count("ZeroDivisionError: ") == 1


def test_before_init_nothing_is_ours():
    result = serial("import mmpi, sys; sys.exit(3)")
    assert result.returncode == 3
    result = serial("import mmpi; 1 / 0")
    assert result.returncode == 1 and "rank" not in result.stderr


def test_alone_without_a_launcher():
    assert serial("import mmpi, sys; mmpi.init(); sys.exit(3)").returncode == 3
    result = serial("import mmpi; mmpi.init(); raise ValueError('so')")
    assert result.returncode == 1 and result.stderr.count("ValueError: so") == 1
    assert serial("import mmpi; mmpi.init()").returncode == 0


# --- under plain mpiexec ----------------------------------------------------------------------------------


@pytest.mark.parametrize("last_words,status", [("sys.exit(3)", 3), ("1 / 0", 1), ("pass", 0)])
def test_the_same_under_plain_mpiexec(last_words, status):
    mpiexec = Path(sys.prefix) / "bin" / "mpiexec"
    if not mpiexec.exists():
        pytest.skip(f"needs {mpiexec}")
    env = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": "slot:oversubscribe",
    }
    code = START + f"if rank == 1:\n    {last_words}\n" + ("mmpi.WORLD.Barrier()" if status else "")
    result = run(str(mpiexec), "-n", "3", sys.executable, "-c", code, env=env)
    assert result.returncode == status, result.stderr


FAILS = "int PMPI_Finalize(void); int MPI_Finalize(void) { PMPI_Finalize(); return 3; }"


def test_an_mpi_that_does_not_end_well_is_told(tmp_path):
    (tmp_path / "tool.c").write_text(FAILS)
    words = [os.environ.get("CC", "cc"), "-shared", "-fPIC", "-Wl,-z,lazy", "tool.c", "-o", "tool.so"]
    subprocess.run(words, cwd=tmp_path, check=True, timeout=60)
    result = job(2, "import mmpi; mmpi.init()", options=("--env", f"LD_PRELOAD={tmp_path / 'tool.so'}"))
    assert result.returncode == 1
    assert re.search(r"^mmpi: rank [01]: MPI_Finalize: \S+", result.stderr, re.MULTILINE)
    assert re.search(r"^mmpi run: ranks? .*: exit status 1$", result.stderr, re.MULTILINE)
