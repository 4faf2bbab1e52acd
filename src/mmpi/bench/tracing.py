# SPDX-License-Identifier: BSD-3-Clause
"""What recording adds to a call: the same statement with the recorder on and off, by turns, in one process, on one rank.

python -m mmpi.bench.tracing [--json FILE] [--repeat N] [--quick] [--folder DIR]
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mmpi import trace
from mmpi.bench.measure import Batch, Case, Contender, Result, measure
from mmpi.bench.report import load_warning, machine, table, to_json

BATCH = 2e-4  # seconds: short, so that off and on find the machine alike

# name, statement, most ns that recording may add
CASES = (
    ("Send, reused frame", "comm.Send(a, nobody)", 60.0),
    ("Send, fresh frame", "send()", 180.0),
    ("send of an int", "comm.send(7, nobody)", 60.0),
    ("Isend + Wait", "comm.Isend(a, nobody).Wait()", math.nan),
    ("Iprobe in vain", "comm.Iprobe(0, 9)", math.nan),
    ("with S", "with S: pass", 250.0),
    ("with S(n=1)", "with S(n=1): pass", math.nan),
    ("event", "E()", math.nan),
)


def case(name: str, statement: str, names: dict[str, Any]) -> Case:
    """A statement without and with the recorder; to resume and to pause is no part of it."""
    plain, nothing = Contender.python("off", statement, **names), Contender.python("nothing", "pass")

    def recorded(run: Batch, n: int) -> None:
        trace.resume()
        run(n)
        trace.pause()

    return Case(name, [plain, Contender("on", partial(recorded, plain.run), partial(recorded, nothing.run))])


def variables(mpi: Any) -> dict[str, Any]:
    """What the statements name."""
    comm, a, nobody = mpi.COMM_SELF, bytearray(8), mpi.PROC_NULL

    def send() -> None:
        comm.Send(a, nobody)

    return {"comm": comm, "a": a, "nobody": nobody, "send": send, "S": trace.state("S"), "E": trace.event("E")}


def report(results: Sequence[Result]) -> str:
    """The table of what recording adds, with the target and whether it is met."""
    rows = [["call", "off ns", "on +ns", "target", ""]]
    for result, (_, _, target) in zip(results, CASES, strict=True):
        off, extra = result.time("off"), result.extra("on", "off")
        verdict = ["-", ""] if math.isnan(target) else [f"{target:.0f}", "OK" if extra.median <= target else "MISSED"]
        rows.append([result.case, f"{off.median:.0f} ± {off.spread:.0f}", f"{extra.median:.0f} ± {extra.spread:.0f}", *verdict])
    return table(rows)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m mmpi.bench.tracing", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all samples and the machine to FILE")
    parser.add_argument("--repeat", metavar="N", type=int, default=401, help="rounds per case (default 401)")
    parser.add_argument("--quick", action="store_true", help="9 rounds: does it run, roughly")
    parser.add_argument("--folder", metavar="DIR", help="record on the file system of DIR (default: that of temporary files)")
    options = parser.parse_args(arguments)
    if options.repeat < 1:
        parser.error(f"--repeat must be at least 1, not {options.repeat}")
    return options


def run(options: argparse.Namespace, clock: Callable[[], int] = time.thread_time_ns) -> list[Result]:
    """Measure all cases. The thread's processor time counts: one rank waits for nobody."""
    from mmpi import MPI

    repeat = min(9, options.repeat) if options.quick else options.repeat
    names = variables(MPI)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        trace.start(folder, limit="2G")
        trace.pause()
        try:
            return [measure(case(name, statement, names), repeat=repeat, batch_seconds=BATCH, clock=clock) for name, statement, _ in CASES]
        finally:
            trace.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the status is 0 unless something did not run (then it raises)."""
    options = parse(arguments)
    results = run(options)
    described = machine()
    if warning := load_warning(described):
        print(warning, file=sys.stderr)
    print(f"{described['mpi']}, {described['python']}, {described['processor']}")
    print(report(results))
    if options.json:
        options.json.write_text(to_json(results, described, targets={name: target for name, _, target in CASES}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
