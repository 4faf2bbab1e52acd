# SPDX-License-Identifier: BSD-3-Clause
"""Small tests of an installation, under the names and options of mpi4py's: helloworld, ringtest, pingpong, futures.

    mpiexec -n 4 python -m mmpi.bench helloworld
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmpi import MPI

COMMANDS = ("helloworld", "ringtest", "pingpong", "futures")


def is_command(words: Sequence[str]) -> bool:
    """Do these words name one of the commands?"""
    return any(word in COMMANDS for word in words[:3])


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m mmpi.bench {name}")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing")
    return parser


def helloworld(comm: MPI.Intracomm, args: Sequence[str] | None, verbose: bool) -> str:
    """Let all ranks say hello, one after the other."""
    from mmpi import MPI
    from mmpi.util.sync import Sequential

    options = _parser("helloworld").parse_args(args or [])
    text = f"Hello, World! I am process {comm.Get_rank()} of {comm.Get_size()} on {MPI.Get_processor_name()}."
    with Sequential(comm):
        if verbose and not options.quiet:
            print(text, flush=True)
    return text


def ringtest(comm: MPI.Intracomm, args: Sequence[str] | None, verbose: bool) -> float:
    """Send a message around a ring of all ranks."""
    parser = _parser("ringtest")
    parser.add_argument("-n", "--size", type=int, default=1, help="bytes of the message")
    parser.add_argument("-s", "--skip", type=int, default=0, help="rounds that do not count")
    parser.add_argument("-l", "--loop", type=int, default=1, help="rounds")
    options = parser.parse_args(args or [])
    rank, size = comm.Get_rank(), comm.Get_size()
    out, came = bytearray(b"a" * options.size), bytearray(options.size)
    total = 0.0
    for turn in range(options.skip + options.loop):
        comm.Barrier()
        began = time.perf_counter()
        if rank == 0:
            request = comm.Irecv(came, (rank - 1) % size)
            comm.Send(out, (rank + 1) % size)
            request.Wait()
            if came != out:
                raise RuntimeError("ringtest: the message came back changed")
        else:
            comm.Recv(came, rank - 1)
            comm.Send(came, (rank + 1) % size)
        if turn >= options.skip:
            total += time.perf_counter() - began
    seconds = comm.bcast(total / max(options.loop, 1) if rank == 0 else None)
    if verbose and not options.quiet and rank == 0:
        print(f"time for {options.loop} loops = {seconds * options.loop:g} seconds ({size} processes, {options.size} bytes)", flush=True)
    return float(seconds)


def _sizes(parser: argparse.ArgumentParser, most: int) -> None:
    parser.add_argument("-m", "--min-size", type=int, default=1, help="bytes of the smallest message")
    parser.add_argument("-n", "--max-size", type=int, default=most, help="bytes of the largest message")
    parser.add_argument("-s", "--skip", type=int, default=10, help="rounds that do not count")
    parser.add_argument("-l", "--loop", type=int, default=100, help="rounds")
    parser.add_argument("-a", "--array", choices=("none", "numpy"), default="numpy", help="what is sent: bytes, or an array")
    parser.add_argument("--no-header", dest="header", action="store_false", help="print no header")
    parser.add_argument("--no-stats", dest="stats", action="store_false", help="print no deviations")


def _sweep(options: argparse.Namespace, once: Callable[[Any], float], show: bool, what: str) -> list[tuple[int, float, float]]:
    """Measure each size; print and return its mean and deviation."""
    if show and options.header:
        print(f"# {what}\n# {'size [B]':>10} {'bandwidth [MB/s]':>18} | {'time [s]':>12}{' ± stddev [s]' if options.stats else ''}", flush=True)
    rows, size = [], max(options.min_size, 1)
    while size <= options.max_size:
        data: Any = bytes(size)
        if options.array == "numpy":
            import numpy

            data = numpy.zeros(size, "B")
        times = [once(data) for _ in range(options.skip + options.loop)][options.skip :]
        mean, spread = statistics.mean(times), statistics.pstdev(times)
        if show:
            more = f" ± {spread:.4e}" if options.stats else ""
            print(f"{size:12d} {size / mean / 2**20:18.2f} | {mean:.6e}{more}", flush=True)
        rows.append((size, mean, spread))
        size *= 2
    return rows


def pingpong(comm: MPI.Intracomm, args: Sequence[str] | None, verbose: bool) -> list[tuple[int, float, float]]:
    """Send messages between the first two ranks, typed or (-p) as objects."""
    parser = _parser("pingpong")
    _sizes(parser, 1 << 20)
    parser.add_argument("-p", "--pickle", action="store_true", help="send objects")
    options = parser.parse_args(args or [])
    rank = comm.Get_rank()
    if comm.Get_size() < 2:
        raise RuntimeError("pingpong: two processes are needed")
    if rank > 1:
        comm.Barrier()
        return []

    def once(data: Any) -> float:
        came = bytearray(len(data))
        began = time.perf_counter()
        if options.pickle:
            if rank == 0:
                comm.send(data, 1)
                comm.recv(None, 1)
            else:
                comm.send(comm.recv(None, 0), 0)
        elif rank == 0:
            comm.Send(data, 1)
            comm.Recv(came, 1)
        else:
            comm.Recv(came, 0)
            comm.Send(came, 0)
        return (time.perf_counter() - began) / 2

    rows = _sweep(options, once, verbose and not options.quiet and rank == 0, "MPI ping pong")
    comm.Barrier()
    return rows


def _take(data: Any) -> None:
    pass


def futures(comm: MPI.Intracomm, args: Sequence[str] | None, verbose: bool) -> list[tuple[int, float, float]]:
    """Let workers take tasks: the other ranks, or processes or threads of concurrent.futures."""
    import concurrent.futures

    from mmpi.futures import MPICommExecutor

    parser = _parser("futures")
    _sizes(parser, 1 << 10)
    parser.add_argument("-e", "--executor", choices=("mpi", "process", "thread"), default="mpi")
    parser.add_argument("-w", "--num-workers", type=int, default=None)
    parser.add_argument("-t", "--num-tasks", type=int, default=50, help="tasks of each worker")
    parser.add_argument("-c", "--chunksize", type=int, default=1)
    options = parser.parse_args(args or [])
    options.loop = min(options.loop, 10)
    options.skip = min(options.skip, 2)
    show = verbose and not options.quiet
    workers = options.num_workers or max(1, comm.Get_size() - 1)
    if options.executor != "mpi":
        kind = concurrent.futures.ProcessPoolExecutor if options.executor == "process" else concurrent.futures.ThreadPoolExecutor
        with kind(workers) as executor:
            return _sweep(options, _tasks(executor, workers, options), show, f"{options.executor}: {workers} workers")
    with MPICommExecutor(comm) as chosen:
        if chosen is None:
            return []
        workers = chosen.num_workers
        return _sweep(options, _tasks(chosen, workers, options), show, f"mpi: {workers} workers, {options.num_tasks} tasks each")


def _tasks(executor: Any, workers: int, options: argparse.Namespace) -> Callable[[Any], float]:
    """A round: as many tasks as asked for; the time of one."""
    total = int(workers * options.num_tasks)

    def once(data: Any) -> float:
        began = time.perf_counter()
        for _ in executor.map(_take, [data] * total, chunksize=options.chunksize):
            pass
        return (time.perf_counter() - began) / total

    return once


def main(args: Sequence[str] | None = None) -> None:
    """The command line: global options, a command, its options."""
    import mmpi

    parser = argparse.ArgumentParser(prog="python -m mmpi.bench", description=__doc__)
    parser.add_argument("--threads", action=argparse.BooleanOptionalAction, default=None, help="initialize MPI with threads")
    parser.add_argument("--thread-level", choices=("single", "funneled", "serialized", "multiple"))
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("args", nargs=argparse.REMAINDER)
    options = parser.parse_args(sys.argv[1:] if args is None else args)
    if options.threads is not None:
        mmpi.rc.threads = options.threads
    if options.thread_level is not None:
        mmpi.rc.thread_level = options.thread_level
    from mmpi import MPI

    globals()[options.command](MPI.COMM_WORLD, options.args, True)


if __name__ == "__main__":
    main()
