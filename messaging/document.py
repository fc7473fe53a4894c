"""The published AsyncAPI document: generated from the services, read by whoever needs the whole topology."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faststream.specification import AsyncAPI

from messaging.topology import Topology, topology

if TYPE_CHECKING:
    from messaging.service import Service

DOCUMENT = Path("asyncapi/asyncapi.json")
TOPOLOGY = "x-topology"


def generate(services: Sequence[Service]) -> dict[str, Any]:
    """The document of the whole system: channels, operations and messages of every service, and the topology."""
    specification = AsyncAPI(
        *(service.broker for service in services),
        title="Orders",
        version="0.1.0",
        schema_version="3.0.0",
        description="Events of the order processing system, and the RabbitMQ topology that carries them.",
    )
    document = specification.to_specification().to_jsonable()
    document[TOPOLOGY] = topology(queue for service in services for queue in service.routes).model_dump(mode="json")
    return document


def render(document: dict[str, Any]) -> str:
    """The document as text, the same bytes on every run."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def read_topology(path: Path = DOCUMENT) -> Topology:
    """The topology that the document describes."""
    return Topology.model_validate(json.loads(path.read_text())[TOPOLOGY])
