"""How routes reach the shop."""

from typing import Annotated

from fastapi import Depends, Request

from order_api.shop import Shop


async def _shop(request: Request) -> Shop:
    shop: Shop = request.app.state.shop
    return shop


ShopOfApp = Annotated[Shop, Depends(_shop)]
"""The shop that `create_api` was given."""
