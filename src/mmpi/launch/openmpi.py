# SPDX-License-Identifier: BSD-3-Clause
"""The mpiexec of Open MPI: orterun up to 4.x, prterun from 5 on. It counts slots, refuses root, and binds ranks to cores.

All that it must be told goes through its variables, so that a user who sets one of them has the last word.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .host import Host

NAMES = ("mpiexec.openmpi", "mpiexec")
REAL_NAMES = ("openmpi", "orterun", "prterun")
NEIGHBOURS = ("orterun", "prterun")
RANK = "OMPI_COMM_WORLD_RANK"
BARE_SIGNALS: tuple[int, ...] = ()
LEFTOVERS: tuple[str, ...] = ()


def options(mpiexec: str, hosts: Sequence[tuple[str, int]], agent: str) -> list[str]:
    """The command line up to the programs. `agent` is what reaches the hosts, called as ssh is: by us, since it lies here alone."""
    words = [mpiexec]
    if hosts:
        mca, kind = ("--prtemca", "ssh") if generation(mpiexec) >= 5 else ("--mca", "rsh")
        for name, value in (("plm", kind), (f"plm_{kind}_agent", agent), (f"plm_{kind}_no_tree_spawn", "1")):
            words += [mca, name, value]
        words += ["--host", ",".join(f"{host}:{slots}" for host, slots in hosts)]
    return words


def defaults(mpiexec: str, directory: str, crowded: bool, host: Host) -> dict[str, str]:
    """Variables for a job that the user may have set otherwise."""
    new = generation(mpiexec) >= 5
    chosen = {
        # More ranks than slots is no error. This does not pretend that there are more slots: Open MPI must know.
        **({"PRTE_MCA_rmaps_default_mapping_policy": "slot:oversubscribe"} if new else {"OMPI_MCA_rmaps_base_oversubscribe": "1"}),
        # Its files lie in the job's folder and go with it, even when the ranks are killed.
        ("PRTE_MCA_prte_tmpdir_base" if new else "OMPI_MCA_orte_tmpdir_base"): directory,
    }
    if directory.startswith("/dev/shm/"):
        chosen["OMPI_MCA_btl_sm_backing_directory" if new else "OMPI_MCA_btl_vader_backing_directory"] = directory
    if not host.in_allocation:
        # It would bind the first ranks of every job to the same first cores, also where jobs share a machine.
        chosen["PRTE_MCA_hwloc_default_binding_policy" if new else "OMPI_MCA_hwloc_base_binding_policy"] = "none"
    if crowded:
        chosen["OMPI_MCA_mpi_yield_when_idle"] = "1"  # slots are cores; a CPU quota it would not see
    if host.uid == 0:
        names = ("OMPI_ALLOW_RUN_AS_ROOT", "PRTE_ALLOW_RUN_AS_ROOT") if new else ("OMPI_ALLOW_RUN_AS_ROOT",)
        chosen |= {name + suffix: "1" for name in names for suffix in ("", "_CONFIRM")}
    chosen["HOME"] = host.home() or directory  # unset, Open MPI 5 does not start
    return chosen


def generation(mpiexec: str) -> int:
    """4 or 5: from 5 on the work is done by prterun, which lies beside mpiexec or is named in it."""
    real = os.path.realpath(mpiexec)
    if "orterun" in os.path.basename(real):
        return 4
    folder = os.path.dirname(real)
    if os.path.exists(os.path.join(folder, "prterun")):
        return 5
    if os.path.exists(os.path.join(folder, "orterun")):
        return 4
    try:
        with open(real, "rb") as file:
            return 5 if b"prterun" in file.read() else 4
    except OSError:
        return 5
