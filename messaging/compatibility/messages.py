"""The events of two documents: who can no longer read what whom says."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import cast

from messaging.asyncapi.profile import PROPERTIES
from messaging.compatibility.rules import Clash
from messaging.compatibility.schemas import UNREAD, Comparison
from messaging.compatibility.verdict import Document, Finding, Status, Verdict, judged


@dataclass(frozen=True, slots=True)
class Talk:
    """Who says an event and who hears it, in one document."""

    producers: frozenset[str]
    consumers: frozenset[str]

    @classmethod
    def about(cls, event: str, document: Document) -> Talk:
        """Take it from the document's operations, which are tagged with their services."""
        found: dict[str, set[str]] = {"send": set(), "receive": set()}
        for operation in document["operations"].values():
            if any(each["$ref"].endswith(f"/messages/{event}") for each in operation.get("messages", ())):
                found[operation["action"]].update(tag["name"] for tag in operation["tags"])
        return cls(frozenset(found["send"]), frozenset(found["receive"]))


def retired(document: Document) -> set[str]:
    """The events that may go with the next release: deprecated, and no service says them any more."""
    return {
        event
        for event, message in document["components"]["messages"].items()
        if message.get("deprecated") and not Talk.about(event, document).producers
    }


def compare_events(base: Document, head: Document) -> Iterator[Verdict]:
    """A verdict for each event that changed, by name."""
    before, after = base["components"]["messages"], head["components"]["messages"]
    for event in sorted({*before, *after}):
        old, new = Talk.about(event, base), Talk.about(event, head)
        status: Status = "changed"
        if event not in before:
            findings, status = [Finding("", "new event")], "new"
        elif event not in after:
            findings, status = [_removed(event, base, old)], "retired"
        else:
            schemas = _merged(_schemas(event, base, head, old, new))
            findings = [*schemas, *_message(before[event], after[event], old, new)]
        if findings:
            yield judged(
                "event",
                event,
                findings,
                otherwise=status,
                producers=old.producers | new.producers,
                consumers=old.consumers | new.consumers,
            )


def _removed(event: str, base: Document, old: Talk) -> Finding:
    if event in retired(base):
        return Finding("", "removed; it was deprecated, and nobody said it any more")
    return Finding(
        "",
        "removed",
        tuple(sorted(old.consumers)),
        f"{_and(old.producers)} may still say it, and messages that wait are read by nobody: first deprecate it and "
        "let nobody say it, in a release of its own",
    )


def _schemas(event: str, base: Document, head: Document, old: Talk, new: Talk) -> Iterator[Finding]:
    """Payload and headers, in both directions of a rolling upgrade.

    Producers read old bodies, too: they keep what they said, to say it again.
    """
    before, after = base["components"]["messages"][event], head["components"]["messages"][event]
    early = f"once upgraded it cannot read what {_and(old.producers)} said before"
    late = f"until upgraded it cannot read what {_and(new.producers)} says from now on"
    for part, readers in (("payload", new.consumers | new.producers), ("headers", new.consumers)):
        for clash in Comparison(base, head).clashes(before.get(part, {}), after.get(part, {}), part):
            if clash.keyword == UNREAD:
                lost = "what the field says is lost to it"
                yield Finding(clash.place, "field removed or renamed", tuple(sorted(old.consumers)), lost)
            else:
                yield _finding(clash, clash.written, clash.read, readers, early)
        for clash in Comparison(head, base).clashes(after.get(part, {}), before.get(part, {}), part):
            if clash.keyword == UNREAD:
                yield Finding(clash.place, "new field; whoever does not know it ignores it")
            else:
                yield _finding(clash, clash.read, clash.written, old.consumers, late)


def _finding(clash: Clash, before: object, after: object, whom: Collection[str], because: str) -> Finding:
    change = f"{clash.keyword}: {shown(before)} → {shown(after)}"
    if all(isinstance(each, list) for each in (before, after)):
        change = f"{clash.keyword}: {_steps(cast('list[object]', before), cast('list[object]', after))}"
    return Finding(clash.place, change, tuple(sorted(whom)), because, clash.certain)


def _steps(before: list[object], after: list[object]) -> str:
    """What came and what went."""
    came = [f"+{shown(each)}" for each in after if each not in before]
    return " ".join([*came, *(f"-{shown(each)}" for each in before if each not in after)])


def _merged(findings: Iterable[Finding]) -> Iterator[Finding]:
    """By place; a change that breaks both directions is one finding."""
    found: dict[tuple[str, str], Finding] = {}
    for each in findings:
        known = found.get((each.place, each.change))
        found[each.place, each.change] = (
            each
            if known is None
            else replace(
                each,
                breaks=tuple(sorted({*known.breaks, *each.breaks})),
                because=f"{known.because}; {each.because}",
                certain=known.certain and each.certain,
            )
        )
    yield from (found[key] for key in sorted(found))


def _message(before: Document, after: Document, old: Talk, new: Talk) -> Iterator[Finding]:
    """What stands around the body, and who takes part."""
    for place, one, other in (
        ("content type", before["contentType"], after["contentType"]),
        ("correlation id", before["correlationId"]["location"], after["correlationId"]["location"]),
        ("AMQP properties", _properties(before), _properties(after)),
    ):
        if one != other:
            whom = tuple(sorted(old.consumers | new.consumers))
            yield Finding(place, f"{shown(one)} → {shown(other)}", whom, "it refuses the message", certain=False)
    if after.get("deprecated") and not before.get("deprecated"):
        yield Finding("", "deprecated")
    for service in sorted(old.producers - new.producers):
        waiting = tuple(sorted(new.consumers)) if not (new.producers or after.get("deprecated")) else ()
        because = "it would wait in vain: deprecate the event, if that is meant" if waiting else ""
        yield Finding("", f"{service} no longer says it", waiting, because)
    for service in sorted(new.producers - old.producers):
        yield Finding("", f"{service} says it, too")
    for service in sorted(new.consumers - old.consumers):
        yield Finding("", f"{service} hears it, too")


def _properties(message: Document) -> dict[str, object]:
    """Where a consumer finds ids and type; descriptions are for people."""
    stated: dict[str, dict[str, object]] = message["bindings"]["amqp"][PROPERTIES]
    return {name: each for name, each in stated.items() if "description" not in each}


def shown(value: object) -> str:
    """A value for people."""
    if value is None:
        return "none"
    return str(value) if isinstance(value, str) else json.dumps(value)


def _and(services: Collection[str]) -> str:
    return " and ".join(sorted(services)) or "nobody here"
