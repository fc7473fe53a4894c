"""Every event: identity, immutability, what is read leniently and what is refused."""

import re
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid5

import pytest
from jsonschema import Draft202012Validator, FormatChecker, validate
from pydantic import BaseModel, JsonValue, ValidationError

from contracts import (
    PRODUCERS,
    Address,
    Event,
    InventoryReserved,
    Money,
    OrderCreated,
    OrderEvent,
    PaymentAuthorized,
    StockReceived,
    StockRecorded,
)
from tests.contracts.bodies import EVERY_EVENT, body_of, name_of, places, read, replaced

of_every_event = pytest.mark.parametrize("kind", EVERY_EVENT, ids=name_of)

SECRETS = ("tok_ok", *(str(value) for value in Address.example().model_dump().values() if value))


@of_every_event
def test_the_example_survives_json(kind: type[Event]) -> None:
    """What is written is read back as the same event."""
    example = kind.example()
    assert read(kind, body_of(example)) == example


@of_every_event
def test_the_example_fits_the_schema(kind: type[Event]) -> None:
    """The schema that is published accepts what is sent."""
    schema = kind.model_json_schema(mode="serialization")
    Draft202012Validator.check_schema(schema)
    validate(body_of(kind.example()), schema, Draft202012Validator, format_checker=FormatChecker())


@of_every_event
def test_a_name_says_what_happened(kind: type[Event]) -> None:
    """A name is subject and past participle, and a later version's; the message's type has the version always."""
    subject, happened, *_ = kind.name.split(".")
    assert subject in {"order", "stock", "replay", *PRODUCERS}
    assert re.fullmatch(r"[a-z_]*(ed|ready)", happened)
    assert kind.message_type() == f"{subject}.{happened}.v{kind.schema_version}"
    assert kind.example().version == kind.schema_version
    assert kind.__doc__


@of_every_event
def test_an_event_cannot_be_changed(kind: type[Event]) -> None:
    """An event is frozen, and so is everything in it."""
    example = kind.example()
    values = [example, *(value for value in dict(example).values() if isinstance(value, BaseModel))]
    for value in values:
        for field in type(value).model_fields:
            with pytest.raises(ValidationError, match="frozen"):
                setattr(value, field, getattr(value, field))
    hash(example)


@of_every_event
def test_unknown_fields_are_ignored(kind: type[Event]) -> None:
    """An old consumer reads a newer producer's message, whatever was added at any depth."""
    body: JsonValue = body_of(kind.example())
    for place, value in list(places(body)):
        if isinstance(value, dict):
            body = replaced(body, (*place, "added_later"), {"any": ["thing"]})
    assert read(kind, body) == kind.example()


@of_every_event
def test_a_missing_field_is_refused(kind: type[Event]) -> None:
    """A body without one of its required fields is no event."""
    for name, field in kind.model_fields.items():
        if field.is_required():
            body = body_of(kind.example())
            del body[name]
            with pytest.raises(ValidationError, match=name):
                read(kind, body)


@of_every_event
@pytest.mark.parametrize("wrong", [True, "1", 1.5, 1.0, None, -1], ids=repr)
def test_only_an_integer_is_an_integer(kind: type[Event], wrong: JsonValue) -> None:
    """Neither true nor "1" nor 1.0 passes for a number, nor does a negative one, at any depth."""
    body = body_of(kind.example())
    for place in [place for place, value in places(body) if type(value) is int]:
        with pytest.raises(ValidationError):
            read(kind, replaced(body, place, wrong))


@of_every_event
def test_only_text_is_text(kind: type[Event]) -> None:
    """A number does not pass for a name, an id, a reason or a moment, at any depth."""
    body = body_of(kind.example())
    for place in [place for place, value in places(body) if isinstance(value, str)]:
        with pytest.raises(ValidationError):
            read(kind, replaced(body, place, 1))


