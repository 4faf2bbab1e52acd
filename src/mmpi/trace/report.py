# SPDX-License-Identifier: BSD-3-Clause
"""`mmpi trace report`: what was slow, why, and what to do, as text or JSON."""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .words import call, cause, duration, number, percent, ranks, rate, reason, size

HELP = """\
usage: mmpi trace report [--json] [--from TIME] [--to TIME] [--top N] SRC

Say what was slow in a traced run, why, and what to do about it. SRC is the folder of `mmpi run --trace`, or a merged
.mmpit file.

  --from TIME, --to TIME  only what lies between: seconds since the trace began, or with a unit: 1.5, 200ms, 35us
  --top N                 rows of each table (default: 12)
  --json                  everything, for programs: times in ns, sizes in bytes
"""
WIDTH, TOP, LOW = 100, 12, 0.8
FOLD, GRID = 16, 8  # more rows than FOLD are summed up; a matrix of up to GRID ranks is drawn
MOST_HOSTS = 8  # that are named
Lines = Iterator[str]


def text(report: dict[str, Any], top: int = TOP) -> str:
    """The report of `Analysis.as_dict`, at most 100 columns wide, with at most `top` rows in a table."""
    parts: list[Iterable[str]] = [
        _head(report), _advice(report), _efficiency(report), _rows(report, top), _causes(report, top), _waits(report), _sites(report, top),
        _states(report, top), _sizes(report), _matrix(report, top), _accesses(report, top), _collectives(report, top), _pickling(report, top),
        _unmatched(report, top), _tracing(report),
    ]  # fmt: skip
    blocks = ["\n".join(line.rstrip() for line in lines) for lines in parts]
    return "\n\n".join(block for block in blocks if block) + "\n"


# ---- layout ---------------------------------------------------------------------------------------------------------


def _table(title: str, heads: str, rows: Sequence[Sequence[str]], left: int | None = None, more: int = 0) -> Lines:
    """A table: columns to the right, but the first and column `left`, the widest, which is cut from its left to fit."""
    if not rows:
        return
    names = heads.split("|")
    wide = 0 if left is None else left
    widths = [max(len(name), *(len(row[i]) for row in rows)) for i, name in enumerate(names)]
    gap = 2 if sum(widths) + 2 * len(names) <= WIDTH else 1
    widths[wide] = max(len(names[wide]), min(widths[wide], WIDTH - 2 - sum(widths) - gap * (len(names) - 1) + widths[wide]))
    yield title
    for row in [names, *rows]:
        cells = [_cut(cell, width) for cell, width in zip(row, widths, strict=True)]
        yield "  " + (" " * gap).join(
            cell.ljust(w) if i in (0, wide) else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        )
    if more > 0:
        yield f"  ... and {number(more)} more"


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else "..." + cell[len(cell) - width + 3 :] if width > 3 else cell[:width]


def _wrap(words: str, first: str = "  ", later: str = "  ") -> Lines:
    yield from textwrap.wrap(words, WIDTH, initial_indent=first, subsequent_indent=later, break_long_words=True, break_on_hyphens=False)


# ---- the parts ------------------------------------------------------------------------------------------------------


def verdict(report: dict[str, Any]) -> str:
    """The run in two sentences."""
    job, totals, interval = report["job"], report["totals"], report["interval"]
    hosts = f" on {job['hosts']} hosts" if job["hosts"] > 1 else ""
    program = f"{os.path.basename(job['program'].split()[0])}: " if (job["program"] or "").strip() else ""
    ran = f"{program}{job['ranks']} rank{'s' * (job['ranks'] != 1)}{hosts}, {duration(interval['duration'])}"
    if interval["duration"] < interval["whole"]:
        ran += f" (from {interval['start'] / 1e9:g} s to {interval['end'] / 1e9:g} s of {duration(interval['whole'])})"
    shares = f"{percent(totals['mpi'], totals['wall'])} of rank time in MPI, {percent(totals['wait'], totals['wall'])} waiting for other ranks"
    return f"{ran}: {shares}. {_loss(report)}"


def _loss(report: dict[str, Any]) -> str:
    totals = report["totals"]
    if report["causes"] and report["causes"][0]["wait"] >= 0.01 * totals["wall"]:
        worst = report["causes"][0]
        victim = next(iter(worst["victims"]), None)
        where = f" in {call(victim)}" if victim else ""
        return f"Largest loss: {percent(worst['wait'], totals['wall'])} of rank time, others wait{where} while {cause(worst)}."
    if report["sites"] and report["sites"][0]["total"] >= 0.01 * totals["wall"]:
        site = report["sites"][0]
        return f"Nobody waits long; most time in MPI: {percent(site['total'], totals['wall'])} of rank time in {call(site)}."
    return "Communication costs next to nothing."


