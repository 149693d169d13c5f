"""The local WhatsApp beside a fleet (`pww up`), asked over its control interface."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

import httpcore
import msgspec

from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.gateway.problems import GatewayError

_TIMEOUT_S: Final = 10.0
_CONNECTIONS: Final = 8
_MOST_BYTES: Final = 16 * 1024 * 1024
_CODES: Final = {
    403: ErrorCode.E_FORBIDDEN,
    404: ErrorCode.E_CONTACT_NOT_FOUND,
    413: ErrorCode.E_BODY_TOO_LARGE,
}


class LocalWhatsApp:
    """Holds connections, no state."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._pool = httpcore.AsyncConnectionPool(max_connections=_CONNECTIONS, keepalive_expiry=5.0)

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def ask(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """The answer to a request.

        Raises GatewayError: with the sentence of what it refuses, E_WHATSAPP_UNAVAILABLE when it does not answer.
        """
        url = f"{self._url}{path}" + (f"?{urlencode(query)}" if query else "")
        # It answers to loopback names only, so that no page of the web reaches it by a name of its own.
        headers = [("Host", "localhost"), ("Content-Type", "application/json")]
        content = None if body is None else msgspec.json.encode(body)
        timeout = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), _TIMEOUT_S)}
        raw = b""
        try:
            async with self._pool.stream(
                method, url, headers=headers, content=content, extensions=timeout
            ) as answer:
                async for part in answer.aiter_stream():
                    raw += part
                    if len(raw) > _MOST_BYTES:
                        raise GatewayError(ErrorCode.E_WHATSAPP_UNAVAILABLE)
            found = msgspec.json.decode(raw)
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.TimeoutException,
            msgspec.DecodeError,
        ):
            raise GatewayError(ErrorCode.E_WHATSAPP_UNAVAILABLE) from None
        if answer.status >= 500:
            raise GatewayError(ErrorCode.E_WHATSAPP_UNAVAILABLE)
        if answer.status >= 400:
            code = _CODES.get(answer.status, ErrorCode.E_INVALID_FIELD)
            raise GatewayError(code, {"reason": str(found.get("error", ""))[:300]})
        return found
