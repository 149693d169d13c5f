"""Keys, scopes, tickets and buckets without a broker."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pywhatsweb.contracts import control
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import law_data as ld
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.broker import keys as record
from pywhatsweb_fleet.gateway import asking
from pywhatsweb_fleet.gateway.auth import Door, Narrowed, Principal, bearer
from pywhatsweb_fleet.gateway.keys import Keys, Known
from pywhatsweb_fleet.gateway.limits import Buckets
from pywhatsweb_fleet.gateway.problems import GatewayError
from pywhatsweb_fleet.gateway.users import Users


class FakeBucket:
    """A bucket with nothing in it."""

    async def all(self, pattern: str) -> list[Any]:
        return []

    async def put(self, key: str, value: bytes, *, expected: int | None = None) -> int:
        return 1


def keys_with(*known: Known) -> Keys:
    keys = Keys.__new__(Keys)
    keys.suspended = set()
    keys._bucket = FakeBucket()  # type: ignore[assignment]
    keys._known = {each.id: each for each in known}
    keys._used, keys._writes, keys.signing = {}, set(), b"s" * 32
    return keys


def made(tenant: str = "demo", **fields: Any) -> tuple[str, Known]:
    api_key = record.new_key()
    hashed = record.digest(api_key)
    return api_key, Known(record.key_id(hashed), TenantId(tenant), record.KeyRecord(hash=hashed, **fields))


def door(keys: Keys, key_burst: int = 100, address_burst: int = 100) -> Door:
    return Door(keys, Users.__new__(Users), Buckets(1, key_burst), Buckets(1, address_burst))


async def refused(code: ErrorCode, work: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await work
    assert caught.value.code is code
    return caught.value


async def test_a_key_opens_only_for_its_tenant() -> None:
    """A key in either header gives its tenant; another, an expired one or none is refused."""
    api_key, known = made()
    old_key, over = made(expires_at=1)
    entered = door(keys_with(known, over))
    assert (await entered.enter({"authorization": f"Bearer {api_key}"}, "a")).tenant == "demo"
    assert (await entered.enter({"x-api-key": api_key}, "a")).key_id == known.id
    for headers in (
        {},
        {"x-api-key": old_key},
        {"x-api-key": api_key + "x"},
        {"x-api-key": "pww_" + "x" * 9999},
    ):
        await refused(ErrorCode.E_AUTHENTICATION_FAILED, entered.enter(headers, "a"))


def test_a_bound_key_sends_to_an_inbox_that_it_names() -> None:
    """The inbox would else lead to sessions that the key may not touch."""
    bound = Principal(TenantId("demo"), "k", frozenset({"send"}), frozenset({"s1", "@sales"}))
    assert bound.addressee("s1") == bound.session("s1") == "s1"
    assert bound.addressee("@sales") == "@sales"
    for refuses, name in ((bound.addressee, "@support"), (bound.addressee, "s2"), (bound.session, "@sales")):
        with pytest.raises(GatewayError):
            refuses(name)


async def test_refusals_are_counted_by_address() -> None:
    """After its burst of wrong keys an address waits, with a right key too; another address does not."""
    api_key, known = made()
    entered = door(keys_with(known), address_burst=3)
    for _ in range(3):
        await refused(ErrorCode.E_AUTHENTICATION_FAILED, entered.enter({}, "a"))
    error = await refused(ErrorCode.E_RATE_LIMITED, entered.enter({"x-api-key": api_key}, "a"))
    assert 0 < error.details["retry_after_ms"] <= 1001
    assert (await entered.enter({"x-api-key": api_key}, "b")).tenant == "demo"


async def test_a_key_has_a_rate() -> None:
    """Beyond its burst a key waits."""
    api_key, known = made()
    entered = door(keys_with(known), key_burst=2)
    for _ in range(2):
        await entered.enter({"x-api-key": api_key}, "a")
    await refused(ErrorCode.E_RATE_LIMITED, entered.enter({"x-api-key": api_key}, "a"))


async def test_tickets_open_streams_only_while_they_last() -> None:
    """It is refused when it is over, changed, forged, or its key is revoked; a key in the query never counts."""
    api_key, known = made(scopes=("read",))
    keys = keys_with(known)
    entered = door(keys)
    who = await entered.enter({"x-api-key": api_key}, "a")
    ticket, _ = entered.issue(who, 60)
    assert (await entered.enter_stream({}, {"ticket": ticket}, "a")).scopes == {"read"}
    head, body, signature = ticket.split(".")
    stale, _ = entered.issue(who, -1)
    other = keys_with(known)
    other.signing = b"t" * 32
    forged, _ = door(other).issue(who, 60)
    for bad in (
        stale,
        forged,
        f"{head}.{body}.",
        f"{head}.{body}x.{signature}",
        f"x.{body}.{signature}",
        "",
        "é",
        api_key,
    ):
        await refused(ErrorCode.E_AUTHENTICATION_FAILED, entered.enter_stream({}, {"ticket": bad}, "a"))
    await refused(ErrorCode.E_AUTHENTICATION_FAILED, entered.enter_stream({}, {"key": api_key}, "a"))
    await refused(
        ErrorCode.E_AUTHENTICATION_FAILED, entered.enter({"authorization": f"Bearer {ticket}"}, "a")
    )
    keys._known.clear()
    await refused(ErrorCode.E_AUTHENTICATION_FAILED, entered.enter_stream({}, {"ticket": ticket}, "a"))


async def test_a_subprotocol_may_carry_the_key() -> None:
    """A browser's WebSocket can set no header but this one."""
    api_key, known = made()
    who = await door(keys_with(known)).enter_stream({}, {}, "a", ("pww.v1", f"pww.key.{api_key}"))
    assert who.key_id == known.id


