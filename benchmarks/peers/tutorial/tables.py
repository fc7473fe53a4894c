"""The services' tables, and how a service reaches its database."""

import os
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

import orjson
from sqlalchemy import BigInteger, DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

RANKS = ("pending", "authorized", "reserved", "ready")
"""An order's states: events may overtake each other, its state never goes back."""


def now() -> datetime:
    return datetime.now(UTC)


class Order(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "orders"
    order_id: UUID = Field(primary_key=True)
    customer_id: str
    currency: str
    total: int = Field(sa_type=BigInteger)
    items: list[dict[str, Any]] = Field(sa_type=JSONB)
    status: str = Field(default="pending", index=True)
    created_at: datetime = Field(default_factory=now, sa_type=DateTime(timezone=True))  # pyright: ignore[reportArgumentType]
    updated_at: datetime = Field(default_factory=now, sa_type=DateTime(timezone=True))  # pyright: ignore[reportArgumentType]


class Product(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "products"
    sku: str = Field(primary_key=True)
    price: int


class Payment(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "payments"
    order_id: UUID = Field(primary_key=True)
    payment_id: str
    amount: int = Field(sa_type=BigInteger)
    currency: str
    status: str
    created_at: datetime = Field(default_factory=now, sa_type=DateTime(timezone=True))  # pyright: ignore[reportArgumentType]


class Stock(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "stock"
    sku: str = Field(primary_key=True)
    on_hand: int = Field(sa_type=BigInteger)
    reserved: int = Field(default=0, sa_type=BigInteger)


class Reservation(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "reservations"
    order_id: UUID = Field(primary_key=True)
    items: list[dict[str, Any]] = Field(sa_type=JSONB)
    created_at: datetime = Field(default_factory=now, sa_type=DateTime(timezone=True))  # pyright: ignore[reportArgumentType]


class Shipment(SQLModel, table=True):
    __tablename__: ClassVar[Any] = "shipments"
    order_id: UUID = Field(primary_key=True)
    carrier: str
    tracking_number: str
    created_at: datetime = Field(default_factory=now, sa_type=DateTime(timezone=True))  # pyright: ignore[reportArgumentType]


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


engine = create_async_engine(
    os.environ.get("DATABASE_URL", "postgresql://").replace("postgresql:", "postgresql+asyncpg:", 1),
    pool_size=20,
    max_overflow=10,
    json_serializer=_json,
    json_deserializer=orjson.loads,
)


async def session() -> AsyncGenerator[AsyncSession]:
    """Give each request and each message a session of its own, as FastAPI's and FastStream's Depends take it."""
    async with AsyncSession(engine, expire_on_commit=False) as db:
        yield db
