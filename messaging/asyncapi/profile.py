"""The AMQP profile's extensions and the ways that channels are named. docs/asyncapi-profile.md states them exactly."""

from typing import Any

Json = dict[str, Any]
"""A JSON object."""

PROFILE = "x-amqp-profile"
"""At the root: the version of the profile that the document follows."""
PROFILE_VERSION = "1.1.0"

ARGUMENTS = "x-arguments"
"""In `bindings.amqp.exchange` and `bindings.amqp.queue`: the arguments of the declaration."""
BINDINGS = "x-bindings"
"""In `bindings.amqp` of a queue: every binding that leads to it."""
KIND = "x-kind"
"""In `bindings.amqp.queue`: what the queue is for."""
PREFETCH = "x-prefetch"
"""In `bindings.amqp` of a receive operation: unacknowledged messages that one process holds at most."""
PROPERTIES = "x-properties"
"""In `bindings.amqp` of a message: its AMQP properties."""
VERSION = "x-version"
"""On a message: the version of its event's schema."""
RETRY = "x-retry"
"""On a receive operation: the Operation Retry Object of asyncapi/spec #1234."""
DEAD_LETTER = "x-deadLetter"
"""On a receive operation: the Operation Dead Letter Object of asyncapi/spec #1234."""
CUSTODY = "x-custody"
"""On a receive operation: true where every message is taken out as it is, to be kept by the receiver."""
HANDLER = "x-handler"
"""On a receive operation: the function that handles the message."""
SENDS = "x-sends"
"""On a receive operation: the send operations that may follow from it."""

BINDING_VERSION = "0.3.0"
CONTENT_TYPE = "application/json"


def exchange_channel(exchange: str) -> str:
    """The channel of an exchange that carries more than one routing key; a queue may have the exchange's name."""
    return f"exchange.{exchange}"


def channel_ref(channel: str) -> Json:
    """A reference to a channel."""
    return {"$ref": f"#/channels/{channel}"}


def message_ref(channel: str, message: str) -> Json:
    """A reference to a message of a channel."""
    return {"$ref": f"#/channels/{channel}/messages/{message}"}
