"""Private PostgreSQL and RabbitMQ servers: on 127.0.0.1, without Docker, without root, gone when this process is."""

from devstack.servers.given import postgres_for, rabbitmq_for
from devstack.servers.postgres import PostgresServer
from devstack.servers.rabbitmq import RabbitServer

__all__ = ["PostgresServer", "RabbitServer", "postgres_for", "rabbitmq_for"]
