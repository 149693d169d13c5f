"""A whole fleet for tests: `pww up` as its user runs it, and plain clients that know only the public contract."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.support.waiting import block_until, wait_until

PWW = Path(sys.executable).with_name("pww")


class Fleet:
    """`pww up` on a data directory; stopped and started again it resumes."""

    def __init__(self, directory: Path, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self._arguments = arguments
        self._env = dict(env or {})
        self._process: subprocess.Popen[bytes] | None = None
        self.ready: dict[str, Any] = {}

    @property
    def ready_file(self) -> Path:
        return self.directory / "told.json"

    @property
    def log(self) -> str:
        return (self.directory / "up.log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, timeout: float = 60) -> float:
        """Starts and waits for the ready file; the seconds that it took."""
        began = time.monotonic()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.ready_file.unlink(missing_ok=True)
        command: list[str | Path] = [
            PWW,
            "up",
            "--data-dir",
            self.directory / "data",
            "--ready-file",
            self.ready_file,
        ]
        command += ["--nats-port", "0", "--http-port", "0", *self._arguments]
        with (self.directory / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **self._env}
            )

        def told() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, f"pww up ended:\n{self.log[-3000:]}"
            return self.ready_file.exists()

        block_until(told, timeout, interval=0.05, message="pww up is ready")
        self.reload()
        return time.monotonic() - began

    def reload(self) -> dict[str, Any]:
        """The ready file as it is now: pids change when processes are restarted."""
        self.ready = json.loads(self.ready_file.read_text())
        return self.ready

    async def pww(self, *arguments: str) -> tuple[int, str]:
        """A command of `pww`, asked of this fleet: its exit code, and what it printed."""
        process = await asyncio.create_subprocess_exec(
            PWW, *arguments, "--data-dir", self.directory / "data", stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return process.returncode or 0, out.decode()

    def stop(self, timeout: float = 60) -> None:
        """As Ctrl-C does."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
                raise
        self._process = None


class Plain:
    """A tenant's program: nats-py, the tenant's own user, and INTERFACE.md."""

    def __init__(self, client: Client, tenant: str) -> None:
        self.client = client
        self.tenant = tenant
        self.events: list[dict[str, Any]] = []
        self._subjects: list[str] = []

    async def _on_event(self, message: Msg) -> None:
        raw = message.data
        self.events.append(json.loads(raw) if raw[:1] == b"{" else msgspec.msgpack.decode(raw))
        self._subjects.append(message.subject)

    async def follow(self) -> None:
        await self.client.subscribe(
            f"wa.evt.{self.tenant}.>", cb=self._on_event, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        await self.client.flush()

    async def ask(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """A control-plane request, in JSON: its whole answer."""
        answer = await self.client.request(
            f"wa.ctl.{self.tenant}.{verb}", json.dumps(arguments).encode(), timeout=30
        )
        value: dict[str, Any] = json.loads(answer.data)
        return value

    async def ok(self, verb: str, **arguments: Any) -> Any:
        answer = await self.ask(verb, **arguments)
        assert answer["ok"], answer
        return answer["data"]

    async def publish(
        self, session: str, body: bytes | dict[str, Any], *, verb: str = "send", msg_id: str | None = None
    ) -> dict[str, Any]:
        """A command; JetStream's answer."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Nats-Msg-Id": msg_id} if msg_id else None
        answer = await self.client.request(
            f"wa.cmd.{self.tenant}.{session}.{verb}", raw, headers=headers, timeout=30
        )
        value: dict[str, Any] = json.loads(answer.data)
        return value

    async def send(self, session: str, command_id: str, to: str, text: str, **more: Any) -> dict[str, Any]:
        body = {"id": command_id, "to": to, "type": "text", "text": {"body": text}, **more}
        return await self.publish(session, body, msg_id=command_id)

    def of(self, kind: str, session: str | None = None) -> list[dict[str, Any]]:
        return [e for e in self.events if e["event"] == kind and session in (None, e["session_id"])]

    def steps(self, command_id: str) -> list[str]:
        """The statuses of a command so far."""
        return [e["data"]["status"] for e in self.of("status") if e["data"]["command_id"] == command_id]

    def session_status(self, session: str) -> str | None:
        told = self.of("session", session)
        return told[-1]["data"]["status"] if told else None

    async def reached(self, session: str, *statuses: str, timeout: float = 90) -> str:
        await wait_until(
            lambda: self.session_status(session) in statuses, timeout, message=f"{session} is {statuses}"
        )
        return self.session_status(session) or ""

    async def outcome(self, command_id: str, timeout: float = 90) -> dict[str, Any]:
        """The first status of a command that is neither accepted nor queued."""

        def found() -> list[dict[str, Any]]:
            return [
                event["data"]
                for event in self.of("status")
                if event["data"]["command_id"] == command_id
                and event["data"]["status"] not in ("accepted", "queued")
            ]

        return (await wait_until(found, timeout, message=f"{command_id} has an outcome"))[0]


class Sandbox:
    """The local WhatsApp's control interface."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def post(self, path: str, **body: Any) -> Any:
        answer = await self._client.post(path, json=body)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    async def delete(self, path: str) -> None:
        answer = await self._client.delete(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)

    async def get(self, path: str, **parameters: Any) -> Any:
        answer = await self._client.get(path, params=parameters)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    async def clear(self, kind: str) -> None:
        """Ends the faults of a kind."""
        answer = await self._client.delete("/api/faults", params={"kind": kind})
        assert answer.status_code == 200, (answer.status_code, answer.text)

    async def scan(self, number: str, code: str) -> None:
        await self.post(f"/api/phones/{number}/scan", qr=code)

    async def decrypted(self, number: str) -> list[dict[str, Any]]:
        """Everything that contacts decrypted from an account, in the order in which the server took it."""
        entries: list[dict[str, Any]] = []
        after = 0
        while True:
            page = await self.get("/api/journal", after=after, limit=1000, account=number)
            entries += page["entries"]
            if not page["entries"]:
                return [entry for entry in entries if entry["kind"] in ("message", "repeat")]
            after = page["entries"][-1]["seq"]


@contextlib.asynccontextmanager
async def plain(fleet: Fleet, tenant: str = "demo") -> AsyncIterator[Plain]:
    """A tenant's program, following its events."""
    credentials = fleet.ready["tenants"][tenant]
    client = await nats.connect(
        fleet.ready["nats_url"], user=credentials["user"], password=credentials["password"]
    )
    try:
        program = Plain(client, tenant)
        await program.follow()
        yield program
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def sandbox(fleet: Fleet) -> AsyncIterator[Sandbox]:
    async with httpx.AsyncClient(base_url=fleet.ready["sandbox_url"], timeout=30) as client:
        yield Sandbox(client)


_numbers = itertools.count(1)


def new_number() -> str:
    """A phone number that no other test has."""
    return f"+55119{70000000 + next(_numbers)}"


async def pair(program: Plain, whatsapp: Sandbox, session: str, number: str) -> None:
    """Starts a session and scans its QR code, up to WORKING."""
    await program.ok("session.start", session_id=session)
    await wait_until(lambda: program.of("qr", session), 90, message="a QR code is shown")
    await whatsapp.scan(number, program.of("qr", session)[-1]["data"]["code"])
    await program.reached(session, "WORKING")


async def gather_all(*work: Any) -> list[Any]:
    return list(await asyncio.gather(*work))
