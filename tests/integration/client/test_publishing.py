"""Commands reach JetStream once, whatever the broker does, or fail by name."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from pywhatsweb.client import connect
from pywhatsweb.contracts import commands, streams
from pywhatsweb.contracts.content import Text
from pywhatsweb.errors import AuthenticationError, BrokerError, ContractError, DeadlineError, ErrorCode
from tests.integration.client.conftest import ACME, Broker, Scripted
from tests.support import wait_until

TO = "+5511999990001"


async def test_a_command_is_stored_under_its_id(fleet: Scripted) -> None:
    """It returns with the PubAck; the same id again is told to be a duplicate."""
    async with fleet.client() as client:
        session = client.session("s1")
        first = await session.send_text(TO, "Olá!", id="order-1")
        again = await session.send_text(TO, "Olá!", id="order-1")
        assert (first.id, first.duplicate, first.session_id) == ("order-1", False, "s1")
        assert again.duplicate
        assert again.sequence == first.sequence
        made = await session.send(commands.SendText(to=TO, text=Text(body="x")))
        assert made.id.startswith("cmd_")
        assert await fleet.commands() == ["order-1", made.id]


async def test_many_at_once_keep_their_order(fleet: Scripted) -> None:
    """500 concurrent sends, few at a time on their way, are stored in the order of the calls."""
    async with fleet.client(in_flight=32) as client:
        session = client.session("s1")
        await asyncio.gather(*(session.send_text(TO, str(n), id=f"n-{n}") for n in range(500)))
    assert await fleet.commands() == [f"n-{n}" for n in range(500)]


async def test_what_breaks_the_contract_is_not_sent(fleet: Scripted) -> None:
    """The code is the dispatcher's, and nothing reaches the stream."""
    async with fleet.client() as client:
        session = client.session("s1")
        with pytest.raises(ContractError) as empty:
            await session.send_text(TO, "  ")
        assert empty.value.code is ErrorCode.E_EMPTY_TEXT
        with pytest.raises(ContractError) as long:
            await session.send_text(TO, "x" * 70_000)
        assert long.value.code is ErrorCode.E_TEXT_TOO_LONG
        with pytest.raises(ContractError) as identity:
            await session.send_text(TO, "x", id="a\r\nb: c")
        assert identity.value.code is ErrorCode.E_INVALID_COMMAND_ID
        with pytest.raises(ContractError) as name:
            client.session("s1.send")
        assert name.value.code is ErrorCode.E_INVALID_SESSION_ID
        assert await fleet.commands() == []


async def test_a_broker_that_freezes(broker: Broker, fleet: Scripted) -> None:
    """Silence is waited out and the command stored once; beyond the deadline it is a DeadlineError."""
    async with fleet.client() as client:
        session = client.session("s1")
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            waiting = asyncio.create_task(session.send_text(TO, "x", id="frozen"))
            with pytest.raises(DeadlineError) as late:
                await session.send(
                    commands.SendText(to=TO, text=Text(body="x"), id="impatient"), deadline=0.5
                )
            assert late.value.code is ErrorCode.E_TIMEOUT
            assert isinstance(late.value, TimeoutError)
            await asyncio.sleep(2.5)  # long enough for a repeat
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        assert (await waiting).id == "frozen"
        assert (await fleet.commands()).count("frozen") == 1


async def test_a_broker_that_is_killed(broker: Broker, fleet: Scripted) -> None:
    """It comes back on the same store: everything that was on its way is there once, in order."""
    async with fleet.client(in_flight=64, deadline=30.0) as client:
        session = client.session("s1")
        sends = [asyncio.create_task(session.send_text(TO, str(n), id=f"k-{n}")) for n in range(400)]
        await wait_until(sends[60].done, 10, interval=0.001)
        os.kill(broker.pid, signal.SIGKILL)
        await asyncio.sleep(0.3)
        await broker.restart()
        await asyncio.gather(*sends)
        stored = await fleet.commands()
        assert stored == [f"k-{n}" for n in range(400)]
        assert client.reconnects == 1


async def test_a_full_stream_refuses(fleet: Scripted) -> None:
    """E_QUEUE_FULL, at once, and it is retryable."""
    stream = streams.commands_name(ACME)
    info = await fleet.bus.client.jetstream().stream_info(stream)
    info.config.max_bytes = 2000
    await fleet.bus.api(f"STREAM.UPDATE.{stream}", info.config.as_dict())
    async with fleet.client() as client:

        async def fill() -> None:
            for n in range(100):
                await client.session("s1").send_text(TO, "x" * 100, id=f"f-{n}")

        with pytest.raises(BrokerError) as full:
            await fill()
        assert full.value.code is ErrorCode.E_QUEUE_FULL


async def test_wrong_credentials_and_no_broker(fleet: Scripted) -> None:
    """Each is told for what it is, before anything is sent."""
    with pytest.raises(AuthenticationError):
        async with connect(fleet.url, user="acme", password="wrong"):
            pass
    with pytest.raises(BrokerError) as nobody:
        async with connect("nats://127.0.0.1:1", user="acme", password="x", timeout=1):
            pass
    assert nobody.value.code is ErrorCode.E_BROKER_UNAVAILABLE
    with pytest.raises(ContractError):
        async with connect(fleet.url, user="Not A Tenant", password="x"):
            pass


async def test_another_tenants_session_is_forbidden(fleet: Scripted) -> None:
    """The broker's refusal comes back at once, not as a time-out."""
    user = fleet.secrets.tenants["acme"]
    async with connect(fleet.url, user=user.user, password=user.password, tenant="rival") as client:
        with pytest.raises(AuthenticationError) as refused:
            await asyncio.wait_for(client.session("s1").send_text(TO, "x"), 3)
    assert refused.value.code is ErrorCode.E_FORBIDDEN
    assert await fleet.commands("rival") == []


async def test_after_the_end(fleet: Scripted) -> None:
    """A client whose block is over says so."""
    async with fleet.client() as client:
        pass
    with pytest.raises(BrokerError):
        await client.session("s1").send_text(TO, "x")
