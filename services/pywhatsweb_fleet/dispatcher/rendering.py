"""A stored template and a command's values to what is sent: pure, and the same for the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import msgspec

from pywhatsweb.contracts import capabilities, codec, commands
from pywhatsweb.contracts import interactive as i
from pywhatsweb.contracts import template_data as t
from pywhatsweb.errors import ContractError, ErrorCode

Values = Mapping[str, Mapping[str, str]]
"""Of `header` and `body`, by the variables' names."""
_FILES: Final = {"image": i.ImageParameter, "video": i.VideoParameter, "document": i.DocumentParameter}


class Rendered(NamedTuple):
    """A send command's `type` and its content."""

    type: str
    content: dict[str, Any]


def render(text: t.TemplateText, wish: i.Template) -> Rendered:
    """Raises ContractError: E_TEMPLATE_VARIABLE, E_INVALID_TEMPLATE, or a limit that the whole is beyond."""
    given = _given(text, wish)
    header = text.header
    heading = header.text or "" if header is not None else ""
    file = None
    if header is not None and header.type != "text":
        file = _file(header, given.pop("header"))
    line = _filled("header", heading, given.get("header", ()), text, wish)
    body = _filled("body", text.body, given["body"], text, wish)
    _no_stranger(wish.variables, {name for words in t.texts_of(text) for name in t.variables_of(words)})
    if text.buttons:
        frame: dict[str, Any] = {"body": {"text": body}}
        if line:
            frame["header"] = {"type": "text", "text": line}
        if file is not None and header is not None:
            frame["header"] = {"type": header.type, header.type: file}
        if text.footer:
            frame["footer"] = {"text": text.footer}
        return _checked(Rendered("interactive", {**frame, **_action(text, given, wish)}))
    whole = "\n\n".join(
        part
        for part in (f"*{line}*" if line else "", body, f"_{text.footer}_" if text.footer else "")
        if part
    )
    if file is None or header is None:
        return _checked(Rendered("text", {"body": whole}))
    return _checked(Rendered(header.type, {**file, "caption": whole}))


def needs(body: bytes) -> tuple[str, ...]:
    """What an engine has to be capable of for a command that `rewrite` made."""
    return capabilities.needs("send", commands.parse("send", body))


def rewrite(body: bytes, rendered: Rendered) -> bytes:
    """A command's body with what is sent in its template's place; whatever else it says stays."""
    fields: dict[str, Any] = codec.decode(body, dict[str, Any])
    del fields["template"]
    fields |= {"type": rendered.type, rendered.type: rendered.content}
    return codec.encode(fields, codec.form_of(body))


def _given(text: t.TemplateText, wish: i.Template) -> dict[str, list[i.TemplateParameter]]:
    """The command's parameters: of ``header``, ``body``, and of each button by its place, as ``button 0``."""
    parts: dict[str, list[i.TemplateParameter]] = {"header": [], "body": []}
    parts |= {f"button {at}": [] for at in range(len(text.buttons))}
    for at, component in enumerate(wish.components):
        button = component.type == "button"
        part = parts.get(f"button {component.index or 0}" if button else component.type)
        if part is not None:
            part += component.parameters
        elif component.parameters:
            raise _refused(f"$.template.components[{at}]", "the template has nothing to fill there")
    return parts


def _action(
    text: t.TemplateText, given: Mapping[str, Sequence[i.TemplateParameter]], wish: i.Template
) -> dict[str, Any]:
    """Of an interactive message, with its type."""
    first = text.buttons[0]
    if first.url is not None:
        url = _filled("button", first.url, given["button 0"], text, wish, _encoded)
        action = {"name": "cta_url", "parameters": {"display_text": first.text, "url": url}}
        return {"type": "cta_url", "action": action}
    replies = [
        {"id": _payload(given[f"button {at}"], at) or button.id or button.text, "title": button.text}
        for at, button in enumerate(text.buttons)
    ]
    return {"type": "button", "action": {"buttons": [{"type": "reply", "reply": one} for one in replies]}}


def _payload(given: Sequence[i.TemplateParameter], at: int) -> str | None:
    """What a reply comes back with, where the command says it."""
    if not given:
        return None
    if len(given) > 1 or not isinstance(given[0], i.PayloadParameter):
        raise _refused("$.template.components.button", "a reply has one payload", index=at)
    return given[0].payload


def _encoded(value: str) -> str:
    return quote(value, safe="/")


def _filled(  # noqa: PLR0917 - one text, and where its values come from
    part: str,
    words: str,
    given: Sequence[i.TemplateParameter],
    text: t.TemplateText,
    wish: i.Template,
    written: Callable[[str], str] = str,
) -> str:
    names = t.variables_of(words)
    own: dict[str, str] = {}
    for at, parameter in enumerate(given):
        name = getattr(parameter, "parameter_name", None) or str(at + 1)
        own[name] = _value(parameter, f"$.template.components.{part}.parameters[{at}]")
    _no_stranger(own, names)
    values = {**text.defaults, **wish.variables, **own}
    try:
        return t.fill(words, {name: written(value) for name, value in values.items()})
    except KeyError as missing:
        details = {"variable": str(missing.args[0]), "component": part}
        raise ContractError(ErrorCode.E_TEMPLATE_VARIABLE, details) from None


def _value(parameter: i.TemplateParameter, path: str) -> str:
    match parameter:
        case i.TextParameter():
            return parameter.text
        case i.CurrencyParameter():
            return parameter.currency.fallback_value
        case i.DateTimeParameter():
            return parameter.date_time.fallback_value
    raise _refused(path, "a text has text, currency and date_time parameters")


def _file(header: t.TemplateHeader, given: Sequence[i.TemplateParameter]) -> dict[str, Any]:
    """The content of the file above the text: the command's, else the template's own."""
    kind = header.type
    if len(given) > 1 or any(not isinstance(one, _FILES[kind]) for one in given):
        raise _refused("$.template.components.header", f"the header is one {kind}")
    if given:
        found: dict[str, Any] = msgspec.to_builtins(getattr(given[0], kind), builtin_types=(bytes,))
        return found
    if header.file is None:
        raise ContractError(ErrorCode.E_TEMPLATE_VARIABLE, {"variable": kind, "component": "header"})
    own = {"id": header.file.id, "link": header.file.link}
    if kind == "document":
        own["filename"] = header.file.filename
    return {name: value for name, value in own.items() if value is not None}


def _no_stranger(given: Mapping[str, str], known: Sequence[str] | set[str]) -> None:
    if not set(given) <= set(known):
        raise _refused("$.template", "a value for no variable", limit=len(known))


def _checked(rendered: Rendered) -> Rendered:
    """Raises ContractError for what WhatsApp would not take."""
    command = {"to": "-", "type": rendered.type, rendered.type: rendered.content}
    commands.check(msgspec.convert(command, commands.Send))
    return rendered


def _refused(path: str, reason: str, **details: Any) -> ContractError:
    return ContractError(ErrorCode.E_INVALID_TEMPLATE, {"path": path, "reason": reason, **details})
