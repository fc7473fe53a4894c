"""Frames of AMQP: what is read here is what pamqp reads, and what is written here is what it would write."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiormq.exceptions import AMQPConnectionError, InvalidFrameError
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp import frame
from pamqp.body import ContentBody
from pamqp.commands import Basic, Channel
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from messaging.frames import Delivery, FrameReader
from messaging.letters import Letter

TEXT = st.text(max_size=40)
SHORT = st.none() | TEXT.filter(bool)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | TEXT | st.binary(max_size=9).map(bytearray),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=4,
)
PROPERTIES = st.builds(
    Basic.Properties,
    content_type=SHORT,
    content_encoding=SHORT,
    headers=st.none() | st.dictionaries(TEXT, TEXT, max_size=4) | st.dictionaries(TEXT, VALUE, max_size=4),
    delivery_mode=st.none() | st.sampled_from([1, 2]),
    priority=st.none() | st.integers(0, 255),
    correlation_id=SHORT,
    reply_to=SHORT,
    expiration=SHORT,
    message_id=SHORT,
    timestamp=st.none() | st.datetimes(datetime(1970, 1, 2), datetime(9999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    message_type=SHORT,
    user_id=SHORT,
    app_id=SHORT,
)
DELIVERS = st.builds(
    Basic.Deliver,
    st.text("abc.-", max_size=200),
    st.integers(0, 2**63 - 1),
    st.booleans(),
    st.text("abc.-", max_size=120),
    st.text(max_size=30),
)
FRAMES = st.one_of(
    DELIVERS,
    st.builds(Basic.Ack, st.integers(0, 2**63 - 1), st.booleans()),
    st.builds(Basic.Nack, st.integers(0, 2**63 - 1), st.booleans(), st.booleans()),
    st.builds(ContentHeader, body_size=st.integers(0, 2**40), properties=PROPERTIES),
    st.builds(ContentBody, st.binary(min_size=1, max_size=300)),
    st.just(Channel.CloseOk()),
    st.just(Heartbeat()),
)


def told(read: Any) -> Any:
    """What a frame says, comparable."""
    if isinstance(read, ContentHeader):
        return "header", read.class_id, read.weight, read.body_size, dict(read.properties)
    return read.name, dict(read) if isinstance(read, Basic.Deliver | Basic.Ack | Basic.Nack) else vars(read)


def apart(length: int, channel: int, read: Any) -> list[tuple[int, int, Any]]:
    """A delivery that came whole as the three frames that it was."""
    if not isinstance(read, Delivery) or read.header is None:
        return [(length, channel, told(read))]
    parts = [(len(frame.marshal(part, channel)), channel, told(part)) for part in (read.header, ContentBody(read.body))]
    return [(length - sum(part[0] for part in parts), channel, told(read)), *parts]


async def _some(frames: FrameReader, number: int) -> AsyncGenerator[tuple[int, int, Any]]:
    for _ in range(number):
        yield await anext(frames)


async def read_from(reader: asyncio.StreamReader) -> list[tuple[int, int, Any]]:
    """Read to the end, as a connection does once it is open."""
    frames = FrameReader(reader)
    frames.started = True
    return [read async for read in frames]


@st.composite
def deliveries(draw: st.DrawFn) -> list[tuple[Any, int]]:
    """A delivery with its content, which may be in pieces, with another channel's frame among them, or cut off."""
    channel, body = draw(st.integers(1, 3)), draw(st.binary(max_size=60))
    most = draw(st.sampled_from([20, 60, 60]))
    pieces = [ContentBody(body[at : at + most]) for at in range(0, len(body), most)]
    frames = [draw(DELIVERS), ContentHeader(body_size=len(body), properties=draw(PROPERTIES)), *pieces]
    told_of: list[tuple[Any, int]] = [(each, channel) for each in frames]
    if draw(st.booleans()):
        told_of.insert(draw(st.integers(0, len(told_of))), (Basic.Ack(1), draw(st.integers(1, 3))))
    return told_of[: draw(st.sampled_from([len(told_of)] * 3 + [1, 2]))]


