"""The main job, seen by a program that knows only the public contract, on real Baileys against the sandbox."""

from __future__ import annotations

import asyncio

from tests.support import wait_until
from tests.support.running import Fleet, new_number, pair, plain, sandbox

CONTACT = "+5511988880001"


async def test_a_first_message(fleet: Fleet) -> None:
    """QR, scan, WORKING, a text is read by its recipient, and the answer comes back as an event."""
    number = new_number()
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        await pair(program, whatsapp, "first", number)
        told = [event["data"]["status"] for event in program.of("session", "first")]
        assert told == ["STARTING", "SCAN_QR_CODE", "WORKING"]
        working = program.of("session", "first")[-1]["data"]
        assert working["phone_number"] == number
        assert working["engine"] == "baileys"

        answer = await program.send("first", "order-1", CONTACT, "Olá, mundo! 🌍")
        assert answer["stream"] == "WA_CMD_demo"
        await wait_until(lambda: program.steps("order-1") == ["accepted", "sent", "delivered", "read"], 20)
        seen = [entry for entry in await whatsapp.decrypted(number) if entry["text"] == "Olá, mundo! 🌍"]
        assert len(seen) == 1

        await whatsapp.post(f"/api/contacts/{CONTACT}/send", to=number, type="text", text="Oi! Tudo bem?")
        await wait_until(
            lambda: [e for e in program.of("message", "first") if not e["data"]["from_self"]], 20
        )
        inbound = next(e for e in program.of("message", "first") if not e["data"]["from_self"])
        assert inbound["data"]["text"]["body"] == "Oi! Tudo bem?"
        assert inbound["data"]["origin"] == "inbound"
        assert inbound["data"]["from"]["pn"] == CONTACT
        outbound = next(e for e in program.of("message", "first") if e["data"]["from_self"])
        assert outbound["data"]["chat"]["key"] == inbound["data"]["chat"]["key"]


async def test_a_pairing_code_instead_of_a_qr(fleet: Fleet) -> None:
    """The phone's user types the eight characters that the gateway shows."""
    number = new_number()
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        await program.ok("session.start", session_id="coded", pairing="code", phone_number=number)
        await wait_until(lambda: program.of("pairing_code", "coded"), 20)
        await whatsapp.post(
            f"/api/phones/{number}/link-code", code=program.of("pairing_code", "coded")[-1]["data"]["code"]
        )
        await program.reached("coded", "WORKING")


async def test_two_tenants_interleaved(fleet: Fleet) -> None:
    """2 tenants of 3 sessions, 500 texts each: each decrypted once, in its session's order, with all its statuses."""
    count = 500
    async with plain(fleet) as demo, plain(fleet, "acme") as acme, sandbox(fleet) as whatsapp:
        numbers = {}
        for program in (demo, acme):
            for session in ("a", "b", "c"):
                numbers[program.tenant, session] = new_number()
                await pair(program, whatsapp, session, numbers[program.tenant, session])
        for index in range(count):
            await asyncio.gather(
                *(
                    program.send(session, f"{session}-{index}", CONTACT, f"{session} {index}")
                    for program in (demo, acme)
                    for session in ("a", "b", "c")
                )
            )

        def all_read() -> bool:
            return all(
                sum(e["data"]["status"] == "read" for e in program.of("status", session)) >= count
                for program in (demo, acme)
                for session in ("a", "b", "c")
            )

        await wait_until(all_read, 100, interval=0.25, message="all are read")
        for (tenant, session), number in numbers.items():
            seen = await whatsapp.decrypted(number)
            assert [entry["text"] for entry in seen] == [f"{session} {index}" for index in range(count)], (
                tenant,
                session,
            )
            program = demo if tenant == "demo" else acme
            steps: dict[str, list[str]] = {}
            for event in program.of("status", session):
                steps.setdefault(event["data"]["command_id"], []).append(event["data"]["status"])
            assert len(steps) == count
            for statuses in steps.values():
                assert statuses[0] == "accepted"
                assert sorted(statuses, key=["accepted", "sent", "delivered", "read"].index) == statuses
                assert set(statuses) >= {"accepted", "sent", "read"}
        assert {event["tenant_id"] for event in demo.events} == {"demo"}
        assert {event["tenant_id"] for event in acme.events} == {"acme"}
