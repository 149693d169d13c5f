"""Cards of an inbox's sessions as one card a person (`Policy.cards` ``by_inbox``): which one, and what joins it.

A person's card stays in the session where it stands; the same chat's cards in the inbox's other sessions are closed,
name that session (`Card.joined_to`), and leave it their tags, notes and owner. They keep their history, and are cards
of their own again when the policy or the inbox no longer joins them. Groups are not joined. Pure, but for `Inboxes`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import Connection

from pywhatsweb.contracts.event_data import Chat
from pywhatsweb.contracts.kanban_data import Policy
from pywhatsweb.contracts.statuses import KanbanStatus
from pywhatsweb_fleet.kanban.board import NOTES, SYSTEM, Card, Decision, transit
from pywhatsweb_fleet.storage import inboxes
from pywhatsweb_fleet.storage.inboxes import InboxRow

_RANK: Final = {KanbanStatus.DONE: 0, KanbanStatus.NEW: 1, KanbanStatus.ACTIVE: 2}
_PRIORITIES: Final = ("low", "normal", "high", "urgent")
_TAGS: Final = 32


class Inboxes:
    """A tenant's, as far as its policy joins their cards."""

    def __init__(self, conn: Connection, tenant: str, policy: Policy) -> None:
        self.joined = policy.cards == "by_inbox"
        self._rows = inboxes.every(conn, tenant) if self.joined else []

    def of(self, session: str) -> InboxRow | None:
        """The inbox of a session; of several, the first by name."""
        return next((row for row in self._rows if session in row.sessions), None)


def home(cards: Mapping[str, Card], session: str, members: Collection[str]) -> str:
    """Where the person's card is, or is to be: of the cards that joined none, the one that is furthest, then newest."""
    heads = {
        name: card
        for name, card in cards.items()
        if name in members and not (card.joined_to in members and card.joined_to in cards)
    }
    return max(
        heads, key=lambda name: (_RANK[heads[name].status], heads[name].touched_at, name), default=session
    )


def fold(card: Card | None, chat: Chat, at: int, inbox: str, to: str) -> Decision:
    """The card of a chat that goes on in the session ``to``; None: it had none yet."""
    old = card or Card(chat=chat)
    if (old.inbox, old.joined_to) == (inbox, to):
        return Decision(old)
    closing: dict[str, Any] = (
        {} if old.status is KanbanStatus.DONE else {"completed_at": at, "completed_by": SYSTEM}
    )
    told = transit(
        old, "joined", at, None, "joined",
        details={"inbox_id": inbox, "joined_to": to}, status=KanbanStatus.DONE, inbox=inbox, joined_to=to,
        snoozed=False, snoozed_until=0, escalated_to=None, **closing,
    )  # fmt: skip
    return Decision(told.card, (told,))


def absorb(card: Card, other: Card, session: str, at: int) -> Decision:
    """The person's card with what the ``session``'s card had."""
    waits = other.status is not KanbanStatus.DONE
    found = replace(
        card,
        tags=tuple(dict.fromkeys((*card.tags, *other.tags)))[:_TAGS],
        notes=tuple(sorted({*card.notes, *other.notes}, key=lambda note: note.at))[-NOTES:],
        priority=max(card.priority, other.priority, key=_PRIORITIES.index) if waits else card.priority,
        opened_at=min(filter(None, (card.opened_at, other.opened_at)), default=0)
        if waits
        else card.opened_at,
        owner=card.owner or (other.owner if waits else None),
        last_in=max(card.last_in, other.last_in),
        last_out=max(card.last_out, other.last_out),
        touched_at=max(card.touched_at, other.touched_at),
    )
    if found == card:
        return Decision(card)
    owner: dict[str, Any] = {"owner": found.owner} if found.owner != card.owner else {}
    told = transit(
        replace(found, owner=card.owner), "absorbed", at, None, "joined",
        details={"session": session, "tags": list(found.tags), "notes": len(found.notes)}, **owner,
    )  # fmt: skip
    return Decision(told.card, (told,))


def settle(card: Card | None, inbox: str | None, at: int) -> Decision:
    """The card as the person's own in this inbox, or in none."""
    if card is None or (card.inbox, card.joined_to) == (inbox, None):
        return Decision(card)
    name = "joined" if inbox else "parted"
    told = transit(card, name, at, None, name, details={"inbox_id": inbox}, inbox=inbox, joined_to=None)
    return Decision(told.card, (told,))
