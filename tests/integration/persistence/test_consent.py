"""Opt-outs by word and by request, consents, and what an erasure and an export make of them, on both databases."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pywhatsweb.contracts import consent_data as cs
from pywhatsweb.contracts import control_data as d
from pywhatsweb.contracts import event_data as e
from pywhatsweb.contracts import ids
from pywhatsweb.contracts import law_data as ld
from pywhatsweb.errors import ErrorCode, RequestError
from pywhatsweb_fleet.storage import optouts
from pywhatsweb_fleet.storage.store import Store
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.publisher import Publisher
from tests.integration.persistence import traffic
from tests.integration.persistence.test_erasing import ask
from tests.support import wait_until

LID = "998877665544332"


def person(n: int) -> str:
    number = traffic.contact(n)[1].pn
    assert number is not None
    return number


async def out(bus: Bus, to: str) -> cs.OptOut | None:
    found: cs.ContactConsents = await ask(bus, "consent.get", cs.PersonArgs(to=to))
    return found.opt_out


async def trail(bus: Bus, action: str) -> list[ld.AuditEntry]:
    found: ld.Audit = await ask(bus, "audit.list", ld.AuditList(action=action))
    return found.entries


async def recorded(bus: Bus, n: int) -> None:
    async def is_there() -> bool:
        chat = traffic.contact(n)[0].key
        try:
            found = await ask(bus, "chat.messages", d.ChatMessages(chat=chat))
        except RequestError:
            return False
        return bool(found.messages)

    await wait_until(is_there, 60, message="what was written is on record")


async def test_a_word_alone_opts_its_sender_out(bus: Bus, publisher: Publisher, service: None) -> None:
    """However it is written; not as a part of a text, not from our side, and once, however often it is told."""
    word = traffic.message(1, body=" Pare! ")
    others = (
        traffic.message(2, body="pare de brincar"),
        traffic.message(3, outbound=True, body="PARE"),
        traffic.message(4, body="ok"),
    )
    await traffic.publish(publisher, word, *others)
    for n in (1, 2, 3, 4):
        await recorded(bus, n)
    found = await out(bus, person(1))
    assert found is not None
    assert (found.source, found.word, found.session_id) == ("word", "pare", "s1")
    assert [await out(bus, person(n)) for n in (2, 3, 4)] == [None, None, None]
    await ask(bus, "contact.opt_in", cs.OptChange(to=person(1), reason="asked by phone", by="ana"))
    # Told again, as after a failover; the later choice stands.
    data = word.data
    await traffic.publish(
        publisher, traffic.envelope(type(word), "again", data), traffic.message(5, body="x")
    )
    await recorded(bus, 5)
    assert await out(bus, person(1)) is None
    (entry,) = await trail(bus, "contact.opt_out")
    assert (entry.actor, entry.target, entry.details["word"]) == ("contact", found.key, "pare")
    (entry,) = await trail(bus, "contact.opt_in")
    assert (entry.actor, entry.reason) == ("ana", "asked by phone")


async def test_a_tenant_has_its_own_words(bus: Bus, publisher: Publisher, service: None) -> None:
    """Of any language, instead of the usual ones; or none."""
    assert (await ask(bus, "consent.words", d.Nothing())).usual
    await ask(bus, "consent.set_words", cs.WordsSet(words=["退订", "Não quero!"], by="ana"))
    assert await ask(bus, "consent.words", d.Nothing()) == cs.WordsInfo(
        words=["退订", "nao quero"], usual=False
    )
    told = (traffic.message(n, body=body) for n, body in enumerate(("退订。", "nao QUERO", "STOP")))
    await traffic.publish(publisher, *told)
    for n in range(3):
        await recorded(bus, n)
    assert [(await out(bus, person(n))) is not None for n in range(3)] == [True, True, False]
    found: cs.OptOuts = await ask(bus, "consent.opt_outs", d.Page(limit=1))
    more: cs.OptOuts = await ask(bus, "consent.opt_outs", d.Page(limit=1, cursor=found.cursor))
    listed = {one.word: one.person for one in (*found.opt_outs, *more.opt_outs)}
    assert {word: (who.pn, who.name) for word, who in listed.items()} == {
        "退订": (person(0), "Contact 0"),
        "nao quero": (person(1), "Contact 1"),
    }
    await ask(bus, "consent.set_words", cs.WordsSet(words=[]))
    assert (await ask(bus, "consent.words", d.Nothing())).words == []


async def test_a_person_is_one_by_number_and_by_lid(
    bus: Bus, publisher: Publisher, store: Store, service: None
) -> None:
    """An opt-out under one address is found under the other, also when the two are only learned to be one later."""
    pn = person(1)
    await ask(bus, "contact.opt_out", cs.OptChange(to=f"lid:{LID}", by="ana"))
    assert await out(bus, pn) is None
    chat = e.Chat(key=ids.chat_key(traffic.KEY, pn=pn), pn=pn, lid=LID)
    said = traffic.message(1, who=1)
    told = traffic.envelope(type(said), "both", _with(said.data, chat))
    await traffic.publish(publisher, told)
    await recorded(bus, 1)
    assert (await out(bus, pn)) is not None
    await ask(bus, "contact.opt_in", cs.OptChange(chat=chat.key))
    assert await out(bus, f"lid:{LID}") is None
    key = traffic.KEY
    wishes = [optouts.Wish(f"pn:{pn}", "s1", True), optouts.Wish(f"lid:{LID}", "s1", True)]
    assert await store.read(optouts.blocked, "acme", key, wishes, traffic.BASE_MS) == set()


def _with(data: e.Message, chat: e.Chat) -> e.Message:
    import msgspec

    return msgspec.structs.replace(data, chat=chat)


async def test_what_people_agreed_to_is_kept_checked_and_withdrawn(bus: Bus, service: None) -> None:
    """By purpose, with its source; the check answers for each number in its place."""
    yes, withdrawn, gone, stranger = (person(n) for n in (1, 2, 3, 4))
    for number in (yes, withdrawn, gone):
        args = cs.ConsentRecord(to=number, purpose="marketing", source="form", text="I agree", by="ana")
        await ask(bus, "consent.record", args)
    await ask(bus, "consent.record", cs.ConsentRecord(to=stranger, purpose="reminders", source="call"))
    await ask(bus, "consent.withdraw", cs.ConsentWithdraw(to=withdrawn, purpose="marketing", by="bia"))
    await ask(bus, "contact.opt_out", cs.OptChange(to=gone))
    numbers = [yes, withdrawn, gone, stranger, "12", "120363000000000001@g.us"]
    found: cs.CheckedConsents = await ask(
        bus, "consent.check", cs.ConsentCheck(numbers=numbers, purpose="marketing")
    )
    assert [(one.consented_at is not None, one.opted_out, one.error) for one in found.people] == [
        (True, False, None),
        (False, False, None),
        (True, True, None),
        (False, False, None),
        (False, False, "E_INVALID_PHONE"),
        (False, False, "E_INVALID_RECIPIENT"),
    ]
    listed: cs.Consents = await ask(bus, "consent.list", cs.ConsentList(purpose="marketing"))
    assert {one.person.pn for one in listed.consents} == {yes, withdrawn, gone}
    assert {one.withdrawn_by for one in listed.consents} == {None, "bia"}
    for number in (withdrawn, stranger):
        with pytest.raises(RequestError) as refused:
            await ask(bus, "consent.withdraw", cs.ConsentWithdraw(to=number, purpose="marketing"))
        assert refused.value.code is ErrorCode.E_CONSENT_MISSING
    assert len(await trail(bus, "consent.record")) == 4
    assert all(person(1) not in json.dumps(entry.details) for entry in await trail(bus, "consent.record"))


async def test_an_erased_person_stays_unwritten_to(
    bus: Bus, publisher: Publisher, store: Store, service: None
) -> None:
    """Consents go, the opt-out stays as digests, under every address that was known; an export has both."""
    pn = person(1)
    chat = e.Chat(key=ids.chat_key(traffic.KEY, pn=pn), pn=pn)
    await ask(bus, "contact.opt_out", cs.OptChange(to=pn))
    said = traffic.message(1, who=1)
    both = _with(said.data, e.Chat(key=chat.key, pn=pn, lid=LID))
    await traffic.publish(publisher, traffic.envelope(type(said), "both", both))
    await recorded(bus, 1)
    await ask(bus, "consent.record", cs.ConsentRecord(to=pn, purpose="marketing", source="form"))
    shown = await _rows_of(store, pn)
    assert (len(shown["optouts"]), len(shown["consents"])) == (1, 1)
    receipt: ld.ErasureReceipt = await ask(
        bus, "data.erase", ld.DataErase(phone_number=pn, reason="asked", actor="dpo")
    )
    assert receipt.state == "done"
    assert "optouts" in receipt.kept
    assert (await _rows_of(store, pn))["consents"] == []
    for address in (pn, f"lid:{LID}"):
        assert (await out(bus, address)) is not None
    raw = json.dumps([tuple(row) for row in await store.read(optouts.page, "acme", "", 50)])
    assert pn.lstrip("+") not in raw
    assert LID not in raw


async def _rows_of(store: Store, pn: str) -> dict[str, list[Any]]:
    """What an export of the person holds of the two tables."""
    from pywhatsweb_fleet.persistence import exporting
    from pywhatsweb_fleet.persistence.asking import Asker
    from pywhatsweb_fleet.persistence.person import resolve
    from pywhatsweb_fleet.storage.schema import metadata

    who = Asker("acme", traffic.KEY, "BR")
    found = await store.read(resolve, who, pn)
    return {
        name: (await store.read(exporting._page, metadata.tables[name], "acme", found, None))[0]
        for name in ("optouts", "consents")
    }
