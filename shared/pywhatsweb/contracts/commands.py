"""What users ask: the commands published on ``wa.cmd.<tenant>.<session>.<verb>``.

The verb of the subject tells the Struct (`COMMANDS`); a send command is a union tagged by its `type`. Unknown
fields are ignored. Times are aware datetimes: ISO-8601 with a zone in JSON, also MessagePack's timestamp in
MessagePack.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from pywhatsweb.contracts import content as c
from pywhatsweb.contracts import decoding, limits, places
from pywhatsweb.contracts import interactive as i
from pywhatsweb.contracts.content import AwareTime, MessageRef
from pywhatsweb.errors import ContractError, ErrorCode

MAX_ID = 128
MAX_METADATA = 32
MAX_TYPING_MS = 60_000
MAX_READ = 1000
MIN_YEAR, MAX_YEAR = 1970, 9998
_ACCOUNT_STATES = ("available", "unavailable")

Priority = Literal["low", "normal", "high"]
SendPurpose = Literal["service", "marketing"]
Metadata = Annotated[dict[str, c.Scalar], Meta(max_length=MAX_METADATA)]
CommandIdText = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
To = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        description="E.164, national, a LID (lid:… or …@lid), a group (…@g.us), status, a channel (…@newsletter)",
    ),
]
Audience = Annotated[list[To], Meta(min_length=1, max_length=places.MAX_AUDIENCE)]


Lifetime = Literal[86_400, 604_800, 7_776_000]
"""A day, a week or 90 days, in seconds."""


class Context(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The message that this one answers."""

    message_id: MessageRef


