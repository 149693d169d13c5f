"""Arguments and results of ``media.*`` beyond the small files of `control_data.MediaPut` and `MediaGet`.

A large file goes up in parts: `media.begin` gives an id, `media.part` takes 512 KiB each in any order and as often as
need be, `media.finish` puts them together, checks them and gives the file's id.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from pywhatsweb.contracts.control_data import MAX_PUT_BYTES, Args, Key, MediaInfo, Name, Page, Result, Who
from pywhatsweb.contracts.event_data import Timestamp

MediaKind = Literal["image", "video", "audio", "voice", "document", "sticker"]
"""As what it is to be sent."""
PART_BYTES = MAX_PUT_BYTES
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{64}$")]


class MediaBegin(Args, frozen=True, kw_only=True):
    """`size` in bytes. With `kind`, that kind's limit holds from the beginning, and its types at the end."""

    size: Annotated[int, Meta(ge=0)]
    mime_type: Annotated[str, Meta(max_length=128)] | None = None
    filename: Annotated[str, Meta(max_length=240)] | None = None
    kind: MediaKind | None = None


class MediaUpload(Result, frozen=True, kw_only=True):
    """An unfinished upload; it is given up a day after it began."""

    upload_id: str
    part_bytes: int = PART_BYTES


class MediaUploadPart(Args, frozen=True, kw_only=True):
    """`offset` is a multiple of the part's size; every part but the last has that size."""

    upload_id: Key
    offset: Annotated[int, Meta(ge=0)]
    data: Annotated[bytes, Meta(min_length=1, max_length=PART_BYTES)]


class MediaFinish(Args, frozen=True, kw_only=True):
    """With `sha256` (hex), a file that arrived otherwise is refused: E_MEDIA_CORRUPT."""

    upload_id: Key
    sha256: Sha256 | None = None


class MediaUploadRef(Args, frozen=True, kw_only=True):
    upload_id: Key


class MediaRef(Args, frozen=True, kw_only=True):
    """A file by its `id`, or by the message that carries it."""

    id: Key | None = None
    session_id: Name | None = None
    message_id: Who | None = None


class MediaEntry(MediaInfo, frozen=True, kw_only=True):
    """`origin`: upload, or message (then whose). Another entry may hold the same bytes: they are kept once."""

    origin: str
    created_at: Timestamp
    expires_at: Timestamp | None = None
    session_id: str | None = None
    chat: str | None = None
    message_id: str | None = None


class MediaList(Page, frozen=True, kw_only=True):
    """Newest first; of one chat with `to` or `chat`."""

    to: Who | None = None
    chat: Key | None = None


class MediaEntries(Result, frozen=True, kw_only=True):
    media: list[MediaEntry]
    cursor: str | None = None
