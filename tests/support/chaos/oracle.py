"""The verdict: what WhatsApp's own journal, the events streams, the queues and the database say of a run."""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, LiteralString

import msgspec
import psycopg

from pywhatsweb.contracts import streams
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.contracts.statuses import MessageStatus
from pywhatsweb_runtime.bus import Bus, Stored
from pywhatsweb_runtime.direct import reading
from tests.support.chaos.journals import Taken
from tests.support.chaos.plan import Account

_GOOD = ("sent", "delivered", "read", "played")


class Findings:
    """``faults`` is empty when all is well."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.counts: Counter[str] = Counter()

    def fault(self, kind: str, words: str) -> None:
        self.counts[kind] += 1
        if self.counts[kind] <= 8:
            self.faults.append(f"{kind}: {words}")

    def __str__(self) -> str:
        figures = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        return "\n".join([figures, *self.faults])


async def events_of(bus: Bus, tenant: str) -> list[Stored]:
    """A tenant's whole stream of events, in its order."""
    found: list[Stored] = []
    sequence = 1
    async with reading(bus) as reader:
        while True:
            page = await reader.batch(
                streams.events_name(TenantId(tenant)), f"wa.evt.{tenant}.>", sequence, limit=1000, deadline=20
            )
            found += page
            if len(page) < 1000:
                return found
            sequence = page[-1].sequence + 1


async def waiting(bus: Bus, tenants: Iterable[str]) -> dict[str, int]:
    """Commands that have not left the streams of commands and the queues."""
    left: dict[str, int] = {}
    for tenant in tenants:
        for name in (streams.outbox_name(TenantId(tenant)), streams.commands_name(TenantId(tenant))):
            state = (await bus.api(f"STREAM.INFO.{name}", {"subjects_filter": ">"}))["state"]
            if state["messages"]:
                left[name] = state["messages"]
    return left


def decode(stored: Stored) -> dict[str, Any]:
    raw = stored.data
    value: dict[str, Any] = json.loads(raw) if raw[:1] == b"{" else msgspec.msgpack.decode(raw)
    return value


