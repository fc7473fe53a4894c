"""What the services say to each other, and the queues that they hear it from."""

from uuid import UUID

from faststream.rabbit import Channel, ExchangeType, QueueType, RabbitExchange, RabbitQueue
from pydantic import BaseModel

EXCHANGE = RabbitExchange("orders", type=ExchangeType.TOPIC, durable=True)
CHANNEL = Channel(prefetch_count=100)  # publisher confirms are FastStream's default


class Item(BaseModel):
    sku: str
    quantity: int
    unit_price: int


class Address(BaseModel):
    name: str
    line1: str
    city: str
    postal_code: str
    country: str


class OrderCreated(BaseModel):
    order_id: UUID
    customer_id: str
    items: list[Item]
    total: int
    currency: str
    payment_token: str
    shipping_address: Address


class PaymentAuthorized(BaseModel):
    order_id: UUID
    payment_id: str
    amount: int
    currency: str
    items: list[Item]
    shipping_address: Address


class InventoryReserved(BaseModel):
    order_id: UUID
    items: list[Item]
    shipping_address: Address


class ShippingReady(BaseModel):
    order_id: UUID
    carrier: str
    tracking_number: str


def queue(service: str, event: str) -> RabbitQueue:
    """Return the durable quorum queue from which a service hears an event."""
    return RabbitQueue(f"{service}.{event}", queue_type=QueueType.QUORUM, durable=True, routing_key=event)
