"""Documents in Redis: a hash a kind, and a sorted set of each person's messages.

As durable as the server is set up to be: with ``appendonly yes`` and ``appendfsync always`` a save is on its disk when
it returns, without it a crash of the server loses the last ones.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from pywhatsweb.errors import ErrorCode, StorageError
from pywhatsweb.legacy.stores.base import Counts, Document, DocumentStore, Kind, aware, needed, unavailable
from pywhatsweb.legacy.stores.base import message_of as message


class RedisStore(DocumentStore):
    """At a URL such as ``redis://localhost:6379/0``; needs the extra ``redis``. Keys begin with `prefix`."""

    def __init__(
        self, redis_url: str = "redis://localhost:6379", *, prefix: str = "pywhatsweb", timeout_s: float = 5.0
    ) -> None:
        self._redis = needed("redis", "redis")
        self._prefix = prefix
        self._client = self._redis.Redis.from_url(
            redis_url, decode_responses=True, socket_timeout=timeout_s, socket_connect_timeout=timeout_s
        )

    def close(self) -> None:
        self._client.close()

    def _put(self, document: Document) -> None:
        with self._told(), self._client.pipeline(transaction=True) as pipe:
            self._write(pipe, document)
            pipe.execute()

    def _add(self, document: Document) -> dict[str, Any]:
        with self._told():
            self._client.hsetnx(self._hash(document.kind), document.key, json.dumps(document.data))
            return self._one(document.kind, document.key) or document.data

    def _one(self, kind: Kind, key: str) -> dict[str, Any] | None:
        with self._told():
            found = self._client.hget(self._hash(kind), key)
        return None if found is None else _read(found)

    def _messages(self, person: str, limit: int | None) -> list[dict[str, Any]]:
        with self._told():
            keys = self._client.zrange(self._of(person), -(limit or 0), -1)
            found = self._client.hmget(self._hash("message"), keys) if keys else []
        return [_read(each) for each in found if each is not None]

    def _chats(self, status: str) -> list[dict[str, Any]]:
        return [each for each in self._all("chat") if each.get("status") == status]

    def _events(self) -> list[dict[str, Any]]:
        return self._all("event")

    def _forget(self, person: str, tell: Callable[[Counts], Document]) -> Counts:
        hashes = {kind: self._hash(kind) for kind in ("message", "contact", "chat")}

        def forget(pipe: Any) -> Counts:
            keys = pipe.zrange(self._of(person), 0, -1)
            found = pipe.hmget(hashes["message"], keys) if keys else []
            counts = {
                "messages": sum(each is not None for each in found),
                "contacts": int(pipe.hexists(hashes["contact"], person)),
                "chats": int(pipe.hexists(hashes["chat"], person)),
            }
            pipe.multi()
            for each in found:
                if each is not None:
                    said = message(_read(each))
                    for other in {said.sender.phone, said.recipient.phone}:
                        pipe.zrem(self._of(other), said.id)
            if keys:
                pipe.hdel(hashes["message"], *keys)
            pipe.delete(self._of(person))
            pipe.hdel(hashes["contact"], person)
            pipe.hdel(hashes["chat"], person)
            self._write(pipe, tell(counts))
            return counts

        with self._told():
            # Done again when somebody saved another message of the person meanwhile.
            return dict(self._client.transaction(forget, self._of(person), value_from_callable=True))

    def _write(self, pipe: Any, document: Document) -> None:
        pipe.hset(self._hash(document.kind), document.key, json.dumps(document.data))
        if document.kind == "message":
            for person in document.people:
                pipe.zadd(self._of(person), {document.key: aware(document.at).timestamp()})

    def _all(self, kind: Kind) -> list[dict[str, Any]]:
        with self._told():
            return [_read(each) for each in self._client.hvals(self._hash(kind))]

    def _hash(self, kind: str) -> str:
        return f"{self._prefix}:{kind}"

    def _of(self, person: str) -> str:
        return f"{self._prefix}:messages-of:{person}"

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._redis.RedisError as error:
            raise unavailable(error) from None


def _read(raw: str) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError as error:
        raise StorageError(ErrorCode.E_STORAGE_CORRUPT, {"reason": type(error).__name__}) from None
    if not isinstance(found, dict):
        raise StorageError(ErrorCode.E_STORAGE_CORRUPT, {"reason": "not an object"})
    return found
