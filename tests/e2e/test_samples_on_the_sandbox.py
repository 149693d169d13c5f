"""The samples of PyWhatsWeb 0.5's description that talk to WhatsApp, on real Baileys and the sandbox: a phone scans,
people write and read. `test_legacy_samples` has those that need no WhatsApp; docs/MIGRATION.md lists all.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import websockets

import pywhatsweb
from pywhatsweb import FileSystemStore, KanbanStatus, RequestError, Session, WhatsWebManager
from pywhatsweb.contracts.template_data import TemplateButton
from pywhatsweb.exceptions import MediaTooLargeError
from tests.support import block_until, wait_until
from tests.support.running import Fleet, new_number

ANA, BIA, CAIO, DORA, EVA, FABIO = (f"+55119888800{n}" for n in range(71, 77))
PRICES, HELP = "Produto A - R$ 50, Produto B - R$ 100", "Digite 'preço' ou 'contato'"
PATIENCE_S = 60


class Seen:
    """What handlers were told, by event."""

    def __init__(self, session: Session, *events: str) -> None:
        self._told: list[tuple[str, dict[str, Any]]] = []
        for event in events:
            session.on(event, self._noting(event))

    def _noting(self, event: str) -> Callable[[dict[str, Any]], None]:
        return lambda data: self._told.append((event, data))

    def of(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """Those whose data has these fields."""
        return [data for name, data in self._told if name == event and fields.items() <= data.items()]


class WhatsApp:
    """The sandbox, as people with phones use it."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=30)

    def post(self, path: str, **body: Any) -> None:
        self._http.post(path, json=body).raise_for_status()

    def scan(self, number: str, code: str) -> None:
        self.post(f"/api/phones/{number}/scan", qr=code)

    def write(self, contact: str, to: str, text: str) -> None:
        self.post(f"/api/contacts/{contact}/send", to=to, type="text", text=text)

    def got(self, account: str, contact: str) -> list[dict[str, Any]]:
        """What a contact decrypted from an account."""
        query: dict[str, str] = {"after": "0", "limit": "1000", "account": account, "contact": contact}
        page = self._http.get("/api/journal", params=query).json()
        return [entry for entry in page["entries"] if entry["kind"] in ("message", "repeat")]

    def texts(self, account: str, contact: str) -> list[str]:
        return [entry["text"] for entry in self.got(account, contact)]


class Linked(NamedTuple):
    """A session that somebody's phone is linked to."""

    manager: WhatsWebManager
    session: Session
    number: str
    whatsapp: WhatsApp
    order: list[str]
    """Events until it worked."""


def manager_of(fleet: Fleet, **options: Any) -> WhatsWebManager:
    tenants = {name: (user["user"], user["password"]) for name, user in fleet.ready["tenants"].items()}
    return WhatsWebManager(url=fleet.ready["nats_url"], tenants=tenants, tenant_id="demo", **options)


@pytest.fixture(scope="module")
def linked(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linked]:
    """Código mínimo, Uso básico: handlers by decorator, start, scan, ready. 0.5's arguments are all taken."""
    whatsapp, number, order = WhatsApp(fleet.ready["sandbox_url"]), new_number(), list[str]()
    old: dict[str, Any] = {
        "sidecar_host": "localhost",
        "sidecar_port": 3000,
        "sidecar_ws_port": 3001,
        "api_key": "sua-chave",
    }
    old["storage"] = FileSystemStore(tmp_path_factory.mktemp("whatsapp_data"))
    with manager_of(fleet, **old, sidecar_type="nodejs") as manager:
        session = manager.create_session("sessao_teste")

        @session.on("connecting")
        def on_connecting(data: dict[str, Any]) -> None:
            order.append("connecting")

        @session.on("qr")
        def on_qr(data: dict[str, Any]) -> None:
            assert data["qr"].startswith("data:image/png;base64,")
            order.append("qr")
            whatsapp.scan(number, data["code"])

        session.on("authenticated", lambda data: order.append("authenticated"))

        @session.on("ready")
        def on_ready(data: dict[str, Any]) -> None:
            order.append("ready")

        assert session.start()
        assert session.wait_until_ready(PATIENCE_S)
        block_until(lambda: "ready" in order, PATIENCE_S)
        yield Linked(manager, session, number, whatsapp, order)


