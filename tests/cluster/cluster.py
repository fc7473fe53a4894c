"""The composed system on three nodes of RabbitMQ, and what can befall a node."""

import json
import os
import secrets
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from devstack.errors import StackError
from devstack.paths import CHECKOUT
from devstack.ports import any_free_port
from devstack.services import API, SERVICES
from tests.invariants.checker import Checker
from tests.stack.docker import Container, Project, docker, wait_until
from tests.stack.system import free_range

TESTS = CHECKOUT / "tests"
FILES = (
    CHECKOUT / "compose.yml",
    CHECKOUT / "compose.cluster.yml",
    TESTS / "stack" / "compose.yml",
    TESTS / "cluster" / "compose.yml",
)
NODES = ("rabbitmq", "rabbitmq2", "rabbitmq3")
_PORTS = ("SUITE_DB_PORT", "SPARE_DB_PORT", "SPARE_AMQP_PORT", "SPARE_MANAGEMENT_PORT")
_AMQP = ("AMQP_PORT", "AMQP_PORT_2", "AMQP_PORT_3")
_MANAGEMENT = ("RABBITMQ_MANAGEMENT_PORT", "RABBITMQ_MANAGEMENT_PORT_2", "RABBITMQ_MANAGEMENT_PORT_3")
_DATABASES = {service: f"{service.upper()}_DB_PORT" for service in SERVICES}

_LEAD = "[rabbit_quorum_queue:transfer_leadership(Queue, node()) || Queue <- rabbit_amqqueue:list()]."
"""What a node is told that is to lead every queue; RabbitMQ has no command for it."""


class Cluster:
    """A running project. `nodes` are the containers of RabbitMQ by their hosts' names."""

    def __init__(self, project: Project, ports: dict[str, str]) -> None:
        self.project = project
        self._ports = ports
        self.nodes = {name: project.container(name) for name in NODES}
        self.services = [each for service in SERVICES for each in project.containers(service)]
        self._administrator = f"administrator:{self._secret('rabbitmq', 'amqp_password')}"
        first = int(ports["API_PORT"].partition("-")[0])
        self.apis = [f"http://127.0.0.1:{first + replica}" for replica in range(len(project.containers(API)))]
        self.client_key = self._key()
        self.databases = {
            service: f"postgresql://{service}_owner:{self._secret(f'{service}_db', 'database_password')}"
            f"@127.0.0.1:{ports[port]}/{service}"
            for service, port in _DATABASES.items()
        }

    def checker(self, node: str) -> Checker:
        """Looks at the broker through that node."""
        place = NODES.index(node)
        return Checker(
            self.databases,
            f"amqp://{self._administrator}@127.0.0.1:{self._ports[_AMQP[place]]}/",
            f"http://{self._administrator}@127.0.0.1:{self._ports[_MANAGEMENT[place]]}",
        )

    def kill(self, *nodes: str) -> None:
        """SIGKILL, all at once; they stay down."""
        docker("kill", *(self.nodes[node].id for node in nodes))

    def start(self, *nodes: str) -> None:
        """Start what was killed, and do not wait."""
        docker("start", *(self.nodes[node].id for node in nodes))

    def freeze(self, node: str) -> None:
        """Stop every process of it: connections stay open, nothing is said on them."""
        docker("pause", self.nodes[node].id)

    def thaw(self, node: str) -> None:
        """Let it go on where it was."""
        docker("unpause", self.nodes[node].id)

    def cut(self, node: str) -> None:
        """Take it off the network: nobody reaches it, and it reaches nobody."""
        docker("network", "disconnect", f"{self.project.name}_default", self.nodes[node].id)

    def heal(self, node: str) -> None:
        """Put it back."""
        docker("network", "connect", "--alias", node, f"{self.project.name}_default", self.nodes[node].id)

    def replace(self, node: str) -> None:
        """Throw it away with its data, and make a new one, as docs/howto/run-a-cluster.md says."""
        other, name = next(each for each in NODES if each != node), f"rabbit@{node}"
        self.project.compose("rm", "--stop", "--force", node)
        docker("volume", "rm", f"{self.project.name}_{node}")
        self._on(other, "rabbitmq-queues", "shrink", name)
        self._on(other, "rabbitmqctl", "forget_cluster_node", name)
        self.project.up("--no-deps", node)
        self.nodes[node] = self.project.container(node)
        self._on(other, "rabbitmq-queues", "grow", name, "all")
        self._on(other, "rabbitmq-queues", "rebalance", "quorum")

    def leaders(self, asked: str) -> dict[str, str]:
        """Every queue and the host of its leader, as a node tells."""
        rows = json.loads(self._on(asked, "rabbitmqctl", "-q", "list_queues", "name", "leader", "--formatter=json"))
        return {row["name"]: row["leader"].partition("@")[2] for row in rows}

    def gather_leaders(self, node: str) -> None:
        """Have that node lead every queue."""
        self._on(node, "rabbitmqctl", "-q", "eval", _LEAD)
        wait_until(lambda: set(self.leaders(node).values()) == {node}, f"{node} leads every queue", seconds=60)

    def restart(self, node: str) -> None:
        """Restart it in good order."""
        docker("restart", "--time", "60", self.nodes[node].id, seconds=120)

    def whole(self) -> bool:
        """Whether three nodes run, and every queue has its three members online, by the word of each node."""
        try:
            return all(self._is_whole(node) for node in NODES)
        except StackError:  # a node that is not up yet
            return False

    def wait_whole(self, seconds: float = 120) -> None:
        """Return once it is whole, and every container is healthy."""
        wait_until(self.whole, "every queue has three members online", seconds=seconds)
        for container in [*self.nodes.values(), *self.services]:
            container.wait_healthy(seconds=seconds)

    def _is_whole(self, node: str) -> bool:
        told = self._on(node, "rabbitmqctl", "-q", "list_queues", "name", "members", "online", "--formatter=json")
        return all(len(row["online"]) == len(row["members"]) == len(NODES) for row in json.loads(told))

    def _on(self, node: str, *command: str) -> str:
        return docker("exec", self.nodes[node].id, *command)

    def _secret(self, service: str, name: str) -> str:
        return self.project.compose("exec", "--no-TTY", service, "cat", f"/run/secrets/{name}").strip()

    def _key(self) -> str:
        command = ["exec", "--no-TTY", API, "python", "-m", API, "keys", "create", "--client", "tests"]
        return self.project.compose(*command).strip()


@contextmanager
def composed_cluster(logs: Path) -> Generator[Cluster]:
    """Build and start it; at the end keep what its containers wrote, and delete it."""
    ports = {name: str(any_free_port()) for name in (*_PORTS, *_AMQP, *_MANAGEMENT, *_DATABASES.values())}
    ports |= {"API_PORT": free_range(), "CONTROL_ROOM_PORT": free_range()}
    project = Project(
        f"orders-cluster-test-{os.getpid()}", FILES, {"VIEWERS": "no", "TEST_PASSWORD": secrets.token_hex(16), **ports}
    )
    with ExitStack() as ending:
        ending.callback(project.down)
        ending.callback(lambda: logs.write_text(project.compose("logs", "--no-color", "--timestamps")))
        project.up("--build")
        yield Cluster(project, ports)


def restarts(containers: Sequence[Container]) -> int:
    """How often they were started again by the engine, all together."""
    return sum(container.restarts for container in containers)
