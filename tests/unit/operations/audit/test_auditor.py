"""The auditor at work in the control room: its register, its log lines, its numbers and its route."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from sqlmodel import col, select
from structlog.testing import capture_logs

from messaging.service import Service
from messaging.testing import InMemoryCourier
from operations.app import build, create_api
from operations.audit.auditor import Auditor, gauge_in
from operations.audit.balance import Audit
from operations.audit.kinds import Kind
from operations.audit.register import Register
from operations.audit.settings import AuditSettings
from operations.audit.sources import PAGE
from operations.models import Violation
from operations.settings import Settings
from rest import keys
from rest.callers import Scope
from tests.unit.operations.audit.conftest import MakeAudit
from tests.unit.operations.audit.shop import Shop

pytestmark = pytest.mark.database

BREAK, MEND = "UPDATE stock SET reserved = 2", "UPDATE stock SET reserved = 0"
Run = Callable[..., Awaitable[Service]]


@pytest_asyncio.fixture
async def service(run_in_memory: Run) -> Service:
    """The control room, in memory."""
    return await run_in_memory(build, Settings)


def auditor_of(service: Service, audit: Audit, quiet: timedelta = timedelta()) -> Auditor:
    """An auditor that keeps the control room's register, with numbers of its own."""
    register = Register(service.execute, service.database, quiet)
    return Auditor({}, audit, register, 1.0, gauge_in(CollectorRegistry()))


async def kept(service: Service) -> list[Violation]:
    """The register, the oldest first."""
    async with service.database.session() as db:
        return list((await db.exec(select(Violation).order_by(col(Violation.first_seen)))).all())


async def test_a_violation_is_kept_from_its_first_sight_to_its_end(
    service: Service, shop: Shop, auditing: MakeAudit
) -> None:
    """It is entered once, seen again by each look, and cleared when it is gone; if it returns, that is another one."""
    auditor = auditor_of(service, auditing(shop, stock_interval=1e-6))
    await shop.run("inventory", BREAK)
    await auditor.look()
    assert await kept(service) == []
    await auditor.look()
    await auditor.look()
    (seen,) = await kept(service)
    assert (seen.kind, seen.subject, seen.cleared_at) == (Kind.STOCK_RESERVED, "MUG-01", None)
    assert seen.first_seen < seen.last_seen
    assert await auditor.register.open() == 1
    await shop.run("inventory", MEND)
    await auditor.look()
    (over,) = await kept(service)
    assert over.cleared_at is not None
    assert await auditor.register.open() == 0
    await shop.run("inventory", BREAK)
    await auditor.look()
    await auditor.look()
    assert [each.cleared_at is None for each in await kept(service)] == [False, True]


async def test_a_violation_is_a_line_in_the_log_and_a_number(service: Service, shop: Shop, auditing: MakeAudit) -> None:
    """One error line when violations appear, with the orders' ids; one line when they end; a number for each kind."""
    order_id = str(shop.orders["done"])
    registry = CollectorRegistry()
    register = Register(service.execute, service.database, timedelta())
    auditor = Auditor({}, auditing(shop), register, 1.0, gauge_in(registry))
    labels = {"kind": Kind.AMOUNT_DIFFERS.value}
    assert registry.get_sample_value("orders_audit_violations", labels) == 0
    await shop.run("payment", "UPDATE gateway_accounts SET amount = 1 WHERE key = $1", order_id)
    with capture_logs() as lines:
        for _ in range(4):
            await auditor.look()
    told = {"event": "audit: violations", "log_level": "error", "kind": "amount_differs", "count": 1}
    assert lines == [{**told, "subjects": [order_id]}]
    assert registry.get_sample_value("orders_audit_violations", labels) == 1
    await shop.run("payment", "UPDATE gateway_accounts SET amount = 2580 WHERE key = $1", order_id)
    with capture_logs() as lines:
        await auditor.look()
    assert [(line["event"], line["log_level"], line["subjects"]) for line in lines] == [
        ("audit: violations cleared", "info", [order_id])
    ]
    assert registry.get_sample_value("orders_audit_violations", labels) == 0


async def test_who_has_not_read_everything_clears_nothing(service: Service, shop: Shop, auditing: MakeAudit) -> None:
    """A process that has just been started leaves what others have found."""
    await shop.run("payment", "INSERT INTO payments (order_id, state) VALUES (gen_random_uuid(), 'voided')")
    first = auditor_of(service, auditing(shop))
    await first.look()
    await first.look()
    await shop.multiply(PAGE)
    started = auditor_of(service, auditing(shop, most=PAGE))
    assert not (await started.look()).complete
    assert [each.cleared_at for each in await kept(service)] == [None]


