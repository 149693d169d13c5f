"""A person is erased: nothing of them is left, everything of the others is."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from pywhatsweb.contracts import content, control, events, ids, queued, subjects
from pywhatsweb.contracts import event_data as e
from pywhatsweb.contracts import law_data as ld
from pywhatsweb.contracts.codec import encode
from pywhatsweb.contracts.ids import CommandId, SessionId, TenantId
from pywhatsweb.contracts.statuses import Origin
from pywhatsweb_fleet.persistence import receipts
from pywhatsweb_fleet.storage import audit, credentials, idempotency, kanban, law, people
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_fleet.storage.tables import metadata
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.publisher import Publisher
from tests.integration.persistence import traffic
from tests.integration.persistence.conftest import Start
from tests.integration.persistence.test_queries import refusal
from tests.support import wait_until

PN = "+5511987654321"
OLD_PN = "+551187654321"
LID = "998877665544332"
NAME = "Zuleica Quirino"
SECRET = "mandioquinha-salsa"
NEEDLES = (PN[1:], OLD_PN[1:], LID, NAME, SECRET)
GROUP = "120363000000000042"
MASTER = "11" * 32
REASON = f"{NAME} ({PN}) asked for it"


async def ask(bus: Bus, verb: str, args: Any) -> Any:
    """As a client asks: with patience."""
    noun, _, does = verb.partition(".")
    answer = await bus.request(subjects.control(TenantId("acme"), noun, does), encode(args), deadline=60)
    return control.read_reply(answer.data, control.VERBS[verb].result)


def ours(n: int, **more: Any) -> Any:
    """Message n of the person to be erased, in the chat with them."""
    chat = e.Chat(key=ids.chat_key(traffic.KEY, pn=PN), pn=PN, lid=LID)
    data = e.Message(
        id=f"OURS{n}",
        chat=chat,
        from_=e.Person(pn=PN, lid=LID, name=NAME),
        origin=Origin.INBOUND,
        type="text",
        text=content.Text(body=f"{SECRET} {n}"),
        sent_at=events.timestamp(traffic.BASE_MS + n),
        **more,
    )
    return traffic.envelope(events.MessageEvent, f"ours-{n}", data)


def in_group(n: int, who: e.Person, body: str, **more: Any) -> Any:
    chat = e.Chat(key=ids.chat_key(traffic.KEY, group=GROUP), group=GROUP)
    data = e.Message(
        id=f"GROUP{n}", chat=chat, from_=who, origin=Origin.INBOUND, type="text",
        text=content.Text(body=body), sent_at=events.timestamp(traffic.BASE_MS + n), **more,
    )  # fmt: skip
    return traffic.envelope(events.MessageEvent, f"group-{n}", data)


async def live(bus: Bus, publisher: Publisher, store: Store) -> None:
    """A while of a tenant's life: the person everywhere, others beside."""
    key = ids.chat_key(traffic.KEY, pn=PN)
    person = e.Person(pn=PN, lid=LID, name=NAME)
    _, other = traffic.contact(3)
    group_change = e.GroupChange(
        group=GROUP, chat=e.Chat(key="g", group=GROUP), change="add", participants=[person, other]
    )
    sent = traffic.envelope(
        events.StatusEvent,
        "sent-1",
        e.Status(command_id="to-them", message_id="OUT1", status="sent", chat=e.Chat(key=key, pn=PN)),  # type: ignore[arg-type]
    )
    told = [
        *(ours(n) for n in range(30)),
        *(traffic.message(n) for n in range(100)),
        in_group(1, person, f"{SECRET} to all"),
        in_group(2, other, f"@{LID} is right", mentions=[person],
                 context=e.MessageContext(message_id="GROUP1", from_=person)),
        traffic.envelope(events.GroupEvent, "grp", group_change),
        sent,
    ]  # fmt: skip
    await traffic.publish(publisher, *told)
    # Of an age: only JetStream's own marks are left of it.
    aged = ours(99)
    subject = subjects.event_ingest(TenantId("acme"), SessionId("s1"), "message", key)
    await publisher.publish(subject, encode(aged), {**events.headers(aged), "Nats-TTL": "1s"})
    body = {"id": "to-them", "to": "(11) 98765-4321", "type": "text", "text": {"body": SECRET}}
    head = queued.Queued(
        "send", CommandId("waiting"), "d1", ids.WhatsAppMessageId("3EB0"), f"pn:{PN}", key, accepted_at=1
    )
    await publisher.publish(
        "wa.out.acme.s1", msgspec.msgpack.encode({**body, "id": "waiting"}), queued.to_headers(head)
    )
    await publisher.publish("wa.dlq.acme.s1.command", msgspec.json.encode(body), {"Nats-Msg-Id": "dl1"})
    await bus.request("wa.cmd.acme.s1.send", msgspec.msgpack.encode(body))
    await bus.purge("WA_CMD_acme", "wa.cmd.acme.>")
    claims = [
        idempotency.Claim("acme", "s1", c, "d", n, 1, 2**50) for n, c in enumerate(("to-them", "other"))
    ]
    await store.transact(idempotency.claim, claims)
    keyring = Keyring.parse(MASTER)
    keys = [
        ("session", f"{PN[1:]}.0", b"x"),
        ("session", f"{LID}_1.0", b"x"),
        ("session", "5511900000003.0", b"x"),
        ("audience", "WAMSTATUS", b"x"),
    ]
    await store.transact(credentials.write, keyring, "acme", "s1", 1, b"creds", keys)
    card = kanban.CardRow(
        "acme", key, "s1", 1, "new", None, 1, None, f'{{"chat":{{"pn":"{PN}"}},"notes":"{SECRET}"}}'
    )
    note = kanban.CardRow("acme", "other", "s1", 1, "new", None, 1, None, f'{{"notes":"call {PN} back"}}')
    for row in (card, note):
        await store.transact(kanban.save, row, None)
    entry = audit.Entry("acme", 1, "ana", "chat.done", key, f"{NAME} was helped with {SECRET}")
    await store.transact(audit.append, entry)


