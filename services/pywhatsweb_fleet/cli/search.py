"""``pww search`` and ``pww stats``: what was said, and how much and how soon."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.options import Answer, Connection

_PAGE = 100


def search(
    words: str,
    /,
    *,
    session: str | None = None,
    to: str | None = None,
    origin: Literal["inbound", "outbound"] | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int = 20,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Find messages by their words, the newest first.

    Parameters
    ----------
    words
        All have to occur: words, "a phrase", begin*; case and marks do not count.
    session
        Only those of this session.
    to
        Only the chat with this number, LID or group.
    origin
        Only theirs, or only ours.
    since
        Sent at this time or later: 2026-12-01T09:00:00-03:00.
    until
        Sent before this time.
    limit
        How many.
    """
    wish = {"query": words, "session_id": session, "to": to, "origin": origin, "since": since, "until": until}
    found = asyncio.run(
        _search(where, {name: value for name, value in wish.items() if value is not None}, limit)
    )
    if form == "json":
        for message in found:
            show.json_line(message)
    elif not found:
        print("No message has these words.")
    else:
        show.table(
            ("SENT", "SESSION", "WHO", "TEXT"),
            ((one["sent_at"][:16], one["session_id"], _who(one), _text(one)) for one in found),
        )
    return exits.OK


def stats(
    *,
    days: int = 7,
    session: str | None = None,
    zone: str | None = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Count messages by day and session, and show how soon contacts were answered.

    Parameters
    ----------
    days
        Of the last so many days.
    session
        Only this session.
    zone
        Whose days: America/Sao_Paulo. That of the board's policy when absent.
    """
    now = datetime.now(UTC)
    span: dict[str, Any] = {"since": (now - timedelta(days=days)).isoformat(), "until": now.isoformat()}
    if session is not None:
        span["session_id"] = session
    counts, responses = asyncio.run(_stats(where, span, zone))
    if form == "json":
        show.json_line({"counts": counts, "responses": responses})
        return exits.OK
    if not counts["days"]:
        print("No messages in that time.")
        return exits.OK
    show.table(
        ("DAY", "SESSION", "IN", "OUT"),
        (
            (one["day"], one["session_id"], str(one["inbound"]), str(one["outbound"]))
            for one in counts["days"]
        ),
    )
    total = responses["total"]
    if total["answered"]:
        print(
            f"Answered {total['answered']} times: half within {total['median_s']:g} s, nine of ten within "
            f"{total['p90_s']:g} s."
        )
    print(f"Chats that wait for an answer: {total['waiting']}.")
    return exits.OK


async def _search(where: Connection, wish: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    from pywhatsweb_fleet.cli.link import linked

    found: list[dict[str, Any]] = []
    async with linked(where) as link:
        while len(found) < limit:
            page = await link.ask("message.search", {**wish, "limit": min(_PAGE, limit - len(found))})
            found += page["messages"]
            if page["cursor"] is None:
                break
            wish["cursor"] = page["cursor"]
    return found


async def _stats(
    where: Connection, span: dict[str, Any], zone: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    from pywhatsweb_fleet.cli.link import linked

    async with linked(where) as link:
        counts = await link.ask("analytics.counts", {**span, "zone": zone} if zone else span)
        return counts, await link.ask("analytics.responses", span)


def _who(message: dict[str, Any]) -> str:
    if message["origin"] == "outbound":
        return "→ " + _named(message["chat"])
    return _named(message["from"])


def _named(who: dict[str, Any]) -> str:
    return who.get("name") or who.get("pn") or who.get("lid") or who.get("group") or "-"


def _text(message: dict[str, Any]) -> str:
    content = message.get(message["type"])
    words = (content.get("body") or content.get("caption")) if isinstance(content, dict) else None
    return " ".join(str(words or f"({message['type']})").split())
