"""All files that are generated from the document, by their paths in the checkout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from operations.monitoring import cloudformation, prometheus_rules, runbooks
from operations.monitoring.alarms import KINDS, alarms_of
from operations.monitoring.described import Described, read_description

TEMPLATE = Path("deploy/monitoring/cloudformation.json")
RULES = Path("deploy/monitoring/prometheus-rules.yml")
RUNBOOKS = Path(runbooks.FOLDER)


def files(checkout: Path, described: Described | None = None) -> dict[Path, str]:
    """What they should hold. Raises FileNotFoundError when a kind of alarm has no runbook page to complete."""
    described = described or read_description(checkout / "asyncapi/asyncapi.json")
    alarms = alarms_of(described)
    pages = {
        page: runbooks.with_alarms((checkout / page).read_text(encoding="utf-8"), kind, alarms)
        for kind in KINDS
        for page in [RUNBOOKS / f"{kind.name}.md"]
    }
    return {
        TEMPLATE: cloudformation.template(described),
        RULES: prometheus_rules.rules(described),
        RUNBOOKS / "README.md": runbooks.index(),
        **pages,
    }


def outdated(checkout: Path, wanted: Mapping[Path, str]) -> list[str]:
    """The files that are not as they should be, and pages that no alarm leads to."""
    different = [path for path, text in wanted.items() if _text(checkout / path) != text]
    orphans = [
        path.relative_to(checkout)
        for path in (checkout / RUNBOOKS).glob("*.md")
        if path.relative_to(checkout) not in wanted
    ]
    return sorted(path.as_posix() for path in (*different, *orphans))


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None
