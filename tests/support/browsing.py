"""The dashboard in a browser: pages that tell their faults, signing in, axe-core's findings, pictures for people."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, expect

SLOW_MS = 60_000
AXE = Path(__file__).parents[2] / "sidecar-node" / "node_modules" / "axe-core" / "axe.min.js"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


async def page_of(browser: Browser, faults: list[str], **options: Any) -> Page:
    context = await browser.new_context(locale="en-US", **options)
    page = await context.new_page()
    page.set_default_timeout(SLOW_MS)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("http://127.0.0.1:", "data:", "blob:"))
            else faults.append(request.url)
        ),
    )
    return page


async def sign_in(page: Page, url: str, user: str) -> None:
    await page.goto(url)
    await page.get_by_label("Organisation").fill("demo")
    await page.get_by_label("User").fill(user)
    await page.get_by_label("Password").fill("correct horse")
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await page.get_by_role("heading", name="Board").wait_for()


async def show(page: Page, name: str) -> None:
    """A page, when it has loaded what it shows."""
    await page.locator(f"nav a[href$='/{name}']").click()
    await page.locator("main h1").wait_for()
    await expect(page.locator("main [aria-busy]")).to_have_count(0, timeout=SLOW_MS)
    assert await page.locator("main [role=alert]").count() == 0, name


async def flaws(page: Page) -> list[str]:
    """What axe-core finds serious or worse (WCAG 2.1 A and AA), and where."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE.read_text())
    levels = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
    found = await page.evaluate("levels => axe.run(document, {runOnly: levels})", levels)
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


async def look(page: Page, name: str) -> None:
    """A picture for people, where one is asked for."""
    if folder := os.environ.get("PWW_TEST_SCREENSHOTS"):
        await expect(page.locator(".notice.ok")).to_have_count(0, timeout=SLOW_MS)
        await page.screenshot(path=Path(folder) / f"{name}.png")
