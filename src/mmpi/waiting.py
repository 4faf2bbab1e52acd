# SPDX-License-Identifier: BSD-3-Clause
"""How this rank waits: in MPI, or by testing and yielding, where the host has more ranks than cores."""

from __future__ import annotations

import os

from .cores import job_cores
from .record import Record

BLOCK, YIELD, IDLE = range(3)
NAMES = ("block", "yield", "idle")
# What lets an MPI library give way that spins by UCX (src/launch/yielding.c); it must be loaded before that.
YIELDING = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libmmpi_yielding.so")
_LOCAL_SIZES = ("MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", "PALS_LOCAL_SIZE", "SLURM_NTASKS_PER_NODE", "MV2_COMM_WORLD_LOCAL_SIZE")


class Policy(Record):
    """How to wait, whether typed collectives go by their nonblocking twins too, and why."""

    mode: int
    typed: bool
    reason: str


def local_size(size: int) -> int:
    """The number of ranks on this host, as the launcher says; all of them if it does not."""
    for name in _LOCAL_SIZES:
        text = os.environ.get(name, "")
        if text.isdecimal() and 0 < int(text) <= size:
            return int(text)
    return size


def policy(family: str, size: int) -> Policy:
    """The policy of this rank in a world of `size` ranks, under a library of this family.

    MPICH's own waiting starves the others where ranks share a core; Open MPI yields by itself when its launcher knows.
    """
    wanted = os.environ.get("MMPI_WAIT", "auto") or "auto"
    if wanted in NAMES:
        return Policy(NAMES.index(wanted), wanted != "block", f"MMPI_WAIT={wanted}")
    if wanted != "auto":
        raise ValueError(f"MMPI_WAIT={wanted}: expected auto, block, yield or idle")
    if family == "openmpi":
        return Policy(BLOCK, False, "Open MPI yields by itself")
    ranks = local_size(size)
    if ranks > 1 and ranks > (cores := job_cores()):
        return Policy(YIELD, False, f"{ranks} ranks on {cores} cores")
    return Policy(BLOCK, False, f"a core for each of {ranks} ranks")


def shares_cores(size: int | None) -> bool:
    """Must an MPI library that spins give way in this rank of a world of `size`? None: it is alone."""
    return policy("mpich", size or 1).mode != BLOCK


def describe(family: str, size: int | None, spins: bool = False) -> str:
    """In words, for `mmpi info`; without a size, what will hold for any. `spins`: what MPI does, left alone."""
    chosen = policy(family, size or 1)
    made = "; this MPI spins while it waits, and is made to give way then" if spins else ""
    if size or chosen.typed or family == "openmpi" or "MMPI_WAIT" in chosen.reason:
        return f"{NAMES[chosen.mode]}: {chosen.reason}{made if chosen.mode != BLOCK else ''}"
    return f"{NAMES[chosen.mode]} up to {job_cores()} ranks on this host, yield with more ranks than cores{made}"
