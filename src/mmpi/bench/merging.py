# SPDX-License-Identifier: BSD-3-Clause
"""How fast `mmpi trace merge` is, and how much memory it takes: python -m mmpi.bench.merging"""

from __future__ import annotations

import argparse
import os
import resource
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence

from mmpi.trace import streams

RECORDS = streams.SEGMENT // 32
OPERATIONS = {1: "MPI_Isend", 2: "MPI_Irecv", 3: "MPI_Waitall", 4: "MPI_Send", 5: "MPI_Recv", 6: "MPI_Allreduce"}
COMPLETED = 0xF01
WORLD, NONE = 1, 0
Words = tuple[int, int, int, int]


def _definition(kind: int, number: int, numbers: Sequence[int], *texts: str) -> bytes:
    body = streams.DEFINITION.pack(kind, number, *numbers, *[0] * (6 - len(numbers))) + b"".join(text.encode() + b"\0" for text in texts)
    return streams.DEFINITION_HEAD.pack(len(body), zlib.crc32(body)) + body


def _record(start: int, lasts: int, peer: int, size: int, tag: int, operation: int, comm: int = WORLD) -> Words:
    return start, lasts | (peer + 2 if peer >= 0 else NONE) << 40, size + 1 | comm << 40, tag & 0xFFFFFFFF | 1 << 32 | operation << 52


def _step(rank: int, ranks: int, i: int, index: int) -> list[Words]:
    """Eight calls of a stencil: two halos, a message to the next rank, a sum; `index` is that of the first record."""
    left, right, now = (rank - 1) % ranks, (rank + 1) % ranks, 1_000_000 + i * 20_000 + rank * 100
    both = enumerate(((2, left), (2, right), (1, left), (1, right)))
    halos = [_record(now + 500 * k, 300, peer, 8192, 7, operation) for k, (operation, peer) in both]
    waited = [(index + 4, index + k, 8193 | ((left, right)[k] + 2) << 40, 7 | COMPLETED << 52) for k in range(2)]
    waited += [(index + 4, index + k, 0, 0xFFFFFFFF | COMPLETED << 52) for k in range(2, 4)]
    chain = [_record(now + 9000, 700, right, 64, 8, 4), _record(now + 9800, 900, left, 64, 8, 5)]
    return [*halos, _record(now + 2500, 4000, -1, -1, -1, 3, 0), *waited, *chain, _record(now + 12_000, 3000, -1, 8, i + 1, 6)]


def write_streams(folder: str, ranks: int, calls: int) -> int:
    """Write the streams of a program with about so many calls in all; return how many there are."""
    steps = max(1, calls // (8 * ranks))
    for rank in range(ranks):
        definitions = _definition(streams.PROCESS, 0, [rank + 1, rank, ranks], "bench", "here", "boot", "program.py", "MPI")
        definitions += b"".join(_definition(streams.OPERATION, number, [], name) for number, name in OPERATIONS.items())
        definitions += _definition(streams.SITE, 1, [12], "program.py", "main")
        definitions += _definition(streams.COMM, WORLD, [99, 0, rank, ranks, -1, 0], "MPI_COMM_WORLD")
        with open(os.path.join(folder, f"bench-here-{rank + 1}.mmpid"), "wb") as file:
            file.write(definitions)
        with open(os.path.join(folder, f"bench-here-{rank + 1}-{rank + 1}.mmpis"), "wb") as file:
            _write_stream(file.fileno(), rank, ranks, steps)
    return steps * 8 * ranks


def _write_stream(file: int, rank: int, ranks: int, steps: int) -> None:
    data, index = bytearray(), 0
    for i in range(steps):
        at = index
        at += at % RECORDS == 0
        if RECORDS - at % RECORDS < 12:  # a step does not cross a segment: what is left of it stays empty at the end only
            while index % RECORDS:
                data += struct.pack("<4Q", *_record(1_000_000 + i * 20_000, 1, -1, -1, -1, 3, 0))
                index += 1
            at = index + 1
        if index % RECORDS == 0:
            data += streams.NUMBERED.pack(index // RECORDS, *[1_000_000 + i * 20_000] * 3)
            index += 1
        step = _step(rank, ranks, i, at)
        data += b"".join(struct.pack("<4Q", *words) for words in step)
        index += len(step)
    segments = -(-index // RECORDS)
    who = b"bench", b"here", b"boot", rank + 1, rank + 1, rank, ranks, 0, 1
    times = *[1_000_000] * 3, *[1_000_000 + steps * 20_000] * 3
    head = streams.HEAD.pack(b"mmpi-str", streams.VERSION, streams.STREAM_HEAD, *who, *times, segments, 0, 0, 40_000, 0, 1)
    os.write(file, head.ljust(streams.STREAM_HEAD, b"\0"))
    os.pwrite(file, data, streams.STREAM_HEAD)
    os.ftruncate(file, streams.STREAM_HEAD + segments * streams.SEGMENT)


def measure(calls: int = 1_000_000, ranks: int = 4, repeats: int = 3) -> dict[str, float]:
    """Merge a made-up trace on one core; return calls, seconds (the best), calls a second, bytes a call in the merged file, MiB of memory."""
    from mmpi.trace import merge
    from mmpi.trace.folder import MERGED

    with tempfile.TemporaryDirectory(prefix="mmpi-merging-") as folder:
        written = write_streams(folder, ranks, calls)
        best, before = float("inf"), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(repeats):
            began = time.process_time()
            merger = merge.merge(folder, jobs=1)
            best = min(best, time.process_time() - began)
        found = merger.found["calls"]
        size = os.path.getsize(os.path.join(folder, MERGED))
        messages = merger.found["messages"]
    if messages != written // 8 * 3 or merger.found["unmatched"]:
        raise AssertionError(f"{messages} messages were matched of {written // 8 * 3}")
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"calls": found, "seconds": best, "calls/s": found / best, "bytes/call": size / found, "MiB": memory}


def main(argv: Sequence[str] | None = None) -> int:
    """Print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m mmpi.bench.merging", description="Measure mmpi trace merge.")
    parser.add_argument("--calls", type=int, default=1_000_000, help="in all (default: %(default)s)")
    parser.add_argument("--ranks", type=int, default=4, help="(default: %(default)s)")
    words = parser.parse_args(argv)
    result = measure(words.calls, words.ranks)
    rate = result["calls/s"] / 1e6
    print(f"{result['calls']:,.0f} calls on {words.ranks} ranks: {result['seconds']:.2f} s of one core, {rate:.2f} million calls/s")
    print(f"{result['bytes/call']:.1f} bytes a call in the merged file, {result['MiB']:.0f} MiB of memory besides the mapped streams")
    return 0


if __name__ == "__main__":
    sys.exit(main())
