"""`pww` as a person sees it, in a real terminal and from scripts, with one fleet."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import block_until, wait_until
from tests.support.running import PWW, Fleet, plain
from tests.support.terminal import COLUMNS, Terminal, terminal

TO = "+5511999990001"
in_terminal = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    running = Fleet(
        tmp_path_factory.mktemp("terminal"),
        "--engine",
        "simulated",
        "--no-sandbox",
        "--tenant",
        "demo",
        "empresa_a",
    )
    running.start()
    yield running
    running.stop()


def environment(fleet: Fleet) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PWW_", "TMUX"))}
    return {**kept, "PWW_DATA_DIR": str(fleet.directory / "data")}


@pytest.fixture
def screen(fleet: Fleet) -> Iterator[Terminal]:
    with terminal(environment(fleet)) as found:
        yield found


def pww(fleet: Fleet, *arguments: str, code: int = 0) -> str:
    """As a script runs it."""
    done = subprocess.run(
        [PWW, *arguments], capture_output=True, text=True, timeout=90, check=False, env=environment(fleet)
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def fits(text: str) -> bool:
    return max(map(len, text.splitlines()), default=0) <= COLUMNS


@in_terminal
async def test_the_qr_code_is_read_off_the_screen(fleet: Fleet, screen: Terminal) -> None:
    """By a reader of pictures; it is the code that WhatsApp asks for."""
    import zxingcpp

    async with plain(fleet) as program:
        text, code = await asyncio.to_thread(screen.run, PWW, "session", "start", "--id", "s1", timeout=120)
        assert (code, "WORKING" in text) == (0, True)
        await wait_until(lambda: program.session_status("s1") == "WORKING", 30)
        asked = {event["data"]["code"] for event in program.of("qr")}
    found = [barcode.text for barcode in zxingcpp.read_barcodes(screen.picture())]
    assert found
    assert set(found) <= asked


@in_terminal
def test_tables_and_help_fit_the_terminal(fleet: Fleet, screen: Terminal) -> None:
    """80 columns, whatever stands in them, and no traceback anywhere."""
    pww(
        fleet,
        "template",
        "put",
        "a_rather_long_name_of_a_template",
        "Olá {{nome}}, " * 20,
        "--language",
        "pt_BR",
    )
    pww(
        fleet,
        "session",
        "start",
        "--id",
        "a-session-with-a-name-that-is-as-long-as-it-may-be-0123456789",
        "--no-wait",
    )
    for command in (
        ("session", "list", "--all"),
        ("template", "list"),
        ("diag",),
        ("--help",),
        ("session", "start", "--help"),
    ):
        text, _ = screen.run(PWW, *command)
        lines = text.splitlines()
        assert lines
        assert "Traceback" not in text
        assert not [line for line in lines if len(line) > COLUMNS or line.endswith("\\")], command
        if command[-1] == "--help":
            assert "Usage: pww" in text


@in_terminal
@pytest.mark.parametrize("command", ["events --follow", "logs --follow"])
def test_ctrl_c_ends_it_cleanly(fleet: Fleet, screen: Terminal, command: str) -> None:
    """With the shell's code for it, no traceback, and a prompt."""
    screen.type(f"{PWW} {command}; echo en''ded=$?")
    if command.startswith("events"):

        def seen() -> bool:
            pww(fleet, "send", "--session", "s2", "--to", TO, "hi", "--wait", "none")
            return "rejected" in screen.screen()

        block_until(seen, 60, message="events are shown", interval=0.5)
    else:
        block_until(lambda: "ready" in screen.screen(), 30, message="what there is is shown")
    screen.interrupt()
    text, code = screen.ended("ended")
    assert code == 130
    assert "Traceback" not in text


@in_terminal
def test_long_work_leaves_a_clean_screen(fleet: Fleet, screen: Terminal, tmp_path: Path) -> None:
    """The bar is gone when it is done."""
    text, code = screen.run(PWW, "export", "--out", tmp_path / "all.zip", "--actor", "ana")
    assert (code, (tmp_path / "all.zip").stat().st_size > 0) == (0, True)
    assert "putting together" not in text
    assert "sha256" in text


