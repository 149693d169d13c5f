"""Messages as they are shown: as sent, with the edits, deletions, reactions, files and statuses after."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from pywhatsweb.contracts.control_data import MessageReaction, MessageVote, StoredMessage
from pywhatsweb.contracts.event_data import Edited, MediaStored, Message, Pinned, PollVote, Reacted
from pywhatsweb.contracts.events import timestamp
from pywhatsweb.errors import ContractError, ErrorCode
from pywhatsweb_fleet.storage import conversation
from pywhatsweb_fleet.storage.conversation import MessageRow

_message = msgspec.json.Decoder(Message).decode
_edited = msgspec.json.Decoder(Edited).decode
_media = msgspec.json.Decoder(MediaStored).decode
_reacted = msgspec.json.Decoder(Reacted).decode
_vote = msgspec.json.Decoder(PollVote).decode
_pinned = msgspec.json.Decoder(Pinned).decode


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
    pin: MessageRow | None
    reactions: list[MessageRow]
    votes: list[MessageRow]


def _later(conn: Connection, tenant: str, rows: Sequence[MessageRow]) -> dict[str, list[MessageRow]]:
    later: dict[str, list[MessageRow]] = defaultdict(list)
    # WhatsApp's times are whole seconds: within one, the order of the telling counts.
    told = conversation.about(conn, tenant, [row.message_id for row in rows])
    for row in sorted(told, key=lambda row: (row.sent_at, row.recorded_at, row.event_id)):
        if row.target_id is not None:
            later[row.target_id].append(row)
    return later


def _statuses(conn: Connection, tenant: str, rows: Sequence[MessageRow]) -> dict[str, str]:
    outbound = [row.message_id for row in rows if row.origin == "outbound"]
    known = conversation.statuses_of(conn, tenant, outbound)
    return {message_id: row.status for message_id, row in known.items()}


def _changes(row: MessageRow, later: dict[str, list[MessageRow]]) -> _Changes:
    edit = deletion = file = pin = None
    reactions: list[MessageRow] = []
    votes: list[MessageRow] = []
    for change in later[row.message_id]:
        if change.session != row.session or change.chat != row.chat:
            continue  # another message of the same id
        if change.kind == "edit" and _same_sender(row, change):
            edit = change
        elif change.kind == "delete" and (_same_sender(row, change) or _in_group(row)):
            deletion = change  # in a group its admins may, too
        elif change.kind == "media":
            file = change
        elif change.kind == "pin":
            pin = change
        elif change.kind == "reaction":
            reactions.append(change)
        elif change.kind == "poll_vote":
            votes.append(change)
    return _Changes(edit, deletion, file, pin, _of_each(reactions), _of_each(votes))


def _of_each(rows: Sequence[MessageRow]) -> list[MessageRow]:
    """The last that each person did; one may be known by number, by LID, or by both."""
    names: dict[str, str] = {}
    newest: dict[str, MessageRow] = {}
    for row in rows:
        known = ["self"] if row.from_self else [f"lid:{row.sender_lid}"] * bool(row.sender_lid)
        if row.sender_pn and not row.from_self:
            known.append(f"pn:{row.sender_pn}")
        name = next((names[one] for one in known if one in names), row.event_id)
        names.update(dict.fromkeys(known, name))
        newest[name] = row
    return list(newest.values())


def _in_group(row: MessageRow) -> bool:
    return _message(row.content).chat.group is not None


def _stored(row: MessageRow, changes: _Changes, status: str | None) -> StoredMessage:
    fields = msgspec.structs.asdict(_message(row.content))
    edit, deletion, file, *_ = changes
    if edit is not None:
        edited = msgspec.structs.asdict(_edited(edit.content))
        # The newest content replaces the old one; who, where and when stay the message's own.
        fields |= {name: edited[name] for name in edited if name not in _OWN}
    if file is not None:
        fields["media"] = _media(file.content).media
    fields |= _pin(changes.pin)
    return StoredMessage(
        **fields, session_id=row.session, status=status if row.origin == "outbound" else None,
        edited_at=timestamp(edit.sent_at) if edit else None,
        deleted_at=timestamp(deletion.sent_at) if deletion else None,
        reactions=_reactions(changes.reactions), votes=_votes(changes.votes),
    )  # fmt: skip


def _reactions(rows: Sequence[MessageRow]) -> list[MessageReaction]:
    told = [_reacted(row.content) for row in rows]
    return [
        MessageReaction(emoji=one.emoji, from_=one.from_, from_self=one.from_self, sent_at=one.sent_at)
        for one in told
        if one.emoji
    ]


def _votes(rows: Sequence[MessageRow]) -> list[MessageVote]:
    told = [_vote(row.content) for row in rows]
    return [
        MessageVote(options=one.options, from_=one.from_, from_self=one.from_self, sent_at=one.sent_at)
        for one in told
        if one.options
    ]


def _pin(row: MessageRow | None) -> dict[str, str | None]:
    told = _pinned(row.content) if row is not None else None
    if row is None or told is None or not told.pinned:
        return {}
    until = None if told.seconds is None else timestamp(row.sent_at + 1000 * told.seconds)
    return {"pinned_at": told.sent_at, "pinned_until": until}


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