def _head(report: dict[str, Any]) -> Lines:
    yield from _wrap(verdict(report), "", "")
    job = report["job"]
    if job["missing"]:
        yield from _wrap(f"No data of {ranks(job['missing'])}: what they did, and waits for them, are not in this report.", "", "")
    if job["complete"] is False:
        unfinished = report["tracing"]["unfinished"]
        yield from _wrap(
            f"The run did not end in order{f' ({ranks(unfinished)})' if unfinished else ''}: the trace ends where it was cut off.",
            "",
            "",
        )
    for text_, members in list(_inside(report).items())[:5]:
        yield from _wrap(f"At the end {ranks(members)} {'was' if len(set(members)) == 1 else 'were'} in {text_}.", "", "")


def _inside(report: dict[str, Any]) -> dict[str, list[int]]:
    """The calls of MPI that never ended, and the ranks that were in them."""
    inside: dict[str, list[int]] = {}
    for entry in report["open"]:
        if entry["kind"] == "mpi":
            inside.setdefault(call(entry), []).append(entry["rank"])
    return inside


def _advice(report: dict[str, Any]) -> Lines:
    if report["advice"]:
        yield "What to do"
    for advice in report["advice"]:
        yield from _wrap(advice["text"], "  - ", "    ")


def _efficiency(report: dict[str, Any]) -> Lines:
    e = report["efficiency"]
    yield "Efficiency (POP; below 80 % is worth a look)"
    rows = (
        ("parallel efficiency", "parallel", "mean useful time / run time"),
        ("  load balance", "load_balance", f"mean useful time {duration(e['useful_mean'])} / largest {duration(e['useful_max'])}"),
        ("  communication", "communication", "largest useful time / run time"),
        ("    serialisation", "serialisation", f"largest useful time / run time on an ideal network, {duration(e['ideal'])}"),
        ("    transfer", "transfer", "run time on an ideal network / run time"),
    )
    for name, key, meaning in rows:
        yield f"  {name:<22}{percent(e[key]):>6} {'!' if e[key] < LOW else ' '}  {meaning}"


def _row_name(row: dict[str, Any]) -> str:
    return f"{row['rank']}.{row['thread']}" if row["thread"] else str(row["rank"])


def _row(name: str, row: dict[str, Any]) -> list[str]:
    wall = row["wall"]
    times = [duration(wall)]
    for key in ("app", "mpi", "wait"):
        times += [duration(row[key]), percent(row[key], wall)]
    return [name, *times, number(row["calls"]), size(row["bytes_out"]), size(row["bytes_in"]), next(iter(row.get("outlier", ())), "")]


def _rows(report: dict[str, Any], top: int) -> Lines:
    rows, heads = report["rows"], "rank|time|app||MPI||wait||calls|sent|received|unusual"
    if len(rows) <= FOLD:
        yield from _table("Ranks", heads, [_row(_row_name(row), row) for row in rows], 0)
        return
    shown = []
    for name, pick in (("least", min), ("median", _median), ("most", max)):
        shown.append(
            _row(
                name,
                {key: pick([row[key] for row in rows]) for key in ("wall", "app", "mpi", "wait", "calls", "bytes_out", "bytes_in")},
            )
        )
    unlike = [row for row in rows if row["outlier"]]
    unlike.sort(key=lambda row: -max(abs(float(word.split()[1])) for word in row["outlier"]))
    shown += [_row(_row_name(row), row) for row in unlike[:top]]
    yield from _table(f"Ranks: {len(rows)}, each column by itself; then those unlike the others", heads, shown, 0, len(unlike) - top)


