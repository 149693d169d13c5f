"""JSON Schema and AsyncAPI 3, made from the Structs and subjects: never written by hand.

Both are deterministic: the same version gives the same bytes.
"""

from __future__ import annotations

import inspect
from typing import Any, get_args

import msgspec

from pywhatsweb.contracts import commands, control, events, subjects
from pywhatsweb.contracts.codec import CONTENT_TYPES
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId
from pywhatsweb.errors import ErrorBody
from pywhatsweb.version import __version__

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAME = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$"}
_TENANT, _SESSION = TenantId("{tenant}"), SessionId("{session}")

_EVENT_HEADERS = {
    "Nats-Msg-Id": "The event's id: removes repeats",
    "ce-specversion": "CloudEvents 1.0",
    "ce-id": "The event's id",
    "ce-type": "pywhatsweb.<type>",
    "ce-source": "/tenants/<tenant>/sessions/<session>",
    "ce-time": "ISO-8601, UTC",
    "Content-Type": " or ".join(sorted(CONTENT_TYPES.values())),
    "X-Tenant-Id": "The tenant",
    "X-Session-Id": "The session",
    "X-Correlation-Id": "The command's correlation_id; absent without one",
}
_COMMAND_HEADERS = {
    "Nats-Msg-Id": "The command's id where the body has none; JetStream removes repeats by it",
    "Content-Type": "Not needed: the first byte tells the form",
}


def _components(template: str) -> dict[str, Any]:
    """Every Struct's schema by its name."""
    kinds = [
        *commands.SEND_TYPES.values(),
        *get_args(commands.Other),
        *events.EVENT_TYPES.values(),
        ErrorBody,
    ]
    for verb in control.VERBS.values():
        kinds += [verb.args, verb.result]
    _, found = msgspec.json.schema_components(list(dict.fromkeys(kinds)), ref_template=template)
    return dict(sorted(found.items()))


def _union(kinds: Any, field: str, template: str) -> dict[str, Any]:
    mapping = {kind.__struct_config__.tag: template.format(name=kind.__name__) for kind in kinds}
    return {
        "anyOf": [{"$ref": ref} for ref in mapping.values()],
        "discriminator": {"propertyName": field, "mapping": mapping},
    }


def _bodies(template: str) -> dict[str, Any]:
    """`Send`, `Event` and the control plane's failure: what is not one Struct."""
    return {
        "Send": _union(commands.SEND_TYPES.values(), "type", template),
        "Event": _union(events.EVENT_TYPES.values(), "event", template),
        "Failure": {
            "type": "object",
            "properties": {"ok": {"const": False}, "error": {"$ref": template.format(name="ErrorBody")}},
            "required": ["ok", "error"],
        },
    }


def json_schema() -> dict[str, Any]:
    """One document: every Struct in ``$defs``; `Send`, `Event`, `Failure` are the unions.

    A body of a command or an event validates against the document itself, arguments of the control plane against
    their Struct's place in ``$defs``.
    """
    template = "#/$defs/{name}"
    bodies = _bodies(template)
    others = [template.format(name=kind.__name__) for kind in get_args(commands.Other)]
    return {
        "$schema": _DIALECT,
        "$id": f"urn:pywhatsweb:contracts:{__version__}",
        "title": f"PyWhatsWeb {__version__}: commands and events",
        "description": "Limits of contents hold for sending; what comes in may exceed them.",
        "anyOf": [{"$ref": "#/$defs/Send"}, {"$ref": "#/$defs/Event"}, *({"$ref": ref} for ref in others)],
        "$defs": {**_components(template), **bodies},
    }


def _header_schema(found: dict[str, str], required: list[str]) -> dict[str, Any]:
    properties = {name: {"type": "string", "description": text} for name, text in found.items()}
    return {"type": "object", "properties": properties, "required": required}


def _message(name: str, summary: str, payload: dict[str, Any], trait: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "title": name, "summary": summary, "payload": payload}
    if trait:
        found["traits"] = [{"$ref": f"#/components/messageTraits/{trait}"}]
    return found


def _summary(kind: Any) -> str:
    """The first sentence of a docstring, on one line."""
    return " ".join((inspect.getdoc(kind) or kind.__name__).split("\n\n")[0].split())


def _plain(schema: Any) -> Any:
    """`schema` without OpenAPI's discriminators: AsyncAPI's are strings, and the tags' constants say the same."""
    if isinstance(schema, dict):
        return {
            key: _plain(value)
            for key, value in schema.items()
            if not (key == "discriminator" and isinstance(value, dict) and "mapping" in value)
        }
    return [_plain(each) for each in schema] if isinstance(schema, list) else schema


