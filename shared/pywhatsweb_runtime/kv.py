"""Key/value buckets (ADR-8 of NATS): get, compare-and-set, list, watch.

Keys are one or more tokens (``acme.s1``); values are bytes. A bucket is a stream named ``KV_<bucket>``.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, NamedTuple

import nats
from nats.aio.msg import Msg

from pywhatsweb_runtime.bus import Bus, Stored
from pywhatsweb_runtime.direct import reading

_STORED_WITHIN_S: Final = 1.0
"""From a write's publication to its being read, on a broker that is not at its end."""


class Entry(NamedTuple):
    """``revision`` is the stream's sequence; ``value`` None: the key was deleted or has expired."""

    key: str
    value: bytes | None
    revision: int


class Bucket:
    """A view of one bucket; holds no connection of its own and no cache."""

    def __init__(self, bus: Bus, name: str) -> None:
        self._bus = bus
        self._stream = f"KV_{name}"
        self._prefix = f"$KV.{name}."

    async def get(self, key: str) -> Entry | None:
        """The newest value, from the leader; None when there is none."""
        entry = await self.newest(key)
        return entry if entry is not None and entry.value is not None else None

    async def newest(self, key: str) -> Entry | None:
        """As `get`, but a deletion counts: its revision is what a `put` that creates the key anew has to expect."""
        stored = await self._bus.last(self._stream, self._prefix + key)
        return None if stored is None else self._entry(stored)

    async def put(self, key: str, value: bytes, *, expected: int | None = None) -> int:
        """Writes; with ``expected`` only if the key's newest revision is that one (0: there is none).

        The new revision. Raises ApiError(WRONG_LAST_SEQUENCE) when it is another, BrokerUnavailable without an answer.
        """
        headers = {} if expected is None else {"Nats-Expected-Last-Subject-Sequence": str(expected)}
        return await self._write(key, value, headers)

    async def delete(self, key: str) -> None:
        await self._write(key, b"", {"KV-Operation": "PURGE", "Nats-Rollup": "sub"})

    async def _write(self, key: str, value: bytes, headers: dict[str, str]) -> int:
        return await self._bus.store(self._prefix + key, value, headers or None)

    async def all(self, pattern: str = ">") -> list[Entry]:
        """Every live key of the pattern with its value."""
        entries: list[Entry] = []
        sequence = 1
        while True:
            # next_by_subj walks the stream: unlike multi_last it has no limit on the number of keys.
            async with reading(self._bus) as reader:
                found = await reader.batch(self._stream, self._prefix + pattern, sequence, limit=1000)
            entries.extend(self._entry(stored) for stored in found)
            if len(found) < 1000:
                newest = {entry.key: entry for entry in entries}
                return [entry for entry in newest.values() if entry.value is not None]
            sequence = found[-1].sequence + 1

    def _entry(self, stored: Stored) -> Entry:
        gone = "KV-Operation" in stored.headers or "Nats-Marker-Reason" in stored.headers
        return Entry(
            stored.subject.removeprefix(self._prefix), None if gone else stored.data, stored.sequence
        )

    @contextlib.asynccontextmanager
    async def changes(
        self, callback: Callable[[Entry], Awaitable[None]], pattern: str = ">"
    ) -> AsyncIterator[None]:
        """Calls back at each write from now on, for as long as the block lasts.

        These are the writes as published: one that the bucket refused is seen too, and one may be missed during a
        reconnect, so sweep now and then with `all`. Whoever wants to read the key thereupon takes `hints`.
        """

        async def on_message(message: Msg) -> None:
            headers = message.headers or {}
            gone = "KV-Operation" in headers or "Nats-Marker-Reason" in headers
            await callback(
                Entry(message.subject.removeprefix(self._prefix), None if gone else message.data, 0)
            )

        subscription = await self._bus.client.subscribe(self._prefix + pattern, cb=on_message)
        try:
            yield
        finally:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()

    @contextlib.asynccontextmanager
    async def hints(
        self, callback: Callable[[str], Awaitable[None]], pattern: str = ">"
    ) -> AsyncIterator[None]:
        """Calls back with the key of each write, to read it: when it is published, and again when it must be stored.

        At the first call the bucket may not have the value yet: who read it then only would know an old one for good.
        """
        late: dict[str, float] = {}
        written = asyncio.Event()

        async def on_write(entry: Entry) -> None:
            late.pop(entry.key, None)  # to its end: they lie there as they are due
            late[entry.key] = time.monotonic() + _STORED_WITHIN_S
            written.set()
            await callback(entry.key)

        async def again() -> None:
            while True:
                await written.wait()
                while late:
                    key, due = next(iter(late.items()))
                    await asyncio.sleep(due - time.monotonic())
                    if late.get(key) == due:
                        del late[key]
                        await callback(key)
                written.clear()

        async with self.changes(on_write, pattern):
            repeating = asyncio.create_task(again())
            try:
                yield
            finally:
                repeating.cancel()
