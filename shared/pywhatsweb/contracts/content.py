"""What a message says: the content Structs that send commands and message events share.

Limits hold for sending only (`limits.py`): what comes in is taken as it is.

Shapes are those of Meta's Cloud API
(https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages), so that a user can move to the
official API; `voice`, `poll` and `event` are additions. Lengths are in characters, as WhatsApp counts them.
`interactive` and `template` stand in `interactive.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from pywhatsweb.contracts import limits

MAX_TEXT = 65_536
"""WhatsApp Web's own limit for a text; the Cloud API stops at 4096."""
MAX_CAPTION = 1024
MAX_FILENAME = 240
MAX_LINK = 2048
MAX_INLINE_BYTES = 512 * 1024
"""Media carried in the command itself, before base64: what fits a 1 MB body in JSON too."""
MAX_THUMBNAIL = 64 * 1024
MAX_MENTIONS = 1024
MENTION = r"^(\+[1-9]\d{4,14}|lid:\d{4,20})$"
MAX_CONTACTS = 257
MIN_POLL_OPTIONS, MAX_POLL_OPTIONS = 2, 12
MAX_POLL_NAME = 255
MAX_POLL_OPTION = 100
MAX_EMOJI = 40
"""A joined emoji (a family, a flag of a region) is many code points."""

AwareTime = Annotated[datetime, Meta(tz=True, description="ISO-8601 with a zone, or a MessagePack timestamp")]
Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""JSON knows larger ones, MessagePack does not: such a command could be read but not passed on."""
Scalar = str | Integer | float | bool | None
MessageRef = Annotated[str, Meta(min_length=1, max_length=128, description="A WhatsApp message id")]
Seconds = Annotated[int, limits.number(0, 86_400)]
"""How long it plays; found out where the fleet can when it is not given."""
ShortText = Annotated[str, limits.text(high=1000)]
Link = Annotated[str, limits.text(1, MAX_LINK, r"^https://")]
Caption = Annotated[str, limits.text(high=MAX_CAPTION)]
Mentions = Annotated[list[Annotated[str, limits.text(1, 64, MENTION)]], limits.items(0, MAX_MENTIONS)]
"""People whom a text or caption names as ``@5511999990001`` (their number or LID without the plus), as E.164 or
``lid:…``."""
Latitude = Annotated[float, limits.number(-90, 90)]
Longitude = Annotated[float, limits.number(-180, 180)]


class Content(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of everything a message can contain; a field at its default is left out of the body."""


class LinkPreview(Content, frozen=True, kw_only=True):
    """The card under a text with a link. `url` stands in the text; `thumbnail` is a small JPEG."""

    url: Annotated[str, limits.text(1, MAX_LINK, r"^https?://")]
    title: ShortText | None = None
    description: ShortText | None = None
    thumbnail: Annotated[bytes, limits.binary(MAX_THUMBNAIL)] | None = None


class Text(Content, frozen=True, kw_only=True):
    """1 to 65536 characters, not only white space; ``*bold*``, ``_italic_``, ``~struck~`` and ``` `code` ``` as
    WhatsApp reads them. `preview_url` asks for a preview of the first link, `preview` gives it."""

    body: Annotated[str, limits.text(1, MAX_TEXT)]
    preview_url: bool = False
    preview: LinkPreview | None = None
    mentions: Mentions = []
    background: Annotated[str, limits.text(7, 7, r"^#[0-9A-Fa-f]{6}$")] | None = None
    """Of a status: the colour that it stands on, ``#075E54``."""


class Media(Content, frozen=True, kw_only=True):
    """A file. A send command names exactly one of `id` (of media.put), `link` (https) and `data`.

    In events all three are absent: the event's own `media` tells the stored file.
    """

    id: Annotated[str, limits.text(1, 128)] | None = None
    link: Link | None = None
    data: Annotated[bytes, limits.binary(MAX_INLINE_BYTES)] | None = None
    mime_type: Annotated[str, limits.text(high=128)] | None = None


class Image(Media, frozen=True, kw_only=True):
    """JPEG, PNG or WebP. `compress`: it is made smaller first, and GIF, BMP and TIFF are converted."""

    caption: Caption | None = None
    view_once: bool = False
    compress: bool = False
    mentions: Mentions = []


class Video(Media, frozen=True, kw_only=True):
    caption: Caption | None = None
    view_once: bool = False
    gif: bool = False
    """Plays in a loop without sound."""
    seconds: Seconds | None = None
    mentions: Mentions = []


class Audio(Media, frozen=True, kw_only=True):
    """A music or sound file; a recording of the sender's voice is `voice`."""

    seconds: Seconds | None = None


