"""A simulated WhatsApp that the test holds in its hand, whichever worker speaks to it."""

from __future__ import annotations

import secrets

import pytest

from pywhatsweb_fleet.session_worker import app
from pywhatsweb_fleet.session_worker.engines.simulated import SimulatedEngine
from pywhatsweb_fleet.session_worker.engines.simulated.whatsapp import SimulatedWhatsApp


@pytest.fixture
def key() -> str:
    return secrets.token_hex(32)


@pytest.fixture
async def whatsapp(monkeypatch: pytest.MonkeyPatch) -> SimulatedWhatsApp:
    """One for all workers of the test, as there is one WhatsApp."""
    shared = SimulatedWhatsApp()
    monkeypatch.setattr(app, "SimulatedEngine", lambda **_: SimulatedEngine(whatsapp=shared))
    return shared
