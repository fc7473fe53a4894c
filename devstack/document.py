"""`python -m devstack.document`: the one program, tests apart, that imports every service.

It is a process of its own, so that no other command of `./run` pays for these imports or breaks with a service.
"""

import os

import inventory.app
import order_api.app
import payment.app
import shipping.app
from devstack.paths import CHECKOUT
from messaging.document import DOCUMENT, generate, render
from messaging.service import Service

SERVICES: tuple[Service, ...] = (
    order_api.app.service,
    payment.app.service,
    inventory.app.service,
    shipping.app.service,
)


def write_document() -> None:
    """Write asyncapi/asyncapi.json anew from the contracts, the handlers' signatures and the topology."""
    os.chdir(CHECKOUT)
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(render(generate(SERVICES)), encoding="utf-8")
    print(f"wrote {DOCUMENT}")


if __name__ == "__main__":
    write_document()
