"""A message as it arrived: what the fast path needs of it, without what aio-pika and FastStream make of each.

Importing this module lets aiormq and aio-pika hand deliveries as they are to consumers made by `as_it_arrives`, for the
whole process; every other one gets aio-pika's own message, in a task of its own, as before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import cached_property, partial
from typing import Any, cast

import aio_pika.queue
import structlog
from aio_pika import IncomingMessage
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelInvalidStateError
from faststream.rabbit.message import RabbitMessage
from pamqp.commands import Basic

from messaging.channels import deal_at_once
from messaging.frames import Delivery

log = structlog.get_logger(__name__)


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


Take = Callable[[Arrival], Coroutine[Any, Any, None] | None]
"""Takes an arrival in the turn in which it is read; what is left to do, which must wait for something, is returned."""


def as_it_arrives(take: Take) -> Callable[[Any], Awaitable[None]]:
    """A consumer for aio-pika's queues that is given arrivals; there is a task only for what `take` has left to do."""

    async def consume(arrival: Arrival) -> None:
        if rest := take(arrival):
            await rest

    setattr(consume, _MARK, take)
    return consume


_MARK = "takes_arrivals"
_usual_consumer = aio_pika.queue.consumer


async def _consume(callback: Any, msg: DeliveredMessage, *, no_ack: bool) -> Any:
    if hasattr(callback, _MARK):
        return await callback(Arrival(msg))
    return await _usual_consumer(callback, msg, no_ack=no_ack)


def _deliver(channel: Any, frame: Basic.Deliver) -> bool:
    """Hand over a delivery that is all here."""
    if not isinstance(frame, Delivery) or frame.header is None:
        return False
    consumer: Callable[[DeliveredMessage], Coroutine[Any, Any, None]] | None = channel.consumers.get(frame.consumer_tag)
    if consumer is None:  # cancelled
        return True
    message = DeliveredMessage(delivery=cast("Any", frame), header=frame.header, body=frame.body, channel=channel)
    take = _take_of(consumer)
    try:
        rest = consumer(message) if take is None else take(Arrival(message))
    except Exception:  # as of what a task of aiormq's raises: the message stays unacknowledged
        log.exception("a delivery was not taken")
        return True
    if rest is not None:
        channel.create_task(rest).add_done_callback(channel._on_consumer_done)  # noqa: SLF001
    return True


def _take_of(consumer: Any) -> Take | None:
    """What `as_it_arrives` was given, if aio-pika's consumer goes by one that it made."""
    return getattr(consumer.args[0], _MARK, None) if isinstance(consumer, partial) else None


aio_pika.queue.consumer = _consume
deal_at_once(Delivery, "_on_deliver_frame", _deliver)
