"""What a session sent or changed, as the events that tell it to whoever did not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts.events import Origin
from pywhatsweb.contracts.places import Place, place_of
from pywhatsweb.contracts.queued import Queued
from pywhatsweb_fleet.session_worker.attaching import KINDS as FILE_KINDS
from pywhatsweb_fleet.session_worker.attaching import OURS
from pywhatsweb_fleet.session_worker.engines import port
from pywhatsweb_fleet.session_worker.outcomes import recipient_of

Fields = dict[str, Any]
Told = tuple[str, Any]
"""An event's kind and data."""


def message(
    queued: Queued,
    body: Mapping[str, Any],
    me: port.Person | None,
    *,
    at: str,
    message_id: str,
    media: d.MediaFile | None,
) -> Told:
    """What the recipient sees, without the bytes of a file. ``at``: ISO-8601."""
    kind = str(body["type"])
    content = body.get(kind)
    if kind in FILE_KINDS and isinstance(content, dict):
        content = {name: value for name, value in content.items() if name not in OURS}
    fields = _base(queued, me, at, message_id) | {"type": kind, kind: content}
    if (place := _place(queued)) is not None:
        return _posted(queued, place, fields | {"media": media})
    context = _context(queued, body.get("context"))
    return "message", d.Message(**fields, context=context, media=media, command_id=queued.command_id)


def change(
    queued: Queued, body: Mapping[str, Any], me: port.Person | None, *, at: str, message_id: str
) -> Told | None:
    """What the command did to a message; None for one that nobody else sees."""
    made = _CHANGES.get(queued.verb)
    if made is None or body.get("for_everyone") is False:
        return None
    base = _base(queued, me, at, message_id) | {"message_id": str(body["message_id"])}
    if (place := _place(queued)) is not None:
        return _posted(
            queued, place, base | (_contents(body) if queued.verb == "edit" else {"type": "deleted"})
        )
    return made(base, body)


def _base(queued: Queued, me: port.Person | None, at: str, message_id: str) -> Fields:
    return {
        "id": message_id,
        "chat": d.Chat(key=queued.chat, **recipient_of(queued)),
        "from_": d.Person(pn=me.pn, lid=me.lid, name=me.name) if me else d.Person(),
        "origin": Origin.OUTBOUND,
        "from_self": True,
        "sent_at": at,
    }


def _place(queued: Queued) -> Place | None:
    return place_of(recipient_of(queued).get("group"))


def _posted(queued: Queued, place: Place, fields: Fields) -> Told:
    """What a place's followers see: it is in no chat."""
    del fields["chat"]
    channel = place.id if place.kind == "channel" else None
    return "post", d.Post(**fields, place=place.kind, channel=channel, command_id=queued.command_id)


def _context(queued: Queued, context: object) -> d.MessageContext | None:
    if queued.verb == "forward":
        return d.MessageContext(forwarded=True)
    return d.MessageContext(message_id=context.get("message_id")) if isinstance(context, dict) else None


def _contents(body: Mapping[str, Any]) -> Fields:
    kind = str(body.get("type", "text"))
    return {"type": kind, kind: body.get(kind)}


def _edited(base: Fields, body: Mapping[str, Any]) -> Told:
    return "edit", d.Edited(**base, **_contents(body))


def _deleted(base: Fields, _body: Mapping[str, Any]) -> Told:
    return "delete", d.Deleted(**base)


def _reacted(base: Fields, body: Mapping[str, Any]) -> Told:
    return "reaction", d.Reacted(**base, emoji=str(body.get("emoji", "")))


def _voted(base: Fields, body: Mapping[str, Any]) -> Told:
    return "poll_vote", d.PollVote(**base, options=list(body.get("options") or ()))


def _pinned(base: Fields, body: Mapping[str, Any]) -> Told:
    pinned = body.get("pinned", True) is not False
    return "pin", d.Pinned(**base, pinned=pinned, seconds=body.get("seconds", 604_800) if pinned else None)


_CHANGES: Final[dict[str, Callable[[Fields, Mapping[str, Any]], Told]]] = {
    "edit": _edited,
    "delete": _deleted,
    "react": _reacted,
    "pin": _pinned,
    "vote": _voted,
}
