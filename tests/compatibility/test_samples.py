"""Recorded messages, read with the models of today exactly as their consumers would read them."""

import json
from pathlib import Path
from typing import Any

import pytest

from contracts import EVENTS, Event, OrderCreated
from messaging.compatibility.recording import UnreadableError, recorded
from messaging.compatibility.report import as_json
from messaging.compatibility.samples import Reading, read, totals
from messaging.envelope import ATTEMPT, ERROR_CLASS
from tests.compatibility.versions import OrderCreatedV2
from tests.docs.markdown import ROOT, Page

BODY: dict[str, Any] = json.loads(OrderCreated.example().model_dump_json())
GOOD: dict[str, Any] = {"type": "order.created.v1", "payload": BODY}


def reading(folder: Path, events: tuple[type[Event], ...] = tuple(EVENTS.values()), **changes: object) -> Reading:
    """What comes of a recorded message."""
    (folder / "message.json").write_text(json.dumps({**GOOD, **changes}))
    [sample] = recorded(folder)
    return read(sample, events)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, ""),
        ({"type": None, "routing_key": "order.created"}, ""),
        ({"type": None, "routing_key": "payment.order.created"}, ""),
        ({"payload": {**BODY, "added_later": 1}}, ""),
        ({"headers": {ATTEMPT: 2, "traceparent": "any"}}, ""),
        ({"payload": {**BODY, "total": {"amount": "1", "currency": "EUR"}}}, "total.amount: Input should be"),
        ({"payload": [1]}, "Input should be an object"),
        ({"payload": {**BODY, "version": 2}}, "version 2 is unknown"),
        ({"headers": {ATTEMPT: "two"}}, "header x-attempt is no count"),
        ({"message_id": "another"}, "message_id is not the body's event_id"),
        ({"content_type": "text/xml"}, "content type is not application/json"),
        ({"type": "order.exploded.v1"}, "no event of today has its type"),
        ({"type": None}, "no event of today has its type"),
        ({"type": "order.created.v2"}, "no event of today has its type"),
    ],
)
def test_a_message_is_read_as_its_consumer_would(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    """Type, version, body, ids and headers are checked; whatever is wrong is named, without the message's values."""
    found = reading(tmp_path, **changes)
    assert problem in found.problem
    assert found.breaking == bool(problem) == bool(found.problem)
    assert "tok_ok" not in found.problem


def test_a_version_that_is_known_is_read(tmp_path: Path) -> None:
    """Each message is read with the model of its own version."""
    payload = json.loads(OrderCreatedV2.example().model_dump_json())
    found = reading(tmp_path, (OrderCreated, OrderCreatedV2), type="order.created.v2", payload=payload)
    assert found.problem == ""


def test_what_was_refused_before_breaks_nothing(tmp_path: Path) -> None:
    """A message that was parked because it breaks the contract is reported, and is no reason against a release."""
    found = reading(tmp_path, payload={}, headers={ERROR_CLASS: "Poison"})
    assert found.problem
    assert not found.breaking
    assert totals([found]) == {"order.created.v1": (1, 0)}
    assert json.loads(as_json([], [found]))["compatible"]


def test_what_was_read_until_now_is_counted(tmp_path: Path) -> None:
    """A message that was parked for another reason must still be read, for it may be replayed."""
    found = [reading(tmp_path), reading(tmp_path, payload={}, headers={ERROR_CLASS: "GatewayUnavailable"})]
    assert totals(found) == {"order.created.v1": (2, 1)}
    report = json.loads(as_json([], found))
    assert not report["compatible"]
    assert report["samples"] == {"order.created.v1": {"messages": 2, "refused": 1}}
    assert [each["origin"] for each in report["refused"]] == ["message.json"]


@pytest.mark.parametrize("text", ["{", "[]", '{"type": "order.created.v1"}', '{"payload": {}, "colour": 1}'])
def test_a_file_that_holds_no_message_is_named(tmp_path: Path, text: str) -> None:
    """A mistyped field or a broken file is an error, not a message less."""
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(UnreadableError, match=r"odd\.json is no recorded message"):
        list(recorded(tmp_path))


def test_the_page_shows_a_recorded_message(tmp_path: Path) -> None:
    """The example of the how-to can be written to a file as it stands, and is read."""
    [block] = Page(ROOT / "docs" / "howto" / "evolve-an-event.md").blocks("json")
    (tmp_path / "message.json").write_text(block.text)
    [sample] = recorded(tmp_path)
    assert read(sample, EVENTS.values()) == Reading(sample)
