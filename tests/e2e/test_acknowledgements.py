"""Acknowledgements that are late, lost, or come to the next owner: `unknown`, then settled, and never a second send."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.support import wait_until
from tests.support.running import Fleet, Plain, Sandbox, new_number, pair, plain, sandbox

CONTACT, SILENT = "+5511988880006", "+5511988880007"


async def shown(whatsapp: Sandbox, number: str, name: str) -> list[str]:
    """How often the contact's phone got it: `message` once, `repeat` for each further time under the same id."""
    return [entry["kind"] for entry in await whatsapp.decrypted(number) if entry["text"] == name]


async def reached(program: Plain, name: str, status: str) -> None:
    await wait_until(lambda: status in program.steps(name), 60, message=f"{name} is {status}")


async def restart_session(program: Plain, session: str, **settings: object) -> None:
    program.events.clear()
    await program.ok("session.start", session_id=session, settings=settings)
    await program.reached(session, "WORKING")


async def test_late_and_lost_acknowledgements(fleet: Fleet) -> None:
    """The session's own time-out; a late ack settles as sent, a receipt as delivered, and what has neither stays."""
    number = new_number()
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        await pair(program, whatsapp, "acks", number)
        await restart_session(program, "acks", ack_timeout_s=1)
        await whatsapp.post("/api/contacts", number=SILENT, behaviour={"deliver": False, "read": False})
        for name, fault, contact, seen in (
            ("late", "ack_delay", SILENT, "unknown"),
            ("confirmed", "drop_ack", CONTACT, "delivered"),
            ("lost", "drop_ack", SILENT, "unknown"),
        ):
            # For long enough that nothing else of the session's uses it up.
            await whatsapp.post("/api/faults", kind=fault, account=number, delay_ms=4000, count=100)
            await program.send("acks", name, contact, name)
            await reached(program, name, seen)
            await whatsapp.clear(fault)
            # Two time-outs in a row would make the link suspect.
            await program.send("acks", f"after-{name}", CONTACT, f"after {name}")
            await reached(program, f"after-{name}", "sent")
        await reached(program, "late", "sent")
        assert program.steps("lost")[-1] == "unknown"
        alerts = [
            e["data"]["command_id"] for e in program.of("alert", "acks") if e["data"]["kind"] == "ack_timeout"
        ]
        assert {"late", "lost"} <= {*alerts} <= {"late", "lost", "confirmed"}
        for name in ("late", "confirmed", "lost"):
            assert await shown(whatsapp, number, name) == ["message"], f"{name} was sent again blindly"


async def test_the_next_owner_settles_what_was_unknown(tmp_path: Path) -> None:
    """kill -9 of the worker after `unknown`: a receipt that comes later finds its command."""
    fleet = Fleet(tmp_path, env={"PWW_ACK_TIMEOUT_S": "1"})
    fleet.start()
    number = new_number()
    try:
        async with plain(fleet) as program, sandbox(fleet) as whatsapp:
            await pair(program, whatsapp, "s1", number)
            await whatsapp.post("/api/faults", kind="late_receipts", account=number, delay_ms=6000)
            await whatsapp.post("/api/faults", kind="drop_ack", account=number)
            await program.send("s1", "lost", CONTACT, "lost")
            await reached(program, "lost", "unknown")

            async def has_left_the_queue() -> bool:
                return not (await program.ok("session.status", session_id="s1"))["queued"]

            await wait_until(has_left_the_queue, 30)
            program.events.clear()
            os.kill(fleet.reload()["pids"]["session_worker"][0], signal.SIGKILL)
            await program.reached("s1", "WORKING", timeout=60)
            await wait_until(lambda: {"delivered", "read"} & {*program.steps("lost")}, 40)

            async def is_on_record() -> bool:
                found = await program.ok("message.status", id="lost")
                return found["status"]["status"] in ("delivered", "read")

            await wait_until(is_on_record, 30)
            assert await shown(whatsapp, number, "lost") == ["message"]
    finally:
        fleet.stop()
