"""The routes' table as a Litestar application: a request in, a handler's answer or a problem out."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import structlog
from litestar import Litestar, Request, Response
from litestar.enums import HttpMethod
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.handlers import HTTPRouteHandler

from pywhatsweb.contracts import codec
from pywhatsweb.contracts.codec import Form
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway import dashboard, downloads, files, problems, sse, websocket
from pywhatsweb_fleet.gateway.asgi import App, Receive, Scope, Send
from pywhatsweb_fleet.gateway.auth import Principal
from pywhatsweb_fleet.gateway.deps import Deps
from pywhatsweb_fleet.gateway.entering import entered
from pywhatsweb_fleet.gateway.envelope import (
    Envelope,
    address_of,
    gives_file,
    headers_of,
    ids_of,
    problem_headers,
    takes_file,
)
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_fleet.gateway.rest import tables
from pywhatsweb_fleet.gateway.routes import Answer, Call, Route
from pywhatsweb_fleet.gateway.streaming import Streams

log = structlog.get_logger(__name__)

NOBODY = Principal(TenantId(""), "", frozenset(), frozenset())
"""Who asks a public route."""


def application(deps: Deps, streams: Streams, more: tuple[Route, ...] = ()) -> App:
    """Everything that is served; ``more`` are routes that are not everywhere, and so in no document."""
    litestar: Any = Litestar(
        route_handlers=[_mounted(route, deps) for route in (*tables.ROUTES, *more)],
        openapi_config=None,
        logging_config=None,
        exception_handlers={HTTPException: _on_http_exception},
        request_max_body_size=None,  # the envelope bounds it
    )

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await websocket.serve(streams, scope, receive, send)
        elif dashboard.serves(scope["path"]):
            await dashboard.serve(scope, send)
        elif takes_file(scope):
            await files.serve(deps, scope, receive, send)
        elif gives_file(scope):
            await downloads.serve(deps, scope, send)
        elif scope["path"] == "/v1/events" and scope["method"] == "GET":
            await sse.serve(streams, scope, receive, send)
        else:
            await litestar(scope, receive, send)

    return Envelope(serve, deps.settings, deps.health.metrics)


def _mounted(route: Route, deps: Deps) -> HTTPRouteHandler:
    async def handle(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await _answer(request, route, deps)

    path = route.path.replace("}", ":str}")
    return HTTPRouteHandler(path, http_method=HttpMethod(route.method), status_code=route.status)(handle)


async def _answer(request: Request[Any, Any, Any], route: Route, deps: Deps) -> Response[bytes]:
    scope = cast("Scope", request.scope)
    ids = ids_of(scope)
    headers = headers_of(scope)
    told: dict[str, str] = {}
    try:
        who = NOBODY if route.public else await entered(deps, scope, changes=route.method != "GET")
        if not route.public:
            told["X-Tenant-Id"] = who.tenant
        if route.scope is not None:
            who.need(route.scope)
        call = Call(
            deps=deps,
            who=who,
            path={name: str(value) for name, value in request.path_params.items()},
            query=dict(request.query_params),
            headers=headers,
            address=address_of(scope),
            body=b"" if route.method == "GET" else await request.body(),
            request_id=ids.request,
            correlation_id=ids.correlation,
        )
        session = call.path.get("session_id")
        if session is not None:
            told["X-Session-Id"] = call.who.addressee(session)
        answer = await route.handler(call)
        return _response(answer, _form(call), told)
    except Exception as error:
        body = problems.from_body(problems.of(error), ids.request)
        if body.code == ErrorCode.E_INTERNAL.wire:
            log.exception("a request failed", path=route.path, request_id=ids.request)
        return _problem(body, told)


def _form(call: Call) -> Form:
    """The request's: MessagePack when its body is, or when it asks for it."""
    accept = call.headers.get("accept", "")
    if "msgpack" in accept:
        return "msgpack"
    return (
        "msgpack" if call.body and "json" not in accept and codec.form_of(call.body) == "msgpack" else "json"
    )


def _response(answer: Answer, form: Form, told: dict[str, str]) -> Response[bytes]:
    if answer.kind is not None:
        content = answer.body if isinstance(answer.body, bytes) else str(answer.body).encode()
        kind = answer.kind
    else:
        content, kind = codec.encode(answer.body, form), codec.CONTENT_TYPES[form]
    return Response(content, media_type=kind, status_code=answer.status, headers={**told, **answer.headers})


def _problem(body: problems.Problem, told: dict[str, str]) -> Response[bytes]:
    return Response(
        msgspec.json.encode(body),
        media_type=problems.CONTENT_TYPE,
        status_code=body.status,
        headers={**told, **problem_headers(body)},
    )


def _on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What Litestar itself refuses: no such path, no such method."""
    ids = ids_of(cast("Scope", request.scope))
    if isinstance(error, NotFoundException):
        body = problems.of(GatewayError(ErrorCode.E_UNKNOWN_VERB))
    elif isinstance(error, MethodNotAllowedException):
        body = msgspec.structs.replace(problems.of(GatewayError(ErrorCode.E_UNKNOWN_VERB)), http_status=405)
    elif error.status_code < 500:
        body = msgspec.structs.replace(
            problems.of(GatewayError(ErrorCode.E_MALFORMED_BODY)), http_status=error.status_code
        )
    else:
        log.error("a request failed", request_id=ids.request, exc_info=error)
        body = problems.of(GatewayError(ErrorCode.E_INTERNAL))
    return _problem(problems.from_body(body, ids.request), {})
