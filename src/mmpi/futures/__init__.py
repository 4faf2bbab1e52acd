# SPDX-License-Identifier: BSD-3-Clause
"""Calls that run on other ranks: the executors of mpi4py.futures, on top of concurrent.futures.

    with MPIPoolExecutor(4) as executor:            # starts 4 processes
        print(list(executor.map(abs, range(-5, 5))))

Under `mpiexec -n 5 python -m mmpi.futures program.py` the pool is the ranks of the job instead, and
`with MPICommExecutor(comm) as executor` makes those of a communicator one.
"""

from __future__ import annotations

from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    InvalidStateError,
    TimeoutError,
    as_completed,
    wait,
)

from . import _core as _core
from .pool import MPICommExecutor, MPIPoolExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from .util import collect, compose
from .worker import get_comm_workers

__all__ = [
    "ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION", "BrokenExecutor", "CancelledError", "Executor", "Future", "InvalidStateError",
    "MPICommExecutor", "MPIPoolExecutor", "ProcessPoolExecutor", "ThreadPoolExecutor", "TimeoutError", "as_completed", "collect",
    "compose", "get_comm_workers", "wait",
]  # fmt: skip
