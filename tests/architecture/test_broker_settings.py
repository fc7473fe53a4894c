"""What deploy/rabbitmq/advanced.config says holds wherever RabbitMQ runs."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.rules import ROOT

ADVANCED = ROOT / "deploy" / "rabbitmq" / "advanced.config"
READ_AT = "/etc/rabbitmq/advanced.config:ro"
"""Where the official image looks for it."""


class _Tagged(yaml.SafeLoader):
    """Reads `!override` and `!reset`, too, by which one compose file replaces what another says."""


def _list(loader: yaml.SafeLoader, node: yaml.Node) -> list[Any]:
    assert isinstance(node, yaml.SequenceNode)
    return loader.construct_sequence(node, deep=True)


_Tagged.add_constructor("!override", _list)
_Tagged.add_constructor("!reset", _list)


def _services(path: str) -> dict[str, dict[str, Any]]:
    return yaml.load((ROOT / path).read_text(), _Tagged)["services"]  # noqa: S506 - a SafeLoader


def mounted(volumes: Iterable[str]) -> str:
    """The file of the checkout that a container with these volumes reads, or nothing."""
    found = [volume.removesuffix(f":{READ_AT}") for volume in volumes if volume.endswith(f":{READ_AT}")]
    return (ROOT / found[-1]).read_text() if found else ""


def terms(text: str) -> str:
    """Without comments: what Erlang reads."""
    return "".join(line.partition("%")[0].strip() for line in text.splitlines())


def environments() -> Iterator[tuple[str, str]]:
    """By environment, what its RabbitMQ reads there. The stack of `./run` is asked itself, in tests/devstack."""
    composed = _services("compose.yml")["rabbitmq"]["volumes"]
    yield "compose.yml", mounted(composed)
    yield "compose.tls.yml", mounted([*composed, *_services("compose.tls.yml")["rabbitmq"]["volumes"]])
    for name, node in _services("compose.cluster.yml").items():
        if name.startswith("rabbitmq"):
            inherits = name == "rabbitmq" or node["extends"] == {"file": "compose.yml", "service": "rabbitmq"}
            yield f"compose.cluster.yml, {name}", mounted([*(composed if inherits else ()), *node["volumes"]])
    yield "tests/stack, spare_rabbitmq", mounted(_services("tests/stack/compose.yml")["spare_rabbitmq"]["volumes"])
    host = ROOT / "deploy" / "aws" / "host"
    started = (host / "bootstrap.sh").read_text()
    installed = '"$files/advanced.config"' in started and f'"$run/advanced.config:{READ_AT}"' in started
    yield "AWS", (host / "advanced.config").read_text() if installed else ""
    for manifest in yaml.safe_load_all((ROOT / "deploy/kubernetes/servers/rabbitmq.yaml").read_text()):
        if manifest["kind"] == "RabbitmqCluster":
            yield "Kubernetes", manifest["spec"]["rabbitmq"].get("advancedConfig", "")


def different(found: Mapping[str, str]) -> set[str]:
    """The environments that do not say what the file says."""
    return {name for name, text in found.items() if terms(text) != terms(ADVANCED.read_text())}


def test_every_environment_reads_the_same() -> None:
    """Containers, three nodes, AWS and Kubernetes: each RabbitMQ of ours is told the same."""
    found = dict(environments())
    assert len(found) == 8
    assert different(found) == set()


@pytest.mark.parametrize("text", ["", "[].", "[{rabbit, [{dead_letter_worker_publisher_confirm_timeout, 180000}]}]."])
def test_an_environment_that_differs_would_be_noticed(text: str) -> None:
    """One that reads nothing, or another number; a comment of its own makes no difference."""
    same = f"% for Kubernetes\n{ADVANCED.read_text()}"
    assert different({"compose.yml": same, "AWS": text}) == {"AWS"}


def test_a_container_that_does_not_mount_it_would_be_noticed(tmp_path: Path) -> None:
    """Only a volume at the place where the image looks counts."""
    assert mounted(["./deploy/rabbitmq/advanced.config:/etc/rabbitmq/other.config:ro"]) == ""
    (tmp_path / "other.config").write_text("[].")
    assert mounted([f"{tmp_path / 'other.config'}:{READ_AT}"]) == "[]."
