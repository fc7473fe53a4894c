"""What a host does when it starts, as its template's user data and the release's files say it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import boto3  # pyright: ignore[reportMissingTypeStubs]
import httpx2
import pytest
import yaml
from moto.server import ThreadedMotoServer

from devstack.aws.template import MAIN, Template
from tests.architecture.rules import ROOT
from tests.aws.hosts import BROKER, INSTANCE, SERVICES, Started, environment, gateway, options, start, variables
from tests.stack.docker import lacking

pytestmark = [pytest.mark.stack("compose"), pytest.mark.timeout(300)]

REGION, ACCOUNT = "eu-central-1", "123456789012"
AWS = {"AWS::StackName": "orders", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::URLSuffix": "amazonaws.com"}

COMPOSED: dict[str, Any] = yaml.safe_load((ROOT / "compose.yml").read_text())["services"]
TRUST = "/etc/trust.pem"
BY_TLS = f"?sslmode=verify-full&sslrootcert={TRUST}"


def password(secret: str) -> str:
    """What a secret is here; told apart from any name."""
    return f"S3cret{secret.title().replace('/', '').replace('_', '')}"


@dataclass(frozen=True)
class Account:
    """An AWS account, as moto has it, after the stack's secrets and log groups were made."""

    endpoint: str
    folder: Path

    def client(self, service: str) -> Any:
        """A client of one of its services."""
        key = {"aws_access_key_id": "anything", "aws_secret_access_key": "anything"}
        return cast("Any", boto3).client(service, endpoint_url=self.endpoint, region_name=REGION, **key)

    def start(self, role: str, folder: Path, broker: str = "amazon-mq", **told: Any) -> Started:
        """Start a host of that role, as its launch template says."""
        template = Template(MAIN, {**AWS, "Release": "1.4.0", "Broker": broker})
        [made] = [each for each in template.resources if each.name == f"{role.title()}Template"]
        script = made.given["LaunchTemplateData"]["UserData"]["Fn::Base64"]
        known = {name: re.sub(r"\$\{(\w+)[^}]*\}", r"\1.test", value) for name, value in variables(script).items()}
        if "METRICS_ROLE" in known:
            known["METRICS_ROLE"] = f"arn:aws:iam::{ACCOUNT}:role/orders-metrics"
        return start(folder, self.folder, self.endpoint, known, **told)


