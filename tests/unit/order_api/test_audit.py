"""The record of what happened to an order: who said it, what it changed; written once."""

from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from messaging.service import Service
from tests.unit.order_api.orders import deliver

Json = dict[str, Any]


async def test_every_transition_has_its_cause_and_its_actor(
    client: httpx2.AsyncClient, service: Service, wish: Json
) -> None:
    """The client by name and key, services by name; the status before and after each fact, without a gap."""
    location = (await client.post("/orders", json=wish)).headers["location"]
    order_id = UUID(location.rpartition("/")[2])
    await deliver(service, order_id, "payment.authorized")
    await client.post(f"{location}/cancel")
    await deliver(service, order_id, "shipping.cancelled", "payment.voided")
    timeline = (await client.get(f"{location}/timeline")).json()
    told = {
        entry["event"]: (entry["actor"].partition(" (key ")[0], entry["status_before"], entry["status_after"])
        for entry in timeline["entries"]
    }
    assert told == {
        "order.created": ("storefront", None, "pending"),
        "payment.authorized": ("payment", "pending", "authorized"),
        "order.cancel_requested": ("storefront", "authorized", "authorized"),
        "shipping.cancelled": ("shipping", "authorized", "cancelling"),
        "payment.voided": ("payment", "cancelling", "cancelled"),
    }
    assert timeline["anomalies"] == []


async def test_an_impossible_event_is_noted_and_changes_nothing(
    client: httpx2.AsyncClient, service: Service, wish: Json
) -> None:
    """A void of what was declined shows on the timeline as an anomaly; the order stays as it is."""
    location = (await client.post("/orders", json=wish)).headers["location"]
    await deliver(service, UUID(location.rpartition("/")[2]), "payment.declined", "payment.voided")
    timeline = (await client.get(f"{location}/timeline")).json()
    assert timeline["status"] == "rejected"
    [anomaly] = timeline["anomalies"]
    assert (anomaly["event"], anomaly["state"]) == ("payment.voided", "rejected")


@pytest.mark.parametrize("change", ["UPDATE facts SET actor = 'me'", "DELETE FROM facts", "TRUNCATE facts"])
async def test_what_happened_cannot_be_rewritten(
    client: httpx2.AsyncClient, service: Service, wish: Json, change: str
) -> None:
    """The database itself refuses."""
    await client.post("/orders", json=wish)
    async with service.database.session() as db:
        with pytest.raises(DBAPIError, match="written once"):
            await (await db.connection()).execute(text(change))
