"""Where PyWhatsWeb 0.5 had a name, there is one: modules, signatures, fields, members and values as it told them."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import pywhatsweb
from pywhatsweb import constants, enums, errors, models, utils

MODULES = {
    "pywhatsweb": (
        "WhatsWebManager Session BaseStore FileSystemStore DjangoORMStore SessionStatus MessageType KanbanStatus "
        "Chat WhatsAppError SessionError ConnectionError MessageError StorageError AuthenticationError WebSocketError "
        "APIError MediaTooLargeError __default_config__ __python_support__ __dependencies__"
    ),
    "pywhatsweb.manager": "WhatsWebManager",
    "pywhatsweb.session": "Session",
    "pywhatsweb.enums": (
        "SessionStatus MessageType KanbanStatus MessageStatus EventType EventPayload create_qr_event "
        "create_message_event create_ready_event create_error_event MAX_MEDIA_SIZE SUPPORTED_IMAGE_TYPES "
        "CONNECTION_TIMEOUT MESSAGE_TIMEOUT QR_EXPIRATION MAX_MESSAGES_PER_MINUTE MAX_SESSIONS_PER_IP "
        "MAX_REQUESTS_PER_MINUTE"
    ),
    "pywhatsweb.models": "Contact Message MediaMessage Chat SessionEvent",
    "pywhatsweb.exceptions": (
        "WhatsAppError SessionError ConnectionError MessageError StorageError AuthenticationError "
        "WebSocketError APIError"
    ),
    "pywhatsweb.errors": (
        "ErrorCode ErrorSeverity get_error_info create_error_response get_retryable_errors get_errors_by_severity"
    ),
    "pywhatsweb.utils": (
        "normalize_phone_number validate_phone_number get_phone_info format_phone_for_display generate_session_id "
        "validate_session_id get_current_timezone format_timestamp"
    ),
    "pywhatsweb.storage": "BaseStore FileSystemStore DjangoORMStore RedisStore PostgreSQLStore",
    "pywhatsweb.storage.base": "BaseStore",
    "pywhatsweb.storage.filesystem": "FileSystemStore",
    "pywhatsweb.storage.django": "DjangoORMStore",
}


@pytest.mark.parametrize("module", MODULES)
def test_names_are_where_they_were(module: str) -> None:
    found = importlib.import_module(module)
    missing = [name for name in MODULES[module].split() if not hasattr(found, name)]
    assert missing == []


@pytest.mark.parametrize(
    ("function", "called"),
    [
        (pywhatsweb.WhatsWebManager, "sidecar_host sidecar_port api_key storage"),
        (pywhatsweb.WhatsWebManager.create_session, "self session_id"),
        (pywhatsweb.WhatsWebManager.get_session, "self session_id"),
        (pywhatsweb.WhatsWebManager.remove_session, "self session_id"),
        (pywhatsweb.WhatsWebManager.get_active_sessions, "self tenant_id"),
        (pywhatsweb.WhatsWebManager.setup_alerts, "self config"),
        (pywhatsweb.WhatsWebManager.on, "self event handler"),
        (pywhatsweb.Session, "session_id manager"),
        (pywhatsweb.Session.send_text, "self to text"),
        (pywhatsweb.Session.send_media, "self to media_path caption"),
        (pywhatsweb.Session.send_text_with_idempotency, "self to text idempotency_key"),
        (pywhatsweb.Session.is_message_sent, "self idempotency_key"),
        (pywhatsweb.Session.upload_media_to_storage, "self file_path mime_type metadata"),
        (pywhatsweb.Session.on, "self event handler"),
        (models.Message.mark_as_failed, "self error"),
        (models.Chat.assign_to, "self owner_id assigned_by"),
        (models.Chat.mark_as_done, "self completed_by reason"),
        (models.Chat.reopen, "self reopened_by reason"),
        (enums.create_qr_event, "session_id qr_data expires_in"),
        (enums.create_message_event, "session_id message_data"),
        (enums.create_ready_event, "session_id phone_number device_info"),
        (enums.create_error_event, "session_id error_code error_message"),
        (errors.create_error_response, "code details"),
        (utils.format_phone_for_display, "number style"),
        (utils.generate_session_id, "prefix tenant_id"),
        (utils.format_timestamp, "when timezone"),
        (pywhatsweb.DjangoORMStore.set_models,
         "self session_model message_model contact_model group_model chat_model event_model"),
        (pywhatsweb.FileSystemStore.get_chat_messages, "self chat_id limit"),
        (pywhatsweb.FileSystemStore.delete_user_data, "self phone_number reason audit_user"),
        (pywhatsweb.FileSystemStore.get_audit_log, "self user_id start_date end_date"),
    ],
)  # fmt: skip
def test_arguments_come_in_their_order(function: Callable[..., Any], called: str) -> None:
    """By position as well as by name; whatever was added comes behind, or by name only."""
    names = [
        name
        for name, found in inspect.signature(function).parameters.items()
        if found.kind is found.POSITIONAL_OR_KEYWORD
    ]
    assert names[: len(called.split())] == called.split()


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (models.Contact,
         "phone name is_group is_business profile_picture status last_seen created_at updated_at"),
        (models.Message, (
            "id content sender recipient message_type timestamp status metadata trace_id producer_id correlation_id "
            "sequence_number created_at updated_at"
        )),
        (models.Chat, (
            "chat_id status owner_id last_message_at created_at updated_at trace_id correlation_id assigned_at "
            "assigned_by completed_at completed_by"
        )),
        (enums.EventPayload, "event session_id timestamp trace_id data"),
    ],
)  # fmt: skip
def test_models_have_their_fields(model: type[Any], fields: str) -> None:
    """In 0.5's order, each with a default that makes an instance of the first fields alone."""
    assert [field.name for field in dataclasses.fields(model)][: len(fields.split())] == fields.split()


