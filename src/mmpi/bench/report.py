# SPDX-License-Identifier: BSD-3-Clause
"""Results of mmpi.bench.measure as tables and as JSON, with a description of the machine they were made on."""

from __future__ import annotations

import ctypes
import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmpi.bench.measure import Result, Summary


def machine() -> dict[str, Any]:
    """Where and with what the numbers were made."""
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "mpi": library_version(),
        "packages": {name: _version(name) for name in ("maroonmpi", "mpi4py", "numpy")},
    }


def library_version() -> str | None:
    """First line of what the loaded MPI library says of itself; None without one."""
    process, text = ctypes.CDLL(None), ctypes.create_string_buffer(8193)
    if not hasattr(process, "MPI_Get_library_version"):
        return None
    process.MPI_Get_library_version(text, ctypes.byref(ctypes.c_int()))
    return " ".join(text.value.decode(errors="replace").split("\n")[0].split())


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def load_warning(described: Mapping[str, Any], ranks: int = 1) -> str | None:
    """A sentence if the machine was busy with other work when it was described; else None."""
    load, cores = described["load"], described["cores"]
    if load + ranks <= cores + 0.5:
        return None
    return f"warning: load {load:.1f} and {ranks} rank(s) of ours on {cores} core(s): trust ratios, not times"


def to_json(results: Sequence[Result], described: Mapping[str, Any], **more: object) -> str:
    """All raw samples, with the description of the machine, as one JSON object; `more` are further keys."""
    cases = [
        {
            "case": result.case,
            "unit": result.unit,
            "contenders": {
                name: {"iterations": t.iterations, **t.summary._asdict(), "samples": t.samples}
                for name, t in result.timings.items()
            },
        }
        for result in results
    ]
    return json.dumps({"format": 1, "machine": described, "cases": cases, **more}, indent=1)


def duration(nanoseconds: Summary) -> str:
    """A time and its spread, with a unit a person reads easily."""
    scale, unit = next(
        ((s, u) for s, u in ((1e9, "s"), (1e6, "ms"), (1e3, "us")) if abs(nanoseconds.median) >= s), (1.0, "ns")
    )
    digits = 0 if unit == "ns" else 2
    return f"{nanoseconds.median / scale:.{digits}f} ± {nanoseconds.spread / scale:.{digits}f} {unit}"


def sized(count: int) -> str:
    """A number of bytes with a unit, if it is a whole number of them: 8 B, 64 KiB, 1 MiB."""
    units = ((1 << 20, "MiB"), (1 << 10, "KiB"))
    return next((f"{count // unit} {name}" for unit, name in units if count and count % unit == 0), f"{count} B")


def amount(summary: Summary, unit: str) -> str:
    """A median and its spread, of times or of memory."""
    mib = 1 << 20
    return duration(summary) if unit == "ns" else f"{summary.median / mib:.1f} ± {summary.spread / mib:.1f} MiB"


def quotient(ratio: Summary) -> str:
    """A ratio and its spread; `?` marks one too noisy to be trusted."""
    return f"{ratio.median:.2f} ± {ratio.spread:.2f}{' ?' if ratio.noisy else ''}"


def comparison(results: Sequence[Result]) -> str:
    """A table: the time of each case's first contender, and of each other one with its ratio to the first."""
    rows = [["case", "contender", "time", "ratio"]]
    for result in results:
        base = next(iter(result.timings))
        for name in result.timings:
            ratio = "" if name == base else quotient(result.ratio(name, base))
            rows.append([result.case if name == base else "", name, duration(result.time(name)), ratio])
    return table(rows)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text: first row the header, first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
