"""The whatsapp-web.js engine through the whole fleet: real Chromium, on the sandbox's page of WhatsApp Web."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.e2e.kinds import hostile, odd
from tests.e2e.kinds.cases import CASES, Case
from tests.e2e.kinds.files import picture
from tests.e2e.kinds.stage import CONTACT as ASKING
from tests.e2e.kinds.stage import Stage, b64
from tests.e2e.kinds.table import REASONS
from tests.support import wait_until
from tests.support.chaos.ground import browsers
from tests.support.running import Fleet, Plain, Sandbox, new_number, plain, sandbox

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is here"),
    pytest.mark.xdist_group("webjs"),
]
CONTACT = "+5511988880009"
PATIENCE_S = 60.0
"""A browser starts in two seconds on an idle machine, in forty on a busy one."""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    running = Fleet(tmp_path_factory.mktemp("webjs"), "--engine", "webjs", "--workers", "2")
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def number() -> str:
    return new_number()


async def _working(program: Plain, whatsapp: Sandbox, number: str) -> None:
    """The one session of this file: paired by the first test that needs it."""
    with contextlib.suppress(AssertionError):
        await program.ok("session.start", session_id="s1")
    if (await program.ok("session.status", session_id="s1"))["status"] == "WORKING":
        return
    await wait_until(
        lambda: program.of("qr", "s1") or program.session_status("s1") == "WORKING",
        PATIENCE_S,
        message="a QR code, or WORKING",
    )
    if program.session_status("s1") != "WORKING":
        business = {"business": {"description": "Loja"}}  # only such an account has labels
        await whatsapp.post("/api/contacts", number=number, profile=business)
        await whatsapp.scan(number, program.of("qr", "s1")[-1]["data"]["code"])
    await program.reached("s1", "WORKING", timeout=PATIENCE_S)


def _browsers(fleet: Fleet) -> list[psutil.Process]:
    """The browsers of the fleet's profiles; not their helpers, which live and die with them."""
    return [psutil.Process(pid) for pid in browsers(fleet.directory)]


async def _texts_shown(whatsapp: Sandbox, number: str) -> list[str]:
    return [entry["text"] for entry in await whatsapp.decrypted(number) if entry["kind"] == "message"]


def _inbound(program: Plain) -> list[dict[str, Any]]:
    return [event["data"] for event in program.of("message", "s1") if not event["data"]["from_self"]]


async def test_a_text_goes_out_and_an_answer_comes_in(fleet: Fleet, number: str) -> None:
    """Paired by QR; the command's statuses go up to read, and the contact's message is told."""
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        await _working(program, whatsapp, number)
        await program.send("s1", "webjs-1", CONTACT, "hello from a browser")
        await wait_until(lambda: "read" in program.steps("webjs-1"), PATIENCE_S)
        steps = program.steps("webjs-1")
        assert steps.index("sent") < steps.index("read")
        assert await _texts_shown(whatsapp, number) == ["hello from a browser"]
        await whatsapp.post(f"/api/contacts/{CONTACT}/send", to=number, type="text", text="hello browser")
        await wait_until(lambda: _inbound(program), PATIENCE_S)
        told = _inbound(program)[0]
        assert (told["text"]["body"], told["from"]["pn"]) == ("hello browser", CONTACT)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind} {case.direction}")
async def test_a_cell(fleet: Fleet, number: str, case: Case) -> None:
    """Of docs/KINDS.md, on the real library against the sandbox's page."""
    if (reason := REASONS["webjs"].get((case.kind, case.direction))) is not None:
        pytest.skip(reason)
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        await _working(program, whatsapp, number)
        await case.run(Stage(program, whatsapp, "webjs", "s1", number))


async def test_votes_and_labels_at_the_command_line(fleet: Fleet, number: str) -> None:
    """`pww vote` ends when WhatsApp has the vote; what the library has no word for is refused under its code."""
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        await _working(program, whatsapp, number)
        stage = Stage(program, whatsapp, "webjs", "s1", number)
        poll = (await stage.said(type="poll", text="Qual?", options=["hoje", "amanhã"]))["id"]
        name, session = ("--id", "cli-vote"), ("--session", "s1")
        code, written = await fleet.pww("vote", ASKING, poll, "amanhã", *name, *session)
        assert code == 0, written
        vote = await program.outcome("cli-vote", PATIENCE_S)
        assert (await stage.shown(vote["message_id"]))["chosen"] == ["amanhã"]
        await stage.on_phone("regular", ["label_edit", "81"], labelEditAction={"name": "Loja", "color": 2})
        await stage.heard("label", label_id="81", change="put")
        code, written = await fleet.pww("label", "list", *session)
        assert (code, "Loja" in written) == (0, True), written
        for refused in (("create", "Nova"), ("add", "81", ASKING, "--message", poll)):
            assert (await fleet.pww("label", *refused, *session))[0] == 1
        asked = {"session_id": "s1", "label_id": "81", "to": ASKING, "message_id": poll}
        told = (await program.ask("label.add", **asked))["error"]
        assert (told["code"], told["details"]["kind"]) == ("E_UNSUPPORTED_TYPE", "message_labels")
        unknown = {"session_id": "s1", "group": "120363000000000000", "approval": True}
        told = (await program.ask("group.update", **unknown))["error"]
        assert (told["code"], told["details"]["kind"]) == ("E_UNSUPPORTED_TYPE", "group_approval")


