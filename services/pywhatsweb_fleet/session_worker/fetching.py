"""Files that came with messages: noted with the message, fetched from WhatsApp beside it, told as `media` events.

What is to be fetched is a row before the message's event is published, so no crash forgets it. A file is stored, told,
and only then crossed off: whoever continues finds it stored, tells it under the same id, and crosses it off.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, Protocol

import msgspec
import structlog

from pywhatsweb.contracts import event_data as d
from pywhatsweb.errors import MediaError
from pywhatsweb_fleet.media.library import Library
from pywhatsweb_fleet.media.objects import ObjectsUnavailable
from pywhatsweb_fleet.session_worker.attaching import SLOWEST, file_of
from pywhatsweb_fleet.session_worker.engines import port
from pywhatsweb_fleet.session_worker.fenced import FencedEvents
from pywhatsweb_fleet.session_worker.outcomes import error_of
from pywhatsweb_fleet.storage import media_fetches
from pywhatsweb_fleet.storage.faults import StorageUnavailable, Unsealable
from pywhatsweb_fleet.storage.group_commit import GroupCommit
from pywhatsweb_fleet.storage.media import Held, Reference
from pywhatsweb_fleet.storage.media_fetches import Fetch
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable
from pywhatsweb_runtime.metrics import Metrics

log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 15.0
_AT_ONCE: Final = 4
_DUE: Final = 64
_TRIES: Final = 12
"""Over about five hours."""
_PAUSE_MS: Final = (5_000, 3_600_000)
_PATIENCE_S: Final = 90.0
"""For the download's beginning, the sender's phone asked again included."""
_FINAL: Final = frozenset(
    (
        "E_MEDIA_EXPIRED",
        "E_MEDIA_DECRYPT_FAILED",
        "E_MEDIA_CORRUPT",
        "E_MEDIA_TOO_LARGE",
        "E_MEDIA_EMPTY",
        "E_MEDIA_NOT_FOUND",
        "E_UNSUPPORTED_TYPE",
        "E_INVALID_FIELD",
    )
)
_NO_LINK: Final = frozenset(("E_CONNECTION_LOST", "E_SESSION_NOT_READY", "E_SIDECAR_CRASHED"))


class Wanted(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an engine needs to fetch a file, and what the event tells of it."""

    source: bytes
    chat: d.Chat | None
    file: d.MediaFile
    sender: dict[str, Any] | None = None
    from_self: bool = False
    place: str | None = None
    """Of a post, which has no chat."""


class Session(Protocol):
    """An owned session."""

    events: FencedEvents

    @property
    def link(self) -> port.EngineSession | None: ...


Working = Callable[[], Mapping[tuple[str, str], Session]]
"""The sessions that work here now."""


def fetch_of(events: FencedEvents, raw: Mapping[str, Any], message: d.Message) -> Fetch | None:
    """What is to be fetched for a message; None when it carries no file, or is an old one of a phone's history."""
    file = message.media
    if file is None or file.source is msgspec.UNSET or not file.source or message.history:
        return None
    source = bytes(file.source)
    sender = raw.get("from") if message.chat.group else None
    wanted = Wanted(
        source, message.chat, without_source(file), dict(sender) if sender else None, message.from_self
    )
    stable = events.stable_id("media", message.chat.key, message.id, _name(sender))
    return _noted(events, stable, message.chat.key, message.id, wanted)


def fetch_of_post(events: FencedEvents, raw: Mapping[str, Any], post: d.Post) -> Fetch | None:
    """The same for a post: a status's is kept with what else its author sent, so that an erasure finds it, and a
    channel's, whose authors nobody knows, under the channel."""
    source = (raw.get("media") or {}).get("source")
    keeper = events.chat({"group": post.channel} if post.channel else raw.get("from"))
    if post.media is None or not source or keeper is None:
        return None
    wanted = Wanted(bytes(source), None, without_source(post.media), None, post.from_self, post.place)
    stable = events.stable_id("media", post.place, post.id, post.channel or _name(raw.get("from")))
    return _noted(events, stable, keeper.key, post.id, wanted)


