# SPDX-License-Identifier: BSD-3-Clause
"""C handles to Fortran's, and back (MPI 5.0, section 19.3.4): what a Fortran program calls an INTEGER communicator."""

from __future__ import annotations

from typing import Any

from .handles import call, lib, take


def _to_c(kind: str, handle: int) -> int:
    return int(getattr(lib(), kind).f2py(handle).handle)


@call
def comm_c2f(comm: Any) -> int:
    """Fortran's handle of a communicator."""
    return int(take("Comm", comm).py2f())


@call
def comm_f2c(comm: int) -> int:
    """The C handle of Fortran's communicator."""
    return _to_c("Comm", comm)


@call
def type_c2f(type: Any) -> int:
    """Fortran's handle of a datatype."""
    return int(take("Datatype", type).py2f())


@call
def type_f2c(type: int) -> int:
    """The C handle of Fortran's datatype."""
    return _to_c("Datatype", type)


@call
def op_c2f(op: Any) -> int:
    """Fortran's handle of an operation."""
    return int(take("Op", op).py2f())


@call
def op_f2c(op: int) -> int:
    """The C handle of Fortran's operation."""
    return _to_c("Op", op)


@call
def group_c2f(group: Any) -> int:
    """Fortran's handle of a group."""
    return int(take("Group", group).py2f())


@call
def group_f2c(group: int) -> int:
    """The C handle of Fortran's group."""
    return _to_c("Group", group)
