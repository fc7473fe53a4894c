"""The rows that one order leaves in four services, for the peers that are written with SQLAlchemy.

They have the columns of our services' tables that business needs: not what makes our repeats harmless (`said`, inbox,
outbox), nor a timeline. Each function is one step of an order, in a transaction that its caller commits; done twice it
has its effect once. A gateway's or a carrier's own row is written in that same transaction, which spares these peers
a commit that our simulators make.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.contender import PIECES, PRODUCTS

MOMENT = sa.DateTime(timezone=True)
ORDER_API, PAYMENT, INVENTORY, SHIPPING = sa.MetaData(), sa.MetaData(), sa.MetaData(), sa.MetaData()

ORDERS = sa.Table(
    "orders",
    ORDER_API,
    sa.Column("order_id", sa.Uuid, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    sa.Column("total", sa.BigInteger, nullable=False),
    sa.Column("items", JSONB, nullable=False),
    sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
    sa.Column("updated_at", MOMENT, nullable=False, server_default=sa.func.now()),
    sa.Index("orders_pending", "order_id", postgresql_where=sa.text("state = 'pending'")),
)
GATEWAY_ACCOUNTS = sa.Table(
    "gateway_accounts",
    PAYMENT,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
)
PAYMENTS = sa.Table(
    "payments",
    PAYMENT,
    sa.Column("order_id", sa.Uuid, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("payment_id", sa.Text, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
)
STOCK = sa.Table(
    "stock",
    INVENTORY,
    sa.Column("sku", sa.Text, primary_key=True),
    sa.Column("on_hand", sa.BigInteger, nullable=False),
    sa.Column("reserved", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("shipped", sa.BigInteger, nullable=False, server_default="0"),
    sa.CheckConstraint("on_hand - reserved >= 0"),
)
RESERVATIONS = sa.Table(
    "reservations",
    INVENTORY,
    sa.Column("order_id", sa.Uuid, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("items", JSONB, nullable=False),
)
BOOKINGS = sa.Table(
    "carrier_bookings",
    SHIPPING,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, nullable=False),
)
SHIPMENTS = sa.Table(
    "shipments",
    SHIPPING,
    sa.Column("order_id", sa.Uuid, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("carrier", sa.Text, nullable=False),
    sa.Column("tracking_number", sa.Text, nullable=False),
)

UNFINISHED = "SELECT count(*) FROM orders WHERE state = 'pending'"
FINISHED = "SELECT order_id::text, pg_xact_commit_timestamp(xmin) FROM orders WHERE state = 'ready'"
"""What a contender is to say; an order is ready when its last step is committed."""

Item = Mapping[str, Any]

_RESERVE = (
    sa.update(STOCK).where(STOCK.c.sku == sa.bindparam("of")).values(reserved=STOCK.c.reserved + sa.bindparam("pieces"))
)
_SHIP = (
    sa.update(STOCK)
    .where(STOCK.c.sku == sa.bindparam("of"))
    .values(
        reserved=STOCK.c.reserved - sa.bindparam("pieces"),
        on_hand=STOCK.c.on_hand - sa.bindparam("pieces"),
        shipped=STOCK.c.shipped + sa.bindparam("pieces"),
    )
)


def create(databases: Mapping[sa.MetaData, str]) -> None:
    """Create the tables, each service's in its database, and the shop's stock."""
    for tables, url in databases.items():
        asyncio.run(_create(tables, url))


async def _create(tables: sa.MetaData, url: str) -> None:
    engine = create_async_engine(sa.make_url(url).set(drivername="postgresql+asyncpg"))  # which .venv has, too
    async with engine.begin() as db:
        await db.run_sync(tables.create_all)
        if tables is INVENTORY:
            await db.execute(sa.insert(STOCK), [{"sku": sku, "on_hand": PIECES} for sku in PRODUCTS])
    await engine.dispose()


def driven(url: str) -> sa.URL:
    """The database's URL for psycopg."""
    return sa.make_url(url).set(drivername="postgresql+psycopg")


def accept(db: sa.Connection, order_id: UUID, order: Mapping[str, Any]) -> None:
    """Keep the order."""
    row = {"order_id": order_id, "state": "pending", **order}
    db.execute(insert(ORDERS).values(row).on_conflict_do_nothing())


def authorize(db: sa.Connection, order_id: UUID, token: str, amount: int, currency: str) -> None:
    """Hold the money."""
    money = {"amount": amount, "currency": currency}
    account = {"key": str(order_id), "status": "held", "token": token, **money}
    db.execute(insert(GATEWAY_ACCOUNTS).values(account).on_conflict_do_nothing())
    payment = {"order_id": order_id, "state": "authorized", "payment_id": f"pay_{order_id.hex}", **money}
    db.execute(insert(PAYMENTS).values(payment).on_conflict_do_nothing())


def reserve(db: sa.Connection, order_id: UUID, items: Sequence[Item]) -> None:
    """Set the goods aside. Raises IntegrityError where there are not enough."""
    reservation = {"order_id": order_id, "state": "reserved", "items": list(items)}
    if db.execute(insert(RESERVATIONS).values(reservation).on_conflict_do_nothing()).rowcount:
        db.execute(_RESERVE, _pieces(items))


def ship(db: sa.Connection, order_id: UUID) -> None:
    """Book the parcel."""
    db.execute(insert(BOOKINGS).values(key=str(order_id), status="booked").on_conflict_do_nothing())
    shipment = {"order_id": order_id, "state": "ready", "carrier": "ACME", "tracking_number": f"trk_{order_id.hex}"}
    db.execute(insert(SHIPMENTS).values(shipment).on_conflict_do_nothing())


def capture(db: sa.Connection, order_id: UUID) -> None:
    """Take the money."""
    db.execute(sa.update(GATEWAY_ACCOUNTS).where(GATEWAY_ACCOUNTS.c.key == str(order_id)).values(status="captured"))
    db.execute(sa.update(PAYMENTS).where(PAYMENTS.c.order_id == order_id).values(state="captured"))


def ship_stock(db: sa.Connection, order_id: UUID) -> None:
    """Hand the goods over."""
    of_the_order = (RESERVATIONS.c.order_id == order_id) & (RESERVATIONS.c.state == "reserved")
    shipped = sa.update(RESERVATIONS).where(of_the_order).values(state="shipped").returning(RESERVATIONS.c["items"])
    items: Sequence[Item] | None = db.execute(shipped).scalar()
    if items is not None:
        db.execute(_SHIP, _pieces(items))


def finish(db: sa.Connection, order_id: UUID) -> None:
    """Everything is done for the order."""
    done = {"state": "ready", "updated_at": sa.func.now()}
    db.execute(sa.update(ORDERS).where(ORDERS.c.order_id == order_id).values(done))


def _pieces(items: Sequence[Item]) -> list[dict[str, Any]]:
    """In one order everywhere, as two orders may lock the same rows."""
    return [{"of": item["sku"], "pieces": item["quantity"]} for item in sorted(items, key=lambda item: item["sku"])]
