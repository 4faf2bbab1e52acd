# SPDX-License-Identifier: BSD-3-Clause
"""Processes that are started or found at run time (MPI 5.0, chapter 11)."""

from __future__ import annotations

from typing import Any

from .handles import call, comm_of, gone, lib, new, take

_codes: list[int] = []


@call
def comm_spawn(command: str, argv: Any, maxprocs: int, info: Any, root: int, comm: Any) -> int:
    """Start a program with maxprocs processes; return the intercommunicator. `argv` is a list, or one argument."""
    arguments = [argv] if isinstance(argv, str) else list(argv or [])
    _codes.clear()
    made = comm_of(comm).Spawn(command, [a for a in arguments if a], maxprocs, take("Info", info), root, _codes)
    return new(made, "Comm")


@call
def array_of_errcodes() -> list[int]:
    """An error code for each process of the last comm_spawn."""
    return list(_codes)


@call
def comm_get_parent() -> int:
    """The intercommunicator to those that started us; MPI_COMM_NULL if nobody did."""
    return new(lib().Comm.Get_parent(), "Comm")


@call
def open_port(info: Any) -> str:
    """Open a port that others may connect to; return its name."""
    return str(lib().Open_port(take("Info", info)))


@call
def close_port(port: str) -> None:
    """Close a port."""
    lib().Close_port(port)


@call
def comm_accept(port: str, info: Any, root: int, comm: Any) -> int:
    """Wait for a job that connects to a port; return the intercommunicator."""
    return new(comm_of(comm).Accept(port, take("Info", info), root), "Comm")


@call
def comm_connect(port: str, info: Any, root: int, comm: Any) -> int:
    """Connect to a job that accepts at a port; return the intercommunicator."""
    return new(comm_of(comm).Connect(port, take("Info", info), root), "Comm")


@call
def comm_disconnect(comm: Any) -> None:
    """Free a communicator when all that is under way on it is done."""
    comm_of(comm).Disconnect()
    gone(comm, "Comm")


