"""The command `./run asyncapi`."""

import os
import sys

from devstack.services import SERVICES

_SETTINGS = tuple(f"{service.upper()}_" for service in SERVICES)


def asyncapi() -> None:
    """Write asyncapi/ anew (document, page, picture) from the contracts, the handlers' signatures and the topology.

    And docs/life-cycle.md, from the services' state tables.
    """
    defaults = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    os.execve(sys.executable, [sys.executable, "-m", "devstack.document"], defaults)
