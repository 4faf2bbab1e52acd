# SPDX-License-Identifier: BSD-3-Clause
"""The report of a job that failed, worlds that are none, and children of ranks, which are no ranks."""

import glob
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from jobs import job, lines, run, serial
from mmpi.launch import hydra, report

OPENMPI = "openmpi" in os.environ.get("MMPI_LIBMPI", "") or "openmpi" in sys.prefix
SOON = (5 if OPENMPI else 2) + 3  # seconds from the end of a rank to that of the job, with slack for a busy machine
START = """
import atexit, ctypes, os, signal, sys, threading, time
import mmpi
rank, size = mmpi.init()
mmpi.WORLD.Barrier()
if rank == 1:
    print("at", time.time(), flush=True)
"""
WHO = r"rank 1 \(host [\w.-]+, pid \d+\): "
AS_ROOT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}


def in_report(result):
    """The lines of the report, the last on stderr; prterun ends its own words with a NUL and no end of line."""
    return result.stderr[result.stderr.index("mmpi run: ") :].splitlines()


def took(result):
    """Seconds from the last words of rank 1 to the end of the job."""
    return time.time() - float(re.search(r"^at ([\d.]+)", result.stdout, re.MULTILINE)[1])


def test_an_exception_in_a_callback_of_mpi_ends_nothing():
    """It is printed, and the call that MPI was in fails."""
    code = """
    import sys, time
    from mmpi import MPI
    def refuse(comm, key, value):
        sys.exit(5) if value else 1 / 0
    comm = MPI.COMM_WORLD.Dup()
    for value in 0, 1:
        key = MPI.Comm.Create_keyval(None, refuse)
        comm.Set_attr(key, value)
        try:
            comm.Delete_attr(key)
        except MPI.Exception as error:
            assert error.Get_error_class() == MPI.ERR_OTHER
    time.sleep(1.2)  # a second, and the job would be ended
    print("end")
    """
    result = job(2, code)
    assert lines(result) == ["end", "end"]
    assert result.stderr.count("ZeroDivisionError: division by zero") == result.stderr.count("SystemExit: 5") == 2


def test_mpichs_launcher_leaves_no_file_of_a_failed_job():
    """It leaves one after MPI_Abort, which `mmpi run` removes. Another job may leave one meanwhile, but hardly each time."""

    def found():
        return set(glob.glob(hydra.LEFTOVERS[-1]))

    for _ in range(3):
        before = found()
        assert job(2, "import mmpi; mmpi.init(); 1 / 0").returncode == 1
        if not found() - before:
            break
    else:
        pytest.fail(f"left: {found() - before}")


# --- the report -------------------------------------------------------------------------------------------

KINDS = {  # what rank 1 does while the others wait: exit status, cause, last line of the traceback
    "raise ValueError('bad value')": (1, "uncaught ValueError", "  ValueError: bad value"),
    "threading.Thread(target=lambda: 1 / 0, name='T').start(); time.sleep(99)":
        (1, "uncaught ZeroDivisionError in thread T", "  ZeroDivisionError: division by zero"),
    "atexit.register(lambda: 1 / 0)": (1, "uncaught ZeroDivisionError in an atexit callback", "  ZeroDivisionError: division by zero"),
    "f = lambda: f(); f()": (1, "uncaught RecursionError", "  RecursionError: maximum recursion depth exceeded"),
    "bytearray(1 << 60)": (1, "uncaught MemoryError", "  MemoryError"),
    "sys.exit(3)": (3, "exit status 3", None),
    "sys.exit('no input')": (1, "exit status 1", None),
    "os._exit(0)": (1, "exit without MPI_Finalize: os._exit(0), or exec", None),
    "os._exit(5)": (5, "exit without MPI_Finalize: os._exit(5), or exec", None),
    "os.kill(os.getpid(), signal.SIGKILL)": (137, "killed by signal 9 (SIGKILL)", None),
    "ctypes.string_at(0)": (139, "killed by signal 11 (SIGSEGV)", "string_at"),
    "ctypes.CDLL(None).abort()": (134, "killed by signal 6 (SIGABRT)", "<module>"),
    "mmpi.abort(7)": (7, "MPI_Abort(7) at <string>:9, in <module>", None),
}  # fmt: skip


