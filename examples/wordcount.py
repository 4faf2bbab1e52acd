"""Count the words in the files of a folder, on any number of ranks.

Rank 0 finds the files and deals them out by size; each rank counts the words of its files; the tables meet on rank 0.
All messages are plain arrays of bytes and integers. Files that are unreadable or no UTF-8 text are skipped and counted.
"""

import argparse
import os
import re
import sys
import sysconfig
from array import array
from collections import Counter
from fnmatch import fnmatch

import mmpi
from mmpi import MPI

rank, size = mmpi.init()
comm = MPI.COMM_WORLD


class Parser(argparse.ArgumentParser):
    """All ranks read the same command line: rank 0 alone answers, and all end together."""

    def _print_message(self, message, file=None):
        if rank == 0:
            super()._print_message(message, file)

    def exit(self, status=0, message=None):
        self._print_message(message, sys.stderr)
        mmpi.finalize()  # without it, the first rank that exits with an error would end the whole job
        sys.exit(status)


parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("dir", nargs="?", metavar="DIR",
                    help="default: the standard library; without folders named __pycache__, site-packages or .git")
parser.add_argument("--glob", action="append", metavar="PATTERN", help="only files of such names; repeatable")
parser.add_argument("--top", type=int, default=20, metavar="N", help="print N words (default: 20)")
parser.add_argument("--min-length", type=int, default=1, metavar="N", help="only words of N letters or more")
parser.add_argument("--ignore-case", action="store_true", help="take 'The' and 'the' for one word")


def find_files(folder: str, patterns: list[str]) -> tuple[list[tuple[int, str]], int]:
    """Return (size, path) of the files of a folder and its subfolders, and how many entries could not be looked at."""
    files, errors = list[tuple[int, str]](), list[OSError]()
    for here, folders, names in os.walk(folder, onerror=errors.append):
        folders[:] = [name for name in folders if name not in ("__pycache__", "site-packages", ".git")]
        for path in [os.path.join(here, name) for name in names if any(fnmatch(name, p) for p in patterns)]:
            try:
                if os.path.isfile(path) or not os.path.exists(path):  # no named pipe: opening it would wait
                    files.append((os.path.getsize(path), path))
            except OSError as error:
                errors.append(error)
    return files, len(errors)


def deal(files: list[tuple[int, str]]) -> list[str] | None:
    """Send every rank its share of the files found by rank 0; return this rank's paths, None if there are no files."""
    shares, loads, mine = [b""] * size, [0] * size, array("q", [0])
    for length, path in sorted(files, reverse=True):  # the largest first, each to the rank that has least so far
        r = loads.index(min(loads))
        shares[r], loads[r] = shares[r] + os.fsencode(path) + b"\0", loads[r] + length
    lengths = array("q", map(len, shares) if files else [-1] * size)
    comm.Scatter(lengths, mine)
    if mine[0] < 0:
        return None
    paths = bytearray(mine[0])
    comm.Scatterv([b"".join(shares), lengths], paths)
    return os.fsdecode(bytes(paths)).split("\0")[:-1]


def count_words(paths: list[str], min_length: int, ignore_case: bool) -> tuple[Counter[str], array]:
    """Return the words with their counts, and the numbers of files, of characters, of binary and unreadable files."""
    counts, totals = Counter[str](), array("q", [0] * 4)
    for path in paths:
        try:
            with open(path, encoding="utf-8", newline="") as file:
                text = file.read()
            counts.update(re.findall(r"[^\W\d_]+", text.lower() if ignore_case else text))
            totals[0], totals[1] = totals[0] + 1, totals[1] + len(text)
        except UnicodeDecodeError:
            totals[2] += 1
        except OSError:
            totals[3] += 1
    return Counter({word: count for word, count in counts.items() if len(word) >= min_length}), totals


def gather(part: array) -> array:
    """Return the parts of all ranks, one after the other, on rank 0 (and an empty array elsewhere)."""
    lengths = array("q", [0] * size)
    comm.Gather(array("q", [len(part)]), lengths)
    whole = array(part.typecode, [0] * sum(lengths))
    comm.Gatherv(part, [whole, lengths])
    return whole


options = parser.parse_args()
if min(options.top, options.min_length) < 1:
    parser.error("--top and --min-length take numbers from 1 on")
folder, pattern = (sysconfig.get_path("stdlib"), "*.py") if options.dir is None else (options.dir, "*")
files, unseen = find_files(folder, options.glob or [pattern]) if rank == 0 else ([], 0)
paths = deal(files)
if paths is None:
    parser.error(f"{folder!r}: {'no files to read' if os.path.isdir(folder) else 'no such folder'}")
counts, mine = count_words(paths, options.min_length, options.ignore_case)
totals, loads = array("q", mine), gather(mine[1:2])
comm.Reduce(mine, totals, MPI.SUM)
words = gather(array("B", "".join(f"{word}\n" for word in counts).encode()))  # in UTF-8, one a line
frequencies = gather(array("q", counts.values()))
if rank == 0:
    table = Counter[str]()
    for word, count in zip(words.tobytes().decode().split("\n"), frequencies, strict=False):
        table[word] += count
    for word, count in sorted(table.items(), key=lambda item: (-item[1], item[0]))[:options.top]:
        print(f"{count:9,}  {word}")
    print(f"{table.total():,} words ({len(table):,} different) in {totals[0]:,} files; ", end="")
    print(f"skipped: {totals[2]} binary, {totals[3] + unseen} unreadable")
    print(f"{size} rank(s) read {min(loads):,} to {max(loads):,} characters each", file=sys.stderr)
