"""kill -9 in the middle of an upload, a send and a fetch: nothing half, nothing lost, nothing twice."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
from functools import partial
from typing import Any

import pytest

from pywhatsweb.client import FleetClient, connect
from pywhatsweb.errors import PyWhatsWebError
from tests.support import wait_until
from tests.support.running import Fleet, Sandbox, new_number, pair, plain, sandbox

CONTACT = "+5511988880072"
MIB = 1024 * 1024
pytestmark = pytest.mark.timeout(240)


async def kill(fleet: Fleet, service: str) -> None:
    """Ends the service's process without a word, and waits until another runs."""
    before = fleet.reload()["pids"][service]
    os.kill(before[0], signal.SIGKILL)
    await wait_until(
        lambda: (pids := fleet.reload()["pids"].get(service)) and pids != before, 60, message="it runs again"
    )


async def answers(opened: FleetClient) -> bool:
    try:
        await opened.media.list(limit=1)
    except PyWhatsWebError:
        return False
    return True


async def shown(whatsapp: Sandbox, number: str) -> list[dict[str, Any]]:
    """Files that contacts show: what came again under the same id is not shown again."""
    return [e for e in await whatsapp.decrypted(number) if e["kind"] == "message" and e.get("media")]


async def test_killed_in_the_middle(fleet: Fleet) -> None:
    """An upload goes on where it was; a send is shown once; a file that came in is stored and told once."""
    number = new_number()
    user = fleet.ready["tenants"]["demo"]
    data, photo = os.urandom(24 * MIB + 5), os.urandom(3 * MIB)
    async with (
        plain(fleet) as program,
        sandbox(fleet) as whatsapp,
        connect(fleet.ready["nats_url"], user=user["user"], password=user["password"]) as opened,
    ):
        await pair(program, whatsapp, "killed", number)

        upload = await opened.media.begin(len(data), filename="grande.bin")
        for offset in range(0, len(data) // 2, upload.part_bytes):
            await opened.media.upload_part(
                upload.upload_id, offset, data[offset : offset + upload.part_bytes]
            )
        await kill(fleet, "persistence")
        await wait_until(partial(answers, opened), 60, message="media.* is answered again")
        assert upload.upload_id.removeprefix("upl_") not in str((await opened.media.list()).media)
        with pytest.raises(PyWhatsWebError) as lacks:
            await opened.media.finish(upload.upload_id)
        missing = lacks.value.details["missing"]
        for offset in range(missing[0], len(data), upload.part_bytes):
            await opened.media.upload_part(
                upload.upload_id, offset, data[offset : offset + upload.part_bytes]
            )
        stored = await opened.media.finish(upload.upload_id, sha256=hashlib.sha256(data).hexdigest())

        handle = await opened.session("killed").send_document(CONTACT, stored.id)
        await wait_until(lambda: "accepted" in program.steps(handle.id), 30)
        await kill(fleet, "session_worker")
        await handle.outcome("sent", timeout=120)
        (entry,) = await wait_until(partial(shown, whatsapp, number), 60, message="the contact shows it")
        assert entry["media"]["sha256"] == stored.sha256
        assert program.steps(handle.id).count("sent") == 1

        await wait_until(lambda: program.session_status("killed") == "WORKING", 60)
        await whatsapp.post(
            f"/api/contacts/{CONTACT}/send",
            to=number,
            type="document",
            media_base64=base64.b64encode(photo).decode(),
            mime_type="application/octet-stream",
            filename="foto.raw",
        )
        inbound = partial(_inbound, program.events)
        (message,) = await wait_until(inbound, 60, message="the message is told")
        await kill(fleet, "session_worker")
        await wait_until(lambda: program.of("media", "killed"), 120, message="its file is told")
        told = program.of("media", "killed")
        assert {event["id"] for event in told} == {told[0]["id"]}
        assert told[0]["data"]["message_id"] == message["data"]["id"]
        assert told[0]["data"]["media"]["sha256"] == hashlib.sha256(photo).hexdigest()
        parts = [part async for part in opened.media.get(told[0]["data"]["media"]["id"])]
        assert b"".join(parts) == photo
        assert len(await shown(whatsapp, number)) == 1


def _inbound(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        event
        for event in events
        if event["event"] == "message" and event["session_id"] == "killed" and not event["data"]["from_self"]
    ]
