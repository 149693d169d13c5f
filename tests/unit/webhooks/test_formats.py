"""Bodies as WAHA's and the Cloud API's own receivers expect them, and signatures against the published example."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import msgspec
import pytest

from pywhatsweb.contracts import content, events
from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts.codec import encode
from pywhatsweb.contracts.statuses import MessageStatus, Origin, SessionStatus
from pywhatsweb.contracts.webhook_data import Format
from pywhatsweb.errors import ErrorBody
from pywhatsweb_fleet.webhooks import signing
from pywhatsweb_fleet.webhooks.formats import render

CHAT = d.Chat(key="k1", pn="+5511988880001")
GROUP = d.Chat(key="k2", group="120363000000000001")
ANA = d.Person(pn="+5511988880001", name="Ana")
AT = "2026-11-22T12:00:00.500Z"
SECONDS = 1_795_348_800
OWN = "+5511970000000"


def event(kind: type[Any], data: Any) -> Any:
    return kind(id="e1", tenant_id="acme", session_id="s1", timestamp=AT, data=data)


def message(**more: Any) -> Any:
    fields: dict[str, Any] = {
        "id": "3EB0AA", "chat": CHAT, "from_": ANA, "origin": Origin.INBOUND, "type": "text",
        "text": content.Text(body="Olá"), "sent_at": AT,
    }  # fmt: skip
    return event(events.MessageEvent, d.Message(**(fields | more)))


def body(one: Any, form: Format) -> Any:
    rendered = render(one, encode(one), form, OWN)
    return None if rendered is None else msgspec.json.decode(rendered.data)


def value(one: Any) -> Any:
    (entry,) = body(one, "cloud")["entry"]
    assert entry["id"] == "acme"
    assert entry["changes"][0]["field"] == "messages"
    return entry["changes"][0]["value"]


def test_ours_is_the_event_as_json_with_cloudevents_headers() -> None:
    one = message()
    rendered = render(one, encode(one), "pywhatsweb", OWN)
    assert rendered is not None
    assert msgspec.json.decode(rendered.data) == msgspec.json.decode(encode(one, "json"))
    assert rendered.headers["ce-type"] == "pywhatsweb.message"
    assert rendered.headers["Content-Type"] == "application/json"
    assert "Nats-Msg-Id" not in rendered.headers


def test_a_text_for_the_cloud_api() -> None:
    told = value(message(context=d.MessageContext(message_id="3EB0BB", from_=d.Person(pn=OWN))))
    assert told["metadata"] == {"display_phone_number": "5511970000000", "phone_number_id": "s1"}
    assert told["contacts"] == [{"profile": {"name": "Ana"}, "wa_id": "5511988880001"}]
    assert told["messages"] == [
        {
            "from": "5511988880001", "id": "3EB0AA", "timestamp": str(SECONDS), "type": "text", "text": {"body": "Olá"},
            "context": {"from": "5511970000000", "id": "3EB0BB"},
        }
    ]  # fmt: skip


def test_media_and_voice_for_the_cloud_api() -> None:
    file = d.MediaFile(id="m1", mime_type="audio/ogg", size=3, sha256="00ff")
    (told,) = value(message(type="voice", text=msgspec.UNSET, voice=content.Voice(), media=file))["messages"]
    assert told["type"] == "audio"
    assert told["audio"] == {"voice": True, "id": "m1", "mime_type": "audio/ogg", "sha256": "AP8="}


@pytest.mark.parametrize(("status", "name"), [("sent", "sent"), ("read", "read"), ("failed", "failed")])
def test_statuses_for_the_cloud_api(status: str, name: str) -> None:
    error = ErrorBody(code="E_NOT_ON_WHATSAPP", message="no", http_status=404) if status == "failed" else None
    data = d.Status(
        command_id="c1", message_id="3EB0AA", status=MessageStatus(status), chat=CHAT, at=AT, error=error
    )
    (told,) = value(event(events.StatusEvent, data))["statuses"]
    assert (told["id"], told["status"], told["recipient_id"]) == ("3EB0AA", name, "5511988880001")
    assert ("errors" in told) == (error is not None)


def test_what_the_cloud_api_does_not_tell() -> None:
    assert body(message(origin=Origin.OUTBOUND, from_self=True), "cloud") is None
    assert body(event(events.SessionEvent, d.SessionState(status=SessionStatus.WORKING)), "cloud") is None
    accepted = d.Status(command_id="c1", status=MessageStatus.ACCEPTED, chat=CHAT)
    assert body(event(events.StatusEvent, accepted), "cloud") is None


def test_messages_for_waha() -> None:
    told = body(message(), "waha")
    assert (told["event"], told["session"], told["me"]["id"]) == ("message", "s1", "5511970000000@c.us")
    payload = told["payload"]
    assert payload["id"] == "false_5511988880001@c.us_3EB0AA"
    assert (payload["from"], payload["fromMe"], payload["body"]) == ("5511988880001@c.us", False, "Olá")
    group = body(message(chat=GROUP), "waha")["payload"]
    assert group["from"] == "120363000000000001@g.us"
    assert group["participant"] == "5511988880001@c.us"
    assert body(message(origin=Origin.OUTBOUND, from_self=True), "waha")["event"] == "message.any"


def test_acks_sessions_reactions_and_deletions_for_waha() -> None:
    data = d.Status(command_id="c1", message_id="3EB0AA", status=MessageStatus.READ, chat=CHAT)
    ack = body(event(events.StatusEvent, data), "waha")
    assert (ack["event"], ack["payload"]["ack"], ack["payload"]["ackName"]) == ("message.ack", 3, "READ")
    session = body(event(events.SessionEvent, d.SessionState(status=SessionStatus.RECONNECTING)), "waha")
    assert (session["event"], session["payload"]["status"]) == ("session.status", "STARTING")
    reacted = d.Reacted(id="r1", chat=CHAT, from_=ANA, message_id="3EB0BB", emoji="👍", sent_at=AT)
    reaction = body(event(events.ReactionEvent, reacted), "waha")
    assert reaction["payload"]["reaction"] == {"text": "👍", "messageId": "3EB0BB"}
    deleted = d.Deleted(id="d1", chat=CHAT, from_=ANA, message_id="3EB0BB", sent_at=AT)
    assert body(event(events.DeleteEvent, deleted), "waha")["payload"]["revokedMessageId"] == "3EB0BB"


def test_posts_for_waha() -> None:
    """Statuses and what stands in channels are messages from there; a correction has no word."""
    fields: dict[str, Any] = {
        "id": "3EB0DD",
        "from_": ANA,
        "sent_at": AT,
        "type": "text",
        "text": content.Text(body="Oi"),
    }
    status = body(event(events.PostEvent, d.Post(place="status", **fields)), "waha")
    told = status["payload"]
    assert (status["event"], told["id"]) == ("message", "false_status@broadcast_3EB0DD")
    assert (told["from"], told["participant"], told["body"]) == (
        "status@broadcast",
        "5511988880001@c.us",
        "Oi",
    )
    inside: dict[str, Any] = fields | {
        "place": "channel",
        "channel": "120363@newsletter",
        "from_": d.Person(),
    }
    posted = body(event(events.PostEvent, d.Post(**inside)), "waha")["payload"]
    assert (posted["from"], posted["participant"]) == ("120363@newsletter", None)
    own = body(event(events.PostEvent, d.Post(**inside, origin=Origin.OUTBOUND, from_self=True)), "waha")
    assert (own["event"], own["payload"]["to"]) == ("message.any", "120363@newsletter")
    assert body(event(events.PostEvent, d.Post(**inside, message_id="3EB0AA")), "waha") is None
    deleted = {name: value for name, value in inside.items() if name != "text"} | {"type": "deleted"}
    gone = body(event(events.PostEvent, d.Post(**deleted, message_id="3EB0AA")), "waha")
    assert (gone["event"], gone["payload"]["revokedMessageId"]) == ("message.revoked", "3EB0AA")
    place = d.Chat(key="k3", group="status@broadcast")
    sent = d.Status(message_id="3EB0DD", status=MessageStatus.READ, chat=place)
    assert body(event(events.StatusEvent, sent), "waha")["payload"]["to"] == "status@broadcast"


def test_the_signature_of_the_standard_webhooks_example() -> None:
    """From the specification's own test vector."""
    signed = signing.signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_each_formats_own_signature() -> None:
    secret = signing.new_secret()
    cloud = signing.headers((secret,), "e1", 7, b"{}", "cloud")
    assert (
        cloud["X-Hub-Signature-256"]
        == "sha256=" + hmac.new(secret.encode(), b"{}", hashlib.sha256).hexdigest()
    )
    waha = signing.headers((secret,), "e1", 7, b"{}", "waha")
    assert waha["X-Webhook-Hmac"] == hmac.new(secret.encode(), b"{}", hashlib.sha512).hexdigest()
    both = signing.headers((secret, signing.new_secret()), "e1", 7, b"{}", "pywhatsweb")
    assert len(both["webhook-signature"].split(" ")) == 2
