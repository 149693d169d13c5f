"""``pww chat …``: the Kanban board: list its chats, give them to people, close them and open them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from pywhatsweb_fleet.cli import exits, marking, past, show
from pywhatsweb_fleet.cli.once import ask
from pywhatsweb_fleet.cli.options import Answer, Connection, Several

app = App(name="chat", help="See the Kanban board and move its chats.", result_action="return_value")

Chat = Annotated[str, Parameter(help="A number, or the chat's key.")]
InSession = Annotated[str | None, Parameter(help="When several sessions know the chat.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Edit:
    by: str | None = None
    """Who does it."""
    session: InSession = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Move(Edit):
    reason: str | None = None
    """Why; it stands in the chat's history."""


Moving = Annotated[Move | None, Parameter()]
Editing = Annotated[Edit | None, Parameter()]


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
    found = ask(where, "chat.list", status=status, owner_id=owner, session_id=session, limit=limit)["chats"]
    show.listing(
        form, found, "No chats.", ("CHAT", "STATUS", "OWNER", "UNREAD", "SESSION", "NAME"),
        lambda one: (
            _who(one["chat"]), one["status"], one["owner_id"], str(one["unread"]), one["session_id"], one["name"],
        ),
    )  # fmt: skip
    return exits.OK


@app.command(name="show")
def show_(
    chat: Chat, /, *, session: InSession = None, where: Connection = None, form: Answer = "human"
) -> int:
    """Show a chat's card, with its notes."""
    return _tell(ask(where, "chat.card", **_named(chat), session_id=session), form)


@app.command
def assign(
    chat: Chat, owner: str, /, *, move: Editing = None, where: Connection = None, form: Answer = "human"
) -> int:
    """Give a chat to an attendant: it becomes active.

    Parameters
    ----------
    owner
        The attendant's id.
    """
    return _move(where, form, "assign", chat, move, owner_id=owner)


@app.command
def take(chat: Chat, /, *, by: str, where: Connection = None, form: Answer = "human") -> int:
    """Take a chat that nobody has.

    Parameters
    ----------
    by
        The attendant who takes it.
    """
    return _move(where, form, "take", chat, Edit(by=by))


def _simple(verb: str) -> Any:
    def command(
        chat: Chat,
        /,
        *,
        move: Moving = None,
        where: Connection = None,
        form: Answer = "human",
    ) -> int:
        return _move(where, form, verb, chat, move, reason=move.reason if move else None)

    return command


for _verb, _help in {
    "release": "Give a chat back to the queue.",
    "done": "Close a chat.",
    "reopen": "Put a closed chat back to new.",
}.items():
    app.command(_simple(_verb), name=_verb, help=_help)


@app.command
def tag(
    chat: Chat,
    /,
    *,
    add: Several = None,
    remove: Several = None,
    priority: Literal["low", "normal", "high", "urgent"] | None = None,
    move: Editing = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Add and remove tags, or set the priority.

    Parameters
    ----------
    add
        Tags that it gets.
    remove
        Tags that it loses.
    priority
        How it stands among others.
    """
    return _move(where, form, "tag", chat, move, add=add, remove=remove, priority=priority)


@app.command
def note(
    chat: Chat, text: str, /, *, move: Editing = None, where: Connection = None, form: Answer = "human"
) -> int:
    """Write a note on a chat's card.

    Parameters
    ----------
    text
        The note.
    """
    return _move(where, form, "note", chat, move, text=text)


@app.command
def snooze(
    chat: Chat,
    /,
    *,
    until: str | None = None,
    move: Editing = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Put a chat out of sight, until a time or until the customer writes.

    Parameters
    ----------
    until
        As 2026-12-01T09:00:00-03:00.
    """
    return _move(where, form, "snooze", chat, move, until=until)


@app.command
def history(
    chat: Chat,
    /,
    *,
    session: InSession = None,
    limit: int = 50,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Show what happened to a chat's card, newest first.

    Parameters
    ----------
    limit
        How many changes, at most 500.
    """
    changes = ask(where, "chat.history", **_named(chat), session_id=session, limit=limit)["changes"]
    show.listing(
        form, changes, "Nothing yet.", ("WHEN", "CHANGE", "STATUS", "OWNER", "BY", "REASON"),
        lambda one: (one["at"][:19], one["change"], one["status"], one["owner_id"], one["by"], one["reason"]),
    )  # fmt: skip
    return exits.OK


def _move(where: Connection, form: Answer, verb: str, chat: str, move: Edit | None, /, **more: Any) -> int:
    given = {"by": move.by, "session_id": move.session} if move is not None else {}
    return _tell(ask(where, f"chat.{verb}", **_named(chat), **given, **more), form)


def _named(chat: str) -> dict[str, str]:
    """A number or a LID has a sign that a key, 16 hex digits, has not."""
    key = len(chat) == 16 and not chat.strip("0123456789abcdef")
    return {"chat" if key else "to": chat}


def _who(chat: dict[str, Any]) -> str:
    return str(chat.get("pn") or chat.get("group") or chat["key"])


def _tell(card: dict[str, Any], form: Answer) -> int:
    if form == "json":
        show.json_line(card)
        return exits.OK
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
            "snoozed until": card["snoozed_until"],
            "due": ", ".join(f"{name} {at[:16]}" for name, at in card["due"].items()),
        }
    )
    for one in card["notes"]:
        print(f"{show.dim(one['at'][:16])}  {one['by'] or '-'}: {one['text']}")
    return exits.OK


marking.add_to(app)
past.add_to(app)
