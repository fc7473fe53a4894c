"""Over TLS a service works as it does without, and speaks to nobody whom its authority does not vouch for."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aio_pika import connect
from aio_pika.exceptions import AMQPConnectionError
from pydantic import SecretStr
from sqlalchemy import text

from devstack.ports import any_free_port
from devstack.servers import PostgresServer, RabbitServer
from devstack.unprivileged import unprivileged_account
from messaging.database import Database, DatabaseUnavailable
from messaging.declare import apply
from messaging.migrations import migrate
from messaging.settings import ServiceSettings
from messaging.topology import topology
from tests.architecture.rules import ROOT
from tests.broker.conftest import TIERS
from tests.broker.probe import Model, Probe, orders
from tests.broker.rabbit import Broker, consuming, until
from tests.broker.test_unit_of_work import counted


@dataclass(frozen=True)
class Secured:
    """A RabbitMQ and a PostgreSQL that answer over TLS, each with a certificate for `localhost` alone."""

    amqp: Callable[[str, Path], str]
    """The broker's URL, at a host, trusting the authority in a file."""
    database: Callable[[str, str], str]
    """A database's URL, at a host, with these parameters."""
    authority: Path
    stranger: Path
    """An authority that vouches for nobody here."""


def certificates(folder: Path, *names: str) -> Path:
    """Run deploy/make_certificates.sh; returns the tree."""
    script = ROOT / "deploy" / "make_certificates.sh"
    command = ["sh", script, folder / "tree", folder / "authority", *names]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    return folder / "tree"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Generator[Secured]:
    """Both servers, until the module ends."""
    folder = tmp_path_factory.mktemp("tls")
    tree = certificates(folder, "rabbitmq", "payment_db")
    stranger = certificates(folder / "stranger", "rabbitmq") / "rabbitmq" / "ca.pem"
    port = any_free_port()
    ours = PostgresServer(folder / "postgres", discard=True)
    keys = ours.folder.parent / "tls"
    shutil.copytree(tree / "payment_db", keys)
    if account := unprivileged_account():
        for each in (keys, *keys.iterdir()):
            os.chown(each, account.uid, account.gid)
    secure = PostgresServer(
        folder / "postgres",
        config=["ssl = on", f"ssl_cert_file = {keys}/tls.pem", f"ssl_key_file = {keys}/tls.key", "fsync = off"],
        discard=True,
    )
    broker = RabbitServer(
        folder / "rabbitmq",
        config=[
            f"listeners.ssl.default = 127.0.0.1:{port}",
            f"ssl_options.cacertfile = {tree}/rabbitmq/ca.pem",
            f"ssl_options.certfile = {tree}/rabbitmq/tls.pem",
            f"ssl_options.keyfile = {tree}/rabbitmq/tls.key",
        ],
        discard=True,
    )
    with broker, secure:
        plain = broker.amqp_url

        def amqp(host: str, authority: Path) -> str:
            secret = plain.partition("@")[0].replace("amqp:", "amqps:")
            return f"{secret}@{host}:{port}/?cafile={authority}"

        def database(host: str, parameters: str) -> str:
            return f"{secure.create_database('secured').replace('127.0.0.1', host)}?{parameters}"

        yield Secured(amqp, database, tree / "rabbitmq" / "ca.pem", stranger)
    shutil.rmtree(keys, ignore_errors=True)


async def test_a_service_works_over_tls(secured: Secured) -> None:
    """It consumes, stores and publishes, and its jobs migrate and declare, with both servers verified by name."""
    amqp = secured.amqp("localhost", secured.authority)
    url = secured.database("localhost", f"sslmode=verify-full&sslrootcert={secured.authority}")
    await apply(topology(["probe.order.created"], TIERS), amqp)
    await asyncio.to_thread(migrate, "payment", url)
    database = Database(url, name="probe")
    async with database.engine.begin() as connection:
        await connection.run_sync(lambda made: Model.metadata.create_all(made, checkfirst=True))
        encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert (await connection.execute(text(encrypted))).scalar_one() is True
    settings = ServiceSettings(amqp_url=SecretStr(amqp), database_url=SecretStr(url), retry_tiers=TIERS)
    async with consuming(Probe().build(settings)), await connect(amqp) as publishing:
        await Broker(amqp, await publishing.channel()).publish(*orders(3))
        await until(lambda: _three(database))
    await database.close()


async def _three(database: Database) -> bool:
    return await counted(database) == (3, 3)


@pytest.mark.parametrize(
    ("host", "vouches"), [("127.0.0.1", True), ("localhost", False)], ids=["another name", "another authority"]
)
async def test_nobody_else_is_spoken_to(secured: Secured, host: str, vouches: bool) -> None:  # noqa: FBT001
    """A certificate for another name, or of an authority that is not ours, ends the conversation on both sides."""
    authority = secured.authority if vouches else secured.stranger
    with pytest.raises(AMQPConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        await connect(secured.amqp(host, authority))
    database = Database(secured.database(host, f"sslmode=verify-full&sslrootcert={authority}"), name="probe")
    with pytest.raises(DatabaseUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        await database.check()
    await database.close()


async def test_a_name_need_not_be_checked(secured: Secured) -> None:
    """`verify-ca` asks for our authority alone, `require` for TLS alone."""
    for parameters in (f"sslmode=verify-ca&sslrootcert={secured.authority}", "sslmode=require"):
        database = Database(secured.database("127.0.0.1", parameters), name="probe")
        await database.check()
        await database.close()


def test_certificates_are_made_once(tmp_path: Path) -> None:
    """A second run changes nothing; a new authority makes every certificate anew."""

    def held() -> dict[str, bytes]:
        return {str(file): file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    certificates(tmp_path, "rabbitmq", "payment_db")
    first = held()
    certificates(tmp_path, "rabbitmq", "payment_db")
    assert held() == first
    (tmp_path / "authority" / "ca.pem").unlink()
    certificates(tmp_path, "rabbitmq", "payment_db")
    assert not any(first[file] == now for file, now in held().items())
