# SPDX-License-Identifier: BSD-3-Clause
"""What to do about it: rules, each with the numbers that made it speak."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .nesting import ints
from .operations import shown
from .words import call, cause, duration, number, percent, ranks, rate, size

if TYPE_CHECKING:
    from .analysis import Analysis

Advice = tuple[str, float, str]  # the rule's name, the time (ns) that is at stake, a sentence or two
Rule = Callable[["Analysis", dict[str, Any]], Iterator[Advice]]

LOW = 0.8  # an efficiency below is POP's "look here"
WORTH = 0.02  # of the time of all ranks
MANY = 1000  # messages or calls
SMALL = 1024  # bytes
SLOW_PICKLING = 400e6  # bytes/s: buffers travel several times faster, lists of numbers slower


def find(analysis: Analysis, report: dict[str, Any]) -> list[dict[str, Any]]:
    """What the rules have to say, the most time at stake first: `rule`, `time` (ns over all ranks), `text`."""
    found = [advice for rule in RULES for advice in rule(analysis, report)]
    found.sort(key=lambda advice: -advice[1])
    return [{"rule": rule, "time": round(time), "text": text} for rule, time, text in found]


def _worth(report: dict[str, Any], time: float) -> bool:
    return bool(time >= WORTH * max(report["totals"]["wall"], 1))


def _share(report: dict[str, Any], time: float) -> str:
    return f"{percent(time, report['totals']['wall'])} of rank time"


def _entry(analysis: Analysis, report: dict[str, Any], number: int) -> dict[str, Any] | None:
    """The call site of a call."""
    operation = shown(analysis.trace.operations[int(analysis.operation[number])]["name"])
    sites = (site for site in report["sites"] if site["site"] == analysis.site[number] and site["operation"] == operation)
    return next(sites, None)


def late(analysis: Analysis, report: dict[str, Any]) -> Iterator[Advice]:
    """The largest causes of waiting."""
    for entry in [entry for entry in report["causes"] if _worth(report, entry["wait"])][:3]:
        victim = max(entry["victims"], key=lambda victim: victim["wait"], default=None)
        where = f", most of it in {call(victim)} on {ranks(victim['ranks'])}" if victim else ""
        kind = f"{victim['kind']} " if victim else ""
        fix = "give it less to do there, or let the others do something else meanwhile"
        if entry["activity"] == "in MPI":
            fix = "shorten that call, or start it earlier (nonblocking)"
        elif "pickling" in entry["activity"]:
            fix = "send arrays, whose pickling takes no time"
        yield "late", entry["wait"], f"{kind}{_share(report, entry['wait'])}: {cause(entry)}{where}: {fix}"


def imbalance(analysis: Analysis, report: dict[str, Any]) -> Iterator[Advice]:
    """Work that is spread unevenly."""
    balance, useful = report["efficiency"]["load_balance"], report["efficiency"]["useful_max"]
    if balance >= LOW or len(analysis.main) < 2 or not report["totals"]["calls"]:  # who never meet do not wait
        return
    app = (analysis.wall - analysis.mpi)[analysis.main]
    most = int(analysis.ranks[analysis.main[int(np.argmax(app))]])
    lost = float((useful - app).sum())
    text = f"load balance {percent(balance)}: rank {most} computes {duration(useful)}, the mean is {duration(float(app.mean()))}"
    yield "imbalance", lost, f"{text}: divide the work by what it costs, not by its count"


def small_messages(analysis: Analysis, report: dict[str, Any]) -> Iterator[Advice]:
    """Many small messages from one line to one peer."""
    from .tables import Groups

    messages = analysis.trace.messages[analysis.counted]
    send, bytes_ = ints(messages["send"]), ints(messages["bytes"])
    little = (bytes_ >= 0) & (bytes_ <= SMALL)
    send, bytes_ = send[little], bytes_[little]
    if len(send) < MANY:
        return
    dest = analysis.row[ints(messages["receive"])[little]]
    to_peers = Groups(analysis.operation[send], analysis.site[send], analysis.row[send], dest)
    lines = Groups(analysis.operation[send], analysis.site[send])
    most = np.zeros(len(lines), dtype=np.int64)
    np.maximum.at(most, lines.of[to_peers.first], to_peers.count)
    for i in np.flatnonzero(most >= MANY).tolist():
        entry = _entry(analysis, report, int(send[lines.first[i]]))
        if entry and _worth(report, entry["total"] - entry["wait"]):
            mean = float(bytes_[lines.of == i].mean())
            count, to_one = number(int(lines.count[i])), number(int(most[i]))
            text = f"{call(entry)} sends {count} messages of {size(mean)} on average, {to_one} to one peer, in "
            yield (
                "small messages",
                entry["total"] - entry["wait"],
                f"{text}{duration(entry['total'])}: collect several into one message",
            )


def small_collectives(analysis: Analysis, report: dict[str, Any]) -> Iterator[Advice]:
    """Small collectives that follow each other without work between them."""
    outer = np.flatnonzero(analysis.outer & analysis.inside)
    together = np.zeros(len(analysis.row), dtype=np.bool_)
    together[ints(analysis.trace.collectives["call"])] = True
    size_ = ints(analysis.calls["bytes"])
    now, before = outer[1:], outer[:-1]
    alike = together[now] & (size_[now] >= 0) & (size_[now] <= SMALL) & (size_[before] <= SMALL)
    for column in (analysis.operation, analysis.row, ints(analysis.calls["comm"])):
        alike &= column[now] == column[before]
    alike &= analysis.nesting.begin[now] - analysis.nesting.finish[before] < analysis.time[now]
    for operation in np.unique(analysis.operation[now[alike]]).tolist():
        calls = now[alike & (analysis.operation[now] == operation)]
        time = int(analysis.time[calls].sum())
        if len(calls) >= 100 and _worth(report, time):
            name = shown(analysis.trace.operations[operation]["name"])
            text = f"{number(len(calls))} calls of {name} with at most {size(SMALL)} follow another one at once, in {duration(time)}"
            yield "small collectives", time, f"{text}: reduce several values in one array"


def receivers(analysis: Analysis, report: dict[str, Any]) -> Iterator[Advice]:
    """Sends that wait for their receives, and receives in the wrong order."""
    fixes = {
        "late receiver": "post the receives (Irecv) before the work, or send with Isend and wait later",
        "late sender, wrong order": "other messages were there already: receive with ANY_SOURCE, or all with Irecv and Waitany",
        "wait at barrier": "is the barrier needed? Messages and other collectives bring their own order",
    }
    for entry in report["waits"]:
        if entry["kind"] in fixes and _worth(report, entry["total"]):
            text = f"{entry['kind']}: {number(entry['count'])} waits, {duration(entry['total'])}, {_share(report, entry['total'])}"
            yield entry["kind"], entry["total"], f"{text}: {fixes[entry['kind']]}"


def polling(analysis: Analysis, report: dict[str, Any]) -> Iterator[Advice]:
    """Tests in vain."""
    for entry in report["sites"]:
        if entry["polls"] >= MANY and _worth(report, entry["total"]):
            text = f"{call(entry)} polls {number(entry['polls'])} times in vain, in {duration(entry['total'])}"
            yield "polling", entry["total"], f"{text}: wait (Wait, Waitany) when there is nothing else to do"


def pickling(analysis: Analysis, report: dict[str, Any]) -> Iterator[Advice]:
    """Objects that would travel better as arrays."""
    for entry in [entry for entry in report["pickling"] if _worth(report, entry["total"])][:3]:
        what = "send NumPy arrays, best with the upper-case methods"
        if entry["bandwidth"] < SLOW_PICKLING and entry["bytes"] > entry["count"] * SMALL:
            what = "that is as slow as lists of numbers: make them arrays (numpy.array(...)), best sent with the upper-case methods"
        text = f"{entry['kind']} takes {duration(entry['total'])} in {number(entry['count'])} calls of {call(entry, True)}"
        yield "pickling", entry["total"], f"{text}, {size(entry['bytes'])} at {rate(entry['bandwidth'])}: {what}"


def copies(analysis: Analysis, report: dict[str, Any]) -> Iterator[Advice]:
    """Buffers with gaps, and those that go through a copy."""
    for entry in report["sites"]:
        if not _worth(report, entry["total"] - entry["wait"]) or 2 * max(entry["copied"], entry["derived"]) < entry["count"]:
            continue
        what = "copied" if entry["copied"] >= entry["derived"] else "derived"
        how = {"copied": "goes through a copy", "derived": "has gaps and travels by a derived datatype"}[what]
        time = entry["total"] - entry["wait"]
        text = f"what {call(entry)} moves {how}: {number(entry[what])} times, {size(entry['bytes'])}, {duration(time)}"
        yield what, time, f"{text}: keep what is sent contiguous (numpy.ascontiguousarray once, another layout)"


def fans(analysis: Analysis, report: dict[str, Any]) -> Iterator[Advice]:
    """One rank that exchanges equally many messages with all others at one line: a collective does it in less time."""
    from .tables import Groups

    messages = analysis.trace.messages[analysis.counted]
    if len(analysis.main) < 4 or not len(messages):
        return
    for mine, other, instead in (("send", "receive", "Bcast or Scatter"), ("receive", "send", "Gather or Reduce")):
        here, there = ints(messages[mine]), ints(messages[other])
        pairs = Groups(
            analysis.operation[here], analysis.site[here], analysis.ranks[analysis.row[here]], analysis.ranks[analysis.row[there]]
        )
        ends = here[pairs.first]
        lines = Groups(analysis.operation[ends], analysis.site[ends])
        for i in range(len(lines)):
            members = np.flatnonzero(lines.of == i)
            counts, first = pairs.count[members], int(ends[members[0]])
            one = len(np.unique(analysis.ranks[analysis.row[ends[members]]])) == 1
            entry = _entry(analysis, report, first)
            if (
                one
                and len(members) >= len(analysis.main) - 1
                and counts.min() == counts.max()
                and entry
                and _worth(report, entry["total"])
            ):
                rank = int(analysis.ranks[analysis.row[first]])
                each = f"{'to' if mine == 'send' else 'from'} each of {len(members)} others"
                text = f"rank {rank} {mine}s {number(int(counts[0]))} messages {each}"
                yield (
                    "collective",
                    entry["total"],
                    f"{text}, in {call(entry)}, {duration(entry['total'])}: {instead} shares that work out",
                )


def lost(analysis: Analysis, report: dict[str, Any]) -> Iterator[Advice]:
    """What makes the report itself doubtful."""
    tracing = report["tracing"]
    if tracing["dropped"]:
        yield (
            "dropped",
            0,
            f"{number(tracing['dropped'])} records found no room, so sums are too small: allow more, or record a window only",
        )
    if tracing["share"] > 0.05:
        cost = f"{number(tracing['records'])} records at {tracing['record_ns']:.0f} ns"
        text = f"tracing took about {percent(tracing['share'])} of the time: {cost}"
        yield "tracing", 0, f"{text}: read short times with care"


RULES: tuple[Rule, ...] = (
    late, imbalance, small_messages, small_collectives, receivers, polling, pickling, copies, fans, lost,
)  # fmt: skip
