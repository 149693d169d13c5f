"""Commands: what is refused, under which code, and that nothing of a body leaks into an error."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pywhatsweb.contracts import codec, commands, content
from pywhatsweb.contracts.commands import parse
from pywhatsweb.errors import ContractError, ErrorCode

TEXT: dict[str, Any] = {"to": "+5511999990001", "type": "text", "text": {"body": "Olá"}}
BUTTON = {"type": "reply", "reply": {"id": "a", "title": "A"}}
ROW = {"id": "a", "title": "A"}


def _poll(**poll: Any) -> dict[str, Any]:
    return {"to": "1", "type": "poll", "poll": {"name": "?", "options": ["a", "b"], **poll}}


def _image(**image: Any) -> dict[str, Any]:
    return {"to": "1", "type": "image", "image": image}


def _interactive(**what: Any) -> dict[str, Any]:
    return {
        "to": "1",
        "type": "interactive",
        "interactive": {"type": "button", "body": {"text": "?"}, **what},
    }


def _listed(*sections: dict[str, Any], **what: Any) -> dict[str, Any]:
    return _interactive(type="list", action={"button": "Open", "sections": list(sections)}, **what)


def _refused(verb: str, body: Any) -> ContractError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(ContractError) as caught:
        parse(verb, raw)
    return caught.value


REFUSED: list[tuple[str, str, Any, str, str | None]] = [
    ("plain text", "send", b"garbage", "E_MALFORMED_BODY", None),
    ("nothing", "send", b"", "E_MALFORMED_BODY", None),
    ("half a document", "send", b'{"to":', "E_MALFORMED_BODY", None),
    ("a list", "send", [1], "E_MALFORMED_BODY", None),
    ("no UTF-8", "send", b"\x81\xa4type\xa2\xff\xff", "E_MALFORMED_BODY", None),
    ("deep nesting", "send", b'{"a":' + b"[" * 100_000, "E_MALFORMED_BODY", None),
    ("unknown verb", "shout", TEXT, "E_UNKNOWN_VERB", None),
    ("unknown type", "send", {**TEXT, "type": "hologram"}, "E_UNSUPPORTED_TYPE", "$.type"),
    ("unknown interactive", "send", _interactive(type="x"), "E_UNSUPPORTED_TYPE", "$.interactive.type"),
    ("no type", "send", {"to": "1"}, "E_MISSING_FIELD", "$"),
    ("no recipient", "send", {"type": "text", "text": {"body": "a"}}, "E_MISSING_FIELD", "$"),
    ("no content", "send", {"to": "1", "type": "text"}, "E_MISSING_FIELD", "$"),
    ("wrong type", "send", {**TEXT, "text": {"body": 5}}, "E_INVALID_FIELD", "$.text.body"),
    ("empty text", "send", {**TEXT, "text": {"body": ""}}, "E_EMPTY_TEXT", "$.text.body"),
    ("blank text", "send", {**TEXT, "text": {"body": " \n "}}, "E_EMPTY_TEXT", "$.text.body"),
    ("long text", "send", {**TEXT, "text": {"body": "a" * 65_537}}, "E_TEXT_TOO_LONG", "$.text.body"),
    ("long caption", "send", _image(id="m", caption="a" * 1025), "E_CAPTION_TOO_LONG", "$.image.caption"),
    ("naive time", "send", {**TEXT, "send_at": "2026-12-01T09:00:00"}, "E_INVALID_TIMESTAMP", "$.send_at"),
    ("no time", "send", {**TEXT, "expires_at": "soon"}, "E_INVALID_TIMESTAMP", "$.expires_at"),
    ("huge number", "send", {**TEXT, "metadata": {"a": 2**64}}, "E_INVALID_FIELD", "$.metadata[...]"),
    ("first year", "send", {**TEXT, "send_at": "0001-01-01T00:00:00+14:00"}, "E_INVALID_TIMESTAMP", "$.send_at"),
    ("last year", "cancel", {"command_id": "a", "expires_at": "9999-12-31T23:59:59-12:00"},
     "E_INVALID_TIMESTAMP", "$.expires_at"),
    ("empty id", "send", {**TEXT, "id": ""}, "E_INVALID_COMMAND_ID", "$.id"),
    ("long id", "send", {**TEXT, "id": "a" * 129}, "E_INVALID_COMMAND_ID", "$.id"),
    ("id with a line break", "send", {**TEXT, "id": "a\r\nX: 1"}, "E_INVALID_COMMAND_ID", "$.id"),
    ("bad correlation", "send", {**TEXT, "correlation_id": "a\n"}, "E_INVALID_FIELD", "$.correlation_id"),
    ("no source", "send", _image(caption="a"), "E_MEDIA_SOURCE", "$.image"),
    ("two sources", "send", _image(id="m", link="https://a"), "E_MEDIA_SOURCE", "$.image"),
    ("plain http", "send", _image(link="http://a"), "E_INVALID_FIELD", "$.image.link"),
    ("large file", "send", _image(data="AAAA" * 200_000), "E_MEDIA_TOO_LARGE", "$.image.data"),
    ("one option", "send", _poll(options=["a"]), "E_INVALID_POLL", "$.poll.options"),
    ("13 options", "send", _poll(options=[str(i) for i in range(13)]), "E_INVALID_POLL", "$.poll.options"),
    ("equal options", "send", _poll(options=["a", "a"]), "E_INVALID_POLL", "$.poll.options"),
    ("too many to choose", "send", _poll(selectable=3), "E_INVALID_POLL", "$.poll.options"),
    ("four buttons", "send", _interactive(action={"buttons": [BUTTON] * 4}), "E_INVALID_INTERACTIVE",
     "$.interactive.action.buttons"),
    ("long header", "send", _interactive(header={"type": "text", "text": "a" * 61}, action={"buttons": [BUTTON]}),
     "E_INVALID_INTERACTIVE", "$.interactive.header.text"),
    ("long row", "send", _listed({"rows": [{**ROW, "title": "a" * 25}]}), "E_INVALID_INTERACTIVE",
     "$.interactive.action.sections[0].rows[0].title"),
    ("nameless card", "send", {"to": "1", "type": "contacts", "contacts": [{"name": {"formatted_name": ""}}]},
     "E_INVALID_FIELD", "$.contacts[0].name.formatted_name"),
    ("edited to a long text", "edit", {"to": "1", "message_id": "m", "text": {"body": "a" * 65_537}},
     "E_TEXT_TOO_LONG", "$.text.body"),
    ("nameless template", "send", {"to": "1", "type": "template", "template": {
        "name": "", "language": {"code": "pt_BR"}}}, "E_INVALID_TEMPLATE", "$.template.name"),
    ("equal buttons", "send", _interactive(action={"buttons": [BUTTON] * 2}), "E_INVALID_INTERACTIVE", None),
    ("11 rows", "send", _listed({"title": "x", "rows": [ROW] * 6}, {"title": "y", "rows": [ROW] * 5}),
     "E_INVALID_INTERACTIVE", None),
    ("untitled sections", "send", _listed({"rows": [ROW]}, {"rows": [{**ROW, "id": "b"}]}), "E_MISSING_FIELD", None),
    ("list with picture", "send", _listed({"rows": [ROW]}, header={"type": "image", "image": {"id": "m"}}),
     "E_INVALID_INTERACTIVE", "$.interactive.header"),
    ("latitude", "send", {"to": "1", "type": "location", "location": {"latitude": 91, "longitude": 0}},
     "E_INVALID_FIELD", "$.location.latitude"),
    ("ends before it starts", "send", {"to": "1", "type": "event", "event": {
        "name": "a", "start_at": "2026-12-01T09:00:00Z", "end_at": "2026-12-01T08:00:00Z"}},
     "E_INVALID_FIELD", "$.event.end_at"),
    ("template without a source", "send", {"to": "1", "type": "template", "template": {
        "name": "a", "language": {"code": "pt_BR"},
        "components": [{"type": "header", "parameters": [{"type": "image", "image": {}}]}]}},
     "E_MEDIA_SOURCE", "$.template.components[0].parameters[0].image"),
    ("edit without content", "edit", {"to": "1", "message_id": "m"}, "E_MISSING_FIELD", "$"),
    ("edit with two", "edit", {"to": "1", "message_id": "m", "text": {"body": "a"}, "image": {}},
     "E_INVALID_FIELD", "$"),
    ("typing to nobody", "presence", {"state": "composing"}, "E_MISSING_FIELD", "$"),
    ("nothing read", "read", {"to": "1", "message_ids": []}, "E_INVALID_FIELD", "$.message_ids"),
    ("nothing to cancel", "cancel", {}, "E_MISSING_FIELD", "$"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("verb", "body", "code", "path"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_refused(verb: str, body: Any, code: str, path: str | None):
    """Each mistake has its code and the path of the field."""
    error = _refused(verb, body)
    assert error.code.wire == code
    assert path is None or error.details["path"] == path


def test_defaults():
    """What a publisher leaves out is normal."""
    command = parse("send", json.dumps(TEXT).encode())
    assert isinstance(command, commands.SendText)
    assert (command.id, command.priority, command.typing, command.metadata) == (None, "normal", 0, {})
    assert commands.send_type(command) == "text"
    assert commands.content_of(command) == content.Text(body="Olá")


def test_unknown_fields_are_ignored():
    """A newer publisher's field does not stop an older fleet."""
    assert parse("send", json.dumps({**TEXT, "sparkle": [1]}).encode()) == parse(
        "send", json.dumps(TEXT).encode()
    )


