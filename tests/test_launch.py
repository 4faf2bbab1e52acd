# SPDX-License-Identifier: BSD-3-Clause
"""`mmpi run`: the command line, the plan, exit statuses, and that a job leaves nothing behind.

The programs need nothing of mmpi; they call MPI through ctypes where they must. So this file tests the launching alone.
"""

from __future__ import annotations

import os
import secrets
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobs import LIMIT
from mmpi import __main__ as entry
from mmpi import cores, launch
from mmpi.launch import command, host, openmpi, plans, processes, programs, report, supervise
from mmpi.launch.errors import LaunchError
from mmpi.library import Choice
from mmpi.waiting import YIELDING

PRELUDE = """\
import ctypes, os, signal, sys, time
rank = int(os.environ.get("PMI_RANK") or os.environ["OMPI_COMM_WORLD_RANK"])
def say(*words): os.write(1, (" ".join(map(str, words)) + "\\n").encode())
def mpi_init():
    global mpi, world
    mpi = ctypes.CDLL(os.environ["MMPI_LIBMPI"], ctypes.RTLD_GLOBAL)
    try: world = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.in_dll(mpi, "ompi_mpi_comm_world")))
    except ValueError: world = 0x44000000 if "abi" not in os.environ["MMPI_LIBMPI"] else ctypes.c_void_p(0x101)
    mpi.MPI_Init(None, None)
"""
HERE = host.Host({}, 1000, 4)


@pytest.fixture(scope="session")
def choice() -> Choice:
    """The MPI library of this environment."""
    return plans.locate()


class Jobs:
    """Runs `mmpi run` with a mark of its own in the environment, by which every process it leaves is found."""

    def __init__(self, folder: Path) -> None:
        self.mark = "MMPI_TEST_MARK=" + secrets.token_hex(8)
        self.folder = folder

    def environ(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        name, _, value = self.mark.partition("=")
        kept = {k: v for k, v in os.environ.items() if k not in changes}
        return {**kept, name: value, "PYTHONUNBUFFERED": "1", **{k: v for k, v in changes.items() if v is not None}}

    def begin(self, *words: str, env: Mapping[str, str | None] | None = None, **more: Any) -> subprocess.Popen[str]:
        more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        argv = [sys.executable, "-m", "mmpi", "run", *words]
        return subprocess.Popen(argv, env=self.environ(env or {}), text=True, cwd=self.folder, **more)

    def run(self, *words: str, stdin: str = "", env: Mapping[str, str | None] | None = None) -> Ended:
        process = self.begin(*words, env=env, stdin=subprocess.PIPE)
        try:
            out, err = process.communicate(stdin, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.terminate()
            out, err = process.communicate()
            pytest.fail(f"mmpi run {words} took more than {LIMIT} s\n{out}\n{err}")
        return Ended(process.returncode, out, err)

    def left(self) -> list[int]:
        return [pid for pid in processes.pids() if self.mark.encode() in processes.environment_of(pid)]


class Ended:
    """How a command ended."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    def __repr__(self) -> str:
        return f"status {self.status}\n--- out\n{self.out}\n--- err\n{self.err}"

    @property
    def lines(self) -> list[str]:
        return sorted(self.out.splitlines())


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    """Jobs that must leave no process."""
    mine = Jobs(tmp_path)
    yield mine
    assert mine.left() == [], "processes are left"


def wait_for(what: Callable[[], bool], message: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not what():
        assert time.monotonic() < deadline, message
        time.sleep(0.02)


def read_lines(process: subprocess.Popen[str], n: int) -> list[str]:
    """The first n lines of a process's output."""
    assert process.stdout
    text, fd = b"", process.stdout.fileno()
    deadline = time.monotonic() + LIMIT
    while text.count(b"\n") < n:
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        piece = os.read(fd, 4096) if ready else b""
        assert piece, f"only {text!r} came; {process.poll()}"
        text += piece
    return sorted(text.decode().splitlines())


# --- The command line -----------------------------------------------------------------------------------------------


@pytest.fixture
def programs_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a.py, b.py, data (no x-bit), ./tool (x-bit)."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.py", "b.py", "data"):
        (tmp_path / name).write_text("print(1)\n")
    (tmp_path / "tool").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "tool").chmod(0o755)
    (tmp_path / "package").mkdir()
    (tmp_path / "package/__main__.py").write_text("")
    (tmp_path / "empty").mkdir()
    return tmp_path


def parsed(line: str | list[str]) -> command.Command:
    return command.parse(line.split() if isinstance(line, str) else line, lambda: 7)


