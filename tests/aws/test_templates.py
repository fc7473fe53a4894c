"""The templates of deploy/aws: valid, within limits, and as safe as they promise; each guard is seen to fire."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from devstack.aws.template import ARTIFACTS, FOLDER, MAIN, SERVICE, Template, load
from devstack.services import SERVICES
from messaging.settings import ServiceSettings
from tests.architecture.rules import ROOT
from tests.aws.hosts import variables
from tests.aws.rules import (
    RULES,
    WITHOUT_RESOURCES,
    Rule,
    clients_speak_tls,
    data_has_no_way_out,
    databases_are_kept,
    hosts_keep_their_credentials,
    logs_end,
    nobody_logs_in_by_ssh,
    only_the_api_is_public,
    rights_are_small,
    secrets_stay_with_their_holders,
    updates_roll,
)

BROKERS = ("amazon-mq", "self-hosted")
PROGRAMS = Path(sys.executable).parent
SCRIPTS = sorted((ROOT / "deploy").rglob("*.sh"))
Written = dict[str, Any]


def run(*command: str | Path) -> str:
    """What a tool says of files of ours; nothing if it finds nothing."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own tools and files
    return done.stdout + done.stderr


def test_the_templates_are_valid(tmp_path: Path) -> None:
    """cfn-lint has nothing to say of them, and says something of a misspelt property and of a missing parameter."""
    assert run(PROGRAMS / "cfn-lint", MAIN, SERVICE, ARTIFACTS) == ""
    bad = tmp_path / "template.yaml"
    (tmp_path / "service.yaml").write_text(SERVICE.read_text())
    bad.write_text(
        MAIN.read_text()
        .replace("PubliclyAccessible: false", "PublicAccess: false")
        .replace('        System: !Ref "AWS::StackName"\n', "", 1)
        .replace("../monitoring", str(ROOT / "deploy/monitoring"))
    )
    said = run(PROGRAMS / "cfn-lint", bad)
    assert "PublicAccess" in said
    assert "System" in said


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_the_scripts_are_sound(script: Path) -> None:
    """Shellcheck has nothing to say of any script that is deployed."""
    assert run(PROGRAMS / "shellcheck", script) == ""


@pytest.mark.parametrize("broker", BROKERS)
def test_user_data_is_sound(broker: str, tmp_path: Path) -> None:
    """Shellcheck has nothing to say of what hosts run first, and does of a planted mistake; it fits the limit."""
    found = 0
    for each in Template(MAIN, {"Broker": broker}).resources:
        if each.kind == "AWS::EC2::LaunchTemplate":
            script = each.given["LaunchTemplateData"]["UserData"]["Fn::Base64"]
            script = re.sub(r"\$\{[^}]+\}", "value", script)  # as CloudFormation puts in what it knows
            file = tmp_path / f"{each.name}.sh"
            file.write_text(script)
            assert run(PROGRAMS / "shellcheck", file) == ""
            assert len(script.encode()) < 16_000
            file.write_text(script.replace('"$instance" --status', "$instance --status"))
            assert "SC2086" in run(PROGRAMS / "shellcheck", file)
            found += 1
    assert found == (2 if broker == "amazon-mq" else 3)


def test_hosts_are_told_what_their_scripts_read() -> None:
    """Every variable of user data is read by a script, and what each role reads without a default is given to it."""
    scripts = "\n".join(path.read_text() for path in sorted((FOLDER / "host").glob("*.sh")))
    for each in Template(MAIN, {"Broker": "self-hosted"}).resources:
        if each.kind == "AWS::EC2::LaunchTemplate":
            told = variables(each.given["LaunchTemplateData"]["UserData"]["Fn::Base64"])
            for name in told:
                if name not in {"AWS_DEFAULT_REGION", "AFTER"} and not name.endswith("_DATABASE"):
                    assert f"${name}" in scripts or f"${{{name}" in scripts, name
            databases = {f"{service.upper()}_DATABASE" for service in SERVICES}
            wanted = {"control": databases, "services": databases - {"OPERATIONS_DATABASE"}, "broker": set[str]()}
            assert {name for name in told if name.endswith("_DATABASE")} == wanted[told["ROLE"]]