@given(
    st.lists(st.tuples(FRAMES, st.integers(0, 9)).map(lambda one: [one]) | deliveries(), max_size=6),
    st.lists(st.integers(1, 400), max_size=8),
)
@settings(max_examples=200, deadline=None)
def test_frames_are_read_as_pamqp_reads_them(groups: list[list[tuple[Any, int]]], cuts: list[int]) -> None:
    """Whatever they are, however they come in pieces, with their lengths and channels."""
    frames = [each for group in groups for each in group]
    written = [frame.marshal(each, 0 if isinstance(each, Heartbeat) else channel) for each, channel in frames]
    data = b"".join(written)

    async def read() -> list[tuple[int, int, Any]]:
        reader = asyncio.StreamReader()
        reading = asyncio.create_task(read_from(reader))
        at = 0
        for cut in cuts:
            reader.feed_data(data[at : at + cut])
            at += cut
            await asyncio.sleep(0)
        reader.feed_data(data[at:])
        reader.feed_eof()
        return await reading

    expected = [frame.unmarshal(each) for each in written]
    assert [part for each in asyncio.run(read()) for part in apart(*each)] == [
        (*rest, told(each)) for *rest, each in expected
    ]


async def test_a_delivery_that_is_here_comes_as_one_frame() -> None:
    """Its content comes along; what is cut short by a wrong frame comes apart, and the error in its turn."""
    head = frame.marshal(Basic.Deliver("c", 1, redelivered=False, routing_key="k"), 1)
    head += frame.marshal(ContentHeader(body_size=2), 1)
    reader = asyncio.StreamReader()
    reader.feed_data(head + frame.marshal(ContentBody(b"{}"), 1) + head + b"\x09\0\1\0\0\0\1\0\xce")
    reader.feed_eof()
    frames = FrameReader(reader)
    frames.started = True
    whole, deliver, header = [read async for _, _, read in _some(frames, 3)]
    assert isinstance(whole, Delivery)
    assert isinstance(deliver, Delivery)
    assert (whole.body, deliver.header, header.body_size) == (b"{}", None, 2)
    with pytest.raises(InvalidFrameError):
        await anext(frames)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (frame.marshal(Basic.Ack(1), 1)[:-3], AMQPConnectionError),
        (frame.marshal(Basic.Ack(1), 1)[:-1] + b"\0", InvalidFrameError),
        (b"\x09\0\1\0\0\0\1\0\xce", InvalidFrameError),
    ],
    ids=["cut short", "no end", "unknown kind"],
)
async def test_what_is_no_frame_ends_the_connection(data: bytes, error: type[Exception]) -> None:
    """As it does with aiormq: the service connects again."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    with pytest.raises(error):
        await read_from(reader)


async def test_a_lost_connection_is_told() -> None:
    """What the socket raises becomes aiormq's own error."""
    reader = asyncio.StreamReader()
    reader.set_exception(ConnectionResetError("gone"))
    with pytest.raises(AMQPConnectionError, match="gone"):
        await read_from(reader)


@given(
    st.dictionaries(TEXT, TEXT, max_size=3) | st.dictionaries(TEXT, st.integers(0, 9), max_size=3),
    st.binary(max_size=500),
    st.integers(1, 200),
)
@settings(max_examples=100, deadline=None)
def test_a_letter_is_what_pamqp_reads(headers: dict[str, Any], body: bytes, most: int) -> None:
    """A publish that is mandatory, its properties, and its body in pieces."""
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    letter = Letter(
        "order.created", body, "id", "order", "order.created.v1", "application/json", "u", "app", moment, headers
    )
    (_, _, publish), (_, _, header), *pieces = map(frame.unmarshal, letter.frames(7, "orders.events", most))
    assert isinstance(publish, Basic.Publish)
    assert isinstance(header, ContentHeader)
    assert (publish.exchange, publish.routing_key, publish.mandatory) == ("orders.events", "order.created", True)
    assert dict(header.properties) == dict(
        Basic.Properties(
            content_type="application/json",
            headers=headers,
            delivery_mode=2,
            correlation_id="order",
            message_id="id",
            timestamp=moment,
            message_type="order.created.v1",
            user_id="u",
            app_id="app",
        )
    )
    assert header.body_size == len(body)
    values = [piece.value for _, _, piece in pieces if isinstance(piece, ContentBody)]
    assert (b"".join(values), max(map(len, values), default=0) <= most) == (body, True)


def test_a_property_that_is_too_long_is_refused() -> None:
    """A short string has 255 bytes at most."""
    letter = Letter("k", b"", "i" * 256, "", "", "", "", "", datetime.now(UTC), {})
    with pytest.raises(ValueError, match="256 bytes"):
        list(letter.frames(1, "e", 100))
