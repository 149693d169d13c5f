"""The session worker: what it starts, in order; it stops in the reverse order."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Sequence
from pathlib import Path

import structlog
from sqlalchemy import Connection

from pywhatsweb.contracts import subjects
from pywhatsweb_fleet.media.links import Links
from pywhatsweb_fleet.media.opening import Shelf, open_shelf
from pywhatsweb_fleet.session_worker import burdens
from pywhatsweb_fleet.session_worker.deps import Deps
from pywhatsweb_fleet.session_worker.engines.port import Engine, EngineError
from pywhatsweb_fleet.session_worker.engines.sidecar import Config, SidecarEngine, node_launch
from pywhatsweb_fleet.session_worker.engines.simulated import SimulatedEngine
from pywhatsweb_fleet.session_worker.fetching import Fetcher
from pywhatsweb_fleet.session_worker.keeper import Keeper
from pywhatsweb_fleet.session_worker.profiles import Profiles
from pywhatsweb_fleet.session_worker.settings import Settings
from pywhatsweb_fleet.storage import credentials
from pywhatsweb_fleet.storage.faults import Fenced
from pywhatsweb_fleet.storage.group_commit import GroupCommit, group_commit
from pywhatsweb_fleet.storage.sealing import Keyring
from pywhatsweb_fleet.storage.store import Store, open_store
from pywhatsweb_runtime import lifecycle, provision
from pywhatsweb_runtime.bus import connect
from pywhatsweb_runtime.direct import reading
from pywhatsweb_runtime.health import Health, serving
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.publisher import publishing
from pywhatsweb_runtime.ready import announce

log = structlog.get_logger(__name__)


async def run(settings: Settings, stopping: asyncio.Event) -> None:
    """Until ``stopping`` is set: then sessions are handed over and everything is closed."""
    metrics = Metrics(settings.metrics_labels)
    health = Health("session-worker", metrics)
    health.checks["start"] = lambda: "starting"
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(serving(health, host=settings.health_host, port=settings.health_port))
        bus = await stack.enter_async_context(
            connect(
                settings,
                name=f"session-worker {settings.worker_id}",
                inbox_prefix=subjects.inbox("session_worker"),
            )
        )
        await provision.ensure_platform(bus, settings.replicas)
        store = open_store(settings.database_url)
        stack.push_async_callback(store.close)
        await store.migrate()
        keyring = Keyring.parse(settings.encryption_key or "", settings.encryption_key_file)
        group = await stack.enter_async_context(group_commit(store))
        shelf, links, fetcher = await _files(settings, store, group, keyring, metrics, stack)
        deps = Deps(
            settings=settings,
            bus=bus,
            publisher=await stack.enter_async_context(publishing(bus, in_flight=1024)),
            reader=await stack.enter_async_context(reading(bus)),
            store=store,
            group=group,
            keyring=keyring,
            metrics=metrics,
            write_credentials=functools.partial(_write, keyring),
            shelf=shelf,
            links=links,
            fetching=fetcher.ask if fetcher is not None else None,
        )
        engines = await _start_engines(settings, stack)
        keeper = Keeper(deps, engines)
        health.checks["broker"] = lambda: None if bus.client.is_connected else "the broker cannot be reached"
        health.checks["ownership"] = lambda: None if keeper.liveness.held else "ownership cannot be held"
        health.details["sessions"] = keeper.by_status
        health.details["master_keys"] = keyring.ids
        await stack.enter_async_context(keeper.liveness.running())
        await stack.enter_async_context(keeper.views.running())
        bus.on_reconnect.append(keeper.reconnected)
        stack.push_async_callback(keeper.drain)
        del health.checks["start"]
        announce(settings.ready_file, health.port)
        log.info("session worker ready", worker=settings.worker_id, engines=sorted(engines))
        fetching = [fetcher.run(keeper.working)] if fetcher is not None else []
        sidecars = [engine for engine in engines.values() if isinstance(engine, SidecarEngine)]
        profiles = Profiles(
            settings.profiles,
            keeper.owns,
            lambda key: store.read(credentials.load_creds, keyring, *key),
        )
        beside = [burdens.watch(sidecars, metrics), profiles.run(), *fetching]
        await lifecycle.until(stopping, keeper.run(), keeper.lease(), *beside)


async def _files(  # noqa: PLR0917 - wired in one place
    settings: Settings,
    store: Store,
    group: GroupCommit,
    keyring: Keyring,
    metrics: Metrics,
    stack: contextlib.AsyncExitStack,
) -> tuple[Shelf | None, Links | None, Fetcher | None]:
    """What handles files, when there is a place for them."""
    shelf = open_shelf(settings, store, keyring)
    if shelf is None:
        log.warning(
            "no PWW_MEDIA_URL: only files that a command carries itself are sent, and none is fetched"
        )
        return None, None, None
    stack.push_async_callback(shelf.fitting.close)
    links = await stack.enter_async_context(Links(settings))
    return shelf, links, Fetcher(shelf.library, store, group, keyring, metrics)


async def _start_engines(settings: Settings, stack: contextlib.AsyncExitStack) -> dict[str, Engine]:
    """The kinds that can run here; it is an error if none can."""
    engines: dict[str, Engine] = {}
    for name in (word.strip() for word in settings.engines.split(",") if word.strip()):
        try:
            engine = await _make(name, settings)
            await engine.start()
        except EngineError as error:
            log.warning("an engine cannot run here", engine=name, error=error.code, detail=error.detail)
            continue
        stack.push_async_callback(engine.stop)
        engines[name] = engine
    if not engines:
        raise RuntimeError("no engine can run here; see the log for why")
    return engines


async def _make(name: str, settings: Settings) -> Engine:
    if name == "simulated":
        return SimulatedEngine(
            state_file=Path(settings.simulated_state) if settings.simulated_state else None
        )
    config = Config(
        whatsapp_url=settings.whatsapp_url,
        whatsapp_root_key=settings.whatsapp_root_key,
        whatsapp_ca=_pem(settings.whatsapp_ca),
        log_level=settings.log_level,
        engines=(name,),
        chromium=settings.chromium,
        profiles=str(settings.profiles) if name == "webjs" else None,
        browser_memory_mb=settings.browser_memory_mb if name == "webjs" else None,
    )
    launch = await node_launch(
        node=Path(settings.node) if settings.node else None,
        directory=Path(settings.sidecar_dir) if settings.sidecar_dir else None,
    )
    return SidecarEngine(name, launch=launch, config=config, worker=settings.worker_id)


def _pem(given: str | None) -> str | None:
    """A PEM text as it is, or the content of the file that is named."""
    return Path(given).read_text("utf-8") if given and not given.lstrip().startswith("-----BEGIN") else given


def _write(
    keyring: Keyring, conn: Connection, writes: Sequence[credentials.Write]
) -> Sequence[Fenced | None]:
    return credentials.write_many(conn, keyring, writes)