class _Document:
    """Gathers channels, operations and messages."""

    def __init__(self) -> None:
        self.channels: dict[str, Any] = {}
        self.operations: dict[str, Any] = {}
        self.messages: dict[str, Any] = {}

    def message(self, name: str, summary: str, payload: dict[str, Any], trait: str | None = None) -> str:
        self.messages[name] = _message(name, summary, payload, trait)
        return name

    def channel(self, name: str, address: str, messages: list[str], parameters: tuple[str, ...]) -> None:
        self.channels[name] = {
            "address": address,
            "servers": [{"$ref": "#/servers/nats"}],
            "messages": {each: {"$ref": f"#/components/messages/{each}"} for each in messages},
            "parameters": {each: {"$ref": f"#/components/parameters/{each}"} for each in parameters},
        }

    def operation(self, name: str, action: str, summary: str, messages: list[str]) -> dict[str, Any]:
        self.operations[name] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{name}"},
            "summary": summary,
            "messages": [{"$ref": f"#/channels/{name}/messages/{each}"} for each in messages],
        }
        found: dict[str, Any] = self.operations[name]
        return found


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _add_commands(document: _Document) -> None:
    for verb, kind in commands.COMMANDS.items():
        name = f"command.{verb}"
        kinds = list(commands.SEND_TYPES.values()) if verb == "send" else [kind]
        messages = [document.message(k.__name__, _summary(k), _ref(k.__name__), "command") for k in kinds]
        document.channel(name, subjects.command(_TENANT, _SESSION, verb), messages, ("tenant", "session"))
        summary = "Send a message; JetStream answers with a PubAck" if verb == "send" else _summary(kind)
        document.operation(name, "receive", summary, messages)


def _add_events(document: _Document) -> None:
    for tag, kind in events.EVENT_TYPES.items():
        name = f"event.{tag}"
        message = document.message(kind.__name__, _summary(kind), _ref(kind.__name__), "event")
        address = subjects.event(_TENANT, _SESSION, tag, ChatKey("{chat}"))
        document.channel(name, address, [message], ("tenant", "session", "chat"))
        document.operation(name, "send", _summary(kind), [message])


def _add_control(document: _Document) -> None:
    failure = document.message("Failure", "What the control plane answers when it cannot", _ref("Failure"))
    for verb, known in control.VERBS.items():
        name = f"control.{verb}"
        request = document.message(f"{name}.request", known.summary, _ref(known.args.__name__))
        success = {
            "type": "object",
            "properties": {"ok": {"const": True}, "data": _ref(known.result.__name__)},
            "required": ["ok", "data"],
        }
        reply = document.message(f"{name}.reply", f"{known.summary}: the answer", success)
        noun, _, what = verb.partition(".")
        document.channel(name, subjects.control(_TENANT, noun, what), [request], ("tenant",))
        answers = f"{name}.reply"
        document.channel(answers, "", [reply, failure], ())
        document.channels[answers]["address"] = None  # NATS gives each request its own inbox.
        document.operation(name, "receive", known.summary, [request])["reply"] = {
            "address": {"location": "$message.header#/reply-to", "description": "The request's inbox"},
            "channel": {"$ref": f"#/channels/{answers}"},
            "messages": [{"$ref": f"#/channels/{answers}/messages/{each}"} for each in (reply, failure)],
        }


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document, from the fleet's side: it receives commands and requests, and sends events."""
    document = _Document()
    _add_commands(document)
    _add_events(document)
    _add_control(document)
    template = "#/components/schemas/{name}"
    return {
        "asyncapi": "3.0.0",
        "id": "urn:pywhatsweb:fleet",
        "info": {
            "title": "PyWhatsWeb fleet",
            "version": __version__,
            "description": "Commands in, events out. Bodies are MessagePack or JSON; a reply has its request's form.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": CONTENT_TYPES["json"],
        "servers": {
            "nats": {
                "host": "{host}:{port}",
                "protocol": "nats",
                "description": "NATS with JetStream, 2.15 or newer",
                "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "4222"}},
                "security": [{"$ref": "#/components/securitySchemes/tenant"}],
            }
        },
        "channels": document.channels,
        "operations": document.operations,
        "components": {
            "schemas": _plain({**_components(template), **_bodies(template)}),
            "messages": document.messages,
            "messageTraits": {
                "command": {"headers": _header_schema(_COMMAND_HEADERS, [])},
                "event": {"headers": _header_schema(_EVENT_HEADERS, list(_EVENT_HEADERS)[:-1])},
            },
            "parameters": {
                "tenant": {"description": f"The tenant's name: {_NAME['pattern']}"},
                "session": {"description": f"The session's name: {_NAME['pattern']}"},
                "chat": {"description": "The chat's key, or - where there is none"},
            },
            "securitySchemes": {"tenant": {"type": "userPassword", "description": "The tenant's NATS user"}},
        },
    }


def render(kind: str) -> str:
    """The document ``json`` or ``asyncapi`` as indented JSON, for ``pww schema``. Raises ValueError for another."""
    makers = {"json": json_schema, "asyncapi": asyncapi}
    if kind not in makers:
        raise ValueError(f"there are: {', '.join(makers)}")
    return msgspec.json.format(msgspec.json.encode(makers[kind]()), indent=2).decode() + "\n"
