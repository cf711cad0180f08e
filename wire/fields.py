"""What the fields of messages may hold: types that the codec holds received values to; `SPEC.md` has them in words.

msgspec checks lengths and bounds of what it decodes, and nothing of what our own code makes: mypy sees to that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

from msgspec import Meta

from wire import limits
from wire.records import Record

Number: TypeAlias = Annotated[int, Meta(ge=0)]
Holds: TypeAlias = Annotated[int, Meta(ge=0, le=limits.MAX_HOLDS)]
Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=limits.MAX_ID)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=limits.MAX_TEXT)]
Text: TypeAlias = Annotated[str, Meta(max_length=limits.MAX_TEXT)]
State: TypeAlias = Annotated[bytes, Meta(max_length=limits.MAX_STATE)]
Carry: TypeAlias = Annotated[bytes, Meta(max_length=limits.MAX_CARRY)]
Replies: TypeAlias = Annotated[bytes, Meta(max_length=limits.MAX_REPLIES)]
Trace: TypeAlias = Annotated[bytes, Meta(max_length=limits.MAX_TRACE)]
Line: TypeAlias = Annotated[bytes, Meta(max_length=limits.MAX_LINE)]
SomeLines: TypeAlias = Annotated[tuple[Line | None, ...], Meta(min_length=1, max_length=limits.MAX_LINES)]
Mailboxes: TypeAlias = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=limits.MAX_RECIPIENTS)]
Originals: TypeAlias = Annotated[tuple[tuple[Number, Text], ...], Meta(max_length=limits.MAX_RECIPIENTS)]
Sessions: TypeAlias = tuple[Id, ...] | None

# Octets of mail. In an envelope the index of their frame stands in their place; `codec.py` puts them there.
if TYPE_CHECKING:
    Piece: TypeAlias = bytes
else:
    Piece = bytes | Number


class WireRecord(Record, array_like=True):
    """A message, or what stands in one: in an envelope an array of its kind, which is its `tag`, and its fields.

    One without a tag stands where nothing else can, and is an array of its fields alone.
    """
