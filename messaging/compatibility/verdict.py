"""What is found when a document is compared with the one before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Document = Mapping[str, Any]
Status = Literal["breaking", "changed", "new", "retired"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One change, and whom it breaks."""

    place: str
    """Where in the event or object, as in `payload.items[].quantity`; empty for the whole."""
    change: str
    breaks: tuple[str, ...] = ()
    """The services that are broken."""
    because: str = ""
    """What goes wrong. A change that breaks nothing has no reason."""
    certain: bool = True
    """False where the comparison cannot tell; then it counts as breaking."""

    @property
    def breaking(self) -> bool:
        """Whether a release may not hold it."""
        return bool(self.because)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an event, an exchange, a queue or a binding. What did not change has no verdict."""

    kind: Literal["event", "exchange", "queue", "binding"]
    name: str
    findings: tuple[Finding, ...]
    status: Status
    producers: tuple[str, ...] = ()
    consumers: tuple[str, ...] = ()


def judged(  # noqa: PLR0913 - a verdict's own fields
    kind: Literal["event", "exchange", "queue", "binding"],
    name: str,
    findings: Iterable[Finding],
    *,
    otherwise: Status = "changed",
    producers: Iterable[str] = (),
    consumers: Iterable[str] = (),
) -> Verdict:
    """The verdict that follows from the findings: breaking as soon as one of them is."""
    found = tuple(findings)
    status: Status = "breaking" if any(each.breaking for each in found) else otherwise
    return Verdict(kind, name, found, status, tuple(sorted(producers)), tuple(sorted(consumers)))


def breaking(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Those that a release may not hold."""
    return [verdict for verdict in verdicts if verdict.status == "breaking"]
