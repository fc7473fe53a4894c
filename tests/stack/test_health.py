"""Health checks tell the truth: a service is healthy while it can do its work."""

import pytest

from tests.stack.docker import docker, wait_until
from tests.stack.system import ComposedStack

pytestmark = pytest.mark.stack("compose")

NOTICED = 60
"""Seconds; three checks that fail, each after its own patience, and a margin."""


@pytest.mark.parametrize(
    ("server", "ill", "well"), [("payment_db", "payment", "inventory"), ("rabbitmq", "shipping", "")]
)
def test_a_service_is_as_well_as_its_servers(composed_stack: ComposedStack, server: str, ill: str, well: str) -> None:
    """While a server is frozen, who needs it is unhealthy, and nobody else; when it goes on, all is well again."""
    project = composed_stack.project
    frozen, needy = project.container(server), project.container(ill)
    docker("pause", frozen.id)
    try:
        wait_until(lambda: needy.health == "unhealthy", f"{ill} is unhealthy", seconds=NOTICED)
        assert not well or project.container(well).health == "healthy"
    finally:
        docker("unpause", frozen.id)
    for container in (frozen, needy):
        container.wait_healthy(seconds=NOTICED)
