"""What a database was asked, whichever way: through SQLAlchemy, or through its driver."""

from typing import Any

from sqlalchemy.event import listen

from messaging.database import Database


def statements_of(database: Database) -> list[str]:
    """Return the list to which every statement from now on is added; the driver's own are among them."""
    told: list[str] = []
    known: set[int] = set()

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        told.append(statement)

    def logged(record: Any) -> None:
        told.append(record.query)

    def hear(connection: Any, *_: object) -> None:
        if id(connection.driver_connection) not in known:
            known.add(id(connection.driver_connection))
            connection.driver_connection.add_query_logger(logged)

    listen(database.engine.sync_engine, "before_cursor_execute", note)
    listen(database.engine.sync_engine.pool, "checkout", hear)
    return told
