"""POST /orders starts a durable workflow of DBOS; its steps are an order's, each checkpointed in PostgreSQL.

The workflow's row, with the order in it, is committed before the answer. A process that starts again goes on with the
workflows that it left, at the step after the last one that was checkpointed.
"""

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import NAMESPACE_URL, UUID, uuid5

import anyio.to_thread
import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, SetWorkflowID
from fastapi import FastAPI, Header
from uuid_utils.compat import uuid7

from benchmarks.peers import rows
from benchmarks.peers.wish import Wish

DATABASE = os.environ["DATABASE_URL"]
THREADS = int(os.environ["THREADS"])
"""Workflows that run at the same time, each with a connection of its own to the rows and one to the checkpoints."""
CONFIG: DBOSConfig = {
    "name": "orders",
    "executor_id": os.environ["EXECUTOR"],
    "application_version": "1",
    "system_database_url": DATABASE,
    "sys_db_pool_size": 2 * THREADS,
    "max_executor_threads": THREADS,
    "log_level": "WARNING",
}

engine = sa.create_engine(rows.driven(DATABASE), pool_size=THREADS, max_overflow=0)


@DBOS.workflow()
def carry(order_id: str, order: dict[str, Any], token: str) -> None:
    """Carry an order from its acceptance to its end."""
    key = UUID(order_id)
    accept(key, order)
    authorize(key, token, order["total"], order["currency"])
    reserve(key, order["items"])
    ship(key)
    capture(key)
    finish(key)


def step(write: Callable[..., None]) -> Callable[..., None]:
    """Make a step of what writes an order's rows: one transaction, retried while the database is away."""

    @DBOS.step(name=write.__name__, retries_allowed=True, max_attempts=10)
    def stepped(*arguments: object) -> None:
        with engine.begin() as db:
            write(db, *arguments)

    return stepped


def hand_over(db: sa.Connection, order_id: UUID) -> None:
    """The goods leave and the order is finished: in one database, one transaction does both."""
    rows.ship_stock(db, order_id)
    rows.finish(db, order_id)


accept, authorize, reserve = step(rows.accept), step(rows.authorize), step(rows.reserve)
ship, capture, finish = step(rows.ship), step(rows.capture), step(hand_over)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    """Workflows run for as long as requests are taken."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    DBOS.launch()
    yield
    DBOS.destroy()


api = FastAPI(lifespan=lifespan)
DBOS(config=CONFIG)


@api.post("/orders", status_code=201)
def place(wish: Wish, idempotency_key: Annotated[str | None, Header()] = None) -> dict[str, str]:
    """Accept an order: from here on its workflow is carried out, once for each idempotency key."""
    order_id = str(uuid5(NAMESPACE_URL, idempotency_key) if idempotency_key else uuid7())
    with SetWorkflowID(order_id):
        DBOS.start_workflow(carry, order_id, wish.priced(), wish.payment_token)
    return {"order_id": order_id}


@api.get("/health")
def health() -> dict[str, bool]:
    """Ready to take orders: the database answers."""
    with engine.connect() as db:
        return {"ok": db.exec_driver_sql("SELECT true").scalar_one()}
