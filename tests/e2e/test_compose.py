"""docker-compose.yml as it is shipped: images build, it comes up, works, scales under load, and recovers from kills.

Minutes long, so not part of `make test`: `make docker`, or `pytest -m docker`. Skips where no engine answers.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
import wave
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import nats
import pytest
from packaging.utils import canonicalize_name

from pywhatsweb.client import connect
from tests.support import wait_until
from tests.support.compose import LONG_RUNNING, OURS, ROOT, VERSION, Compose, docker, inspect, no_engine
from tests.support.containers import program, whatsapp
from tests.support.dashboards import asking, queries
from tests.support.running import Plain, new_number, pair

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

CONTACT = "+5511988880001"
UP_S = 300
RECOVERS_S = 90
IMAGES = ("services", "worker", "sandbox")
_INSTALLED = (
    "import json; from importlib.metadata import distributions;"
    "print(json.dumps({d.name: d.version for d in distributions()}))"
)
_IMPORTING = """
import asyncio, os
from pywhatsweb_fleet.session_worker.engines.sidecar import node_launch
launch = asyncio.run(node_launch())
os.chdir(launch.cwd)
importing = ("--input-type=module", "-e", "await import('baileys')")
os.execve(launch.command[0], (*launch.command[:-1], *importing), {**launch.env, "NODE_DEBUG_NATIVE": "COMPILE_CACHE"})
"""
"""With the sidecar's flags and environment: another flag is another cache."""
IDLE = {"fleet: Files stored and sent", "queues: Posts"}
"""Panels of what nothing here does; tests/e2e/test_metrics.py does."""


@pytest.fixture(scope="module")
def images() -> dict[str, int]:
    """Every image, built as an operator builds it; its size in bytes."""
    if reason := no_engine():
        pytest.skip(reason)
    project = Compose()
    # One after another: the classic builder has no cache that two builds could share while both run.
    for service in ("setup", "session-worker", "sandbox"):
        project.run("build", service, timeout=800)
    return {target: int(inspect(f"pywhatsweb/{target}:{VERSION}", "{{.Size}}")) for target in IMAGES}


@pytest.fixture(scope="module")
def stack(images: dict[str, int]) -> Iterator[Compose]:
    project = Compose()
    try:
        seconds = project.up(timeout=UP_S)
        print(f"\nhealthy after {seconds:.1f} s")  # noqa: T201 - a figure for whoever runs it with -s
        yield project
    finally:
        logs = project.run("logs", "--no-color", "--tail", "400", timeout=60)
        (ROOT / ".benchmarks").mkdir(exist_ok=True)
        (ROOT / ".benchmarks" / "compose.log").write_text(logs)
        project.down()


def test_images_are_small_and_not_root(images: dict[str, int]) -> None:
    """Services add less than 200 MB to their base; every image has a user of its own, tini and a health check."""
    base = int(inspect("python:3.12-slim", "{{.Size}}"))
    print({name: f"{size / 1e6:.0f} MB" for name, size in images.items()}, f"base {base / 1e6:.0f} MB")  # noqa: T201
    assert images["services"] - base < 200e6
    for target in IMAGES:
        config = json.loads(inspect(f"pywhatsweb/{target}:{VERSION}", "{{json .Config}}"))
        assert config["User"] == "10001:10001"
        assert config["Entrypoint"][0] == "tini"
        assert config["Healthcheck"]["Test"]
        assert config["Labels"]["org.opencontainers.image.version"] == VERSION


