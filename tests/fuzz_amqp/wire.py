"""AMQP 0-9-1 properties written byte by byte: also what a client library would refuse to write.

https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf, 4.2.5; the types of fields as RabbitMQ has them:
https://www.rabbitmq.com/amqp-0-9-1-errata#section_3
"""

import struct
from collections.abc import Iterable, Mapping

from pamqp.commands import Basic

Field = bytes
"""A typed value of a table or an array."""


def short(text: bytes) -> bytes:
    """A short string: at most 255 bytes."""
    return struct.pack(">B", len(text)) + text


def long(text: bytes) -> bytes:
    """A long string, or whatever else is written as its length and its bytes."""
    return struct.pack(">I", len(text)) + text


def string(text: bytes) -> Field:
    """A string field."""
    return b"S" + long(text)


def number(kind: str, value: float) -> Field:
    """A field of a kind of number, by its letter."""
    codes = {
        "b": "b",
        "B": "B",
        "s": "h",
        "u": "H",
        "I": "i",
        "i": "I",
        "l": "q",
        "f": "f",
        "d": "d",
        "T": "Q",
        "t": "?",
    }
    return kind.encode() + struct.pack(f">{codes[kind]}", value)


def decimal(scale: int, value: int) -> Field:
    """A decimal field."""
    return b"D" + struct.pack(">BI", scale, value)


def array(fields: Iterable[Field]) -> Field:
    """An array field."""
    return b"A" + long(b"".join(fields))


def table(fields: Mapping[bytes, Field]) -> bytes:
    """A table, as the property `headers` holds it."""
    return long(b"".join(short(name) + field for name, field in fields.items()))


def nested(depth: int, kind: str = "F") -> Field:
    """A table in a table, or an array in an array, so deep."""
    field = b"V"
    for _ in range(depth):
        field = b"F" + long(short(b"n") + field) if kind == "F" else b"A" + long(field)
    return field


class Raw(Basic.Properties):
    """Properties, each given as the bytes that it is on the wire."""

    __slots__ = ["given"]

    def __init__(self, given: Mapping[str, bytes]) -> None:
        super().__init__()
        self.given = given

    def marshal(self) -> bytes:
        """The flags, and the properties that there are, in the order of the specification."""
        names = [name for name in Basic.Properties.__slots__ if name in self.given]
        flags = sum(self.flags[name] for name in names)
        return struct.pack(">H", flags) + b"".join(self.given[name] for name in names)
