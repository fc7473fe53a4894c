"""What comes again after a lost connection or a death: side by side the first time, alone if it was noted before."""

import asyncio
from uuid import UUID

from sqlalchemy import text

from contracts import OrderCreated
from messaging.database import Database
from messaging.suspects import MOST_TOGETHER
from tests.broker.probe import Probe, order, orders
from tests.broker.rabbit import Broker, consuming, one, until
from tests.broker.test_unit_of_work import counted, service_of

COUNT = 60
QUEUE = "probe.order.created"
NOTED = order(30)


class _Crowd(Probe):
    """Sees how many are being prepared at the same time, and in whose company each was."""

    def __init__(self) -> None:
        super().__init__(before=self._seen)
        self.present: set[UUID] = set()
        self.company: dict[UUID, int] = {}

    async def _seen(self, event: OrderCreated) -> None:
        self.present.add(event.order_id)
        for each in self.present:
            self.company[each] = max(self.company.get(each, 0), len(self.present))
        await asyncio.sleep(0.05)
        self.present.discard(event.order_id)


async def _redelivered(broker: Broker) -> None:
    """Orders in the queue that a consumer had in its hands when its connection was lost."""
    await broker.publish(*orders(COUNT))
    queue = await broker.channel.get_queue(QUEUE, ensure=False)
    taken = [await queue.get() for _ in range(COUNT)]
    for message in taken:
        await message.nack(requeue=True)


async def _handled(broker: Broker, database: Database, crowd: _Crowd) -> None:
    async def finished() -> bool:
        return (await counted(database))[0] == COUNT and await one(database, "SELECT count(*) FROM suspects") == 0

    async with consuming(service_of(crowd, broker, database)):
        await until(finished)
    assert await counted(database) == (COUNT, COUNT)
    assert await broker.depth(f"{QUEUE}.dlq") == 0


async def test_what_comes_again_runs_side_by_side(broker: Broker, probe_database: Database) -> None:
    """Messages that were redelivered, and not noted, run beside each other, so many at most, and leave no note."""
    await _redelivered(broker)
    crowd = _Crowd()
    await _handled(broker, probe_database, crowd)
    assert 1 < max(crowd.company.values()) <= MOST_TOGETHER


async def test_what_was_noted_before_runs_alone(broker: Broker, probe_database: Database) -> None:
    """A process died over this one when it was noted: it has no company, and is applied all the same."""
    note = text("INSERT INTO suspects (event_id, queue, tries) VALUES (:event_id, :queue, 0)")
    async with probe_database.engine.begin() as connection:
        await connection.execute(note, {"event_id": NOTED.event_id, "queue": QUEUE})
    await _redelivered(broker)
    crowd = _Crowd()
    await _handled(broker, probe_database, crowd)
    assert crowd.company[NOTED.order_id] == 1
    assert max(crowd.company.values()) > 1
