"""A private PostgreSQL server."""

import secrets
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from devstack.errors import StackError
from devstack.ports import any_free_port
from devstack.process import Process
from devstack.servers import databases
from devstack.servers.postgres_binaries import postgres_binaries
from devstack.spawning import Program
from devstack.unprivileged import reachable_folder, unprivileged_account

SUPERUSER = "postgres"


class PostgresServer:
    """PostgreSQL on 127.0.0.1 with its data in a folder; a second start on the same folder finds the data again.

    `config` takes lines of postgresql.conf ("fsync = off"). Where we are root the server runs as `nobody`, and if
    `nobody` cannot reach `state`, its files are below /var/tmp instead; `folder` tells. With `discard` the data goes
    when the server ends.
    """

    def __init__(
        self, state: Path, *, port: int | None = None, config: Sequence[str] = (), discard: bool = False
    ) -> None:
        self.port = port or any_free_port()
        self.discard = discard
        self._wanted_state = state
        self._config = tuple(config)
        self._process: Process | None = None
        self._password = ""

    @property
    def folder(self) -> Path:
        """Where its data, password and log are."""
        return reachable_folder(self._wanted_state)

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def process(self) -> Process:
        return self._running()

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database, as the superuser."""
        return f"postgresql://{SUPERUSER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it and return once it takes connections."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start it and do not wait, so that others can start meanwhile. The first time, this makes the data folder."""
        binaries = postgres_binaries()
        if self.discard:
            shutil.rmtree(self.folder, ignore_errors=True)  # what a killed process could not discard
        folder, account = self.folder, unprivileged_account()
        data = folder / "data"
        self._password = self._read_or_make_password(folder)
        if not (data / "PG_VERSION").exists():
            self._initdb(binaries, folder)
        settings = [
            "listen_addresses = '127.0.0.1'",
            f"port = {self.port}",
            "unix_socket_directories = ''",
            "max_connections = 200",
            *self._config,
        ]
        options = [part for line in settings for part in ("-c", line.replace(" = ", "=", 1).replace("'", ""))]
        self._process = Process(
            "PostgreSQL",
            Program(
                [binaries / "postgres", "-D", data, *options],
                _ENVIRONMENT,
                folder,
                folder / "postgresql.log",
                account,
                signal_on_death=signal.SIGINT,  # fast shutdown: clients are cut off, the data is left clean
            ),
        )
        (data / "postmaster.pid").unlink(missing_ok=True)  # of a killed server; its process id may be another's by now
        self._process.launch()

    def wait_ready(self, *, seconds: float = 60) -> None:
        """Return once it takes connections, as it says itself in postmaster.pid."""
        state = self.folder / "data" / "postmaster.pid"
        self._running().wait_ready(lambda: _says_ready(state), seconds=seconds)

    def stop(self) -> None:
        """Stop cleanly: clients are cut off, everything is on disk."""
        self._end(signal.SIGINT)

    def immediate_stop(self) -> None:
        """Stop as a power cut would, but orderly for the machine: recovery runs at the next start."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """SIGKILL. Returns when the server is gone; its backends notice and end by themselves."""
        if self._process:
            self._process.kill()
        self._forget()

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Create a database unless it exists, and return its URL."""
        databases.create(self.url(), name, template=template)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists; whoever is connected to it is cut off."""
        databases.drop(self.url(), name)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _initdb(self, binaries: Path, folder: Path) -> None:
        account = unprivileged_account()
        data = folder / "data"
        shutil.rmtree(data, ignore_errors=True)  # what an interrupted initdb left
        data.mkdir(mode=0o700)
        secret = folder / "initdb.password"
        secret.touch(mode=0o600)
        secret.write_text(self._password)
        if account:
            for path in (data, secret):
                shutil.chown(path, account.uid, account.gid)
        initdb = Process(
            "initdb",
            Program(
                [
                    binaries / "initdb",
                    "-D",
                    data,
                    "-U",
                    SUPERUSER,
                    "-A",
                    "scram-sha-256",
                    f"--pwfile={secret}",
                    "-N",
                    "--locale=C",
                    "-E",
                    "UTF8",
                ],
                _ENVIRONMENT,
                folder,
                folder / "initdb.log",
                account,
            ),
        )
        initdb.launch()
        status = initdb.wait(seconds=120)
        secret.unlink()
        if status != 0:
            shutil.rmtree(data, ignore_errors=True)
            raise StackError(f"initdb failed with status {status}{initdb.log_end()}")

    def _read_or_make_password(self, folder: Path) -> str:
        path = folder / "password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(16))
        return path.read_text()

    def _end(self, sent: signal.Signals) -> None:
        if self._process:
            self._process.stop(sent, seconds=30)
        self._forget()

    def _forget(self) -> None:
        self._process = None
        if self.discard:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _running(self) -> Process:
        if self._process is None:
            raise StackError("PostgreSQL was not started")
        return self._process


_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}


def _says_ready(state: Path) -> bool:
    try:
        lines = state.read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[7].strip() == "ready"  # noqa: PLR2004 - LOCK_FILE_LINE_PM_STATUS, what pg_ctl reads
