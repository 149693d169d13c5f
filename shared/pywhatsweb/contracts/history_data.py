"""``history.fetch`` and the event `history`: what an account's phone tells of the past.

At pairing it comes by itself (the session's setting `history`), later on request, a chat at a time. Either way each
message is a `message` event marked `history`, once however often the phone tells it: the record keeps it, the board,
usage and opt-out words do not see it, and webhooks get it only where they ask for `history`.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from pywhatsweb.contracts.content import MessageRef
from pywhatsweb.contracts.control_data import Result, SessionRef, Who
from pywhatsweb.contracts.event_data import Chat, Data, Timestamp
from pywhatsweb.errors import ErrorBody

MAX_COUNT = 50
"""What WhatsApp Web asks for at once."""
MAX_WAIT_S = 15


class MessagePoint(Data, frozen=True, kw_only=True):
    """A message of a chat, and when it was sent: phones find their place by these three."""

    message_id: MessageRef
    from_self: bool = False
    sent_at: Timestamp


class HistoryFetch(SessionRef, frozen=True, kw_only=True):
    """`to`: a person (E.164, national, ``lid:…``) or a group's id.

    Older than `before` (the `oldest` of an earlier answer), or than the oldest message of the chat that the record has.
    `wait_s`: how long the phone may take; then E_PHONE_SILENT, and what it answers later still comes as events.
    """

    to: Annotated[Who, Meta(description="A person or a group")]
    count: Annotated[int, Meta(ge=1, le=MAX_COUNT)] = MAX_COUNT
    before: MessagePoint | None = None
    wait_s: Annotated[float, Meta(ge=0.1, le=MAX_WAIT_S)] = MAX_WAIT_S


class HistoryFetched(Result, frozen=True, kw_only=True):
    """The phone answered with so many `messages`, which come as events, and so does `history` with this `request_id`.

    `oldest` is where to go on; `more`: whether the phone has older ones, null when it does not say.
    """

    session_id: str
    request_id: str
    messages: int
    oldest: MessagePoint | None = None
    more: bool | None = None


class HistoryPart(Data, frozen=True, kw_only=True):
    """`kind`: on_demand (the answer to `request_id`, of `chat`); of a pairing initial, recent, full, statuses, names or
    other. `progress` in percent. `error`: the part could not be read, and its messages are not told."""

    id: str
    kind: str
    part: int | None = None
    progress: int | None = None
    messages: int = 0
    chats: int = 0
    request_id: str | None = None
    chat: Chat | None = None
    oldest: MessagePoint | None = None
    more: bool | None = None
    error: ErrorBody | None = None
    sent_at: Timestamp
