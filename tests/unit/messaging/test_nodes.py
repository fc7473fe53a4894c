"""The setting that names a cluster's nodes."""

import pytest
from pydantic import ValidationError

from messaging.nodes import at_nodes
from messaging.settings import ServiceSettings

URL = "amqps://payment:s3cr3t%40@rabbitmq:5671/shop%2F1?heartbeat=5"


def test_nodes_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are given with commas between; blanks around them do not matter, and nothing means no cluster."""
    monkeypatch.setenv("AMQP_NODES", "rabbitmq1:5672, rabbitmq2 ,[::1]:5673")
    assert ServiceSettings().amqp_nodes == ("rabbitmq1:5672", "rabbitmq2", "[::1]:5673")
    monkeypatch.setenv("AMQP_NODES", "")
    assert ServiceSettings().amqp_nodes == ()


@pytest.mark.parametrize(
    "wrong",
    [
        "rabbitmq1,",
        "rabbitmq1:port",
        "rabbitmq1:0",
        "rabbitmq1:70000",
        "[::1",
        "a b",
        "host/vhost",
        "amqp://payment:s3cr3t@rabbitmq1",
        "payment:s3cr3t@rabbitmq1:5672",
    ],
)
def test_what_is_no_node_is_refused(wrong: str) -> None:
    """The error says what a node looks like, and repeats nothing: somebody may have put a password there."""
    with pytest.raises(ValidationError, match=r"as in rabbitmq1:5672,rabbitmq2:5672") as refused:
        ServiceSettings.model_validate({"amqp_nodes": wrong})
    assert "s3cr3t" not in str(refused.value)


def test_a_node_stands_in_for_the_host_alone() -> None:
    """Scheme, user, password, virtual host and options stay; so does the port, where the node has none."""
    assert at_nodes(URL, ["one", "two:5681", "[::1]:7"]) == [
        "amqps://payment:s3cr3t%40@one:5671/shop%2F1?heartbeat=5",
        "amqps://payment:s3cr3t%40@two:5681/shop%2F1?heartbeat=5",
        "amqps://payment:s3cr3t%40@[::1]:7/shop%2F1?heartbeat=5",
    ]
    assert at_nodes(URL, []) == [URL]
