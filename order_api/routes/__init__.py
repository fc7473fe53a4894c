"""The REST routes."""

from order_api.routes import asyncapi, orders, products

ROUTERS = (orders.router, products.router, asyncapi.router)

__all__ = ["ROUTERS"]
