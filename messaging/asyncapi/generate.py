"""The whole document."""

from __future__ import annotations

from collections.abc import Sequence

from messaging.asyncapi.channels import channels
from messaging.asyncapi.described import Described, Landscape
from messaging.asyncapi.messages import message
from messaging.asyncapi.operations import operations
from messaging.asyncapi.profile import CONTENT_TYPE, PROFILE, PROFILE_VERSION, Json
from messaging.asyncapi.schemas import HEADERS, header_schema, payload_schemas

VERSION = "0.1.0"
"""The release that the document describes; pyproject.toml has the same."""

_LICENSE = {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}
_CONTACT = {"name": "The maintainers of the order system"}


def generate(services: Sequence[Described], title: str = "Orders") -> Json:
    """The document of these services and of the topology that carries their messages.

    Raises SameNameError when two models of one name are in it.
    """
    landscape = Landscape(services)
    names = sorted(service.name for service in services)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": title,
            "version": VERSION,
            "description": (
                "Events, and the RabbitMQ topology that carries them: every exchange, queue and binding, every retry "
                "and every dead letter. Set-up, verification and operations read this document. What AsyncAPI has no "
                f"place for stands in extensions, as the AMQP profile {PROFILE_VERSION} states them "
                "(docs/asyncapi-profile.md)."
            ),
            "contact": _CONTACT,
            "license": _LICENSE,
            "tags": [{"name": name, "description": f"The service {name}."} for name in names],
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {"amqp": _server("amqp", 5672), "amqps": _server("amqps", 5671)},
        "channels": channels(landscape),
        "operations": operations(landscape),
        "components": {
            "messages": {event.message_type(): message(event) for event in landscape.events.values()},
            "schemas": {**payload_schemas(landscape.events.values()), HEADERS: header_schema()},
            "securitySchemes": {
                "password": {
                    "type": "plain",
                    "description": "User and password, by SASL PLAIN. Services need no right to configure the broker.",
                }
            },
        },
        PROFILE: PROFILE_VERSION,
    }


def _server(protocol: str, port: int) -> Json:
    return {
        "host": "{host}",
        "pathname": "/{vhost}",
        "protocol": protocol,
        "protocolVersion": "0.9.1",
        "title": "RabbitMQ" if protocol == "amqp" else "RabbitMQ over TLS",
        "description": "RabbitMQ 3.10 or newer: all queues are quorum queues.",
        "variables": {
            "host": {"default": f"localhost:{port}", "description": "Name and port of the broker."},
            "vhost": {
                "default": "%2F",
                "description": "The virtual host that holds every exchange and queue, percent-encoded; %2F is `/`.",
            },
        },
        "security": [{"$ref": "#/components/securitySchemes/password"}],
    }
