# SPDX-License-Identifier: BSD-3-Clause
"""The command `mmpi bench`, also `python -m mmpi.bench`: processing against MPI, side by side, on this machine."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmpi.bench import cases, changes, pools, summary
from mmpi.bench.cases import GROUPS, Spec
from mmpi.bench.measure import Result
from mmpi.bench.report import load_warning, machine, sized, table, to_json

EPILOG = """\
examples:
  mmpi bench                                  about a minute
  mmpi bench --full                           more sizes and rounds, some minutes
  mmpi bench --quick                          does it run, roughly; seconds
  mmpi bench --only p2p,collectives --sizes 8,64K,1M --ranks 2,4
  mmpi bench --json now.json --compare old.json

docs/benchmarks.md says what each number means, and what it does not.
"""
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
LARGEST = 64 << 20  # bytes: what contenders with memory of a fixed size have room for
NEEDS = {"mpi4py": "mpi4py", "mmpi.futures": "", "ipyparallel": "ipyparallel"}  # contenders that may be missing, and how to get them


def size(word: str) -> int:
    """A size with a unit: 8, 64K, 1M."""
    found = re.fullmatch(r"(\d+)([KMG]?)(?:i?B)?", word.strip(), re.IGNORECASE)
    if not found:
        raise argparse.ArgumentTypeError(f"{word} is no size: say 8, 64K or 1M")
    count = int(found[1]) * UNITS[found[2].upper()]
    if count > LARGEST:
        raise argparse.ArgumentTypeError(f"{word}: at most {sized(LARGEST)}")
    return count


def ranks(word: str) -> int:
    """A number of ranks."""
    if not word.strip().isdecimal() or int(word) < 2:
        raise argparse.ArgumentTypeError(f"{word}: a number of ranks is at least 2")
    return int(word)


def listed(kind: Any) -> Any:
    """Several of them, separated by commas, none twice."""

    def parse(text: str) -> list[Any]:
        return list(dict.fromkeys(kind(word) for word in text.split(",") if word.strip()))

    return parse


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; `options.specs` are the cases chosen."""
    parser = argparse.ArgumentParser(
        prog="mmpi bench", description=(__doc__ or "").split("\n")[0], epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="print the cases and run nothing")
    parser.add_argument("--only", metavar="WORDS", type=listed(str), default=[], help="groups, or parts of the names of cases")
    parser.add_argument("--ranks", metavar="N,...", type=listed(ranks), default=[2], help="of collectives, files and programs (default: 2)")
    parser.add_argument("--sizes", metavar="BYTES,...", type=listed(size), help="of messages (default: 8,1K,64K,1M; full: 0 to 64M)")
    parser.add_argument("--repeat", metavar="N", type=int, help="rounds of each case (default: 5; full: 7; quick: 3)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all samples and the machine")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the results: .svg or .png (pip install 'maroonmpi[plot]')")
    parser.add_argument("--compare", metavar="OLD", type=Path, help="say what changed, beyond noise, since this file of --json was written")
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true", help="a few cases, short")
    extent.add_argument("--full", action="store_true", help="all sizes, more rounds")
    options = parser.parse_args(arguments)
    options.failed = []  # contenders that should have been there
    usual, sizes = (3, cases.QUICK_SIZES) if options.quick else (7, cases.SIZES) if options.full else (5, cases.USUAL_SIZES)
    options.repeat = usual if options.repeat is None else options.repeat
    if options.repeat < 2:
        parser.error(f"--repeat {options.repeat}: at least 2, since one sample has no spread")
    if options.plot and options.plot.suffix not in (".svg", ".png"):
        parser.error(f"--plot {options.plot}: the name must end in .svg or .png")
    for file in filter(None, (options.json, options.plot)):
        if not file.absolute().parent.is_dir():
            parser.error(f"{file}: there is no folder {file.parent}")
    try:
        options.old = changes.load(options.compare) if options.compare else None
        everything = cases.specs(options.ranks, options.sizes or sizes, options.quick)
        options.specs = cases.choose(everything, options.only)
    except ValueError as error:
        parser.error(str(error))
    if options.quick and not options.only:
        options.specs = cases.quick_choice(options.specs)
    return options


def missing(options: argparse.Namespace) -> str | None:
    """What this run needs and is not installed, with what to do; None if all is there."""
    if not pools.installed("numpy"):
        return "needs NumPy: pip install 'maroonmpi[bench]'"
    if options.plot and not pools.installed("matplotlib"):
        return "--plot needs matplotlib: pip install 'maroonmpi[plot]'"
    return None


def print_list(specs: Sequence[Spec]) -> None:
    """The cases by group."""
    for group, meaning in GROUPS.items():
        names = [spec.name for spec in specs if spec.group == group]
        if names:
            print(f"{group}: {meaning}")
            print("".join(f"    {name}\n" for name in names), end="")


