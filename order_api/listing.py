"""Orders, newest first, a page at a time. A page is found by where the last one ended: deep ones cost no more."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlmodel import col, select, tuple_
from sqlmodel.ext.asyncio.session import AsyncSession

from order_api.domain import Status
from order_api.models import WITH_FACTS, Order
from rest.callers import Caller, Scope

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LENGTH = 24


class Cursor(NamedTuple):
    """The last order of a page."""

    created_at: datetime
    order_id: UUID

    def __str__(self) -> str:
        """As clients hold it: opaque to them."""
        moment = (self.created_at - _EPOCH) // _MICROSECOND
        return base64.urlsafe_b64encode(moment.to_bytes(8, signed=True) + self.order_id.bytes).decode()

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read what `str` wrote. Raises ValueError."""
        try:
            read = base64.b64decode(text, altchars=b"-_", validate=True)
            if len(read) == _LENGTH:
                return cls(_EPOCH + int.from_bytes(read[:8], signed=True) * _MICROSECOND, UUID(bytes=read[8:]))
        except (binascii.Error, UnicodeError, OverflowError):
            pass  # said below
        msg = "this is no cursor that a page gave"
        raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which orders, and how many of them at once."""

    limit: int
    after: Cursor | None = None
    statuses: Sequence[Status] = ()
    customer_id: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some orders, and where the next ones begin; None if these are the last."""

    orders: Sequence[Order]
    next: Cursor | None


async def page(db: AsyncSession, wanted: Wanted, caller: Caller) -> Page:
    """Read one page of the caller's orders; operators see everybody's."""
    statement = select(Order).options(WITH_FACTS).order_by(col(Order.created_at).desc(), col(Order.order_id).desc())
    if Scope.OPERATIONS not in caller.scopes:
        statement = statement.where(col(Order.client_id) == caller.client_id)
    if wanted.statuses:
        statement = statement.where(col(Order.state).in_(wanted.statuses))
    if wanted.customer_id is not None:
        statement = statement.where(col(Order.customer_id) == wanted.customer_id)
    if wanted.created_from is not None:
        statement = statement.where(col(Order.created_at) >= wanted.created_from)
    if wanted.created_before is not None:
        statement = statement.where(col(Order.created_at) < wanted.created_before)
    if wanted.after is not None:
        statement = statement.where(tuple_(col(Order.created_at), col(Order.order_id)) < wanted.after)
    found = (await db.exec(statement.limit(wanted.limit + 1))).all()
    orders = found[: wanted.limit]
    more = len(found) > wanted.limit
    return Page(orders, Cursor(orders[-1].created_at, orders[-1].order_id) if more else None)
