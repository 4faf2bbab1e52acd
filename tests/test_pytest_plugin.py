# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) the MaroonMPI authors
"""The pytest plugin, by running pytest on small test files whose ranks need no MPI."""

import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree
from pathlib import Path
from textwrap import dedent

import pytest

from mmpi.pytest_plugin import merge

pytest_plugins = ["pytester"]

PRELUDE = """
import os, signal, sys, time, unittest
import pytest
RANK = int(os.environ.get("PMI_RANK", os.environ.get("OMPI_COMM_WORLD_RANK", -1)))
SIZE = int(os.environ.get("PMI_SIZE", os.environ.get("OMPI_COMM_WORLD_SIZE", -1)))
"""
LAUNCHER_VARIABLES = ("PMI_", "PMIX_", "OMPI_")


class Runner:
    """Runs pytest on a test file, with all temporary files in a place of its own."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.temporary = pytester.mkdir("temporary")

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "pytest", "-p", "mmpi.pytest_plugin", *args]

    def __call__(self, source: str, *args: str) -> pytest.RunResult:
        self.pytester.makepyfile(test_it=PRELUDE + dedent(source))
        return self.pytester.run(*self.command(*args), timeout=120)

    def lines(self, name: str) -> list[str]:
        """The lines of a file that tests have written."""
        return Path(self.pytester.path, name).read_text().splitlines()

    def leftovers(self) -> list[str]:
        """What the runs have left: files in the temporary folder, and processes that know it."""
        mark = f"TMPDIR={self.temporary}".encode()
        # Open MPI itself leaves ompi.HOST.UID where a process was started without a launcher.
        left = [str(path) for path in self.temporary.iterdir() if not path.name.startswith("ompi.")]
        for process in Path("/proc").iterdir():
            try:
                if process.name.isdecimal() and mark in (process / "environ").read_bytes().split(b"\0"):
                    left.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return left


@pytest.fixture
def run(pytester, monkeypatch):
    """A Runner; at the end nothing may be left of its jobs."""
    runner = Runner(pytester)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # hypothesis takes longer to load than all the rest
    monkeypatch.setenv("TMPDIR", str(runner.temporary))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    for name in list(os.environ):
        if name.startswith(LAUNCHER_VARIABLES) and not name.startswith("OMPI_ALLOW"):
            monkeypatch.delenv(name)
    yield runner
    assert runner.leftovers() == []


def outcomes(result: pytest.RunResult) -> dict[str, str]:
    """Name of test -> outcome, of a run with -v."""
    return dict(re.findall(r"^\S+?::(\S+) ([A-Z]+) ", result.stdout.str(), re.MULTILINE))


# ---- running ----

def test_each_n(run):
    result = run("""
        @pytest.mark.mmpi(n=[1, 2, 3])
        @pytest.mark.parametrize("kind", ["f8", "i4"])
        def test_size(kind, mmpi_n):
            assert SIZE == mmpi_n and 0 <= RANK < SIZE

        def test_here():
            assert SIZE == -1
        """, "-v")
    assert result.ret == 0
    assert list(outcomes(result)) == [f"test_size[n={n}-{kind}]" for n in (1, 2, 3) for kind in ("f8", "i4")] + [
        "test_here"]
    result.assert_outcomes(passed=7)


def test_one_job_for_a_module_and_n(run):
    result = run("""
        pytestmark = pytest.mark.mmpi(n=[1, 2])

        @pytest.mark.parametrize("number", range(20))
        def test_many(number):
            with open("pids", "a") as file:
                file.write(f"{SIZE} {RANK} {os.getpid()}\\n")

        def test_last():
            test_many(0)
        """)
    result.assert_outcomes(passed=42)
    assert len(run.lines("pids")) == 21 * 3
    assert len(set(run.lines("pids"))) == 3


@pytest.mark.parametrize("share", [pytest.param("module", marks=pytest.mark.slow), "session"])
def test_modules_that_share_jobs(run, share):
    """A crash costs a shared job too, and what comes after it in other modules runs in a fresh one."""
    run.pytester.makeini(f"[pytest]\nmmpi_share = {share}")
    module = """
        pytestmark = pytest.mark.mmpi(n=[1, 2])

        def test_pid():
            with open("pids", "a") as file:
                file.write(f"{SIZE} {RANK} {os.getpid()}\\n")
        """
    run.pytester.makepyfile(test_b=PRELUDE + dedent(module))
    run.pytester.makepyfile(test_c=PRELUDE + dedent(module + """
        def test_crash():
            if SIZE == 2 and RANK == 1:
                os._exit(3)
        """))
    run.pytester.makepyfile(test_d=PRELUDE + dedent(module))
    result = run(module, "-v", "test_b.py", "test_c.py", "test_d.py", "test_it.py")
    result.assert_outcomes(passed=9, failed=1)
    order = [line.split()[0] for line in result.outlines if "::test_pid" in line and ("PASSED" in line or "FAILED" in line)]
    by_n = [f"test_{module}.py::test_pid[n={n}]" for n in (1, 2) for module in ("b", "c", "d", "it")]
    by_module = [f"test_{module}.py::test_pid[n={n}]" for module in ("b", "c", "d", "it") for n in (1, 2)]
    assert order == (by_n if share == "session" else by_module)
    # one job of one rank, two jobs of two; else one job for each module and n
    assert len(set(run.lines("pids"))) == (1 + 2 + 2 if share == "session" else 4 * 3)


def test_whom_to_share_with_is_checked(run):
    run.pytester.makeini("[pytest]\nmmpi_share = folder")
    result = run("def test_a(): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*mmpi_share: expected module or session, not 'folder'*"])


def test_default_n(run):
    run.pytester.makeini("[pytest]\nmmpi_n = 3, 1")
    result = run("""
        @pytest.mark.mmpi
        def test_a(): pass

        @pytest.mark.mmpi(timeout=5)
        def test_b(): pass
        """, "-v")
    assert list(outcomes(result)) == ["test_a[n=3]", "test_b[n=3]", "test_a[n=1]", "test_b[n=1]"]


def test_markers_complete_each_other(run):
    result = run("""
        pytestmark = pytest.mark.mmpi(n=2)

        @pytest.mark.mmpi(timeout=1)
        def test_a():
            time.sleep(100)

        @pytest.mark.mmpi(1)
        def test_b(): pass
        """, "-v")
    assert outcomes(result) == {"test_a[n=2]": "FAILED", "test_b[n=1]": "PASSED"}


def test_late_marker(run):
    run.pytester.makeconftest("""
        import pytest
        def pytest_collection_modifyitems(items):
            for item in items:
                item.add_marker(pytest.mark.mmpi(3))
        """)
    run("def test_a(): assert SIZE == 3", "-v").assert_outcomes(passed=1)


BAD_MARKERS = {
    "n=0": "n=0", "n=[1, '2']": "'2' in n=", "n=True": "n=True", "n=[]": "at least one", "n=[2, 2]": "twice",
    "1, 2": "at most one positional", "2, n=2": "n twice", "m=3": "no argument m",
    "timeout='soon'": "timeout='soon'", "timeout=-1": "timeout=-1"}


@pytest.mark.parametrize("source", [
    "def test_bad(): pass", "class TestBad(unittest.TestCase):\n    def test_bad(self): pass"])
def test_bad_markers(run, source):
    run.pytester.makepyfile(**{f"test_{number}": f"{PRELUDE}\n@pytest.mark.mmpi({arguments})\n{source}"
                               for number, arguments in enumerate(BAD_MARKERS)})
    result = run("")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    for number, complaint in enumerate(BAD_MARKERS.values()):
        line = rf"^test_{number}.py::.*test_bad: mmpi .*{re.escape(complaint)}"
        assert re.search(line, result.stdout.str(), re.MULTILINE)
    assert "Traceback" not in result.stdout.str()


@pytest.mark.parametrize("option, complaint", [
    ("--mmpi-n=1,x", "--mmpi-n: expected numbers of processes such as 1,2,4, not '1,x'"),
    ("--mmpi-timeout=now", "--mmpi-timeout: expected a time in seconds"),
    ("-ommpi_grace=x", "ini option mmpi_grace: expected a time in seconds")])
def test_bad_option(run, option, complaint):
    result = run("def test_a(): pass", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {complaint}*"])


# ---- failures ----

def test_failure_on_one_rank(run):
    result = run("""
        pytestmark = pytest.mark.mmpi(n=3)

        def test_bad():
            assert RANK != 1

        def test_after(): pass
        """, "-v")
    assert outcomes(result) == {"test_bad[n=3]": "FAILED", "test_after[n=3]": "PASSED"}
    result.stdout.fnmatch_lines(["* test_bad?n=3? *", "~* rank 1 of 3 ~*", ">*assert RANK != 1", "E*assert 1 != 1",
                                 "FAILED test_it.py::test_bad?n=3? - rank 1: assert 1 != 1"])
    assert result.stdout.str().count("E  ") == 1


def test_same_failure_on_all_ranks(run):
    result = run("""
        pytestmark = pytest.mark.mmpi(n=3)

        def test_bad():
            print(os.getpid(), file=open("pids", "a"))
            assert object() is None     # its address differs

        def test_after():
            print(os.getpid(), file=open("pids", "a"))
        """)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["~* all 3 ranks ~*", "FAILED test_it.py::test_bad?n=3? - assert <object*"])
    assert result.stdout.str().count("is None     # its") == 1
    assert len(set(run.lines("pids"))) == 3, "the job goes on where all ranks agree"


def test_different_failures(run):
    result = run("""
        @pytest.mark.mmpi(n=4)
        def test_bad():
            if RANK == 2:
                raise ValueError("two")
            number = max(7 - RANK // 3 * 4, RANK)
            assert number == 8
        """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["~* ranks 0, 1 of 4 ~*", "E*assert 7 == 8", "~* rank 2 of 4 ~*", "E*ValueError: two",
                                 "~* rank 3 of 4 ~*", "E*assert 3 == 8", "FAILED*- ranks 0, 1: assert 7 == 8"])


def test_failing_rank_waits(run):
    """A rank that failed must not go on to the next test while others are still in this one."""
    result = run("""
        pytestmark = pytest.mark.mmpi(n=2)

        def test_bad():
            assert RANK == 1
            time.sleep(1)

        def test_after():
            print(RANK, file=open("ranks", "a"))
        """)
    result.assert_outcomes(failed=1, passed=1)
    assert sorted(run.lines("ranks")) == ["0", "1"]


def test_skips(run):
    result = run("""
        pytestmark = pytest.mark.mmpi(n=2)

        @pytest.mark.skip(reason="never")
        def test_marked(): pass

        def test_all():
            pytest.skip("not today")

        def test_some():
            if RANK:
                pytest.skip("not here")

        def test_some_fail():
            if RANK:
                pytest.skip("not here")
            assert False

        @pytest.mark.skipif(SIZE == 2, reason="two")
        def test_if(): pass
        """, "-v", "-rs")
    assert list(outcomes(result).values()) == ["SKIPPED", "SKIPPED", "PASSED", "FAILED", "SKIPPED"]
    result.stdout.fnmatch_lines(["SKIPPED*not today"])


def test_xfails(run):
    result = run("""
        pytestmark = pytest.mark.mmpi(n=2)

        @pytest.mark.xfail
        def test_all(): assert False

        @pytest.mark.xfail(strict=True)
        def test_one(): assert RANK

        @pytest.mark.xfail(raises=ValueError)
        def test_wrong(): assert RANK

        @pytest.mark.xfail
        def test_none(): pass

        @pytest.mark.xfail(strict=True)
        def test_strict(): pass

        def test_inside():
            pytest.xfail("known") if RANK else None
        """, "-v")
    assert list(outcomes(result).values()) == ["XFAIL", "XFAIL", "FAILED", "XPASS", "FAILED", "XFAIL"]
    result.stdout.fnmatch_lines(["*XPASS(strict)*"])


# ---- crashes and hangs ----

def test_crashes(run):
    result = run("""
        pytestmark = pytest.mark.mmpi(n=2)

        def die(how, *arguments):
            print("last words", end="", flush=True)
            if RANK == 1:
                how(*arguments)
            time.sleep(100)

        def test_before(): pass
        def test_killed(): die(os.kill, os.getpid(), signal.SIGKILL)
        def test_between(): pass
        def test_fault(): die(os.kill, os.getpid(), signal.SIGSEGV)
        def test_exit(): die(os._exit, 3)
        def test_good_exit(): die(os._exit, 0)
        def test_after(): pass
        def test_after_too(): pass
        """, "-v")
    assert list(outcomes(result).values()) == ["PASSED", "FAILED", "PASSED", *["FAILED"] * 3, "PASSED", "PASSED"]
    words = [["rank 1 of 2 ended in this test: " + how, "*stdout*rank 1*", "last words"]
             for how in ("signal 9 (SIGKILL)", "signal 11 (SIGSEGV)", "exit status 3", "exit status 0")]
    words[1].insert(1, "  File *test_it.py*, line * in test_fault")
    result.stdout.fnmatch_lines(sum(words, []))


def test_crash_of_a_rank_that_is_ahead(run):
    """The test to blame is the one in which the rank died; one that another rank is still in is run again."""
    result = run("""
        pytestmark = pytest.mark.mmpi(n=2)

        def test_slow():
            time.sleep(3 if RANK == 0 and not os.path.exists("crashed") else 0)

        def test_crash():
            if RANK == 1:
                open("crashed", "w").close()
                os.kill(os.getpid(), signal.SIGKILL)

        def test_after(): pass
        """, "-v")
    assert list(outcomes(result).values()) == ["PASSED", "FAILED", "PASSED"]


def test_crash_on_one_process(run):
    result = run("""
        @pytest.mark.mmpi(n=1)
        def test_crash(): os._exit(1)
        """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the process ended in this test: exit status 1"])


def test_crash_in_teardown(run):
    result = run("""
        @pytest.fixture
        def deadly():
            yield
            os.kill(os.getpid(), signal.SIGKILL)

        @pytest.mark.mmpi(n=1)
        def test_crash(deadly): pass
        """)
    result.assert_outcomes(passed=1, errors=1)


def test_hang(run):
    result = run("""
        pytestmark = pytest.mark.mmpi(n=3)

        @pytest.mark.mmpi(timeout=1)
        def test_hang():
            if RANK:
                print("here I wait")
                time.sleep(100)

        def test_after(): pass
        """, "-v")
    assert list(outcomes(result).values()) == ["FAILED", "PASSED"]
    result.stdout.fnmatch_lines([
        "no rank began or finished a test for 1 s: the job was ended", "*ranks 1, 2 of 3: in this test",
        "  File *test_it.py*, line * in test_hang", "*stdout*rank 1*", "here I wait"])
    assert "_pytest" not in result.stdout.str()


def test_hang_of_a_stopped_process(run):
    result = run("""
        @pytest.mark.mmpi(n=2, timeout=1)
        def test_hang():
            if RANK == 0:
                os.kill(os.getpid(), signal.SIGSTOP)
        """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["rank 0 of 2: in this test", "did not answer*"])


def test_one_fails_while_others_block(run):
    run.pytester.makeini("[pytest]\nmmpi_grace = 1")
    result = run("""
        pytestmark = pytest.mark.mmpi(n=3)

        def test_block():
            assert RANK != 1
            time.sleep(100)

        def test_after(): pass
        """, "-v")
    assert list(outcomes(result).values()) == ["FAILED", "PASSED"]
    result.stdout.fnmatch_lines(["~* rank 1 of 3 ~*", "E*assert 1 != 1", "the job was ended 1 s after this",
                                 "*ranks 0, 2 of 3: in this test", "  File *test_it.py*, line * in test_block"])


def test_crash_after_the_last_test(run):
    result = run("""
        import atexit

        @pytest.mark.mmpi(n=2)
        def test_a():
            if RANK == 1:
                atexit.register(os._exit, 5)
        """)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_a*", "the job failed after its last test: exit status 5"])


def test_hang_after_the_last_test(run):
    result = run("""
        import atexit

        @pytest.mark.mmpi(n=2, timeout=3)
        def test_a():
            if RANK == 1:
                atexit.register(time.sleep, 100)
        """)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["the job did not end within 3 s of its last test"])


def test_rank_cannot_import(run):
    result = run("""
        if RANK == 1:
            import no_such_module
        pytestmark = pytest.mark.mmpi(n=2)
        def test_a(): pass
        def test_b(): pass
        """)
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["rank 1 cannot run the tests", "*No module named 'no_such_module'*"])


def test_rank_dies_before_the_first_test(run):
    result = run("""
        if RANK == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        pytestmark = pytest.mark.mmpi(n=2)
        def test_a(): pass
        """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["* ended before its first test: signal 9 (SIGKILL)"])


def test_parameters_that_depend_on_the_rank(run):
    result = run("""
        pytestmark = pytest.mark.mmpi(n=2)
        @pytest.mark.parametrize("number", [RANK if RANK >= 0 else 0])
        def test_a(number): pass
        def test_b(): pass
        """)
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["rank 1 of 2 did not collect this test*"])


def test_no_launcher(run, monkeypatch):
    monkeypatch.setenv("MMPI_LIBMPI", "/no/such/libmpi.so")
    result = run("""
        @pytest.mark.mmpi(n=2)
        def test_a(): pass
        """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["the job cannot be started: *"])


# ---- choosing and stopping ----

CHOICE = """
@pytest.mark.mmpi(n=[1, 2])
def test_a(): pass

@pytest.mark.mmpi(n=2)
class TestB:
    def test_c(self): assert RANK
    def test_d(self): pass

@pytest.mark.mmpi(n=[2, 3])
class TestCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls): cls.ready = True
    def setUp(self): self.size = SIZE
    def test_e(self): self.assertTrue(self.ready and self.size == SIZE)
    def test_f(self): self.assertGreater(RANK, 0)
