"""What a session knows of a message whose acknowledgement it did not wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from pywhatsweb.contracts.events import MessageStatus
from pywhatsweb.contracts.ids import SessionId, TenantId, TenantKey
from pywhatsweb.contracts.queued import Queued, to_headers
from pywhatsweb_fleet.session_worker.attaching import Attaching
from pywhatsweb_fleet.session_worker.audience import Audience
from pywhatsweb_fleet.session_worker.cold import ColdHold
from pywhatsweb_fleet.session_worker.engines.port import Action, Done, EngineError, EventUnit
from pywhatsweb_fleet.session_worker.lane import Interrupted
from pywhatsweb_fleet.session_worker.pacing import OFF, Pacer
from pywhatsweb_fleet.session_worker.reports import Reports
from pywhatsweb_fleet.session_worker.sending import Sending
from pywhatsweb_fleet.session_worker.sent import Sent, SentBook
from pywhatsweb_fleet.session_worker.telling import Telling
from pywhatsweb_runtime.bus import ApiError, BrokerUnavailable, Stored
from pywhatsweb_runtime.metrics import Metrics
from tests.unit.session_worker.test_lane import done

BODY = msgspec.msgpack.encode({"id": "c1", "to": "+5511999990001", "type": "text", "text": {"body": "x"}})


class Link:
    """An engine session whose answer the test chooses."""

    def __init__(self) -> None:
        self.acts = 0
        self.answer: asyncio.Future[Done] = asyncio.get_running_loop().create_future()

    async def act(self, _action: Action) -> Done:
        self.acts += 1
        return await self.answer


class Session:
    """A `Sending` with a stream that takes everything."""

    def __init__(self, ack_timeout_s: float = 5.0) -> None:
        self.told: list[str] = []
        self.link: Any = Link()
        self.book = SentBook()
        settings = SimpleNamespace(
            ack_timeout_s=ack_timeout_s,
            retry_pause_s=0.0,
            cold_hold_s=60.0,
            alert_latency_s=0.0,
            alert_error_rate=0.0,
        )
        self.stream: list[Stored] = []
        self.asked: Callable[[], Awaitable[None]] | None = None
        """What happens while the stream is asked."""
        deps: Any = SimpleNamespace(
            settings=settings, metrics=Metrics(), publisher=None, bus=self, reader=self, optouts=self
        )
        events: Any = SimpleNamespace(
            tenant=TenantId("acme"),
            session=SessionId("s1"),
            key=TenantKey(b"k" * 32),
            epoch=1,
            stable_id=lambda *parts: "-".join(parts),
            submit=self._submit,
            chat=lambda who: None,
        )
        attaching = Attaching(events, None, None)
        self.telling = Telling(deps, events, self.book, attaching, ColdHold(deps, events))
        engine: Any = SimpleNamespace(capabilities=())
        audience = Audience(deps, events, engine)
        self.sending = Sending(
            deps, events, self.telling, attaching, Pacer(OFF, 0.0), audience=audience, link=lambda: self.link
        )
        self.refusal: ApiError | BrokerUnavailable | None = None
        self.away = False
        self._parts = deps, events

    def reports(self) -> Reports:
        async def looked() -> None:
            return

        return Reports(*self._parts, self.book, self.telling, looked)

    async def forbid(self, *_: Any, **__: Any) -> bool:
        return False

    async def ask(self, _stream: str, _body: dict[str, object]) -> list[Stored]:
        if self.asked is not None:
            await self.asked()
        return self.stream

    async def last(self, _stream: str, _subject: str) -> Stored | None:
        return None

    async def _submit(self, kind: str, data: Any, **_: Any) -> Any:
        if self.away:
            raise BrokerUnavailable
        self.told.append(str(data.status) if kind == "status" else kind)
        if self.refusal is None:
            return done()
        refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        refused.set_exception(self.refusal)
        return refused


def command() -> tuple[Queued, Stored]:
    queued: Any = Queued("send", "c1", "d1", "3EB0AA", "pn:+5511999990001", "chat", 1)  # type: ignore[arg-type]
    return queued, Stored("wa.out.acme.s1", 1, BODY, {})


@pytest.mark.parametrize("how", ["interrupted", "handed over"])
async def test_a_receipt_of_an_unfinished_send_tells_sent_first(how: str) -> None:
    """Simulated seed 10: after an interruption or in a handover, `delivered` was told without its `sent`."""
    session = Session()
    queued, stored = command()
    work = asyncio.create_task(session.sending.perform(queued, stored))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    if how == "interrupted":
        session.link.answer.set_exception(EngineError("E_CONNECTION_LOST", uncertain=True))
        with pytest.raises(Interrupted):
            await work
    else:
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
    await session.telling.confirm("3EB0AA")
    assert session.told == ["message", "sent"]
    await session.sending.perform(queued, stored)  # it is still queued: told again
    assert session.told == ["message", "sent"] * 2


async def test_what_became_of_a_command_is_told_again_as_it_was() -> None:
    """A refusal whose acknowledgement in the queue was lost was told as `sent` at the second time."""
    session = Session()
    queued, stored = command()
    session.link.answer.set_exception(EngineError("E_INVALID_FIELD"))
    await session.sending.perform(queued, stored)
    await session.sending.perform(queued, stored)
    assert session.told == ["failed", "failed"]
    assert session.link.acts == 1


async def test_a_limit_that_could_not_be_told_is_told_later() -> None:
    """The broker was away when the hold was to be announced: the command counted as failed and never said so."""
    session = Session()
    session.link.answer.set_exception(EngineError("E_WHATSAPP_REACHOUT_LIMITED"))
    session.away = True
    with pytest.raises(BrokerUnavailable):
        await session.sending.perform(*command())
    session.away = False
    await session.sending.perform(*command())
    assert session.told == ["failed"]
    assert session.link.acts == 1


async def test_a_session_that_is_not_ready_interrupts_and_does_not_fail() -> None:
    """The sidecar's answer while a link closes ended commands as failed."""
    session = Session()
    session.link.answer.set_exception(EngineError("E_SESSION_NOT_READY"))
    with pytest.raises(Interrupted):
        await session.sending.perform(*command())
    assert session.told == []


