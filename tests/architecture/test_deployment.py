"""Each service can be deployed alone, and compose.yml says so."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstack.services import HOST, SERVICES, SPOKEN_TO, Wiring, service_process
from tests.architecture.rules import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yml").read_text())["services"]
VOLUMES: set[str] = set(yaml.safe_load((ROOT / "compose.yml").read_text())["volumes"])


class _Merging(yaml.SafeLoader):
    """Reads `!override`, too, by which one compose file replaces what another says."""


_Merging.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))  # pyright: ignore[reportArgumentType, reportUnknownArgumentType, reportUnknownLambdaType, reportUnknownMemberType]
TLS: dict[str, Any] = yaml.load((ROOT / "compose.tls.yml").read_text(), _Merging)["services"]  # noqa: S506 - a SafeLoader
WITHOUT_TEST_SUPPORT = shutil.ignore_patterns("__pycache__", "testing.py")


LOADED = """
import sys, importlib.metadata
at_start = set(sys.modules)
import {service}.app, messaging.otlp
new = [module for name, module in sys.modules.items() if name not in at_start]
loaded = {{getattr(module, "__file__", None) for module in new}}
for each in importlib.metadata.distributions():
    if any(str(each.locate_file(file)) in loaded for file in each.files or ()):
        print(each.name)
"""
OPTIONAL = {"attrs"}
"""rich looks whether it is there."""


async def test_each_service_stands_alone(tmp_path: Path) -> None:
    """With the folders and packages that its image holds, a service can be imported, traces included."""

    async def lacking(service: str) -> str:
        image = tmp_path / service
        for package in ("contracts", "messaging", *(["rest"] if service in SPOKEN_TO else []), "asyncapi", service):
            await asyncio.to_thread(shutil.copytree, ROOT / package, image / package, ignore=WITHOUT_TEST_SUPPORT)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", LOADED.format(service=service)),
            cwd=image,
            env={},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        loaded, errors = (text.decode() for text in await process.communicate())
        return errors or " ".join(set(map(_normal, loaded.split())) - _locked(service) - OPTIONAL)

    assert dict(zip(SERVICES, await asyncio.gather(*map(lacking, SERVICES)), strict=True)) == dict.fromkeys(
        SERVICES, ""
    )


def test_a_package_that_an_image_lacks_is_found() -> None:
    """Payment's image holds no REST framework and no AWS client; the control room's does."""
    assert _locked("payment").isdisjoint({"fastapi", "limits", "aioboto3", "alembic"})
    assert _locked("operations") >= {"fastapi", "limits", "aioboto3"}


def _locked(service: str) -> set[str]:
    """The packages of its image."""
    lines = (ROOT / "requirements" / f"{service}.txt").read_text()
    return {_normal(name) for name in re.findall(r"^([a-z0-9][\w.-]*)", lines, re.MULTILINE)}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("service", SERVICES)
def test_a_composed_service_knows_no_other(service: str) -> None:
    """It is built from its own folder, is told its own settings alone, and starts when set-up is done."""
    composed = COMPOSE[service]
    assert composed["build"]["args"]["SERVICE"] == service
    assert all(variable.startswith((service.upper() + "_", "OTEL_")) for variable in composed["environment"])
    assert composed["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] is None, "not set, but handed on"
    assert (
        composed["environment"][f"{service.upper()}_DATABASE_URL"] == f"postgresql://{service}@{service}_db/{service}"
    )
    assert composed["environment"][f"{service.upper()}_AMQP_URL"] == f"amqp://{service}@rabbitmq:5672/"
    assert composed["volumes"] == [f"{service}_secrets:/run/secrets:ro"], "its own secrets, and no other's"
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


def test_no_password_is_written_down() -> None:
    """Every password is a file that the first start makes, in a volume of its holder: none is in compose.yml."""
    text = (ROOT / "compose.yml").read_text()
    assert not re.search(r"://[^\s:/@]*:[^\s/@]+@", text), "a URL with a password"
    made = subprocess.check_output([sys.executable, ROOT / "deploy" / "make_secrets.py", "--help"], text=True)  # noqa: S603
    assert "stays as it is" in made
    holders = {volume.removesuffix("_secrets") for volume in VOLUMES if volume.endswith("_secrets")}
    assert holders == {"administrator", "rabbitmq", *SERVICES, *(f"{service}_db" for service in SERVICES)}
    targets = {line.split(":")[1] for line in COMPOSE["secrets"]["volumes"]}
    assert targets == {f"/secrets/{holder}" for holder in holders}


def test_secrets_are_made_once(tmp_path: Path) -> None:
    """A second run changes nothing; one that was removed is made again; two that must agree and do not are refused."""

    def make() -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603
            [sys.executable, ROOT / "deploy" / "make_secrets.py", tmp_path], capture_output=True, text=True, check=False
        )

    def held() -> dict[str, str]:
        return {str(file.relative_to(tmp_path)): file.read_text() for file in tmp_path.rglob("*") if file.is_file()}

    assert make().returncode == 0
    first = held()
    assert {oct(file.stat().st_mode & 0o777) for file in tmp_path.rglob("*") if file.is_file()} == {"0o400"}
    assert make().returncode == 0
    assert held() == first
    assert first["administrator/payment_database_password"] == first["payment_db/database_password"]
    assert first["administrator/payment_database_password"] != first["payment/payment_database_password"]
    (tmp_path / "payment" / "payment_amqp_password").unlink()
    (tmp_path / "rabbitmq" / "amqp_password").unlink()
    assert make().stdout == "secrets: 1 made, 17 were there\n"
    assert held()["rabbitmq/amqp_password"] == first["rabbitmq/amqp_password"], "its other holder still has it"
    (tmp_path / "rabbitmq" / "amqp_password").unlink()
    (tmp_path / "rabbitmq" / "amqp_password").write_text("another")
    refused = make()
    assert refused.returncode == 1
    assert "different secrets" in refused.stderr
    assert "another" not in refused.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_over_tls_every_server_is_verified(service: str) -> None:
    """compose.tls.yml leaves no URL without TLS, and none whose server's name goes unchecked."""
    told: dict[str, str] = TLS[service]["environment"]
    urls = {name: url for name, url in COMPOSE[service]["environment"].items() if "_URL" in name or "DATABASES" in name}
    assert {name for name, url in urls.items() if url and "ORDER_API_URL" not in name} == {*told} - {"SSL_CERT_FILE"}
    for name, url in told.items():
        if name != "SSL_CERT_FILE":
            assert url.startswith(("amqps://", "https://")) or "sslmode=verify-full&sslrootcert=" in url


def test_compose_publishes_on_this_machine_only() -> None:
    """No port is open to the network."""
    ports = [port for service in COMPOSE.values() for port in service.get("ports", ())]
    assert len(ports) == 6
    assert all(port.startswith("127.0.0.1:") for port in ports)
