"""Campaigns through a dispatcher, a record and a worker: nobody twice, nobody forgotten, whoever is killed."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import os
import secrets
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from pywhatsweb.client import Bulk, Campaign, FleetClient, connect, read_rows
from pywhatsweb.contracts import ids
from pywhatsweb.errors import ContractError, ErrorCode
from pywhatsweb_fleet.persistence import app as persistence
from pywhatsweb_fleet.persistence.settings import PersistenceSettings
from pywhatsweb_fleet.session_worker import app as worker_app
from pywhatsweb_fleet.session_worker.engines.simulated import SimulatedEngine
from pywhatsweb_fleet.session_worker.engines.simulated.settings import Nack, Pass
from pywhatsweb_fleet.session_worker.engines.simulated.whatsapp import SimulatedWhatsApp
from pywhatsweb_fleet.storage import consents, optouts
from pywhatsweb_fleet.storage.consents import ConsentRow
from pywhatsweb_fleet.storage.optouts import OptOut
from pywhatsweb_fleet.storage.store import Store, open_store
from pywhatsweb_runtime.ready import announced
from tests.support import NatsServer, wait_until
from tests.support.dispatching import dispatcher
from tests.support.fleet import Tenant, platform, worker, worker_settings

ROWS = 1000
PWW = Path(sys.executable).with_name("pww")


@pytest.fixture
async def whatsapp(monkeypatch: pytest.MonkeyPatch) -> SimulatedWhatsApp:
    shared = SimulatedWhatsApp()
    monkeypatch.setattr(worker_app, "SimulatedEngine", lambda **_: SimulatedEngine(whatsapp=shared))
    return shared


@contextlib.asynccontextmanager
async def recording(url: str, directory: Path) -> AsyncIterator[None]:
    """The persistence service, in this process."""
    ready, stopping = directory / "persistence.ready", asyncio.Event()
    settings = PersistenceSettings(
        nats_url=url, database_url=f"sqlite:///{directory / 'fleet.db'}", ready_file=str(ready)
    )
    task = asyncio.create_task(persistence.run(settings, stopping))
    try:
        await wait_until(
            lambda: announced(ready, os.getpid()) or task.done(), 30, message="the record is ready"
        )
        yield
    finally:
        stopping.set()
        await asyncio.wait_for(task, 30)


class Stage:
    def __init__(self, url: str, tenant: Tenant, store: Store, fleet: FleetClient, directory: Path) -> None:
        self.url, self.tenant, self.store, self.fleet, self.directory = url, tenant, store, fleet, directory

    async def agree(self, *numbers: str, purpose: str = "marketing") -> None:
        """Their consents, as consent.record keeps them."""
        rows = [
            ConsentRow(
                "acme", purpose, ids.chat_key(self.tenant.key, pn=one), one, None, 1, "form", None, None
            )
            for one in numbers
        ]

        def write(conn: Connection) -> None:
            for row in rows:
                consents.put(conn, row)

        await self.store.transact(write)

    def table(self, *lines: str) -> Path:
        path = self.directory / "people.csv"
        path.write_text("\n".join(("Telefone;nome", *lines)) + "\n", encoding="utf-8-sig")
        return path

    def bulk(self, path: Path, *, per_minute: float | None = None, journal: str = "journal") -> Bulk:
        campaign = Campaign(
            name="natal", session_id="s1", template="oferta", language="pt_BR", purpose="marketing",
            per_minute=per_minute,
        )  # fmt: skip
        return self.fleet.bulk(campaign, read_rows(path), self.directory / journal)


@pytest.fixture
async def stage(nats_server: NatsServer, tmp_path: Path, whatsapp: SimulatedWhatsApp) -> AsyncIterator[Stage]:
    url = nats_server.url
    settings = worker_settings(url, tmp_path, secrets.token_hex(32), cold_hold_s=0)
    store = open_store(settings.database_url)
    await store.migrate()
    async with (
        platform(url, "acme") as (_, [tenant]),
        dispatcher(url, tmp_path),
        recording(url, tmp_path),
        worker(settings),
        connect(url, tenant="acme") as fleet,
    ):
        await tenant.wish("s1", settings={"simulated": {"delivered_ms": None, "read_ms": None}})
        await tenant.working("s1")
        await fleet.templates.put("oferta", "pt_BR", "Olá, {{nome}}!")
        yield Stage(url, tenant, store, fleet, tmp_path)
    await store.close()


def number(n: int) -> str:
    return f"+55118{n:08}"


def sent(whatsapp: SimulatedWhatsApp) -> Counter[str]:
    return Counter(str(one.to) for one in whatsapp.accepted if one.action == "send")


async def pww_bulk(stage: Stage, path: Path, verb: str = "send") -> asyncio.subprocess.Process:
    options = {
        "campaign": "natal", "session": "s1", "template": "oferta", "consent": "marketing", "url": stage.url,
        "tenant": "acme", "journal": stage.directory / "journal",
    }  # fmt: skip
    named = [f"--{name}={value}" for name, value in options.items()]
    return await asyncio.create_subprocess_exec(
        PWW, "bulk", verb, path, *named, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


def report(path: Path) -> list[dict[str, str]]:
    with path.with_name(f"{path.name}.natal.report.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


async def test_a_thousand_people_get_it_once_though_it_is_killed(
    stage: Stage, whatsapp: SimulatedWhatsApp
) -> None:
    """Killed, then paused with Ctrl-C, then run to its end: each row once, and codes for those that may not be sent;
    run once more, also without its journal, it sends to who has agreed by then, and to nobody else."""
    people = [number(n) for n in range(ROWS)]
    out, stranger = number(ROWS), number(ROWS + 1)
    await stage.agree(*people, out)
    key = ids.chat_key(stage.tenant.key, pn=out)
    await stage.store.transact(optouts.put, OptOut("acme", key, key, "out", 1, "request"), [key])
    bad = (f"{out};x", f"{stranger};x", "12;x", f"{people[0]};again", f"{people[1]}", ";x")
    path = stage.table(*(f"{one};Ana {n}" for n, one in enumerate(people)), *bad)

    look = await pww_bulk(stage, path, "check")
    told, complained = await asyncio.wait_for(look.communicate(), 120)
    assert look.returncode == 1, (told, complained)
    assert b"Ana 0!" in told
    assert b"E_CONSENT_MISSING" in told
    assert not whatsapp.accepted

    first = await pww_bulk(stage, path)
    await wait_until(lambda: len(whatsapp.accepted) > ROWS // 4, 120, message="a part is sent")
    first.send_signal(signal.SIGKILL)
    await first.communicate()
    assert len(whatsapp.accepted) < ROWS, "it was killed too late to tell anything"

    second = await pww_bulk(stage, path)
    await wait_until(lambda: len(whatsapp.accepted) > ROWS // 2, 120, message="half is sent")
    second.send_signal(signal.SIGINT)
    told, complained = await asyncio.wait_for(second.communicate(), 120)
    assert second.returncode == 130, (told, complained)
    assert len(report(path)) == ROWS + len(bad), "a pause has its report too"

    third = await pww_bulk(stage, path)
    told, complained = await asyncio.wait_for(third.communicate(), 240)
    assert third.returncode == 1, (told, complained)  # some rows could not be sent
    assert sent(whatsapp) == dict.fromkeys(people, 1)
    rows = report(path)
    assert [row["status"] for row in rows[:ROWS]] == ["sent"] * ROWS
    assert len({row["message_id"] for row in rows[:ROWS]}) == ROWS
    assert [row["code"] for row in rows[ROWS:]] == [
        "E_CONTACT_OPTED_OUT",
        "E_CONSENT_MISSING",
        "E_INVALID_PHONE",
        "E_DUPLICATE_RECIPIENT",
        "E_INVALID_FIELD",
        "E_INVALID_PHONE",
    ]

    await stage.agree(stranger)
    assert await stage.bulk(path).run()
    assert await stage.bulk(path, journal="another").run()
    assert sent(whatsapp) == dict.fromkeys((*people, stranger), 1)


async def test_the_first_463_stops_it(stage: Stage, whatsapp: SimulatedWhatsApp) -> None:
    """What was not sent waits, and is sent when it is run again; another file under the name is refused."""
    people = [number(n) for n in range(200)]
    await stage.agree(*people)
    path = stage.table(*(f"{one};Ana" for one in people))
    whatsapp.script("acme/s1", Pass(times=5), Nack(code=463))
    bulk = stage.bulk(path)
    assert not await bulk.run()
    assert bulk.stopped is ErrorCode.E_WHATSAPP_REACHOUT_LIMITED
    reached = sent(whatsapp)
    assert 5 <= len(reached) < len(people)
    assert len(bulk.results) <= len(reached), "what was held has no outcome yet"
    assert await stage.bulk(path).run()
    assert sent(whatsapp) == dict.fromkeys(people, 1)
    path.write_text(path.read_text().replace("Ana", "Bia"))
    with pytest.raises(ContractError) as refused:
        await stage.bulk(path).run()
    assert refused.value.code is ErrorCode.E_DUPLICATE_ID


async def test_it_is_paced_paused_resumed_and_cancelled(stage: Stage, whatsapp: SimulatedWhatsApp) -> None:
    """A pause takes back what is scheduled; somebody who opts out meanwhile is left out; a cancel is for good."""
    people = [number(n) for n in range(20)]
    await stage.agree(*people)
    path = stage.table(*(f"{one};Ana" for one in people))
    paced = stage.bulk(path, per_minute=12)  # one in five seconds, six of them given to the fleet ahead
    running = asyncio.create_task(paced.run())
    await wait_until(lambda: len(whatsapp.accepted) >= 2, 120, message="the second was sent in its time")
    paced.stop()
    assert not await asyncio.wait_for(running, 120)
    count = len(whatsapp.accepted)
    assert count < len(people)
    left_out = next(one for one in people if one not in sent(whatsapp))
    await stage.fleet.consents.opt_out(left_out)
    again = stage.bulk(path)
    await again.run()
    assert sent(whatsapp) == dict.fromkeys((one for one in people if one != left_out), 1)
    (told,) = [found for found in again.results.values() if found.status != "sent"]
    assert told.code == "E_CONTACT_OPTED_OUT"

    more = stage.table(*(f"{number(n)};Ana" for n in range(100, 120)))
    await stage.agree(*(number(n) for n in range(100, 120)))
    slow = stage.bulk(more, per_minute=12, journal="slow")
    slow.campaign = Campaign(
        name="slow", session_id="s1", template="oferta", language="pt_BR", purpose="marketing", per_minute=12
    )
    running = asyncio.create_task(slow.run())
    await wait_until(lambda: sent(whatsapp)[number(100)] == 1, 120, message="the first is sent")
    slow.stop()
    await asyncio.wait_for(running, 120)
    reached = set(slow.results)
    await slow.cancel()
    assert Counter(found.status for found in slow.results.values())["cancelled"] == 20 - len(reached)
    with pytest.raises(ContractError) as refused:
        await slow.run()
    assert refused.value.code is ErrorCode.E_CANCELLED
