"""Live questions: the owner answers, once; who is not the owner any more does nothing and says nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pywhatsweb.contracts.ids import SessionId
from pywhatsweb.errors import RequestError
from pywhatsweb_fleet.session_worker.engines.port import Action, Done
from pywhatsweb_fleet.session_worker.engines.simulated.link import SimulatedSession
from pywhatsweb_fleet.session_worker.engines.simulated.whatsapp import SimulatedWhatsApp
from pywhatsweb_runtime.asking import Ask, ask_owner
from pywhatsweb_runtime.bus import BrokerUnavailable, Bus, NobodyAnswers
from tests.integration.session_worker.test_ownership import take
from tests.support import NatsServer, wait_until
from tests.support.fleet import Tenant, platform, worker, worker_settings

SESSION = SessionId("s1")


async def ask(
    bus: Bus, acme: Tenant, verb: str = "contact.blocked", grace_s: float = 20.0, **more: Any
) -> Any:
    question = Ask(verb=verb, **{"budget_ms": 20_000, **more})
    return await ask_owner(bus, acme.name, SESSION, question, grace_s)


async def code(work: Any) -> str:
    with pytest.raises(RequestError) as refused:
        await work
    return refused.value.code.wire


async def test_an_owner_answers_while_the_session_works(
    nats_server: NatsServer, tmp_path: Path, key: str, whatsapp: SimulatedWhatsApp
) -> None:
    """Nobody, not ready, an act and a question, what no engine knows, and one that came too late."""
    async with platform(nats_server.url, "acme") as (bus, (acme,)):
        with pytest.raises(NobodyAnswers):
            await ask(bus, acme)
        async with worker(worker_settings(nats_server.url, tmp_path, key)):
            await acme.wish("s1", settings={"simulated": {"pair": "manual"}})
            await wait_until(lambda: acme.of("qr"), 20)
            assert await code(ask(bus, acme)) == "E_SESSION_NOT_READY"
            assert whatsapp.scan("acme/s1")
            await acme.working("s1")
            await ask(bus, acme, "contact.block", to={"pn": "+5511988887777"}, acts=True)
            assert [one["pn"] for one in await ask(bus, acme)] == ["+5511988887777"]
            assert await code(ask(bus, acme, "group.teleport")) == "E_UNSUPPORTED_TYPE"
            assert await code(ask(bus, acme, "contact.unblock", budget_ms=0, acts=True)) == "E_TIMEOUT"
            assert len(await ask(bus, acme)) == 1, "it was not begun"
            assert await code(ask(bus, acme, "contact.block", acts=True)) == "E_INVALID_RECIPIENT"


async def test_a_worker_that_lost_the_session_stays_silent(
    nats_server: NatsServer, tmp_path: Path, key: str, whatsapp: SimulatedWhatsApp
) -> None:
    """It still listens and believes itself the owner; the stream knows better, so nothing is done."""
    async with (
        platform(nats_server.url, "acme") as (bus, (acme,)),
        worker(worker_settings(nats_server.url, tmp_path, key)),
    ):
        await acme.wish("s1")
        await acme.working("s1")
        await take(bus, acme, "s1", "another-worker")
        with pytest.raises(BrokerUnavailable) as silence:
            await ask(
                bus, acme, "contact.block", to={"pn": "+5511988887777"}, acts=True, budget_ms=1, grace_s=1.0
            )
        assert not isinstance(silence.value, NobodyAnswers), "it listened"
        assert whatsapp.account("acme/s1").blocked is None


async def test_without_whatsapps_word_an_act_is_unknown_and_a_question_is_late(
    nats_server: NatsServer,
    tmp_path: Path,
    key: str,
    whatsapp: SimulatedWhatsApp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An act is never reported as failed when it may have been done; a link that closes meanwhile is the same."""

    async def never(_link: SimulatedSession, _action: Action) -> Done:
        return await asyncio.Future()

    async with (
        platform(nats_server.url, "acme") as (bus, (acme,)),
        worker(worker_settings(nats_server.url, tmp_path, key)),
    ):
        await acme.wish("s1")
        await acme.working("s1")
        monkeypatch.setattr(SimulatedSession, "act", never)
        to = {"pn": "+5511988887777"}
        assert (
            await code(ask(bus, acme, "contact.block", to=to, acts=True, budget_ms=100))
            == "E_OUTCOME_UNKNOWN"
        )
        assert await code(ask(bus, acme, budget_ms=100)) == "E_TIMEOUT"
