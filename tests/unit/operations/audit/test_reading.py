"""How the auditor reads: a page at a time, what is settled once, and nothing that it is not allowed."""

import asyncio
from collections import Counter
from collections.abc import Collection
from datetime import timedelta
from typing import ClassVar

import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError
from typing_extensions import override

from messaging.asyncapi.reading import read_topology
from messaging.database import Database, DatabaseUnavailable
from operations.audit import warehouse
from operations.audit.balance import Audit
from operations.audit.kinds import Kind
from operations.audit.messages import Delivery
from operations.audit.settings import AuditSettings
from operations.audit.sources import PAGE, SERVICES, Row, Sources
from tests.unit.operations.audit.conftest import MakeAudit
from tests.unit.operations.audit.shop import Shop, event_id

pytestmark = pytest.mark.database

MANY = PAGE + 120


class Counting(Sources):
    """Counts the rows that each table's statements return."""

    most: ClassVar[int] = 0
    rows: ClassVar[Counter[str]] = Counter()

    @override
    async def ask(self, service: str, question: TextClause, **values: object) -> list[Row]:
        rows = await super().ask(service, question, **values)
        Counting.most = max(Counting.most, len(rows))
        Counting.rows[service] += len(rows)
        Counting.rows["orders"] += sum("facts" in row for row in rows)
        return rows


async def test_what_is_settled_is_read_once_and_in_pages(shop: Shop, auditing: MakeAudit) -> None:
    """No statement asks for more rows than a page; a second look reads no settled order again, and new ones still."""
    await shop.multiply(MANY)
    Counting.most, Counting.rows = 0, Counter()
    audit = auditing(shop, sources=Counting)
    balance = await audit.look()
    assert (balance.orders["rejected"], balance.complete, balance.violations) == (MANY + 1, True, [])
    assert Counting.most == PAGE
    assert Counting.rows["orders"] == MANY + 3
    Counting.rows.clear()
    await shop.order("done", timedelta(seconds=1))
    later = await audit.look()
    assert Counting.rows["orders"] == 1
    assert (later.orders["ready"], later.violations) == (2, [])


async def test_a_look_is_bounded_and_the_next_goes_on(shop: Shop, auditing: MakeAudit) -> None:
    """More orders than a look may read are read by several; until then the balance says that it is incomplete."""
    await shop.multiply(MANY)
    audit = auditing(shop, most=PAGE)
    first = await audit.look()
    assert (sum(first.orders.values()), first.complete) == (PAGE, False)
    second = await audit.look()
    assert (sum(second.orders.values()), second.complete) == (MANY + 3, True)


