"""One simulated session: pairing, the gate, the order of units, and what becomes of a send."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from typing import TYPE_CHECKING

from pywhatsweb.contracts import capabilities
from pywhatsweb_fleet.session_worker.engines.port import (
    Action,
    CloseHow,
    CloseReason,
    Done,
    EngineError,
    EventUnit,
    KeyRow,
    KeysUnit,
    OpenSpec,
    SessionHost,
    StateChange,
)
from pywhatsweb_fleet.session_worker.engines.simulated import groups
from pywhatsweb_fleet.session_worker.engines.simulated.account import Account
from pywhatsweb_fleet.session_worker.engines.simulated.answers import answer_at_once, carried
from pywhatsweb_fleet.session_worker.engines.simulated.asks import ASKS, answer, told_of
from pywhatsweb_fleet.session_worker.engines.simulated.device import (
    Credentials,
    invented_code,
    invented_qr,
    read_credentials,
    written_credentials,
)
from pywhatsweb_fleet.session_worker.engines.simulated.journal import Stanza, as_offline
from pywhatsweb_fleet.session_worker.engines.simulated.settings import (
    AnyFault,
    CloseLink,
    Delay,
    DropAck,
    Nack,
    SimulatedSettings,
)

if TYPE_CHECKING:
    from pywhatsweb_fleet.session_worker.engines.simulated.engine import SimulatedEngine

_MEDIA_TYPES = ("image", "video", "audio", "voice", "document", "sticker")
_OTHER_TYPES = ("text", "location", "contacts", "poll", "interactive", "reaction", "event", "template")
SEND_TYPES = frozenset((*_MEDIA_TYPES, *_OTHER_TYPES))
ACKNOWLEDGED = frozenset(("send", "react", "edit", "delete", "pin", "vote", "disappearing"))
"""Actions that WhatsApp answers; the rest it only takes."""
ACTIONS = ACKNOWLEDGED | {"read", "presence", "check_numbers", "media.get"}
CAPABILITIES = (
    SEND_TYPES | ACTIONS | ASKS | {"forward"} | capabilities.KINDS | capabilities.FEATURES
) & capabilities.ALL

NACKS = {463: "E_WHATSAPP_REACHOUT_LIMITED", 479: "E_WHATSAPP_STALE_SESSION", 421: "E_WHATSAPP_ADDRESSING"}

CLOSED: dict[CloseReason, tuple[int | None, bool]] = {
    "stopped": (None, True),
    "logged_out": (401, False),
    "banned": (403, False),
    "timed_out": (408, True),
    "multidevice_mismatch": (411, False),
    "connection_lost": (428, True),
    "replaced": (440, False),
    "bad_session": (500, True),
    "unavailable": (503, True),
    "restart_required": (515, True),
    "pairing_timeout": (408, False),
    "certificate_refused": (None, False),
    "lease_lapsed": (None, True),
    "proxy_failed": (None, True),
    "engine_error": (None, True),
}
"""WhatsApp's code, and whether the stored credentials open it again."""


