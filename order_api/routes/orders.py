"""Place an order, look at it, see what happened to it, ask for its cancellation."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response, status

from contracts import CancelReason
from order_api.domain import MAX_QUANTITY, MAX_TOTAL, Refusal, Status, Unpriceable
from order_api.models import Order
from order_api.openapi import errors
from order_api.problems import Flaw, Kind, Problem
from order_api.routes.access import ShopOfApp
from order_api.schemas import OrderView, PlaceOrder, TimelineView
from order_api.shop import Shop
from order_api.strict_json import StrictJsonRoute

router = APIRouter(tags=["orders"], route_class=StrictJsonRoute)

OrderId = Annotated[UUID, Path(description="The order's id, as its creation gave it.")]

LOCATION = {"Location": {"description": "Where the order is.", "schema": {"type": "string"}}}

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
    responses={
        201: {"headers": LOCATION},
        **errors(400, 413, 415, 422, 503),
    },
)
async def place_order(wish: PlaceOrder, shop: ShopOfApp, response: Response) -> OrderView:
    """Accept an order at today's prices and set it on its way; payment, stock and shipment follow."""
    try:
        event = await shop.place(wish)
    except Unpriceable as refused:
        raise _refusal(refused) from refused
    response.headers["Location"] = f"/orders/{event.order_id}"
    return OrderView.accepted(event)


@router.get("/orders/{order_id}", operation_id="getOrder", summary="Look at an order", responses=errors(404, 422, 503))
async def get_order(order_id: OrderId, shop: ShopOfApp) -> OrderView:
    """Where the order stands."""
    return OrderView.of(await _found(shop, order_id))


@router.get(
    "/orders/{order_id}/timeline",
    operation_id="getTimeline",
    summary="See what happened to an order",
    responses=errors(404, 422, 503),
)
async def get_timeline(order_id: OrderId, shop: ShopOfApp) -> TimelineView:
    """Everything that is known about the order; its status follows from it."""
    return TimelineView.of(await _found(shop, order_id))


@router.post(
    "/orders/{order_id}/cancel",
    status_code=status.HTTP_202_ACCEPTED,
    operation_id="cancelOrder",
    summary="Ask for an order's cancellation",
    response_description="It is asked for. The order will end as `cancelled`, or as `ready` if it was shipped first.",
    responses={
        200: {"model": OrderView, "description": "It is cancelled."},
        202: {"headers": LOCATION},
        **errors(404, 409, 422, 503),
    },
)
async def cancel_order(order_id: OrderId, shop: ShopOfApp, response: Response) -> OrderView:
    """Stop the order if it is not shipped yet. Repeating the request does no more than the first one."""
    order = await shop.cancel(order_id, CancelReason.CUSTOMER)
    if order is None:
        raise Problem(Kind.UNKNOWN_ORDER)
    if order.status in TOO_LATE:
        raise Problem(Kind.NOT_CANCELLABLE, TOO_LATE[order.status])
    if order.status is Status.CANCELLED:
        response.status_code = status.HTTP_200_OK
    response.headers["Location"] = f"/orders/{order_id}"
    return order


async def _found(shop: Shop, order_id: UUID) -> Order:
    order = await shop.find(order_id)
    if order is None:
        raise Problem(Kind.UNKNOWN_ORDER)
    return order


def _refusal(refused: Unpriceable) -> Problem:
    field, detail = REFUSED[refused.refusal]
    pointer = "#/items" if refused.line is None else f"#/items/{refused.line}/{field}"
    return Problem(Kind.UNACCEPTABLE_ORDER, flaws=[Flaw(pointer=pointer, code=refused.refusal, detail=detail)])
