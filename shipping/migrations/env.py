"""Alembic's entry point for shipping's database."""

from messaging.migrations import run
from shipping.models import Model

run(Model.metadata)
