"""``pww send``, ``pww vote``, ``pww edit``, ``pww delete`` and ``pww events``."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.composing import Kind, Wish, attach, compose
from pywhatsweb_fleet.cli.marking import OfSession, To
from pywhatsweb_fleet.cli.options import Answer, Connection, Several

Until = Literal["none", "accepted", "sent", "delivered", "read"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Waits:
    wait: Until = "sent"
    """Until which status to wait; none: only until the broker has it."""
    timeout: float = 60
    """Seconds to wait."""


Waiting = Annotated[Waits | None, Parameter()]
Id = Annotated[str | None, Parameter(help="The command's id. Random when absent.")]

Place = Annotated[str, Parameter(help="A number, lid:…, a group's id; status, or a channel (…@newsletter).")]
Which = Annotated[str, Parameter(help="Its id at WhatsApp, as `pww events` shows it.")]

_REACHES: dict[str, tuple[str, ...]] = {
    "accepted": ("accepted", "queued", "sent", "delivered", "read", "played"),
    "sent": ("sent", "delivered", "read", "played"),
    "delivered": ("delivered", "read", "played"),
    "read": ("read", "played"),
}
_FAILURES = ("failed", "rejected", "expired", "cancelled")


def send(
    text: str | None = None,
    /,
    *,
    session: str,
    to: str,
    type: Kind | None = None,  # noqa: A002 - the option's name
    content: str | None = None,
    file: Path | None = None,
    template: str | None = None,
    language: str = "pt_BR",
    var: Several = None,
    id: str | None = None,  # noqa: A002 - the option's name
    waiting: Waiting = None,
    reply_to: str | None = None,
    audience: Several = None,
    send_at: str | None = None,
    purpose: Literal["service", "marketing"] | None = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Send a text, a file, a template or any other type, and wait for what becomes of it.

    Exit code: 0 as asked, 1 failed, 3 no fleet, 4 not in time.

    Parameters
    ----------
    text
        The message, or a file's caption.
    session
        Which session sends it; or an inbox, @support, which gives it to one of its sessions.
    to
        A number (+5511999990001), a LID, a group; status, or a channel (…@newsletter).
    type
        What is sent; a text, or what the file's name says, when absent.
    content
        Its content as JSON, in the command's form: '{"latitude": -23.55, "longitude": -46.63}' of a location.
    file
        A file to store and send.
    template
        A stored template instead of a text.
    language
        The template's language.
    var
        name=value (or number=value) of the template's variables.
    id
        The command's id: the same one is never sent twice. Random when absent.
    reply_to
        The id of the message that this one answers.
    audience
        Who may see a status: numbers; the people of the session's chats when absent.
    send_at
        Not before this time: 2026-12-01T09:00:00-03:00.
    purpose
        marketing: never to somebody who opted out; service (the default): to them only as an answer.
    """
    wish = Wish(text, type, content, file, template, language, var)
    command: dict[str, Any] = {
        "id": id or f"cli-{secrets.token_hex(8)}",
        "to": to,
        **compose(wish),
    }
    if reply_to is not None:
        command["context"] = {"message_id": reply_to}
    if audience:
        command["audience"] = audience
    if send_at is not None:
        command["send_at"] = send_at
    if purpose is not None:
        command["purpose"] = purpose
    return asyncio.run(_send(where, form, (session, "send"), command, wish, waits=waiting or Waits()))