"""


@pytest.mark.parametrize("choice, expected", [
    (["test_it.py::test_a[n=2]"], "test_a[n=2]"),
    (["test_it.py::test_a"], "test_a[n=1] test_a[n=2]"),
    (["test_it.py::TestB::test_d[n=2]", "test_it.py::TestCase::test_e[n=3]"],
     "TestB::test_d[n=2] TestCase::test_e[n=3]"),
    (["test_it.py::TestCase", "--mmpi-n=3"], "TestCase::test_e[n=3] TestCase::test_f[n=3]"),
    (["--mmpi-n=1,3", "-k", "not test_f"], "test_a[n=1] TestCase::test_e[n=3]"),
    (["-k", "test_a or TestB"], "test_a[n=1] test_a[n=2] TestB::test_c[n=2] TestB::test_d[n=2]")])
def test_choice(run, choice, expected):
    result = run(CHOICE, "--collect-only", "-q", *choice)
    assert sorted(re.findall(r"^test_it.py::(.*)", result.stdout.str(), re.MULTILINE)) == sorted(expected.split())


def test_run_of_a_choice(run):
    result = run(CHOICE, "-v", "test_it.py::TestB::test_d[n=2]", "test_it.py::TestCase::test_e[n=3]")
    assert outcomes(result) == {"TestB::test_d[n=2]": "PASSED", "TestCase::test_e[n=3]": "PASSED"}


def test_last_failed(run):
    first = run(CHOICE, "-v")
    failed = [name for name, outcome in outcomes(first).items() if outcome == "FAILED"]
    assert failed == ["TestB::test_c[n=2]", "TestCase::test_f[n=2]", "TestCase::test_f[n=3]"]
    assert list(outcomes(run(CHOICE, "-v", "--lf"))) == failed


def test_stop_at_first_failure(run):
    result = run("""
        pytestmark = pytest.mark.mmpi(n=2)
        def test_a(): assert False
        def test_b(): time.sleep(100)
        """, "-x", "-v")
    assert list(outcomes(result)) == ["test_a[n=2]"]
    assert result.ret == 1


def test_exit_on_a_rank(run):
    result = run("""
        pytestmark = pytest.mark.mmpi(n=2)
        def test_a():
            if RANK == 1:
                pytest.exit("enough", returncode=7)
            time.sleep(100)
        def test_b(): pass
        """)
    assert result.ret == 7
    result.stdout.fnmatch_lines(["*enough*"])


@pytest.mark.parametrize("number, status, word", [
    (signal.SIGINT, pytest.ExitCode.INTERRUPTED, "KeyboardInterrupt"), (signal.SIGTERM, 143, "SIGTERM")])
def test_interrupt(run, number, status, word):
    run.pytester.makepyfile(test_it=PRELUDE + dedent("""
        @pytest.mark.mmpi(n=2)
        def test_a():
            open(f"ready{RANK}", "w").close()
            time.sleep(100)
        """))
    process = subprocess.Popen(run.command(), stdout=subprocess.PIPE, text=True, cwd=run.pytester.path)
    deadline = time.monotonic() + 60
    while len(list(run.pytester.path.glob("ready*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == status
    assert word in out


# ---- what the ranks get and give ----

def test_fixtures_of_all_scopes(run):
    result = run("""
        pytestmark = pytest.mark.mmpi(n=2)

        @pytest.fixture(scope="session")
        def of_session(mmpi_n): return mmpi_n

        @pytest.fixture(scope="module", params=["x", "y"])
        def of_module(request, of_session):
            yield request.param
            print("down", request.param, RANK, file=open("log", "a"))

        @pytest.fixture(scope="class")
        def of_class(of_module): return []

        @pytest.fixture
        def own(of_class, tmp_path):
            of_class.append(1)
            (tmp_path / "mine").write_text(str(RANK))
            return of_class

        class TestA:
            def test_1(self, own, tmp_path, of_session):
                assert len(own) == 1 and of_session == 2
                assert (tmp_path / "mine").read_text() == str(RANK)
            def test_2(self, own):
                assert len(own) == 2
        """)
    result.assert_outcomes(passed=4)
    assert sorted(run.lines("log")) == ["down x 0", "down x 1", "down y 0", "down y 1"]


def test_failing_fixtures(run):
    result = run("""
        pytestmark = pytest.mark.mmpi(n=2)

        @pytest.fixture
        def before(): assert RANK

        @pytest.fixture
        def after():
            yield
            assert RANK

        def test_a(before): pass
        def test_b(after): pass
        """)
    result.assert_outcomes(errors=2, passed=1)
    result.stdout.fnmatch_lines(["*ERROR at setup of test_a*", "*rank 0 of 2*", "*ERROR at teardown of test_b*"])


def test_fixtures_of_tests_in_this_process(run):
    """Those that marked tests stand between are torn down in time, and a failure of that is shown."""
    run.pytester.makepyfile(test_first="""
        import pytest
        @pytest.fixture(scope="module")
        def thing():
            yield
            assert not "torn down"
        def test_here(thing): pass
        @pytest.mark.mmpi(n=1)
        def test_there(): pass
        """)
    result = run("""
        @pytest.mark.mmpi(n=1)
        def test_there(): pass
        def test_here(): pass
        """, "-v")
    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_there*"])


def test_captured_output(run):
    result = run("""
        pytestmark = pytest.mark.mmpi(n=3)

        @pytest.fixture
        def loud(): print("setting up")

        def test_bad(loud, capfd):
            with capfd.disabled():
                print("to stdout of", min(RANK, 1))
                os.system("echo from a child >&2")
            assert False

        def test_good(capsys):
            print("seen")
            assert capsys.readouterr().out == "seen\\n"
        """)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines_random([
        "*Captured stdout setup (ranks 0-2)*", "*Captured stdout call (rank 0)*", "to stdout of 0",
        "*Captured stdout call (ranks 1, 2)*", "to stdout of 1", "*Captured stderr call (ranks 0-2)*", "from a child"])
    assert result.stdout.str().count("to stdout of 1") == 1
    assert "seen" not in result.stdout.str()


def test_uncaptured_output(run):
    result = run("""
        @pytest.mark.mmpi(n=2)
        def test_good(): print(f"rank {RANK} speaks")
        """, "-s")
    result.stdout.fnmatch_lines_random(["*rank 0 speaks*", "*rank 1 speaks*"])


def test_warnings_once(run):
    result = run("""
        import warnings
        @pytest.mark.mmpi(n=3)
        def test_a(): warnings.warn("take care")
        """)
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*test_it.py:*: UserWarning: take care"])


def test_subtests(run):
    result = run("""
        @pytest.mark.mmpi(n=2)
        class TestCase(unittest.TestCase):
            def test_a(self):
                for number in range(3):
                    with self.subTest(number=number):
                        self.assertFalse(number == 1 and RANK == 1)
        """)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*rank 1 of 2*", "E*AssertionError: True is not false"])


def test_options_of_the_user(run):
    """Options of conftest files and assertion details reach the ranks; writers of reports stay in one process."""
    run.pytester.makeini("""
        [pytest]
        addopts = --junitxml=report.xml -p no:doctest --strict-markers --speed=fast
        cache_dir = my_cache
        log_file = my.log
        log_file_level = INFO
        """)
    run.pytester.makeconftest("""
        import pathlib
        def pytest_addoption(parser):
            parser.addoption("--speed")
            parser.addoption("--where", type=pathlib.Path)
        """)
    result = run("""
        import logging
        pytestmark = pytest.mark.mmpi(n=2)
        def test_a(pytestconfig, record_property, cache):
            logging.getLogger().info("from a rank")
            record_property("answer", 42)
            assert pytestconfig.getoption("speed") == "fast"
            assert str(pytestconfig.getoption("where")) == "a/b"
            assert not pytestconfig.pluginmanager.has_plugin("doctest")
            assert pytestconfig.getoption("xmlpath") is None
        def test_b(): assert [1] * 30 == [2] * 30
        """, "-vv", "--where=a/b")
    assert list(outcomes(result).values()) == ["PASSED", "FAILED"]
    cases = xml.etree.ElementTree.parse(run.pytester.path / "report.xml").findall(".//testcase")
    assert [case.get("name") for case in cases] == ["test_a[n=2]", "test_b[n=2]"]
    assert [node.attrib for node in cases[0].iter("property")] == [{"name": "answer", "value": "42"}]
    failure = cases[1].find("failure")
    assert failure is not None and "all 2 ranks" in (failure.text or "")
    assert "truncated" not in result.stdout.str()
    assert (run.pytester.path / "my.log").read_text() == ""


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_other_folder_and_import_mode(run, mode):
    folder = run.pytester.mkdir("deep")
    (folder / "conftest.py").write_text("import pytest\n@pytest.fixture\ndef deep(): return 1\n")
    (folder / "test_deep.py").write_text(
        "import pytest\n@pytest.mark.mmpi(n=2)\n@pytest.mark.parametrize('x', ['a/b::c [d]', 'ä'])\n"
        "def test_x(deep, x): assert deep\n")
    run("", "deep", f"--import-mode={mode}").assert_outcomes(passed=2)


def test_assertions_are_rewritten(run):
    result = run("""
        @pytest.mark.mmpi(n=2)
        def test_a(): assert sorted([2, 1]) == [1, 3]
        """)
    result.stdout.fnmatch_lines(["E*At index 1 diff: 2 != 3"])


# ---- as a guest, and at rest ----

def test_under_mpiexec(run):
    from mmpi import launch
    run.pytester.makepyfile(test_it=PRELUDE + dedent("""
        @pytest.mark.mmpi(n=[1, 2])
        def test_a(mmpi_n): assert mmpi_n == SIZE == 2
        def test_b(): pass
        @pytest.mark.mmpi(n=[1, 2])
        class TestCase(unittest.TestCase):
            def test_c(self): self.assertEqual(SIZE, 2)
        """))
    command = run.command("-rs", "-p", "no:cacheprovider")
    job = launch.start(launch.plan(command, 2), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert job.stdout is not None
    out = job.stdout.read().decode()
    assert job.wait(60) == 0
    assert out.count("3 passed, 1 skipped") == 2
    assert out.count("for 1 processes; this job has 2") == 2


def test_cheap_and_harmless(run):
    run.pytester.makeconftest("""
        import sys
        def pytest_unconfigure():
            loaded = sorted(name for name in sys.modules if name.startswith("mmpi."))
            print("loaded", loaded)
            print("libmpi", "libmpi" in open("/proc/self/maps").read())
        """)
    result = run("def test_a(): pass", "-s")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["libmpi False"])
    loaded = re.search(r"^loaded (.*)", result.stdout.str(), re.MULTILINE)
    assert loaded is not None
    assert not re.search(r"mmpi\.(launch|library|_core|MPI|pytest_plugin.(job|worker))", loaded[1])


def test_controller_does_not_load_mpi(run):
    run.pytester.makeconftest("""
        def pytest_unconfigure():
            print("libmpi", "libmpi" in open("/proc/self/maps").read())
        """)
    result = run("""
        @pytest.mark.mmpi(n=2)
        def test_a(): pass
        """, "-s")
    result.stdout.fnmatch_lines(["libmpi False"])


def test_marker_is_known(run):
    run.pytester.makeini("[pytest]\naddopts = --strict-markers --strict-config")
    result = run("@pytest.mark.mmpi(n=1)\ndef test_a(): pass")
    result.assert_outcomes(passed=1)
    run("", "--markers").stdout.fnmatch_lines(["@pytest.mark.mmpi(n=*"])


@pytest.mark.parametrize("ranks, text", [
    ([3], "rank 3"), ([2, 0, 1], "ranks 0-2"), ([0, 1], "ranks 0, 1"), ([0, 1, 2, 5, 7, 8], "ranks 0-2, 5, 7, 8")])
def test_ranks_text(ranks, text):
    assert merge.ranks_text(ranks) == text


# ---- with MPI ----

def test_with_mpi(run):
    result = run("""
        import mmpi
        pytestmark = pytest.mark.mmpi(n=[1, 2, 3])

        @pytest.fixture(scope="session", autouse=True)
        def world():
            return mmpi.init()

        def test_world(world, mmpi_n):
            assert world == (RANK, mmpi_n)

        def test_comm(mmpi_comm, mmpi_n):
            total = bytearray(8)
            mmpi_comm.Allreduce([RANK.to_bytes(8, "little"), 1, mmpi.MPI.INT64_T], [total, 1, mmpi.MPI.INT64_T])
            assert int.from_bytes(total, "little") == mmpi_n * (mmpi_n - 1) // 2
        """)
    result.assert_outcomes(passed=6)


def test_trouble_in_mpi(run):
    """Ranks blocked in MPI are left by a failure elsewhere, and a message that stays behind meets no later test."""
    run.pytester.makeini("[pytest]\nmmpi_grace = 1")
    result = run("""
        from mmpi import MPI
        pytestmark = pytest.mark.mmpi(n=2)
        WORLD = MPI.COMM_WORLD

        def receive():
            data = bytearray(1)
            WORLD.Recv(data, 0)
            return data[0]

        @pytest.mark.mmpi(timeout=2)
        def test_hang():
            receive() if RANK else None

        def test_block(mmpi_comm):
            assert RANK
            receive()

        def test_leave_a_message():
            if RANK == 0:
                WORLD.Send(b"1", 1)
            assert RANK

        def test_clean():
            if RANK == 0:
                WORLD.Send(b"2", 1)
            else:
                assert receive() == ord("2")

        def test_abort():
            if RANK:
                WORLD.Abort(9)
            receive()
        """, "-v")
    assert list(outcomes(result).values()) == ["FAILED", "FAILED", "FAILED", "PASSED", "FAILED"]
    result.stdout.fnmatch_lines([
        "no rank began or finished a test for 2 s*", "  File *test_it.py*, line * in receive",
        "*rank 0 of 2*", "the job was ended 1 s after this", "  File *test_it.py*, line * in receive",
        "*ended in this test: exit status 9"])
    assert "MPI_Abort(MPI_COMM_WORLD, 1)" not in result.stdout.str() + result.stderr.str()
