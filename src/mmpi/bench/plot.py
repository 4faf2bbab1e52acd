# SPDX-License-Identifier: BSD-3-Clause
"""Bars of all cases, by group: times relative to the fastest of each case, on a logarithmic scale, with their spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from mmpi.bench.measure import Result
from mmpi.bench.summary import fastest


def draw(groups: Mapping[str, Sequence[Result]], title: str, path: Path) -> None:
    """Write the picture, svg or png by the name of the file. ImportError without matplotlib."""
    matplotlib: Any = import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot: Any = import_module("matplotlib.pyplot")
    groups = {name: results for name, results in groups.items() if results}
    names = list(dict.fromkeys(name for results in groups.values() for result in results for name in result.timings))
    looks = {name: {"color": pyplot.get_cmap("tab20")(i % 20), "hatch": "////" * (i // 20)} for i, name in enumerate(names)}
    heights = [sum(len(result.timings) + 1 for result in results) for results in groups.values()]
    size = (9, 0.1 * sum(heights) + 0.8 * len(groups))
    figure, axes = pyplot.subplots(len(groups), 1, figsize=size, squeeze=False, height_ratios=heights)
    for axis, (group, results) in zip(axes[:, 0], groups.items(), strict=True):
        _panel(axis, results, looks)
        axis.set_title(group, loc="left", fontsize=9)
    patches = [matplotlib.patches.Patch(facecolor=look["color"], hatch=look["hatch"], label=name) for name, look in looks.items()]
    figure.legend(handles=patches, loc="outside upper center", ncols=4, fontsize=7, title=title, title_fontsize=9)
    figure.set_layout_engine("constrained")
    figure.savefig(path)
    pyplot.close(figure)


def _panel(axis: Any, results: Sequence[Result], looks: Mapping[str, Any]) -> None:
    y, ticks = 0, {}
    for result in results:
        best = result.time(str(fastest(result))).median or 1.0
        first = y
        for name in result.timings:
            time = result.time(name)
            axis.barh(y, time.median / best, xerr=time.spread / best, error_kw={"elinewidth": 0.6}, **looks[name])
            y += 1
        ticks[(first + y - 1) / 2] = result.case
        y += 1
    axis.set_xscale("log")
    axis.margins(y=0.005)
    axis.grid(axis="x", linewidth=0.4)
    axis.set_axisbelow(True)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")
    axis.set_yticks(list(ticks), list(ticks.values()), fontsize=5)
    axis.tick_params(axis="x", which="both", labelsize=6)
    axis.set_xlabel("times the fastest of the case", fontsize=6)
    axis.invert_yaxis()