def test_members_and_values() -> None:
    """Enums by member and value; constants."""
    members = {
        enums.SessionStatus: "disconnected connecting connected ready error",
        enums.MessageType: "text image audio video document",
        enums.KanbanStatus: "new active done",
        enums.MessageStatus: "pending sent delivered read failed",
    }
    for enum, values in members.items():
        assert [member.value for member in enum] == values.split()
        assert [member.name.lower() for member in enum] == values.split()
        assert [value for value, _ in enum.choices()] == values.split()
    assert constants.MAX_MEDIA_SIZE == 16 * 1024 * 1024
    numbers = (constants.CONNECTION_TIMEOUT, constants.MESSAGE_TIMEOUT, constants.DELIVERY_TIMEOUT)
    assert numbers == (30, 60, 300)
    assert (constants.QR_EXPIRATION, constants.MAX_RETRIES, constants.RETRY_DELAY) == (60, 3, 5)
    limits = (
        constants.MAX_MESSAGES_PER_MINUTE,
        constants.MAX_SESSIONS_PER_IP,
        constants.MAX_REQUESTS_PER_MINUTE,
    )
    assert limits == (30, 10, 100)
    assert pywhatsweb.__default_config__["connection_timeout"] == 30
    assert pywhatsweb.__python_support__ == ">=3.11"
    assert any(found.startswith("nats-py") for found in pywhatsweb.__dependencies__)


def test_event_factories() -> None:
    """A payload with its own trace, as a dict too."""
    payload = enums.create_qr_event("s1", "2@abc")
    assert (payload.event, payload.session_id) == (enums.EventType.QR, "s1")
    assert payload.data == {"qr": "2@abc", "expires_in": 60}
    assert payload.to_dict()["trace_id"] == payload.trace_id
    other = enums.create_ready_event("s1", "+5511999999999", {"platform": "android"})
    assert other.trace_id != payload.trace_id
    assert enums.create_error_event("s1", "E_EXPIRED", "late").data["error_code"] == "E_EXPIRED"
    assert enums.create_message_event("s1", {"body": "oi"}).data == {"body": "oi"}


def test_the_command_line_as_a_module() -> None:
    """python -m pywhatsweb.cli is pww; without what it needs it says how to get it."""
    command = [sys.executable, "-m", "pywhatsweb.cli", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"pywhatsweb {pywhatsweb.__version__}")
    lacking = "import sys; sys.modules['cyclopts'] = None; from pywhatsweb import cli; sys.exit(cli.main())"
    done = subprocess.run([sys.executable, "-c", lacking], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "pip install 'pywhatsweb[cli]'" in done.stderr
    assert "Traceback" not in done.stderr