class Command(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every command has.

    `id` is the idempotency key; absent, the ``Nats-Msg-Id`` header is it, else one is made. Statuses carry
    it as ``command_id``, and bring `correlation_id` back as it came.
    """

    id: CommandIdText | None = None
    expires_at: AwareTime | None = None
    """Not begun by then, the command ends as `expired`."""
    correlation_id: CommandIdText | None = None
    metadata: Metadata = {}


class Addressed(Command, frozen=True, kw_only=True):
    to: To


class SendCommand(Addressed, tag_field="type", frozen=True, kw_only=True):
    """What every send has.

    It ends as sent (then delivered, read, played), failed, rejected, expired, cancelled or unknown.
    """

    context: Context | None = None
    send_at: AwareTime | None = None
    priority: Priority = "normal"
    typing: Annotated[int, Meta(ge=0, le=MAX_TYPING_MS)] = 0
    """Milliseconds of "typing…" before the message."""
    disappear_after: Lifetime | None = None
    """Seconds; what the chat is set to (`disappearing`), or the recipient is told that this message stays."""
    purpose: SendPurpose = "service"
    """``marketing`` never reaches somebody who opted out (E_CONTACT_OPTED_OUT); ``service`` only as an answer."""
    audience: Audience | None = None
    """Of a status: the people who may see it; null: those of the session's chats. Never who opted out."""


class SendText(SendCommand, tag="text", frozen=True, kw_only=True):
    text: c.Text


class SendImage(SendCommand, tag="image", frozen=True, kw_only=True):
    image: c.Image


class SendVideo(SendCommand, tag="video", frozen=True, kw_only=True):
    video: c.Video


class SendAudio(SendCommand, tag="audio", frozen=True, kw_only=True):
    audio: c.Audio


class SendVoice(SendCommand, tag="voice", frozen=True, kw_only=True):
    voice: c.Voice


class SendDocument(SendCommand, tag="document", frozen=True, kw_only=True):
    document: c.Document


class SendSticker(SendCommand, tag="sticker", frozen=True, kw_only=True):
    sticker: c.Sticker


class SendLocation(SendCommand, tag="location", frozen=True, kw_only=True):
    location: c.Location


class SendContacts(SendCommand, tag="contacts", frozen=True, kw_only=True):
    contacts: Annotated[list[c.ContactCard], Meta(min_length=1, max_length=c.MAX_CONTACTS)]


class SendPoll(SendCommand, tag="poll", frozen=True, kw_only=True):
    poll: c.Poll


class SendInteractive(SendCommand, tag="interactive", frozen=True, kw_only=True):
    interactive: i.Interactive


class SendReaction(SendCommand, tag="reaction", frozen=True, kw_only=True):
    reaction: c.Reaction


class SendEvent(SendCommand, tag="event", frozen=True, kw_only=True):
    event: c.EventInvite


class SendTemplate(SendCommand, tag="template", frozen=True, kw_only=True):
    template: i.Template


Send = (
    SendText
    | SendImage
    | SendVideo
    | SendAudio
    | SendVoice
    | SendDocument
    | SendSticker
    | SendLocation
    | SendContacts
    | SendPoll
    | SendInteractive
    | SendReaction
    | SendEvent
    | SendTemplate
)


class Edit(Addressed, frozen=True, kw_only=True):
    """Replaces the text, or the caption of a file, of a message that the session sent (WhatsApp: 15
    minutes)."""

    message_id: MessageRef
    type: Literal["text", "image", "video", "document"] = "text"
    text: c.Text | None = None
    image: c.Image | None = None
    video: c.Video | None = None
    document: c.Document | None = None


class Delete(Addressed, frozen=True, kw_only=True):
    """Takes a message away, for everyone or for this account only. `audience` of a status: null is whom it was for."""

    message_id: MessageRef
    for_everyone: bool = True
    audience: Audience | None = None


class Forward(Addressed, frozen=True, kw_only=True):
    """Sends the message `message_id` of the chat `from` (any chat when absent) to `to`, marked as
    forwarded."""

    message_id: MessageRef
    from_: To | None = msgspec.field(default=None, name="from")


class Pin(Addressed, frozen=True, kw_only=True):
    """Pins a message at the top of its chat for everybody (a day, a week or 30 days, in seconds), or unpins it."""

    message_id: MessageRef
    pinned: bool = True
    seconds: Literal[86_400, 604_800, 2_592_000] = 604_800


class Disappearing(Addressed, frozen=True, kw_only=True):
    """Has the chat's messages disappear after so many seconds from now on; 0: they stay."""

    seconds: Literal[0, 86_400, 604_800, 7_776_000]


class React(Addressed, frozen=True, kw_only=True):
    """Sets an emoji on a message; "" takes it away."""

    message_id: MessageRef
    emoji: Annotated[str, Meta(max_length=c.MAX_EMOJI)]


class Vote(Addressed, frozen=True, kw_only=True):
    """Chooses in the poll `message_id`: the names of all options that are chosen from now on; none takes the vote back.

    Without effect when it says what was said before.
    """

    message_id: MessageRef
    options: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=c.MAX_POLL_OPTION)]],
        Meta(max_length=c.MAX_POLL_OPTIONS),
    ]


class Read(Addressed, frozen=True, kw_only=True):
    """Marks messages of a chat as read."""

    message_ids: Annotated[list[MessageRef], Meta(min_length=1, max_length=MAX_READ)]


class Presence(Command, frozen=True, kw_only=True):
    """`available` and `unavailable` are the account's and need no `to`; the others are shown in a chat."""

    state: Literal["available", "unavailable", "composing", "recording", "paused"]
    to: To | None = None


class Cancel(Command, frozen=True, kw_only=True):
    """Takes back a command that is not being sent yet; otherwise it is rejected with E_CANCEL_TOO_LATE."""

    command_id: CommandIdText


Other = Edit | Delete | Forward | Pin | Disappearing | React | Vote | Read | Presence | Cancel
AnyCommand = Send | Other

COMMANDS: dict[str, Any] = {
    "send": Send,
    "edit": Edit,
    "delete": Delete,
    "forward": Forward,
    "pin": Pin,
    "disappearing": Disappearing,
    "react": React,
    "vote": Vote,
    "read": Read,
    "presence": Presence,
    "cancel": Cancel,
}
"""What the last part of a command's subject stands for."""

