# SPDX-License-Identifier: BSD-3-Clause
"""The zoo: small programs that hang, each in a classic way. `NAME.txt` has the first three lines of the report on `NAME.py`.

    python tests/zoo/zoo.py [NAMES]            run them and print their reports' first lines
    python tests/zoo/zoo.py --update [NAMES]   and keep these as what is expected
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
TIMEOUT = 2.0  # of a hang
LIMIT = float(os.environ.get("MMPI_TEST_LIMIT", 60))  # seconds that a job may take on a busy machine
AT_ONCE = 5
HEAD = "mmpi run: hang: "


class Caught(NamedTuple):
    """What came of a program."""

    status: int
    report: list[str]
    seconds: float  # from its last call of MPI to the report
    text: str

    @property
    def top(self) -> list[str]:
        """The first three lines, without what differs from run to run."""
        return [masked(line) for line in self.report[:3]]


def masked(line: str) -> str:
    """Without pids, and without the line of a loop that has two."""
    line = re.sub(r"\b(pid|kill -CONT) [\d ]+\d|\b(pid|kill -CONT) \d", r"\1\2 PID", line)
    return re.sub(r"((?:iprobe|request|endless)_loop\.py):\d+(?: in \w+: .*)?", r"\1:LINE", line)


def animals() -> list[str]:
    """The names of the programs."""
    return sorted(path.stem for path in HERE.glob("*.py") if path.name != "zoo.py")


def ranks(name: str) -> int:
    """On how many ranks a program hangs."""
    found = re.search(r"^# ranks: (\d+)$", (HERE / f"{name}.py").read_text(), re.MULTILINE)
    assert found, name
    return int(found[1])


def catch(name: str) -> Caught:
    """Run a program until it is found to hang, and ended."""
    command = [sys.executable, "-m", "mmpi", "run", "-n", str(ranks(name)), "--hang-timeout", str(TIMEOUT), f"{name}.py"]
    reader, writer = os.pipe()  # standard input, on which nothing ever comes
    try:
        with subprocess.Popen(command, cwd=HERE, stdin=reader, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            timer = threading.Timer(LIMIT, process.terminate)
            timer.start()
            assert process.stderr
            text = process.stderr.read()
            timer.cancel()
    finally:
        os.close(reader)
        os.close(writer)
    return Caught(process.returncode, report_in(text), age_in(text), text)


def report_in(text: str) -> list[str]:
    """The lines of the report, among others that the job wrote."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith(HEAD)), len(lines))
    following = lines[start + 1 :]
    end = next((i for i, line in enumerate(following) if not line.startswith("  ")), len(following))
    return [line.removeprefix(HEAD) for line in lines[start : start + 1]] + [line[2:] for line in following[:end]]


def age_in(text: str) -> float:
    """How long the last call that was begun had lasted when the report was made."""
    ages = [float(age) for age in re.findall(r" for ([\d.]+) s\b", "\n".join(report_in(text)))]
    return min(ages, default=0.0)


def expected(name: str) -> Path:
    """Where the lines are kept that a report has to begin with."""
    return HERE / f"{name}.txt"


def main(words: list[str]) -> int:
    """Print the table; with --update, keep it."""
    names = [word for word in words if not word.startswith("-")] or animals()
    begin = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for name, caught in zip(names, pool.map(catch, names), strict=True):
            print(f"{name}: {ranks(name)} ranks, status {caught.status}, after {caught.seconds:g} s")
            print(*(f"    {line}" for line in (caught.report if "--full" in words else caught.top) or [caught.text]), sep="\n", flush=True)
            if "--update" in words and caught.report:
                expected(name).write_text("\n".join(caught.top) + "\n")
    print(f"{len(names)} programs in {time.monotonic() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