@pytest.mark.parametrize("last_words", KINDS)
def test_each_ending_ends_the_job_soon_and_is_reported(last_words):
    status, cause, last = KINDS[last_words]
    result = job(3, START + f"if rank == 1:\n    {last_words}\nelse:\n    mmpi.WORLD.Barrier()")
    assert result.returncode == status, result.stderr
    assert took(result) < SOON
    first, *rest = in_report(result)
    assert re.fullmatch("mmpi run: " + WHO + re.escape(cause), first), result.stderr
    assert [line for line in rest if line.startswith("mmpi run: rank 1")] == []
    if last:
        assert last in "\n".join(rest), result.stderr
        assert sum("most recent call last" in line for line in result.stderr.splitlines()) == 1


def test_of_ranks_that_are_killed_the_first_is_told():
    """MPICH's launcher kills the others at once, and they may be gone before that one; if a child is left, not at all."""
    fork = "if not os.fork(): time.sleep(9)"
    for i, before in enumerate([""] * 6 + [fork]):
        victim = i % 3
        words = f"if rank == {victim}:\n    {before}\n    os.kill(os.getpid(), signal.SIGKILL)\nmmpi.WORLD.Barrier()"
        result = job(3, "import mmpi, os, signal, time\nrank, _ = mmpi.init()\n" + words)
        assert in_report(result)[0].startswith(f"mmpi run: rank {victim} (host"), result.stderr


def test_equal_tracebacks_are_told_once():
    result = job(4, "import mmpi\nif mmpi.init()[0] != 2:\n    raise ValueError('all but one')\nmmpi.WORLD.Barrier()")
    assert result.returncode == 1 and result.stderr.count("ValueError: all but one") == 1, result.stderr
    assert re.search(r"^.{0,2}mmpi run: ranks? [0-3,-]+ \(host", result.stderr, re.MULTILINE)


def test_tracebacks_of_all_ranks_that_fail_together():
    code = "import mmpi, time\nrank, _ = mmpi.init()\nmmpi.WORLD.Barrier()\ntime.sleep(0.3)\nraise ValueError('everywhere')"
    result = job(3, code)
    assert result.returncode == 1 and result.stderr.count("Traceback") == 1, result.stderr
    assert re.search(r"^.?mmpi run: ranks ", result.stderr, re.MULTILINE)


@pytest.mark.parametrize("last_words", ["sys.exit(3)", *(pytest.param(way, marks=pytest.mark.slow) for way in ("1 / 0", "mmpi.abort(3)"))])
def test_the_report_says_where_the_others_were(last_words):
    code = START + f"if rank == 1:\n    time.sleep(0.3); {last_words}\nelif rank == 2:\n    while True: sum(range(1000))\nmmpi.WORLD.Barrier()"
    told = job(3, code).stderr
    assert re.search(r"^mmpi run: meanwhile rank 0: in Barrier on COMM_WORLD for [\d.]+ s at <string>:12$", told, re.MULTILINE), told
    assert re.search(r"^mmpi run: meanwhile rank 2: outside MPI at <string>:11; its last", told, re.MULTILINE), told


PROGRAM = (
    "import mmpi\ndef main():\n    if mmpi.init()[0] == 1:\n        raise ValueError('bad')\n    mmpi.WORLD.Barrier()\n"
)