def test_a_host_that_ends_lets_its_services_finish() -> None:
    """No new requests, then more time than a service takes for what it has in flight, then more than Docker waits."""
    unit = ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # pyright: ignore[reportAttributeAccessIssue] - as the standard library's page has it
    unit.read(FOLDER / "host" / "orders.service")
    service = unit["Service"]
    [grace] = re.findall(r"docker stop --time (\d+)", service["ExecStop"])
    in_flight = ServiceSettings(production=False).shutdown_timeout
    assert in_flight < int(grace) < int(service["TimeoutStopSec"])
    [targets] = [each.given for each in Template(MAIN).resources if each.name == "Targets"]
    attributes = {each["Key"]: each["Value"] for each in targets["TargetGroupAttributes"]}
    assert int(attributes["deregistration_delay.timeout_seconds"]) > in_flight


def test_every_service_has_what_it_owns() -> None:
    """A database, its passwords and its log groups, one nested stack each; nothing for anybody else."""
    given = {"AWS::StackName": "orders"}
    resources = list(Template(MAIN, given).everything())
    databases = [each.given for each in resources if each.kind == "AWS::RDS::DBInstance"]
    assert sorted(each["DBName"] for each in databases) == sorted(SERVICES)
    assert {each["MasterUsername"] for each in databases} == {f"{service}_owner" for service in SERVICES}
    secrets = {each.given["Name"] for each in resources if each.kind == "AWS::SecretsManager::Secret"}
    wanted = {f"orders/{service}/{service}_{what}_password" for service in SERVICES for what in ("amqp", "database")}
    wanted |= {f"orders/administrator/{service}_database_password" for service in SERVICES}
    assert secrets == wanted | {"orders/administrator/amqp_password", "orders/operations/operations_reader_password"}


def test_images_are_those_that_have_a_repository() -> None:
    """One a service, the set-up job's, and RabbitMQ's for a broker of one's own; a tag never changes.

    The bucket beside them lets nobody in from outside.
    """
    repositories = [each.given for each in Template(ARTIFACTS).resources if each.kind == "AWS::ECR::Repository"]
    names = {f"orders-{image}" for image in (*SERVICES, "setup", "rabbitmq")}
    assert {each["RepositoryName"] for each in repositories} == names
    assert {each["ImageTagMutability"] for each in repositories} == {"IMMUTABLE"}
    [bucket] = [each.given for each in Template(ARTIFACTS).resources if each.kind == "AWS::S3::Bucket"]
    assert list(bucket["PublicAccessBlockConfiguration"].values()) == [True] * 4


def test_the_templates_fit_cloudformations_limits() -> None:
    """Bytes, resources, parameters and outputs of each."""
    for path in (MAIN, SERVICE, ARTIFACTS, ROOT / "deploy/monitoring/cloudformation.json"):
        written = load(path)
        assert path.stat().st_size < 1_000_000
        assert len(written["Resources"]) < 500
        assert len(written.get("Parameters", {})) < 200
        assert all("Description" in each for each in written.get("Parameters", {}).values()), path


