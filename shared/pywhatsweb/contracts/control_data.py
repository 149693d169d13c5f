"""Arguments and results of the control plane, one Struct each; `control.VERBS` says which belongs to what.

People are named by `to` or `phone_number` (E.164, or national in the tenant's region), chats by `to` or
`chat` (the key in event subjects). Lists come in pages: `cursor` of one answer asks for the next, null at the
end.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from pywhatsweb.contracts.commands import Metadata
from pywhatsweb.contracts.event_data import Chat, Message, Person, SessionState, Status, Timestamp
from pywhatsweb.contracts.statuses import KanbanStatus

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Addressee = Annotated[str, Meta(pattern=r"^(@[a-z0-9][a-z0-9_-]{0,61}|[a-z0-9][a-z0-9_-]{0,62})$")]
"""A session, or an inbox (``@support``)."""
Who = Annotated[str, Meta(min_length=1, max_length=128)]
Key = Annotated[str, Meta(min_length=1, max_length=64)]
Limit = Annotated[int, Meta(ge=1, le=500)]
Note = Annotated[str, Meta(max_length=1000)]
Engine = Literal["simulated", "baileys", "webjs"]
MAX_CHECK = 500
MAX_PUT_BYTES = 512 * 1024


class Args(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of arguments; unknown fields are ignored."""


class Result(Struct, frozen=True, kw_only=True):
    """Base of results: nulls are written."""


class Nothing(Args, frozen=True, kw_only=True):
    """No arguments."""


class Page(Args, frozen=True, kw_only=True):
    limit: Limit = 50
    cursor: str | None = None


# session.*


class Pacing(Args, frozen=True, kw_only=True):
    """How fast a session sends: `per_minute` on average, `burst` at once, `jitter_ms` between two at random.

    `typing`: show "typing…" before each text, for a time that its length suggests.
    """

    per_minute: Annotated[float, Meta(gt=0, le=6000)] | None = None
    burst: Annotated[int, Meta(ge=1, le=1000)] | None = None
    typing: bool | None = None
    jitter_ms: Annotated[int, Meta(ge=0, le=60_000)] | None = None


class CallSettings(Args, frozen=True, kw_only=True):
    """Calls that ring are refused (`reject`), and who calls gets `text`. `call` events come all the same."""

    reject: bool = False
    text: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None


class SessionSettings(Args, frozen=True, kw_only=True):
    """What is null keeps the tenant's default. `history`: take the phone's history at pairing.

    `ack_timeout_s`: how long a send waits for WhatsApp's acknowledgement before its outcome is ``unknown``.
    `post_files`: whether files of statuses and channels are fetched, as those of messages are; they are unless it is
    false.
    """

    pacing: Pacing | None = None
    mark_online: bool | None = None
    history: bool | None = None
    ack_timeout_s: Annotated[float, Meta(ge=1, le=60)] | None = None
    calls: CallSettings | None = None
    post_files: bool | None = None


class SessionStart(Args, frozen=True, kw_only=True):
    """`phone_number` is needed for pairing ``code``. `proxy` is a URL (http, https, socks5)."""

    session_id: Name
    engine: Engine | None = None
    phone_number: Who | None = None
    pairing: Literal["qr", "code"] = "qr"
    proxy: Annotated[str, Meta(pattern=r"^(https?|socks5h?)://", max_length=512)] | None = None
    metadata: Metadata = field(default_factory=dict)
    settings: SessionSettings | None = None


class SessionRef(Args, frozen=True, kw_only=True):
    session_id: Name


class SessionList(Args, frozen=True, kw_only=True):
    """`active`: only those that are to run (true) or only the others (false)."""

    active: bool | None = None


class SessionInfo(SessionState, frozen=True, kw_only=True):
    """A session as it is now. `desired` is what was asked for: running or stopped."""

    session_id: str
    desired: str = "stopped"
    worker: str | None = None
    epoch: int = 0
    queued: int | None = None
    """Commands that wait in its queue."""
    since: Timestamp | None = None
    """When it came into its status."""
    metadata: dict[str, Any] = field(default_factory=dict)
    settings: SessionSettings | None = None


