"""What is promised of the manifests, as rules: each yields what breaks it."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from messaging.asyncapi.reading import read_topology
from messaging.settings import ServiceSettings
from tests.kubernetes.manifests import ROOT, Manifest, containers, of_kind, pod, settings_of, workloads

Rule = Callable[[Sequence[Manifest]], Iterator[str]]

POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "fsGroup": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
PROBES = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
STOP = ServiceSettings.model_fields["shutdown_timeout"].default
"""Seconds that a service gives to what is in flight."""
_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^/@\s]+@")
_SECRET = re.compile(r"password|secret_key|token|api_key|_key$", re.IGNORECASE)


def hardened(among: Sequence[Manifest]) -> Iterator[str]:
    """No root, nothing to write to, no capability, no token, no volume of the machine."""
    accounts = of_kind("ServiceAccount", among)
    for name, workload in workloads(among).items():
        spec = pod(workload)["spec"]
        if spec.get("securityContext") != POD_SECURITY:
            yield f"{name}: securityContext of the pod"
        if any(each.get("securityContext") != CONTAINER_SECURITY for each in containers(workload)):
            yield f"{name}: securityContext of a container"
        if spec.get("automountServiceAccountToken") is not False or spec.get("enableServiceLinks") is not False:
            yield f"{name}: is handed a token, or other services' variables"
        if spec.get("serviceAccountName") != name or name not in accounts:
            yield f"{name}: has no account of its own"
        if any(not each.keys() <= {"name", "secret", "emptyDir"} for each in spec["volumes"]):
            yield f"{name}: has a volume that is neither a Secret nor empty"
        if any(spec.get(shared) for shared in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{name}: is not apart from its machine"


def probed(among: Sequence[Manifest]) -> Iterator[str]:
    """A service is looked at when it starts, while it lives, and before it is sent requests."""
    for name, workload in of_kind("Deployment", among).items():
        for container in containers(workload):
            asked = {probe: container.get(probe, {}).get("httpGet") for probe in PROBES}
            expected = {probe: {"path": path, "port": "http"} for probe, path in PROBES.items()}
            if name == "order-api":  # it accepts orders while the broker is away
                for probe, path in (("startupProbe", "/readyz"), ("readinessProbe", "/livez")):
                    expected[probe] = {"path": path, "port": "http"}
            if asked != expected:
                yield f"{name}: asks {asked}"


def bounded(among: Sequence[Manifest]) -> Iterator[str]:
    """Every container says what it needs, and gets no more than it says."""
    for name, workload in workloads(among).items():
        for container in containers(workload):
            given = container.get("resources", {})
            if any(given.get(kind, {}).keys() != {"cpu", "memory"} for kind in ("requests", "limits")):
                yield f"{name}: has no bounds of processor and memory"


def secretless(among: Sequence[Manifest]) -> Iterator[str]:
    """No secret is in a manifest or in an environment: they are files, and each holder has its own."""
    holders = set(of_kind("Deployment", among))
    for each in among:
        if each["kind"] == "Secret" or _PASSWORD_IN_URL.search(str(each)):
            yield f"{each['kind']} {each['metadata']['name']}: holds a secret"
    for name, workload in workloads(among).items():
        variables = [
            *settings_of(workload, among),
            *(e["name"] for c in containers(workload) for e in c.get("env", [])),
        ]
        yield from (f"{name}: {variable} is in the environment" for variable in variables if _SECRET.search(variable))
        mounted = {each["secret"]["secretName"] for each in pod(workload)["spec"]["volumes"] if "secret" in each}
        allowed = {name} if name in holders else {"administrator", *holders}
        if mounted != allowed:
            yield f"{name}: sees the secrets of {sorted(mounted)}"
        if any(
            each["secret"].get("defaultMode") != 0o440 for each in pod(workload)["spec"]["volumes"] if "secret" in each
        ):
            yield f"{name}: others may read its secrets"


def disrupted_one_by_one(among: Sequence[Manifest]) -> Iterator[str]:
    """Each service has a budget that lets one replica go at a time, and is spread over machines and zones."""
    budgets = of_kind("PodDisruptionBudget", among)
    for name, workload in of_kind("Deployment", among).items():
        budget = budgets.get(name, {}).get("spec", {})
        if budget.get("maxUnavailable") != 1 or not _selects(budget.get("selector", {}), workload):
            yield f"{name}: has no disruption budget"
        spread = {each["topologyKey"] for each in pod(workload)["spec"].get("topologySpreadConstraints", [])}
        if spread != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
            yield f"{name}: is not spread"


def rolled_out_without_a_gap(among: Sequence[Manifest]) -> Iterator[str]:
    """A new pod is ready before an old one ends, which has time to end what it has begun."""
    for name, workload in of_kind("Deployment", among).items():
        wanted: Mapping[str, Any] = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        if name == "operations":  # two would count everything twice
            wanted = {"type": "Recreate"}
        if workload["spec"].get("strategy") != wanted:
            yield f"{name}: is rolled out otherwise"
        spec = pod(workload)["spec"]
        pauses = [each.get("lifecycle", {}).get("preStop", {}).get("sleep", {}) for each in containers(workload)]
        if spec.get("terminationGracePeriodSeconds", 0) <= STOP + sum(each.get("seconds", 0) for each in pauses):
            yield f"{name}: is killed before it had its {STOP:.0f} s"


def scaled(among: Sequence[Manifest]) -> Iterator[str]:
    """Each service is scaled by its queues, those of the document, or by its processor; or its number is fixed."""
    queues = {queue.name for queue in read_topology(ROOT / "asyncapi" / "asyncapi.json").queues if queue.kind == "work"}
    by_depth, by_processor = of_kind("ScaledObject", among), of_kind("HorizontalPodAutoscaler", among)
    for name, workload in of_kind("Deployment", among).items():
        if (name in by_depth) + (name in by_processor) + ("replicas" in workload["spec"]) != 1:
            yield f"{name}: is scaled by nothing, or by two"
        if name in by_depth:
            spec = by_depth[name]["spec"]
            watched = [each["metadata"]["queueName"] for each in spec["triggers"]]
            own = {queue for queue in queues if queue.startswith(f"{name.replace('-', '_')}.")}
            if sorted(watched) != sorted(own):
                yield f"{name}: watches other queues than the document gives it: {sorted(own ^ set(watched))}"
            if spec["scaleTargetRef"]["name"] != name or spec["minReplicaCount"] < 2:
                yield f"{name}: may be left with one replica"
        if name in by_processor and (
            by_processor[name]["spec"]["scaleTargetRef"]["name"] != name
            or by_processor[name]["spec"]["minReplicas"] < 2
        ):
            yield f"{name}: may be left with one replica"


def fenced(among: Sequence[Manifest]) -> Iterator[str]:
    """Every pod is under policies for both directions; a service reaches its own database only, operations all."""
    policies = of_kind("NetworkPolicy", among)
    for name, workload in workloads(among).items():
        applied = [each["spec"] for each in policies.values() if _selects(each["spec"]["podSelector"], workload)]
        if {direction for each in applied for direction in each["policyTypes"]} != {"Ingress", "Egress"}:
            yield f"{name}: may reach, or be reached by, anybody"
        ways = [way for each in applied for way in each.get("egress", [])]
        if any(not way.get("to") or not way.get("ports") for way in ways):
            yield f"{name}: may reach anybody"
        databases = [peer for way in ways if {"port": 5432} in way.get("ports", []) for peer in way.get("to", [])]
        own = [{"podSelector": {"matchLabels": {"cnpg.io/cluster": f"{name}-db"}}}]
        if name not in {"operations", "setup"} and databases != own:
            yield f"{name}: reaches other databases than its own"
        if name == "setup" and any(each.get("ingress") for each in applied):
            yield f"{name}: is reached by somebody"


def released(among: Sequence[Manifest]) -> Iterator[str]:
    """Every image is named with its registry and its release."""
    for name, workload in workloads(among).items():
        image = containers(workload)[0]["image"]
        wanted = f"orders-{'setup' if name == 'setup' else name.replace('-', '_')}"
        if not re.fullmatch(rf"[\w.-]+\.[\w./-]+/{wanted}:\d[\w.-]*", image):
            yield f"{name}: runs {image}"


def found(among: Sequence[Manifest]) -> Iterator[str]:
    """Every server and service that a setting names is there, on that port."""
    services = {
        f"{name}:{port['port']}" for name, each in of_kind("Service", among).items() for port in each["spec"]["ports"]
    }
    servers = {f"{name}-rw" for name in of_kind("Cluster", among)} | {
        f"{name}:{port}" for name in of_kind("RabbitmqCluster", among) for port in (5672, 15672)
    }
    for name, workload in workloads(among).items():
        for variable, value in settings_of(workload, among).items():
            place = re.match(r"\w+://(?:\w+@)?([^/]+)", value)
            if place and place[1] not in services | servers | {"127.0.0.1:8000"}:
                yield f"{name}: {variable} leads nowhere"


RULES: tuple[Rule, ...] = (
    hardened,
    probed,
    bounded,
    secretless,
    disrupted_one_by_one,
    rolled_out_without_a_gap,
    scaled,
    fenced,
    released,
    found,
)


def _selects(selector: Mapping[str, Any], workload: Manifest) -> bool:
    """Whether a selector by labels takes the workload's pods."""
    wanted = selector.get("matchLabels", {})
    return bool(wanted) and wanted.items() <= pod(workload)["metadata"]["labels"].items()