class Progress:
    """Says on stderr what is being measured: one line that changes on a terminal, else a line for each."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.same_line = sys.stderr.isatty()

    def __call__(self, name: str) -> None:
        """The next begins."""
        self.done += 1
        line = f"{self.done}/{self.total} {name}"
        print(f"\r{line:<79}" if self.same_line else line, end="" if self.same_line else "\n", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line to others."""
        if self.same_line:
            print("\r" + " " * 79 + "\r", end="", file=sys.stderr, flush=True)


def run(options: argparse.Namespace) -> list[Result]:
    """All cases, in the order of the list; those of one number of ranks have the same teams."""
    from mmpi.bench import startup, teams

    progress = Progress(len(options.specs))
    results: dict[str, Result] = {}
    batch = 1e-3 if options.quick else 2e-3
    for n in dict.fromkeys(spec.ranks for spec in options.specs if spec.group != "startup"):
        chosen = [spec for spec in options.specs if spec.ranks == n and spec.group != "startup"]
        with tempfile.TemporaryDirectory(prefix="mmpi-bench-") as folder, teams.crew(chosen, n, folder, options.failed.append) as crew:
            for spec in chosen:
                progress(spec.name)
                results[spec.name] = teams.compare(spec, crew, options.repeat, batch)
    names = [spec.name for spec in options.specs if spec.group == "startup"]
    if names:
        results |= {result.case: result for result in startup.compare(names, options.repeat, progress)}
    progress.end()
    return [results[spec.name] for spec in options.specs]


def grouped(specs: Sequence[Spec], results: Sequence[Result]) -> dict[str, list[Result]]:
    """The results by group."""
    groups: dict[str, list[Result]] = {}
    for spec, result in zip(specs, results, strict=True):
        groups.setdefault(spec.group, []).append(result)
    return groups


def show(options: argparse.Namespace, results: Sequence[Result]) -> None:
    """The tables, losses as readily as wins, and what follows from them."""
    groups = grouped(options.specs, results)
    for group, found in groups.items():
        print(f"{group}: {GROUPS[group]}\n{table(summary.rows(found))}\n")
    print(f"{table(summary.derived(results))}\n")
    if options.repeat < summary.FEWEST:
        print(f"{options.repeat} rounds are too few to call anything slower: --repeat {summary.FEWEST}")
    elif lost := summary.losses(results):
        print("mmpi is slower, beyond noise:", *lost, sep="\n  ")
    else:
        print("mmpi is nowhere slower than mpi4py or multiprocessing beyond noise")
    print("\nwhat should I use?", *summary.advice(groups), sep="\n  ")


def warnings(described: dict[str, Any], specs: Sequence[Spec]) -> list[str]:
    """What makes the numbers less than they should be, or the list of contenders shorter."""
    most, cores = max(spec.ranks for spec in specs), described["cores"]
    lines = [line] if (line := load_warning(described)) else []
    if most > cores:
        lines.append(f"warning: up to {most} ranks on {cores} core(s): those cases tell how ranks share cores, not how fast they are")
    for module, package in NEEDS.items():
        if not pools.installed(module):
            lines.append(f"not measured: {module}, which is not installed" + (f" (pip install {package})" if package else ""))
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Status 0, 1 if something did not run or gave a wrong answer, 2 for a wrong command line."""
    options = parse(arguments)
    if options.list:
        print_list(options.specs)
        return 0
    if lack := missing(options):
        print(f"mmpi bench: {lack}", file=sys.stderr)
        return 1
    from mmpi.bench.crowded import library_of

    described = machine()
    print(*warnings(described, options.specs), sep="\n", file=sys.stderr)
    began = time.monotonic()
    try:
        described["mpi"] = library_of(sys.executable)
        results = run(options)
    except (RuntimeError, OSError) as error:
        print(f"\nmmpi bench: {error}", file=sys.stderr)
        return 1
    took = time.monotonic() - began
    print(f"{described['mpi']}, {described['python']}, {described['processor']}, {described['cores']} cores; took {took:.0f} s")
    show(options, results)
    return keep(options, described, results)


def keep(options: argparse.Namespace, described: dict[str, Any], results: Sequence[Result]) -> int:
    """Write the files that were asked for, and compare."""
    import json

    kinds = {spec.name: {"group": spec.group, "ranks": spec.ranks} for spec in options.specs}
    text = to_json(results, described, kinds=kinds, losses=summary.losses(results), failed=options.failed)
    if options.json:
        options.json.write_text(text + "\n")
    if options.plot:
        from mmpi.bench import plot

        plot.draw(grouped(options.specs, results), f"{described['processor']}, {described['cores']} cores", options.plot)
    if options.old:
        print(f"\nsince {options.compare}:\n{changes.compare(options.old, json.loads(text))}")
    print(*options.failed, sep="\n", end="\n" if options.failed else "", file=sys.stderr)
    return 1 if options.failed else 0