def test_templates_from_the_command_line(fleet: Fleet) -> None:
    """Stored, previewed and sent; what is missing is told by its code."""
    pww(fleet, "session", "start", "s1", "--wait", "--timeout", "60")
    put = ("template", "put", "ola", "Olá, {{nome}}!", "--language", "pt_BR", "--example", "nome=Ana")
    assert "version" in pww(fleet, *put)
    assert "Olá, Ana!" in pww(fleet, "template", "preview", "ola")
    told = documents(
        pww(
            fleet,
            "send",
            "--template",
            "ola",
            "--var",
            "nome=Rita",
            "--session",
            "s1",
            "--to",
            TO,
            "--format",
            "json",
        )
    )
    assert told[-1]["status"] in ("sent", "delivered", "read")
    asked = ("template", "put", "pergunta", "Confirma, {{nome}}?", "--language", "pt_BR")
    pww(fleet, *asked, "--button", "Sim=yes", "Não", "--footer", "Loja", "--example", "nome=Ana")
    shown = pww(fleet, "template", "preview", "pergunta")
    assert "Confirma, Ana?" in shown
    assert "[Sim]  yes" in shown
    assert "Sim=yes, Não" in pww(fleet, "template", "show", "pergunta")
    pww(fleet, *asked, "--button", "Sim", "--button-link", "Ver=https://example.com", code=2)
    filled = ("send", "--template", "pergunta", "--var", "nome=Rita", "--session", "s1", "--to", TO)
    told = documents(pww(fleet, *filled, "--format", "json"))
    assert told[-1]["status"] in ("sent", "delivered", "read")
    missing = pww(fleet, "send", "--template", "ola", "--session", "s1", "--to", TO, code=1)
    assert "E_TEMPLATE_VARIABLE" in missing
    pww(fleet, "send", "--template", "ola", "text too", "--session", "s1", "--to", TO, code=2)
    pww(fleet, "session", "send", "--id", "s1", "--to", TO, "--text", "Teste CLI")


def test_what_is_wrong_is_found(fleet: Fleet, tmp_path: Path) -> None:
    """By diag, health and the tests of the way; each in words and for programs, with exit codes."""
    found = {
        one["name"]: one["state"] for one in documents(pww(fleet, "diag", "--verbose", "--format", "json"))
    }
    assert found["fleet"] == found["store"] == "ok"
    assert any(name.startswith("dispatcher") for name in found)
    assert "WORKING" in pww(fleet, "diag", "--session", "s1")
    assert "disk" in found
    assert "E_SESSION_NOT_FOUND" in pww(fleet, "diag", "--session", "nobody", code=1)
    assert "pww_health_ok 1" in pww(fleet, "health", "--format", "prometheus", "--sessions")
    ways = {one["name"] for one in documents(pww(fleet, "test", "connectivity", "--format", "json"))}
    assert ways >= {"broker", "control plane", "sessions", "gateway", "store"}
    pww(fleet, "test", "connectivity", "--data-dir", str(tmp_path), code=1)


def test_logs_are_kept_and_settings_shown_without_secrets(fleet: Fleet) -> None:
    """Of every service, as documents too; filters leave out the rest."""
    lines = documents(pww(fleet, "logs", "--lines", "1000", "--format", "json"))
    assert {one["service"] for one in lines} >= {"dispatcher", "kanban", "persistence"}
    times = [one["timestamp"] for one in lines]
    assert times == sorted(times)
    assert "ready" in pww(fleet, "logs", "--service", "dispatcher")
    assert pww(fleet, "logs", "--tenant", "nobody") == ""
    shown = pww(fleet, "config", "show")
    password = fleet.ready["tenants"]["demo"]["password"]
    assert fleet.ready["nats_url"] in shown
    assert password not in shown
    assert password not in pww(fleet, "logs", "--level", "debug", "--lines", "100000")


SAMPLES = """
pww --version
pww session start --id sessao_123 --tenant empresa_a
pww session list --active --format table --tenant empresa_a
pww session list --all --tenant empresa_a
pww session status --id sessao_123 --tenant empresa_a
pww session send --id sessao_123 --to 5511999999999 --text Teste --tenant empresa_a
pww diag --session sessao_123 --verbose --tenant empresa_a
pww diag --sidecar
pww diag --storage
pww logs --level debug --tenant empresa_a
pww health --sidecar --sessions --storage
pww health --format json
pww test compatibility
pww test connectivity --sidecar --websocket --storage
pww version --all
pww session stop --id sessao_123 --tenant empresa_a
"""
"""Lines of PyWhatsWeb 0.5's description of its command line, those that no other test here runs."""


def test_the_commands_that_05_showed(fleet: Fleet) -> None:
    """Each does what it did, under the same names."""
    for line in SAMPLES.split("\n")[1:-1]:
        told = pww(fleet, *line.split()[1:])
        assert "Traceback" not in told
        if "start" in line:
            pww(fleet, "session", "start", "sessao_123", "--tenant", "empresa_a", "--wait", "--timeout", "60")
