"""Each check of the document finds the fault that it is for, and none in the published document."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts import EVENTS
from contracts.event import Event
from messaging.asyncapi.profile import Json
from messaging.asyncapi.render import to_json
from messaging.asyncapi.schemas import SameNameError, payload_schemas
from tests.asyncapi import checks
from tests.asyncapi.checks import Parser

Check = Callable[[Json], list[str]]


def against_models(document: Json) -> list[str]:
    """The examples of this system's events."""
    return checks.examples_against_models(document, EVENTS)


def missing_field(document: Json) -> None:
    """An example forgets a required field."""
    del document["components"]["messages"]["order.created.v1"]["examples"][0]["payload"]["total"]


def wrong_header(document: Json) -> None:
    """An example counts with a word."""
    document["components"]["messages"]["order.created.v1"]["examples"][1]["headers"]["x-attempt"] = "one"


def wrong_format(document: Json) -> None:
    """An example's id is none."""
    document["components"]["messages"]["payment.voided.v1"]["examples"][0]["payload"]["event_id"] = "7"


def coerced_number(document: Json) -> None:
    """An example passes the schema of a number by a float, which the model refuses."""
    document["components"]["messages"]["stock.received.v1"]["examples"][0]["payload"]["quantity"] = 24.0


def unknown_field(document: Json) -> None:
    """An example has a field that the event would ignore."""
    document["components"]["messages"]["stock.received.v1"]["examples"][0]["payload"]["colour"] = "blue"


def empty_address(document: Json) -> None:
    """A channel is nowhere."""
    document["channels"]["order.created"]["address"] = ""


def no_address(document: Json) -> None:
    """A channel's place is unknown."""
    document["channels"]["order.created"]["address"] = None


def nameless_example(document: Json) -> None:
    """An example has no name."""
    del document["components"]["messages"]["order.created.v1"]["examples"][0]["name"]


def correlation_elsewhere(document: Json) -> None:
    """The correlation id is said to be in a header that does not exist, as FastStream says it."""
    message = document["components"]["messages"]["order.created.v1"]
    message["correlationId"]["location"] = "$message.header#/correlation_id"


def hidden_dead_letters(document: Json) -> None:
    """A viewer that hides extensions would show nothing of dead letters."""
    document["channels"]["payment.order.created"]["description"] = "Orders."


def hidden_custody(document: Json) -> None:
    """A viewer that hides extensions would not show that dead letters leave their queue."""
    document["channels"]["payment.order.created.dlq"]["description"] = "What no retry can help."


@pytest.mark.parametrize(
    ("check", "fault"),
    [
        (checks.examples_against_schemas, missing_field),
        (checks.examples_against_schemas, wrong_header),
        (checks.examples_against_schemas, wrong_format),
        (against_models, missing_field),
        (against_models, coerced_number),
        (against_models, unknown_field),
        (checks.empty_addresses, empty_address),
        (checks.empty_addresses, no_address),
        (checks.unnamed_examples, nameless_example),
        (checks.correlations, correlation_elsewhere),
        (checks.silent_descriptions, hidden_dead_letters),
        (checks.silent_descriptions, hidden_custody),
    ],
)
def test_a_planted_fault_is_found(document: Json, check: Check, fault: Callable[[Json], None]) -> None:
    """The document passes the check, and no longer does with the fault in it."""
    assert check(document) == []
    fault(document)
    assert check(document) != []


def unknown_channel(document: Json) -> None:
    """An operation uses a channel that does not exist."""
    document["operations"]["payment.receive.order.created"]["channel"]["$ref"] = "#/channels/nowhere"


def foreign_message(document: Json) -> None:
    """An operation receives a message that its channel does not carry."""
    document["operations"]["payment.receive.order.created"]["messages"] = [
        {"$ref": "#/channels/order.cancel_requested/messages/order.cancel_requested.v1"}
    ]


def exchange_of_a_queue(document: Json) -> None:
    """A queue's binding has the exchange that the AMQP binding has no place for."""
    amqp = document["channels"]["payment.order.created"]["bindings"]["amqp"]
    amqp["exchange"] = {"name": "events", "type": "topic"}


def no_version(document: Json) -> None:
    """The document forgets its version."""
    del document["info"]["version"]


def test_the_parser_finds_planted_faults(generated: Json, parser: Parser, tmp_path: Path) -> None:
    """AsyncAPI's own parser says so of each, as an error or a warning."""
    faults = (unknown_channel, foreign_message, exchange_of_a_queue, no_version)
    files = [tmp_path / f"{number}.json" for number in range(len(faults))]
    for file, fault in zip(files, faults, strict=True):
        broken = copy.deepcopy(generated)
        fault(broken)
        file.write_text(to_json(broken))
    assert all(parser.complaints(*files))


def test_two_models_of_one_name_are_refused() -> None:
    """Neither takes the other's place in silence."""

    def another(base: type[Event]) -> type[Event]:
        return type("OrderCreated", (base,), {"__module__": "elsewhere", "__annotations__": {"more": int}})

    with pytest.raises(SameNameError, match="OrderCreated"):
        payload_schemas([*EVENTS.values(), another(Event)])


def test_a_payload_keeps_what_stands_beside_a_reference(generated: Json) -> None:
    """Draft 07 ignores everything beside a `$ref`, so nothing stands there."""
    references: list[Json] = []

    def collect(node: Json) -> Json:
        if "$ref" in node:
            references.append(node)
        return node

    json.loads(json.dumps(generated["components"]["schemas"]), object_hook=collect)
    assert references
    assert all(len(reference) == 1 for reference in references)
