# SPDX-License-Identifier: BSD-3-Clause
"""Ends a job whose `mmpi run` was killed and could not do it."""

from __future__ import annotations

import os
import subprocess

from .plans import FAMILIES, Plan

# Reads from a pipe that only we hold open at the other end: the end of that input is our end. The launcher alone would not do:
# MPICH's waits for ranks that ignore SIGTERM, Open MPI's leaves them if it is killed itself, and we may have stopped it.
SCRIPT = """\
read -r _
signal() { kill "-$1" $(grep -Flsxz "MMPI_JOB=$job" /proc/[0-9]*/environ | cut -d/ -f3) 2>/dev/null; }
job=$1
signal TERM
signal CONT
sleep 1
signal KILL && sleep 0.2 && signal KILL
for file in $3; do  # what nobody uses any more: see folder.remove_leftovers
  [ -O "$file" ] && [ "$file" -nt "$2/run" ] || continue
  ls -l /proc/[0-9]*/fd 2>/dev/null | grep -qF "$file" || grep -qsF "$file" /proc/[0-9]*/maps || rm -f "$file"
done
rm -rf "$2"
"""


class Guard:
    """A sleeping shell that outlives us."""

    def __init__(self, plan: Plan) -> None:
        reader, self._writer = os.pipe2(os.O_CLOEXEC)
        null = subprocess.DEVNULL
        leftovers = " ".join(FAMILIES[plan.launcher].LEFTOVERS)
        words = ["/bin/sh", "-c", SCRIPT, "mmpi-guard", plan.job, plan.directory, leftovers]
        try:
            self._process = subprocess.Popen(words, stdin=reader, stdout=null, stderr=null, cwd="/", start_new_session=True)
        except BaseException:
            os.close(self._writer)
            raise
        finally:
            os.close(reader)
        self.pid = self._process.pid

    def dismiss(self) -> None:
        """The job has ended."""
        self._process.kill()
        self._process.wait()
        os.close(self._writer)
