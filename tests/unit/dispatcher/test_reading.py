"""From bytes on a subject to a job, or to a refusal with its own code."""

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.dispatcher.reading import Raw, Tenant, read
from pywhatsweb_runtime.registry import TenantRecord

TENANT = Tenant(TenantId("acme"), TenantRecord(key=b"k" * 32))
NOW = 1_800_000_000_000


def text(**more: Any) -> dict[str, Any]:
    return {"id": "c1", "to": "+5511999999999", "type": "text", "text": {"body": "hi"}, **more}


def raw(body: Any, *, subject: str = "wa.cmd.acme.s1.send", headers: dict[str, str] | None = None) -> Raw:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Raw(subject, 7, NOW, headers or {}, data)


def iso(ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms / 1000))


def test_a_text_command_is_read() -> None:
    """Recipient, chat key, digest and WhatsApp id are made; JSON and MessagePack read alike."""
    job = read(TENANT, raw(text(correlation_id="r1", expires_at=iso(NOW + 5000))))
    assert job.refusal is None
    assert job.readable
    assert (job.command_id, job.recipient, job.correlation_id) == ("c1", "pn:+5511999999999", "r1")
    assert job.message_id.startswith("3EB0")
    assert job.expires_ms == NOW + 5000
    other = read(TENANT, raw(msgspec.msgpack.encode(text(correlation_id="r2", expires_at=iso(NOW + 5000)))))
    assert (other.digest, other.fingerprint, other.chat_key) == (job.digest, job.fingerprint, job.chat_key)


def test_a_status_is_addressed_as_a_place() -> None:
    """Its readers are looked at, too."""
    job = read(TENANT, raw(text(to="status", audience=["+5511999999998", "lid:123456789012345"])))
    needs = ("status_post.text", "status_audience")
    assert (job.refusal, job.recipient, job.needs) == (None, "group:status@broadcast", needs)
    assert read(TENANT, raw(text(to="status"))).needs == ("status_post.text",)
    assert job.chat is not None
    assert job.chat.group == "status@broadcast"
    in_group = read(TENANT, raw(text(to="status", audience=["120363041234567890@g.us"])))
    assert in_group.refusal is ErrorCode.E_INVALID_RECIPIENT
    assert read(TENANT, raw(text(to="status", audience=["nobody"]))).refusal is ErrorCode.E_INVALID_PHONE


def test_the_id_comes_from_the_body_then_the_header_then_is_made() -> None:
    """A made id is the same at each delivery of the same message, and another for another."""
    body = text()
    assert read(TENANT, raw(body, headers={"Nats-Msg-Id": "h"})).command_id == "c1"
    del body["id"]
    assert read(TENANT, raw(body, headers={"Nats-Msg-Id": "h"})).command_id == "h"
    made = read(TENANT, raw(body)).command_id
    assert made.startswith("cmd_")
    assert read(TENANT, raw(body)).command_id == made
    assert read(TENANT, raw(body)._replace(sequence=8)).command_id != made


CASES: list[tuple[str, Any, str]] = [
    ("garbage", b"\xff\x00\x9c garbage", "E_MALFORMED_BODY"),
    ("nothing", b"", "E_MALFORMED_BODY"),
    ("broken JSON", b'{"id": "x", ', "E_MALFORMED_BODY"),
    ("a list", b"[1]", "E_MALFORMED_BODY"),
    ("a wrong type", text(text={"body": 5}), "E_INVALID_FIELD"),
    ("an unknown type", text(type="fax"), "E_UNSUPPORTED_TYPE"),
    ("no recipient", {"type": "text", "text": {"body": "x"}}, "E_MISSING_FIELD"),
    ("an invalid number", text(to="12"), "E_INVALID_PHONE"),
    ("an empty text", text(text={"body": "  "}), "E_EMPTY_TEXT"),
    ("a long text", text(text={"body": "x" * 70_000}), "E_TEXT_TOO_LONG"),
    ("a large body", b"{" + b" " * 2_000_000 + b"}", "E_BODY_TOO_LARGE"),
    ("a past time", text(send_at=iso(NOW - 60_000)), "E_SEND_AT_PAST"),
    ("a far time", text(send_at=iso(NOW + 400 * 86_400_000)), "E_SEND_AT_TOO_FAR"),
    ("a time without zone", text(send_at="2026-12-01T09:00:00"), "E_INVALID_TIMESTAMP"),
    ("an id with a space", text(id="a b"), "E_INVALID_COMMAND_ID"),
    ("an id that is not ASCII", text(id="pedido-ã"), "E_INVALID_COMMAND_ID"),
    ("a long id", text(id="x" * 129), "E_INVALID_COMMAND_ID"),
    ("a correlation id that is not ASCII", text(correlation_id="ã"), "E_INVALID_FIELD"),
]


@pytest.mark.parametrize(("body", "code"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_bad_input_has_its_code(body: Any, code: str) -> None:
    """Each kind of bad input is refused by its own code, and nothing of it can be claimed."""
    job = read(TENANT, raw(body))
    assert job.refusal is not None
    assert job.refusal.wire == code
    assert not job.readable
    assert job.command_id


@pytest.mark.parametrize(
    ("subject", "code", "session"),
    [
        ("wa.cmd.acme.s1.fly", ErrorCode.E_UNKNOWN_VERB, "s1"),
        ("wa.cmd.acme.s1.send.more", ErrorCode.E_UNKNOWN_VERB, "s1"),
        ("wa.cmd.acme.S1.send", ErrorCode.E_INVALID_SESSION_ID, "-"),
        ("wa.cmd.acme.-.send", ErrorCode.E_INVALID_SESSION_ID, "-"),
        ("wa.cmd.acme.s1", ErrorCode.E_INVALID_SESSION_ID, "-"),
    ],
)
def test_bad_subjects_have_their_code(subject: str, code: ErrorCode, session: str) -> None:
    """The subject is checked before the body."""
    job = read(TENANT, raw(text(), subject=subject))
    assert (job.refusal, job.session) == (code, session)


def test_a_refused_body_keeps_its_ids() -> None:
    """The publisher can tell which of its commands was refused."""
    job = read(TENANT, raw(text(id="mine", correlation_id="r", to="12")))
    assert (job.command_id, job.correlation_id) == ("mine", "r")
    job = read(TENANT, raw(b"\xc1", headers={"Nats-Msg-Id": "mine", "X-Correlation-Id": "r"}))
    assert (job.command_id, job.correlation_id) == ("mine", "r")


def test_a_time_just_past_is_now() -> None:
    """A publisher's clock may be a little behind the broker's."""
    assert read(TENANT, raw(text(send_at=iso(NOW - 2000)))).refusal is None


@given(
    st.binary(max_size=300), st.text(max_size=20), st.dictionaries(st.text(max_size=12), st.text(max_size=30))
)
def test_any_bytes_end_in_a_job(body: bytes, verb: str, headers: dict[str, str]) -> None:
    """Nothing that can be published makes reading raise."""
    job = read(TENANT, raw(body, subject=f"wa.cmd.acme.s1.{verb}", headers=headers))
    assert job.refusal is not None
    assert job.command_id.isascii()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["id", "to", "type", "text", "send_at", "expires_at", "metadata", "typing", "context"]
        ),
        JSON,
    )
)
def test_any_value_in_any_field_ends_in_a_job(fields: dict[str, Any]) -> None:
    """Wrong values in known fields are refused, never raised."""
    job = read(TENANT, raw(msgspec.msgpack.encode({**text(), **fields})))
    assert job.command_id.isascii()