def test_from_the_code_to_a_message(linked: Linked) -> None:
    """O que acontece: QR, scan, ready, a text that its reader gets; sent, delivered, read are told in order."""
    told = [name for name in dict.fromkeys(linked.order) if name != "connecting"]
    assert told == ["qr", "authenticated", "ready"]
    seen = Seen(linked.session, "message_status", "message_create")
    message_id = linked.session.send_text(ANA.removeprefix("+"), "Olá! Como vai?")

    def statuses() -> list[str]:
        return [data["status"] for data in seen.of("message_status", message_id=message_id)]

    block_until(lambda: "read" in statuses(), PATIENCE_S)
    known = ["pending", "sent", "delivered", "read"]
    assert statuses() == sorted(statuses(), key=known.index)
    assert linked.whatsapp.texts(linked.number, ANA) == ["Olá! Como vai?"]
    own = {"body": "Olá! Como vai?", "origin": "outbound", "fromSelf": True}
    block_until(lambda: seen.of("message_create", **own), PATIENCE_S)
    info = linked.session.get_status_info()
    assert info["is_authenticated"]
    assert info["ws_connected"]
    assert linked.session.get_health_status()["status"] == "healthy"


def test_the_same_key_is_sent_once(linked: Linked) -> None:
    """Idempotência: however often, and whoever asks; is_message_sent knows it from another manager too."""
    for _ in range(3):
        sent = linked.session.send_text_with_idempotency(
            to=BIA, text="Mensagem importante", idempotency_key="msg_123_v1"
        )
        assert sent == "msg_123_v1"
    linked.session.send_text(BIA, "depois")
    block_until(lambda: "depois" in linked.whatsapp.texts(linked.number, BIA), PATIENCE_S)
    assert linked.whatsapp.texts(linked.number, BIA) == ["Mensagem importante", "depois"]
    assert linked.session.is_message_sent("msg_123_v1")
    assert not linked.session.is_message_sent("msg_123_v2")


def test_files_arrive(linked: Linked, tmp_path: Path) -> None:
    """Pipeline de mídia: an image with its caption, one that is compressed, one that is stored first; too large."""
    from PIL import Image

    small, large, huge = tmp_path / "imagem.jpg", tmp_path / "grande.png", tmp_path / "enorme.mp4"
    Image.new("RGB", (64, 64), "red").save(small)
    Image.effect_noise((1200, 1200), 100).convert("RGB").save(large)
    with huge.open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    send = linked.session.send_media
    send(to=CAIO, media_path=str(small), caption="Veja esta imagem!", validate_media=True)
    send(CAIO, large, compress_if_needed=True)
    with pytest.raises(MediaTooLargeError):
        send(to=CAIO, media_path=huge)
    stored = linked.session.upload_media_to_storage(
        file_path=str(small), mime_type="image/jpeg", metadata={"session_id": "sessao_teste"}
    )
    assert stored.startswith("med_")
    block_until(lambda: len(linked.whatsapp.got(linked.number, CAIO)) == 2, PATIENCE_S)
    first, second = linked.whatsapp.got(linked.number, CAIO)
    assert (first["type"], first["text"]) == ("image", "Veja esta imagem!")
    assert second["type"] == "image"


