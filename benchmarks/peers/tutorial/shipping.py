"""Books shipments."""

import os
from typing import Annotated

from faststream import Depends, FastStream
from faststream.rabbit import RabbitBroker
from sqlmodel.ext.asyncio.session import AsyncSession

from benchmarks.peers.tutorial import events
from benchmarks.peers.tutorial.tables import Shipment, session

broker = RabbitBroker(os.environ["AMQP_URL"], default_channel=events.CHANNEL, logger=None)
app = FastStream(broker)


@broker.subscriber(events.queue("shipping", "inventory.reserved"), events.EXCHANGE)
async def ship(event: events.InventoryReserved, db: Annotated[AsyncSession, Depends(session)]) -> None:
    shipment = Shipment(
        order_id=event.order_id, carrier="simulated", tracking_number=f"SIM{event.order_id.hex.upper()}"
    )
    db.add(shipment)
    await db.commit()
    ready = events.ShippingReady(
        order_id=event.order_id, carrier=shipment.carrier, tracking_number=shipment.tracking_number
    )
    await broker.publish(ready, exchange=events.EXCHANGE, routing_key="shipping.ready", persist=True)
