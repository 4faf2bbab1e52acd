# SPDX-License-Identifier: BSD-3-Clause
"""What follows from the results: the fastest of each case, ratios to C and to mpi4py, and what one should use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mmpi.bench.measure import Result, Summary
from mmpi.bench.report import amount, quotient

SLOWER = 1.10  # a ratio that counts as slower, if it is so by more than three deviations
DEVIATIONS = 3
FEWEST = 5
BARE, ALONE = "bare Python", "one process"  # beside what one compares, nothing that one would use instead
MPI = ("C", "mmpi", "mpi4py")
# What is compared with what: the same calls of mpi4py, by their names.
TWINS = {
    "mmpi typed": ("mpi4py typed",),
    "mmpi objects": ("mpi4py objects", "mpi4py pkl5"),
    "mmpi.futures": ("mpi4py.futures",),
    "mmpi, mmpi run": ("mpi4py, mpiexec",),
    "mmpi, mpiexec": ("mpi4py, mpiexec",),
    "mmpi": ("mpi4py",),
}


def ours(result: Result) -> str | None:
    """The fastest contender of mmpi."""
    return fastest(result, lambda name: name.startswith("mmpi"))


def fastest(result: Result, wanted: Callable[[str], bool] = lambda name: True) -> str | None:
    """The contender of the smallest median among those wanted; a Python that does nothing is none."""
    names = [name for name in result.timings if name != BARE and wanted(name)]
    return min(names, key=lambda name: result.time(name).median, default=None)


def in_c(result: Result) -> str:
    """What stands for C in a case; empty where nothing does."""
    return next((name for name in result.timings if name.split(",")[0] == "C"), "")


def rows(results: Sequence[Result]) -> list[list[str]]:
    """The table: every contender of every case, with the ratio to C and to the case's fastest, which is marked."""
    lines = [["case", "contender", "median ± deviation", "to C", "to fastest"]]
    for result in results:
        best, c = fastest(result), in_c(result)
        for i, name in enumerate(result.timings):
            to_c = quotient(result.ratio(name, c)) if c and name != c else ""
            to_best = "fastest" if name == best else quotient(result.ratio(name, str(best)))
            lines.append(["" if i else result.case, name, amount(result.time(name), result.unit), to_c, to_best])
    return lines


def slower(ratio: Summary) -> bool:
    """Above 1.10, by more than three deviations: not by chance."""
    return ratio.median - DEVIATIONS * ratio.spread > SLOWER


def faster(ratio: Summary) -> bool:
    """The other way round."""
    return ratio.median + DEVIATIONS * ratio.spread < 1 / SLOWER


def derived(results: Sequence[Result]) -> list[list[str]]:
    """A line for each case: the fastest, and ours beside C, mpi4py's best twin, and multiprocessing's best."""
    lines = [["case", "fastest", "best of mmpi", "to C", "to mpi4py", "to multiprocessing"]]
    for result in results:
        if not (mine := ours(result)):
            continue
        others = (in_c(result), *pair(result))
        ratios = [quotient(result.ratio(mine, other)) if other in result.timings else "-" for other in others]
        lines.append([result.case, str(fastest(result)), mine, *ratios])
    return lines


def pair(result: Result) -> tuple[str, str]:
    """The best of mpi4py and the best of Python's own modules; empty where there is none."""
    theirs = fastest(result, lambda name: name.startswith("mpi4py"))
    own = fastest(result, lambda name: not name.startswith(MPI) and name not in (BARE, ALONE, "ipyparallel"))
    return theirs or "", own or ""


def losses(results: Sequence[Result]) -> list[str]:
    """Where mmpi is slower than the same call of mpi4py, or its best than multiprocessing's, beyond noise.
    A case of fewer than FEWEST rounds has too little noise to be judged by."""
    found = []
    for result in results:
        if any(len(timing.samples) < FEWEST for timing in result.timings.values()):
            continue
        checks = [(mine, other) for mine, twins in TWINS.items() for other in twins if mine in result.timings]
        mine, own = ours(result), pair(result)[1]
        if mine and own:
            checks.append((mine, own))
        for name, other in checks:
            if other in result.timings and slower(ratio := result.ratio(name, other)):
                found.append(f"{result.case}: {name} takes {quotient(ratio)} times what {other} takes")
    return found


def advice(groups: Mapping[str, Sequence[Result]]) -> list[str]:
    """What one should use, for each group of cases: who is the fastest how often, C aside, and how clear that is."""
    lines = []
    for group, results in groups.items():
        winners: dict[str, int] = {}
        close = 0
        for result in results:
            names = sorted((name for name in result.timings if name not in (BARE, in_c(result))), key=lambda name: result.time(name).median)
            if len(names) < 2:
                continue
            winners[names[0]] = winners.get(names[0], 0) + 1
            close += not faster(result.ratio(names[0], names[1]))
        if total := sum(winners.values()):
            order = sorted(winners.items(), key=lambda item: -item[1])
            told = ", ".join(f"{name} (fastest in {count} of {total})" for name, count in order[:3])
            lines.append(f"{group}: {told}" + (f"; in {close} the next is as good within noise" if close else ""))
    return lines
