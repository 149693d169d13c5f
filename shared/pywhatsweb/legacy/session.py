"""0.5's `Session`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from pywhatsweb import phone
from pywhatsweb.client import FleetClient
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import ids, subjects
from pywhatsweb.contracts.events import EVENT_TYPES, AnyEvent, MessageEvent, SessionEvent
from pywhatsweb.contracts.statuses import MessageStatus, Origin
from pywhatsweb.contracts.statuses import SessionStatus as FleetStatus
from pywhatsweb.errors import ErrorCode, RequestError, SessionError
from pywhatsweb.legacy import listening, media
from pywhatsweb.legacy.constants import CONNECTION_TIMEOUT
from pywhatsweb.legacy.enums import EventType, SessionStatus
from pywhatsweb.legacy.handlers import Handler, Handlers
from pywhatsweb.legacy.translating import translate

if TYPE_CHECKING:
    from pywhatsweb.legacy.manager import WhatsWebManager

H = TypeVar("H", bound=Handler)

EVENTS: Final = frozenset(each.value for each in EventType) | frozenset(EVENT_TYPES)
_SENT_KEPT: Final = 10_000
_POLL_S: Final = 0.1
_UNDER_WAY: Final = (FleetStatus.STARTING, FleetStatus.RECONNECTING, FleetStatus.STOPPED)
_NOT_SENT: Final = (
    MessageStatus.FAILED,
    MessageStatus.REJECTED,
    MessageStatus.EXPIRED,
    MessageStatus.CANCELLED,
)


class MessageId(str):
    """The command's id: `message_status` events carry it. May be awaited, as 0.5's samples for async views do."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, MessageId]:
        yield from ()
        return self


