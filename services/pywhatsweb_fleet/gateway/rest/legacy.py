"""PyWhatsWeb 0.5's routes (its sidecar's REST API), with its names of states and its ``success`` envelope."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from msgspec import Struct
from prometheus_client import generate_latest

from pywhatsweb.contracts import codec
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts.statuses import SessionStatus
from pywhatsweb.errors import ErrorCode, PyWhatsWebError
from pywhatsweb_fleet.gateway.asking import ask_any
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_fleet.gateway.rest.sessions import start_named
from pywhatsweb_fleet.gateway.routes import Answer, Call, Route
from pywhatsweb_fleet.gateway.sending import send

METRICS = "text/plain; version=0.0.4; charset=utf-8"


class LegacySend(Struct, kw_only=True):
    """0.5 took `text`, and also `message` or `body`; the recipient as `to` or `phone_number`."""

    to: str | None = None
    phone_number: str | None = None
    text: str | None = None
    message: str | None = None
    body: str | None = None
    correlation_id: str | None = None


def _told(info: d.SessionInfo) -> dict[str, Any]:
    try:
        status = SessionStatus(info.status).legacy
    except ValueError:
        status = "error"
    return {
        "success": True,
        "session_id": info.session_id,
        "status": status,
        "phone_number": info.phone_number,
        "is_active": info.desired == "running",
    }


async def start(call: Call) -> Answer:
    return Answer(_told(await start_named(call, call.session())))


async def stop(call: Call) -> Answer:
    return Answer(_told(await ask_any(call.deps.bus, call.who, "session.stop", session_id=call.session())))


async def status(call: Call) -> Answer:
    return Answer(_told(await ask_any(call.deps.bus, call.who, "session.status", session_id=call.session())))


async def send_message(call: Call) -> Answer:
    asked: LegacySend = call.decode(LegacySend)
    to = asked.to or asked.phone_number
    text = asked.text or asked.message or asked.body
    if to is None or text is None:
        raise GatewayError(ErrorCode.E_MISSING_FIELD, {"path": "$", "field": "to" if to is None else "text"})
    fields = {"to": to, "type": "text", "text": {"body": text}, "correlation_id": asked.correlation_id}
    body = codec.encode({name: value for name, value in fields.items() if value is not None})
    _, accepted = await send(call, call.session(), "send", body)
    return Answer(
        {"success": True, **msgspec.to_builtins(accepted), "message_id": accepted.message_id or accepted.id}
    )


async def stop_all(call: Call) -> Answer:
    """Stops every session that runs, and says what became of each."""
    found: d.Sessions = await ask_any(call.deps.bus, call.who, "session.list", active=True)
    names = [session.session_id for session in found.sessions]
    results = await asyncio.gather(*(_stop_one(call, name) for name in names))
    failed = {name: code for name, code in zip(names, results, strict=True) if code is not None}
    stopped = [name for name in names if name not in failed]
    return Answer({"success": not failed, "stopped": stopped, "failed": failed})


async def _stop_one(call: Call, name: str) -> str | None:
    try:
        await ask_any(call.deps.bus, call.who, "session.stop", session_id=name)
    except PyWhatsWebError as error:
        return error.code.wire
    return None


async def metrics(call: Call) -> Answer:
    return Answer(generate_latest(call.deps.health.metrics.registry), kind=METRICS)


async def metrics_json(call: Call) -> Answer:
    found = {
        sample.name
        + "".join(f",{name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in call.deps.health.metrics.registry.collect()
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    }
    return Answer(found)


_ONE = "/api/session/{session_id}"
ROUTES = (
    Route("POST", f"{_ONE}/start", start, "0.5: start a session", "pywhatsweb 0.5", "manage"),
    Route("POST", f"{_ONE}/stop", stop, "0.5: stop a session", "pywhatsweb 0.5", "manage"),
    Route("GET", f"{_ONE}/status", status, "0.5: a session's status", "pywhatsweb 0.5", "read"),
    Route(
        "POST", f"{_ONE}/send-message", send_message, "0.5: send a text", "pywhatsweb 0.5", "send", LegacySend,
    ),
    Route("POST", "/api/sessions/stop-all", stop_all, "0.5: stop every session", "pywhatsweb 0.5", "manage"),
    Route("GET", "/metrics", metrics, "Prometheus text", "gateway", "read", kinds=(METRICS,)),
    Route("GET", "/metrics.json", metrics_json, "Metrics in JSON", "gateway", "read"),
)  # fmt: skip
