"""The samples of PyWhatsWeb 0.5's description that concern the library, doing what they say on a fleet."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import pywhatsweb
from pywhatsweb import (
    Chat,
    Contact,
    FileSystemStore,
    KanbanStatus,
    Message,
    MessageStatus,
    MessageType,
    SessionError,
    WhatsWebManager,
)
from pywhatsweb import SessionStatus as Status
from pywhatsweb.errors import AuthenticationError, ContractError
from pywhatsweb.exceptions import ConnectionError as NotConnected
from pywhatsweb.exceptions import MediaTooLargeError
from tests.support import block_until
from tests.support.running import Fleet

TO = "5511999999999"


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    arguments = ("--engine", "simulated", "--no-sandbox", "--tenant", "empresa_a", "--tenant", "empresa_b")
    running = Fleet(tmp_path_factory.mktemp("simulated"), *arguments)
    running.start()
    yield running
    running.stop()


def manager_of(fleet: Fleet, **options: Any) -> WhatsWebManager:
    tenants = {name: (user["user"], user["password"]) for name, user in fleet.ready["tenants"].items()}
    options.setdefault("tenant_id", next(iter(tenants)))
    return WhatsWebManager(url=fleet.ready["nats_url"], tenants=tenants, **options)


@pytest.fixture
def manager(simulated: Fleet) -> Iterator[WhatsWebManager]:
    with manager_of(simulated) as found:
        yield found


class Seen:
    """Handlers that note what they are given."""

    def __init__(self, session: pywhatsweb.Session, *events: str) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        for event in events:
            session.on(event, self._noting(event))

    def _noting(self, event: str) -> Any:
        return lambda data: self.events.append((event, data))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [data for name, data in self.events if name == event]


def test_quick_start(manager: WhatsWebManager) -> None:
    """Código mínimo: a session, handlers by decorator, a QR code, ready, a text, its statuses."""
    session = manager.create_session("sessao_123")
    told: list[str] = []

    @session.on("qr")
    def on_qr(data: dict[str, Any]) -> None:
        assert data["qr"].startswith("data:image/png")
        assert data["code"]
        told.append("qr")

    @session.on("authenticated")
    def on_authenticated(data: dict[str, Any]) -> None:
        told.append("authenticated")

    @session.on("ready")
    def on_ready(data: dict[str, Any]) -> None:
        assert data["phone_number"].startswith("+55")
        told.append("ready")

    seen = Seen(session, "message_status")
    assert session.start()
    # As in basic_usage.py: at once, before anybody scanned; it waits in the session's queue.
    message_id = session.send_text(TO, "Olá! Como vai?")
    assert session.wait_until_ready(30)
    block_until(lambda: "ready" in told, 10)
    assert told[:3] == ["qr", "authenticated", "ready"]
    statuses = lambda: [d["status"] for d in seen.of("message_status") if d["message_id"] == message_id]  # noqa: E731
    block_until(lambda: "read" in statuses(), 20)
    order = list(MessageStatus)
    assert statuses() == sorted(statuses(), key=lambda value: order.index(MessageStatus(value)))
    assert session.is_active()
    assert session.is_connected()


def test_status_and_health(manager: WhatsWebManager) -> None:
    """Informações da sessão e do manager, health check."""
    session = manager.create_session("saude")
    assert session.get_status() is Status.DISCONNECTED
    assert not session.is_connected()
    session.start()
    assert session.wait_until_ready(30)
    assert session.get_status().value == "ready"
    info = session.get_status_info()
    assert info["is_authenticated"]
    assert info["ws_connected"]
    assert info["reconnection_attempts"] == session._reconnection_attempts == 0
    assert info["created_at"] <= info["last_activity"]
    assert "saude" in manager.list_sessions()
    assert manager.get_session_count() >= 1
    assert "saude" in [each.session_id for each in manager.get_active_sessions()]
    assert manager.get_sidecar_info()["base_url"].startswith("nats://")
    health = manager.get_health_status()
    assert health["status"] == "healthy"
    assert set(health["components"]) == {"sidecar", "websocket", "storage", "sessions"}
    assert health["sessions"]["active"] >= 1
    assert set(health["metrics"]) == {"messagesIn", "messagesOut", "reconnections", "errors"}
    of_session = session.get_health_status()
    assert of_session["status"] == "healthy"
    assert of_session["message_queue_size"] == 0


def test_tenants_are_apart(manager: WhatsWebManager) -> None:
    """Múltiplas sessões com multi-tenant: the same name twice, each tenant's own."""
    one = manager.create_session("sessao_1", tenant_id="empresa_a", correlation_id="req_456")
    two = manager.create_session("sessao_1", tenant_id="empresa_b", phone_number="5511888888888")
    seen = Seen(one, "message_status")
    one.start()
    two.start()
    assert one.wait_until_ready(30)
    assert two.wait_until_ready(30)
    active = manager.get_active_sessions(tenant_id="empresa_b")
    assert [session.session_id for session in active] == ["sessao_1"]
    assert active == [two]
    one.send_text(TO, "Olá")
    block_until(lambda: seen.of("message_status"), 10)
    assert seen.of("message_status")[0]["correlationId"] == "req_456"
    assert seen.of("message_status")[0]["tenant_id"] == "empresa_a"