@pytest.mark.parametrize("target", IMAGES)
def test_images_list_what_is_in_them(images: dict[str, int], target: str) -> None:
    """CycloneDX, made at the build: each Python package that is installed, and what the sidecar's lock file names."""
    image = f"pywhatsweb/{target}:{VERSION}"

    def say(*command: str) -> str:
        done = docker("run", "--rm", "--network", "none", "--entrypoint", *command[:1], image, *command[1:])
        assert done.returncode == 0, done.stderr
        return done.stdout

    if target != "sandbox":
        found = json.loads(say("cat", "/opt/sbom/python.cdx.json"))["components"]
        listed = {canonicalize_name(each["name"]): each["version"] for each in found}
        assert listed == {
            canonicalize_name(name): version
            for name, version in json.loads(say("python", "-c", _INSTALLED)).items()
        }
    if target != "services":
        lock = json.loads((ROOT / "sidecar-node" / "package-lock.json").read_text())["packages"]
        found = json.loads(say("cat", "/opt/sbom/node.cdx.json"))["components"]
        versions = {each["name"]: each["version"] for each in found}
        for name in ("baileys", "whatsapp-web.js"):
            assert versions[name] == lock[f"node_modules/{name}"]["version"]


def test_the_worker_has_its_sidecar_compiled(images: dict[str, int]) -> None:
    """On a read-only root, as its user, Node takes what it compiled at the build."""
    done = docker(
        "run", "--rm", "--read-only", "--network", "none", "--entrypoint", "python",
        f"pywhatsweb/worker:{VERSION}", "-c", _IMPORTING,
    )  # fmt: skip
    taken = re.findall(r"/node_modules/baileys/\S+ was accepted", done.stderr)
    assert len(taken) > 50, done.stderr[-2000:]


async def test_a_session_pairs_and_a_message_is_read(stack: Compose) -> None:
    """Everything is healthy; the real Baileys pairs with the sandbox across containers, and its text arrives."""
    assert stack.healthy(), stack.healths()
    number = new_number()
    async with program(stack) as user, whatsapp(stack) as local:
        await pair(user, local, "first", number)
        await user.send("first", "hello-1", CONTACT, "Olá do contêiner!")
        await wait_until(lambda: user.steps("hello-1")[-1:] == ["read"], 30, message="the contact read it")
        assert "Olá do contêiner!" in [entry["text"] for entry in await local.decrypted(number)]
        await local.post(f"/api/contacts/{CONTACT}/send", to=number, type="text", text="Oi!")
        await wait_until(
            lambda: [e for e in user.of("message", "first") if e["data"]["origin"] == "inbound"],
            30,
            message="the answer came",
        )
    assert '"status":"WORKING"' in stack.pww("session", "status", "first", "--format", "json")
    stack.pww("session", "stop", "first")
    assert json.loads(stack.pww("health", "--format", "json"))["ok"]


async def test_sound_is_converted_and_stored_across_containers(stack: Compose, tmp_path: Path) -> None:
    """ffmpeg of the worker's image makes a voice message of a WAV; the file lies in the volume that services share."""
    number, path = new_number(), tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as tone:
        tone.setparams((1, 2, 8000, 0, "NONE", ""))
        tone.writeframes(bytes(round(127 + 100 * math.sin(n / 3)) for n in range(16_000)))
    password = stack.tenant_password("demo")
    async with (
        program(stack) as user,
        whatsapp(stack) as local,
        connect(f"nats://{stack.address('nats', 4222)}", user="demo", password=password) as client,
    ):
        await pair(user, local, "voice", number)
        handle = await client.session("voice").send_voice(CONTACT, path)
        await handle.outcome("delivered", timeout=60)
        (entry,) = [entry for entry in await local.decrypted(number) if entry.get("media")]
        assert entry["media"]["mime_type"] == "audio/ogg; codecs=opus"
        await client.session("voice").stop()


