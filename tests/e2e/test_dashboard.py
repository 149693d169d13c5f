"""The dashboard in a real browser, on real Baileys: an attendant's day, and a second browser that follows it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, async_playwright, expect

from tests.support import wait_until
from tests.support.browsing import OVERFLOW, SLOW_MS, flaws, look, page_of, show, sign_in
from tests.support.running import Fleet, new_number, pair, plain, sandbox

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

CUSTOMER = "+5511988887777"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000080000000808020000004b6d29dc0000001149444154789c633851a1811531"
    "0c2d090052d55a015f16e1040000000049454e44ae426082"
)
PAGES = (
    "board", "sessions", "inboxes", "labels", "fleet", "contacts", "optouts", "templates", "team", "webhooks",
    "deadletters", "audit", "access", "settings", "sandbox",
)  # fmt: skip


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as driver:
        chromium = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        await chromium.close()


@pytest.mark.timeout(300)
async def test_from_a_code_to_done(fleet: Fleet, browser: Browser, tmp_path: Path) -> None:
    """Link a session, see a customer's word come, drag it, answer with a picture, see the ticks, and end it."""
    url = fleet.ready["http_url"]
    key = fleet.ready["tenants"]["demo"]["api_key"]
    faults: list[str] = []
    async with httpx.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30
    ) as admin:
        for user, role in (("bia", "supervisor"), ("leo", "attendant")):
            made = {"user": user, "password": "correct horse", "role": role}
            assert (await admin.post("/v1/users", json=made)).status_code == 201
    page = await page_of(browser, faults)
    other = await page_of(browser, faults, viewport={"width": 390, "height": 800}, color_scheme="dark")
    await sign_in(page, url, "bia")
    await sign_in(other, url, "leo")
    assert await other.get_by_role("link", name="Audit").count() == 0
    number = new_number()
    async with sandbox(fleet) as whatsapp:
        await page.get_by_role("link", name="Sessions").click()
        await page.get_by_role("button", name="New session").click()
        await page.get_by_label("Name").fill("counter")
        await page.get_by_role("button", name="Create").click()
        await page.get_by_alt_text("QR code").wait_for()
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}) as admin:
            code = (await admin.get("/v1/sessions/counter/qr")).json()["code"]
        await whatsapp.scan(number, code)
        await page.get_by_text("Linked.").wait_for()
        await page.keyboard.press("Escape")
        await page.get_by_role("link", name="Board").click()
        await whatsapp.post("/api/contacts", number=CUSTOMER, name="Clara")
        await whatsapp.post(
            f"/api/contacts/{CUSTOMER}/send", to=number, type="text", text="Is the lamp still there?"
        )
        for one in (page, other):
            await one.get_by_role("region", name="Waiting").get_by_text("Clara").wait_for()
        await look(page, "board")
        await show(page, "sessions")
        await look(page, "sessions-working")
        await show(page, "board")
        await (
            page.get_by_role("listitem")
            .filter(has_text="Clara")
            .drag_to(page.get_by_role("region", name="In progress"))
        )
        for one in (page, other):
            await one.get_by_role("region", name="In progress").get_by_text("Clara").wait_for()
        await page.get_by_role("link", name="Clara").click()
        await page.get_by_text("Is the lamp still there?").wait_for()
        picture = tmp_path / "lamp.png"
        picture.write_bytes(PNG)
        await page.locator("input[type=file]").set_input_files(picture)
        await page.get_by_label("Message", exact=True).fill("This one?")
        await page.get_by_role("button", name="Send", exact=True).click()
        await page.locator(".message.own").get_by_text("This one?").wait_for()
        await page.locator(".message.own .tick.read").wait_for()
        await page.get_by_label("Message", exact=True).fill("<b>Yes</b>")
        await page.keyboard.press("Enter")
        await page.get_by_text("<b>Yes</b>").wait_for()
        question = page.locator(".message").filter(has_text="Is the lamp still there?").first
        await question.hover()
        await question.get_by_label("React").click()
        await question.get_by_role("button", name="❤️").click()
        await question.locator(".faces").get_by_text("❤️").wait_for()
        await until_recorded(url, key, number, "❤️")
        await page.reload()
        await question.locator(".faces").get_by_text("❤️").wait_for()
        await question.hover()
        await question.get_by_role("button", name="Answer this message").click()
        await page.get_by_label("Message", exact=True).fill("It is.")
        await page.keyboard.press("Enter")
        await page.locator(".message.own").filter(has_text="It is.").locator(".quote").wait_for()
        assert await flaws(page) == []
        await look(page, "conversation")

        async def decrypted() -> bool:
            found = await whatsapp.decrypted(number)
            texts = [entry.get("text") for entry in found]
            return texts[:2] == ["This one?", "<b>Yes</b>"] and {"❤️", "It is."} <= set(map(str, texts))

        await wait_until(decrypted, 30)
        await page.get_by_role("button", name="Done").click()
        await other.get_by_role("region", name="Done").get_by_text("Clara").wait_for()
        await look(other, "board-phone")
    assert faults == []


