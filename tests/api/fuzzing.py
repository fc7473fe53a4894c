"""How requests that are made up from an API's own description are sent, and what is expected of every answer."""

# pyright: basic, reportMissingTypeArgument=false, reportArgumentType=false
# (schemathesis gives half of its types away)

from dataclasses import dataclass

from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis import Case, openapi
from schemathesis.checks import CHECKS
from schemathesis.schemas import BaseSchema

SOME, MANY = 200, 2_000
"""Requests to all operations of an API together."""

_NOT_HERE = [
    "positive_data_acceptance",  # an unknown product is a 422 that no schema can tell
    "ignored_auth",  # `refused` says more
]


@dataclass(frozen=True)
class Target:
    """A running API, and a key that opens everything."""

    url: str
    key: str


def described(application: FastAPI, *, without: str | None = None) -> BaseSchema:
    """What an API says of itself, but for one operation."""
    schema = openapi.from_dict(application.openapi())
    return schema if without is None else schema.exclude(operation_id=without)


def shared(requests: int, schema: BaseSchema) -> settings:
    """That many requests, shared by all operations."""
    each = requests // len([*schema.get_all_operations()])
    return settings(max_examples=each, deadline=None, suppress_health_check=list(HealthCheck))


def answered_as_described(target: Target, case: Case) -> None:
    """Status, content type, headers and body are those of the document, and what breaks a rule is refused."""
    case.call_and_validate(
        base_url=target.url,
        headers={"Authorization": f"Bearer {target.key}"},
        excluded_checks=CHECKS.get_by_names(_NOT_HERE),
    )


def refused(target: Target, case: Case) -> None:
    """Without a key it is a 401, ahead of any look at the request; documents are open."""
    response = case.call(base_url=target.url)
    if "documents" in (case.operation.tags or ()):
        assert response.status_code < 500
    else:
        assert response.status_code == 401, response.text
        assert response.headers["content-type"] == ["application/problem+json"]
