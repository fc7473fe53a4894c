"""A private RabbitMQ server with the management plugin, and the epmd it registers with."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from devstack.errors import StackError
from devstack.paths import CHECKOUT
from devstack.ports import any_free_port, is_listening
from devstack.process import Process
from devstack.servers import brokers
from devstack.servers.rabbitmq_programs import RabbitPrograms, rabbitmq_programs
from devstack.spawning import Program

USER = "orders"
_LOOPBACK_ONLY = "-kernel inet_dist_use_interface {127,0,0,1}"
_FRESH_DEPTHS = "-rabbit quorum_tick_interval 1000"  # milliseconds, not five seconds
_OPEN_FILES = 65_536
"""Each queue and connection holds some. A node that has used up its limit, often 1,024, just stops answering."""
_PLUGINS = ("rabbitmq_management",)
_ADVANCED = CHECKOUT / "deploy" / "rabbitmq" / "advanced.config"
"""What rabbitmq.conf cannot say: the same in every environment."""


class RabbitServer:
    """RabbitMQ on 127.0.0.1 with its data in a folder; a second start finds queues and messages again.

    `config` takes lines of rabbitmq.conf. epmd, which would outlive the node, is a child of ours on a port of its own.
    """

    def __init__(  # noqa: PLR0913 - each is optional and named
        self,
        state: Path,
        *,
        port: int | None = None,
        management_port: int | None = None,
        config: Sequence[str] = (),
        plugins: Sequence[str] = _PLUGINS,
        discard: bool = False,
    ) -> None:
        self.port = port or any_free_port()
        self.management_port = management_port or any_free_port()
        self.folder = state.resolve()
        self.discard = discard
        self._config = tuple(config)
        self._plugins = tuple(plugins)
        self._dist_port, self._epmd_port = any_free_port(), any_free_port()
        self._password = ""
        self._node: Process | None = None
        self._epmd: Process | None = None

    @property
    def amqp_url(self) -> str:
        return f"amqp://{USER}:{self._password}@127.0.0.1:{self.port}/"

    @property
    def management_url(self) -> str:
        """The management UI and API, with credentials."""
        return f"http://{USER}:{self._password}@127.0.0.1:{self.management_port}"

    @property
    def pid(self) -> int:
        """The process id of the Erlang node."""
        return self._running().pid

    @property
    def running(self) -> bool:
        return self._node is not None and self._node.running

    @property
    def processes(self) -> list[Process]:
        return [process for process in (self._epmd, self._node) if process]

    def start(self) -> None:
        """Start it and return once it takes connections."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start it and do not wait, so that other servers can start meanwhile."""
        programs = rabbitmq_programs()
        if any(character.isspace() for character in f"{programs.scripts}{self.folder}"):
            raise StackError(f"RabbitMQ's scripts take no path with a space: move this checkout ({self.folder})")
        self._write_configuration()
        environment = self._environment(programs)
        log = self.folder / "rabbitmq.log"
        self._epmd = Process(
            "epmd",
            Program(
                [programs.epmd, "-address", "127.0.0.1", "-port", str(self._epmd_port)], environment, self.folder, log
            ),
        )
        self._node = Process(
            "RabbitMQ",
            Program([programs.scripts / "rabbitmq-server"], environment, self.folder, log, open_files=_OPEN_FILES),
        )
        self._epmd.launch()
        self._epmd.wait_ready(lambda: is_listening(self._epmd_port), seconds=10)
        self._node.launch()

    def wait_ready(self, *, seconds: float = 90) -> None:
        """Return once it takes connections (RabbitMQ opens its listeners last) and management answers."""
        self._running().wait_ready(
            lambda: is_listening(self.port) and brokers.management_answers(self.management_url), seconds=seconds
        )

    def stop(self) -> None:
        """Stop cleanly, which takes some seconds; at once if the data is to be discarded."""
        self._end(Process.kill if self.discard else lambda node: node.stop(signal.SIGTERM, seconds=30))

    def kill(self) -> None:
        """SIGKILL. Returns when the node is gone; what it had confirmed is there at the next start."""
        self._end(Process.kill)

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl on this node and return what it printed."""
        programs = rabbitmq_programs()
        done = subprocess.run(
            [str(programs.scripts / "rabbitmqctl"), *arguments],
            env=self._environment(programs),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise StackError(f"rabbitmqctl {' '.join(arguments)} failed: {done.stdout}{done.stderr}")
        return done.stdout

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _write_configuration(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("password", ".erlang.cookie"):
            path = self.folder / name
            if not path.exists():
                path.touch(mode=0o600)
                path.write_text(secrets.token_hex(16))
        (self.folder / ".erlang.cookie").chmod(0o400)  # Erlang refuses one that others may read
        self._password = (self.folder / "password").read_text()
        (self.folder / "enabled_plugins").write_text(f"[{','.join(self._plugins)}].\n")
        settings = [
            f"listeners.tcp.default = 127.0.0.1:{self.port}",
            "management.tcp.ip = 127.0.0.1",
            f"management.tcp.port = {self.management_port}",
            f"default_user = {USER}",
            f"default_pass = {self._password}",
            "log.file = false",
            "log.console = true",  # all of it goes to rabbitmq.log
            "collect_statistics_interval = 1000",  # queue depths in the management API are a second old, not five
            "raft.wal_max_size_bytes = 67108864",  # the default, 512 MB, is for servers with memory to spare
            *self._config,
        ]
        path = self.folder / "rabbitmq.conf"
        path.touch(mode=0o600)
        path.write_text("\n".join(settings) + "\n")

    def _environment(self, programs: RabbitPrograms) -> dict[str, str]:
        folder = self.folder
        return {
            "LANG": "C.UTF-8",
            **programs.environment,
            "HOME": str(folder),
            "RABBITMQ_NODENAME": "orders@localhost",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(_ADVANCED),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "rabbitmq.pid"),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP_SECONDS": "0",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"+S 2:2 +sbwt none {_LOOPBACK_ONLY} {_FRESH_DEPTHS}",
            "RABBITMQ_CTL_ERL_ARGS": _LOOPBACK_ONLY,
            "RUNNING_UNDER_SYSTEMD": "true",  # the start script execs the node instead of staying its parent
        }

    def _end(self, end_node: Callable[[Process], None]) -> None:
        if self._node:
            end_node(self._node)
        if self._epmd:
            self._epmd.kill()
        self._node = self._epmd = None
        if self.discard:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _running(self) -> Process:
        if self._node is None:
            raise StackError("RabbitMQ was not started")
        return self._node
