"""Periods, exports and the audit trail, on both databases."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import law_data as ld
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb_fleet.media.library import Library
from pywhatsweb_fleet.media.objects import Objects
from pywhatsweb_fleet.media.settings import MediaSettings
from pywhatsweb_fleet.persistence.auditing import Auditing
from pywhatsweb_fleet.persistence.retention import DAY_MS, USUAL_DAYS, Retention
from pywhatsweb_fleet.persistence.settings import PersistenceSettings
from pywhatsweb_fleet.storage import audit, idempotency, law, media, partitions
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.answering import Asked
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.publisher import Publisher
from pywhatsweb_runtime.registry import TenantRecord
from tests.integration.persistence import traffic
from tests.integration.persistence.conftest import serving
from tests.integration.persistence.test_erasing import MASTER, PN, SECRET, ask, live, ours, recorded
from tests.integration.persistence.test_queries import refusal
from tests.support import wait_until

RECORD = TenantRecord(key=traffic.KEY)


async def count(store: Store, table: str, tenant: str = "acme") -> int:
    sql = text(f"SELECT count(*) FROM {table} WHERE tenant = :tenant")  # noqa: S608 - our own names
    return int(await store.read(lambda conn: conn.execute(sql, {"tenant": tenant}).scalar_one()))


async def test_everything_ends_with_its_period(
    bus: Bus, publisher: Publisher, store: Store, service: None
) -> None:
    """Rows, months, files, the trail and streams, by tenant and kind; what is within its period stays."""
    await traffic.make_tenant(bus, "other")
    for tenant in ("acme", "other"):
        await traffic.publish(
            publisher, *(traffic.message(n, tenant=tenant) for n in range(10)), tenant=tenant
        )
        await publisher.publish(f"wa.dlq.{tenant}.s1.event", b"old", {"Nats-Msg-Id": f"dl-{tenant}"})

    async def all_in() -> bool:
        return await count(store, "messages") + await count(store, "messages", "other") == 20

    await wait_until(all_in, 30, message="everything is recorded")
    claims = [idempotency.Claim("acme", "s1", f"c{n}", "d", n, traffic.BASE_MS, 2**50) for n in range(2)]
    await store.transact(idempotency.claim, claims)
    step = idempotency.Outcome("acme", "s1", "c0", "sent", traffic.BASE_MS)  # type: ignore[arg-type]
    await store.transact(idempotency.outcome, [msgspec.structs.replace(step, status=_sent())])
    reference = media.Reference(
        media_id="m1", sha256="ab", origin="upload", mime_type="text/plain", created_at=traffic.BASE_MS
    )
    kept = media.Object(sha256="ab", size=1, mime_type="text/plain", object_key="acme/1")
    await store.transact(media.hold, "acme", kept, reference)
    for at in range(3):
        await store.transact(audit.append, audit.Entry("acme", traffic.BASE_MS + at, "ana", "x"))
    own = Retention(store, bus)
    records = {TenantId("acme"): RECORD, TenantId("other"): RECORD}
    assert sum((await own.once(records, traffic.BASE_MS + DAY_MS)).values()) == 0
    # acme keeps messages for a day only; other as usual.
    asked = ld.RetentionSet(kind="messages", days=1, actor="dpo")
    info = await ask(bus, "retention.set", asked)
    assert (info.days["messages"], info.chosen) == (1, ["messages"])
    assert (await ask(bus, "retention.get", d.Nothing())).days == USUAL_DAYS | {"messages": 1}
    removed = await own.once(records, traffic.BASE_MS + 2 * DAY_MS)
    assert (removed["messages"], await count(store, "messages", "other")) == (10, 10)
    removed = await own.once(records, traffic.BASE_MS + 31 * DAY_MS)
    assert (removed["media"], removed["idempotency"], await count(store, "media_refs")) == (1, 1, 0)
    assert await count(store, "idempotency") == 1, "what has no end yet is kept"
    far = traffic.BASE_MS + 3000 * DAY_MS
    await store.transact(partitions.make_ahead, traffic.BASE_MS, 2)
    removed = await own.once(records, far)
    assert await count(store, "messages", "other") == 0
    assert removed["deadletters"] == 2
    if store.dialect == "postgresql":
        assert removed["months"] > 0
    # The trail keeps its last entry, and still holds; its beginning is sealed.
    assert removed["audit"] >= 3
    assert await store.read(audit.first_flaw, "acme") is None
    auditing = Auditing(store, bus)
    assert (await auditing.verify(Asked(TenantId("acme"), RECORD, None))).ok
    forged = Asked(TenantId("acme"), TenantRecord(key=bytes(32)), None)
    assert (await auditing.verify(forged)).reason == "cut off at its beginning"


def _sent() -> Any:
    from pywhatsweb.contracts.statuses import MessageStatus

    return MessageStatus.SENT


async def test_tampering_with_the_trail_is_found(bus: Bus, store: Store) -> None:
    """Changed words, a changed entry, a missing one, an end cut off, the whole chain made anew: each with its place."""
    auditing = Auditing(store, bus)
    await auditing.prepare(1)
    asked = Asked(TenantId("acme"), RECORD, None)

    async def fill(first: int, last: int) -> None:
        for n in range(first, last):
            entry = audit.Entry("acme", n, "ana", "chat.done", f"k{n}", f"words {n}")
            await store.transact(audit.append, entry)

    async def run(sql: str) -> None:
        await store.transact(lambda conn: conn.execute(text(sql)))

    await fill(0, 10)
    await auditing.anchor("acme")
    await fill(10, 20)
    await auditing.anchor("acme")
    verdict = await auditing.verify(asked)
    assert (verdict.ok, verdict.entries, verdict.first) == (True, 20, 1)
    await run("DELETE FROM audit_words WHERE sequence = 3")
    assert (await auditing.verify(asked)).ok, "words may be erased"
    assert (await store.read(audit.page, "acme", below=4))[0].entry.reason is None
    await run("UPDATE audit_words SET reason = replace(reason, 'words 6', 'words X') WHERE sequence = 7")
    assert (await auditing.verify(asked)).flaw == 7
    await run("UPDATE audit_words SET reason = replace(reason, 'words X', 'words 6') WHERE sequence = 7")
    await run("DELETE FROM audit WHERE sequence > 18")
    verdict = await auditing.verify(asked)
    assert (verdict.flaw, verdict.reason) == (19, "cut off at its end")
    # Everything from entry 12 on made anew, with hashes that fit.
    await run("DELETE FROM audit_words WHERE sequence > 11")
    await run("DELETE FROM audit WHERE sequence > 11")
    await fill(50, 60)
    assert await store.read(audit.first_flaw, "acme") is None
    verdict = await auditing.verify(asked)
    assert (verdict.flaw, verdict.reason) == (11, "rewritten")


@pytest.fixture
async def with_files(settings: PersistenceSettings, bus: Bus, tmp_path: Path) -> AsyncIterator[None]:
    """The service, with a place for files."""
    more = msgspec.structs.replace(settings, encryption_key=MASTER, data_dir=str(tmp_path))
    async with serving(more, tmp_path / "ready"):
        yield


@pytest.mark.usefixtures("with_files")
async def test_an_export_is_complete(bus: Bus, publisher: Publisher, store: Store, tmp_path: Path) -> None:
    """A person's rows and files and nobody else's; a tenant's all; gone with the person, whom no part of it names."""
    await live(bus, publisher, store)
    await recorded(store, bus)
    about = MediaSettings(media_url=(tmp_path / "media").as_uri())
    library = Library(store, Keyring.parse(MASTER), Objects(str(about.media_url)), about)
    for name, chat in (("theirs", ours(0).data.chat.key), ("others", traffic.contact(3)[0].key)):
        reference = media.Reference(
            media_id=name, sha256="", origin="message", mime_type="text/plain", filename=f"{name}.txt",
            session="s1", chat=chat, message_id=f"file-{name}",
        )  # fmt: skip
        await library.put("acme", _pieces(name.encode() * 1000), reference=reference)
    found = await exported(bus, phone_number=PN)
    files = await unzipped(bus, found)
    messages = json.loads(files["messages.json"])
    assert {row["message_id"] for row in messages} >= {f"OURS{n}" for n in range(30)} | {"GROUP1"}
    assert all(row["sender_pn"] == PN for row in messages)
    ours_alone = next(row for row in messages if row["message_id"] == "OURS0")
    assert ours_alone["content"]["chat"]["pn"] == PN
    assert json.loads(files["contacts.json"]) != []
    assert [name for name in files if name.startswith("media/")] == ["media/theirs.txt"]
    assert files["media/theirs.txt"] == b"theirs" * 1000
    assert json.loads(files["export.json"])["person"]["phone_numbers"][-1] == PN
    whole = await unzipped(bus, await exported(bus))
    assert len(json.loads(whole["messages.json"])) >= 132
    assert "credentials.json" not in whole
    assert whole["media/others.txt"] == b"others" * 1000
    # In the object store it is sealed, and it goes with the person.
    assert not any(
        SECRET.encode() in path.read_bytes() for path in (tmp_path / "media").rglob("*") if path.is_file()
    )
    receipt = await ask(bus, "data.erase", ld.DataErase(phone_number=PN, reason="r", actor="ana"))

    async def done() -> bool:
        status = await ask(bus, "data.erase_status", ld.ErasureRef(id=receipt.id))
        return bool(status.state == "done")

    await wait_until(done, 60, interval=0.1, message="the erasure is done")
    assert await refusal(bus, "data.export_status", ld.ExportRef(id=found.id)) == "EXPORT_NOT_FOUND"
    final = await store.read(law.receipt, "acme", receipt.id)
    assert final is not None
    assert json.loads(final.receipt)["residue"] == []
    counts = json.loads(final.receipt)["counts"]
    assert (counts["exports"], counts["media"]) == (2, 1)
    assert [held.reference.media_id for held in await library.page("acme")] == ["others"]
    assert await library.content("acme", (await library.find("acme", "others")).object) == b"others" * 1000


async def _pieces(raw: bytes) -> AsyncIterator[bytes]:
    yield raw


async def exported(bus: Bus, **fields: Any) -> ld.Export:
    asked = await ask(bus, "data.export", ld.DataExport(**{"actor": "ana"} | fields))

    async def done() -> bool:
        status = await ask(bus, "data.export_status", ld.ExportRef(id=asked.id))
        return bool(status.state == "done")

    await wait_until(done, 60, interval=0.1, message="the export is made")
    found: ld.Export = await ask(bus, "data.export_status", ld.ExportRef(id=asked.id))
    return found


async def unzipped(bus: Bus, found: ld.Export) -> dict[str, bytes]:
    """Fetched in parts."""
    raw = b""
    while len(raw) < (found.size or 0):
        part = await ask(bus, "data.download", ld.DataDownload(id=found.id, offset=len(raw), length=50_000))
        raw += part.data
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}
