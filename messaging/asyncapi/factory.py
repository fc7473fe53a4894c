"""FastStream's hook: `faststream docs gen payment.app:app` writes one service's part of the document."""

from __future__ import annotations

from typing import Any, cast

from faststream.specification import AsyncAPI
from faststream.specification.base import Specification
from typing_extensions import override

from messaging.asyncapi.described import Described
from messaging.asyncapi.generate import VERSION, generate
from messaging.asyncapi.profile import Json
from messaging.asyncapi.render import to_json, to_yaml


class GeneratedDocument:
    """A document in the shape in which FastStream asks for it."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self.title: str = document["info"]["title"]

    def to_jsonable(self) -> Any:
        """Return the document as JSON's types."""
        return self._document

    def to_json(self) -> str:
        """Return the document as JSON."""
        return to_json(self._document)

    def to_yaml(self) -> str:
        """Return the document as YAML."""
        return to_yaml(self._document)


class ServiceDocument(AsyncAPI):
    """The specification of one service."""

    def __init__(self, service: Described) -> None:
        super().__init__(title=service.name, version=VERSION, schema_version="3.0.0")
        self._service = service

    @override
    def to_specification(self) -> Specification:
        return cast("Specification", cast("object", GeneratedDocument(generate([self._service], self.title))))
