"""Which crash points there are, which process passes which, and those that matter most."""

from collections.abc import Mapping
from dataclasses import dataclass

from devstack.services import API, CONTROL_ROOM, SERVICES
from messaging.edge import Step

SIDES = ("before", "after")
ERASURE = "messaging erase"
MOVE = "messaging topology apply --migrate"

PASSED_BY: Mapping[Step, tuple[str, ...]] = {
    Step.GROUP_COMMIT: SERVICES,
    Step.SENT_COMMIT: SERVICES,
    Step.RELAY_COMMIT: SERVICES,
    Step.PRUNE_COMMIT: SERVICES,
    Step.SUSPECT_COMMIT: SERVICES,
    Step.EVENT_PUBLISH: SERVICES,
    Step.RETRY_PUBLISH: SERVICES,
    Step.DEAD_PUBLISH: SERVICES,
    Step.MESSAGE_ACK: SERVICES,
    Step.MESSAGE_REQUEUE: SERVICES,
    Step.PREPARE: ("payment", "shipping"),
    Step.REMOTE_CALL: ("payment", "shipping"),
    Step.REPLAY_PUBLISH: (CONTROL_ROOM,),
    Step.ERASURE_COMMIT: (ERASURE,),
    Step.MOVE_PUBLISH: (MOVE,),
}
"""Every step, and the services and jobs that pass it; tests/faults/test_points.py compares it with the code."""


@dataclass(frozen=True, order=True)
class Kill:
    """A process that is killed at a point."""

    process: str
    step: Step
    side: str
    nth: int = 1

    @property
    def point(self) -> str:
        """As CRASH_AT takes it."""
        return f"{self.step}.{self.side}:{self.nth}"

    def __str__(self) -> str:
        return f"{self.process} at {self.step}.{self.side}"


ALL = tuple(
    Kill(process, step, side) for step, processes in PASSED_BY.items() for side in SIDES for process in processes
)
"""Each process at each point that it has."""

TEN = (
    Kill(API, Step.GROUP_COMMIT, "after", 10),  # an order is stored, its client has no answer
    Kill("payment", Step.PREPARE, "after", 10),  # the money is held, nobody has noted it
    Kill("inventory", Step.GROUP_COMMIT, "before", 10),
    Kill("shipping", Step.EVENT_PUBLISH, "before", 10),  # committed, and not said
    Kill(CONTROL_ROOM, Step.GROUP_COMMIT, "after", 3),  # in custody, and still in its queue
    Kill(API, Step.EVENT_PUBLISH, "after", 10),  # said, and not noted as sent
    Kill("payment", Step.MESSAGE_ACK, "before", 10),
    Kill("inventory", Step.SENT_COMMIT, "before", 3),
    Kill("shipping", Step.RETRY_PUBLISH, "after", 1),  # it waits in a tier, and in its queue
    Kill("payment", Step.SUSPECT_COMMIT, "after", 1),
)
"""Those of the short form."""
FEW = (TEN[0], TEN[1], TEN[3])
"""Those of the smoke form: three services die side by side."""