def _median(values: list[int]) -> int:
    return sorted(values)[len(values) // 2]


def _causes(report: dict[str, Any], top: int) -> Lines:
    causes, wall = report["causes"], report["totals"]["wall"]
    worth = [entry for entry in causes if entry["wait"] >= 0.001 * wall][:top]
    if worth:
        yield "What the others waited for (share of rank time, sum, waits)"
    for entry in worth:
        yield from _wrap(
            f"{percent(entry['wait'], wall):>7}  {duration(entry['wait']):>8}  {number(entry['count']):>7}  {cause(entry)}",
            "",
            " " * 28,
        )
        for victim in entry["victims"][:2]:
            yield from _wrap(
                f"{victim['kind']} {duration(victim['wait'])}: {call(victim)} on {ranks(victim['ranks'])}", " " * 28, " " * 30
            )


def _waits(report: dict[str, Any]) -> Lines:
    wall = report["totals"]["wall"]
    rows = [
        [w["kind"], number(w["count"]), duration(w["total"]), percent(w["total"], wall), duration(w["max"])] for w in report["waits"]
    ]
    yield from _table("Wait states", "kind|waits|time|of rank time|longest", rows)


def _sites(report: dict[str, Any], top: int) -> Lines:
    rows = [
        [site["operation"], site["place"] or "?", number(site["count"]), duration(site["total"]), duration(site["mean"]), duration(site["max"]),
         f"{site['cov']:.2f}" if site["ranks"] > 1 else "", size(site["bytes"]) if site["bytes"] else "", percent(site["wait_share"])]
        for site in report["sites"][:top]
    ]  # fmt: skip
    yield from _table("Call sites (COV: how unlike the ranks are, standard deviation / mean of their times)",
                      "operation|line|calls|time|mean|longest|COV|bytes|waits", rows, 1, len(report["sites"]) - top)  # fmt: skip


def _states(report: dict[str, Any], top: int) -> Lines:
    wall = report["totals"]["wall"]
    rows = [
        [s["state"], number(s["count"]), number(s["ranks"]), duration(s["inclusive"]), percent(s["inclusive"], wall), duration(s["exclusive"]),
         percent(s["exclusive"], wall)]
        for s in report["states"][:top]
    ]  # fmt: skip
    yield from _table("Your states", "state|count|ranks|inclusive||exclusive|", rows, 0, len(report["states"]) - top)


def _sizes(report: dict[str, Any]) -> Lines:
    rows = [
        [f"up to {size(s['high'])}" if s["high"] else "0 B", number(s["count"]), size(s["bytes"]), duration(s["mean"]), rate(s["bandwidth"])]
        for s in report["sizes"]
    ]  # fmt: skip
    yield from _table("Messages by size", "size|messages|bytes|mean time|bandwidth", rows)


def _matrix(report: dict[str, Any], top: int) -> Lines:
    pairs, members = report["matrix"], sorted({row["rank"] for row in report["rows"]})
    if not pairs:
        return
    if len(members) <= GRID:
        sent = {(pair["source"], pair["dest"]): pair for pair in pairs if pair["count"]}
        rows = [[str(source), *(_cell(sent.get((source, dest))) for dest in members)] for source in members]
        yield from _table("Who sends to whom (messages, bytes)", "from|" + "|".join(f"to {dest}" for dest in members), rows, 0)
        return
    rows = [[f"{p['source']} -> {p['dest']}", number(p["count"]), size(p["bytes"]), duration(p["wait"])] for p in pairs[:top]]
    yield from _table("Who sends to whom: most bytes", "ranks|messages|bytes|waits", rows, 0, len(pairs) - top)


def _cell(pair: dict[str, Any] | None) -> str:
    return f"{_brief(pair['count'])} {size(pair['bytes']).replace('iB', '').replace(' ', '')}" if pair else "-"


def _brief(count: int) -> str:
    return str(count) if count < 10_000 else f"{count / 1000:.0f}k" if count < 1e6 else f"{count / 1e6:.1f}M"


def _accesses(report: dict[str, Any], top: int) -> Lines:
    rows = [
        [a["operation"], f"{a['source']} -> {a['target']}", number(a["count"]), size(a["bytes"]), duration(a["total"])]
        for a in report["accesses"][:top]
    ]
    yield from _table("One-sided: who accesses whose memory", "operation|ranks|calls|bytes|time", rows, 0, len(report["accesses"]) - top)


def _collectives(report: dict[str, Any], top: int) -> Lines:
    rows = [
        [c["operation"], number(c["comm_size"]), f"up to {size(c['high'])}" if c["high"] else "-", number(c["instances"]), number(c["calls"]),
         duration(c["total"]), duration(c["mean"]), percent(c["wait"], c["total"])]
        for c in report["collectives"][:top]
    ]  # fmt: skip
    yield from _table("Collectives by size of the communicator and bytes on a rank", "operation|ranks|bytes|times|calls|time|mean|waits",
                      rows, 0, len(report["collectives"]) - top)  # fmt: skip


def _pickling(report: dict[str, Any], top: int) -> Lines:
    rows = [
        [p["kind"], call(p, True), number(p["count"]), duration(p["total"]), size(p["bytes"]), rate(p["bandwidth"])]
        for p in report["pickling"][:top]
    ]  # fmt: skip
    share = percent(report["totals"]["pickling"], report["totals"]["wall"])
    yield from _table(f"Pickling: {share} of rank time", "what|in|times|time|bytes|speed", rows, 1, len(report["pickling"]) - top)


def _unmatched(report: dict[str, Any], top: int) -> Lines:
    rows = []
    for u in report["unmatched"][:top]:
        peer, tag, bytes_ = (u[key] for key in ("peer", "tag", "bytes"))
        first = ", ".join(
            part for part in (f"peer {peer}" * (peer >= 0), f"tag {tag}" * (tag >= 0), size(bytes_) if bytes_ >= 0 else "") if part
        )
        rows.append([u["why"], f"{u['rank']}", call(u), number(u["count"]), f"{first} at {u['start'] / 1e9:.6f} s"])
    yield from _table("Without a counterpart", "what|rank|call|count|the first", rows, 2, len(report["unmatched"]) - top)


def _tracing(report: dict[str, Any]) -> Lines:
    t = report["tracing"]
    cost = (
        f", about {duration(t['total'])} or {percent(t['share'])} of rank time at {t['record_ns']:.0f} ns each"
        if t["record_ns"]
        else ""
    )
    lost = f"{number(t['dropped'])} records found no room" if t["dropped"] else "no record was dropped"
    yield "Tracing itself"
    yield from _wrap(f"{number(t['records'])} records{cost}; {lost}")
    hosts = [host for host in t["hosts"] if isinstance(host, dict)]
    if len(hosts) > 1:
        names = [str(host.get("name") or "?") for host in hosts]
        more = f" and {len(names) - MOST_HOSTS} more" if len(names) > MOST_HOSTS else ""
        yield from _wrap(f"clocks of {len(hosts)} hosts ({', '.join(names[:MOST_HOSTS])}{more}): {_clocks(hosts)}")
    if len(hosts) > 1 and not t["violations"]:
        yield from _wrap("no message seems to come before it was sent")
    elif t["violations"]:
        yield from _wrap(
            f"{number(t['violations'])} of {number(report['totals']['messages'])} messages seem to come before they were sent: clocks disagree"
        )
    if t["assumed"]:
        yield from _wrap(f"{number(t['assumed'])} messages are matched by assumption: MPI does not promise their order")
    for note in t["notes"][:10]:
        yield from _wrap(_note(note), "  - ", "    ")


def _clocks(hosts: list[dict[str, Any]]) -> str:
    """How well clocks agree; a bound below 0 means that nothing is known."""
    bounds, residuals = ([float(host.get(key) or 0) for host in hosts] for key in ("bound", "residual"))
    unknown = sum(bound < 0 for bound in bounds)
    text = f"error at most {duration(max(bounds))}, residual {duration(max(residuals))}" if unknown < len(hosts) else ""
    return text + (", " if text and unknown else "") + (f"nothing is known of {unknown}" if unknown else "")


def _note(note: Any) -> str:
    if not isinstance(note, dict):
        return str(note)
    where = f"rank {note['rank']}: " if "rank" in note else ""
    return where + str(note.get("text") or ", ".join(f"{key} {value}" for key, value in note.items() if key != "rank"))


# ---- the command ----------------------------------------------------------------------------------------------------


class _Wrong(ValueError):
    """A command line that makes no sense."""


def seconds(word: str, option: str = "time") -> int:
    """`1.5`, `200ms`, `35us` as ns."""
    match = re.fullmatch(r"(\d+\.?\d*(?:e-?\d+)?|\.\d+)(s|ms|us|ns)?", word)
    if not match:
        raise _Wrong(f"{option} {word}: give seconds since the trace began, or a number with a unit: 1.5, 200ms, 35us")
    return round(float(match[1]) * {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0}[match[2] or "s"])


def _arguments(argv: Sequence[str]) -> tuple[str, dict[str, Any]]:
    options: dict[str, Any] = {"--from": None, "--to": None, "--top": TOP, "--json": False}
    words = iter([part for word in argv for part in (word.split("=", 1) if word.startswith("--") and "=" in word else [word])])
    sources = []
    for word in words:
        if word == "--json":
            options[word] = True
        elif word in options:
            value = next(words, None)
            if value is None:
                raise _Wrong(f"{word} needs a value")
            options[word] = seconds(value, word) if word != "--top" else _count(value)
        elif word.startswith("-"):
            raise _Wrong(f"what is {word}?")
        else:
            sources.append(word)
    if len(sources) != 1:
        raise _Wrong(
            "give one folder or .mmpit file"
            if not sources
            else f"give one folder or .mmpit file, not {len(sources)}: {' '.join(sources)}"
        )
    return sources[0], options


def _count(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise _Wrong(f"--top {word}: give a number of rows, at least 1")
    return int(word)


def main(argv: Sequence[str]) -> int:
    """Run `mmpi trace report`; return its exit status."""
    if any(word in ("-h", "--help") for word in argv):
        print(HELP, end="")
        return 0
    try:
        source, options = _arguments(argv)
        from .analysis import analyze
        from .container import load

        report = analyze(load(source), options["--from"], options["--to"]).as_dict()
        sys.stdout.write(json.dumps(report) + "\n" if options["--json"] else text(report, options["--top"]))
        sys.stdout.flush()
    except _Wrong as error:
        print(f"mmpi trace report: {error}\n{HELP}", end="", file=sys.stderr)
        return 2
    except BrokenPipeError:  # a pager that was left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, ImportError) as error:
        print(f"mmpi trace report: {reason(error)}", file=sys.stderr)
        return 1
    return 0
