"""A service's rights on the broker are what the document says that it does, and no more."""

import re
from typing import Any

import pytest

from devstack.services import SERVICES
from messaging.asyncapi import reading
from messaging.rights import Rights, pattern, rights_of

DOCUMENT = reading.load()
TOPOLOGY = reading.topology_of(DOCUMENT)
GRANTED = rights_of(DOCUMENT, TOPOLOGY)
TIERS = {queue.name for queue in TOPOLOGY.queues if queue.kind == "retry"}


def test_every_service_has_rights() -> None:
    """Each service in the document gets a user, and nobody else."""
    assert set(GRANTED) == set(SERVICES)


def test_a_service_does_what_the_document_says() -> None:
    """Payment reads its queues, says its events, and sets aside what fails."""
    assert GRANTED["payment"] == Rights(
        reads=frozenset(
            f"payment.{each}"
            for each in ("order.created", "inventory.rejected", "inventory.released", "shipping.ready")
        ),
        writes=frozenset({"orders.events", "orders.dead", *TIERS}),
        says=frozenset(
            {
                "replay.handled",
                *(f"payment.{each}" for each in ("authorized", "declined", "captured", "capture_failed", "voided")),
            }
        ),
        watches=False,
    )


def test_each_queue_has_one_reader() -> None:
    """No two services may read one queue, and every queue but a tier has somebody who may."""
    readers = [queue for each in GRANTED.values() for queue in each.reads]
    assert sorted(readers) == sorted({queue.name for queue in TOPOLOGY.queues} - TIERS)


def test_only_who_keeps_dead_letters_gives_them_back() -> None:
    """The control room alone writes to the exchange for returns, may say any event, and watches all queues."""
    assert {name for name, each in GRANTED.items() if "orders.requeue" in each.writes} == {"operations"}
    assert {name for name, each in GRANTED.items() if each.says is None} == {"operations"}
    assert {name for name, each in GRANTED.items() if each.watches} == {"operations"}


def test_other_tiers_are_granted() -> None:
    """Whoever declares other retry tiers grants those."""
    granted = rights_of(DOCUMENT, TOPOLOGY.with_tiers(["50ms"]))
    assert granted["payment"].writes == {"orders.events", "orders.dead", "orders.retry.50ms"}


def test_a_service_that_receives_nothing_sets_nothing_aside() -> None:
    """Who only says events may write to their exchange alone."""
    operations: dict[str, Any] = {
        name: each for name, each in DOCUMENT["operations"].items() if not name.startswith("shipping.receive")
    }
    shipping = rights_of({**DOCUMENT, "operations": operations}, TOPOLOGY)["shipping"]
    assert shipping.reads == frozenset()
    assert shipping.writes == {"orders.events"}


@pytest.mark.parametrize(
    ("names", "matches", "refuses"),
    [
        ({"orders.dead", "orders.retry.1s"}, ["orders.dead", "orders.retry.1s"], ["ordersXdead", "orders.dead2", ""]),
        (set[str](), [""], ["orders.dead"]),
        (None, ["", "anything"], []),
    ],
    ids=["names", "nothing", "everything"],
)
def test_a_pattern_grants_exactly_the_names(names: set[str] | None, matches: list[str], refuses: list[str]) -> None:
    """Dots are dots, and neither more nor less is matched; the default exchange, whose name is empty, is not."""
    expression = pattern(names)
    assert all(re.search(expression, each) for each in matches)
    assert not any(re.search(expression, each) for each in refuses)
