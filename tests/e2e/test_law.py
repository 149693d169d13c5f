"""On a real fleet: a person erased from every file of it, and a backup that resumes on an empty machine."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support import block_until, wait_until
from tests.support.running import PWW, Fleet, Plain, new_number, pair, plain, sandbox

CONTACT = "+5511966660017"
NEIGHBOUR = "+5511966660018"
WORDS = "jabuticabeira-centenaria"


def pww(*arguments: str | Path, status: int = 0, env: dict[str, str] | None = None) -> Any:
    """A command's answer in JSON."""
    done = subprocess.run(
        [PWW, *arguments, "--format", "json"], capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def named_in(data_dir: Path, *words: str) -> list[str]:
    """Files in which something of a person stands. The sandbox is WhatsApp itself, not ours to erase from."""
    found = []
    for path in sorted(data_dir.rglob("*")):
        if path.is_file() and "sandbox" not in path.relative_to(data_dir).parts:
            raw = path.read_bytes()
            found += [f"{path.relative_to(data_dir)}: {word}" for word in words if word.encode() in raw]
    return found


@pytest.mark.timeout(240)
async def test_a_person_is_erased_from_every_file(fleet: Fleet) -> None:
    """By the command line: database, streams, Signal keys; the neighbour stays, and the session goes on."""
    data_dir = fleet.directory / "data"
    number = new_number()
    async with plain(fleet) as program, sandbox(fleet) as whatsapp:
        await pair(program, whatsapp, "law", number)
        for contact in (CONTACT, NEIGHBOUR):
            await program.send("law", f"to-{contact[-2:]}", contact, f"{WORDS} to {contact[-2:]}")
            await wait_until(lambda c=contact: "read" in program.steps(f"to-{c[-2:]}"), 40)  # type: ignore[misc, arg-type]
            await whatsapp.post(f"/api/contacts/{contact}/send", to=number, type="text", text=f"{WORDS} back")
        await wait_until(lambda: len(_inbound(program)) >= 2, 40, message="both answered")
        lid = next(e["data"]["chat"]["lid"] for e in _inbound(program) if e["data"]["chat"]["pn"] == CONTACT)

        async def recorded() -> bool:
            found = await program.ask("chat.messages", to=CONTACT)
            return found["ok"] and len(found["data"]["messages"]) >= 2

        await wait_until(recorded, 40, message="the conversation is recorded")
        assert named_in(data_dir, CONTACT[1:]) != []
        where = ("--data-dir", data_dir, "--tenant", "demo")
        receipt = pww("erase", CONTACT, "--reason", "LGPD art. 18", "--actor", "dpo", *where)
        assert receipt["state"] == "done"
        assert receipt["counts"]["messages"] >= 2
        left = named_in(data_dir, CONTACT[1:], *([lid] if lid else []), f"{WORDS} to 17")
        assert left == []
        assert named_in(data_dir, NEIGHBOUR[1:]) != []
        assert len((await program.ok("chat.messages", to=NEIGHBOUR))["messages"]) >= 2
        assert (await program.ask("chat.messages", to=CONTACT))["error"]["code"] == "E_CHAT_NOT_FOUND"
        # Who was erased can write and be written to again.
        await program.send("law", "anew", CONTACT, "Olá!")
        await wait_until(lambda: "read" in program.steps("anew"), 40)
    assert not [word for word in (CONTACT[1:], NEIGHBOUR[1:], number[1:], WORDS) if word in fleet.log]
    assert pww("audit", "verify", *where)["ok"]
    actions = [entry["action"] for entry in pww("audit", "list", "--actor", "dpo", *where)["entries"]]
    assert actions == ["data.erase", "data.erase_requested"]


def _inbound(program: Any) -> list[dict[str, Any]]:
    return [event for event in program.of("message", "law") if not event["data"]["from_self"]]


@pytest.fixture
def whatsapp_alone(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A local WhatsApp that outlives fleets; what it tells of itself."""
    told = tmp_path / "whatsapp.json"
    process = subprocess.Popen(
        [PWW, "sandbox", "--data-dir", tmp_path / "whatsapp", "--ready-file", told], stdin=subprocess.PIPE
    )
    try:
        block_until(told.exists, 40, message="the sandbox listens")
        yield json.loads(told.read_text())
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.timeout(400)  # three starts of a fleet
async def recorded(program: Plain, command: str, status: str) -> bool:
    """Whether the record, which follows the events, has it."""
    return bool((await program.ok("message.status", id=command))["status"]["status"] == status)


async def test_a_backup_resumes_on_an_empty_machine(tmp_path: Path, whatsapp_alone: dict[str, Any]) -> None:
    """No QR; nothing sent twice; a wrong key or a cut file restore nothing; the master key can be changed after it."""
    network = {
        "PWW_WHATSAPP_URL": whatsapp_alone["ws_url"],
        "PWW_WHATSAPP_ROOT_KEY": whatsapp_alone["root_key"],
        "PWW_WHATSAPP_CA": whatsapp_alone["media_ca"],
    }
    number, other = new_number(), new_number()
    file, key = tmp_path / "fleet.backup", tmp_path / "backup.key"
    first = Fleet(tmp_path / "first", "--no-sandbox", env=network)
    try:
        first.start()
        first.ready["sandbox_url"] = whatsapp_alone["http_url"]
        async with plain(first) as program, sandbox(first) as whatsapp:
            await pair(program, whatsapp, "s1", number)
            await pair(program, whatsapp, "s2", other)
            await program.send("s1", "before", CONTACT, "before")
            await wait_until(lambda: "read" in program.steps("before"), 40)
            # WhatsApp cannot be reached by s2: what is sent waits in its queue.
            await whatsapp.post("/api/faults", kind="refuse_connect", account=other, count=100_000)
            await whatsapp.post("/api/faults", kind="close", account=other)
            await program.reached("s2", "RECONNECTING")
            await program.send("s2", "queued", CONTACT, "queued")
            await wait_until(lambda: "accepted" in program.steps("queued"), 40)
            await wait_until(partial(recorded, program, "before", "read"), 40)
            pww("backup", file, "--key-file", key, "--new-key", "--data-dir", first.directory / "data")
            # What the first fleet does after the backup: it sends what was queued in it.
            await whatsapp.delete("/api/faults")
            await wait_until(lambda: "read" in program.steps("queued"), 90)
    finally:
        first.stop()
    shutil.rmtree(first.directory / "data")
    second = Fleet(tmp_path / "second", "--no-sandbox", env=network)
    second.directory.mkdir()
    target = second.directory / "data"
    _refuses(tmp_path, file, key, target)
    told = pww("restore", file, "--key-file", key, "--data-dir", target)
    assert told["unknown"] == 1
    try:
        second.start()
        second.ready["sandbox_url"] = whatsapp_alone["http_url"]
        async with plain(second) as program, sandbox(second) as whatsapp:
            await _works(program, "s1", "s2")
            assert (await program.ok("message.status", id="queued"))["status"]["status"] == "unknown"
            for again in ("before", "queued"):
                await program.send("s1" if again == "before" else "s2", again, CONTACT, again)
            await program.send("s1", "after", CONTACT, "after")
            await program.send("s2", "after-2", CONTACT, "after-2")
            await wait_until(lambda: {"read"} & {*program.steps("after")}, 40)
            await wait_until(lambda: {"read"} & {*program.steps("after-2")}, 40)
            assert [entry["text"] for entry in await whatsapp.decrypted(number)] == ["before", "after"]
            assert [entry["text"] for entry in await whatsapp.decrypted(other)] == ["queued", "after-2"]
            assert program.of("qr") == []
        second.stop()
        _rotate(target)
        second.start()
        async with plain(second) as program:
            await _works(program, "s1", "s2")
            assert program.of("qr") == []
    finally:
        second.stop()


async def _works(program: Any, *sessions: str) -> None:
    for session in sessions:

        async def works(name: str = session) -> bool:
            return bool((await program.ok("session.status", session_id=name))["status"] == "WORKING")

        await wait_until(works, 60, interval=0.1, message=f"{session} resumes")


def _refuses(tmp_path: Path, file: Path, key: Path, target: Path) -> None:
    """Another key, or a byte missing (more ways: the archive's own tests): a code each, and nothing is there."""
    wrong, cut = tmp_path / "wrong.key", tmp_path / "cut.backup"
    wrong.write_text(secrets.token_hex(32))
    cut.write_bytes(file.read_bytes()[:-1])
    for archive, with_key, code in ((file, wrong, "E_BACKUP_KEY"), (cut, key, "E_BACKUP_DAMAGED")):
        answer = pww("restore", archive, "--key-file", with_key, "--data-dir", target, status=1)
        assert answer["error"]["code"] == code
        assert list(target.parent.iterdir()) == []


def _rotate(data_dir: Path) -> None:
    """The master key changed, as RUNBOOKS tells."""
    old = (data_dir / "encryption.key").read_text().strip()
    new = secrets.token_hex(32)
    environ = {
        **os.environ,
        "PWW_ENCRYPTION_KEY": f"{new},{old}",
        "PWW_DATABASE_URL": f"sqlite:///{data_dir}/fleet.db",
    }
    subprocess.run([PWW, "rotate-key"], env=environ, check=True, timeout=60, capture_output=True)
    (data_dir / "encryption.key").write_text(new + "\n")
