"""``pww erase``, ``pww export``, ``pww retention``, ``pww audit``: what the law asks for."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from pywhatsweb_fleet.cli import exits, show
from pywhatsweb_fleet.cli.options import Answer, Connection
from pywhatsweb_fleet.cli.progress import Move, progress

if TYPE_CHECKING:
    from pywhatsweb_fleet.cli.link import Link

audit = App(name="audit", help="See who did what, and check the trail.", result_action="return_value")
retention = App(name="retention", help="See and set how long things are kept.", result_action="return_value")

_LOOK_EVERY_S = 0.5
_LONG_S = 60.0


def erase(
    person: str,
    /,
    *,
    reason: str,
    actor: str,
    within: float = 600.0,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Erase a person everywhere, and print the receipt.

    Parameters
    ----------
    person
        A number (+5511…), or lid:… .
    reason
        Why; what it says of the person is not kept.
    actor
        Who asks for it.
    within
        Seconds to wait for the receipt; the erasure goes on after them.
    """

    async def run() -> dict[str, Any]:
        from pywhatsweb_fleet.cli.link import linked

        async with linked(where) as link:
            asked = {"phone_number": person, "reason": reason, "actor": actor}
            found = await link.ask("data.erase", asked, deadline=_LONG_S)
            with progress("erasing") as move:
                return await _done(link, "data.erase_status", found, within, move)

    receipt = asyncio.run(run())
    if form == "json":
        show.json_line(receipt)
        return exits.OK
    show.pairs(
        {name: receipt[name] for name in ("id", "subject", "actor", "reason", "erased_at", "signature")}
    )
    show.table(
        ("removed", "count"), [(name, str(count)) for name, count in sorted(receipt["counts"].items())]
    )
    show.table(("kept", "why"), sorted(receipt["kept"].items()))
    for left in receipt["residue"]:
        print(f"not yet: {left}")
    return exits.OK