SEND_TYPES: dict[str, type[SendCommand]] = {str(kind.__struct_config__.tag): kind for kind in Send.__args__}
_KIND: dict[type, str] = {kind: tag for tag, kind in SEND_TYPES.items()}


def send_type(command: SendCommand) -> str:
    """The `type` of a send command."""
    return _KIND[type(command)]


def content_of(command: SendCommand) -> Any:
    """What a send command sends: its field named as its type."""
    return getattr(command, _KIND[type(command)])


def parse(verb: str, raw: bytes, max_bytes: int | None = None) -> AnyCommand:
    """The command in the body `raw` of the subject's `verb`, decoded and checked.

    Raises ContractError and nothing else, whatever the bytes are.
    """
    kind = COMMANDS.get(verb)
    if kind is None:
        raise ContractError(ErrorCode.E_UNKNOWN_VERB)
    command: AnyCommand = decoding.decode(raw, kind, max_bytes)
    check(command)
    return command


def check(command: AnyCommand) -> None:
    """What the types cannot say. Raises ContractError.

    A recipient is not looked at here (`pywhatsweb.phone`), nor is the clock.
    """
    check_id(command.id, "$.id")
    check_id(command.correlation_id, "$.correlation_id")
    _check_time(command.expires_at, "$.expires_at")
    if isinstance(command, SendCommand):
        _check_time(command.send_at, "$.send_at")
        _check_content(command)
    elif isinstance(command, Delete):
        places.check(command)
    elif isinstance(command, Edit):
        _check_edit(command)
    elif isinstance(command, Vote) and len(set(command.options)) != len(command.options):
        raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$.options"})
    elif isinstance(command, Presence) and command.to is None and command.state not in _ACCOUNT_STATES:
        raise ContractError(ErrorCode.E_MISSING_FIELD, {"path": "$", "field": "to"})


def check_id(value: str | None, path: str = "$.id") -> None:
    """Ids travel as header values: printable, without spaces around. Raises ContractError."""
    if value is not None and not (
        0 < len(value) <= MAX_ID and value.isprintable() and value == value.strip()
    ):
        code = ErrorCode.E_INVALID_COMMAND_ID if path == "$.id" else ErrorCode.E_INVALID_FIELD
        raise ContractError(code, {"path": path, "limit": MAX_ID})


def fingerprint(command: AnyCommand) -> str:
    """32 hex digits that tell whether two commands of one id are the same (else E_DUPLICATE_ID), in any form.

    `id` and `correlation_id` do not count: a publisher that tries again may make a new correlation id. Not
    for logs or subjects: it is not keyed.
    """
    bare = msgspec.structs.replace(command, id=None, correlation_id=None)
    return hashlib.sha256(_to_msgpack(bare)).hexdigest()[:32]


_to_msgpack = msgspec.msgpack.Encoder(order="deterministic").encode


def _check_time(value: datetime | None, path: str) -> None:
    # At the ends of the calendar a conversion to UTC overflows.
    if value is not None and not MIN_YEAR <= value.year <= MAX_YEAR:
        raise ContractError(ErrorCode.E_INVALID_TIMESTAMP, {"path": path, "limit": [MIN_YEAR, MAX_YEAR]})


def _check_content(command: SendCommand) -> None:
    kind = _KIND[type(command)]
    content, path = getattr(command, kind), f"$.{kind}"
    limits.check(content, path)
    places.check(command, content)
    rule = _CHECKS.get(type(command))
    if rule is not None:
        rule(content, path)


def _check_text(text: c.Text, path: str) -> None:
    if not text.body.strip():
        raise ContractError(ErrorCode.E_EMPTY_TEXT, {"path": f"{path}.body"})