@pytest.mark.parametrize("name", ["../s1", "s1.>", "*", "S1", "", "a b", "s1\r\nX: y", "x" * 64])
def test_only_names_are_sessions(name: str) -> None:
    """What could leave a subject's token is no session's name."""
    who = Principal(TenantId("demo"), "k", frozenset(), None)
    with pytest.raises(GatewayError) as caught:
        who.session(name)
    assert caught.value.code is ErrorCode.E_INVALID_SESSION_ID


def test_a_bound_key_keeps_to_its_sessions() -> None:
    """It gets its one session filled in, and is refused another's, and what concerns all."""
    who = Principal(TenantId("demo"), "k", frozenset(record.ALL_SCOPES), frozenset(("s1",)))
    assert asking.bind(who, "chat.list", d.ChatList()) == d.ChatList(session_id="s1")
    for verb, args in (
        ("session.stop", d.SessionRef(session_id="s2")),
        ("chat.list", d.ChatList(session_id="s2")),
        ("data.export", ld.DataExport()),
        ("audit.list", ld.AuditList()),
    ):
        with pytest.raises(GatewayError):
            asking.bind(who, verb, args)


def test_every_verb_has_a_scope_that_fits_what_it_does() -> None:
    """Nothing that changes anything is open to a key that may only read."""
    reading = {verb for verb in control.VERBS if asking.scope_of(verb) == "read"}
    assert {"session.list", "session.status", "chat.messages", "health.get"} <= reading
    changing = (
        "start",
        "stop",
        "delete",
        "assign",
        "done",
        "put",
        "erase",
        "create",
        "redrive",
        "set",
        "take",
        "opt_out",
        "opt_in",
        "record",
        "withdraw",
        "set_words",
        "declare",
    )
    assert not [verb for verb in reading if verb.partition(".")[2] in changing]
    assert asking.scope_of("data.erase") == asking.scope_of("audit.list") == "admin"


def test_credentials_come_in_two_headers() -> None:
    """A bearer token counts before an X-Api-Key; another scheme does not count."""
    assert bearer({"authorization": "Bearer a", "x-api-key": "b"}) == "a"
    assert bearer({"authorization": "Basic a", "x-api-key": "b"}) == "b"
    assert bearer({"authorization": "Bearer "}) is None


def test_a_bucket_fills_again() -> None:
    """It lets a burst through, tells how long to wait, and then one for each interval."""
    buckets = Buckets(2, 3)
    assert [buckets.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b", 0.0) == 0
    assert buckets.take("a", 0.5) == 0
    assert buckets.take("a", 0.5) > 0


async def test_a_token_has_at_most_its_keys_rights_and_no_longer() -> None:
    """Fewer scopes and sessions where asked; what is made with it ends with it; the key's end is its end."""
    api_key, known = made(scopes=("read", "manage"), sessions=("s1", "s2"))
    keys = keys_with(known)
    entered = door(keys)
    who = await entered.enter({"x-api-key": api_key}, "a")
    token, ends = entered.token(who, 600, Narrowed(frozenset(("read", "admin")), frozenset(("s2", "s3"))))
    header = {"authorization": f"Bearer {token}"}
    less = await entered.enter(header, "a")
    assert (set(less.scopes), less.sessions, less.until) == ({"read"}, frozenset({"s2"}), ends)
    for longer in (
        entered.issue(less, 9999),
        entered.token(less, 9999, less.narrowed),
        entered.cookie(less, 9999),
    ):
        assert longer[1] == ends
    ticket, _ = entered.issue(less, 60)
    again = await entered.enter_stream({}, {"ticket": ticket}, "a")
    assert (set(again.scopes), again.sessions, again.until) == ({"read"}, frozenset({"s2"}), ends)
    await refused(
        ErrorCode.E_AUTHENTICATION_FAILED, entered.enter({"authorization": f"Bearer {ticket}"}, "a")
    )
    await refused(ErrorCode.E_AUTHENTICATION_FAILED, entered.enter_stream({}, {"ticket": token}, "a"))
    assert await entered.still(less)
    assert not await entered.still(msgspec.structs.replace(less, until=1))
    keys._known.clear()
    await refused(ErrorCode.E_AUTHENTICATION_FAILED, entered.enter(header, "a"))


def test_the_trail_is_told_who_asks() -> None:
    """A login whatever the page says; a program's key, or whom it says it acts for; the gateway's own address."""
    person = Principal(
        TenantId("demo"), "user.demo.ana", frozenset(), None, "ana", address="192.0.2.7", correlation_id="r"
    )
    program = Principal(TenantId("demo"), "ab12", frozenset(), None, address="192.0.2.8")
    erase = ld.DataErase(phone_number="+5511999990001", reason="asked", actor="leo", address="forged")
    told = asking.bind(person, "data.erase", erase)
    assert isinstance(told, ld.DataErase)
    assert (told.actor, told.address, told.correlation_id) == ("ana", "192.0.2.7", "r")
    told = asking.bind(program, "data.export", ld.DataExport())
    assert isinstance(told, ld.DataExport)
    assert (told.actor, told.address) == ("key:ab12", "192.0.2.8")
    told = asking.bind(program, "data.erase", erase)
    assert isinstance(told, ld.DataErase)
    assert (told.actor, told.address) == ("leo", "192.0.2.8")
