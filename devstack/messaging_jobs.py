"""Jobs of `python -m messaging` on the stack that is up. Addresses go by environment: they hold passwords."""

import os
import sys
from typing import Never

from devstack.endpoints import read_endpoints
from devstack.errors import StackError
from devstack.paths import CHECKOUT


def hand_over(*arguments: str) -> Never:
    """Become that job."""
    endpoints = read_endpoints()
    if endpoints.rabbitmq_management is None:
        raise StackError("the broker that the environment names has no management API: ORDERS_RABBITMQ_MANAGEMENT_URL")
    environment = {
        **os.environ,
        "AMQP_URL": endpoints.amqp,
        "RABBITMQ_MANAGEMENT_URL": endpoints.rabbitmq_management,
    }
    os.chdir(CHECKOUT)
    os.execve(sys.executable, [sys.executable, "-m", "messaging", *arguments], environment)
