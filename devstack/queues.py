"""Queues and their depths, as RabbitMQ's management API tells them."""

from dataclasses import dataclass
from typing import Any

import httpx2

from devstack.errors import StackError


@dataclass(frozen=True)
class Queue:
    """A queue of the broker. `depth` counts messages that wait and messages that are being worked on."""

    name: str
    depth: int
    consumers: int


def queues(management_url: str) -> list[Queue]:
    """Return all queues, by name."""
    try:
        answer = httpx2.get(f"{management_url.rstrip('/')}/api/queues", timeout=10)
        answer.raise_for_status()
    except httpx2.HTTPError as failure:
        raise StackError(f"RabbitMQ's management API: {failure}") from failure
    listed: list[dict[str, Any]] = answer.json()
    return sorted(
        (Queue(queue["name"], queue.get("messages", 0), queue.get("consumers", 0)) for queue in listed),
        key=lambda queue: queue.name,
    )
