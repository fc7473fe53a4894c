"""Local work: a parcel that the carrier booked for a cancelled order is cancelled there."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import structlog
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from contracts import CancelReason, Event
from messaging.commands import Execute
from messaging.database import Database
from messaging.outcome import Retry, Wait
from shipping.gateway import Carrier
from shipping.models import Shipment

log = structlog.get_logger(__name__)

BATCH = 100
"""Parcels that are looked at in one round."""


class UndoWorker:
    """Looks every `interval` seconds for parcels to undo.

    The flag is cleared after the carrier has fenced the order: a crash in between repeats the call, which has no
    further effect. Several workers may do the same one.
    """

    def __init__(self, database: Database, execute: Execute, carrier: Carrier, interval: float) -> None:
        self._database = database
        self._execute = execute
        self._carrier = carrier
        self._interval = interval

    async def run(self) -> None:
        """Work for ever. Raises what the database raises."""
        while True:
            await self.work()
            await asyncio.sleep(self._interval)

    async def work(self) -> int:
        """Undo what waits for it; returns how many were undone. One that fails stays for the next round."""
        done = 0
        for order_id, reason in await self._waiting():
            try:
                await self._carrier.cancel(order_id, reason)
            except (Retry, Wait) as error:
                log.warning("a booking could not be undone yet", order_id=str(order_id), reason=str(error))
            else:
                await self._clear(order_id)
                done += 1
        return done

    async def _waiting(self) -> list[tuple[UUID, CancelReason]]:
        wanted = select(Shipment.order_id, Shipment.cancel_reason).where(col(Shipment.undo)).limit(BATCH)
        async with self._database.session() as db:
            return [(order_id, CancelReason(reason)) for order_id, reason in await db.exec(wanted)]

    async def _clear(self, order_id: UUID) -> None:
        async def clear(db: AsyncSession) -> Sequence[Event]:
            await db.exec(update(Shipment).where(col(Shipment.order_id) == order_id).values(undo=False))
            return ()

        await self._execute(clear)