@pytest.mark.timeout(300)
async def test_every_page_opens(fleet: Fleet, browser: Browser) -> None:
    """In each language, without an error and with nothing from another address; a foreign key shows nothing."""
    url = fleet.ready["http_url"]
    faults: list[str] = []
    page = await page_of(browser, faults)
    async with httpx.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer {fleet.ready['tenants']['acme']['api_key']}"}
    ) as admin:
        ticket = (await admin.post("/v1/tickets")).json()["ticket"]
        paid = {"name": "order_paid", "language": "en", "body": "Hello {{name}}, your order is paid."}
        assert (await admin.post("/v1/template/put", json=paid)).status_code == 200
        hook = {"webhook_id": "crm", "url": "https://crm.example/hook", "types": ["message"]}
        assert (await admin.post("/v1/webhook/create", json=hook)).status_code == 200
        assert (await admin.post("/v1/attendant/set", json={"attendant_id": "leo"})).status_code == 200
    await page.goto(f"{url}/dashboard/#ticket={ticket}")
    await page.get_by_role("heading", name="Board").wait_for()
    assert "ticket" not in page.url
    for language in ("pt", "es", "en"):
        await page.get_by_role("combobox").first.select_option(language)
        for name in PAGES:
            await show(page, name)
            if language == "en":
                assert await flaws(page) == [], name
                await look(page, name if name != "board" else "board-empty")
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.get_by_label("Colours").select_option("dark")
    for name in PAGES:
        await show(page, name)
        assert await flaws(page) == [], f"{name} on a phone, dark"
        assert await page.evaluate(OVERFLOW) == 0, f"{name} is wider than a phone"
    await look(page, "settings-phone")
    await page.set_viewport_size({"width": 1280, "height": 800})
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("button", name="Sign in", exact=True).wait_for()
    assert faults == []


async def until_recorded(url: str, key: str, number: str, emoji: str) -> None:
    """The record follows events by a moment."""
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}) as admin:

        async def told() -> bool:
            found = (await admin.post("/v1/chat/messages", json={"to": CUSTOMER})).json()["messages"]
            return any(face["emoji"] == emoji for one in found for face in one["reactions"])

        await wait_until(told, 30, interval=0.1, message=f"{emoji} is on record")


