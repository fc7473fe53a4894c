"""What the running containers may do, and what they and their images tell."""

import json
import re

import pytest

from devstack.errors import StackError
from devstack.services import SERVICES
from tests.stack.docker import Container, docker
from tests.stack.system import ComposedStack

pytestmark = [pytest.mark.stack("compose"), pytest.mark.parametrize("service", SERVICES)]

SECRET = re.compile(r"://[^/\s\"@:]*:[^/\s\"@]+@|PASSWORD\"?[=:]\s*\"?\w|_KEY\"?=\w")
"""A URL that holds a password, or a variable that holds a password or a key."""


@pytest.fixture
def container(composed_stack: ComposedStack, service: str) -> Container:
    """A container of the service, as it runs."""
    return composed_stack.project.containers(service)[0]


def run(container: Container, *command: str) -> str:
    """What a command says inside."""
    return docker("exec", container.id, *command)


def test_a_service_has_no_rights_on_its_host(container: Container) -> None:
    """It is no user of weight, keeps no capability and can gain none, and writes nowhere but to its temporary files."""
    status = dict(
        line.split(":\t", 1) for line in run(container, "cat", "/proc/1/status").splitlines() if ":\t" in line
    )
    assert status["Uid"].split() == ["10001"] * 4
    assert {status[each].strip("0") for each in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {""}
    assert status["NoNewPrivs"] == "1"
    mounted = {line.split()[1]: line.split()[3] for line in run(container, "cat", "/proc/mounts").splitlines()}
    assert mounted["/"].startswith("ro")
    with pytest.raises(StackError, match="Read-only file system"):
        run(container, "touch", "/app/written")
    run(container, "touch", "/tmp/written")  # noqa: S108 - of the container


def test_a_service_has_no_other_in_its_image(container: Container, service: str) -> None:
    """Every other service is missing there."""
    for other in set(SERVICES) - {service}:
        with pytest.raises(StackError, match=f"No module named '{other}'"):
            run(container, "python", "-c", f"import {other}")
    run(container, "python", "-c", f"import {service}")


def test_no_secret_is_told(container: Container) -> None:
    """Neither the container's settings nor the history of its image hold a password or a key."""
    inspected = container.inspect()
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", inspected["Image"])
    environment = run(container, "cat", "/proc/1/environ").replace("\0", "\n")
    for told in (json.dumps(inspected), history, environment):
        assert not SECRET.search(told), SECRET.search(told)


@pytest.mark.parametrize(
    "planted",
    ["amqp://orders:orders@rabbitmq/", '"PAYMENT_DATABASE_PASSWORD=x1"', "READER_PASSWORD: y", "API_KEY=ord_1"],
)
def test_a_planted_secret_is_found(planted: str, service: str) -> None:
    """The pattern knows a secret when it sees one, and leaves a URL without one alone."""
    assert SECRET.search(planted)
    assert not SECRET.search(f"postgresql://{service}@{service}_db/{service}")
