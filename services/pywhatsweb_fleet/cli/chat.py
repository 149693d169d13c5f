"""``pww chat …``: the Kanban board: list its chats, give them to people, close them and open them again."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from cyclopts import App

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.options import Answer, Connection

app = App(name="chat", help="See the Kanban board and move its chats.", result_action="return_value")


def _ask(where: Connection, verb: str, arguments: dict[str, Any]) -> Any:
    async def run() -> Any:
        from pywhatsweb_fleet.cli.link import linked

        async with linked(where) as link:
            return await link.ask(verb, arguments)

    return asyncio.run(run())


def _chat(chat: str, session: str | None, **more: Any) -> dict[str, Any]:
    """A number or a LID has a sign that a key, 16 hex digits, has not."""
    key = len(chat) == 16 and not chat.strip("0123456789abcdef")
    given = {"session_id": session, **more}
    return {"chat" if key else "to": chat} | {
        name: value for name, value in given.items() if value is not None
    }


@app.command(name="list")
def list_(
    *,
    status: Literal["new", "active", "done"] | None = None,
    owner: str | None = None,
    session: str | None = None,
    limit: int = 50,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """List chats, the latest first.

    Parameters
    ----------
    status
        Only those in this column of the board.
    owner
        Only those of this attendant.
    session
        Only those of this session.
    limit
        How many, at most 500.
    """
    given = {"status": status, "owner_id": owner, "session_id": session, "limit": limit}
    arguments = {name: value for name, value in given.items() if value is not None}
    chats = _ask(where, "chat.list", arguments)["chats"]
    if form == "json":
        for chat in chats:
            show.json_line(chat)
    elif not chats:
        print("No chats.")
    else:
        show.table(
            ("CHAT", "STATUS", "OWNER", "UNREAD", "SESSION", "NAME"),
            (
                (
                    _who(chat["chat"]), chat["status"], chat["owner_id"], str(chat["unread"]),
                    chat["session_id"], chat["name"],
                )
                for chat in chats
            ),
        )  # fmt: skip
    return exits.OK


@app.command
def assign(
    chat: str,
    owner: str,
    /,
    *,
    by: str | None = None,
    session: str | None = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Give a chat to an attendant: it becomes active.

    Parameters
    ----------
    chat
        A number, or the chat's key.
    owner
        The attendant's id.
    by
        Who does it.
    session
        When several sessions know the chat.
    """
    _tell(_ask(where, "chat.assign", _chat(chat, session, owner_id=owner, by=by)), form)
    return exits.OK


@app.command
def done(
    chat: str,
    /,
    *,
    by: str | None = None,
    reason: str | None = None,
    session: str | None = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Close a chat.

    Parameters
    ----------
    chat
        A number, or the chat's key.
    by
        Who does it.
    reason
        Why; it stands in the chat's history.
    session
        When several sessions know the chat.
    """
    _tell(_ask(where, "chat.done", _chat(chat, session, by=by, reason=reason)), form)
    return exits.OK


@app.command
def reopen(
    chat: str,
    /,
    *,
    by: str | None = None,
    reason: str | None = None,
    session: str | None = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Put a closed chat back to new.

    Parameters
    ----------
    chat
        A number, or the chat's key.
    by
        Who does it.
    reason
        Why; it stands in the chat's history.
    session
        When several sessions know the chat.
    """
    _tell(_ask(where, "chat.reopen", _chat(chat, session, by=by, reason=reason)), form)
    return exits.OK


@app.command
def history(
    chat: str,
    /,
    *,
    session: str | None = None,
    limit: int = 50,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Show what happened to a chat's card, newest first.

    Parameters
    ----------
    chat
        A number, or the chat's key.
    session
        When several sessions know the chat.
    limit
        How many changes, at most 500.
    """
    changes = _ask(where, "chat.history", _chat(chat, session, limit=limit))["changes"]
    if form == "json":
        for change in changes:
            show.json_line(change)
    elif not changes:
        print("Nothing yet.")
    else:
        show.table(
            ("WHEN", "CHANGE", "STATUS", "OWNER", "BY", "REASON"),
            (
                (one["at"][:19], one["change"], one["status"], one["owner_id"], one["by"], one["reason"])
                for one in changes
            ),
        )
    return exits.OK


def _who(chat: dict[str, Any]) -> str:
    return str(chat.get("pn") or chat.get("group") or chat["key"])


def _tell(card: dict[str, Any], form: Answer) -> None:
    if form == "json":
        show.json_line(card)
        return
    show.pairs(
        {
            "chat": _who(card["chat"]),
            "key": card["chat"]["key"],
            "session": card["session_id"],
            "status": card["status"],
            "owner": card["owner_id"],
            "priority": card["priority"],
            "tags": ", ".join(card["tags"]),
            "reason": card["reason"],
            "assigned": card["assigned_at"],
            "completed": card["completed_at"],
            "completed by": card["completed_by"],
        }
    )
