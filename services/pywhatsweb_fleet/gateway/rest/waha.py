"""WAHA's sessions (https://waha.devlike.pro/docs/how-to/sessions/): change the address and the key, and go on."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from pywhatsweb import __version__
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import webhook_data as w
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway.asking import ask_any
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_fleet.gateway.rest.sessions import PNG, png_of
from pywhatsweb_fleet.gateway.routes import JSON, Answer, Call, Handler, Route
from pywhatsweb_runtime.waha import SESSION_STATUS

TAG: Final = "waha"
_TYPES: Final = {
    "message": ("message", "post"), "message.any": ("message", "post"), "message.ack": ("status",),
    "message.reaction": ("reaction",), "message.revoked": ("delete", "post"), "session.status": ("session",),
}  # fmt: skip
"""WAHA's events that a webhook can have, and ours."""


class WahaHmac(Struct, kw_only=True):
    key: str | None = None


class WahaHeader(Struct, kw_only=True):
    name: str
    value: str


class WahaWebhook(Struct, kw_only=True):
    """`hmac.key` has to be a secret of ours, ``whsec_…``; retries are ours (for seven days)."""

    url: str
    events: list[str] = msgspec.field(default_factory=lambda: ["*"])
    hmac: WahaHmac | None = None
    customHeaders: list[WahaHeader] | None = None  # noqa: N815 - WAHA's name


class WahaConfig(Struct, kw_only=True):
    metadata: dict[str, str | int | float | bool | None] | None = None
    webhooks: list[WahaWebhook] | None = None


class WahaSession(Struct, kw_only=True):
    name: str = "default"
    start: bool = True
    config: WahaConfig | None = None


class WahaSessionUpdate(Struct, kw_only=True):
    config: WahaConfig | None = None


class WahaNamed(Struct, kw_only=True):
    """The older form of start, stop and logout."""

    name: str = "default"
    logout: bool = False
    config: WahaConfig | None = None


def _told(info: d.SessionInfo) -> dict[str, Any]:
    return {
        "name": info.session_id,
        "status": SESSION_STATUS.get(str(info.status), "FAILED"),
        "me": me_of(info),
        "engine": {"engine": info.engine},
        "config": {"metadata": info.metadata},
    }


def me_of(info: d.SessionInfo) -> dict[str, Any] | None:
    """The account that a session is."""
    return {"id": f"{info.phone_number[1:]}@c.us", "pushName": None} if info.phone_number else None


async def _do(call: Call, verb: str, session: str) -> dict[str, Any]:
    return _told(await ask_any(call.deps.bus, call.who, verb, session_id=call.who.session(session)))


def _action(verb: str, status: int = 200) -> Handler:
    async def handle(call: Call) -> Answer:
        return Answer(await _do(call, verb, call.session()), status=status)

    return handle


async def list_(call: Call) -> Answer:
    active = None if call.query.get("all", "").lower() == "true" else True
    found: d.Sessions = await ask_any(call.deps.bus, call.who, "session.list", active=active)
    return Answer([_told(info) for info in found.sessions])


async def create(call: Call) -> Answer:
    asked: WahaSession = call.decode(WahaSession)
    session = call.who.session(asked.name)
    metadata = (asked.config.metadata if asked.config is not None else None) or {}
    info = await ask_any(call.deps.bus, call.who, "session.start", session_id=session, metadata=metadata)
    await _configure(call, session, asked.config)
    if not asked.start:
        info = await ask_any(call.deps.bus, call.who, "session.stop", session_id=session)
    return Answer(_told(info), status=201)


async def update(call: Call) -> Answer:
    asked: WahaSessionUpdate = call.decode(WahaSessionUpdate)
    told = await _do(call, "session.status", call.session())
    await _configure(call, call.session(), asked.config)
    return Answer(told)


