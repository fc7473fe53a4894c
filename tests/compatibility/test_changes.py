"""Each kind of change of the real document: what the verdict is, and for whom."""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from rich.console import Console

from messaging.asyncapi.profile import Json
from messaging.compatibility.broker import compare_topologies
from messaging.compatibility.messages import compare_events
from messaging.compatibility.report import show, show_samples
from messaging.compatibility.samples import Reading, Sample
from messaging.compatibility.verdict import Finding, Verdict, breaking

Plant = Callable[[Json], object]


def verdicts(base: Json, head: Json) -> list[Verdict]:
    """All of them."""
    return [*compare_events(base, head), *compare_topologies(base, head)]


@dataclass
class Documents:
    """The document before and after a change."""

    base: Json
    head: Json


@pytest.fixture
def documents(base: Json, head: Json) -> Documents:
    """Both the same, until a test plants a change in the later one."""
    return Documents(base, head)


def about(name: str, base: Json, head: Json) -> Verdict:
    """The one about that event or object."""
    [found] = [verdict for verdict in verdicts(base, head) if verdict.name == name]
    return found


def schema(document: Json, name: str) -> Json:
    """A schema of the document."""
    return document["components"]["schemas"][name]


def field(document: Json, name: str, of: str) -> Json:
    """A field of a schema."""
    return schema(document, of)["properties"][name]


def queue(document: Json, name: str) -> Json:
    """What the document says of a queue."""
    return document["channels"][name]["bindings"]["amqp"]


def removed_field(document: Json) -> None:
    """A field goes."""
    del schema(document, "ShippingReady")["properties"]["carrier"]
    schema(document, "ShippingReady")["required"].remove("carrier")


def removed_optional_field(document: Json) -> None:
    """A field goes that could be missing: what it said is lost all the same."""
    del schema(document, "Address")["properties"]["line2"]


def new_required_field(document: Json) -> None:
    """Old messages do not have it."""
    field_ = {"type": "string"}
    schema(document, "ShippingReady")["properties"]["depot"] = field_
    schema(document, "ShippingReady")["required"].append("depot")


def no_longer_required(document: Json) -> None:
    """Old consumers need it."""
    schema(document, "ShippingReady")["required"].remove("carrier")


def renamed_field(document: Json) -> None:
    """The same under another name."""
    fields = schema(document, "ShippingReady")["properties"]
    fields["courier"] = fields.pop("carrier")
    schema(document, "ShippingReady")["required"].remove("carrier")


def other_type(document: Json) -> None:
    """A number becomes text."""
    schema(document, "Money")["properties"]["amount"] = {"type": "string"}


def no_null(document: Json) -> None:
    """Null is no longer taken."""
    address = schema(document, "Address")["properties"]
    address["line2"] = {**address["line2"]["anyOf"][0], "default": None}


def narrower_enum(document: Json) -> None:
    """A reason that was said before is no reason any more."""
    schema(document, "CancelReason")["enum"].remove("expiry")


def wider_enum(document: Json) -> None:
    """Consumers that are not upgraded do not know the new reason."""
    schema(document, "CancelReason")["enum"].append("weather")


def lower_maximum(document: Json) -> None:
    """What was counted before is too much."""
    field(document, "quantity", "StockReceived")["maximum"] = 10


def longer_text(document: Json) -> None:
    """Consumers that are not upgraded refuse what is longer."""
    field(document, "tracking_number", "ShippingReady")["maxLength"] = 100


def more_items(document: Json) -> None:
    """Consumers that are not upgraded refuse longer lists."""
    field(document, "items", "OrderCreated")["maxItems"] = 200


def other_pattern(document: Json) -> None:
    """Nobody can tell which one takes more."""
    field(document, "currency", "Money")["pattern"] = "^[A-Z]{3}$|^XBT$"


def other_format(document: Json) -> None:
    """A receipt's id is no UUID any more."""
    field(document, "receipt_id", "StockRecorded")["format"] = "uri"


