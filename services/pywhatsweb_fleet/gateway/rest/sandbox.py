"""``/v1/sandbox``: the local WhatsApp from the side of phones and contacts. It is there only where one runs.

A tenant sees and steers its own accounts: the chats that contacts have with them, their devices, their faults. Contacts
are everybody's, as numbers at WhatsApp are, but nobody speaks for the phone of another tenant's account.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from pywhatsweb.contracts import control_data as d
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway.asking import ask_any
from pywhatsweb_fleet.gateway.local import LocalWhatsApp
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_fleet.gateway.routes import Answer, Call, Method, Route

_NUMBER: Final = re.compile(r"\+?([1-9]\d{6,14})").fullmatch
_TAG: Final = "sandbox"
_PHONE: Final = "/v1/sandbox/phones/{phone}"
_CHAT: Final = _PHONE + "/chats/{contact}"
_NOT_LINKED: Final = frozenset(("LOGGED_OUT", "REPLACED"))

Text = Annotated[str, Meta(max_length=4096)]
Short = Annotated[str, Meta(max_length=200)]
Milliseconds = Annotated[int, Meta(ge=0, le=3_600_000)]


class Linking(d.Args, frozen=True, kw_only=True):
    """What the phone's user scans (`qr`, the raw text) or types (`code`)."""

    qr: Annotated[str, Meta(max_length=2048)] | None = None
    code: Annotated[str, Meta(max_length=16)] | None = None


class Unlinking(d.Args, frozen=True, kw_only=True):
    """`device`: only this one."""

    device: int | None = None


class ContactChange(d.Args, frozen=True, kw_only=True):
    """How a contact is called, and what its phone does: `reply` null, ``echo`` or a text."""

    name: Short | UnsetType = UNSET
    registered: bool | UnsetType = UNSET
    deliver: bool | UnsetType = UNSET
    read: bool | UnsetType = UNSET
    reply: Text | UnsetType | None = UNSET


class Saying(d.Args, frozen=True, kw_only=True):
    """What a contact writes; a file as `data`, an answer with `quoted_id`, a `reaction` to it."""

    type: Literal[
        "text", "image", "video", "audio", "voice", "document", "sticker", "location", "reaction"
    ] = "text"
    text: Text | None = None
    quoted_id: Short | None = None
    reaction: Short | None = None
    data: Annotated[bytes, Meta(max_length=d.MAX_PUT_BYTES)] | None = None
    mime_type: Short | None = None
    filename: Short | None = None
    latitude: float | None = None
    longitude: float | None = None


class Showing(d.Args, frozen=True, kw_only=True):
    state: Literal["available", "unavailable", "composing", "recording", "paused"]


class Fault(d.Args, frozen=True, kw_only=True):
    """What goes wrong for the account; `count` times, for `seconds`, or as its kind has it."""

    kind: Short
    contact: Short | None = None
    count: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    code: Annotated[int, Meta(ge=100, le=999)] | None = None
    delay_ms: Milliseconds | None = None
    seconds: Annotated[float, Meta(gt=0, le=86_400)] | None = None


class Device(Struct, frozen=True, kw_only=True):
    device: int
    platform: str
    connected: bool
    waiting: int
    """Messages that it has not taken yet."""


class Phone(Struct, frozen=True, kw_only=True):
    number: str
    name: str
    lid: str
    sessions: list[str]
    devices: list[Device]


class Bench(Struct, frozen=True, kw_only=True):
    """The tenant's phones, the faults that wait for them, and what faults there are."""

    phones: list[Phone]
    faults: list[dict[str, Any]]
    fault_kinds: list[str]


class World:
    """The local WhatsApp as one request's tenant may see it. `of` reads it anew for each request."""

    def __init__(self, state: dict[str, Any], own: dict[str, list[str]]) -> None:
        self.own = own
        self.state = state
        self._linked = {phone["number"] for phone in state["phones"] if phone["companions"]}

    @classmethod
    async def of(cls, whatsapp: LocalWhatsApp, call: Call) -> World:
        listed = await ask_any(call.deps.bus, call.who, "session.list")
        own: dict[str, list[str]] = {}
        for session in listed.sessions:
            found = _NUMBER(session.phone_number or "")
            # What a simulated session calls its number is no word of this WhatsApp.
            if found and session.engine != "simulated" and session.status not in _NOT_LINKED:
                own.setdefault(found[1], []).append(session.session_id)
        return cls(await whatsapp.ask("GET", "/api/state", contacts="0"), own)

    def mine(self, number: str) -> str:
        """An account of the tenant's. Raises GatewayError(E_SESSION_NOT_FOUND)."""
        if number not in self.own:
            raise GatewayError(
                ErrorCode.E_SESSION_NOT_FOUND, {"reason": "no session of yours has this number"}
            )
        return number

    def nobodys(self, number: str) -> str:
        """A number that no other tenant's account has. Raises GatewayError(E_FORBIDDEN)."""
        if number in self._linked and number not in self.own:
            raise GatewayError(ErrorCode.E_FORBIDDEN, {"reason": "somebody else's phone"})
        return number


def number_of(call: Call, name: str) -> str:
    """The digits of a number in the path. Raises GatewayError(E_INVALID_PHONE)."""
    found = _NUMBER(call.path[name])
    if found is None:
        raise GatewayError(ErrorCode.E_INVALID_PHONE)
    return found[1]


