"""Docker's command line: one command, one container, one composed project."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack.errors import NotReadyError, StackError
from devstack.paths import CHECKOUT

OLDEST_COMPOSE = (2, 20)
_POLL_SECONDS = 0.2
_SIGNALLED = 128
"""A container's status is this and the number of the signal that ended it."""


def docker(*arguments: str, environment: Mapping[str, str] | None = None, seconds: float = 60) -> str:
    """Run docker and return what it printed. Raises StackError with what it said if it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - a test's own arguments
            ["docker", *arguments],  # noqa: S607 - looked up on PATH, on purpose
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise StackError("docker is not on PATH") from None
    except subprocess.TimeoutExpired as late:
        raise StackError(f"docker {' '.join(arguments)} took longer than {seconds:.0f} s: {late.stderr}") from None
    if done.returncode != 0:
        raise StackError(f"docker {' '.join(arguments)} failed ({done.returncode}): {done.stderr[-4000:].strip()}")
    return done.stdout


def lacking() -> str | None:
    """What this machine lacks to run containers; None if it lacks nothing."""
    try:
        docker("version", "--format", "{{.Server.Version}}", seconds=20)
        version = docker("compose", "version", "--short", seconds=20).strip().lstrip("v")
    except StackError as failure:
        return str(failure)
    if tuple(int(part) for part in version.split("-")[0].split(".")[:2]) < OLDEST_COMPOSE:
        return f"Docker Compose is {version}, not {'.'.join(map(str, OLDEST_COMPOSE))} or newer"
    return None


@dataclass(frozen=True)
class Container:
    """One container of a composed service, with the vocabulary of devstack.process.Process."""

    name: str
    """Of its service."""
    id: str

    def inspect(self) -> dict[str, Any]:
        """All that the engine knows of it."""
        return json.loads(docker("inspect", self.id))[0]

    @property
    def running(self) -> bool:
        return bool(self.inspect()["State"]["Running"])

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative if a signal ended it."""
        state = self.inspect()["State"]
        return None if state["Running"] else _as_of_a_process(state["ExitCode"])

    @property
    def health(self) -> str:
        """What its health check says: starting, healthy or unhealthy."""
        return str(self.inspect()["State"]["Health"]["Status"])

    @property
    def restarts(self) -> int:
        """How often the engine started it again by itself."""
        return int(self.inspect()["RestartCount"])

    def launch(self) -> None:
        """Start it, and do not wait."""
        docker("start", self.id)

    def ask_to_end(self, sent: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal. The engine leaves a container down that it was told to end."""
        docker("kill", "--signal", sent.name, self.id)

    def wait(self, *, seconds: float) -> int:
        """Wait for its end and return its status; negative for a signal."""
        return _as_of_a_process(int(docker("wait", self.id, seconds=seconds)))

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self.running:
            docker("kill", self.id)

    def remove(self) -> None:
        """Delete it, with its volumes that have no name."""
        docker("rm", "--force", "--volumes", self.id)

    def crash(self) -> None:
        """Kill its first process from outside, as a crash would: the engine does not know that it was meant."""
        pid = str(self.inspect()["State"]["Pid"])
        python = "import os, signal, sys; os.kill(int(sys.argv[1]), signal.SIGKILL)"
        docker("run", "--rm", "--pid=host", "--network=none", BASE_IMAGE, "python", "-c", python, pid)

    def log_end(self) -> str:
        """The last lines that it wrote."""
        return "\n" + docker("logs", "--tail", "20", self.id)

    def wait_healthy(self, *, seconds: float = 90) -> None:
        """Return once its health check says so. Raises NotReadyError."""
        wait_until(lambda: self.health == "healthy", f"{self.name} is healthy", seconds=seconds)


BASE_IMAGE = "python:3.13-slim"


@dataclass(frozen=True)
class Project:
    """What `docker compose` makes of these files, under a name of its own."""

    name: str
    files: Sequence[Path]
    environment: Mapping[str, str]

    def compose(self, *arguments: str, seconds: float = 600) -> str:
        """Run docker compose on it and return what it printed."""
        files = [part for file in self.files for part in ("--file", str(file))]
        return docker(
            "compose", "--project-name", self.name, *files, *arguments, environment=self.environment, seconds=seconds
        )

    def shell(self, command: str, seconds: float = 120) -> str:
        """Run a command line that uses docker compose on it, as a user types it, and return what it printed."""
        environment = {
            **os.environ,
            **self.environment,
            "COMPOSE_PROJECT_NAME": self.name,
            "COMPOSE_FILE": os.pathsep.join(map(str, self.files)),
        }
        done = subprocess.run(  # noqa: S603 - of the documentation
            ["sh", "-euc", command],  # noqa: S607 - looked up on PATH, on purpose
            cwd=CHECKOUT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode != 0:
            raise StackError(f"{command} failed ({done.returncode}): {done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout

    def containers(self, service: str) -> list[Container]:
        """The containers of a service that run, oldest first."""
        ids = self.compose("ps", "--quiet", service, seconds=60).split()
        return sorted((Container(service, each) for each in ids), key=lambda each: str(each.inspect()["Created"]))

    def container(self, service: str) -> Container:
        """The only container of a service."""
        [container] = self.containers(service)
        return container

    def up(self, *arguments: str) -> None:
        """Start what is named, and what that needs, and return once it is healthy. Raises StackError with the logs."""
        try:
            self.compose("up", "--detach", "--wait", *arguments)
        except StackError as failure:
            states, logs = self.compose("ps", "--all"), self.compose("logs", "--no-color", "--tail", "40")
            raise StackError(f"{failure}\n{states}\n{logs}") from failure

    def down(self) -> None:
        """Stop and delete everything of it: containers, networks, volumes."""
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "15")


def wait_until(question: Callable[[], bool], what: str, *, seconds: float) -> None:
    """Ask again and again until the answer is yes. Raises NotReadyError."""
    deadline = time.monotonic() + seconds
    while not question():
        if time.monotonic() > deadline:
            raise NotReadyError(f"not true within {seconds:.0f} s: {what}")
        time.sleep(_POLL_SECONDS)


def _as_of_a_process(status: int) -> int:
    return _SIGNALLED - status if status > _SIGNALLED else status
