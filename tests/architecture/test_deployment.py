"""Each service can be deployed alone, and compose.yml says so."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstack.services import HOST, SERVICES, Wiring, service_process
from tests.architecture.rules import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yml").read_text())["services"]
WITHOUT_TEST_SUPPORT = shutil.ignore_patterns("__pycache__", "testing.py")


async def test_each_service_stands_alone(tmp_path: Path) -> None:
    """With contracts, messaging, rest, the document and its own folder, as in its image, a service can be imported."""

    async def imported(service: str) -> str:
        image = tmp_path / service
        for package in ("contracts", "messaging", "rest", "asyncapi", service):
            await asyncio.to_thread(shutil.copytree, ROOT / package, image / package, ignore=WITHOUT_TEST_SUPPORT)
        command = [sys.executable, "-c", f"import {service}.app"]
        process = await asyncio.create_subprocess_exec(*command, cwd=image, env={}, stderr=asyncio.subprocess.PIPE)
        _, errors = await process.communicate()
        return errors.decode()

    assert await asyncio.gather(*map(imported, SERVICES)) == [""] * len(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_a_composed_service_knows_no_other(service: str) -> None:
    """It is built from its own folder, is told its own settings alone, and starts when set-up is done."""
    composed = COMPOSE[service]
    assert composed["build"]["args"]["SERVICE"] == service
    assert all(variable.startswith((service.upper() + "_", "OTEL_")) for variable in composed["environment"])
    assert composed["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] is None, "not set, but handed on"
    assert f"@{service}_db/" in composed["environment"][f"{service.upper()}_DATABASE_URL"]
    assert composed["environment"][f"{service.upper()}_PRODUCTION"] is None, "not set, but handed on"
    assert composed["depends_on"] == {"setup": {"condition": "service_completed_successfully"}}


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_runs_what_run_up_runs(service: str, tmp_path: Path) -> None:
    """The same program with the same options, its patience at the end among them, but reachable from outside."""
    wiring = Wiring("", dict.fromkeys(SERVICES, ""), dict.fromkeys(SERVICES, 8000), {})
    _, *ours = map(str, service_process(service, wiring, tmp_path).program.command)
    (tmp_path / "python").write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    (tmp_path / "python").chmod(0o755)
    environment = {"SERVICE": service, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    served = subprocess.check_output(["sh", ROOT / "deploy" / "serve.sh"], env=environment, text=True)  # noqa: S603, S607
    assert served.splitlines()[: len(ours)] == ["0.0.0.0" if each == HOST else each for each in ours]  # noqa: S104


def test_compose_publishes_on_this_machine_only() -> None:
    """No port is open to the network."""
    ports = [port for service in COMPOSE.values() for port in service.get("ports", ())]
    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)
