"""Search and numbers over what was recorded, by the control plane; on both databases."""

from typing import Any

from pywhatsweb.contracts import event_data, events
from pywhatsweb.contracts import record_data as r
from pywhatsweb.contracts.statuses import Origin
from pywhatsweb.errors import ErrorCode
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.publisher import Publisher
from tests.integration.persistence import traffic
from tests.integration.persistence.test_ingest import until_settled
from tests.integration.persistence.test_queries import ask, refusal

HOUR_MS = 3_600_000


async def found(bus: Bus, query: str, tenant: str = "acme", **more: Any) -> list[str]:
    """The ids of what is found, all pages of it."""
    ids: list[str] = []
    cursor: str | None = None
    while True:
        page = await ask(
            bus, "message.search", r.MessageSearch(query=query, cursor=cursor, limit=2, **more), tenant
        )
        ids += [message.id for message in page.messages]
        cursor = page.cursor
        if cursor is None:
            return ids


def deletion(n: int) -> object:
    chat, person = traffic.contact(n)
    data = event_data.Deleted(
        id=f"DEL{n}", chat=chat, from_=person, message_id=f"WAM{n}", sent_at=events.timestamp(traffic.BASE_MS)
    )
    return traffic.envelope(events.DeleteEvent, f"delete-{n}", data)


async def test_words_marks_phrases_and_beginnings(service: None, bus: Bus, publisher: Publisher) -> None:
    """Newest first, without regard to case and marks; all the words have to be there."""
    bodies = {
        1: "Olá, a encomenda não chegou",
        2: "NAO recebi nada: encomenda atrasada",
        3: "chegou a encomenda, obrigada! preço: R$ 10,50 (e-mail: ana.souza@exemplo.com.br)",
        4: "Cadê você? 🚚",
    }
    await traffic.publish(publisher, *(traffic.message(n, body=body) for n, body in bodies.items()))
    await until_settled(bus)
    assert await found(bus, "encomenda") == ["WAM3", "WAM2", "WAM1"]
    assert await found(bus, "não") == await found(bus, "NAO") == ["WAM2", "WAM1"]
    assert await found(bus, "chegou encomenda") == ["WAM3", "WAM1"]
    assert await found(bus, '"chegou a encomenda"') == ["WAM3"]
    assert await found(bus, "obrig*") == ["WAM3"]
    assert await found(bus, "obrig") == []
    assert await found(bus, "preco") == ["WAM3"]
    assert await found(bus, "voce cade") == ["WAM4"]
    assert await found(bus, "ana.souza@exemplo.com.br") == ["WAM3"]
    assert await found(bus, 'NOT "unclosed AND (or:') == []
    assert await refusal(bus, "message.search", r.MessageSearch(query='🚚 "" *')) == ErrorCode.E_INVALID_FIELD
    bad = r.MessageSearch(query="x", cursor="oQ")
    assert await refusal(bus, "message.search", bad) == ErrorCode.E_INVALID_CURSOR


async def test_only_present_texts_are_found(service: None, bus: Bus, publisher: Publisher) -> None:
    """An edit's text takes the place of the old one, in whatever order they come; a deleted message is not found."""
    await traffic.publish(
        publisher,
        traffic.edit(2, "the late truth", who=2),
        traffic.message(1, body="an early error"),
        traffic.message(2, body="a late error"),
        traffic.message(3, body="error to be deleted"),
        deletion(3),
        traffic.edit(1, "an early forgery by error", who=9),
    )
    await until_settled(bus)
    assert await found(bus, "error") == ["WAM1"]
    (page,) = (await ask(bus, "message.search", r.MessageSearch(query="truth"))).messages
    assert page.id == "WAM2"
    assert page.text.body == "the late truth"
    assert page.edited_at is not None


