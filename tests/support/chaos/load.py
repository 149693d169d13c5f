"""Traffic both ways, by tenants' programs that do what INTERFACE.md tells them: publish again until it is stored."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from typing import Any

import httpx
import nats
from nats.aio.client import Client

from tests.support.chaos.ground import Ground
from tests.support.running import Fleet


async def client_of(fleet: Fleet, tenant: str) -> Client:
    user = fleet.ready["tenants"][tenant] if tenant else fleet.ready["platform"]
    client = Client()

    async def quiet(_: Exception) -> None:
        return

    await client.connect(
        fleet.ready["nats_url"],
        user=user["user"],
        password=user["password"],
        max_reconnect_attempts=-1,
        reconnect_time_wait=1,
        error_cb=quiet,
    )
    return client


class Sender:
    """One session's publisher: commands in order, each published again until JetStream has it."""

    def __init__(self, client: Client, tenant: str, session: str, contacts: list[str], seed: int) -> None:
        self.tenant, self.session = tenant, session
        self.accepted: list[str] = []
        """Command ids in the order in which they were stored."""
        self.texts: dict[str, str] = {}
        self.twice: set[str] = set()
        """Those that the stream holds twice."""
        self.refused: Counter[str] = Counter()
        """How often the broker did not take one at first, by JetStream's code."""
        self._client = client
        self._contacts = contacts
        self._random = random.Random(f"{seed} {tenant} {session}")

    async def send(self, number: int) -> None:
        command = f"{self.session}-{number}"
        to = self._contacts[self._random.randrange(len(self._contacts))]
        text = f"{self.tenant} {self.session} {number}"
        body = json.dumps({"id": command, "to": to, "type": "text", "text": {"body": text}}).encode()
        self.texts[command] = text
        await self._until_stored(body, command)
        self.accepted.append(command)
        draw = self._random.random()
        if draw < 0.05:  # a publisher that did not hear the acknowledgement
            await self._until_stored(body, command)
        elif draw < 0.08:  # one that does not know of Nats-Msg-Id: the stream holds the command twice
            await self._until_stored(body, None)
            self.twice.add(command)

    async def _until_stored(self, body: bytes, message_id: str | None) -> None:
        headers = {"Nats-Msg-Id": message_id} if message_id else None
        subject = f"wa.cmd.{self.tenant}.{self.session}.send"
        while True:
            with contextlib.suppress(nats.errors.Error, asyncio.TimeoutError, ConnectionError):
                answer = await self._client.request(subject, body, headers=headers, timeout=2)
                error = json.loads(answer.data).get("error")
                if error is None:
                    return
                self.refused[str(error.get("err_code"))] += 1
            await asyncio.sleep(0.2)

    async def run(self, rate: float, stopping: asyncio.Event, *, first: int = 0) -> None:
        number = first
        while not stopping.is_set():
            await self.send(number)
            number += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), self._random.expovariate(rate))


class Contacts:
    """People who write to the sessions' numbers, through the sandbox."""

    def __init__(self, ground: Ground, numbers: list[str], contacts: list[str], seed: int) -> None:
        self.sent = 0
        self._ground = ground
        self._numbers = numbers
        self._contacts = contacts
        self._random = random.Random(seed)

    async def run(self, rate: float, stopping: asyncio.Event) -> None:
        async with self._ground.http(timeout=5) as client:
            while not stopping.is_set():
                await self.write(client)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), self._random.expovariate(rate))

    async def write(self, client: httpx.AsyncClient) -> None:
        contact = self._random.choice(self._contacts)
        body: dict[str, Any] = {
            "to": self._random.choice(self._numbers),
            "type": "text",
            "text": f"inbound {self.sent}",
        }
        # What the sandbox did not take is not counted: its journal is the oracle.
        with contextlib.suppress(httpx.HTTPError):
            await client.post(f"/api/contacts/{contact}/send", json=body)
            self.sent += 1
