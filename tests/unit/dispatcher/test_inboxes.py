"""What a command to an inbox is before it has a session, and that others are not touched."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb.contracts import control, ids, subjects
from pywhatsweb.contracts.ids import CommandId, SessionId, TenantId
from pywhatsweb.contracts.queued import from_headers, to_headers
from pywhatsweb.errors import ContractError, ErrorCode
from pywhatsweb_fleet.dispatcher import handlers, reading
from pywhatsweb_fleet.dispatcher.inboxes import Inboxes
from pywhatsweb_fleet.dispatcher.reading import Job, Raw, Tenant
from pywhatsweb_runtime.registry import TenantRecord

TENANT = Tenant(TenantId("acme"), TenantRecord(key=bytes(32)))
TEXT = {"id": "c1", "to": "+5511999990001", "type": "text", "text": {"body": "hi"}}


class Untouched:
    """Fails whoever wants anything of it."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")


def read(body: dict[str, Any], session: str = "@support", verb: str = "send") -> Job:
    raw = Raw(f"wa.cmd.acme.{session}.{verb}", 7, 1, {}, msgspec.msgpack.encode(body))
    return reading.read(TENANT, raw)


async def test_commands_to_sessions_cost_nothing() -> None:
    """Neither the database nor the broker is asked, nor what is known of sessions; refused ones stay as they are."""
    nothing: Any = Untouched()
    inboxes = Inboxes(nothing, nothing, nothing, nothing, nothing, keep_ms=1)
    refused = read({**TEXT, "to": "120363000000000001@g.us"})
    assert refused.refusal is ErrorCode.E_INBOX_COMMAND
    jobs = [read(TEXT, "s1"), read(TEXT, "S.1"), read({"id": "x"}, "s1"), refused]
    before = [(job.session, job.digest, job.refusal) for job in jobs]
    await inboxes.place(TENANT, jobs)
    assert [(job.session, job.digest, job.refusal) for job in jobs] == before


def test_from_its_session_on_it_is_any_command_of_that_session() -> None:
    """The same digest and WhatsApp id, so that a repeat sent to the session itself is one; the inbox travels along."""
    job = read(TEXT)
    assert (job.session, job.inbox, job.refusal) == ("@support", "@support", None)
    job.place(TENANT, "s2")
    direct = read(TEXT, "s2")
    assert (job.session, job.digest, job.message_id) == ("s2", direct.digest, direct.message_id)
    assert direct.inbox == ""
    headers = to_headers(handlers.queued(job, 1))
    assert from_headers(headers).inbox == "@support"
    assert "Pww-Inbox" not in to_headers(handlers.queued(direct, 1))
    cancel = read({"id": "c2", "command_id": "c1"}, verb="cancel")
    cancel.place(TENANT, "s2")
    assert cancel.target == direct.digest == ids.command_digest(TENANT.key, SessionId("s2"), CommandId("c1"))


@given(st.text(max_size=70))
def test_no_name_is_both_a_sessions_and_an_inboxs(name: str) -> None:
    """Whatever comes before: so neither can take the other's place."""
    for one in (name, "@" + name, "@" + name.lower()):
        assert not (subjects.valid_name(one) and subjects.valid_inbox(one))
        assert subjects.valid_addressee(one) == (subjects.valid_name(one) or subjects.valid_inbox(one))


@pytest.mark.parametrize(
    "name", ["support", "@", "@Support", "@a.b", "@-a", "@@a", "@" + "a" * 63, "@a b", "@>"]
)
def test_names_that_no_inbox_can_have(name: str) -> None:
    assert not subjects.valid_inbox(name)
    with pytest.raises(ContractError) as refused:
        control.parse("inbox.set", msgspec.json.encode({"inbox_id": name, "sessions": ["s1"]}))
    assert refused.value.code is ErrorCode.E_INVALID_FIELD
