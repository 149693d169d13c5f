"""What events carry in `data`: a Struct a type.

Fields that may be null are always there, so that a reader of any language can index them; only the contents
of a message (`UNSET`) are left out where they do not apply. Times are ISO-8601 in UTC with milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from pywhatsweb.contracts import content as c
from pywhatsweb.contracts import interactive as i
from pywhatsweb.contracts.statuses import KanbanStatus, MessageStatus, Origin, SessionStatus
from pywhatsweb.errors import ErrorBody

Timestamp = Annotated[
    str,
    Meta(
        description="ISO-8601, UTC, milliseconds: 2026-11-22T12:00:00.123Z",
        extra_json_schema={"format": "date-time"},
    ),
]


class Data(Struct, frozen=True, kw_only=True):
    """Base of what events carry: nulls are written."""


class Person(Data, frozen=True, kw_only=True):
    """`pn` is E.164, `lid` the digits before ``@lid``; either may be unknown, and none is guessed from the
    other."""

    pn: str | None = None
    lid: str | None = None
    name: str | None = None


class Chat(Data, frozen=True, kw_only=True):
    """`key` stands for the chat in subjects and arguments; `group` is the part before ``@g.us``, or the whole id of a
    place that was posted to (`contracts.places`)."""

    key: str
    pn: str | None = None
    lid: str | None = None
    group: str | None = None


class MediaFile(Data, frozen=True, kw_only=True):
    """A message's file. `id` is for media.get; null while the file was not fetched from WhatsApp.

    `size` in bytes, `sha256` in hex, of the plain file. `source` is the engine's and opaque: with it the
    fleet fetches the file later.
    """

    id: str | None = None
    mime_type: str | None = None
    size: int | None = None
    sha256: str | None = None
    filename: str | None = None
    source: bytes | UnsetType = UNSET


class MessageContext(Data, frozen=True, kw_only=True):
    """The message that this one answers, and whose it was; or that it was forwarded."""

    message_id: str | None = None
    from_: Person | None = msgspec.field(default=None, name="from")
    forwarded: bool = False


class Contents(Struct, frozen=True, kw_only=True):
    """A field a type: exactly the one that `type` names is there."""

    type: str
    """See `statuses.MessageType`; a later version may add some."""
    text: c.Text | UnsetType = UNSET
    image: c.Image | UnsetType = UNSET
    video: c.Video | UnsetType = UNSET
    audio: c.Audio | UnsetType = UNSET
    voice: c.Voice | UnsetType = UNSET
    document: c.Document | UnsetType = UNSET
    sticker: c.Sticker | UnsetType = UNSET
    location: c.Location | UnsetType = UNSET
    live_location: c.LiveLocation | UnsetType = UNSET
    contacts: list[c.ContactCard] | UnsetType = UNSET
    poll: c.Poll | UnsetType = UNSET
    interactive: i.Interactive | i.InteractiveReply | UnsetType = UNSET
    reaction: c.Reaction | UnsetType = UNSET
    event: c.EventInvite | UnsetType = UNSET
    template: i.Template | UnsetType = UNSET
    disappearing: c.ChatLifetime | UnsetType = UNSET
    unsupported: c.Unsupported | UnsetType = UNSET

    @property
    def content(self) -> Any:
        """The field that `type` names, or None."""
        return getattr(self, self.type, UNSET) or None


_CONTENTS = frozenset(Contents.__struct_fields__)
C = TypeVar("C", bound=Contents)


def from_engine(kind: type[C], fields: Mapping[str, Any]) -> C:
    """`fields` as `kind` (`Message`, `Edited`); a content that has not its type's shape becomes `unsupported`.

    What strangers send must not stop a session, so only the fields around the content can make it raise
    msgspec.ValidationError: an engine's mistake.
    """
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError:
        bare = {name: value for name, value in fields.items() if name not in _CONTENTS}
        told = {"type": "unsupported", "unsupported": {"kind": str(fields.get("type"))}}
        return msgspec.convert(bare | told, kind)


class Message(Contents, frozen=True, kw_only=True):
    """One message, from either side.

    `origin` is outbound for everything that this account said, from the fleet or from the phone; `from_self`
    is the same seen from WhatsApp. `offline`: it waited at WhatsApp while the session was away. `history`: the
    phone told it of the past, at pairing or when it was asked (history.fetch).
    """

    id: str
    chat: Chat
    from_: Person = msgspec.field(name="from")
    origin: Origin
    from_self: bool = False
    context: MessageContext | None = None
    mentions: list[Person] = []
    media: MediaFile | None = None
    sent_at: Timestamp
    offline: bool = False
    history: bool = False
    command_id: str | None = None
    """Of the send command that it came from."""
    disappear_after: int | UnsetType = UNSET
    """Seconds after which it disappears for its readers."""


class Status(Data, frozen=True, kw_only=True):
    """How far a command, or a message sent from the phone (`command_id` null), has come.

    `duplicate`: a repeat of an already known command id came in; `status` is the first one's, nothing was
    sent anew. `by` is the reader in a group. `at` is WhatsApp's time of the receipt. `inbox_id`: the command was sent
    to this inbox, which gave it to the event's session; a receipt that comes after the worker's restart may lack it.
    """

    command_id: str | None = None
    message_id: str | None = None
    inbox_id: str | None = None
    status: MessageStatus
    error: ErrorBody | None = None
    duplicate: bool = False
    chat: Chat | None = None
    by: Person | None = None
    at: Timestamp | None = None
    metadata: dict[str, Any] = {}
    """The command's."""


