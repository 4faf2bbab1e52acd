# SPDX-License-Identifier: BSD-3-Clause
"""What travels in the suite, the same for all contenders. What rank i sends differs from what the others do."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mmpi.bench.objects import dict_of_10


def array(number: int, count: int) -> Any:
    """So many bytes that differ from those with other numbers in every item, and from zero."""
    numpy: Any = import_module("numpy")
    return ((numpy.arange(count) + number) % 251 + 1).astype(numpy.uint8)


def make(name: str, number: int) -> Any:
    """One of the objects of the classic mix."""
    if name == "string of 256":
        return "abcdefghij"[number] * 256
    if name == "int":
        return 7 + number
    if name == "dict of 10":
        return dict_of_10(number)
    count = {"array 8 KiB": 1 << 10, "array 1 MiB": 1 << 17}[name]
    return import_module("numpy").arange(number, count + number, dtype="f8")
