"""What can be made of the templates without an account: moto's network, and the package that is uploaded."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import boto3  # pyright: ignore[reportMissingTypeStubs]
import httpx2
import pytest
import yaml
from moto.server import ThreadedMotoServer

from devstack.aws.prechecks import ALARMS
from devstack.aws.template import MAIN, SERVICE, Template, load

REGION = "eu-central-1"
KEY = {"AWS_ACCESS_KEY_ID": "anything", "AWS_SECRET_ACCESS_KEY": "anything"}
NETWORK = (
    "VPC", "InternetGateway", "VPCGatewayAttachment", "Subnet", "RouteTable", "Route", "SubnetRouteTableAssociation",
    "EIP", "NatGateway", "SecurityGroup", "SecurityGroupIngress",
)  # fmt: skip


class Account:
    """An AWS account with nothing in it, as moto has it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def client(self, service: str) -> Any:
        """A client of one of its services."""
        return cast("Any", boto3).client(
            service, endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x"
        )

    def make(self, name: str, template: dict[str, Any], **parameters: str) -> dict[str, str]:
        """Make a stack; the ids of its resources."""
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        stacks = self.client("cloudformation")
        stacks.create_stack(StackName=name, TemplateBody=yaml.safe_dump(template), Parameters=given)
        assert stacks.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"
        made = stacks.list_stack_resources(StackName=name)["StackResourceSummaries"]
        return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in made}


@pytest.fixture
def account() -> Iterator[Account]:
    """One for the test alone."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Account(f"http://{host}:{port}")
    httpx2.post(f"http://{host}:{port}/moto-api/reset")  # its state is the process's, not the server's
    server.stop()


def network() -> dict[str, Any]:
    """The part of the template that moto can make. It knows no Fn::Cidr, which is worked out here."""
    template = Template(MAIN)
    kinds = {f"AWS::EC2::{kind}" for kind in NETWORK}
    resources = {
        each.name: {
            "Type": each.kind,
            "Properties": dict(each.given),
            **({"DependsOn": each.around["DependsOn"]} if "DependsOn" in each.around else {}),
        }
        for each in template.resources
        if each.kind in kinds
    }
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}


def test_the_network_lets_nobody_in_but_clients_of_the_api(account: Account) -> None:
    """Only the load balancer's group names addresses; only it and the control host reach hosts of services."""
    made = account.make("orders", network())
    ec2 = account.client("ec2")
    name_of = {value: name for name, value in made.items()}

    def who(group: str) -> set[tuple[int, str]]:
        [found] = ec2.describe_security_groups(GroupIds=[made[group]])["SecurityGroups"]
        return {
            (rule["FromPort"], source)
            for rule in found["IpPermissions"]
            for source in (
                *(each["CidrIp"] for each in rule["IpRanges"]),
                *(name_of[each["GroupId"]] for each in rule["UserIdGroupPairs"]),
            )
        }

    assert who("BalancerGroup") == {(443, "0.0.0.0/0")}
    assert who("ServicesGroup") == {(8000, "BalancerGroup"), (8000, "ControlGroup")}
    assert who("ControlGroup") == set()
    assert who("DatabaseGroup") == {(5432, "ServicesGroup"), (5432, "ControlGroup")}
    assert who("BrokerGroup") == {(5671, "ServicesGroup"), (5671, "ControlGroup"), (443, "ControlGroup")}


def test_each_table_of_routes_goes_where_it_should(account: Account) -> None:
    """That of the load balancer to the internet, those of hosts through NAT, that of data nowhere; no address twice.

    Which subnet has which table moto does not keep; a rule over the template says it.
    """
    made = account.make("orders", network())
    ec2 = account.client("ec2")

    def ways_out(table: str) -> Sequence[str]:
        [found] = ec2.describe_route_tables(RouteTableIds=[made[table]])["RouteTables"]
        routes = [each for each in found["Routes"] if each.get("DestinationCidrBlock") == "0.0.0.0/0"]
        return ["NAT" if each.get("NatGatewayId") else "internet" for each in routes]

    assert ways_out("PublicRoutes") == ["internet"]
    assert [ways_out(f"PrivateRoutes{zone}") for zone in "ABC"] == [["NAT"]] * 3
    assert ways_out("DataRoutes") == []
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [made["Vpc"]]}])["Subnets"]
    assert len({each["CidrBlock"] for each in subnets}) == 9
    assert len({each["AvailabilityZone"] for each in subnets}) == 3


def test_the_package_holds_every_nested_template(account: Account, tmp_path: Path) -> None:
    """AWS's own client uploads them and changes nothing else."""
    s3 = account.client("s3")
    s3.create_bucket(Bucket="artifacts", CreateBucketConfiguration={"LocationConstraint": REGION})
    packaged = tmp_path / "packaged.yaml"
    command = [sys.executable, "-W", "ignore", "-m", "awscli", "cloudformation", "package", "--s3-bucket", "artifacts"]
    subprocess.run(  # noqa: S603 - our own tool and files
        [*command, "--template-file", MAIN, "--output-template-file", packaged],
        env={**os.environ, **KEY, "AWS_ENDPOINT_URL": account.endpoint, "AWS_DEFAULT_REGION": REGION},
        check=True,
        capture_output=True,
    )
    resources = load(packaged)["Resources"]
    assert resources.keys() == load(MAIN)["Resources"].keys()
    urls = {name: each["Properties"].pop("TemplateURL") for name, each in resources.items() if "Stack" in each["Type"]}
    assert set(urls) == {"OrderApi", "Payment", "Inventory", "Shipping", "Operations", "Alarms"}
    for name, url in urls.items():
        nested = tmp_path / f"{name}.yaml"
        nested.write_bytes(s3.get_object(Bucket="artifacts", Key=url.rpartition("/")[2])["Body"].read())
        assert load(nested) == load(ALARMS if name == "Alarms" else SERVICE)