async def _configure(call: Call, session: str, config: WahaConfig | None) -> None:
    """A session's webhooks, each under a name of its place, so that the same configuration again changes nothing."""
    for number, hook in enumerate((config.webhooks if config is not None else None) or []):
        fields = {
            "webhook_id": f"waha-{number}-{session}"[:63],
            "url": hook.url,
            "types": _types(hook.events),
            "sessions": [session],
            "format": "waha",
            "secret": hook.hmac.key if hook.hmac is not None else None,
            "headers": {header.name: header.value for header in hook.customHeaders or []},
        }
        try:
            args = msgspec.convert(fields, w.WebhookCreate)
        except msgspec.ValidationError:
            place = {"path": f"$.config.webhooks[{number}]"}
            raise GatewayError(ErrorCode.E_INVALID_FIELD, place) from None
        await ask_any(call.deps.bus, call.who, "webhook.create", **msgspec.structs.asdict(args))


def _types(names: list[str]) -> list[str] | None:
    """Those that we do not have are left out, as of an engine that lacks them; GatewayError when none is left."""
    wanted = _TYPES if "*" in names else names
    found = sorted({ours for name in wanted for ours in _TYPES.get(name, ())})
    if not found:
        raise GatewayError(
            ErrorCode.E_UNSUPPORTED_TYPE, {"path": "$.config.webhooks", "types": sorted(_TYPES)}
        )
    return found


async def me(call: Call) -> Answer:
    info = await ask_any(call.deps.bus, call.who, "session.status", session_id=call.session())
    return Answer(me_of(info))


async def start(call: Call) -> Answer:
    asked: WahaNamed = call.decode(WahaNamed)
    told = await _do(call, "session.start", asked.name)
    await _configure(call, asked.name, asked.config)
    return Answer(told, status=201)


async def stop(call: Call) -> Answer:
    asked: WahaNamed = call.decode(WahaNamed)
    verb = "session.logout" if asked.logout else "session.stop"
    return Answer(await _do(call, verb, asked.name), status=201)


async def logout(call: Call) -> Answer:
    asked: WahaNamed = call.decode(WahaNamed)
    return Answer(await _do(call, "session.logout", asked.name), status=201)


async def qr(call: Call) -> Answer:
    found: d.SessionQr = await ask_any(call.deps.bus, call.who, "session.qr", session_id=call.session())
    if call.query.get("format") == "raw":
        return Answer({"value": found.code})
    if "application/json" in call.headers.get("accept", ""):
        return Answer({"mimetype": PNG, "data": found.image.partition(",")[2]})
    return Answer(png_of(found), kind=PNG)


async def ping(_: Call) -> Answer:
    return Answer({"message": "pong"})


async def version(_: Call) -> Answer:
    return Answer({"version": __version__, "engine": "PYWHATSWEB", "tier": "PLUS", "browser": None})


_ONE = "/api/sessions/{session_id}"
ROUTES = (
    Route("GET", "/api/sessions", list_, "WAHA: sessions", TAG, "read", query={"all": "true: the stopped ones too"}),
    Route("POST", "/api/sessions", create, "WAHA: create a session", TAG, "manage", WahaSession, status=201),
    Route("POST", "/api/sessions/start", start, "WAHA: start, the older form", TAG, "manage", WahaNamed, status=201),
    Route("POST", "/api/sessions/stop", stop, "WAHA: stop, the older form", TAG, "manage", WahaNamed, status=201),
    Route("POST", "/api/sessions/logout", logout, "WAHA: unlink, the older form", TAG, "manage", WahaNamed, status=201),
    Route("GET", _ONE, _action("session.status"), "WAHA: a session", TAG, "read"),
    Route("PUT", _ONE, update, "WAHA: change a session's webhooks", TAG, "manage", WahaSessionUpdate),
    Route("DELETE", _ONE, _action("session.delete"), "WAHA: delete a session", TAG, "manage"),
    Route("GET", f"{_ONE}/me", me, "WAHA: the account", TAG, "read"),
    *(
        Route("POST", f"{_ONE}/{name}", _action(f"session.{name}", 201), f"WAHA: {name}", TAG, "manage", status=201)
        for name in ("start", "stop", "restart", "logout")
    ),
    Route(
        "GET", "/api/{session_id}/auth/qr", qr, "WAHA: the QR code", TAG, "read", query={"format": "image or raw"},
        kinds=(PNG, JSON),
    ),
    Route("GET", "/ping", ping, "WAHA: whether it is there", TAG, "read"),
    Route("GET", "/api/version", version, "WAHA: the version", TAG, "read"),
    Route("GET", "/api/server/version", version, "WAHA: the version", TAG, "read"),
)  # fmt: skip
