# SPDX-License-Identifier: BSD-3-Clause
"""`mmpi workit`: files flow through a pipeline of commands, one stage on one rank, as MYMPI's workit.py did.

Each line of the commands is a stage; DUMMY in it stands for the file's name. With fewer ranks than stages, a rank has a block of
stages. A file whose command fails goes no further.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

PLACE = "DUMMY"
TAG = 1


class Done(NamedTuple):
    """What became of a file on one rank: the stage that failed, None if none did."""

    file: str
    failed: int | None
    seconds: float


def blocks(stages: int, ranks: int) -> list[range]:
    """Which stages each rank has: blocks that differ by one at most; those beyond the stages have none."""
    ends = [stages * i // min(ranks, stages) for i in range(min(ranks, stages) + 1)]
    return [range(a, b) for a, b in itertools.pairwise(ends)] + [range(0)] * (ranks - min(ranks, stages))


def read_commands(path: str) -> list[str]:
    """The stages: the lines of a file that are neither empty nor comments."""
    with open(path) as file:
        lines = [line.strip() for line in file]
    return [line for line in lines if line and not line.startswith("#")]


def main(argv: Sequence[str]) -> int:
    """Start the pipeline as a job; return its exit status: 0, or 1 if a command failed."""
    parser = argparse.ArgumentParser(prog="mmpi workit", description="Let files flow through a pipeline of commands.")
    parser.add_argument("-n", type=int, metavar="N", help="how many ranks (default: one for each stage)")
    parser.add_argument("-c", default="commands", metavar="commands", help="a file with a command in each line (default: commands)")
    parser.add_argument("-s", nargs="+", required=True, metavar="FILE", help=f"the files; each stands for {PLACE} in turn")
    words = parser.parse_args(list(argv))
    from .launch import command

    try:
        stages = read_commands(words.c)
    except OSError as error:
        print(f"mmpi workit: {words.c}: {error.strerror}", file=sys.stderr)
        return 2
    if not stages:
        print(f"mmpi workit: {words.c}: has no command", file=sys.stderr)
        return 2
    return command.main(["-n", str(words.n if words.n is not None else len(stages)), "-m", "mmpi.workit", json.dumps(stages), *words.s])


def run_stage(command: str, file: str) -> int:
    """Run a command for a file; return its exit status."""
    return subprocess.run(command.replace(PLACE, shlex.quote(file)), shell=True, stdin=subprocess.DEVNULL).returncode


def run_rank(commands: list[str], files: list[str]) -> bool:
    """Take each file from the rank before, run our stages, hand it on; say whether all went well, at rank 0 for the job."""
    from mmpi import MPI, rc

    rc.abort = False  # a command that fails is no accident
    comm = MPI.COMM_WORLD
    rank = comm.Get_rank()
    mine = blocks(len(commands), comm.Get_size())[rank]
    last = min(comm.Get_size(), len(commands)) - 1
    done = []
    for file in files if mine else []:
        good = rank == 0 or comm.recv(None, rank - 1, TAG)
        if good:
            done.append(_work(commands, mine, file, rank))
            good = done[-1].failed is None
        if rank < last:
            comm.send(good, rank + 1, TAG)
    return bool(comm.bcast(_summary(comm.gather(done), files)))


def _work(commands: list[str], stages: range, file: str, rank: int) -> Done:
    before = time.perf_counter()
    for stage in stages:
        begin = time.perf_counter()
        status = run_stage(commands[stage], file)
        took, end = time.perf_counter() - begin, "done" if status == 0 else f"failed with status {status}"
        print(f"{file}: stage {stage + 1} of {len(commands)} on rank {rank} {end}, {took:.2f} s")
        if status:
            return Done(file, stage, time.perf_counter() - before)
    return Done(file, None, time.perf_counter() - before)


def _summary(all_done: list[list[Done]] | None, files: list[str]) -> bool | None:
    if all_done is None:
        return None
    failed = {one.file: one.failed for done in all_done for one in done if one.failed is not None}
    print(f"workit: {len(files) - len(failed)} of {len(files)} files went through all stages")
    for rank, done in enumerate(all_done):
        print(f"workit: rank {rank}: {len(done)} files, {sum(one.seconds for one in done):.2f} s")
    for file, stage in failed.items():
        print(f"workit: {file} failed in stage {(stage or 0) + 1}")
    return not failed


if __name__ == "__main__":
    sys.exit(0 if run_rank(json.loads(sys.argv[1]), sys.argv[2:]) else 1)
