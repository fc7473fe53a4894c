"""Queues and their depths: names from RabbitMQ's management API, numbers from the queues themselves.

The management API's numbers are seconds old; a passive declaration is answered by the queue, now.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aio_pika
import httpx2

from devstack.errors import StackError
from devstack.threads import run_apart
from messaging.management import virtual_host


@dataclass(frozen=True)
class Queue:
    """A queue of the broker. `depth` counts the messages that wait in it."""

    name: str
    depth: int
    consumers: int


def queues(amqp_url: str, management_url: str) -> list[Queue]:
    """Return all queues of the URL's virtual host, by name."""
    vhost = quote(virtual_host(amqp_url), safe="")
    try:
        answer = httpx2.get(f"{management_url.rstrip('/')}/api/queues/{vhost}?columns=name", timeout=10)
        answer.raise_for_status()
    except httpx2.HTTPError as failure:
        raise StackError(f"RabbitMQ's management API: {failure}") from failure
    listed: list[dict[str, Any]] = answer.json()
    names = sorted(str(queue["name"]) for queue in listed)

    async def ask() -> list[Queue]:
        async with await aio_pika.connect(amqp_url, timeout=5) as connection:
            channel = await connection.channel()
            answers = [(await channel.declare_queue(name, passive=True)).declaration_result for name in names]
        return [
            Queue(name, answer.message_count or 0, answer.consumer_count or 0)
            for name, answer in zip(names, answers, strict=True)
        ]

    return run_apart(ask)
