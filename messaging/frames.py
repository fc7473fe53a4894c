"""AMQP frames, read many at a time; those that every message comes with are decoded here, all others by pamqp.

aiormq awaits four times for each frame, and pamqp looks up how to read each field by its type: together a third of what
the delivery of a message costs. What is not as usual is left to pamqp, errors above all, so that both read the same
(https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf, 2.3.5 and 4.2).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from struct import Struct, error
from typing import Any

import aiormq.connection
from aiormq.exceptions import AMQPConnectionError, InvalidFrameError
from pamqp import frame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.constants import FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_METHOD
from pamqp.exceptions import PAMQPException
from pamqp.header import ContentHeader
from typing_extensions import override

from messaging.unreadable import MOST_BYTES

CHUNK = 128 * 1024
"""Bytes that are taken from the socket at once, at most."""

_HEAD, _INDEX, _TAG, _BASIC = Struct(">BHI"), Struct(">I"), Struct(">QB"), Struct(">HHQH")
_LENGTH, _SECONDS = Struct(">I"), Struct(">Q")
_MORE = 0x0003
"""Flags of properties that there are none of."""
_LATEST = 0xFFFFFFFF
"""Seconds; pamqp takes more for milliseconds."""
_TEXT = ord("S")
_DELIVER, _ACK = Basic.Deliver.index, Basic.Ack.index


class _Unusual(Exception):  # noqa: N818 - an outcome
    """Pamqp knows what to make of it."""


class Delivery(Basic.Deliver):
    """A delivery, with its content if that came along with it: three frames that are passed on as one."""

    header: ContentHeader | None = None
    """None: header and body follow as frames of their own."""
    body: bytes = b""


class FrameReader(aiormq.connection.FrameReceiver):
    """Aiormq's source of frames. The first one, by which a connection is opened, it reads itself."""

    _taken: bytes = b""
    _at: int = 0

    @override
    async def get_frame(self) -> Any:
        if not self.started:
            return await super().get_frame()
        while (found := self._next()) is None:
            await self._take()
        length, channel, read = found
        if isinstance(read, Delivery):
            length += self._add_content(channel, read)
        return length, channel, read

    def _add_content(self, channel: int, delivery: Delivery) -> int:
        """Take its header and body, if they come next and the body is in one piece. Returns how long they are."""
        begin = self._at
        with suppress(InvalidFrameError):  # it is raised when its turn comes
            header, body = self._next(), self._next()
            if header and body and header[1] == body[1] == channel and _is_all(header[2], body[2]):
                delivery.header, delivery.body = header[2], body[2].value
                return header[0] + body[0]
        self._at = begin
        return 0

    async def _take(self) -> None:
        """Wait for more. Raises StopAsyncIteration at the end, AMQPConnectionError where a frame is cut short."""
        try:
            chunk = await self.reader.read(CHUNK)
        except OSError as lost:
            raise AMQPConnectionError(f"the connection was lost: {lost!r}") from lost
        rest = self._taken[self._at :]
        if not chunk:
            if rest:
                raise AMQPConnectionError(f"the connection was closed after {len(rest)} bytes of a frame")
            raise StopAsyncIteration
        self._taken, self._at = rest + chunk, 0

    def _next(self) -> tuple[int, int, Any] | None:
        """The next frame, its length and its channel, if all of it is here. Raises InvalidFrameError."""
        data, begin = self._taken, self._at
        if len(data) - begin < _HEAD.size:
            return None
        kind, channel, size = _HEAD.unpack_from(data, begin)
        first = begin + _HEAD.size
        last = first + size
        if len(data) <= last:
            return None
        self._at = last + 1
        try:
            decoded = _decode(kind, data, first, last)
        except (_Unusual, IndexError, ValueError, OverflowError, OSError, error):
            try:
                return frame.unmarshal(data[begin : last + 1])
            except PAMQPException as wrong:
                raise InvalidFrameError(str(wrong)) from wrong
        return last + 1 - begin, channel, decoded


def _is_all(header: Any, body: Any) -> bool:
    return isinstance(header, ContentHeader) and isinstance(body, ContentBody) and header.body_size == len(body.value)


