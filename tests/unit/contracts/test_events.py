"""Events: the envelope, its headers, its times, and the order of statuses."""

import re
from datetime import UTC, datetime
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb.contracts import codec, event_data, events
from pywhatsweb.contracts.content import Text
from pywhatsweb.contracts.statuses import MessageStatus, Origin, SessionStatus, may_follow

S = MessageStatus


def _status(status: MessageStatus = S.SENT, correlation_id: str | None = "req_1") -> events.StatusEvent:
    return events.StatusEvent(
        id="evt_1",
        tenant_id="acme",
        session_id="s1",
        timestamp="2026-11-22T12:00:00.123Z",
        correlation_id=correlation_id,
        data=event_data.Status(command_id="c1", status=status),
    )


def test_headers():
    """CloudEvents in binary mode; the id is JetStream's dedupe id too."""
    assert events.headers(_status(), "json") == {
        "Nats-Msg-Id": "evt_1",
        "ce-specversion": "1.0",
        "ce-id": "evt_1",
        "ce-type": "pywhatsweb.status",
        "ce-source": "/tenants/acme/sessions/s1",
        "ce-time": "2026-11-22T12:00:00.123Z",
        "Content-Type": "application/json",
        "X-Tenant-Id": "acme",
        "X-Session-Id": "s1",
        "X-Correlation-Id": "req_1",
    }
    assert "X-Correlation-Id" not in events.headers(_status(correlation_id=None))


def test_types():
    """Every type has its Struct, its header, and a docstring that says when it is emitted."""
    assert set(events.EVENT_TYPES) == {
        "qr", "pairing_code", "session", "message", "status", "chat", "reaction", "edit", "delete", "pin", "poll_vote",
        "chat_setting", "mark", "post", "history", "label", "presence", "contact", "group", "call", "alert",
            "deadletter", "media",
    }  # fmt: skip
    for name, kind in events.EVENT_TYPES.items():
        assert events.CE_TYPES[name] == f"pywhatsweb.{name}"
        assert kind.__doc__
    assert events.event_type(_status()) == "status"
    assert events.type_of_header(events.headers(_status())) == "status"
    assert events.type_of_header(None) is None


def test_nulls_are_written_and_other_contents_are_not():
    """A reader can index what may be null; a message has the one content that its type names."""
    message = event_data.Message(
        id="m",
        type="text",
        text=Text(body="a"),
        chat=event_data.Chat(key="k"),
        from_=event_data.Person(pn="+5511999990001"),
        origin=Origin.INBOUND,
        sent_at=events.timestamp(0),
    )
    found: dict[str, Any] = codec.decode(codec.encode(message, "json"), dict)
    assert found["from"] == {"pn": "+5511999990001", "lid": None, "name": None}
    assert found["media"] is None
    assert "image" not in found
    assert message.content == Text(body="a")


def test_content_of_a_type_that_is_not_known_yet():
    """A newer fleet's message type does not stop an older reader."""
    raw = codec.encode(
        {"id": "m", "type": "hologram", "chat": {"key": "k"}, "from": {}, "origin": "inbound", "sent_at": "x"}
    )
    assert codec.decode(raw, event_data.Message).content is None


ENGINES: dict[str, Any] = {"id": "m", "chat": {"key": "k"}, "from": {}, "origin": "inbound", "sent_at": "x"}


def test_limits_are_for_sending():
    """A stranger's caption, longer than we send, comes in and is read by others."""
    image = {"caption": "a" * 5000}
    message = event_data.from_engine(event_data.Message, {**ENGINES, "type": "image", "image": image})
    assert codec.decode(codec.encode(message), event_data.Message) == message
    assert message.content.caption == "a" * 5000


def test_content_of_another_shape():
    """It becomes unsupported instead of stopping the session; an engine's own mistake is raised."""
    odd = {**ENGINES, "type": "location", "location": {"latitude": "north"}}
    message = event_data.from_engine(event_data.Message, odd)
    assert (message.type, message.content.kind) == ("unsupported", "location")
    with pytest.raises(msgspec.ValidationError):
        event_data.from_engine(event_data.Message, {**odd, "chat": 5})


@given(st.integers(0, 4_102_444_800_000))
def test_timestamp(milliseconds: int):
    """Milliseconds since 1970 read back as themselves."""
    text = events.timestamp(milliseconds)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    assert round(datetime.fromisoformat(text).timestamp() * 1000) == milliseconds


def test_timestamp_of_now():
    """Without an argument it is the present time."""
    assert abs((datetime.now(UTC) - datetime.fromisoformat(events.timestamp())).total_seconds()) < 5


@given(st.lists(st.sampled_from(MessageStatus), max_size=20))
def test_statuses_never_go_back(reported: list[MessageStatus]):
    """Kept by `may_follow`, any order of reports gives ranks that only grow, and nothing after an end."""
    kept: list[MessageStatus] = []
    for status in reported:
        if may_follow(kept[-1] if kept else None, status):
            assert not kept or not kept[-1].final
            kept.append(status)
    assert [s.rank for s in kept] == sorted({s.rank for s in kept})


@pytest.mark.parametrize(("first", "second"), list(product(MessageStatus, repeat=2)))
def test_may_follow_agrees_with_rank(first: MessageStatus, second: MessageStatus):
    """What may follow ranks higher."""
    assert not may_follow(first, second) or second.rank > first.rank


@pytest.mark.parametrize(
    ("first", "second", "may"),
    [
        (S.ACCEPTED, S.REJECTED, True),
        (S.QUEUED, S.EXPIRED, True),
        (S.SENT, S.READ, True),
        (S.READ, S.DELIVERED, False),
        (S.READ, S.PLAYED, True),
        (S.SENT, S.FAILED, True),
        (S.SENT, S.EXPIRED, False),
        (S.DELIVERED, S.FAILED, False),
        (S.UNKNOWN, S.SENT, True),
        (S.UNKNOWN, S.DELIVERED, True),
        (S.UNKNOWN, S.CANCELLED, False),
        (S.SENT, S.UNKNOWN, False),
        (S.FAILED, S.SENT, False),
        (S.SENT, S.SENT, False),
    ],
)
def test_ways(first: MessageStatus, second: MessageStatus, may: bool):
    """The ways that users ask about."""
    assert may_follow(first, second) is may


def test_legacy_names():
    """Each status has one of PyWhatsWeb 0.5's names."""
    assert {s.legacy for s in SessionStatus} == {"disconnected", "connecting", "connected", "ready", "error"}
    assert SessionStatus.WORKING.legacy == "ready"
    assert {s.legacy for s in MessageStatus} == {"pending", "sent", "delivered", "read", "failed"}
    assert MessageStatus.UNKNOWN.settled
    assert not MessageStatus.QUEUED.settled
    assert SessionStatus.BANNED.final
    assert not SessionStatus.RECONNECTING.final
