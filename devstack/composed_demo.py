"""The demo beside a composed system: `docker compose run --rm demo` (docs/compose.md).

It reads API_URL, CONTROL_ROOM_URL, AMQP_URL and RABBITMQ_MANAGEMENT_URL, whose passwords are in SECRETS_DIR, and the
API keys in KEYS_DIR. SHOWN_* are the addresses that a browser on the host may open.
"""

import os
import sys
from pathlib import Path

from rich.console import Console

from devstack.demo import show
from devstack.endpoints import Endpoints
from devstack.errors import StackError
from messaging import secret_files

_SECONDS = 60
_WIDTH = 120


def main() -> int:
    """Show the demo; 0 if every order ended as it should."""
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    password, keys = secret_files.read("amqp_password"), Path(os.environ["KEYS_DIR"])
    endpoints = Endpoints(
        api=os.environ["API_URL"],
        control_room=os.environ["CONTROL_ROOM_URL"],
        amqp=secret_files.with_password(os.environ["AMQP_URL"], password),
        rabbitmq_management=secret_files.with_password(os.environ["RABBITMQ_MANAGEMENT_URL"], password),
        databases={},
        api_keys={who: (keys / who).read_text().strip() for who in ("client", "operator")},
    )
    ok = show(endpoints, console, seconds=_SECONDS, check=_nothing)
    for name, variable in (("API documentation", "SHOWN_API"), ("RabbitMQ management", "SHOWN_MANAGEMENT")):
        console.print(f"  {name:<23}{os.environ[variable]}", soft_wrap=True, highlight=False)
    console.print("The system keeps running until docker compose down.")
    return 0 if ok else 1


def _nothing() -> None:
    """Compose looks after the containers."""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StackError as failure:
        sys.exit(f"Error: {failure}")