class Sessions(Result, frozen=True, kw_only=True):
    sessions: list[SessionInfo]


class SessionCapabilities(Result, frozen=True, kw_only=True):
    """What a session's engine can do; another command is rejected with E_UNSUPPORTED_TYPE before it is queued.

    `kinds` are types of the send command (``interactive.button`` an interactive one), `verbs` the other commands,
    `features` ways to send, `live` what can be asked of it while it works, `posts` what is posted, and taken back, as a
    status or in a channel (docs/KINDS.md).
    """

    session_id: str
    engine: str
    version: str | None = None
    """Of the engine's library."""
    kinds: list[str]
    verbs: list[str]
    features: list[str]
    live: list[str] = field(default_factory=list)
    posts: list[str] = field(default_factory=list)


class SessionQr(Result, frozen=True, kw_only=True):
    """The present QR code, raw, as a PNG data URL and as text for a terminal. E_QR_NOT_AVAILABLE when there
    is none."""

    code: str
    image: str
    terminal: str
    expires_at: Timestamp
    attempt: int = 1


# message.*, chat.*, contact.*, group.*


class MessageStatusArgs(Args, frozen=True, kw_only=True):
    """`id` is a command's; `session_id`: where it was sent to (a session or an inbox), when several had the same id."""

    id: Who
    session_id: Addressee | None = None


class MessageStatusInfo(Result, frozen=True, kw_only=True):
    """The last status, and every step that is on record by now; `at` is WhatsApp's time, else when it was told."""

    id: str
    session_id: str
    status: Status
    history: list[Status] = []


class ChatList(Page, frozen=True, kw_only=True):
    status: KanbanStatus | None = None
    owner_id: Who | None = None
    session_id: Name | None = None


class ChatRef(Args, frozen=True, kw_only=True):
    """A chat, by exactly one of `to` and `chat`. `session_id` when the tenant has several that know it."""

    to: Who | None = None
    chat: Key | None = None
    session_id: Name | None = None


class ChatMessages(ChatRef, frozen=True, kw_only=True):
    limit: Limit = 50
    cursor: str | None = None


class ChatAssign(ChatRef, frozen=True, kw_only=True):
    """NEW or ACTIVE → ACTIVE, with an owner. `by` is the actor; `id` and `version` as of `ChatMove`."""

    owner_id: Who
    by: Who | None = None
    id: Who | None = None
    version: Annotated[int, Meta(ge=0)] | None = None


class ChatMove(ChatRef, frozen=True, kw_only=True):
    """`id` makes a repeat harmless: the same one moves a card once. `version`: refuse (E_CONFLICT) if it is another."""

    by: Who | None = None
    reason: Note | None = None
    id: Who | None = None
    version: Annotated[int, Meta(ge=0)] | None = None


class ChatInfo(Result, frozen=True, kw_only=True):
    """`inbox_id`: the card is that of all the inbox's sessions; answers go through it."""

    chat: Chat
    session_id: str
    status: KanbanStatus
    name: str | None = None
    owner_id: str | None = None
    last_message_at: Timestamp | None = None
    unread: int = 0
    assigned_at: Timestamp | None = None
    assigned_by: str | None = None
    completed_at: Timestamp | None = None
    completed_by: str | None = None
    inbox_id: str | None = None


class Chats(Result, frozen=True, kw_only=True):
    chats: list[ChatInfo]
    cursor: str | None = None


class MessageReaction(Result, frozen=True, kw_only=True):
    """The emoji that somebody has set at a message; who took theirs away has none."""

    emoji: str
    from_: Person = field(name="from")
    from_self: bool = False
    sent_at: Timestamp


class MessageVote(Result, frozen=True, kw_only=True):
    """What somebody has chosen in a poll."""

    options: list[str]
    from_: Person = field(name="from")
    from_self: bool = False
    sent_at: Timestamp | None = None