def test_stop_remove_and_find(simulated: Fleet, manager: WhatsWebManager) -> None:
    """A view's own manager finds a session that another process started; stopped, removed, gone."""
    session = manager.create_session("vista")
    seen = Seen(session, "disconnected")
    session.start()
    session.wait_until_ready(30)
    with pytest.raises(SessionError):
        manager.create_session("vista")
    with manager_of(simulated) as view:
        found = view.get_session("vista")
        assert found is not None
        assert found.is_active()
        assert found.send_text(TO, "da view")
        assert view.get_session("nunca") is None
    assert session.is_active()  # it is not the view's to stop
    assert session.stop()
    assert session.get_status() is Status.DISCONNECTED
    block_until(lambda: seen.of("disconnected"), 10)
    assert seen.of("disconnected")[-1]["reason"]
    assert manager.remove_session("vista")
    block_until(lambda: "vista" not in manager.list_sessions(), 15)
    assert not manager.remove_session("vista")


def test_handlers_that_raise_and_are_slow(simulated: Fleet) -> None:
    """One that raises never ends the session; slow ones are waited for, in order, with a bounded queue."""
    with manager_of(simulated, queue_size=4) as manager:
        session = manager.create_session("lenta")
        got: queue.Queue[str] = queue.Queue()

        @session.on("message_create")
        def broken(data: dict[str, Any]) -> None:
            raise RuntimeError("a user's mistake")

        @session.on("message_create")
        def slow(data: dict[str, Any]) -> None:
            time.sleep(0.02)
            assert session._handlers.waiting <= 4
            got.put(data["body"])

        session.start()
        session.wait_until_ready(30)
        for n in range(60):
            session.send_text(TO, str(n))
        assert [got.get(timeout=30) for _ in range(60)] == [str(n) for n in range(60)]
        assert session._handlers.failures == 60


def test_media(manager: WhatsWebManager, tmp_path: Path) -> None:
    """send_media by what the file is; too large, missing, and what needs a media store say so."""
    from PIL import Image

    session = manager.create_session("midia")
    session.start()
    session.wait_until_ready(30)
    seen = Seen(session, "message_create", "message_status")
    path = tmp_path / "imagem.png"
    Image.new("RGB", (64, 64), "red").save(path)
    message_id = session.send_media(
        to=TO, media_path=str(path), caption="Veja esta imagem!", validate_media=True
    )
    block_until(lambda: [d for d in seen.of("message_status") if d["message_id"] == message_id], 10)
    large = tmp_path / "grande.png"
    Image.effect_noise((1200, 1200), 100).convert("RGB").save(large)
    assert session.send_media(TO, large)  # stored with the fleet first
    assert session.send_media(TO, large, compress_if_needed=True)
    huge = tmp_path / "enorme.mp4"
    with huge.open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    with pytest.raises(MediaTooLargeError):
        session.send_media(TO, huge)
    with pytest.raises(pywhatsweb.MediaError):
        session.send_media(TO, tmp_path / "nada.png")


def test_errors_that_are_caught(manager: WhatsWebManager) -> None:
    """Exceções comuns: each with its catalogue code, before anything is sent."""
    with pytest.raises(SessionError):
        manager.create_session("Não é um nome")
    session = manager.create_session("erros")
    with pytest.raises(ContractError):
        session.send_text("99", "número inválido")
    with pytest.raises(ContractError):
        session.send_text(TO, "")
    with pytest.raises(ValueError, match="no event"):
        session.on("mensagem", print)
    with pytest.raises(AuthenticationError):
        manager.create_session("outra", tenant_id="ninguem").start()
    with (
        WhatsWebManager(url="nats://127.0.0.1:1", user="x", password="y") as nowhere,
        pytest.raises(NotConnected),
    ):
        nowhere.create_session("s").start()


def test_alerts_and_heartbeat(simulated: Fleet) -> None:
    """setup_alerts with @manager.on("alert"), and the heartbeat's latency."""
    with manager_of(simulated, heartbeat_interval=0.3) as manager:
        alerts: list[dict[str, Any]] = []
        manager.on("alert", alerts.append)
        manager.setup_alerts(
            {
                "max_message_latency_ms": 0.001,
                "min_active_sessions": 1000,
                "check_interval": 0.2,
                "max_error_rate": 0.05,
            }
        )
        session = manager.create_session("alerta")
        seen = Seen(session, "heartbeat")
        session.start()
        session.wait_until_ready(30)
        session.send_text(TO, "Olá")
        block_until(lambda: {"high_latency", "few_active_sessions"} <= {a["type"] for a in alerts}, 15)
        assert next(a for a in alerts if a["type"] == "high_latency")["latency"] > 0
        block_until(lambda: seen.of("heartbeat"), 10)
        assert seen.of("heartbeat")[0]["latency"] > 0
        assert session.get_health_status()["last_heartbeat"]