async def recorded(store: Store, bus: Bus) -> None:
    """All of it is in the database, and what was to age has aged."""

    async def all_in() -> bool:
        rows = await store.read(lambda c: c.execute(text("SELECT count(*) FROM messages")).scalar_one())
        info = await bus.api("STREAM.INFO.WA_EVT_acme")
        return int(rows) >= 132 and int(info["state"]["messages"]) <= 134

    await wait_until(all_in, 30, message="everything is recorded")


async def dumped(store: Store) -> str:
    """Every row of every table, as text."""

    def read(conn: Any) -> str:
        return "\n".join(
            repr(row) for table in metadata.sorted_tables for row in conn.execute(table.select())
        )

    return await store.read(read)


def left_on_disk(directory: Path) -> list[str]:
    """Files below the directory in which something of the person stands."""
    words = [needle.encode() for needle in NEEDLES]
    return [
        f"{path.relative_to(directory)}: {word!r}"
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.suffix != ".log"
        for raw in [path.read_bytes()]
        for word in words
        if word in raw
    ]


async def erased(bus: Bus, **fields: Any) -> ld.ErasureReceipt:
    """The receipt, once it is there."""
    found = await ask(
        bus, "data.erase", ld.DataErase(**{"phone_number": PN, "reason": REASON, "actor": "ana"} | fields)
    )

    await wait_until(lambda: _is_done(bus, found.id), 60, interval=0.1, message="the erasure is done")
    receipt: ld.ErasureReceipt = await ask(bus, "data.erase_status", ld.ErasureRef(id=found.id))
    return receipt


@pytest.mark.usefixtures("service")
async def test_nothing_of_the_person_is_left(
    bus: Bus, publisher: Publisher, store: Store, tmp_path: Path
) -> None:
    """No byte of number, LID, name or text in rows, streams and, on SQLite, in any file; others' data is untouched."""
    await live(bus, publisher, store)
    await recorded(store, bus)
    others = [await store.read(people.get, "acme", pn=traffic.contact(n)[1].pn) for n in range(50)]
    before = await dumped(store)
    assert all(needle in before for needle in (PN, LID, NAME, SECRET))
    receipt = await erased(bus)
    rows = await dumped(store)
    assert [needle for needle in NEEDLES if needle in rows] == []
    # The tenant's other messages, contacts, keys, cards and commands are as they were.
    assert all(f"'text {n}'" in rows for n in range(100))
    assert rows.count("'GROUP2'") == 1
    assert others == [await store.read(people.get, "acme", pn=traffic.contact(n)[1].pn) for n in range(50)]
    for kept in ("5511900000003.0", "'other'", "call [erased] back", "is right", "WAM99"):
        assert kept in rows, kept
    assert "WAMSTATUS" not in rows, "whom a status was for is sealed, and may have been them"
    assert await store.read(audit.first_flaw, "acme") is None, "the trail holds without the words"
    assert [one.entry.action for one in await store.read(audit.page, "acme")][:2] == [
        "data.erase",
        "data.erase_requested",
    ]
    # The receipt: once, signed, without the person.
    assert receipt.signature == receipts.sign(receipt, traffic.KEY)
    assert receipt.counts["messages"] in (31, 32), "the aged one may not have been recorded"
    assert receipt.counts["WA_EVT_acme"] == 34
    assert receipt.counts["messages:changed"] == 1
    assert receipt.counts["WA_OUT_acme"] == receipt.counts["WA_DLQ_acme"] == 1
    assert "[erased]" in receipt.reason
    assert not receipt.residue
    assert "audit" in receipt.kept
    assert await store.read(law.erasure_jobs) == []
    # A command that was still to be sent ends by name.
    told = await bus.last("WA_EVT_acme", "wa.evt.acme.s1.status.-")
    assert told is not None
    assert b"cancelled" in told.data
    assert b"E_ERASED" in told.data
    assert left_on_disk(tmp_path) == []
    assert await refusal(bus, "data.erase_status", ld.ErasureRef(id="era_none")) == "ERASURE_NOT_FOUND"
    assert (
        await refusal(bus, "data.erase", ld.DataErase(phone_number="x", reason="r", actor="a"))
        == "INVALID_PHONE"
    )


