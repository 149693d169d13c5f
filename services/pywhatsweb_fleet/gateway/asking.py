"""The control plane, asked for a tenant: who may ask what, and the answer."""

from __future__ import annotations

from typing import Any, Final, TypeVar, cast

import msgspec

from pywhatsweb.contracts import codec, control, live, subjects
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import law_data as ld
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.broker.keys import Scope
from pywhatsweb_fleet.gateway.auth import Principal
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_runtime.bus import BrokerUnavailable, Bus

R = TypeVar("R")

ASK_S: Final = 15.0
LONG_ASK_S: Final = 60.0
_LONG: Final = frozenset(
    (
        "media.put",
        "media.get",
        "media.part",
        "media.finish",
        "data.export",
        "data.erase",
        "data.download",
        "audit.verify",
        *live.VERBS,
    )
)
_READ: Final = frozenset(
    (
        "status",
        "list",
        "qr",
        "messages",
        "check",
        "get",
        "show",
        "card",
        "history",
        "search",
        "counts",
        "responses",
        "preview",
        "opt_outs",
        "words",
    )
)
"""The second part of verbs that change nothing."""
_ADMIN_NOUNS: Final = frozenset(("data", "audit", "deadletter", "consumer", "webhook", "retention"))
_SIGNED_NOUNS: Final = ("template", "inbox", "deadletter", "consent", "contact")
_UPLOADS: Final = frozenset(("media.put", "media.begin", "media.part", "media.finish", "media.abort"))
_ANY_SESSION: Final = _UPLOADS | {
    "health.get",
    "session.list",
    "template.get",
    "template.list",
    "template.preview",
}
"""What a key that is bound to sessions may ask without naming one."""


def scope_of(verb: str) -> Scope:
    """What a key must allow for ``noun.verb``."""
    if verb in _UPLOADS:
        return "send"
    noun, _, name = verb.partition(".")
    if noun in _ADMIN_NOUNS:
        return "admin"
    if noun == "chat" and name not in _READ:
        return "board"
    return "read" if name in _READ or _only_asks(verb) else "manage"


def _only_asks(verb: str) -> bool:
    known = live.VERBS.get(verb)
    return known is not None and not known.acts


def bind(who: Principal, verb: str, args: d.Args) -> d.Args:
    """The arguments, kept to the sessions that the key is bound to, and in the name of who signed in.

    Raises GatewayError(E_FORBIDDEN).
    """
    if "by" in args.__struct_fields__ and (who.user is not None or _unsigned(verb, args)):
        args = msgspec.structs.replace(args, by=who.actor)
    if isinstance(args, ld.Asking):
        args = msgspec.structs.replace(args, **_asking(who, args))
    if who.sessions is None or verb in _ANY_SESSION:
        return args
    named = getattr(args, "session_id", None)
    if named is None and "session_id" in args.__struct_fields__ and len(who.sessions) == 1:
        return msgspec.structs.replace(args, session_id=next(iter(who.sessions)))
    if named is None:
        raise GatewayError(ErrorCode.E_FORBIDDEN, {"reason": "this key is bound to sessions; name one"})
    who.session(named)
    return args


def _unsigned(verb: str, args: Any) -> bool:
    """Whether the audit trail would not know whose program it was. On the board `by` is an attendant, or nobody."""
    return args.by is None and verb.partition(".")[0] in _SIGNED_NOUNS


def _asking(who: Principal, args: ld.Asking) -> dict[str, str | None]:
    """What the audit trail is told: who signed in, whatever the page says; a program may name whom it acts for."""
    return {
        "actor": who.user or args.actor or who.actor,
        "address": who.address,
        "correlation_id": args.correlation_id or who.correlation_id,
    }


async def ask(bus: Bus, who: Principal, verb: str, args: d.Args, result: type[R]) -> R:
    """The data of the answer. Raises ContractError, RequestError, GatewayError or BrokerUnavailable."""
    who.need(scope_of(verb))
    args = bind(who, verb, args)
    control.check(args)
    try:
        raw = codec.encode(args)
    except OverflowError:  # JSON has numbers that MessagePack has not
        raise GatewayError(ErrorCode.E_INVALID_FIELD, {"reason": "a number beyond 64 bits"}) from None
    answer = await _request(bus, who, verb, raw)
    data: Any = control.read_reply(answer, result)
    if isinstance(data, d.Sessions) and who.sessions is not None:
        kept = [session for session in data.sessions if session.session_id in who.sessions]
        data = msgspec.structs.replace(data, sessions=kept)
    return cast("R", data)


async def _request(bus: Bus, who: Principal, verb: str, raw: bytes) -> bytes:
    noun, _, name = verb.partition(".")
    deadline = LONG_ASK_S if verb in _LONG else ASK_S
    try:
        subject = subjects.control(who.tenant, noun, name)
        return (await bus.request(subject, raw, headers=_headers(who), deadline=deadline)).data
    except BrokerUnavailable as error:
        if not str(error).startswith("nobody answers"):
            raise
        if verb == "health.get":
            raise
        await _request(bus, who, "health.get", b"{}")  # is only this verb missing, or everything?
        raise GatewayError(
            ErrorCode.E_NOT_IMPLEMENTED, {"verb": verb, "reason": "no service of this fleet answers it"}
        ) from None


def _headers(who: Principal) -> dict[str, str]:
    """Who asks, from where and in what matter, for the audit trail."""
    found = {"Pww-Actor": who.actor, "Pww-Address": who.address, "X-Correlation-Id": who.correlation_id}
    return {name: value for name, value in found.items() if value}


async def ask_any(bus: Bus, who: Principal, verb: str, **fields: Any) -> Any:
    """`ask` by the verb's own Structs."""
    known = control.VERBS[verb]
    return await ask(bus, who, verb, known.args(**fields), known.result)
