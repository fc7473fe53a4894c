"""The database's clock: the one by which deadlines are set and found to be over, whichever process asks."""

from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from messaging.rows import driver_of

_NOW = "order_api.now"
_ASK = "SELECT now()"


async def now(db: AsyncSession) -> datetime:
    """Return when the transaction began. Those who share the session, a transaction's, ask the database once."""
    if _NOW not in db.info:
        db.info[_NOW] = await (await driver_of(db)).fetchval(_ASK)
    moment: datetime = db.info[_NOW]
    return moment