async def test_what_another_process_still_sees_is_not_cleared(
    service: Service, shop: Shop, auditing: MakeAudit
) -> None:
    """A process that does not see a violation leaves it to the one that has just seen it."""
    await shop.run("inventory", BREAK)
    sees = auditor_of(service, auditing(shop))
    await sees.look()
    await sees.look()
    await shop.run("inventory", MEND)
    sees_not = auditor_of(service, auditing(shop), quiet=timedelta(hours=1))
    await sees_not.look()
    await sees_not.look()
    assert await sees_not.register.open() == 1


@pytest_asyncio.fixture
async def rooms(
    clone_database: Callable[[str], Awaitable[str]],
) -> AsyncGenerator[Callable[[], Awaitable[httpx2.AsyncClient]]]:
    """Start the control room with its REST routes, as the environment says: `client = await rooms()`."""
    async with AsyncExitStack() as stack:

        async def start() -> httpx2.AsyncClient:
            settings = Settings.model_validate({"database_url": await clone_database("operations")})
            service = build(settings)
            api = create_api(service, settings)
            await stack.enter_async_context(service.running(InMemoryCourier(service)))
            key = await keys.create(service.database, "operations", list(Scope))
            transport = httpx2.ASGITransport(app=api)
            client = httpx2.AsyncClient(
                transport=transport, base_url="http://test", headers={"Authorization": f"Bearer {key}"}
            )
            return await stack.enter_async_context(client)

        yield start


async def audit_when(client: httpx2.AsyncClient, fits: Callable[[Any], bool]) -> Any:
    """What GET /audit tells, once it tells that."""
    while True:
        answer = (await client.get("/audit")).json()
        if fits(answer):
            return answer
        await asyncio.sleep(0.02)


async def test_the_control_room_audits_and_tells(
    shop: Shop, rooms: Callable[[], Awaitable[httpx2.AsyncClient]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the databases in its environment, the control room looks by itself; GET /audit and /metrics tell of it."""
    order_id = str(shop.orders["done"])
    await shop.run("payment", "UPDATE gateway_accounts SET amount = 1 WHERE key = $1", order_id)
    for name, url in shop.readers.items():
        monkeypatch.setenv(f"OPERATIONS_AUDIT_DATABASES__{name.upper()}", url)
    monkeypatch.setenv("OPERATIONS_AUDIT_INTERVAL", "0.05")
    monkeypatch.setenv("OPERATIONS_AUDIT_LAG", "0")
    client = await rooms()
    told = await audit_when(client, lambda answer: bool(answer["violations"]))
    assert [(each["kind"], each["subject"]) for each in told["violations"]] == [("amount_differs", order_id)]
    assert told["balance"]["complete"] is True
    assert told["balance"]["orders"] == {"cancelled": 1, "ready": 1, "rejected": 1}
    assert told["balance"]["money"]["EUR"]["unexplained"] == 2579
    numbers = (await client.get("/metrics")).text
    assert 'orders_audit_violations{kind="amount_differs"} 1.0' in numbers
    await shop.run("payment", "UPDATE gateway_accounts SET amount = 2580 WHERE key = $1", order_id)
    await audit_when(client, lambda answer: not answer["violations"])
    over = (await client.get("/audit", params={"cleared": True})).json()["violations"]
    assert [each["cleared_at"] is not None for each in over] == [True]


async def test_without_databases_nothing_is_audited(rooms: Callable[[], Awaitable[httpx2.AsyncClient]]) -> None:
    """A control room that was given no databases says so, and how to change it."""
    answer = await (await rooms()).get("/audit")
    assert answer.status_code == 409
    assert "OPERATIONS_AUDIT_DATABASES__" in answer.json()["detail"]


async def test_some_databases_are_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A control room that was given some of the databases does not start, and names those that are missing."""
    monkeypatch.setenv("OPERATIONS_AUDIT_DATABASES__PAYMENT", "postgresql://reader@127.0.0.1:1/payment")
    with pytest.raises(ValueError, match="needs the databases of order_api, inventory, shipping"):
        create_api(build(Settings()), Settings())


@pytest.mark.parametrize("password", ["", ":orders"])
def test_a_password_that_everybody_knows_is_refused_in_production(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    """In production the reader's password is a secret, too; the error repeats none of it."""
    monkeypatch.setenv("OPERATIONS_AUDIT_DATABASES__PAYMENT", f"postgresql://orders_reader{password}@db/payment")
    assert "payment" in AuditSettings().databases
    monkeypatch.setenv("OPERATIONS_PRODUCTION", "true")
    with pytest.raises(ValueError, match="not in production: payment with no password") as refused:
        AuditSettings()
    assert "orders_reader" not in str(refused.value)
