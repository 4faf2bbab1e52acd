# SPDX-License-Identifier: BSD-3-Clause
"""How an executor comes by its workers: it starts them, or connects to a server that has some."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from mmpi import MPI

SERVICE = "mmpi-futures"  # the name that a server publishes
HOST, PORT = "localhost", 31415
_LIMIT = 4096  # bytes of a port's name


def environment(name: str, default: str) -> str:
    """An option of the environment."""
    return os.environ.get(f"MPI4PY_FUTURES_{name}") or default


def default_workers() -> int:
    """How many workers an executor gets that does not say: MPI4PY_FUTURES_MAX_WORKERS, else what the universe has left, else 1."""
    if text := environment("MAX_WORKERS", ""):
        try:
            wanted = int(text)
        except ValueError:
            wanted = 0
        if wanted < 1:
            raise ValueError(f"environment variable MPI4PY_FUTURES_MAX_WORKERS: expected at least 1, not {text!r}")
        return wanted
    universe = MPI.COMM_WORLD.Get_attr(MPI.UNIVERSE_SIZE)
    return max(1, int(universe) - MPI.COMM_WORLD.Get_size()) if universe else 1


def start(max_workers: int | None, options: Mapping[str, Any]) -> MPI.Intercomm:
    """Start processes that serve."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    words = [*flags, *(options.get("python_args") or ()), "-m", f"{__package__}.server"]
    python = os.fspath(options.get("python_exe") or sys.executable)
    return MPI.COMM_SELF.Spawn(python, words, max_workers or default_workers(), _info(options))


def connect(max_workers: int | None, options: Mapping[str, Any]) -> MPI.Intercomm:
    """Connect to a server, by the name of a service or by (host, port)."""
    service, info = options["service"], _info(options)
    if service is None:
        service = environment("SERVICE", SERVICE)
    port = MPI.Lookup_name(service, info) if isinstance(service, str) else _ask(*service)
    return MPI.COMM_SELF.Connect(port, info, 0)


def accept(service: str | tuple[str, int], info: Mapping[str, str], comm: MPI.Intracomm) -> MPI.Intercomm:
    """Wait for an executor that connects; collective over `comm`."""
    known, port = _info({"mpi_info": info}), None
    if comm.Get_rank() == 0:
        port = MPI.Open_port(known)
        if isinstance(service, str):
            MPI.Publish_name(service, port, known)
        else:
            _tell(service, port)
    try:
        return comm.Accept(port, known, 0)
    finally:
        if port is not None:
            if isinstance(service, str):
                MPI.Unpublish_name(service, port, known)
            MPI.Close_port(port)


def _info(options: Mapping[str, Any]) -> MPI.Info:
    given = options.get("mpi_info")
    return MPI.Info.Create(given) if given else MPI.INFO_NULL


def _ask(host: str | None, port: int | str | None) -> str:
    """The name of the MPI port, from the server at an address."""
    where = host or environment("SERVER_HOST", HOST), int(port or environment("SERVER_PORT", str(PORT)))
    with socket.create_connection(where) as connection, connection.makefile("rb") as file:
        return file.read(_LIMIT).decode()


def _tell(where: tuple[str, int], name: str) -> None:
    """Give the name of the MPI port to the first who asks."""
    with socket.create_server(where) as server:
        connection, _ = server.accept()
        with connection:
            connection.sendall(name.encode())