async def test_filters_and_tenants(service: None, bus: Bus, publisher: Publisher) -> None:
    """By session, chat, direction and time; never beyond the tenant."""
    await traffic.make_tenant(bus, "acme-2")
    await traffic.publish(
        publisher, *(traffic.message(n, outbound=n % 2 == 0, body="word") for n in range(6))
    )
    await traffic.publish(publisher, traffic.message(7, body="word tacme"), tenant="acme-2")
    await until_settled(bus)
    await until_settled(bus, "acme-2")
    assert await found(bus, "word") == [f"WAM{n}" for n in range(5, -1, -1)]
    assert await found(bus, "word", tenant="acme-2") == ["WAM7"]
    assert await found(bus, "word", origin=Origin.OUTBOUND) == ["WAM4", "WAM2", "WAM0"]
    assert await found(bus, "word", to=traffic.contact(3)[1].pn) == ["WAM3"]
    assert await found(bus, "word", chat=traffic.contact(4)[0].key, session_id="s1") == ["WAM4"]
    assert await found(bus, "word", session_id="s2") == []
    times = {"since": events.timestamp(traffic.BASE_MS + 2), "until": events.timestamp(traffic.BASE_MS + 4)}
    assert await found(bus, "word", **times) == ["WAM3", "WAM2"]
    both = {"query": "word", "to": "+5511990000001", "chat": "k"}
    assert await refusal(bus, "message.search", both) == ErrorCode.E_INVALID_FIELD


async def test_messages_are_counted_by_the_zone_s_days(service: None, bus: Bus, publisher: Publisher) -> None:
    """BASE_MS is 10:26 in UTC: what is 14 hours later is another day there, and in São Paulo the same."""
    await traffic.publish(
        publisher,
        *(traffic.message(n, outbound=n == 2) for n in range(3)),
        traffic.message(14 * HOUR_MS),
        traffic.message(20 * HOUR_MS),
    )
    await until_settled(bus)
    span = {
        "since": events.timestamp(traffic.BASE_MS - 24 * HOUR_MS),
        "until": events.timestamp(traffic.BASE_MS + 48 * HOUR_MS),
    }
    here = await ask(bus, "analytics.counts", r.AnalyticsCounts(**span))
    there = await ask(bus, "analytics.counts", r.AnalyticsCounts(**span, zone="UTC"))
    assert here.zone == "America/Sao_Paulo"
    assert (here.inbound, here.outbound) == (there.inbound, there.outbound) == (4, 1)
    assert [(one.inbound, one.outbound) for one in here.days] == [(3, 1), (1, 0)]
    assert [(one.inbound, one.outbound) for one in there.days] == [(2, 1), (2, 0)]
    nowhere = r.AnalyticsCounts(**span, zone="Mars/Olympus")
    assert await refusal(bus, "analytics.counts", nowhere) == ErrorCode.E_INVALID_FIELD
    backwards = r.AnalyticsCounts(since=span["until"], until=span["since"])
    assert await refusal(bus, "analytics.counts", backwards) == ErrorCode.E_INVALID_FIELD


async def test_waits_are_measured_from_the_first_unanswered_message(
    service: None, bus: Bus, publisher: Publisher
) -> None:
    """Ten chats that waited 1 to 10 s, however often they asked; one that still waits."""
    told = []
    for n in range(1, 11):
        told += [
            traffic.message(n * 100_000, who=n),
            traffic.message(n * 100_000 + 900, who=n),
            traffic.message(n * 100_000 + n * 1000, who=n, outbound=True),
            traffic.message(n * 100_000 + n * 1000 + 1, who=n, outbound=True),
        ]
    await traffic.publish(publisher, *told, traffic.message(5_000_000, who=1))
    await until_settled(bus)
    span = {
        "since": events.timestamp(traffic.BASE_MS),
        "until": events.timestamp(traffic.BASE_MS + 2 * HOUR_MS),
    }
    answer = await ask(bus, "analytics.responses", r.AnalyticsResponses(**span))
    assert (answer.total.answered, answer.total.waiting) == (10, 1)
    assert (answer.total.median_s, answer.total.p90_s) == (5.0, 9.0)
    (session,) = answer.sessions
    assert (session.session_id, session.answered, session.median_s) == ("s1", 10, 5.0)
    empty = await ask(bus, "analytics.responses", r.AnalyticsResponses(**span, session_id="other"))
    assert (empty.total.answered, empty.total.median_s, empty.sessions) == (0, None, [])
