"""More than can be done is refused, before anything is done."""

from contextlib import suppress
from typing import Any

import httpx2
import pytest
from sqlmodel import func, select

from messaging.service import Service
from messaging.tables import OUTBOX
from order_api.app import create_api, open_shop
from order_api.models import Order
from order_api.pressure import Overloaded, Pressure
from order_api.settings import Settings
from rest import keys
from rest.callers import Scope
from rest.problems import Kind
from tests.unit.order_api.conftest import speaking_to

Json = dict[str, Any]


async def test_a_full_outbox_refuses_new_orders(service: Service, wish: Json) -> None:
    """With events waiting for the broker up to the limit: 503, nothing stored; with room again: 201."""
    api = create_api(service, Settings(most_unsent=1))
    pressure: Pressure = api.state.shop.pressure
    async with speaking_to(api, await keys.create(service.database, "storefront", set(Scope))) as client:
        assert (await client.post("/orders", json=wish)).status_code == 201
        await service.sent()
        async with service.database.session() as db, db.begin():
            await (await db.connection()).execute(OUTBOX.update().values(sent_at=None))
        await pressure.look()
        refused = await client.post("/orders", json=wish)
        assert (refused.status_code, refused.json()["type"]) == (503, Kind.OVERLOADED.type)
        assert int(refused.headers["retry-after"]) > 0
        location = "/orders/00000000-0000-0000-0000-000000000007"
        assert (await client.get(location)).status_code == 404  # what is not new is answered as ever
        async with service.database.session() as db, db.begin():
            assert (await db.exec(select(func.count()).select_from(Order))).one() == 1
            await (await db.connection()).execute(OUTBOX.update().values(sent_at=func.now()))
        await pressure.look()
        assert (await client.post("/orders", json=wish)).status_code == 201


async def test_too_many_at_once_are_refused(service: Service) -> None:
    """The bound is on those in progress; one that has ended makes room, however it ended."""
    pressure = open_shop(service, Settings(most_waiting=1)).pressure
    for _ in range(2):
        with suppress(LookupError), pressure.taken():
            with pytest.raises(Overloaded):
                pressure.taken().__enter__()
            raise LookupError


async def test_goods_that_arrived_are_told_to_inventory_once(operator: httpx2.AsyncClient, service: Service) -> None:
    """202, and one event whose id the key fixes; an unknown product is a 404, another quantity a 422."""
    key = {"Idempotency-Key": "delivery-note-1042"}
    first = await operator.post("/products/MUG-01/stock", json={"quantity": 24}, headers=key)
    again = await operator.post("/products/MUG-01/stock", json={"quantity": 24}, headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.content == again.content
    assert again.headers["idempotent-replayed"] == "true"
    other = await operator.post("/products/MUG-01/stock", json={"quantity": 25}, headers=key)
    assert other.json()["type"] == Kind.KEY_REUSED.type
    unknown = await operator.post("/products/NO-SUCH/stock", json={"quantity": 1})
    assert unknown.json()["type"] == Kind.UNKNOWN_PRODUCT.type
    for quantity in (0, -1, 1_000_001, 2**63, 1.5, "1", True, None):
        refused = await operator.post("/products/MUG-01/stock", json={"quantity": quantity})
        assert refused.status_code == 422, quantity
    async with service.database.session() as db:
        [row] = (await (await db.connection()).execute(OUTBOX.select())).all()
    assert (row.name, str(row.event_id)) == ("stock.received", first.json()["receipt_id"])