class Session:
    """One WhatsApp account. Made by `WhatsWebManager.create_session` and `get_session`.

    Methods block, and may be called from any thread, handlers included. What they raise is in `exceptions`.
    """

    def __init__(self, session_id: str, manager: WhatsWebManager, **kwargs: Any) -> None:
        if not subjects.valid_name(session_id):
            raise SessionError(ErrorCode.E_INVALID_SESSION_ID)
        self.session_id = session_id
        self.tenant_id: str | None = kwargs.pop("tenant_id", None)
        self.phone_number: str | None = kwargs.pop("phone_number", None)
        self.correlation_id: str | None = kwargs.pop("correlation_id", None)
        self.metadata: dict[str, Any] = dict(kwargs.pop("metadata", None) or {})
        self._settings: dict[str, Any] = {
            name: kwargs.pop(name) for name in ("engine", "pairing", "proxy", "settings") if name in kwargs
        }
        if kwargs:
            raise TypeError(f"create_session does not know {', '.join(sorted(kwargs))}")
        self.created_at: datetime = datetime.now(UTC)
        self.last_activity: datetime = self.created_at
        self.started: bool = False
        """By this manager, which then stops it at its cleanup."""
        self.runs: bool = False
        """As far as is known here: handlers that are added then are heard at once."""
        self._manager = manager
        self._handlers = Handlers(session_id, EVENTS, manager.queue_size)
        self._last: SessionEvent | None = None
        self._last_heartbeat: str | None = None
        self._reconnection_attempts = 0
        self._sent: OrderedDict[str, float] = OrderedDict()
        self._listening: list[concurrent.futures.Future[None]] = []

    def __repr__(self) -> str:
        return f"<Session {self.session_id}>"

    # Its life.

    def start(self, timeout: float = CONNECTION_TIMEOUT) -> bool:
        """Starts it, and waits until it shows a QR code, works, or the time is over (then False).

        Raises SessionError with the code when it failed.
        """
        self._listen()
        fields = {"phone_number": self.phone_number, "metadata": self.metadata, **self._settings}
        self._call(lambda fleet: fleet.sessions.start(self.session_id, **fields))
        self.started = self.runs = True
        return self._reaches(lambda status: status not in _UNDER_WAY, timeout)

    def wait_until_ready(self, timeout: float = 120.0) -> bool:
        """Whether it works within so many seconds: the time that somebody has to scan."""
        return self._reaches(lambda status: status is FleetStatus.WORKING, timeout)

    def stop(self, timeout: float = CONNECTION_TIMEOUT) -> bool:
        """Disconnects; the device stays linked. Whether it stopped within the time."""
        try:
            self._call(lambda fleet: fleet.sessions.stop(self.session_id))
        except SessionError as error:
            if error.code is ErrorCode.E_SESSION_NOT_FOUND:
                return True
            raise
        self.started = self.runs = False
        return self._reaches(lambda status: status.final, timeout, failing=False)

    # Sending.

    def send_text(self, to: str, text: str, **options: Any) -> MessageId:
        """Returns when the fleet has it stored; what becomes of it comes as `message_status`.

        `options` are those of `client.SessionClient.send_text`: id, reply_to, send_at, expires_at, typing, …
        """
        number = self._recipient(to)
        return self._send(
            lambda fleet, more: fleet.session(self.session_id).send_text(number, text, **more), options
        )

    def send_text_with_idempotency(
        self, to: str, text: str, idempotency_key: str, **options: Any
    ) -> MessageId:
        """The same key is never sent twice by this session (seven days); it is the message's id."""
        return self.send_text(to, text, **{**options, "id": idempotency_key})

    def is_message_sent(self, idempotency_key: str) -> bool:
        """Whether the fleet has the message and it did not end unsent (failed, rejected, expired, cancelled)."""
        try:
            found = self._call(
                lambda fleet: fleet.messages.status(idempotency_key, session_id=self.session_id)
            )
        except RequestError as error:
            if error.code is not ErrorCode.E_COMMAND_NOT_FOUND:
                raise
            return idempotency_key in self._sent  # stored a moment ago, and not looked at yet
        return found.status.status not in _NOT_SENT

    def send_media(
        self,
        to: str,
        media_path: str | Path,
        caption: str = "",
        *,
        validate_media: bool = True,
        compress_if_needed: bool = False,
        **options: Any,
    ) -> MessageId:
        """An image, video, audio or other file, by what its name says it is.

        Raises MediaTooLargeError above 16 MB and MediaError for what cannot be read; what is too large for a command
        is stored with the fleet first. `compress_if_needed` makes such images smaller instead.
        """
        number = self._recipient(to)
        found = media.prepare(Path(media_path), validate=validate_media, compress=compress_if_needed)
        text = caption or None

        async def sending(fleet: FleetClient, more: dict[str, Any]) -> Any:
            session = fleet.session(self.session_id)
            if found.kind == "image":
                return await session.send_image(
                    number, found.data, caption=text, mime_type=found.mime_type, **more
                )
            if found.kind == "video":
                return await session.send_video(
                    number, found.data, caption=text, mime_type=found.mime_type, **more
                )
            if found.kind == "audio":
                return await session.send_audio(number, found.data, mime_type=found.mime_type, **more)
            return await session.send_document(
                number, found.data, filename=found.name, caption=text, mime_type=found.mime_type, **more
            )

        return self._send(sending, options)

    def upload_media_to_storage(
        self,
        file_path: str | Path,
        mime_type: str | None = None,
        metadata: dict[str, Any] | None = None,  # noqa: ARG002 - 0.5's argument
    ) -> str:
        """Stores a file; its id, which the client's `send_…` methods take. `metadata` is accepted and not kept.

        Raises RequestError with the fleet's code, and NotSupportedError when it stores no files.
        """
        path = Path(file_path)
        found = media.prepare(path, validate=True, compress=False, mime_type=mime_type)
        stored = self._call(
            lambda fleet: fleet.media.put(found.data, mime_type=found.mime_type, filename=path.name)
        )
        return str(stored.id)

    # Events.

    @overload
    def on(self, event: str) -> Callable[[H], H]: ...
    @overload
    def on(self, event: str, handler: H) -> H: ...
    def on(self, event: str, handler: H | None = None) -> H | Callable[[H], H]:
        """As a decorator or with a handler; it takes one dict. ValueError for an unknown event.

        Handlers of a session run one after another in a thread of its own. One that raises is logged; slow ones make
        the fleet keep what is to come.
        """
        if self.runs:
            self._listen()
        return self._handlers.on(event) if handler is None else self._handlers.on(event, handler)

    # How it is.

    @property
    def status(self) -> SessionStatus:
        return self.get_status()

    def get_status(self) -> SessionStatus:
        info = self._info()
        return SessionStatus.DISCONNECTED if info is None else SessionStatus(info.status.legacy)

    def is_connected(self) -> bool:
        return self.get_status() in (SessionStatus.CONNECTED, SessionStatus.READY)

    def is_active(self) -> bool:
        """Whether it is ready to send."""
        return self.get_status() is SessionStatus.READY

    def get_status_info(self) -> dict[str, Any]:
        """`ws_connected` tells of the connection to the fleet, which took the WebSocket's place."""
        info = self._info()
        fleet = self._manager.connections.open.get(self._tenant())
        ready = info is not None and info.status is FleetStatus.WORKING
        return {
            "session_id": self.session_id,
            "tenant_id": self._tenant(),
            "status": SessionStatus.DISCONNECTED.value if info is None else info.status.legacy,
            "fleet_status": None if info is None else info.status.value,
            "phone_number": self.phone_number if info is None else info.phone_number or self.phone_number,
            "created_at": self.created_at,
            "last_activity": self.last_activity,
            "is_authenticated": ready or (info is not None and info.status is FleetStatus.RECONNECTING),
            "is_active": ready,
            "ws_connected": fleet is not None and fleet.connected,
            "reconnection_attempts": self._reconnection_attempts,
            "queued": 0 if info is None else info.queued or 0,
            "correlation_id": self.correlation_id,
        }

    def get_health_status(self) -> dict[str, Any]:
        info = self.get_status_info()
        return {
            "status": "healthy" if info["is_active"] and info["ws_connected"] else "unhealthy",
            "websocket_connected": info["ws_connected"],
            "last_heartbeat": self._last_heartbeat,
            "reconnection_attempts": info["reconnection_attempts"],
            "message_queue_size": info["queued"],
            "handlers_waiting": self._handlers.waiting,
        }

    # Inside.

    def _tenant(self) -> str:
        if self.tenant_id is None:
            self.tenant_id = self._manager.default_tenant()
        return self.tenant_id

    def _call(self, work: Callable[[FleetClient], Any]) -> Any:
        return self._manager.connections.call(self._tenant(), work)

    def _recipient(self, to: str) -> str:
        phone.parse_recipient(to)  # refused before anything is sent
        return to

    def _send(self, work: Callable[[FleetClient, dict[str, Any]], Any], options: dict[str, Any]) -> MessageId:
        command_id = str(options.get("id") or ids.new_command_id())
        more = {**options, "id": command_id}
        if self.correlation_id is not None:
            more.setdefault("correlation_id", self.correlation_id)
        self._sent.pop(command_id, None)
        began = time.monotonic()
        self._call(lambda fleet: work(fleet, more))
        self._sent[command_id] = began
        while len(self._sent) > _SENT_KEPT:
            self._sent.popitem(last=False)
        self.last_activity = datetime.now(UTC)
        self._manager.counted("messagesOut")
        return MessageId(command_id)

    def _info(self) -> d.SessionInfo | None:
        try:
            found: d.SessionInfo = self._call(lambda fleet: fleet.sessions.status(self.session_id))
        except SessionError as error:
            if error.code is ErrorCode.E_SESSION_NOT_FOUND:
                return None
            raise
        return found

    def _reaches(self, fits: Callable[[FleetStatus], bool], timeout: float, *, failing: bool = True) -> bool:
        until = time.monotonic() + timeout
        while True:
            info = self._info()
            status = FleetStatus.STOPPED if info is None else info.status
            if failing and status in (FleetStatus.FAILED, FleetStatus.BANNED):
                error = info.error if info is not None else None
                code = ErrorCode.from_wire(error.code) if error is not None else ErrorCode.E_SESSION_FAILED
                raise SessionError(code, {"status": status.value})
            if fits(status):
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(_POLL_S)

    def _listen(self) -> None:
        """Returns when events are heard from now on."""
        if self._listening:
            return
        fleet = self._manager.connections.client(self._tenant())
        background = self._manager.connections.background
        ready = asyncio.Event()
        every = self._manager.heartbeat_interval
        self._listening = [
            asyncio.run_coroutine_threadsafe(each, background.loop)
            for each in (
                listening.listen(fleet, self.session_id, self._take, ready),
                listening.beat(fleet, self.session_id, self._beaten, every),
            )
        ]

        async def heard() -> None:
            await ready.wait()

        background.run(heard(), 20)

    async def _take(self, event: AnyEvent) -> None:
        self.last_activity = datetime.now(UTC)
        await self._manager.watch(self, event)
        if isinstance(event, SessionEvent):
            self._last = event
            if event.data.status is FleetStatus.RECONNECTING:
                self._reconnection_attempts += 1
                self._manager.counted("reconnections")
            elif event.data.status is FleetStatus.WORKING:
                self._reconnection_attempts = 0
        elif isinstance(event, MessageEvent) and event.data.origin is Origin.INBOUND:
            self._manager.counted("messagesIn")
        for name, data in translate(event):
            await self._handlers.feed(name, data)

    async def _beaten(self, event: str, data: dict[str, Any]) -> None:
        if event == "heartbeat":
            self._last_heartbeat = data["timestamp"]
        await self._handlers.feed(event, data)

    def sent_at(self, command_id: str) -> float | None:
        """When `send_text` was called for it, on the monotonic clock."""
        return self._sent.get(command_id)

    def close(self) -> None:
        """Stops listening; the session itself goes on."""
        for task in self._listening:
            task.cancel()
        self._listening = []
        self._handlers.stop()