@pytest.mark.parametrize("way", ["file", "module", "stdin", "entry point"])
def test_an_exception_in_every_kind_of_program(way, tmp_path):
    (tmp_path / "prog.py").write_text(PROGRAM + "if __name__ == '__main__':\n    main()\n")
    script = tmp_path / "tool"
    script.write_text(f"#!{sys.executable}\nimport sys\nfrom prog import main\nsys.exit(main())\n")
    script.chmod(0o755)
    words = {"file": [tmp_path / "prog.py"], "module": ["-m", "prog"], "stdin": ["-"], "entry point": [script]}[way]
    command = [sys.executable, "-m", "mmpi", "run", "-n", "2", *map(str, words)]
    environ = os.environ | {"PYTHONPATH": str(tmp_path)}
    text = (tmp_path / "prog.py").read_text() if way == "stdin" else ""
    result = subprocess.run(command, env=environ, cwd=tmp_path, input=text, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1, result.stderr
    assert re.search("^.{0,2}mmpi run: " + WHO + "uncaught ValueError$", result.stderr, re.MULTILINE), result.stderr
    assert result.stderr.count("ValueError: bad") == 1


def test_a_program_that_knows_nothing_of_mmpi():
    result = job(
        2,
        "import os, sys, time; sys.exit(4) if '1' in map(os.environ.get, ('PMI_RANK', 'PMIX_RANK')) else time.sleep(99)",
    )
    assert result.returncode == 4 and re.search(
        "^.{0,2}mmpi run: " + WHO + "exit status 4$", result.stderr, re.MULTILINE
    ), result.stderr


def test_two_exceptions_in_one_rank_are_both_seen():
    result = job(
        2,
        START
        + "if rank == 1:\n    atexit.register(lambda: 1 / 0)\n    raise ValueError('first')\nmmpi.WORLD.Barrier()",
    )
    assert result.returncode == 1 and "ValueError: first" in result.stderr and "ZeroDivisionError" in result.stderr


def test_a_forked_child_that_crashes_is_not_reported_as_its_rank():
    code = (
        START
        + "child = os.fork()\nif not child:\n    os.kill(os.getpid(), 11)\nos.waitpid(child, 0)\nmmpi.WORLD.Barrier()\nsys.exit(3)"
    )
    result = job(2, code)
    assert result.returncode == 3 and "SIGSEGV" not in result.stderr, result.stderr


def test_the_parts_of_a_report(tmp_path):
    def ended(number, status):
        return report.Rank(100 + number, -1, number, float(number), status)

    for pid in (100, 101, 102):
        (tmp_path / f"{pid}.end").write_text("uncaught E\nTraceback\n  E\n" if pid < 102 else "uncaught F\n")
    dump = 'Fatal: x\n\nCurrent thread 0x1 (most recent call first):\n  File "b"\n  File "a"\n\nThread\n  File "c"\n'
    (tmp_path / "103.crash").write_text(dump)
    scene = report.Scene.of(str(tmp_path), True)
    told = scene.endings([ended(0, 256), ended(1, 256), ended(2, 256), ended(3, 11), ended(4, 9), ended(5, 63)])
    host = os.uname().nodename
    assert told == [
        f"ranks 0-1 (host {host}, pids 100-101): uncaught E", "  Traceback", "    E",
        f"rank 2 (host {host}, pid 102): uncaught F",
        f"rank 3 (host {host}, pid 103): killed by signal 11 (SIGSEGV)", "  Stack (most recent call last):", '    File "a"', '    File "b"',
        f"rank 4 (host {host}, pid 104): killed by signal 9 (SIGKILL), by the kernel for want of memory",
        f"and for 1 more reasons rank 5 (host {host}, pid 105)",
    ]  # fmt: skip
    assert report.spans([3, 1, 2, 7]) == "1-3,7"
    assert len(report.shortened("x\n" * 1000)) == report.LINES + 1


@pytest.mark.skipif(os.getuid() != 0, reason="needs a control group of its own, which only root can make")
def test_out_of_memory(tmp_path):
    groups = [
        path for path in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")) if (path / "cgroup.procs").exists()
    ]
    group = groups[0] / f"mmpi-test-{os.getpid()}" if groups else tmp_path
    try:
        group.mkdir(exist_ok=True)
        limit = next(
            (group / name for name in ("memory.limit_in_bytes", "memory.max") if (group / name).exists()), None
        )
        if limit is None:
            pytest.skip("this machine lets nobody limit memory by a control group")
        limit.write_text("400M")
    except OSError as error:
        pytest.skip(f"this machine lets nobody make a control group: {error}")
    try:
        code = START + "if rank == 1:\n    x = b'x' * 2_000_000_000\nmmpi.WORLD.Barrier()"
        words = f'echo $$ >{group}/cgroup.procs; exec "$@"'
        result = run("sh", "-c", words, "sh", sys.executable, "-m", "mmpi", "run", "-n", "2", "-c", code)
        assert result.returncode == 137 and "for want of memory" in result.stderr, result.stderr
    finally:
        group.rmdir()


# --- under plain mpiexec, and where it is off -------------------------------------------------------------


def test_under_plain_mpiexec_a_rank_says_itself_what_it_can():
    mpiexec = Path(sys.prefix) / "bin" / "mpiexec"
    if not mpiexec.exists():
        pytest.skip(f"needs {mpiexec}")
    for last, text in (
        ("raise ValueError('bad')", "mmpi: uncaught ValueError on rank 1 of 2"),
        ("ctypes.string_at(0)", "line 9 in <module>"),
    ):
        code = START + f"if rank == 1:\n    {last}\nmmpi.WORLD.Barrier()"
        result = run(str(mpiexec), "-n", "2", sys.executable, "-c", code, env=AS_ROOT)
        assert result.returncode != 0 and text in result.stderr, result.stderr


def test_off_in_interactive_use():
    result = run(sys.executable, "-i", "-c", "import mmpi; mmpi.init(); 1 / 0")
    assert "the job ends" not in result.stderr and "ZeroDivisionError" in result.stderr


def test_off_by_an_option():
    result = job(2, START + "mmpi.rc.abort = False\nif rank == 1:\n    1 / 0\nprint('well')")
    assert result.returncode == 1 and "well" in result.stdout and "ZeroDivisionError: " in result.stderr, result.stderr


# --- no false worlds --------------------------------------------------------------------------------------


def mpis():
    """Launcher, its name, and library of each MPI found here."""
    found = []
    for variable, name, soname in (
        ("MMPI_TEST_MPICH", "MPICH", "libmpi.so.12"),
        ("MMPI_TEST_OPENMPI", "Open MPI", "libmpi.so.40"),
    ):
        prefix = Path(os.environ.get(variable, "/nowhere"))
        found.append((prefix / "bin/mpiexec", name, prefix / "lib" / soname))
    for suffix, name, library in (("mpich", "MPICH", "libmpich.so.12"), ("openmpi", "Open MPI", "libmpi.so.40")):
        library = next(Path("/usr/lib").glob(f"*/{library}"), Path("/nowhere"))
        found.append((Path(f"/usr/bin/mpiexec.{suffix}"), name, library))
    return [(launcher, name, library) for launcher, name, library in found if launcher.exists() and library.exists()]


def mismatched(pairs):
    return [(a[0], b[2]) for a in pairs for b in pairs if a[1] != b[1]]


@pytest.mark.parametrize(("launcher", "library"), mismatched(mpis()), ids=lambda path: "-".join(path.parts[-3:]))
def test_the_launcher_of_another_mpi(launcher, library):
    code = "import mmpi; mmpi.init(); print('alone')"
    env = AS_ROOT | {"MMPI_LIBMPI": str(library), "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    result = run(str(launcher), "-n", "3", sys.executable, "-c", code, env=env)
    assert result.returncode == 1 and "alone" not in result.stdout, result.stdout + result.stderr
    assert result.stderr.count("LaunchMismatch") == 1 and "Traceback" not in result.stderr, result.stderr
    for text in ("3 processes", str(library), "launcher: /", "mmpi run -n 3", "mpiexec", "Open MPI", "MPICH"):
        assert text in result.stderr, result.stderr


def test_all_pairs_were_tried():
    """Both environments are there in development and in CI."""
    if "MMPI_REQUIRE" in os.environ:
        assert len(mismatched(mpis())) >= 2


FAKES = {
    "slurmstepd": ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", {"SLURM_JOB_ID": "1", "SLURM_STEP_ID": "0"}, "srun --mpi="),
    "flux-shell": ("FLUX_JOB_SIZE", "FLUX_TASK_RANK", {}, "mmpi run -n 3"),
    "palsd": ("PALS_SIZE", "PALS_RANKID", {}, "mmpi run -n 3"),
}


def fake(folder, name, n, code, env):
    """Start n processes as a launcher of this name would, which knows nothing of our MPI."""
    shell = folder / name
    shutil.copy(shutil.which("sh"), shell)
    size, rank, more, _ = FAKES[name]
    words = f'for i in $(seq 0 {n - 1}); do {rank}=$i "$@" & done; for i in $(seq {n}); do wait -n 2>/dev/null || wait; done; exit 1'
    return run(str(shell), "-c", words, "sh", sys.executable, "-c", code, env={size: str(n)} | more | env)


@pytest.mark.parametrize("name", FAKES)
def test_launchers_that_do_not_speak_to_our_library(name, tmp_path):
    result = fake(tmp_path, name, 3, "import mmpi; mmpi.init(); print('alone')", {})
    assert "alone" not in result.stdout and result.stderr.count("LaunchMismatch") == 1, result.stderr
    assert str(tmp_path / name) in result.stderr and FAKES[name][3] in result.stderr and sys.prefix in result.stderr


def test_worlds_of_one_by_wish(tmp_path):
    code = "import mmpi; print(mmpi.init())"
    result = fake(tmp_path, "slurmstepd", 2, code, {"MMPI_ALLOW_SINGLETON": "1"})
    assert result.stdout.count("(0, 1)") == 2, result.stderr


def test_a_launcher_that_does_not_fit_under_the_name_of_mpi4py(tmp_path):
    """Where mpi4py would say nothing of it; else it is an error, as ever."""
    code = "import mmpi.compat; mmpi.compat.install(); from mpi4py import MPI; print(f'{MPI.COMM_WORLD.size}\\n', end='')"
    for word, count in ("0", 2), ("OFF", 2), ("yes", 0):
        result = fake(tmp_path, "slurmstepd", 2, code, {"MPI4PY_CHECK_MPIEXEC": word})
        assert result.stdout.count("1\n") == count and ("LaunchMismatch" in result.stderr) == (not count), result.stdout + result.stderr
    for launcher, library in mismatched(mpis()):
        env = AS_ROOT | {"MMPI_LIBMPI": str(library), "OMPI_MCA_rmaps_base_oversubscribe": "1", "MPI4PY_CHECK_MPIEXEC": "no"}
        assert lines(run(str(launcher), "-n", "2", sys.executable, "-c", code, env=env)) == ["1", "1"]


def test_a_mismatch_can_be_caught(tmp_path):
    code = "import mmpi\ntry:\n    mmpi.init()\nexcept mmpi.LaunchMismatch as error:\n    print(str(error).splitlines()[0])"
    result = fake(tmp_path, "palsd", 2, code, {})
    assert len(result.stdout.splitlines()) == 2 and "rank 0 of 1" in result.stdout and result.stderr == ""


def test_inherited_variables_are_no_launch():
    env = {"PMI_SIZE": "3", "PMI_RANK": "1", "PMI_FD": "63", "OMPI_COMM_WORLD_SIZE": "3", "SLURM_STEP_NUM_TASKS": "4"}
    names = [name for name in env if OPENMPI != name.startswith("PMI")]
    result = serial("import mmpi; print(mmpi.init())", env={name: env[name] for name in names} | {"MMPI_RANK": "1 2"})
    assert lines(result) == ["(0, 1)"]


# --- children of ranks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("first", ["import mmpi; from mmpi import MPI", "from mmpi import MPI; import mmpi"])
def test_workers_of_multiprocessing_are_no_ranks(method, first, tmp_path):
    (tmp_path / "prog.py").write_text(
        textwrap.dedent(f"""
        import multiprocessing, sys
        {first}
        def work(x):
            told = []
            for call in (MPI.COMM_WORLD.Get_rank, MPI.COMM_WORLD.Barrier, mmpi.init):
                try:
                    call()
                    told.append("worked")
                except mmpi.MPIError as error:
                    told.append("refused")
            return x, *told
        if __name__ == "__main__":
            rank = MPI.COMM_WORLD.rank
            with multiprocessing.get_context({method!r}).Pool(2) as pool:
                print(sorted(pool.map(work, [rank, 7])))
            process = multiprocessing.get_context({method!r}).Process(target=sys.exit, args=(5,))
            process.start()
            process.join()
            MPI.COMM_WORLD.Barrier()
            print(process.exitcode)
    """)
    )
    result = run(sys.executable, "-m", "mmpi", "run", "-n", "2", str(tmp_path / "prog.py"))
    refused = ("refused",) * 3
    assert lines(result) == sorted(
        ["5", "5", str([(0, *refused), (7, *refused)]), str([(1, *refused), (7, *refused)])]
    ), result.stderr


CHILD = "import mmpi; print('child', mmpi.init()); mmpi.WORLD.Barrier(); import sys; sys.exit(3)"


def test_an_mpi_program_that_a_rank_starts_is_a_world_of_its_own():
    code = f"""
        import subprocess, sys, mmpi
        rank, size = mmpi.init()
        done = subprocess.run([sys.executable, "-c", {CHILD!r}], capture_output=True, text=True)
        mmpi.WORLD.Barrier()
        print(done.returncode, done.stdout.strip(), done.stderr)
    """
    assert lines(job(2, code)) == ["3 child (0, 1) "] * 2


def test_jobs_that_a_rank_starts():
    """Another `mmpi run`, and plain mpiexec with and without a clean environment; also when they fail."""
    code = """
        import os, subprocess, sys, mmpi
        rank, size = mmpi.init()
        inner = "import mmpi; rank, size = mmpi.init(); print('in', size, flush=True); mmpi.barrier(); 1 // (size - 1 - rank)"
        program = [sys.executable, "-c", inner]
        mpiexec = os.path.join(sys.prefix, "bin", "mpiexec")
        commands = [([sys.executable, "-m", "mmpi", "run", "-n", "2", *program], None)]
        if os.path.exists(mpiexec):
            commands += [([mpiexec, "-n", "2", *program], mmpi.clean_env())]
        told = []
        for command, env in commands:
            done = subprocess.run(command, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            told.append((done.returncode, done.stdout.count("in 2"), done.stderr.count("ZeroDivisionError: ")))
        mmpi.WORLD.Barrier()
        print(set(told))
    """
    result = job(2, code, env=AS_ROOT)
    assert lines(result) == ["{(1, 2, 1)}"] * 2, result.stdout + result.stderr
    assert result.stderr == ""


def test_a_clean_environment():
    code = """
        import os, mmpi
        mmpi.init()
        own = {name for name in os.environ if name not in mmpi.clean_env()}
        print(bool(own & {"PMI_RANK", "PMIX_RANK"}), {"MMPI_JOB", "MMPI_JOB_DIR", "MMPI_RANK"} <= own, "PATH" in own)
        print(mmpi.clean_env({"A": "1", "PMI_RANK": "0"}))
    """
    assert lines(job(1, code)) == ["True True False", "{'A': '1'}"]
