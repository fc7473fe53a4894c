"""The published document: what the code says, read again as what the broker must hold."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from contracts import EVENTS, Event, OrderCreated
from devstack.document import SERVICES, documents, published
from devstack.paths import CHECKOUT
from devstack.services import SPOKEN_TO
from messaging.asyncapi.generate import VERSION, generate
from messaging.asyncapi.messages import message
from messaging.asyncapi.profile import Json
from messaging.asyncapi.reading import ContradictionError, consumers_of, topology_of
from messaging.asyncapi.render import to_json
from messaging.collector import PREFETCH as COLLECTOR_PREFETCH
from messaging.envelope import properties
from messaging.service import Service
from messaging.topology import EVENTS as EVENTS_EXCHANGE
from messaging.topology import RESTING, Queue, topology
from tests.asyncapi import checks
from tests.asyncapi.checks import Parser


def test_the_committed_files_are_what_the_code_says() -> None:
    """A change of contracts, signatures or topology is published with it: `./run asyncapi`."""
    for path, text in published().items():
        assert (CHECKOUT / path).read_text(encoding="utf-8") == text, f"{path} differs: ./run asyncapi"


def test_every_run_writes_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the order of sets: another process with other hashes writes what this one does."""
    program = (
        "import sys, pathlib, devstack.document as d\n"
        "[pathlib.Path(sys.argv[1], p.name).write_text(t, encoding='utf-8') for p, t in d.published().items()]"
    )
    subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program, tmp_path],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        check=True,
    )
    for path, text in published().items():
        assert (tmp_path / path.name).read_text(encoding="utf-8") == text


def test_json_and_yaml_are_one_document() -> None:
    """Two notations, nothing else."""
    as_json, as_yaml = documents().values()
    assert json.loads(as_json) == yaml.safe_load(as_yaml)


def test_the_topology_comes_out_as_it_went_in(generated: Json) -> None:
    """Set-up and verification read exactly what the code says."""
    assert topology_of(generated) == topology(queue for service in SERVICES for queue in service.routes).by_name()


def test_the_consumers_come_out_as_they_went_in(generated: Json) -> None:
    """Each queue that a handler receives from, with its prefetch; and where messages rest, whoever takes custody."""
    handled = {queue: service.settings.prefetch for service in SERVICES for queue in service.routes}
    assert consumers_of(generated) == handled | dict.fromkeys(resting(generated), COLLECTOR_PREFETCH)


def resting(document: Json) -> set[str]:
    """The queues whose messages wait for a person."""
    return {queue.name for queue in topology_of(document).queues if queue.kind in RESTING}


def test_a_document_that_contradicts_itself_is_refused(document: Json) -> None:
    """An exchange stands in many channels; all of them must say the same of it."""
    document["channels"]["order.created"]["bindings"]["amqp"]["exchange"]["type"] = "fanout"
    with pytest.raises(ContradictionError, match=EVENTS_EXCHANGE):
        topology_of(document)


def test_two_channels_are_not_one_queue(document: Json) -> None:
    """A queue is stated once."""
    document["channels"]["again"] = document["channels"]["payment.order.created"]
    with pytest.raises(ContradictionError, match=r"payment\.order\.created"):
        topology_of(document)


def test_each_handler_receives_and_each_event_is_sent(generated: Json) -> None:
    """One operation for each, tagged with the service that owns it; one, too, for each queue that custody empties."""
    operations = generated["operations"].items()
    collected = {(name, each["tags"][0]["name"]) for name, each in operations if each.get("x-custody")}
    received = {(name, each["tags"][0]["name"]) for name, each in operations if each["action"] == "receive"}
    sent = {(name, each["tags"][0]["name"]) for name, each in operations if each["action"] == "send"}
    assert collected == {(f"operations.collect.{queue}", "operations") for queue in resting(generated)}
    assert received - collected == {
        (f"{service.name}.receive.{route.event.name}", service.name)
        for service in SERVICES
        for route in service.routes.values()
    }
    assert sent == {(f"{service.name}.send.{name}", service.name) for service in SERVICES for name in service.says}


