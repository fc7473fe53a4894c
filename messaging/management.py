"""What a live broker holds, as RabbitMQ's management API tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx2

TIMEOUT = 30.0
"""Seconds for one question."""

BUILT_IN = "amq."
"""How the names of exchanges begin that every virtual host has."""


class ManagementUnavailable(Exception):  # noqa: N818 - a state
    """The management API did not answer, or refused."""


@dataclass(frozen=True, slots=True)
class LiveObject:
    """An exchange or a queue: the properties of its declaration, and the policy that applies to it."""

    properties: Mapping[str, Any]
    """`type` (of an exchange), `durable`, `auto_delete`."""
    arguments: Mapping[str, Any]
    policy: Mapping[str, Any]
    """The definitions of the policies that apply to it."""


@dataclass(frozen=True, slots=True)
class LiveConsumer:
    """A consumer."""

    queue: str
    prefetch: int
    """0 stands for unlimited."""
    connection: str


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """What is in a queue and what moves, some seconds old. Rates are messages a second."""

    ready: int
    unacknowledged: int
    messages: int
    """All of them. More than ready and unacknowledged: dead-lettering at least once has nowhere to put some."""
    consumers: int
    publish_rate: float
    deliver_rate: float
    acknowledge_rate: float
    published: int
    """By clients, since the statistics began; what the broker dead-lettered into the queue is not counted."""
    taken: int
    """Acknowledged, or delivered to somebody who need not, since the statistics began."""

    @property
    def unaccounted(self) -> int:
        """Messages that are neither ready nor delivered; counted a moment apart, so never below nothing."""
        return max(self.messages - self.ready - self.unacknowledged, 0)


@dataclass(frozen=True, slots=True)
class Live:
    """All that a virtual host holds, apart from what every virtual host has and from exclusive queues."""

    exchanges: Mapping[str, LiveObject]
    queues: Mapping[str, LiveObject]
    bindings: frozenset[tuple[str, str, str]]
    """(exchange, queue, routing key); a binding to another exchange has `exchange:` before its name."""
    consumers: tuple[LiveConsumer, ...]
    statistics: Mapping[str, QueueStatistics] = field(default_factory=dict[str, QueueStatistics])
    """Of each queue that is old enough to have some."""


def virtual_host(amqp_url: str) -> str:
    """The virtual host that an AMQP URL names; `/` when it names none."""
    return unquote(urlsplit(amqp_url).path.removeprefix("/")) or "/"


def user_of(amqp_url: str) -> str:
    """The user whom an AMQP URL names; RabbitMQ's `guest` when it names none."""
    return unquote(urlsplit(amqp_url).username or "guest")


@contextmanager
def asking(what: str) -> Generator[None]:
    """Raise ManagementUnavailable, naming what was asked, for a request that fails or is refused."""
    try:
        yield
    except httpx2.HTTPStatusError as error:
        raise ManagementUnavailable(f"{what}: {error.response.status_code}") from None
    except httpx2.HTTPError as error:
        raise ManagementUnavailable(f"{what}: {type(error).__name__}") from None


async def read_broker(management_url: str, vhost: str) -> Live:
    """Ask for everything in a virtual host; of consumers the API learns some seconds late.

    Raises ManagementUnavailable.
    """
    async with httpx2.AsyncClient(timeout=TIMEOUT) as http:

        async def ask(what: str) -> Any:
            address = f"{management_url.rstrip('/')}/api/{what}/{quote(vhost, safe='')}"
            with asking(f"{what} of {vhost}"):
                return (await http.get(address)).raise_for_status().json()

        exchanges, queues, bindings, consumers = await asyncio.gather(
            ask("exchanges"), ask("queues"), ask("bindings"), ask("consumers")
        )
    exclusive = {queue["name"] for queue in queues if queue.get("exclusive")}
    return Live(
        exchanges={
            each["name"]: _live(each, "type", "durable", "auto_delete", "internal")
            for each in exchanges
            if each["name"] and not each["name"].startswith(BUILT_IN)
        },
        queues={
            each["name"]: _live(each, "durable", "auto_delete") for each in queues if each["name"] not in exclusive
        },
        bindings=frozenset(
            (
                each["source"],
                each["destination"] if each["destination_type"] == "queue" else f"exchange:{each['destination']}",
                each["routing_key"],
            )
            for each in bindings
            if each["source"] and each["destination"] not in exclusive
        ),
        consumers=tuple(
            LiveConsumer(
                each["queue"]["name"],
                each["prefetch_count"],
                _connection_of(each),
            )
            for each in consumers
            if each["queue"]["name"] not in exclusive
        ),
        statistics={
            each["name"]: _statistics(each) for each in queues if each["name"] not in exclusive and "messages" in each
        },
    )


def _statistics(queue: Mapping[str, Any]) -> QueueStatistics:
    moved: Mapping[str, Any] = queue.get("message_stats") or {}

    def rate(what: str) -> float:
        details: Mapping[str, Any] = moved.get(f"{what}_details") or {}
        return float(details.get("rate", 0.0))

    return QueueStatistics(
        ready=queue.get("messages_ready", 0),
        unacknowledged=queue.get("messages_unacknowledged", 0),
        messages=queue["messages"],
        consumers=queue.get("consumers", 0),
        publish_rate=rate("publish"),
        deliver_rate=rate("deliver_get"),
        acknowledge_rate=rate("ack"),
        published=moved.get("publish", 0),
        taken=sum(moved.get(what, 0) for what in ("ack", "deliver_no_ack", "get_no_ack")),
    )


def _connection_of(consumer: Mapping[str, Any]) -> str:
    details: Mapping[str, Any] = consumer.get("channel_details") or {}  # an empty list while it is not known yet
    return details.get("connection_name", "")


async def depth(management_url: str, vhost: str, queue: str) -> int:
    """Messages in a queue, delivered and unacknowledged ones too; some seconds old. Raises ManagementUnavailable."""
    async with httpx2.AsyncClient(timeout=TIMEOUT) as http:
        address = f"{management_url.rstrip('/')}/api/queues/{quote(vhost, safe='')}/{quote(queue, safe='')}"
        try:
            answer = await http.get(address)
            answer.raise_for_status()
        except httpx2.HTTPError as error:
            raise ManagementUnavailable(f"{queue}: {type(error).__name__}") from None
        return int(answer.json().get("messages", 1))  # a queue that is younger than its statistics is not known empty


def _live(told: Mapping[str, Any], *properties: str) -> LiveObject:
    policy: Any = told.get("effective_policy_definition") or {}
    return LiveObject(
        {name: told[name] for name in properties},
        told["arguments"] or {},
        policy if isinstance(policy, dict) else {},  # pyright: ignore[reportUnknownArgumentType]
    )
