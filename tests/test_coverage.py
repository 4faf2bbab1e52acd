# SPDX-License-Identifier: BSD-3-Clause
"""Every function of MPI is called by the core, or stands here with the reason why not."""

import importlib.util
import re
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from requirements import need

FUNCTIONS = Path(__file__).parent.parent / "src/core/abi/functions.h"

# Names without MPI_; a pattern holds for the form with large counts (..._c) too. One that matches nothing fails.
LATER = {
    "what a C library tells of Fortran": "Abi_set_* Abi_get_fortran_booleans",
    "the tool interface": "T_*",
}
NEVER = {
    "removed or deprecated": "Attr_* Keyval_* Type_*_x",
    "init asks for a thread level": "Init",
    "a wait is the nonblocking twin and tests": "Ssend Sendrecv Probe Mprobe Mrecv Waitall Waitany Waitsome Win_wait",
    "other functions tell the same": "Get_elements Status_get_* Status_set_*",
    "counts of types fit an int, or go by other types": "File_get_type_extent_c Type_*_c Op_create_c",
}
ROWS = [(reason, pattern) for table in (LATER, NEVER) for reason, text in table.items() for pattern in text.split()]


@pytest.fixture(scope="module")
def unused():
    """What the compiled core does not leave to the MPI library to define: it cannot call that."""
    need("nm")
    declared = re.findall(r"^MPI\([^,]+, (\w+),", FUNCTIONS.read_text(), re.MULTILINE)
    module = importlib.util.find_spec("mmpi._core_std").origin
    symbols = subprocess.run(["nm", "-D", module], check=True, capture_output=True, text=True, timeout=60).stdout
    called = set(re.findall(r"\bMPI_(\w+)$", symbols, re.MULTILINE))
    assert len(declared) > 600 and "Send" in called
    return [name for name in declared if name not in called]


def matches(name, pattern):
    return fnmatchcase(name, pattern) or fnmatchcase(name.removesuffix("_c"), pattern)


def test_every_function_is_called_or_has_a_reason(unused):
    assert [name for name in unused if not any(matches(name, pattern) for _, pattern in ROWS)] == []


def test_every_reason_is_needed(unused):
    assert [row for row in ROWS if not any(matches(name, row[1]) for name in unused)] == []