def vote(
    to: To,
    poll: str,
    options: Annotated[list[str] | None, Parameter(negative="")] = None,
    /,
    *,
    session: OfSession,
    id: Id = None,  # noqa: A002 - the option's name
    waiting: Waiting = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Vote in a poll, and wait for what becomes of it. Exit codes: as of `send`.

    Parameters
    ----------
    poll
        Its id at WhatsApp.
    options
        The names of all that are chosen from now on; none takes the vote back.
    """
    command = {"to": to, "message_id": poll, "options": options or [], **({"id": id} if id else {})}
    return _change(where, form, (session, "vote"), command, waiting)


def edit(
    to: Place,
    message: Which,
    text: str,
    /,
    *,
    session: OfSession,
    waiting: Waiting = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Put another text in the place of one that was sent (in chats 15 minutes long), or posted in a channel.

    Parameters
    ----------
    text
        The new one.
    """
    command = {"to": to, "message_id": message, "type": "text", "text": {"body": text}}
    return _change(where, form, (session, "edit"), command, waiting)


def delete(
    to: Place,
    message: Which,
    /,
    *,
    session: OfSession,
    audience: Several = None,
    waiting: Waiting = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Take a message, a status or a channel's post back, for everyone.

    Parameters
    ----------
    audience
        From whom a status is taken back: numbers; those whom it was for when absent.
    """
    command = {"to": to, "message_id": message, **({"audience": audience} if audience else {})}
    return _change(where, form, (session, "delete"), command, waiting)


def _change(
    where: Connection, form: Answer, told: tuple[str, str], command: dict[str, Any], waiting: Waiting
) -> int:
    """``told``: the session or inbox, and the verb."""
    command = {"id": f"cli-{secrets.token_hex(8)}", **command}
    return asyncio.run(_send(where, form, told, command, None, waits=waiting or Waits()))


async def _send(
    where: Connection,
    form: Answer,
    told: tuple[str, str],
    command: dict[str, Any],
    wish: Wish | None,
    *,
    waits: Waits,
) -> int:
    """``told``: the session or inbox, and the verb."""
    from pywhatsweb.contracts.subjects import valid_addressee, valid_inbox
    from pywhatsweb_fleet.cli.link import linked

    session, verb = told
    if not valid_addressee(session):
        raise exits.CommandError(f"{session} cannot be a session's name.", exit_code=exits.USAGE)
    teller = "*" if valid_inbox(session) else session
    async with linked(where) as link, link.events(teller, "status") as events:
        if wish is not None:
            await attach(link, wish, command)
        await link.publish(session, verb, command)
        if waits.wait == "none":
            _step(form, command["id"], {"status": "published"})
            return exits.OK
        try:
            async with asyncio.timeout(waits.timeout):
                return await _outcome(form, events, (session, command["id"]), waits.wait)
        except TimeoutError:
            raise exits.CommandError(
                f"not {waits.wait} within {waits.timeout:g} s; the fleet goes on. The command's id is {command['id']}.",
                exit_code=exits.TIMED_OUT,
                action=f"Is the session working? See: pww session status {session}",
            ) from None


async def _outcome(
    form: Answer, events: AsyncIterator[dict[str, Any]], sent: tuple[str, str], wait: Until
) -> int:
    """``sent``: where to, and the id."""
    from pywhatsweb_fleet.cli.link import refused

    at, command_id = sent
    async for event in events:
        data = event["data"]
        if data.get("command_id") != command_id or at not in (event["session_id"], data.get("inbox_id")):
            continue
        at = event["session_id"]  # an inbox gave it to this one, whose receipts need not name the inbox
        _step(form, command_id, data)
        if data["status"] in _REACHES[wait]:
            return exits.OK
        if data["status"] in _FAILURES:
            raise refused(
                data.get("error") or {"code": data["status"], "message": f"The command is {data['status']}"}
            )
    raise exits.CommandError("the events ended before an outcome came.", exit_code=exits.UNREACHABLE)


def _step(form: Answer, command_id: str, data: dict[str, Any]) -> None:
    if form == "json":
        show.json_line({**data, "command_id": command_id})
    else:
        again = "  (this id was sent before)" if data.get("duplicate") else ""
        print(f"{show.word(data['status'])}{again}", flush=True)


def events(
    *,
    follow: Annotated[bool, Parameter(negative="")] = True,  # noqa: ARG001 - what it always does, said aloud
    session: str = "*",
    type: str = "*",  # noqa: A002 - the option's name
    limit: int | None = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Show the tenant's events as they come, until Ctrl-C.

    Parameters
    ----------
    follow
        Show what comes from now on (the only way there is).
    session
        Only this session's.
    type
        Only these: qr, session, message, status, …
    limit
        End after so many.
    """
    return asyncio.run(_events(where, form, session, type, limit))


async def _events(where: Connection, form: Answer, session: str, kind: str, limit: int | None) -> int:
    from pywhatsweb.contracts.subjects import valid_name
    from pywhatsweb_fleet.cli.link import linked

    for name in (session, kind):
        if name != "*" and not valid_name(name):
            raise exits.CommandError(
                f"{name} cannot be the name of a session or a type.", exit_code=exits.USAGE
            )
    if limit is not None and limit < 1:
        raise exits.CommandError("--limit is 1 or more.", exit_code=exits.USAGE)
    seen = 0
    async with linked(where) as link, link.events(session, kind) as found:
        async for event in found:
            if form == "json":
                show.json_line(event)
            else:
                print(line(event), flush=True)
            seen += 1
            if seen == limit:
                break
    return exits.OK


def line(event: dict[str, Any]) -> str:
    """An event on one line: time, session, type, and what it is about."""
    at = str(event.get("timestamp", ""))[11:19]
    about = " ".join(part for part in _ABOUT.get(event["event"], _anything)(event["data"]) if part)
    return f"{show.dim(at)}  {event['session_id']:<10}  {event['event']:<8}  {about.replace(chr(10), ' ')}"


def _name(chat: dict[str, Any] | None) -> str:
    chat = chat or {}
    return str(chat.get("pn") or chat.get("group") or chat.get("lid") or chat.get("key") or "?")


def _session(data: dict[str, Any]) -> list[str]:
    error = data.get("error") or {}
    return [
        show.word(data["status"]),
        data.get("phone_number") or "",
        data.get("reason") or "",
        error.get("code", ""),
    ]


def _message(data: dict[str, Any]) -> list[str]:
    arrow = "→" if data.get("origin") == "outbound" else "←"
    content = data.get(data["type"])
    text = content.get("body") or content.get("caption") or "" if isinstance(content, dict) else ""
    return [arrow, _name(data.get("chat")), f"[{data['type']}]" if data["type"] != "text" else "", text]


def _status(data: dict[str, Any]) -> list[str]:
    error = data.get("error") or {}
    return [
        show.word(data["status"]),
        data.get("command_id") or data.get("message_id") or "",
        error.get("code", ""),
    ]


def _anything(data: dict[str, Any]) -> list[str]:
    """A few plain fields of a type that has no line of its own."""
    plain = [
        f"{name}={value}" for name, value in data.items() if isinstance(value, str | int) and name != "id"
    ]
    return [_name(data["chat"]), *plain[:4]] if data.get("chat") else plain[:4]


_ABOUT: dict[str, Any] = {
    "session": _session,
    "message": _message,
    "status": _status,
    "qr": lambda data: [f"attempt {data.get('attempt')}, until {data.get('expires_at', '')[11:19]}"],
    "pairing_code": lambda data: [data["code"]],
    "reaction": lambda data: [
        _name(data.get("chat")),
        data.get("emoji") or "(taken back)",
        data["message_id"],
    ],
}
