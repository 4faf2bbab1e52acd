# SPDX-License-Identifier: BSD-3-Clause
"""`import mmpi` is light: few files, no MPI library, no socket. On a thousand nodes each file counts for a thousand."""

import importlib.metadata
import json
import subprocess
import sys

import mmpi
from requirements import need

MOST = 60                                         # files that `import mmpi` may open on top of Python's own

AUDITED = """
import json, sys
events = []
sys.addaudithook(lambda event, arguments: events.append((event, str(arguments[0]) if arguments else "")))
import mmpi
print(json.dumps([row for row in events if row[0].startswith(("open", "socket.", "ctypes.dlopen", "import"))]))
"""


def traced(code, folder):
    """The system calls that open files or sockets while Python runs this code."""
    log = folder / "trace"
    calls = "trace=open,openat,socket,connect"
    subprocess.run(["strace", "-f", "-qq", "-e", calls, "-o", log, sys.executable, "-c", code], check=True, timeout=60)
    return log.read_text().splitlines()


def test_import_opens_few_files(tmp_path):
    need("strace")
    subprocess.run([sys.executable, "-c", "import mmpi"], check=True, timeout=60)    # now there is byte code
    plain, ours = traced("pass", tmp_path), traced("import mmpi", tmp_path)
    assert len(ours) <= len(plain) + MOST
    assert not [line for line in ours if "libmpi" in line or "socket(" in line or "connect(" in line]


def test_import_is_quiet_inside():
    """The same as Python's own audit events tell it, for machines without strace."""
    run = subprocess.run([sys.executable, "-c", AUDITED], capture_output=True, text=True, check=True, timeout=60)
    events = json.loads(run.stdout)
    assert len([event for event, _ in events if event == "open"]) <= MOST
    assert not [row for row in events if row[0].startswith(("socket.", "ctypes."))]
    assert not [row for row in events if "libmpi" in row[1] or "_core" in row[1]]


def test_version():
    assert mmpi.__version__ == importlib.metadata.version("maroonmpi")