def _decode(kind: int, data: bytes, at: int, end: int) -> Any:
    if data[end] != FRAME_END:
        raise _Unusual
    if kind == FRAME_BODY and end > at:
        return ContentBody(data[at:end])
    if kind == FRAME_HEADER:
        return _content_header(data, at, end)
    if kind == FRAME_METHOD:
        index = _INDEX.unpack_from(data, at)[0]
        if index == _DELIVER:
            return _deliver(data, at + _INDEX.size, end)
        if index == _ACK:
            return _ack(data, at + _INDEX.size, end)
    raise _Unusual


def _deliver(data: bytes, at: int, end: int) -> Delivery:
    deliver = Delivery.__new__(Delivery)
    deliver.consumer_tag, at = _text(data, at, end)
    deliver.delivery_tag, bits = _TAG.unpack_from(data, at)
    deliver.redelivered = bits & 1 == 1
    deliver.exchange, at = _text(data, at + _TAG.size, end)
    deliver.routing_key, at = _text(data, at, end)
    if at != end:
        raise _Unusual
    return deliver


def _ack(data: bytes, at: int, end: int) -> Basic.Ack:
    ack = Basic.Ack.__new__(Basic.Ack)
    ack.delivery_tag, bits = _TAG.unpack_from(data, at)
    ack.multiple = bits & 1 == 1
    if at + _TAG.size != end:
        raise _Unusual
    return ack


def _content_header(data: bytes, at: int, end: int) -> ContentHeader:
    if end - at > MOST_BYTES:
        raise _Unusual
    class_id, weight, body_size, flags = _BASIC.unpack_from(data, at)
    at += _BASIC.size
    if flags & _MORE:
        raise _Unusual
    properties = Basic.Properties()
    for name, read in _present(flags):
        value, at = read(data, at, end)
        setattr(properties, name, value)
    if at != end:
        raise _Unusual
    header = ContentHeader(weight, body_size, properties)
    header.class_id = class_id
    return header


def _text(data: bytes, at: int, end: int) -> tuple[str, int]:
    """A short string, and where it ends."""
    first = at + 1
    last = first + data[at]
    if last > end:
        raise _Unusual
    return data[first:last].decode(), last


def _table(data: bytes, at: int, end: int) -> tuple[Any, int]:
    """A table of texts, and where it ends."""
    first = at + _LENGTH.size
    last = first + _LENGTH.unpack_from(data, at)[0]
    if last > end:
        raise _Unusual
    table: dict[str, str] = {}
    at = first
    while at < last:
        name, at = _text(data, at, last)
        if data[at] != _TEXT:
            raise _Unusual
        at += 1
        length = _LENGTH.unpack_from(data, at)[0]
        at += _LENGTH.size
        if at + length > last:
            raise _Unusual
        table[name] = data[at : at + length].decode()
        at += length
    return table, last


def _octet(data: bytes, at: int, _: int) -> tuple[int, int]:
    return data[at], at + 1


def _moment(data: bytes, at: int, _: int) -> tuple[datetime, int]:
    seconds = _SECONDS.unpack_from(data, at)[0]
    if seconds > _LATEST:
        raise _Unusual
    return _at(seconds), at + _SECONDS.size


@lru_cache(maxsize=16)
def _at(seconds: int) -> datetime:
    """Hundreds of messages come with the same one."""
    return datetime.fromtimestamp(seconds, tz=UTC)


_Read = Callable[[bytes, int, int], tuple[Any, int]]
_PROPERTIES: tuple[tuple[int, str, _Read], ...] = (
    (0x8000, "content_type", _text),
    (0x4000, "content_encoding", _text),
    (0x2000, "headers", _table),
    (0x1000, "delivery_mode", _octet),
    (0x0800, "priority", _octet),
    (0x0400, "correlation_id", _text),
    (0x0200, "reply_to", _text),
    (0x0100, "expiration", _text),
    (0x0080, "message_id", _text),
    (0x0040, "timestamp", _moment),
    (0x0020, "message_type", _text),
    (0x0010, "user_id", _text),
    (0x0008, "app_id", _text),
    (0x0004, "cluster_id", _text),
)
"""Flag, name, and how it is read, in the order in which they come."""


@lru_cache(maxsize=64)
def _present(flags: int) -> tuple[tuple[str, _Read], ...]:
    """Those of a message that has these flags; a service's messages all have the same."""
    return tuple((name, read) for flag, name, read in _PROPERTIES if flags & flag)