def test_size_is_checked_first():
    """A body over the tenant's limit is not decoded."""
    with pytest.raises(ContractError) as caught:
        parse("send", b"x" * 11, max_bytes=10)
    assert caught.value.code is ErrorCode.E_BODY_TOO_LARGE


def test_limit_of_the_text_is_inclusive():
    """65536 characters pass, counted as characters and not as bytes."""
    command = parse("send", json.dumps({**TEXT, "text": {"body": "é" * content.MAX_TEXT}}).encode())
    assert isinstance(command, commands.SendText)


@given(st.binary(max_size=200))
def test_arbitrary_bytes(raw: bytes):
    """Whatever arrives, parse answers with a command or a ContractError."""
    for verb in commands.COMMANDS:
        with suppress(ContractError):
            parse(verb, raw)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from([
    "id", "to", "type", "text", "image", "poll", "interactive", "contacts", "context", "send_at", "metadata", "event",
    "message_id", "message_ids", "state", "template", "location", "priority", "typing",
])  # fmt: skip
TYPES = st.sampled_from([*commands.SEND_TYPES, "hologram"])


@settings(max_examples=200)
@given(st.dictionaries(FIELDS, VALUES, max_size=6), TYPES, st.sampled_from(list(commands.COMMANDS)))
def test_arbitrary_fields(body: dict[str, Any], kind: str, verb: str):
    """Nor does any field of any shape make it raise anything else."""
    raw = json.dumps({"to": "1", "type": kind, kind: {}, **body}).encode()
    with suppress(ContractError):
        command = parse(verb, raw)
        assert commands.fingerprint(command)
        assert codec.encode(command, "json")


