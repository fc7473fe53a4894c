"""The addresses of a running stack, with credentials, in a file that only its user can read."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console

from devstack.errors import StackError
from devstack.paths import ENDPOINTS


@dataclass(frozen=True)
class Endpoints:
    """The fields are the keys of `.stack/endpoints.json`."""

    api: str
    control_room: str
    amqp: str
    rabbitmq_management: str | None
    databases: dict[str, str]
    api_keys: dict[str, str]
    """`client` places and reads orders, `operator` may do everything."""
    services: dict[str, str] = field(default_factory=dict[str, str])
    """Where each answers `/livez`, `/readyz` and `/metrics`."""

    def write(self, path: Path = ENDPOINTS) -> None:
        """Write them, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(asdict(self), indent=2) + "\n")
        partial.replace(path)


def read_endpoints(path: Path = ENDPOINTS) -> Endpoints:
    """Return the addresses of the stack that `./run up` keeps running."""
    try:
        return Endpoints(**json.loads(path.read_text()))
    except FileNotFoundError:
        raise StackError("nothing is up. Start the stack first: ./run up --detach") from None


def print_addresses(endpoints: Endpoints, console: Console) -> None:
    """Print what a person may want to open. Passwords and keys are shown: the servers are private and on 127.0.0.1."""
    rows = {
        "API": endpoints.api,
        "API documentation": f"{endpoints.api}/docs",
        "AsyncAPI": f"{endpoints.api}/asyncapi",
        "Control room": f"{endpoints.control_room}",
        "AMQP": endpoints.amqp,
        "RabbitMQ management": endpoints.rabbitmq_management or "not given",
        "API key, client": endpoints.api_keys["client"],
        "API key, operator": endpoints.api_keys["operator"],
        **{f"Database of {service}": url for service, url in endpoints.databases.items()},
    }
    for name, url in rows.items():
        console.print(f"  {name:<23}{url}", soft_wrap=True, highlight=False)
