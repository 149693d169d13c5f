"""Events for tests: what workers, the dispatcher and the board would publish."""

from __future__ import annotations

from typing import Any

from pywhatsweb.contracts import content, events, ids, subjects
from pywhatsweb.contracts import event_data as d
from pywhatsweb.contracts.codec import encode
from pywhatsweb.contracts.ids import ChatKey, SessionId, TenantId, TenantKey
from pywhatsweb.contracts.statuses import KanbanStatus, MessageStatus, Origin, SessionStatus
from pywhatsweb_runtime.bus import Bus
from pywhatsweb_runtime.kv import Bucket
from pywhatsweb_runtime.provision import ensure_platform, ensure_tenant
from pywhatsweb_runtime.publisher import Publisher
from pywhatsweb_runtime.registry import TenantRecord
from pywhatsweb_runtime.registry import encode as encode_record

KEY = TenantKey(bytes(range(32)))
BASE_MS = 1_795_000_000_000


async def make_tenant(bus: Bus, tenant: str) -> None:
    """A tenant's streams and record."""
    record = TenantRecord(key=KEY)
    await ensure_platform(bus)
    await ensure_tenant(bus, TenantId(tenant), record.limits)
    await Bucket(bus, "WA_TENANTS").put(tenant, encode_record(record))


def contact(n: int) -> tuple[d.Chat, d.Person]:
    """Contact number n: chat and person."""
    pn = f"+55119{n:08}"
    return d.Chat(key=ids.chat_key(KEY, pn=pn), pn=pn), d.Person(pn=pn, name=f"Contact {n}")


def envelope(
    kind: type[Any], event_id: str, data: Any, *, tenant: str = "acme", at: int = BASE_MS, **more: Any
) -> Any:
    """An event of session s1."""
    return kind(
        id=event_id,
        tenant_id=tenant,
        session_id="s1",
        timestamp=events.timestamp(at),
        epoch=7,
        data=data,
        **more,
    )


def message(
    n: int, *, outbound: bool = False, who: int | None = None, body: str | None = None, **more: Any
) -> Any:
    """Message n, of contact n % 50 unless told otherwise."""
    chat, person = contact(n % 50 if who is None else who)
    data = d.Message(
        id=f"WAM{n}",
        chat=chat,
        from_=d.Person() if outbound else person,
        origin=Origin.OUTBOUND if outbound else Origin.INBOUND,
        from_self=outbound,
        type="text",
        text=content.Text(body=f"text {n}" if body is None else body),
        sent_at=events.timestamp(BASE_MS + n),
        command_id=f"cmd{n}" if outbound else None,
    )
    return envelope(events.MessageEvent, f"message-{n}", data, at=BASE_MS + n, **more)


def status(n: int, step: str, **more: Any) -> Any:
    """A step of command n."""
    data = d.Status(command_id=f"cmd{n}", message_id=f"WAM{n}", status=MessageStatus(step), **more)
    return envelope(events.StatusEvent, f"status-{n}-{step}", data)


def edit(n: int, body: str, who: int) -> Any:
    """An edit of message n by a contact."""
    chat, _ = contact(n % 50)
    data = d.Edited(
        id=f"EDIT{n}", chat=chat, from_=contact(who)[1], message_id=f"WAM{n}", type="text",
        text=content.Text(body=body), sent_at=events.timestamp(BASE_MS + 900),
    )  # fmt: skip
    return envelope(events.EditEvent, f"edit-{n}-{who}", data)


_ABOUT: dict[str, tuple[type[Any], type[Any]]] = {
    "reaction": (events.ReactionEvent, d.Reacted),
    "poll_vote": (events.PollVoteEvent, d.PollVote),
    "pin": (events.PinEvent, d.Pinned),
}


def about(n: int, kind: str, name: str, who: d.Person, **data: Any) -> Any:
    """What somebody (nobody named: the account) does with message n; later than one whose ``name`` comes before."""
    event, of = _ABOUT[kind]
    at = BASE_MS + 100 + ord(name)
    told = of(
        id=f"WAM{n}{name}", chat=contact(n % 50)[0], from_=who, from_self=not (who.pn or who.lid), message_id=f"WAM{n}",
        sent_at=events.timestamp(at), **data,
    )  # fmt: skip
    return envelope(event, f"{kind}-{n}-{name}", told, at=at)


def session(step: str, sequence: int, **more: Any) -> Any:
    """A state of session s1."""
    return envelope(
        events.SessionEvent,
        f"session-{sequence}",
        d.SessionState(status=SessionStatus(step), **more),
        sequence=sequence,
    )


def card(n: int, step: str, owner: str | None, at: int) -> Any:
    """A move of contact n's card."""
    data = d.ChatState(chat=contact(n)[0], status=KanbanStatus(step), owner_id=owner, by="ana")
    return envelope(events.ChatEvent, f"card-{n}-{at}", data, at=BASE_MS + at)


async def publish(publisher: Publisher, *told: Any, tenant: str = "acme") -> None:
    """Stores events as their owner would, in the given order."""
    futures = []
    for event in told:
        chat = getattr(event.data, "chat", None)
        subject = subjects.event_ingest(
            TenantId(tenant),
            SessionId(event.session_id),
            events.event_type(event),
            ChatKey(chat.key) if chat else subjects.NO_CHAT,
        )
        futures.append(await publisher.submit(subject, encode(event), events.headers(event)))
    for future in futures:
        await future


async def publish_raw(
    publisher: Publisher, body: bytes, event_id: str, kind: str = "message", tenant: str = "acme"
) -> None:
    """Stores bytes that need not be an event."""
    subject = subjects.event_ingest(TenantId(tenant), SessionId("s1"), kind)
    await publisher.publish(subject, body, {"Nats-Msg-Id": event_id})
