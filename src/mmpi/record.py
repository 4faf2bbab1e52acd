# SPDX-License-Identifier: BSD-3-Clause
"""Named values, for modules that every rank imports: importing typing or dataclasses takes longer than all else there."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self, dataclass_transform
else:

    def dataclass_transform(**options):
        """What type checkers read means nothing to Python."""
        return lambda kind: kind


@dataclass_transform(frozen_default=True)
class Record:
    """A class with annotated fields, whose defaults are attributes of the class; its objects are not to be changed."""

    def __init__(self, *values: Any, **named: Any) -> None:
        vars(self).update(zip(type(self).__annotations__, values, strict=False), **named)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def replace(self, **changes: Any) -> Self:
        """The same but for some fields."""
        return type(self)(**vars(self) | changes)
