"""OpenAPI 3.1, made from the routes' table and the contract's Structs; the same bytes each time."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from pywhatsweb import __version__
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import events
from pywhatsweb.contracts.codec import CONTENT_TYPES
from pywhatsweb_fleet.broker.keys import Scope
from pywhatsweb_fleet.gateway import problems
from pywhatsweb_fleet.gateway.routes import JSON, Route

_TEMPLATE: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"{(\w+)}").findall
_NAME: Final = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$"}
_HEADERS: Final = {
    "X-Correlation-Id": "Comes back, and stands in the command's events",
    "X-Request-Id": "Names the request in answers and logs; made when absent",
    "X-Tenant-Id": "Refused when the key is another tenant's",
}
_STREAM_QUERY: Final = {
    "session": "Only these sessions, comma-separated",
    "type": f"Only these types, comma-separated: {', '.join(events.EVENT_TYPES)}",
    "after": "Read on after this stream sequence; 0: everything that is kept. Last-Event-ID counts before it",
    "ticket": "A ticket of POST /v1/tickets instead of a key in a header",
}


def document(routes: Iterable[Route]) -> dict[str, Any]:
    routes = list(routes)
    kinds = [kind for route in routes for kind in (route.args, route.result) if kind is not None]
    schemas, components = msgspec.json.schema_components([*kinds, problems.Problem], ref_template=_TEMPLATE)
    known = {repr(kind): schema for kind, schema in zip(kinds, schemas, strict=False)}
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, known)
    paths["/v1/events"] = {"get": _stream("Events as server-sent events; resumable by Last-Event-ID", "200")}
    paths["/v1/ws"] = {"get": _stream("Events over a WebSocket; resumable by ?after", "101")}
    info = known.get(repr(d.MediaInfo), {})
    paths["/v1/media"] = {"post": _upload(info)}
    paths["/{version}/{phone_number_id}/media"] = {"post": _cloud_upload()}
    paths["/v1/media/{media_id}"] = {
        "get": _download("media_id", "media", "read", "A stored file, or a range of it")
    }
    paths["/v1/exports/{export_id}"] = {
        "get": _download("export_id", "data", "admin", "The ZIP of a data.export, or a range of it")
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "PyWhatsWeb gateway",
            "version": __version__,
            "description": "Commands in, events out. Bodies are JSON or MessagePack; an answer has its request's form.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
                "ticket": {"type": "apiKey", "in": "query", "name": "ticket"},
            },
        },
    }


def _operation(route: Route, known: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": [
            *(_parameter(name, "path") for name in _PARAMETER(route.path)),
            *(_parameter(name, "query", text) for name, text in route.query.items()),
            *(_parameter(name, "header", text) for name, text in _HEADERS.items() if not route.public),
        ],
        "responses": {str(route.status): _success(route, known), "default": _failure()},
        "security": [] if route.public else [{"bearer": []}, {"key": []}],
    }
    if "wait" in route.query:
        found["responses"]["200"] = _success(route, known)
        found["parameters"].append(
            _parameter("Idempotency-Key", "header", "The command's id, when the body has none")
        )
    if route.args is not None:
        schema = known[repr(route.args)]
        found["requestBody"] = {"content": {kind: {"schema": schema} for kind in CONTENT_TYPES.values()}}
    if route.scope is not None:
        found["description"] = f"The key's scopes must hold `{route.scope}`. {_words(route)}".strip()
    return found


def _words(route: Route) -> str:
    return " ".join((inspect.getdoc(route.handler) or "").split())


def operation_id(route: Route) -> str:
    return route.method.lower() + re.sub(r"[^A-Za-z0-9]+", "_", route.path).rstrip("_")


def _success(route: Route, known: dict[str, Any]) -> dict[str, Any]:
    schema = known[repr(route.result)] if route.result is not None else {}
    kinds = (
        [*route.kinds, CONTENT_TYPES["msgpack"]] if JSON in route.kinds and not route.public else route.kinds
    )
    return {
        "description": route.summary,
        "content": {
            kind: {"schema": schema if "json" in kind or "msgpack" in kind else {}} for kind in kinds
        },
    }


def _failure() -> dict[str, Any]:
    schema = {"$ref": _TEMPLATE.format(name="Problem")}
    return {
        "description": "An error of the catalogue",
        "content": {problems.CONTENT_TYPE: {"schema": schema}},
    }


def _parameter(name: str, where: str, text: str = "") -> dict[str, Any]:
    schema = _NAME if name in ("session_id", "phone_number_id") else {"type": "string"}
    found = {"name": name, "in": where, "required": where == "path", "schema": schema}
    return {**found, "description": text} if text else found


def _upload(info: dict[str, Any]) -> dict[str, Any]:
    anything = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
    return {
        "operationId": "post_v1_media",
        "summary": "Store a file of any size: the body is the file",
        "tags": ["media"],
        "description": "The key's scopes must hold `send`. Content-Type is the file's; Content-Length is needed.",
        "parameters": [
            _parameter("filename", "query", "Instead of Content-Disposition's"),
            _parameter(
                "kind", "query", "image, video, audio, voice, document or sticker: its limits and types hold"
            ),
            _parameter("sha256", "query", "Hex; a file that arrives otherwise is refused"),
        ],
        "requestBody": {"required": True, **anything},
        "responses": {
            "201": {"description": "Stored", "content": {JSON: {"schema": info}}},
            "default": _failure(),
        },
        "security": [{"bearer": []}, {"key": []}],
    }


def _cloud_upload() -> dict[str, Any]:
    file = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary"}},
    }
    answer = {"type": "object", "properties": {"id": {"type": "string"}}}
    return {
        "operationId": "post_version_phone_number_id_media",
        "summary": "Cloud API: upload a file",
        "tags": ["cloud api"],
        "description": "The key's scopes must hold `send`.",
        "parameters": [_parameter("version", "path"), _parameter("phone_number_id", "path")],
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": file}}},
        "responses": {
            "200": {"description": "Stored", "content": {JSON: {"schema": answer}}},
            "default": _failure(),
        },
        "security": [{"bearer": []}, {"key": []}],
    }


def _download(name: str, tag: str, scope: Scope, summary: str) -> dict[str, Any]:
    anything = {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
    place = tag if tag == "media" else "exports"
    return {
        "operationId": f"get_v1_{place}_{name}",
        "summary": summary,
        "tags": [tag],
        "description": f"The key's scopes must hold `{scope}`.",
        "parameters": [
            _parameter(name, "path"),
            _parameter("Range", "header", "bytes=first-last, bytes=first- or bytes=-last"),
            _parameter("If-None-Match", "header", "The ETag, which is the file's SHA-256"),
        ],
        "responses": {
            "200": {"description": "The file", **anything},
            "206": {"description": "The range", **anything},
            "304": {"description": "It is as it was"},
            "416": {"description": "The file has no such range"},
            "default": _failure(),
        },
        "security": [{"bearer": []}, {"key": []}],
    }


def _stream(summary: str, status: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": summary}
    if status == "200":
        answer["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    return {
        "operationId": "get_v1_" + ("events" if status == "200" else "ws"),
        "summary": summary,
        "tags": ["events"],
        "description": "The key's scopes must hold `read`.",
        "parameters": [
            *(_parameter(name, "query", text) for name, text in _STREAM_QUERY.items()),
            _parameter("Last-Event-ID", "header", "The stream sequence after which to read on"),
        ],
        "responses": {status: answer, "default": _failure()},
        "security": [{"bearer": []}, {"key": []}, {"ticket": []}],
    }