@pytest.mark.timeout(300)
async def test_the_sandbox_inside_and_the_board_by_keys(fleet: Fleet, browser: Browser) -> None:
    """A supervisor scans, writes as a contact, breaks things; then moves, opens, answers and ends without a mouse."""
    url, keys = fleet.ready["http_url"], fleet.ready["tenants"]
    demo, acme = ({"Authorization": f"Bearer {keys[name]['api_key']}"} for name in ("demo", "acme"))
    faults: list[str] = []
    account, second, contact = (new_number()[1:] for _ in range(3))
    async with httpx.AsyncClient(base_url=url, headers=demo, timeout=30) as admin, plain(fleet) as program:
        for user, role in (("rui", "supervisor"), ("ivo", "attendant")):
            made = {"user": user, "password": "correct horse", "role": role}
            assert (await admin.post("/v1/users", json=made)).status_code == 201
        page, other = await page_of(browser, faults), await page_of(browser, faults)
        await sign_in(page, url, "rui")
        await sign_in(other, url, "ivo")
        assert await other.get_by_role("link", name="Sandbox").count() == 0
        assert (await other.request.get(f"{url}/v1/sandbox")).status == 403

        assert (await admin.post("/v1/sessions", json={"session_id": "bench"})).status_code == 201
        await wait_until(lambda: program.of("qr", "bench"), 60, message="a QR code is shown")
        await show(page, "sandbox")
        link = page.get_by_role("region", name="Phones")
        if await link.get_by_label("The phone's number").is_hidden():
            await link.get_by_text("Link a phone").click()
        await link.get_by_label("The phone's number").fill(account)
        await link.get_by_label("How to link").select_option("bench")
        await link.get_by_role("button", name="Scan", exact=True).click()
        await link.get_by_role("link", name=f"+{account}").click()

        code = {"session_id": "bench2", "pairing": "code", "phone_number": f"+{second}"}
        assert (await admin.post("/v1/sessions", json=code)).status_code == 201
        await wait_until(lambda: program.of("pairing_code", "bench2"), 60, message="a pairing code is shown")
        if await link.get_by_label("The phone's number").is_hidden():
            await link.get_by_text("Link a phone").click()
        await link.get_by_label("The phone's number").fill(second)
        await link.get_by_label("How to link").select_option("")
        typed = program.of("pairing_code", "bench2")[-1]["data"]["code"]
        await link.get_by_role("textbox", name="Pairing code").fill(typed)
        await link.get_by_role("button", name="Type the code").click()
        await program.reached("bench2", "WORKING")

        people = page.get_by_role("region", name="Contacts")
        await people.get_by_label("Number").fill(contact)
        await people.get_by_label("Name").fill("Dora")
        await people.get_by_role("button", name="Add", exact=True).click()
        await page.get_by_label("Write as this contact").fill("Is it open?")
        await page.keyboard.press("Enter")
        bubble = page.locator(".message.own").filter(has_text="Is it open?")
        await bubble.locator(".tick.delivered").wait_for()
        said = {"to": f"+{contact}", "type": "text", "text": {"body": "Until six."}}
        assert (await admin.post("/v1/sessions/bench/messages", json=said)).status_code == 202
        reply = page.locator(".message:not(.own)").filter(has_text="Until six.")
        await reply.hover()
        await reply.get_by_label("React").click()
        await reply.get_by_role("button", name="🙏").click()
        await reply.locator(".faces").get_by_text("🙏").wait_for()
        broken = page.get_by_role("region", name="Faults")
        await broken.get_by_label("Kind").select_option("late_receipts")
        await broken.get_by_role("button", name="Strike").click()
        await broken.locator("li").get_by_text("late_receipts").wait_for()
        assert await flaws(page) == []
        await look(page, "sandbox")
        await broken.get_by_role("button", name="Clear").click()
        await broken.locator("li").wait_for(state="detached")

        async with httpx.AsyncClient(base_url=url, headers=acme, timeout=30) as stranger:
            theirs = (await stranger.get("/v1/sandbox")).json()["phones"]
            assert account not in {phone["number"] for phone in theirs}
            chat = f"/v1/sandbox/phones/{account}/chats"
            for refused, status in (
                (stranger.get(chat), 404),
                (stranger.get(f"{chat}/{contact}"), 404),
                (stranger.post(f"{chat}/{contact}/messages", json={"text": "x"}), 404),
                (stranger.post(f"/v1/sandbox/phones/{account}/link", json={"qr": "x"}), 403),
                (stranger.post(f"/v1/sandbox/phones/{account}/faults", json={"kind": "close"}), 404),
                (stranger.post(f"/v1/sandbox/contacts/{account}", json={"name": "x"}), 403),
                (admin.get("/v1/sandbox/phones/12ab/chats"), 400),
                (admin.post(f"/v1/sandbox/phones/{account}/faults", json={"kind": "nope"}), 400),
            ):
                assert (await refused).status_code == status

        await page.get_by_role("link", name="Board").click()
        await page.get_by_role("heading", name="Board").wait_for()
        await page.keyboard.press("?")
        await page.get_by_role("dialog", name="Keyboard").get_by_text("Move the card").wait_for()
        assert await flaws(page) == []
        await page.keyboard.press("Escape")
        await page.get_by_role("dialog", name="Keyboard").wait_for(state="detached")
        await page.keyboard.press("/")
        await page.keyboard.type("bench")
        await page.keyboard.press("Enter")
        await expect(page.locator(".card")).to_have_count(1, timeout=SLOW_MS)
        await page.locator("main").focus()
        await page.keyboard.press("ArrowDown")
        await expect(page.locator(".card-name")).to_be_focused()
        await page.keyboard.press("d")
        await expect(page.locator("[data-column=done] .card-name")).to_be_focused(timeout=SLOW_MS)
        await page.keyboard.press("Shift+ArrowLeft")
        await expect(page.locator("[data-column=active] .card-name")).to_be_focused(timeout=SLOW_MS)
        await page.keyboard.press("Enter")
        await page.get_by_text("Is it open?").wait_for()
        await page.keyboard.press("c")
        await page.keyboard.type("Come in!")
        await page.keyboard.press("Enter")
        await page.locator(".message.own").filter(has_text="Come in!").wait_for()
        await page.keyboard.press("Escape")
        await page.keyboard.press("ArrowUp")
        await expect(page.locator(".message:focus")).to_have_count(1)
        await page.keyboard.press("d")
        await page.locator(".head .badge").get_by_text("Done").wait_for()
    assert faults == []


