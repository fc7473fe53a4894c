"""Schemas that no model here makes yet: unions with a tag, recursion, keywords without a rule."""

import copy
from typing import Any

import pytest

from messaging.compatibility.schemas import UNREAD, Comparison

Schema = dict[str, Any]


def clashes(written: object, read: object, writer: Schema | None = None, reader: Schema | None = None) -> list[str]:
    """What is found, as `place keyword`; an uncertain one with a question mark."""
    found = Comparison(writer or {}, reader or writer or {}).clashes(written, read)
    return [f"{each.place} {each.keyword}{'' if each.certain else '?'}".strip() for each in found]


def tagged(name: str, **fields: Schema) -> Schema:
    """One member of a union."""
    kind = {"const": name, "type": "string"}
    return {"type": "object", "properties": {"kind": kind, **fields}, "required": ["kind"]}


def union(*members: str) -> Schema:
    """A union whose members are told apart by their field `kind`."""
    return {
        "discriminator": {"propertyName": "kind", "mapping": {each: f"#/{each}" for each in members}},
        "oneOf": [{"$ref": f"#/{each}"} for each in members],
    }


CARDS: Schema = {"card": tagged("card", number={"type": "string"}), "cash": tagged("cash")}


def test_a_union_with_a_tag_may_grow_for_the_upgraded() -> None:
    """A new member is read by whoever knows it, and refused by whoever does not."""
    assert clashes(union("card"), union("card", "cash"), CARDS) == []
    assert clashes(union("card", "cash"), union("card"), CARDS) == ["kind const"]


def test_a_member_of_a_union_may_change_compatibly() -> None:
    """What one member asks is compared with what is written by the member of that tag."""
    stricter, wider = copy.deepcopy(CARDS), copy.deepcopy(CARDS)
    stricter["card"]["properties"]["number"]["maxLength"] = 4
    wider["card"]["properties"]["valid"] = {"type": "string"}
    both = union("card", "cash")
    assert clashes(both, both, CARDS, stricter) == ["number maxLength"]
    assert clashes(both, both, stricter, CARDS) == []
    assert clashes(both, both, wider, CARDS) == [f"valid {UNREAD}"]
    assert clashes(both, both, CARDS, wider) == []


def test_a_union_without_a_tag_must_stay_as_it_is() -> None:
    """Exactly one member may fit, and nobody can tell; one that did not change, references included, is no clash."""
    plain = {"oneOf": [{"$ref": "#/card"}, {"$ref": "#/cash"}]}
    changed = copy.deepcopy(CARDS)
    changed["card"]["properties"]["number"]["minLength"] = 1
    assert clashes(plain, plain, CARDS) == []
    assert clashes(plain, plain, CARDS, changed) == ["oneOf?"]
    assert clashes(plain, {"oneOf": [{"$ref": "#/card"}]}, CARDS) == ["oneOf?"]


def tree(**leaf: object) -> Schema:
    """A schema that refers to itself."""
    branches = {"type": "array", "items": {"$ref": "#/tree"}}
    return {"tree": {"type": "object", "properties": {"name": {"type": "string", **leaf}, "branches": branches}}}


def test_a_schema_that_refers_to_itself_is_compared_once() -> None:
    """The comparison ends, and finds what is inside."""
    root = {"$ref": "#/tree"}
    assert clashes(root, root, tree()) == []
    assert clashes(root, root, tree(), tree(maxLength=5)) == ["name maxLength"]
    assert clashes(root, tree()["tree"], tree(), tree(maxLength=5)) == ["branches[].name maxLength"]


CASES: list[tuple[object, object, list[str]]] = [
    (True, True, []),
    (False, True, []),
    ({"type": "string"}, False, ["not?"]),
    ({"type": ["string", "null"]}, {"anyOf": [{"type": "null"}, {"type": "string"}]}, []),
    ({"type": ["string", "null"]}, {"type": "string"}, ["type"]),
    ({"type": "integer"}, {"type": "number"}, []),
    ({"type": "number"}, {"type": "integer"}, ["type"]),
    ({"enum": [1]}, {"enum": [True]}, ["type"]),
    ({"enum": [1, None]}, {"enum": [1, None, "a"]}, []),
    ({}, {"type": "string"}, ["type"]),
    ({"type": "string"}, {"minimum": 3, "maxItems": 1, "required": ["a"]}, []),
    ({"type": "integer", "minimum": 4}, {"type": "integer", "exclusiveMinimum": 3}, []),
    ({"type": "integer", "minimum": 3}, {"type": "integer", "exclusiveMinimum": 3}, ["exclusiveMinimum"]),
    ({"multipleOf": 6, "type": "integer"}, {"multipleOf": 4, "type": "integer"}, ["multipleOf"]),
    ({"multipleOf": 8, "type": "integer"}, {"multipleOf": 4, "type": "integer"}, []),
    ({"allOf": [{"type": "string"}, {"maxLength": 3}]}, {"type": "string", "maxLength": 4}, ["maxLength"]),
    ({"type": "string", "maxLength": 3}, {"allOf": [{"type": "string"}, {"maxLength": 4}]}, []),
    ({"type": "string", "maxLength": 5}, {"allOf": [{"type": "string"}, {"maxLength": 4}]}, ["maxLength"]),
    ({"type": "string"}, {"type": "string", "contentEncoding": "base64"}, ["contentEncoding?"]),
    ({"type": "string", "contentEncoding": "base64"}, {"type": "string"}, []),
    ({"type": "string", "contentEncoding": "base64"}, {"contentEncoding": "base64"}, []),
    ({"items": [{"type": "string"}], "type": "array"}, {"items": [{"type": "string"}], "type": "array"}, []),
    ({"items": [{"type": "string"}], "type": "array"}, {"items": [{}], "type": "array"}, ["items?"]),
    ({"patternProperties": {"^a": {}}, "type": "object"}, {"type": "object"}, ["patternProperties?"]),
    ({"type": "object"}, {"patternProperties": {"^a": {}}, "type": "object"}, ["patternProperties?"]),
    ({"patternProperties": {"^a": {}}, "type": "object"}, {"patternProperties": {"^a": {}}, "type": "object"}, []),
    ({"type": "object"}, {"type": "object", "additionalProperties": False}, ["additionalProperties?"]),
    (
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"properties": {"a": {"type": "null"}}},
        ["a type"],
    ),
    ({"type": "object", "properties": {"a": {}}}, {"additionalProperties": {"type": "null"}}, ["a type"]),
    ({"type": "object", "additionalProperties": True}, {"additionalProperties": {"type": "null"}}, ["* type"]),
]


@pytest.mark.parametrize(("written", "read", "found"), CASES)
def test_whether_all_that_is_written_is_read(written: object, read: object, found: list[str]) -> None:
    """Schemas beyond those that models make are judged on the safe side."""
    assert clashes(written, read) == found
