"""`python -m devstack.contracts`: what `./run contracts` does, in a process of its own, as it imports every service."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Annotated

import typer
from aio_pika.exceptions import AMQPConnectionError
from rich.console import Console

from contracts import EVENTS
from devstack.document import SERVICES
from devstack.endpoints import Endpoints, read_endpoints
from devstack.errors import StackError
from devstack.paths import CHECKOUT
from messaging.asyncapi.generate import generate
from messaging.asyncapi.reading import DOCUMENT, topology_of
from messaging.compatibility import report
from messaging.compatibility.broker import compare_topologies
from messaging.compatibility.messages import compare_events
from messaging.compatibility.recording import UnreadableError, record, recorded
from messaging.compatibility.samples import Sample, queued, read
from messaging.compatibility.verdict import Document, breaking
from messaging.management import ManagementUnavailable
from messaging.topology import Topology

RELEASED = Path("asyncapi/released.json")
"""The document of the last release, from the root of the checkout."""
LIVE = "live"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Whether events and topology may be released: services are upgraded one by one, and messages wait.",
)


@app.command()
def diff(
    *,
    base: Annotated[
        str, typer.Option(help="What to compare the code with: a document's file, or a git commit or tag.")
    ] = RELEASED.as_posix(),
    samples: Annotated[
        str,
        typer.Option(
            help="Read real messages, too: a folder of recorded ones, or `live` for those that wait on a broker."
        ),
    ] = "",
    most: Annotated[int, typer.Option(min=1, help="With `--samples live`: messages of each queue, at most.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Report for programs.")] = False,
) -> None:
    """Say what changed since a release, what that breaks, and for whom; status 1 if it breaks anything."""
    (before, name, topology), after = _document(base), generate(SERVICES)
    verdicts = [*compare_events(before, after), *compare_topologies(before, after)]
    found, left_alone = _samples(samples, topology, most) if samples else ([], [])
    readings = [read(sample, EVENTS.values()) for sample in found]
    if as_json:
        typer.echo(report.as_json(verdicts, readings))
    else:
        report.show(verdicts, name, Console())
        if samples:
            report.show_samples(readings, left_alone, Console())
    raise typer.Exit(1 if breaking(verdicts) or any(reading.breaking for reading in readings) else 0)


@app.command("record")
def record_messages(
    folder: Annotated[Path, typer.Argument(help="Where to write one JSON file for each message.")],
    most: Annotated[int, typer.Option(min=1, help="Messages, at most.")] = 100,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to listen, at most.")] = 60.0,
) -> None:
    """Write copies of the events that the running stack publishes to files, for `diff --samples`.

    The messages themselves go where they go. The files hold what the events hold: names, addresses, payment tokens.
    """
    stack, management = _stack()
    typer.echo(f"recording for {seconds:g} s, at most {most} messages ...")
    try:
        count = asyncio.run(record(CHECKOUT / folder, stack.amqp, management, most=most, seconds=seconds))
    except (AMQPConnectionError, ManagementUnavailable) as failure:
        raise typer.BadParameter(f"the broker of the stack does not answer: {failure}") from None
    typer.echo(f"{count} messages in {folder}")


def _document(base: str) -> tuple[Document, str, Topology]:
    """The document in a file, or the one that was committed with a git commit; its name; the topology in it."""
    file = CHECKOUT / base
    if file.is_file():
        text = file.read_text(encoding="utf-8")
    else:
        shown = subprocess.run(
            ["git", "show", "--end-of-options", f"{base}:{DOCUMENT.as_posix()}"],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
        )
        if shown.returncode:
            raise typer.BadParameter(f"{base} is neither a file nor a git commit with {DOCUMENT}", param_hint="--base")
        text = shown.stdout
    try:
        found: Document = json.loads(text)
        return found, f"{base} ({found['info']['version']})", topology_of(found)
    except (ValueError, KeyError, TypeError):
        raise typer.BadParameter(f"{base} is no AsyncAPI document of this system", param_hint="--base") from None


def _samples(where: str, topology: Topology, most: int) -> tuple[list[Sample], list[str]]:
    """Real messages, and the queues that were left alone."""
    if where == LIVE:
        stack, _ = _stack()
        try:
            return asyncio.run(queued(topology, stack.amqp, most))
        except AMQPConnectionError as failure:
            raise typer.BadParameter(f"the broker of the stack does not answer: {failure}") from None
    folder = CHECKOUT / where
    if not folder.is_dir():
        raise typer.BadParameter(f"{where} is no folder, nor `{LIVE}`", param_hint="--samples")
    try:
        return list(recorded(folder)), []
    except UnreadableError as failure:
        raise typer.BadParameter(str(failure), param_hint="--samples") from None


def _stack() -> tuple[Endpoints, str]:
    """The stack that is up, and its broker's management API."""
    try:
        endpoints = read_endpoints()
    except StackError as failure:
        raise typer.BadParameter(str(failure)) from None
    return endpoints, endpoints.rabbitmq_management or ""


if __name__ == "__main__":
    app(prog_name="./run contracts")
