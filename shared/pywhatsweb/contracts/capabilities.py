"""What engines differ in: the names under which they declare what they can do, and which of them a command needs.

| names | what |
|---|---|
| ``text``, ``image``, … | a `type` of the send command |
| ``interactive.button``, … | a `type` of an interactive message |
| ``edit``, ``delete``, ``react``, … | a verb |
| ``view_once``, ``mentions``, ``gif``, … | how a message is sent, beside its type (`FEATURES`) |
| ``status_post.text``, ``channel_post.delete``, … | a `type` or verb, in a place (`contracts.places`) |
| ``group.create``, ``profile.get``, … | what a live session is asked (`contracts.live`) |

A template needs nothing itself: the fleet makes another kind of message of it, and looks at that one's needs.
"""

from __future__ import annotations

from typing import Any

from pywhatsweb.contracts import commands, live, places
from pywhatsweb.contracts import interactive as i

_INTERACTIVE = {
    str(kind.__struct_config__.tag): f"interactive.{kind.__struct_config__.tag}"
    for kind in i.Interactive.__args__
}
KINDS = frozenset((*(commands.SEND_TYPES.keys() - {"interactive", "template"}), *_INTERACTIVE.values()))
VERBS = frozenset(commands.COMMANDS.keys() - {"send", "cancel"})
FEATURES = frozenset((
    "reply", "view_once", "gif", "mentions", "link_preview", "disappear_after", "media_header", "delete_for_me",
    "message_labels", "status_audience", "group_approval", "group_disappearing",
))  # fmt: skip
"""``media_header``: a file above an interactive message; ``delete_for_me``: a deletion that is not for everyone;
``message_labels``: a label on one message of a chat;
``status_audience``: who may see a status is chosen by whoever posts it, not by the phone's settings;
``group_approval``, ``group_disappearing``: those settings of a group can be changed."""
_MEDIA_HEADERS = (i.ImageHeader, i.VideoHeader, i.DocumentHeader)
POSTS = frozenset(
    f"{place}_post.{what}"
    for place in ("status", "channel")
    for what in (
        "text",
        "image",
        "video",
        "voice",
        "audio",
        "document",
        "sticker",
        "poll",
        "edit",
        "edit_caption",
        "delete",
    )
)
"""Only these are ever posted. ``edit_caption``: the words of a file that was posted."""
LIVE = frozenset(live.VERBS)
ALL = KINDS | VERBS | FEATURES | POSTS | LIVE


def needs(verb: str, command: commands.AnyCommand) -> tuple[str, ...]:
    """The names that an engine has to declare for `command`, the most telling first."""
    if (place := places.place_of(getattr(command, "to", None))) is not None:
        return _of_post(place, verb, command)
    if isinstance(command, commands.SendCommand):
        return _of_send(command)
    if verb == "cancel":
        return ()
    if isinstance(command, commands.Delete) and not command.for_everyone:
        return ("delete_for_me",)
    return (verb,)


def _of_send(command: commands.SendCommand) -> tuple[str, ...]:
    kind, content = commands.send_type(command), commands.content_of(command)
    if kind == "template":
        return ()
    if kind == "interactive":
        kind = _INTERACTIVE[str(content.__struct_config__.tag)]
    return (kind, *_features(command, content))


def _of_post(place: places.Place, verb: str, command: commands.AnyCommand) -> tuple[str, ...]:
    chosen = ("status_audience",) if getattr(command, "audience", None) else ()
    if isinstance(command, commands.SendCommand):
        content = commands.content_of(command)
        return (f"{place.kind}_post.{commands.send_type(command)}", *_features(command, content), *chosen)
    if isinstance(command, commands.Delete) and not command.for_everyone:
        verb = "delete_for_me"
    if isinstance(command, commands.Edit) and command.type != "text":
        verb = "edit_caption"
    return (f"{place.kind}_post.{verb}", *chosen)


def _features(command: commands.SendCommand, content: Any) -> tuple[str, ...]:
    asked = {
        "reply": command.context is not None,
        "view_once": getattr(content, "view_once", False),
        "gif": getattr(content, "gif", False),
        "mentions": getattr(content, "mentions", ()),
        "link_preview": getattr(content, "preview", None),
        "disappear_after": command.disappear_after,
        "media_header": isinstance(getattr(content, "header", None), _MEDIA_HEADERS),
    }
    return tuple(name for name, wanted in asked.items() if wanted)
