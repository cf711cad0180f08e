"""Records: values that nobody changes, compared and hashed by their fields.

They are msgspec's structs: made in C, and frozen at no price. A message is some fifty of them on its way; as frozen
dataclasses they would be a sixth of its cost.
"""

from __future__ import annotations

from typing import dataclass_transform

import msgspec

# `replace(record, field=value)`: another record, with these fields changed.
replace = msgspec.structs.replace


# Records hold records and plain values, so they are never part of a cycle that the collector would have to find.
@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Record(msgspec.Struct, frozen=True, gc=False):
    """A value with named fields; a subclass names them, as a dataclass does."""
