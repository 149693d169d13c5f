"""The examples, as their readers run them, against a fleet with real Baileys."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from tests.support import wait_until
from tests.support.running import Fleet, Sandbox, new_number, pair, plain, sandbox

EXAMPLES = Path(__file__).parents[2] / "examples"
CUSTOMER, OTHER, ASKER = "+5511977776666", "+5511977775555", "+5511977774444"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
Run = Callable[..., tuple[subprocess.Popen[bytes], Path]]


@pytest.fixture
def run(fleet: Fleet, tmp_path: Path) -> Iterator[Run]:
    """Starts an example; what it prints is in the file."""
    running: list[subprocess.Popen[bytes]] = []

    def start(example: str, *arguments: str, **env: str) -> tuple[subprocess.Popen[bytes], Path]:
        output = tmp_path / f"output-{len(running)}"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-u", EXAMPLES / example, *arguments],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                env={**os.environ, "PWW_READY": str(fleet.ready_file), **env},
            )
        running.append(process)
        return process, output

    yield start
    for process in running:
        process.terminate()
        process.wait(20)


def says(output: Path, told: str) -> bool:
    return told in output.read_text()


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
async def test_the_django_support_desk(fleet: Fleet, run: Run, tmp_path: Path) -> None:
    """From signing in to DONE in a browser; what was said is in the project's own database, and after a restart too."""
    process, output = run(
        "django_support/manage.py", "desk", "--port", "0", DESK_DATA_DIR=str(tmp_path / "desk")
    )
    await wait_until(lambda: "http://" in output.read_text() or process.poll() is not None, 60)
    found = re.search(r"password (\S+) .*\n(http\S+)", output.read_text())
    assert found is not None, output.read_text()
    password, url = found.groups()
    async with sandbox(fleet) as whatsapp, async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page()
        page.set_default_timeout(60_000)
        await sign_in(page, url, password)
        number = await link(page, whatsapp, fleet)
        await whatsapp.post("/api/contacts", number=CUSTOMER, name="Clara")
        await whatsapp.post(f"/api/contacts/{CUSTOMER}/send", to=number, type="text", text="Is it open?")
        await page.get_by_role("region", name="New").get_by_role("button", name="Clara").click()
        await page.get_by_role("region", name="Conversation").get_by_text("Is it open?").wait_for()
        await page.get_by_label("Message").fill("<b>Until six</b>")
        await page.keyboard.press("Enter")
        await page.get_by_text("<b>Until six</b>").wait_for()
        await page.get_by_text("✓✓ read").wait_for()
        await page.get_by_role("region", name="Active").get_by_text("ana").wait_for()
        await page.get_by_role("button", name="Done").click()
        await page.get_by_role("region", name="Done").get_by_role("button", name="Clara").wait_for()
        if folder := os.environ.get("PWW_TEST_SCREENSHOTS"):
            await page.screenshot(path=Path(folder) / "django.png")
        await page.goto(f"{url}admin/pywhatsweb/message/")
        await page.get_by_text("Is it open?").wait_for()
        await page.get_by_text("<b>Until six</b>").wait_for()
        await browser.close()


async def test_desk_and_audit_in_a_terminal(fleet: Fleet, run: Run) -> None:
    """Two attendants' commands through a pipe; then who did what, as a table."""
    number = new_number()
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        await pair(program, whatsapp, "terminal", number)
        await whatsapp.post("/api/contacts", number=OTHER, name="Davi")
        await whatsapp.post(f"/api/contacts/{OTHER}/send", to=number, type="text", text="Hello?")

        async def waits() -> bool:
            chats = (await program.ok("chat.list", status="new", session_id="terminal"))["chats"]
            return [chat["name"] for chat in chats] == ["Davi"]

        await wait_until(waits, 60)
        process, output = run("support_desk/desk.py", "eva", "terminal")
        assert process.stdin is not None
        for line, told in (("", "Hello?"), ("Hi, Davi", ""), ("done", "Done."), ("again", "Nobody is here")):
            process.stdin.write(f"{line}\n".encode())
            process.stdin.flush()
            await wait_until(partial(says, output, told), 60, message=told)

        async def answered() -> bool:
            return [entry["text"] for entry in await whatsapp.decrypted(number)] == ["Hi, Davi"]

        await wait_until(answered, 60)
        assert program.of("chat", "terminal")[-1]["data"]["by"] == "eva"
    audit, output = run("audit/trail.py", "demo")
    await wait_until(lambda: audit.poll() is not None, 60)
    rows = list(csv.DictReader(output.read_text().splitlines()))
    assert audit.returncode == 0
    assert ("session.start", "terminal") in {(row["action"], row["target"]) for row in rows}


async def test_quick_start_and_the_price_bot(fleet: Fleet, run: Run) -> None:
    """A question is answered with the price; a text from plain nats-py is followed until it is read."""
    number, tenant = new_number(), next(iter(fleet.ready["tenants"]))
    async with plain(fleet, tenant) as program, sandbox(fleet) as whatsapp:
        await pair(program, whatsapp, "shop", number)
        _, output = run("chatbot/prices.py", "shop", tenant)
        await wait_until(partial(says, output, "Answering in session"), 60)
        await whatsapp.post(
            f"/api/contacts/{ASKER}/send", to=number, type="text", text="Qual o preço do café?"
        )

        async def texts() -> list[str]:
            return [entry["text"] for entry in await whatsapp.decrypted(number)]

        async def answered() -> bool:
            return await texts() == ["Café: R$ 9,90"]

        await wait_until(answered, 60)
        process, output = run("quick_start/send.py", "shop", ASKER, "Olá do Python!")
        await wait_until(lambda: process.poll() is not None, 60)
        assert process.returncode == 0, output.read_text()
        assert output.read_text().splitlines()[-1].startswith("read")
        assert "Olá do Python!" in await texts()


async def sign_in(page: Page, url: str, password: str) -> None:
    await page.goto(url)
    await page.get_by_label("Username").fill("ana")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("region", name="New").wait_for()


async def link(page: Page, whatsapp: Sandbox, fleet: Fleet) -> str:
    """A session, linked by the code that the page shows; its number."""
    number = new_number()
    await page.get_by_label("Session", exact=True).fill("django")
    await page.get_by_role("button", name="Link").click()
    await page.get_by_alt_text("QR code").wait_for()
    async with plain(fleet) as program:
        await whatsapp.scan(number, (await program.ok("session.qr", session_id="django"))["code"])
    await page.get_by_text("django: WORKING").wait_for()
    return number