def test_a_chatbot_answers_people_only(linked: Linked) -> None:
    """Chatbot, anti-loop, auto-NEW: questions are answered once each, our own words never; a closed chat opens."""
    session, storage = linked.session, linked.manager.storage
    chat = storage.get_or_create_chat(DORA)
    chat.assign_to("atendente_123", "sistema")
    chat.mark_as_done("atendente_123")
    storage.save_chat(chat)
    heard: list[dict[str, Any]] = []

    @session.on("message")
    def reopen(data: dict[str, Any]) -> None:
        found = storage.get_or_create_chat(data["from"])
        if data["origin"] == "inbound" and found.status == KanbanStatus.DONE:
            found.reopen("sistema", reason="cliente_respondeu")
            storage.save_chat(found)

    @session.on("message")
    def auto_response(data: dict[str, Any]) -> None:
        if data["from"] != DORA:  # others' chats are other tests'
            return
        heard.append(data)
        if "preço" in data["body"].lower():
            session.send_text(data["from"], PRICES)
        else:
            session.send_text(data["from"], HELP)

    for question, answers in (("Qual o preço?", [PRICES]), ("Obrigada", [PRICES, HELP])):
        linked.whatsapp.write(DORA, linked.number, question)
        block_until(lambda: len(linked.whatsapp.texts(linked.number, DORA)) >= len(answers), PATIENCE_S)  # noqa: B023
        assert linked.whatsapp.texts(linked.number, DORA) == answers
    told = [(data["from"], data["origin"], data["fromSelf"]) for data in heard]
    assert told == [(DORA, "inbound", False)] * 2
    reopened = storage.get_chat(DORA)
    assert (reopened.status, reopened.reason) == (KanbanStatus.NEW, "cliente_respondeu")


def test_the_fleets_own_board_reopens(linked: Linked) -> None:
    """Políticas automáticas, without a handler: the fleet's card is new again, with the reason and who closed it."""
    place = {"session_id": linked.session.session_id}

    def card(verb: str, **more: Any) -> Any:
        return linked.manager.connections.call(
            "demo", lambda fleet: getattr(fleet.chats, verb)(EVA, **place, **more)
        )

    def status() -> str:
        try:
            found = card("card")
        except RequestError:
            return "none yet"
        return str(found.status) if found.version else "not on the board yet"

    linked.whatsapp.write(EVA, linked.number, "Bom dia")
    block_until(lambda: status() == "new", PATIENCE_S)
    card("assign", owner_id="atendente_123", by="sistema")
    card("done", by="atendente_123")
    assert (status(), card("card").completed_by) == ("done", "atendente_123")
    linked.whatsapp.write(EVA, linked.number, "Mais uma coisa")
    block_until(lambda: status() == "new", PATIENCE_S)
    assert card("card").reason == "cliente_respondeu"
    changes = [change.change for change in card("history").changes]
    moved = [name for name in changes[::-1] if name in ("opened", "assigned", "done", "reopened")]
    assert moved == ["opened", "assigned", "done", "reopened"]


async def test_a_channels_consumer(linked: Linked) -> None:
    """The consumer awaits send_text in its own event loop."""
    message_id = await linked.session.send_text(ANA, "canal")
    assert message_id
    await wait_until(lambda: "canal" in linked.whatsapp.texts(linked.number, ANA), PATIENCE_S)


def test_a_template_with_buttons(linked: Linked) -> None:
    """What 0.5 had yet to come: a stored text with buttons, filled and sent; the answer has the button's id."""
    session = linked.session.session_id
    replies = [TemplateButton(type="reply", text="Sim", id="yes"), TemplateButton(type="reply", text="Não")]
    ask = linked.manager.connections.call
    ask("demo", lambda fleet: fleet.templates.put("confirma", "pt_BR", "Podemos, {{quem}}?", buttons=replies))
    who = {"quem": "Fábio"}
    ask("demo", lambda fleet: fleet.session(session).send_template(FABIO, "confirma", "pt_BR", variables=who))
    block_until(lambda: linked.whatsapp.got(linked.number, FABIO), PATIENCE_S)
    (got,) = linked.whatsapp.got(linked.number, FABIO)
    assert (got["type"], got["text"]) == ("interactive", "Podemos, Fábio?")
    seen = Seen(linked.session, "message")
    pressed = {"type": "button_reply", "button": "yes", "text": "Sim"}
    linked.whatsapp.post(f"/api/contacts/{FABIO}/send", to=linked.number, **pressed)
    block_until(lambda: seen.of("message", **{"from": FABIO}), PATIENCE_S)
    (answer,) = seen.of("message", **{"from": FABIO})
    assert answer["content"]["button_reply"]["id"] == "yes"


