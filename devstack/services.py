"""The services and the jobs ahead of them: how each is started, and with what environment."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devstack.paths import CHECKOUT
from devstack.process import Process
from devstack.spawning import Program
from messaging.roles import ROLE
from rest.callers import new_token

HOST = "127.0.0.1"
API = "order_api"
CONSUMERS = ("payment", "inventory", "shipping")
CONTROL_ROOM = "operations"
SERVICES = (API, *CONSUMERS, CONTROL_ROOM)
"""Every service, by its package: what is started, documented and checked."""
_STOPPING = ("--timeout-graceful-shutdown", "10")
"""Seconds for the requests in progress when the process is asked to end."""
_HTTP = ("--http", "rest.bounded_http:BoundedHttp", "--ws", "none")
SEEDED = (API, "inventory", CONTROL_ROOM)
SPOKEN_TO = (API, CONTROL_ROOM)
"""Services that are spoken to by REST."""


@dataclass(frozen=True)
class Wiring:
    """What every service is told: its broker, its own database, its own HTTP port."""

    amqp_url: str
    databases: Mapping[str, str]
    http_ports: Mapping[str, int]
    extra: Mapping[str, str]
    api_keys: Mapping[str, str] = field(default_factory=lambda: {"client": new_token(), "operator": new_token()})
    """Keys of the services that are spoken to, new at each start: the operator's is good at both."""
    management_url: str | None = None
    """The broker's management API, if it has one."""
    amqp_urls: Mapping[str, str] = field(default_factory=dict[str, str])
    """The broker as a service's own user; a service without one is told `amqp_url`."""
    readers: Mapping[str, str] = field(default_factory=dict[str, str])
    """The databases, as a role that may only read, for whoever audits and watches them."""

    def environment(self, service: str) -> dict[str, str]:
        """Return the environment of one service. It learns no other's database; the control room may read them."""
        prefix = service.upper()
        return {
            **_inherited(),
            f"{prefix}_AMQP_URL": self.amqp_urls.get(service, self.amqp_url),
            f"{prefix}_DATABASE_URL": self.databases[service],
            f"{prefix}_HTTP_HOST": HOST,
            f"{prefix}_HTTP_PORT": str(self.http_ports[service]),
            f"{prefix}_LOG_FORMAT": "console",
            **(self._of_the_others if service == CONTROL_ROOM else {}),
            **self.extra,
        }

    @property
    def addresses(self) -> dict[str, str]:
        """Where each service answers `/livez`, `/readyz` and `/metrics`."""
        return {service: f"http://{HOST}:{port}" for service, port in self.http_ports.items()}

    @property
    def _of_the_others(self) -> dict[str, str]:
        """What the control room needs to show an order beside its dead letter, and to watch over the system."""
        return {
            **{f"OPERATIONS_MONITORING_ADDRESSES__{each.upper()}": url for each, url in self.addresses.items()},
            **{
                f"OPERATIONS_AUDIT_DATABASES__{each.upper()}": url
                for each, url in self.readers.items()
                if each != CONTROL_ROOM
            },
            "OPERATIONS_MONITORING_MANAGEMENT_URL": self.management_url or "",
            "OPERATIONS_ORDER_API_URL": f"http://{HOST}:{self.http_ports[API]}",
            "OPERATIONS_ORDER_API_KEY": self.api_keys["operator"],
        }


def service_process(service: str, wiring: Wiring, logs: Path) -> Process:
    """Return the process of a service, not started. It is ready when GET /readyz answers 200."""
    if service in SPOKEN_TO:
        port = str(wiring.http_ports[service])
        options = ["--host", HOST, "--port", port, "--no-access-log", *_HTTP, *_STOPPING]
        command = ["uvicorn", f"{service}.app:api", *options]
    else:
        command = ["faststream", "run", f"{service}.app:app"]
    return _python(service, command, wiring.environment(service), logs)


def topology_job(wiring: Wiring, logs: Path) -> Process:
    """Return the job that declares every exchange, queue and binding."""
    command = ["messaging", "topology", "apply", "--amqp-url", wiring.amqp_url]
    return _python("topology", command, {**_inherited(), **wiring.extra}, logs)


def gate_job(wiring: Wiring, management_url: str, logs: Path) -> Process:
    """Return the job that fails, with a report, while the broker differs from the document."""
    environment = {
        **_inherited(),
        "AMQP_URL": wiring.amqp_url,
        "RABBITMQ_MANAGEMENT_URL": management_url,
        "COLUMNS": "120",
        **wiring.extra,
    }
    return _python("verify", ["messaging", "verify", "--before-services"], environment, logs)


def migration_job(service: str, wiring: Wiring, logs: Path) -> Process:
    """Return the job that brings a service's own database to its newest schema."""
    return _python(f"{service}.migrate", ["messaging", "migrate", service], wiring.environment(service), logs)


def readers_job(databases: Mapping[str, str], password: str, logs: Path) -> Process:
    """Return the job that makes the role that may only read, by services' databases."""
    urls = {f"{service.upper()}_DATABASE_URL": url for service, url in databases.items()}
    environment = {**_inherited(), **urls, "READER_PASSWORD": password, "READER_ROLE": ROLE}
    return _python("readers", ["messaging", "readers", *databases], environment, logs)


def seed_job(service: str, wiring: Wiring, logs: Path) -> Process:
    """Return the job that loads a service's products or stock; harmless when repeated."""
    environment = wiring.environment(service)
    if service == API:
        environment |= {f"ORDER_API_DEVELOPMENT_{who.upper()}_KEY": key for who, key in wiring.api_keys.items()}
    if service == CONTROL_ROOM:
        environment["OPERATIONS_DEVELOPMENT_OPERATOR_KEY"] = wiring.api_keys["operator"]
    return _python(f"{service}.seed", [f"{service}.seed"], environment, logs)


def _python(name: str, module: list[str], environment: Mapping[str, str], logs: Path) -> Process:
    return Process(name, Program([sys.executable, "-m", *module], environment, CHECKOUT, logs / f"{name}.log"))


def _inherited() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1"}
