"""What the audit asks of the dead-letter office: which messages are parked."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import text

from messaging.database import Database
from messaging.topology import UNROUTED
from operations.audit.messages import Delivery, Parked
from operations.audit.sources import snapshot

_PARKED = text("""
    SELECT DISTINCT queue, message_id FROM dead_letters
    WHERE queue = ANY (CAST(:queues AS text[])) AND message_id = ANY (CAST(:ids AS text[]))
""")


def parked_in(database: Database) -> Parked:
    """Ask the control room's database. Whatever became of a dead letter, somebody has it or has decided about it."""

    async def parked(deliveries: Collection[Delivery]) -> set[Delivery]:
        queues = sorted({each.queue for each in deliveries} | {UNROUTED})
        ids = sorted({str(each.event_id) for each in deliveries})
        async with snapshot(database) as ask:
            rows = await ask(_PARKED, queues=queues, ids=ids)
        known = {Delivery(row["queue"], UUID(row["message_id"])) for row in rows}
        return {each for each in deliveries if each in known or Delivery(UNROUTED, each.event_id) in known}

    return parked