async def test_an_acknowledgement_after_a_receipt_tells_nothing_backwards() -> None:
    """unknown, then delivered by a receipt, then the late acknowledgement: `sent` would be a step back."""
    session = Session(0.01)
    await session.sending.perform(*command())
    entry = session.book.get("3EB0AA")
    assert entry is not None
    assert session.told == ["unknown", "alert"]
    entry.advance(MessageStatus.DELIVERED)
    session.link.answer.set_result(Done("3EB0AA", 1))
    await asyncio.sleep(0.02)
    assert session.told == ["unknown", "alert"]


@pytest.mark.parametrize("kept", [True, False])
async def test_what_was_sent_with_lost_keys_is_sent_again(kept: bool) -> None:
    """Its link went before its keys were durable, so the next link knows nothing of it: the same id, once more."""
    session = Session()
    session.link.answer.set_result(Done("3EB0AA", 1))
    await session.sending.perform(*command())
    session.telling.link_opened(keys_kept=kept)
    await session.sending.perform(*command())
    assert session.link.acts == (1 if kept else 2)
    assert session.told == ["message", "sent"] * 2


async def test_a_message_of_an_earlier_owner_is_sent_again_but_not_told_again() -> None:
    """The durable record knows that it was sent, not whether its keys were kept."""
    session = Session()
    session.book.put("3EB0AA", Sent("c1", None, MessageStatus.DELIVERED))
    session.link.answer.set_result(Done("3EB0AA", 1))
    assert await session.sending.perform(*command()) == []
    assert (session.link.acts, session.told) == (1, [])


async def test_a_repeat_without_its_acknowledgement_is_not_unknown() -> None:
    """Baileys seeds 1, 2: sent again after a crash and not acknowledged, a message was `unknown` after `read`."""
    session = Session(0.01)
    session.book.put("3EB0AA", Sent("c1", None, MessageStatus.READ))
    assert await session.sending.perform(*command()) == []
    assert (session.link.acts, session.told) == (1, [])


@pytest.mark.parametrize("stored_before", [True, False])
async def test_what_another_told_as_sent_is_not_unknown(stored_before: bool) -> None:
    """Baileys seed 7: the durable record did not have it yet, the stream did."""
    session = Session(0.01)
    queued, stored = command()
    session.telling.remember_heads([Stored(stored.subject, 1, BODY, to_headers(queued))])
    if stored_before:
        session.stream.append(Stored("", 1, b"", {"Nats-Msg-Id": "status-c1-sent"}))
    await session.sending.perform(queued, stored)
    assert session.told == ([] if stored_before else ["unknown", "alert"])


async def test_what_a_receipt_shows_while_the_stream_is_asked_is_not_unknown_after_it() -> None:
    """Baileys seed 306: the receipt came while a new owner asked whether the earlier one had told `sent`."""
    session = Session(0.01)
    queued, stored = command()
    session.telling.remember_heads([Stored(stored.subject, 1, BODY, to_headers(queued))])
    session.asked = lambda: session.telling.confirm("3EB0AA")
    await session.sending.perform(queued, stored)
    assert session.told == ["message", "sent"] * 2


async def test_what_a_receipt_shows_is_told_until_its_command_leaves_the_queue() -> None:
    """Baileys seed 1: the stream refused `sent`, another command left the queue, and this one ended without it."""
    session = Session()
    queued, stored = command()
    session.telling.remember_heads([Stored(stored.subject, 1, stored.data, to_headers(queued))])
    await session.telling.confirm("3EB0AA")
    session.telling.settled()  # a command before it
    session.link.answer.set_result(Done("3EB0AA", 1))
    await session.sending.perform(queued, stored)
    assert session.told == ["message", "sent"] * 2
    session.telling.settled()
    assert await session.sending.perform(queued, stored) == []


