"""What the predefined operations do to Python objects: `MPI.SUM(1, 2)` is 3 (MPI 5.0, section 6.9.2)."""

import operator
from collections.abc import Callable
from typing import Any


def _minloc(x: Any, y: Any) -> Any:
    (a, i), (b, j) = x, y
    return (a, i) if a < b else (b, j) if b < a else (b, j) if j < i else (a, i)


def _maxloc(x: Any, y: Any) -> Any:
    (a, i), (b, j) = x, y
    return (a, i) if b < a else (b, j) if a < b else (b, j) if j < i else (a, i)


FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "SUM": operator.add,
    "PROD": operator.mul,
    "MAX": lambda x, y: y if x < y else x,
    "MIN": lambda x, y: y if y < x else x,
    "LAND": lambda x, y: bool(x) and bool(y),
    "LOR": lambda x, y: bool(x) or bool(y),
    "LXOR": lambda x, y: bool(x) != bool(y),
    "BAND": operator.and_,
    "BOR": operator.or_,
    "BXOR": operator.xor,
    "MINLOC": _minloc,
    "MAXLOC": _maxloc,
    "REPLACE": lambda x, y: y,
    "NO_OP": lambda x, y: x,
}


def name_of(text: str) -> str:
    """The name of the operation that represents itself as `text`, such as "<Op SUM>"."""
    return text.removeprefix("<Op ").removesuffix(">")


def apply(text: str, x: Any, y: Any) -> Any:
    """Apply the operation that represents itself as `text`, such as "<Op SUM>"."""
    name = name_of(text)
    if name not in FUNCTIONS:
        raise ValueError(f"{text} is no operation for Python objects")
    return FUNCTIONS[name](x, y)
