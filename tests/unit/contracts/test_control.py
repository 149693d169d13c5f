"""The control plane's arguments and replies."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb.contracts import codec, control, control_data
from pywhatsweb.errors import ContractError, ErrorCode, RequestError


def test_no_arguments_need_no_body():
    """An empty body counts as no arguments."""
    assert control.parse("session.list", b"") == control_data.SessionList()
    assert control.parse("health.get", b"") == control_data.Nothing()


def test_session_start():
    """Settings come along."""
    body = {"session_id": "s1", "settings": {"pacing": {"per_minute": 20, "burst": 3}, "history": True}}
    args = control.parse("session.start", json.dumps(body).encode())
    assert args.pairing == "qr"
    assert args.settings.pacing.burst == 3


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("session.fly", {}, "E_UNKNOWN_VERB"),
    ("session.start", {}, "E_MISSING_FIELD"),
    ("session.start", {"session_id": "S 1"}, "E_INVALID_FIELD"),
    ("session.start", {"session_id": "s1", "pairing": "code"}, "E_MISSING_FIELD"),
    ("session.start", {"session_id": "s1", "engine": "telegraph"}, "E_INVALID_FIELD"),
    ("chat.messages", {}, "E_MISSING_FIELD"),
    ("chat.messages", {"to": "1", "chat": "2"}, "E_MISSING_FIELD"),
    ("contact.get", {}, "E_MISSING_FIELD"),
    ("media.get", {}, "E_MISSING_FIELD"),
    ("deadletter.redrive", {}, "E_MISSING_FIELD"),
    ("data.erase", {"phone_number": "1", "actor": "a"}, "E_MISSING_FIELD"),
]


@pytest.mark.parametrize(("verb", "body", "code"), REFUSED)
def test_refused(verb: str, body: dict[str, Any], code: str):
    """Each mistake has its code."""
    with pytest.raises(ContractError) as caught:
        control.parse(verb, json.dumps(body).encode())
    assert caught.value.code.wire == code


@given(st.binary(max_size=100), st.sampled_from(list(control.VERBS)))
def test_arbitrary_bytes(raw: bytes, verb: str):
    """Whatever arrives, parse answers with arguments or a ContractError."""
    with suppress(ContractError):
        control.parse(verb, raw)


@pytest.mark.parametrize("form", ["msgpack", "json"])
def test_replies(form: codec.Form):
    """A client gets the data, or the code and details that were answered."""
    data = control_data.Sessions(sessions=[])
    assert control.read_reply(control.success(data, form), control_data.Sessions) == data
    raw = control.failure(ErrorCode.E_SESSION_NOT_FOUND, {"session_id": "s9"}, form)
    assert codec.form_of(raw) == form
    assert codec.decode(raw, dict)["error"]["code"] == "E_SESSION_NOT_FOUND"
    with pytest.raises(RequestError) as caught:
        control.read_reply(raw, control_data.Sessions)
    assert (caught.value.code, caught.value.details) == (ErrorCode.E_SESSION_NOT_FOUND, {"session_id": "s9"})
