"""Properties that cannot be read do not cost the connection: their message arrives without them, and is parked.

RabbitMQ hands on what it was given. pamqp raises for a moment beyond the year 9999, for a name that is no UTF-8, for
tables nested too deep; aiormq ends the connection over it, the broker delivers again, and the service would consume
nothing any more. Importing this module changes how pamqp reads them, for the whole process.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, cast

from pamqp import encode
from pamqp.commands import Basic
from pamqp.header import ContentHeader

UNREADABLE = "x-error-reason-properties"
"""The header in the place of all properties: what is wrong with them. A replay begins without it."""
MOST_BYTES = 80 * 1024
"""Of all properties: a frame has 128 KiB, and what is noted of a failure must fit in, too."""
MOST_DEPTH = 32
"""Tables and arrays in each other, so that whoever writes or shows them gets to their end."""


def writable(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The headers without those that pamqp reads and cannot write: text that is no UTF-8, numbers beyond 3.4e38."""
    return {name: value for name, value in headers.items() if _can_be_written(value)}


def _can_be_written(value: Any) -> bool:
    if isinstance(value, str | int | None):
        return True
    try:
        encode.encode_table_value(value)
    except (TypeError, ValueError, OverflowError, struct.error):
        return False
    return True


def too_deep(value: Any) -> bool:
    """Whether mappings and lists are nested deeper than MOST_DEPTH in each other."""
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(MOST_DEPTH + 1):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: Any) -> list[Any]:
    """The tables and arrays right inside a table or an array."""
    inner = cast("dict[str, Any]", value).values() if isinstance(value, dict) else cast("list[Any]", value)
    return [each for each in inner if isinstance(each, dict | list)]


_unmarshal = ContentHeader.unmarshal


def _read(self: ContentHeader, data: bytes) -> None:
    """Read what goes ahead of a message's body, whatever its publisher wrote."""
    try:
        if len(data) > MOST_BYTES:
            told = f"{len(data)} bytes, allowed are {MOST_BYTES}"
        else:
            _unmarshal(self, data)
            if not self.properties.headers or not too_deep(self.properties.headers):
                return
            told = f"nested deeper than {MOST_DEPTH}"
    except Exception as error:  # noqa: BLE001 - a message is to blame, and must not end the connection of all others
        told = type(error).__name__
    self.class_id, self.weight, self.body_size = struct.unpack(">HHQ", data[:12])
    self.properties = Basic.Properties(headers={UNREADABLE: told})


ContentHeader.unmarshal = _read
