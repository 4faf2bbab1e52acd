"""The programs of examples/, run as their readers run them, against answers computed here without MPI."""

from __future__ import annotations

import itertools
import math
import os
import re
import struct
import subprocess
import sys
import sysconfig
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
RANKS = pytest.mark.parametrize("n", [1, 2, 3, 4, 5])


def call(*command: str | Path) -> tuple[int, str, str]:
    """Run a command; return its exit status and what it wrote to stdout and stderr."""
    with subprocess.Popen([*command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            out, err = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.terminate()  # not kill(): the launcher still has to end its ranks
            raise
    return process.returncode, out, err


def run(n: int, program: str, *args: str | Path) -> tuple[int, str, str]:
    """Run an example on n ranks."""
    return call(sys.executable, "-m", "mmpi", "run", "-n", str(n), EXAMPLES / program, *args)


def good(n: int, program: str, *args: str | Path) -> str:
    """Run an example that has to succeed; return its output."""
    status, out, err = run(n, program, *args)
    assert status == 0, err
    return out


def refused(n: int, program: str, *args: str | Path) -> str:
    """Run an example that has to refuse its arguments, with one message whatever the number of ranks; return it."""
    status, out, err = run(n, program, *args)
    messages = re.findall(rf"^{program}: error: (.*)$", err, re.MULTILINE)
    assert (status, out, len(messages)) == (2, "", 1), err
    assert err.count("usage:") == 1
    assert "Traceback" not in err
    return str(messages[0])


# hello.py


@RANKS
def test_hello(n: int) -> None:
    assert sorted(good(n, "hello.py").splitlines()) == [f"Hello World from Process {r} of {n}" for r in range(n)]


def test_hello_without_launcher() -> None:
    status, out, err = call(sys.executable, EXAMPLES / "hello.py")
    assert (status, out) == (0, "Hello World from Process 0 of 1\n"), err


# wordcount.py


def expected(files: list[Path], top: int = 20, min_length: int = 1, lower: bool = False, unreadable: int = 0) -> str:
    """Return what wordcount.py has to print for some files, counted letter by letter."""
    table: Counter[str] = Counter()
    binary = 0
    for file in files:
        try:
            text = file.read_bytes().decode()
        except UnicodeDecodeError:
            binary += 1
            continue
        runs = itertools.groupby(text.lower() if lower else text, lambda c: c.isalnum() and not c.isdecimal())
        words = ["".join(run) for is_word, run in runs if is_word]
        table.update(word for word in words if len(word) >= min_length)
    ordered = sorted(sorted(table), key=lambda word: table[word], reverse=True)
    lines = [f"{table[word]:9,}  {word}\n" for word in ordered[:top]]
    total = f"{sum(table.values()):,} words ({len(table):,} different) in {len(files) - binary:,} files"
    return "".join(lines) + f"{total}; skipped: {binary} binary, {unreadable} unreadable\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with everything in it that a folder may hold."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("the cat and The dog, and the don't_know 42nd x2y\nsnake_case\n")
    (tmp_path / "deep" / "b b.txt").write_text("Straße Ελλάδα naïve 東京 the\r\ncafe\u0301 and\u2028end", newline="")
    (tmp_path / "deep" / "er" / "new\nline.md").write_text("and " * 1000)
    (tmp_path / "deep" / os.fsdecode(b"latin\xe9.txt")).write_text("nameless words")
    (tmp_path / "nothing.txt").write_text("")
    (tmp_path / "latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    (tmp_path / "image.bin").write_bytes(bytes(range(256)) * 50)
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.txt")
    return tmp_path


def regular(folder: Path) -> list[Path]:
    """Return all files in which something can be read."""
    return [path for path in folder.rglob("*") if path.is_file()]


@RANKS
def test_wordcount_of_odd_files(n: int, tree: Path) -> None:
    answer = expected(regular(tree), unreadable=1)
    assert "skipped: 2 binary, 1 unreadable" in answer
    assert good(n, "wordcount.py", tree) == answer


@pytest.mark.parametrize("n", [1, 4])
def test_wordcount_of_a_package(n: int) -> None:
    folder = Path(sysconfig.get_path("stdlib")) / "email"
    answer = expected([path for path in regular(folder) if path.suffix == ".py"], top=1000)
    assert good(n, "wordcount.py", folder, "--top", "1000", "--glob", "*.py") == answer


def test_wordcount_options(tree: Path) -> None:
    files = [path for path in regular(tree) if path.suffix in (".md", ".txt")]
    options = ["--top", "3", "--min-length", "4", "--ignore-case", "--glob", "*.txt", "--glob", "*.md"]
    answer = expected(files, top=3, min_length=4, lower=True, unreadable=1)
    assert good(2, "wordcount.py", *options, tree) == answer


def test_wordcount_of_the_standard_library() -> None:
    status, out, err = run(2, "wordcount.py", "--top", "7")
    assert status == 0, err
    *lines, last = out.splitlines()
    counts = [int(line.split()[0].replace(",", "")) for line in lines]
    assert len(counts) == 7 and counts == sorted(counts, reverse=True) and min(counts) > 1000
    assert re.search(r"in [\d,]{3,} files; skipped: \d+ binary, 0 unreadable$", last)
    least, most = re.findall(r"read ([\d,]+) to ([\d,]+) characters", err)[0]
    assert int(least.replace(",", "")) > 0.9 * int(most.replace(",", "")), "the files are dealt out unevenly"


def test_wordcount_refuses(tree: Path) -> None:
    assert refused(3, "wordcount.py", tree / "no such") == f"{str(tree / 'no such')!r}: no such folder"
    assert refused(2, "wordcount.py", tree / "empty").endswith("no files to read")
    assert "numbers from 1 on" in refused(1, "wordcount.py", tree, "--top", "0")
    assert "--min-length" in refused(2, "wordcount.py", tree, "--min-length", "few")


@pytest.mark.parametrize("program", ["wordcount.py", "heat.py"])
def test_help_comes_once(program: str) -> None:
    pytest.importorskip("numpy")
    out = good(3, program, "--help")
    assert out.count("usage:") == out.count("show this help") == 1


# heat.py


def waves(n: int, time: float) -> Any:
    """Return the exact solution: each wave decays by its own exponential."""
    np = pytest.importorskip("numpy")
    at = np.linspace(0, 1, n + 2)[1:-1] * np.pi
    parts = [(1, 1, 1.0), (3, 2, 0.5), (5, 6, 0.5)]
    return sum(
        height * math.exp(-(p * p + q * q) * np.pi**2 * time) * np.outer(np.sin(p * at), np.sin(q * at))
        for p, q, height in parts
    )


def serial(n: int, time: float, steps: int) -> Any:
    """Return the result of the same scheme, written with a matrix for the second difference."""
    np = pytest.importorskip("numpy")
    difference = np.eye(n, k=1) + np.eye(n, k=-1) - 2 * np.eye(n)
    u, r = waves(n, 0), time / steps * (n + 1) ** 2
    for _ in range(steps):
        u = u + r * (difference @ u + u @ difference)
    return u


def png(path: Path) -> tuple[int, int, list[bytes], bytes]:
    """Return width, height, rows and palette of an unfiltered palette PNG, whose every checksum is looked at."""
    data, chunks, at = path.read_bytes(), {}, 8
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        chunks[name] = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(name + chunks[name])
        at += 12 + length
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    width, height, *form = struct.unpack(">2I5B", chunks[b"IHDR"])
    assert form == [8, 3, 0, 0, 0] and len(chunks[b"PLTE"]) == 3 * 256
    raw = zlib.decompress(chunks[b"IDAT"])
    assert len(raw) == height * (width + 1)
    rows = [raw[i : i + width + 1] for i in range(0, len(raw), width + 1)]
    assert {row[0] for row in rows} == {0}
    return width, height, [row[1:] for row in rows], chunks[b"PLTE"]


@RANKS
def test_heat(n: int, tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    points, time, steps = 37, 0.004, 31
    u = serial(points, time, steps)
    error = abs(u - waves(points, time)).max()
    picture = tmp_path / "heat.png"
    out = good(n, "heat.py", "--n", str(points), "--time", str(time), "--steps", str(steps), "--png", picture)

    grid, rows, columns = (int(text) for text in re.findall(r"^(\d+) x \d+ points on (\d+) x (\d+) ranks", out)[0])
    assert (grid, rows * columns) == (points, n)
    low, high, printed = (float(text) for text in re.findall(r"(-?[\d.]+(?:e-?\d+)?)", out.splitlines()[1]))
    assert (low, high) == pytest.approx((u.min(), u.max()), abs=1e-6)
    assert printed == pytest.approx(error, rel=1e-3) and error < 0.01

    width, height, lines, _ = png(picture)
    assert (width, height) == (points, points)
    pixels = np.frombuffer(b"".join(lines), np.uint8).reshape(points, points)
    assert abs(pixels - (u - u.min()) / (u.max() - u.min()) * 255).max() < 0.501


def test_heat_converges() -> None:
    """Half the distance between points, a quarter of the error."""
    errors = [float(good(2, "heat.py", "--n", n).split()[-1]) for n in ("39", "79")]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)


def test_heat_with_one_point_each() -> None:
    assert good(4, "heat.py", "--n", "2").startswith("2 x 2 points on 2 x 2 ranks")


def test_heat_refuses() -> None:
    pytest.importorskip("numpy")
    assert "5 x 1 ranks need 5 or more points" in refused(5, "heat.py", "--n", "4")
    assert "take 21 or more" in refused(2, "heat.py", "--n", "50", "--steps", "20")
    assert "--steps 0 is unstable" in refused(1, "heat.py", "--steps", "0")
    assert "above 0" in refused(1, "heat.py", "--time", "nan")


def test_heat_cannot_write(tmp_path: Path) -> None:
    status, out, err = run(2, "heat.py", "--n", "9", "--png", tmp_path / "no" / "folder.png")
    assert status == 2 and "9 x 9 points" in out
    assert err.count("No such file or directory") == 1 and "Traceback" not in err


# onesided.py


def mandelbrot(width: int, height: int) -> str:
    """Return the picture of onesided.py, point by point."""
    lines = []
    for row in range(height):
        line = ""
        for column in range(width):
            c, z, turns = complex(-2.2 + 3 * column / (width - 1), -1.2 + 2.4 * row / (height - 1)), 0j, 0
            while turns < 1000 and abs(z) < 2:
                z, turns = z * z + c, turns + 1
            line += " .:-=+*#%@"[int(math.log2(turns + 1))]
        lines.append(line + "\n")
    return "".join(lines)


@RANKS
def test_onesided(n: int) -> None:
    pytest.importorskip("numpy")
    status, out, err = run(n, "onesided.py", "40", "15")
    assert status == 0, err
    wrong = sum(a != b for a, b in zip(out, mandelbrot(40, 15), strict=True))
    assert wrong <= 6, out  # at the very edge, the last bit decides
    least, most = map(int, re.findall(rf"15 rows, drawn by {n} rank\(s\): (\d+) to (\d+) each", err)[0])
    assert least <= 15 / n <= most


# parallel_io.py


@RANKS
@pytest.mark.parametrize("shape", [(50, 30), (3, 7), (1, 1)])
def test_parallel_io(n: int, shape: tuple[int, int], tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    path = tmp_path / "matrix"
    out = good(n, "parallel_io.py", path, *map(str, shape))
    matrix = np.fromfunction(lambda i, j: i * 1000 + j, shape)
    assert path.read_bytes() == matrix.tobytes()
    assert out == f"{n} rank(s) wrote {matrix.nbytes:,} bytes by rows and read them by columns: the same\n"
