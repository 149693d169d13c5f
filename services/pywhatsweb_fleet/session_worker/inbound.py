"""From an engine's event to the fleet's: the contract's Struct, chat key, stable id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts import history_data as hd
from pywhatsweb.contracts import label_data as lb
from pywhatsweb.contracts.events import Origin, timestamp
from pywhatsweb_fleet.session_worker.fenced import FencedEvents
from pywhatsweb_fleet.session_worker.outcomes import error_of


class Told(NamedTuple):
    """An event ready to be published. ``parts`` make its id stable; empty for what cannot be told twice."""

    kind: str
    data: Any
    chat: d.Chat | None
    parts: tuple[str, ...]


_CONTENTS: dict[str, type[d.Contents]] = {"message": d.Message, "edit": d.Edited, "post": d.Post}
_DATA: dict[str, type[d.Data]] = {
    "reaction": d.Reacted,
    "delete": d.Deleted,
    "presence": d.PresenceState,
    "contact": d.ContactSeen,
    "group": d.GroupChange,
    "call": d.Call,
    "poll_vote": d.PollVote,
    "pin": d.Pinned,
    "chat_setting": d.ChatSetting,
    "mark": d.Marked,
    "label": lb.LabelChange,
}
_TIMES = ("sent_at", "at", "last_seen_at", "until")
_NOT_STABLE = ("presence", "contact", "group", "chat_setting", "mark", "label")


def tell(events: FencedEvents, kind: str, raw: Mapping[str, Any]) -> Told | None:
    """The event for what an engine reported; None for a kind that this version does not know.

    Raises msgspec.ValidationError when the data does not fit its kind.
    """
    if kind == "undecryptable":
        return _undecryptable(events, raw)
    if kind == "history":
        return _history(events, raw)
    if kind not in _DATA and kind not in _CONTENTS:
        return None
    data = dict(raw)
    chat = events.chat(data.get("chat"))
    if chat is not None:
        data["chat"] = msgspec.to_builtins(chat)
    elif kind == "group" and data.get("group"):
        chat = events.chat({"group": data["group"]})
        data["chat"] = msgspec.to_builtins(chat)
    for name in _TIMES:
        if isinstance(data.get(name), int):
            data[name] = timestamp(data[name])
    if "from_self" in data:
        data["origin"] = Origin.OUTBOUND.value if data["from_self"] else Origin.INBOUND.value
    if kind == "post" and data.get("media"):
        data["media"] = {name: value for name, value in data["media"].items() if name != "source"}
    value = d.from_engine(_CONTENTS[kind], data) if kind in _CONTENTS else msgspec.convert(data, _DATA[kind])
    parts = (
        ()
        if kind in _NOT_STABLE
        else (kind, chat.key if chat else "-", str(raw["id"]), _told_by(raw) + str(raw.get("state", "")))
    )
    return Told(kind, value, chat, parts)


def _told_by(raw: Mapping[str, Any]) -> str:
    """In a group, among statuses and in channels ids are each sender's own: one could hide another's message."""
    if raw.get("from_self") or not ("place" in raw or (raw.get("chat") or {}).get("group")):
        return ""
    sender = raw.get("from") or {}
    return str(sender.get("lid") or sender.get("pn") or raw.get("channel") or "")


def _undecryptable(events: FencedEvents, raw: Mapping[str, Any]) -> Told:
    chat = events.chat(raw.get("chat"))
    data = d.Alert(
        kind="undecryptable",
        error=error_of("E_UNDECRYPTABLE"),
        chat=chat,
        message_id=str(raw.get("id")),
        details={"reason": str(raw.get("reason", ""))},
    )
    return Told("alert", data, chat, ("undecryptable", chat.key if chat else "-", str(raw.get("id"))))


def _history(events: FencedEvents, raw: Mapping[str, Any]) -> Told:
    chat = events.chat(raw.get("chat"))
    oldest = dict(raw.get("oldest") or {})
    at, code = oldest.pop("at", 0), raw.get("code")
    fields = {
        **raw,
        "chat": chat,
        "oldest": {**oldest, "sent_at": timestamp(at)} if oldest else None,
        "error": error_of(code) if code else None,
        "sent_at": timestamp(raw["at"]),
    }
    part = msgspec.convert(msgspec.to_builtins(fields), hd.HistoryPart)
    return Told("history", part, chat, ("history", chat.key if chat else "-", part.id))