def test_an_embedded_fleet(tmp_path: Path) -> None:
    """WhatsWebManager() without a fleet starts one, adds tenants to it, and ends it at the end."""
    with WhatsWebManager(
        sidecar_host="localhost",
        sidecar_port=3000,
        api_key="sua-chave",
        sidecar_type="python",
        data_dir=tmp_path,
    ) as manager:
        session = manager.create_session("teste")
        assert session.start()
        assert session.wait_until_ready(30)
        assert manager.get_sidecar_info()["embedded"]
        other = manager.create_session("teste", tenant_id="empresa_nova")
        assert other.start()
        pids = [pid for found in _pids(tmp_path).values() for pid in found]
        with WhatsWebManager(data_dir=tmp_path, auto_start=False) as second:  # finds the one that runs
            assert second.list_sessions() == ["teste"]
    import psutil

    block_until(lambda: not any(psutil.pid_exists(pid) for pid in pids), 20)
    with WhatsWebManager(data_dir=tmp_path, auto_start=False) as third, pytest.raises(NotConnected):
        third.list_sessions()


def _pids(directory: Path) -> dict[str, list[int]]:
    import json

    found: dict[str, list[int]] = json.loads((directory / "ready.json").read_text())["pids"]
    return found


# What needs no fleet.


def test_kanban_models() -> None:
    """Estados do fluxo Kanban, is_taking_too_long, choices()."""
    chat = Chat(chat_id=TO, status=KanbanStatus.NEW)
    chat.assign_to("atendente_123", "sistema")
    assert (chat.status, chat.owner_id, chat.assigned_by) == (KanbanStatus.ACTIVE, "atendente_123", "sistema")
    assert not chat.is_taking_too_long()
    chat.assigned_at = datetime.now(UTC) - timedelta(hours=3)
    assert chat.is_taking_too_long()
    chat.mark_as_done("atendente_123", reason="inatividade_24h")
    assert (chat.status, chat.completed_by) == (KanbanStatus.DONE, "atendente_123")
    chat.reopen("sistema", reason="cliente_respondeu")
    assert (chat.status, chat.reason) == (KanbanStatus.NEW, "cliente_respondeu")
    with pytest.raises(SessionError):
        chat.mark_as_done("x")
    assert KanbanStatus.choices() == [("new", "New"), ("active", "Active"), ("done", "Done")]
    assert ("image", "Image") in MessageType.choices()


def test_storage(tmp_path: Path) -> None:
    """FileSystemStore: messages, chats by status, export and erasure with an audit."""
    storage = FileSystemStore(tmp_path)
    me, you = Contact(phone="5511888888888"), Contact(phone=TO, name="Ana")
    message = Message(id="m1", content="oi", sender=you, recipient=me, producer_id="p", sequence_number=7)
    assert message.get_idempotency_key() == "p:7"
    message.mark_as_sent()
    message.mark_as_delivered()
    message.mark_as_read()
    storage.save_message(message)
    storage.save_contact(you)
    assert storage.get_chat_messages(TO) == [message]
    assert storage.get_contact(TO) == you
    chat = storage.get_or_create_chat(TO)
    chat.assign_to("a")
    storage.save_chat(chat)
    assert storage.get_chats_by_status(KanbanStatus.ACTIVE) == [chat]
    assert len(storage.export_user_data(TO)["messages"]) == 1
    counts = storage.delete_user_data(TO, reason="direito_ao_esquecimento", audit_user="admin")
    assert counts == {"messages": 1, "contacts": 1, "chats": 1}
    assert storage.get_chat_messages(TO) == storage.get_chat_messages(me.phone) == []
    assert [event.user_id for event in storage.get_audit_log(user_id="admin")] == ["admin"]


def test_utilities() -> None:
    """pywhatsweb.utils: ids, zones, phones."""
    from pywhatsweb import utils

    made = utils.generate_session_id("session", "tenant_123")
    assert made.startswith("session_tenant_123_")
    assert utils.validate_session_id(made)
    assert not utils.validate_session_id("com espaço")
    when = datetime(2024, 12, 19, 13, 30, tzinfo=UTC)
    assert utils.format_timestamp(when, "America/Sao_Paulo").startswith("2024-12-19 10:30:00")
    assert utils.get_current_timezone()
    assert utils.normalize_phone_number("(11) 99999-9999") == "+5511999999999"
    assert utils.format_phone_for_display("+5511999999999", "NATIONAL") == "(11) 99999-9999"


def test_importing_loads_little() -> None:
    """import pywhatsweb alone loads neither nats nor phonenumbers, and every name that it offers is there."""
    script = (
        "import sys; import pywhatsweb\n"
        "assert not {'nats', 'phonenumbers', 'msgspec', 'asyncio'} & sys.modules.keys()\n"
        "[getattr(pywhatsweb, name) for name in dir(pywhatsweb)]\n"
    )
    subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)


def test_no_thread_is_left(simulated: Fleet) -> None:
    """The context manager ends what it began."""
    before = set(threading.enumerate())
    with manager_of(simulated) as manager:
        session = manager.create_session("fios")
        session.on("ready", print)
        session.start()
        session.wait_until_ready(30)
    block_until(lambda: set(threading.enumerate()) <= before, 10)