def _name(sender: Mapping[str, Any] | None) -> str:
    return str((sender or {}).get("lid") or (sender or {}).get("pn") or "")


def _noted(events: FencedEvents, stable: str, chat: str, message_id: str, wanted: Wanted) -> Fetch:
    now = time.time_ns() // 1_000_000
    return Fetch(
        tenant=events.tenant,
        media_id=f"med_{stable[:24]}",
        session=events.session,
        chat=chat,
        message_id=message_id,
        wanted=msgspec.msgpack.encode(wanted),
        next_at=now,
        created_at=now,
    )


def without_source(file: d.MediaFile) -> d.MediaFile:
    """The key that opens it at WhatsApp stays with us."""
    return msgspec.structs.replace(file, source=msgspec.UNSET)


class _Sink:
    """A `FileSink`: at most two parts wait for whoever stores them."""

    def __init__(self) -> None:
        self._parts: asyncio.Queue[bytes] = asyncio.Queue(2)
        self._closed = False

    async def write(self, data: bytes) -> None:
        await self._parts.put(data)
        if self._closed:
            raise port.EngineError("E_MEDIA_NOT_FOUND", "nobody takes it any more")

    async def pieces(self, act: asyncio.Future[port.Done]) -> AsyncIterator[bytes]:
        """Until the act is done; its EngineError is raised here."""
        while not act.done() or not self._parts.empty():
            getting = asyncio.ensure_future(self._parts.get())
            try:
                await asyncio.wait((getting, act), return_when=asyncio.FIRST_COMPLETED)
                if getting.done():
                    yield getting.result()
            finally:
                getting.cancel()
        act.result()

    def close(self) -> None:
        self._closed = True
        while not self._parts.empty():
            self._parts.get_nowait()


