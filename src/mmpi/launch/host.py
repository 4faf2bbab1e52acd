# SPDX-License-Identifier: BSD-3-Clause
"""What a plan needs to know of this machine and of the environment it is made in."""

from __future__ import annotations

import math
import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Set by a launcher for one rank. A job started inside a rank must not inherit them: its ranks would take them for theirs.
OTHER_JOB = re.compile(
    r"PMI_|PMIX_(?!MCA_)|HYDI_|HYDRA_PROXY|MPI_LOCAL(N?RANKS|RANKID)|MPI_APPNUM|MPI_UNIVERSE_SIZE|I_MPI_HYDRA_|I_MPI_INFO_|"
    r"OMPI_(COMM_WORLD|UNIVERSE_SIZE|APP_CTX|FIRST_RANKS|NUM_APP|FILE_LOCATION|ARGV|COMMAND|MCA_ess|MCA_orte|MCA_initial_wdir)|"
    r"OMPI_VERSION|OMPI_MCA_(pmix|num_procs)|PRTE_LAUNCHED|ORTE_|OPAL_PREFIX|PRTE_PREFIX|"
    r"MMPI_JOB(_DIR)?$"
)
RANK = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")
ALLOCATION = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID", "FLUX_JOB_ID", "COBALT_JOBID")


@dataclass(frozen=True)
class Host:
    """The environment, who we are, and how many cores we may use."""

    environ: Mapping[str, str]
    uid: int
    cores: int

    @classmethod
    def here(cls) -> Host:
        """This process and this machine, now."""
        return cls(dict(os.environ), os.getuid(), usable_cores())

    @property
    def in_allocation(self) -> bool:
        """Are we inside a batch job?"""
        return any(name in self.environ for name in ALLOCATION)

    def default_ranks(self) -> int:
        """How many ranks a job without -n has: what the batch system gave us, else the usable cores."""
        for name in ("SLURM_NTASKS", "PBS_NP", "LSB_DJOB_NUMPROC", "NSLOTS"):
            text = self.environ.get(name, "")
            if self.in_allocation and text.isdecimal() and int(text) > 0:
                return int(text)
        return self.cores

    def home(self) -> str | None:
        """The home folder in the user database, if it can be used."""
        try:
            home = pwd.getpwuid(self.uid).pw_dir
        except KeyError:
            return None
        return home if os.path.isdir(home) and os.access(home, os.R_OK | os.X_OK) else None


def marks_of_other_jobs(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that an outer launcher set for us; none if we are no rank."""
    if not any(name in environ for name in RANK):
        return tuple(name for name in environ if name in ("MMPI_JOB", "MMPI_JOB_DIR"))
    return tuple(name for name in environ if OTHER_JOB.match(name))


def usable_cores() -> int:
    """The cores this process may use: its affinity, cut down by the CPU quota of its cgroups."""
    cores = len(os.sched_getaffinity(0))
    quota = cpu_quota()
    return max(1, min(cores, math.ceil(quota))) if quota else cores


def cpu_quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float | None:
    """The smallest CPU quota, in cores, of the cgroups (version 1 or 2) that this process is in."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return None
    quotas = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "" or "cpu" in controllers.split(","):
            top = root if controllers == "" else root / controllers
            # Inside a container the path is often that of the host, while its own group is mounted at the top.
            for folder in {top, *(top / path.lstrip("/") / up for up in ups(path))}:
                quotas.append(quota_of(folder))
    return min((quota for quota in quotas if quota), default=None)


def ups(path: str) -> list[str]:
    """'' and one more '..' for each level of a path: the group itself and all groups above it."""
    return ["/".join([".."] * level) for level in range(path.strip("/").count("/") + 1)]


def quota_of(folder: Path) -> float | None:
    """The CPU quota of one cgroup folder, in cores."""
    try:
        if (folder / "cpu.max").exists():
            most, period = (folder / "cpu.max").read_text().split()
        else:
            most = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
    except (OSError, ValueError):
        return None
    return None if most in ("max", "-1") else int(most) / int(period)
