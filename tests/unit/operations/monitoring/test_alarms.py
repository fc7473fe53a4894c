"""Every queue, service and objective of the document has its alarm, and each alarm comes when it should."""

import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstack.paths import CHECKOUT
from messaging.topology import dead_letter_queue
from operations.monitoring import metrics
from operations.monitoring.alarms import KINDS, Alarm, alarms_of
from operations.monitoring.cloudformation import logical_id, template
from operations.monitoring.collector import Snapshot
from operations.monitoring.described import Described, describe, read_description
from operations.monitoring.exposition import Exposition
from operations.monitoring.generated import files, outdated
from operations.monitoring.prometheus_rules import rules
from operations.monitoring.runbooks import BEGIN, SECTIONS, NoPlaceError
from tests.docs.markdown import Page
from tests.unit.operations.monitoring.promql import firing, series_of
from tests.unit.operations.monitoring.snapshots import healthy, troubled

SYSTEM = read_description(CHECKOUT / "asyncapi/asyncapi.json")
ALARMS = alarms_of(SYSTEM)
RULES = yaml.safe_load(rules(SYSTEM))["groups"][0]["rules"]
ONE_OF_EACH = list({(alarm.kind, alarm.bound): alarm for alarm in ALARMS}.values())
"""Of alarms that differ in their queue, service or source alone, the last one."""
PAGES = [Page(CHECKOUT / "docs/runbooks" / f"{kind.name}.md") for kind in KINDS]
MOST_RESOURCES, MOST_BYTES, MOST_DESCRIBED = 500, 1_000_000, 1_024
"""CloudFormation's limits for a template, CloudWatch's for a description."""


def kinds_by_subject(alarms: tuple[Alarm, ...]) -> dict[str | None, set[str]]:
    """Which kinds of alarms each queue, service or source has."""
    found: defaultdict[str | None, set[str]] = defaultdict(set)
    for alarm in alarms:
        found[alarm.of].add(alarm.kind.name)
    return found


def without(document: dict[str, Any], queue: str) -> Described:
    """The document without one work queue, and what belongs to it."""
    for name in (queue, dead_letter_queue(queue)):
        del document["channels"][name]
    operations = document["operations"]
    document["operations"] = {
        name: operation
        for name, operation in operations.items()
        if operation["channel"]["$ref"].rpartition("/")[2] not in {queue, dead_letter_queue(queue)}
    }
    return describe(document)


def test_everything_in_the_document_has_its_alarms() -> None:
    """Each work queue, dead-letter queue, tier and service has all of its kinds, and so has what is unrouted."""
    kinds = kinds_by_subject(ALARMS)
    of_kind = {
        "work": {"messages-unaccounted", "queue-deep", "queue-old", "queue-without-consumers"},
        "dead-letter": {"messages-unaccounted", "dead-letters-waiting"},
        "retry": {"messages-unaccounted", "retry-tier-full", "retry-tier-stuck"},
        "unrouted": {"messages-unaccounted", "unrouted-events"},
    }
    assert {queue.name: kinds[queue.name] for queue in SYSTEM.queues} == {
        queue.name: of_kind[queue.kind] for queue in SYSTEM.queues
    }
    of_services = {"service-down", "service-not-ready", "service-restarts", "dead-letters-open"}
    assert all(kinds[service] == of_services | {"outbox-stuck", "outbox-deep"} for service in SYSTEM.services)
    assert kinds[None] >= {"orders-late", "latency-high", "orders-overdue", "audit-violation", "topology-drift"}


def test_a_queue_that_is_not_in_the_document_has_none() -> None:
    """The alarms follow the document: what is taken out of it is watched no longer."""
    document = json.loads((CHECKOUT / "asyncapi/asyncapi.json").read_text())
    gone = {alarm.name for alarm in ALARMS} - {
        alarm.name for alarm in alarms_of(without(document, "payment.order.created"))
    }
    assert {name.partition(" ")[2] for name in gone} == {"payment.order.created", "payment.order.created.dlq"}


def test_every_kind_is_used_and_every_alarm_has_a_name_of_its_own() -> None:
    """No page without an alarm; no two alarms that a template would take for one."""
    assert {alarm.kind for alarm in ALARMS} == set(KINDS)
    for name in ("name", "logical id"):
        names = Counter(alarm.name if name == "name" else logical_id(alarm) for alarm in ALARMS)
        assert names.most_common(1)[0][1] == 1, name


def test_every_threshold_is_explained_by_its_formula() -> None:
    """The formula's result, or the number that it is about, is the threshold."""
    for alarm in ALARMS:
        numbers = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", alarm.bound.formula)}
        assert alarm.bound.value in numbers, alarm.bound


def test_nothing_is_wrong_when_all_is_well() -> None:
    """Of a healthy system no alarm's condition holds."""
    assert [alarm.name for alarm in ALARMS if alarm.holds(healthy(SYSTEM))] == []


@pytest.mark.parametrize("alarm", ONE_OF_EACH, ids=lambda alarm: alarm.name)
def test_each_alarm_holds_when_its_own_trouble_is_there(alarm: Alarm) -> None:
    """The planted trouble is found by its alarm, and by others on the same metric of the same thing at most."""
    holding = [each for each in ALARMS if each.holds(troubled(SYSTEM, alarm))]
    assert alarm in holding
    assert {(each.metric, each.of) for each in holding} == {(alarm.metric, alarm.of)}


