"""The tables hold nothing that cannot happen: every cell is reached by some history."""

from contracts import InventoryRejected, InventoryReserved, OrderEvent, ShippingFailed
from messaging.lifecycle import Lifecycle, Step
from tests.model.network import Network
from tests.model.remote import EVERY_ENVIRONMENT
from tests.model.system import System

Cell = tuple[type[OrderEvent], str, str | None]


class Recorded(Lifecycle):
    """A table that remembers which of its cells were read."""

    def __init__(self, original: Lifecycle) -> None:
        super().__init__(original.table)
        self.read: set[Cell] = set()

    def step(self, state: str, event: type[OrderEvent], evidence: str | None = None) -> Step:
        """Read a cell."""
        one_step = isinstance(self.table[event].get(state), Step)
        self.read.add((event, state, None if one_step else evidence))
        return super().step(state, event, evidence)

    @property
    def unread(self) -> set[Cell]:
        """The cells that were never read."""
        return {(event, state, evidence) for event, state, evidence, _ in self.cells()} - self.read


UNREACHED: dict[str, set[Cell]] = {
    "payment": {(InventoryRejected, "new", None), (InventoryRejected, "declined", None)},
    "inventory": {(ShippingFailed, "new", None), (ShippingFailed, "rejected", None)},
    "shipping": {(InventoryReserved, "new", "fenced")},
}
"""Only a database that was restored to an earlier moment gets here: inventory rejects what payment authorized, shipping
fails what inventory reserved, and the carrier fences what shipping cancelled."""


def test_every_cell_is_reached() -> None:
    """Each cell of each table is read in some history, except for those that only a restored database meets."""
    payment, inventory, shipping = (Recorded(table) for table in System().tables.values())
    system = System(payment, inventory, shipping)
    for environment in EVERY_ENVIRONMENT:
        Network(environment, inbox=False, system=system).explore()
    assert {name: table.unread for name, table in system.tables.items() if isinstance(table, Recorded)} == UNREACHED
