# SPDX-License-Identifier: BSD-3-Clause
"""The parallel console: through pipes, through a pseudo-terminal, under plain mpiexec, and in a notebook."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from mmpi import launch
from mmpi.console.evaluate import Evaluator, merged, ranges
from mmpi.console.session import Session, SessionEnded
from requirements import need

CONSOLE = [sys.executable, "-m", "mmpi", "console"]


def piped(n, text, limit=90):
    return subprocess.run([*CONSOLE, "-n", str(n)], input=text, capture_output=True, text=True, timeout=limit)


# --- what is shown -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (["a\n"], "a\n"), (["a\n", "a\n"], "a\n"), (["", ""], ""), (["a", "a"], "a\n"), (["a\n", "b\n"], "[0]\na\n[1]\nb\n"),
        (["a\n", "", "a\n", "a\n"], "[0, 2-3]\na\n"), (["", "b"], "[1]\nb\n"),
    ],
)  # fmt: skip
def test_what_is_the_same_is_shown_once(texts, shown):
    assert merged(texts) == shown


def test_ranges():
    assert ranges([0, 1, 2, 5, 7, 8]) == "0-2, 5, 7-8" and ranges([3]) == "3"


def test_evaluation():
    evaluator = Evaluator({"x": 3})
    assert evaluator.run("y = 1\nx + y").output == "4\n" and evaluator.run("None").output == ""
    assert evaluator.run("for i in range(2):\n    i").output == ""
    outcome = evaluator.run("print('before')\n1 / 0")
    assert outcome.output == "before\n" and outcome.error.endswith("ZeroDivisionError: division by zero\n") and "1 / 0" in outcome.error
    assert "evaluate.py" not in outcome.error
    assert evaluator.run("exit()").leave == 0 and evaluator.run("import sys; sys.exit(3)").leave == 3
    assert "SyntaxError" in evaluator.run("1 +").error
    assert "y" in evaluator.complete("y") and "x" in evaluator.complete("x")


# --- through pipes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3])
def test_a_session_through_pipes(n):
    result = piped(
        n,
        "import os\n1 + 1\nrank\ncomm.allreduce(rank)\ndef f(x):\n    return x * size\n\nf(2)\nprint('both')\n"
        "1 / (rank - 0)\nrank, 'alive'\n",
    )
    each = [f"[{i}]\n{i}\n" for i in range(n)] if n > 1 else ["0\n"]
    out = result.stdout
    assert result.returncode == 0 and result.stderr == ""
    assert out.startswith("2\n" + "".join(each) + f"{sum(range(n))}\n{2 * n}\nboth\n")
    assert "ZeroDivisionError" in out and out.count("Traceback") == 1 and "'alive'" in out


def test_ordered_output_is_the_same_each_time():
    out = piped(3, "for i in range(3): print(rank, i)\n\n" * 50).stdout
    once = "".join(f"[{rank}]\n" + "".join(f"{rank} {i}\n" for i in range(3)) for rank in range(3))
    assert out == once * 50


@pytest.mark.slow
def test_fifty_sessions_are_the_same():
    first = piped(3, "print(rank)\ncomm.gather(rank)\n").stdout
    assert all(piped(3, "print(rank)\ncomm.gather(rank)\n").stdout == first for _ in range(49))


def test_syntax_errors_are_shown_once():
    result = piped(2, "1 +\nrank * 0\n")
    assert result.stderr.count("SyntaxError") == 1 and result.stdout == "0\n"


@pytest.mark.parametrize(("line", "status"), [("exit()", 0), ("import sys; sys.exit(4)", 4)])
def test_leaving(line, status):
    assert piped(2, f"{line}\nprint('never')\n").returncode == status


def test_one_rank_alone_does_not_leave():
    result = piped(2, "if rank: exit()\n\n'alive'\n")
    assert "nobody leaves" in result.stdout and "'alive'" in result.stdout and result.returncode == 0


def test_the_death_of_a_rank_is_told():
    result = piped(2, "import os\nif rank == 1: os._exit(7)\n\n1\n")
    assert result.returncode != 0 and "rank 1 has ended" in result.stderr


def test_statements_have_no_input():
    assert "EOFError" in piped(2, "input()\n").stdout


@pytest.mark.parametrize("words", [["-n", "0"], ["-n", "x"]])
def test_wrong_command_lines(words):
    result = subprocess.run([*CONSOLE, *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert result.returncode == 2 and "mmpi console" in result.stderr


# --- through a terminal --------------------------------------------------------------------------------------


@pytest.fixture
def terminal(tmp_path):
    need("pexpect")
    import pexpect

    environment = {**os.environ, "HOME": str(tmp_path), "TERM": "dumb"}
    child = pexpect.spawn(CONSOLE[0], [*CONSOLE[1:], "-n", "2"], encoding="utf-8", timeout=60, env=environment)
    child.expect("on 2 ranks")
    child.expect(">>> ")
    yield child
    if child.isalive():  # closed by force, it could not remove the job's folder
        child.kill(signal.SIGTERM)
        child.expect(pexpect.EOF)
    child.close()


def ask(child, line, prompt=">>> "):
    child.sendline(line)
    child.expect_exact(prompt)
    return child.before.replace("\r\n", "\n").partition("\n")[2]


def test_a_session_at_a_terminal(terminal):
    assert ask(terminal, "6 * 7") == "42\n"
    assert ask(terminal, "rank") == "[0]\n0\n[1]\n1\n"
    ask(terminal, "def f():", "... ")
    ask(terminal, "    return size", "... ")
    ask(terminal, "")
    assert ask(terminal, "f()") == "2\n"
    before = time.monotonic()
    terminal.sendeof()
    terminal.wait()
    assert terminal.exitstatus == 0 and time.monotonic() - before < 5


def test_interrupts_reach_all_ranks(terminal):
    for statement in ("import time; time.sleep(60)", "while True: pass", "comm.recv(source=rank)"):
        terminal.sendline(statement)
        if statement.startswith("while"):
            terminal.sendline("")
        time.sleep(1)
        terminal.sendintr()
        terminal.expect("KeyboardInterrupt")
        terminal.expect_exact(">>> ")
    assert ask(terminal, "'alive'") == "'alive'\n"
    terminal.sendintr()
    terminal.expect("KeyboardInterrupt")
    terminal.expect_exact(">>> ")
    assert ask(terminal, "comm.allreduce(1)") == "2\n"


def test_ranks_that_cannot_be_interrupted_are_ended(terminal):
    terminal.sendline("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); import time; time.sleep(60)")
    for _ in range(3):
        time.sleep(1)
        terminal.sendintr()
    terminal.expect("the ranks were ended")
    terminal.wait()
    assert terminal.exitstatus == 130


def test_completion_and_history(terminal, tmp_path):
    ask(terminal, "unusual_name = 5")
    terminal.send("unusual_\t")
    terminal.expect_exact("unusual_name")
    assert ask(terminal, "") == "5\n"
    terminal.sendeof()
    terminal.wait()
    assert "unusual_name = 5" in (tmp_path / ".mmpi_history").read_text()


# --- under plain mpiexec -------------------------------------------------------------------------------------


def under_mpiexec(n, words, text):
    plan = launch.plan([sys.executable, *words], n)
    environment = plan.environ(os.environ)
    for name in ("MMPI_JOB", "MMPI_JOB_DIR"):
        environment.pop(name)
    command = [word for word in plan.argv if word != "/bin/sh" and not word.startswith(plan.directory)]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=90, env=environment)


PLAIN = ["-c", "from mmpi.console.plain import main; main()"]


@pytest.mark.parametrize("n", [1, 3])
def test_a_plain_prompt_under_mpiexec(n):
    result = under_mpiexec(n, PLAIN, "rank * 0\ndef f():\n    return size\n\nf()\n1 / 0\ncomm.allreduce(1)\n")
    assert result.returncode == 0, result.stderr
    out = result.stdout
    assert f"on {n} ranks" in out and ">>> 0\n" in out and f">>> ... ... >>> {n}\n" in out
    assert out.count("ZeroDivisionError") == 1 and out.count(f">>> {n}\n") == 2


def test_leaving_a_plain_prompt():
    assert under_mpiexec(2, PLAIN, "import sys; sys.exit(3)\n").returncode == 3


def test_the_console_of_pympi():
    result = under_mpiexec(2, ["-m", "mmpi", "pympi"], "mpi.allreduce(mpi.rank, mpi.SUM)\n")
    assert result.returncode == 0 and "(pympi)" in result.stdout and ">>> 1\n" in result.stdout


def test_the_console_through_mmpi_run():
    result = subprocess.run(
        [sys.executable, "-m", "mmpi", "run", "-n", "2", "-m", "mmpi", "pympi"],
        input="mpi.size\n", capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert result.returncode == 0 and ">>> 2\n" in result.stdout, result.stderr


# --- from a program, and in a notebook -------------------------------------------------------------------------


def test_a_session_from_a_program():
    session = Session(2)
    try:
        assert [one.output for one in session.run("rank")] == ["0\n", "1\n"]
        assert session.complete("comm.Get_ran") == ["comm.Get_rank()"]
        with pytest.raises(SessionEnded):
            session.run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    finally:
        session.close()


def test_a_notebook():
    for name in ("nbclient", "nbformat", "ipykernel"):
        need(name)
    import nbformat
    from nbclient import NotebookClient

    cells = [
        "%load_ext mmpi", "%%mmpi -n 2\nx = rank + 1\nprint('rank', rank)\ncomm.allreduce(x)", "%%mmpi\nx", "%%mmpi\n1 / rank",
        "import _thread, threading; threading.Timer(2, _thread.interrupt_main).start()", "%%mmpi\nimport time; time.sleep(60)",
        "%%mmpi\nx * 0", "%mmpi restart", "%%mmpi\n'x' in globals()", "%%mmpi -n 3\nsize", "%mmpi stop",
    ]  # fmt: skip
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    before = time.monotonic()
    NotebookClient(notebook, timeout=90, allow_errors=True, kernel_name="python3").execute()
    assert time.monotonic() - before < 85
    out = ["".join(o.get("text", "") or "\n".join(o.get("traceback", [])) for o in cell.outputs) for cell in notebook.cells]
    out = [re.sub(r"\x1b\[[0-9;]*m", "", text) for text in out]
    assert out[1] == "[0]\nrank 0\n3\n[1]\nrank 1\n3\n" and out[2] == "[0]\n1\n[1]\n2\n"
    assert out[3].startswith("[1]\n1.0\n[0]\nTraceback") and "1 of 2 ranks raised an exception: [0]" in out[3]
    assert "KeyboardInterrupt" in out[5] and out[6] == "0\n" and out[8] == "False\n" and out[9] == "3\n"