PY = sys.executable
GOOD: list[tuple[str, list[tuple[int, list[str], dict[str, str]]]]] = [
    ("a.py", [(7, [PY, "a.py"], {})]),
    ("-n 4 a.py", [(4, [PY, "a.py"], {})]),
    ("-n4 a.py", [(4, [PY, "a.py"], {})]),
    ("-n=4 a.py", [(4, [PY, "a.py"], {})]),
    ("-n 4 a.py -n 5 -v", [(4, [PY, "a.py", "-n", "5", "-v"], {})]),
    ("-n 4 -- a.py", [(4, [PY, "a.py"], {})]),
    ("-n 1 a.py : -n 3 b.py x", [(1, [PY, "a.py"], {}), (3, [PY, "b.py", "x"], {})]),
    ("-n 2 a.py : b.py", [(2, [PY, "a.py"], {}), (1, [PY, "b.py"], {})]),
    ("-n 2 ./tool -x : -m this", [(2, ["./tool", "-x"], {}), (1, [PY, "-m", "this"], {})]),
    ("-n 2 tool", [(2, ["./tool"], {})]),
    ("-n 2 data", [(2, [PY, "data"], {})]),
    ("-n 2 package arg", [(2, [PY, "package", "arg"], {})]),
    ("-n 2 -m pkg.mod -m -c", [(2, [PY, "-m", "pkg.mod", "-m", "-c"], {})]),
    ("-n 2 -c pass x", [(2, [PY, "-c", "pass", "x"], {})]),
    ("--env A=1 --env=B=x=y -n 2 a.py : --env A= b.py", [(2, [PY, "a.py"], {"A": "1", "B": "x=y"}), (1, [PY, "b.py"], {"A": ""})]),
    ("-n 2 a.py a:b :c ::", [(2, [PY, "a.py", "a:b", ":c", "::"], {})]),
    ("-v --timeout 1.5 --wait yield -n 2 a.py", [(2, [PY, "a.py"], {})]),
    ("--hosts a:2,b a.py", [(3, [PY, "a.py"], {})]),
    ("--hosts a:2,b -n 2 a.py", [(2, [PY, "a.py"], {})]),
]


@pytest.mark.parametrize(("line", "parts"), GOOD, ids=[line for line, _ in GOOD])
def test_command_line(line: str, parts: list[tuple[int, list[str], dict[str, str]]], programs_here: Path) -> None:
    assert [(part.n, [*part.argv], dict(part.env)) for part in parsed(line).parts] == parts


def test_job_options(programs_here: Path) -> None:
    c = parsed("-v --timeout 1.5 --wait=yield --hosts a:2,b -n 2 a.py")
    assert (c.verbose, c.timeout, c.wait, c.hosts, c.explain) == (True, 1.5, "yield", (("a", 2), ("b", 1)), False)
    assert parsed("--explain a.py").explain
    assert parsed("--help").help and parsed("-n 2 -h").help and not parsed("a.py --help").help
    assert parsed("- x").from_stdin and parsed("- x").parts[0].argv[-1] == "x"


BAD = [
    ("", 2, "no program"),
    ("-n 4", 2, "no program"),
    ("-v", 2, "no program"),
    ("-n", 2, "-n needs a value"),
    ("-n 0 a.py", 2, "-n 0"),
    ("-n -3 a.py", 2, "-n -3"),
    ("-n four a.py", 2, "-n four"),
    ("-n 1.5 a.py", 2, "-n 1.5"),
    ("-n ２ a.py", 2, "-n ２"),
    ("-n 99999999999 a.py", 2, "-n 99999999999"),
    ("-n a.py", 2, "-n a.py"),
    ("-np 4 a.py", 2, "did you mean -n?"),
    ("--explian a.py", 2, "did you mean --explain?"),
    ("--time 4 a.py", 2, "did you mean --timeout?"),
    ("--oversubscribe a.py", 2, "unknown option --oversubscribe"),
    ("--verbose=1 a.py", 2, "--verbose takes no value"),
    ("--timeout a.py", 2, "--timeout a.py"),
    ("--timeout 0 a.py", 2, "--timeout 0"),
    ("--timeout nan a.py", 2, "--timeout nan"),
    ("--timeout inf a.py", 2, "--timeout inf"),
    ("--timeout", 2, "--timeout needs a value"),
    ("--grace 0 prog", 2, "--grace 0: a number of seconds above 0 is needed"),
    ("--wait often a.py", 2, "auto, block, yield, idle"),
    ("--env A a.py", 2, "NAME=VALUE"),
    ("--env =1 a.py", 2, "NAME=VALUE"),
    ("--env MMPI_LIBMPI=mpich a.py", 2, "MMPI_LIBMPI=mpich mmpi run"),
    ("--env MMPI_JOB=1 a.py", 2, "MMPI_JOB"),
    ("--hosts , a.py", 2, "is no host"),
    ("--hosts a:x a.py", 2, "a:x' is no host"),
    ("--hosts a:0 a.py", 2, "a:0' is no host"),
    (": a.py", 2, 'before ":"'),
    ("a.py :", 2, 'after ":"'),
    ("a.py : : b.py", 2, 'before ":"'),
    ("a.py : -n 3", 2, 'no program after ":"'),
    ("a.py : --timeout 3 b.py", 2, "before the first program"),
    ("a.py : -v b.py", 2, "before the first program"),
    ("a.py : -n x b.py", 2, "-n x"),
    ("-m", 2, "-m needs a module"),
    ("-c", 2, "-c needs code"),
    ("c.py", 2, "did you mean"),
    ("no/such/folder/x.py", 2, "no folder no/such/folder"),
    ("./too", 127, "did you mean ./tool?"),
    ("no-such-program-anywhere", 127, "no such program on PATH"),
    ("empty", 126, "without __main__.py"),
]


