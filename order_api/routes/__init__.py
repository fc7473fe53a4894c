"""The REST routes."""

from order_api.routes import orders, products

ROUTERS = (orders.router, products.router)

__all__ = ["ROUTERS"]
