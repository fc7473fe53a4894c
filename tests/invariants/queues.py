"""What the broker holds: depths and consumers by passive declaration, what is invisible by the management API."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import aio_pika
import httpx2
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity

from tests.invariants.design import DEAD, TIER, UNROUTED, WORK_QUEUES

_CYCLE = re.compile(r"Dead-letter queues cycle detected.*")
"""What a node logs of it (https://www.rabbitmq.com/docs/dlx#cycles)."""
_NAME = re.compile(r"<<\"([^\"]*)\">>")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A parked message. An id is empty where the message has none."""

    message_id: str
    order_id: str
    redrive: int
    error: str


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue at one moment."""

    name: str
    ready: int
    consumers: int
    invisible: int = 0
    """Messages that are neither ready nor unacknowledged."""
    dead_letters: Sequence[DeadLetter] = ()


@dataclass(frozen=True, slots=True)
class Drops:
    """What the broker threw away."""

    unroutable: int = 0
    """Messages that no queue was bound to, whose publisher did not ask to be told; since the node was started."""
    cycles: Sequence[str] = ()
    """The queues of each round of dead-lettering that lost messages; nobody counts these."""


@dataclass(frozen=True, slots=True)
class Broker:
    """The queues of one virtual host."""

    amqp_url: str
    management_url: str
    patience: float = 5.0
    """Seconds until what is neither ready nor unacknowledged counts as invisible; the API is a second behind."""
    log: Path | None = None
    """Where the node logs, if that can be read."""

    async def read(self) -> dict[str, Queue]:
        """Every queue that the design names or the broker has. One that is missing is missing in the answer, too."""
        invisible = await self._invisible()
        names = sorted({*invisible, *WORK_QUEUES, *(f"{name}{DEAD}" for name in WORK_QUEUES), UNROUTED})
        async with await aio_pika.connect(self.amqp_url, timeout=5) as connection:
            found = await _look(connection, names)
            return {
                queue.name: replace(
                    queue,
                    invisible=invisible.get(queue.name, 0),
                    dead_letters=await _peek(connection, queue) if queue.name.endswith(DEAD) and queue.ready else (),
                )
                for queue in found
            }

    async def depths(self, names: Sequence[str]) -> dict[str, int]:
        """How many messages are ready in each of these queues, now."""
        async with await aio_pika.connect(self.amqp_url, timeout=5) as connection:
            return {queue.name: queue.ready for queue in await _look(connection, names)}

    async def busy(self, *, resting: bool) -> dict[str, int]:
        """The queues that hold messages, ready or unacknowledged; dead letters and unrouted events may be `resting`."""
        statistics = {
            str(queue["name"]): int(queue.get("messages_unacknowledged", 0)) for queue in await self.statistics()
        }
        watched = [name for name in statistics if not resting or not (name.endswith(DEAD) or name == UNROUTED)]
        depths = await self.depths(watched)
        return {name: held for name in watched if (held := depths.get(name, 0) + statistics[name])}

    async def drops(self) -> Drops:
        """What was thrown away in this virtual host. The log tells of a cycle once, by names of queues alone."""
        unroutable = (await self._ask("vhosts")).get("message_stats", {}).get("drop_unroutable", 0)
        logged = _CYCLE.finditer(self.log.read_text(errors="replace")) if self.log else ()
        names = {str(queue["name"]) for queue in await self.statistics()} if self.log else set[str]()
        cycles = [sorted(set(_NAME.findall(found[0])) & names) for found in logged]
        return Drops(unroutable, [", ".join(cycle) for cycle in cycles if cycle])

    async def statistics(self) -> list[dict[str, Any]]:
        """What the management API tells of the queues; about a second old."""
        return await self._ask("queues")

    async def _ask(self, what: str) -> Any:
        vhost = quote(unquote(urlsplit(self.amqp_url).path.removeprefix("/")) or "/", safe="")
        async with httpx2.AsyncClient() as http:
            answer = await http.get(f"{self.management_url.rstrip('/')}/api/{what}/{vhost}", timeout=10)
            return answer.raise_for_status().json()

    async def _invisible(self) -> Mapping[str, int]:
        """Ask until nothing is invisible; what still is when the patience is over stays so."""
        ends = time.monotonic() + self.patience
        while True:
            invisible = {
                str(queue["name"]): int(queue.get("messages", 0))
                - int(queue.get("messages_ready", 0))
                - int(queue.get("messages_unacknowledged", 0))
                for queue in await self.statistics()
            }
            if not any(invisible.values()) or time.monotonic() > ends:
                return invisible
            await asyncio.sleep(0.2)


def is_tier(name: str) -> bool:
    """Whether a queue is one in which messages wait for their next attempt."""
    return name.startswith(TIER)


async def _look(connection: AbstractConnection, names: Sequence[str]) -> list[Queue]:
    """Those of the queues that exist."""
    found: list[Queue] = []
    channel = await connection.channel()
    for name in names:
        try:
            answer = (await channel.declare_queue(name, passive=True)).declaration_result
        except ChannelNotFoundEntity:  # which ends the channel
            channel = await connection.channel()
        else:
            found.append(Queue(name, answer.message_count or 0, answer.consumer_count or 0))
    return found


async def _peek(connection: AbstractConnection, queue: Queue) -> list[DeadLetter]:
    """Read the messages of a queue that nobody consumes; they go back when the channel is closed."""
    seen: list[DeadLetter] = []
    async with connection.channel() as channel:
        letters = await channel.get_queue(queue.name, ensure=False)
        while message := await letters.get(fail=False):
            headers: dict[str, Any] = dict(message.headers)
            seen.append(
                DeadLetter(
                    message_id=message.message_id or "",
                    order_id=message.correlation_id or "",
                    redrive=headers.get("x-redrive", 0),
                    error=str(headers.get("x-error-class", "")),
                )
            )
    return seen
