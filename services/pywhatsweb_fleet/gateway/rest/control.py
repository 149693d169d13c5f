"""``POST /v1/<noun>/<verb>``: every verb of the control plane, with its own Structs."""

from __future__ import annotations

from pywhatsweb.contracts import control
from pywhatsweb_fleet.gateway.asking import ask, scope_of
from pywhatsweb_fleet.gateway.routes import Answer, Call, Handler, Route


def _handler(verb: str, known: control.Verb) -> Handler:
    async def handle(call: Call) -> Answer:
        args = control.parse(verb, call.body)
        return Answer(await ask(call.deps.bus, call.who, verb, args, known.result))

    return handle


def _route(verb: str, known: control.Verb) -> Route:
    noun, _, name = verb.partition(".")
    return Route(
        "POST",
        f"/v1/{noun}/{name}",
        _handler(verb, known),
        known.summary,
        noun,
        scope=scope_of(verb),
        args=known.args,
        result=known.result,
    )


ROUTES = tuple(_route(verb, known) for verb, known in control.VERBS.items())
