"""POST /orders: the order is committed, then its chain of tasks is sent to RabbitMQ."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio.to_thread
from celery import chain
from fastapi import FastAPI
from uuid_utils.compat import uuid7

from benchmarks.peers import rows
from benchmarks.peers.celery_chain import tasks
from benchmarks.peers.wish import Wish


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    """As many threads as there are connections to the broker and to the database."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = int(os.environ["THREADS"])
    yield


api = FastAPI(lifespan=lifespan)


@api.post("/orders", status_code=201)
def place(wish: Wish) -> dict[str, str]:
    """Accept an order. A crash between commit and sending leaves it without a chain."""
    order_id, order = uuid7(), wish.priced()
    with tasks.transaction("ORDER_API") as db:
        rows.accept(db, order_id, order)
    key = str(order_id)
    chain(
        tasks.authorize.si(key, wish.payment_token, order["total"], order["currency"]),
        tasks.reserve.si(key, order["items"]),
        tasks.ship.si(key, wish.shipping_address.model_dump()),
        tasks.capture.si(key),
        tasks.ship_stock.si(key),
        tasks.finish.si(key),
    ).apply_async()
    return {"order_id": key}


@api.get("/health")
def health() -> dict[str, bool]:
    """Ready to take orders: the database answers."""
    with tasks.transaction("ORDER_API") as db:
        return {"ok": db.exec_driver_sql("SELECT true").scalar_one()}