@pytest.mark.usefixtures("service")
async def test_what_comes_in_meanwhile_is_whole_or_gone(bus: Bus, publisher: Publisher, store: Store) -> None:
    """Messages that arrive during the erasure leave no half of a person: with a message there is its contact."""
    await traffic.publish(publisher, *(ours(n) for n in range(40)))
    stop = asyncio.Event()

    async def write_on() -> int:
        number = 1000
        while not stop.is_set():
            await traffic.publish(publisher, ours(number))
            number += 1
            await asyncio.sleep(0.02)
        return number - 1

    writing = asyncio.create_task(write_on())
    wanted = ld.DataErase(phone_number=f"lid:{LID}", reason=REASON, actor="ana")
    found = await ask(bus, "data.erase", wanted)
    await wait_until(
        lambda: _is_done(bus, found.id), 120, interval=0.1, message="it ends although they write on"
    )
    stop.set()
    last = await writing
    await traffic.publish(publisher, ours(last + 1))

    async def is_back() -> bool:
        return f"OURS{last + 1}" in await dumped(store)

    await wait_until(is_back, 30, interval=0.1, message="what is written anew is recorded")
    assert await store.read(people.get, "acme", pn=PN) is not None, "with its contact"
    rows = await dumped(store)
    assert "OURS39" not in rows


async def _is_done(bus: Bus, erasure_id: str) -> bool:
    return bool((await ask(bus, "data.erase_status", ld.ErasureRef(id=erasure_id))).state == "done")


async def test_an_erasure_outlives_its_service(
    bus: Bus, publisher: Publisher, store: Store, database_url: str, start: Start
) -> None:
    """Killed by SIGKILL in the middle, again and again: the next one carries on, and there is one receipt."""
    process = start(database_url)
    await live(bus, publisher, store)
    await traffic.publish(publisher, *(ours(n) for n in range(200, 700)))

    async def all_in() -> bool:
        rows = await store.read(lambda c: c.execute(text("SELECT count(*) FROM messages")).scalar_one())
        return int(rows) >= 632

    await wait_until(all_in, 60, message="everything is recorded")
    request = encode(ld.DataErase(phone_number=PN, reason=REASON, actor="ana"))
    await bus.client.publish("wa.ctl.acme.data.erase", request, reply="nobody")
    await wait_until(lambda: store.read(law.erasure_jobs), 20, message="the erasure begins")
    erasure_id = ""
    for _ in range(2):
        jobs = await store.read(law.erasure_jobs)
        erasure_id = jobs[0].erasure_id if jobs else erasure_id
        before = jobs[0].work if jobs else None

        async def moved(before: str | None = before) -> bool:
            now = await store.read(law.erasure_jobs)
            return not now or now[0].work != before

        await wait_until(moved, 60, message="the erasure moves on")
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process = start(database_url)

    async def done() -> bool:
        return not await store.read(law.erasure_jobs)

    await wait_until(done, 120, interval=0.1, message="the erasure is done")
    rows = await dumped(store)
    assert [needle for needle in NEEDLES if needle in rows] == []
    count = await store.read(lambda c: c.execute(text("SELECT count(*) FROM erasures")).scalar_one())
    actions = [one.entry.action for one in await store.read(audit.page, "acme")]
    assert count == 1
    assert actions.count("data.erase") == 1
    assert await store.read(law.receipt, "acme", erasure_id) is not None
