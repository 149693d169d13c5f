"""What the tenancy service runs: the platform's control plane, erasures, and the tenants' usage."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import structlog

from pywhatsweb.contracts import subjects
from pywhatsweb.errors import ErrorCode
from pywhatsweb_fleet.broker import accounts, keys, process, secrets
from pywhatsweb_fleet.broker.operator import Operator
from pywhatsweb_fleet.media.objects import Objects
from pywhatsweb_fleet.storage.faults import StorageUnavailable
from pywhatsweb_fleet.storage.store import open_store
from pywhatsweb_fleet.tenancy.answering import Answer, answering
from pywhatsweb_fleet.tenancy.erasing import Erasing, ensure_bucket
from pywhatsweb_fleet.tenancy.metering import Metering
from pywhatsweb_fleet.tenancy.registrar import Registrar
from pywhatsweb_fleet.tenancy.settings import TenancySettings
from pywhatsweb_runtime import answering as control_plane
from pywhatsweb_runtime import bus as broker
from pywhatsweb_runtime import lifecycle, provision, registry
from pywhatsweb_runtime.bus import BrokerSettings, Bus
from pywhatsweb_runtime.health import Health, serving
from pywhatsweb_runtime.metrics import Metrics
from pywhatsweb_runtime.ready import announce
from pywhatsweb_runtime.registry import TenantRecord

log = structlog.get_logger(__name__)


async def run(settings: TenancySettings, stopping: asyncio.Event) -> None:
    """Until ``stopping``; an erasure that is under way goes on at the next start."""
    health = Health("tenancy", Metrics(settings.metrics_labels))
    store = open_store(settings.store_url)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        stack.enter_context(_alone(settings.secrets_path))
        await store.migrate()
        found = secrets.load(settings.secrets_path)
        if found is None:
            raise secrets.SecretsError(f"{settings.secrets_path} holds no {secrets.SECRETS_FILE}.")
        bus = await stack.enter_async_context(
            broker.connect(
                settings, name=f"tenancy@{socket.gethostname()}", inbox_prefix=subjects.inbox("tenancy")
            )
        )
        health.checks["broker"] = lambda: None if bus.client.is_connected else "not connected"
        await provision.ensure_platform(bus, settings.replicas)
        await keys.ensure_bucket(bus, settings.replicas)
        await ensure_bucket(bus, settings.replicas)
        border = await stack.enter_async_context(_accounts(settings, bus, found))
        await border.restore(found)
        registrar = Registrar(
            bus,
            border,
            settings.secrets_path,
            found,
            operator=settings.broker_mode == "operator",
            replicas=settings.replicas,
        )
        objects = Objects(settings.objects_url, settings.media_endpoint)
        erasing = Erasing(bus, store, objects, registrar, unlink_s=settings.unlink_s)
        await erasing.load()
        await stack.enter_async_context(answering(bus, _answers(registrar, erasing)))
        await stack.enter_async_context(
            control_plane.answering(
                bus,
                "tenancy",
                "What tenants used",
                {"usage.get": Metering(bus, store).get},
                find=_finder(registrar),
                refusals={StorageUnavailable: ErrorCode.E_STORAGE_UNAVAILABLE},
            )
        )
        await stack.enter_async_context(serving(health, host=settings.health_host, port=settings.health_port))
        announce(settings.ready_file, health.port)
        log.info("ready", tenants=len(found.tenants), mode=settings.broker_mode)
        await lifecycle.until(stopping, erasing.run_for_ever(), registrar.keep_applied())


def _answers(registrar: Registrar, erasing: Erasing) -> dict[str, Answer]:
    return {
        "tenant.create": registrar.create,
        "tenant.list": registrar.list,
        "tenant.show": registrar.show,
        "tenant.suspend": registrar.suspend,
        "tenant.resume": registrar.resume,
        "tenant.quota": registrar.quota,
        "tenant.keys": registrar.entries,
        "tenant.delete": erasing.delete,
        "tenant.receipt": erasing.receipt,
        "user.create": registrar.user_create,
        "user.rotate": registrar.user_rotate,
        "user.delete": registrar.user_delete,
        "key.create": registrar.key_create,
        "key.delete": registrar.key_delete,
    }


def _finder(registrar: Registrar) -> control_plane.FindTenant:
    async def find(name: str) -> TenantRecord | None:
        if not subjects.valid_name(name):
            return None
        entry = await registrar.tenants.get(name)
        return registry.decode_tenant(entry.value) if entry is not None and entry.value is not None else None

    return find


@contextlib.asynccontextmanager
async def _accounts(
    settings: TenancySettings, bus: Bus, found: secrets.Secrets
) -> AsyncIterator[accounts.Accounts]:
    """The broker's accounts, by the system's user."""
    operator = settings.broker_mode == "operator"
    async with _as_system(settings, found, operator=operator) as system:
        if operator:
            yield accounts.OperatorAccounts(system)
            return
        yield accounts.ConfigAccounts(
            settings.broker_path,
            process.load_choices(settings.broker_path),
            bus,
            settings,
            reload=accounts.by_system(system),
        )


@contextlib.asynccontextmanager
async def _as_system(
    settings: TenancySettings, found: secrets.Secrets, *, operator: bool
) -> AsyncIterator[Bus]:
    where = BrokerSettings(
        nats_url=settings.nats_url,
        nats_ca=settings.nats_ca,
        nats_user=None if operator else found.system.user,
        nats_password=None if operator else found.system.password,
    )
    path = settings.secrets_path / ".system.creds"
    if operator:
        secrets.write_private(path, Operator(found).system_credentials().encode())
        where = BrokerSettings(nats_url=settings.nats_url, nats_ca=settings.nats_ca, nats_creds=str(path))
    async with broker.connect(where, name="tenancy (system)") as system:
        yield system


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """The secrets are this process's to write for as long as the block lasts. Raises SecretsError."""
    with (directory / "tenancy.lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise secrets.SecretsError(f"another tenancy service already runs on {directory}.") from None
        yield