async def test_what_the_account_shows_and_whom_it_knows(fleet: Fleet, number: str) -> None:
    """Numbers that exist, pictures, whom it blocked; its own name, about text and picture: asked of the page."""
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        await _working(program, whatsapp, number)
        shown, pest, nobody = "+5511977770091", "+5511977770092", "+5511977770093"
        jpeg = b64(picture("JPEG"))
        await whatsapp.post("/api/contacts", number=shown, profile={"picture": jpeg})
        await whatsapp.post("/api/contacts", number=nobody, behaviour={"registered": False})

        async def ask(verb: str, **arguments: Any) -> Any:
            return await program.ok(verb, session_id="s1", **arguments)

        checked = (await ask("contact.check", numbers=[shown, nobody, "no number"]))["numbers"]
        assert [(one["exists"], one["pn"]) for one in checked] == [
            (True, shown),
            (False, None),
            (False, None),
        ]
        assert (await ask("contact.picture", to=shown))["url"]
        assert (await ask("contact.picture", to=pest))["url"] is None
        await ask("contact.block", to=pest)
        assert [one["pn"] for one in (await ask("contact.blocked"))["people"]] == [pest]
        await whatsapp.post(f"/api/contacts/{pest}/send", to=number, text="let me in")
        await ask("contact.unblock", to=pest)
        assert (await ask("contact.blocked"))["people"] == []
        await whatsapp.post(f"/api/contacts/{pest}/send", to=number, text="at last")

        def heard() -> list[str]:
            return [m["text"]["body"] for m in _inbound(program) if m["from"]["pn"] == pest]

        await wait_until(lambda: "at last" in heard(), PATIENCE_S)
        assert heard() == ["at last"]
        await ask("profile.about", about="Atendemos até as 18h")
        await ask("profile.name", name="Padaria Boa")
        await ask("profile.picture", data=jpeg)
        mine = await ask("profile.get")
        assert (mine["about"], mine["person"]["name"]) == ("Atendemos até as 18h", "Padaria Boa")
        assert mine["picture"]
        assert (await whatsapp.get(f"/api/contacts/{number}"))["name"] == "Padaria Boa"
        await ask("profile.picture", data=None)
        assert (await ask("profile.get"))["picture"] is None


@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate,),
)
@given(batch=st.lists(odd.in_a_page, min_size=10, max_size=10))
async def test_what_is_sent_is_seen_and_what_is_said_is_told(
    fleet: Fleet, number: str, batch: list[Any]
) -> None:
    """Whatever people write: each is sent and seen unchanged, and told unchanged when the contact sends it back."""
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        await _working(program, whatsapp, number)
        stage = Stage(program, whatsapp, "webjs", "s1", number)
        await asyncio.gather(*(odd.there_and_back(stage, kind, content) for kind, content in batch))


async def test_the_hostile_contact(fleet: Fleet, number: str) -> None:
    """A flood, huge and tricky names, numbers that are none, a page that claims to be a picture: told, and no more."""
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        await _working(program, whatsapp, number)
        stage = Stage(program, whatsapp, "webjs", "s1", number)
        before = _browsers(fleet)
        await hostile.large(stage)
        await hostile.disguised(stage)
        await hostile.flood(stage, 300)
        await stage.sent("text", {"body": "ainda aqui"})
        assert _browsers(fleet) == before, "its browser was not started again"


async def test_a_killed_browser_comes_back_and_loses_nothing(fleet: Fleet, number: str) -> None:
    """kill -9 of Chromium: the session opens without a QR; what was queued is sent once, what came is told once."""
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        await _working(program, whatsapp, number)
        for browser in _browsers(fleet):
            browser.kill()
        await program.send("s1", "webjs-2", CONTACT, "after the browser's death")
        await whatsapp.post(f"/api/contacts/{CONTACT}/send", to=number, type="text", text="meanwhile")
        await wait_until(lambda: "read" in program.steps("webjs-2"), PATIENCE_S)
        await wait_until(
            lambda: [m for m in _inbound(program) if m["text"]["body"] == "meanwhile"], PATIENCE_S
        )
        assert program.of("qr", "s1") == []
        assert (await _texts_shown(whatsapp, number)).count("after the browser's death") == 1


async def test_a_killed_worker_leaves_no_browser_and_the_other_takes_over(fleet: Fleet, number: str) -> None:
    """kill -9 of the owner: its browser ends with it, and another worker opens the session without a QR."""
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        await _working(program, whatsapp, number)
        browsers = _browsers(fleet)
        assert len(browsers) == 1
        owner = next(p for p in browsers[0].parents() if p.pid in fleet.reload()["pids"]["session_worker"])
        owner.kill()
        await wait_until(lambda: not browsers[0].is_running(), PATIENCE_S, message="the browser ended too")
        await program.send("s1", "webjs-3", CONTACT, "by another worker")
        await wait_until(lambda: "read" in program.steps("webjs-3"), PATIENCE_S)
        assert program.of("qr", "s1") == []
        assert (await _texts_shown(whatsapp, number)).count("by another worker") == 1
        assert len(_browsers(fleet)) == 1
