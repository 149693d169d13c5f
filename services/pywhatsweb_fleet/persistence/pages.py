"""Messages as they are shown: as sent, with the edits, deletions, files and statuses that came after."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

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
    later = _later(conn, tenant, rows)
    statuses = _statuses(conn, tenant, rows)
    return [_stored(row, _changes(row, later), statuses.get(row.message_id)) for row in rows]


def matching(conn: Connection, tenant: str, hits: Sequence[MessageRow]) -> list[StoredMessage]:
    """The messages whose present text is a hit's: not one that an edit replaced, nor of a deleted message."""
    edited = [row.target_id for row in hits if row.kind == "edit" and row.target_id is not None]
    originals: dict[str, list[MessageRow]] = defaultdict(list)
    for row in conversation.by_ids(conn, tenant, edited):
        if row.kind == "message":
            originals[row.message_id].append(row)
    pairs = [(hit, hit) for hit in hits if hit.kind == "message"]
    pairs += [
        (hit, row)
        for hit in hits
        if hit.kind == "edit"
        for row in originals[hit.target_id or ""]
        if (row.session, row.chat) == (hit.session, hit.chat) and _same_sender(row, hit)
    ]
    place = {hit.event_id: at for at, hit in enumerate(hits)}
    pairs.sort(key=lambda pair: place[pair[0].event_id])
    rows = [row for _, row in pairs]
    later = _later(conn, tenant, rows)
    statuses = _statuses(conn, tenant, rows)
    found = []
    for hit, row in pairs:
        changes = _changes(row, later)
        present = changes.edit or row
        if changes.deletion is None and present.event_id == hit.event_id:
            found.append(_stored(row, changes, statuses.get(row.message_id)))
    return found


class _Changes(NamedTuple):
    """What counts of what came after a message."""

    edit: MessageRow | None
    deletion: MessageRow | None
    file: MessageRow | None


def _later(conn: Connection, tenant: str, rows: Sequence[MessageRow]) -> dict[str, list[MessageRow]]:
    later: dict[str, list[MessageRow]] = defaultdict(list)
    for row in conversation.about(conn, tenant, [row.message_id for row in rows]):
        if row.target_id is not None:
            later[row.target_id].append(row)
    return later


def _statuses(conn: Connection, tenant: str, rows: Sequence[MessageRow]) -> dict[str, str]:
    outbound = [row.message_id for row in rows if row.origin == "outbound"]
    known = conversation.statuses_of(conn, tenant, outbound)
    return {message_id: row.status for message_id, row in known.items()}


def _changes(row: MessageRow, later: dict[str, list[MessageRow]]) -> _Changes:
    edit = deletion = file = None
    for change in later[row.message_id]:
        if change.session != row.session or change.chat != row.chat:
            continue  # another message of the same id
        if change.kind == "edit" and _same_sender(row, change):
            edit = change
        elif change.kind == "delete" and (_same_sender(row, change) or _in_group(row)):
            deletion = change  # in a group its admins may, too
        elif change.kind == "media":
            file = change
    return _Changes(edit, deletion, file)


def _in_group(row: MessageRow) -> bool:
    return _message(row.content).chat.group is not None


def _stored(row: MessageRow, changes: _Changes, status: str | None) -> StoredMessage:
    fields = msgspec.structs.asdict(_message(row.content))
    edit, deletion, file = changes
    if edit is not None:
        edited = msgspec.structs.asdict(_edited(edit.content))
        # The newest content replaces the old one; who, where and when stay the message's own.
        fields |= {name: edited[name] for name in edited if name not in _OWN}
    if file is not None:
        fields["media"] = _media(file.content).media
    return StoredMessage(
        **fields, session_id=row.session, status=status if row.origin == "outbound" else None,
        edited_at=timestamp(edit.sent_at) if edit else None,
        deleted_at=timestamp(deletion.sent_at) if deletion else None,
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
