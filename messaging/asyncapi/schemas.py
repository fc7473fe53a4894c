"""JSON Schemas of payloads and headers, in the dialect of AsyncAPI 3.0 (JSON Schema draft 07)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from typing_extensions import override

from contracts.event import Event
from messaging.asyncapi.profile import Json
from messaging.envelope import (
    ATTEMPT,
    CAUSATION,
    ERROR_CLASS,
    ERROR_REASON,
    FIRST_FAILURE,
    LAST_FAILURE,
    MAX_COUNT,
    REDRIVE,
    REPLAY,
)
from messaging.retry import MAX_REASON

HEADERS = "MessageHeaders"
"""The name of the header schema among the document's schemas."""


class SameNameError(ValueError):
    """Two models have one name: one schema would take the other's place."""


class _WithoutFieldTitles(GenerateJsonSchema):
    """Titles of fields only repeat their names."""

    @override
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def payload_schemas(events: Iterable[type[Event]]) -> Json:
    """The schemas of events and of all values in them, by class name. Raises SameNameError."""
    _, together = models_json_schema(
        [(event, "validation") for event in events],
        ref_template="#/components/schemas/{model}",
        schema_generator=_WithoutFieldTitles,
    )
    schemas: Json = together.get("$defs", {})
    if twice := [name for name in schemas if "__" in name or name == HEADERS]:  # pydantic has prefixed the modules
        raise SameNameError(f"models of one name: {', '.join(sorted(twice))}")
    return {name: _draft_07(schema) for name, schema in schemas.items()}


def header_schema() -> Json:
    """The headers that a message may have, wherever it is."""
    return {
        "title": HEADERS,
        "description": "Headers of a message. Each may be missing; others may be there.",
        "type": "object",
        "properties": {
            "traceparent": {
                "description": "W3C trace context of the unit of work that said the event.",
                "type": "string",
                "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
            },
            "tracestate": {"description": "W3C trace state, beside `traceparent`.", "type": "string"},
            CAUSATION: {
                "description": "The event id of the event from which this one follows.",
                "type": "string",
                "format": "uuid",
            },
            REDRIVE: _count("The number of the re-drive that the message belongs to; missing in the first wave."),
            ATTEMPT: _count("How often handling the message failed; missing while it never did."),
            FIRST_FAILURE: {
                "description": "When it failed for the first time, in UTC.",
                "type": "string",
                "format": "date-time",
            },
            LAST_FAILURE: {"description": "When it failed last, in UTC.", "type": "string", "format": "date-time"},
            ERROR_CLASS: {"description": "The class of the last failure.", "type": "string"},
            ERROR_REASON: {
                "description": "The last failure in a sentence, without the message's content.",
                "type": "string",
                "maxLength": MAX_REASON,
            },
            REPLAY: {
                "description": "The replay that brought a dead letter back; a receipt, `replay.handled`, answers it.",
                "type": "string",
                "format": "uuid",
            },
        },
    }


def _count(description: str) -> Json:
    return {"description": description, "type": "integer", "minimum": 0, "exclusiveMaximum": MAX_COUNT}


def _draft_07(schema: Any) -> Any:
    """The same schema for draft 07, which ignores everything beside a `$ref`."""
    if isinstance(schema, list):
        return [_draft_07(item) for item in schema]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(schema, dict):
        return schema
    converted: Json = {key: _draft_07(value) for key, value in schema.items()}  # pyright: ignore[reportUnknownVariableType]
    if "$ref" in converted and len(converted) > 1:
        return {"allOf": [{"$ref": converted.pop("$ref")}], **converted}
    return converted
