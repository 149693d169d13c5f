"""``pww media …``: store files, fetch, show, list and delete them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import msgspec
from cyclopts import App

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.options import Answer, Connection
from pywhatsweb_fleet.cli.progress import progress

if TYPE_CHECKING:
    from pywhatsweb.client.control import Asker
    from pywhatsweb.client.media import MediaFiles
    from pywhatsweb.contracts import control_data as d
    from pywhatsweb_fleet.cli.link import Link

R = TypeVar("R")
Kind = Literal["image", "video", "audio", "voice", "document", "sticker"]

app = App(name="media", help="Store files, fetch, show, list and delete them.", result_action="return_value")


class Asking:
    """The command line's connection, as the client library's part for files wants it."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def ask(self, verb: str, args: d.Args, result: type[R], timeout: float | None = None) -> R:
        """Raises CommandError."""
        data = await self._link.ask(verb, msgspec.to_builtins(args), deadline=timeout or 15.0)
        return msgspec.convert(data, result)


@contextlib.asynccontextmanager
async def _files(where: Connection) -> AsyncIterator[MediaFiles]:
    from pywhatsweb.client.media import MediaFiles
    from pywhatsweb.errors import MediaError
    from pywhatsweb_fleet.cli.link import linked, refused

    try:
        async with linked(where) as link:
            yield MediaFiles(cast("Asker", Asking(link)))
    except MediaError as error:
        raise refused(msgspec.to_builtins(error.body)) from None


def _with(where: Connection, act: Callable[[MediaFiles], Awaitable[R]]) -> R:
    async def run() -> R:
        async with _files(where) as files:
            return await act(files)

    return asyncio.run(run())


def _tell(info: msgspec.Struct, form: Answer) -> int:
    values: dict[str, Any] = msgspec.to_builtins(info)
    if form == "json":
        show.json_line(values)
    else:
        show.pairs({name: value for name, value in values.items() if value is not None})
    return exits.OK


@app.command
def put(
    path: Path,
    /,
    *,
    kind: Kind | None = None,
    mime_type: str | None = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Store a file of any size; its id goes into send commands.

    Parameters
    ----------
    kind
        As what it is to be sent: its limits and types hold.
    mime_type
        Its type, when its name does not say.
    """
    with progress(f"storing {path.name}"):
        stored = _with(where, lambda files: files.put(path, mime_type=mime_type, kind=kind))
    return _tell(stored, form)


@app.command
def get(
    media_id: str, /, *, out: Path | None = None, where: Connection = None, form: Answer = "human"
) -> int:
    """Fetch a stored file, checked against its hash.

    Parameters
    ----------
    out
        The file to write; else one of its own name, here.
    """

    async def fetch(files: MediaFiles) -> tuple[Any, Path]:
        about = await files.show(media_id)
        path = out or Path(Path(about.filename or media_id).name)
        if out is None and path.exists():
            raise exits.CommandError(
                f"{path} is there already.", exit_code=exits.USAGE, action="Name another with --out."
            )
        await files.save(media_id, path)
        return about, path

    with progress(f"fetching {media_id}"):
        about, path = _with(where, fetch)
    if form == "json":
        show.json_line(msgspec.to_builtins(about) | {"file": str(path)})
    else:
        print(f"{path}: {about.size} bytes, {about.mime_type}")
    return exits.OK


@app.command(name="show")
def show_(media_id: str, /, *, where: Connection = None, form: Answer = "human") -> int:
    """Show what is known of a stored file."""
    return _tell(_with(where, lambda files: files.show(media_id)), form)


@app.command(name="list")
def list_(*, to: str | None = None, limit: int = 50, where: Connection = None, form: Answer = "human") -> int:
    """List stored files, the newest first.

    Parameters
    ----------
    to
        Only those of the chat with this number, LID or group.
    limit
        How many, at most 500.
    """
    found = _with(where, lambda files: files.list(to=to, limit=limit)).media
    if form == "json":
        for one in found:
            show.json_line(msgspec.to_builtins(one))
    elif not found:
        print("No files.")
    else:
        show.table(
            ("ID", "TYPE", "BYTES", "ORIGIN", "CREATED", "NAME"),
            (
                (one.id, one.mime_type, str(one.size), one.origin, one.created_at, one.filename)
                for one in found
            ),
        )
    return exits.OK


@app.command
def delete(media_id: str, /, *, where: Connection = None, form: Answer = "human") -> int:
    """Let a stored file go; what else holds the same bytes keeps them."""
    return _tell(_with(where, lambda files: files.delete(media_id)), form)