async def test_stock_is_added_up_without_haste(
    shop: Shop, auditing: MakeAudit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a running service it rests after each slice, and never too long; the sums stay the same."""
    await shop.multiply(MANY)
    hurried = await auditing(shop).look()
    rests: list[float] = []
    sleep = asyncio.sleep

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        await sleep(0)

    monkeypatch.setattr(warehouse, "SLICE", 500)
    monkeypatch.setattr(asyncio, "sleep", rest)
    unhurried = await auditing(shop, rest=0.002).look()
    assert unhurried.stock == hurried.stock
    assert len([seconds for seconds in rests if 0 < seconds <= 0.002]) > MANY / 500


async def test_what_is_younger_than_the_lag_waits(shop: Shop, auditing: MakeAudit) -> None:
    """An order or a message that may still be committed behind the place where reading goes on is not read yet."""
    await shop.order("authorized", timedelta(seconds=1))
    balance = await auditing(shop, lag=60).look()
    assert "authorized" not in balance.orders
    assert balance.messages["payment.order.created"].published == 3


async def test_an_open_order_is_read_until_it_is_settled(shop: Shop, auditing: MakeAudit) -> None:
    """What was open counts as captured once it is, and is not counted twice."""
    order_id = await shop.order("shipped", timedelta(seconds=1))
    audit = auditing(shop)
    assert (await audit.look()).money["EUR"].open == 2580
    await shop.capture(order_id)
    balance = await audit.look()
    while balance.money["EUR"].open:  # until it is due again
        balance = await audit.look()
    money = balance.money["EUR"]
    assert (money.captured, money.open, balance.orders["ready"]) == (2 * 2580, 0, 2)


@pytest.mark.parametrize(
    ("service", "statement"),
    [
        ("order_api", "UPDATE orders SET total = 0"),
        ("payment", "DELETE FROM payments"),
        ("inventory", "INSERT INTO stock (sku, on_hand) VALUES ('X', 1)"),
        ("shipping", "CREATE TABLE mine ()"),
    ],
)
async def test_the_reader_cannot_write(shop: Shop, service: str, statement: str) -> None:
    """The role with which the auditor works is refused every change."""
    database = Database(shop.readers[service], name="reader")
    async with database.session() as db:
        with pytest.raises(DBAPIError, match="permission denied"):
            await (await db.connection()).execute(text(statement))
    await database.close()


async def test_the_auditors_transactions_cannot_write(shop: Shop) -> None:
    """Even as the owner, what the auditor asks cannot change anything."""
    databases = {service: Database(url, name=service) for service, url in shop.urls.items()}
    with pytest.raises(DatabaseUnavailable, match="read-only transaction"):
        await Sources(databases).ask("payment", text("DELETE FROM payments"))
    for database in databases.values():
        await database.close()


async def test_a_ledger_that_is_out_of_reach_is_not_asked_for(shop: Shop, auditing: MakeAudit) -> None:
    """With a real gateway and a real carrier, whose ledgers are elsewhere, payment's rows alone tell of the money."""
    await shop.order("authorized")
    await shop.run("payment", "DROP TABLE gateway_accounts")
    await shop.run("shipping", "REVOKE ALL ON carrier_bookings FROM audit_reader")
    audit = auditing(shop, grace=10_000)
    await audit.look()
    balance = await audit.look()
    assert balance.violations == []
    assert (balance.money["EUR"].captured, balance.money["EUR"].open) == (2580, 2580)


async def test_a_parked_message_is_not_missing(shop: Shop, auditing: MakeAudit) -> None:
    """What the dead-letter office has in custody is accounted for."""
    wanted = Delivery("payment.order.created", event_id(shop.orders["done"], "order.created"))
    await shop.run("payment", "DELETE FROM inbox WHERE event_id = $1", wanted.event_id)

    async def parked(deliveries: set[Delivery]) -> set[Delivery]:
        return deliveries & {wanted}

    audit = auditing(shop, parked=parked)
    await audit.look()
    balance = await audit.look()
    assert balance.violations == []
    tally = balance.messages[wanted.queue]
    assert (tally.published, tally.applied, tally.parked, tally.missing) == (3, 2, 1, 0)


async def test_a_dead_letter_office_that_is_away_loses_nothing(shop: Shop, auditing: MakeAudit) -> None:
    """A look that fails half-way is taken up by the next: what was open then is open still."""
    away = False

    async def parked(_: Collection[Delivery]) -> set[Delivery]:
        if away:
            raise DatabaseUnavailable
        return set()

    await shop.run("payment", "DELETE FROM inbox")
    audit = auditing(shop, parked=parked)
    await audit.look()
    away = True
    with pytest.raises(DatabaseUnavailable):
        await audit.look()
    away = False
    balance = await audit.look()
    tally = balance.messages["payment.order.created"]
    assert (tally.published, tally.missing) == (3, 3)
    assert {each.kind for each in balance.violations} == {Kind.MESSAGE_MISSING}


async def test_what_was_pruned_meanwhile_is_let_go(shop: Shop, auditing: MakeAudit) -> None:
    """Of a message that its producer has forgotten nothing can be said any more."""
    await shop.run("payment", "DELETE FROM inbox")
    audit = auditing(shop)
    await audit.look()
    assert len((await audit.look()).violations) > 0
    await shop.run("order_api", "DELETE FROM outbox")
    await shop.run("inventory", "DELETE FROM outbox")
    await shop.run("shipping", "DELETE FROM outbox")
    assert (await audit.look()).violations == []


async def test_an_order_that_is_gone_leaves_what_others_have_of_it(shop: Shop, auditing: MakeAudit) -> None:
    """An open order whose row vanishes is no order any more: its payment is one without an order."""
    order_id = await shop.order("authorized")
    audit = auditing(shop, round_interval=1e-6)
    await audit.look()
    assert Kind.ORDER_OVERDUE in {each.kind for each in (await audit.look()).violations}
    await shop.run("order_api", "ALTER TABLE facts DISABLE TRIGGER facts_are_final")
    await shop.run("order_api", "DELETE FROM facts WHERE order_id = $1", order_id)
    await shop.run("order_api", "DELETE FROM orders WHERE order_id = $1", order_id)
    await audit.look()
    balance = await audit.look()
    assert "authorized" not in balance.orders
    assert {(each.kind, each.subject) for each in balance.violations} == {
        (Kind.WITHOUT_ORDER, f"{order_id} in {table}") for table in ("payments", "gateway_accounts")
    }


async def test_without_a_dead_letter_office_nothing_is_called_missing(shop: Shop, auditing: MakeAudit) -> None:
    """Who cannot know what is parked does not say that it is lost."""
    await shop.run("payment", "DELETE FROM inbox")
    audit = auditing(shop, parked=None)
    await audit.look()
    balance = await audit.look()
    assert balance.violations == []
    assert balance.messages["payment.order.created"].in_flight == 3


async def test_an_order_older_than_the_outbox_is_audited(shop: Shop, auditing: MakeAudit) -> None:
    """Of what was pruned, the rows are audited and the messages are not asked for."""
    await shop.order("done", timedelta(days=30))
    balance = await auditing(shop).look()
    assert balance.orders["ready"] == 2
    assert balance.messages["payment.order.created"].published == 3


async def test_an_absent_database_is_named(shop: Shop) -> None:
    """A database that does not answer is named, and the next look goes on where this one ended."""
    present = {service: Database(url, name=service) for service, url in shop.readers.items()}
    nobody_there = Database("postgresql://reader@127.0.0.1:1/shipping", name="shipping")
    databases = {**present, "shipping": nobody_there}
    audit = Audit(Sources(databases), AuditSettings(lag=0), read_topology())
    with pytest.raises(DatabaseUnavailable, match="shipping"):
        await audit.look()
    databases["shipping"] = present["shipping"]
    balance = await audit.look()
    assert (balance.complete, sum(balance.orders.values())) == (True, 3)
    for database in (*present.values(), nobody_there):
        await database.close()


def test_the_four_databases_are_needed() -> None:
    """An audit of fewer databases is refused, by their names."""
    with pytest.raises(ValueError, match="payment, shipping"):
        Sources({service: Database("", name=service) for service in SERVICES if service not in {"payment", "shipping"}})
