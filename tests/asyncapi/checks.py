"""What must be true of a document that is published. Each check returns what is wrong; test_checks.py plants faults."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, FormatChecker
from jsonschema.exceptions import ValidationError as SchemaError
from pydantic import ValidationError

from contracts.event import Event
from devstack.node import find_node, install
from devstack.paths import CHECKOUT
from messaging.asyncapi.profile import Json

PARSER = CHECKOUT / "devstack" / "asyncapi_parser"


@dataclass(frozen=True)
class Parser:
    """AsyncAPI's own parser, installed."""

    node: str
    folder: Path

    def complaints(self, *documents: Path) -> list[list[str]]:
        """Its errors and warnings about each document."""
        done = subprocess.run(  # noqa: S603 - our own program
            [self.node, "diagnose.js", *documents], cwd=self.folder, capture_output=True, text=True, check=True
        )
        return [
            [
                f"{each['severity']} {each['code']} at {each['path']}: {each['message']}"
                for each in diagnostics
                if each["severity"] in {"error", "warning"}
            ]
            for diagnostics in json.loads(done.stdout)
        ]


def installed_parser() -> Parser:
    """Install it. Raises devstack's StackError where that is impossible."""
    return Parser(find_node().node, install(PARSER))


def examples_against_schemas(document: Json) -> list[str]:
    """Examples whose payload or headers break the schema that stands beside them."""
    found: list[str] = []
    for name, message in document["components"]["messages"].items():
        for example in message["examples"]:
            for part in ("payload", "headers"):
                schema = {**message[part], "components": document["components"]}
                found += (
                    f"{name}: example {example['name']}: {part}: {error.json_path}: {error.message}"
                    for error in _errors(schema, example[part])
                )
    return found


def _errors(schema: Json, instance: object) -> Iterator[SchemaError]:
    """Draft 07 ignores what stands beside a `$ref`; the components are there for the references only."""
    Draft7Validator.check_schema(schema)
    validator: Any = Draft7Validator(schema, format_checker=FormatChecker())
    return validator.iter_errors(instance)


def examples_against_models(document: Json, events: Mapping[str, type[Event]]) -> list[str]:
    """Examples that their event's class refuses, and examples that say more or less than the class does."""
    by_type = {event.message_type(): event for event in events.values()}
    found: list[str] = []
    for name, message in document["components"]["messages"].items():
        for example in message["examples"]:
            text = json.dumps(example["payload"])
            try:
                event = by_type[message["name"]].model_validate_json(text)
            except ValidationError as error:
                found.append(f"{name}: example {example['name']}: {error.errors()[0]['msg']}")
                continue
            if json.loads(event.model_dump_json()) != example["payload"]:
                found.append(f"{name}: example {example['name']}: is not what its event would be written as")
    return found


def empty_addresses(document: Json) -> list[str]:
    """Channels that do not say where they are."""
    return [name for name, channel in document["channels"].items() if not (channel.get("address") or "").strip()]


def unnamed_examples(document: Json) -> list[str]:
    """Messages without an example, or with examples that have no name or the same one."""
    found: list[str] = []
    for key, message in document["components"]["messages"].items():
        names = [example.get("name") for example in message.get("examples", ())]
        if not names or None in names or len(set(names)) < len(names):
            found.append(key)
    return found


def correlations(document: Json) -> list[str]:
    """Messages whose correlation id does not stand where they say."""
    found: list[str] = []
    for name, message in document["components"]["messages"].items():
        where, _, pointer = message["correlationId"]["location"].partition("#/")
        for example in message["examples"]:
            part = example[where.removeprefix("$message.").replace("header", "headers")]
            if pointer not in part:
                found.append(f"{name}: nothing at {pointer}")
    return found


def silent_descriptions(document: Json) -> list[str]:
    """Operations whose extensions (retry, dead letter, custody) their channel's or own description does not repeat."""
    found: list[str] = []
    for name, operation in document["operations"].items():
        if operation["action"] != "receive":
            continue
        channel = document["channels"][operation["channel"]["$ref"].rpartition("/")[2]]
        if operation.get("x-custody"):
            facts = ["stored", "then acknowledged"]
        else:
            facts = [operation["x-deadLetter"]["channel"]["$ref"].rpartition("/")[2]]
        if "x-retry" in operation:
            facts.append(f"up to {operation['x-retry']['maxAttempts']} times")
        for fact in facts:
            found += (f"{name}: {fact}" for text in (channel, operation) if fact not in text["description"])
    return found
