"""The steps of an order as Celery tasks, one queue and one worker for each service.

    celery --app benchmarks.peers.celery_chain.tasks worker --queues payment --pool threads --concurrency 4

Tuned as Celery's documentation advises for many short tasks that wait for a database and must not be lost: threads,
acknowledged late, quorum queues, publisher confirms, a prefetch well above one, no results, no events.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from celery import Celery
from celery.signals import worker_ready
from kombu import Exchange, Queue

from benchmarks.peers import rows

SERVICES = ("payment", "inventory", "shipping", "order_api")
EXCHANGE = Exchange("celery.orders", type="topic", durable=True)

app = Celery("orders", broker=os.environ["AMQP_URL"])
app.conf.update(
    task_queues=[
        Queue(service, EXCHANGE, routing_key=service, queue_arguments={"x-queue-type": "quorum"})
        for service in SERVICES
    ],
    task_default_queue="order_api",
    task_default_exchange=EXCHANGE.name,
    task_default_exchange_type="topic",
    task_default_routing_key="order_api",
    task_default_queue_type="quorum",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=16,
    broker_transport_options={"confirm_publish": True},
    broker_pool_limit=int(os.environ["THREADS"]),  # one for each thread that publishes
    broker_connection_retry_on_startup=True,
    broker_heartbeat=10,
)
RETRIED: dict[str, Any] = {"autoretry_for": (sa.exc.OperationalError,), "retry_backoff": True, "max_retries": 10}


def step(service: str) -> Any:
    """Make a task of a service; a database that is away for a while is waited for."""
    return app.task(queue=service, exchange=EXCHANGE.name, routing_key=service, **RETRIED)


@step("payment")
def authorize(order_id: str, token: str, amount: int, currency: str) -> None:
    with transaction("PAYMENT") as db:
        rows.authorize(db, UUID(order_id), token, amount, currency)


@step("inventory")
def reserve(order_id: str, items: list[dict[str, Any]]) -> None:
    with transaction("INVENTORY") as db:
        rows.reserve(db, UUID(order_id), items)


@step("shipping")
def ship(order_id: str, address: dict[str, str]) -> None:  # noqa: ARG001 - the carrier would want it
    with transaction("SHIPPING") as db:
        rows.ship(db, UUID(order_id))


@step("payment")
def capture(order_id: str) -> None:
    with transaction("PAYMENT") as db:
        rows.capture(db, UUID(order_id))


@step("inventory")
def ship_stock(order_id: str) -> None:
    with transaction("INVENTORY") as db:
        rows.ship_stock(db, UUID(order_id))


@step("order_api")
def finish(order_id: str) -> None:
    with transaction("ORDER_API") as db:
        rows.finish(db, UUID(order_id))


@contextmanager
def transaction(service: str) -> Generator[sa.Connection]:
    """A transaction in a service's database."""
    with engine(service).begin() as db:
        yield db


@cache
def engine(service: str) -> sa.Engine:
    """The process's pool of connections."""
    return sa.create_engine(rows.driven(os.environ[f"{service}_DATABASE_URL"]), pool_size=int(os.environ["THREADS"]))


@worker_ready.connect
def _say_so(**_: object) -> None:
    print("worker is ready", flush=True)  # noqa: T201 - who started it waits for that
