# SPDX-License-Identifier: BSD-3-Clause
"""The types of BOTTOM and IN_PLACE: addresses with a meaning, given in place of a buffer (MPI 5.0, sections 2.5.4, 6.2.1)."""

from __future__ import annotations


class _Place(int):
    __slots__ = ()
    name = ""

    def __repr__(self) -> str:
        return type(self).name

    def __reduce__(self) -> str:
        return type(self).name


class BottomType(_Place):
    """The type of BOTTOM: the start of memory, for datatypes made of addresses."""

    __slots__ = ()
    __module__ = "mmpi.MPI"
    name = "BOTTOM"


class InPlaceType(_Place):
    """The type of IN_PLACE: the other buffer is both input and output."""

    __slots__ = ()
    __module__ = "mmpi.MPI"
    name = "IN_PLACE"
