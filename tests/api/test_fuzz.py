"""Requests made up from the API's own description, good and bad ones: the answers are as described, and never a 5xx.

Server-sent events are left out: a stream has no end, and no schema.
"""

# pyright: basic, reportMissingTypeArgument=false, reportArgumentType=false
# (schemathesis gives half of its types away)

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import CHECKS

from order_api.app import api as application
from tests.e2e.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.broker, pytest.mark.database]

schema = schemathesis.openapi.from_dict(application.openapi()).exclude(operation_id="followOrder")
OPERATIONS = len([*schema.get_all_operations()])
SOME = settings(max_examples=200 // OPERATIONS, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(SOME, max_examples=2_000 // OPERATIONS)

NOT_HERE = CHECKS.get_by_names(
    [
        "positive_data_acceptance",  # an unknown product is a 422 that no schema can tell
        "ignored_auth",  # test_without_a_key_nothing_opens says more
    ]
)


def answered_as_described(api: System, case: Case) -> None:
    """Send it with an operator's key, which opens everything."""
    case.call_and_validate(
        base_url=api.api,
        headers={"Authorization": f"Bearer {api.wiring.api_keys['operator']}"},
        excluded_checks=NOT_HERE,
    )


@schema.parametrize()
@SOME
def test_answers_are_as_described(api: System, case: Case) -> None:
    """Status, content type, headers and body are those of the document, and what breaks a rule is refused."""
    answered_as_described(api, case)


@pytest.mark.slow
@schema.parametrize()
@MANY
def test_answers_are_as_described_many_times(api: System, case: Case) -> None:
    """The same, for long."""
    answered_as_described(api, case)


@schema.parametrize()
@SOME
def test_without_a_key_nothing_opens(api: System, case: Case) -> None:
    """Whatever is asked: 401, ahead of any look at the request; documents are open."""
    response = case.call(base_url=api.api)
    if "documents" in (case.operation.tags or ()):
        assert response.status_code < 500
    else:
        assert response.status_code == 401, response.text
        assert response.headers["content-type"] == ["application/problem+json"]
