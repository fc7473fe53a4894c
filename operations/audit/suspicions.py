"""What was found, and by how many readings: nothing is reported that only one of them saw."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from operations.audit.kinds import Discrepancy, Kind


class Suspicions:
    """The discrepancies that stand, by what they are about."""

    def __init__(self) -> None:
        self._found: dict[str, dict[Kind, tuple[Discrepancy, bool]]] = {}

    def judge(self, subject: str, standing: Iterable[Discrepancy]) -> None:
        """Enter what a reading of the subject found. What it did not find any more is forgotten."""
        before = self._found.pop(subject, {})
        found: dict[Kind, tuple[Discrepancy, bool]] = {}
        for each in standing:
            other = found.get(each.kind)
            one = each if other is None else replace(each, detail=f"{other[0].detail}; {each.detail}")
            found[each.kind] = one, each.kind in before
        if found:
            self._found[subject] = found

    @property
    def subjects(self) -> set[str]:
        """Whoever is suspected."""
        return set(self._found)

    @property
    def confirmed(self) -> Iterator[Discrepancy]:
        """What two readings in a row have found."""
        return (each for of_subject in self._found.values() for each, again in of_subject.values() if again)

    @property
    def unconfirmed(self) -> bool:
        """Whether anything was found by one reading only, so far."""
        return any(not again for of_subject in self._found.values() for _, again in of_subject.values())
