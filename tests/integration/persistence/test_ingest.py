"""Events become rows, once each, whatever else happens."""

from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from pywhatsweb.contracts.codec import encode
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb_fleet.storage import conversation, idempotency, sessions, usage
from pywhatsweb_fleet.storage.idempotency import Claim
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_fleet.storage.tables import chats, contacts, messages, session_events, statuses
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.publisher import Publisher
from tests.integration.persistence import traffic
from tests.support import wait_until


def counts(conn: Connection) -> dict[str, int]:
    """Rows of the tables that events fill."""
    tables = (messages, statuses, chats, contacts, session_events)
    return {t.name: int(conn.execute(select(func.count()).select_from(t)).scalar_one()) for t in tables}


def statuses_in(conn: Connection) -> int:
    return counts(conn)["statuses"]


async def until_settled(bus: Bus, tenant: str = "acme", within: float = 15) -> None:
    """Nothing waits in the durable and nothing is unacknowledged."""

    async def settled() -> bool:
        info = await bus.api(f"CONSUMER.INFO.WA_EVT_{tenant}.persistence")
        return bool(info["num_pending"] == 0 and info["num_ack_pending"] == 0)

    await wait_until(settled, within, interval=0.05, message="the stream is worked off")


async def test_every_kind_of_event_is_recorded(
    service: None, bus: Bus, publisher: Publisher, store: Store
) -> None:
    """Messages, changes to them, statuses, states, cards and contacts end in their tables."""
    claim = Claim("acme", "s1", "cmd3", "d", 1, traffic.BASE_MS, 2**50, "WAM3")
    await store.transact(idempotency.claim, [claim])
    await traffic.publish(
        publisher,
        traffic.session("WORKING", 1, phone_number="+5511", engine="simulated"),
        traffic.message(1),
        traffic.message(3, outbound=True),
        traffic.status(3, "sent"),
        traffic.status(3, "read"),
        traffic.status(3, "delivered"),
        traffic.edit(1, "edited", who=1),
        traffic.card(1, "active", "ana", 5),
    )
    await until_settled(bus)
    assert await store.read(counts) == {
        "messages": 3, "statuses": 3, "chats": 2, "contacts": 1, "session_events": 1,
    }  # fmt: skip
    record = await store.read(idempotency.lookup, "acme", "cmd3")
    assert record is not None
    assert record.status == MessageStatus.READ
    assert (await store.read(sessions.states, "acme"))[0].phone_number == "+5511"
    assert (await store.read(conversation.by_ids, "acme", ["WAM1"]))[0].body == "text 1"


async def test_events_told_again_count_once(
    service: None, bus: Bus, publisher: Publisher, store: Store
) -> None:
    """The same event id at another time, which the stream's dedupe window did not catch, is one row."""
    await traffic.publish(publisher, *(traffic.message(n, outbound=n % 3 == 0) for n in range(120)))
    again = traffic.message(5)
    await traffic.publish_raw(
        publisher,
        encode(traffic.envelope(type(again), again.id, again.data, at=traffic.BASE_MS + 9_000_000)),
        "other",
    )
    await until_settled(bus)
    assert (await store.read(counts))["messages"] == 120
    old = traffic.message(500)
    old = msgspec.structs.replace(old, data=msgspec.structs.replace(old.data, history=True))
    await traffic.publish(publisher, old)
    await until_settled(bus)
    day = usage.day_of(traffic.BASE_MS)
    assert await store.read(usage.totals, "acme", day, day + 1) == {day: {"sent": 40, "received": 80}}


async def test_poison_is_set_aside_and_the_rest_goes_on(
    service: None, bus: Bus, publisher: Publisher, store: Store
) -> None:
    """What does not decode, has an impossible time or does not fit a column is in the dead letters with its reason."""
    huge: Any = traffic.session("WORKING", 2**63 + 1)
    bad_time = encode(traffic.message(7)).replace(b"2026-11-18", b"2026-99-18")
    assert b"2026-99" in bad_time
    await traffic.publish(publisher, *(traffic.message(n) for n in range(40)), huge)
    await traffic.publish_raw(publisher, b"\x81\xa1", "broken")
    await traffic.publish_raw(publisher, bad_time, "bad time")
    await traffic.publish_raw(publisher, b'{"event":"of the future"}', "future", kind="hologram")
    await traffic.publish(publisher, *(traffic.message(n) for n in range(40, 90)))
    await until_settled(bus)
    assert (await store.read(counts))["messages"] == 90
    info = await bus.api("STREAM.INFO.WA_DLQ_acme")
    letters = [
        await bus.first_from("WA_DLQ_acme", "wa.dlq.acme.s1.event.*.*", sequence)
        for sequence in range(1, info["state"]["messages"] + 1)
    ]
    reasons = {letter.headers["Pww-Reason"]: letter for letter in letters if letter is not None}
    assert len(letters) == 3
    assert {letter.headers["Pww-Code"] for letter in reasons.values()} == {"E_MALFORMED_BODY", "E_POISON"}
    assert reasons["$"].data == b"\x81\xa1"
    assert reasons["$"].headers["Pww-Subject"] == "wa.evt.acme.s1.message.-"


async def test_a_nul_in_a_text_loses_nothing(
    service: None, bus: Bus, publisher: Publisher, store: Store
) -> None:
    """PostgreSQL cannot hold U+0000 in text: the column gets a replacement, the content is kept whole."""
    await traffic.publish(publisher, traffic.message(1, body="a\0b"))
    await until_settled(bus)
    (row,) = await store.read(conversation.by_ids, "acme", ["WAM1"])
    assert row.body == "a\ufffdb"
    assert "\\u0000" in row.content


async def test_a_tenant_that_comes_while_it_runs_is_served(
    service: None, bus: Bus, publisher: Publisher, store: Store
) -> None:
    """And its events are its own: the subject's tenant counts, not the body's."""
    await traffic.make_tenant(bus, "late")
    await traffic.publish(publisher, traffic.message(1, tenant="acme"), tenant="late")

    async def there() -> bool:
        return bool(await store.read(conversation.by_ids, "late", ["WAM1"]))

    await wait_until(there, 10)
    assert await store.read(conversation.by_ids, "acme", ["WAM1"]) == []
