# SPDX-License-Identifier: BSD-3-Clause
"""The exceptions of mmpi. They exist without an MPI library."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ERR_OTHER = 15  # a code for misuse that MPI never saw; the class MPI_ERR_OTHER where a library is loaded
_ERR_UNKNOWN = 14  # a code that can be none


class MPIError(RuntimeError):
    """A call of MPI failed, or was made at the wrong time.

    It compares equal to its error code and converts to it. Notes say which call failed, on what, where."""

    def __init__(self, ierr: int | str = 0) -> None:
        core = sys.modules.get("mmpi._core")
        self._text = ierr if isinstance(ierr, str) else None
        self._code = ierr if isinstance(ierr, int) else getattr(core, "ERR_OTHER", _ERR_OTHER)
        if self._code < 0:
            self._code = getattr(core, "ERR_UNKNOWN", _ERR_UNKNOWN)
        super().__init__(ierr)

    def Get_error_code(self) -> int:
        """The error code."""
        return self._code

    def Get_error_class(self) -> int:
        """The class of the error code, one of the ERR_ constants."""
        core = sys.modules.get("mmpi._core")
        return int(core.Get_error_class(self._code)) if core else self._code

    def Get_error_string(self) -> str:
        """The text of the error code."""
        if self._text is not None:
            return self._text
        core = sys.modules.get("mmpi._core")
        return str(core.Get_error_string(self._code)) if core else f"MPI error {self._code}"

    @property
    def error_code(self) -> int:
        """The error code."""
        return self.Get_error_code()

    @property
    def error_class(self) -> int:
        """The class of the error code, one of the ERR_ constants."""
        return self.Get_error_class()

    @property
    def error_string(self) -> str:
        """The text of the error code."""
        return self.Get_error_string()

    def __str__(self) -> str:
        return self.Get_error_string()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._text!r})" if self._text is not None else f"MPI.Exception({self._code})"

    def __int__(self) -> int:
        return self._code

    def __bool__(self) -> bool:
        return self._code != 0

    def __hash__(self) -> int:
        return hash(self._code)

    def __eq__(self, other: object) -> Any:
        return self._code == other._code if isinstance(other, MPIError) else self._code == other

    def __ne__(self, other: object) -> Any:
        return not self == other

    def __lt__(self, other: Any) -> Any:
        return self._code < int(other)

    def __le__(self, other: Any) -> Any:
        return self._code <= int(other)

    def __gt__(self, other: Any) -> Any:
        return self._code > int(other)

    def __ge__(self, other: Any) -> Any:
        return self._code >= int(other)


class RemoteError(RuntimeError):
    """A collective of objects failed on another rank, which raised the original exception."""

    def __init__(self, rank: int, text: str) -> None:
        super().__init__(rank, text)
        self.rank = rank
        self.text = text

    def __str__(self) -> str:
        return f"rank {self.rank} failed: {self.text}"


class CollectiveMismatch(MPIError):
    """With MMPI_CHECK=1: ranks were about to call different collectives, or the same with arguments that do not fit."""


class LaunchMismatch(MPIError):
    """A launcher started several processes, but each is alone: its MPI and ours are not the same."""
