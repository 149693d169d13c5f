"""Documents in one PostgreSQL table, which is made when it is not there."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from pywhatsweb.legacy.stores.base import Counts, Document, DocumentStore, Kind, needed, unavailable

_SCHEMA: Final = """
SELECT pg_advisory_xact_lock(1886876530);
CREATE TABLE IF NOT EXISTS pywhatsweb_store (
    kind text NOT NULL, key text NOT NULL, people text[] NOT NULL, label text, at timestamptz NOT NULL,
    data jsonb NOT NULL, PRIMARY KEY (kind, key)
);
CREATE INDEX IF NOT EXISTS pywhatsweb_store_people ON pywhatsweb_store USING gin (people);
CREATE INDEX IF NOT EXISTS pywhatsweb_store_label ON pywhatsweb_store (kind, label, at);
"""
_INSERT: Final = (
    "INSERT INTO pywhatsweb_store (kind, key, people, label, at, data) VALUES (%s, %s, %s, %s, %s, %s) "
    "ON CONFLICT (kind, key) DO "
)
_REPLACE: Final = (
    "UPDATE SET people = excluded.people, label = excluded.label, at = excluded.at, data = excluded.data"
)


class PostgreSQLStore(DocumentStore):
    """On ``postgresql://user:password@host/name``; needs the extra ``postgresql``. Connects at the first use.

    One connection, which threads take turns at and which is made anew after it was lost. Text with U+0000 keeps a
    replacement character in its place: PostgreSQL holds none.
    """

    def __init__(self, connection_string: str) -> None:
        self._psycopg = needed("psycopg", "postgresql")
        self._json = needed("psycopg.types.json", "postgresql").Jsonb
        self._target = connection_string
        self._lock = threading.Lock()
        self._connection: Any = None

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _put(self, document: Document) -> None:
        with self._cursor() as cursor:
            cursor.execute(_INSERT + _REPLACE, self._row(document))

    def _add(self, document: Document) -> dict[str, Any]:
        with self._cursor() as cursor:
            cursor.execute(_INSERT + "NOTHING", self._row(document))
            return _one(cursor, document.kind, document.key) or document.data

    def _one(self, kind: Kind, key: str) -> dict[str, Any] | None:
        with self._cursor() as cursor:
            return _one(cursor, kind, _text(key))

    def _messages(self, person: str, limit: int | None) -> list[dict[str, Any]]:
        return self._all("kind = 'message' AND people @> ARRAY[%s]", person, limit)

    def _chats(self, status: str) -> list[dict[str, Any]]:
        return self._all("kind = 'chat' AND label = %s", status)

    def _events(self) -> list[dict[str, Any]]:
        return self._all("kind = %s", "event")

    def _forget(self, person: str, tell: Callable[[Counts], Document]) -> Counts:
        with self._cursor() as cursor:
            cursor.execute(
                "WITH gone AS (DELETE FROM pywhatsweb_store WHERE kind <> 'event' AND people @> ARRAY[%s] "
                "RETURNING kind) SELECT kind, count(*) FROM gone GROUP BY kind",
                [_text(person)],
            )
            gone = dict(cursor.fetchall())
            counts = {f"{kind}s": int(gone.get(kind, 0)) for kind in ("message", "contact", "chat")}
            cursor.execute(_INSERT + _REPLACE, self._row(tell(counts)))
        return counts

    def _all(self, where: str, value: str, limit: int | None = None) -> list[dict[str, Any]]:
        with self._cursor() as cursor:
            cursor.execute(
                f"SELECT data FROM pywhatsweb_store WHERE {where} ORDER BY at DESC, key DESC LIMIT %s",  # noqa: S608
                [_text(value), limit],
            )
            return [row[0] for row in reversed(cursor.fetchall())]

    def _row(self, document: Document) -> list[Any]:
        people = [_text(person) for person in document.people]
        label = _text(document.label) if document.label is not None else None
        data = self._json(_clean(document.data))
        return [document.kind, _text(document.key), people, label, document.at, data]

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[Any]:
        """In a transaction. A connection that was lost while nobody used it is made anew."""
        with self._lock:
            try:
                if self._connection is not None and not self._alive():
                    self._drop()
                if self._connection is None:
                    self._connection = self._psycopg.connect(self._target, connect_timeout=5)
                    with self._connection.transaction():
                        self._connection.execute(_SCHEMA)
                with self._connection.transaction(), self._connection.cursor() as cursor:
                    yield cursor
            except self._psycopg.Error as error:
                self._drop()
                raise unavailable(error) from None

    def _alive(self) -> bool:
        try:
            with self._connection.transaction():
                self._connection.execute("SELECT 1")
        except self._psycopg.Error:
            return False
        return True

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(self._psycopg.Error):
                connection.close()


def _one(cursor: Any, kind: Kind, key: str) -> dict[str, Any] | None:
    cursor.execute("SELECT data FROM pywhatsweb_store WHERE kind = %s AND key = %s", [kind, key])
    row = cursor.fetchone()
    return None if row is None else row[0]


def _text(value: str) -> str:
    return value.replace("\0", "\ufffd")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {_text(str(key)): _clean(each) for key, each in value.items()}
    return [_clean(each) for each in value] if isinstance(value, list) else value