@pytest.mark.parametrize("alarm", ONE_OF_EACH, ids=lambda alarm: alarm.name)
def test_prometheus_rules_fire_where_the_alarms_do(alarm: Alarm) -> None:
    """The rule for an alarm is true of the very series that its trouble shows in; silence counts where it is bad."""
    exposition = Exposition()
    exposition.take(Snapshot(datetime.now(UTC), tuple(troubled(SYSTEM, alarm))))
    series = series_of(exposition)
    title = "".join(part.capitalize() for part in alarm.kind.name.split("-"))
    found = [
        labels.get(alarm.metric.label or "")
        for rule in RULES
        if rule["alert"] == title
        for labels in firing(rule["expr"], series)
    ]
    assert found == [alarm.of]


def test_prometheus_rules_are_silent_when_all_is_well() -> None:
    """No rule is true of a healthy system; without any metrics, those are for which silence is bad."""
    exposition = Exposition()
    exposition.take(Snapshot(datetime.now(UTC), tuple(healthy(SYSTEM))))
    assert [rule["alert"] for rule in RULES if firing(rule["expr"], series_of(exposition))] == []
    silent = {rule["alert"] for rule in RULES if firing(rule["expr"], [])}
    assert silent == {"QueueWithoutConsumers", "ServiceDown", "MonitoringSilent", "SourceUnreadable"}


def test_the_template_asks_for_metrics_that_exist() -> None:
    """Alarms and graphs name a metric, and a value of its dimension, that a snapshot has; a misspelt one is found."""
    known = {(each.metric.name, each.of) for each in healthy(SYSTEM)}
    resources = json.loads(template(SYSTEM))["Resources"]
    body = json.loads(resources.pop("Dashboard")["Properties"]["DashboardBody"]["Fn::Sub"])
    lines = [line for widget in body["widgets"] for line in widget["properties"].get("metrics", ())]
    asked = {(line[1], line[3] if len(line) == 5 else None) for line in lines}
    assert len(asked) > 100
    for resource in resources.values():
        given = resource["Properties"]
        dimension = given.get("Dimensions", [{"Value": None}])[0]
        asked.add((given["MetricName"], dimension["Value"]))
    assert asked - known == set()
    assert {("QueueReady", "payment.order.create")} - known


def test_the_template_is_valid(tmp_path: Path) -> None:
    """cfn-lint has nothing to say of it, and would say something of a misspelt property; it is within the limits."""
    text = template(SYSTEM)
    document = json.loads(text)
    assert len(text.encode()) < MOST_BYTES
    assert len(document["Resources"]) < MOST_RESOURCES
    descriptions = [
        resource["Properties"]["AlarmDescription"]["Fn::Sub"]
        for name, resource in document["Resources"].items()
        if name != "Dashboard"
    ]
    assert max(map(len, descriptions)) + 200 < MOST_DESCRIBED  # the address of the runbooks comes in
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(text)
    one = dict(list(document["Resources"].items())[:1])
    bad.write_text(json.dumps({**document, "Resources": one}).replace('"Threshold"', '"Treshold"'))
    said = [
        subprocess.run(  # noqa: S603 - our own tool and file
            [Path(sys.executable).parent / "cfn-lint", file], capture_output=True, text=True, check=False
        )
        for file in (good, bad)
    ]
    assert said[0].stdout + said[0].stderr == ""
    assert "Treshold" in said[1].stdout


def test_what_is_committed_is_what_the_document_gives() -> None:
    """Template, rules and runbooks are up to date."""
    assert outdated(CHECKOUT, files(CHECKOUT)) == []


def test_drift_is_seen(tmp_path: Path) -> None:
    """A changed threshold, a file that is missing, and a page that no alarm leads to are named."""
    for path, text in files(CHECKOUT).items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    wanted = files(tmp_path, SYSTEM)
    assert outdated(tmp_path, wanted) == []
    rule_file, orphan = tmp_path / "deploy/monitoring/prometheus-rules.yml", tmp_path / "docs/runbooks/nothing.md"
    rule_file.write_text(rule_file.read_text().replace("> 3000", "> 4000"))
    (tmp_path / "deploy/monitoring/cloudformation.json").unlink()
    orphan.write_text("# nothing")
    assert outdated(tmp_path, wanted) == [
        "deploy/monitoring/cloudformation.json",
        "deploy/monitoring/prometheus-rules.yml",
        "docs/runbooks/nothing.md",
    ]


def test_a_kind_without_a_page_is_refused(tmp_path: Path) -> None:
    """A missing page, and one that has no place for its alarms, are errors that name it."""
    for path, text in files(CHECKOUT).items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    page = tmp_path / "docs/runbooks/queue-deep.md"
    page.write_text(page.read_text().replace(BEGIN, ""))
    with pytest.raises(NoPlaceError, match="queue-deep"):
        files(tmp_path, SYSTEM)
    page.unlink()
    with pytest.raises(FileNotFoundError, match="queue-deep"):
        files(tmp_path, SYSTEM)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.stem)
def test_a_runbook_page_has_its_parts(page: Page) -> None:
    """Symptom, check with one command, cure, and the fault behind it, in this order; then the alarms."""
    assert page.headings(1) == [page.path.stem]
    assert page.headings(2) == [*SECTIONS, "Alarms"]
    assert all(page.section(part).strip() for part in SECTIONS)
    [command] = page.blocks("sh")
    assert command.text in page.section("Check")


def test_every_metric_is_told_apart_by_one_dimension_at_most() -> None:
    """Names are unique in CloudWatch and in Prometheus, where the kernel's own begin otherwise."""
    for names in ([each.name for each in metrics.METRICS], [each.prometheus for each in metrics.METRICS]):
        assert len(names) == len(set(names))
