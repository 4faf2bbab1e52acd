# SPDX-License-Identifier: BSD-3-Clause
"""Every function of MPI is used by the core, or stands here with the reason why not."""

import importlib.util
import re
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from requirements import need

CORE = Path(__file__).parent.parent / "src/core"

# Patterns of names without MPI_, and without the _c of large counts. A row that matches nothing is to be removed.
COMES_WITH_LATER_CHAPTERS = """
    Session_*
""".split()
NEVER = """
""".split()


def declared():
    return re.findall(r"^MPI\([^,]+, (\w+),", (CORE / "abi/functions.h").read_text(), re.MULTILINE)


def used():
    """What the compiled core leaves for an MPI library to define: exactly the functions that it can call."""
    need("nm")
    core = importlib.util.find_spec("mmpi._core_std")
    symbols = subprocess.run(["nm", "-D", core.origin], check=True, capture_output=True, text=True, timeout=60).stdout
    return set(re.findall(r"\bMPI_(\w+)$", symbols, re.MULTILINE))
if __name__ == "__main__":
    u = used()
    print(len(declared()), len(u)); print(*[n for n in declared() if n not in u])