def test_retries_and_dead_letters_have_the_proposed_shape(generated: Json) -> None:
    """As asyncapi/spec #1234 has it: references to channels and to messages in them, attempts, a strategy."""
    for name, operation in generated["operations"].items():
        if operation["action"] == "send" or operation.get("x-custody"):
            assert "x-retry" not in operation
            assert "x-deadLetter" not in operation
            continue
        for route in (operation["x-retry"], operation["x-deadLetter"]):
            channel = generated["channels"][route["channel"]["$ref"].removeprefix("#/channels/")]
            prefix = f"{route['channel']['$ref']}/messages/"
            assert [each["$ref"].removeprefix(prefix) for each in route["messages"]] == [
                each["$ref"].rpartition("/")[2] for each in operation["messages"]
            ], name
            assert all(each["$ref"].removeprefix(prefix) in channel["messages"] for each in route["messages"])
        assert operation["x-retry"]["maxAttempts"] == len(operation["x-retry"]["strategy"]["delays"])


def test_money_is_never_parked_for_a_passing_failure(generated: Json) -> None:
    """The document says which handlers never give up."""
    patient = {name for name, each in generated["operations"].items() if each.get("x-retry", {}).get("x-never-park")}
    assert "payment.receive.shipping.ready" in patient
    assert "payment.receive.order.created" not in patient


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: event.name)
def test_properties_are_what_the_producer_sets(event: type[Event]) -> None:
    """message_id, correlation_id, type and content type of an example are where the document says they are."""
    found, example = message(event), event.example()
    sent, payload = properties(example), found["examples"][0]["payload"]
    stated = found["bindings"]["amqp"]["x-properties"]
    assert payload[stated["message_id"]["location"].rpartition("/")[2]] == sent["message_id"]
    assert payload[stated["correlation_id"]["location"].rpartition("/")[2]] == sent["correlation_id"]
    assert stated["correlation_id"]["location"] == found["correlationId"]["location"]
    assert stated["type"]["const"] == sent["message_type"]
    assert stated["content_type"]["const"] == sent["content_type"]


def test_a_deprecated_event_says_so() -> None:
    """Readers see that it goes, and what to use instead."""

    class Old(OrderCreated):
        """An order, as it was."""

        deprecated = "use order.created, version 2"

    assert message(Old)["deprecated"] is True
    assert "use order.created, version 2" in message(Old)["description"]
    assert "deprecated" not in message(OrderCreated)


def test_the_version_is_the_release() -> None:
    """The document carries the version of pyproject.toml."""
    assert tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"] == VERSION


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_each_service_alone_is_documented_by_faststream(service: Service, tmp_path: Path) -> None:
    """`faststream docs gen` writes the service's own part of the document, as good as the whole."""
    app = f"{service.name}.app:{'service.app' if service.name in SPOKEN_TO else 'app'}"  # `api` is FastAPI's there
    out = tmp_path / "asyncapi.json"
    subprocess.run(  # noqa: S603 - FastStream's own program
        [sys.executable, "-m", "faststream", "docs", "gen", app, "-o", out], cwd=CHECKOUT, check=True
    )
    alone: Json = json.loads(out.read_text())
    assert alone == generate([service], service.name)
    assert consumers_of(alone).keys() == service.routes.keys() | (resting(alone) if service.collects else set())
    assert checks.examples_against_schemas(alone) == []


def test_asyncapis_own_parser_has_no_complaint(parser: Parser, tmp_path: Path) -> None:
    """No error and no warning, neither about the committed files nor about a service alone."""
    alone = {service: tmp_path / f"{service.name}.json" for service in SERVICES}
    for service, file in alone.items():
        file.write_text(to_json(generate([service], service.name)))
    files = [*(CHECKOUT / path for path in documents()), *alone.values()]
    assert parser.complaints(*files) == [[] for _ in files]


def test_every_queue_has_all_its_arguments(generated: Json) -> None:
    """Nothing that a declaration needs is left out: a dead-letter queue, a tier, a work queue."""
    queues = {queue.name: queue for queue in topology_of(generated).queues}
    for name, channel in generated["channels"].items():
        amqp = channel["bindings"]["amqp"]
        if amqp["is"] == "queue":
            assert queues[name] == Queue(
                name=name, kind=amqp["queue"]["x-kind"], arguments=amqp["queue"]["x-arguments"]
            )
            assert "x-queue-type" in queues[name].arguments
