# SPDX-License-Identifier: BSD-3-Clause
"""Workers: `mpiexec -n 4 python -m mmpi.futures.server` waits for MPIPoolExecutor(service=...), serves it, and ends.

Without options it publishes the name of a service, which needs a name server. With --bind or --port it listens on a TCP
address instead, for MPIPoolExecutor(service=(host, port)). Executors that start their workers start this module too.
"""

from __future__ import annotations

import argparse

from mmpi import MPI

from . import spawn, worker


def main() -> None:
    """Serve the process that started this one, or one that connects."""
    parent = MPI.Comm.Get_parent()
    if parent != MPI.COMM_NULL:
        _serve(parent, MPI.COMM_WORLD)
    else:
        service, info = _arguments()
        _serve(spawn.accept(service, info, MPI.COMM_WORLD), MPI.COMM_WORLD)


def _serve(comm: MPI.Intercomm, workers: MPI.Intracomm) -> None:
    worker.serve(comm, workers)
    comm.Disconnect()


def _arguments() -> tuple[str | tuple[str, int], dict[str, str]]:
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}.server", description=__doc__)
    parser.add_argument("-s", "--service", help="the name to publish", default=spawn.environment("SERVICE", spawn.SERVICE))
    parser.add_argument("-b", "--bind", metavar="HOST", help="listen on this host's TCP address")
    parser.add_argument("-p", "--port", type=int, help="listen on this TCP port")
    parser.add_argument("-i", "--info", metavar="KEY=VALUE,...", help="for MPI_Open_port, MPI_Comm_accept", default="")
    given = parser.parse_args()
    pairs = [pair.partition("=") for pair in given.info.split(",") if pair]
    info = {key: value for key, _, value in pairs}
    if given.bind is None and given.port is None:
        return given.service, info
    host = given.bind or spawn.environment("SERVER_BIND", "")
    return (host, given.port or int(spawn.environment("SERVER_PORT", str(spawn.PORT)))), info


if __name__ == "__main__":
    main()
