"""What ``pww send`` sends: a text, a template, a file, or any type of the contract."""

from __future__ import annotations

import json
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from pywhatsweb_fleet.cli import exits
from pywhatsweb_fleet.cli.once import assignments

if TYPE_CHECKING:
    from pywhatsweb.client.control import Asker
    from pywhatsweb_fleet.cli.link import Link

Kind = Literal[
    "text", "image", "video", "audio", "voice", "document", "sticker", "location", "contacts", "poll", "interactive",
    "reaction", "event",
]  # fmt: skip
_FILES = ("image", "video", "audio", "voice", "document", "sticker")
_CAPTIONED = ("image", "video", "document")


class Wish(NamedTuple):
    """What the command line says."""

    text: str | None
    type: Kind | None
    content: str | None
    file: Path | None
    template: str | None
    language: str
    var: list[str] | None


def compose(wish: Wish) -> dict[str, Any]:
    """``type`` and its field; of a `Wish.file` without the file itself. Raises CommandError."""
    ways = [wish.content, wish.file, wish.template]
    if sum(way is not None for way in ways) > 1:
        raise exits.CommandError(
            "--content, --file and --template exclude each other.", exit_code=exits.USAGE
        )
    if wish.template is not None:
        return _template(wish)
    kind = wish.type or (_kind_of(wish.file) if wish.file is not None else "text")
    if wish.file is not None:
        return {"type": kind, kind: _about(wish, kind)}
    if wish.content is not None:
        return {"type": kind, kind: _json(wish.content)}
    if kind != "text" or wish.text is None:
        needed = "--file or --content" if kind in _FILES else "--content" if kind != "text" else "a text"
        raise exits.CommandError(f"{kind} needs {needed}.", exit_code=exits.USAGE)
    return {"type": "text", "text": {"body": wish.text}}


async def attach(link: Link, wish: Wish, command: dict[str, Any]) -> None:
    """Stores the wish's file and names it in the command. Raises CommandError."""
    if wish.file is None:
        return
    import msgspec

    from pywhatsweb.client.media import MediaFiles
    from pywhatsweb.errors import MediaError
    from pywhatsweb_fleet.cli.link import refused
    from pywhatsweb_fleet.cli.media import Asking

    kind = command["type"]
    try:
        stored = await MediaFiles(cast("Asker", Asking(link))).put(
            wish.file, kind=None if kind == "voice" else kind
        )
    except MediaError as error:
        raise refused(msgspec.to_builtins(error.body)) from None
    command[kind]["id"] = stored.id


def _template(wish: Wish) -> dict[str, Any]:
    if wish.text is not None:
        raise exits.CommandError("a text, or --template, one of both.", exit_code=exits.USAGE)
    named = {
        "name": wish.template,
        "language": {"code": wish.language},
        "variables": assignments("--var", wish.var),
    }
    return {"type": "template", "template": named}


def _kind_of(file: Path) -> Kind:
    guessed = (mimetypes.guess_type(file.name)[0] or "").partition("/")[0]
    return cast("Kind", guessed) if guessed in ("image", "video", "audio") else "document"


def _about(wish: Wish, kind: Kind) -> dict[str, Any]:
    if kind not in _FILES or wish.file is None:
        raise exits.CommandError(f"a file is no {kind}.", exit_code=exits.USAGE)
    if wish.text is not None and kind not in _CAPTIONED:
        raise exits.CommandError(f"{kind} has no caption.", exit_code=exits.USAGE)
    caption = {} if wish.text is None else {"caption": wish.text}
    return caption | ({"filename": wish.file.name} if kind == "document" else {})


def _json(content: str) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise exits.CommandError(f"--content is not JSON: {error}", exit_code=exits.USAGE) from None
