"""Real messages, read with the models of today, as their consumers would read them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import ChannelNotFoundEntity

from contracts.event import Event
from messaging.envelope import ERROR_CLASS, Poison, read_envelope, read_event
from messaging.topology import Topology, event_of

CONNECT_TIMEOUT = 10.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One message, in the shape in which the pipeline gets its messages."""

    origin: str
    """The file, or the queue."""
    body: bytes
    headers: dict[str, Any] = field(default_factory=dict)
    type: str | None = None
    """The AMQP property, for example `order.created.v1`; without it, the routing key tells the event."""
    routing_key: str = ""
    message_id: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    redelivered: bool = False

    @property
    def raw_message(self) -> Sample:
        """Where the pipeline looks for the properties."""
        return self

    @property
    def name(self) -> str:
        """What it calls itself."""
        return self.type or self.routing_key or "no type"

    @classmethod
    def of(cls, origin: str, message: AbstractIncomingMessage) -> Sample:
        """Take it from a delivery."""
        return cls(
            origin,
            message.body,
            dict(message.headers),
            message.type,
            message.routing_key or "",
            message.message_id,
            message.content_type,
            message.content_encoding,
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """A sample and what came of reading it."""

    sample: Sample
    problem: str = ""
    """Why it cannot be read; without its content, which may be personal."""

    @property
    def breaking(self) -> bool:
        """Whether today's models refuse it, and the code that ran did not: that has parked what it refused."""
        return bool(self.problem) and self.sample.headers.get(ERROR_CLASS) != Poison.__name__


def read(sample: Sample, events: Collection[type[Event]]) -> Reading:
    """Read a message exactly as its consumer would."""
    kind = _kind(sample, events)
    if kind is None:
        return Reading(sample, "no event of today has its type")
    try:
        read_event(kind, sample)
        read_envelope(sample.origin, sample)
    except Poison as poison:
        return Reading(sample, str(poison))
    return Reading(sample)


def _kind(sample: Sample, events: Collection[type[Event]]) -> type[Event] | None:
    """The event's class, by its type, else by its routing key: the event's name, or the work queue that it is from."""
    if sample.type is not None:
        return {event.message_type(): event for event in events}.get(sample.type)
    by_name = {event.name: event for event in events}
    return by_name.get(sample.routing_key) or by_name.get(event_of(sample.routing_key))


def totals(readings: Iterable[Reading]) -> dict[str, tuple[int, int]]:
    """For each type: how many messages there were, and how many of them are newly refused."""
    found: dict[str, tuple[int, int]] = {}
    for reading in readings:
        count, refused = found.get(reading.sample.name, (0, 0))
        found[reading.sample.name] = (count + 1, refused + reading.breaking)
    return dict(sorted(found.items()))


async def queued(topology: Topology, amqp_url: str, most: int) -> tuple[list[Sample], list[str]]:
    """Messages that wait on a broker, at most that many of each queue, and the queues that were left alone.

    They are taken without an acknowledgement and given back, in order, when the channel is closed: nothing is lost,
    whatever becomes of this process. RabbitMQ counts that as a delivery and marks the message as redelivered, which
    makes a service handle it alone; so a work queue that somebody consumes is left alone.
    """
    found: list[Sample] = []
    left: list[str] = []
    async with await aio_pika.connect(amqp_url, timeout=CONNECT_TIMEOUT) as connection:
        for queue in topology.queues:
            async with connection.channel() as channel:
                try:
                    source = await channel.declare_queue(queue.name, passive=True)
                except ChannelNotFoundEntity:
                    continue
                if queue.kind == "work" and source.declaration_result.consumer_count:
                    left.append(queue.name)
                else:
                    found += await _look(source, most)
    return found, left


async def _look(source: AbstractQueue, most: int) -> list[Sample]:
    found: list[Sample] = []
    while len(found) < most and (message := await source.get(fail=False)) is not None:
        found.append(Sample.of(source.name, message))
    return found
