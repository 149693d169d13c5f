"""Parts of the client that need no broker."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywhatsweb.client import FleetClient, board, control, law, people, sending
from pywhatsweb.client.channels import Channels
from pywhatsweb.client.consents import Consents
from pywhatsweb.client.deadletters import DeadLetters
from pywhatsweb.client.durables import _sequence
from pywhatsweb.client.inboxes import Inboxes
from pywhatsweb.client.labels import Labels
from pywhatsweb.client.local import read_ready
from pywhatsweb.client.media import MediaFiles
from pywhatsweb.client.sending import SessionClient, media_fields
from pywhatsweb.client.streams import GapWatch, wanted
from pywhatsweb.client.templates import Templates
from pywhatsweb.client.webhooks import Webhooks
from pywhatsweb.contracts import codec, commands, content
from pywhatsweb.contracts import control as contract
from pywhatsweb.contracts import interactive as i
from pywhatsweb.contracts.ids import TenantId
from pywhatsweb.contracts.kanban_data import Policy
from pywhatsweb.errors import BrokerError, ErrorCode, MediaError

ACME = TenantId("acme")
CHANNEL = "120363041234567890@newsletter"
TO = "+5511999990001"
GROUP = "120363000000000000"


class Published:
    """Stands where the FleetClient does, and keeps what is published."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, str, Any]] = []

    async def publish(self, session: str, verb: str, command: Any, deadline: float | None) -> Any:
        commands.parse(verb, codec.encode(command))
        self.commands.append((session, verb, command))
        return sending.Handle(self, session, command.id)  # type: ignore[arg-type]


async def test_every_kind_of_command_has_its_method() -> None:
    """Each goes to its verb, passes the contract's checks, and gets an id when it has none."""
    published = Published()
    session = SessionClient(published, "s1")  # type: ignore[arg-type]
    to, now = "+5511999990001", datetime.now(UTC)
    card = content.ContactCard(name=content.ContactName(formatted_name="Ana"))
    buttons = i.Buttons(
        body=i.Body(text="?"),
        action=i.ButtonsAction(
            buttons=[i.ReplyButton(type="reply", reply=i.ReplyTitle(id="1", title="Sim"))]
        ),
    )
    template = i.Template(name="welcome", language=i.Language(code="pt_BR"))
    await session.send_text(to, "x", id="mine", reply_to="3EB0", typing=500)
    await session.send_image(to, b"data", caption="c")
    await session.send_video(to, "https://example.com/v.mp4")
    await session.send_audio(to, "media_1")
    await session.send_voice(to, b"data")
    await session.send_document(to, b"data", filename="a.pdf")
    await session.send_sticker(to, b"data")
    await session.send_location(to, -23.5, -46.6)
    await session.send_contacts(to, [card])
    await session.send_poll(to, "?", ["a", "b"])
    await session.send_interactive(to, buttons)
    await session.send_reaction(to, "3EB0", "👍")
    await session.send_event(to, "party", now)
    await session.send_template(to, template)
    await session.edit(to, "3EB0", "new")
    await session.delete_message(to, "3EB0")
    await session.forward(to, "3EB0", from_chat="+5511999990002")
    await session.pin(to, "3EB0")
    await session.disappearing(to, 86_400)
    await session.react(to, "3EB0", "")
    await session.vote(to, "3EB0", ["a"])
    await session.mark_read(to, ["3EB0"])
    await session.presence("composing", to)
    handle = await session.cancel("mine")
    kinds = {type(command) for _, _, command in published.commands}
    assert kinds == set(sending.VERBS)
    assert all(verb == sending.VERBS[type(command)] for _, verb, command in published.commands)
    assert published.commands[0][2].id == "mine"
    assert published.commands[0][2].context.message_id == "3EB0"
    assert handle.id.startswith("cmd_")


class Asked(control.Asker):
    """Answers nothing; keeps what is asked, once the contract has taken it."""

    def __init__(self) -> None:
        self.verbs: dict[str, Any] = {}

    async def ask(self, verb: str, args: Any, result: Any, timeout: float | None = None) -> Any:
        contract.parse(verb, codec.encode(args))
        known = contract.VERBS[verb]
        assert known.args is type(args), verb
        self.verbs[verb] = result
        raise asyncio.CancelledError


