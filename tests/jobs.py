# SPDX-License-Identifier: BSD-3-Clause
"""Jobs that tests start: a program on n ranks by `mmpi run`, with a time limit and nothing left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap

LIMIT = float(os.environ.get("MMPI_TEST_LIMIT", 60))  # seconds for one job: many times what it takes on a busy machine


def run(*arguments, env=None, limit=LIMIT):
    """Run a command; a job that does not end is ended, first kindly, and the test fails with what it wrote."""
    environment = os.environ | (env or {})
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        arguments,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        try:
            out, err = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
        raise AssertionError(f"no end after {limit} s; stdout:\n{out}\nstderr:\n{err}") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def job(n, code, env=None, options=()):
    """Run Python code on n ranks by `mmpi run`."""
    return run(sys.executable, "-m", "mmpi", "run", "-n", str(n), *options, "-c", textwrap.dedent(code), env=env)


def serial(code, env=None):
    """Run Python code as one process without a launcher."""
    return run(sys.executable, "-c", textwrap.dedent(code), env=env)


def lines(result):
    """What a job wrote, in an order that does not depend on its ranks; it must have ended well."""
    assert result.returncode == 0, f"exit status {result.returncode}\n{result.stdout}\n{result.stderr}"
    return sorted(result.stdout.splitlines())
