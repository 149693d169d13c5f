"""Two versions live together: what a release did to the database, the release before can still do after it."""

from typing import Any

import pytest
from sqlalchemy import BigInteger, Boolean, Connection, Integer, LargeBinary, MetaData, SmallInteger, Table

from pywhatsweb_fleet.storage import migrating
from pywhatsweb_fleet.storage.store import open_store

PAIRS = list(zip(migrating.revisions(), migrating.revisions()[1:], strict=False))


def value(column: Any, n: int) -> Any:
    """Something that the column takes."""
    if isinstance(column.type, Boolean):
        return bool(n)
    if isinstance(column.type, BigInteger | SmallInteger | Integer):
        return n
    return bytes([n]) if isinstance(column.type, LargeBinary) else f"value {n}"


def tables(conn: Connection) -> list[Table]:
    """As they are; without what databases keep for themselves."""
    metadata = MetaData()
    metadata.reflect(conn, only=lambda name, _: not name.startswith(("message_search", "alembic", "sqlite")))
    return [table for table in metadata.sorted_tables if not table.name.endswith("_default")]


def use(conn: Connection, known: list[Table]) -> None:
    """Everything that code of that version may do: insert, change, read and delete by the columns that it knows."""
    for table in known:
        for n in (1, 2):
            conn.execute(table.insert().values({column.name: value(column, n) for column in table.c}))
        everything = {column.name: value(column, 1) for column in table.c}
        first = [table.c[name] == everything[name] for name in everything]
        assert conn.execute(table.update().where(*first).values(everything)).rowcount == 1
        rows = conn.execute(table.select().order_by(table.c[0])).all()
        assert rows[0]._mapping == everything
        assert conn.execute(table.delete()).rowcount == 2


@pytest.mark.parametrize(("before", "after"), PAIRS)
async def test_the_version_before_runs_on(database_url: str, before: str, after: str) -> None:
    """Its statements on the newer schema; and its rows are all there after the migration."""
    store = open_store(database_url)

    def old(conn: Connection) -> list[Table]:
        migrating.upgrade(conn, before)
        known = tables(conn)
        use(conn, known)
        for table in known:
            conn.execute(table.insert().values({column.name: value(column, 3) for column in table.c}))
        return known

    def new(conn: Connection, known: list[Table]) -> None:
        migrating.upgrade(conn, after)
        for table in known:
            kept = conn.execute(table.select()).all()
            assert [row._mapping for row in kept] == [
                {column.name: value(column, 3) for column in table.c}
            ], table.name
            conn.execute(table.delete())
        use(conn, known)

    known = await store.transact(old)
    await store.transact(new, known)
    await store.close()
