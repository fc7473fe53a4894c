"""The relay: what nobody takes is not offered again and again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import text

from messaging.database import Database
from messaging.envelope import Envelope
from messaging.outbox import Outgoing
from messaging.relay import FIRST_PAUSE, Marker, Relay
from messaging.topology import Delay

_UNSENT = text("""
    INSERT INTO outbox (id, event_id, name, type, body, headers, redrive, created_at, due_at)
    VALUES (gen_random_uuid(), gen_random_uuid(), 'n', 't', '{}', '{}', 0, now(), now())
""")


class Refusing:
    """A broker's place that takes nothing, and notes when it was asked."""

    def __init__(self, times: int) -> None:
        self.asked: list[float] = []
        self.enough = asyncio.Event()
        self._times = times

    async def send(self, messages: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """Return all: none was confirmed."""
        self.asked.append(asyncio.get_running_loop().time())
        if len(self.asked) == self._times:
            self.enough.set()
        return messages

    async def retry(self, message: Any, envelope: Envelope, error: BaseException, delay: Delay) -> None:
        """Nothing is retried here."""

    async def park(self, message: Any, envelope: Envelope, error: BaseException) -> None:
        """Nothing is parked here."""


async def test_a_relay_backs_off_while_nothing_is_taken(
    service_database: Callable[[str], Awaitable[Database]],
) -> None:
    """Each attempt waits twice as long as the last one, although what is handed over wakes every relay at once."""
    database, courier = await service_database("payment"), Refusing(5)
    async with database.session() as db:
        await (await db.connection()).execute(_UNSENT)
        await db.commit()
    relay = Relay(database, courier, Marker(database), interval=60, in_flight=tuple, can_send=lambda: True)
    running = asyncio.create_task(relay.run())
    async with asyncio.timeout(30):
        await courier.enough.wait()
    running.cancel()
    waits = [later - earlier for earlier, later in pairwise(courier.asked)]
    assert all(wait >= FIRST_PAUSE * 2**number for number, wait in enumerate(waits)), waits
