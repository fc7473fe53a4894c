"""The self-hosted broker's settings, in a real RabbitMQ."""

import json
import ssl
import subprocess
import time
from collections.abc import Iterator

import aio_pika
import httpx2
import pytest
from aio_pika.exceptions import AMQPConnectionError, ProbableAuthenticationError

from devstack.aws.template import FOLDER
from devstack.errors import StackError
from tests.stack.docker import docker

pytestmark = [pytest.mark.stack("compose"), pytest.mark.timeout(180)]

NAME = "rabbitmq.orders.internal"
PASSWORD = "S3cretOfTheAdministrator"
CONFIGURATION = "/etc/rabbitmq/conf.d"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int, str]]:
    """Its ports for AMQPS and the management API, and its certificate, made as its host makes it."""
    folder = tmp_path_factory.mktemp("broker")
    tls = folder / "data" / "tls"  # on the volume, which holds RabbitMQ's data, too
    tls.mkdir(parents=True)
    certificate, key = tls / "certificate.pem", tls / "key.pem"
    made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj"]
    subprocess.run(  # noqa: S603 - our own arguments
        ["openssl", *made, f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", key, "-out", certificate],  # noqa: S607
        check=True,
        capture_output=True,
    )
    trusted = certificate.read_text()  # the image takes the folder over
    password = folder / "password.conf"
    password.write_text(f"default_pass = {PASSWORD}\n")
    container = docker(
        *("run", "--detach", "--rm", "--hostname", "rabbitmq"),
        *("--publish", "127.0.0.1::5671", "--publish", "127.0.0.1::15671", "--publish", "127.0.0.1::5672"),
        *("--volume", f"{folder / 'data'}:/var/lib/rabbitmq"),
        *("--volume", f"{FOLDER / 'host' / 'rabbitmq.conf'}:{CONFIGURATION}/20-orders.conf:ro"),
        *("--volume", f"{FOLDER / 'host' / 'advanced.config'}:/etc/rabbitmq/advanced.config:ro"),
        *("--volume", f"{password}:{CONFIGURATION}/30-password.conf:ro"),
        "rabbitmq:4-management",
    ).strip()
    try:
        _wait(container)
        ports = json.loads(docker("inspect", container))[0]["NetworkSettings"]["Ports"]
        amqps, management = (int(ports[f"{port}/tcp"][0]["HostPort"]) for port in (5671, 15671))
        yield amqps, management, trusted
    finally:
        docker("rm", "--force", container)


def _wait(container: str) -> None:
    until = time.monotonic() + 120
    while True:
        try:
            docker(
                "exec", "--user", "rabbitmq", container, "rabbitmq-diagnostics", "--quiet", "check_port_connectivity"
            )
        except StackError:
            if time.monotonic() > until:
                raise
        else:
            return


def trusting(certificate: str) -> ssl.SSLContext:
    """What trusts this certificate alone. The tests reach it by another name than it has."""
    context = ssl.create_default_context(cadata=certificate)
    context.check_hostname = False
    return context


async def test_it_speaks_amqps_to_its_administrator_alone(broker: tuple[int, int, str]) -> None:
    """With its own certificate, in the virtual host of ours; guest and whoever trusts nobody are refused."""
    port, _, certificate = broker

    async def connect(user: str, password: str, trust: ssl.SSLContext | None = None) -> None:
        url = f"amqps://{user}:{password}@127.0.0.1:{port}/orders"
        async with await aio_pika.connect(url, ssl_context=trust or trusting(certificate)) as connection:
            await (await connection.channel()).declare_queue(
                "probe", durable=True, arguments={"x-queue-type": "quorum"}
            )

    await connect("administrator", PASSWORD)
    with pytest.raises(ProbableAuthenticationError):
        await connect("guest", "guest")
    with pytest.raises(AMQPConnectionError):
        await connect("administrator", PASSWORD, ssl.create_default_context())


def test_its_management_api_speaks_tls(broker: tuple[int, int, str]) -> None:
    """The set-up job makes users by it, and the control room watches by it."""
    _, port, certificate = broker
    with httpx2.Client(verify=trusting(certificate), auth=("administrator", PASSWORD)) as http:
        listeners = http.get(f"https://127.0.0.1:{port}/api/overview").json()["listeners"]
    assert {each["protocol"] for each in listeners} & {"amqp", "http"} == set()
    assert {"amqp/ssl", "https"} <= {each["protocol"] for each in listeners}
