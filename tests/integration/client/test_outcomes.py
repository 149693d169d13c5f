"""How commands end, from events and from the record."""

from __future__ import annotations

import asyncio

import pytest

from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts.event_data import Status
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb.errors import DeadlineError, ErrorCode, MessageError
from tests.integration.client.conftest import Scripted
from tests.support import wait_until

TO = "+5511999990001"


def record(status: str) -> d.MessageStatusInfo:
    return d.MessageStatusInfo(id="c1", session_id="s1", status=Status(status=MessageStatus(status)))


async def test_it_waits_as_far_as_asked(fleet: Scripted) -> None:
    """accepted and sent do not end a wait for delivered; read is further than delivered."""
    await fleet.answer("message.status", lambda _args: ErrorCode.E_COMMAND_NOT_FOUND)
    async with fleet.client() as client:
        handle = await client.session("s1").send_text(TO, "x", id="c1")
        waiting = asyncio.create_task(handle.outcome("delivered", timeout=10))
        other = asyncio.create_task(handle.outcome("sent", timeout=10))
        await wait_until(lambda: fleet.asked)  # subscribed, and has asked for the past
        await fleet.tell_status("c1", "accepted")
        await fleet.tell_status("c1", "sent", message_id="3EB0")
        assert (await other).status is MessageStatus.SENT
        assert not waiting.done()
        await fleet.tell_status("c1", "read", message_id="3EB0")
        found = await waiting
        assert (found.status, found.message_id, found.sent) == (MessageStatus.READ, "3EB0", True)


async def test_a_bad_end_raises_with_its_code(fleet: Scripted) -> None:
    """rejected, expired and cancelled each carry theirs."""
    await fleet.answer("message.status", lambda _args: ErrorCode.E_COMMAND_NOT_FOUND)
    async with fleet.client() as client:
        session = client.session("s1")
        warm = asyncio.create_task(client.handle("s1", "nobody").outcome(timeout=30))
        await wait_until(lambda: fleet.asked)  # subscribed, and has asked for the past
        for status, told, code in (
            ("rejected", "E_INVALID_PHONE", ErrorCode.E_INVALID_PHONE),
            ("failed", "E_WHATSAPP_REJECTED", ErrorCode.E_WHATSAPP_REJECTED),
            ("expired", None, ErrorCode.E_EXPIRED),
            ("cancelled", None, ErrorCode.E_CANCELLED),
        ):
            handle = await session.send_text(TO, "x", id=status)
            await fleet.tell_status(status, status, told)
            with pytest.raises(MessageError) as ended:
                await handle.outcome(timeout=30)
            assert ended.value.code is code
            assert ended.value.details["status"] == status
        warm.cancel()


async def test_what_was_told_before_is_asked_for(fleet: Scripted) -> None:
    """A handle made from an id, after everything happened, finds the record."""
    await fleet.answer("message.status", lambda _args: record("delivered"))
    async with fleet.client() as client:
        found = await client.handle("s1", "c1").outcome("sent", timeout=30)
        assert found.status is MessageStatus.DELIVERED
        with pytest.raises(DeadlineError) as late:
            await client.handle("s1", "c1").outcome("read", timeout=0.3)
        assert late.value.details["status"] == "delivered"


async def test_unknown_is_waited_out(fleet: Scripted) -> None:
    """A send whose end was not seen may be settled yet: then that is the outcome."""
    await fleet.answer("message.status", lambda _args: record("unknown"))
    async with fleet.client() as client:
        waiting = asyncio.create_task(client.handle("s1", "c1").outcome(timeout=30))
        await wait_until(lambda: fleet.asked)  # subscribed, and has asked for the past
        await fleet.tell_status("c1", "delivered")
        assert (await waiting).status is MessageStatus.DELIVERED


async def test_a_session_is_followed_only_while_somebody_waits(fleet: Scripted) -> None:
    """Publishing subscribes to nothing; waiting for many subscribes once."""
    await fleet.answer("message.status", lambda _args: record("read"))
    async with fleet.client() as client:
        before = len(client._link.wire._subs)
        handles = [await client.session("s1").send_text(TO, "x") for _ in range(20)]
        assert len(client._link.wire._subs) == before
        await asyncio.gather(*(handle.outcome("read", timeout=30) for handle in handles))
        assert len(client._link.wire._subs) == before + 1 + 1  # nats-py's own inbox for requests


async def test_a_command_to_an_inbox_is_told_of_by_its_session(fleet: Scripted) -> None:
    """Whichever that is; another session's command of the same id is not meant. Receipts need not name the inbox."""
    await fleet.answer("message.status", lambda _args: ErrorCode.E_COMMAND_NOT_FOUND)
    async with fleet.client() as client:
        handle = await client.session("@support").send_text(TO, "x", id="c1")
        waiting = asyncio.create_task(handle.outcome("delivered", timeout=60))
        await wait_until(lambda: fleet.asked)  # subscribed, and has asked for the past
        await fleet.tell_status("c1", "delivered", message_id="3EB0FF", session="s7")
        await fleet.tell_status("c1", "sent", message_id="3EB0AA", session="s2", inbox_id="@support")
        await fleet.tell_status("c1", "delivered", message_id="3EB0AA", session="s2")
        found = await waiting
        assert (found.session_id, found.message_id) == ("s2", "3EB0AA")
