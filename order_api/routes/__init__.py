"""The REST routes."""

from order_api.routes import asyncapi, docs, live, orders, products

ROUTERS = (orders.router, live.router, products.router, asyncapi.router, docs.router)

__all__ = ["ROUTERS"]