async def test_every_verb_of_the_control_plane_has_its_method() -> None:
    """With the contract's arguments."""
    asked = Asked()
    calls = (
        *(
            getattr(control.Sessions(asked), n)("s1")
            for n in ("start", "stop", "restart", "logout", "delete")
        ),
        *(getattr(control.Sessions(asked), n)("s1") for n in ("status", "qr", "capabilities")),
        control.Sessions(asked).list(active=True),
        control.MessageRecords(asked).status("c1"),
        control.MessageRecords(asked).get("3EB0"),
        control.MessageRecords(asked).search("word", origin="inbound"),
        control.Analytics(asked).counts("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
        control.Analytics(asked).responses("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
        board.Chats(asked).list(status="new"),
        board.Chats(asked).messages("+5511999990001"),
        board.Chats(asked).assign("+5511999990001", owner_id="a"),
        board.Chats(asked).done(chat="k"),
        board.Chats(asked).reopen(chat="k"),
        board.Chats(asked).take(chat="k", by="a"),
        board.Chats(asked).note(chat="k", text="x", id="m1"),
        *(getattr(board.Chats(asked), n)(chat="k") for n in ("release", "tag", "snooze", "card", "history")),
        board.Attendants(asked).set("ana", skills=["pt"]),
        board.Attendants(asked).list(),
        board.BoardPolicy(asked).get(),
        board.BoardPolicy(asked).set(Policy(capacity=3)),
        people.Contacts(asked).check([TO]),
        *(getattr(people.Contacts(asked), n)(TO) for n in ("get", "info", "picture")),
        *(getattr(people.Contacts(asked), n)(TO, session_id="s1") for n in ("block", "unblock")),
        people.Contacts(asked).blocked("s1"),
        people.Contacts(asked).watch(TO, session_id="s1"),
        *(getattr(board.Chats(asked), n)("s1", TO) for n in ("archive", "mute", "pin", "mark_unread")),
        board.Chats(asked).star("s1", TO, "3EB0"),
        board.Chats(asked).fetch_older("s1", TO),
        Labels(asked).list("s1"),
        Labels(asked).create("s1", "VIP", color=3),
        Labels(asked).change("s1", "6", color=4),
        Labels(asked).delete("s1", "6"),
        *(getattr(Labels(asked), n)("s1", "6", TO) for n in ("add", "remove")),
        Channels(asked).get("s1", CHANNEL),
        Channels(asked).create("s1", "Ofertas"),
        Channels(asked).mute("s1", CHANNEL, muted=False),
        *(getattr(Channels(asked), name)("s1", CHANNEL) for name in ("follow", "unfollow", "delete")),
        people.Profiles(asked).get("s1"),
        people.Profiles(asked).set_about("s1", "Open until six"),
        people.Profiles(asked).set_name("s1", "Padaria"),
        people.Profiles(asked).set_picture("s1", None),
        people.Groups(asked).set_picture("s1", GROUP, b"x"),
        people.Calls(asked).reject("s1", "C1", TO),
        people.Contacts(asked).list(),
        *(
            getattr(people.Groups(asked), n)("s1", GROUP)
            for n in ("get", "requests", "leave", "invite", "revoke")
        ),
        *(
            getattr(people.Groups(asked), n)("s1", GROUP, [TO])
            for n in ("add", "remove", "promote", "demote", "approve", "reject")
        ),
        people.Groups(asked).list("s1"),
        people.Groups(asked).create("s1", "Team", [TO]),
        people.Groups(asked).update("s1", GROUP, subject="Team"),
        *(getattr(people.Groups(asked), n)("s1", "ABCDEFGHIJKLMNOPQRSTUV") for n in ("inspect", "join")),
        MediaFiles(asked).put(b"x"),
        MediaFiles(asked).part("m1"),
        MediaFiles(asked).begin(1),
        MediaFiles(asked).upload_part("u1", 0, b"x"),
        MediaFiles(asked).finish("u1"),
        MediaFiles(asked).abort("u1"),
        MediaFiles(asked).show("m1"),
        MediaFiles(asked).list(),
        MediaFiles(asked).delete("m1"),
        law.PersonalData(asked).export("+5511999990001"),
        law.PersonalData(asked).export_status("e1"),
        anext(law.PersonalData(asked).download("e1")),
        law.PersonalData(asked).erase("+5511999990001", reason="r", actor="a"),
        law.PersonalData(asked).erase_status("e1"),
        law.Retention(asked).get(),
        law.Retention(asked).set("messages", 30),
        law.AuditTrail(asked).list(),
        law.AuditTrail(asked).verify(),
        DeadLetters(asked).list(code="E_POISON"),
        DeadLetters(asked).show("l1"),
        DeadLetters(asked).redrive(all=True),
        DeadLetters(asked).drop("l1", reason="r", by="a"),
        control.Consumers(asked).create("crm"),
        control.Consumers(asked).delete("crm"),
        control.Consumers(asked).list(),
        Webhooks(asked).create("https://crm.example/"),
        *(
            getattr(Webhooks(asked), n)("w")
            for n in ("get", "delete", "enable", "disable", "rotate", "test", "redrive")
        ),
        Webhooks(asked).list(),
        anext(Webhooks(asked).deliveries("w")),
        anext(Webhooks(asked).deadletters("w")),
        Templates(asked).put("paid", "en", "hi {{name}}", header="Order"),
        *(getattr(Templates(asked), n)("paid") for n in ("get", "delete", "preview")),
        Templates(asked).list(),
        Inboxes(asked).set("@support", ["s1", "s2"]),
        *(getattr(Inboxes(asked), n)("@support") for n in ("get", "delete")),
        Inboxes(asked).list(),
        *(getattr(Consents(asked), n)(TO) for n in ("get", "opt_out", "opt_in")),
        Consents(asked).record(TO, purpose="marketing", source="form"),
        Consents(asked).withdraw(TO, purpose="marketing"),
        Consents(asked).check([TO], purpose="marketing"),
        Consents(asked).set_words(["PARE"]),
        Consents(asked).declare("natal", 100, purpose="marketing"),
        *(getattr(Consents(asked), n)() for n in ("list", "opt_outs", "words")),
    )
    for call in calls:
        with pytest.raises(asyncio.CancelledError):
            await call
    assert hasattr(FleetClient, "health")
    assert hasattr(FleetClient, "usage")
    assert set(asked.verbs) | {"health.get", "usage.get"} >= set(contract.VERBS)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60),
    st.integers(1, 1000),
)
def test_gaps_are_noticed_by_their_followers(events: list[tuple[str, bool]], first: int) -> None:
    """An event that was missed is noticed when the next one of its subject comes, and nothing else is."""
    watch = GapWatch()
    last: dict[str, int] = {}
    missed: dict[str, bool] = {}
    began = False
    for sequence, (subject, lost) in enumerate(events, first):
        predecessor, last[subject] = last.get(subject, 0), sequence
        if lost:
            missed[subject] = began or missed.get(subject, False)
            continue
        assert watch.missed(subject, sequence, predecessor) == missed.pop(subject, False)
        began = True


