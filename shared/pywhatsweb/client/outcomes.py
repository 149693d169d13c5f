"""How commands end: status events to whoever waits, with the fleet's record behind them.

A session's status events are subscribed to only while somebody waits for one of its commands, and for a while after.
What was told before that, or lost with a connection, is asked for (``message.status``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Literal

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from pywhatsweb.client.connection import Link
from pywhatsweb.client.control import MessageRecords
from pywhatsweb.contracts import codec, events, subjects
from pywhatsweb.contracts.event_data import Status
from pywhatsweb.contracts.ids import SessionId, TenantId
from pywhatsweb.contracts.statuses import MessageStatus, may_follow
from pywhatsweb.errors import DeadlineError, ErrorBody, ErrorCode, MessageError, PyWhatsWebError

log: Final[logging.Logger] = logging.getLogger(__name__)

Until = Literal["sent", "delivered", "read", "played"]

_LINGER_S: Final = 30.0
_KEPT: Final = 4096
"""Commands of a session whose last status is remembered while it is followed."""
_FIRST_ASK_S: Final = 2.0
_LAST_ASK_S: Final = 15.0
_UNSENT: Final = (
    MessageStatus.FAILED,
    MessageStatus.REJECTED,
    MessageStatus.EXPIRED,
    MessageStatus.CANCELLED,
)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How far a command has come; `message_id` is WhatsApp's, `session_id` of one to an inbox whom it was given to."""

    id: str
    session_id: str
    status: MessageStatus
    message_id: str | None = None
    error: ErrorBody | None = None
    duplicate: bool = False
    """The fleet had this id before: `status` is the first one's, and nothing was sent anew."""

    @property
    def sent(self) -> bool:
        """Whether WhatsApp has it."""
        return MessageStatus.SENT.rank <= self.status.rank <= MessageStatus.PLAYED.rank


