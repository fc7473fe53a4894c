"""Alembic's entry point for the control room's database."""

from messaging.migrations import run
from operations.models import Model

run(Model.metadata)
