# SPDX-License-Identifier: BSD-3-Clause
"""A job that only seems to hang: now and then one rank completes a call, while the others wait, poll, sleep, or compute for long.

    mmpi run -n 4 --hang-timeout 5 tests/soak.py SECONDS [PAUSE]

PAUSE (3 by default): the longest time for which no rank completes a call.
"""

import sys
import time

import mmpi

rank, size = mmpi.init()
comm = mmpi.WORLD
seconds, pause = float(sys.argv[1]), float((sys.argv[2:] or ["3"])[0])


def spin(until: float) -> None:
    while time.monotonic() < until:
        pass


def in_c(until: float) -> None:
    """Without giving the GIL back."""
    while time.monotonic() < until:
        sum(range(3_000_000))


def poll(until: float) -> None:
    while time.monotonic() < until:
        comm.iprobe(tag=99)


def work(until: float) -> None:
    """The one that goes on: a call now and then, of each kind."""
    calls = [mmpi.SELF.barrier, lambda: mmpi.SELF.sendrecv(1, 0, source=0), lambda: mmpi.SELF.iprobe() or mmpi.SELF.allreduce(1)]
    for call in calls * 1000:
        time.sleep(max(0.0, min(0.95 * pause, until - time.monotonic())))
        call()
        if time.monotonic() >= until:
            return


def sleep(until: float) -> None:
    time.sleep(max(0.0, until - time.monotonic()))


waiting = [spin, in_c, poll, sleep, lambda until: None]
end, turn = time.monotonic() + seconds, 0
# One clock for all: else on a busy machine some begin a turn late, and are still waiting when the one that goes on has ended.
while until := comm.bcast(time.monotonic() + min(4 * pause, 12) if time.monotonic() < end else 0.0):
    role = work if rank == turn % size else waiting[(rank + turn) % len(waiting)]
    role(until)
    turn += 1
print(f"rank {rank}: {turn} turns")