SECRET = "s3cr3t+5511999"


@pytest.mark.parametrize(
    "body",
    [
        {**TEXT, "type": SECRET},
        {**TEXT, "text": SECRET},
        {**TEXT, "text": {"body": [SECRET]}},
        {**TEXT, "priority": SECRET},
        {**TEXT, "send_at": SECRET},
        {**TEXT, "metadata": {SECRET: [SECRET]}},
        {**TEXT, "id": SECRET + "\n"},
        _image(link=SECRET),
        _image(data=SECRET),
        _poll(options=[SECRET, SECRET]),
        _interactive(type=SECRET),
        SECRET.encode(),
        b'{"to": "' + SECRET.encode(),
    ],
)
def test_no_value_in_an_error(body: Any):
    """Numbers and texts never reach an error: it is logged and kept."""
    error = _refused("send", body)
    assert SECRET not in f"{error} {error!r} {error.details} {error.body}"
    assert error.__cause__ is None
    assert error.__context__ is None


def test_fingerprint():
    """The same command in another form is the same; another content is not; a new correlation id changes nothing."""
    body = {**TEXT, "id": "a", "send_at": "2026-12-01T09:00:00-03:00", "metadata": {"a": 1, "b": 2}}
    first = parse("send", json.dumps(body).encode())
    again = {**body, "metadata": {"b": 2, "a": 1}, "correlation_id": "x", "send_at": "2026-12-01T12:00:00Z"}
    second = parse("send", codec.encode(msgspec.convert(again, commands.Send)))
    other = parse("send", json.dumps({**body, "text": {"body": "Oi"}}).encode())
    assert commands.fingerprint(first) == commands.fingerprint(second) != commands.fingerprint(other)
