"""The tables of stored files, beside `tables.media`, which has an object's row; `storage.media` reads and writes."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, Table, Text

from pywhatsweb_fleet.storage.tables import metadata

__all__ = ["metadata"]

media_refs = Table(
    "media_refs",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("media_id", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("filename", Text),
    Column("session", Text),
    Column("chat", Text),
    Column("message_id", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    PrimaryKeyConstraint("tenant", "media_id", name="media_refs_pk"),
    Index("media_refs_object", "tenant", "sha256"),
    Index("media_refs_chat", "tenant", "chat"),
    Index("media_refs_message", "tenant", "message_id"),
    Index("media_refs_expiry", "expires_at"),
)
"""Who holds an object: an upload, or a message of a chat. The object goes when nobody holds it."""

media_uploads = Table(
    "media_uploads",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("upload_id", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("asked", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "upload_id", name="media_uploads_pk"),
    Index("media_uploads_time", "created_at"),
)
"""Files that are coming in parts; `asked` is what `media.begin` said, as JSON."""

media_leftovers = Table(
    "media_leftovers",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("object_key", Text, nullable=False),
    Column("remove_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "object_key", name="media_leftovers_pk"),
    Index("media_leftovers_time", "remove_at"),
)
"""Objects to remove: named here before they are written, taken out when a row of `media` adopts them."""

media_fetches = Table(
    "media_fetches",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("media_id", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("chat", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "media_id", name="media_fetches_pk"),
    Index("media_fetches_due", "tenant", "session", "next_at"),
    Index("media_fetches_chat", "tenant", "chat"),
)
"""Files of messages that WhatsApp still has; `sealed` holds the key that opens them there."""
