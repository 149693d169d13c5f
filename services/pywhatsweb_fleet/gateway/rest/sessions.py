"""Sessions by their own addresses: the same verbs as in `control`, in the form that REST clients expect."""

from __future__ import annotations

import base64

import msgspec
from msgspec import field

from pywhatsweb.contracts import codec, decoding
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts.commands import Metadata
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway.asking import ask, ask_any
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_fleet.gateway.routes import JSON, Answer, Call, Handler, Route

PNG = "image/png"
TEXT = "text/plain; charset=utf-8"


class StartOptions(d.Args, frozen=True, kw_only=True):
    """`control_data.SessionStart` without the session, which stands in the address."""

    engine: d.Engine | None = None
    phone_number: d.Who | None = None
    pairing: str = "qr"
    proxy: str | None = None
    metadata: Metadata = field(default_factory=dict)
    settings: d.SessionSettings | None = None


def _action(verb: str) -> Handler:
    async def handle(call: Call) -> Answer:
        return Answer(await ask_any(call.deps.bus, call.who, verb, session_id=call.session()))

    return handle


async def list_(call: Call) -> Answer:
    given = call.query.get("active")
    if given not in (None, "true", "false"):
        raise GatewayError(ErrorCode.E_INVALID_FIELD, {"path": "?active", "allowed": ["true", "false"]})
    active = None if given is None else given == "true"
    return Answer(await ask_any(call.deps.bus, call.who, "session.list", active=active))


async def create(call: Call) -> Answer:
    args = call.decode(d.SessionStart)
    return Answer(await ask(call.deps.bus, call.who, "session.start", args, d.SessionInfo), status=201)


async def start(call: Call) -> Answer:
    return Answer(await start_named(call, call.session()))


async def start_named(call: Call, session: str) -> d.SessionInfo:
    """Starts the session with the options in the request's body."""
    options = msgspec.structs.asdict(call.decode(StartOptions))
    args = decoding.decode(codec.encode(d.SessionStart(session_id=session, **options)), d.SessionStart)
    return await ask(call.deps.bus, call.who, "session.start", args, d.SessionInfo)


async def qr(call: Call) -> Answer:
    """``?format=json|png|text``, or what ``Accept`` prefers."""
    found: d.SessionQr = await ask_any(call.deps.bus, call.who, "session.qr", session_id=call.session())
    accept = call.headers.get("accept", "")
    form = call.query.get("format") or (
        "png" if PNG in accept else "text" if "text/plain" in accept else "json"
    )
    if form == "json":
        return Answer(found)
    if form == "png":
        return Answer(png_of(found), kind=PNG)
    if form == "text":
        return Answer(found.terminal + "\n", kind=TEXT)
    raise GatewayError(ErrorCode.E_INVALID_FIELD, {"path": "?format", "allowed": ["json", "png", "text"]})


def png_of(found: d.SessionQr) -> bytes:
    return base64.b64decode(found.image.partition(",")[2])


_ONE = "/v1/sessions/{session_id}"
ROUTES = (
    Route(
        "GET", "/v1/sessions", list_, "The tenant's sessions", "sessions", "read", result=d.Sessions,
        query={"active": "true: those that are to run; false: the others"},
    ),
    Route(
        "POST", "/v1/sessions", create, "Create a session if it is new, and start it", "sessions", "manage",
        d.SessionStart, d.SessionInfo, 201,
    ),
    Route("GET", _ONE, _action("session.status"), "A session as it is now", "sessions", "read", None, d.SessionInfo),
    Route(
        "DELETE", _ONE, _action("session.delete"), "Log out, then forget the session and its credentials", "sessions",
        "manage", None, d.SessionInfo,
    ),
    Route("POST", f"{_ONE}/start", start, "Start", "sessions", "manage", StartOptions, d.SessionInfo),
    *(
        Route(
            "POST", f"{_ONE}/{name}", _action(f"session.{name}"), summary, "sessions", "manage", None, d.SessionInfo
        )
        for name, summary in (
            ("stop", "Disconnect; the device stays linked"),
            ("restart", "Stop, then start"),
            ("logout", "Unlink the device at WhatsApp and stop"),
        )
    ),
    Route(
        "GET", f"{_ONE}/qr", qr, "The present QR code", "sessions", "read", None, d.SessionQr,
        query={"format": "json, png or text"}, kinds=(JSON, PNG, TEXT),
    ),
)  # fmt: skip