@pytest.mark.parametrize(("line", "status", "text"), BAD, ids=[line or "nothing" for line, _, _ in BAD])
def test_bad_command_line(line: str, status: int, text: str, programs_here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["run", *line.split()]) == status
    out, err = capsys.readouterr()
    assert text in err and not out
    assert 1 <= err.count("\n") <= 2 and all(row.startswith("mmpi run: ") for row in err.splitlines())


def test_empty_name(programs_here: Path) -> None:
    with pytest.raises(LaunchError, match="empty"):
        parsed(["-n", "2", ""])


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable(programs_here: Path) -> None:
    (programs_here / "a.py").chmod(0)
    with pytest.raises(LaunchError, match="permission") as e:
        parsed("a.py")
    assert e.value.status == 126


@pytest.mark.parametrize(("content", "text"), [(b"#!/no/such/shell\n", "/no/such/shell"), (b"#!\n", "nothing"), (b"x = 1\n", "#!")])
def test_not_executable(content: bytes, text: str, programs_here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "foreign_formats", lambda: False)
    (programs_here / "tool").write_bytes(content)
    with pytest.raises(LaunchError, match=text) as e:
        parsed("./tool")
    assert e.value.status == 126


def test_entry(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["--help"]) == 0 and "mmpi run -n 4 program.py" in capsys.readouterr().out
    assert entry.main(["--version"]) == 0 and capsys.readouterr().out.startswith("mmpi ")
    assert entry.main([]) == 2 and "usage" in capsys.readouterr().err
    assert entry.main(["rnu", "-n", "2"]) == 2
    err = capsys.readouterr().err
    assert "unknown command rnu" in err and "doctor, bench, info" in err and "did you mean `mmpi run`?" in err
    assert entry.main(["run", "--help"]) == 0 and "--timeout" in capsys.readouterr().out


# --- The plan -------------------------------------------------------------------------------------------------------


def planned(choice: Choice, n: int = 2, here: host.Host = HERE, **options: Any) -> launch.Plan:
    return plans.build([launch.Part(n, ("prog", "x"))], plans.Options(**options), choice, here)


def test_plan(choice: Choice) -> None:
    plan = planned(choice)
    script = plan.directory + "/rank"
    assert plan.argv[0] == plan.mpiexec and plan.argv[-6:] == ("-n", "2", "/bin/sh", script, "prog", "x")
    assert plan.ranks == 2 and not plan.crowded
    assert len(plan.job) == 8 and int(plan.job, 16) >= 0
    assert plan.directory.endswith(f"/mmpi-1000-{plan.job}")
    environ = plan.environ({"A": "1"})
    assert environ["A"] == "1" and environ["MMPI_JOB"] == plan.job and environ["MMPI_JOB_DIR"] == plan.directory
    assert environ["PYTHONUNBUFFERED"] == "1" and "MMPI_WAIT" not in environ
    assert plan.environ({"MMPI_LIBMPI": "mpich"})["MMPI_LIBMPI"] == choice.path
    assert planned(choice, wait="yield").environment["MMPI_WAIT"] == "yield"
    assert planned(choice).job != plan.job


def test_what_the_user_set_stays(choice: Choice) -> None:
    free = planned(choice, 9).defaults
    mine = dict.fromkeys(free, "mine")
    plan = planned(choice, 9, host.Host(mine, 1000, 4))
    assert plan.defaults == {} and {k: plan.environ(mine)[k] for k in mine} == mine


def test_crowded(choice: Choice) -> None:
    few, many = planned(choice, 4), planned(choice, 5)
    added = set(many.defaults) - set(few.defaults)
    assert many.crowded and not few.crowded
    assert added and all(name.startswith(("MPIR_CVAR_", "OMPI_MCA_mpi_yield")) for name in added)
    yielding = set(planned(choice, 5, host.Host({}, 1000, 4, yields=True)).defaults) - set(few.defaults)
    assert added - yielding == {name for name in added if "HEAVY_YIELD" in name} and yielding <= added