@pytest.fixture
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account of the test's own."""
    if lack := lacking():
        pytest.fail(f"this needs a Docker engine: {lack}")
    server = ThreadedMotoServer(ip_address=gateway(), port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    bytecode = tmp_path_factory.getbasetemp() / "bytecode"
    bytecode.mkdir(exist_ok=True)
    made = Account(f"http://{host}:{port}", bytecode)
    secrets = made.client("secretsmanager")
    for each in Template(MAIN, AWS).everything():
        if each.kind == "AWS::SecretsManager::Secret":
            name = each.given["Name"]
            secrets.create_secret(Name=name, SecretString=password(name))
    made.client("logs").create_log_group(logGroupName="/orders/hosts")
    yield made
    httpx2.post(f"{made.endpoint}/moto-api/reset")  # its state is the process's, not the server's
    server.stop()


def assert_nothing_told(started: Started) -> None:
    """No password is in what the host printed, logged, or said on a command line or to a container's environment."""
    assert "S3cret" not in started.printed
    assert "S3cret" not in started.texts["bootstrap.json"]
    assert "S3cret" not in started.texts["bootstrap.log"]
    assert all("S3cret" not in line for line in started.asked("aws"))
    assert all("S3cret" not in argument for each in started.docker for argument in each["said"])


def usable(started: Started, folder: Path) -> bool:
    """Whether a client of AWS finds the control room's credentials."""
    kept, config = folder / "credentials.json", folder / "config"
    kept.write_text(started.texts["aws/credentials.json"])
    config.write_text(started.texts["aws/config"].replace("/run/aws/credentials.json", str(kept)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_CONFIG_FILE", str(config))
        patched.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            patched.delenv(name, raising=False)
        found = cast("Any", boto3).Session().get_credentials()
    return found.method == "custom-process" and bool(found.token)


def test_a_host_of_services_starts_one_container_of_each(account: Account, tmp_path: Path) -> None:
    """Each has its own passwords alone, can write nowhere but /tmp, and trusts no broker or database unverified.

    The password of the registry comes by standard input. Once all are ready, the host signals, and keeps its lines.
    """
    started = account.start("services", tmp_path)
    assert started.status == 0, started.printed
    holders = {path for path in started.tree if path.count("/") == 1 and path.startswith("secrets/")}
    assert holders == {f"secrets/{service}" for service in SERVICES}, "no other service's, and no administrator's"
    for place, service in enumerate(SERVICES):
        files = {path for path in started.tree if path.startswith(f"secrets/{service}/")}
        assert files == {f"secrets/{service}/{service}_{what}_password" for what in ("amqp", "database")}
        for file in files:
            assert started.tree[file] == "10001 400"
            assert started.texts[file] == f"{password('orders/' + file.removeprefix('secrets/'))}\n"
        assert started.tree[f"secrets/{service}"] == "10001 500"
        [said] = started.runs(service)
        mounted = {f"/run/orders/secrets/{service}:/run/secrets:ro", f"/run/orders/trust.pem:{TRUST}:ro"}
        assert set(options(said, "--volume")) == mounted
        assert options(said, "--publish") == [f"{8000 + place}:8000"]
        assert {"--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp", "no-new-privileges"} <= set(said)  # noqa: S108
        told = environment(said)
        logical = service.title().replace("_", "")
        assert told[f"{service.upper()}_AMQP_URL"] == f"amqps://{service}@{BROKER}:5671/orders?cafile={TRUST}"
        assert (
            told[f"{service.upper()}_DATABASE_URL"] == f"postgresql://{service}@{logical}.test:5432/{service}{BY_TLS}"
        )
        assert told[f"{service.upper()}_PRODUCTION"] == "true"
        assert told["SSL_CERT_FILE"] == TRUST
        assert f"awslogs-group=/orders/{service}" in options(said, "--log-opt")
        assert said[-1] == f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/orders-{service}:1.4.0"
    assert (started.tree[""], started.tree["secrets"]) == ("0 700", "0 711")
    assert_nothing_told(started)
    [login] = [each for each in started.docker if each["said"][0] == "login"]
    assert login["given"]
    assert login["given"] not in login["said"]
    [signal] = started.asked("aws", "cloudformation")
    assert signal == (
        f"cloudformation signal-resource --stack-name orders --logical-resource-id ServicesHosts --unique-id {INSTANCE}"
        " --status SUCCESS"
    )
    assert [f"{service} is ready" in started.printed for service in SERVICES] == [True] * 4
    [group] = account.client("logs").describe_log_streams(logGroupName="/orders/hosts")["logStreams"]
    [line] = account.client("logs").get_log_events(
        logGroupName="/orders/hosts", logStreamName=group["logStreamName"]
    )["events"]  # fmt: skip
    assert "shipping is ready" in line["message"]


def test_a_host_that_does_not_become_ready_gives_itself_up(account: Account, tmp_path: Path) -> None:
    """Its stack hears of a failure and never of a success, and its group is told to replace it."""
    started = account.start("services", tmp_path, READY="503", READY_WITHIN="1")
    assert started.status == 1
    [signal] = started.asked("aws", "cloudformation")
    assert signal.endswith("--status FAILURE")
    [given_up] = started.asked("aws", "autoscaling")
    assert given_up.startswith(f"autoscaling set-instance-health --instance-id {INSTANCE} --health-status Unhealthy")
    assert "order_api is not ready after 1 s; its log group is /orders/order_api" in started.printed


def test_a_missing_password_is_a_failure(account: Account, tmp_path: Path) -> None:
    """Nothing is started without it."""
    account.client("secretsmanager").delete_secret(
        SecretId="orders/shipping/shipping_amqp_password", ForceDeleteWithoutRecovery=True
    )
    started = account.start("services", tmp_path)
    assert started.status != 0
    assert started.asked("aws", "cloudformation")[-1].endswith("--status FAILURE")
    assert started.runs("order_api") == []


def test_passwords_are_never_written_to_a_disk(account: Account, tmp_path: Path) -> None:
    """A host whose /run is no memory refuses before it asks for any."""
    started = account.start("services", tmp_path, tmpfs=False)
    assert started.status == 1
    assert "no tmpfs" in started.printed
    assert started.asked("aws", "secretsmanager") == []


def test_a_host_that_starts_again_stops_what_runs_first(account: Account, tmp_path: Path) -> None:
    """Containers of the start before have their grace, then there is one of each again."""
    started = account.start("services", tmp_path, starts=2)
    assert started.status == 0, started.printed
    said = [each["said"] for each in started.docker]
    assert ["stop", "--time", "30", *SERVICES] in said
    assert said.index(["rm", *SERVICES]) == said.index(["stop", "--time", "30", *SERVICES]) + 1
    assert [len(started.runs(service)) for service in SERVICES] == [2] * 4


def test_the_control_host_sets_a_release_up_before_the_control_room_starts(account: Account, tmp_path: Path) -> None:
    """The job sees every password and is asked as the owners; the control room sees its own, and no more of AWS."""
    tags = [{"Key": "aws:autoscaling:groupName", "Value": "orders-services"}]
    reservation = account.client("ec2").run_instances(
        ImageId="ami-12c6146b",
        MinCount=2,
        MaxCount=2,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    addresses = sorted(each["PrivateIpAddress"] for each in reservation["Instances"])
    started = account.start("control", tmp_path)
    assert started.status == 0, started.printed
    order = [each["said"] for each in started.docker if each["said"][0] == "run"]
    [set_up], [operations] = started.runs("set-up"), started.runs("operations")
    assert order == [set_up, operations]
    told = environment(set_up)
    assert "/run/orders/secrets:/run/secrets:ro" in options(set_up, "--volume")
    assert told["SECRETS_TREE"] == "/run/secrets"
    assert set(told) - {"SSL_CERT_FILE"} == set(COMPOSED["setup"]["environment"]), "what the job is told by compose.yml"
    assert told["AMQP_URL"] == f"amqps://administrator@{BROKER}:5671/orders?cafile={TRUST}"
    assert told["RABBITMQ_MANAGEMENT_URL"] == f"https://administrator@{BROKER}:443"
    for each in SERVICES:
        url = told[f"{each.upper()}_DATABASE_URL"]
        assert url.startswith(f"postgresql://{each}_owner@")
        assert url.endswith(BY_TLS)
    assert started.tree["secrets/administrator/operations_database_password"] == "10001 400"
    assert started.tree["secrets/administrator/amqp_password"] == "10001 400"

    known = {
        name for name in COMPOSED["operations"]["environment"] if "ORDER_API_" not in name.replace("__ORDER_API", "")
    }
    assert {name for name in known if name.startswith("OPERATIONS_")} <= set(environment(operations))
    assert options(operations, "--publish") == ["127.0.0.1:8100:8000"], "reached by a session alone"
    assert [each for each in options(operations, "--volume") if "secrets" in each] == [
        "/run/orders/secrets/operations:/run/secrets:ro"
    ]
    assert started.texts["hosts"].splitlines() == [
        "127.0.0.1 localhost", *(f"{address} services" for address in addresses)
    ]  # fmt: skip
    assert started.tree["aws/credentials.json"] == "10001 600"
    assert usable(started, tmp_path), "by AWS's library, as the control room's container finds them"
    assert started.asked("systemctl") == ["enable --now orders-refresh.timer"]
    assert_nothing_told(started)

    # Amazon MQ's own virtual host has policies of Amazon's; ours is made over verified TLS.
    assert [each["path"] for each in started.management] == [
        "/api/vhosts/orders",
        "/api/permissions/orders/administrator",
    ]
    told_to = {(each["user"], each["password"]) for each in started.management}
    assert told_to == {("administrator", password("orders/administrator/amqp_password"))}
    assert "curl" not in started.tree, "the file with the password is gone"


def test_an_impostor_is_told_no_password(account: Account, tmp_path: Path) -> None:
    """What answers in the broker's place, with another's certificate, hears nothing, and set-up fails."""
    started = account.start("control", tmp_path, TRUSTED="somebody.else")
    assert started.status != 0
    assert started.asked("management") == []
    assert started.runs("set-up") == []


def test_a_release_is_set_up_once(account: Account, tmp_path: Path) -> None:
    """Going back to a release that was set up before changes nothing in databases that are newer by then."""
    account.client("ssm").put_parameter(Name="/orders/set-up/1.4.0", Value="2026-01-02T03:04:05Z", Type="String")
    started = account.start("control", tmp_path)
    assert started.status == 0, started.printed
    assert started.runs("set-up") == []
    assert len(started.runs("operations")) == 1


def test_a_set_up_that_fails_is_remembered_by_nobody(account: Account, tmp_path: Path) -> None:
    """No control room starts, the stack hears of it, and the next host tries again."""
    started = account.start("control", tmp_path, SET_UP="1")
    assert started.status == 1
    assert started.runs("operations") == []
    assert started.asked("aws", "cloudformation")[-1].endswith("--status FAILURE")
    assert account.client("ssm").describe_parameters()["Parameters"] == []


def test_a_self_hosted_broker_keeps_its_volume_and_its_key(account: Account, tmp_path: Path) -> None:
    """It speaks TLS with a key that stays on its volume, and publishes the certificate that the others trust."""
    zone = account.client("route53").create_hosted_zone(Name="orders.internal", CallerReference="1")["HostedZone"]["Id"]
    device = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0a1b"
    started = account.start(
        "broker", tmp_path, "self-hosted", VOLUME="vol-0a1b", DEVICE=device, ZONE=zone.rpartition("/")[2], starts=2
    )
    assert started.status == 0, started.printed
    first, again = started.runs("rabbitmq")
    assert first == again
    assert "/var/lib/orders-rabbitmq:/var/lib/rabbitmq" in options(first, "--volume")
    assert options(first, "--publish") == ["5671:5671", "15671:15671"], "never unencrypted"
    published = account.client("ssm").get_parameter(Name="/orders/rabbitmq/certificate")["Parameter"]
    assert published["Value"].startswith("-----BEGIN CERTIFICATE-----")
    assert published["Version"] == 2
    assert started.texts["password.conf"] == f"default_pass = {password('orders/administrator/amqp_password')}\n"
    assert started.tree["password.conf"] == "999 600"
    [record] = [
        each
        for each in account.client("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        if each["Type"] == "A"
    ]
    assert (record["Name"], record["ResourceRecords"]) == ("rabbitmq.orders.internal.", [{"Value": "10.20.3.7"}])
    assert_nothing_told(started)

    client = account.start("services", tmp_path / "client", "self-hosted", BROKER="rabbitmq.orders.internal")
    assert published["Value"].strip() in client.texts["trust.pem"]


def test_a_password_that_is_told_would_be_found(tmp_path: Path) -> None:
    """The check of what a host tells fires for one that is in a container's environment."""
    (tmp_path / "docker").write_text(json.dumps({"said": ["run", "--env", f"PASSWORD={password('planted')}"]}))
    started = Started(0, "", tmp_path, {}, {"bootstrap.json": "", "bootstrap.log": ""})
    with pytest.raises(AssertionError):
        assert_nothing_told(started)
