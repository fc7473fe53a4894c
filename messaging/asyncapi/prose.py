"""The extensions' facts in words, for viewers that hide extensions."""

from collections.abc import Iterable, Sequence

from messaging.topology import Delay, dead_letter_queue, milliseconds


def listed(names: Iterable[str]) -> str:
    """Names as code, with commas."""
    return ", ".join(f"`{name}`" for name in names)


def route_facts(queue: str, delays: Sequence[Delay], *, never_park: bool) -> str:
    """What becomes of a queue's message that fails."""
    parked = f"parked in `{dead_letter_queue(queue)}`"
    if not delays:
        return f"A failed message is {parked} at once."
    facts = (
        f"A failed message is tried again after {', '.join(delays)} (up to {len(delays)} times); then, or at once if "
        f"no retry can help, it is {parked}."
    )
    if never_park:
        facts += f" A passing failure is never parked: it is tried every {delays[-1]} until it passes."
    return facts


def iso_duration(delay: Delay) -> str:
    """The delay as ISO 8601 has it: `PT30S`, `PT2M`, `PT0.5S`."""
    number = milliseconds(delay)
    for unit, letter in ((3_600_000, "H"), (60_000, "M"), (1_000, "S")):
        if number and number % unit == 0:
            return f"PT{number // unit}{letter}"
    return f"PT{number / 1_000:g}S"
