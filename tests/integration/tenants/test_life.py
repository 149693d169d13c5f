"""A tenant from its making to its receipt, over the platform's control plane, while another one goes on undisturbed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import nats
import pytest
from nats.aio.client import Client

from tests.integration.tenants.conftest import Platform, platform
from tests.support import wait_until
from tests.support.running import PWW, Fleet, Plain, plain

TO = "+5511999990001"


async def pww(fleet: Fleet, *arguments: str) -> str:
    """A command line of the operator's; what it prints."""
    process = await asyncio.create_subprocess_exec(
        PWW,
        *arguments,
        "--data-dir",
        fleet.directory / "data",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def enters(fleet: Fleet, login: dict[str, Any]) -> Client | None:
    """A connection with a login, or None when the broker refuses it."""

    async def ignore(error: Exception) -> None:
        """A refusal is an answer here."""

    with contextlib.suppress(nats.errors.Error, OSError):
        client: Client = await nats.connect(
            fleet.ready["nats_url"],
            user=login["user"],
            password=login["password"],
            allow_reconnect=False,
            connect_timeout=2,
            error_cb=ignore,
        )
        return client
    return None


async def entered(fleet: Fleet, login: dict[str, Any]) -> Client:
    client = await enters(fleet, login)
    assert client is not None
    return client


async def use(fleet: Fleet, login: dict[str, Any], tenant: str, session: str = "s1") -> Plain:
    """A session that sent something, so that the tenant has rows, events and credentials everywhere."""
    program = Plain(await entered(fleet, login), tenant)
    await program.follow()
    await program.ok("session.start", session_id=session)
    await program.reached(session, "WORKING")
    await program.send(session, "c1", TO, "hello")
    assert (await program.outcome("c1"))["status"] == "sent"
    return program


def rows(fleet: Fleet, tenant: str) -> dict[str, int]:
    """What the database has of a tenant, by table, read without any code of ours."""
    with contextlib.closing(sqlite3.connect(fleet.directory / "data" / "fleet.db")) as database:
        tables = [
            name
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if any(column[1] == "tenant" for column in database.execute(f"PRAGMA table_info({name})"))
        ]
        assert len(tables) > 20
        counts = {
            table: database.execute(
                f"SELECT count(*) FROM {table} WHERE tenant = ?",  # noqa: S608 - its own names
                (tenant,),
            ).fetchone()[0]
            for table in tables
        }
    return {table: count for table, count in counts.items() if count}


async def traces(fleet: Fleet, asked: Platform, tenant: str) -> list[str]:
    """Everything of a tenant that is left anywhere."""
    found = list(rows(fleet, tenant))
    names = (await asked.bus.api("STREAM.NAMES"))["streams"]
    found += [name for name in names if name.endswith(f"_{tenant}")]
    for bucket in ("WA_TENANTS", "WA_SESSIONS", "WA_KEYS"):
        state = (await asked.bus.api(f"STREAM.INFO.KV_{bucket}", {"subjects_filter": ">"}))["state"]
        for subject in state.get("subjects") or {}:
            if tenant in subject.split("."):
                stored = await asked.bus.last(f"KV_{bucket}", subject)
                if stored is not None and stored.data:
                    found.append(subject)
    secrets = (fleet.directory / "data" / "secrets.json").read_text()
    config = (fleet.directory / "data" / "broker" / "nats.conf").read_text()
    found += [name for name, text in (("secrets", secrets), ("config", config)) if f'"{tenant}"' in text]
    media = fleet.directory / "data" / "media" / tenant
    return found + [str(path) for path in media.rglob("*") if path.is_file()]


async def erased(asked: Platform, receipt: dict[str, Any]) -> dict[str, Any]:
    async def done() -> Any:
        found = await asked.ok("tenant.receipt", id=receipt["id"])
        return found if found["state"] == "done" else None

    found: dict[str, Any] = await wait_until(done, 120, interval=0.2, message="the tenant is erased")
    return found


async def test_a_tenants_life(fleet: Fleet) -> None:
    """Made, limited, suspended, resumed and erased; the other tenant keeps its connection and its events."""
    async with platform(fleet) as asked, plain(fleet, "acme") as acme:
        await acme.ok("session.start", session_id="s1")
        await acme.reached("s1", "WORKING")
        made = await asked.ok("tenant.create", tenant="newcomer", quota={"sessions": 1, "connections": 5})
        assert made["quota"]["sessions"] == 1
        assert (await asked.ask("tenant.create", tenant="newcomer"))["error"]["code"] == "E_CONFLICT"
        program = await use(fleet, made["login"], "newcomer")
        refused = await program.ask("session.start", session_id="s2")
        assert refused["error"]["code"] == "E_SESSION_LIMIT"
        names = [tenant["tenant"] for tenant in (await asked.ok("tenant.list"))["tenants"]]
        assert names == ["acme", "newcomer", "rival"]
        await wait_until(lambda: "newcomer" in fleet.reload()["tenants"], 20)

        # Users and keys.
        crm = await asked.ok("user.create", tenant="newcomer", user="crm", rights="publish")
        second = await entered(fleet, crm)
        rotated = await asked.ok("user.rotate", tenant="newcomer", user="crm")
        await wait_until(lambda: not second.is_connected, 10)
        assert await enters(fleet, crm) is None
        third = await entered(fleet, rotated)
        assert program.client.is_connected
        await asked.ok("user.delete", tenant="newcomer", user="crm")
        await wait_until(lambda: not third.is_connected, 10)
        key = await asked.ok("key.create", tenant="newcomer", name="crm", scopes=["read"])
        entries = await asked.ok("tenant.keys", tenant="newcomer")
        assert key["id"] in [known["id"] for known in entries["keys"]]
        assert key["key"] not in str(entries)
        await asked.ok("key.delete", tenant="newcomer", id=key["id"])

        # Suspended and resumed.
        async with httpx.AsyncClient(
            base_url=fleet.ready["http_url"], headers={"Authorization": f"Bearer {made['api_key']}"}
        ) as http:

            async def door() -> str:
                return str((await http.get("/v1/sessions")).json().get("type", "open")).rpartition(":")[2]

            await wait_until(partial(_says, door, "open"), 20)
            assert (await asked.ok("tenant.suspend", tenant="newcomer"))["state"] == "suspended"
            await wait_until(partial(_says, door, "E_TENANT_SUSPENDED"), 20)
        await wait_until(lambda: not program.client.is_connected, 10)
        assert await enters(fleet, made["login"]) is None
        assert (await asked.ok("tenant.resume", tenant="newcomer"))["state"] == "active"
        again = await entered(fleet, made["login"])

        # Erased.
        before = rows(fleet, "acme")
        wrong = await asked.ask(
            "tenant.delete", tenant="newcomer", confirm="acme", reason="a slip", actor="ops"
        )
        assert wrong["error"]["code"] == "E_INVALID_FIELD"
        receipt = await asked.ok(
            "tenant.delete", tenant="newcomer", confirm="newcomer", reason="contract ended", actor="ops"
        )
        done = await erased(asked, receipt)
        await wait_until(lambda: not again.is_connected, 10)
        assert done["linked"] == []
        assert done["counts"]["WA_EVT"] > 0
        assert done["counts"]["idempotency"] == 1
        assert await traces(fleet, asked, "newcomer") == []
        assert await enters(fleet, made["login"]) is None
        assert rows(fleet, "acme").keys() >= before.keys()
        await wait_until(lambda: "newcomer" not in fleet.reload()["tenants"], 20)

        # The other one never noticed.
        await acme.send("s1", "after", TO, "still here")
        assert (await acme.outcome("after"))["status"] == "sent"
        assert acme.client.stats["reconnects"] == 0


async def _says(door: Callable[[], Awaitable[str]], wanted: str) -> bool:
    return await door() == wanted


def sealed_under(fleet: Fleet) -> set[str]:
    with contextlib.closing(sqlite3.connect(fleet.directory / "data" / "fleet.db")) as database:
        return {key for (key,) in database.execute("SELECT master_key FROM data_keys")}


@pytest.mark.timeout(400)
async def test_the_master_key_rotates_under_load(fleet: Fleet) -> None:
    """Twice, the former key dropped at once: nobody restarts, no command is lost or sent twice, nobody scans again."""
    key_file = fleet.directory / "data" / "encryption.key"
    login = fleet.ready["tenants"]["acme"]
    http = httpx.AsyncClient(
        base_url=fleet.ready["http_url"], headers={"Authorization": f"Bearer {login['api_key']}"}, timeout=60
    )
    async with plain(fleet, "acme") as acme, http:
        for session in ("r1", "r2"):
            await acme.ok("session.start", session_id=session)
            await acme.reached(session, "WORKING")
        stored = await http.post("/v1/media", content=b"kept" * 100, params={"filename": "kept.bin"})
        await acme.ok("webhook.create", webhook_id="kept", url="https://192.0.2.1/hook", types=["alert"])
        before, pids = (sealed_under(fleet), key_file.read_text()), fleet.reload()["pids"]
        stop = asyncio.Event()
        sent: list[str] = []

        async def load() -> None:
            while not stop.is_set():
                sent.append(f"r-{len(sent)}")
                await acme.send(f"r{1 + len(sent) % 2}", sent[-1], TO, "under load")
                if len(sent) > 8:  # so many are under way at any moment
                    await wait_until(partial(_has, acme, sent[-8], "sent"), 120)

        loading = asyncio.create_task(load())
        for turn in range(2):
            await wait_until(partial(_at_least, sent, len(sent) + 20), 120)
            await pww(fleet, "rotate-key", "--new", "--drop")
            # New data keys: of a session, by a worker that has met the new master key or not.
            await acme.ok("session.start", session_id=f"new{turn}")
            await acme.reached(f"new{turn}", "WORKING")
        stop.set()
        await loading
        for command in sent:
            await wait_until(partial(_has, acme, command, "sent"), 180)
            assert acme.steps(command).count("sent") == 1
        assert sealed_under(fleet).isdisjoint(before[0])
        assert len(sealed_under(fleet)) == len(key_file.read_text().split()) == 1
        assert key_file.read_text() != before[1]

        # Credentials are opened anew, files and webhooks' secrets too.
        for session in ("r1", "new0"):
            await acme.ok("session.restart", session_id=session)
            await acme.send(session, f"again-{session}", TO, "opened anew")
            assert (await acme.outcome(f"again-{session}", 180))["status"] == "sent"
        assert (await http.get(f"/v1/media/{stored.json()['id']}")).content == b"kept" * 100
        assert (await acme.ok("webhook.rotate", webhook_id="kept"))["secret"]
        assert [len(acme.of("qr", session)) for session in ("r1", "r2", "new0", "new1")] == [1, 1, 1, 1]
        assert fleet.reload()["pids"] == pids


def _at_least(found: list[str], count: int) -> bool:
    return len(found) >= count


def _has(program: Plain, command: str, status: str) -> bool:
    return status in program.steps(command)


async def test_an_erasure_outlives_a_kill(fleet: Fleet) -> None:
    """The service is killed in the middle, the broker too: the erasure ends, under the same receipt."""
    async with platform(fleet) as asked:
        made = await asked.ok("tenant.create", tenant="leaver")
        program = await use(fleet, made["login"], "leaver")
        receipt = await asked.ok(
            "tenant.delete", tenant="leaver", confirm="leaver", reason="contract ended", actor="ops"
        )
        [pid] = fleet.reload()["pids"]["tenancy"]
        os.kill(pid, signal.SIGKILL)
        await wait_until(lambda: fleet.reload()["pids"]["tenancy"] not in ([], [pid]), 30)

        async def answers() -> bool:
            with contextlib.suppress(Exception):
                return bool((await asked.ok("tenant.receipt", id=receipt["id"]))["id"] == receipt["id"])
            return False

        await wait_until(answers, 60)
        await erased(asked, receipt)
        assert await traces(fleet, asked, "leaver") == []
        await program.client.close()


async def test_the_command_line_does_the_same(fleet: Fleet) -> None:
    """`pww tenant create, show, quota, suspend, resume, keys, delete`, as an operator types them."""

    typed = partial(pww, fleet)
    assert "shop is there" in await typed("tenant", "create", "shop")
    assert "shop" in (await typed("tenant", "list")).split()
    assert "commands_per_day             1000" in await typed(
        "tenant", "quota", "shop", "commands_per_day=1000"
    )
    assert "shop: active" in await typed("tenant", "show", "shop")
    assert "suspended" in await typed("tenant", "suspend", "shop")
    assert "active" in await typed("tenant", "resume", "shop")
    assert "shop.crm" in await typed("tenant", "keys", "add-user", "shop", "crm", "--rights", "read")
    assert "user shop.crm: read" in await typed("tenant", "keys", "list", "shop")
    assert "pww_" in await typed("tenant", "keys", "add", "shop", "hooks", "--scope", "send")
    told = await typed("tenant", "delete", "shop", "--confirm", "shop", "--reason", "closed")
    assert "shop was erased" in told
    assert "shop" not in (await typed("tenant", "list")).split()


@pytest.mark.parametrize("verb", ["tenant.list", "tenant.delete", "user.create"])
async def test_no_tenant_has_the_platforms_requests(fleet: Fleet, verb: str) -> None:
    """Its account does not import the subjects: nobody is there."""
    async with plain(fleet, "rival") as rival:
        with pytest.raises(nats.errors.Error):
            await rival.client.request(f"wa.ops.{verb}", b"{}", timeout=1)