def test_programs_give_way_under_an_mpi_that_spins(choice: Choice) -> None:
    spinning = choice.replace(spins=True)

    def preloaded(n: int, **options: Any) -> list[str | None]:
        parts = [launch.Part(n, ("prog",)), launch.Part(1, ("other",), {"LD_PRELOAD": "mine.so"})]
        plan = plans.build(parts, plans.Options(**options), spinning, HERE)
        return [part.env.get("LD_PRELOAD") for part in plan.parts]

    assert preloaded(5) == [YIELDING, f"{YIELDING}:mine.so"]
    assert preloaded(1) == preloaded(5, wait="block") == [None, "mine.so"]
    assert preloaded(5, first="/tool.so") == [f"{YIELDING}:/tool.so", f"{YIELDING}:mine.so"]
    assert planned(choice, 9).parts[0].env == {}


def test_inside_a_rank(choice: Choice) -> None:
    outer = {"PMI_RANK": "1", "PMI_FD": "9", "OMPI_COMM_WORLD_SIZE": "2", "PMIX_RANK": "1", "MMPI_JOB": "0", "OMPI_MCA_pml": "ob1"}
    plan = planned(choice, here=host.Host(outer, 1000, 4))
    environ = plan.environ(outer)
    assert not {"PMI_RANK", "PMI_FD", "OMPI_COMM_WORLD_SIZE", "PMIX_RANK"} & set(environ)
    assert environ["OMPI_MCA_pml"] == "ob1" and environ["MMPI_JOB"] == plan.job
    assert "unsets" in launch.explain(plan)


def test_parts_and_their_variables(choice: Choice) -> None:
    parts = [launch.Part(1, ("a",)), launch.Part(3, ("b", "c"), {"X": "1 2"})]
    argv = plans.build(parts, plans.Options(hosts=(("h", 4),)), choice, HERE).argv
    assert argv[-14:-11] + argv[-9:-6] == ("-n", "1", "/bin/sh", ":", "-n", "3")
    assert argv[-10] == "a" and argv[-4:] == ("env", "X=1 2", "b", "c")