def test_what_is_subscribed_to() -> None:
    """One subject, as narrow as it can be; the rest is filtered."""
    assert wanted(ACME, ["qr"], ["s1"]) == ("wa.evt.acme.s1.qr.*", None, None)
    assert wanted(ACME, None, None) == ("wa.evt.acme.*.*.*", None, None)
    subject, types, sessions = wanted(ACME, ["qr", "status"], ["s1", "s2"])
    assert subject == "wa.evt.acme.*.*.*"
    assert types == frozenset(("qr", "status"))
    assert sessions == frozenset(("s1", "s2"))
    with pytest.raises(BrokerError):
        wanted(ACME, ["nonsense"], None)
    with pytest.raises(BrokerError):
        wanted(ACME, None, [">"])


async def test_where_media_comes_from(tmp_path: Path) -> None:
    """Bytes, a file, a link, or an id."""
    fleet: Any = None  # small ones need none
    assert await media_fields(fleet, b"x", None) == {"data": b"x", "mime_type": None}
    assert (await media_fields(fleet, "https://example.com/a", None))["link"] == "https://example.com/a"
    assert (await media_fields(fleet, "media_1", None))["id"] == "media_1"
    path = tmp_path / "a.png"
    path.write_bytes(b"png")
    assert await media_fields(fleet, path, None) == {"data": b"png", "mime_type": "image/png"}
    with pytest.raises(MediaError) as missing:
        await media_fields(fleet, tmp_path / "none", None)
    assert missing.value.code is ErrorCode.E_MEDIA_SOURCE


def test_sequences_in_replies() -> None:
    """With and without a JetStream domain."""
    assert _sequence("$JS.ACK.WA_EVT_acme.user-crm.1.412.7.1700000000.3") == 412
    assert _sequence("$JS.ACK.hub.acc.WA_EVT_acme.user-crm.1.412.7.1700000000.3.tok") == 412


def test_ready_file(tmp_path: Path) -> None:
    """What is not one counts as none."""
    assert read_ready(tmp_path) is None
    (tmp_path / "ready.json").write_text("{")
    assert read_ready(tmp_path) is None
    told = {"nats_url": "nats://x", "tenants": {"demo": {"user": "demo", "password": "p", "api_key": "k"}}}
    (tmp_path / "ready.json").write_bytes(msgspec.json.encode(told))
    found = read_ready(tmp_path)
    assert found is not None
    assert found.tenants["demo"].password == "p"
