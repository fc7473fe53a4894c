"""What takes part in `./run bench`: programs that carry an order from its POST to its end, and how they are run.

A contender is a module benchmarks/peers/<name>/contender.py that exports CONTENDER. It runs in .venv and imports
nothing that .venv lacks; its programs may run in an environment of their own (`devstack.environments.python_with`).

What each must do, all of it on the servers that it is given, with their settings as they are (fsync and
synchronous_commit on, messages persistent in quorum queues where it uses the broker):

    POST /orders    {"customer_id", "currency", "items": [{"sku", "quantity"}, ...], "payment_token",
                     "shipping_address": {"name", "line1", "city", "postal_code", "country"}}
                    answers 201 {"order_id": "..."} (and whatever else it likes) once the order is safe
    afterwards      authorize the payment, reserve the stock, book the shipment, take the money, ship the goods, each in
                    the database of its service, and write down in the order's database that it is finished

It stocks PIECES of each of PRODUCTS, at these prices. In a turn it meets the databases as its `prepare_databases` left
them (made once, cloned for each turn) and a virtual host of its own that is empty.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PRODUCTS: Mapping[str, int] = {"MUG-01": 1290, "TEE-01": 2490, "CAP-01": 1990, "BAG-01": 4990, "PEN-01": 390}
"""What is ordered, and its price in minor units of EUR."""
PIECES = 10_000_000
"""Stock of each product: more than any run orders."""


@dataclass(frozen=True)
class Servers:
    """What a contender is given for a turn."""

    amqp_url: str
    """A virtual host of its own, empty; its user may do everything there."""
    databases: Mapping[str, str]
    """postgresql:// URLs by the names in Contender.databases; its user may do everything there."""
    management_url: str
    """The broker's management API, with credentials."""


@dataclass(frozen=True)
class Part:
    """One process of a contender. It runs in the checkout's root, logs to what it prints, and ends at SIGTERM."""

    name: str
    """As the report calls it; unique within the contender."""
    command: Sequence[str | Path]
    """Program and arguments."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Added to the environment of the run."""
    ready_url: str = ""
    """It is ready when GET answers 2xx here."""
    ready_line: str = ""
    """Or, for one that serves no HTTP, when its log holds this text."""


@dataclass(frozen=True)
class LineUp:
    """A contender as it is to be started: its parts, all at once, in any order."""

    parts: Sequence[Part]
    api: str
    """Where its POST /orders is: `http://127.0.0.1:<port>`."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """What each request must say besides, for example Authorization."""


@dataclass(frozen=True)
class Contender:
    """Something that carries orders."""

    name: str
    what: str
    """What it is built of and how it was tuned, in a sentence or two for the report."""
    not_guaranteed: Sequence[str]
    """What may go wrong with it that cannot with ours, each with its reason, in a sentence."""
    databases: Sequence[str]
    """Short names; the run makes `<contender>_<name>` of each and counts its bytes. The first is the order's."""
    prepare_databases: Callable[[Mapping[str, str]], None]
    """Makes tables and stock in empty databases, whose URLs it is given by name; called once a run."""
    prepare_broker: Callable[[str], None]
    """Declares what its programs do not, in an empty virtual host, whose URL it is given; called each turn."""
    line_up: Callable[[Servers, Callable[[], int]], LineUp]
    """Says what to start; the second argument hands out free ports."""
    unfinished: str
    """SQL for the order's database, cheap however many orders there were: the number of orders not finished yet."""
    finished: str
    """SQL for the order's database: one row (order_id text, finished_at timestamptz) for each finished order.

    The servers keep commit timestamps: `pg_xact_commit_timestamp(xmin)` of the row whose last change finished the order
    is when that became true for everybody.
    """
    keeps_databases: bool = False
    """Its turns go on with what the one before left, for databases that are too large to be cloned for each."""