class Qr(Data, frozen=True, kw_only=True):
    code: str
    """The raw text to be drawn as a QR code."""
    image: str | None = None
    """The same as a PNG data URL."""
    expires_at: Timestamp
    attempt: int = 1


class PairingCode(Data, frozen=True, kw_only=True):
    code: str
    """Eight characters to type on the phone."""
    expires_at: Timestamp | None = None
    phone_number: str | None = None


class SessionState(Data, frozen=True, kw_only=True):
    status: SessionStatus
    previous: SessionStatus | None = None
    reason: str | None = None
    """The engine's reason for a close (PROTOCOL, `closed`), or who asked."""
    error: ErrorBody | None = None
    phone_number: str | None = None
    lid: str | None = None
    name: str | None = None
    engine: str | None = None


class ChatState(Data, frozen=True, kw_only=True):
    """Kanban: `owner_id` is the attendant, `by` who did it (``system`` for the rules).

    `inbox_id`: the inbox whose sessions have one card for the person; `joined_to`: the session that has it, when it is
    another one than this.
    """

    chat: Chat
    status: KanbanStatus
    previous: KanbanStatus | None = None
    owner_id: str | None = None
    reason: str | None = None
    by: str | None = None
    inbox_id: str | UnsetType = UNSET
    joined_to: str | UnsetType = UNSET


class Reacted(Data, frozen=True, kw_only=True):
    """`emoji` "" takes the reaction away."""

    id: str
    chat: Chat
    from_: Person = msgspec.field(name="from")
    origin: Origin = Origin.INBOUND
    from_self: bool = False
    message_id: str
    emoji: str
    sent_at: Timestamp


class Edited(Contents, frozen=True, kw_only=True):
    """`type` and its field are the message's new content."""

    id: str
    chat: Chat
    from_: Person = msgspec.field(name="from")
    origin: Origin = Origin.INBOUND
    from_self: bool = False
    message_id: str
    sent_at: Timestamp


class Deleted(Data, frozen=True, kw_only=True):
    id: str
    chat: Chat
    from_: Person = msgspec.field(name="from")
    origin: Origin = Origin.INBOUND
    from_self: bool = False
    message_id: str
    sent_at: Timestamp


