"""`./run aws plan`: what can be known before a stack is made, said without making anything."""

import re
from collections.abc import Iterator
from typing import Any, cast

import boto3  # pyright: ignore[reportMissingTypeStubs]
import httpx2
import pytest
from moto.server import ThreadedMotoServer
from typer.testing import CliRunner

from devstack.aws import prices
from devstack.aws.__main__ import aws
from devstack.aws.template import MAIN, Template
from devstack.paths import CHECKOUT
from operations.monitoring.described import read_description
from tests.docs.markdown import Page
from tests.unit.operations.monitoring.snapshots import healthy

REGION = "eu-central-1"
CERTIFICATE = "CertificateArn=arn:aws:acm:eu-central-1:123456789012:certificate/1234"
GIVEN = ("Release=1.4.0", "Artifacts=orders-artifacts", CERTIFICATE)
WITHOUT_ACCOUNT = {
    "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "none",
    "COLUMNS": "200", "AWS_SHARED_CREDENTIALS_FILE": "none", "AWS_ACCESS_KEY_ID": None,
    "AWS_SECRET_ACCESS_KEY": None, "AWS_PROFILE": None,
}  # fmt: skip


def plan(*arguments: str, **environment: str | None) -> tuple[int, str]:
    """Its status and what it prints; without an account, unless told."""
    done = CliRunner().invoke(aws, ["plan", *arguments], env={**WITHOUT_ACCOUNT, **environment})
    return done.exit_code, done.output


def test_a_plan_needs_no_account() -> None:
    """Everything is shown: checks, resources by kind, what is public, and an estimate that says what it is."""
    status, said = plan(*GIVEN)
    assert status == 0, said
    assert "no credentials: account, bucket, images and certificate were not looked at" in said
    assert re.search(r"^RDS::DBInstance +5$", said, re.MULTILINE)
    assert "0.0.0.0/0 to port 443 of the load balancer" in said
    assert f"list prices of us-east-1 as of {prices.AS_OF}" in said
    assert "orders-payment" in said
    assert "rabbitmq" not in said.partition("Would be made")[0], "its image is for a broker of one's own"


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (GIVEN[:2], "parameter CertificateArn: is not given: the ARN of a certificate in ACM"),
        ((*GIVEN, "LogDays=8"), "parameter LogDays: '8' is none of 1, 3, 5"),
        ((*GIVEN, "BackupDays=0"), "parameter BackupDays: '0' is no number from 1 to 35"),
        ((*GIVEN, "ClientCidr=everybody"), "parameter ClientCidr: 'everybody' is not an IPv4 range"),
        ((*GIVEN, "HostsMax=3", "HostsMin=3"), "HostsMax is to be more than HostsMin (3)"),
        ((*GIVEN, "Broker=self-hosted"), "Broker=self-hosted needs another BrokerType: t3.medium"),
        ((*GIVEN, "BrokerType=t3.medium"), "Broker=amazon-mq needs another BrokerType: mq.m7g.large"),
    ],
)
def test_a_wrong_parameter_is_named(arguments: tuple[str, ...], wrong: str) -> None:
    """With what would be right, and status 1; the rest of the plan is shown all the same."""
    status, said = plan(*arguments)
    assert status == 1
    assert wrong in said
    assert "Would be made" in said


def test_an_unknown_parameter_is_answered_with_those_there_are() -> None:
    """A misspelt name changes nothing silently."""
    status, said = plan("Relase=1.4.0")
    assert status == 2
    assert "Relase" in said
    assert "Release" in said


def test_without_a_region_nothing_can_be_made() -> None:
    """The way out is named."""
    status, said = plan(*GIVEN, AWS_DEFAULT_REGION=None)
    assert status == 1
    assert "region: is not known: --region, or AWS_DEFAULT_REGION" in said


@pytest.fixture
def endpoint() -> Iterator[str]:
    """An AWS account with nothing in it, as moto has it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    httpx2.post(f"http://{host}:{port}/moto-api/reset")  # its state is the process's, not the server's
    server.stop()


def test_with_an_account_it_looks_at_what_is_there(endpoint: str) -> None:
    """Files, images and certificate are found, or named as missing."""
    key = {"AWS_ACCESS_KEY_ID": "anything", "AWS_SECRET_ACCESS_KEY": "anything", "AWS_ENDPOINT_URL": endpoint}

    def client(service: str) -> Any:
        return cast("Any", boto3).client(
            service, endpoint_url=endpoint, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x"
        )

    status, said = plan(*GIVEN, **key)
    assert status == 1
    assert "✓ AWS: account 123456789012" in said
    assert "✗ hosts' files" in said
    assert "✗ images in the registry" in said
    assert "✗ certificate" in said

    client("s3").create_bucket(Bucket="orders-artifacts", CreateBucketConfiguration={"LocationConstraint": REGION})
    client("s3").put_object(Bucket="orders-artifacts", Key="releases/1.4.0/bootstrap.sh", Body=b"")
    manifest = (
        '{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",'
        ' "config": {"digest": "sha256:%s"}, "layers": []}'
    )
    for place, image in enumerate(("order_api", "payment", "inventory", "shipping", "operations", "setup")):
        client("ecr").create_repository(repositoryName=f"orders-{image}")
        client("ecr").put_image(
            repositoryName=f"orders-{image}", imageTag="1.4.0", imageManifest=manifest % f"{place:064x}"
        )
    arn = client("acm").request_certificate(DomainName="orders.example")["CertificateArn"]
    status, said = plan(*GIVEN[:2], f"CertificateArn={arn}", **key)
    assert status == 0, said
    assert "releases/1.4.0/bootstrap.sh is in orders-artifacts" in said
    assert "orders.example" in said


def test_the_estimate_adds_up() -> None:
    """What is not listed is said to be so and not counted as nothing; metrics are as many as there are."""
    small = list(prices.estimate(list(Template(MAIN, {"DatabaseMultiAz": "false"}).everything())))
    large = list(prices.estimate(list(Template(MAIN, {"DatabaseMultiAz": "true"}).everything())))
    [one], [two] = ([item.monthly for item in items if "databases" in item.what] for items in (small, large))
    assert one is not None
    assert two == 2 * one == pytest.approx(2 * 5 * (0.032 * 730 + 20 * 0.115))
    unlisted = prices.estimate(list(Template(MAIN, {"HostType": "x9.huge"}).everything()))
    assert [item.monthly for item in unlisted if "x9.huge" in item.what] == [None, None]
    metrics = len(healthy(read_description(CHECKOUT / "asyncapi/asyncapi.json")))
    assert metrics == pytest.approx(prices.METRICS, rel=0.1)


def test_the_page_tells_what_the_plan_does() -> None:
    """The costs in the how-to are the estimate's, within a twentieth."""
    costs = Page(CHECKOUT / "docs/howto/deploy-on-aws.md").section("What it costs")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in costs.splitlines() if line.startswith("|")]
    given: dict[str, str] = {}
    for parameters, _, about in rows[2:]:
        given |= dict(each.split("=") for each in re.findall(r"\w+=[\w.-]+", parameters))
        together = sum(item.monthly or 0 for item in prices.estimate(list(Template(MAIN, given).everything())))
        assert int(about.replace(",", "")) == pytest.approx(together, rel=0.05)
    assert len(rows) == 5
