"""Alembic's entry point for the order API's database."""

from messaging.migrations import run
from order_api.models import Model

run(Model.metadata)
