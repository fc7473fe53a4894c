"""See what can be ordered."""

from fastapi import APIRouter

from order_api.openapi import errors
from order_api.routes.access import ShopOfApp
from order_api.schemas import ProductView

router = APIRouter(tags=["products"])


@router.get("/products", operation_id="listProducts", summary="See what can be ordered", responses=errors(503))
async def list_products(shop: ShopOfApp) -> list[ProductView]:
    """Every product with its price, by sku."""
    return ProductView.all_of(await shop.catalogue.products())
