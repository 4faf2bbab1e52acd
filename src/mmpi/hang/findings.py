# SPDX-License-Identifier: BSD-3-Clause
"""What is wrong: from who waits for whom to a sentence, the places, and what to do. The most telling comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..flight import Call
from . import waits
from .look import DEAD, OUTSIDE, RUNNING, STOPPED
from .waits import COLLECTIVE, RECEIVE, SEND, Job, Want, is_any
from .words import Words, plural, ranks_text

SAME_ORDER = "all ranks of a communicator have to call the same collectives, with the same root, in the same order"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    title: str
    evidence: str
    fix: str

    def lines(self) -> list[str]:
        """Three lines."""
        return [self.title, self.evidence, f"to fix: {self.fix}"]


def find(job: Job) -> list[Finding]:
    """What is wrong with a job that does not go on."""
    words = Words(job)
    kinds = (stopped, dead, mismatches, near_misses, to_oneself, ended, cycles, computing, possible_misses, nobody_missing)
    found = [finding for kind in kinds for finding in kind(job, words)]
    return found[:3]


MANY = 3  # things that are still named one by one


def listed(words: Words, ranks: Iterable[int]) -> str:
    """What each of these ranks is in: those alike together."""
    groups: dict[str, list[int]] = {}
    for rank in (ranks := list(ranks)):
        groups.setdefault(_inside(words, rank, words.want), []).append(rank)
    if len(groups) > MANY:
        groups = {}
        for rank in ranks:
            groups.setdefault(_inside(words, rank, lambda want: waits.name_of(want.of)), []).append(rank)
    return "; ".join(f"{ranks_text(group)}: {text}" for text, group in groups.items())


def _inside(words: Words, rank: int, name: Callable[[Want], str]) -> str:
    for want in words.job.wants_of(rank):
        return f"{name(want)}{words.at(rank, want.thread)}"
    return words.state(rank)


# ---- ranks that do nothing ------------------------------------------------------------------------------------------


def waiting_for(job: Job, rank: int) -> list[Want]:
    """What others want of a rank."""
    return [want for want in job.wants if rank in want.peers and want.rank != rank]


def _idle(job: Job, states: tuple[str, ...]) -> list[int]:
    return [r.rank for r in job.ranks.values() if r.state in states and waiting_for(job, r.rank)]


def stopped(job: Job, words: Words) -> Iterator[Finding]:
    """Ranks that a signal stopped."""
    if ranks := _idle(job, (STOPPED,)):
        others = {want.rank for rank in ranks for want in waiting_for(job, rank)}
        pids = " ".join(str(job.ranks[rank].pid) for rank in ranks)
        who, waiting = f"{ranks_text(ranks)} {plural(ranks, 'is', 'are')}", f"{ranks_text(others)} {plural(others, 'waits', 'wait')}"
        yield Finding(
            f"{who} stopped, by a signal or a debugger, and {waiting} for it",
            listed(words, sorted(others)),
            f"let it go on: kill -CONT {pids}",
        )


def dead(job: Job, words: Words) -> Iterator[Finding]:
    """Ranks that have died."""
    if ranks := _idle(job, (DEAD,)):
        others = {want.rank for rank in ranks for want in waiting_for(job, rank)}
        yield Finding(
            f"{ranks_text(ranks)} {plural(ranks, 'has', 'have')} died, and {ranks_text(others)} {plural(others, 'waits', 'wait')} for it",
            listed(words, sorted(others)),
            f"find out why {ranks_text(ranks)} died: its last output, its core file, the kernel's log (out of memory?)",
        )


# ---- collectives ----------------------------------------------------------------------------------------------------


def _key(call: Call) -> tuple[str, int]:
    return waits.name_of(call), call.root


def mismatches(job: Job, words: Words) -> Iterator[Finding]:
    """Ranks that are in different collectives where they should be in the same."""
    seen = set()
    for want in job.wants:
        call = want.of
        if want.kind != COLLECTIVE or (call.comm, call.collective) in seen:
            continue
        seen.add((call.comm, call.collective))
        if calls := _different(job, call):
            yield _mismatch(job, words, calls)


def _different(job: Job, call: Call) -> dict[int, Call]:
    """What each rank called as this collective, if that is not the same; else {}."""
    same = (call.comm, call.collective)
    calls = {rank: c for rank in job.everybody(call.comm) for c in job.calls(rank) if (c.comm, c.collective) == same}
    return calls if len({_key(c) for c in calls.values()}) > 1 else {}


def _mismatch(job: Job, words: Words, calls: dict[int, Call]) -> Finding:
    groups: dict[str, list[int]] = {}
    for rank, call in calls.items():
        groups.setdefault(words.call(rank, call), []).append(rank)
    rank, call = next(iter(calls.items()))
    parts = [f"{ranks_text(ranks)} {plural(ranks, 'calls', 'call')} {text}" for text, ranks in groups.items()]
    what = ", but ".join(parts) if len(parts) == 2 else ", ".join(parts[:MANY] + ["..."] * (len(parts) > MANY))
    inside = [want.rank for want in job.wants if want.rank in calls and want.of == calls[want.rank]]
    roots = {call.root for call in calls.values()}
    names = {waits.name_of(call) for call in calls.values()}
    fix = SAME_ORDER
    if len(names) == 1 and len(roots) > 1:
        fix = "give all ranks the same root"
    elif len({name.lower() for name in names}) == 1:
        fix = "call it with the same capitals on all ranks: one moves objects, the other buffers"
    return Finding(f"collectives do not match{words.on(rank, call, True)}: {what}", listed(words, sorted(inside)), fix)


# ---- messages -------------------------------------------------------------------------------------------------------


def near_misses(job: Job, words: Words) -> Iterator[Finding]:
    """Receives for which almost the right message was sent, and sends that are almost received."""
    misses = [miss for want in job.wants if (miss := _missed_send(job, want)) and not _may_come(job, *miss)]
    if misses:
        yield _missed(job, words, *misses[0])


def possible_misses(job: Job, words: Words) -> Iterator[Finding]:
    """The same, where the right message may still come: the rank that has to send it computes."""
    misses = [miss for want in job.wants if (miss := _missed_send(job, want)) and _may_come(job, *miss)]
    if misses:
        yield _missed(job, words, *misses[0])


def _may_come(job: Job, want: Want, sender: int, call: Call) -> bool:
    senders = want.peers if _differences(want, sender, call) == ["source"] else [sender]
    return any(job.ranks[rank].state == RUNNING and not job.is_waiting(rank) and not job.is_over(rank) for rank in senders)


def _missed_send(job: Job, want: Want) -> tuple[Want, int, Call] | None:
    """A message to this rank that it has not received, and that differs in one thing."""
    others = [rank for rank in job.ranks if rank != want.rank]
    for sender in () if want.kind != RECEIVE else sorted(others, key=lambda rank: rank not in want.peers):
        for call in reversed(job.calls(sender)):
            if _goes_to(job, sender, call, want.rank) and _differs_in_one(want, sender, call) and not _received(job, want, sender, call):
                return want, sender, call
    return None


def _goes_to(job: Job, sender: int, call: Call, rank: int) -> bool:
    name = call.operation.removeprefix("MPI_")
    return name in (*waits.SENDS, *waits.EXCHANGES) and not name.endswith("_init") and job.peer(sender, call.comm, call.peer) == rank


def wanted(of: Call) -> tuple[int, int]:
    """Source and tag that a call receives."""
    return (of.got_source, of.got_tag) if of.operation.removeprefix("MPI_") in waits.EXCHANGES else (of.peer, of.tag)


def _differences(want: Want, sender: int, call: Call) -> list[str]:
    _, tag = wanted(want.of)
    wrong = {
        "source": sender not in want.peers,
        "tag": not is_any(tag) and tag != call.tag,
        "communicator": want.of.comm != call.comm,
    }
    return [what for what, differs in wrong.items() if differs]


def _differs_in_one(want: Want, sender: int, call: Call) -> bool:
    return len(_differences(want, sender, call)) == 1


def _received(job: Job, want: Want, sender: int, call: Call) -> bool:
    """Has the rank received all such messages, as far as its record goes back?"""
    there, here = job.calls(sender), job.calls(want.rank)
    if here and call.age > here[0].age and len(here) > 50:
        return True  # older than what is known here
    sent = sum(_goes_to(job, sender, c, want.rank) and (c.comm, c.tag) == (call.comm, call.tag) for c in there)
    return sum(_takes(job, want, c, sender, call) for c in here) >= sent


def _takes(job: Job, want: Want, c: Call, sender: int, call: Call) -> bool:
    name = c.operation.removeprefix("MPI_")
    if c == want.of or c.comm != call.comm or name not in (*waits.RECEIVES[:4], *waits.EXCHANGES):
        return False
    source, tag = (c.got_source, c.got_tag) if name in ("Recv", "Mrecv", *waits.EXCHANGES) else (c.peer, c.tag)
    return (is_any(source) or job.peer(want.rank, c.comm, source) == sender) and (is_any(tag) or tag == call.tag)


def _missed(job: Job, words: Words, want: Want, sender: int, call: Call) -> Finding:
    difference, (_, tag) = _differences(want, sender, call)[0], wanted(want.of)
    me, there = f"rank {want.rank}", words.on(sender, call, True)
    text = {
        "tag": f"rank {sender} sent it tag {call.tag}, it waits for tag {tag}",
        "source": f"rank {sender} sent it tag {call.tag}, it waits for {ranks_text(want.peers)}",
        "communicator": f"rank {sender} sent it tag {call.tag}{there}, it waits{words.on(want.rank, want.of, True)}",
    }[difference]
    fix = {
        "tag": f"receive tag {call.tag} (or ANY_TAG) on {me}, or send tag {tag} on rank {sender}",
        "source": f"receive from {sender} (or ANY_SOURCE) on {me}, or let {ranks_text(want.peers)} send",
        "communicator": "use the same communicator on both sides",
    }[difference]
    evidence = f"{me}: {words.want(want)}{words.at(want.rank, want.thread)}; rank {sender}: {words.call(sender, call)}{there}"
    return Finding(f"{me} waits for a message that was sent otherwise: {text}", evidence, fix)


def to_oneself(job: Job, words: Words) -> Iterator[Finding]:
    """A receive from, or a send to, the rank itself, in its only thread."""
    for want in job.wants:
        if want.peers == (want.rank,) and want.kind in (RECEIVE, SEND):
            back = "receive" if want.kind == SEND else "send"
            yield Finding(
                f"rank {want.rank} waits for itself: in {words.want(want)} it cannot {back}",
                f"rank {want.rank}: {words.want(want)}{words.at(want.rank, want.thread)}",
                "start the receive first (Irecv, or irecv), or use Sendrecv",
            )
            return


def ended(job: Job, words: Words) -> Iterator[Finding]:
    """Ranks that wait for others that have ended, or are about to."""
    for want in job.wants:
        if want.kind in (waits.START, waits.END) or not want.peers:
            continue
        over = [rank for rank in want.peers if job.is_over(rank) and job.ranks[rank].state != DEAD]
        if over if not want.one else len(over) == len(want.peers):
            alike = [w.rank for w in job.wants if w.kind == want.kind and set(w.peers) & set(over)]
            does = f"{words.states(over)}, and {plural(over, 'does', 'do')} nothing more in MPI"
            part = "take part in it" if want.kind == COLLECTIVE else "send" if want.kind == RECEIVE else "receive"
            yield Finding(
                f"{ranks_text(alike)} {plural(alike, 'waits', 'wait')} for {ranks_text(over)}, which {does}",
                listed(words, sorted(set(alike))),
                f"let {ranks_text(over)} {part} before the end, or do not wait for that",
            )
            return


# ---- waiting for each other, and for those that compute -------------------------------------------------------------


def next_of(job: Job, rank: int) -> list[int]:
    """Whom a rank waits for, for as long as those wait too."""
    wants = [want for want in job.wants_of(rank) if want.kind not in (waits.START, waits.END)]
    return [peer for want in wants for peer in want.peers if job.is_waiting(peer) and (not want.one or all(map(job.is_waiting, want.peers)))]


def cycle(job: Job) -> list[int]:
    """Ranks that wait for each other in a circle, the shortest such; [] if there is none."""
    best: list[int] = []
    for start in job.ranks:
        paths, seen = [[start]], {start}
        while paths:
            path = paths.pop(0)
            for peer in next_of(job, path[-1]):
                if peer == start and (not best or len(path) < len(best)):
                    best = path
                elif peer not in seen:
                    seen.add(peer)
                    paths.append([*path, peer])
    return best


def cycles(job: Job, words: Words) -> Iterator[Finding]:
    """Ranks that wait for each other."""
    ranks = cycle(job)
    if len(ranks) < 2:
        return
    yield Finding(_circle(job, words, ranks), listed(words, ranks), _way_out(job, words, ranks))


def links(job: Job, ranks: Sequence[int]) -> list[Want]:
    """What each rank of a circle wants of the next."""
    pairs = zip(ranks, [*ranks[1:], ranks[0]], strict=True)
    return [next(want for want in job.wants_of(rank) if peer in want.peers) for rank, peer in pairs]


def _circle(job: Job, words: Words, ranks: list[int]) -> str:
    if len(ranks) <= MANY:
        pairs = zip(links(job, ranks), [*ranks[1:], ranks[0]], strict=True)
        return ", and ".join(f"rank {want.rank} waits in {words.want(want)} for rank {peer}" for want, peer in pairs)
    chain = [*ranks, ranks[0]] if len(ranks) < 9 else [*ranks[:4], "...", *ranks[-2:], ranks[0]]
    return f"{ranks_text(ranks)} wait for each other: {' -> '.join(map(str, chain))}"


def _way_out(job: Job, words: Words, ranks: list[int]) -> str:
    wants = links(job, ranks)
    kinds, comms = {want.kind for want in wants}, {want.of.comm for want in wants}
    for want in wants:
        known = job.ranks[want.rank]
        if known.pid not in [thread.id for thread, _ in job.active(want.rank)] and (where := words.where(want.rank)):
            return f"look at the main thread of rank {want.rank} ({where}): does it wait for the thread that waits in MPI?"
    if kinds == {SEND}:
        return "let one of them receive first; or use Sendrecv, or Irecv before the sends: large messages are not buffered"
    if kinds == {RECEIVE}:
        return "let one of them send first; or use Sendrecv"
    if kinds == {COLLECTIVE} and len(comms) > 1:
        return "call the collectives of different communicators in the same order on all ranks"
    if kinds == {SEND, RECEIVE}:
        return "check the ranks, tags and communicators of what they send and receive: no send meets its receive"
    return _around(job, words, ranks, wants)


def _around(job: Job, words: Words, ranks: list[int], wants: list[Want]) -> str:
    """A message that one side expects before, the other after a collective; or never."""
    for want, peer in zip(wants, [*ranks[1:], ranks[0]], strict=True):
        if want.kind != COLLECTIVE:
            does, other = ("send", "receive") if want.kind == RECEIVE else ("receive", "send")
            name = waits.name_of(next(w.of for w in wants if w.kind == COLLECTIVE))
            here = waits.name_of(want.of)
            return f"let rank {peer} {does} before its {name}, or rank {want.rank} {other} after it; or leave out the {here} there"
    return SAME_ORDER


def computing(job: Job, words: Words) -> Iterator[Finding]:
    """Ranks that others wait for, and that wait for nobody."""
    groups: dict[str, list[int]] = {}
    for rank in job.ranks:
        known = job.ranks[rank]
        if known.state in (RUNNING, OUTSIDE) and waiting_for(job, rank) and not job.is_waiting(rank) and not _is_ending(job, rank):
            groups.setdefault(words.state(rank), []).append(rank)
    for ranks in groups.values():
        yield _busy(job, words, ranks)


def _is_ending(job: Job, rank: int) -> bool:
    return job.is_over(rank) and not any(want.kind == waits.END for want in waiting_for(job, rank))


def _busy(job: Job, words: Words, ranks: list[int]) -> Finding:
    wants = [want for rank in ranks for want in waiting_for(job, rank)]
    others = sorted({want.rank for want in wants})
    what, where = words.want(wants[0]), words.at(wants[0].rank, wants[0].thread)
    who, wait = ranks_text(ranks), f"{ranks_text(others)} {plural(others, 'waits', 'wait')}"
    if wants[0].kind == COLLECTIVE:
        title = f"{who} {plural(ranks, 'does', 'do')} not come to {what}, where {wait}{where}"
    elif wants[0].kind in (waits.START, waits.END):
        title = f"{who} {plural(ranks, 'does', 'do')} not come to {what.replace('Init_thread', 'init()')}, where {wait}{where}"
    else:
        does = "send" if wants[0].kind == RECEIVE else "receive"
        title = f"{who} {plural(ranks, 'does', 'do')} not {does} what {wait} for in {what}{where}"
    fix = f"see what keeps {who} there" + (f"; {SAME_ORDER}" if wants[0].kind == COLLECTIVE else "")
    if blocked := [want for rank in ranks for want in job.wants_of(rank)]:
        they = {want.rank for want in blocked}
        fix = f"see what else {ranks_text(they)} {plural(they, 'waits', 'wait')} for: {words.want(blocked[0])}"
    return Finding(title, f"{who} {words.states(ranks)}", fix)


def nobody_missing(job: Job, words: Words) -> Iterator[Finding]:
    """Collectives to which all have come, and that do not end: the library, or the network."""
    for want in job.wants:
        inside = [w.rank for w in job.wants if (w.of.comm, w.of.collective) == (want.of.comm, want.of.collective)]
        if want.kind == COLLECTIVE and not want.peers and want.call.age > 1 and not _different(job, want.of):
            yield Finding(
                f"all ranks have come to {words.want(want)}, and it does not end",
                listed(words, sorted(set(inside))),
                "nothing in the program, as far as its record tells: look at sizes and datatypes (MMPI_CHECK=1), the MPI library, the network",
            )
            return
