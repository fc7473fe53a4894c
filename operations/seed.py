"""`python -m operations.seed`: on a developer's machine, makes the operator's key good that the environment gives."""

import asyncio

from messaging.database import Database
from operations.settings import Settings
from rest import keys
from rest.callers import Scope


async def _main() -> None:
    settings = Settings()
    key = settings.development_operator_key
    if key is None:
        return
    database = Database(settings.database_url.get_secret_value(), name="operations", pool_size=1)
    try:
        await keys.develop(database, {"local-operator": (set(Scope), key.get_secret_value())})
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(_main())
