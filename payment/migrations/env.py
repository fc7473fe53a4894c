"""Alembic's entry point for payment's database."""

from messaging.migrations import run
from payment.models import Model

run(Model.metadata)