def test_it_comes_back_by_itself(linked: Linked) -> None:
    """Reconexão automática: disconnected with its reason, connecting, ready; what was sent meanwhile arrives."""
    seen = Seen(linked.session, "disconnected", "ready")
    linked.whatsapp.post("/api/faults", kind="close", account=linked.number)
    block_until(lambda: seen.of("disconnected"), PATIENCE_S)
    linked.session.send_text(ANA, "Reconectado!")
    block_until(lambda: seen.of("ready"), PATIENCE_S)
    assert seen.of("disconnected")[0]["reason"]
    block_until(lambda: "Reconectado!" in linked.whatsapp.texts(linked.number, ANA), PATIENCE_S)
    block_until(lambda: linked.session._reconnection_attempts == 0, PATIENCE_S)


async def test_the_sidecars_routes(fleet: Fleet) -> None:
    """curl and WebSocket samples: health, metrics, a session's life and a message over HTTP; events as they come."""
    whatsapp, number, contact = WhatsApp(fleet.ready["sandbox_url"]), new_number(), ANA
    bearer = {"Authorization": f"Bearer {fleet.ready['tenants']['acme']['api_key']}"}
    base = fleet.ready["http_url"]
    socket = base.replace("http", "ws", 1) + "/v1/ws?type=qr,session,message,status"
    traced = {**bearer, "X-Tenant-Id": "acme", "X-Correlation-Id": "req_456"}
    heard: list[dict[str, Any]] = []
    async with (
        httpx.AsyncClient(base_url=base, headers=traced, timeout=30) as http,
        websockets.connect(socket, additional_headers=bearer) as events,
    ):
        health = (await httpx.AsyncClient().get(f"{base}/health")).json()
        assert (health["status"], health["version"]) == ("ok", pywhatsweb.__version__)
        assert health["uptime"] > 0
        following = asyncio.create_task(_follow(events, heard))
        started = await http.post("/api/session/sessao_http/start")
        assert started.json()["success"]
        assert started.headers["x-correlation-id"] == "req_456"
        assert started.headers["x-session-id"] == "sessao_http"

        async def status() -> str:
            return str((await http.get("/api/session/sessao_http/status")).json()["status"])

        await wait_until(lambda: [one for one in heard if one["event"] == "qr"], PATIENCE_S)
        code = next(one["data"]["code"] for one in heard if one["event"] == "qr")
        await asyncio.to_thread(whatsapp.scan, number, code)

        async def ready() -> bool:
            return await status() == "ready"

        await wait_until(ready, PATIENCE_S)
        sent = await http.post("/api/session/sessao_http/send-message", json={"to": contact, "text": "Teste"})
        assert sent.json()["success"]
        await wait_until(lambda: whatsapp.texts(number, contact) == ["Teste"], PATIENCE_S)
        await asyncio.to_thread(whatsapp.write, contact, number, "Oi")
        await wait_until(lambda: [one for one in heard if one["event"] == "message"], PATIENCE_S)
        assert {one["tenant_id"] for one in heard} == {"acme"}
        assert "# TYPE whatsapp_websocket_connections gauge" in (await http.get("/metrics")).text
        assert "whatsapp_websocket_connections" in (await http.get("/metrics.json")).json()
        assert (await http.post("/api/session/sessao_http/stop")).json()["success"]
        assert (await http.post("/api/sessions/stop-all")).json()["success"]

        async def disconnected() -> bool:
            return await status() == "disconnected"

        await wait_until(disconnected, PATIENCE_S)
        following.cancel()
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(socket)


async def _follow(events: websockets.ClientConnection, heard: list[dict[str, Any]]) -> None:
    async for frame in events:
        told = json.loads(frame)
        if "event" in told:
            heard.append(told["event"])
