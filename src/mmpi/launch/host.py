# SPDX-License-Identifier: BSD-3-Clause
"""What a plan needs to know of this machine and of the environment it is made in."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from typing import NamedTuple

from ..cores import usable_cores
from ..library import BATCH
from ..world import RANKS, is_of_one_job

YIELDING = (6, 18)  # the Linux from which on sched_yield lets others run, whatever the caller has used so far


class Host(NamedTuple):
    """The environment, who we are, how many cores we may use, and whether sched_yield gives them to others at once."""

    environ: Mapping[str, str]
    uid: int
    cores: int
    yields: bool = False

    @classmethod
    def here(cls) -> Host:
        """This process and this machine, now."""
        return cls(dict(os.environ), os.getuid(), usable_cores(), kernel() >= YIELDING)

    @property
    def in_allocation(self) -> bool:
        """Are we inside a batch job?"""
        return any(name in self.environ for name in BATCH)

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


def kernel() -> tuple[int, int]:
    """The version of Linux."""
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def marks_of_other_jobs(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that an outer launcher set for us; none if we are no rank."""
    if not any(name in environ for name in RANKS):
        return tuple(name for name in environ if name.startswith("MMPI_") and is_of_one_job(name))
    return tuple(name for name in environ if is_of_one_job(name))
