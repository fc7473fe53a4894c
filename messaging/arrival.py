"""A message as it arrived: what the fast path needs of it, without what aio-pika and FastStream make of each.

Importing this module lets aio-pika hand deliveries as they are to consumers marked by `as_it_arrives`, for the whole
process; every other one gets aio-pika's own message, in a task of its own, as before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any, TypeVar, cast

import aio_pika.queue
from aio_pika import IncomingMessage
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelInvalidStateError
from faststream.rabbit.message import RabbitMessage

Consume = TypeVar("Consume", bound=Callable[..., Awaitable[None]])


class Arrival:
    """A delivery. Reads like FastStream's message, and like aio-pika's under it."""

    def __init__(self, delivered: DeliveredMessage) -> None:
        delivery, properties = cast("Any", delivered.delivery), delivered.header.properties
        self._delivered = delivered
        self.body = delivered.body
        self.headers: dict[str, Any] = cast("Any", properties.headers) or {}
        self.delivery_tag: int = delivery.delivery_tag
        self.redelivered: bool = delivery.redelivered
        self.content_type = properties.content_type
        self.content_encoding = properties.content_encoding
        self.message_id = properties.message_id
        self.correlation_id = properties.correlation_id
        self.type = properties.message_type

    @property
    def raw_message(self) -> Arrival:
        """Itself: there are no two layers."""
        return self

    @property
    def channel(self) -> Any:
        """Where it came. Raises ChannelInvalidStateError once that is closed."""
        if self._delivered.channel.is_closed:
            raise ChannelInvalidStateError
        return self._delivered.channel

    @cached_property
    def incoming(self) -> IncomingMessage:
        """What aio-pika makes of it."""
        return IncomingMessage(self._delivered)

    @cached_property
    def message(self) -> RabbitMessage:
        """What FastStream's parser makes of that."""
        raw = self.incoming
        return RabbitMessage(
            body=raw.body,
            headers=raw.headers,
            content_type=raw.content_type,
            message_id=raw.message_id or "",
            correlation_id=raw.correlation_id or "",
            raw_message=raw,
        )


def as_it_arrives(consume: Consume) -> Consume:
    """Mark a consumer, a coroutine function: it is given arrivals."""
    setattr(consume, _MARK, True)
    return consume


_MARK = "takes_arrivals"
_usual = aio_pika.queue.consumer


async def _hand_over(callback: Any, msg: DeliveredMessage, *, no_ack: bool) -> Any:
    if getattr(callback, _MARK, False):
        return await callback(Arrival(msg))
    return await _usual(callback, msg, no_ack=no_ack)


aio_pika.queue.consumer = _hand_over
