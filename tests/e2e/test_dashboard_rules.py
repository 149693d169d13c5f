"""What supervisors write in the dashboard, in a real browser: the board's rules by the keys, templates with buttons."""

from __future__ import annotations

import contextlib
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Error, Page, expect

from tests.e2e.test_dashboard import CHROMIUM, browser
from tests.support.browsing import flaws, look, page_of, show
from tests.support.running import Fleet

__all__ = ["browser"]  # the fixture

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


async def names(page: Page) -> list[str]:
    return await page.locator("ol.rules li strong").all_inner_texts()


async def new_rule(page: Page, name: str, trigger: str, action: str) -> None:
    """Opens the editor and says what every rule has."""
    dialog = page.get_by_role("dialog")
    for _ in range(10):  # the list may be drawn anew, and its button with it, before the key is down
        await page.get_by_role("button", name="New rule").press("Enter")
        with contextlib.suppress(Error):
            await dialog.wait_for(timeout=5000)
            break
    await page.get_by_label("Name").fill(name)
    await page.get_by_label(trigger, exact=True).check()
    await page.get_by_label("Do this").select_option(action)


@pytest.mark.timeout(300)
async def test_a_template_with_buttons(fleet: Fleet, browser: Browser) -> None:
    """Written a line each, shown as they will be, and stored as buttons; what does not fit is told."""
    faults: list[str] = []
    page = await page_of(browser, faults)
    key = {"Authorization": f"Bearer {fleet.ready['tenants']['acme']['api_key']}"}
    async with httpx.AsyncClient(base_url=fleet.ready["http_url"], headers=key, timeout=30) as admin:
        ticket = (await admin.post("/v1/tickets")).json()["ticket"]
        await page.goto(f"{fleet.ready['http_url']}/dashboard/#ticket={ticket}")
        await show(page, "templates")
        await page.get_by_role("button", name="New template").click()
        await page.locator("[name=name]").fill("confirm")
        await page.locator("[name=body]").fill("Shall we come, {{who}}?")
        await page.locator("[name=examples]").fill("who=Ana")
        await page.locator("[name=buttons]").fill("Yes=yes\nLook=https://shop.example/{{who}}")
        await page.get_by_role("dialog").get_by_role("button", name="Save").click()
        await page.locator(".notice.bad").wait_for()
        await page.locator("[name=buttons]").fill("Yes=yes\nNo")
        await page.get_by_role("dialog").get_by_role("button", name="Save").click()
        await expect(page.get_by_role("dialog")).to_have_count(0)
        row = page.get_by_role("row").filter(has_text="confirm")
        await row.get_by_role("button", name="Preview").click()
        await page.get_by_role("dialog").get_by_text("Shall we come, Ana?").wait_for()
        assert await page.get_by_role("dialog").locator(".badge").all_inner_texts() == ["Yes", "No"]
        await look(page, "template-buttons")
        stored = (await admin.post("/v1/template/get", json={"name": "confirm"})).json()
        assert stored["buttons"] == [
            {"type": "reply", "text": "Yes", "id": "yes"},
            {"type": "reply", "text": "No"},
        ]
    await page.context.close()
    assert faults == []


