"""What the simulated WhatsApp answers to questions about people: everybody is there, but for `settings.absent`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pywhatsweb_fleet.session_worker.engines.port import Action, Done, EngineError
from pywhatsweb_fleet.session_worker.engines.simulated import groups
from pywhatsweb_fleet.session_worker.engines.simulated.account import Account, chat_of, known_person
from pywhatsweb_fleet.session_worker.engines.simulated.settings import SimulatedSettings

ABOUT = "Simulated"

Answer = Callable[[Account, SimulatedSettings, Action], Any]


def _person(action: Action) -> dict[str, Any]:
    to = action.to
    if to is None or not (to.pn or to.lid):
        raise EngineError("E_INVALID_RECIPIENT", "no pn or lid")
    return known_person(to.pn, to.lid)


def _check(_account: Account, settings: SimulatedSettings, action: Action) -> list[dict[str, Any]]:
    found = []
    for number in map(str, action.content.get("numbers", ())):
        exists = number not in settings.absent
        who = known_person(number, None) if exists else {"pn": None, "lid": None}
        found.append({"number": number, "exists": exists, **who})
    return found


def _info(_account: Account, settings: SimulatedSettings, action: Action) -> dict[str, Any]:
    who = _person(action)
    exists = who["pn"] not in settings.absent
    return {"person": who, "exists": exists, "about": ABOUT if exists else None}


def _picture(_account: Account, _settings: SimulatedSettings, action: Action) -> dict[str, Any]:
    _person(action)
    return {"url": None}


def _block(account: Account, _settings: SimulatedSettings, action: Action) -> None:
    who = _person(action)
    account.blocked = {**(account.blocked or {}), who["lid"]: who}


def _unblock(account: Account, _settings: SimulatedSettings, action: Action) -> None:
    lid = _person(action)["lid"]
    account.blocked = {one: who for one, who in (account.blocked or {}).items() if one != lid} or None


def _blocked(account: Account, _settings: SimulatedSettings, _action: Action) -> list[dict[str, Any]]:
    return [*(account.blocked or {}).values()]


def _profile(account: Account, _settings: SimulatedSettings, _action: Action) -> dict[str, Any]:
    me = account.me()
    return {"person": {"pn": me.pn, "lid": me.lid, "name": me.name}, "about": account.about}


def _about(account: Account, _settings: SimulatedSettings, action: Action) -> None:
    account.about = str(action.content.get("about") or "") or None


def _name(account: Account, _settings: SimulatedSettings, action: Action) -> None:
    account.name = str(action.content.get("name") or "") or None


def _nothing(_account: Account, _settings: SimulatedSettings, action: Action) -> None:
    _person(action)


def _marked(_account: Account, _settings: SimulatedSettings, action: Action) -> None:
    if action.to is None or not (action.to.pn or action.to.lid or action.to.group):
        raise EngineError("E_INVALID_RECIPIENT", "no pn, lid or group")


_ANSWERS: dict[str, Answer] = {
    "contact.check": _check,
    "contact.info": _info,
    "contact.picture": _picture,
    "contact.block": _block,
    "contact.unblock": _unblock,
    "contact.blocked": _blocked,
    "profile.get": _profile,
    "profile.about": _about,
    "profile.name": _name,
    "presence.subscribe": _nothing,
    "call.reject": _nothing,
    "chat.archive": _marked,
    "chat.mute": _marked,
    "chat.pin": _marked,
    "chat.mark": _marked,
    "message.star": _marked,
}
ASKS = frozenset((*_ANSWERS, *groups.VERBS))


_SETTINGS = {
    "chat.archive": ("archive", "archived"),
    "chat.mute": ("mute", "muted"),
    "chat.pin": ("pin", "pinned"),
    "chat.mark": ("unread", "unread"),
}


def told_of(action: Action) -> tuple[str, dict[str, Any]] | None:
    """The event by which the account's devices, this one too, hear of a change that one of them made."""
    said, chat = action.content, chat_of(action.to)
    if action.action == "message.star":
        on, whose = bool(said.get("starred", True)), bool(said.get("from_self"))
        mark = {"message_id": str(said.get("message_id")), "mark": "star", "on": on, "from_self": whose}
        return "mark", {"chat": chat, **mark}
    if action.action not in _SETTINGS:
        return None
    change, name = _SETTINGS[action.action]
    on = bool(said.get(name, True))
    return "chat_setting", {
        "chat": chat,
        "change": change,
        "on": on,
        "until": said.get("until") if on else None,
    }


def answer(account: Account, settings: SimulatedSettings, action: Action, now_ms: int) -> Done:
    """Raises EngineError."""
    return Done(action.id, now_ms, _ANSWERS[action.action](account, settings, action))
