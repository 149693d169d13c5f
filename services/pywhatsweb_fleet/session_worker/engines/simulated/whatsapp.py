"""The simulated WhatsApp itself: accounts, contacts, what was accepted, what waits to be delivered.

It outlives sessions (and, with a state file, workers), so that a test can count on it as on the real one: what it
accepted it keeps, and what nobody acknowledged it delivers again.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pywhatsweb_fleet.session_worker.engines.port import Action, CloseReason, Recipient
from pywhatsweb_fleet.session_worker.engines.simulated.account import (
    Account,
    Debt,
    chance,
    chat_of,
    known_person,
)
from pywhatsweb_fleet.session_worker.engines.simulated.agenda import Agenda
from pywhatsweb_fleet.session_worker.engines.simulated.groups import Groups
from pywhatsweb_fleet.session_worker.engines.simulated.journal import (
    Accepted,
    Acknowledged,
    Linked,
    Record,
    Stanza,
    StateFile,
    as_offline,
)
from pywhatsweb_fleet.session_worker.engines.simulated.link import SimulatedSession
from pywhatsweb_fleet.session_worker.engines.simulated.settings import AnyFault, SimulatedSettings

OFFLINE_LIMIT = 10_000
"""Stanzas kept for one account; beyond it the newest is refused, as a full phone would."""
REMEMBERED_IDS = 20_000
"""Contacts drop a message id that they have had among so many."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class SimulatedWhatsApp:
    """Script it from the same process: every method is called on the event loop and returns at once.

    ``keep`` bounds `accepted`, the journal of what it took (the newest stay).
    """

    def __init__(self, *, state_file: Path | None = None, keep: int = 10_000) -> None:
        self.agenda = Agenda()
        self.accepted: deque[Accepted] = deque(maxlen=keep)
        self.accepted_count = 0
        self.groups = Groups(self)
        self._accounts: dict[str, Account] = {}
        self._seen: dict[str, None] = {}
        self._file = StateFile(state_file) if state_file is not None else None
        self.refresh()

    # -- for tests and demonstrations ----------------------------------------------------------------

    def account(self, session: str) -> Account:
        found = self._accounts.get(session)
        if found is None:
            found = self._accounts[session] = Account(session)
        return found

    def accounts(self) -> list[Account]:
        return [*self._accounts.values()]

    def scan(self, session: str) -> bool:
        """The phone scans the QR code, or types the pairing code. False when none is shown."""
        link = self.account(session).pairing
        return link is not None and link.pair()

    def script(self, session: str, *faults: AnyFault) -> None:
        """Adds faults for the session's next sends, after those that wait already."""
        account = self.account(session)
        account.script = [*(account.script or ()), *faults]

    def receive(
        self,
        session: str,
        sender: str,
        content: Mapping[str, Any] | str,
        *,
        message_id: str | None = None,
        group: str | None = None,
    ) -> str:
        """A contact writes: ``content`` is a text, or ``{"type": …, <type>: {…}}``. Returns the message's id."""
        message_id = message_id or "3A" + secrets.token_hex(9).upper()
        body = {"type": "text", "text": {"body": content}} if isinstance(content, str) else dict(content)
        person = known_person(sender, None)
        chat = {"pn": None, "lid": None, "group": group} if group else {**person, "group": None}
        data = {"id": message_id, "chat": chat, "from": person, "from_self": False, **body}
        data.update(sent_at=now_ms(), offline=False, history=False)
        self.deliver(session, "message:" + message_id, "message", data)
        return message_id

    def deliver(self, session: str, key: str, kind: str, data: dict[str, Any]) -> bool:
        """Queues any event for a session, delivered until acknowledged. False when its queue is full."""
        account = self.account(session)
        pending = account.pending
        if pending is None:
            pending = account.pending = deque()
        elif len(pending) >= OFFLINE_LIMIT:
            return False
        stanza = Stanza(session, key, kind, data)
        if account.link is None:
            stanza = as_offline(stanza)
        self._write(stanza)
        pending.append(stanza)
        if account.link is not None:
            account.link.deliver()
        return True

    def cut(self, session: str, reason: CloseReason = "connection_lost") -> bool:
        """Closes the link from WhatsApp's side. False when there is none."""
        account = self.account(session)
        link = account.link or account.pairing
        if link is not None:
            link.cut(reason)
        return link is not None

    def unlink(self, session: str, *, banned: bool = False) -> None:
        """The phone removes the linked device (or WhatsApp bans it): its credentials are worth nothing now."""
        account = self.account(session)
        account.device = None
        account.barred = "banned" if banned else "logged_out"
        self._write(Linked(session, None, account.barred))
        self.cut(session, account.barred)

    # -- for links -----------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Learns what other workers wrote to the state file."""
        if self._file is not None:
            for record in self._file.unread():
                self._apply(record)

    def link_device(self, account: Account) -> str:
        """A device is paired: the account's earlier one is no longer linked."""
        account.device = secrets.token_hex(8)
        account.barred = None
        self._write(Linked(account.session, account.device))
        return account.device

    def attach(self, account: Account, link: SimulatedSession) -> None:
        """A device logged in; an earlier login of the same account is replaced, and offline stanzas begin to flow."""
        other = account.link
        account.link = link
        if other is not None and other is not link:
            other.cut("replaced")
        owed, account.owed = account.owed, None
        for debt in (owed or {}).values():
            self._answer(account, debt.record, link.settings, _chat_by_name(debt.record.to), debt.paid)

    def accept(self, account: Account, action: Action, epoch: int, settings: SimulatedSettings) -> int:
        """Takes a message for its recipient; returns when, in milliseconds."""
        to = action.to
        at = now_ms()
        wants_echo = settings.echo_ms is not None and action.action == "send"
        record = Accepted(
            account.session,
            epoch,
            action.action,
            action.id,
            _name(to),
            at,
            action.content.get("type"),
            dict(action.content) if wants_echo and _light(action.content) else None,
        )
        self._write(record)
        self.accepted.append(record)
        self.accepted_count += 1
        if action.action == "send" and self._first_time(account.session + action.id):
            self._answer(account, record, settings, chat_of(to))
        return at

    def acknowledge(self, stanza: Stanza) -> None:
        """The engine has it durably: it is never delivered again."""
        if self._file is not None:
            self._write(Acknowledged(stanza.session, stanza.key))

    def close(self) -> None:
        """Closes the state file, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    # -- within --------------------------------------------------------------------------------------

    def _write(self, record: Record) -> None:
        if self._file is not None:
            self._file.append(record)

    def _first_time(self, key: str) -> bool:
        seen = self._seen
        if key in seen:
            return False
        seen[key] = None
        if len(seen) > REMEMBERED_IDS:
            del seen[next(iter(seen))]
        return True

    def _answer(
        self,
        account: Account,
        record: Accepted,
        settings: SimulatedSettings,
        chat: dict[str, Any],
        done: Collection[str] = (),
    ) -> None:
        """What the recipient's phone does with a message: delivered, read, played, perhaps an answer."""
        after = self.agenda.after
        if settings.delivered_ms is not None and "delivered" not in done:
            after(settings.delivered_ms, self._status, account, record.id, chat, "delivered", settings)
        if settings.read_ms is not None and "read" not in done:
            after(settings.read_ms, self._status, account, record.id, chat, "read", settings)
        if settings.played_ms is not None and record.type in ("audio", "voice") and "played" not in done:
            after(settings.played_ms, self._status, account, record.id, chat, "played", settings)
        if settings.echo_ms is not None and record.content is not None and "echo" not in done:
            after(settings.echo_ms, self._echo, account, record, chat, settings)

    def _status(
        self,
        account: Account,
        message_id: str,
        chat: dict[str, Any],
        status: str,
        settings: SimulatedSettings,
    ) -> None:
        data: dict[str, Any] = {
            "message_ids": [message_id],
            "chat": chat,
            "from_self": True,
            "status": status,
            "at": now_ms(),
        }
        if chat["group"]:
            data["by"] = known_person(None, "100000000000001")
        self._deliver_often(account.session, f"status:{message_id}:{status}", "status", data, settings)

    def _echo(
        self, account: Account, record: Accepted, chat: dict[str, Any], settings: SimulatedSettings
    ) -> None:
        sender = (
            known_person(None, "100000000000001") if chat["group"] else {"pn": chat["pn"], "lid": chat["lid"]}
        )
        data = {
            "id": "3A" + record.id[4:],
            "chat": chat,
            "from": sender,
            "from_self": False,
            **(record.content or {}),
        }
        data.update(sent_at=now_ms(), offline=False, history=False)
        self._deliver_often(account.session, "echo:" + record.id, "message", data, settings)

    def _deliver_often(
        self, session: str, key: str, kind: str, data: dict[str, Any], settings: SimulatedSettings
    ) -> None:
        self.deliver(session, key, kind, data)
        random = settings.random
        if random is not None and random.duplicate and chance(random.seed, session, key) < random.duplicate:
            self.deliver(session, key, kind, data)

    def _apply(self, record: Record) -> None:
        """One line that another process wrote. Order in the file is the order in which it happened."""
        account = self.account(record.session)
        if isinstance(record, Linked):
            account.device, account.barred = record.device, record.barred
        elif isinstance(record, Accepted):
            self.accepted.append(record)
            self.accepted_count += 1
            if record.action == "send" and self._first_time(record.session + record.id):
                self._owe(account, record)
        elif isinstance(record, Stanza):
            if account.pending is None:
                account.pending = deque()
            account.pending.append(record)
            kind, _, rest = record.key.partition(":")
            message_id, _, status = rest.partition(":")
            if account.owed and message_id in account.owed:
                account.owed[message_id].paid.add(status or kind)
        elif account.pending is not None:
            account.pending = deque(s for s in account.pending if s.key != record.key) or None

    def _owe(self, account: Account, record: Accepted) -> None:
        if account.owed is None:
            account.owed = {}
        account.owed[record.id] = Debt(record, set())
        if len(account.owed) > OFFLINE_LIMIT:
            del account.owed[next(iter(account.owed))]


def _light(content: Mapping[str, Any]) -> bool:
    """An answer repeats text-like content, not files."""
    return content.get("type") in ("text", "location", "contacts", "poll")


def _name(to: Recipient | None) -> str | None:
    """A recipient in the journal: a number as it is, a LID or a group with WhatsApp's own ending."""
    if to is None:
        return None
    if to.pn:
        return to.pn
    return f"{to.lid}@lid" if to.lid else f"{to.group}@g.us"


def _chat_by_name(name: str | None) -> dict[str, Any]:
    local, _, server = (name or "").partition("@")
    if server == "g.us":
        return chat_of(Recipient(group=local))
    return chat_of(Recipient(lid=local) if server == "lid" else Recipient(pn=local or None))
