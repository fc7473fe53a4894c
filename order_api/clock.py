"""The database's clock: the one by which deadlines are set and found to be over, whichever process asks."""

from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from messaging.rows import driver_of
from messaging.transaction import BEGAN

_ASK = "SELECT now()"


async def now(db: AsyncSession) -> datetime:
    """Return when the transaction began. A group's was told already; other sessions ask the database once."""
    if BEGAN not in db.info:
        db.info[BEGAN] = await (await driver_of(db)).fetchval(_ASK)
    moment: datetime = db.info[BEGAN]
    return moment
