# SPDX-License-Identifier: BSD-3-Clause
"""Two runs beside each other: what changed by more than noise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmpi.bench.measure import Summary
from mmpi.bench.report import amount, table
from mmpi.bench.summary import DEVIATIONS, SLOWER

FORMAT = 1


def load(path: Path) -> dict[str, Any]:
    """The results of another run. ValueError if the file is none."""
    try:
        data = json.loads(path.read_text())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT or "cases" not in data:
        raise ValueError(f"{path} is no file that --json of the benchmarks wrote")
    return data


def changed(old: Summary, new: Summary) -> str:
    """slower, faster, or nothing: the medians differ by a tenth and by three deviations of both together."""
    noise = DEVIATIONS * (old.spread + new.spread)
    if new.median > old.median * SLOWER and new.median - old.median > noise:
        return "slower"
    if old.median > new.median * SLOWER and old.median - new.median > noise:
        return "faster"
    return ""


def compare(old: dict[str, Any], new: dict[str, Any]) -> str:
    """A table of what changed, and a line about the rest and about machines that differ."""
    before = _summaries(old)
    rows, same, fresh = [["case", "before", "now", "ratio", ""]], 0, 0
    for (case, name, unit), now in _summaries(new).items():
        then = before.get((case, name, unit))
        if then is None:
            fresh += 1
        elif word := changed(then, now):
            ratio = f"{now.median / then.median:.2f}" if then.median else "-"
            rows.append([f"{case}: {name}", amount(then, unit), amount(now, unit), ratio, word])
        else:
            same += 1
    lines = [table(rows)] if len(rows) > 1 else []
    lines.append(f"{len(rows) - 1} changed beyond noise, {same} did not, {fresh} are new")
    for key in ("host", "processor", "cores", "python", "mpi", "packages"):
        if old["machine"].get(key) != new["machine"].get(key):
            lines.append(f"not the same {key}: {old['machine'].get(key)} before, {new['machine'].get(key)} now")
    return "\n".join(lines)


def _summaries(data: dict[str, Any]) -> dict[tuple[str, str, str], Summary]:
    return {
        (case["case"], name, case["unit"]): Summary(found["median"], found["spread"])
        for case in data["cases"]
        for name, found in case["contenders"].items()
    }