async def bench(whatsapp: LocalWhatsApp, call: Call) -> Answer:
    world = await World.of(whatsapp, call)
    phones = [
        Phone(
            number=phone["number"],
            name=phone["name"],
            lid=phone["lid"],
            sessions=world.own[phone["number"]],
            devices=[
                Device(
                    device=one["device"],
                    platform=one["platform"],
                    connected=one["connected"],
                    waiting=one["queued"]["messages"],
                )
                for one in phone["companions"]
            ],
        )
        for phone in world.state["phones"]
        if phone["number"] in world.own
    ]
    faults = [fault for fault in world.state["faults"] if fault.get("account") in world.own]
    return Answer(Bench(phones=phones, faults=faults, fault_kinds=world.state["fault_kinds"]))


async def link(whatsapp: LocalWhatsApp, call: Call) -> Answer:
    args: Linking = call.decode(Linking)
    number = number_of(call, "phone")
    (await World.of(whatsapp, call)).nobodys(number)
    if args.qr is not None:
        return Answer(await whatsapp.ask("POST", f"/api/phones/{number}/scan", {"qr": args.qr}))
    if args.code is None:
        raise GatewayError(ErrorCode.E_MISSING_FIELD, {"path": "$", "field": "qr"})
    return Answer(await whatsapp.ask("POST", f"/api/phones/{number}/link-code", {"code": args.code}))


async def unlink(whatsapp: LocalWhatsApp, call: Call) -> Answer:
    args: Unlinking = call.decode(Unlinking)
    number = (await World.of(whatsapp, call)).mine(number_of(call, "phone"))
    return Answer(await whatsapp.ask("POST", f"/api/phones/{number}/unlink", args))


async def chats(whatsapp: LocalWhatsApp, call: Call) -> Answer:
    number = (await World.of(whatsapp, call)).mine(number_of(call, "phone"))
    return Answer(await whatsapp.ask("GET", f"/api/phones/{number}/chats"))


async def chat(whatsapp: LocalWhatsApp, call: Call) -> Answer:
    number = (await World.of(whatsapp, call)).mine(number_of(call, "phone"))
    return Answer(await whatsapp.ask("GET", f"/api/phones/{number}/chats/{number_of(call, 'contact')}"))


async def change(whatsapp: LocalWhatsApp, call: Call) -> Answer:
    args: ContactChange = call.decode(ContactChange)
    number = (await World.of(whatsapp, call)).nobodys(number_of(call, "contact"))
    behaviour = {name: value for name, value in msgspec.to_builtins(args).items() if name != "name"}
    body: dict[str, Any] = {"number": number, "behaviour": behaviour}
    if args.name is not UNSET:
        body["name"] = args.name
    return Answer(await whatsapp.ask("POST", "/api/contacts", body))


async def say(whatsapp: LocalWhatsApp, call: Call) -> Answer:
    args: Saying = call.decode(Saying)
    return await _as_contact(whatsapp, call, "send", _said(args))


def _said(args: Saying) -> dict[str, Any]:
    """In the sandbox's words."""
    body: dict[str, Any] = msgspec.to_builtins(args)
    if "data" in body:
        body["media_base64"] = body.pop("data")
    return {"type": "text", **body}


async def show(whatsapp: LocalWhatsApp, call: Call) -> Answer:
    args: Showing = call.decode(Showing)
    return await _as_contact(whatsapp, call, "presence", {"state": args.state})


async def _as_contact(whatsapp: LocalWhatsApp, call: Call, act: str, body: dict[str, Any]) -> Answer:
    """What a contact does towards an account."""
    world = await World.of(whatsapp, call)
    account = world.mine(number_of(call, "phone"))
    contact = world.nobodys(number_of(call, "contact"))
    return Answer(await whatsapp.ask("POST", f"/api/contacts/{contact}/{act}", {**body, "to": account}))


async def strike(whatsapp: LocalWhatsApp, call: Call) -> Answer:
    args: Fault = call.decode(Fault)
    account = (await World.of(whatsapp, call)).mine(number_of(call, "phone"))
    body = {**msgspec.to_builtins(args), "account": account}
    return Answer(await whatsapp.ask("POST", "/api/faults", body))


async def heal(whatsapp: LocalWhatsApp, call: Call) -> Answer:
    account = (await World.of(whatsapp, call)).mine(number_of(call, "phone"))
    await whatsapp.ask("DELETE", "/api/faults", account=account)
    return Answer({"ok": True})


_Act = Callable[[LocalWhatsApp, Call], Awaitable[Answer]]
_ROUTES: Final[tuple[tuple[Method, str, _Act, str, Any, Any], ...]] = (
    ("GET", "/v1/sandbox", bench, "One's phones at the local WhatsApp, and their faults", None, Bench),
    ("POST", _PHONE + "/link", link, "A phone's user scans a code or types one", Linking, None),
    ("POST", _PHONE + "/unlink", unlink, "A phone's user unlinks devices", Unlinking, None),
    ("GET", _PHONE + "/chats", chats, "With whom an account has a chat", None, None),
    ("GET", _CHAT, chat, "A chat as the contact's phone shows it", None, None),
    ("POST", _CHAT + "/messages", say, "A contact writes", Saying, None),
    ("POST", _CHAT + "/presence", show, "A contact types", Showing, None),
    ("POST", _PHONE + "/faults", strike, "Something goes wrong", Fault, None),
    ("DELETE", _PHONE + "/faults", heal, "Nothing goes wrong any more", None, None),
    ("POST", "/v1/sandbox/contacts/{contact}", change, "Make or change a contact", ContactChange, None),
)


def routes(whatsapp: LocalWhatsApp) -> tuple[Route, ...]:
    """For who may manage sessions."""
    return tuple(
        Route(method, path, partial(act, whatsapp), summary, _TAG, "manage", args, result)
        for method, path, act, summary, args, result in _ROUTES
    )
