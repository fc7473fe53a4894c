"""Servers in containers, with the vocabulary of devstack.servers: tests that take one of those take these, too."""

import signal
from pathlib import Path

import asyncpg
from aio_pika.exceptions import AMQPError
from typing_extensions import override

from devstack.servers import PostgresServer, RabbitServer, brokers, databases
from tests.stack.docker import Container, docker, wait_until


class RabbitContainer(RabbitServer):
    """A RabbitMQ whose ports are published on 127.0.0.1. `user` is an administrator's, with its password."""

    def __init__(self, container: Container, *, port: int, management_port: int, user: str) -> None:
        super().__init__(Path(container.name), port=port, management_port=management_port)
        self._container = container
        self._user = user

    @property
    @override
    def amqp_url(self) -> str:
        return f"amqp://{self._user}@127.0.0.1:{self.port}/"

    @property
    @override
    def management_url(self) -> str:
        return f"http://{self._user}@127.0.0.1:{self.management_port}"

    @override
    def launch(self) -> None:
        self._container.launch()

    @override
    def wait_ready(self, *, seconds: float = 90) -> None:
        wait_until(self._answers, "RabbitMQ takes connections", seconds=seconds)

    @override
    def stop(self) -> None:
        docker("stop", self._container.id)

    @override
    def kill(self) -> None:
        self._container.kill()

    @override
    def ctl(self, *arguments: str) -> str:
        return docker("exec", self._container.id, "rabbitmqctl", *arguments)

    def _answers(self) -> bool:
        try:
            brokers.ping(self.amqp_url)
        except (OSError, TimeoutError, ValueError, AMQPError):
            return False  # a published port takes connections before there is a server behind it
        return brokers.management_answers(self.management_url)


class PostgresContainer(PostgresServer):
    """A PostgreSQL whose port is published on 127.0.0.1. `user` is the superuser, with its password."""

    def __init__(self, container: Container, *, port: int, user: str) -> None:
        super().__init__(Path(container.name), port=port)
        self._container = container
        self._user = user

    @override
    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{self._user}@127.0.0.1:{self.port}/{database}"

    @override
    def launch(self) -> None:
        self._container.launch()

    @override
    def wait_ready(self, *, seconds: float = 60) -> None:
        wait_until(self._answers, "PostgreSQL takes connections", seconds=seconds)

    @override
    def stop(self) -> None:
        docker("stop", self._container.id)

    @override
    def immediate_stop(self) -> None:
        self._container.ask_to_end(signal.SIGQUIT)
        self._container.wait(seconds=30)

    @override
    def kill(self) -> None:
        self._container.kill()

    def _answers(self) -> bool:
        try:
            databases.ping(self.url())
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True