async def test_a_receipt_that_the_stream_refused_is_told_when_it_comes_again() -> None:
    """Baileys seed 1: while the stream was full, `delivered` and `read` were taken for told, and never were."""
    session = Session()
    session.book.put("3EB0AA", Sent("c1", None, MessageStatus.SENT))
    reports = session.reports()
    data = {"message_ids": ["3EB0AA"], "status": "delivered"}
    session.refusal = ApiError(10077, "maximum bytes exceeded")
    (refused,) = await reports.store(EventUnit(1, "status", data))
    with pytest.raises(ApiError):
        await refused
    await asyncio.sleep(0)
    session.refusal = None
    (told,) = await reports.store(EventUnit(1, "status", data))
    await told
    assert await reports.store(EventUnit(1, "status", data)) == []
    assert session.told == ["delivered", "delivered"]


async def test_what_follows_a_refused_sent_does_not_overtake_it() -> None:
    """PostgreSQL seed 2: a full stream refused `sent` and had room for `read`, which was told first."""
    session = Session()
    session.link.answer.set_result(Done("3EB0AA", 1))
    session.refusal = ApiError(10077, "maximum bytes exceeded")
    futures = await session.sending.perform(*command())
    await asyncio.gather(*futures, return_exceptions=True)
    reports = session.reports()
    receipt = EventUnit(1, "status", {"message_ids": ["3EB0AA"], "status": "read"})
    with pytest.raises(ApiError):
        await reports.store(receipt)
    session.refusal = None
    session.told.clear()
    await reports.store(receipt)
    assert session.told == ["message", "sent", "read"]


@pytest.mark.parametrize("unknown", [False, True])
async def test_what_could_not_be_told_before_a_receipt_is_told_first(unknown: bool) -> None:
    """PostgreSQL seed 328: the broker was away when a receipt showed `sent`, which was told after `read`."""
    session = Session(0.01)
    queued, stored = command()
    reports = session.reports()
    receipt = EventUnit(1, "status", {"message_ids": ["3EB0AA"], "status": "read"})
    session.away = True
    if unknown:
        with pytest.raises(BrokerUnavailable):
            await session.sending.perform(queued, stored)
    else:
        session.telling.remember_heads([Stored(stored.subject, 1, BODY, to_headers(queued))])
        session.book.put("3EB0AA", Sent("c1"))
        with pytest.raises(BrokerUnavailable):
            await reports.store(receipt)
    session.away = False
    await reports.store(receipt)
    assert session.told == ["message", "sent", "read"]
    await session.sending.perform(queued, stored)  # it is still queued: told again, under the same ids
    assert session.told == ["message", "sent", "read", "message", "sent"]


@pytest.mark.parametrize("reopened", [False, True])
async def test_an_unknown_that_was_refused_is_sent_when_a_receipt_says_so(reopened: bool) -> None:
    """PostgreSQL seed 331: a full stream refused `unknown`, took `delivered` and `read`, and then `unknown`."""
    session = Session(0.01)
    queued, stored = command()
    session.refusal = ApiError(10077, "maximum bytes exceeded")
    await asyncio.gather(*await session.sending.perform(queued, stored), return_exceptions=True)
    if reopened:
        session.telling.remember_heads([Stored(stored.subject, 1, BODY, to_headers(queued))])
        await asyncio.gather(*await session.sending.perform(queued, stored), return_exceptions=True)
    session.refusal = None
    session.told.clear()
    await session.reports().store(EventUnit(1, "status", {"message_ids": ["3EB0AA"], "status": "read"}))
    assert session.told == ["message", "sent", "read"]
    await session.sending.perform(queued, stored)
    assert session.told == ["message", "sent", "read", "message", "sent"]
    assert session.link.acts == 1


async def test_a_receipt_of_which_nobody_knows_whether_it_is_stored_is_not_followed_by_sent() -> None:
    """PostgreSQL seed 406: nats-server was frozen when `read` was told; it was stored, and the late `sent` after it."""
    session = Session(0.01)
    await session.sending.perform(*command())
    session.telling.settled()
    session.told.clear()
    reports, receipt = (
        session.reports(),
        EventUnit(1, "status", {"message_ids": ["3EB0AA"], "status": "read"}),
    )
    session.refusal = BrokerUnavailable()
    (lost,) = await reports.store(receipt)
    with pytest.raises(BrokerUnavailable):
        await lost
    session.refusal = None
    session.link.answer.set_result(Done("3EB0AA", 1))
    await asyncio.sleep(0.02)
    await asyncio.gather(*await reports.store(receipt))
    assert await reports.store(receipt) == []
    assert session.told == ["read", "read"]


@pytest.mark.parametrize("left", [False, True])
async def test_a_late_acknowledgement_is_not_remembered_beyond_its_command(left: bool) -> None:
    """How to tell `sent` again, with the whole command, stayed in memory when the command had left the queue."""
    session = Session(0.01)
    await session.sending.perform(*command())
    if left:
        session.telling.settled()
    session.link.answer.set_result(Done("3EB0AA", 1))
    await asyncio.sleep(0.02)
    assert session.told == ["unknown", "alert", "message", "sent"]
    assert len(session.telling._outcomes) == (0 if left else 1)
    session.telling.settled()
    assert not session.telling._outcomes
