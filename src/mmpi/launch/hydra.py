# SPDX-License-Identifier: BSD-3-Clause
"""Hydra, the mpiexec of MPICH, Intel MPI and MVAPICH: it runs as root, knows no slots and passes the environment on."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .host import Host

NAMES = ("mpiexec.hydra", "mpiexec.mpich", "mpiexec")
REAL_NAMES = ("hydra", "mpich")
NEIGHBOURS = ("hydra_pmi_proxy",)
RANK = "PMI_RANK"
# Its exit status ORs those of the ranks and has a bare number for a signal: these are hardly meant as a status.
BARE_SIGNALS = (signal.SIGABRT, signal.SIGKILL, signal.SIGSEGV)
# What MPICH and Intel MPI leave behind: shared memory when ranks are killed, and after MPI_Abort a description of the machine,
# which ranks read in MPI_Init. One that finds none there looks at the machine itself.
LEFTOVERS = ("/dev/shm/mpich_shm_*", "/dev/shm/Intel_MPI_*", "/tmp/hydra_hwloc_xmlfile_*")

# With more ranks than cores MPICH spins without giving way: on older kernels an 8-byte allreduce of 4 ranks on 2 cores takes
# about 10 ms. What helps tenfold and more is collectives over messages, whose progress engine does give way, and a nanosleep
# for that. Where sched_yield works, the sleep would cost twenty times what it takes.
CROWDED = {
    **{f"MPIR_CVAR_{call}_POSIX_INTRA_ALGORITHM": "mpir" for call in ("BARRIER", "BCAST", "REDUCE", "ALLREDUCE")},
    "MPIR_CVAR_POLLS_BEFORE_YIELD": "1",
}
SLEEP = {"MPIR_CVAR_ENABLE_HEAVY_YIELD": "1"}


def options(mpiexec: str, hosts: Sequence[tuple[str, int]], agent: str) -> list[str]:
    """The command line up to the programs. `agent` is what reaches the hosts, called as ssh is."""
    words = [mpiexec]
    if hosts:
        listed = ",".join(f"{host}:{slots}" for host, slots in hosts)
        words += ["-launcher", "ssh", "-launcher-exec", agent, "-hosts", listed]
    return words


def defaults(mpiexec: str, directory: str, crowded: bool, host: Host) -> dict[str, str]:
    """Variables for a job that the user may have set otherwise: for more ranks than cores. Other libraries ignore them."""
    return {} if not crowded else CROWDED if host.yields else CROWDED | SLEEP
