"""Follow an order as server-sent events (HTML Living Standard, 9.2)."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response, status
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

from order_api.domain import Status
from order_api.live import TooManyWatchers
from order_api.models import Fact, position
from order_api.routes.access import ShopOfApp
from order_api.routes.orders import OrderId
from order_api.schemas import Entry, Reached
from rest.access import Reader
from rest.openapi import errors
from rest.problems import OVERLOADED_RETRY_AFTER, Kind, Problem

router = APIRouter(tags=["orders"])

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
RECONNECT = 2_000
"""Milliseconds after which a client that was cut off comes back."""

LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID", pattern=r"^[0-9]{1,18}$", description="The id of the last event that the client has."
    ),
]


@router.get(
    "/orders/{order_id}/events",
    operation_id="followOrder",
    summary="Follow an order",
    response_class=Response,
    responses={
        200: {
            "description": "Timeline entries as they come, then `reached` with the final status.",
            "content": {EventSourceResponse.media_type: {"schema": {"type": "string"}}},
        },
        204: {"description": "The order has its final status, and the client has every event."},
        **errors(404, 422, 503),
    },
)
async def follow_order(
    order_id: OrderId, caller: Reader, shop: ShopOfApp, request: Request, last_event_id: LastEventId = None
) -> Response:
    """The order's timeline, live: everything so far, then what comes, until the order has its final status.

    Each `message` event holds an entry of the timeline; its id, sent back as `Last-Event-ID`, resumes behind it. The
    last event is `reached`. A client that comes back for more than there is gets 204, which ends its reconnecting.
    """
    order = await shop.find(order_id, caller)
    if order is None:
        raise Problem(Kind.UNKNOWN_ORDER)
    after = int(last_event_id or 0)
    news = sorted((fact for fact in order.facts if position(fact) > after), key=position)
    if order.status.final and not news:
        return Response(status_code=status.HTTP_204_NO_CONTENT)
    try:
        shop.live.check_room()
    except TooManyWatchers as full:
        retry = {"Retry-After": str(OVERLOADED_RETRY_AFTER)}
        raise Problem(Kind.OVERLOADED, "Too many orders are being followed.", headers=retry) from full
    heartbeat: float = request.app.state.heartbeat
    after = max([after, *map(position, news)])
    rest = _nothing() if order.status.final else shop.live.follow(order_id, after, heartbeat)
    return EventSourceResponse(_stream(news, rest), headers=HEADERS)


async def _nothing() -> AsyncGenerator[Sequence[Fact]]:
    """What follows a final status: the stream ends there."""
    return
    yield


async def _stream(first: Sequence[Fact], rest: AsyncGenerator[Sequence[Fact]]) -> AsyncGenerator[bytes]:
    yield format_sse_event(retry=RECONNECT)
    status = Status.PENDING
    async with aclosing(rest):
        news = first
        while True:
            for fact in news:
                yield format_sse_event(data_str=Entry.of(fact).model_dump_json(), id=str(position(fact)))
                status = Status(fact.status_after)
            if status.final:
                yield format_sse_event(event="reached", data_str=Reached(status=status).model_dump_json())
                return
            following = await anext(rest, None)
            if following is None:  # this process is to end; the client comes back to another
                return
            news = following
            if not news:
                yield KEEPALIVE_COMMENT
