"""The command `./run asyncapi`."""

import os
import sys


def asyncapi() -> None:
    """Write asyncapi/asyncapi.json anew from the contracts, the handlers' signatures and the topology."""
    os.execv(sys.executable, [sys.executable, "-m", "devstack.document"])
