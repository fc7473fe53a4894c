"""The exchanges, queues and bindings on the broker, as data. Nothing else in the system names one.

Everything is durable. The shapes and their reasons:

* a work queue's own dead-letter exchange leads to its terminal dead-letter queue, never to a retry tier: RabbitMQ's
  cycle detection would drop the message on its second round (https://www.rabbitmq.com/docs/dlx);
* a tier has one fixed TTL (mixed ones block each other) and dead-letters at least once, back to the origin queue
  (https://www.rabbitmq.com/docs/quorum-queues#dead-lettering);
* the default exchange is never used: returns and replays go through `orders.requeue`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

EVENTS = "orders.events"
UNROUTED = "orders.unrouted"
REQUEUE = "orders.requeue"
DEAD = "orders.dead"

DEFAULT_TIERS = ("1s", "5s", "30s", "2m", "10m")
"""How long a message that failed for a passing reason waits before its next attempt."""

MAX_TIER_LENGTH = 100_000
"""Messages that wait in one tier at most; beyond it the broker refuses and the consumer keeps the message."""
DELIVERY_LIMIT = 50
"""Deliveries of one message before the broker itself gives up on it: far above what the suspect lane allows."""
MOVING = ".moving"
RESTING = frozenset({"dead-letter", "unrouted"})
"""Kinds of queues whose messages wait for a person."""
UNLIMITED_DELIVERIES = 1_000_000_000
"""A parked message may be read any number of times; RabbitMQ 4 would otherwise drop it after 20."""

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_DURATION = re.compile(r"^(\d+)(ms|s|m|h)$")

Argument = str | int
Delay = Annotated[str, Field(pattern=_DURATION.pattern)]

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Exchange(BaseModel):
    """A durable exchange."""

    model_config = _FROZEN
    name: str
    type: Literal["topic", "direct", "fanout"]
    arguments: dict[str, Argument] = {}


class Queue(BaseModel):
    """A durable quorum queue."""

    model_config = _FROZEN
    name: str
    kind: Literal["work", "dead-letter", "retry", "unrouted"]
    arguments: dict[str, Argument]


class Binding(BaseModel):
    """Messages of `exchange` with this routing key go to `queue`."""

    model_config = _FROZEN
    exchange: str
    queue: str
    routing_key: str


class Topology(BaseModel):
    """All that the broker must hold."""

    model_config = _FROZEN
    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]

    def with_tiers(self, delays: Sequence[Delay]) -> Topology:
        """The same with other retry tiers; a queue that stays keeps the arguments that it is described with."""
        known = {queue.name: queue for queue in self.queues}
        made = topology([queue.name for queue in self.queues if queue.kind == "work"], delays)
        return made.model_copy(update={"queues": tuple(known.get(queue.name, queue) for queue in made.queues)})

    def by_name(self) -> Topology:
        """The same, sorted by name within each kind."""
        return Topology(
            exchanges=tuple(sorted(self.exchanges, key=lambda exchange: exchange.name)),
            queues=tuple(sorted(self.queues, key=lambda queue: queue.name)),
            bindings=tuple(sorted(self.bindings, key=lambda each: (each.exchange, each.queue, each.routing_key))),
        )


def milliseconds(delay: Delay) -> int:
    """A delay like `30s` in milliseconds. Raises ValueError for anything else."""
    match = _DURATION.match(delay)
    if match is None:
        msg = f"{delay!r} is no delay: a whole number and ms, s, m or h, as in 30s"
        raise ValueError(msg)
    return int(match[1]) * _UNITS[match[2]]


def queue_name(service: str, event_name: str) -> str:
    """The work queue in which a service receives an event."""
    return f"{service}.{event_name}"


def event_of(queue: str) -> str:
    """The event that a work queue holds: its name without the service."""
    return queue.partition(".")[2]


def dead_letter_queue(queue: str) -> str:
    """Where messages of a work queue are parked."""
    return f"{queue}.dlq"


def retry_tier(delay: Delay) -> str:
    """The name of a tier's exchange and queue."""
    return f"orders.retry.{delay}"


def moving(queue: str) -> str:
    """The queue, and the exchange in front of it, that stand in while a queue is made anew."""
    return f"{queue}{MOVING}"


def topology(work_queues: Iterable[str], delays: Sequence[Delay] = DEFAULT_TIERS) -> Topology:
    """The whole topology for these work queues and retry tiers, sorted by name within each kind."""
    work = sorted(set(work_queues))
    tiers = [retry_tier(delay) for delay in delays]
    return Topology(
        exchanges=(
            Exchange(name=EVENTS, type="topic", arguments={"alternate-exchange": UNROUTED}),
            Exchange(name=UNROUTED, type="fanout"),
            Exchange(name=REQUEUE, type="direct"),
            Exchange(name=DEAD, type="direct"),
            *(Exchange(name=tier, type="fanout") for tier in tiers),
        ),
        queues=(
            *(Queue(name=name, kind="work", arguments=_work_arguments(name)) for name in work),
            *(Queue(name=dead_letter_queue(name), kind="dead-letter", arguments=keep_all()) for name in work),
            *(
                Queue(name=tier, kind="retry", arguments=_tier_arguments(milliseconds(delay)))
                for tier, delay in zip(tiers, delays, strict=True)
            ),
            Queue(name=UNROUTED, kind="unrouted", arguments=keep_all()),
        ),
        bindings=(
            *(Binding(exchange=EVENTS, queue=name, routing_key=event_of(name)) for name in work),
            *(Binding(exchange=REQUEUE, queue=name, routing_key=name) for name in work),
            *(Binding(exchange=DEAD, queue=dead_letter_queue(name), routing_key=name) for name in work),
            *(Binding(exchange=tier, queue=tier, routing_key="") for tier in tiers),
            Binding(exchange=UNROUTED, queue=UNROUTED, routing_key=""),
        ),
    )


def _at_least_once(dead_letter_exchange: str) -> dict[str, Argument]:
    """Dead-lettering that survives a crash of the broker; it requires reject-publish."""
    return {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": dead_letter_exchange,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def _work_arguments(name: str) -> dict[str, Argument]:
    return {**_at_least_once(DEAD), "x-dead-letter-routing-key": name, "x-delivery-limit": DELIVERY_LIMIT}


def _tier_arguments(ttl: int) -> dict[str, Argument]:
    return {**_at_least_once(REQUEUE), "x-message-ttl": ttl, "x-max-length": MAX_TIER_LENGTH}


def keep_all() -> dict[str, Argument]:
    """The arguments of a queue from which nothing is ever dropped or expires."""
    return {"x-queue-type": "quorum", "x-delivery-limit": UNLIMITED_DELIVERIES}
