"""The WhatsApp beside each engine, steered in the same words: what a contract test needs of it and no more."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx
import msgspec

from pywhatsweb_fleet.session_worker.engines.port import Action, Engine, Recipient, StateChange
from pywhatsweb_fleet.session_worker.engines.sidecar import Config, SidecarEngine, find_node, node_launch
from pywhatsweb_fleet.session_worker.engines.simulated import (
    CloseLink,
    DropAck,
    Nack,
    SimulatedEngine,
    SimulatedWhatsApp,
)
from tests.contract.engines.host import RecordingHost
from tests.support import wait_until

ROOT = Path(__file__).resolve().parents[3]
SANDBOX = ROOT / "sidecar-node" / "sandbox" / "main.ts"
FRIEND = "+5511988887777"
STRANGER = "+5511977776666"


def text(number: int, *, to: str = FRIEND, body: str | None = None) -> Action:
    """A text with an id of its own, as the worker would send it."""
    content = {"type": "text", "text": {"body": body or f"text {number}"}}
    return Action("send", f"3EB0{number:018X}", Recipient(pn=to), content)


class World(Protocol):
    """One WhatsApp and the engine under test. Every session is told by its name and its account's number."""

    engine: Engine
    settings: dict[str, Any]

    async def confirm(self, session: str, number: str, shown: StateChange) -> None:
        """The phone scans the QR, or types the code."""
        ...

    async def receive(self, session: str, number: str, body: str, *, sender: str = FRIEND) -> None: ...
    async def fault(self, session: str, number: str, kind: str, **more: Any) -> None: ...
    async def cut(self, session: str, number: str) -> None: ...
    async def arrived(self, session: str, number: str) -> list[str]:
        """The ids that WhatsApp accepted from the session, in order."""
        ...


async def paired(
    world: World, session: str, number: str, host: RecordingHost | None = None, *, incarnation: int = 1
) -> RecordingHost:
    """Pairs a session from nothing up to open."""
    host = host or RecordingHost()
    await host.open(world.engine, session, incarnation, settings=world.settings)
    shown = await host.until("qr")
    await world.confirm(session, number, shown)
    change = await host.until("open", "closed")
    if change.state == "closed":
        assert change.retry_at_once, change
        host.states.clear()
        await host.open(world.engine, session, incarnation, settings=world.settings)
        await host.until("open")
    return host


class SimulatedWorld:
    def __init__(self) -> None:
        self.whatsapp = SimulatedWhatsApp()
        self.engine: Engine = SimulatedEngine(
            whatsapp=self.whatsapp, defaults={"pair": "manual", "delivered_ms": None, "read_ms": None}
        )
        self.settings: dict[str, Any] = {}

    async def confirm(self, session: str, number: str, shown: StateChange) -> None:
        assert self.whatsapp.scan(session)

    async def receive(self, session: str, number: str, body: str, *, sender: str = FRIEND) -> None:
        self.whatsapp.receive(session, sender, body)

    async def fault(self, session: str, number: str, kind: str, **more: Any) -> None:
        if kind == "nack":
            self.whatsapp.script(session, Nack(code=more["code"]))
        elif kind == "drop_ack":
            self.whatsapp.script(session, DropAck())
        else:
            assert kind == "ack_lost_close"
            self.whatsapp.script(session, CloseLink(when="after"))

    async def cut(self, session: str, number: str) -> None:
        self.whatsapp.cut(session)

    async def arrived(self, session: str, number: str) -> list[str]:
        return [a.id for a in self.whatsapp.accepted if a.session == session]


class SandboxWorld:
    """A real library in a real sidecar, against the sandbox in another process."""

    def __init__(self, engine: Engine, client: httpx.AsyncClient) -> None:
        self.engine = engine
        self.settings: dict[str, Any] = {}
        self._client = client

    async def _post(self, path: str, **body: Any) -> Any:
        answer = await self._client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def confirm(self, session: str, number: str, shown: StateChange) -> None:
        await self._post("/api/phones", number=number)
        if shown.state == "qr":
            await self._post(f"/api/phones/{number}/scan", qr=shown.code)
        else:
            await self._post(f"/api/phones/{number}/link-code", code=shown.code)

    async def receive(self, session: str, number: str, body: str, *, sender: str = FRIEND) -> None:
        await self._post(f"/api/contacts/{sender}/send", to=number, type="text", text=body)

    async def fault(self, session: str, number: str, kind: str, **more: Any) -> None:
        await self._post("/api/faults", kind=kind, account=number, **more)

    async def cut(self, session: str, number: str) -> None:
        await self._post("/api/faults", kind="close", account=number)

    async def arrived(self, session: str, number: str) -> list[str]:
        answer = await self._client.get(
            "/api/journal", params={"account": number, "kind": "message", "limit": 1000}
        )
        entries = answer.json()
        rows = entries["entries"] if isinstance(entries, dict) else entries
        return [row["id"] for row in rows]


class SandboxReady(msgspec.Struct):
    """What the sandbox's ready file tells."""

    http_url: str
    ws_url: str
    root_key: str
    media_ca: Path


@asynccontextmanager
async def running_sandbox(folder: Path) -> AsyncIterator[SandboxReady]:
    """A sandbox of the test's own; it dies with this process."""
    ready, said = folder / "sandbox.json", folder / "sandbox.log"
    errors = os.open(said, os.O_WRONLY | os.O_CREAT, 0o600)
    process = await asyncio.create_subprocess_exec(
        str(await find_node()),
        str(SANDBOX),
        *("--data-dir", str(folder / "sandbox"), "--ready-file", str(ready), "--exit-with-stdin"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=errors,
    )
    os.close(errors)
    try:
        await wait_until(
            lambda: ready.exists() or process.returncode is not None, 30, message="the sandbox is ready"
        )
        assert ready.exists(), said.read_text()[-2000:]
        yield msgspec.json.decode(
            ready.read_bytes(), type=SandboxReady, dec_hook=lambda kind, value: kind(value)
        )
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def sandbox_world(folder: Path, engine_name: str = "baileys") -> AsyncIterator[SandboxWorld]:
    async with (
        running_sandbox(folder) as ready,
        httpx.AsyncClient(base_url=ready.http_url, timeout=20) as client,
    ):
        config = Config(
            whatsapp_url=ready.ws_url,
            whatsapp_root_key=ready.root_key,
            whatsapp_ca=ready.media_ca.read_text(),
            log_level="warn",
            credit=64,
            engines=(engine_name,),
            profiles=str(folder / "profiles"),
        )
        engine = SidecarEngine(engine_name, launch=await node_launch(), config=config, worker="test")
        yield SandboxWorld(engine, client)


def new_number() -> str:
    """An account's number that no other test uses."""
    return f"+55219{secrets.randbelow(10**8):08d}"
