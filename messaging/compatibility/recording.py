"""Messages in files: one JSON file each, with the fields of `Recorded`.

They hold all that the messages hold, personal data too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from messaging.compatibility.samples import CONNECT_TIMEOUT, Sample
from messaging.envelope import CONTENT_TYPE, problems
from messaging.management import read_broker, virtual_host
from messaging.topology import EVENTS

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600


class UnreadableError(ValueError):
    """A file is no recorded message."""


class Recorded(BaseModel):
    """One file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    payload: JsonValue
    headers: dict[str, JsonValue] = {}
    type: str | None = None
    """The AMQP property, for example `order.created.v1`; without it, the routing key tells the event."""
    routing_key: str = ""
    message_id: str | None = None
    """The AMQP property; where a file does not give it, it is taken to be as it should."""
    content_type: str | None = CONTENT_TYPE

    def sample(self, origin: str) -> Sample:
        """The message."""
        fallback = self.payload.get("event_id") if isinstance(self.payload, dict) else None
        return Sample(
            origin,
            json.dumps(self.payload).encode(),
            dict(self.headers),
            self.type,
            self.routing_key,
            self.message_id or (None if fallback is None else str(fallback)),
            self.content_type,
        )


def recorded(folder: Path) -> Iterator[Sample]:
    """The messages in a folder, by file name. Raises UnreadableError, naming the file, for one that holds none."""
    for file in sorted(folder.glob("*.json")):
        try:
            yield Recorded.model_validate_json(file.read_bytes()).sample(file.name)
        except ValidationError as error:
            raise UnreadableError(f"{file} is no recorded message: {problems(error)}") from None


async def record(folder: Path, amqp_url: str, management_url: str, *, most: int, seconds: float) -> int:
    """Write copies of the next messages on the events' exchange, and return how many; what is no JSON is left out.

    A queue of our own is bound like each queue that is bound already. It never takes what nobody else takes, so
    unrouted events stay unrouted; it goes with its connection.
    """
    live = await read_broker(management_url, virtual_host(amqp_url))
    await asyncio.to_thread(folder.mkdir, mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    count = 0
    async with (
        await aio_pika.connect(amqp_url, timeout=CONNECT_TIMEOUT) as connection,
        connection.channel() as channel,
    ):
        copies = await channel.declare_queue(exclusive=True, arguments={"x-max-length": most})
        events = await channel.get_exchange(EVENTS, ensure=False)
        for key in sorted({key for exchange, _, key in live.bindings if exchange == EVENTS}):
            await copies.bind(events, key)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), copies.iterator(no_ack=True) as messages:
                async for message in messages:
                    count += _write(folder, message)
                    if count >= most:
                        break
    return count


def _write(folder: Path, message: AbstractIncomingMessage) -> bool:
    """Write a message to a file of its own, which only its user can read; False for one whose body is no JSON."""
    try:
        payload = json.loads(message.body)
    except ValueError:
        return False
    text = json.dumps(
        {
            "type": message.type,
            "routing_key": message.routing_key,
            "message_id": message.message_id,
            "content_type": message.content_type,
            "headers": message.headers,
            "payload": payload,
        },
        indent=2,
        default=str,
    )
    file = folder / f"{message.type or 'untyped'}.{uuid4()}.json"
    file.touch(mode=PRIVATE_FILE)
    file.write_text(text + "\n", encoding="utf-8")
    return True