class _Followed:
    """One session, or inbox, whose statuses are followed."""

    __slots__ = (
        "changed",
        "idle_since",
        "last",
        "name",
        "ready",
        "since",
        "subscription",
        "waiting",
        "where",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.subscription: Subscription | None = None
        self.ready = asyncio.Event()
        self.changed: dict[str, set[asyncio.Event]] = {}
        self.last: OrderedDict[str, Status] = OrderedDict()
        self.where: dict[str, str] = {}
        """Of those in `last`, the session that each command is with."""
        self.waiting = 0
        self.idle_since = 0.0
        self.since = 0.0


class Outcomes:
    """Made by `following`."""

    def __init__(self, link: Link, tenant: TenantId, records: MessageRecords) -> None:
        self._link = link
        self._tenant = tenant
        self._records = records
        self._sessions: dict[str, _Followed] = {}
        self._loop = asyncio.get_running_loop()

    def now(self) -> float:
        return self._loop.time()

    async def reached(
        self, session: str, command_id: str, until: Until, timeout: float, published_at: float
    ) -> Outcome:
        """Raises MessageError with the code of a bad end, DeadlineError, and what the control plane raises."""
        wanted = MessageStatus(until).rank
        deadline = self._loop.time() + timeout
        changed = asyncio.Event()
        followed = await self._follow(session)
        try:
            followed.changed.setdefault(command_id, set()).add(changed)
            # What was told before this session was followed is not coming again.
            ask_at = self._loop.time() + (_FIRST_ASK_S if followed.since < published_at else 0.0)
            pause = _FIRST_ASK_S
            while True:
                status = followed.last.get(command_id)
                if status is not None and _ended(status, wanted):
                    return _outcome(followed.where[command_id], command_id, status)
                now = self._loop.time()
                if now >= deadline:
                    raise _too_late(status, timeout)
                if now >= ask_at:
                    with contextlib.suppress(TimeoutError):  # the caller's deadline is kept, whoever is slow
                        async with asyncio.timeout(deadline - now):
                            await self._ask(followed, session, command_id)
                    ask_at, pause = self._loop.time() + pause, min(pause * 2, _LAST_ASK_S)
                    continue
                changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, min(deadline, ask_at) - now)):
                        await changed.wait()
        finally:
            self._release(followed, command_id, changed)

    async def _ask(self, followed: _Followed, session: str, command_id: str) -> None:
        try:
            found = await self._records.status(command_id, session_id=session)
        except PyWhatsWebError as error:
            # Not on record yet, or nobody to ask now: the event, or the next question, will tell.
            log.debug("the record of a command is not to be had: %s", error.code.wire)
            return
        self._note(followed, command_id, found.session_id, found.status)

    def _note(self, followed: _Followed, command_id: str, session: str, status: Status) -> None:
        previous = followed.last.get(command_id)
        if previous is not None and not may_follow(previous.status, status.status):
            return
        followed.last[command_id], followed.where[command_id] = status, session
        followed.last.move_to_end(command_id)
        if len(followed.last) > _KEPT:
            del followed.where[followed.last.popitem(last=False)[0]]
        for changed in followed.changed.get(command_id, ()):
            changed.set()

    async def _follow(self, session: str) -> _Followed:
        followed = self._sessions.get(session)
        if followed is None:
            followed = self._sessions[session] = _Followed(session)
            followed.waiting += 1
            # What an inbox was sent is told of by the session that it was given to.
            teller = "*" if subjects.valid_inbox(session) else session
            try:
                followed.subscription = await self._link.subscribe(
                    subjects.event(self._tenant, SessionId(teller), "status", subjects.ALL_CHATS),
                    self._listener(followed),
                )
                await self._link.flush()
            except BaseException:
                self._sessions.pop(session, None)
                followed.ready.set()
                raise
            followed.since = self._loop.time()
            followed.ready.set()
        else:
            followed.waiting += 1
            await followed.ready.wait()
        return followed

    def _listener(self, followed: _Followed) -> Callable[[Msg], Awaitable[None]]:
        async def on_status(message: Msg) -> None:
            try:
                event: events.StatusEvent = codec.decode(message.data, events.StatusEvent)
            except msgspec.MsgspecError:
                return  # of a later version
            if event.data.command_id is not None and _concerns(followed, event):
                self._note(followed, event.data.command_id, event.session_id, event.data)

        return on_status

    def _release(self, followed: _Followed, command_id: str, changed: asyncio.Event) -> None:
        followed.waiting -= 1
        followed.idle_since = self._loop.time()
        waiting = followed.changed.get(command_id, set())
        waiting.discard(changed)
        if not waiting:
            followed.changed.pop(command_id, None)

    def _reconnected(self) -> None:
        # Statuses may have been told in between: what is published from here on is followed from its beginning, and
        # whoever waits now asks again within its pause.
        for followed in self._sessions.values():
            followed.since = self._loop.time()

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(_LINGER_S / 4)
            now = self._loop.time()
            for session, followed in list(self._sessions.items()):
                idle = followed.waiting == 0 and now - followed.idle_since > _LINGER_S
                if idle and followed.subscription is not None:
                    del self._sessions[session]
                    await self._link.unsubscribe(followed.subscription)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Outcomes]:
        self._link.on_reconnect.append(self._reconnected)
        tidy = asyncio.create_task(self._tidy())
        try:
            yield self
        finally:
            tidy.cancel()
            self._link.on_reconnect.remove(self._reconnected)


def _concerns(followed: _Followed, event: events.StatusEvent) -> bool:
    """Another session's command may have the same id as one that was sent to an inbox."""
    if followed.name in (event.session_id, event.data.inbox_id):
        return True
    return followed.where.get(event.data.command_id or "") == event.session_id


def _ended(status: Status, wanted: int) -> bool:
    """Whether it has come as far as wanted. Raises MessageError when it never will."""
    if status.status in _UNSENT:
        error = status.error
        code = ErrorCode.from_wire(error.code) if error is not None else ErrorCode.E_INTERNAL
        if error is None and status.status is MessageStatus.EXPIRED:
            code = ErrorCode.E_EXPIRED
        if error is None and status.status is MessageStatus.CANCELLED:
            code = ErrorCode.E_CANCELLED
        details = dict(error.details) if error is not None else {}
        raise MessageError(code, {**details, "status": status.status.value})
    # `unknown` may be settled yet: it is waited out.
    return status.status is not MessageStatus.UNKNOWN and status.status.rank >= wanted


def _outcome(session: str, command_id: str, status: Status) -> Outcome:
    return Outcome(
        id=command_id,
        session_id=session,
        status=status.status,
        message_id=status.message_id,
        error=status.error,
        duplicate=status.duplicate,
    )


def _too_late(status: Status | None, timeout: float) -> DeadlineError:
    last = None if status is None else status.status.value
    return DeadlineError(ErrorCode.E_TIMEOUT, {"seconds": timeout, "status": last})
