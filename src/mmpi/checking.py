# SPDX-License-Identifier: BSD-3-Clause
"""What MMPI_CHECK=1 says when ranks call different collectives, or the same with arguments that do not fit each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from .errors import CollectiveMismatch

MANY = 5  # different calls that are still named


class _Call(NamedTuple):
    operation: str
    typed: int  # of a buffer; else of objects, or without data
    root: int
    op: str
    type: str
    bytes: int

    def text(self, differs: Sequence[str]) -> str:
        """The call, with those of its arguments that differ somewhere."""
        from .hang.waits import OF_OBJECTS

        name = self.operation.removeprefix("MPI_")
        name = name.lower() if name in OF_OBJECTS and not self.typed else name
        known = {"root": self.root >= 0, "op": self.op != "", "type": self.type != "", "bytes": self.bytes >= 0}
        arguments = ", ".join(f"{what}={getattr(self, what)}" for what in known if known[what] and what in differs)
        return f"{name}({arguments})" if arguments else name


def raise_mismatch(rows: Sequence[tuple[str, int, int, str, str, int]], comm: str) -> NoReturn:
    """Raise the error that says which rank calls what; `rows` by rank."""
    from .hang.words import plural, ranks_text

    calls = [_Call(*row) for row in rows]
    alike = len({call.operation for call in calls}) == 1
    differs = [what for what in ("root", "op", "type", "bytes")[: 4 if alike else 1] if len({getattr(call, what) for call in calls}) > 1]
    groups: dict[str, list[int]] = {}
    for rank, call in enumerate(calls):
        groups.setdefault(call.text(differs), []).append(rank)
    parts = [f"{ranks_text(ranks)} {plural(ranks, 'calls', 'call')} {text}" for text, ranks in groups.items()]
    where = comm or f"a communicator of {len(calls)} ranks"
    raise CollectiveMismatch(f"collectives do not match on {where}: {', '.join(parts[:MANY] + ['...'] * (len(parts) > MANY))}")