def closed(document: Json) -> None:
    """Unknown fields are refused from now on; whether any message has one, nobody can tell."""
    schema(document, "ShippingReady")["additionalProperties"] = False


def closed_to_a_new_field(document: Json) -> None:
    """A field goes, and who has it is refused."""
    removed_field(document)
    closed(document)


def other_default(document: Json) -> None:
    """A message that leaves it out means something else."""
    field(document, "version", "ShippingFailed")["default"] = 2


def new_keyword(document: Json) -> None:
    """A keyword that the comparison has no rule for."""
    schema(document, "ShippingReady")["if"] = {"required": ["carrier"]}


def header_narrowed(document: Json) -> None:
    """A header that every message has."""
    schema(document, "MessageHeaders")["properties"]["x-redrive"]["exclusiveMaximum"] = 10


def other_content_type(document: Json) -> None:
    """The body is read otherwise."""
    document["components"]["messages"]["shipping.ready.v1"]["contentType"] = "application/avro"


def nobody_says_it(document: Json) -> None:
    """The producer stops, and its consumers wait."""
    del document["operations"]["shipping.send.shipping.ready"]


def event_removed(document: Json) -> None:
    """The event goes with its queues."""
    del document["components"]["messages"]["shipping.ready.v1"]


READY = ("inventory", "order_api", "payment")
ALL = (*READY, "shipping")
"""Consumers of shipping.ready, and its producer, who reads again what it said before."""


@pytest.mark.parametrize(
    ("plant", "event", "finding", "whom"),
    [
        (removed_field, "shipping.ready.v1", "payload.carrier: field removed or renamed", READY),
        (removed_field, "shipping.ready.v1", "payload.carrier: required: yes → no", READY),
        (removed_optional_field, "order.created.v1", "payload.shipping_address.line2: field removed", ["payment"]),
        (new_required_field, "shipping.ready.v1", "payload.depot: required: no → yes", ALL),
        (no_longer_required, "shipping.ready.v1", "payload.carrier: required: yes → no", READY),
        (renamed_field, "shipping.ready.v1", "payload.carrier: field removed or renamed", READY),
        (other_type, "payment.declined.v1", "payload.amount.amount: type: +string -integer", ["order_api", "payment"]),
        (no_null, "order.created.v1", "payload.shipping_address.line2: type: ", ["order_api", "payment"]),
        (narrower_enum, "shipping.failed.v1", "payload.reason: enum: -expiry", ["inventory", "order_api", "shipping"]),
        (wider_enum, "shipping.failed.v1", "payload.reason: enum: +weather", ["inventory", "order_api"]),
        (lower_maximum, "stock.received.v1", "payload.quantity: maximum: 1000000 → 10", ["inventory", "order_api"]),
        (longer_text, "shipping.ready.v1", "payload.tracking_number: maxLength: 64 → 100", READY),
        (more_items, "order.created.v1", "payload.items: maxItems: 100 → 200", ["payment"]),
        (other_pattern, "order.created.v1", "payload.total.currency: pattern: ", ["order_api", "payment"]),
        (other_format, "stock.recorded.v1", "payload.receipt_id: format: uuid → uri", ["inventory", "order_api"]),
        (closed, "shipping.ready.v1", "payload: additionalProperties: none → false", ALL),
        (closed_to_a_new_field, "shipping.ready.v1", "payload.carrier: additionalProperties: yes → no", ALL),
        (
            other_default,
            "shipping.failed.v1",
            "payload.version: default: 1 → 2",
            ["inventory", "order_api", "shipping"],
        ),
        (new_keyword, "shipping.ready.v1", "payload: if: none → ", ALL),
        (header_narrowed, "stock.received.v1", "headers.x-redrive: exclusiveMaximum: 1000000 → 10", ["inventory"]),
        (other_content_type, "shipping.ready.v1", "content type: application/json → application/avro", READY),
        (nobody_says_it, "shipping.ready.v1", "shipping no longer says it", READY),
        (event_removed, "shipping.ready.v1", "removed", READY),
    ],
)
def test_a_breaking_change_is_named_with_whom_it_breaks(
    documents: Documents, plant: Plant, event: str, finding: str, whom: list[str]
) -> None:
    """The event's verdict says what changed, where, and which services are broken by it."""
    plant(documents.head)
    verdict = about(event, documents.base, documents.head)
    assert verdict.status == "breaking"
    found = {": ".join(filter(None, [each.place, each.change])): each for each in verdict.findings}
    [named] = [each for text, each in found.items() if text.startswith(finding)]
    assert named.breaking
    assert named.breaks == tuple(whom)