class Fetcher:
    """Of one worker. `ask` takes note, `run` fetches for the sessions that work here."""

    def __init__(
        self, library: Library, store: Store, group: GroupCommit, keyring: Keyring, metrics: Metrics
    ) -> None:
        self._library = library
        self._store = store
        self._group = group
        self._keyring = keyring
        self._metrics = metrics
        self._kick = asyncio.Event()
        self._busy: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, fetch: Fetch) -> None:
        """Durable when it returns. Raises StorageUnavailable."""
        await self._group.submit(fetch.tenant, media_fetches.ask, self._keyring, fetch)
        self._kick.set()

    async def run(self, working: Working) -> None:
        """For ever."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await self._kick.wait()
                self._kick.clear()
                try:
                    await self._look(working())
                except StorageUnavailable:
                    log.warning("files that came in wait for the database")
                except Unsealable:
                    log.error("files that came in cannot be fetched: a master key is missing")  # noqa: TRY400
        finally:
            for task in self._busy.values():
                task.cancel()

    async def _look(self, sessions: Mapping[tuple[str, str], Session]) -> None:
        if not sessions:
            return
        now = time.time_ns() // 1_000_000
        begun = set(self._busy)  # these may be over, and no longer due, before their turn comes below
        found = await self._store.read(media_fetches.due, self._keyring, list(sessions), now, _DUE)
        for fetch in found:
            at = (fetch.tenant, fetch.media_id)
            if at in begun:
                continue
            await self._room.acquire()
            task = asyncio.create_task(self._one(fetch, sessions[fetch.tenant, fetch.session]))
            self._busy[at] = task
            task.add_done_callback(functools.partial(self._done, at))
            if self._kick.is_set():
                return  # somebody else may be next by now
        if len(found) == _DUE:
            self._kick.set()

    def _done(self, at: tuple[str, str], _task: asyncio.Task[None]) -> None:
        del self._busy[at]
        self._room.release()

    async def _one(self, fetch: Fetch, session: Session) -> None:
        try:
            await self._fetch(fetch, session)
        except (StorageUnavailable, ObjectsUnavailable, Unsealable, BrokerUnavailable, ApiError) as error:
            log.warning("a file that came in waits", session=fetch.session, error=type(error).__name__)
        except Exception:
            log.exception("a file that came in cannot be fetched", session=fetch.session)
            with contextlib.suppress(StorageUnavailable):
                await self._later(fetch)

    async def _fetch(self, fetch: Fetch, session: Session) -> None:
        wanted = msgspec.msgpack.decode(fetch.wanted, type=Wanted)
        try:
            held = await self._get(fetch, wanted, session)
        except (port.EngineError, MediaError) as error:
            code = error.code if isinstance(error, port.EngineError) else error.code.wire
            if code in _NO_LINK:
                return  # it is due still, for when the link is back
            self._metrics.media_failures.labels("fetch", code).inc()
            if code not in _FINAL and fetch.tries + 1 < _TRIES:
                await self._later(fetch)
                return
            await self._tell(fetch, session, wanted, wanted.file, code)
            return
        if not await self._store.read(media_fetches.wanted, fetch.tenant, fetch.media_id):
            await self._library.forget(fetch.tenant, media_ids=[fetch.media_id])  # erased meanwhile
            return
        self._metrics.media_fetched.inc()
        await self._tell(fetch, session, wanted, file_of(held), None)

    async def _get(self, fetch: Fetch, wanted: Wanted, session: Session) -> Held:
        """The file, stored. Raises EngineError, MediaError."""
        with contextlib.suppress(MediaError):
            return await self._library.find(fetch.tenant, fetch.media_id)
        link = session.link
        if link is None:
            raise port.EngineError("E_CONNECTION_LOST")
        sink = _Sink()
        act = asyncio.ensure_future(link.act(_action(fetch, wanted, sink)))
        reference = Reference(
            media_id=fetch.media_id,
            sha256="",
            origin="message",
            mime_type=wanted.file.mime_type or "",
            filename=wanted.file.filename,
            session=fetch.session,
            chat=fetch.chat,
            message_id=fetch.message_id,
        )
        try:
            async with asyncio.timeout(_PATIENCE_S + (wanted.file.size or 0) / SLOWEST):
                held, _ = await self._library.put(
                    fetch.tenant,
                    sink.pieces(act),
                    reference=reference,
                    most=self._library.limits.document,
                    strict=False,
                )
        except TimeoutError:
            raise port.EngineError("E_MEDIA_TOO_SLOW") from None
        finally:
            act.cancel()
            sink.close()
        return held

    async def _tell(
        self, fetch: Fetch, session: Session, wanted: Wanted, file: d.MediaFile, code: str | None
    ) -> None:
        """The event, then the end of the row."""
        data = d.MediaStored(
            message_id=fetch.message_id,
            chat=wanted.chat,
            place=wanted.place or msgspec.UNSET,
            media=file,
            error=error_of(code) if code else None,
        )
        told = await session.events.submit(
            "media",
            data,
            chat=fetch.chat if wanted.chat is not None else None,
            event_id=session.events.stable_id("media", fetch.media_id, "failed" if code else "stored"),
        )
        await told
        await self._store.transact(media_fetches.forget, fetch.tenant, fetch.media_id)

    async def _later(self, fetch: Fetch) -> None:
        first, longest = _PAUSE_MS
        pause = min(first * 3**fetch.tries, longest)
        now = time.time_ns() // 1_000_000
        await self._store.transact(
            media_fetches.postpone, fetch.tenant, fetch.media_id, fetch.tries + 1, now + pause
        )
        asyncio.get_running_loop().call_later(pause / 1000 + 0.1, self._kick.set)


def _action(fetch: Fetch, wanted: Wanted, sink: _Sink) -> port.Action:
    if wanted.chat is None:  # no phone is asked for a post's file again
        return port.Action("media.get", fetch.message_id, None, {"source": wanted.source}, sink=sink)
    chat = {"pn": wanted.chat.pn, "lid": wanted.chat.lid, "group": wanted.chat.group}
    retry: dict[str, Any] = {
        "message_id": fetch.message_id,
        "chat": {name: value for name, value in chat.items() if value},
        "from_self": wanted.from_self,
    }
    if wanted.sender:
        retry["participant"] = {
            name: value for name, value in wanted.sender.items() if value and name != "name"
        }
    content = {"source": wanted.source, "retry": retry}
    return port.Action("media.get", fetch.message_id, None, content, sink=sink)
