"""What "compatible" promises, for generated models, changes of them, and messages."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft7Validator, FormatChecker
from pydantic import ValidationError

from messaging.compatibility import rules
from messaging.compatibility.messages import compare_events
from messaging.compatibility.schemas import UNREAD, Comparison
from messaging.compatibility.verdict import breaking
from tests.compatibility.models import EVENT, FAMILIES, Number, Record, Side, changes

SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
PAYLOAD = {"$ref": "#/components/schemas/Thing"}


def refused(reader: Side, text: str) -> str:
    """Why the model, or the schema that is published of it, refuses a message; empty if both take it."""
    try:
        reader.model.model_validate_json(text)
    except ValidationError as error:
        return str(error)
    components = reader.document["components"]
    schema = {**components["messages"][EVENT]["payload"], "components": components}
    validator: Any = Draft7Validator(schema, format_checker=FormatChecker())
    return "; ".join(each.message for each in validator.iter_errors(json.loads(text)))


def misread(writer: Side, reader: Side, text: str) -> list[str]:
    """Fields that were left out and that the reader takes for something else than the writer."""
    said, known = writer.model.model_fields, reader.model.model_fields
    left_out = (said.keys() & known.keys()) - json.loads(text).keys()
    return [name for name in left_out if said[name].default != known[name].default]


def lost(reader: Side, text: str) -> list[str]:
    """Fields that were said and that the reader drops."""
    return [name for name in json.loads(text) if reader.ignores and name not in reader.model.model_fields]


def broken(old: Side, new: Side) -> list[str]:
    """The promises that are broken: that each side reads what the other wrote, and that nothing written is lost."""
    found: list[str] = []
    compatible = True
    for writer, reader in ((old, new), (new, old)):
        clashes = {each.keyword for each in Comparison(writer.document, reader.document).clashes(PAYLOAD, PAYLOAD)}
        unread = UNREAD in clashes and writer is old
        compatible &= not clashes - {UNREAD} and not unread
        if not clashes - {UNREAD}:
            for text in writer.messages:
                found += [*filter(None, [refused(reader, text)]), *misread(writer, reader, text)]
                if writer is old and not unread and writer.ignores:
                    found += [f"{name} is lost" for name in lost(reader, text)]
    if compatible == bool(breaking(compare_events(old.document, new.document))):
        found.append("the verdict is not what the schemas say")
    return found


@settings(max_examples=300, deadline=None, suppress_health_check=SLOW)
@given(changes())
def test_compatible_means_that_every_message_is_read(change: tuple[Side, Side]) -> None:
    """Where no clash is found, models and schemas take every message: old ones when upgraded, new ones until then."""
    assert broken(*change) == []


@pytest.fixture(scope="module")
def many_changes() -> list[tuple[Side, Side]]:
    """Changes of every kind, the same on every run."""
    found: list[tuple[Side, Side]] = []
    for family in (Record, *FAMILIES):
        once = settings(
            max_examples=400 if family in {Record, Number} else 120,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=SLOW,
        )

        @once
        @given(changes(family))
        def collect(change: tuple[Side, Side]) -> None:
            found.append(change)

        collect()
    return found


def test_the_promise_has_teeth(many_changes: list[tuple[Side, Side]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any one of the rules, a change is called compatible whose messages are refused, and the promise fails."""
    assert not any(broken(*change) for change in many_changes)
    toothless: list[str] = []
    for keyword in rules.RULES:
        with monkeypatch.context() as without:
            without.setitem(rules.RULES, keyword, lambda *_: iter(()))  # type: ignore[arg-type]
            if not any(broken(*change) for change in many_changes):
                toothless.append(keyword)
    assert toothless == []


def test_the_promise_is_no_empty_one(many_changes: list[tuple[Side, Side]]) -> None:
    """Of the generated changes many are compatible and many are not: the gate refuses neither all nor nothing."""
    bad = sum(bool(breaking(compare_events(old.document, new.document))) for old, new in many_changes)
    assert 0.2 < bad / len(many_changes) < 0.95
