"""The REST APIs' descriptions: valid, and complete enough to generate a client from."""

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from fastapi import FastAPI
from openapi_spec_validator import OpenAPIV31SpecValidator

from operations.app import api as control_room
from order_api.app import api
from rest.problems import MEDIA_TYPE

Json = dict[str, Any]


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    """Every operation, and what it is called in a complaint."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def complaints(document: Json) -> list[str]:
    """What is wrong or missing."""
    found = [f"invalid: {error.message}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
    names = [operation.get("operationId", "") for _, operation in operations(document)]
    tags = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        if not re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", operation.get("operationId", "")):
            found.append(f"{name}: no operation id that is a good method name")
        elif names.count(operation["operationId"]) > 1:
            found.append(f"{name}: its operation id is another's, too")
        found += [f"{name}: no {part}" for part in ("summary", "description") if not operation.get(part)]
        if not set(operation.get("tags", ())) <= tags or not operation.get("tags"):
            found.append(f"{name}: no tag that is explained")
        found += [
            f"{name}: {each['name']} is not described"
            for each in operation.get("parameters", ())
            if not each.get("description")
        ]
        if not any(status < "300" for status in operation["responses"]):
            found.append(f"{name}: no success")
        for status, response in operation["responses"].items():
            if not response.get("description"):
                found.append(f"{name}: {status} is not described")
            if status >= "400" and list(response["content"]) != [MEDIA_TYPE]:
                found.append(f"{name}: {status} is no problem+json")
        body = operation.get("requestBody")
        if body and not _example(document, body["content"]["application/json"]["schema"]):
            found.append(f"{name}: its body has no example")
    return found


def _example(document: Json, schema: Json) -> object:
    name = schema["$ref"].rpartition("/")[2]
    return document["components"]["schemas"][name].get("examples")


@pytest.mark.parametrize("described", [api, control_room], ids=["order_api", "control room"])
def test_the_description_is_complete(described: FastAPI) -> None:
    """Valid OpenAPI 3.1; ids, summaries, tags, parameters, bodies and errors are all there."""
    assert complaints(described.openapi()) == []


PLACE = ("paths", "/orders", "post")
PLANTED: list[tuple[tuple[str, ...], object, str]] = [
    ((*PLACE, "operationId"), "place_order_orders_post", "POST /orders: no operation id that is a good method name"),
    ((*PLACE, "operationId"), "listOrders", "POST /orders: its operation id is another's, too"),
    ((*PLACE, "summary"), "", "POST /orders: no summary"),
    ((*PLACE, "tags"), ["misc"], "POST /orders: no tag that is explained"),
    ((*PLACE, "responses", "422", "content"), {"application/json": {}}, "POST /orders: 422 is no problem+json"),
    ((*PLACE, "responses", "422", "description"), "", "POST /orders: 422 is not described"),
    (("components", "schemas", "PlaceOrder", "examples"), [], "POST /orders: its body has no example"),
    (("paths", "/orders", "get", "parameters"), [{"name": "x", "in": "query"}], "GET /orders: x is not described"),
    (("info", "title"), 7, "invalid: 7 is not of type"),
]


@pytest.mark.parametrize(("place", "value", "expected"), PLANTED, ids=[expected for *_, expected in PLANTED])
def test_a_planted_fault_is_found(place: tuple[str, ...], value: object, expected: str) -> None:
    """Each thing that is looked for is found missing."""
    document = deepcopy(api.openapi())
    part = document
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    assert any(complaint.startswith(expected) for complaint in complaints(document)), complaints(document)