class StoredMessage(Message, frozen=True, kw_only=True):
    """A message of the record, with its last status when it is outbound.

    Content, `reactions`, `votes` and pin are those that counted last. `pinned_until` is a time that may have passed;
    null with a `pinned_at`: it was pinned without an end.
    """

    session_id: str
    status: str | None = None
    edited_at: Timestamp | None = None
    deleted_at: Timestamp | None = None
    reactions: list[MessageReaction] = field(default_factory=list)
    votes: list[MessageVote] = field(default_factory=list)
    pinned_at: Timestamp | None = None
    pinned_until: Timestamp | None = None


class Messages(Result, frozen=True, kw_only=True):
    """Newest first."""

    messages: list[StoredMessage]
    cursor: str | None = None


class ContactCheck(Args, frozen=True, kw_only=True):
    """Asks WhatsApp, through `session_id` or any session of the tenant's that works."""

    numbers: Annotated[list[Who], Meta(min_length=1, max_length=MAX_CHECK)]
    session_id: Name | None = None


class CheckedNumber(Result, frozen=True, kw_only=True):
    """`number` as it was asked; `pn` as WhatsApp knows it (Brazil's ninth digit may differ)."""

    number: str
    exists: bool
    pn: str | None = None
    lid: str | None = None


class CheckedNumbers(Result, frozen=True, kw_only=True):
    numbers: list[CheckedNumber]


class ContactRef(Args, frozen=True, kw_only=True):
    to: Who | None = None
    phone_number: Who | None = None
    chat: Key | None = None
    session_id: Name | None = None


class ContactList(Page, frozen=True, kw_only=True):
    session_id: Name | None = None


class ContactInfo(Result, frozen=True, kw_only=True):
    person: Person
    key: str
    session_id: str | None = None
    updated_at: Timestamp | None = None


class Contacts(Result, frozen=True, kw_only=True):
    contacts: list[ContactInfo]
    cursor: str | None = None


class GroupRef(Args, frozen=True, kw_only=True):
    session_id: Name
    group: Who


class GroupList(Page, frozen=True, kw_only=True):
    session_id: Name


# media.*, health.*


class MediaPut(Args, frozen=True, kw_only=True):
    """A small file at once; larger ones come in parts (`media_data.MediaBegin`)."""

    data: Annotated[bytes, Meta(min_length=1, max_length=MAX_PUT_BYTES)]
    mime_type: Annotated[str, Meta(max_length=128)] | None = None
    filename: Annotated[str, Meta(max_length=240)] | None = None
    kind: Literal["image", "video", "audio", "voice", "document", "sticker"] | None = None
    """As what it is to be sent: that kind's limits and types hold."""


class MediaInfo(Result, frozen=True, kw_only=True):
    """`size` in bytes and `sha256` in hex, of the plain file."""

    id: str
    mime_type: str
    size: int
    sha256: str
    filename: str | None = None


class MediaGet(Args, frozen=True, kw_only=True):
    """By `id`, or by the message (then it is fetched from WhatsApp if need be). `offset` and `length` in
    bytes."""

    id: Key | None = None
    session_id: Name | None = None
    message_id: Who | None = None
    offset: Annotated[int, Meta(ge=0)] = 0
    length: Annotated[int, Meta(ge=1, le=MAX_PUT_BYTES)] = MAX_PUT_BYTES


class MediaPart(MediaInfo, frozen=True, kw_only=True):
    """The bytes from `offset`; the file ends where `offset` and the part's length reach `size`."""

    offset: int = 0
    data: bytes = b""


class HealthPart(Result, frozen=True, kw_only=True):
    ok: bool
    detail: str | None = None


class Health(Result, frozen=True, kw_only=True):
    """`ok` when every part is; `sessions` counts by status."""

    ok: bool
    version: str
    parts: dict[str, HealthPart] = {}
    sessions: dict[str, int] = {}
