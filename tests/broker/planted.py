"""A system in which nearly everything is wrong: a broker and databases with planted trouble, and an address book."""

import asyncio
import http.server
import json
import os
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg
from aio_pika.abc import AbstractChannel
from typing_extensions import override

from devstack.paths import CHECKOUT
from devstack.ports import any_free_port
from devstack.servers import PostgresServer, RabbitServer
from devstack.services import SERVICES
from messaging.asyncapi.reading import read_topology
from messaging.declare import apply
from messaging.management import read_broker, virtual_host
from messaging.migrations import migrate
from messaging.topology import DEAD, EVENTS, REQUEUE, UNROUTED, dead_letter_queue, retry_tier
from tests.broker import rabbit

DEEP = "payment.order.created"
PARKED = "shipping.inventory.reserved"
CUT_OFF = "inventory.shipping.ready"
"""Work queues that trouble is planted at."""

SQL = {
    "payment": """
        INSERT INTO outbox (id, event_id, name, type, body, headers, redrive, created_at, due_at)
        VALUES (gen_random_uuid(), gen_random_uuid(), 'n', 't', '{}', '{}', 0, now() - interval '1 hour', now())
        """,
    "shipping": """
        INSERT INTO outbox (id, event_id, name, type, body, headers, redrive, due_at)
        SELECT gen_random_uuid(), gen_random_uuid(), 'n', 't', '{}', '{}', 0, now() FROM generate_series(1, 50001)
        """,
    "inventory": "INSERT INTO stock (sku, on_hand, reserved, initial, received, shipped) VALUES ('M', 9, 5, 9, 0, 0)",
    "operations": "DROP TABLE violations",
    "order_api": """
        INSERT INTO orders (order_id, state, client_id, customer_id, currency, total, items, created_at, updated_at,
            redrives, next_deadline)
        VALUES
            (gen_random_uuid(), 'pending', 'shop', 'c', 'EUR', 1, '[]', now() - interval '5 minutes', now(), 1, now()),
            (gen_random_uuid(), 'ready', 'shop', 'c', 'EUR', 1, '[]', now() - interval '5 minutes', now(), 0, NULL);
        INSERT INTO facts (order_id, name, event_id, occurred_at, recorded_at, detail, actor, status_after)
        SELECT order_id, 'shipping.ready', gen_random_uuid(), now(), now(), '{}', 'test', 'ready'
        FROM orders WHERE state = 'ready'
        """,
}
"""Unsent events, old and many; goods that nobody reserved; orders late and past their deadline; a table gone."""


@dataclass(frozen=True)
class Planted:
    """Where it is, and how to put a question to it."""

    state: Path

    async def answer(self, command: str) -> str:
        """What a command of a runbook prints, as it is printed there; its status may tell of the trouble."""
        process = await asyncio.create_subprocess_shell(
            command,
            cwd=CHECKOUT,
            env=_environment(self.state),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return output.decode()


def _environment(state: Path) -> dict[str, str]:
    return {**os.environ, "ORDERS_STATE_FOLDER": str(state), "COLUMNS": "120"}


class _NotReady(http.server.BaseHTTPRequestHandler):
    """Alive, and unable to work."""

    def do_GET(self) -> None:
        """Answer 503 to `/readyz`."""
        self.send_response(503 if self.path == "/readyz" else 200)
        self.end_headers()
        if self.path == "/metrics":
            self.wfile.write(b"# TYPE orders_start_time_seconds gauge\norders_start_time_seconds 1700000000\n")

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def not_ready() -> Generator[str]:
    """The address of a service that is alive and not ready."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _NotReady)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def planted(rabbitmq: RabbitServer, postgres: PostgresServer, state: Path) -> Generator[Planted]:
    """All of it; no service runs."""
    databases = {service: postgres.create_database(f"planted_{service}") for service in SERVICES}
    for service, url in databases.items():
        migrate(service, url)
    amqp = asyncio.run(_plant(rabbitmq, databases))
    with not_ready() as inventory:
        endpoints = {
            "api": "http://127.0.0.1:9",
            "control_room": f"http://127.0.0.1:{any_free_port()}",
            "amqp": amqp,
            "rabbitmq_management": rabbitmq.management_url,
            "databases": databases,
            "api_keys": {"client": "none", "operator": "none"},
            "services": {"payment": "http://127.0.0.1:9", "inventory": inventory},
        }
        (state / "endpoints.json").write_text(json.dumps(endpoints))
        yield Planted(state)


async def _plant(rabbitmq: RabbitServer, databases: Mapping[str, str]) -> str:
    for service, statements in SQL.items():
        connection: Any = await asyncpg.connect(databases[service])
        try:
            await connection.execute(statements)
        finally:
            await connection.close()
    url = await rabbit.virtual_host(rabbitmq)
    await apply(read_topology(CHECKOUT / "asyncapi/asyncapi.json"), url)
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await _publish(channel, REQUEUE, DEEP, 3_001)
        await _publish(channel, DEAD, PARKED, 1)
        await _publish(channel, EVENTS, "order.forgotten", 1)
        await (await channel.get_queue(CUT_OFF, ensure=False)).unbind(REQUEUE, CUT_OFF)
        await _publish(channel, retry_tier("1s"), CUT_OFF, 1)

    async def heard_of() -> bool:
        seen = (await read_broker(rabbitmq.management_url, virtual_host(url))).statistics
        return all(
            queue in seen and seen[queue].messages == count
            for queue, count in {DEEP: 3_001, dead_letter_queue(PARKED): 1, UNROUTED: 1}.items()
        )

    await rabbit.until(heard_of)
    return url


async def _publish(channel: AbstractChannel, exchange: str, key: str, count: int) -> None:
    """That many messages, all in flight together."""
    found = await channel.get_exchange(exchange, ensure=False)
    message = aio_pika.Message(b"{}", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    await asyncio.gather(*(found.publish(message, routing_key=key) for _ in range(count)))
