# SPDX-License-Identifier: BSD-3-Clause
"""The error of a job that cannot be started."""

from __future__ import annotations


class LaunchError(Exception):
    """A job cannot be started. `status` is the exit status that `mmpi run` gives, `hint` says what to do."""

    def __init__(self, message: str, *, status: int = 2, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.hint = hint
