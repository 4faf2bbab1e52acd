# SPDX-License-Identifier: BSD-3-Clause
"""What the suite measures: a list of Specs. Who does a case, and how, stands in messages.py, pipes.py and programs/."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mmpi.bench.report import sized

GROUPS = {
    "p2p": "messages between two ranks: there and back, both ways, 64 or 16 at a time one way",
    "objects": "Python objects between two ranks, the classic mix",
    "collectives": "barrier, bcast, allreduce, allgather, alltoall",
    "overlap": "communication and computation alone, and at once",
    "onesided": "put, get, fetch-and-add in another rank's memory",
    "io": "one file written and read by all ranks",
    "crowd": "collectives of twice as many ranks as cores",
    "startup": "from the command to hello, and the memory of a rank",
    "programs": "whole programs: pool, uneven tasks, map-reduce, halo exchange, sort, conjugate gradient, small tasks",
}
PROGRAMS = ("pi", "mandelbrot", "wordcount", "jacobi", "sort", "cg", "sweep")
OBJECTS = ("string of 256", "int", "dict of 10", "array 8 KiB", "array 1 MiB")
COLLECTIVES = ("barrier", "bcast", "allreduce", "allgather", "alltoall")
KIB, MIB = 1 << 10, 1 << 20
SIZES = (0, 8, KIB, 64 * KIB, MIB, 16 * MIB, 64 * MIB)
USUAL_SIZES = (8, KIB, 64 * KIB, MIB)
QUICK_SIZES = (8, 64 * KIB)
MOST_OF_MANY = 4 * MIB  # bytes of a message of which several are under way, or each rank has one from each


@dataclass(frozen=True)
class Spec:
    """One case: its group, a name that no other has, what makes it (of which arguments), and on how many ranks."""

    group: str
    name: str
    build: str
    arguments: tuple[Any, ...]
    ranks: int = 2
    single: bool = False  # a batch is one iteration


def specs(ranks: Sequence[int], sizes: Sequence[int], quick: bool = False) -> list[Spec]:
    """All cases, for these numbers of ranks and sizes of messages; `quick`: with small programs."""
    made = [*_messages(sizes), *(Spec("objects", f"{name} there and back", "thing", (name,)) for name in OBJECTS)]
    made.append(Spec("objects", "256 strings of 256 one way", "stream", ()))
    for n in ranks:
        made += _collectives("collectives", n, sizes)
    made += [Spec("overlap", name, "overlap", (name,)) for name in ("1 MiB each way", "computing", "1 MiB each way while computing")]
    for count in (8, 64 * KIB):
        made += [Spec("onesided", f"{verb} {sized(count)}", "onesided", (verb, count)) for verb in ("put", "get")]
    made.append(Spec("onesided", "fetch and add", "onesided", ("count", 8)))
    for n in ranks:
        made += [Spec("io", f"{verb} {sized(MIB)} a rank on {n} ranks", "parallel_io", (verb, MIB), n) for verb in ("write", "read")]
    made += _collectives("crowd", 2 * len(os.sched_getaffinity(0)), (8,), COLLECTIVES[:3])
    starts = ("start of 4 ranks", "memory of a rank", "import", "import and init")
    made += [Spec("startup", name, "startup", (), 4, single=True) for name in starts]
    made += [Spec("programs", f"{name} on {n} ranks", "program", (name, quick), n, single=True) for n in ranks for name in PROGRAMS]
    return made


def _messages(sizes: Sequence[int]) -> Iterator[Spec]:
    for build, what in (("ping_pong", "there and back"), ("both_ways", "both ways")):
        yield from (Spec("p2p", f"{sized(count)} {what}", build, (count,), single=count > MOST_OF_MANY) for count in sizes)
    for count in (count for count in sizes if count <= MOST_OF_MANY):
        many = 64 if count <= KIB else 16
        yield Spec("p2p", f"{many} x {sized(count)} one way", "window", (count, many))


def _collectives(group: str, ranks: int, sizes: Sequence[int], names: Sequence[str] = COLLECTIVES) -> Iterator[Spec]:
    for name in names:
        if name == "barrier":
            yield Spec(group, f"barrier on {ranks} ranks", name, (0,), ranks)
            continue
        for count in sizes:
            if 8 <= count <= MOST_OF_MANY:
                yield Spec(group, f"{name} {sized(count)} on {ranks} ranks", name, (count,), ranks)


def choose(all_specs: Sequence[Spec], words: Sequence[str]) -> list[Spec]:
    """Those whose group is one of the words, or in whose name one is; all, if there is no word. ValueError for a word that fits nothing."""
    for word in words:
        if not any(_fits(spec, word) for spec in all_specs):
            close = difflib.get_close_matches(word, GROUPS, 1)
            hint = f"did you mean {close[0]}?" if close else f"groups are {', '.join(GROUPS)}; --list shows all cases"
            raise ValueError(f"no case is called {word}: {hint}")
    return [spec for spec in all_specs if not words or any(_fits(spec, word) for word in words)]


def _fits(spec: Spec, word: str) -> bool:
    return word == spec.group or (word not in GROUPS and word in spec.name)


def quick_choice(all_specs: Sequence[Spec]) -> list[Spec]:
    """One or two of each group that a look at a machine needs: less than 20 seconds of them."""
    wanted = ("8 B there", "64 KiB there", "64 x 8 B", "string of 256", "dict of 10", "barrier", "allreduce 8 B", "put 8 B")
    chosen = [spec for spec in all_specs if spec.group in ("p2p", "objects", "collectives", "onesided") and spec.name.startswith(wanted)]
    return chosen + [spec for spec in all_specs if spec.group == "programs" and spec.arguments[0] in ("pi", "jacobi", "wordcount")]
