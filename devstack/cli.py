"""The commands of `./run`. Each is a module of devstack.commands; a new one is listed here."""

import typer

from devstack.commands.alarms import alarms
from devstack.commands.assets import assets
from devstack.commands.asyncapi import asyncapi
from devstack.commands.audit import audit
from devstack.commands.aws import aws
from devstack.commands.bench import bench
from devstack.commands.capacity import capacity
from devstack.commands.check import check
from devstack.commands.contracts import contracts
from devstack.commands.demo import demo
from devstack.commands.dlq import dlq
from devstack.commands.down import down
from devstack.commands.erase import erase
from devstack.commands.faults import faults
from devstack.commands.keys import keys
from devstack.commands.load import load
from devstack.commands.lock import lock
from devstack.commands.order import order
from devstack.commands.test import test
from devstack.commands.top import top
from devstack.commands.topology import topology
from devstack.commands.up import up
from devstack.commands.verify import verify
from devstack.entry import enter

PASSES_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

app = typer.Typer(
    name="./run",
    help="Runs the order system on this machine: private servers, the services, no Docker, all on 127.0.0.1.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(demo)
app.command(context_settings=PASSES_ON)(test)
app.command()(up)
app.command()(down)
app.command()(order)
app.command(context_settings={**PASSES_ON, "help_option_names": []})(top)
app.command(context_settings={**PASSES_ON, "help_option_names": []})(keys)
app.command(context_settings={**PASSES_ON, "help_option_names": []})(dlq)
app.command(context_settings={**PASSES_ON, "help_option_names": []})(audit)
app.command()(erase)
app.command(context_settings={**PASSES_ON, "help_option_names": []})(faults)
app.command()(check)
app.command()(asyncapi)
app.command()(assets)
app.command(context_settings={**PASSES_ON, "help_option_names": []})(contracts)
app.command(context_settings=PASSES_ON)(verify)
app.command(context_settings=PASSES_ON)(topology)
app.command(context_settings={**PASSES_ON, "help_option_names": []})(alarms)
app.command(context_settings={**PASSES_ON, "help_option_names": []})(aws)
app.command(context_settings={**PASSES_ON, "help_option_names": []})(bench)
app.command(context_settings={**PASSES_ON, "help_option_names": []})(capacity)
app.command(context_settings={**PASSES_ON, "help_option_names": []})(load)
app.command()(lock)


def main() -> None:
    """Run the command line."""
    enter(app, "./run")