def optional_field(document: Json) -> None:
    """An event says more."""
    field_ = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    schema(document, "ShippingReady")["properties"]["depot"] = field_


def other_words(document: Json) -> None:
    """Descriptions, titles, marks and examples."""
    ready = schema(document, "ShippingReady")
    ready["description"] = ready["title"] = "anything"
    ready["properties"]["carrier"]["x-personal-data"] = True
    ready["properties"]["carrier"]["examples"] = ["DHL"]


def deprecated(document: Json) -> None:
    """The event is to go, one day."""
    document["components"]["messages"]["shipping.ready.v1"]["deprecated"] = True


def deprecated_and_silent(document: Json) -> None:
    """The event is to go, and its producer has stopped already."""
    deprecated(document)
    nobody_says_it(document)


def moved_schema(document: Json) -> None:
    """The same schema behind a reference of another name."""
    document["components"]["schemas"]["Cash"] = document["components"]["schemas"].pop("Money")
    for name in ("PaymentCaptured", "PaymentCaptureFailed", "PaymentDeclined", "PaymentAuthorized"):
        field(document, "amount", name)["$ref"] = "#/components/schemas/Cash"
    field(document, "total", "OrderCreated")["$ref"] = "#/components/schemas/Cash"


def new_tier(document: Json) -> None:
    """Failed messages may wait somewhere else, too."""
    for channel in ("orders.retry.10m", "exchange.orders.retry.10m"):
        name = channel.replace("10m", "1h")
        amqp = document["channels"][channel]["bindings"]["amqp"]
        document["channels"][name] = {**document["channels"][channel], "bindings": {"amqp": renamed(amqp)}}


def renamed(amqp: Json) -> Json:
    """The last tier's exchange or queue, as one of an hour."""
    other = {key: {**value, "name": "orders.retry.1h"} for key, value in amqp.items() if key in {"exchange", "queue"}}
    bound = [{"exchange": "orders.retry.1h", "routingKey": ""}]
    return {**amqp, **other, **({"x-bindings": bound} if "queue" in other else {})}


@pytest.mark.parametrize(
    "plant", [optional_field, other_words, deprecated, deprecated_and_silent, moved_schema, new_tier]
)
def test_a_compatible_change_passes(base: Json, head: Json, plant: Plant) -> None:
    """What old consumers ignore, or what only people read, breaks nobody."""
    plant(head)
    assert breaking(verdicts(base, head)) == []
    assert breaking(verdicts(base, base)) == verdicts(base, base) == []


def fewer_deliveries(document: Json) -> None:
    """A queue's argument."""
    queue(document, "payment.order.created")["queue"]["x-arguments"]["x-delivery-limit"] = 5


def other_exchange_type(document: Json) -> None:
    """An exchange's type, in every channel that states it."""
    for channel in document["channels"].values():
        exchange = channel["bindings"]["amqp"].get("exchange", {})
        if exchange.get("name") == "orders.events":
            exchange["type"] = "direct"


def other_routing_key(document: Json) -> None:
    """A queue hears another key."""
    for binding in queue(document, "payment.order.created")["x-bindings"]:
        if binding["exchange"] == "orders.events":
            binding["routingKey"] = "order.accepted"


