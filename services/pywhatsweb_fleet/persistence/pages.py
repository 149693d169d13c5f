"""Messages as they are shown: as sent, with the edits, deletions, files and statuses that came after."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from pywhatsweb.contracts.control_data import StoredMessage
from pywhatsweb.contracts.event_data import Edited, MediaStored, Message
from pywhatsweb.contracts.events import timestamp
from pywhatsweb.errors import ContractError, ErrorCode
from pywhatsweb_fleet.storage import conversation
from pywhatsweb_fleet.storage.conversation import MessageRow

_message = msgspec.json.Decoder(Message).decode
_edited = msgspec.json.Decoder(Edited).decode
_media = msgspec.json.Decoder(MediaStored).decode


def stored(conn: Connection, tenant: str, rows: Sequence[MessageRow]) -> list[StoredMessage]:
    """The messages of the rows, in their order."""
    later: dict[str, list[MessageRow]] = defaultdict(list)
    for row in conversation.about(conn, tenant, [row.message_id for row in rows]):
        if row.target_id is not None:
            later[row.target_id].append(row)
    outbound = [row.message_id for row in rows if row.origin == "outbound"]
    statuses = conversation.statuses_of(conn, tenant, outbound)
    return [
        _stored(
            row,
            later[row.message_id],
            statuses[row.message_id].status if row.message_id in statuses else None,
        )
        for row in rows
    ]


def _stored(row: MessageRow, later: Sequence[MessageRow], status: str | None) -> StoredMessage:
    fields = msgspec.structs.asdict(_message(row.content))
    edited_at = deleted_at = None
    for change in later:
        if change.session != row.session or change.chat != row.chat:
            continue  # another message of the same id
        if change.kind == "edit" and _same_sender(row, change):
            edited = msgspec.structs.asdict(_edited(change.content))
            # The newest content replaces the old one; who, where and when stay the message's own.
            fields |= {name: edited[name] for name in edited if name not in _OWN}
            edited_at = timestamp(change.sent_at)
        elif change.kind == "delete" and (_same_sender(row, change) or fields["chat"].group is not None):
            deleted_at = timestamp(change.sent_at)  # in a group its admins may, too
        elif change.kind == "media":
            fields["media"] = _media(change.content).media
    return StoredMessage(
        **fields, session_id=row.session, status=status if row.origin == "outbound" else None,
        edited_at=edited_at, deleted_at=deleted_at,
    )  # fmt: skip


_OWN = {"id", "chat", "from_", "origin", "from_self", "message_id", "sent_at"}


def _same_sender(row: MessageRow, change: MessageRow) -> bool:
    """Whether a change comes from who sent the message: nobody else may make one."""
    if row.from_self or change.from_self:
        return row.from_self == change.from_self
    by_lid = row.sender_lid is not None and row.sender_lid == change.sender_lid
    return by_lid or (row.sender_pn is not None and row.sender_pn == change.sender_pn)


def milliseconds(time: str | None) -> int | None:
    """A time of an argument. Raises ContractError(E_INVALID_TIMESTAMP)."""
    if time is None:
        return None
    try:
        return round(datetime.fromisoformat(time).timestamp() * 1000)
    except ValueError:
        raise ContractError(ErrorCode.E_INVALID_TIMESTAMP) from None
