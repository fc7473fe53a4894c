"""An API's OpenAPI document: as FastAPI makes it, with errors as what they are."""

from typing import Any

from fastapi import FastAPI

from rest.problems import MEDIA_TYPE, Kind, ProblemDetails

_DESCRIPTIONS = {kind.status: kind.title for kind in reversed(Kind)} | {422: "A field is not acceptable"}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that can end with these statuses."""
    return {status: {"model": ProblemDetails, "description": _DESCRIPTIONS[status]} for status in statuses}


class RestApi(FastAPI):
    """FastAPI, documenting errors as `application/problem+json`.

    Its own telemetry is off: `messaging.tracing` says what is traced, and FastAPI's would tell messages of errors,
    which may repeat what was sent. To ask for each request whether somebody listens takes as long as to know its key.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given, telemetry={"tracing": False, "metrics": False, "logs": False})

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            for path in document["paths"].values():
                for operation in path.values():
                    if "security" in operation:
                        operation["responses"] |= _refusals(document)
                    _mark_problems(operation["responses"])
        return super().openapi()


def _mark_problems(responses: dict[str, dict[str, Any]]) -> None:
    for status, response in responses.items():
        content = response.get("content", {})
        if status >= "400" and "application/json" in content:
            content[MEDIA_TYPE] = content.pop("application/json")
        if status in {"429", "503"}:
            response["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
        if status in {"401", "403"}:
            response["headers"] = {"WWW-Authenticate": {"description": "RFC 6750.", "schema": {"type": "string"}}}


def _refusals(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every request that needs a key can end with these."""
    schema = {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}
    assert ProblemDetails.__name__ in document["components"]["schemas"]  # noqa: S101 - some route has errors of its own
    return {
        str(status): {"description": _DESCRIPTIONS[status], "content": {"application/json": {"schema": schema}}}
        for status in (401, 403, 429, 431)
    }
