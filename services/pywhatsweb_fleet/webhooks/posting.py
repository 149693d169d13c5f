"""One post: its headers, its time-out, and what the answer means."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httpcore

from pywhatsweb import __version__
from pywhatsweb_fleet.webhooks.settings import WebhooksSettings
from pywhatsweb_runtime import outbound

_EXCERPT: Final = 256
_READ: Final = 64 * 1024
"""Of an answer's body; a longer one costs its connection."""
_RETRY_AFTER_MOST_S: Final = 3600.0
_GONE: Final = 410
_ASK_LATER: Final = (429, 503)


class Answer(NamedTuple):
    """``status`` is HTTP's; None with an ``error`` (a word for the log) when there was none."""

    ok: bool
    status: int | None
    error: str | None
    took_ms: int
    excerpt: str | None = None
    retry_after_s: float = 0

    @property
    def gone(self) -> bool:
        return self.status == _GONE


class Poster:
    """Made by `posting`. Plain http reaches only the operator's own networks, unless a setting allows it."""

    def __init__(
        self,
        settings: WebhooksSettings,
        *,
        resolve: outbound.Resolve = outbound.resolve,
        connector: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        own = outbound.networks(settings.webhook_networks)
        self._timeout_s = settings.webhook_timeout_s
        self._pools = {
            scheme: outbound.pool(
                outbound.Guarded(own, resolve=resolve, connector=connector, public=public),
                ca=settings.webhook_ca,
            )
            for scheme, public in (("https", True), ("http", settings.webhook_http))
        }

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Never raises for what the other side does."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                status, found, excerpt = await self._post(url, body, headers)
        except outbound.Blocked:
            return Answer(False, None, "blocked_address", _since(began))
        except TimeoutError:
            return Answer(False, None, "timeout", _since(began))
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            return Answer(False, None, "cannot_connect", _since(began))
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError):
            return Answer(False, None, "connection_broken", _since(began))
        except (TypeError, ValueError):  # httpcore's, for an address or a header that it cannot write
            return Answer(False, None, "unusable_address", _since(began))
        ok = 200 <= status < 300
        later = _retry_after(found) if status in _ASK_LATER else 0.0
        return Answer(ok, status, None, _since(began), None if ok else excerpt, later)

    async def _post(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, dict[bytes, bytes], str]:
        sent = [("User-Agent", f"pywhatsweb/{__version__}"), *headers.items()]
        timeout = {"extensions": {"timeout": {"pool": self._timeout_s}}}
        pool = self._pools[urlsplit(url).scheme]
        async with pool.stream("POST", url, headers=sent, content=body, **timeout) as response:
            read = b""
            async for part in response.aiter_stream():
                read += part
                if len(read) > _READ:
                    break
            found = {name.lower(): value for name, value in response.headers}
            return response.status, found, read[:_EXCERPT].decode("utf-8", "replace")


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _retry_after(headers: Mapping[bytes, bytes]) -> float:
    """Seconds, from either form of ``Retry-After``; 0 when there is none that makes sense."""
    text = headers.get(b"retry-after", b"").decode("ascii", "replace").strip()
    if text.isdigit():
        return min(float(text), _RETRY_AFTER_MOST_S)
    try:
        wait = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return 0.0
    return min(max(wait, 0.0), _RETRY_AFTER_MOST_S)


@contextlib.asynccontextmanager
async def posting(poster: Poster) -> AsyncIterator[Poster]:
    """Closes its connections at the block's end."""
    try:
        yield poster
    finally:
        await poster.close()
