"""JSON Schema and AsyncAPI agree with the Structs they are made of."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pywhatsweb.contracts import commands, control, events, schema
from pywhatsweb.errors import ErrorCode
from tests.contract import make_golden

DOCUMENT = schema.json_schema()
EXAMPLES = make_golden.COMMANDS | make_golden.EVENTS


def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({**DOCUMENT, "anyOf": [{"$ref": f"#/$defs/{name}"}]})


def _schema_name(sample: str) -> str:
    verb = sample.partition(".")[0]
    return {"send": "Send", "event": "Event"}.get(verb) or str(commands.COMMANDS[verb].__name__)


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from _refs(value)


def test_is_a_schema():
    """The document follows its dialect."""
    Draft202012Validator.check_schema(DOCUMENT)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_validate(name: str):
    """Every golden body fits its schema and the document."""
    body = json.loads((make_golden.FOLDER / f"{name}.json").read_bytes())
    _validator(_schema_name(name)).validate(body)
    Draft202012Validator(DOCUMENT).validate(body)


@pytest.mark.parametrize(
    "body",
    [
        {"to": "1", "type": "text", "text": {"body": ""}},
        {"to": "1", "type": "hologram"},
        {"type": "text", "text": {"body": "a"}},
        {"to": "1", "type": "poll", "poll": {"name": "?", "options": ["a"]}},
    ],
)
def test_bad_commands_do_not(body: dict[str, Any]):
    """What parse refuses by its types, the schema refuses too."""
    assert not _validator("Send").is_valid(body)


def test_failure_validates():
    """So does what the control plane answers."""
    raw = control.failure(ErrorCode.E_EXPIRED, {"path": "$"}, "json")
    _validator("Failure").validate(json.loads(raw))


@pytest.mark.parametrize("kind", ["json", "asyncapi"])
def test_deterministic_and_closed(kind: str):
    """The same version gives the same text, and every reference leads somewhere."""
    text = schema.render(kind)
    assert text == schema.render(kind)
    document = json.loads(text)
    for ref in set(_refs(document)):
        node = document
        for part in ref.removeprefix("#/").split("/"):
            node = node[part]


def test_unknown_document():
    """The CLI can say which there are."""
    with pytest.raises(ValueError, match="asyncapi"):
        schema.render("yaml")


def test_asyncapi_is_complete():
    """Each verb, type and request has its channel and operation; each command's address is its subject."""
    document = schema.asyncapi()
    assert document["asyncapi"] == "3.0.0"
    wanted = {f"command.{verb}" for verb in commands.COMMANDS}
    wanted |= {f"event.{kind}" for kind in events.EVENT_TYPES} | {f"control.{verb}" for verb in control.VERBS}
    assert set(document["operations"]) == wanted
    assert document["channels"]["command.send"]["address"] == "wa.cmd.{tenant}.{session}.send"
    assert document["channels"]["event.status"]["address"] == "wa.evt.{tenant}.{session}.status.{chat}"
    assert document["channels"]["control.session.qr"]["address"] == "wa.ctl.{tenant}.session.qr"
    assert len(document["channels"]["command.send"]["messages"]) == len(commands.SEND_TYPES)
