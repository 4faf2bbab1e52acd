# SPDX-License-Identifier: BSD-3-Clause
"""Does a job go on? For `mmpi run --hang-timeout`."""

from __future__ import annotations

import time

from ..flight import completed

LOOK = 0.5  # seconds from one look to the next, at most


class Watch:
    """Looks now and then whether any rank has completed a call of MPI.

    Polls in vain (Test, Iprobe) are no progress. Until the first rank begins to initialize MPI, and after the last has
    finalized it, nothing is expected. Of a job on several hosts, each host is looked at by a watch of its own.
    """

    def __init__(self, folder: str, seconds: float) -> None:
        self.folder, self.seconds = folder, seconds
        self.pause = min(LOOK, seconds / 10)
        self.since = self.looked = time.monotonic()
        self.before: dict[int, int] = {}
        self.told = False  # was a report made?

    def hangs(self) -> bool:
        """Look, and say whether nothing has happened for too long."""
        now, counts = time.monotonic(), completed(self.folder)
        asleep = now - self.looked > 10 * self.pause + 1  # we were stopped, and so may the job have been
        if asleep or counts != self.before or not counts:
            self.since = now
        self.looked, self.before = now, counts
        return now - self.since >= self.seconds