class Told:
    """What a tenant's stream tells, session by session."""

    def __init__(self, stored: Sequence[Stored], findings: Findings) -> None:
        self.steps: dict[Account, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        self.inbound: dict[Account, list[tuple[str, str]]] = defaultdict(list)
        self.statuses: dict[Account, list[str]] = defaultdict(list)
        self.alerts: Counter[str] = Counter()
        self.asked_again: dict[Account, set[str]] = defaultdict(set)
        """Messages that could not be decrypted when they came, which an alert told."""
        ids: Counter[str] = Counter()
        epochs: dict[Account, int] = defaultdict(int)
        counted: set[tuple[Account, int, int]] = set()
        for one in stored:
            event = decode(one)
            at = (event["tenant_id"], event["session_id"])
            ids[one.headers.get("ce-id", "")] += 1
            epoch = event.get("epoch") or 0
            if epoch and epoch < epochs[at]:
                findings.fault("zombie", f"{at}: an event of epoch {epoch} after {epochs[at]}")
            epochs[at] = max(epochs[at], epoch)
            if epoch and (at, epoch, event["sequence"]) in counted:
                findings.fault("two_owners", f"{at}: epoch {epoch} counted {event['sequence']} twice")
            counted.add((at, epoch, event["sequence"]))
            data = event["data"]
            if event["event"] == "status" and data.get("command_id") and not data.get("duplicate"):
                self.steps[at][data["command_id"]].append(data["status"])
            elif event["event"] == "message" and data["origin"] == "inbound":
                self.inbound[at].append((data["id"], data["chat"]["key"]))
            elif event["event"] == "session":
                self.statuses[at].append(data["status"])
            elif event["event"] == "alert":
                self.alerts[data["kind"]] += 1
                if data["kind"] == "undecryptable":
                    self.asked_again[at].add(data["message_id"])
        for event_id, count in ids.items():
            if count > 1:
                findings.fault("doubled_event", f"{event_id} is {count} times in the stream")


def check_commands(
    findings: Findings,
    account: Account,
    accepted: Sequence[str],
    texts: Mapping[str, str],
    *,
    steps: Mapping[str, list[str]],
    taken: Taken,
    twice: Collection[str] = (),
) -> None:
    """Each accepted command: once at its recipient if it says so, in order, one outcome, never backwards.

    ``twice``: those that the stream holds twice. What was rejected may be tried again under its id: the second counts.
    """
    findings.counts["accepted"] += len(accepted)
    findings.counts["repeats_dropped_by_phones"] += taken.repeats
    received = Counter(taken.texts)
    for command in accepted:
        told = steps.get(command, [])
        if command in twice and MessageStatus.REJECTED in told[:-1]:
            told = told[told.index(MessageStatus.REJECTED) + 1 :]
        settled = [MessageStatus(step) for step in told if MessageStatus(step).settled]
        ends = {step for step in settled if step.rank == MessageStatus.FAILED.rank}
        good = any(step in _GOOD for step in told)
        count = received[texts[command]]
        if not settled:
            findings.fault("no_outcome", f"{account} {command}: {told}, received {count} times")
            continue
        if len(set(told)) != len(told):
            findings.fault("told_twice", f"{account} {command}: {told}")
        if (ends and good) or len(ends) > 1:
            findings.fault("two_outcomes", f"{account} {command}: {told}")
        # `accepted` is the dispatcher's, who may still be telling it while the worker sends.
        ranks = [MessageStatus(step).rank for step in told if step != "accepted"]
        if ranks != sorted(ranks):
            findings.fault("backwards", f"{account} {command}: {told}")
        findings.counts["accepted_told_late"] += "accepted" in told[1:]
        if good and count == 0:
            findings.fault("lost", f"{account} {command}: {told}")
        if ends and count:
            findings.fault("failed_but_received", f"{account} {command}: {told}")
        findings.counts[settled[-1].value] += 1
        if count > 1:
            findings.fault("doubled", f"{account} {command}: received {count} times")
    place = {texts[command]: index for index, command in enumerate(accepted)}
    order = [place[text] for text in taken.texts if text in place]
    for before, after in itertools.pairwise(order):
        if after < before:
            findings.fault("out_of_order", f"{account}: {accepted[before]} came before {accepted[after]}")


def check_inbound(
    findings: Findings,
    account: Account,
    sent: Sequence[str],
    told: Sequence[tuple[str, str]],
    asked_again: Collection[str],
) -> None:
    """Each message that WhatsApp delivered is told once, and those of a chat in their order.

    One that its sender was asked for again comes again when that answers: behind others, as on any phone.
    """
    findings.counts["inbound"] += len(sent)
    heard = Counter(message_id for message_id, _ in told)
    for message_id in sent:
        if not heard[message_id]:
            findings.fault("inbound_lost", f"{account} {message_id}")
        elif heard[message_id] > 1:
            findings.fault("inbound_doubled", f"{account} {message_id}: {heard[message_id]} times")
    place = {message_id: index for index, message_id in enumerate(sent)}
    last: dict[str, int] = {}
    for message_id, chat in told:
        at = place.get(message_id)
        if at is None:
            continue
        if message_id in asked_again:
            findings.counts["inbound_asked_again"] += 1
            continue
        if at < last.get(chat, -1):
            findings.fault("inbound_out_of_order", f"{account} {message_id}")
        last[chat] = max(at, last.get(chat, -1))


def check_database(findings: Findings, url: str, expected: Mapping[Account, Sequence[str]]) -> None:
    """Each inbound message is in the database once."""
    statement = "SELECT tenant, session, message_id, count(*) FROM messages GROUP BY 1, 2, 3"
    found = {(tenant, session, message): count for tenant, session, message, count in _rows(url, statement)}
    for (tenant, session), messages in expected.items():
        for message in messages:
            count = found.get((tenant, session, message), 0)
            if count != 1:
                findings.fault("database", f"{tenant} {session} {message}: {count} rows")


def _rows(url: str, statement: LiteralString) -> list[tuple[Any, ...]]:
    if url.startswith("postgresql:"):
        with psycopg.connect(url, connect_timeout=5) as server:
            return server.execute(statement).fetchall()
    path = url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as file:
        return file.execute(statement).fetchall()
