"""Files that a command names by a link: fetched without becoming a way into our own network.

Every hop's host is resolved here and the connection goes to an address that was checked (`outbound`); redirects are
followed by hand, so each is checked like the first. Size and time are bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

import httpcore

from pywhatsweb import __version__
from pywhatsweb.errors import ErrorCode, MediaError
from pywhatsweb_fleet.media.settings import MediaSettings
from pywhatsweb_runtime import outbound

_REDIRECTS: Final = 5
_MOVED: Final = frozenset((301, 302, 303, 307, 308))
_IDLE_S: Final = 15.0
"""Without a byte for so long, the other side is not sending."""
_CONNECTIONS: Final = 32
_MAX_URL: Final = 4096


class Answered:
    """A response whose body is about to come. ``filename``: the last part of the address's path, if it has one."""

    def __init__(self, response: httpcore.Response, url: str) -> None:
        headers = {name.lower(): value for name, value in response.headers}
        self.mime_type = headers.get(b"content-type", b"").decode("latin-1") or None
        length = headers.get(b"content-length", b"").decode("latin-1")
        self.size = int(length) if length.isdecimal() else None
        self.filename = unquote(urlsplit(url).path).rpartition("/")[2][:240] or None
        self._response = response

    async def pieces(self) -> AsyncIterator[bytes]:
        """Raises MediaError."""
        with _told():
            async for piece in self._response.aiter_stream():
                yield piece


class Links:
    """Open while its block lasts. ``backend`` is for tests, which bring their own resolver and connector."""

    def __init__(
        self, settings: MediaSettings, *, backend: httpcore.AsyncNetworkBackend | None = None
    ) -> None:
        guarded = backend or outbound.Guarded(outbound.networks(settings.media_link_networks))
        self._pool = outbound.pool(guarded, ca=settings.media_link_ca, connections=_CONNECTIONS, idle_s=5)
        self._within_s = settings.media_link_timeout_s

    async def __aenter__(self) -> Links:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.aclose()

    @contextlib.asynccontextmanager
    async def get(self, url: str, most: int) -> AsyncIterator[Answered]:
        """The file behind ``url``, of at most ``most`` bytes as its header says; everything within the time set.

        Raises MediaError: E_MEDIA_LINK_REFUSED (not https, an address that may not be reached, too many redirects),
        E_MEDIA_DOWNLOAD_FAILED, E_MEDIA_TOO_SLOW, E_MEDIA_TOO_LARGE.
        """
        limit = asyncio.timeout(self._within_s)
        try:
            async with limit, contextlib.AsyncExitStack() as stack:
                for _ in range(_REDIRECTS + 1):
                    response = await self._ask(stack, url)
                    if response.status not in _MOVED:
                        break
                    url = _next(url, response)
                    await stack.aclose()
                else:
                    raise _refused("redirects")
                if response.status != 200:
                    raise MediaError(ErrorCode.E_MEDIA_DOWNLOAD_FAILED, {"status": response.status})
                answered = Answered(response, url)
                if answered.size is not None and answered.size > most:
                    raise MediaError(ErrorCode.E_MEDIA_TOO_LARGE, {"limit": most})
                yield answered
        except TimeoutError:
            if limit.expired():
                raise MediaError(ErrorCode.E_MEDIA_TOO_SLOW, {"seconds": self._within_s}) from None
            raise

    async def _ask(self, stack: contextlib.AsyncExitStack, url: str) -> httpcore.Response:
        _check(url)
        bounds = {"connect": _IDLE_S, "read": _IDLE_S, "write": _IDLE_S, "pool": self._within_s}
        headers = [
            (b"Host", urlsplit(url).netloc.encode()),
            (b"User-Agent", f"PyWhatsWeb/{__version__}".encode()),
            (b"Accept", b"*/*"),
            (b"Accept-Encoding", b"identity"),
            (b"Connection", b"close"),
        ]
        with _told():
            streaming = self._pool.stream("GET", url, headers=headers, extensions={"timeout": bounds})
            return await stack.enter_async_context(streaming)


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it raises for one that is no number
    except ValueError:
        raise _refused("url") from None
    if not (url.isascii() and url.isprintable()):  # others write %C3%A9, or xn-- in a host
        raise _refused("url")
    if parts.scheme != "https":
        raise _refused("scheme")
    if not parts.hostname or parts.username is not None or parts.password is not None or len(url) > _MAX_URL:
        raise _refused("url")


def _next(url: str, response: httpcore.Response) -> str:
    for name, value in response.headers:
        if name.lower() == b"location":
            return urljoin(url, value.decode("latin-1"))
    raise MediaError(ErrorCode.E_MEDIA_DOWNLOAD_FAILED, {"status": response.status})


def _refused(reason: str) -> MediaError:
    return MediaError(ErrorCode.E_MEDIA_LINK_REFUSED, {"reason": reason})


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """The network's errors as the catalogue has them."""
    try:
        yield
    except outbound.Blocked:
        raise _refused("address") from None
    except httpcore.TimeoutException:
        raise MediaError(ErrorCode.E_MEDIA_TOO_SLOW, {"seconds": _IDLE_S}) from None
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError) as error:
        raise MediaError(ErrorCode.E_MEDIA_DOWNLOAD_FAILED, {"reason": type(error).__name__}) from None
    except (ValueError, UnicodeError):
        raise _refused("url") from None