def _check_media(media: c.Media, path: str) -> None:
    if (media.id is not None) + (media.link is not None) + (media.data is not None) != 1:
        raise ContractError(ErrorCode.E_MEDIA_SOURCE, {"path": path})


def _check_poll(poll: c.Poll, path: str) -> None:
    if len(set(poll.options)) != len(poll.options) or poll.selectable > len(poll.options):
        raise ContractError(ErrorCode.E_INVALID_POLL, {"path": f"{path}.options"})


def _check_event(event: c.EventInvite, path: str) -> None:
    _check_time(event.start_at, f"{path}.start_at")
    _check_time(event.end_at, f"{path}.end_at")
    if event.end_at is not None and event.end_at < event.start_at:
        raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": f"{path}.end_at"})


def _check_interactive(message: i.Interactive, path: str) -> None:
    if message.body is None and not isinstance(message, i.Product):
        raise ContractError(ErrorCode.E_MISSING_FIELD, {"path": path, "field": "body"})
    if isinstance(message.header, i.ImageHeader | i.VideoHeader | i.DocumentHeader):
        if isinstance(message, i.ListMenu):
            raise ContractError(ErrorCode.E_INVALID_INTERACTIVE, {"path": f"{path}.header"})
        name = str(message.header.__struct_config__.tag)
        _check_media(getattr(message.header, name), f"{path}.header.{name}")
    if isinstance(message, i.Buttons):
        if message.body is not None and len(message.body.text) > i.MAX_BUTTON_BODY:
            raise ContractError(
                ErrorCode.E_INVALID_INTERACTIVE, {"path": f"{path}.body.text", "limit": i.MAX_BUTTON_BODY}
            )
        _check_unique([b.reply.id for b in message.action.buttons], f"{path}.action.buttons")
    elif isinstance(message, i.ListMenu):
        sections = message.action.sections
        rows = [row.id for section in sections for row in section.rows]
        if len(rows) > i.MAX_ROWS:
            raise ContractError(
                ErrorCode.E_INVALID_INTERACTIVE, {"path": f"{path}.action.sections", "limit": i.MAX_ROWS}
            )
        if len(sections) > 1 and not all(section.title for section in sections):
            raise ContractError(
                ErrorCode.E_MISSING_FIELD, {"path": f"{path}.action.sections", "field": "title"}
            )
        _check_unique(rows, f"{path}.action.sections")


def _check_unique(ids: list[str], path: str) -> None:
    if len(set(ids)) != len(ids):
        raise ContractError(ErrorCode.E_INVALID_INTERACTIVE, {"path": path})


def _check_template(template: i.Template, path: str) -> None:
    for at, component in enumerate(template.components):
        for n, parameter in enumerate(component.parameters):
            if isinstance(parameter, i.ImageParameter | i.VideoParameter | i.DocumentParameter):
                name = str(parameter.__struct_config__.tag)
                _check_media(getattr(parameter, name), f"{path}.components[{at}].parameters[{n}].{name}")


def _check_edit(edit: Edit) -> None:
    given = [name for name in ("text", "image", "video", "document") if getattr(edit, name) is not None]
    if edit.type not in given:
        raise ContractError(ErrorCode.E_MISSING_FIELD, {"path": "$", "field": edit.type})
    if len(given) > 1:
        raise ContractError(ErrorCode.E_INVALID_FIELD, {"path": "$"})
    limits.check(getattr(edit, edit.type), f"$.{edit.type}")
    if edit.text is not None:
        _check_text(edit.text, "$.text")


_CHECKS: dict[type, Any] = {
    SendText: _check_text,
    SendImage: _check_media,
    SendVideo: _check_media,
    SendAudio: _check_media,
    SendVoice: _check_media,
    SendDocument: _check_media,
    SendSticker: _check_media,
    SendPoll: _check_poll,
    SendEvent: _check_event,
    SendInteractive: _check_interactive,
    SendTemplate: _check_template,
}
