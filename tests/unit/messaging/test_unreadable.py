"""A message whose properties cannot be read arrives without them, in place of an error that ends the connection."""

import struct
from collections.abc import Mapping
from typing import Any

import pytest
from pamqp import encode, frame
from pamqp.header import ContentHeader

from messaging.unreadable import MOST_BYTES, MOST_DEPTH, UNREADABLE, writable
from tests.fuzz_amqp.wire import Raw, array, long, nested, number, short, string, table

FRAME_MAX = 131_072
SIZE = 7


def received(given: Mapping[str, bytes]) -> ContentHeader:
    """What aiormq gets of a content header's frame."""
    written = frame.marshal(ContentHeader(properties=Raw(given), body_size=SIZE), 1)
    _, _, read = frame.unmarshal(written)
    assert isinstance(read, ContentHeader)
    return read


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"timestamp": struct.pack(">Q", 2**60)}, "ValueError"),
        ({"headers": table({b"when": number("T", 2**64 - 1)})}, "ValueError"),
        ({"message_id": short(b"\xff")}, "UnicodeDecodeError"),
        ({"headers": table({b"\xff": b"V"})}, "UnicodeDecodeError"),
        ({"headers": table({b"deep": nested(10_000)})}, "RecursionError"),
        ({"headers": table({b"deep": nested(MOST_DEPTH + 1, "A")})}, "nested deeper than 32"),
        ({"headers": table({b"long": string(b"h" * MOST_BYTES)})}, "81965 bytes, allowed are 81920"),
    ],
    ids=["moment", "moment in a header", "id", "name", "depth", "some depth", "size"],
)
def test_what_cannot_be_read_is_said_in_its_place(given: Mapping[str, bytes], told: str) -> None:
    """The frame is read: the body's size stands, and one header says what is wrong with the rest."""
    read = received({"content_type": short(b"application/json"), **given})
    assert read.body_size == SIZE
    assert read.properties.content_type is None
    assert read.properties.headers == {UNREADABLE: told}


def test_what_can_be_read_is_left_as_it_is() -> None:
    """Odd headers of a bearable size and depth arrive."""
    odd = {b"deep": nested(MOST_DEPTH - 1), b"long": string(b"h" * 65_536), b"wide": array([b"V"] * 1_000)}
    read = received({"message_id": short("ü".encode()), "headers": table(odd)})
    assert read.properties.message_id == "ü"
    assert set(read.properties.headers or {}) == {"deep", "long", "wide"}


def test_what_cannot_be_written_again_is_left_out() -> None:
    """Of headers that were read, the parked copy has those that fit into a frame of their own kind."""
    odd = {
        b"bytes": string(b"\xff"),
        b"inside": array([string(b"\xff")]),
        b"double": number("d", 1e300),
        b"binary": b"x" + long(b"\xff"),
        b"kept": string(b"text"),
        b"count": number("l", -(2**63)),
    }
    headers: dict[str, Any] = dict(received({"headers": table(odd)}).properties.headers or {})
    kept = writable(headers)
    assert set(kept) == {"binary", "kept", "count"}
    assert encode.field_table(kept)


def test_the_largest_that_are_read_leave_room_for_a_failure() -> None:
    """What is noted of a failure fits into the frame besides."""
    assert MOST_BYTES + 16_384 < FRAME_MAX