class Voice(Media, frozen=True, kw_only=True):
    """A voice message: Opus in Ogg; other sound is converted where the fleet has ffmpeg.

    `waveform`: 64 heights from 0 to 100, drawn while it plays; made from the sound when it is not given.
    """

    view_once: bool = False
    seconds: Seconds | None = None
    waveform: Annotated[bytes, limits.binary(64)] | None = None


class Document(Media, frozen=True, kw_only=True):
    caption: Caption | None = None
    filename: Annotated[str, limits.text(1, MAX_FILENAME)] | None = None
    mentions: Mentions = []


class Sticker(Media, frozen=True, kw_only=True):
    """WebP, 512 by 512 pixels."""

    animated: bool = False


class Location(Content, frozen=True, kw_only=True):
    """Degrees, WGS 84."""

    latitude: Latitude
    longitude: Longitude
    name: ShortText | None = None
    address: ShortText | None = None
    url: Link | None = None


class LiveLocation(Content, frozen=True, kw_only=True):
    """A moving position (inbound only). `accuracy` in metres, `speed` in m/s, `heading` in degrees."""

    latitude: Latitude
    longitude: Longitude
    accuracy: float | None = None
    speed: float | None = None
    heading: float | None = None
    sequence: int | None = None
    caption: str | None = None


class ContactName(Content, frozen=True, kw_only=True):
    formatted_name: Annotated[str, limits.text(1, 1000)]
    first_name: ShortText | None = None
    last_name: ShortText | None = None
    middle_name: ShortText | None = None
    suffix: ShortText | None = None
    prefix: ShortText | None = None


class ContactPhone(Content, frozen=True, kw_only=True):
    phone: ShortText | None = None
    type: ShortText | None = None
    """CELL, MAIN, IPHONE, HOME or WORK."""
    wa_id: ShortText | None = None
    """Digits of the number on WhatsApp: with it, the card offers a chat."""


class ContactEmail(Content, frozen=True, kw_only=True):
    email: ShortText | None = None
    type: ShortText | None = None


class ContactAddress(Content, frozen=True, kw_only=True):
    street: ShortText | None = None
    city: ShortText | None = None
    state: ShortText | None = None
    zip: ShortText | None = None
    country: ShortText | None = None
    country_code: ShortText | None = None
    type: ShortText | None = None


class ContactOrg(Content, frozen=True, kw_only=True):
    company: ShortText | None = None
    department: ShortText | None = None
    title: ShortText | None = None


class ContactUrl(Content, frozen=True, kw_only=True):
    url: ShortText | None = None
    type: ShortText | None = None


class ContactCard(Content, frozen=True, kw_only=True):
    """One contact of a `contacts` message."""

    name: ContactName
    phones: list[ContactPhone] = []
    emails: list[ContactEmail] = []
    addresses: list[ContactAddress] = []
    org: ContactOrg | None = None
    urls: list[ContactUrl] = []
    birthday: Annotated[str, limits.text(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None
    """YYYY-MM-DD."""


class Poll(Content, frozen=True, kw_only=True):
    """2 to 12 different options; `selectable` is how many one may choose, 0 for any number."""

    name: Annotated[str, limits.text(1, MAX_POLL_NAME)]
    options: Annotated[
        list[Annotated[str, limits.text(1, MAX_POLL_OPTION)]],
        limits.items(MIN_POLL_OPTIONS, MAX_POLL_OPTIONS),
    ]
    selectable: Annotated[int, limits.number(0, MAX_POLL_OPTIONS)] = 1


class Reaction(Content, frozen=True, kw_only=True):
    """An emoji on the message `message_id`; an empty one takes it away."""

    message_id: Annotated[str, limits.text(1, 128)]
    emoji: Annotated[str, limits.text(high=MAX_EMOJI)]


class EventInvite(Content, frozen=True, kw_only=True):
    """An event that one can answer to, in chats and groups."""

    name: Annotated[str, limits.text(1, 100)]
    start_at: AwareTime
    end_at: AwareTime | None = None
    description: Annotated[str, limits.text(high=2048)] | None = None
    location: Location | None = None
    link: Link | None = None
    """Of a call to join."""
    extra_guests: bool = False
    cancelled: bool = False


class ChatLifetime(Content, frozen=True, kw_only=True):
    """The chat's messages disappear after so many seconds from now on; 0: they stay (inbound only)."""

    seconds: int


class Unsupported(Content, frozen=True, kw_only=True):
    """A message of a kind that this version does not read (inbound only). `kind` is the engine's name for
    it."""

    kind: str | None = None
