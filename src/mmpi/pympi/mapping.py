# SPDX-License-Identifier: BSD-3-Clause
"""`map` on rank 0 deals items to the ranks that are in `mapserver`; in pyMPI these were never finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ..MPI import ANY_SOURCE

TAG = 32767  # the highest that every MPI has


class Load(NamedTuple):
    """What a rank did: how many items, and how many seconds it computed."""

    items: int
    seconds: float


class _Failure(NamedTuple):
    error: Exception


class Mapping:
    """The part of a communicator that maps."""

    comm: Any

    def __init__(self) -> None:
        self._loads: list[Load] = []

    def map(self, function: Callable[..., Any], *seqs: Iterable[Any]) -> list[Any]:
        """function of each item, as Python's map, computed by the ranks in mapserver(), which return then; by rank 0 if it is alone.

        Call it on rank 0. An exception of the function is raised here, when all that were dealt out have come back.
        """
        if self.comm.Get_rank() != 0:
            raise ValueError("map() is for rank 0; the other ranks call mapserver()")
        items = list(zip(*seqs, strict=False))
        size = self.comm.Get_size()
        loads = [Load(0, 0.0)] * size
        results = self._deal(function, items, loads) if size > 1 else self._alone(function, items, loads)
        self._loads = loads
        for rank in range(1, size):
            self.comm.send(loads, rank, TAG)
        failure = next((result for result in results if isinstance(result, _Failure)), None)
        if failure:
            raise failure.error
        return results

    def _alone(self, function: Callable[..., Any], items: list[Any], loads: list[Load]) -> list[Any]:
        results = []
        for item in items:
            result, seconds = _computed(function, item)
            results.append(result)
            loads[0] = Load(loads[0].items + 1, loads[0].seconds + seconds)
            if isinstance(result, _Failure):
                break
        return results

    def _deal(self, function: Callable[..., Any], items: list[Any], loads: list[Load]) -> list[Any]:
        results: list[Any] = [None] * len(items)
        next_item, busy = 0, 0
        free = list(range(1, self.comm.Get_size()))
        failed = False
        while busy or (next_item < len(items) and not failed):
            while free and next_item < len(items) and not failed:
                try:
                    self.comm.send((next_item, function, items[next_item]), free[0], TAG)
                except Exception as error:  # it cannot be pickled, and the others wait to be released
                    results[next_item], failed = _Failure(error), True
                    break
                del free[0]
                next_item, busy = next_item + 1, busy + 1
            if not busy:
                break
            rank, index, result, seconds = self.comm.recv(None, ANY_SOURCE, TAG)
            results[index], busy = result, busy - 1
            loads[rank] = Load(loads[rank].items + 1, loads[rank].seconds + seconds)
            failed = failed or isinstance(result, _Failure)
            free.append(rank)
        return results

    def mapserver(self) -> None:
        """Compute what rank 0 deals out by map(), until it has all; on rank 0, and alone, return at once."""
        rank = self.comm.Get_rank()
        if rank == 0:
            return
        while isinstance(task := self.comm.recv(None, 0, TAG), tuple):
            index, function, item = task
            result, seconds = _computed(function, item)
            self._answer(rank, index, result, seconds)
        self._loads = task

    def _answer(self, rank: int, index: int, result: Any, seconds: float) -> None:
        try:
            self.comm.send((rank, index, result, seconds), 0, TAG)
        except Exception as error:  # what cannot be pickled arrives as a failure
            why = RuntimeError(f"rank {rank} cannot send the result of item {index}: {type(error).__name__}: {error}")
            self.comm.send((rank, index, _Failure(why), seconds), 0, TAG)

    def mapstats(self) -> list[Load]:
        """For each rank, how many items it computed in the last map, and in how many seconds; empty before."""
        return list(self._loads)




def _computed(function: Callable[..., Any], item: Any) -> tuple[Any, float]:
    before = time.perf_counter()
    try:
        result = function(*item)
    except Exception as error:
        result = _Failure(error)
    return result, time.perf_counter() - before