@pytest.mark.timeout(300)
async def test_inboxes_opt_outs_labels_and_channels(fleet: Fleet, browser: Browser) -> None:
    """A supervisor keeps each; what is refused is told in words; an attendant sees them and changes nothing. Who writes
    to two numbers of an inbox has one card, with what was said to both, and is answered through the inbox."""
    url = fleet.ready["http_url"]
    demo = {"Authorization": f"Bearer {fleet.ready['tenants']['demo']['api_key']}"}
    faults: list[str] = []
    number, second, customer = new_number(), new_number(), new_number()
    async with (
        httpx.AsyncClient(base_url=url, headers=demo, timeout=30) as admin,
        plain(fleet) as program,
        sandbox(fleet) as whatsapp,
    ):
        for user, role in (("eva", "supervisor"), ("teo", "attendant")):
            made = {"user": user, "password": "correct horse", "role": role}
            assert (await admin.post("/v1/users", json=made)).status_code == 201
        await pair(program, whatsapp, "shop", number)
        await pair(program, whatsapp, "shop2", second)
        await whatsapp.post("/api/contacts", number=customer, name="Nina")
        await whatsapp.post(f"/api/contacts/{customer}/send", to=number, type="text", text="PARE")
        page = await page_of(browser, faults)
        other = await page_of(browser, faults, viewport={"width": 390, "height": 800}, color_scheme="dark")
        await sign_in(page, url, "eva")
        await sign_in(other, url, "teo")

        await show(page, "inboxes")
        await page.get_by_role("button", name="New inbox").click()
        await page.get_by_label("Name").fill("@support")
        await page.get_by_label("Sessions").fill("shop nowhere")
        await page.get_by_role("button", name="Save").click()
        await page.locator(".notice.bad").get_by_role("button", name="Close").click()
        await page.get_by_label("Sessions").fill("shop shop2")
        assert await flaws(page) == []
        await page.get_by_role("button", name="Save").click()
        row = page.get_by_role("row").filter(has_text="@support")
        await row.get_by_text("shop2").wait_for()
        await look(page, "inboxes")

        async def opted_out() -> bool:
            found = (await admin.post("/v1/consent/opt_outs", json={})).json()["opt_outs"]
            return any(one["person"]["pn"] == customer for one in found)

        await wait_until(opted_out, 60, message="the word is on record")
        await show(page, "optouts")
        await page.get_by_role("row").filter(has_text="Nina").get_by_text("Wrote “pare”").wait_for()
        await page.get_by_label("May this person be written to?").fill("12")
        await page.keyboard.press("Enter")
        await page.locator(".notice.bad").get_by_role("button", name="Close").click()
        await page.get_by_label("May this person be written to?").fill(customer)
        await page.keyboard.press("Enter")
        person = page.get_by_role("region", name=customer)
        await person.get_by_text("Opted out.").wait_for()
        await person.get_by_label("Purpose").fill("marketing")
        await person.get_by_label("Source").fill("at the counter")
        await person.get_by_role("button", name="Record a consent").click()
        consents = page.get_by_role("table", name="Consents")
        await consents.get_by_text("at the counter").wait_for()
        assert await flaws(page) == []
        await look(page, "optouts")
        await person.get_by_role("button", name="Opt in again").click()
        await person.get_by_text("Has not opted out.").wait_for()
        words = page.get_by_label("One word or phrase a line")
        await words.fill("Basta!\nsair")
        await words.locator("xpath=ancestor::form").get_by_role("button", name="Save").click()

        async def saved() -> bool:
            found = (await admin.post("/v1/consent/words", json={})).json()
            return (found["words"], found["usual"]) == (["basta", "sair"], False)

        await wait_until(saved, 60, message="the words are kept")

        await show(page, "team")
        joined = page.get_by_label("Cards of a person who writes to several numbers")
        await joined.select_option("by_inbox")
        await joined.locator("xpath=ancestor::form").get_by_role("button", name="Save").click()

        async def switched() -> bool:
            found = (await admin.post("/v1/policy/get", json={})).json()
            return bool(found["policy"].get("cards") == "by_inbox")

        await wait_until(switched, 60, message="the policy is kept")
        await whatsapp.post(f"/api/contacts/{customer}/send", to=second, type="text", text="And here?")
        await show(page, "board")
        card = page.get_by_role("region", name="Waiting").locator(".card").filter(has_text="Nina")
        await card.get_by_text("@support").wait_for()
        await expect(page.locator(".card").filter(has_text="Nina")).to_have_count(1, timeout=SLOW_MS)
        await card.get_by_role("link", name="Nina").click()
        for text in ("PARE", "And here?"):
            await page.locator(".message").get_by_text(text).wait_for()
        await page.get_by_label("Message", exact=True).fill("We are one shop.")
        await page.keyboard.press("Enter")
        await (
            page.locator(".message.own").filter(has_text="We are one shop.").locator(".tick.read").wait_for()
        )
        await wait_until(
            lambda: any(one["data"].get("inbox_id") == "@support" for one in program.of("status")), 60
        )

        await show(page, "labels")
        await page.get_by_label("Session").select_option("shop")
        for name in ("Paid", "To be shipped"):
            await page.get_by_role("button", name="New label").click()
            await page.get_by_label("Name").fill(name)
            await page.get_by_role("button", name="Save").click()
            await page.get_by_role("table", name="Labels").get_by_text(name).wait_for()
        await page.get_by_role("button", name="New channel").click()
        await page.get_by_label("Name").fill("Offers")
        await page.get_by_role("button", name="Create").click()
        channels = page.get_by_role("table", name="Channels")
        await channels.get_by_text("Offers").wait_for()
        await channels.get_by_role("button", name="Post").click()
        await page.get_by_label("Text").fill("New lamps!")
        await page.get_by_role("dialog").get_by_role("button", name="Post").click()
        await page.get_by_role("dialog").wait_for(state="detached")
        await wait_until(lambda: "New lamps!" in str(program.of("post", "shop")), 60, message="it is posted")
        await page.get_by_label("Link or id of a channel").fill("nowhere")
        await page.keyboard.press("Enter")
        await page.locator(".notice.bad").get_by_role("button", name="Close").click()
        assert await flaws(page) == []
        await look(page, "labels")

        for name, button in (("inboxes", "New inbox"), ("optouts", "Save"), ("labels", "New label")):
            await show(other, name)
            assert await other.get_by_role("button", name=button).count() == 0
            assert await other.evaluate(OVERFLOW) == 0, f"{name} is wider than a phone"
            assert await flaws(other) == []
            await look(other, f"{name}-phone")
    assert faults == []
