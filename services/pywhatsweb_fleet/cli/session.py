"""``pww session …``: start, watch, stop and forget sessions."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.options import Answer, Connection

if TYPE_CHECKING:
    from pywhatsweb_fleet.cli.link import Link

app = App(name="session", help="Start, watch, stop and forget sessions.", result_action="return_value")

Session = Annotated[str, Parameter(name="--id")]
"""Written with or without the option's name."""

_ENDED = ("LOGGED_OUT", "REPLACED", "BANNED", "FAILED")


@app.command
def start(
    session: Session,
    *,
    engine: Literal["simulated", "baileys", "webjs"] | None = None,
    pairing: Literal["qr", "code"] = "qr",
    phone_number: str | None = None,
    proxy: str | None = None,
    wait: bool | None = None,
    timeout: float = 180,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Create a session if it is new, and start it; on a terminal, show its QR code and wait until it works.

    Parameters
    ----------
    session
        Its name: a-z, 0-9, _ and -.
    engine
        What it speaks to WhatsApp with; the fleet's own choice when absent.
    pairing
        Link the phone by a QR code, or by a code to type on it.
    phone_number
        The phone to link, for pairing by code: +5511999990001.
    proxy
        http, https or socks5 URL to reach WhatsApp through.
    wait
        Wait until the session works. The default on a terminal.
    timeout
        Seconds to wait.
    """
    arguments: dict[str, Any] = {"session_id": session, "pairing": pairing}
    arguments |= {"engine": engine} if engine else {}
    arguments |= {"phone_number": phone_number} if phone_number else {}
    arguments |= {"proxy": proxy} if proxy else {}
    waiting = wait if wait is not None else show.on_terminal() and form == "human"
    return asyncio.run(_start(where, form, arguments, timeout if waiting else 0))


async def _start(where: Connection, form: Answer, arguments: dict[str, Any], timeout: float) -> int:
    from pywhatsweb_fleet.cli.link import linked

    session = str(arguments["session_id"])
    async with linked(where) as link:
        if not timeout:
            _tell(await link.ask("session.start", arguments), form)
            return exits.OK
        try:
            async with asyncio.timeout(timeout), link.events(session) as events:
                info = await link.ask("session.start", arguments)
                screen = _Screen(form == "human")
                await _first_code(link, session, info, screen)
                if info["status"] != "WORKING":
                    await _until_working(session, events, screen)
                info = await link.ask("session.status", {"session_id": session})
        except TimeoutError:
            raise exits.CommandError(
                f"session {session} does not work yet after {timeout:g} s; it goes on trying.",
                exit_code=exits.TIMED_OUT,
                action=f"See `pww session status {session}` and `pww session qr {session}`.",
            ) from None
        _tell(info, form)
    return exits.OK


async def _until_working(session: str, events: AsyncIterator[dict[str, Any]], screen: _Screen) -> None:
    async for event in events:
        screen.event(event)
        if event["event"] == "session":
            status = event["data"]["status"]
            if status == "WORKING":
                return
            if status in _ENDED:
                raise _ended(session, event["data"])


async def _first_code(link: Link, session: str, info: dict[str, Any], screen: _Screen) -> None:
    """A session that already waits to be scanned shows its present code; the next one comes as an event."""
    if info["status"] == "SCAN_QR_CODE":
        try:
            screen.qr(await link.ask("session.qr", {"session_id": session}))
        except exits.CommandError:
            return


def _ended(session: str, data: dict[str, Any]) -> exits.CommandError:
    from pywhatsweb_fleet.cli.link import refused

    if error := data.get("error"):
        return refused(error)
    reason = f" ({data['reason']})" if data.get("reason") else ""
    return exits.CommandError(f"session {session} is {data['status']}{reason}.")


class _Screen:
    """The live view of a start: one QR code, drawn over by the next."""

    def __init__(self, human: bool) -> None:
        self._human = human
        self._height = 0

    def event(self, event: dict[str, Any]) -> None:
        data = event["data"]
        if not self._human:
            show.json_line(event)
        elif event["event"] == "qr":
            self.qr(data)
        elif event["event"] == "pairing_code":
            print(
                f"Type this code on the phone (Linked devices, Link with phone number): {data['code']}",
                flush=True,
            )
        elif event["event"] == "session":
            self._height = 0
            print(show.word(data["status"]), flush=True)

    def qr(self, data: dict[str, Any]) -> None:
        from pywhatsweb_fleet.cli import qr

        if not self._human:
            return
        text = qr.blocks(data["code"], colours=show.coloured())
        text += "\nScan it with WhatsApp: Linked devices, Link a device (or in the sandbox's page)."
        if self._height and show.on_terminal():
            # Up over the code before, and clear to the end of the screen.
            sys.stdout.write(f"\x1b[{self._height}F\x1b[J")
        print(text, flush=True)
        self._height = text.count("\n") + 1


def _simple(verb: str) -> Any:
    def command(session: Session, *, where: Connection = None, form: Answer = "human") -> int:
        async def run() -> int:
            from pywhatsweb_fleet.cli.link import linked

            async with linked(where) as link:
                _tell(await link.ask(f"session.{verb}", {"session_id": session}), form)
            return exits.OK

        return asyncio.run(run())

    return command


for _verb, _help in {
    "stop": "Disconnect; the device stays linked, and start resumes it.",
    "restart": "Stop, then start.",
    "logout": "Unlink the device at WhatsApp, and stop.",
    "delete": "Log out, then forget the session and its credentials.",
    "status": "Show a session as it is now.",
}.items():
    app.command(_simple(_verb), name=_verb, help=_help)


@app.command(name="list")
def list_(
    *,
    active: bool | None = None,
    all: Annotated[bool, Parameter(negative="")] = False,  # noqa: A002 - the option's name
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """List the tenant's sessions.

    Parameters
    ----------
    active
        Only those that are to run; --no-active: only the others.
    all
        Every one, which is usual.
    """
    if all and active is not None:
        raise exits.CommandError("--all or --active, one of both.", exit_code=exits.USAGE)

    async def run() -> list[dict[str, Any]]:
        from pywhatsweb_fleet.cli.link import linked

        async with linked(where) as link:
            found: list[dict[str, Any]] = (await link.ask("session.list", _given(active=active)))["sessions"]
            return found

    sessions = asyncio.run(run())
    if form == "human":
        sessions = sorted(sessions, key=lambda one: str(one["session_id"]))
    show.listing(
        form, sessions, "No sessions. Start one: pww session start s1",
        ("SESSION", "STATUS", "NUMBER", "ENGINE", "QUEUED"),
        lambda one: (one["session_id"], one["status"], one["phone_number"], one["engine"], _number(one["queued"])),
    )  # fmt: skip
    return exits.OK


@app.command
def send(
    session: Session,
    *,
    to: str,
    text: str,
    timeout: float = 60,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Send a text, and wait until it is sent; `pww send` can do more.

    Parameters
    ----------
    session
        Which session sends it.
    to
        A number (+5511999990001), a LID, or a group.
    text
        The message.
    timeout
        Seconds to wait.
    """
    from pywhatsweb_fleet.cli import messages

    waiting = messages.Waits(timeout=timeout)
    return messages.send(text, session=session, to=to, waiting=waiting, where=where, form=form)


@app.command
def capabilities(session: Session, *, where: Connection = None, form: Answer = "human") -> int:
    """Show what the session's engine can send and do."""

    async def ask() -> dict[str, Any]:
        from pywhatsweb_fleet.cli.link import linked

        async with linked(where) as link:
            found: dict[str, Any] = await link.ask("session.capabilities", {"session_id": session})
            return found

    found = asyncio.run(ask())
    if form == "json":
        show.json_line(found)
    else:
        show.pairs({name: ", ".join(of) if isinstance(of, list) else of for name, of in found.items() if of})
    return exits.OK


@app.command
def qr(
    session: Session,
    *,
    png: Path | None = None,
    raw: bool = False,
    light: Annotated[bool, Parameter(negative="--dark")] = False,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Show the present QR code of a session that waits to be scanned.

    Parameters
    ----------
    png
        Write it to this file instead.
    raw
        Only the text that the code stands for.
    light
        For output without colours: for a terminal with a light background, rather than a dark one.
    """

    async def ask() -> dict[str, Any]:
        from pywhatsweb_fleet.cli.link import linked

        async with linked(where) as link:
            found: dict[str, Any] = await link.ask("session.qr", {"session_id": session})
            return found

    found = asyncio.run(ask())
    from pywhatsweb_fleet.cli import qr as draw

    if png is not None:
        draw.save_png(found["code"], png)
    if form == "json":
        show.json_line(found)
    elif raw:
        print(found["code"])
    elif png is not None:
        print(f"{png} is good until {found['expires_at']}.")
    else:
        print(draw.blocks(found["code"], colours=show.coloured(), light=light))
    return exits.OK


def _given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}


def _number(value: int | None) -> str | None:
    return None if value is None else str(value)


def _tell(info: dict[str, Any], form: Answer) -> None:
    if form == "json":
        show.json_line(info)
        return
    error = info.get("error") or {}
    show.pairs(
        {
            "session": info["session_id"],
            "status": info["status"],
            "wanted": info.get("desired"),
            "number": info.get("phone_number"),
            "name": info.get("name"),
            "engine": info.get("engine"),
            "worker": info.get("worker"),
            "queued": info.get("queued"),
            "since": info.get("since"),
            "reason": info.get("reason"),
            "error": error and f"{error.get('code')}: {error.get('message')}",
        }
    )
