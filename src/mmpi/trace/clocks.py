# SPDX-License-Identifier: BSD-3-Clause
"""Comparing the clocks of hosts, by messages between the first rank of each and rank 0: the fastest of many tells best."""

from __future__ import annotations

import time
from typing import Any

from mmpi import _trace

ROUNDS, QUIET, SECONDS = 100, 25, 0.02  # at most; without a better one; at most for a host
PATIENCE = 10.0  # seconds that the end waits for the other ranks, which may never come
_BOOT = 40  # bytes of a kernel's boot id


class Clocks:
    """The first ranks of all hosts, and a communicator of our own. Making it is collective, and compares the clocks."""

    def __init__(self, core: Any) -> None:
        self._comm = core.COMM_WORLD.Dup()
        size, rank = self._comm.size, self._comm.rank
        all_boots = bytearray(_BOOT * size)
        self._comm.Allgather(bytearray(_trace.boot().encode().ljust(_BOOT, b"\0")), all_boots)
        boots = [bytes(all_boots[i * _BOOT : (i + 1) * _BOOT]) for i in range(size)]
        first = {boot: len(boots) - 1 - i for i, boot in enumerate(reversed(boots))}
        self._leaders = sorted(set(first.values()) - {0})  # of the other hosts
        self._mine = rank in self._leaders
        self._compare()

    def end(self) -> None:
        """Compare once more, if all ranks come within some seconds."""
        request, limit = self._comm.Ibarrier(), time.monotonic() + PATIENCE
        while not request.Test():
            if time.monotonic() > limit:
                request.Free()
                return
            time.sleep(0.0001)
        self._compare()
        self._comm.Free()

    def _compare(self) -> None:
        if self._mine:
            self._ask()
        elif self._comm.rank == 0:
            for leader in self._leaders:
                self._answer(leader)

    def _answer(self, leader: int) -> None:
        more = bytearray(1)
        while self._comm.Recv(more, leader) or more[0]:
            self._comm.Send(_trace.now().to_bytes(8, "little"), leader)

    def _ask(self) -> None:
        theirs, best, at, difference, since = bytearray(8), 1 << 62, 0, 0, 0
        limit = time.monotonic() + SECONDS
        for _ in range(ROUNDS):
            before = _trace.now()
            self._comm.Send(b"\1", 0)
            self._comm.Recv(theirs, 0)
            after = _trace.now()
            since += 1
            if after - before < best:
                best, at, since = after - before, (before + after) // 2, 0
                difference = int.from_bytes(theirs, "little", signed=True) - at
            if since >= QUIET or time.monotonic() > limit:
                break
        self._comm.Send(b"\0", 0)
        _trace.clock(0, at, difference, (best + 1) // 2)
