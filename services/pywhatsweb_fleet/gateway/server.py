"""uvicorn inside our own life cycle: its signals are ours, and a connection that drips its headers is cut."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pywhatsweb_fleet.gateway.asgi import App
from pywhatsweb_fleet.gateway.settings import GatewaySettings

_BACKLOG: Final = 2048
_STOP_S: Final = 5
_MAX_FRAME: Final = 64 * 1024
"""A WebSocket's client has nothing to say."""


def _protocol(headers_s: float) -> type[HttpToolsProtocol]:
    class Protocol(HttpToolsProtocol):
        """Its first request's headers are there in time, or it is closed (uvicorn itself would wait for ever)."""

        _overdue: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._overdue = self.loop.call_later(headers_s, transport.abort)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._overdue is None:
                self._overdue = self.loop.call_later(headers_s, self.transport.abort)

        def on_headers_complete(self) -> None:
            self._in_time()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._in_time()
            super().connection_lost(exc)

        def _in_time(self) -> None:
            if self._overdue is not None:
                self._overdue.cancel()
                self._overdue = None

    return Protocol


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """`lifecycle` has them."""
        yield


@contextlib.asynccontextmanager
async def listening(app: App, settings: GatewaySettings) -> AsyncIterator[int]:
    """Serves while the block lasts; the port."""
    family = socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.http_host, settings.http_port))
    except OSError:
        listener.close()
        raise
    config = uvicorn.Config(
        app,
        http=_protocol(settings.body_timeout_s),
        ws="websockets-sansio",
        ws_max_size=_MAX_FRAME,
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_STOP_S,
        ssl_certfile=settings.http_tls_cert,
        ssl_keyfile=settings.http_tls_key,
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its start and stop are ours to tell
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            if serving.done():
                serving.result()
                raise RuntimeError("the HTTP server did not start")
            await asyncio.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait((serving,), timeout=_STOP_S + 2)
        serving.cancel()
        listener.close()