def removed_tier(document: Json) -> None:
    """A retry tier goes, with what waits in it."""
    for channel in ("orders.retry.30s", "exchange.orders.retry.30s"):
        del document["channels"][channel]


def removed_queue(document: Json) -> None:
    """A service no longer hears an event that is still said."""
    del document["channels"]["payment.shipping.ready"]


EVERYBODY = ["inventory", "operations", "order_api", "payment", "shipping"]


@pytest.mark.parametrize(
    ("plant", "name", "change", "whom"),
    [
        (fewer_deliveries, "payment.order.created", "x-delivery-limit: 50 → 5", ["payment"]),
        (other_exchange_type, "orders.events", "type: topic → direct", EVERYBODY),
        (
            other_routing_key,
            "orders.events -> payment.order.created, routing key 'order.created'",
            "removed",
            ["payment"],
        ),
        (removed_tier, "orders.retry.30s", "removed", EVERYBODY),
        (removed_queue, "payment.shipping.ready", "removed", ["payment"]),
    ],
)
def test_a_broken_topology_is_named_with_whom_it_breaks(
    documents: Documents, plant: Plant, name: str, change: str, whom: list[str]
) -> None:
    """The object, what became of it, and the services whose messages lose their way."""
    plant(documents.head)
    broken = breaking(compare_topologies(documents.base, documents.head))
    assert {verdict.name for verdict in broken} == {name}
    for verdict in broken:
        assert [(each.change, list(each.breaks)) for each in verdict.findings] == [(change, whom)]


def test_what_cannot_be_told_is_said(base: Json, head: Json) -> None:
    """A changed pattern counts as breaking, and the report says that it is not certain."""
    other_pattern(head)
    [finding] = about("order.created.v1", base, head).findings
    assert not finding.certain
    assert finding.because == (
        "once upgraded it cannot read what order_api said before; "
        "until upgraded it cannot read what order_api says from now on"
    )
    assert "cannot tell; at worst once upgraded" in shown(verdicts(base, head))


def shown(found: list[Verdict]) -> str:
    """The report on a wide terminal."""
    console = Console(record=True, width=200, file=io.StringIO())
    show(found, "the last release", console)
    return console.export_text()


def test_the_report_is_readable(base: Json, head: Json) -> None:
    """Each event with its services, each change with what it breaks, and one line that sums up."""
    assert shown([]) == "✓ nothing changed since the last release\n"
    optional_field(head)
    assert "✓ 1 change since the last release, all compatible" in shown(verdicts(base, head))
    wider_enum(head)
    text = shown(verdicts(base, head))
    assert "✗ shipping.failed.v1 from shipping to inventory, order_api" in text
    assert "enum: +weather" in text
    assert "breaks inventory, order_api: until upgraded it cannot read what shipping says from now on" in text
    assert "break inventory, order_api, payment, shipping. The way out: docs/howto/evolve-an-event.md" in text


def test_the_report_of_samples_is_readable() -> None:
    """How many messages of each type are read, which are not and why, and which queues were not looked at."""
    sample = Sample("payment.order.created.dlq", b"{}", type="order.created.v1")
    parked = replace(sample, headers={"x-error-class": "Poison"})
    console = Console(record=True, width=200, file=io.StringIO())
    readings = [Reading(sample), Reading(sample, "total: Field required"), Reading(parked, "items: Field required")]
    show_samples(readings, ["payment.order.created"], console)
    show_samples([], [], console)
    assert console.export_text().splitlines() == [
        "✗ order.created.v1: 2 of 3 read",
        "  payment.order.created.dlq: total: Field required",
        "  payment.order.created.dlq: items: Field required (parked for that already)",
        "work queues left alone, as they are consumed: 1; `contracts record` copies what flows through them",
        "no message to read",
    ]


def test_a_finding_breaks_when_it_has_a_reason() -> None:
    """Even if nobody here is broken: what was published may have other readers."""
    assert Finding("", "removed", (), "read by nobody").breaking
    assert not Finding("", "new field").breaking
