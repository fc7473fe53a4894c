"""How routes reach the shop, and who asks."""

from typing import Annotated

from fastapi import Depends, Header, Request, Response

from order_api.idempotency import Key
from order_api.shop import Shop
from rest.callers import Caller


async def _shop(request: Request) -> Shop:
    shop: Shop = request.app.state.shop
    return shop


ShopOfApp = Annotated[Shop, Depends(_shop)]
"""The shop that `create_api` was given."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$",
        description="Makes it safe to send this request again: the first answer is repeated, and nothing happens twice."
        " Any text that no other request of this client has, a random UUID for example.",
        examples=["7f1c2f0e-3c1c-4a65-8f0d-6f6a2f8c9a11"],
    ),
]


def key_of(caller: Caller, value: str | None, *request: bytes) -> Key | None:
    """The caller's key for this request, if one was sent."""
    return None if value is None else Key(caller.client_id, value, b"\0".join(request))


def mark_repetition(response: Response, *, repeated: bool) -> None:
    """Tell the client that this answer was given before."""
    if repeated:
        response.headers["Idempotent-Replayed"] = "true"
