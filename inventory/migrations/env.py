"""Alembic's entry point for inventory's database."""

from inventory.models import Model
from messaging.migrations import run

run(Model.metadata)
