"""The command `./run order`."""

from contextlib import closing
from typing import Annotated

import typer

from devstack.endpoints import read_endpoints
from devstack.orders import OrderApi, as_curl, order_body


def order(
    sku: Annotated[str, typer.Argument(help="What to order, e.g. MUG-01; GET /products lists them.")],
    quantity: Annotated[int, typer.Option("--quantity", "-n")] = 1,
    token: Annotated[str, typer.Option(help="The payment token, e.g. tok_declined.")] = "tok_ok",
) -> None:
    """Place an order with the stack that is up, and print the curl that does the same."""
    endpoints = read_endpoints()
    body = order_body(sku, quantity, token=token)
    key = endpoints.api_keys["client"]
    print(as_curl(endpoints.api, key, body))
    with closing(OrderApi(endpoints.api, key)) as api:
        order_id = api.place(body)
    follow = f"curl -sSN {endpoints.api}/orders/{order_id}/events -H 'Authorization: Bearer {key}'"
    print(f"\nPlaced. Follow it live:\n{follow}")
