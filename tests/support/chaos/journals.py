"""What WhatsApp took of each session, and what it delivered to it: the oracle's source."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx


class Taken(NamedTuple):
    """What WhatsApp took of a session, in its order."""

    texts: list[str]
    repeats: int
    """Messages that came again under an id that the recipient's phone had: it drops them, as a phone does."""


class SandboxJournal:
    """The sandbox's journal, by account number."""

    def __init__(self, entries: Sequence[dict[str, Any]]) -> None:
        self.taken: dict[str, Taken] = {}
        self.inbound: dict[str, list[str]] = defaultdict(list)
        texts: dict[str, list[tuple[int, str]]] = defaultdict(list)
        repeats: Counter[str] = Counter()
        # `order`: in which the server took it; phones read theirs each in its own time. One that a phone could not
        # read at first (both sides had begun a Signal session) and asked for again keeps its place.
        first: dict[tuple[str, str], int] = {}
        for entry in entries:
            account = "+" + str(entry.get("account", "")).removeprefix("+")
            place = (account, str(entry.get("id")))
            if entry["kind"] in ("message", "decrypt_failed"):
                first.setdefault(place, entry.get("order", 0))
            if entry["kind"] == "message":
                texts[account].append((first[place], entry["text"]))
            elif entry["kind"] == "repeat":
                repeats[account] += 1
            elif entry["kind"] == "inbound" and entry.get("type") == "text":
                self.inbound[account].append(entry["id"])
        for account, found in texts.items():
            self.taken[account] = Taken(
                [text for _, text in sorted(found, key=lambda one: one[0])], repeats[account]
            )


class SimulatedJournal:
    """The simulated WhatsApp's state file, by ``<tenant>/<session>``."""

    def __init__(self, path: Path) -> None:
        self.taken: dict[str, Taken] = {}
        self.inbound: dict[str, list[str]] = defaultdict(list)
        ids: dict[str, dict[str, None]] = defaultdict(dict)
        repeats: Counter[str] = Counter()
        stanzas: dict[str, set[str]] = defaultdict(set)
        for line in path.read_bytes().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            session = record["session"]
            if record["what"] == "accepted" and record["action"] == "send":
                if record["id"] in ids[session]:
                    repeats[session] += 1
                ids[session][record["id"]] = None
            elif (
                record["what"] == "inbound"
                and record["kind"] == "message"
                and record["key"] not in stanzas[session]
            ):
                stanzas[session].add(record["key"])
                self.inbound[session].append(record["data"]["id"])
        for session, found in ids.items():
            self.taken[session] = Taken(list(found), repeats[session])


async def read_sandbox(client: httpx.AsyncClient) -> SandboxJournal:
    entries: list[dict[str, Any]] = []
    after = 0
    while True:
        answer = await client.get("/api/journal", params={"after": after, "limit": 1000, "content": 0})
        page = answer.json()["entries"]
        entries += page
        if not page:
            return SandboxJournal(entries)
        after = page[-1]["seq"]
