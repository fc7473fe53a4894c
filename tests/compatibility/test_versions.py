"""Two versions of one event side by side."""

import copy
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import pytest
from faststream.rabbit import TestRabbitBroker

import payment.app
from contracts import OrderCreated
from contracts.event import OrderEvent
from messaging.asyncapi.generate import generate
from messaging.compatibility.broker import compare_topologies
from messaging.compatibility.messages import compare_events
from messaging.compatibility.verdict import breaking
from messaging.service import Service
from messaging.testing import envelope
from payment.models import Payment
from payment.settings import Settings
from tests.asyncapi import checks
from tests.compatibility.versions import OrderCreatedV2, as_v1, upgraded


async def test_an_upgraded_service_hears_both_versions(run_in_memory: Callable[..., Awaitable[Service]]) -> None:
    """Orders said by a producer of either version are handled, each from its own queue."""
    service = await run_in_memory(upgraded, Settings, gateway_latency=0)
    assert {"payment.order.created", "payment.order.created.v2"} <= service.routes.keys()
    early, late = OrderCreated.example(), other_order(OrderCreatedV2.example())
    async with TestRabbitBroker(service.broker) as br:
        await br.publish(early, **envelope(early))
        await br.publish(late, **envelope(late))
    async with service.database.session() as db:
        held = {event.order_id: (await db.get_one(Payment, event.order_id)).money.amount for event in (early, late)}
    assert held == {early.order_id: 2580, late.order_id: 3070}


async def test_one_order_said_in_both_versions_is_one_payment(
    run_in_memory: Callable[..., Awaitable[Service]],
) -> None:
    """A re-drive may say an old order anew in version 2: the answer is said again, unchanged."""
    service = await run_in_memory(upgraded, Settings, gateway_latency=0)
    late = OrderCreatedV2.example()
    early = as_v1(late)
    async with TestRabbitBroker(service.broker) as br:
        await br.publish(early, **envelope(early))
        await br.publish(late, **envelope(late, redrive=1))
    async with service.database.session() as db:
        row = await db.get_one(Payment, early.order_id)
    assert (row.state, row.anomalies, list(row.said)) == ("authorized", [], ["payment.authorized"])


def other_order(event: OrderCreatedV2) -> OrderCreatedV2:
    """The same for another order."""
    order_id = OrderCreated.id_for(event.order_id)
    return event.model_copy(update={"order_id": order_id, "event_id": OrderCreatedV2.id_for(order_id)})


def test_a_version_beside_the_old_one_is_compatible() -> None:
    """A new event, a new queue: nothing that is there changes."""
    old = generate([payment.app.build(Settings())])
    new = generate([upgraded(Settings())])
    assert checks.examples_against_schemas(new) == []
    verdicts = [*compare_events(old, new), *compare_topologies(old, new)]
    assert {(each.kind, each.name, each.status) for each in verdicts if each.kind != "binding"} == {
        ("event", "order.created.v2", "new"),
        ("queue", "payment.order.created.v2", "new"),
        ("queue", "payment.order.created.v2.dlq", "new"),
    }


def test_a_version_in_place_of_the_old_one_is_not() -> None:
    """Dropped at once, the old version leaves messages that nobody reads; deprecated and silent first, it may go."""
    both = generate([upgraded(Settings())])
    only_new = upgraded(Settings())
    del only_new.routes["payment.order.created"]
    after = generate([only_new])
    verdicts = [*compare_events(both, after), *compare_topologies(both, after)]
    assert {each.name for each in breaking(verdicts)} == {
        "order.created.v1",
        "payment.order.created",
        "payment.order.created.dlq",
    }
    silent = copy.deepcopy(both)
    silent["components"]["messages"]["order.created.v1"]["deprecated"] = True
    verdicts = [*compare_events(silent, after), *compare_topologies(silent, after)]
    assert breaking(verdicts) == []
    assert {each.name for each in verdicts if each.status == "retired"} == {
        "order.created.v1",
        "payment.order.created",
        "payment.order.created.dlq",
    }


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"name": "order.created", "schema_version": 2}, "version 2 is not that of the name"),
        ({"name": "order.created.v3", "schema_version": 2}, "version 2 is not that of the name"),
        ({"name": "order.created.v2", "schema_version": 1}, "version 1 is not that of the name"),
        ({"name": "order.created.v1", "schema_version": 1}, "version 1 is not that of the name"),
        ({"name": "order.created.v2", "schema_version": 2}, "the default of the field `version` is not 2"),
    ],
)
def test_name_and_version_agree(said: dict[str, Any], problem: str) -> None:
    """A class whose name, version and written version contradict each other is refused when it is defined."""
    annotations = {"name": ClassVar[str], "schema_version": ClassVar[int]}
    with pytest.raises(TypeError, match=problem):
        type("Wrong", (OrderEvent,), {"__module__": __name__, "__annotations__": annotations, **said})