@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize("nat", ["true", "false"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_promises_hold(rule: Rule, nat: str, broker: str) -> None:
    """Whatever the choices of broker and network."""
    assert list(rule(list(Template(MAIN, {"Broker": broker, "NatPerZone": nat}).everything()))) == []


def change(values: Mapping[str, Any]) -> Callable[[Written], None]:
    """A planted breach: a value of the template, named by its path."""

    def apply(written: Written) -> None:
        for path, value in values.items():
            *parts, last = (int(part) if part.isdecimal() else part for part in path.split("/"))
            place: Any = written["Resources"]
            for part in parts:
                place = place[part]
            place[last] = value

    return apply


POLICY = "ServicesRole/Properties/Policies/0/PolicyDocument/Statement/0"
DATA = "ServicesTemplate/Properties/LaunchTemplateData"
BREACHES: list[tuple[Path, Rule, Callable[[Written], None], str]] = [
    (MAIN, only_the_api_is_public, change({"BalancerGroup/Properties/SecurityGroupIngress/0/ToPort": 444}), "lets"),
    (
        MAIN,
        only_the_api_is_public,
        change(
            {
                "DatabaseGroup/Properties/SecurityGroupIngress": [
                    {"CidrIp": "10.0.0.0/8", "FromPort": 5432, "ToPort": 5432, "IpProtocol": "tcp"}
                ]
            }
        ),
        "DatabaseGroup lets",
    ),
    (
        MAIN,
        only_the_api_is_public,
        change({"BrokerFromServices/Properties": {"CidrIp": "10.0.0.0/8", "IpProtocol": "tcp"}}),
        "no group",
    ),
    (MAIN, only_the_api_is_public, change({"Rabbit/Properties/PubliclyAccessible": True}), "Rabbit is publicly"),
    (MAIN, only_the_api_is_public, change({"PrivateA/Properties/MapPublicIpOnLaunch": True}), "public addresses"),
    (MAIN, clients_speak_tls, change({"Listener/Properties/Protocol": "HTTP"}), "something else than TLS"),
    (MAIN, nobody_logs_in_by_ssh, change({f"{DATA}/KeyName": "mine"}), "key pair"),
    (MAIN, nobody_logs_in_by_ssh, change({"ServicesFromControl/Properties/FromPort": 0}), "port 22"),
    (
        MAIN,
        data_has_no_way_out,
        change({"DataRoutesA/Properties/RouteTableId": {"Ref": "PrivateRoutesA"}}),
        "a way out",
    ),
    (
        MAIN,
        data_has_no_way_out,
        change({"PrivateRouteTableA/Properties/RouteTableId": {"Ref": "PublicRoutes"}}),
        "is public",
    ),
    (MAIN, data_has_no_way_out, change({"DataRoutesB/Properties/SubnetId": {"Ref": "DataA"}}), "DataB has the VPC's"),
    (MAIN, hosts_keep_their_credentials, change({f"{DATA}/MetadataOptions/HttpTokens": "optional"}), "without a token"),
    (
        MAIN,
        hosts_keep_their_credentials,
        change({f"{DATA}/MetadataOptions/HttpPutResponseHopLimit": 2}),
        "answers containers",
    ),
    (
        MAIN,
        hosts_keep_their_credentials,
        change({f"{DATA}/BlockDeviceMappings/0/Ebs/Encrypted": False}),
        "not encrypted",
    ),
    (SERVICE, databases_are_kept, change({"Database/Properties/StorageEncrypted": False}), "not encrypted"),
    (SERVICE, databases_are_kept, change({"Database/Properties/BackupRetentionPeriod": 0}), "no backups"),
    (SERVICE, databases_are_kept, change({"Database/Properties/MultiAZ": False}), "one zone"),
    (SERVICE, databases_are_kept, change({"Database/DeletionPolicy": "Delete"}), "without a snapshot"),
    (SERVICE, databases_are_kept, change({"Database/Properties/MasterUserPassword": "orders"}), "no secret"),
    (MAIN, databases_are_kept, change({"DatabaseParameters/Properties/Parameters/rds.force_ssl": "0"}), "without TLS"),
    (MAIN, rights_are_small, change({f"{POLICY}/Action": "secretsmanager:*"}), "may do"),
    (MAIN, rights_are_small, change({f"{POLICY}/Resource": "*"}), "anything"),
    (
        MAIN,
        rights_are_small,
        change({"ServicesRole/Properties/ManagedPolicyArns": ["arn:aws:iam::aws:policy/x"]}),
        "widen",
    ),
    (
        MAIN,
        secrets_stay_with_their_holders,
        change({f"{POLICY}/Resource/0": {"Ref": "AdministratorPassword"}}),
        "ServicesRole reads",
    ),
    (SERVICE, logs_end, change({"Logs/Properties/RetentionInDays": None}), "for ever"),
    (
        MAIN,
        updates_roll,
        change({"ServicesHosts/UpdatePolicy/AutoScalingRollingUpdate/WaitOnResourceSignals": False}),
        "does not wait",
    ),
    (
        MAIN,
        updates_roll,
        change({"ServicesHosts/UpdatePolicy/AutoScalingRollingUpdate/MinInstancesInService": 1}),
        "fewer hosts",
    ),
    (MAIN, updates_roll, change({"ServicesHosts/DependsOn": []}), "ahead of set-up"),
]


@pytest.mark.parametrize(
    ("path", "rule", "breach", "said"), BREACHES, ids=[f"{rule.__name__}-{said}" for _, rule, _, said in BREACHES]
)
def test_each_rule_fires(path: Path, rule: Rule, breach: Callable[[Written], None], said: str) -> None:
    """A planted breach of every promise is named, and breaks this one."""
    written = deepcopy(load(path))
    breach(written)
    values = {"DatabaseMultiAz": "true", "DeletionProtection": "true", "BackupDays": 7, "LogDays": 30}
    found = list(rule(Template(path, values, written).resources))
    assert any(said in each for each in found), found


def test_every_exemption_is_needed() -> None:
    """An action that may name every resource is one that some role has."""
    text = json.dumps([each.given for each in Template(MAIN).resources])
    assert [action for action in WITHOUT_RESOURCES if action not in text] == []
