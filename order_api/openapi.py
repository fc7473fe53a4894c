"""What the API's OpenAPI document says beside its routes."""

from typing import Any

TAGS = [
    {"name": "orders", "description": "Placed once, carried to exactly one final state."},
    {"name": "products", "description": "What the shop sells."},
    {"name": "documents", "description": "What the services say to each other."},
]

DESCRIPTION = """
Place orders and follow them to their one final state. Every request carries an API key, which `Authorize` takes; a
local stack prints two. Send an `Idempotency-Key` with what must not happen twice. The events behind the orders, and the
queues that carry them, are described at [/asyncapi](/asyncapi).
"""


def idempotent() -> dict[str, Any]:
    """Return the response header by which a repeated answer is known."""
    schema = {"type": "string", "enum": ["true"]}
    return {"Idempotent-Replayed": {"description": "The answer to an earlier request with this key.", "schema": schema}}