class Pinned(Data, frozen=True, kw_only=True):
    """`message_id` is at the top of its chat for `seconds` from now on, or (`pinned` false) no longer."""

    id: str
    chat: Chat
    from_: Person = msgspec.field(name="from")
    origin: Origin = Origin.INBOUND
    from_self: bool = False
    message_id: str
    pinned: bool
    seconds: int | None = None
    sent_at: Timestamp


class ChatSetting(Data, frozen=True, kw_only=True):
    """`change`: archive, mute (until `until`, or for good), pin, or unread; `on` false takes it back."""

    chat: Chat
    change: str
    on: bool
    until: Timestamp | None = None


class Post(Contents, frozen=True, kw_only=True):
    """A status (story; `place` status) or a channel's post (`place` channel, `channel` its id). Of one that was taken
    back `type` is deleted, and `message_id` tells which; with another type it is what stands from now on for the post
    `message_id` of a channel. Files are fetched as messages' are (setting `post_files`)."""

    id: str
    place: str
    channel: str | None = None
    from_: Person = msgspec.field(name="from")
    origin: Origin = Origin.INBOUND
    from_self: bool = False
    message_id: str | None = None
    media: MediaFile | None = None
    sent_at: Timestamp
    offline: bool = False
    command_id: str | UnsetType = UNSET
    """Of the command that posted it, or took it back."""


class Marked(Data, frozen=True, kw_only=True):
    """`mark`: star (`on` false takes it back) or delete_for_me; `from_self` says whose the message is."""

    chat: Chat
    message_id: str
    mark: str
    on: bool
    from_self: bool = False


class PollVote(Data, frozen=True, kw_only=True):
    """All options that the voter now chooses; none takes the vote back."""

    id: str
    chat: Chat
    from_: Person = msgspec.field(name="from")
    origin: Origin = Origin.INBOUND
    from_self: bool = False
    message_id: str
    options: list[str]
    sent_at: Timestamp | None = None


class PresenceState(Data, frozen=True, kw_only=True):
    """`state`: available, unavailable, composing, recording or paused."""

    chat: Chat
    from_: Person = msgspec.field(name="from")
    state: str
    last_seen_at: Timestamp | None = None


class ContactSeen(Data, frozen=True, kw_only=True):
    """`pn` and `lid` are the pair that was just learned to be one person."""

    person: Person
    name: str | None = None
    pn: str | None = None
    lid: str | None = None


class GroupChange(Data, frozen=True, kw_only=True):
    """`change`: create, subject, description, picture, settings, invite, add, remove, leave, promote, demote or
    join_request (its `state`: created, revoked or rejected).

    `settings` are those of `live_data.Group` that changed.
    """

    group: str
    chat: Chat
    change: str
    by: Person | None = None
    participants: list[Person] = []
    subject: str | None = None
    description: str | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    state: str | UnsetType = UNSET


class Call(Data, frozen=True, kw_only=True):
    """`state`: offer, ringing, accept, reject, timeout or terminate."""

    id: str
    chat: Chat | None = None
    from_: Person = msgspec.field(name="from")
    state: str
    video: bool = False


class Alert(Data, frozen=True, kw_only=True):
    """`kind` names the rule: ack_timeout, silent_session, undecryptable, session_down, lag, …

    Of conditions that last (docs/OPERATIONS.md) a second one with `resolved` tells that it is over.
    """

    kind: str
    error: ErrorBody | None = None
    chat: Chat | None = None
    command_id: str | None = None
    message_id: str | None = None
    details: dict[str, Any] = {}
    resolved: bool = False


class DeadLetter(Data, frozen=True, kw_only=True):
    """`id` is for deadletter.redrive; `kind` is command or event."""

    id: str
    kind: str
    error: ErrorBody
    attempts: int = 1
    command_id: str | None = None
    chat: Chat | None = None
    received_at: Timestamp | None = None


class MediaStored(Data, frozen=True, kw_only=True):
    """`media.id` is for media.get; null with an `error`. `chat` is null for a post's file, which has a `place`."""

    message_id: str
    chat: Chat | None = None
    place: str | UnsetType = UNSET
    media: MediaFile
    error: ErrorBody | None = None
