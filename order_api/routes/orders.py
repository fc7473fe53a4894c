"""Place an order, look at it, list many, ask for its cancellation."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Request, Response, status

from order_api.domain import MAX_QUANTITY, MAX_TOTAL, Refusal, Status, Unpriceable
from order_api.listing import Cursor, Wanted
from order_api.models import Order
from order_api.openapi import idempotent
from order_api.pressure import Overloaded
from order_api.routes.access import IdempotencyKey, ShopOfApp, key_of, mark_repetition
from order_api.routes.etags import tagged
from order_api.schemas import OrderList, OrderQuery, OrderView, PlaceOrder, TimelineView
from order_api.shop import Shop
from rest.access import Reader, Writer
from rest.callers import Caller
from rest.direct import DirectRoute
from rest.openapi import errors
from rest.problems import OVERLOADED_RETRY_AFTER, Flaw, Kind, Problem

router = APIRouter(tags=["orders"], route_class=DirectRoute)

OrderId = Annotated[UUID, Path(description="The order's id, as its creation gave it.")]

LOCATION = {"Location": {"description": "Where the order is.", "schema": {"type": "string"}}}
ETAG = {"ETag": {"description": "The tag of this version of the order.", "schema": {"type": "string"}}}
LINK = {"Link": {"description": 'The next page, as `<…>; rel="next"` (RFC 8288).', "schema": {"type": "string"}}}

TOO_LATE = {
    Status.READY: "It was already shipped.",
    Status.REJECTED: "It was rejected; there is nothing to cancel.",
}
"""Why an order with this final status cannot be cancelled."""

REFUSED = {
    Refusal.UNKNOWN_SKU: ("sku", "There is no such product"),
    Refusal.OTHER_CURRENCY: ("sku", "The product is priced in another currency than the order's"),
    Refusal.TOO_MANY: ("quantity", f"An order has at most {MAX_QUANTITY} pieces of a product"),
    Refusal.TOO_EXPENSIVE: (None, f"An order's total is at most {MAX_TOTAL} minor units"),
}
"""The field to blame and what to say, for every refusal."""


@router.post(
    "/orders",
    status_code=status.HTTP_201_CREATED,
    operation_id="placeOrder",
    summary="Place an order",
    response_description="The order is accepted, for good: it will reach a final state.",
    responses={201: {"headers": LOCATION | idempotent()}, **errors(400, 408, 409, 413, 415, 422, 503)},
)
async def place_order(
    wish: PlaceOrder, caller: Writer, shop: ShopOfApp, response: Response, idempotency_key: IdempotencyKey = None
) -> OrderView:
    """Accept an order at today's prices and set it on its way; payment, stock and shipment follow."""
    key = (
        None if idempotency_key is None else key_of(caller, idempotency_key, b"place", wish.model_dump_json().encode())
    )
    try:
        answer = await shop.place(wish, caller, key)
    except Unpriceable as refused:
        raise _refusal(refused) from refused
    except Overloaded as overloaded:
        retry = {"Retry-After": str(OVERLOADED_RETRY_AFTER)}
        raise Problem(Kind.OVERLOADED, f"It was not accepted: {overloaded}.", headers=retry) from overloaded
    response.headers["Location"] = f"/orders/{answer.body.order_id}"
    mark_repetition(response, repeated=answer.repeated)
    return answer.body


@router.get(
    "/orders",
    operation_id="listOrders",
    summary="List orders",
    responses={200: {"headers": LINK}, **errors(422, 503)},
)
async def list_orders(
    query: Annotated[OrderQuery, Query()], caller: Reader, shop: ShopOfApp, request: Request, response: Response
) -> OrderList:
    """Orders of this client, newest first. Operators see every client's."""
    wanted = Wanted(
        limit=query.limit,
        after=_cursor(query.cursor),
        statuses=query.status,
        customer_id=query.customer_id,
        created_from=query.created_from,
        created_before=query.created_before,
    )
    page = await shop.page(wanted, caller)
    if page.next is not None:
        following = request.url.include_query_params(cursor=str(page.next))
        response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return OrderList.of(page)


@router.get(
    "/orders/{order_id}",
    operation_id="getOrder",
    summary="Look at an order",
    response_model=OrderView,
    responses={
        200: {"headers": ETAG},
        304: {"description": "The client has this version.", "headers": ETAG},
        **errors(404, 422, 503),
    },
)
async def get_order(
    order_id: OrderId,
    caller: Reader,
    shop: ShopOfApp,
    if_none_match: Annotated[str | None, Header(description="ETags of the versions that the client has.")] = None,
) -> Response:
    """Where the order stands."""
    order = await _found(shop, order_id, caller)
    body = OrderView.of(order).model_dump_json().encode()
    return tagged(body, "application/json", if_none_match, {"Cache-Control": "private, no-cache"})


@router.get(
    "/orders/{order_id}/timeline",
    operation_id="getTimeline",
    summary="See what happened to an order",
    responses=errors(404, 422, 503),
)
async def get_timeline(order_id: OrderId, caller: Reader, shop: ShopOfApp) -> TimelineView:
    """Everything that is known about the order; its status follows from it."""
    return TimelineView.of(await _found(shop, order_id, caller))


@router.post(
    "/orders/{order_id}/cancel",
    status_code=status.HTTP_202_ACCEPTED,
    operation_id="cancelOrder",
    summary="Ask for an order's cancellation",
    response_description="It is asked for. The order will end as `cancelled`, or as `ready` if it was shipped first.",
    responses={
        200: {"model": OrderView, "description": "It is cancelled.", "headers": LOCATION | idempotent()},
        202: {"headers": LOCATION | idempotent()},
        **errors(404, 409, 422, 503),
    },
)
async def cancel_order(
    order_id: OrderId, caller: Writer, shop: ShopOfApp, response: Response, idempotency_key: IdempotencyKey = None
) -> OrderView:
    """Stop the order if it is not shipped yet. Repeating the request does no more than the first one."""
    answer = await shop.cancel(order_id, caller, key_of(caller, idempotency_key, b"cancel", order_id.bytes))
    if answer is None:
        raise Problem(Kind.UNKNOWN_ORDER)
    order = answer.body
    if order.status in TOO_LATE:
        raise Problem(Kind.NOT_CANCELLABLE, TOO_LATE[order.status])
    if order.status is Status.CANCELLED:
        response.status_code = status.HTTP_200_OK
    response.headers["Location"] = f"/orders/{order_id}"
    mark_repetition(response, repeated=answer.repeated)
    return order


async def _found(shop: Shop, order_id: UUID, caller: Caller) -> Order:
    order = await shop.find(order_id, caller)
    if order is None:
        raise Problem(Kind.UNKNOWN_ORDER)
    return order


def _cursor(text: str | None) -> Cursor | None:
    try:
        return None if text is None else Cursor.parse(text)
    except ValueError as error:
        flaw = Flaw(parameter="cursor", code="cursor", detail="This is no `next_cursor` of a page")
        raise Problem(Kind.INVALID_REQUEST, flaws=[flaw]) from error


def _refusal(refused: Unpriceable) -> Problem:
    field, detail = REFUSED[refused.refusal]
    pointer = "#/items" if refused.line is None else f"#/items/{refused.line}/{field}"
    return Problem(Kind.UNACCEPTABLE_ORDER, flaws=[Flaw(pointer=pointer, code=refused.refusal, detail=detail)])