@of_every_event
def test_a_moment_without_a_zone_is_refused(kind: type[Event]) -> None:
    """A naive datetime is refused, in code and in JSON."""
    example = kind.example()
    naive = example.occurred_at.replace(tzinfo=None)
    with pytest.raises(ValidationError, match="timezone"):
        kind.model_validate({**dict(example), "occurred_at": naive})
    with pytest.raises(ValidationError, match="timezone"):
        read(kind, replaced(body_of(example), ("occurred_at",), naive.isoformat()))


@of_every_event
def test_a_moment_is_written_in_utc(kind: type[Event]) -> None:
    """Wherever the producer is, the message says UTC, to the microsecond."""
    summer = datetime(2026, 7, 1, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    event = kind.model_validate({**dict(kind.example()), "occurred_at": summer})
    assert body_of(event)["occurred_at"] == "2026-07-01T10:00:00.000005Z"


def test_secrets_are_sent() -> None:
    """What is hidden from logs is in the message: payment and shipping need it."""
    body = body_of(OrderCreated.example())
    assert all(f"'{secret}'" in str(body) for secret in SECRETS)
    assert body["payment_token"] == "tok_ok"
    assert body["shipping_address"] == Address.example().model_dump(mode="json")
    assert body_of(InventoryReserved.example())["shipping_address"] == body["shipping_address"]


@pytest.mark.parametrize("kind", [kind for kind in EVERY_EVENT if issubclass(kind, OrderEvent)], ids=name_of)
def test_an_order_says_each_event_once(kind: type[OrderEvent]) -> None:
    """The id is UUIDv5(order id, event name), so to say it again is to send the same message."""
    example = kind.example()
    assert example.event_id == uuid5(example.order_id, kind.name) == kind.id_for(example.order_id)
    assert example.event_id.version == 5


def test_two_events_never_share_an_id() -> None:
    """No two events of one order, nor the same event of two orders, have the same id."""
    ids = [kind.example().event_id for kind in EVERY_EVENT]
    other = UUID("0192f5a0-7b1c-7000-8000-00000000002b")
    ids += [kind.id_for(other) for kind in EVERY_EVENT if issubclass(kind, OrderEvent)]
    assert len(set(ids)) == len(ids)


def test_a_receipt_has_one_answer() -> None:
    """The id of stock.recorded follows from the receipt that it answers."""
    receipt, answer = StockReceived.example(), StockRecorded.example()
    assert answer.receipt_id == receipt.event_id
    assert answer.event_id == uuid5(receipt.event_id, "stock.recorded")


def test_a_consequence_carries_what_its_cause_knew() -> None:
    """The order, its lines and its address travel on; what is given wins, and it happens now."""
    cause = OrderCreated.example()
    before = datetime.now(UTC)
    event = PaymentAuthorized.of(cause, payment_id="pay_1", amount=Money(amount=1, currency="JPY"))
    assert (event.order_id, event.items, event.shipping_address) == (
        cause.order_id,
        cause.items,
        cause.shipping_address,
    )
    assert event.amount == Money(amount=1, currency="JPY")
    assert event.event_id == PaymentAuthorized.id_for(cause.order_id) != cause.event_id
    assert before <= event.occurred_at <= datetime.now(UTC)


def test_a_consequence_needs_what_its_cause_did_not_know() -> None:
    """A field that nobody gives is an error where the event is made, not where it is read."""
    with pytest.raises(ValidationError, match="payment_id"):
        PaymentAuthorized.of(OrderCreated.example(), amount=Money(amount=1, currency="EUR"))


def test_personal_data_is_marked() -> None:
    """The published schema marks what identifies a person, and what is secret."""
    schema = OrderCreated.model_json_schema()
    marked = {name for name, field in schema["properties"].items() if field.get("x-personal-data")}
    assert marked == {"customer_id", "payment_token"}
    assert schema["properties"]["payment_token"]["x-secret"] is True
    address = Address.model_json_schema()["properties"]
    assert {name for name, field in address.items() if "x-personal-data" not in str(field)} == {"country"}
