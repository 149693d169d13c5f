"""The local WhatsApp that does not answer."""

import contextlib

import pytest

from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway.local import LocalWhatsApp
from pywhatsweb_fleet.gateway.problems import GatewayError
from tests.support.compose import free_port


async def test_one_that_is_gone_has_a_code() -> None:
    """And keeps nobody waiting."""
    async with contextlib.aclosing(LocalWhatsApp(f"http://127.0.0.1:{free_port()}/")) as whatsapp:
        with pytest.raises(GatewayError) as refused:
            await whatsapp.ask("GET", "/api/state", contacts="0")
    assert refused.value.code == ErrorCode.E_WHATSAPP_UNAVAILABLE
