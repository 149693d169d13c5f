"""The catalogue of errors, and PyWhatsWeb 0.5's functions on it."""

import pytest

from pywhatsweb import errors
from pywhatsweb.errors import ErrorCode, ErrorSeverity
from pywhatsweb.errors_catalogue import ENTRIES, Entry


def test_every_code_has_one_entry():
    """Codes and texts are the same set, in the same order."""
    assert [entry.code for entry in ENTRIES] == [code.wire for code in ErrorCode]
    assert len(ErrorCode) >= 50


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.code)
def test_entries_are_whole(entry: Entry):
    """Status, severity and both languages are there; only what may succeed later is retryable."""
    assert 400 <= entry.http_status < 600
    assert entry.severity in set(ErrorSeverity)
    assert all((entry.message, entry.action, entry.message_pt, entry.action_pt))
    assert entry.message != entry.message_pt
    assert not (entry.retryable and entry.http_status in (400, 401, 410))


def test_values_drop_the_prefix():
    """A member's value is its name without E_, as in 0.5."""
    assert all(code.value == code.name[2:] for code in ErrorCode)
    assert ErrorCode.from_wire("E_EXPIRED") is ErrorCode.from_wire("EXPIRED") is ErrorCode.E_EXPIRED
    assert ErrorCode.from_wire("E_OF_TOMORROW") is ErrorCode.E_INTERNAL


def test_error_info():
    """0.5's form, in Portuguese."""
    info = errors.get_error_info(ErrorCode.E_SESSION_NOT_FOUND)
    assert info["action"]
    assert {**info, "action": ""} == {
        "error_code": "SESSION_NOT_FOUND",
        "http_status": 404,
        "message": "Sessão não encontrada",
        "severity": "medium",
        "retryable": False,
        "action": "",
    }


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("AUTHENTICATION_FAILED", 401),
        ("MEDIA_TOO_LARGE", 400),
        ("WHATSAPP_2FA_REQUIRED", 400),
        ("WHATSAPP_BANNED", 403),
    ],
)
def test_statuses_of_05(code: str, status: int):
    """Codes that 0.5 named keep their HTTP status."""
    assert errors.http_status(ErrorCode(code)) == status


def test_error_response():
    """Details stand beside the catalogue's fields."""
    response = errors.create_error_response(ErrorCode.E_SESSION_NOT_FOUND, {"session_id": "123"})
    assert response["success"] is False
    assert response["error"]["details"] == {"session_id": "123"}
    assert response["error"]["error_code"] == "SESSION_NOT_FOUND"


def test_filters():
    """Retryable and severity are read from the catalogue; the severities part the codes."""
    retryable = errors.get_retryable_errors()
    assert ErrorCode.E_QUEUE_FULL in retryable
    assert ErrorCode.E_INVALID_PHONE not in retryable
    assert all(errors.is_retryable(code) for code in retryable)
    parts = [errors.get_errors_by_severity(severity) for severity in ErrorSeverity]
    assert sorted(code for part in parts for code in part) == sorted(ErrorCode)


def test_wire_body():
    """Events and replies carry the code with its prefix, in English."""
    body = errors.error_body(ErrorCode.E_EXPIRED, {"path": "$"})
    assert list(body) == ["code", "message", "http_status", "severity", "retryable", "action", "details"]
    assert body["code"] == "E_EXPIRED"
    assert errors.error_body(ErrorCode.E_EXPIRED, language="pt")["message"] != body["message"]


def test_exceptions():
    """Each is a PyWhatsWebError with code, details and a readable text."""
    error = errors.ContractError(ErrorCode.E_EMPTY_TEXT, {"path": "$.text.body"})
    assert isinstance(error, errors.PyWhatsWebError)
    assert str(error) == "E_EMPTY_TEXT: The text is empty. {'path': '$.text.body'}"
    assert error.body.details == {"path": "$.text.body"}
    assert errors.SessionError().code is ErrorCode.E_INTERNAL
