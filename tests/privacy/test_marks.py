"""Personal data is what the contracts mark; everything else follows from the marks."""

from collections.abc import Iterator
from typing import Annotated, Any, cast

import pytest
from pydantic import BaseModel, Field, ValidationError

from contracts import EVENTS, Address, Event, OrderCreated
from contracts.personal import MARK, PERSONAL, Discreet, is_personal
from messaging.personal import ERASED, HOLDERS, MARKED, is_erased, replaced
from order_api.schemas import EXAMPLE_ORDER, OrderView, PlaceOrder

SECRETS = ("Ada", "1 Main St", "Berlin", "10115", "c-42", "tok_ok")
of_every_event = pytest.mark.parametrize("kind", EVENTS.values(), ids=EVENTS)


def fields(schema: Any) -> Iterator[tuple[str, bool]]:
    """Every field in a schema, wherever, and whether its schema bears the mark, wherever."""
    if isinstance(schema, list):
        for each in cast("list[Any]", schema):
            yield from fields(each)
    if isinstance(schema, dict):
        parts = cast("dict[str, Any]", schema)
        properties: dict[str, Any] = parts.get("properties", {})
        yield from ((name, f"'{MARK}': True" in repr(each)) for name, each in properties.items())
        yield from fields([*properties.values(), *(part for name, part in parts.items() if name != "properties")])


def test_these_fields_are_personal() -> None:
    """The marked fields are these, and what holds them is known, too."""
    found = {name for kind in EVENTS.values() for name, marked in fields(kind.model_json_schema()) if marked}
    assert found == MARKED == {"customer_id", "payment_token", "name", "line1", "line2", "city", "postal_code"}
    assert {"shipping_address"} == HOLDERS


@of_every_event
def test_a_name_is_personal_everywhere_or_nowhere(kind: type[Event]) -> None:
    """No contract gives a marked field's name to one that is not: names decide where there is no model any more."""
    assert [name for name, marked in fields(kind.model_json_schema()) if (name in MARKED) != marked] == []


def test_a_mark_inside_a_union_would_be_overlooked() -> None:
    """A mark must be on the field itself; the schema shows one that is not, and the comparison above fails by it."""

    class Wrong(Discreet):
        second_line: Annotated[str, Field(json_schema_extra=PERSONAL)] | None = None

    assert list(fields(Wrong.model_json_schema())) == [("second_line", True)]
    assert not is_personal(Wrong.model_fields["second_line"])


@of_every_event
def test_the_text_of_an_event_tells_nobody(kind: type[Event]) -> None:
    """Neither repr, str nor an f-string shows a marked field, at whatever depth."""
    example = kind.example()
    for shown in (repr(example), str(example), f"{example}", repr([example])):
        assert [secret for secret in SECRETS if secret in shown] == []


def test_the_text_of_an_address_is_its_country() -> None:
    """What is not marked is still shown."""
    assert repr(Address.example()) == "Address(country='DE')"


def test_an_error_does_not_repeat_what_it_was_given() -> None:
    """Pydantic's own text of an error would show the input."""
    given = {**OrderCreated.example().model_dump(mode="json"), "payment_token": "tok_ok" * 20, "total": "Ada"}
    with pytest.raises(ValidationError) as caught:
        OrderCreated.model_validate(given, strict=False)
    assert [secret for secret in SECRETS if secret in str(caught.value)] == []
    assert "payment_token" in str(caught.value)


@pytest.mark.parametrize("model", [PlaceOrder, OrderView])
def test_http_marks_the_same_fields(model: type[BaseModel]) -> None:
    """What comes in and goes out over HTTP is marked by the same names, in its published schema, too."""
    found = list(fields(model.model_json_schema()))
    assert [name for name, marked in found if (name in MARKED) != marked] == []
    assert "customer_id" in dict(found)


def test_the_text_of_a_request_tells_nobody() -> None:
    """A request and its answer show no marked field."""
    wish = PlaceOrder.model_validate(EXAMPLE_ORDER)
    view = OrderView.accepted(OrderCreated.example())
    assert [secret for secret in SECRETS if secret in f"{wish!r} {view!r}"] == []


@of_every_event
def test_an_erased_event_keeps_its_contract(kind: type[Event]) -> None:
    """What is erased is valid, has the same identity, and differs in nothing but marked fields."""
    body = kind.example().model_dump(mode="json")
    erased = replaced(body, ERASED)
    assert [secret for secret in SECRETS if f"'{secret}'" in repr(erased)] == []
    event = kind.model_validate(erased, strict=False)
    assert event.event_id == kind.example().event_id
    assert erased.keys() == body.keys()
    assert {name: value for name, value in erased.items() if name not in MARKED | HOLDERS} == {
        name: value for name, value in body.items() if name not in MARKED | HOLDERS
    }
    assert replaced(erased, ERASED) == erased


@pytest.mark.parametrize(
    ("broken", "erased"),
    [
        ({"shipping_address": "Ada, 1 Main St"}, {"shipping_address": ERASED}),
        ({"shipping_address": ["Ada"]}, {"shipping_address": ERASED}),
        (
            {"shipping_address": {"name": {"first": "Ada"}, "country": "DE"}},
            {"shipping_address": {"name": ERASED, "country": "DE"}},
        ),
        ({"payment_token": None, "note": 1}, {"payment_token": None, "note": 1}),
        ([{"data": {"city": "Berlin"}}], [{"data": {"city": ERASED}}]),
        ("Ada", "Ada"),
    ],
)
def test_what_breaks_its_contract_is_erased_as_well(broken: Any, erased: Any) -> None:
    """Bodies of any shape: the names decide."""
    assert replaced(broken, ERASED) == erased


def test_an_erased_address_is_known() -> None:
    """An address counts as erased when all of it is."""
    address = Address.example()
    assert not is_erased(address)
    assert not is_erased(address.model_copy(update={"name": ERASED}))
    assert is_erased(Address.model_validate(replaced(address, ERASED)))
