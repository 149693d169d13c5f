"""``pww template …``: texts with variables, in several languages. ``pww send --template`` sends them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.once import ask, assignments
from pywhatsweb_fleet.cli.options import Answer, Connection, Several

app = App(
    name="template",
    help="Store texts with variables, in several languages; see and preview them.",
    result_action="return_value",
)

Name = Annotated[str, Parameter(help="The template.")]
Language = Annotated[str | None, Parameter(help="Needed where there are several.")]


@app.command
def put(
    name: str,
    body: str | None = None,
    /,
    *,
    language: str,
    file: Path | None = None,
    header: str | None = None,
    media: Literal["image", "video", "document"] | None = None,
    media_id: str | None = None,
    link: str | None = None,
    footer: str | None = None,
    button: Several = None,
    button_link: str | None = None,
    default: Several = None,
    example: Several = None,
    by: str | None = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Store a template in one language, or replace it there.

    Parameters
    ----------
    name
        Lower-case letters, digits and _.
    body
        The text, with variables by number ({{1}}) or by name ({{cliente}}).
    language
        Such as pt_BR.
    file
        A JSON file with header, body, footer, buttons, defaults and examples instead.
    header
        A line in bold above the text.
    media
        A file above the text, of this kind; each command brings it, unless one is named here.
    media_id
        A stored file (pww media put).
    link
        A file by its https address.
    footer
        A line below the text.
    button
        What one can answer with, up to three: the text, or text=id; the id comes back with the answer.
    button_link
        Instead of those, text=https://… of a page; the address may have variables.
    default
        name=value, where a command brings none.
    example
        name=value, for previews.
    by
        Who does it.
    """
    if (body is None) == (file is None):
        raise exits.CommandError("the text, or --file, one of both.", exit_code=exits.USAGE)
    said = (
        _read(file) if file is not None else {"body": body, "header": _header(header, media, media_id, link)}
    )
    more = {
        "footer": footer,
        "buttons": _buttons(button, button_link),
        "defaults": assignments("--default", default) or None,
        "examples": assignments("--example", example) or None,
    }
    said |= {key: value for key, value in more.items() if value is not None}
    return _tell(ask(where, "template.put", **{**said, "name": name, "language": language, "by": by}), form)


@app.command(name="list")
def list_(
    *, name: str | None = None, limit: int = 500, where: Connection = None, form: Answer = "human"
) -> int:
    """List the tenant's templates.

    Parameters
    ----------
    name
        Only this one, in each language.
    limit
        How many, at most 500.
    """
    found = ask(where, "template.list", name=name, limit=limit)["templates"]
    columns = ("NAME", "LANGUAGE", "VARIABLES", "BODY")
    show.listing(
        form, found, "No templates.", columns,
        lambda one: (one["name"], one["language"], ", ".join(one["variables"]), _line(one["body"])),
    )  # fmt: skip
    return exits.OK


@app.command(name="show")
def show_(
    name: Name, /, *, language: Language = None, where: Connection = None, form: Answer = "human"
) -> int:
    """Show a template."""
    return _tell(ask(where, "template.get", name=name, language=language), form)


@app.command
def delete(
    name: Name,
    /,
    *,
    language: str | None = None,
    by: str | None = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Forget a template.

    Parameters
    ----------
    language
        Only in this language; otherwise in all.
    by
        Who does it.
    """
    gone = ask(where, "template.delete", name=name, language=language, by=by)
    if form == "json":
        show.json_line(gone)
    else:
        print(f"{gone['name']}: {', '.join(gone['languages'])} forgotten.")
    return exits.OK


@app.command
def preview(
    name: Name,
    /,
    *,
    language: Language = None,
    var: Several = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Show what would be sent; without values, with the template's own examples.

    Parameters
    ----------
    var
        name=value, or number=value.
    """
    variables = assignments("--var", var) or None
    found = ask(where, "template.preview", name=name, language=language, variables=variables)
    if form == "json":
        show.json_line(found)
        return exits.OK
    content = dict(found["content"])
    if found["type"] == "interactive":
        _frame(content)
        return exits.OK
    text = content.pop("body", None) or content.pop("caption", "")
    show.pairs({"type": found["type"], **content})
    print(text)
    return exits.OK


def _frame(content: dict[str, Any]) -> None:
    """An interactive message, its buttons last."""
    header, footer = content.get("header") or {}, content.get("footer") or {}
    show.pairs({"type": content["type"], "header": header.get("text") or header.get("type")})
    print(content["body"]["text"])
    if footer:
        print(show.dim(footer["text"]))
    action = content["action"]
    for one in action.get("buttons", ()):
        print(f"[{one['reply']['title']}]  {show.dim(one['reply']['id'])}")
    if "parameters" in action:
        print(f"[{action['parameters']['display_text']}]  {show.dim(action['parameters']['url'])}")


def _buttons(replies: list[str] | None, link: str | None) -> list[dict[str, str]] | None:
    if replies and link:
        raise exits.CommandError("up to three replies, or one link.", exit_code=exits.USAGE)
    if link:
        ((text, url),) = assignments("--button-link", [link]).items()
        return [{"type": "url", "text": text, "url": url}]
    parted = (one.partition("=") for one in replies or ())
    return [
        {"type": "reply", "text": text, **({"id": name} if name else {})} for text, _, name in parted
    ] or None


def _header(
    text: str | None, media: str | None, media_id: str | None, link: str | None
) -> dict[str, Any] | None:
    if media is None:
        if media_id or link:
            raise exits.CommandError("--media says what kind of file it is.", exit_code=exits.USAGE)
        return None if text is None else {"type": "text", "text": text}
    if text is not None:
        raise exits.CommandError("a header is a text or a file, not both.", exit_code=exits.USAGE)
    file = {key: value for key, value in (("id", media_id), ("link", link)) if value is not None}
    return {"type": media, **({"file": file} if file else {})}


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise exits.CommandError(
            f"{file} cannot be read ({error.strerror}).", exit_code=exits.USAGE
        ) from None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise exits.CommandError(f"{file} is not a JSON object.", exit_code=exits.USAGE)
    return found


def _line(text: str) -> str:
    return " ".join(text.split())


def _tell(one: dict[str, Any], form: Answer) -> int:
    if form == "json":
        show.json_line(one)
        return exits.OK
    header = one["header"] or {}
    show.pairs(
        {
            "name": one["name"],
            "language": one["language"],
            "version": one["version"],
            "changed": one["changed_at"],
            "by": one["changed_by"],
            "header": header.get("text") or header.get("type"),
            "variables": ", ".join(one["variables"]),
            "defaults": _pairs(one["defaults"]),
            "examples": _pairs(one["examples"]),
            "footer": one["footer"],
            "buttons": ", ".join(_button(button) for button in one["buttons"]),
        }
    )
    print(one["body"])
    return exits.OK


def _button(one: dict[str, Any]) -> str:
    """As `put` takes it."""
    told = one.get("url") or one.get("id")
    return f"{one['text']}={told}" if told else str(one["text"])


def _pairs(values: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