def test_openmpi_as_root_only() -> None:
    root = openmpi.defaults("/no/mpiexec", "/dev/shm/x", False, host.Host({}, 0, 4))
    user = openmpi.defaults("/no/mpiexec", "/dev/shm/x", False, host.Host({}, 1000, 4))
    assert root["OMPI_ALLOW_RUN_AS_ROOT"] == root["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] == "1"
    assert not any("ROOT" in name for name in user)


def test_openmpi_generations(tmp_path: Path) -> None:
    for name, neighbour, generation in (("4", "orterun", 4), ("5", "prterun", 5)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / neighbour).write_text("")
        (folder / "mpiexec").write_text("")
        assert openmpi.generation(str(folder / "mpiexec")) == generation
        names = openmpi.defaults(str(folder / "mpiexec"), "/dev/shm/x", False, HERE)
        assert ("OMPI_MCA_rmaps_base_oversubscribe" in names) == (generation == 4)
        assert ("PRTE_MCA_rmaps_default_mapping_policy" in names) == (generation == 5)


def test_hosts_need_a_printer(choice: Choice) -> None:
    plan = planned(choice, 3, hosts=(("a", 2), ("b", 1)))
    assert "a:2,b:1" in plan.argv
    with pytest.raises(LaunchError, match="needs a printer"):
        launch.start(plan)


def test_no_mpiexec(choice: Choice, tmp_path: Path) -> None:
    alone = choice.replace(prefix=str(tmp_path))
    with pytest.raises(LaunchError, match="no mpiexec") as e:
        plans.find_mpiexec(alone, {"PATH": str(tmp_path)})
    assert e.value.status == 127


def test_plan_refuses(choice: Choice) -> None:
    for wrong, text in (((["-c", "pass"], 0), "at least one rank"), (([], 2), "no program"), ((["-c", "pass", ":"], 2), "':'")):
        with pytest.raises(LaunchError, match=text):
            launch.plan(*wrong, choice=choice)
    with pytest.raises(LaunchError, match="wait"):
        launch.plan(["-c", "pass"], 2, wait="no", choice=choice)


def test_cores(tmp_path: Path) -> None:
    own, root = tmp_path / "cgroup", tmp_path / "root"
    (root / "a/b").mkdir(parents=True)
    own.write_text("0::/a/b\n")
    assert cores.cpu_quota(root, own) is None
    (root / "a/b/cpu.max").write_text("max 100000\n")
    (root / "a/cpu.max").write_text("150000 100000\n")
    assert cores.cpu_quota(root, own) == 1.5
    (root / "cpu").mkdir()
    own.write_text("3:cpu,cpuacct:/x\n1:memory:/y\n")
    (root / "cpu,cpuacct").mkdir()
    (root / "cpu,cpuacct/cpu.cfs_quota_us").write_text("50000\n")
    (root / "cpu,cpuacct/cpu.cfs_period_us").write_text("100000\n")
    assert cores.cpu_quota(root, own) == 0.5
    assert cores.usable_cores() >= 1


def test_default_number_of_ranks() -> None:
    assert HERE.default_ranks() == 4
    assert host.Host({"SLURM_NTASKS": "9"}, 0, 4).default_ranks() == 4
    assert host.Host({"SLURM_NTASKS": "9", "SLURM_JOB_ID": "1"}, 0, 4).default_ranks() == 9


def test_explain(jobs: Jobs, choice: Choice) -> None:
    ended = jobs.run("-n", "3", "--wait", "yield", "--hosts", "a:2,b:1", "--explain", "-c", "pass")
    assert ended.status == 0 and not ended.err, ended
    for text in (choice.path, choice.reason, "mpiexec", "3 on a (2), b (1)", "MMPI_WAIT=yield", "MMPI_JOB_DIR=", "a:2,b:1"):
        assert text in ended.out
    ended = jobs.run("--explain", "-c", "pass")
    assert f"ranks     {host.Host.here().default_ranks()} on this machine" in ended.out


# --- Jobs -----------------------------------------------------------------------------------------------------------


def test_ranks(jobs: Jobs) -> None:
    ended = jobs.run("-v", "-n", "3", "-c", PRELUDE + "say(rank, *sys.argv)", "x", "-n")
    assert ended.status == 0 and ended.lines == ["0 -c x -n", "1 -c x -n", "2 -c x -n"], ended
    assert "mmpi run: library " in ended.err and "mpiexec" in ended.err


def test_world(jobs: Jobs) -> None:
    code = PRELUDE + "mpi_init(); n = ctypes.c_int(); mpi.MPI_Comm_size(world, ctypes.byref(n)); say(rank, n.value); mpi.MPI_Finalize()"
    ended = jobs.run("-n", "3", "-c", code)
    assert ended.status == 0 and ended.lines == ["0 3", "1 3", "2 3"], ended


def test_programs(jobs: Jobs, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    program = folder / "größe 1.py"
    program.write_text(PRELUDE + "say(rank, sys.executable, *map(repr, sys.argv[1:]))")
    tool = folder / "tool"
    tool.write_text('#!/bin/sh\necho "tool $X $1"\n')
    tool.chmod(0o755)
    words = ["", "a b", "ü*", "'", '"', "$HOME", "\\", "-n"]
    ended = jobs.run("-n", "2", str(program), *words, ":", "--env", "X=a  b", str(tool), "1 2")
    shown = f"{sys.executable} {' '.join(map(repr, words))}"
    assert ended.status == 0 and ended.lines == [f"0 {shown}", f"1 {shown}", "tool a  b 1 2"], ended


def test_module_and_folder(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/__main__.py").write_text(PRELUDE + "say(rank, sys.argv[1])")
    assert jobs.run("-n", "2", "-m", "pack", "m").lines == ["0 m", "1 m"]
    assert jobs.run("-n", "2", "pack", "f").lines == ["0 f", "1 f"]


def test_program_from_stdin(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("x = 5")
    text = PRELUDE + "import neighbour\nsay(rank, neighbour.x, sys.argv, repr(sys.stdin.read()))\n"
    ended = jobs.run("-n", "2", "-", "arg", stdin=text)
    assert ended.lines == ["0 5 ['-', 'arg'] ''", "1 5 ['-', 'arg'] ''"], ended
    ended = jobs.run("-n", "2", "-", stdin="def f():\n    return 1 / 0  # here\nf()\n")
    assert ended.status == 1 and "return 1 / 0  # here" in ended.err, ended


READ = PRELUDE + "text = sys.stdin.read(); say(rank, len(text), *(text[:5] + text[-5:]).split())"


def test_stdin_goes_to_rank_0(jobs: Jobs) -> None:
    text = "".join(f"{i:9d}\n" for i in range(40000))
    ended = jobs.run("-n", "3", "-c", "import time; time.sleep(0.3)\n" + READ, stdin=text)
    assert ended.status == 0 and [line.split()[:2] for line in ended.lines] == [["0", "400000"], ["1", "0"], ["2", "0"]], ended
    assert ended.lines[0].endswith("9999")


def test_kinds_of_stdin(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("first\nsecond\n")
    with open(tmp_path / "data", "rb", buffering=0) as file:
        out, _ = jobs.begin("-n", "1", "-c", READ, stdin=file).communicate(timeout=LIMIT)
        assert out.split() == ["0", "13", "firstcond"]
        os.lseek(file.fileno(), 6, os.SEEK_SET)
        out, _ = jobs.begin("-n", "1", "-c", READ, stdin=file).communicate(timeout=LIMIT)
        assert out.split() == ["0", "7", "seconcond"], "a file that was read in part goes on from there"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = jobs.begin("-n", "1", "-c", READ, stdin=theirs)
        theirs.close()
        ours.sendall(b"hello")
        ours.shutdown(socket.SHUT_WR)
        assert process.communicate(timeout=LIMIT)[0].split() == ["0", "5", "hellohello"]
    assert jobs.begin("-n", "1", "-c", READ).communicate(timeout=LIMIT)[0].split() == ["0", "0"]
    shell = f"{sys.executable} -m mmpi run -n 1 -c {shlex.quote(READ)} <&-"
    assert subprocess.run(["sh", "-c", shell], capture_output=True, timeout=LIMIT, cwd=tmp_path).stdout.split() == [b"0", b"0"]


def test_what_is_not_read_stays(jobs: Jobs) -> None:
    shell = f"{sys.executable} -m mmpi run -n 2 -c pass; cat"
    process = subprocess.run(["sh", "-c", shell], input=b"for the next one", capture_output=True, timeout=LIMIT)
    assert process.stdout == b"for the next one"


def test_terminal(jobs: Jobs) -> None:
    master, slave = os.openpty()
    process = jobs.begin("-n", "2", "-c", PRELUDE + "say(sys.stdin.isatty(), sys.stdin.read())", stdin=slave)
    os.close(slave)
    with os.fdopen(master, "wb", buffering=0) as keyboard:
        keyboard.write(b"typed\n\x04")
        out, _ = process.communicate(timeout=LIMIT)
    assert sorted(out.split()) == ["False", "True", "typed"]


def test_variables_that_a_shell_drops(jobs: Jobs) -> None:
    odd = {"a.b": "1 2", "BASH_FUNC_f%%": "() { echo 'x'; }", "lang-ü": "ö"}
    ended = jobs.run("-n", "1", "-c", f"import os; print([os.environ.get(name) for name in {list(odd)}])", env=odd)
    assert ended.out == f"{list(odd.values())}\n", ended


def test_environment(jobs: Jobs, choice: Choice) -> None:
    names = "MMPI_JOB MMPI_JOB_DIR MMPI_WAIT MMPI_LIBMPI A B"
    code = PRELUDE + f"say(rank, *map(os.environ.get, '{names}'.split()), oct(os.stat(os.environ['MMPI_JOB_DIR']).st_mode))"
    ended = jobs.run("--wait", "idle", "--env", "A=1", "--env", "B=x=y", "-n", "2", "-c", code, env={"A": "0", "MMPI_JOB": "old"})
    first, second = (line.split() for line in ended.lines)
    assert first[1:] == second[1:], ended
    assert first[3:] == ["idle", choice.path, "1", "x=y", "0o40700"]
    assert first[1] != "old" and first[2].endswith(first[1]) and not os.path.exists(first[2])


def test_without_home(jobs: Jobs) -> None:
    ended = jobs.run("-n", "2", "-c", PRELUDE + "mpi_init(); mpi.MPI_Finalize(); say(rank)", env={"HOME": None})
    assert ended.status == 0 and ended.lines == ["0", "1"], ended


def test_job_in_a_job(jobs: Jobs) -> None:
    inner = f"{sys.executable} -m mmpi run -n 2 -c 'import os; os.write(1, b\"in\" + os.environ[\"MMPI_JOB\"].encode() + b\"\\n\")'"
    ended = jobs.run("-n", "1", "sh", "-c", f"echo in$MMPI_JOB; {inner} </dev/null")
    assert ended.status == 0 and len(ended.lines) == 3 and len(set(ended.lines)) == 2, ended


STATUSES = [
    ("pass", 0),
    ("sys.exit(3 if rank == 1 else 0)", 3),
    ("sys.exit(9 if rank == 1 else 0)", 9),
    ("time.sleep(0.4 * (2 - rank)); sys.exit(4 + rank)", 6),
    ("1 / (rank - 1)", 1),
    ("sys.exit('text')", 1),
    ("os._exit(5) if rank == 1 else time.sleep(50)", 5),
    ("os.kill(os.getpid(), 9) if rank == 1 else time.sleep(50)", 137),
    ("os.kill(os.getpid(), 11) if rank == 1 else time.sleep(50)", 139),
    ("os.abort() if rank == 1 else time.sleep(50)", 134),
    ("raise KeyboardInterrupt", 130),
    ("mpi_init(); mpi.MPI_Barrier(world); rank == 1 and mpi.MPI_Abort(world, 7); mpi.MPI_Barrier(world)", 7),
    ("mpi_init(); mpi.MPI_Barrier(world); rank == 1 and os.kill(os.getpid(), 9); mpi.MPI_Barrier(world)", 137),
    ("mpi_init(); mpi.MPI_Barrier(world); rank == 1 and os.kill(os.getpid(), 11); mpi.MPI_Barrier(world)", 139),
    ("os._exit(3) if rank == 1 else mpi_init()", 3),
]


@pytest.mark.parametrize(("code", "status"), STATUSES, ids=[code for code, _ in STATUSES])
def test_status(code: str, status: int, jobs: Jobs) -> None:
    ended = jobs.run("-n", "3", "-c", PRELUDE + code)
    assert ended.status == status, ended
    if "Abort" not in code:  # then the launcher kills them all at about the time it ends itself
        assert ("mmpi run: rank" in ended.err) == (status != 0), ended


def test_time_limit(jobs: Jobs) -> None:
    ended = jobs.run("--timeout", "1", "-n", "2", "-c", PRELUDE + "say(os.environ['MMPI_JOB_DIR']); time.sleep(100)")
    assert ended.status == 124 and "time limit of 1 s" in ended.err, ended
    assert not os.path.exists(ended.lines[0])


STUBBORN = {
    "sleeping": "say('up'); time.sleep(100)",
    "deaf": "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN); say('up'); time.sleep(100)",
    "in MPI": "mpi_init(); say('up'); mpi.MPI_Barrier(world) if rank else time.sleep(100)",
    "with children": "import subprocess; subprocess.Popen(['sleep', '100'], start_new_session=True, env={}); say('up'); time.sleep(100)",
}


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("kind", STUBBORN)
def test_signal_ends_all(kind: str, signum: int, jobs: Jobs) -> None:
    process = jobs.begin("-n", "3", "-c", PRELUDE + "say(os.environ['MMPI_JOB_DIR'])\n" + STUBBORN[kind])
    try:
        lines = read_lines(process, 6)
        assert lines[3:] == ["up"] * 3
        folder = lines[0]
        members = processes.of_job(folder[-8:], [process.pid])
        process.send_signal(signum)
        assert process.wait(LIMIT) == 128 + signum
    finally:
        process.kill()
        process.communicate()
    assert not os.path.exists(folder)
    assert len(members) >= 5 and not [pid for pid in members if os.path.exists(f"/proc/{pid}/exe") and processes.executable_name(pid)]


def test_finally_runs_on_both_signals(jobs: Jobs) -> None:
    code = PRELUDE + "try:\n    say('up'); time.sleep(100)\nfinally:\n    time.sleep(0.4 * rank); say('finally', rank)"
    for signum in (signal.SIGINT, signal.SIGTERM):
        process = jobs.begin("-n", "2", "-c", code)
        read_lines(process, 2)
        process.send_signal(signum)
        out, _ = process.communicate(timeout=LIMIT)
        assert process.returncode == 128 + signum and {"finally 0", "finally 1"} <= set(out.splitlines())


def test_second_interrupt_ends_at_once(jobs: Jobs) -> None:
    process = jobs.begin("-n", "2", "-c", PRELUDE + STUBBORN["deaf"])
    read_lines(process, 2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=LIMIT)
    assert process.returncode == 130


def test_interrupt_while_starting(jobs: Jobs) -> None:
    for pause in (0.0, 0.1, 0.25, 0.4):
        process = jobs.begin("-n", "2", "-c", "import time; time.sleep(100)")
        time.sleep(pause)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LIMIT)
        assert process.returncode in (130, -signal.SIGINT, 1)  # the last two: Python itself was still starting


@pytest.mark.parametrize("first", [None, signal.SIGTERM], ids=["at work", "while it ends the job"])
@pytest.mark.parametrize("kind", ["sleeping", "deaf"])
def test_killed_supervisor(kind: str, first: int | None, jobs: Jobs) -> None:
    process = jobs.begin("-n", "2", "-c", PRELUDE + "say(os.environ['MMPI_JOB_DIR'])\n" + STUBBORN[kind])
    folder = read_lines(process, 4)[0]
    if first:
        process.send_signal(first)
        time.sleep(0.2)
    process.kill()
    wait_for(lambda: not jobs.left(), "processes live on after `mmpi run` was killed")
    process.communicate()
    assert not os.path.exists(folder)


def test_folder_of_a_dead_job_is_swept(jobs: Jobs) -> None:
    process = jobs.begin("-n", "2", "-c", PRELUDE + "say(os.environ['MMPI_JOB_DIR']); time.sleep(100)")
    folder = read_lines(process, 2)[0]
    process.send_signal(signal.SIGSTOP)  # it must not see the others die
    for pid in [*processes.children(process.pid), *processes.of_job(folder[-8:]), process.pid]:
        processes.send(pid, signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not jobs.left(), "processes live on")
    assert os.path.exists(folder)
    assert jobs.run("-n", "1", "-c", "pass").status == 0
    assert not os.path.exists(folder), "the next `mmpi run` removes the folder"


def test_stop_and_go_on(jobs: Jobs) -> None:
    process = jobs.begin("-n", "2", "-c", PRELUDE + "say(os.getpid()); time.sleep(1); say('on')")
    pids = [int(line) for line in read_lines(process, 2)]
    process.send_signal(signal.SIGTSTP)
    wait_for(lambda: all((processes.stat(pid) or "?")[0] == "T" for pid in (process.pid, *pids)), "not stopped")
    process.send_signal(signal.SIGCONT)
    out, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0 and out.split() == ["on", "on"]


def test_shared_memory_of_killed_ranks(jobs: Jobs) -> None:
    code = PRELUDE + "mpi_init(); mpi.MPI_Barrier(world); say(*{l.split()[5] for l in open('/proc/self/maps') if '/dev/shm/' in l})\n"
    ended = jobs.run("-n", "3", "-c", code + "mpi.MPI_Barrier(world); time.sleep(0.3); os.kill(os.getpid(), 9)")
    assert ended.status == 137, ended
    assert [path for path in ended.out.split() if os.path.exists(path)] == []


# --- The interface for programs -------------------------------------------------------------------------------------


def test_job(choice: Choice) -> None:
    plan = launch.plan(["-c", PRELUDE + "say(rank, os.environ['Q'])"], 2, choice=choice)
    job = launch.start(plan, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env={**os.environ, "Q": "q"})
    assert job.wait(LIMIT) == 0 == job.poll() and job.stdout is not None
    with job.stdout:
        assert sorted(job.stdout.read().split()) == [b"0", b"1", b"q", b"q"]
    job.kill()
    with pytest.raises(OSError):
        os.kill(job.pid, 0)


def test_job_killed(choice: Choice) -> None:
    plan = launch.plan(["-c", "import time; time.sleep(100)"], 3, choice=choice)
    job = launch.start(plan, stdin=subprocess.DEVNULL)
    with pytest.raises(LaunchError, match="only once"):
        launch.start(plan)
    with pytest.raises(subprocess.TimeoutExpired):
        job.wait(0.1)
    wait_for(lambda: job.poll() is None and len(job.ranks.known) == 3, "no ranks")
    assert len(job.processes()) >= 4 and os.path.isdir(plan.directory)
    job.kill()
    assert job.processes() == [] and not os.path.exists(plan.directory) and job.returncode == 137


def test_status_without_seeing_the_ranks() -> None:
    assert [supervise.status_of(None, code, (11,)) for code in (0, 3, 11, -9)] == [0, 3, 139, 137]
    assert supervise.status_of(None, 11, ()) == 11


def test_cause_of_the_end(tmp_path: Path) -> None:
    def seen(*statuses: int) -> processes.Ranks:
        ranks = processes.Ranks(0, len(statuses), str(tmp_path))
        ranks.close()
        ranks.ended = [processes.Rank(0, -1, number, float(number), status) for number, status in enumerate(statuses)]
        return ranks

    for statuses, told, expected in (
        ((0, 3 << 8, 4 << 8), 7, 3),        # hydra ORs
        ((9, 9), 9, 137),
        ((9, 7 << 8), 7, 7),                # MPI_Abort(7): the other one was killed first
        ((9, 9), 7, 7),
        ((9, 6, 9), 15, 134),               # the launcher saw rank 1 go down before it was gone
        ((15, 11), 139, 139),
        ((9, 0), -11, 137),                 # the launcher crashed
        ((0, 0), 1, 1),
        ((14 << 8, 9), 14, 137),            # Open MPI on several hosts: the connection to rank 1 broke
        ((9, 14 << 8), 1, 137),
        ((9, 14 << 8), 143, 137),           # its launcher had to be ended by us
        ((9, 15, 14 << 8), 143, 137),       # or tells of a rank that it ended itself
        ((9, 7 << 8, 14 << 8), 7, 7),
        ((14 << 8, 0), 137, 137),           # the rank that was killed was not seen
    ):
        cause = supervise.cause_of_end(seen(*statuses), told)
        assert supervise.status_of(cause, told, ()) == expected, (statuses, told)


@pytest.mark.parametrize("moment, first", [(LIMIT, 0), (0, 1)])
def test_who_let_go_of_its_record_first_ended_first(moment: float, first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever order the kernel tells their ends in; but not if that was long before."""
    code = """
import os
file = os.open(f"{os.getpid()}.page", os.O_RDWR | os.O_CREAT)
for done in (lambda: None, lambda: os.close(file), lambda: os.kill(os.getpid(), 9)):
    done()
    print(flush=True)
    input()
"""
    monkeypatch.setattr(processes, "SAME_MOMENT", moment)
    ranks = processes.Ranks(0, 0, str(tmp_path))
    started = [subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path) for _ in range(2)]
    told = [(process.stdin, process.stdout) for process in started]

    def go_on(rank: int) -> None:
        stdin, stdout = told[rank]
        assert stdin and stdout
        stdin.write(b"\n")
        stdin.flush()
        stdout.readline()

    def ended(number: int) -> bool:
        ranks.watch(0)
        return len(ranks.ended) == number

    for number, process in enumerate(started):
        ranks.add(processes.Rank(process.pid, os.pidfd_open(process.pid), number))
    for rank in (0, 1):  # lets go
        assert (stdout := told[rank][1]) and stdout.readline()
        go_on(rank)
    for rank in (1, 0):  # dies
        go_on(rank)
        wait_for(partial(ended, 2 - rank), "not seen to end")
    for process in started:
        process.communicate()
    failed = ranks.failure()
    assert [rank.rank for rank in ranks.ended] == [1, 0] and failed and failed.rank == first
    ranks.close()


def test_how_a_rank_ended() -> None:
    assert "SIGSEGV" in report.signal_name(11) and report.signal_name(63) == "signal 63"