def export(
    person: str | None = None,
    /,
    *,
    out: Path,
    actor: str,
    within: float = 3600.0,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """Fetch everything about a person as a ZIP of JSON and media; without one, everything of the tenant's.

    Parameters
    ----------
    person
        A number (+5511…), or lid:… .
    out
        The file to write.
    actor
        Who asks for it.
    within
        Seconds to wait until it is made.
    """

    async def run() -> dict[str, Any]:
        from pywhatsweb_fleet.cli.link import linked

        async with linked(where) as link:
            asked = {"actor": actor} | ({"phone_number": person} if person is not None else {})
            found = await link.ask("data.export", asked, deadline=_LONG_S)
            with progress("putting together") as move:
                found = await _done(link, "data.export_status", found, within, move)
            with progress("fetching") as move:
                await _fetch(link, found, out, move)
            return found

    found = asyncio.run(run())
    if form == "json":
        show.json_line(found | {"file": str(out)})
    else:
        show.pairs(
            {"file": out, "size": found["size"], "sha256": found["sha256"], "expires_at": found["expires_at"]}
        )
        show.table(
            ("file", "rows"), [(name, str(count)) for name, count in sorted(found["counts"].items()) if count]
        )
    return exits.OK


async def _done(link: Link, verb: str, found: dict[str, Any], within: float, move: Move) -> dict[str, Any]:
    until = time.monotonic() + within
    while found["state"] != "done":
        if found["state"] == "failed":
            raise exits.CommandError(f"it failed [{found.get('error')}].")
        if time.monotonic() > until:
            raise exits.CommandError(
                f"{found['id']} is not done within {within:g} s; it goes on.",
                exit_code=exits.TIMED_OUT,
                action=f'Ask again: pww ask {verb} \'{{"id": "{found["id"]}"}}\'',
            )
        await asyncio.sleep(_LOOK_EVERY_S)
        found = await link.ask(verb, {"id": found["id"]})
        if share := found.get("progress"):
            move(share)
    return found


async def _fetch(link: Link, found: dict[str, Any], out: Path, move: Move) -> None:
    """Whole or not at all: written beside, checked, renamed."""
    beside = out.with_name(out.name + ".part")
    digest = hashlib.sha256()
    try:
        beside.touch(mode=0o600)
        with beside.open("wb") as file:
            while file.tell() < found["size"]:
                part = await link.ask(
                    "data.download", {"id": found["id"], "offset": file.tell()}, deadline=_LONG_S
                )
                data = base64.b64decode(part["data"])
                digest.update(data)
                file.write(data)
                move(file.tell() / found["size"])
        if digest.hexdigest() != found["sha256"]:
            raise exits.CommandError("what arrived is not what was made; fetch it again.")
        beside.replace(out)
    except OSError as error:
        raise exits.CommandError(f"{out} cannot be written ({error.strerror}).") from None
    finally:
        beside.unlink(missing_ok=True)


@audit.command(name="list")
def list_(
    *,
    action: str | None = None,
    actor: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: Annotated[int, Parameter(name=("--limit", "-n"))] = 50,
    cursor: str | None = None,
    where: Connection = None,
    form: Answer = "human",
) -> int:
    """List who did what, newest first.

    Parameters
    ----------
    action
        Only these: data.erase, chat.done, retention.set …
    actor
        Only of this one.
    since
        From this time on, as 2026-11-22T12:00:00Z.
    until
        Up to this time.
    limit
        How many at most.
    cursor
        Where an earlier list ended.
    """
    asked = {
        "action": action,
        "actor": actor,
        "since": since,
        "until": until,
        "limit": limit,
        "cursor": cursor,
    }
    found = _ask("audit.list", {name: value for name, value in asked.items() if value is not None}, where)
    if form == "json":
        show.json_line(found)
        return exits.OK
    rows = [
        (
            one["at"],
            one["id"],
            one["actor"],
            one["action"],
            " ".join(filter(None, (one["target"], one["reason"]))),
        )
        for one in found["entries"]
    ]
    show.table(("when", "entry", "actor", "action", "what"), rows)
    if found["cursor"]:
        print(f"more: --cursor {found['cursor']}")
    return exits.OK


@audit.command
def verify(*, where: Connection = None, form: Answer = "human") -> int:
    """Check that the trail is as it was written; ends with 1, and says where, when it is not."""
    found = _ask("audit.verify", {}, where)
    if form == "json":
        show.json_line(found)
    elif found["ok"]:
        print(f"{found['entries']} entries, from {found['first']} on: as they were written.")
    else:
        print(f"the trail does not hold at entry {found['flaw']}: {found['reason']}.")
    return exits.OK if found["ok"] else exits.FAILED


@retention.command(name="list")
def periods(*, where: Connection = None, form: Answer = "human") -> int:
    """List how many days things are kept."""
    _show_periods(_ask("retention.get", {}, where), form)
    return exits.OK


@retention.command(name="set")
def set_(
    kind: str, days: int | None = None, /, *, actor: str, where: Connection = None, form: Answer = "human"
) -> int:
    """Set how many days things of a kind are kept; without a number, the usual period again.

    Parameters
    ----------
    kind
        messages, statuses, session_events, media, events, deadletters, idempotency or audit.
    days
        1 to 3650.
    actor
        Who asks for it.
    """
    _show_periods(_ask("retention.set", {"kind": kind, "days": days, "actor": actor}, where), form)
    return exits.OK


def _show_periods(found: dict[str, Any], form: str) -> None:
    if form == "json":
        show.json_line(found)
        return
    rows = [
        (kind, str(days), "chosen" if kind in found["chosen"] else "usual")
        for kind, days in found["days"].items()
    ]
    show.table(("kind", "days", ""), rows)


def _ask(verb: str, arguments: dict[str, Any], where: Connection) -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        from pywhatsweb_fleet.cli.link import linked

        async with linked(where) as link:
            answer: dict[str, Any] = await link.ask(verb, arguments, deadline=_LONG_S)
            return answer

    return asyncio.run(run())
