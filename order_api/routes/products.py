"""See what can be ordered; book goods that arrived."""

from typing import Annotated

from fastapi import APIRouter, Path, Response, status

from contracts.values import Sku
from order_api.openapi import idempotent
from order_api.routes.access import IdempotencyKey, ShopOfApp, key_of, mark_repetition
from order_api.schemas import ProductView, ReceiptView, ReceiveStock
from order_api.shop import UnknownProduct
from rest.access import Operator, Reader
from rest.direct import DirectRoute
from rest.openapi import errors
from rest.problems import Kind, Problem

router = APIRouter(tags=["products"], route_class=DirectRoute)


@router.get("/products", operation_id="listProducts", summary="See what can be ordered", responses=errors(503))
async def list_products(_: Reader, shop: ShopOfApp) -> list[ProductView]:
    """Every product with its price, by sku. Stock is as of the last receipt of goods that inventory booked."""
    return ProductView.all_of(await shop.catalogue.products())


@router.post(
    "/products/{sku}/stock",
    status_code=status.HTTP_202_ACCEPTED,
    operation_id="receiveStock",
    summary="Book a receipt of goods",
    response_description="Inventory will book it, once; `GET /products` shows the stock from then on.",
    responses={202: {"headers": idempotent()}, **errors(400, 404, 408, 409, 413, 415, 422, 503)},
)
async def receive_stock(  # noqa: PLR0913, PLR0917 - parts of the request, which FastAPI gives by name
    sku: Annotated[Sku, Path(description="The product.")],
    goods: ReceiveStock,
    caller: Operator,
    shop: ShopOfApp,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> ReceiptView:
    """Tell inventory that goods arrived. Send a key: without one, a request that is sent again is another receipt."""
    key = key_of(caller, idempotency_key, b"receive", sku.encode(), str(goods.quantity).encode())
    try:
        answer = await shop.receive(sku, goods.quantity, caller, key)
    except UnknownProduct as unknown:
        raise Problem(Kind.UNKNOWN_PRODUCT) from unknown
    mark_repetition(response, repeated=answer.repeated)
    return answer.body
