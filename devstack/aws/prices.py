"""What the templates would cost a month, by list prices written down here; for the order of magnitude, not for a bill.

US dollars, region us-east-1, on demand, without free tier, tax and traffic. Other regions are up to a third dearer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from devstack.aws.template import Resource

AS_OF = "2025-06"
"""When AWS listed these prices. They were written down from memory, and not looked up since."""
HOURS = 730
"""Of a month."""

INSTANCE = {
    "t3.micro": 0.0104, "t3.small": 0.0208, "t3.medium": 0.0416, "t3.large": 0.0832, "t3.xlarge": 0.1664,
    "t4g.small": 0.0168, "t4g.medium": 0.0336, "m7g.medium": 0.0408, "m7g.large": 0.0816,
    "m6i.large": 0.096, "m7i.large": 0.1008, "c7g.large": 0.0725,
}  # fmt: skip
DATABASE = {
    "db.t4g.micro": 0.016, "db.t4g.small": 0.032, "db.t4g.medium": 0.065, "db.t4g.large": 0.129,
    "db.m6g.large": 0.159, "db.m7g.large": 0.168, "db.r6g.large": 0.225,
}  # fmt: skip
BROKER = {"mq.m7g.large": 0.288, "mq.m7g.xlarge": 0.576}
"""A node. Those of the mq.m5 types of the same size: the others' were not at hand."""
BROKER_NODES = 3
EBS, DATABASE_STORAGE = 0.08, 0.115
"""A GB, gp3."""
ADDRESS, NAT, BALANCER, BALANCER_CAPACITY = 0.005, 0.045, 0.0225, 0.008
"""An hour: a public IPv4 address, a NAT gateway, a load balancer, one unit of what it carries."""
BALANCER_ADDRESSES = 3
SECRET, ALARM, DASHBOARD, METRIC, ZONE = 0.40, 0.10, 3.00, 0.30, 0.50
METRICS = 610
"""That the control room sends, about; each costs while it is sent."""


@dataclass(frozen=True)
class Item:
    """One line of the estimate; `monthly` is None for what is in no list here."""

    what: str
    monthly: float | None


def estimate(resources: Sequence[Resource]) -> Iterator[Item]:
    """What is made, with its price a month."""
    templates = {each.name: each.given["LaunchTemplateData"] for each in _of(resources, "EC2::LaunchTemplate")}
    for group in _of(resources, "AutoScaling::AutoScalingGroup"):
        data, count = templates[group.given["LaunchTemplate"]["LaunchTemplateId"]["Ref"]], int(group.given["MinSize"])
        disk = sum(each["Ebs"]["VolumeSize"] for each in data["BlockDeviceMappings"])
        hourly = INSTANCE.get(data["InstanceType"])
        monthly = None if hourly is None else count * (hourly * HOURS + disk * EBS)
        yield Item(f"{group.name}: {count} x {data['InstanceType']}, {disk} GB each", monthly)
    databases = list(_of(resources, "RDS::DBInstance"))
    for given in [each.given for each in databases][:1]:  # they are alike
        copies, gigabytes = 2 if str(given["MultiAZ"]) == "true" else 1, int(given["AllocatedStorage"])
        hourly = DATABASE.get(given["DBInstanceClass"])
        monthly = None if hourly is None else len(databases) * copies * (hourly * HOURS + gigabytes * DATABASE_STORAGE)
        zones = "two zones" if copies > 1 else "one zone"
        yield Item(f"{len(databases)} databases: {given['DBInstanceClass']}, {gigabytes} GB, {zones}", monthly)
    for broker in _of(resources, "AmazonMQ::Broker"):
        hourly = BROKER.get(broker.given["HostInstanceType"])
        monthly = None if hourly is None else BROKER_NODES * hourly * HOURS
        yield Item(f"Amazon MQ: {BROKER_NODES} x {broker.given['HostInstanceType']}, without storage", monthly)
    for volume in _of(resources, "EC2::Volume"):
        yield Item(f"{volume.name}: {volume.given['Size']} GB", int(volume.given["Size"]) * EBS)
    balancers, nats = (
        list(_of(resources, "ElasticLoadBalancingV2::LoadBalancer")),
        list(_of(resources, "EC2::NatGateway")),
    )
    carried = len(balancers) * (BALANCER + BALANCER_CAPACITY + BALANCER_ADDRESSES * ADDRESS) * HOURS
    yield Item(f"{len(balancers)} load balancer, little traffic", carried)
    yield Item(f"{len(nats)} NAT gateway(s), without traffic", len(nats) * (NAT + ADDRESS) * HOURS)
    for what, kind, each in (
        ("secrets", "SecretsManager::Secret", SECRET),
        ("alarms", "CloudWatch::Alarm", ALARM),
        ("dashboard", "CloudWatch::Dashboard", DASHBOARD),
        ("private DNS zone", "Route53::HostedZone", ZONE),
    ):
        if count := len(list(_of(resources, kind))):
            yield Item(f"{count} {what}", count * each)
    if any(_of(resources, "CloudWatch::Dashboard")):
        yield Item(f"about {METRICS} metrics", METRICS * METRIC)


def _of(resources: Sequence[Resource], kind: str) -> Iterator[Resource]:
    return (each for each in resources if each.kind == f"AWS::{kind}")
