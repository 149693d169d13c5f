"""What the fleet tells of itself, through a real Prometheus: every query of every dashboard has something to show."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import websockets

from pywhatsweb_runtime.metrics import Metrics
from tests.support import wait_until
from tests.support.dashboards import prometheus, queries
from tests.support.running import Fleet, Plain, new_number, pair, plain, sandbox

CONTACT = "+5511988880001"
ALERTS = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "alerts.yml"


async def _traffic(fleet: Fleet, program: Plain) -> None:
    """A little of everything: a text out and in, a rejected command, a file, a webhook, a card that moves."""
    number = new_number()
    async with sandbox(fleet) as whatsapp:
        await pair(program, whatsapp, "gauged", number)
        await program.send("gauged", "gauged-1", CONTACT, "Olá!")
        await program.send("gauged", "gauged-2", "12", "to nobody")
        await wait_until(lambda: program.steps("gauged-1")[-1:] == ["read"], 60, message="it was read")
        assert (await program.outcome("gauged-2"))["status"] == "rejected"
        hook = {"webhook_id": "nowhere", "url": "https://127.0.0.1:9/", "types": ["message"]}
        assert (await program.ask("webhook.create", **hook))["ok"]
        await whatsapp.post(f"/api/contacts/{CONTACT}/send", to=number, type="text", text="Oi!")
        await wait_until(
            lambda: [e for e in program.of("message", "gauged") if e["data"]["origin"] == "inbound"], 60
        )
    await wait_until(lambda: program.of("chat", "gauged"), 60, message="the chat is on the board")
    key = fleet.ready["tenants"][program.tenant]["api_key"]
    async with httpx.AsyncClient(
        base_url=fleet.ready["http_url"], headers={"Authorization": f"Bearer {key}"}, timeout=30
    ) as http:
        stored = await http.post(
            "/v1/media", content=b"%PDF-1.4 a file", headers={"Content-Type": "application/pdf"}
        )
        assert stored.status_code == 201, stored.text
        told = (await http.get("/metrics.json")).json()
        assert told["whatsapp_websocket_connections"] == 0
        assert "pww_event_loop_lag_seconds" in told


@pytest.mark.timeout(300)
async def test_every_panel_of_every_dashboard_has_data(fleet: Fleet, tmp_path: Path) -> None:
    """And Prometheus takes every rule; names that PyWhatsWeb 0.5's users know are there."""
    health = {name.removesuffix("-1").replace("_", "-"): url for name, url in fleet.ready["health"].items()}
    targets = {name: url.removeprefix("http://") for name, url in health.items()}
    wanted = queries(tenant="demo", session="gauged")
    async with prometheus(tmp_path, targets, ALERTS) as asked, plain(fleet) as program:
        await _traffic(fleet, program)

        async def all_there() -> bool:
            return not await asked.without_data(wanted)

        try:
            await wait_until(all_there, 120, interval=1)
        except AssertionError:
            assert not await asked.without_data(wanted)
        rules = await asked.rules()
        assert len(rules) > 20
        assert all(rule["health"] != "err" for rule in rules), rules
        names = {series["metric"]["__name__"] for series in await asked.ask('{__name__=~"whatsapp_.+"}')}
        assert names >= {
            "whatsapp_messages_in_total", "whatsapp_messages_out_total", "whatsapp_sessions_active",
            "whatsapp_sessions_total", "whatsapp_websocket_connections", "whatsapp_message_latency_seconds_count",
            "whatsapp_reconnection_delay_seconds_count", "whatsapp_media_upload_duration_seconds_count",
        }  # fmt: skip
        (registered,) = await asked.ask("max(whatsapp_sessions_total)")
        assert float(registered["value"][1]) >= 1


async def test_an_open_websocket_is_counted(fleet: Fleet) -> None:
    key = fleet.ready["tenants"]["demo"]["api_key"]
    headers = {"Authorization": f"Bearer {key}"}
    url = fleet.ready["http_url"].replace("http", "ws", 1) + "/v1/ws"
    async with httpx.AsyncClient(base_url=fleet.ready["http_url"], headers=headers) as http:

        async def count() -> float:
            return float((await http.get("/metrics.json")).json()["whatsapp_websocket_connections"])

        async with websockets.connect(url, additional_headers=headers):

            async def counted() -> bool:
                return await count() == 1

            await wait_until(counted, 20, interval=0.1, message="it is counted")


def test_who_is_told_apart_is_the_operators_choice() -> None:
    """Labels of tenants and sessions are empty unless asked for."""
    assert Metrics().who("acme", "s1") == ("", "")
    assert Metrics("tenant").who("acme", "s1") == ("acme", "")
    assert Metrics("session").who("acme", "s1") == ("acme", "s1")
