"""Lines that handlers write, while many messages share a transaction."""

import structlog
from structlog.testing import capture_logs

from contracts import OrderCreated, PaymentAuthorized
from messaging.database import Database
from messaging.logs import add_subject
from tests.broker.probe import Probe, Tally, orders
from tests.broker.rabbit import Broker, consuming, until
from tests.broker.test_unit_of_work import counted, service_of

log = structlog.get_logger(__name__)
COUNT = 40


class Talker(Probe):
    """Its handler writes a line about each order."""

    async def count(self, event: OrderCreated, prepared: str, tally: Tally) -> PaymentAuthorized | None:
        """Count the order and say so, in the log, too."""
        log.info("counting", about=str(event.event_id))
        return await super().count(event, prepared, tally)


async def test_no_line_is_about_another_message(broker: Broker, probe_database: Database) -> None:
    """In a group each line says the message that it is about, whoever shares its transaction."""
    service = service_of(Talker(), broker, probe_database)

    async def done() -> bool:
        return await counted(probe_database) == (COUNT, COUNT)

    async with consuming(service):
        with capture_logs([add_subject]) as lines:
            await broker.publish(*orders(COUNT))
            await until(done)
    about = [(line["about"], line["message_id"]) for line in lines if line["event"] == "counting"]
    assert len({message for message, _ in about}) == COUNT
    assert [message for message, told in about if message != told] == []
    groups = service.metrics.registry.get_sample_value("orders_group_size_count")
    assert groups is not None
    assert groups < COUNT  # they did share transactions
