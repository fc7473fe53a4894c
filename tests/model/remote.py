"""The remote ends as the model sees them: what the card gateway and the carrier hold under the order's key."""

from enum import StrEnum
from itertools import product
from typing import NamedTuple

from payment.domain import Verdict as Card
from shipping.domain import Verdict as Carrier


class Account(StrEnum):
    """What the card gateway holds."""

    UNKNOWN = "unknown"
    HELD = "held"
    EXPIRED = "expired"
    DECLINED = "declined"
    VOIDED = "voided"
    CAPTURED = "captured"
    UNPAID = "unpaid"
    """The capture was refused; nothing is held."""


class Parcel(StrEnum):
    """What the carrier holds."""

    UNKNOWN = "unknown"
    BOOKED = "booked"
    UNDELIVERABLE = "undeliverable"
    CANCELLED = "cancelled"


class Renewal(StrEnum):
    """What becomes of a hold that has expired when it is to be captured."""

    GRANTED = "granted"
    REFUSED = "refused"
    LATER = "later"
    """Refused the first time, granted the next."""


class Environment(NamedTuple):
    """How card, stock and carrier will answer: everything about an order that no service decides."""

    approved: bool
    in_stock: bool
    deliverable: bool
    renewal: Renewal = Renewal.GRANTED

    def __str__(self) -> str:
        """Name it for a test's id."""
        words = (
            "approved" if self.approved else "declined",
            "stock" if self.in_stock else "no_stock",
            "deliverable" if self.deliverable else "undeliverable",
            f"renewal_{self.renewal}",
        )
        return "-".join(words)


EVERY_ENVIRONMENT = tuple(
    Environment(*answers) for answers in product((True, False), (True, False), (True, False), Renewal)
)
WITH_RENEWAL = tuple(environment for environment in EVERY_ENVIRONMENT if environment.renewal is Renewal.GRANTED)

_AUTHORIZE_ANSWERS = {Account.DECLINED: Card.DECLINED, Account.VOIDED: Card.VOIDED}
_VOID_ANSWERS = {Account.DECLINED: Card.DECLINED, Account.CAPTURED: Card.REFUSED, Account.UNPAID: Card.REFUSED}


def authorize(account: Account, environment: Environment) -> tuple[Account, Card]:
    """Hold the amount, once; every later call repeats the answer, unless the key was voided."""
    if account is Account.UNKNOWN:
        account = Account.HELD if environment.approved else Account.DECLINED
    return account, _AUTHORIZE_ANSWERS.get(account, Card.APPROVED)


def void(account: Account, *, fence: bool) -> tuple[Account, Card]:
    """Let go of what is held; with a fence, an unknown key is closed for good. Refused once captured."""
    if account in {Account.HELD, Account.EXPIRED} or (fence and account is Account.UNKNOWN):
        account = Account.VOIDED
    return account, _VOID_ANSWERS.get(account, Card.VOIDED)


def capture(account: Account, environment: Environment) -> tuple[Account, Card]:
    """Take what is held. A hold that expired, or whose capture was refused, is renewed first if the card allows it."""
    renewed = {
        Account.EXPIRED: environment.renewal is Renewal.GRANTED,
        Account.UNPAID: environment.renewal is not Renewal.REFUSED,
    }
    if account is Account.HELD or renewed.get(account, False):
        account = Account.CAPTURED
    elif account is Account.EXPIRED:
        account = Account.UNPAID
    return account, Card.CAPTURED if account is Account.CAPTURED else Card.REFUSED


def book(parcel: Parcel, environment: Environment) -> tuple[Parcel, Carrier]:
    """Book a parcel, once; every later call repeats the answer, unless the key was cancelled."""
    if parcel is Parcel.UNKNOWN:
        parcel = Parcel.BOOKED if environment.deliverable else Parcel.UNDELIVERABLE
    if parcel is Parcel.CANCELLED:
        return parcel, Carrier.FENCED
    return parcel, Carrier.BOOKED if parcel is Parcel.BOOKED else Carrier.UNDELIVERABLE


def cancel(parcel: Parcel) -> Parcel:
    """Cancel the booking; an unknown key is fenced."""
    return Parcel.CANCELLED if parcel in {Parcel.UNKNOWN, Parcel.BOOKED} else parcel
