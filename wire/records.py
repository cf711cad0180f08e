"""Records: dataclasses that nobody changes, made at the price of ones that anybody could.

`@dataclass(frozen=True)` sets each field through `object.__setattr__`, which makes one two to three times as dear,
and a message is some fifty of them on its way. So immutability is held where it costs nothing: mypy refuses an
assignment to a field, `__slots__` a field that does not exist, and a test looks for either in the services' code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

Class = TypeVar("Class")


@dataclass_transform(frozen_default=True)
def record(cls: type[Class]) -> type[Class]:
    """Make a class a record: compared and hashed by its fields, with slots, and never changed once it is made."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
