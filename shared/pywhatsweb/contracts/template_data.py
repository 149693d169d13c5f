"""Arguments and results of ``template.*``: texts with variables, stored per tenant in several languages.

Texts have variables as Meta's templates have them: by number (``{{1}}``, ``{{2}}``, from 1 without a gap) or by name
(``{{cliente}}``), not both in one text. Header and body count their numbers each for itself; a name is the same in
both. A command names the template and the values (`interactive.Template`); what is sent is rendered when the command is
accepted, so a later change of the template does not touch it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from msgspec import Meta, field

from pywhatsweb.contracts.content import MAX_FILENAME, MAX_LINK
from pywhatsweb.contracts.control_data import Args, Page, Result, Who
from pywhatsweb.contracts.event_data import Timestamp
from pywhatsweb.contracts.interactive import MAX_BUTTON_BODY, TemplateComponent
from pywhatsweb.errors import ContractError, ErrorCode

MAX_TEMPLATES = 1000
"""Of a tenant, each language counted."""
MAX_VARIABLES = 64
MAX_BUTTONS = 3
_VARIABLE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,63}|[1-9][0-9]?", re.ASCII)

TemplateName = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,512}$")]
LanguageCode = Annotated[str, Meta(pattern=r"^[a-z]{2,3}([_-][A-Za-z0-9]{2,8}){0,2}$", max_length=16)]
"""Such as ``pt_BR``; compared as it is written."""
VariableName = Annotated[str, Meta(pattern=r"^([a-z_][a-z0-9_]{0,63}|[1-9][0-9]?)$")]
Values = Annotated[dict[VariableName, Annotated[str, Meta(max_length=4096)]], Meta(max_length=MAX_VARIABLES)]
HeaderType = Literal["text", "image", "video", "document"]


class TemplateFile(Args, frozen=True, kw_only=True):
    """Exactly one of `id` (of media.put) and `link`. A stored file is kept only as long as its retention says."""

    id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    link: Annotated[str, Meta(pattern=r"^https://", max_length=MAX_LINK)] | None = None
    filename: Annotated[str, Meta(min_length=1, max_length=MAX_FILENAME)] | None = None
    """Of a document."""


class TemplateHeader(Args, frozen=True, kw_only=True):
    """A line in bold, or a file above the text. `file` is sent where a command brings none of its own."""

    type: HeaderType
    text: Annotated[str, Meta(min_length=1, max_length=60)] | None = None
    file: TemplateFile | None = None


class TemplateButton(Args, frozen=True, kw_only=True):
    """A ``reply``, which comes back with its `id` (its text when absent), or a link (``url``).

    The link may have variables; their values are percent-encoded, but for ``/``.
    """

    type: Literal["reply", "url"]
    text: Annotated[str, Meta(min_length=1, max_length=20)]
    id: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    url: Annotated[str, Meta(pattern=r"^https?://", max_length=2048)] | None = None


Buttons = Annotated[list[TemplateButton], Meta(max_length=MAX_BUTTONS)]


class TemplateText(Args, frozen=True, kw_only=True):
    """What a template says, in one language. `defaults` stand in for values that a command leaves out.

    `buttons`: up to three replies, or one link. With them it is sent as an interactive message, which not every engine
    can (``session.capabilities``).
    """

    header: TemplateHeader | None = None
    body: Annotated[str, Meta(min_length=1, max_length=4096)]
    footer: Annotated[str, Meta(min_length=1, max_length=60)] | None = None
    defaults: Values = field(default_factory=dict)
    examples: Values = field(default_factory=dict)
    """For a preview without values."""
    buttons: Buttons = field(default_factory=list)


class TemplatePut(TemplateText, frozen=True, kw_only=True):
    """Stores the template in this language, or replaces it there."""

    name: TemplateName
    language: LanguageCode
    by: Who | None = None


class TemplateRef(Args, frozen=True, kw_only=True):
    """`language` may be left out where there is only one; ``template.delete`` then takes all of them."""

    name: TemplateName
    language: LanguageCode | None = None


class TemplateDelete(TemplateRef, frozen=True, kw_only=True):
    by: Who | None = None


class TemplateList(Page, frozen=True, kw_only=True):
    name: TemplateName | None = None


class TemplatePreview(TemplateRef, frozen=True, kw_only=True):
    """Values as a command would bring them; `variables` by name or number. With neither, the examples."""

    variables: Values = field(default_factory=dict)
    components: list[TemplateComponent] = field(default_factory=list)


class TemplateInfo(Result, frozen=True, kw_only=True):
    """`variables`: those of header, body and link, in the order of their first use. `version` counts the changes."""

    name: str
    language: str
    version: int
    header: TemplateHeader | None = None
    body: str
    footer: str | None = None
    defaults: dict[str, str] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    variables: list[str] = field(default_factory=list)
    buttons: list[TemplateButton] = field(default_factory=list)
    changed_at: Timestamp
    changed_by: str | None = None


class Templates(Result, frozen=True, kw_only=True):
    """By name and language."""

    templates: list[TemplateInfo]
    cursor: str | None = None


class TemplateDeleted(Result, frozen=True, kw_only=True):
    name: str
    languages: list[str]


class TemplateRendered(Result, frozen=True, kw_only=True):
    """What would be sent: the `type` of a send command and its content, such as ``{"body": "Olá, Ana"}``."""

    name: str
    language: str
    type: Literal["text", "image", "video", "document", "interactive"]
    content: dict[str, Any]


def variables_of(text: str) -> list[str]:
    """In the order of their first use."""
    return list(dict.fromkeys(found[1] for found in _VARIABLE.finditer(text)))


def texts_of(text: TemplateText) -> list[str]:
    """Those that have variables: heading, body, link."""
    heading = [text.header.text] if text.header is not None and text.header.text is not None else []
    return [*heading, text.body, *(button.url for button in text.buttons if button.url is not None)]


def fill(text: str, values: dict[str, str]) -> str:
    """`text` with its variables' values. Raises KeyError(name) for one that is missing."""
    return _VARIABLE.sub(lambda found: values[found[1]], text)


