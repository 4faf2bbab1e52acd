# SPDX-License-Identifier: BSD-3-Clause
"""Word count of a folder: map-reduce, whose results are large dictionaries."""

from __future__ import annotations

import functools
import os
import random
import tempfile
from collections import Counter
from typing import Any

SCALE, QUICK = 40_000, 2_000  # words a file
FILES = 8


def folder(words: int) -> list[str]:
    """The paths of the texts, which are made if they are not there, by whoever comes first: all would write the same."""
    where = os.path.join(tempfile.gettempdir(), f"mmpi-bench-words-{os.getuid()}-{words}")
    os.makedirs(where, exist_ok=True)
    paths = [os.path.join(where, f"{number}.txt") for number in range(FILES)]
    for number, path in enumerate(paths):
        if not os.path.exists(path):
            draw = random.Random(number)
            text = " ".join(f"w{int(draw.paretovariate(0.7)) % 5000}" for _ in range(words))
            with tempfile.NamedTemporaryFile("w", dir=where, delete=False) as file:
                file.write(text)
            os.replace(file.name, path)
    return paths


def count(path: str) -> Counter[str]:
    """The words of a file."""
    with open(path) as file:
        return Counter(file.read().split())


def merge(a: Counter[str], b: Counter[str]) -> Counter[str]:
    """Both together."""
    return a + b


def most(total: Counter[str]) -> list[tuple[str, int]]:
    """The ten most frequent, words of equal number by name."""
    return sorted(total.items(), key=lambda item: (-item[1], item[0]))[:10]


def serial(words: int) -> list[tuple[str, int]]:
    """One process."""
    return most(functools.reduce(merge, map(count, folder(words))))


def pool(map: Any, words: int) -> list[tuple[str, int]]:
    """A pool counts, the parent adds."""
    return most(functools.reduce(merge, map(count, folder(words))))


def objects(MPI: Any, words: int) -> list[tuple[str, int]] | None:
    """Each rank its files; the sum of the counters."""
    comm = MPI.COMM_WORLD
    rank, size = comm.Get_rank(), comm.Get_size()
    nothing: Counter[str] = Counter()
    mine = functools.reduce(merge, map(count, folder(words)[rank::size]), nothing)
    total = comm.reduce(mine)
    return most(total) if rank == 0 else None
