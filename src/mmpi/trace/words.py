# SPDX-License-Identifier: BSD-3-Clause
"""Numbers and places as the report writes them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

UNITS = (("s", 1e9), ("ms", 1e6), ("us", 1e3), ("ns", 1.0))


def duration(ns: float) -> str:
    """`1.23 s`, `45.6 ms`, `789 us`, `12 ns`."""
    if ns >= 1e12:
        return f"{ns / 1e9:.0f} s"
    for unit, size in UNITS:
        if ns >= size:
            return f"{_digits(ns / size)} {unit}"
    return "0" if ns == 0 else f"{ns:.2f} ns"


def size(count: float) -> str:
    """`512 B`, `1.5 KiB`, `20 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1000 or unit == "TiB":
            return f"{count:.0f} B" if unit == "B" else f"{_digits(count)} {unit}"
        count /= 1024
    raise AssertionError


def number(count: float) -> str:
    """`999`, `12,345`, `1.2 M`."""
    if count < 100_000:
        return f"{count:,.0f}"
    return f"{_digits(count / 1e3)} k" if count < 1e6 else f"{_digits(count / 1e6)} M"


def percent(part: float, whole: float = 1.0) -> str:
    """`12 %`, `3.4 %`."""
    share = 100 * part / whole if whole else 0.0
    return f"{share:.0f} %" if share >= 9.95 or share == 0 else f"{share:.1f} %" if share >= 0.05 else "< 0.1 %"


def rate(per_second: float) -> str:
    """A bandwidth: `1.2 GB/s`."""
    for unit, factor in (("GB/s", 1e9), ("MB/s", 1e6), ("kB/s", 1e3)):
        if per_second >= factor:
            return f"{_digits(per_second / factor)} {unit}"
    return f"{per_second:.0f} B/s"


def _digits(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def ranks(numbers: Sequence[int], most: int = 6) -> str:
    """`rank 3`, `ranks 0, 2-5`; with more than `most` parts the first of them and how many there are."""
    parts: list[str] = []
    numbers = sorted(set(numbers))
    start = 0
    for i, rank in enumerate(numbers):
        if i + 1 == len(numbers) or numbers[i + 1] != rank + 1:
            parts.append(str(rank) if start == i else f"{numbers[start]}-{rank}" if i > start + 1 else f"{numbers[start]}, {rank}")
            start = i + 1
    if len(parts) > most:
        return f"{len(numbers)} ranks ({', '.join(parts[: most // 2])}, ...)"
    return f"rank{'s' if len(numbers) > 1 else ''} {', '.join(parts)}"


def call(entry: dict[str, Any], objects: bool = False) -> str:
    """`Waitall at heat.py:72`; with `objects`, that is of one that moves Python objects, `send at heat.py:72`."""
    name = entry["operation"].lower() if objects else str(entry["operation"])
    return f"{name} at {entry['place']}" if entry["place"] else name


def cause(entry: dict[str, Any]) -> str:
    """`rank 2 computes in 'solve' (heat.py:60) before Isend at heat.py:71`."""
    if "pickling" in entry["activity"]:
        return f"rank {entry['rank']} {entry['activity'].replace('ing', 'es')} in {call(entry, True)}"
    if entry["activity"] == "in MPI":
        return f"rank {entry['rank']} is in {call(entry)}"
    state = f" in '{entry['state']}'" if entry["state"] else ""
    place = f" ({entry['state_place']})" if entry["state"] and entry["state_place"] else ""
    return f"rank {entry['rank']} computes{state}{place} before {call(entry)}"


def reason(error: BaseException) -> str:
    """What went wrong, as the commands say it."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, ImportError) and error.name == "numpy":
        return "needs NumPy: pip install 'maroonmpi[trace]'"
    return str(error) or ("not enough memory" if isinstance(error, MemoryError) else type(error).__name__)


def check_folder_of(output: str) -> None:
    """FileNotFoundError unless a file can be made there: said before the work is done."""
    folder = os.path.dirname(output) or "."
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"{output} cannot be written: there is no folder {folder}")