def is_positional(names: list[str]) -> bool:
    return bool(names) and names[0].isdigit()


def check_put(args: TemplatePut) -> None:
    """Raises ContractError(E_INVALID_TEMPLATE), with the path of what does not fit."""
    _check_header(args.header)
    heading = args.header.text or "" if args.header is not None else ""
    header = _check_text(heading, "$.header.text")
    body = _check_text(args.body, "$.body")
    if not args.body.strip():
        raise ContractError(ErrorCode.E_EMPTY_TEXT, {"path": "$.body"})
    if args.footer is not None and variables_of(args.footer):
        raise _refused("$.footer", "a footer has no variables")
    known = {*header, *body, *_check_buttons(args)}
    if len(known) > MAX_VARIABLES:
        raise _refused("$.body", "too many variables", limit=MAX_VARIABLES)
    for path, given in (("$.defaults", args.defaults), ("$.examples", args.examples)):
        if not set(given) <= known:
            raise _refused(path, "a value for no variable")


def _check_header(header: TemplateHeader | None) -> None:
    if header is None:
        return
    if (header.type == "text") != (header.text is not None):
        raise _refused("$.header.text", "a text header has a text, any other has none")
    if header.file is None:
        return
    if header.type == "text" or (header.file.id is None) == (header.file.link is None):
        raise _refused("$.header.file", "a file has exactly one of id and link, and a text header no file")


def _check_buttons(args: TemplateText) -> list[str]:
    """The link's variables."""
    buttons = args.buttons
    if not buttons:
        return []
    links = [button.url for button in buttons if button.type == "url"]
    if links and len(buttons) > 1:
        raise _refused("$.buttons", "up to three replies, or one link")
    if any((one.type == "url") != (one.url is not None) or (one.url and one.id) for one in buttons):
        raise _refused("$.buttons", "a link has a url and no id, a reply has no url")
    if len({one.id or one.text for one in buttons}) < len(buttons):
        raise _refused("$.buttons", "an id twice")
    if any(variables_of(one.text) for one in buttons):
        raise _refused("$.buttons", "a button's text has no variables")
    if len(args.body) > MAX_BUTTON_BODY:
        raise _refused("$.body", "a text above buttons is shorter", limit=MAX_BUTTON_BODY)
    return _check_text(links[0] or "", "$.buttons[0].url") if links else []


def _check_text(text: str, path: str) -> list[str]:
    """Its variables."""
    names = variables_of(text)
    if any(_NAME.fullmatch(name) is None for name in names):
        raise _refused(path, "a variable's name is a number, or lower-case letters, digits and _")
    numbers = sorted(int(name) for name in names if name.isdigit())
    if numbers and (len(numbers) < len(names) or numbers != list(range(1, len(numbers) + 1))):
        raise _refused(path, "variables are all names, or the numbers from 1 without a gap")
    return names


def _refused(path: str, reason: str, **details: Any) -> ContractError:
    return ContractError(ErrorCode.E_INVALID_TEMPLATE, {"path": path, "reason": reason, **details})
