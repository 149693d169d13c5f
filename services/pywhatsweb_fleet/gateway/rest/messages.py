"""Commands over HTTP: 202 when JetStream has one; ``?wait=sent`` answers when it is sent. Where a session stands, an
inbox (``@support``) may."""

from __future__ import annotations

from pywhatsweb.contracts import commands
from pywhatsweb.contracts import control_data as d
from pywhatsweb_fleet.gateway.asking import ask_any
from pywhatsweb_fleet.gateway.routes import Answer, Call, Handler, Route
from pywhatsweb_fleet.gateway.sending import MAX_WAIT_S, WAITS, Accepted, send

WAIT = {
    "wait": f"{', '.join(WAITS)}: answer when the command is as far, or has failed",
    "timeout": f"seconds to wait, up to {MAX_WAIT_S:g}; not so far by then: 202 with the last status",
}


def _command(verb: str) -> Handler:
    async def handle(call: Call) -> Answer:
        status, accepted = await send(call, call.addressee(), verb)
        return Answer(accepted, status=status)

    return handle


async def status(call: Call) -> Answer:
    return Answer(
        await ask_any(
            call.deps.bus, call.who, "message.status", id=call.path["command_id"], session_id=call.addressee()
        )
    )


_ONE = "/v1/sessions/{session_id}"
ROUTES = (
    Route(
        "POST", f"{_ONE}/messages", _command("send"), "Send a message", "messages", "send", commands.Send, Accepted,
        202, query=WAIT,
    ),
    Route(
        "GET", f"{_ONE}/messages/{{command_id}}", status, "How far a command has come", "messages", "read", None,
        d.MessageStatusInfo,
    ),
    *(
        Route(
            "POST", f"{_ONE}/commands/{verb}", _command(verb), f"The command {verb}", "messages", "send", kind,
            Accepted, 202, query=WAIT,
        )
        for verb, kind in commands.COMMANDS.items()
    ),
)  # fmt: skip
