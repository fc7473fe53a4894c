"""What `./run aws plan` shows: prechecks, what would be made, what of it is public, and about what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from devstack.aws import prices
from devstack.aws.prechecks import Checked
from devstack.aws.template import Resource

_MARKS = {True: "[green]✓[/]", False: "[red]✗[/]", None: "[yellow]-[/]"}


def show(checked: Sequence[Checked], resources: Sequence[Resource], console: Console) -> None:
    """Print it."""
    _heading(console, "Prechecks")
    for each in checked:
        console.print(f"{_MARKS[each.good]} {each.what}: ", end="", highlight=False)
        console.print(each.said, markup=False, highlight=False)
    _heading(console, f"Would be made: {len(resources)} resources")
    console.print(_kinds(resources))
    _heading(console, "Public")
    for line in public(resources):
        console.print(line, markup=False, highlight=False)
    _heading(console, "About a month's cost")
    console.print(_costs(list(prices.estimate(resources))))
    console.print(
        f"An estimate: list prices of us-east-1 as of {prices.AS_OF}, in US dollars, without traffic, backups, log\n"
        "lines and tax. AWS's own calculator knows today's, for your region: https://calculator.aws",
        highlight=False,
    )


def public(resources: Sequence[Resource]) -> list[str]:
    """What is reached from outside, and what reaches out."""
    lines: list[str] = []
    for group in (each for each in resources if each.kind == "AWS::EC2::SecurityGroup"):
        for rule in group.given.get("SecurityGroupIngress", ()):
            if "CidrIp" in rule:
                lines += [f"in:  {rule['CidrIp']} to port {rule['FromPort']} of the load balancer, TLS; nothing else"]
    nats = sum(each.kind == "AWS::EC2::NatGateway" for each in resources)
    lines.append(f"out: hosts, through {nats} NAT gateway(s), to port 443; databases and Amazon MQ not at all")
    lines.append("none: shells (sessions go through AWS, no port 22), databases, RabbitMQ, the control room, /metrics")
    return lines


def _heading(console: Console, text: str) -> None:
    console.print(f"\n[bold]{text}[/]", highlight=False)


def _kinds(resources: Sequence[Resource]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("kind")
    table.add_column("count", justify="right")
    for kind, count in sorted(Counter(each.kind for each in resources).items()):
        table.add_row(kind.removeprefix("AWS::"), str(count))
    return table


def _costs(items: Sequence[prices.Item]) -> Table:
    table = Table(box=None, pad_edge=False, show_footer=True)
    known = [item.monthly for item in items if item.monthly is not None]
    beyond = "" if len(known) == len(items) else " and what is not listed"
    table.add_column("what", footer=f"together{beyond}")
    table.add_column("US$", justify="right", footer=f"{sum(known):,.0f}")
    for item in items:
        table.add_row(item.what, "not listed" if item.monthly is None else f"{item.monthly:,.0f}")
    return table
