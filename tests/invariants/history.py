"""What clients saw: one record per request that asked for an order, kept as JSON lines.

    answer = await ask(http, body, key)   # never raises for what the network does
    history.append(answer)
    write(history, path); assert read(path) == history

A request's body names its idempotency key as the customer (`customer_id`), so that the orders stored under a key can be
counted without a look at how the service keeps its keys.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2


@dataclass(frozen=True, slots=True)
class Answer:
    """A request for an order and what came of it. Times are seconds of one monotonic clock."""

    key: str | None
    """The idempotency key; None if none was sent."""
    digest: str
    """Of the body's bytes, by SHA-256."""
    status: int | None
    """None when nothing came: a timeout, a connection that was refused or reset."""
    order_id: str | None
    """The order that the answer names."""
    sent: float
    answered: float
    """When it was answered, or given up."""

    @property
    def accepted(self) -> bool:
        """Whether the client was told that the order exists."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def indeterminate(self) -> bool:
        """Whether the client cannot know what became of it."""
        return self.status is None or self.status >= 500

    @property
    def ended(self) -> float:
        """When it was certainly over; what nobody answered may go on for ever."""
        return float("inf") if self.indeterminate else self.answered


async def ask(http: httpx2.AsyncClient, body: Mapping[str, Any], key: str | None = None) -> Answer:
    """Ask for an order, once."""
    content = json.dumps(body, sort_keys=True).encode()
    headers = {"Content-Type": "application/json", **({} if key is None else {"Idempotency-Key": key})}
    status = order_id = None
    sent = time.monotonic()
    try:
        answer = await http.post("/orders", content=content, headers=headers)
    except httpx2.TransportError:
        pass  # indeterminate, as the record says
    else:
        status = answer.status_code
        order_id = str(answer.json()["order_id"]) if answer.is_success else None
    return Answer(key, hashlib.sha256(content).hexdigest(), status, order_id, sent, time.monotonic())


def write(history: Iterable[Answer], path: Path) -> None:
    """Write a history, a line an answer."""
    path.write_text("".join(f"{json.dumps(asdict(answer))}\n" for answer in history))


def read(path: Path) -> list[Answer]:
    """Read a history."""
    return [Answer(**json.loads(line)) for line in path.read_text().splitlines()]
