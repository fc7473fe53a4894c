"""Queues and their depths, as RabbitMQ's management API tells them."""

import time
from dataclasses import dataclass
from typing import Any

import httpx2

from devstack.errors import StackError

_POLL_SECONDS = 0.25


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


def settled_queues(management_url: str, *, seconds: float = 4) -> list[Queue]:
    """Return all queues once they are empty and consumed, or as they are when the time is up.

    RabbitMQ refreshes these numbers about once a second, so right after the last message they may be old.
    """
    deadline = time.monotonic() + seconds
    while True:
        listed = queues(management_url)
        settled = not any(queue.depth for queue in listed) and any(queue.consumers for queue in listed)
        if settled or time.monotonic() > deadline:
            return listed
        time.sleep(_POLL_SECONDS)