async def test_scaling_under_load_loses_no_command(stack: Compose) -> None:
    """1 → 3 → 6 → 2 workers while every session sends: each command ends as sent, each text arrives once, in order.

    Twelve sessions, so that six workers with their fair share of two each all have some.
    """
    sessions = [f"load{number}" for number in range(12)]
    numbers = {session: new_number() for session in sessions}
    scaled = asyncio.Event()
    sent = dict.fromkeys(sessions, 0)
    async with program(stack) as user, whatsapp(stack) as local:
        for session in sessions:
            await pair(user, local, session, numbers[session])

        async def load(session: str) -> None:
            while not scaled.is_set():
                number = sent[session]
                await user.send(session, f"{session}-{number}", CONTACT, f"{session} {number}")
                sent[session] += 1
                await asyncio.sleep(1)

        async def spread(workers: int) -> bool:
            found = await user.ok("session.list")
            loads = Counter(told["worker"] for told in found["sessions"] if told["status"] == "WORKING")
            return sorted(loads.values()) == [len(sessions) // workers] * workers

        loads = asyncio.gather(*map(load, sessions))
        for scale in (3, 6, 2):
            await asyncio.to_thread(
                stack.up, "--scale", f"session-worker={scale}", "--no-recreate", "session-worker"
            )
            await wait_until(
                partial(spread, scale), 120, interval=0.5, message=f"{scale} workers have sessions"
            )
        scaled.set()
        await loads
        wanted = {f"{session}-{number}" for session in sessions for number in range(sent[session])}
        print(f"\n{len(wanted)} commands while workers came and went")  # noqa: T201

        def missing() -> set[str]:
            done = {
                e["data"]["command_id"]
                for e in user.of("status")
                if e["data"]["status"] in ("sent", "delivered", "read")
            }
            return wanted - done

        await wait_until(lambda: not missing(), 120, interval=0.2, message="every command was sent")
        for session in sessions:

            async def arrived(session: str = session) -> bool:
                texts = [e["text"] for e in await local.decrypted(numbers[session]) if e["kind"] == "message"]
                return texts == [f"{session} {number}" for number in range(sent[session])]

            await wait_until(
                arrived, 30, interval=0.5, message=f"all texts of {session} arrived once, in order"
            )
            await user.ok("session.stop", session_id=session)  # what follows has the machine for itself


async def test_every_panel_has_data(stack: Compose) -> None:
    """Prometheus scrapes every replica, knows every rule, and answers every query of the dashboards with a series."""
    async with program(stack) as user, whatsapp(stack) as local:
        number = new_number()
        await pair(user, local, "shown", number)
        await user.send("shown", "shown-1", CONTACT, "Olá!")
        await wait_until(lambda: user.steps("shown-1")[-1:] == ["read"], 30, message="it was read")
        await local.post(f"/api/contacts/{CONTACT}/send", to=number, type="text", text="Oi!")
        await wait_until(lambda: user.of("chat", "shown"), 30, message="the chat is on the board")
    async with httpx.AsyncClient(base_url=f"http://{stack.address('gateway', 8080)}") as http:
        assert (await http.get("/v1/sessions")).status_code == 401
    async with asking(f"http://{stack.address('prometheus', 9090)}") as asked:

        async def scraped() -> bool:
            return {series["metric"]["job"] for series in await asked.ask("up == 1")} == OURS

        await wait_until(scraped, 60, interval=1, message="every service is scraped")
        assert all(rule["health"] != "err" for rule in await asked.rules())
        wanted = [query for query in queries(tenant="demo", session="shown") if query.panel not in IDLE]

        async def all_there() -> bool:
            return not await asked.without_data(wanted)

        try:
            await wait_until(all_there, 60, interval=1)
        except AssertionError:
            assert not await asked.without_data(wanted)


@pytest.fixture(scope="module")
def survivor() -> str:
    """The number of the one session that lives through every kill."""
    return new_number()


@pytest.mark.parametrize("service", sorted(LONG_RUNNING))
async def test_a_killed_container_recovers(stack: Compose, survivor: str, service: str) -> None:
    """A crash: the engine starts it again, everything becomes healthy, and the session sends, once."""
    text = f"still there without {service}"
    async with program(stack) as user, whatsapp(stack) as local:
        if await _status(user, "survivor") is None:
            await pair(user, local, "survivor", survivor)
        await wait_until(lambda: _works(user, "survivor"), RECOVERS_S, message="the session works before")
        began = time.monotonic()
        by_itself = min(list(map(stack.crash, stack.containers(service))))
        published = asyncio.create_task(_publish(user, "survivor", f"after-{service}", text))
        if not by_itself:
            await asyncio.to_thread(stack.up, timeout=RECOVERS_S)
        await asyncio.wait_for(published, RECOVERS_S)
        await wait_until(
            lambda: user.steps(f"after-{service}")[-1:] in (["delivered"], ["read"]),
            RECOVERS_S,
            message="it was delivered",
        )
        print(f"\n{service}: recovered after {time.monotonic() - began:.1f} s")  # noqa: T201
        await wait_until(stack.healthy, RECOVERS_S, interval=0.5, message="everything is healthy")
        texts = [entry for entry in await local.decrypted(survivor) if entry["text"] == text]
        assert [entry["kind"] for entry in texts] == ["message"]


async def _status(user: Plain, session: str) -> str | None:
    """As the control plane tells it, asked until it answers; None where there is no such session."""
    while True:
        try:
            answer = await user.ask("session.status", session_id=session)
        except (nats.errors.Error, TimeoutError):
            await asyncio.sleep(0.5)
            continue
        return answer["data"]["status"] if answer["ok"] else None


async def _works(user: Plain, session: str) -> bool:
    return await _status(user, session) == "WORKING"


async def _publish(user: Plain, session: str, command_id: str, text: str = "still there") -> None:
    """As a client should: again, under the same id, until the broker says that it has it."""
    while True:
        try:
            answer = await user.send(session, command_id, CONTACT, text)
            if "stream" in answer:
                return
        except (nats.errors.Error, TimeoutError):
            pass
        await asyncio.sleep(0.5)


async def test_three_brokers_lose_each_in_turn(images: dict[str, int]) -> None:
    """The override: the fleet comes up on three nodes, and with any of them killed a command is still sent."""
    project = Compose("deploy/compose/nats-cluster.yml", nodes=3)
    try:
        print(f"\nthree nodes: healthy after {project.up(timeout=UP_S):.1f} s")  # noqa: T201
        assert project.healthy(), project.healths()
        async with program(project) as user, whatsapp(project) as local:
            await pair(user, local, "s1", new_number())
            for name in ("nats-3", "nats-2", "nats"):
                (node,) = project.containers(name)
                by_itself = project.crash(node)
                await asyncio.wait_for(_publish(user, "s1", name), RECOVERS_S)
                await wait_until(
                    lambda: user.steps(name)[-1:] in (["delivered"], ["read"]),  # noqa: B023 - awaited here
                    RECOVERS_S,
                    message=f"it was delivered without {name}",
                )
                if not by_itself:
                    await asyncio.to_thread(project.up, timeout=RECOVERS_S)
                await wait_until(project.healthy, RECOVERS_S, interval=0.5, message=f"{name} is back")
    finally:
        project.down()


async def test_a_session_in_a_browser(images: dict[str, int]) -> None:
    """The override for webjs: its image has Chromium, which runs as a user without rights on a read-only root."""
    project = Compose("deploy/compose/browsers.yml")
    project.run("build", "session-worker", timeout=800)
    size = int(inspect(f"pywhatsweb/browser:{VERSION}", "{{.Size}}"))
    print(f"\nbrowser: {size / 1e6:.0f} MB")  # noqa: T201
    number = new_number()
    try:
        project.up(timeout=UP_S)
        async with program(project) as user, whatsapp(project) as local:
            await user.ok("session.start", session_id="page", engine="webjs")
            await pair(user, local, "page", number)
            await user.send("page", "c-1", CONTACT, "Olá do navegador!")
            await wait_until(lambda: user.steps("c-1")[-1:] == ["read"], 60, message="the contact read it")
            assert [e["text"] for e in await local.decrypted(number) if e["kind"] == "message"] == [
                "Olá do navegador!"
            ]
            await local.post(f"/api/contacts/{CONTACT}/send", to=number, type="text", text="Oi!")
            await wait_until(
                lambda: [e for e in user.of("message", "page") if e["data"]["origin"] == "inbound"],
                60,
                message="the answer came",
            )
    finally:
        project.down()
