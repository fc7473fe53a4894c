"""The REST routes."""

from order_api.routes import asyncapi, docs, orders, products

ROUTERS = (orders.router, products.router, asyncapi.router, docs.router)

__all__ = ["ROUTERS"]
