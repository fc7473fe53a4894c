"""Servers that the environment names are used instead of private ones, or are an error: never silently replaced."""

import os
import urllib.parse
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx2
from aio_pika.exceptions import AMQPError

from devstack.errors import GivenServerError
from devstack.servers import brokers, databases
from devstack.servers.postgres import PostgresServer
from devstack.servers.rabbitmq import RabbitServer

AMQP = "ORDERS_AMQP_URL"
MANAGEMENT = "ORDERS_RABBITMQ_MANAGEMENT_URL"


def database_variable(service: str) -> str:
    """Name the variable that gives a service's database."""
    return f"ORDERS_{service.upper()}_DATABASE_URL"


@dataclass(frozen=True)
class Broker:
    """How to reach a RabbitMQ, private or given. A given one may have no management URL."""

    amqp_url: str
    management_url: str | None


def given_database(service: str) -> str | None:
    """Return the URL that the environment names for a service, if any; raises GivenServerError if nothing answers."""
    variable = database_variable(service)
    url = os.environ.get(variable)
    if not url:
        return None
    try:
        databases.ping(url)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as failure:
        raise _no_answer(variable, url, failure) from failure
    return url


def given_broker() -> Broker | None:
    """Return the broker that the environment names, if it does; raises GivenServerError if it does not answer."""
    url, management = os.environ.get(AMQP), os.environ.get(MANAGEMENT)
    if not url:
        if management:
            raise GivenServerError(f"{MANAGEMENT} is set, but {AMQP} is not: set both, or neither")
        return None
    try:
        brokers.ping(url)
    except (OSError, TimeoutError, ValueError, AMQPError) as failure:
        raise _no_answer(AMQP, url, failure) from failure
    if management:
        try:
            httpx2.get(f"{management.rstrip('/')}/api/overview", timeout=5).raise_for_status()
        except (httpx2.HTTPError, httpx2.InvalidURL) as failure:
            raise _no_answer(MANAGEMENT, management, failure) from failure
    return Broker(url, management)


@contextmanager
def postgres_for(services: Sequence[str], state: Path, *, config: Sequence[str] = ()) -> Generator[dict[str, str]]:
    """Yield each service's database URL: the given one, else one on a private server that ends with the block."""
    urls = {service: url for service in services if (url := given_database(service))}
    missing = [service for service in services if service not in urls]
    if not missing:
        yield urls
        return
    with PostgresServer(state, config=config) as server:
        yield {service: urls.get(service) or server.create_database(service) for service in services}


@contextmanager
def rabbitmq_for(state: Path, *, config: Sequence[str] = ()) -> Generator[Broker]:
    """Yield the given broker, else a private one that ends with the block."""
    if broker := given_broker():
        yield broker
        return
    with RabbitServer(state, config=config) as server:
        yield Broker(server.amqp_url, server.management_url)


def _no_answer(variable: str, url: str, failure: BaseException) -> GivenServerError:
    reason = str(failure) or type(failure).__name__
    return GivenServerError(
        f"{variable} names {_without_password(url)}, which does not answer: {reason}. "
        f"Start that server, correct the variable, or unset it to get a private one."
    )


def _without_password(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, f"***@{host}" if "@" in parts.netloc else host, parts.path, "", ""))