@pytest.mark.timeout(300)
async def test_rules_are_made_ordered_switched_and_dropped(fleet: Fleet, browser: Browser) -> None:
    """With what does not fit told in the form; what is seen is what the policy has; nothing else of it changes."""
    faults: list[str] = []
    page = await page_of(browser, faults)
    key = {"Authorization": f"Bearer {fleet.ready['tenants']['acme']['api_key']}"}
    async with httpx.AsyncClient(base_url=fleet.ready["http_url"], headers=key, timeout=30) as admin:

        async def policy() -> dict[str, Any]:
            found: dict[str, Any] = (await admin.post("/v1/policy/get")).json()["policy"]
            return found

        hello = {"name": "rules_hello", "language": "en", "body": "Hello {{who}}!"}
        assert (await admin.post("/v1/template/put", json=hello)).status_code == 200
        set_so = {"policy": {"done_after_hours": 7, "groups": True}}
        assert (await admin.post("/v1/policy/set", json=set_so)).status_code == 200
        ticket = (await admin.post("/v1/tickets")).json()["ticket"]
        await page.goto(f"{fleet.ready['http_url']}/dashboard/#ticket={ticket}")
        await show(page, "team")

        await page.get_by_role("button", name="New rule").focus()
        await page.keyboard.press("Enter")
        await page.get_by_label("Name").fill("greet")
        await page.get_by_label("Do this").select_option("send_template")
        await page.locator("[name=template]").select_option("rules_hello en")
        await page.locator("[name='v:who']").fill("{name}")
        await page.get_by_role("dialog").get_by_role("button", name="Save").click()
        await page.get_by_role("alert").get_by_text("Choose when it happens.").wait_for()
        assert await flaws(page) == []
        await look(page, "rule-editor")
        await page.get_by_label("a chat opens", exact=True).check()
        await page.get_by_label("In these sessions").fill("shop, desk")
        await page.keyboard.press("Enter")
        await expect(page.locator("ol.rules li")).to_have_count(1)

        await new_rule(page, "tell", "it is done", "webhook")
        await page.locator("[name=webhook_id]").fill("nobody")
        await page.keyboard.press("Enter")
        await page.get_by_role("alert").get_by_text("nobody").wait_for()
        await page.get_by_label("Do this").select_option("alert")
        await page.locator("[name=message]").fill("Look at this chat")
        await page.get_by_label("Severity").select_option("high")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await new_rule(page, "greet", "it is done", "add_tags")
        await page.get_by_label("Tags to add").fill("late vip")
        await page.keyboard.press("Enter")
        await page.get_by_role("alert").get_by_text("A rule is called greet already.").wait_for()
        await page.get_by_label("Name").fill("tag")
        await page.get_by_role("dialog").get_by_role("button", name="Save").click()
        await expect(page.locator("ol.rules li")).to_have_count(2)
        assert await names(page) == ["greet", "tag"]

        up = page.get_by_role("button", name="Move tag up")
        await up.focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("ol.rules li strong").first).to_have_text("tag")
        await expect(page.get_by_role("button", name="Move tag down")).to_be_focused()
        await page.get_by_label("greet is on").focus()
        await page.keyboard.press("Space")
        await expect(page.locator("ol.rules li.dim strong")).to_have_text("greet")
        await page.get_by_role("button", name="Change tag").click()
        await page.get_by_label("With all of these tags").fill("gold")
        await page.get_by_role("dialog").get_by_role("button", name="Save").click()
        await page.get_by_text("Tags: gold").wait_for()
        assert await flaws(page) == []
        await look(page, "rules")
        await page.set_viewport_size({"width": 390, "height": 800})
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(wide) == 0
        await page.set_viewport_size({"width": 1280, "height": 800})
        stored = await policy()
        assert (stored["done_after_hours"], stored["groups"]) == (7, True)
        tag, greet = stored["rules"]
        assert (tag["id"], tag["on"], tag["tags"]) == ("tag", ["done"], ["gold"])
        assert tag["do"] == {"do": "add_tags", "tags": ["late", "vip"]}
        assert (greet["enabled"], greet["sessions"]) == (False, ["shop", "desk"])
        assert greet["do"]["variables"] == {"who": "{name}"}

        for language, title in (("pt", "O que o quadro faz sozinho"), ("es", "Lo que el tablero hace solo")):
            await page.get_by_role("combobox").first.select_option(language)
            await page.get_by_role("heading", name=title).wait_for()
        await page.get_by_role("combobox").first.select_option("en")
        page.once("dialog", lambda asked: asked.accept())
        await page.get_by_role("button", name="Delete tag").click()
        await expect(page.locator("ol.rules li")).to_have_count(1)
        assert [one["id"] for one in (await policy())["rules"]] == ["greet"]
        assert (await admin.post("/v1/policy/set", json={"policy": {}})).status_code == 200
    await page.context.close()
    assert faults == []
