# SPDX-License-Identifier: BSD-3-Clause
"""Hydra, the mpiexec of MPICH, Intel MPI and MVAPICH: it runs as root, knows no slots and passes the environment on."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .host import Host

NAMES = ("mpiexec.hydra", "mpiexec.mpich", "mpiexec")
REAL_NAMES = ("hydra", "mpich")
NEIGHBOURS = ("hydra_pmi_proxy",)
RANK = "PMI_RANK"
# Shared memory that MPICH and Intel MPI leave behind when ranks are killed.
LEFTOVERS = ("mpich_shm_*", "Intel_MPI_*")

# With more ranks than cores MPICH's own shared-memory collectives spin without giving way: 8-byte allreduces of 4 ranks
# on 2 cores take 9 ms. The algorithms over point-to-point messages yield in the progress engine: 0.1 ms.
CROWDED = {
    **{f"MPIR_CVAR_{call}_POSIX_INTRA_ALGORITHM": "mpir" for call in ("BARRIER", "BCAST", "REDUCE", "ALLREDUCE")},
    "MPIR_CVAR_POLLS_BEFORE_YIELD": "1",
    "MPIR_CVAR_ENABLE_HEAVY_YIELD": "0",
}


def options(mpiexec: str, hosts: Sequence[tuple[str, int]], exported: Sequence[str]) -> list[str]:
    """The command line up to the programs. The environment needs no option: hydra passes all of its own to every rank."""
    words = [mpiexec]
    if hosts:
        words += ["-hosts", ",".join(f"{host}:{slots}" for host, slots in hosts)]
    return words


def defaults(library: str, mpiexec: str, directory: str, crowded: bool, host: Host) -> dict[str, str]:
    """Variables for a job that the user may have set otherwise: those for more ranks than cores, as far as they exist."""
    return {name: CROWDED[name] for name in names_in(library, CROWDED)} if crowded else {}


def names_in(library: str, names: Sequence[str] | dict[str, str]) -> list[str]:
    """Which of these names stand in a library's file. MPICH has each control variable under its name less the prefix."""
    try:
        with open(library, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return [name for name in names if content.find(name.removeprefix("MPIR_CVAR_").encode()) >= 0]
    except (OSError, ValueError):
        return []