class SimulatedSession:
    """An `EngineSession`. Idle, it holds no task, no timer and no container."""

    __slots__ = (
        "_account",
        "_attempt",
        "_committed",
        "_delivering",
        "_engine",
        "_epoch",
        "_gate",
        "_host",
        "_out",
        "_stage",
        "_typing",
        "_unacked",
        "_unit",
        "_waiting",
        "session",
        "settings",
    )

    def __init__(
        self,
        engine: SimulatedEngine,
        account: Account,
        spec: OpenSpec,
        settings: SimulatedSettings,
        host: SessionHost,
    ) -> None:
        self.session = spec.session
        self.settings = settings
        self._engine = engine
        self._account = account
        self._host = host
        self._epoch = spec.incarnation
        self._stage = "opening"
        self._attempt = 0
        self._unit = 0
        self._committed = 0
        self._gate = 0
        """The last unit of a stanza that WhatsApp waits to have acknowledged."""
        self._unacked: deque[tuple[int, Stanza]] | None = None
        self._out: deque[tuple[int, Action, asyncio.Future[Done]]] | None = None
        self._waiting: set[asyncio.Future[Done]] | None = None
        self._typing = False
        self._delivering = False
        """The host may commit from within `SessionHost.event`; the loop that called it goes on by itself."""

    # -- opening -------------------------------------------------------------------------------------

    def begin(self, spec: OpenSpec) -> None:
        self._host.state(StateChange("connecting"))
        if spec.creds is not None:
            self._engine.whatsapp.agenda.after(
                self.settings.connect_ms, self._log_in, read_credentials(spec.creds)
            )
        elif spec.pairing.method == "code":
            self._engine.whatsapp.agenda.after(self.settings.connect_ms, self._show_code, spec.pairing.code)
        else:
            self._engine.whatsapp.agenda.after(self.settings.connect_ms, self._show_qr)

    def _log_in(self, creds: Credentials) -> None:
        if self._stage != "opening":
            return
        account, whatsapp = self._account, self._engine.whatsapp
        if account.device is None and account.barred is None:
            # A WhatsApp that began after the session was paired takes the device's word for it.
            account.device = creds.device
        if account.device != creds.device:
            self.cut(account.barred or "logged_out")
            return
        account.number, account.name = creds.number, creds.name
        self._stage = "open"
        whatsapp.attach(account, self)
        self._host.state(StateChange("open", me=account.me()))
        self.deliver()

    def _show_qr(self) -> None:
        if self._stage not in ("opening", "pairing"):
            return
        if self._attempt == self.settings.qr_codes:
            self.cut("pairing_timeout")
            return
        self._attempt += 1
        shown_ms = self.settings.qr_first_ms if self._attempt == 1 else self.settings.qr_next_ms
        self._await_pairing(StateChange("qr", invented_qr(), self._engine.now_ms() + shown_ms, self._attempt))
        self._engine.whatsapp.agenda.after(shown_ms, self._show_qr)

    def _show_code(self, wanted: str | None) -> None:
        if self._stage != "opening":
            return
        code = wanted or invented_code()
        shown_ms = self.settings.code_expires_ms
        self._await_pairing(StateChange("pairing_code", code, self._engine.now_ms() + shown_ms))
        self._engine.whatsapp.agenda.after(shown_ms, self._expire_code)

    def _expire_code(self) -> None:
        if self._stage == "pairing":
            self.cut("pairing_timeout")

    def _await_pairing(self, change: StateChange) -> None:
        first = self._stage == "opening"
        self._stage = "pairing"
        self._account.pairing = self
        self._host.state(change)
        if first and self.settings.pair == "auto":
            self._engine.whatsapp.agenda.after(self.settings.pair_after_ms, self.pair)

    def pair(self) -> bool:
        """The phone confirms the device. False when nothing waits for it."""
        if self._stage != "pairing":
            return False
        account, whatsapp = self._account, self._engine.whatsapp
        account.pairing = None
        account.number = self.settings.number or account.number
        account.name = self.settings.name
        creds = Credentials(whatsapp.link_device(account), account.me().pn or "", account.name)
        self._write_keys(written_credentials(creds))
        if self.settings.restart_after_pairing:
            self.cut("restart_required")
            return True
        self._stage = "open"
        whatsapp.attach(account, self)
        self._host.state(StateChange("open", me=account.me()))
        self.deliver()
        return True

    # -- towards WhatsApp ----------------------------------------------------------------------------

    async def act(self, action: Action) -> Done:
        """As the port says. Raises EngineError."""
        if self._stage != "open":
            raise EngineError("E_CONNECTION_LOST", "the session is not open")
        if action.action in ASKS:
            return self._answer(action)
        if action.action not in ACTIONS:
            raise EngineError("E_UNSUPPORTED_TYPE", f"no action {action.action!r}")
        if action.action == "send" and action.content.get("type") not in SEND_TYPES:
            raise EngineError("E_UNSUPPORTED_TYPE", f"no message type {action.content.get('type')!r}")
        if action.source is not None:
            action = await carried(action)
        if action.sink is not None:
            return await self._hand_over(action)
        future: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        if self._out is None and self._gate <= self._committed and not action.typing_ms:
            self._depart(action, future)
        else:
            if self._out is None:
                self._out = deque()
            self._out.append((self._gate, action, future))
            self._release()
        return await future

    def _answer(self, action: Action) -> Done:
        whatsapp, now = self._engine.whatsapp, self._engine.now_ms()
        if action.action in groups.VERBS:
            return whatsapp.groups.answer(self._account, self.settings, action, now)
        done = answer(self._account, self.settings, action, now)
        told = told_of(action)
        if told is not None:
            whatsapp.deliver(self._account.session, f"{told[0]}:{secrets.token_hex(8)}", *told)
        return done

    async def _hand_over(self, action: Action) -> Done:
        """``media.get``: the file goes to the action's sink."""
        answer = answer_at_once(action, self.settings)
        if isinstance(answer, EngineError):
            raise answer
        assert action.sink is not None  # noqa: S101 - the caller looked
        about = dict(answer.data)
        await action.sink.write(about.pop("data"))
        return Done(answer.message_id, answer.at, about)

    def _release(self, typed: bool = False) -> None:
        """Lets go, in order, what waits for no unit any more; stanzas that came later do not hold it."""
        if typed:
            self._typing = False
        while self._out and not self._typing and self._out[0][0] <= self._committed:
            _, action, future = self._out[0]
            if action.typing_ms and not typed:
                self._typing = True
                self._engine.whatsapp.agenda.after(action.typing_ms, self._release, True)
                return
            typed = False
            self._out.popleft()
            if not future.done():
                self._depart(action, future)
        if not self._out:
            self._out = None

    def _depart(self, action: Action, future: asyncio.Future[Done]) -> None:
        if not self._engine.lease_holds():
            future.set_exception(EngineError("E_CONNECTION_LOST", "the worker's lease lapsed"))
            return
        if self._waiting is None:
            self._waiting = set()
        self._waiting.add(future)
        if action.action not in ACKNOWLEDGED:
            self._engine.whatsapp.agenda.after(0, self._settle, future, answer_at_once(action, self.settings))
            return
        to = action.to
        recipient = None if to is None else to.pn or to.lid or to.group
        if recipient in self.settings.absent:
            missing = EngineError("E_NOT_ON_WHATSAPP", "nobody has this number")
            self._engine.whatsapp.agenda.after(self.settings.ack_ms, self._settle, future, missing)
            return
        fault = self._account.next_fault(recipient, self.settings.random)
        if type(fault) is Nack:
            code = NACKS.get(fault.code, "E_WHATSAPP_REJECTED")
            error = EngineError(code, f"WhatsApp answered {fault.code}")
            self._engine.whatsapp.agenda.after(self.settings.ack_ms, self._settle, future, error)
        elif type(fault) is CloseLink and fault.when == "before":
            self.cut(fault.reason)
        elif type(fault) is not DropAck or fault.accepted:
            self._accept(action, future, fault)

    def _accept(self, action: Action, future: asyncio.Future[Done], fault: AnyFault) -> None:
        at = self._engine.whatsapp.accept(self._account, action, self._epoch, self.settings)
        if self.settings.key_writes:
            self._write_keys(None, [("session", f"{action.id[-4:]}.0", secrets.token_bytes(64))])
        if type(fault) is CloseLink:
            self.cut(fault.reason)
        elif type(fault) is not DropAck:
            wait_ms = self.settings.ack_ms + (fault.ms if type(fault) is Delay else 0)
            self._engine.whatsapp.agenda.after(wait_ms, self._settle, future, Done(action.id, at))

    def _settle(self, future: asyncio.Future[Done], outcome: Done | EngineError) -> None:
        if self._waiting is not None:
            self._waiting.discard(future)
            if not self._waiting:
                self._waiting = None
        if future.done():
            return
        if isinstance(outcome, Done):
            future.set_result(outcome)
        else:
            future.set_exception(outcome)

    # -- from WhatsApp -------------------------------------------------------------------------------

    def deliver(self) -> None:
        """Hands on what waits for this account, while the worker's credit lasts."""
        pending = self._account.pending
        if self._delivering:
            return
        self._delivering = True
        while pending and self._stage == "open" and self._unit - self._committed < self.settings.credit:
            stanza = pending.popleft()
            self._unit += 1
            self._gate = self._unit
            if self._unacked is None:
                self._unacked = deque()
            self._unacked.append((self._unit, stanza))
            self._host.event(EventUnit(self._unit, stanza.kind, stanza.data))
            if self.settings.key_writes and stanza.kind == "message" and self._stage == "open":
                self._write_keys(None, [("session", stanza.key, secrets.token_bytes(64))])
                self._gate = self._unit
        self._delivering = False
        if not pending and self._account.pending is pending:
            self._account.pending = None

    def _write_keys(self, creds: bytes | None, rows: list[KeyRow] | None = None) -> None:
        self._unit += 1
        self._host.keys(KeysUnit(self._unit, creds, rows or []))

    def committed(self, unit: int) -> None:
        """As the port says: acknowledges to WhatsApp, then lets held sends go, then takes more in."""
        if self._stage == "closed" or unit <= self._committed:
            return
        self._committed = min(unit, self._unit)
        unacked = self._unacked
        while unacked and unacked[0][0] <= unit:
            self._engine.whatsapp.acknowledge(unacked.popleft()[1])
        if not unacked:
            self._unacked = None
        if self._out is not None:
            self._release()
        if self._account.pending:
            self.deliver()

    # -- closing -------------------------------------------------------------------------------------

    def cut(self, reason: CloseReason, detail: str | None = None) -> None:
        """The link ends now, whoever wills it. The second call does nothing."""
        if self._stage == "closed":
            return
        self._stage = "closed"
        self._give_back()
        if self._account.link is self:
            self._account.link = None
        if self._account.pairing is self:
            self._account.pairing = None
        self._engine.forget(self)
        self._fail_all()
        code, retry = CLOSED[reason]
        self._host.state(
            StateChange(
                "closed",
                reason=reason,
                whatsapp_code=code,
                detail=detail,
                retry=retry,
                retry_at_once=reason == "restart_required",
            )
        )

    def _give_back(self) -> None:
        """What was not committed was not acknowledged: WhatsApp has it still, and delivers it again."""
        if not self._unacked:
            return
        pending = self._account.pending
        if pending is None:
            pending = self._account.pending = deque()
        for _, stanza in reversed(self._unacked):
            pending.appendleft(as_offline(stanza))
        self._unacked = None

    def _fail_all(self) -> None:
        waiting, self._waiting = self._waiting, None
        for future in waiting or ():
            if not future.done():
                future.set_exception(EngineError("E_CONNECTION_LOST", "the link closed", uncertain=True))
        held, self._out = self._out, None
        for _, _, future in held or ():
            if not future.done():
                future.set_exception(EngineError("E_CONNECTION_LOST", "the link closed before it was sent"))

    async def close(self, how: CloseHow) -> None:
        """As the port says; nothing here takes time."""
        if self._stage == "closed":
            return
        if how == "logout":
            self._engine.whatsapp.unlink(self.session)
        self.cut("logged_out" if how == "logout" else "stopped")
