"""The object store: a folder, S3 and what speaks it (MinIO), Google Cloud Storage or Azure, by URL.

Credentials come from the variables of each (``AWS_ACCESS_KEY_ID``, ``GOOGLE_APPLICATION_CREDENTIALS`` …).
An object appears whole or not at all: folders write beside and rename, the others assemble parts at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

_PART: Final = 5 * 1024 * 1024
"""S3's least size of a part; also what a write holds in memory, twice."""
_READ: Final = 256 * 1024


class ObjectsUnavailable(Exception):
    """The object store cannot be reached or refuses; the words are for the log."""

    code = "E_MEDIA_STORE_UNAVAILABLE"


class NoSuchObject(Exception):
    """Nothing lies under the key."""


class Objects:
    """Made from a URL. All its methods raise ObjectsUnavailable."""

    def __init__(self, url: str, endpoint: str | None = None) -> None:
        """``endpoint``: where something that speaks S3 listens. Raises ValueError for a URL that names no store."""
        self._folder: Path | None = None
        parts = urlsplit(url)
        if parts.scheme == "file":
            self._folder = Path(unquote(parts.path))
            self._store: Any = LocalStore(self._folder, mkdir=True)
            return
        options: dict[str, Any] = {}
        if endpoint is not None:
            options["config"] = {"endpoint": endpoint}
            options["client_options"] = {"allow_http": endpoint.startswith("http://")}
        try:
            self._store = from_url(url, **options)
        except (BaseError, ValueError) as error:
            raise ValueError(f"the media URL names no object store: {type(error).__name__}") from None

    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> None:
        """What ``chunks`` raises is raised here, and nothing is visible then."""
        try:
            await obstore.put_async(self._store, key, chunks, chunk_size=_PART, max_concurrency=1)
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to ``end`` (exclusive), in pieces. Raises NoSuchObject."""
        try:
            found = await obstore.get_async(self._store, key, options={"range": (start, end)})
            async for piece in found.stream(min_chunk_size=_READ):
                yield bytes(piece)
        except FileNotFoundError:
            raise NoSuchObject from None
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    async def head(self, key: str, length: int) -> bytes:
        """The first bytes of an object. Raises NoSuchObject."""
        return b"".join([piece async for piece in self.read(key, 0, length)])

    async def remove(self, key: str) -> None:
        """It, and what a broken write of it left; nothing when there is none."""
        try:
            await obstore.delete_async(self._store, key)
        except FileNotFoundError:
            pass
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error
        if self._folder is not None:
            await asyncio.to_thread(_remove_staged, self._folder, key)

    async def remove_all(self, prefix: str) -> int:
        """Every object whose key begins with ``prefix`` (a folder's, with its slash); how many."""
        count = 0
        try:
            async for page in obstore.list(self._store, prefix=prefix):
                for one in page:
                    await self.remove(one["path"])
                    count += 1
        except FileNotFoundError:
            pass
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error
        if self._folder is not None:
            await asyncio.to_thread(_remove_staged, self._folder, prefix)
        return count


def _remove_staged(folder: Path, key: str) -> None:
    """A folder's unfinished writes lie beside the object, with ``#`` and a number behind its name."""
    path = folder / key
    place, name = (path, "*") if key.endswith("/") else (path.parent, path.name)
    for staged in place.glob(f"{name}#*"):
        staged.unlink(missing_ok=True)


def _unavailable(error: Exception) -> ObjectsUnavailable:
    """Without the error's words: they quote keys and endpoints."""
    return ObjectsUnavailable(f"the object store failed ({type(error).__name__})")
