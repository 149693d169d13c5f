"""One session as the worker sees it across the socket: its acts in flight, its units, its end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.session_worker.engines.port import (
    Action,
    CloseHow,
    CloseReason,
    Done,
    EngineError,
    EventUnit,
    KeysUnit,
    OpenSpec,
    SessionHost,
    StateChange,
)
from pywhatsweb_fleet.session_worker.engines.sidecar.channel import Channel
from pywhatsweb_fleet.session_worker.engines.sidecar.frames import FrameTooLarge, Unsendable, check_sendable
from pywhatsweb_fleet.session_worker.engines.sidecar.messages import (
    Act,
    Blob,
    BlobGet,
    BlobPut,
    Close,
    Committed,
    Event,
    Keys,
    KeysGet,
    KeysSet,
    Result,
    SessionFrame,
    State,
)
from pywhatsweb_fleet.session_worker.engines.sidecar.relay import masked

if TYPE_CHECKING:
    from pywhatsweb_fleet.session_worker.engines.sidecar.engine import SidecarEngine

_STATES = frozenset(("connecting", "qr", "pairing_code", "open", "closed"))


def _with_file(action: Action) -> Mapping[str, Any]:
    """The content, with what the sidecar is to know of a file that goes along: its size, or that one is wanted."""
    if action.source is not None:
        return {**action.content, "blob": {"size": action.source.size}}
    return {**action.content, "blob": {}} if action.sink is not None else action.content


class SidecarSession:
    """An `EngineSession`."""

    __slots__ = (
        "_acts",
        "_channel",
        "_closing",
        "_ended",
        "_engine",
        "_files",
        "_host",
        "_uncommitted",
        "closed",
        "incarnation",
        "session",
    )

    def __init__(self, engine: SidecarEngine, channel: Channel, spec: OpenSpec, host: SessionHost) -> None:
        self.session = spec.session
        self.incarnation = spec.incarnation
        self.closed = False
        self._engine = engine
        self._channel = channel
        self._host = host
        self._closing = False
        self._acts: dict[int, asyncio.Future[Done]] = {}
        self._files: dict[int, Action] = {}
        """Acts with a file, while they last."""
        self._uncommitted: deque[tuple[int, int]] = deque()
        """Unit and bytes of each frame that the host has and did not commit."""
        self._ended: asyncio.Future[None] | None = None

    # -- the worker's calls -----------------------------------------------------------------------

    async def act(self, action: Action) -> Done:
        """As the port says. Raises EngineError."""
        if self._channel.congested:
            await self._channel.turn()
        if self.closed or self._closing:
            raise EngineError("E_CONNECTION_LOST", "the session is closed")
        ref = self._engine.next_ref()
        future: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        try:
            check_sendable(action.content)
            check_sendable(action.context)
            self._channel.put(
                Act(
                    session=self.session,
                    incarnation=self.incarnation,
                    ref=ref,
                    action=action.action,
                    id=action.id,
                    content=_with_file(action),
                    to=action.to,
                    context=action.context,
                    typing_ms=action.typing_ms,
                )
            )
        except FrameTooLarge as error:
            raise EngineError("E_BODY_TOO_LARGE", f"for one frame to the sidecar: {error}") from error
        except Unsendable as error:
            raise EngineError("E_INVALID_FIELD", str(error)) from error
        self._acts[ref] = future
        if action.source is not None or action.sink is not None:
            self._files[ref] = action
        try:
            return await future
        finally:
            self._acts.pop(ref, None)
            self._files.pop(ref, None)

    def committed(self, unit: int) -> None:
        """As the port says."""
        if self.closed:
            return
        waiting = self._uncommitted
        units = size = 0
        while waiting and waiting[0][0] <= unit:
            size += waiting.popleft()[1]
            units += 1
        self._channel.put(Committed(session=self.session, incarnation=self.incarnation, unit=unit))
        self._engine.relieve(units, size)

    async def close(self, how: CloseHow) -> None:
        """As the port says. A sidecar that does not answer in time is killed, and runs again for the others."""
        if self.closed or self._closing:
            return
        self._closing = True
        # Else the answer could stand behind units that nobody commits any more.
        self._lay_down()
        self._ended = asyncio.get_running_loop().create_future()
        self._channel.put(Close(session=self.session, incarnation=self.incarnation, how=how))
        try:
            await asyncio.wait_for(asyncio.shield(self._ended), self._engine.close_timeout_s)
        except TimeoutError:
            self._engine.give_up(self)

    # -- the sidecar's frames ---------------------------------------------------------------------

    def take(self, frame: SessionFrame, size: int) -> None:
        """One frame of this incarnation, of ``size`` bytes."""
        if isinstance(frame, Result):
            self._result(frame)
        elif isinstance(frame, Event):
            if frame.unit:
                self._burden(frame.unit, size)
            self._host.event(EventUnit(frame.unit, frame.kind, frame.data))
        elif isinstance(frame, KeysSet):
            self._burden(frame.unit, size)
            self._host.keys(KeysUnit(frame.unit, frame.creds, frame.rows))
        elif isinstance(frame, State):
            self._state(frame)
        elif isinstance(frame, KeysGet):
            self._engine.spawn(self._load_keys(frame))
        else:
            self._engine.spawn(self._hand_over(frame))

    def _burden(self, unit: int, size: int) -> None:
        if not self._closing:
            self._uncommitted.append((unit, size))
            self._engine.burden(size)

    def _lay_down(self) -> None:
        """What it holds no longer keeps the engine from reading."""
        units, size = len(self._uncommitted), sum(size for _, size in self._uncommitted)
        self._uncommitted.clear()
        self._engine.relieve(units, size)

    def _result(self, frame: Result) -> None:
        future = self._acts.get(frame.ref)
        if future is None or future.done():
            return
        if frame.ok:
            future.set_result(Done(frame.message_id or "", frame.at or 0, frame.data))
            return
        code, detail = frame.code or "E_ENGINE_ERROR", frame.detail or ""
        if code == "E_SESSION_NOT_READY":
            code = (
                "E_CONNECTION_LOST"  # the port knows one code for a link that is not there (yet, or any more)
            )
        elif code not in ErrorCode.__members__:
            code, detail = "E_ENGINE_ERROR", f"{code} {detail}".strip()
        future.set_exception(EngineError(code, detail, uncertain=frame.uncertain))

    def _state(self, frame: State) -> None:
        if frame.state not in _STATES:
            self._engine.log.warning("sidecar_unknown_state", state=masked(frame.state))
            return
        text = isinstance(frame.code, str)
        change = StateChange(
            frame.state,  # type: ignore[arg-type]  # it is one of _STATES
            code=frame.code if isinstance(frame.code, str) else None,
            expires_at=frame.expires_at,
            attempt=frame.attempt,
            me=frame.me,
            reason=frame.reason,
            whatsapp_code=None if text or frame.code is None else int(frame.code),
            detail=masked(frame.detail) if frame.detail else None,
            retry=frame.retry,
            retry_at_once=frame.retry_at_once,
        )
        if frame.state == "closed":
            self._end(change)
        else:
            self._host.state(change)

    async def _load_keys(self, frame: KeysGet) -> None:
        try:
            rows = await self._host.load_keys(frame.kind, frame.ids)
            code = None
        except EngineError as error:
            rows, code = {}, error.code
        answer = Keys(
            session=self.session,
            incarnation=self.incarnation,
            ref=frame.ref,
            rows=None if code else list(rows.items()),
            code=code,
        )
        if self.closed:
            return
        try:
            self._channel.put(answer)
        except FrameTooLarge:
            self._channel.put(
                Keys(
                    session=self.session, incarnation=self.incarnation, ref=frame.ref, code="E_BODY_TOO_LARGE"
                )
            )

    async def _hand_over(self, frame: BlobGet | BlobPut) -> None:
        """A part of an act's file, one way or the other."""
        action = self._files.get(frame.act)
        data, code = None, None
        try:
            if isinstance(frame, BlobGet) and action is not None and action.source is not None:
                data = await action.source.read(frame.offset, frame.length)
            elif isinstance(frame, BlobPut) and action is not None and action.sink is not None:
                await action.sink.write(frame.data)
            else:
                code = "E_MEDIA_NOT_FOUND"
        except EngineError as error:
            code = error.code
        if self._channel.congested:
            await self._channel.turn()
        if not self.closed:
            self._channel.put(
                Blob(session=self.session, incarnation=self.incarnation, ref=frame.ref, data=data, code=code)
            )

    def abandon(self) -> None:
        """Ends it at once on both sides; what is uncommitted comes again."""
        if not self.closed:
            self._channel.put(Close(session=self.session, incarnation=self.incarnation, how="handover"))
            self.end("engine_error", "the worker could not take a frame", retry=True)

    # -- its end ----------------------------------------------------------------------------------

    def end(self, reason: CloseReason, detail: str, *, retry: bool) -> None:
        """It ended without the sidecar's word. The second call does nothing."""
        self._end(StateChange("closed", reason=reason, detail=detail, retry=retry))

    def _end(self, change: StateChange) -> None:
        if self.closed:
            return
        self.closed = True
        self._lay_down()
        self._engine.forget(self)
        for future in self._acts.values():
            if not future.done():
                future.set_exception(EngineError("E_CONNECTION_LOST", "the session closed", uncertain=True))
        self._acts = {}
        self._host.state(change)
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
